//! `kv_tiers` of a deployment: where KV blocks of prompts go that the cards have no room for.

use crate::scenario::kinds;
use crate::scenario::problem::{Place, Problem};
use crate::scenario::reader::TableReader;
use crate::units::{Bytes, BytesPerSecond, Duration};

/// One tier.
#[derive(Debug, Clone, Copy)]
pub struct RawTier {
    pub size: Bytes,
    /// `None` for the cards' PCIe links.
    pub bandwidth: Option<BytesPerSecond>,
    pub latency: Duration,
}

/// Both.
#[derive(Debug, Clone, Copy)]
pub struct RawTiers {
    pub host: Option<RawTier>,
    pub remote: Option<RawTier>,
    pub place: Place,
}

/// Reads `kv_tiers`.
pub fn tiers(t: &mut TableReader<'_>) -> Option<RawTiers> {
    let doc = "Where KV blocks of prompts are kept that the cards have no room for; a hit there costs the time in \
               which its bytes come over the link. Needs `prefix_caching`.";
    t.table("kv_tiers", doc, |t| {
        let doc = "Host memory, of each replica: what its cards evict, until that is evicted in its turn.";
        let host = t.table("host", doc, |t| {
            let size = t.required("size", &kinds::BYTES, "Of each replica.");
            let doc = "Into the cards of a replica; their PCIe links together when absent.";
            let bandwidth = t.optional("bandwidth", &kinds::BANDWIDTH, doc);
            let bandwidth = bandwidth.map(|bandwidth| *bandwidth);
            Some(RawTier { size: *size?, bandwidth, latency: Duration::ZERO })
        });
        let doc = "Storage over the network that all replicas share: every prompt's blocks, as soon as it is processed.";
        let remote = t.table("remote", doc, |t| {
            let size = t.required("size", &kinds::BYTES, "Of all of it.");
            let bandwidth = t.required("bandwidth", &kinds::BANDWIDTH, "Into the cards of a replica.");
            let doc = "What every request that takes something from there waits beside that; none when absent.";
            let latency = t.optional("latency", &kinds::TIME, doc);
            let latency = latency.map_or(Duration::ZERO, |latency| *latency);
            Some(RawTier { size: *size?, bandwidth: Some(*bandwidth?), latency })
        });
        if host.is_none() && remote.is_none() && !t.is_describing() && !t.has("host") && !t.has("remote") {
            let message = format!("{} names neither `host` nor `remote`", t.noun());
            let help = "as in kv_tiers = { host = { size = \"256 GiB\" } }";
            t.problem(Problem::error(t.place, message).help(help));
            return None;
        }
        Some(RawTiers { host, remote, place: t.place })
    })
}
