//! What a scenario file says, read and checked by itself: types and places, but no name looked up yet.

mod adapter;
mod api;
mod autoscaler;
mod batching;
mod deployment;
mod developers;
mod disaggregated;
mod failures;
mod host;
mod image;
mod job;
mod lengths;
mod lifecycle;
mod market;
mod node_autoscaler;
mod plan;
mod pool;
mod prefixes;
mod scheduler;
mod speculative;
mod stream;
mod supply;
mod tenant;
mod tiers;
mod traffic;
mod training;
mod weights;

pub use adapter::{RawAdapter, RawLora};
pub use api::RawApi;
pub use autoscaler::RawAutoscaler;
pub use deployment::{Parallelism, RawDeployment, StepTime, read as deployment};
pub use developers::RawDevelopers;
pub use disaggregated::{RawDisaggregated, RawSet};
pub use host::{RawHost, WeightsFrom};
pub use job::{RawJob, Work, read as job};
pub use lifecycle::{RawStart, Replicas};
pub use market::{RawOwned, RawStock, RawZone};
pub use node_autoscaler::{NodePolicy, RawNodeAutoscaler};
pub use plan::{HorizonTerms, PlanSection, RegretTerms, plan};
pub use pool::{PRICE_KEYS, RawPool, RawPrices, prices, read as pool};
pub use scheduler::{RawDurations, RawJobTrace, RawOrder, RawScheduler};
pub use speculative::Method;
pub use stream::{RawStream, read as stream};
pub use supply::{Count, RawProvisioning};
pub use tenant::{RawTenant, read as tenant};
pub use tiers::RawTier;
pub use training::{RawTraining, Recomputation};

use super::dom::Node;
use super::kinds;
use super::problem::Problem;
use super::reader::TableReader;
use super::reading::{Reading, Sited};
use crate::traffic::{Start, Weekday};
use crate::units::Duration;

/// A scenario file.
#[derive(Debug)]
pub struct RawScenario {
    pub name: String,
    pub seed: u64,
    pub duration: Duration,
    pub warmup: Duration,
    pub streams: Vec<RawStream>,
    pub tenants: Vec<RawTenant>,
    pub apis: Vec<RawApi>,
    pub adapters: Vec<RawAdapter>,
    pub pools: Vec<RawPool>,
    pub hosts: Vec<RawHost>,
    pub deployments: Vec<RawDeployment>,
    pub jobs: Vec<RawJob>,
    pub job_trace: Option<RawJobTrace>,
    pub developers: Vec<RawDevelopers>,
    pub start: Start,
    pub scheduler: RawScheduler,
    pub node_autoscaler: Option<RawNodeAutoscaler>,
    pub prices: RawPrices,
    pub plan: Option<PlanSection>,
    /// Entries that override or add to the catalogue: the list's key, and each entry with its table's place.
    pub overrides: Vec<(&'static str, Vec<Node>)>,
}

/// What reading a scenario needs to know beside its text.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The folder of the scenario file, to which paths in it are relative.
    pub folder: &'a std::path::Path,
    /// What the scenario is called when it does not say: the file's stem.
    pub stem: &'a str,
}

impl Surroundings<'_> {
    /// A path of the scenario as a path of the process. One given on the command line is relative to where
    /// the program runs, like every other path there.
    pub fn path(&self, path: &Sited<String>) -> std::path::PathBuf {
        if path.place.source == 0 { self.folder.join(&path.value) } else { path.value.clone().into() }
    }
}

/// The lists that override or add to the catalogue.
pub const OVERRIDES: [&str; 3] = ["models", "accelerators", "offers"];

/// Reads the root table. `None` after errors have been recorded, and when describing.
pub fn read(t: &mut TableReader<'_>, around: Surroundings<'_>) -> Option<RawScenario> {
    let name = t.optional("name", &kinds::NAME, "The scenario's name; the file's name when absent.");
    if !t.has("name") {
        t.fill("name", format!("{:?}", around.stem));
    }
    let seed = t.or("seed", &kinds::SEED, "1", "What all random draws derive from.");
    let duration = t.required("duration", &kinds::POSITIVE_TIME, "How long is simulated.");
    let warmup = t.or(
        "warmup",
        &kinds::TIME,
        "\"0s\"",
        "Left out of latency statistics, never out of spend; shorter than `duration`.",
    );
    if let (Some(duration), Some(warmup)) = (&duration, &warmup)
        && **warmup >= **duration
    {
        let message =
            format!("the warm-up of {} is not shorter than the duration of {}", **warmup, **duration);
        t.problem(Problem::error(warmup.place, message).help("shorten `warmup` or lengthen `duration`"));
    }
    let start = t.table_or_default("start", "When the run begins, for daily and weekly shapes.", start);
    let window = duration.as_ref().map_or(Duration::from_secs(86_400), |duration| **duration);
    let streams = t.tables("streams", "stream", "Traffic of one kind.", |t| {
        stream(t, around, start.unwrap_or_default(), window)
    });
    let doc = "Whose requests streams are: shares of a fleet that they have together.";
    let tenants = t.tables("tenants", "tenant", doc, tenant);
    let doc = "Hosted models, paid by the token, to which streams overflow.";
    let apis = t.tables("apis", "API", doc, api::read);
    let adapters = t.tables("adapters", "adapter", "LoRA adapters of base models.", adapter::read);
    let pools = t.tables("pools", "pool", "Like nodes from one offer.", |t| pool(t, around));
    let hosts = t.tables("hosts", "host", "Cards that several deployments share.", host::read);
    let deployments = t.tables("deployments", "deployment", "A model served somewhere.", |t| {
        deployment(t, around, start.unwrap_or_default())
    });
    let jobs = t.tables("jobs", "job", "A training or batch job.", job);
    let job_trace = scheduler::job_trace(t, around);
    let doc = "People whose interactive sessions are jobs.";
    let developers = t.tables("developers", "developers", doc, developers::read);
    let doc = "Which waiting job is next, and where it goes.";
    let scheduler = t.table_or_default("scheduler", doc, scheduler::read);
    let node_autoscaler = node_autoscaler::read(t, around);
    let prices = prices(t, around);
    let plan = plan(t);
    let overrides = OVERRIDES.map(|key| (key, overrides(t, key)));
    t.later(&[("autoscaler", "autoscalers are"), ("carbon", "carbon accounting is")]);
    if !t.is_describing()
        && !t.has("streams")
        && !t.has("jobs")
        && !t.has("job_trace")
        && !t.has("developers")
    {
        let problem =
            Problem::error(t.place, "there is nothing to simulate").help("add a [[streams]] or a [[jobs]]");
        t.problem(problem);
    }
    Some(RawScenario {
        name: name.map_or_else(|| around.stem.to_owned(), |name| name.value),
        // What is wrong has been reported; stand-ins let the rest be checked all the same.
        seed: seed.map_or(1, |seed| *seed),
        duration: window,
        warmup: warmup.map_or(Duration::ZERO, |warmup| *warmup),
        streams,
        tenants,
        apis,
        adapters,
        pools,
        hosts,
        deployments,
        jobs,
        job_trace,
        developers,
        start: start.unwrap_or_default(),
        scheduler: scheduler.unwrap_or_default(),
        node_autoscaler,
        prices,
        plan,
        overrides: overrides.into(),
    })
}

fn start(t: &mut TableReader<'_>) -> Option<Start> {
    let days = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    let day = t.choice("day", &days, &[], Some("monday"), "The day of the week.");
    let time = t.or("time", &kinds::TIME_OF_DAY, "\"00:00\"", "The time of day.");
    Some(Start { day: *day?, time: *time? })
}

fn overrides(t: &mut TableReader<'_>, key: &'static str) -> Vec<Node> {
    let doc = "Entries that override or add to the catalogue: only the figures given are changed; \
               `fleetsim catalog` shows the keys.";
    let mut nodes = Vec::new();
    t.nodes(key, doc, &mut nodes);
    nodes
}

/// Reports names that are used twice in a list.
pub fn duplicates<'a>(reading: &mut Reading, what: &str, names: impl Iterator<Item = &'a Sited<String>>) {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name.value.as_str()) {
            let message = format!("there are two {what} called `{}`", name.value);
            reading.problem(Problem::error(name.place, message).help("give each its own name"));
        }
    }
}
