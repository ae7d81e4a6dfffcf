//! How much of its promises a fleet can keep at most, whatever the queues do: a bound, never an estimate.
//!
//! The requests that arrive in an interval and meet their limits have to be served in it or shortly after, and
//! each takes at least its work ([`super::work`]) of the replicas' time. Taking the smallest first tells how
//! many can be served at most. Intervals are halved again and again; disjoint ones add up, and the least sum
//! holds. Requests that no replica can serve within their limits, even alone, are left out from the beginning.

use std::sync::{Arc, Mutex};

use super::demand::{Arrivals, Asked};
use super::work::Server;
use crate::serving::{DeploymentConfig, RequestKind, Role};
use crate::sim::Seed;
use crate::units::Duration;
use crate::world::{StreamPlan, WorldConfig};

/// Intervals that the window is cut into; a power of two.
const LEAVES: usize = 64;
/// Sizes of work that are told apart.
const BINS: usize = 64;

/// Replicas that serve alike, and how many of them.
#[derive(Debug, Clone)]
pub struct Group {
    /// What one of them can do.
    pub server: Arc<Server>,
    /// How many.
    pub replicas: u64,
}

/// Requests of an interval by size of work under one set of weights.
#[derive(Debug, Clone)]
struct Sizes {
    /// For each bin: how many, and their work together, in nanoseconds.
    bins: Vec<(u64, f64)>,
}

/// One interval.
#[derive(Debug, Clone, Default)]
struct Interval {
    /// Requests that can meet their limits at all.
    possible: u64,
    /// The longest time from arrival to the last token within the limits, in nanoseconds; infinite where
    /// nothing limits it.
    end_by: f64,
    /// By weights.
    sizes: Vec<Sizes>,
}

/// The requests of some streams under one seed, as one kind of server sees them.
#[derive(Debug)]
struct Load {
    /// The intervals as a heap: 1 is the window, 2i and 2i + 1 are the halves of i.
    intervals: Vec<Interval>,
    /// The least work of each bin, by weights.
    edges: Vec<Vec<f64>>,
    /// Requests that are judged at least, before those in a batch at the end are left out.
    judged: u64,
    /// The latest time of a first token within the limits, in nanoseconds; infinite where there is none.
    start_by: f64,
}

type Key = (Vec<StreamPlan>, Seed, Arc<Server>);

/// Loads that have been computed.
#[derive(Debug, Default)]
pub struct Bounds {
    arrivals: Arrivals,
    loads: Mutex<Vec<(Key, Option<Arc<Load>>)>>,
    servers: Mutex<Vec<Arc<Server>>>,
}

impl Bounds {
    /// The same server for all that serve alike.
    pub fn server(&self, server: Server) -> Arc<Server> {
        let mut known = self.servers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(like) = known.iter().find(|known| known.is_like(&server)) {
            return Arc::clone(like);
        }
        known.push(Arc::new(server.weighed()));
        Arc::clone(&known[known.len() - 1])
    }

    /// At most this share of the judged requests of `streams` together meets their limits under `seed`, served by
    /// `groups`, any of which may serve any of them. `None` where nothing is known but that it is at most 1.
    pub fn attainment(
        &self,
        config: &WorldConfig,
        seed: Seed,
        streams: &[usize],
        groups: &[Group],
    ) -> Option<f64> {
        let reference = groups.iter().max_by_key(|group| group.replicas)?;
        if !applies(config, groups.iter().map(|group| group.server.as_ref())) {
            return None;
        }
        let plans: Vec<StreamPlan> = streams.iter().map(|stream| config.streams[*stream].clone()).collect();
        let load = self.load(config, plans, seed, groups, &reference.server)?;
        let speeds = |weights: usize| -> f64 {
            let of = |group: &Group| group.replicas as f64 * speed(&group.server, &reference.server, weights);
            groups.iter().map(of).sum()
        };
        let speeds: Vec<f64> = (0..load.edges.len()).map(speeds).collect();
        let started: u64 = groups.iter().map(|group| group.replicas * group.server.batch()).sum();
        load.share(config.duration, &speeds, started)
    }

    /// The least capacity, in replicas of the first of `servers`, with which a share of the judged requests of
    /// `streams` together may meet its limits, in the mean over replications: with less it cannot, whichever of the
    /// servers make it up. A replica of a server counts as [`worth`]. `None` where nothing is known.
    pub fn capacity(
        &self,
        config: &WorldConfig,
        replications: u64,
        streams: &[usize],
        servers: &[Arc<Server>],
        share: f64,
    ) -> Option<f64> {
        let reference = servers.first()?;
        if !applies(config, servers.iter().map(Arc::as_ref)) {
            return None;
        }
        let groups: Vec<Group> =
            servers.iter().map(|server| Group { server: Arc::clone(server), replicas: 1 }).collect();
        let plans: Vec<StreamPlan> = streams.iter().map(|stream| config.streams[*stream].clone()).collect();
        let seeds = (0..replications).map(|index| config.seed.replication(index));
        let loads: Option<Vec<_>> =
            seeds.map(|seed| self.load(config, plans.clone(), seed, &groups, reference)).collect();
        let loads = loads?;
        let enough = |replicas: f64| {
            let started = (replicas * reference.batch() as f64).ceil() as u64;
            let of = |load: &Arc<Load>| {
                let speeds = vec![replicas; load.edges.len()];
                load.share(config.duration, &speeds, started).unwrap_or(1.0)
            };
            loads.iter().map(of).sum::<f64>() / replications as f64 >= share - 1e-9
        };
        const MOST: f64 = 1e6;
        if !enough(MOST) {
            return Some(f64::INFINITY);
        }
        let (mut low, mut high) = (0.0, MOST);
        while high - low > 1e-6 * high.max(1.0) {
            let middle = if low == 0.0 { high / 8.0 } else { 0.5 * (low + high) };
            if enough(middle) {
                high = middle
            } else {
                low = middle
            }
            if low == 0.0 && high < 1e-6 {
                break;
            }
        }
        Some(low)
    }

    /// Capacity over demand under the scenario's own seed: not a bound, but an order among fleets. Infinite where
    /// nothing is known.
    pub fn headroom(&self, config: &WorldConfig, streams: &[usize], groups: &[Group]) -> f64 {
        let plans: Vec<StreamPlan> = streams.iter().map(|stream| config.streams[*stream].clone()).collect();
        let Some(reference) = groups.iter().max_by_key(|group| group.replicas) else { return 0.0 };
        let Some(load) = self.load(config, plans, config.seed, groups, &reference.server) else {
            return f64::INFINITY;
        };
        let replicas: u64 = groups.iter().map(|group| group.replicas).sum();
        let time = config.duration.as_nanos() as f64 * replicas as f64;
        let ratio = |sizes: &Sizes| time / sizes.bins.iter().map(|(_, work)| work).sum::<f64>().max(1.0);
        load.intervals[1].sizes.iter().map(ratio).fold(f64::INFINITY, f64::min)
    }

    /// Replicas that the requests of each of equal intervals need at least, whatever the batches, under the
    /// scenario's own seed; `None` where that is not known.
    pub fn needed(&self, config: &WorldConfig, streams: &[usize], groups: &[Group]) -> Option<Vec<f64>> {
        let plans: Vec<StreamPlan> = streams.iter().map(|stream| config.streams[*stream].clone()).collect();
        let reference = groups.iter().max_by_key(|group| group.replicas)?;
        let load = self.load(config, plans, config.seed, groups, &reference.server)?;
        let length = config.duration.as_nanos() as f64 / LEAVES as f64;
        let work = |sizes: &Sizes| sizes.bins.iter().map(|(_, work)| work).sum::<f64>() / length;
        let most = |interval: &Interval| interval.sizes.iter().map(work).fold(0.0, f64::max);
        Some(load.intervals[LEAVES..].iter().map(most).collect())
    }

    fn load(
        &self,
        config: &WorldConfig,
        plans: Vec<StreamPlan>,
        seed: Seed,
        groups: &[Group],
        reference: &Arc<Server>,
    ) -> Option<Arc<Load>> {
        let same = |key: &Key| key.1 == seed && Arc::ptr_eq(&key.2, reference) && same_plans(&key.0, &plans);
        // With several kinds of servers a request is possible when one of them can serve it: no use to keep.
        let alone = groups.iter().all(|group| Arc::ptr_eq(&group.server, reference));
        let locked = || self.loads.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if alone && let Some(found) = locked().iter().find(|(key, _)| same(key)) {
            return found.1.clone();
        }
        let asked: Option<Vec<_>> =
            plans.iter().map(|plan| self.arrivals.of(&plan.traffic, seed, config.duration)).collect();
        let servers: Vec<&Server> = groups.iter().map(|group| group.server.as_ref()).collect();
        let load = asked.map(|asked| {
            let requests = plans
                .iter()
                .zip(&asked)
                .flat_map(|(plan, asked)| asked.iter().map(move |asked| (plan, asked)));
            Arc::new(Load::new(requests, &plans, &servers, reference, config.duration, config.warmup))
        });
        if alone {
            locked().push(((plans, seed, Arc::clone(reference)), load.clone()));
        }
        load
    }
}

/// A replica in those of another server, at most: by work under any of the weights, and by what a batch holds.
/// Infinite where the one has no work to speak of where the other has.
pub fn worth(server: &Server, reference: &Server) -> f64 {
    let speeds = (0..reference.weights().len()).map(|weights| speed(server, reference, weights));
    speeds.fold(server.batch() as f64 / reference.batch().max(1) as f64, f64::max)
}

/// Replica-time of a server counts as so much more of the reference's as its work is smaller.
fn speed(server: &Server, reference: &Server, weights: usize) -> f64 {
    let (own, reference) = (server.weights()[weights], reference.weights()[weights]);
    let ratio = |own: f64, reference: f64| if reference > 0.0 { own / reference } else { f64::INFINITY };
    let slowest = ratio(own.decoded, reference.decoded)
        .min(ratio(own.prompt, reference.prompt))
        .min(ratio(own.context, reference.context));
    1.0 / slowest
}

/// Whether requests are served as the bounds suppose: each a prompt and then its tokens, one after the other, by
/// replicas that are there throughout.
fn applies<'a>(config: &WorldConfig, mut servers: impl Iterator<Item = &'a Server>) -> bool {
    // Replicas that come and go, that do a part of each request, that guess tokens or share their cards are not
    // counted by their number.
    let whole =
        |deployment: &DeploymentConfig| deployment.role == Role::Whole && deployment.speculation.is_none();
    // Requests that ask again, or that a cache answers, are others than those that arrive; where requests overtake
    // each other, any number may have begun and not ended, to be judged never.
    let plain = |stream: &StreamPlan| {
        stream.retries.is_none()
            && stream.cache.is_none()
            && !stream.terms.preemptible
            && stream.terms.kind == RequestKind::default()
    };
    config.scalers.is_empty()
        && config.hosts.is_empty()
        && config.deployments.iter().all(whole)
        && config.streams.iter().all(plain)
        && servers.all(Server::in_order)
}

fn same_plans(a: &[StreamPlan], b: &[StreamPlan]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| a.traffic == b.traffic && a.slo == b.slo && a.timeout == b.timeout)
}

fn nanos(limit: Option<Duration>) -> f64 {
    limit.map_or(f64::INFINITY, |limit| limit.as_nanos() as f64)
}

/// When a request must have its first, and its last token, from its arrival on.
fn deadlines(plan: &StreamPlan, output: u32) -> (f64, f64) {
    let (ttft, tpot, e2e) = (nanos(plan.slo.ttft), nanos(plan.slo.tpot), nanos(plan.slo.e2e));
    let decoded = f64::from(output.saturating_sub(1));
    let decoding = if decoded > 0.0 { tpot * decoded } else { 0.0 };
    (ttft.min(e2e), e2e.min(ttft + decoding))
}

/// Whether a server can serve a request within its limits when it has nothing else to do.
fn can_serve(server: &Server, plan: &StreamPlan, asked: &Asked) -> bool {
    // Times are rounded to the nanosecond.
    let within = |time: f64, limit: f64| time <= limit * (1.0 + 1e-9) + 2.0;
    let decoded = f64::from(asked.output.saturating_sub(1));
    let first = server.first_token(asked.prompt, asked.hashed);
    let each = server.decoded_token(asked.prompt);
    !server.refuses(asked.prompt, asked.output)
        && within(first, nanos(plan.slo.ttft))
        && (decoded == 0.0 || within(each, nanos(plan.slo.tpot)))
        && within(first + decoded * each, nanos(plan.slo.e2e))
}

impl Load {
    fn new<'a>(
        requests: impl Iterator<Item = (&'a StreamPlan, &'a Asked)> + Clone,
        plans: &[StreamPlan],
        servers: &[&Server],
        reference: &Server,
        window: Duration,
        warmup: Duration,
    ) -> Self {
        let length = window.as_nanos();
        let warm = requests.filter(|(_, asked)| asked.at.as_nanos() >= warmup.as_nanos());
        let weights = reference.weights();
        let work = |asked: &Asked, index: usize| {
            reference.work(weights[index], asked.prompt, asked.output, asked.hashed)
        };
        let edges: Vec<Vec<f64>> = (0..weights.len())
            .map(|index| edges(warm.clone().step_by(17).map(|(_, asked)| work(asked, index)).collect()))
            .collect();
        let empty = Interval {
            sizes: vec![Sizes { bins: vec![(0, 0.0); BINS + 1] }; weights.len()],
            ..Interval::default()
        };
        let mut intervals = vec![Interval::default(); LEAVES];
        intervals.extend(vec![empty; LEAVES]);
        let mut judged = 0;
        for (plan, asked) in warm {
            let (start_by, end_by) = deadlines(plan, asked.output);
            judged += u64::from(asked.at.as_nanos() as f64 + start_by < length as f64);
            if !servers.iter().any(|server| can_serve(server, plan, asked)) {
                continue;
            }
            let leaf = (u128::from(asked.at.as_nanos()) * LEAVES as u128 / u128::from(length)) as usize;
            let interval = &mut intervals[LEAVES + leaf.min(LEAVES - 1)];
            interval.possible += 1;
            interval.end_by = interval.end_by.max(end_by);
            for (index, sizes) in interval.sizes.iter_mut().enumerate() {
                let work = work(asked, index);
                let bin = edges[index].partition_point(|edge| *edge <= work);
                sizes.bins[bin].0 += 1;
                sizes.bins[bin].1 += work;
            }
        }
        for index in (1..LEAVES).rev() {
            intervals[index] = intervals[2 * index].with(&intervals[2 * index + 1]);
        }
        let start_by = plans.iter().map(|plan| deadlines(plan, 1).0).fold(0.0, f64::max);
        Self { intervals, edges, judged, start_by }
    }

    /// The largest share of the judged requests that may meet their limits; `None` where none need be judged.
    fn share(&self, window: Duration, speeds: &[f64], started: u64) -> Option<f64> {
        let met = self.most(1, window.as_nanos() as f64, speeds, started);
        // Those in a batch at the end may not be judged yet.
        let judged = self.judged.saturating_sub(started);
        (judged > 0).then(|| (met as f64 / judged as f64).min(1.0))
    }

    /// The most requests of interval `index`, which is `length` nanoseconds long, that meet their limits.
    fn most(&self, index: usize, length: f64, speeds: &[f64], started: u64) -> u64 {
        let interval = &self.intervals[index];
        let mut most = interval.possible;
        let served = |time: f64, sizes: &Sizes, edges: &[f64], speed: f64| {
            if (time * speed).is_finite() { sizes.smallest(time * speed, edges) } else { u64::MAX }
        };
        for ((sizes, edges), speed) in interval.sizes.iter().zip(&self.edges).zip(speeds) {
            // All but those in a batch are complete when the last of them must have begun.
            let begun = served(length + self.start_by, sizes, edges, *speed).saturating_add(started);
            let ended = served(length + interval.end_by, sizes, edges, *speed);
            most = most.min(begun).min(ended);
        }
        if 2 * index < self.intervals.len() {
            let halves =
                [2 * index, 2 * index + 1].map(|half| self.most(half, length / 2.0, speeds, started));
            most = most.min(halves[0] + halves[1]);
        }
        most
    }
}

impl Interval {
    fn with(&self, other: &Self) -> Self {
        let sizes = self.sizes.iter().zip(&other.sizes).map(|(a, b)| Sizes {
            bins: a.bins.iter().zip(&b.bins).map(|(a, b)| (a.0 + b.0, a.1 + b.1)).collect(),
        });
        Self {
            possible: self.possible + other.possible,
            end_by: self.end_by.max(other.end_by),
            sizes: sizes.collect(),
        }
    }
}

impl Sizes {
    /// How many of the smallest fit into `room` nanoseconds; never too few.
    fn smallest(&self, mut room: f64, edges: &[f64]) -> u64 {
        let mut fitting = 0;
        for (bin, (count, work)) in self.bins.iter().enumerate() {
            // Sums of rounded products: a part in a million is more than they can be off.
            if *work <= room * (1.0 + 1e-6) {
                fitting += count;
                // Never below zero, by a rounding error: empty bins take no room.
                room = (room - work).max(0.0);
                continue;
            }
            let least = bin.checked_sub(1).map_or(0.0, |below| edges[below]);
            let some = if least > 0.0 { (room.max(0.0) * (1.0 + 1e-6) / least) as u64 + 1 } else { u64::MAX };
            return fitting + some.min(*count);
        }
        fitting
    }
}

/// Where one bin ends and the next begins: quantiles of a sample.
fn edges(mut sample: Vec<f64>) -> Vec<f64> {
    sample.sort_by(f64::total_cmp);
    let mut edges: Vec<f64> =
        (1..BINS).filter_map(|bin| sample.get(sample.len() * bin / BINS).copied()).collect();
    edges.dedup();
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bins that fill the room to the last bit leave none, and the empty ones behind them fit all the same.
    #[test]
    fn room_that_is_full_to_the_last_bit() {
        let mut bins = vec![(0, 0.0); BINS + 1];
        bins[0] = (1, 1.0);
        bins[1] = (2, 4.0);
        let sizes = Sizes { bins };
        let edges = [1.5];
        assert_eq!(sizes.smallest(5.0 * (1.0 - 1e-7), &edges), 3);
        assert_eq!(sizes.smallest(4.9, &edges), 1 + 2);
        assert_eq!(sizes.smallest(2.0, &edges), 1 + 1);
        assert_eq!(sizes.smallest(0.5, &edges), 1);
    }
}
