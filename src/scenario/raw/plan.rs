//! `[plan]`: what may vary, what must hold, what is made small.

mod horizon;
mod vary;

pub use horizon::{HorizonTerms, OwnedTerms};

use crate::metrics::{Goals, MetricGoal, Objective, Survive};
use crate::scenario::dom::Value;
use crate::scenario::kinds;
use crate::scenario::problem::Problem;
use crate::scenario::reader::TableReader;
use crate::scenario::reading::{Kind, Unfit};

/// A search for the cheapest fleet.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanSection {
    /// What may vary: each `PATH=VALUES`, as `sweep --grid` takes it.
    pub vary: Vec<String>,
    /// What must hold.
    pub require: Goals,
    /// What is made small.
    pub objective: Objective,
    /// Replications by whose mean a candidate is judged, at most where they race; at least 1.
    pub replications: u64,
    /// Where candidates race: replications after which it is looked at first whether more are needed; at least 2.
    pub race: Option<u64>,
    /// Draws of the uncertain numbers; at least 1.
    pub draws: u64,
    /// How regret is counted.
    pub regret: RegretTerms,
    /// What the coming months bring, where commitments are to be weighed.
    pub horizon: Option<HorizonTerms>,
}

/// How regret is counted: (difference in US dollars × cost)^exponent, summed over draws.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RegretTerms {
    /// For each dollar more than needed.
    pub over_provision_cost: f64,
    /// For each dollar less than needed.
    pub under_provision_cost: f64,
    /// The power.
    pub exponent: f64,
}

impl Default for RegretTerms {
    /// As Netflix's planner has it (service-capacity-modeling, `CapacityRegretParameters.spend`: 1, 1.25, 1.2).
    fn default() -> Self {
        Self { over_provision_cost: 1.0, under_provision_cost: 1.25, exponent: 1.2 }
    }
}

/// Reads `[plan]`; `None` when there is none, or after errors have been recorded.
pub fn plan(t: &mut TableReader<'_>) -> Option<PlanSection> {
    let own = vary::own_offers(t);
    t.table("plan", "The search that `fleetsim plan` makes.", |t| {
        let doc = "What may vary: a path as --set takes it, and its values, as in \
                   \"pools.base.nodes\" = \"0..16\", \"pools.base.offer\" = [\"a\", \"b\"]. \
                   \"pools.base.accelerator\" = [\"H100-SXM5\", \"L40S\"] varies over all offers with these, \
                   \"pools.base.offer\" = \"*\" over all there are.";
        let vary = vary::vary(t, doc, &own);
        let doc = "What must hold; what the streams promise in their `slo` holds in any case.";
        let require = t.table_or_default("require", doc, require);
        let doc = "What is made as small as can be: what is billed, or the number of cards.";
        let objective = t.choice("objective", &Objective::ALL, &[], Some("spend"), doc);
        let (replications, race) = replications(t);
        let doc = "Draws of the uncertain numbers ({ low, mid, high }), where there are any.";
        let draws = t.or("draws", &kinds::COUNT, "512", doc);
        let doc = "How regret over the draws is counted: (difference × cost)^exponent.";
        let regret = t.table_or_default("regret", doc, |t| {
            let doc = "For each dollar more than a draw needs.";
            let over = t.or("over_provision_cost", &kinds::NOT_NEGATIVE, "1.0", doc);
            let doc = "For each dollar less than a draw needs.";
            let under = t.or("under_provision_cost", &kinds::NOT_NEGATIVE, "1.25", doc);
            let exponent = t.or("exponent", &kinds::POSITIVE, "1.2", "The power.");
            Some(RegretTerms {
                over_provision_cost: *over?,
                under_provision_cost: *under?,
                exponent: *exponent?,
            })
        });
        let doc = "The months over which commitments are weighed; they are not when absent.";
        let horizon = t.table("horizon", doc, horizon::read);
        Some(PlanSection {
            horizon,
            vary: vary?,
            require: require?,
            objective: *objective?,
            replications,
            race,
            draws: u64::from(*draws?),
            regret: regret?,
        })
    })
}

/// Replications: the most, and where candidates race the first look.
fn replications(t: &mut TableReader<'_>) -> (u64, Option<u64>) {
    const USUAL: u64 = 3;
    let doc = "Replications of each candidate, by whose mean it is judged: 3 when absent; or { min, max } to run more \
               of those only that are close to a limit.";
    let read = t.short_or_table(
        "replications",
        &kinds::COUNT,
        doc,
        |n| (u64::from(n), None),
        |t| {
            let doc = "After so many it is looked at first whether a candidate is decided; at least 2.";
            let min = t.required("min", &kinds::COUNT, doc);
            let max =
                t.required("max", &kinds::COUNT, "No candidate runs more; it is then judged by their mean.");
            let (min, max) = (min?, max?);
            if *min < 2 || *max < *min {
                let message = format!("`replications` of `plan` cannot race from {} to {}", *min, *max);
                t.problem(Problem::error(min.place, message).help("give { min = 2, max = 32 }, say"));
                return None;
            }
            Some((u64::from(*max), Some(u64::from(*min))))
        },
    );
    read.unwrap_or((USUAL, None))
}

fn require(t: &mut TableReader<'_>) -> Option<Goals> {
    let mut goals = Goals::default();
    let doc = "The share of requests that must meet their limits: one for all streams, or by stream, as in \
               { chat = 0.99 }; what the streams promise when absent. `slo` is another name for it.";
    for key in ["attainment", "slo"] {
        let before = goals.attainment.is_some() || !goals.attainment_of.is_empty();
        if before && t.has(key) {
            let message = "`slo` and `attainment` are the same; keep one";
            t.problem(Problem::error(t.place_of(key), message));
        }
        attainment(t, key, doc, &mut goals);
    }
    let doc = "The most that may be rejected, as a share of what arrives.";
    goals.rejection = t.optional("rejection", &kinds::SHARE, doc).map(|share| *share);
    let doc = "Every job that has a deadline ends by then.";
    goals.job_deadlines = t.or("job_deadlines", &kinds::BOOL, "false", doc).is_some_and(|on| *on);
    let doc = "The most that a month of 730 hours may cost, in US dollars.";
    goals.budget_usd_month = t.optional("budget_usd_month", &kinds::POSITIVE, doc).map(|usd| *usd);
    let doc = "The most power that the cards may be designed to draw together, in kilowatts.";
    goals.power_kw = t.optional("power_kw", &kinds::POSITIVE, doc).map(|power| *power);
    let names = |list: Option<Vec<crate::scenario::reading::Sited<String>>>| {
        list.unwrap_or_default().into_iter().map(|name| name.value).collect()
    };
    let doc = "The providers that may be bought from; all when absent.";
    goals.providers = names(t.list("providers", &kinds::REFERENCE, false, doc));
    let doc = "The regions that may be bought in; all when absent.";
    goals.regions = names(t.list("regions", &kinds::REFERENCE, false, doc));
    goals.survive = survive(t);
    metrics(t, &mut goals);
    Some(goals)
}

fn attainment(t: &mut TableReader<'_>, key: &'static str, doc: &'static str, goals: &mut Goals) {
    match t.node(key).map(|node| &node.value) {
        Some(Value::Table(_)) => {
            t.declare(key, "a share from 0 to 1, or a table by stream", None, doc);
            let of = t.nested(key, t.node(key), |t| {
                let mut of = Vec::new();
                for (name, place) in t.other_keys() {
                    let node = t.node(&name).map(|node| (kinds::SHARE.read)(&node.value));
                    match node {
                        Some(Ok(share)) => of.push((name.clone(), share)),
                        _ => {
                            let message = format!("`{name}` of `{key}` must be a share from 0 to 1");
                            t.problem(Problem::error(place, message));
                        }
                    }
                    t.taken(&name);
                }
                Some(of)
            });
            goals.attainment_of.extend(of.unwrap_or_default());
        }
        // What the streams promise, in so many words.
        Some(Value::Bool(true)) => t.declare(key, "a share from 0 to 1, or a table by stream", None, doc),
        _ => {
            if let Some(share) = t.optional(key, &kinds::SHARE, doc) {
                goals.attainment = Some(*share);
            }
        }
    }
}

fn survive(t: &mut TableReader<'_>) -> Option<Survive> {
    #[derive(Clone, Copy)]
    enum Lost {
        Nothing,
        Node,
        Zone,
    }
    let names = [("nothing", Lost::Nothing), ("node", Lost::Node), ("zone", Lost::Zone)];
    let doc = "What may be lost for the whole window with everything else still kept: any one node, or of every \
               pool of one provider the nodes in one zone.";
    let lost = t.choice("survive", &names, &[], Some("nothing"), doc);
    let doc = "Zones over which the nodes of a pool are spread evenly, for survive = \"zone\".";
    let zones = t.optional("zones", &ZONES, doc);
    match (*lost?, zones) {
        (Lost::Nothing, _) => None,
        (Lost::Node, _) => Some(Survive::Node),
        (Lost::Zone, Some(zones)) => Some(Survive::Zone { zones: *zones }),
        (Lost::Zone, None) => {
            let message = "survive = \"zone\" needs `zones`: over how many zones pools are spread";
            t.problem(Problem::error(t.place_of("survive"), message).help("zones = 3, for example"));
            None
        }
    }
}

const ZONES: Kind<u32> = Kind {
    what: "a whole number of at least 2",
    read: |value| match (kinds::COUNT.read)(value)? {
        1 => Err(Unfit::Value("with one zone, all is lost with it; give at least 2".to_owned())),
        zones => Ok(zones),
    },
};

fn metrics(t: &mut TableReader<'_>, goals: &mut Goals) {
    let doc = "Limits of single metrics, as in \"latency.ttft_s.p99\" = { at_most = 1.0 }.";
    let read = t.table("metrics", doc, |t| {
        let mut all = Vec::new();
        for (name, place) in t.other_keys() {
            let goal = t.other(&name, "Limits of a path into summary.json.", |t| {
                let most = t.optional("at_most", &kinds::NUMBER, "It is not above this.").map(|most| *most);
                let least =
                    t.optional("at_least", &kinds::NUMBER, "It is not below this.").map(|least| *least);
                if !t.is_describing() && most.is_none() && least.is_none() {
                    let problem = Problem::error(t.place, format!("{} has no limit", t.noun()));
                    t.problem(problem.help("give at_most or at_least"));
                }
                if let (Some(most), Some(least)) = (most, least)
                    && least > most
                {
                    let message = format!("{} cannot be at least {least} and at most {most}", t.noun());
                    t.problem(Problem::error(place, message).help("no fleet can keep both; change one"));
                }
                Some(MetricGoal { name: name.clone(), at_most: most, at_least: least })
            });
            all.extend(goal);
        }
        Some(all)
    });
    goals.metrics.extend(read.unwrap_or_default());
}
