//! Deployments with prefill and decode replicas: each kind is a deployment of its own, tied to the other.

use std::borrow::Cow;

use super::deployments::Deployment;
use super::pools::Pool;
use crate::scenario::problem::Problem;
use crate::scenario::raw::{RawDeployment, RawDisaggregated, RawSet};
use crate::scenario::reading::Reading;
use crate::serving::{Handover, Role};

/// A deployment as its decode replicas see it; itself where it has none.
pub fn decode(raw: &RawDeployment) -> Cow<'_, RawDeployment> {
    match &raw.disaggregated {
        None => Cow::Borrowed(raw),
        Some(RawDisaggregated { decode, .. }) => Cow::Owned(with(raw, decode)),
    }
}

/// A deployment as its prefill replicas see it, if it has any.
pub fn prefill(raw: &RawDeployment) -> Option<RawDeployment> {
    let RawDisaggregated { prefill, .. } = raw.disaggregated.as_ref()?;
    let mut own = with(raw, prefill);
    own.name.value.push_str("/prefill");
    Some(own)
}

fn with(raw: &RawDeployment, set: &RawSet) -> RawDeployment {
    let raw = raw.clone();
    let (batching, swap) = set.batching.unwrap_or((raw.batching, raw.swap));
    RawDeployment {
        pools: set.pools.clone().unwrap_or(raw.pools),
        parallelism: set.parallelism.clone().unwrap_or(raw.parallelism),
        batching,
        swap,
        routing: set.routing.unwrap_or(raw.routing),
        replicas: set.replicas,
        changes: set.changes,
        autoscaler: set.autoscaler.clone(),
        step_time: set.step_time.clone().or(raw.step_time),
        kv_blocks: set.kv_blocks.or(raw.kv_blocks),
        place: set.place,
        ..raw
    }
}

/// Ties the deployment at `index` to its prefill replicas, the last one found. Both must be able to reach each other.
pub fn tie(
    found: &mut [Deployment],
    index: usize,
    raw: &RawDeployment,
    pools: &[Pool],
    reading: &mut Reading,
) {
    let Some(RawDisaggregated { handover, prefill, decode }) = &raw.disaggregated else { return };
    for (set, what) in [(prefill, "prefill"), (decode, "decode")] {
        if set.pools.is_none() && raw.pools.is_empty() {
            let message = format!("deployment `{}` names no pools for its {what} replicas", *raw.name);
            let help = format!("add pools = [...] to the deployment, or to `{what}`");
            reading.problem(Problem::error(set.place, message).help(help));
        }
    }
    let last = found.len() - 1;
    if let Some(prefill) = &mut found[last].config {
        prefill.role = Role::Prefill { decode: index };
    }
    let sides = [found[index].config.as_ref(), found[last].config.as_ref()];
    let [Some(decode), Some(prefill)] = sides else { return };
    let options = || decode.options.iter().chain(&prefill.options);
    if options().any(|option| option.links.is_none()) {
        let message = format!("nobody knows how large a token's KV cache of `{}` is", *raw.model);
        let help = "supply it: kv_bytes_per_token = \"160 KiB\" in the deployment, for example";
        reading.problem(Problem::error(raw.model.place, message).label("needed for this").help(help));
        return;
    }
    if handover.bandwidth.is_none() {
        let silent =
            options().find(|option| option.links.is_some_and(|links| links.scale_out.as_f64() <= 0.0));
        if let Some(option) = silent {
            let pool = &pools[option.pool.index()];
            let message = format!(
                "the catalogue does not know the network of the nodes of pool `{}`, over which KV caches go",
                pool.name
            );
            let help =
                "supply it: handover = { bandwidth = \"50 GB/s\" }, what each replica sends and receives";
            reading.problem(Problem::error(prefill_place(raw), message).label("needed for this").help(help));
            return;
        }
    }
    if let Some(decode) = &mut found[index].config {
        decode.role = Role::Decode(Handover {
            prefill: last,
            max_local_prefill: handover.max_local_prefill,
            max_prefill_queue: handover.max_prefill_queue,
            bandwidth: handover.bandwidth,
            latency: handover.latency,
        });
    }
}

fn prefill_place(raw: &RawDeployment) -> crate::scenario::problem::Place {
    raw.disaggregated.as_ref().map_or(raw.place, |disaggregated| disaggregated.prefill.place)
}
