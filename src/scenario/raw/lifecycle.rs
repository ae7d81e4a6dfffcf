//! How replicas of a deployment come and go: `replicas`, `start`, `drain`.

use super::supply::delay;
use crate::scenario::dom::Value;
use crate::scenario::kinds;
use crate::scenario::problem::Problem;
use crate::scenario::reader::TableReader;
use crate::scenario::reading::{Kind, Sited, Unfit};
use crate::serving::{Drain, Leftover};
use crate::sim::Delay;
use crate::units::BytesPerSecond;

/// How many replicas there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replicas {
    /// At the first instant.
    pub initial: u32,
    /// Between which numbers an autoscaler may choose.
    pub range: Option<(u32, u32)>,
}

/// The stages of a start, as far as they are given.
#[derive(Debug, Clone, Default)]
pub struct RawStart {
    pub image_pull: Option<Delay>,
    pub weights_from: Option<Sited<String>>,
    pub weight_bandwidth: Option<BytesPerSecond>,
    pub weight_load: Option<Delay>,
    pub warm_up: Option<Delay>,
    pub node_cache: bool,
    pub cached_load: Option<Delay>,
}

/// A bandwidth above zero.
pub const BANDWIDTH: Kind<BytesPerSecond> = Kind {
    what: "a bandwidth such as \"1 GB/s\"",
    read: |value| {
        let Value::Text(text) = value else { return Err(Unfit::Type) };
        match BytesPerSecond::parse(text) {
            Ok(bandwidth) if bandwidth.as_f64() > 0.0 => Ok(bandwidth),
            Ok(_) => Err(Unfit::Value(format!("`{text}` must be more than zero"))),
            Err(error) => Err(Unfit::Value(error.to_string())),
        }
    },
};

/// A whole number, zero included.
pub const COUNT_OR_NONE: Kind<u32> = Kind {
    what: "a whole number of at least 0",
    read: |value| match value {
        Value::Integer(0) => Ok(0),
        other => (kinds::COUNT.read)(other),
    },
};

/// Reads `replicas`.
pub fn replicas(t: &mut TableReader<'_>) -> Replicas {
    let place = t.place_of("replicas");
    let scales = t.has("autoscaler");
    // Prefill and decode replicas are counted apart.
    let split = t.has("prefill") || t.has("decode") || t.has("host");
    if !scales && !split {
        t.standard("replicas", "1");
    }
    let doc =
        "Replicas from the first instant to the last; { min = 1, max = 8 } where an autoscaler chooses.";
    let read = t.short_or_table(
        "replicas",
        &COUNT_OR_NONE,
        doc,
        |initial| Replicas { initial, range: None },
        |t| {
            let min = t.or("min", &COUNT_OR_NONE, "1", "Fewest replicas; 0 scales to zero.");
            let max = t.required("max", &kinds::COUNT, "Most replicas.");
            let initial =
                t.optional("initial", &COUNT_OR_NONE, "Replicas at the first instant; `min` when absent.");
            let (min, max) = (*min?, max?);
            if min > *max {
                let message = format!("{}: the least, {min}, is above the most, {}", t.noun(), *max);
                t.problem(Problem::error(max.place, message).help("raise `max` or lower `min`"));
            }
            let initial_or_min = initial.as_ref().map_or(min, |initial| **initial);
            if initial.is_some() && !(min..=*max).contains(&initial_or_min) {
                let message =
                    format!("{}: {initial_or_min} at first is not from {min} to {}", t.noun(), *max);
                t.problem(Problem::error(t.place_of("initial"), message));
            }
            Some(Replicas { initial: initial_or_min, range: Some((min, *max)) })
        },
    );
    if let (Some(Replicas { range: Some(_), .. }), false) = (read, scales) {
        let message = format!("{} has a range of replicas and nothing that chooses among them", t.noun());
        let help = "add an autoscaler, as in autoscaler = { policy = \"hpa\", metric = \"concurrency\", target = 32 }, \
                    or give the number of replicas, as in replicas = 2";
        t.problem(Problem::error(place, message).help(help));
    }
    if let (Some(Replicas { initial: 0, range: None }), false) = (read, scales) {
        let message = format!("{} has no replicas and no autoscaler that adds some", t.noun());
        t.problem(Problem::error(place, message).help("give at least one, as in replicas = 1"));
    }
    read.unwrap_or(Replicas { initial: 1, range: None })
}

/// Reads `start`.
pub fn start(t: &mut TableReader<'_>) -> Option<RawStart> {
    let doc = "From a replica's cards to its first request; replicas of the first instant are ready then. The \
               catalogue's frictions when absent.";
    t.table("start", doc, |t| {
        let image_pull = delay(t, "image_pull", "Pulling the image.");
        let doc = "Where the weights come from: \"object-store\", \"nvme\", or as measured \"s3-streamed\", \
                   \"ssd-safetensors\", \"ssd-streamed\", \"network-40g\".";
        let weights_from = t.optional("weights_from", &kinds::TEXT, doc);
        let doc = "The bandwidth at which they come, instead.";
        let weight_bandwidth = t.optional("weight_bandwidth", &BANDWIDTH, doc);
        let weight_load = delay(t, "weight_load", "How long that takes, instead.");
        let doc = "The engine's own preparations: compilation, graph capture, memory profiling.";
        let warm_up = delay(t, "warm_up", doc);
        let doc = "Nodes keep image and weights: the next replica of the deployment on the same node pulls nothing and \
                   loads from local disks.";
        let node_cache = t.optional("node_cache", &kinds::BOOL, doc);
        let doc = "Under `node_cache`: how long the weights take from there; the published time from local NVMe when absent.";
        let cached_load = delay(t, "cached_load", doc);
        let node_cache = node_cache.is_some_and(|keeps| *keeps);
        if cached_load.is_some() && !node_cache {
            let message = format!("{} has `cached_load`, but nodes keep nothing", t.noun());
            t.problem(Problem::error(t.place_of("cached_load"), message).help("add node_cache = true"));
        }
        let given = ["weights_from", "weight_bandwidth", "weight_load"].map(|key| t.has(key));
        if given.iter().filter(|given| **given).count() > 1 {
            let message = format!("{} says more than once how long weights take", t.noun());
            let help = "keep one of weights_from, weight_bandwidth and weight_load";
            t.problem(Problem::error(t.place, message).help(help));
        }
        Some(RawStart {
            image_pull,
            weights_from,
            weight_bandwidth: weight_bandwidth.map(|bandwidth| *bandwidth),
            weight_load,
            warm_up,
            node_cache,
            cached_load,
        })
    })
}

/// Reads `drain`.
pub fn drain(t: &mut TableReader<'_>) -> Drain {
    let doc = "How a replica goes that is wanted no more, or whose node is taken.";
    let read = t.table("drain", doc, |t| {
        let doc = "How long its requests may run on; none are added.";
        let timeout = t.or("timeout", &kinds::TIME, "\"30s\"", doc);
        let doc = "What becomes of requests that are left then: they begin anew elsewhere, go on elsewhere with what \
                   was made, or fail.";
        let then = t.choice("then", &Leftover::ALL, &[], Some("retry"), doc);
        Some(Drain { timeout: *timeout?, then: *then? })
    });
    read.unwrap_or_default()
}
