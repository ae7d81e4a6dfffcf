//! What a law reads, and how it comes to it: the signal behind each name, scrape interval, window and lag.

use crate::metrics::Signal;
use crate::policies::autoscale::hpa::{HpaConfig, Target};
use crate::policies::replay::Law;
use crate::scenario::kinds;
use crate::scenario::problem::{Problem, quoted};
use crate::scenario::reader::TableReader;
use crate::units::Duration;
use crate::world::Feed;

/// When an autoscaler decides and what its metrics go through.
pub struct Timing {
    pub interval: Duration,
    pub scrape: Duration,
    pub lag: Duration,
    /// The window of every metric, where it is given.
    pub window: Option<Duration>,
    /// Names of the law, with signals.
    names: Vec<(String, Signal)>,
}

/// Names under which engines and exporters publish the signals, and what one is worth there.
const KNOWN: [(&str, Signal, f64); 10] = [
    ("vllm:num_requests_running", Signal::Running, 1.0),
    ("vllm:num_requests_waiting", Signal::QueueLength, 1.0),
    ("vllm:gpu_cache_usage_perc", Signal::KvUse, 1.0),
    ("vllm:kv_cache_usage_perc", Signal::KvUse, 1.0),
    ("DCGM_FI_DEV_GPU_UTIL", Signal::CardBusy, 100.0),
    ("http_requests_per_second", Signal::Rps, 1.0),
    ("requests_per_second", Signal::Rps, 1.0),
    ("qps", Signal::Rps, 1.0),
    ("ongoing_requests", Signal::Concurrency, 1.0),
    ("num_requests_waiting", Signal::QueueLength, 1.0),
];

/// The window of a rate or percentile where none is given.
const WINDOW: Duration = Duration::from_secs(60);

impl Timing {
    /// Reads the keys that every policy has. Defaults are the projects' own.
    pub fn read(t: &mut TableReader<'_>, policy: &str) -> Option<Self> {
        let ms = |ms: u64| Duration::from_nanos(ms * 1_000_000);
        // (decides, is scraped): HPA's sync period and a usual Prometheus interval; Knative's tick and scrape; Ray's
        // loop and metrics_interval_s; SkyServe's decision and load-balancer sync; WVA's code default.
        let (interval, scrape) = match policy {
            "knative" => (ms(2000), ms(1000)),
            "ray-serve" => (ms(100), ms(10_000)),
            "skyserve" => (ms(20_000), ms(20_000)),
            "scheduled" | "static" => (ms(30_000), ms(30_000)),
            "predictive" => (ms(60_000), ms(15_000)),
            _ => (ms(15_000), ms(15_000)),
        };
        let doc = "How often it decides; its project's own interval when absent.";
        let own_interval = t.optional("interval", &kinds::POSITIVE_TIME, doc);
        let doc = "How often its metrics are scraped; a usual interval of its project when absent.";
        let own_scrape = t.optional("scrape", &kinds::POSITIVE_TIME, doc);
        let lag = t.or("lag", &kinds::TIME, "\"0s\"", "How long after a scrape it sees the metrics.");
        let doc =
            "Over how long metrics are taken; gauges at the last scrape and rates over 60 s when absent.";
        let window = t.optional("window", &kinds::TIME, doc);
        let doc = "What the law's names for metrics mean, as in { \"my_queue\" = \"queue_length\" }.";
        let names = t.table("metrics", doc, |t| {
            let mut names = Vec::new();
            for (name, _) in t.other_keys() {
                if let Some(text) = t.other_scalar(&name, &kinds::TEXT, "What it measures.") {
                    match Signal::ALL.iter().find(|(known, _)| *known == text.value) {
                        Some((_, signal)) => names.push((name, *signal)),
                        None => {
                            let known = quoted(Signal::ALL.iter().map(|(name, _)| *name));
                            let message = format!("nothing measures `{}`", text.value);
                            let problem = Problem::error(text.place, message);
                            t.problem(problem.help(format!("what is measured is one of {known}")));
                        }
                    }
                }
            }
            Some(names)
        });
        let scrape = own_scrape.as_ref().map_or(scrape, |scrape| **scrape);
        if let Some(window) = window.as_ref().filter(|window| !window.is_zero() && window.value < scrape) {
            let message = format!("a window of {} holds no scrape: they are {scrape} apart", **window);
            t.problem(Problem::error(window.place, message).help("lengthen `window` or shorten `scrape`"));
        }
        Some(Self {
            interval: own_interval.map_or(interval, |interval| *interval),
            scrape,
            lag: *lag?,
            window: window.map(|window| *window),
            names: names.unwrap_or_default(),
        })
    }

    fn feed(&self, name: &str, signal: Signal, scale: f64, usual: Duration) -> Feed {
        let usual = if signal.needs_window() { usual } else { Duration::ZERO };
        let window =
            self.window.filter(|window| !window.is_zero() || !signal.needs_window()).unwrap_or(usual);
        // Two scrapes at least make a rate.
        let window = if signal.needs_window() { window.max(self.scrape) } else { window };
        Feed { name: name.to_owned(), signal, window, scale, per_pod: false, parts: Vec::new() }
    }

    /// The feed behind a name of the user's own file.
    fn named(&self, name: &str) -> Option<Feed> {
        let own = self.names.iter().find(|(known, _)| known == name).map(|(_, signal)| (*signal, 1.0));
        let plain = || Signal::ALL.iter().find(|(known, _)| *known == name).map(|(_, signal)| (*signal, 1.0));
        let known =
            || KNOWN.iter().find(|(known, ..)| *known == name).map(|(_, signal, scale)| (*signal, *scale));
        let (signal, scale) = own.or_else(plain).or_else(known)?;
        Some(self.feed(name, signal, scale, WINDOW))
    }
}

/// What a law reads.
pub fn feeds(t: &mut TableReader<'_>, law: &Law, timing: &Timing) -> Option<Vec<Feed>> {
    let second = Duration::from_secs;
    match law {
        Law::Hpa(law) => of_hpa(t, law.config(), timing),
        Law::Keda(law) => {
            let own = law.config().triggers.iter().filter(|trigger| !trigger.resource);
            let mut feeds = Vec::new();
            for trigger in own {
                feeds.push(found(t, timing, &trigger.name)?);
            }
            let resources = law.config().triggers.iter().find(|trigger| trigger.resource);
            if let Some(trigger) = resources {
                return refuse_resource(t, &trigger.name);
            }
            Some(feeds)
        }
        Law::Kpa(law) => {
            let config = law.config();
            let signal = if config.metric == "rps" { Signal::Rps } else { Signal::Concurrency };
            let stable = config.stable_window;
            let panic = Duration::from_secs_f64(stable.as_secs_f64() * config.panic_window);
            let parts = vec![("stable", stable), ("panic", panic)];
            Some(vec![Feed { parts, ..timing.feed(config.metric, signal, 1.0, stable) }])
        }
        Law::Ray(_) => {
            let feed = timing.feed("ongoing_requests", Signal::Concurrency, 1.0, second(30));
            // The look-back period (30 s), a mean.
            Some(vec![Feed { window: timing.window.unwrap_or(second(30)), ..feed }])
        }
        Law::Sky(_) => Some(vec![timing.feed("qps", Signal::Rps, 1.0, second(60))]),
        Law::Wva(_) => {
            let feed = |name, signal| Feed { per_pod: true, ..timing.feed(name, signal, 1.0, WINDOW) };
            Some(vec![feed("kv", Signal::KvUse), feed("queue", Signal::QueueLength)])
        }
        Law::Reactive(law) => law.metrics().iter().map(|name| found(t, timing, name)).collect(),
        Law::Predictive(law) => Some(vec![found(t, timing, law.metric())?]),
        Law::Scheduled(_) => Some(Vec::new()),
        Law::KedaJob(_)
        | Law::Dynamo(_)
        | Law::Llumnix(_)
        | Law::ClusterAutoscaler(_)
        | Law::Karpenter(_) => None,
    }
}

fn of_hpa(t: &mut TableReader<'_>, config: &HpaConfig, timing: &Timing) -> Option<Vec<Feed>> {
    let mut feeds = Vec::new();
    for metric in &config.metrics {
        if matches!(metric.target, Target::Utilization(_)) {
            return refuse_resource(t, metric.source.name());
        }
        let feed = found(t, timing, metric.source.name())?;
        let per_pod = !metric.source.is_whole();
        if per_pod && feed.signal.is_latency() {
            let message = format!("`{}` is a percentile over all requests, not a metric of pods", feed.name);
            t.problem(Problem::error(t.place, message).help("make it an External or Object metric"));
            return None;
        }
        feeds.push(Feed { per_pod, ..feed });
    }
    Some(feeds)
}

fn refuse_resource(t: &mut TableReader<'_>, name: &str) -> Option<Vec<Feed>> {
    let message = format!("{} scales on the utilization of `{name}`, which is not simulated", t.noun());
    let help = "replicas here have cards, queues and caches: scale on one of those, as users of GPUs do";
    t.problem(Problem::error(t.place, message).help(help));
    None
}

/// The feed behind a name, or a problem that says what to do.
fn found(t: &mut TableReader<'_>, timing: &Timing, name: &str) -> Option<Feed> {
    let feed = timing.named(name);
    if feed.is_none() {
        let known = quoted(Signal::ALL.iter().map(|(name, _)| *name));
        let message = format!("{} scales on `{name}`: it is not known what that measures", t.noun());
        let help = format!(
            "say so, as in metrics = {{ {name:?} = \"queue_length\" }}; what is measured is one of {known}"
        );
        t.problem(Problem::error(t.place, message).help(help));
    }
    feed
}
