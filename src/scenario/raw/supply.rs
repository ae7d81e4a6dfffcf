//! How the nodes of a pool come and go: `nodes`, `provisioning`, and what belongs to them.

use crate::fleet::{Delay, Provisioning, Warm};
use crate::scenario::dom::Value;
use crate::scenario::kinds;
use crate::scenario::problem::Problem;
use crate::scenario::reader::TableReader;
use crate::scenario::reading::{Kind, Sited, Unfit};
use crate::units::{Duration, UsdPerHour};

/// How many nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// From the first instant to the last.
    Fixed(u32),
    /// As many as are wanted, within bounds.
    Range {
        min: u32,
        max: u32,
        /// At the beginning.
        initial: u32,
    },
}

impl Count {
    /// The most nodes at a time.
    pub fn most(self) -> u32 {
        match self {
            Self::Fixed(nodes) => nodes,
            Self::Range { max, .. } => max,
        }
    }
}

/// The stages of an order, as far as the scenario gives them.
#[derive(Debug, Default)]
pub struct RawProvisioning {
    pub quota: Option<Delay>,
    pub boot: Option<Delay>,
    pub image_pull: Option<Delay>,
    pub image_streaming: f64,
    pub failure: Option<f64>,
    pub give_up: Option<Duration>,
    pub retry_after: Option<Duration>,
    pub warm: Option<Warm>,
}

impl RawProvisioning {
    /// The stages, with these boot and pull times where the scenario gives none.
    pub fn filled(&self, boot: Delay, image_pull: Delay) -> Provisioning {
        let usual = Provisioning::default();
        Provisioning {
            quota: self.quota.unwrap_or(usual.quota),
            boot: self.boot.unwrap_or(boot),
            image_pull: streamed(self.image_pull.unwrap_or(image_pull), self.image_streaming),
            failure: self.failure.unwrap_or(usual.failure),
            give_up: self.give_up.unwrap_or(usual.give_up),
            retry_after: self.retry_after.unwrap_or(usual.retry_after),
            warm: self.warm.clone(),
        }
    }
}

/// A pull of which a share is fetched when it is asked for.
fn streamed(pull: Delay, share: f64) -> Delay {
    if share == 0.0 { pull } else { pull.scaled(1.0 - share) }
}

/// A whole number from zero to a million.
const NODES: Kind<u32> = Kind {
    what: "a whole number of at least 0",
    read: |value| match value {
        Value::Integer(0) => Ok(0),
        other => (kinds::COUNT.read)(other),
    },
};

/// Reads `nodes`.
pub fn count(t: &mut TableReader<'_>) -> Option<Sited<Count>> {
    let place = t.place_of("nodes");
    if !t.has("nodes") && !t.is_describing() {
        t.missing("nodes", "Nodes of the pool", "a whole number of at least 1, or { min = 0, max = 8 }");
    }
    let doc = "Nodes, from the first instant to the last; or { min, max } for as many as are wanted: what is \
               lost below `min` is ordered anew, what is pending is bought up to `max`.";
    let value = t.short_or_table("nodes", &NODES, doc, Count::Fixed, |t| {
        let min = t.or("min", &NODES, "0", "The fewest nodes.");
        let max = t.required("max", &kinds::COUNT, "The most nodes.");
        let initial = t.optional("initial", &NODES, "Nodes at the beginning; `min` when absent.");
        let (min, max) = (min?, max?);
        if *min > *max {
            let message = format!("{}: min is {}, above max, {}", t.noun(), *min, *max);
            t.problem(Problem::error(min.place, message).help("raise `max` or lower `min`"));
            return None;
        }
        let initial = initial.unwrap_or(min.clone());
        if *initial < *min || *initial > *max {
            let message = format!(
                "{}: initial is {}, not between min, {}, and max, {}",
                t.noun(),
                *initial,
                *min,
                *max
            );
            t.problem(Problem::error(initial.place, message).help("give a number between them"));
            return None;
        }
        Some(Count::Range { min: *min, max: *max, initial: *initial })
    });
    value.map(|value| Sited { value, place })
}

/// Reads `provisioning`.
pub fn provisioning(t: &mut TableReader<'_>) -> Option<RawProvisioning> {
    let doc = "How an ordered node becomes ready.";
    t.table("provisioning", doc, |t| {
        let quota = delay(t, "quota", "From the order to the provider's consent; no time when absent.");
        let doc = "From the start of the machine, when billing begins, to its operating system; an assumption \
                   when absent.";
        let boot = delay(t, "boot", doc);
        let doc = "From there to the container's image being on the node; an assumption when absent.";
        let image_pull = delay(t, "image_pull", doc);
        let doc = "Image streaming: the share of the image that is not waited for, because it comes when it is asked \
                   for; 0 when absent.";
        let image_streaming = t.optional("image_streaming", &kinds::SHARE, doc);
        let doc = "The share of starts that come to nothing after their boot; 0 when absent.";
        let failure = t.optional("failure", &kinds::SHARE, doc);
        let doc = "An order that has got nothing for so long is given up; \"15m\" when absent.";
        let give_up = t.optional("give_up", &kinds::TIME, doc);
        let doc = "After an order that came to nothing the pool is left alone for so long; \"5m\" when absent.";
        let retry_after = t.optional("retry_after", &kinds::TIME, doc);
        let doc = "Machines kept booted and stopped, with their image, so that they start faster.";
        let warm = t.table("warm", doc, |t| {
            let nodes = t.required("nodes", &kinds::COUNT, "How many; one that is used is replaced.");
            let boot = delay(t, "boot", "How long a stopped machine takes to be ready.");
            if boot.is_none() && !t.has("boot") && !t.is_describing() {
                t.missing("boot", "How long a stopped machine takes to be ready", "a time such as \"30s\"");
            }
            let doc = "What a stopped machine costs, US dollars an hour.";
            let price = t.required("price", &kinds::USD_PER_HOUR, doc);
            Some(Warm { nodes: *nodes?, boot: boot?, price: UsdPerHour::from_f64(*price?) })
        });
        let time = |time: Option<Sited<Duration>>| time.map(|time| *time);
        Some(RawProvisioning {
            quota,
            boot,
            image_pull,
            image_streaming: image_streaming.map_or(0.0, |share| *share),
            failure: failure.map(|share| *share),
            give_up: time(give_up),
            retry_after: time(retry_after),
            warm,
        })
    })
}

#[derive(Debug, Clone, Copy)]
enum Dist {
    Uniform,
    Exponential,
    LogNormal,
    Weibull,
}

const DISTS: [(&str, Dist); 4] = [
    ("uniform", Dist::Uniform),
    ("exponential", Dist::Exponential),
    ("lognormal", Dist::LogNormal),
    ("weibull", Dist::Weibull),
];

/// Reads a time that is drawn: `"90s"`, or a table with a distribution.
pub fn delay(t: &mut TableReader<'_>, key: &'static str, doc: &'static str) -> Option<Delay> {
    t.short_or_table(key, &kinds::TIME, doc, Delay::Fixed, |t| {
        t.tagged("dist", &DISTS, "How the time is distributed.", |t, dist| {
            Some(match dist {
                Dist::Uniform => {
                    let low = t.required("low", &kinds::TIME, "The shortest.");
                    let high = t.required("high", &kinds::TIME, "The longest.");
                    let (low, high) = (low?, high?);
                    if *low > *high {
                        let problem = Problem::error(low.place, format!("{}: low is above high", t.noun()));
                        t.problem(problem.help("exchange them"));
                        return None;
                    }
                    Delay::Uniform { low: *low, high: *high }
                }
                Dist::Exponential => {
                    Delay::Exponential { mean: *t.required("mean", &kinds::POSITIVE_TIME, "The mean.")? }
                }
                Dist::LogNormal => {
                    let median = t.required("median", &kinds::POSITIVE_TIME, "The median.");
                    let p99 = t.required("p99", &kinds::POSITIVE_TIME, "The 99th percentile.");
                    let (median, p99) = (median?, p99?);
                    if *p99 < *median {
                        let message = format!("{}: p99 is below the median", t.noun());
                        t.problem(Problem::error(p99.place, message).help("raise `p99`"));
                        return None;
                    }
                    Delay::log_normal(*median, *p99)
                }
                Dist::Weibull => {
                    let doc = "The time before which 63 % have happened.";
                    let scale = t.required("scale", &kinds::POSITIVE_TIME, doc);
                    let doc = "Below 1 the hazard falls with age, above 1 it rises.";
                    let shape = t.required("shape", &SHAPE, doc);
                    Delay::Weibull { scale: *scale?, shape: *shape? }
                }
            })
        })
    })
}

const SHAPE: Kind<f64> = Kind {
    what: "a number from 0.1 to 100",
    read: |value| match (kinds::POSITIVE.read)(value)? {
        shape if (0.1..=100.0).contains(&shape) => Ok(shape),
        shape => Err(Unfit::Value(format!("it is {shape}; it must be from 0.1 to 100"))),
    },
};
