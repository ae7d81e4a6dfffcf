//! Policies by name, with their settings in the scenario.

use super::super::lifecycle::{COUNT_OR_NONE, Replicas};
use crate::metrics::Signal;
use crate::policies::autoscale::cron::Cron;
use crate::policies::autoscale::forecast::Model;
use crate::policies::autoscale::hpa::{Flags, Hpa, HpaConfig, Metric, Source, Target};
use crate::policies::autoscale::keda::{Keda, KedaConfig, Paused, Trigger};
use crate::policies::autoscale::kpa::{Kpa, KpaConfig};
use crate::policies::autoscale::predictive::{Predictive, PredictiveConfig};
use crate::policies::autoscale::ray::{Ray, RayConfig};
use crate::policies::autoscale::reactive::{Hold, Reactive, ReactiveConfig};
use crate::policies::autoscale::scheduled::{Scheduled, Window};
use crate::policies::autoscale::skyserve::{Sky, SkyConfig};
use crate::policies::autoscale::wva::{Wva, WvaConfig};
use crate::policies::replay::Law;
use crate::scenario::kinds;
use crate::scenario::problem::Problem;
use crate::scenario::reader::TableReader;
use crate::traffic::Start;
use crate::units::Duration;

/// The policies by name.
const NAMES: [(&str, &str); 11] = [
    ("static", "static"),
    ("scheduled", "scheduled"),
    ("hpa", "hpa"),
    ("knative", "knative"),
    ("keda", "keda"),
    ("ray-serve", "ray-serve"),
    ("skyserve", "skyserve"),
    ("wva", "wva"),
    ("queue-length", "queue-length"),
    ("slo", "slo"),
    ("predictive", "predictive"),
];

/// Reads a policy by name.
pub fn read(t: &mut TableReader<'_>, replicas: Replicas, start: Start) -> Option<(&'static str, Law)> {
    t.tagged("policy", &NAMES, "Its law; or a file, under the key of its project.", |t, policy| {
        let bounds = bounds(t, replicas, policy);
        let law = match policy {
            "hpa" => hpa(t, bounds),
            "knative" => knative(t, bounds),
            "keda" => keda(t, bounds),
            "ray-serve" => ray(t, bounds),
            "skyserve" => skyserve(t, bounds),
            "wva" => {
                let config = WvaConfig { kv: 0.8, queue: 5.0, kv_spare: 0.1, queue_spare: 3.0 };
                Some(Law::Wva(Box::new(Wva::new(config))))
            }
            "queue-length" => queue_length(t, bounds),
            "slo" => slo(t, bounds),
            "predictive" => predictive(t, bounds),
            "scheduled" => scheduled(t, replicas, start),
            _ => {
                let (least, windows) = (replicas.initial, Vec::new());
                Some(Law::Scheduled(Box::new(Scheduled { least, windows, steps: None })))
            }
        };
        Some((policy, law?))
    })
}

/// The least and the most replicas.
fn bounds(t: &mut TableReader<'_>, replicas: Replicas, policy: &str) -> (u32, u32) {
    if replicas.range.is_none() && !["static", "scheduled"].contains(&policy) && !t.is_describing() {
        let problem = Problem::error(t.place, format!("{}: between which numbers may it choose?", t.noun()));
        t.problem(problem.help("give the deployment a range, as in replicas = { min = 1, max = 8 }"));
    }
    replicas.range.unwrap_or((replicas.initial, replicas.initial))
}

/// What is measured, by its name.
fn metric(t: &mut TableReader<'_>, default: &'static str) -> Option<(&'static str, Signal)> {
    let names = Signal::ALL.map(|(name, signal)| (name, (name, signal)));
    t.choice("metric", &names, &[], Some(default), "What it scales on.").map(|metric| *metric)
}

fn hpa(t: &mut TableReader<'_>, (min, max): (u32, u32)) -> Option<Law> {
    let metric = metric(t, "concurrency");
    let doc = "What a replica is held at: requests, tokens a second, a share; for latencies, seconds.";
    let target = t.required("target", &kinds::POSITIVE, doc);
    let tolerance = t.or("tolerance", &kinds::SHARE, "0.1", "Ratios so near to 1 change nothing.");
    let doc = "The highest wish of so long a time holds on the way down.";
    let down = t.or("stabilization", &kinds::TIME, "\"5m\"", doc);
    if min == 0 && !t.is_describing() {
        let message = "Kubernetes: spec.minReplicas: Invalid value: 0: must be greater than or equal to 1";
        let problem = Problem::error(t.place, message.to_owned());
        t.problem(problem.help("an HPA on metrics of pods does not leave zero; KEDA and Knative do"));
    }
    let (name, signal) = metric?;
    let target = milli(*target?);
    let name = name.to_owned();
    let (source, target) = if signal.is_latency() {
        (Source::External(name), Target::Value(target))
    } else {
        (Source::Pods(name), Target::AverageValue(target))
    };
    let flags = Flags { tolerance: *tolerance?, downscale_stabilization: *down?, ..Flags::default() };
    let metrics = vec![Metric { source, target }];
    Some(Law::Hpa(Box::new(Hpa::new(HpaConfig { min, max, metrics, behavior: None, flags }))))
}

/// In thousandths, at least one.
fn milli(value: f64) -> i64 {
    ((value * 1000.0).round() as i64).max(1)
}

fn knative(t: &mut TableReader<'_>, (min, max): (u32, u32)) -> Option<Law> {
    let names = [("concurrency", "concurrency"), ("rps", "rps")];
    let metric = t.choice("metric", &names, &[], Some("concurrency"), "What it scales on.");
    let doc = "What a replica can do: requests at once (containerConcurrency) or a second.";
    let target = t.required("target", &kinds::POSITIVE, doc);
    let doc = "The share of it that is aimed at (container-concurrency-target-percentage).";
    let share = t.or("utilization", &kinds::SHARE, "0.7", doc);
    let window =
        t.or("stable_window", &kinds::POSITIVE_TIME, "\"60s\"", "The stable window; a tenth of it panics.");
    let (total, window, share) = (*target?, *window?, *share?);
    if window < Duration::from_secs(6) || window > Duration::HOUR {
        let message = format!("Knative: window {window} is not from 6s to 1h");
        t.problem(Problem::error(t.place_of("stable_window"), message));
    }
    if share == 0.0 {
        let message =
            "Knative: container-concurrency-target-percentage = 0.0 is outside of the range of (0, 100]";
        t.problem(Problem::error(t.place_of("utilization"), message.to_owned()));
        return None;
    }
    let config = KpaConfig {
        metric: *metric?,
        target: total * share,
        total,
        stable_window: window,
        min,
        max,
        ..KpaConfig::default()
    };
    Some(Law::Kpa(Box::new(Kpa::new(config))))
}

fn keda(t: &mut TableReader<'_>, (min, max): (u32, u32)) -> Option<Law> {
    let metric = metric(t, "concurrency");
    let target = t.required("target", &kinds::POSITIVE, "What a replica is held at, on average.");
    let activation = t.or("activation", &kinds::NOT_NEGATIVE, "0", "Active above this.");
    let cooldown = t.or("cooldown", &kinds::TIME, "\"5m\"", "From the last activity to zero.");
    let name = metric?.0.to_owned();
    let target = *target?;
    let trigger =
        Trigger { name: name.clone(), target, activation: *activation?, average: true, resource: false };
    let metrics =
        vec![Metric { source: Source::External(name), target: Target::AverageValue(milli(target)) }];
    let hpa = HpaConfig { min: min.max(1), max, metrics, behavior: None, flags: Flags::default() };
    Some(Law::Keda(Box::new(Keda::new(KedaConfig {
        cooldown: *cooldown?,
        initial_cooldown: Duration::ZERO,
        idle: None,
        min,
        max,
        fallback: None,
        triggers: vec![trigger],
        modifiers: None,
        paused: Paused::default(),
        hpa,
    }))))
}

fn ray(t: &mut TableReader<'_>, (min, max): (u32, u32)) -> Option<Law> {
    let target =
        t.or("target", &kinds::POSITIVE, "2", "Ongoing requests a replica (target_ongoing_requests).");
    let up =
        t.or("up_delay", &kinds::TIME, "\"30s\"", "How long a wish for more has to hold (upscale_delay_s).");
    let down = t.or(
        "down_delay",
        &kinds::TIME,
        "\"10m\"",
        "How long a wish for less has to hold (downscale_delay_s).",
    );
    Some(Law::Ray(Box::new(Ray::new(RayConfig {
        min,
        initial: None,
        max,
        target: *target?,
        up_factor: 1.0,
        down_factor: 1.0,
        up_delay: *up?,
        down_delay: *down?,
        zero_delay: None,
    }))))
}

fn skyserve(t: &mut TableReader<'_>, (min, max): (u32, u32)) -> Option<Law> {
    let target =
        t.required("target", &kinds::POSITIVE, "Requests a second of a replica (target_qps_per_replica).");
    let up = t.or("up_delay", &kinds::TIME, "\"5m\"", "How long to agree on more (upscale_delay_seconds).");
    let down =
        t.or("down_delay", &kinds::TIME, "\"20m\"", "How long to agree on less (downscale_delay_seconds).");
    let decisions = |delay: Duration| (delay.as_secs_f64() / 20.0) as u32;
    Some(Law::Sky(Box::new(Sky::new(SkyConfig {
        min,
        max,
        qps: Some(*target?),
        overprovision: 0,
        base_ondemand: 0,
        dynamic_ondemand: false,
        up_decisions: decisions(*up?),
        down_decisions: decisions(*down?),
    }))))
}

fn queue_length(t: &mut TableReader<'_>, (min, max): (u32, u32)) -> Option<Law> {
    let target = t.required("target", &kinds::POSITIVE, "Waiting requests a replica.");
    let hold = target.map(|target| Hold::Queue { target: *target });
    reactive(t, hold, (min, max))
}

fn slo(t: &mut TableReader<'_>, bounds: (u32, u32)) -> Option<Law> {
    let ttft = t.optional("ttft", &kinds::POSITIVE_TIME, "The limit of the time to first token.");
    let tpot = t.optional("tpot", &kinds::POSITIVE_TIME, "The limit of the time per output token.");
    let names = [("p50", 50u8), ("p90", 90), ("p95", 95), ("p99", 99)];
    let percentile = t.choice("percentile", &names, &[], Some("p95"), "Of which percentile the limits are.");
    let doc = "Below this share of every limit one replica goes.";
    let calm = t.or("calm", &kinds::SHARE, "0.5", doc);
    if ttft.is_none() && tpot.is_none() && !t.has("ttft") && !t.has("tpot") && !t.is_describing() {
        let problem = Problem::error(t.place, format!("{} has no limit to hold", t.noun()));
        t.problem(problem.help("give ttft or tpot, as in ttft = \"1s\""));
    }
    let percentile = percentile.map_or(95, |percentile| *percentile);
    let mut limits = Vec::new();
    limits.extend(ttft.map(|limit| (format!("ttft_p{percentile}"), limit.as_secs_f64())));
    limits.extend(tpot.map(|limit| (format!("tpot_p{percentile}"), limit.as_secs_f64())));
    let hold = calm.map(|calm| Hold::Latency { limits, calm: *calm });
    reactive(t, hold, bounds)
}

fn reactive(t: &mut TableReader<'_>, hold: Option<Hold>, (min, max): (u32, u32)) -> Option<Law> {
    let up = t.or("up_delay", &kinds::TIME, "\"0s\"", "How long a wish for more has to hold.");
    let down = t.or("down_delay", &kinds::TIME, "\"5m\"", "How long a wish for less has to hold.");
    let (up_delay, down_delay) = (*up?, *down?);
    Some(Law::Reactive(Box::new(Reactive::new(ReactiveConfig {
        hold: hold?,
        min,
        max,
        up_delay,
        down_delay,
    }))))
}

/// How a metric is forecast, by name.
#[derive(Debug, Clone, Copy)]
enum Way {
    Seasonal,
    HoltWinters,
    Autoregressive,
}

fn predictive(t: &mut TableReader<'_>, (min, max): (u32, u32)) -> Option<Law> {
    let metric = metric(t, "rps");
    let target = t.required("target", &kinds::POSITIVE, "How much of it a replica takes.");
    let ways =
        [("seasonal-naive", Way::Seasonal), ("holt-winters", Way::HoltWinters), ("ar", Way::Autoregressive)];
    let way = t.choice("model", &ways, &[], Some("holt-winters"), "How it is forecast.");
    let tick = t.or("interval", &kinds::POSITIVE_TIME, "\"60s\"", "A step of the forecast, and a decision.");
    let season = t.or("season", &kinds::POSITIVE_TIME, "\"24h\"", "After how long demand repeats.");
    let horizon =
        t.or("horizon", &kinds::POSITIVE_TIME, "\"10m\"", "How far ahead: as long as a replica starts.");
    let margin = t.or("margin", &kinds::NOT_NEGATIVE, "0.1", "The share that is added.");
    let alpha = t.or("alpha", &kinds::SHARE, "0.3", "Holt-Winters: the weight of the new level.");
    let beta = t.or("beta", &kinds::SHARE, "0.05", "Holt-Winters: the weight of the new trend.");
    let gamma = t.or("gamma", &kinds::SHARE, "0.3", "Holt-Winters: the weight of the new season.");
    let order = t.or("order", &kinds::COUNT, "8", "Autoregression: observations that count.");
    let memory = t.or("memory", &kinds::COUNT, "240", "Autoregression: observations to learn from.");
    let down = t.or("down_delay", &kinds::TIME, "\"5m\"", "How long a wish for less has to hold.");
    let (tick, season_time, horizon_time) = (*tick?, season?, horizon?);
    for (key, time) in [("season", &season_time), ("horizon", &horizon_time)] {
        if **time < tick {
            let message = format!("`{key}` of {} is shorter than its tick of {tick}", t.noun());
            t.problem(Problem::error(time.place, message));
        }
    }
    let ticks = |time: Duration| (time.as_nanos() / tick.as_nanos()).max(1) as usize;
    let season = ticks(*season_time);
    let model = match *way? {
        Way::Seasonal => Model::SeasonalNaive { season },
        Way::HoltWinters => Model::HoltWinters { season, alpha: *alpha?, beta: *beta?, gamma: *gamma? },
        Way::Autoregressive => Model::Autoregressive { order: *order? as usize, window: *memory? as usize },
    };
    Some(Law::Predictive(Box::new(Predictive::new(PredictiveConfig {
        metric: metric?.0.to_owned(),
        target: *target?,
        model,
        horizon: ticks(*horizon_time),
        margin: *margin?,
        min,
        max,
        down_delay: *down?,
    }))))
}

fn scheduled(t: &mut TableReader<'_>, replicas: Replicas, start: Start) -> Option<Law> {
    let doc = "Windows of the clock; of several that are open the largest holds, otherwise the least of `replicas`.";
    let windows = t.tables("schedule", "window", doc, |t| {
        let opens = cron(t, "start", "When it opens, as cron writes it: minute, hour, *, *, day of week.");
        let closes = cron(t, "end", "When it closes.");
        let replicas = t.required("replicas", &COUNT_OR_NONE, "Replicas while it is open.");
        let clock = Duration::from_nanos(start.since_monday());
        Some(Window { start: opens?, end: closes?, replicas: *replicas?, clock })
    });
    if windows.is_empty() && !t.is_describing() {
        let problem = Problem::error(t.place, format!("{} has no window", t.noun()));
        let help =
            "add one, as in schedule = [{ start = \"0 8 * * *\", end = \"0 20 * * *\", replicas = 8 }]";
        t.problem(problem.help(help));
    }
    let least = replicas.range.map_or(replicas.initial, |(min, _)| min);
    Some(Law::Scheduled(Box::new(Scheduled { least, windows, steps: None })))
}

fn cron(t: &mut TableReader<'_>, key: &'static str, doc: &'static str) -> Option<Cron> {
    let text = t.required(key, &kinds::TEXT, doc)?;
    match Cron::parse(&text) {
        Ok(cron) => Some(cron),
        Err(why) => {
            let message = format!("`{key}` of {}: {why}", t.noun());
            let help = "as in \"0 8 * * 1-5\": at 8:00 from Monday to Friday";
            t.problem(Problem::error(text.place, message).help(help));
            None
        }
    }
}
