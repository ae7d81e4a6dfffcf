//! NVIDIA Dynamo's planner in throughput mode.
//!
//! Source: `dynamo/planner` of ai-dynamo 1.6.1. Every adjustment interval the request rate is predicted and
//! divided by what a prefill and a decode engine manage within TTFT and ITL; steps, minimum and GPU budget
//! clamp the result. Rules and tests: `throughput`, `clamps`, `interval`.
//!
//! What an engine manages at the observed lengths comes from a profile; an observation gives it as
//! `prefill_engine_rps` and `decode_engine_rps`. Not built, and refused by name: the predictors arima (the
//! default), kalman and prophet, the load mode, the easy targets.

use super::{CannotScale, Decision, Observation, Scale, ceil_replicas};
use crate::policies::spec::{Fields, Node, Problems};
use crate::policies::{Policy, Reason};
use crate::units::{Duration, Instant};

/// The most engines of a kind that come or go in one step.
const STEP: u32 = 8;

/// The planner's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct DynamoConfig {
    /// `adjustment_interval` (180 s).
    pub interval: Duration,
    /// `min_endpoint` (1).
    pub min: u32,
    /// `max_gpu_budget` (8).
    pub budget: u32,
    /// `prefill_engine_num_gpu` (1).
    pub prefill_gpus: u32,
    /// `decode_engine_num_gpu` (1).
    pub decode_gpus: u32,
}

/// Reads `policy: dynamo` with the planner's names.
pub fn read(document: &Node, problems: &Problems) -> Option<DynamoConfig> {
    let mut fields = Fields::new(document, problems);
    // The profile has been read at these targets already: the observations carry its rates.
    fields.ignore(&["policy", "ttft", "itl"]);
    match fields.text("load_predictor").as_deref() {
        Some("constant") => {}
        other => {
            let name = other.unwrap_or("arima (the default)");
            fields.problem("load_predictor", format!("{name} is not built: \"constant\" is"));
        }
    }
    match fields.text("mode").as_deref() {
        None | Some("throughput") => {}
        Some(other) => fields.problem("mode", format!("{other:?} is not built: \"throughput\" is")),
    }
    let mut count = |name, default: i64| {
        let value = fields.int(name).unwrap_or(default);
        if value < 1 {
            fields.problem(name, format!("{name} has to be at least 1, not {value}"));
        }
        u32::try_from(value).unwrap_or(1)
    };
    let (min, budget) = (count("min_endpoint", 1), count("max_gpu_budget", 8));
    let (prefill_gpus, decode_gpus) = (count("prefill_engine_num_gpu", 1), count("decode_engine_num_gpu", 1));
    if min.saturating_mul(prefill_gpus + decode_gpus) > budget {
        let said =
            format!("max_gpu_budget ({budget}) is less than min_endpoint ({min}) of each engine needs");
        fields.problem("max_gpu_budget", said);
    }
    let interval = fields.seconds("adjustment_interval").unwrap_or(Duration::from_secs(180));
    if interval.is_zero() {
        fields.problem("adjustment_interval", "the interval has to be greater than 0");
    }
    fields.finish("Dynamo's planner has no such setting");
    Some(DynamoConfig { interval, min, budget, prefill_gpus, decode_gpus })
}

/// The planner with what it remembers.
#[derive(Debug, Clone)]
pub struct Dynamo {
    config: DynamoConfig,
    last: Option<Instant>,
    /// Prefill and decode engines wanted.
    wanted: Option<(u32, u32)>,
}

impl Dynamo {
    /// A planner that has just started.
    pub const fn new(config: DynamoConfig) -> Self {
        Self { config, last: None, wanted: None }
    }

    /// Prefill and decode within the GPU budget: both shrink by the same share, decode takes the rest.
    fn budgeted(&self, prefill: u32, decode: u32) -> (u32, u32) {
        let config = &self.config;
        let needed = prefill * config.prefill_gpus + decode * config.decode_gpus;
        if needed <= config.budget {
            return (prefill, decode);
        }
        let share = f64::from(config.budget) / f64::from(needed);
        // Decode keeps its minimum too.
        let most = (config.budget - config.min * config.decode_gpus) / config.prefill_gpus;
        let prefill = ((f64::from(prefill) * share).round() as u32).max(config.min).min(most);
        let rest = (config.budget - prefill * config.prefill_gpus) / config.decode_gpus;
        (prefill, rest.max(config.min))
    }
}

fn answer(mut scale: Scale, (prefill, decode): (u32, u32)) -> Scale {
    scale.figures.push(("prefill", f64::from(prefill)));
    scale.figures.push(("decode", f64::from(decode)));
    scale
}

impl Policy for Dynamo {
    type Observation<'a> = Observation;
    /// `desired` is the number of engines of both kinds; the figures tell them apart.
    type Decision = Decision;

    fn decide(&mut self, now: Instant, observation: &Observation) -> (Decision, Reason) {
        let config = &self.config;
        let count = |name: &str| observation.number(name).map(|count| count as u32);
        let current = (
            count("prefill").or(self.wanted.map(|wanted| wanted.0)).unwrap_or(config.min),
            count("decode").or(self.wanted.map(|wanted| wanted.1)).unwrap_or(config.min),
        );
        if self.last.is_some_and(|last| now.since(last) < config.interval) {
            let scale = Scale::wish(current.0 + current.1);
            return (Ok(answer(scale, current)), Reason("not its adjustment interval yet"));
        }
        let read = |name: &str| {
            let value = observation.value(&[name]);
            value.ok_or_else(|| CannotScale(format!("no {name} reported")))
        };
        let rates =
            read("rps").and_then(|rps| Ok((rps, read("prefill_engine_rps")?, read("decode_engine_rps")?)));
        let (rps, prefill_rps, decode_rps) = match rates {
            Ok(rates) if rates.1 > 0.0 && rates.2 > 0.0 => rates,
            Ok(_) => return (Err(CannotScale::new("an engine's rate is zero")), Reason("no profile")),
            Err(error) => return (Err(error), Reason("no metrics")),
        };
        self.last = Some(now);
        // The constant predictor expects what was seen last.
        let raw = (ceil_replicas(rps / prefill_rps), ceil_replicas(rps / decode_rps));
        let mut scale = Scale::wish(raw.0 + raw.1);
        let step = |to: u32, from: u32| to.clamp(from.saturating_sub(STEP), from + STEP);
        let stepped = (step(raw.0, current.0), step(raw.1, current.1));
        scale.limit(stepped.0 + stepped.1, "8 engines a step");
        let least = (stepped.0.max(config.min), stepped.1.max(config.min));
        scale.limit(least.0 + least.1, "min_endpoint");
        let wanted = self.budgeted(least.0, least.1);
        scale.limit(wanted.0 + wanted.1, "max_gpu_budget");
        self.wanted = Some(wanted);
        (Ok(answer(scale, wanted)), Reason("predicted request rate over the engines' rates"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policies::spec::parse_yaml;

    fn law(yaml: &str) -> Dynamo {
        let problems = Problems::default();
        let documents = parse_yaml(&format!("policy: dynamo\nload_predictor: constant\n{yaml}")).unwrap();
        let config = read(&documents[0], &problems);
        assert_eq!(problems.into_sorted(), []);
        Dynamo::new(config.unwrap())
    }

    fn decide(law: &mut Dynamo, seconds: u64, rps: f64) -> (f64, f64) {
        let seen = Observation::of(0).with("rps", rps);
        let seen = seen.with("prefill_engine_rps", 4.0).with("decode_engine_rps", 2.0);
        let scale = law.decide(Instant::ZERO + Duration::from_secs(seconds), &seen).0.unwrap();
        (scale.figures[0].1, scale.figures[1].1)
    }

    #[test]
    fn throughput() {
        let mut law = law("max_gpu_budget: 100");
        assert_eq!(decide(&mut law, 0, 9.0), (3.0, 5.0));
        assert_eq!(decide(&mut law, 180, 0.0), (1.0, 1.0));
    }

    #[test]
    fn interval() {
        let mut law = law("max_gpu_budget: 100");
        assert_eq!([decide(&mut law, 0, 9.0), decide(&mut law, 179, 1.0)], [(3.0, 5.0), (3.0, 5.0)]);
        assert_eq!(decide(&mut law, 180, 1.0), (1.0, 1.0));
    }

    #[test]
    fn clamps() {
        // From one: at most nine; 10 and 20 are wanted.
        assert_eq!(decide(&mut law("max_gpu_budget: 100"), 0, 40.0), (9.0, 9.0));
        // 4 and 8 on a budget of 6: a half of 4 is 2, decode has the other 4.
        assert_eq!(decide(&mut law("max_gpu_budget: 6"), 0, 16.0), (2.0, 4.0));
        // Engines of two and four cards on 16: 8 + 32 wanted; 4 · 0.4 rounds to 2, decode has 12 / 4.
        let cards = "max_gpu_budget: 16\nprefill_engine_num_gpu: 2\ndecode_engine_num_gpu: 4";
        assert_eq!(decide(&mut law(cards), 0, 16.0), (2.0, 3.0));
    }

    #[test]
    fn refusals() {
        let problems = Problems::default();
        let yaml = "policy: dynamo\nmode: load\nmin_endpoint: 5\nmax_gpu_budgets: 3\n";
        read(&parse_yaml(yaml).unwrap()[0], &problems);
        let said: Vec<_> = problems.into_sorted().iter().map(|p| p.message.clone()).collect();
        insta::assert_snapshot!(said.join("\n"));
    }
}
