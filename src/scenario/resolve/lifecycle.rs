//! How long a replica takes to start: what the scenario says, or the catalogue's frictions.

use super::assumptions::Ledger;
use crate::catalog::{Catalog, Figure, Friction};
use crate::scenario::problem::Problem;
use crate::scenario::raw::{RawDeployment, RawStart};
use crate::scenario::reading::Reading;
use crate::serving::{Lifecycle, StartUp};
use crate::sim::Delay;
use crate::units::{Bytes, BytesPerSecond, Duration};

/// Where weights come from: the name in a scenario, the friction that tells how fast, and the bytes of that
/// friction.
const LINKS: [(&str, &str, f64); 6] = [
    ("object-store", "weights-70b-object-store", 140e9),
    ("nvme", "weights-70b-nvme", 140e9),
    ("s3-streamed", "weights-8b-s3-streamed", 15e9),
    ("ssd-safetensors", "weights-8b-ssd-safetensors", 15e9),
    ("ssd-streamed", "weights-8b-ssd-streamed", 15e9),
    ("network-40g", "weights-70b-network", 130e9),
];

/// When and where replicas of a deployment come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comes {
    /// All at the first instant.
    AtFirst,
    /// Later too, on nodes that are there.
    Later,
    /// Later too, on nodes that come and go.
    WithNodes,
}

/// Resolves `start` and `drain` of a deployment with so many bytes of weights. Only one whose replicas change needs the
/// times of a start. On nodes that come and go the image is pulled with the node.
pub fn resolve(
    raw: &RawDeployment,
    comes: Comes,
    bytes: Option<Bytes>,
    catalog: &Catalog,
    reading: &mut Reading,
    ledger: &mut Ledger,
) -> Option<Lifecycle> {
    let drain = raw.drain;
    if comes == Comes::AtFirst {
        return Some(Lifecycle { drain, start: StartUp::default() });
    }
    let given = raw.start.clone().unwrap_or_default();
    let bytes = bytes.map(|bytes| bytes.0 as f64);
    let mut find = |figure: &str, name: &str| middle(catalog, ledger, &raw.name, figure, name);
    let image_pull = given.image_pull.or_else(|| match comes {
        Comes::WithNodes => Some(Delay::NONE),
        _ => find("image pull", "image-pull-small").map(Delay::Fixed),
    })?;
    let warm_up = given.warm_up.or_else(|| find("engine start", "engine-start").map(Delay::Fixed))?;
    let cached_load = match (given.node_cache, given.cached_load, bytes) {
        (false, ..) => None,
        (true, Some(time), _) => Some(time),
        (true, None, Some(bytes)) => {
            let (_, friction, of) = LINKS[1];
            let takes = find("weights from the node, 140 GB", friction)?;
            Some(Delay::Fixed(takes).scaled(bytes / of))
        }
        (true, None, None) => {
            let message = format!(
                "how long deployment `{}` takes to load the weights that a node has is unknown: the model's size \
                 is not known",
                *raw.name
            );
            let help = "give it, as in start = { node_cache = true, cached_load = \"20s\" }";
            reading.problem(Problem::error(raw.place, message).help(help));
            return None;
        }
    };
    let weight_load = match (given.weight_load, bytes) {
        (Some(time), _) => time,
        (None, Some(bytes)) => {
            let bandwidth = match given.weight_bandwidth {
                Some(bandwidth) => bandwidth,
                None => link(&given, raw, reading, find)?,
            };
            Delay::Fixed(Duration::from_secs_f64(bytes / bandwidth.as_f64()))
        }
        (None, None) => {
            let message = format!(
                "how long deployment `{}` takes to load its weights is unknown: the model's size is not known",
                *raw.name
            );
            let help = "give it, as in start = { weight_load = \"60s\" }";
            reading.problem(Problem::error(raw.place, message).help(help));
            return None;
        }
    };
    Some(Lifecycle { drain, start: StartUp { image_pull, weight_load, warm_up, cached_load } })
}

/// The bandwidth of the link that weights come by.
fn link(
    given: &RawStart,
    raw: &RawDeployment,
    reading: &mut Reading,
    mut find: impl FnMut(&str, &str) -> Option<Duration>,
) -> Option<BytesPerSecond> {
    let name = given.weights_from.as_ref().map_or("object-store", |name| name.value.as_str());
    let Some((_, friction, bytes)) = LINKS.iter().find(|(link, ..)| *link == name) else {
        let place = given.weights_from.as_ref().map_or(raw.place, |name| name.place);
        let names = crate::scenario::problem::quoted(LINKS.iter().map(|(name, ..)| *name));
        let problem = Problem::error(place, format!("weights come from no `{name}`"));
        reading.problem(problem.help(format!("it is one of {names}; or give weight_bandwidth = \"2 GB/s\"")));
        return None;
    };
    let takes = find(&weighed(*bytes), friction)?;
    Some(BytesPerSecond(bytes / takes.as_secs_f64()))
}

/// What a time is about.
fn weighed(bytes: f64) -> String {
    format!("weights, {} GB", bytes / 1e9)
}

/// How fast weights come by a link, from the catalogue's friction.
pub fn published(catalog: &Catalog, ledger: &mut Ledger, holder: &str, link: &str) -> Option<BytesPerSecond> {
    let (_, friction, bytes) = LINKS.iter().find(|(name, ..)| *name == link)?;
    let takes = middle(catalog, ledger, holder, &weighed(*bytes), friction)?;
    Some(BytesPerSecond(bytes / takes.as_secs_f64()))
}

/// The middle of the range that a friction reports, noted as an assumption.
fn middle(
    catalog: &Catalog,
    ledger: &mut Ledger,
    deployment: &str,
    figure: &str,
    name: &str,
) -> Option<Duration> {
    let friction: &Friction = catalog.friction(name).ok()?;
    let (least, greatest) = (friction.least.as_ref()?, friction.greatest.as_ref()?);
    let middle = (least.value + greatest.value) / 2;
    let known = Figure { value: middle, ..least.clone() };
    let value = format!("{middle}, the middle of {} to {}", least.value, greatest.value);
    ledger.figure(format!("deployment {deployment}"), figure, value, &known);
    Some(middle)
}
