//! What a deployment did, for its summary.

use super::adapters::AdapterTotals;
use super::config::RequestKind;
use super::deployment::Deployment;
use super::front::CacheTotals;
use super::handover::HandoverTotals;
use super::hosts::SwapTotals;
use super::replica::{PrefixTotals, ReplicaTotals};
use super::request::{NONE, Request};
use super::room::{Departure, Member, Outcome, Serving};
use super::speculate::SpeculationTotals;
use crate::units::{Duration, Flop, Instant};

/// What a deployment did, summed over its replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeploymentTotals {
    /// Iterations run.
    pub iterations: u64,
    /// Times the composition of a batch changed.
    pub batch_changes: u64,
    /// Requests preempted.
    pub preemptions: u64,
    /// KV blocks copied to host memory.
    pub swapped_blocks: u64,
    /// What its drafts proposed.
    pub speculation: SpeculationTotals,
    /// Requests turned away because their first token was predicted too late.
    pub turned_away: u64,
    /// Requests rejected because they are longer than the context or than a replica's KV cache.
    pub too_long: u64,
    /// Σ over iterations of the requests in the batch.
    pub batched: u128,
    /// FLOP done.
    pub flop: Flop,
    /// What the prefix caches were asked and had.
    pub prefix: PrefixTotals,
    /// What its adapters did.
    pub adapters: AdapterTotals,
    /// What loading its models took, where it shares hosts.
    pub swaps: SwapTotals,
    /// Images made.
    pub images: u64,
    /// What left the cloud for them.
    pub bytes_out: u128,
    /// KV caches handed over to it.
    pub handed: HandoverTotals,
}

impl Serving {
    /// Counts what is complete before the end of the run, and returns what each deployment did.
    pub fn finish(&mut self, end: Instant) -> Vec<DeploymentTotals> {
        let own = |deployment: &Deployment| DeploymentTotals {
            too_long: deployment.too_long,
            turned_away: deployment.turned_away,
            handed: deployment.handed,
            ..DeploymentTotals::default()
        };
        let mut totals: Vec<DeploymentTotals> = self.deployments.iter().map(own).collect();
        for (deployment, sum) in (0u32..).zip(&mut totals) {
            sum.handed.bytes_moving = self.bytes_moving(deployment);
        }
        for (deployment, swaps) in self.swap_totals(end) {
            totals[deployment].swaps.add(&swaps);
        }
        for member in &mut self.replicas {
            member.replica.finish(end);
            let ReplicaTotals {
                iterations,
                batch_changes,
                preemptions,
                swapped_blocks,
                batched,
                flop,
                prefix,
                speculation,
                stays: _,
                ..
            } = member.replica.totals;
            let sum = &mut totals[member.deployment as usize];
            sum.iterations += iterations;
            sum.batch_changes += batch_changes;
            sum.preemptions += preemptions;
            sum.swapped_blocks += swapped_blocks;
            sum.speculation.proposed += speculation.proposed;
            sum.speculation.kept += speculation.kept;
            sum.speculation.rounds += speculation.rounds;
            sum.batched += batched;
            sum.flop += flop;
            let adapters = member.replica.adapter_totals();
            sum.adapters.loads += adapters.loads;
            sum.adapters.time += adapters.time;
            sum.images += member.images;
            sum.bytes_out += member.bytes_out;
            sum.prefix.asked += prefix.asked;
            sum.prefix.found += prefix.found;
            sum.prefix.tokens += prefix.tokens;
            sum.prefix.host += prefix.host;
            sum.prefix.remote += prefix.remote;
            sum.prefix.load += prefix.load;
        }
        totals
    }

    /// What is wrong with the counts of a KV cache, if anything is: blocks in use or kept beyond the memory, or uses of
    /// kept prefixes that are not those of the requests in the batch; of a replica that is idle or gone there are none.
    pub fn audit(&self) -> Option<String> {
        (0..).zip(&self.replicas).find_map(|(replica, member): (u32, &Member)| {
            let batch = &member.replica.batch;
            let shared = batch.shared_hashes(&self.requests);
            let wrong = batch.kv.audit(shared)?;
            Some(format!(
                "replica {replica} of {}: {wrong}",
                self.deployments[member.deployment as usize].config.name
            ))
        })
    }

    /// What the cache of responses of each stream did, where it has one.
    pub fn response_caches(&self) -> impl Iterator<Item = Option<CacheTotals>> + '_ {
        self.caches.iter().map(|cache| cache.as_ref().map(|cache| cache.totals))
    }

    /// What left the cloud so far from the replicas of each deployment's option, in no particular order; and what left
    /// the cache of responses of each stream, with the first of its deployments.
    pub fn bytes_out(&self) -> impl Iterator<Item = (usize, usize, u128)> + '_ {
        let replicas = self.replicas.iter();
        let made = replicas.map(|member| (member.deployment as usize, member.option, member.bytes_out));
        let kept = self.caches.iter().zip(&self.routes).filter_map(|(cache, (deployments, terms))| {
            let RequestKind::Image(image) = terms.kind else { return None };
            let images = u128::from(cache.as_ref()?.totals.hits) * u128::from(terms.samples.max(1));
            Some((*deployments.first()?, 0, images * u128::from(image.bytes.0)))
        });
        made.chain(kept)
    }

    /// Requests that each tenant's rate limits turned away.
    pub fn rate_limited(&self) -> impl Iterator<Item = u64> + '_ {
        self.gates.iter().map(|(_, limited)| *limited)
    }

    /// Requests that are still here, as if they left at `end` without an outcome; in order of their place in
    /// the table.
    pub fn in_flight(&self, end: Instant) -> impl Iterator<Item = Departure> + '_ {
        self.requests.alive().map(move |request| {
            let place = (request.replica != NONE).then(|| self.replicas[request.replica as usize].place);
            match &request.group {
                None => departure(request, place, end, Outcome::InFlight),
                Some(_) => departure(&self.first_of_group(request), place, end, Outcome::InFlight),
            }
        })
    }

    /// What each replica put on links: its deployment and option, tokens processed, iterations, and its time
    /// computing. Meant for after [`Serving::finish`].
    pub fn link_work(&self) -> impl Iterator<Item = (usize, usize, u64, u64, Duration)> + '_ {
        self.replicas.iter().map(|member| {
            let totals = &member.replica.totals;
            let time = totals.time.ceil_instant().since(Instant::ZERO);
            (member.deployment as usize, member.option, totals.processed, totals.iterations, time)
        })
    }

    /// What each replica did: its deployment and option, FLOP, and output tokens of completed requests. Meant
    /// for after [`Serving::finish`].
    pub fn replica_work(&self) -> impl Iterator<Item = (usize, usize, Flop, u64)> + '_ {
        self.replicas.iter().map(|member| {
            let flop = member.replica.totals.flop;
            (member.deployment as usize, member.option, flop, member.output_tokens)
        })
    }
}

/// What is to be known of a request that leaves.
pub(super) fn departure(
    request: &Request,
    replica: Option<u32>,
    end: Instant,
    outcome: Outcome,
) -> Departure {
    Departure {
        id: request.id,
        stream: request.stream,
        deployment: request.home,
        // The number of a replica is one of its deployment's.
        replica: replica.filter(|_| request.deployment == request.home),
        session: request.session,
        arrival: request.arrival,
        first_scheduled: request.first_scheduled,
        first_token: request.first_token,
        end,
        prompt: request.told_tokens().0,
        output: request.told_tokens().1,
        samples: request.samples,
        retries: request.retries,
        attempt: request.attempt,
        outcome,
        spent: request.account.spent(),
        from_cache: false,
    }
}
