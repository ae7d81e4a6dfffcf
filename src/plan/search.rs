//! The search for the cheapest fleet that keeps its promises.
//!
//! 1. Every point of the space is resolved, and its spend computed: exactly, where nodes are there for the whole
//!    window, else as a floor. What breaks a limit that needs no simulation (budget, power, providers, regions) or
//!    cannot be run is out.
//! 2. [`super::bound`] says of each how much of its promises it can keep at most; what can't keep them is pruned. The
//!    integer relaxation of the space ([`super::integer`]) rules out what costs less than the cheapest fleet of its
//!    kind that can: in large spaces before anything else.
//! 3. The rest is simulated in order of spend, the most capable first among equals. The first that keeps its
//!    promises is the optimum once nothing that may cost less is left: floors are never above the spend.
//!
//! Every candidate meets the same arrivals, replication by replication (common random numbers). A candidate is
//! judged by the mean over its replications (or by as many as a race needs: [`Case::race`]) and given up as soon as
//! the best that the rest could bring would not save it, which never changes the verdict. Fleets that serve alike
//! ([`facts::likeness`]) are simulated once.
//! No other monotonicity is assumed.

mod case;
mod relax;
mod types;

use std::collections::BTreeMap;

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::bound::Bounds;
use super::facts;
use super::grid::Grid;
use super::integer::Relaxed;
use super::judge::{self, NoPromise, Promise};
use super::statistics::{ALPHA, estimate};
use crate::metrics::Objective;
use crate::policies::placement::PlacementKind;
use crate::units::Usd;
use crate::world::{RunError, WorldConfig};
pub use case::{Case, bottleneck, looks};
pub use relax::Relaxation;
use types::barred;
pub use types::{Candidate, Excuse, Found, Resolve, Resolved, State, Terms, spend};

/// In larger spaces what the integer relaxation rules out is not resolved; in others it is, to say more exactly why
/// it lost.
const LOOKED_AT_EACH: u64 = 2_000;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Nothing to hold, or names that lead nowhere.
    #[error(transparent)]
    Promise(#[from] NoPromise),
    /// No point can be run.
    #[error("none of the {points} candidates can be run; the first: {why}")]
    Nothing {
        /// How many.
        points: u64,
        /// Why not the first.
        why: String,
    },
    /// A run fails in a way that is no fault of its scenario.
    #[error("candidate {point}: {error}")]
    Run {
        /// Its number.
        point: u64,
        /// Why.
        error: Box<RunError>,
    },
}

/// A search.
pub struct Search<'a> {
    terms: &'a Terms,
    resolve: Resolve<'a>,
    promises: Vec<Promise>,
    bounds: Bounds,
    /// What was simulated, by likeness.
    known: BTreeMap<String, Case>,
    simulations: u64,
    /// The space, relaxed, where it is given.
    relaxed: Option<(&'a Grid, Relaxed)>,
    done: &'a (dyn Fn() + Sync),
}

impl<'a> Search<'a> {
    /// A search over `points` points.
    ///
    /// # Errors
    /// When nothing has to hold, or no point can be run.
    pub fn new(
        terms: &'a Terms,
        points: u64,
        resolve: Resolve<'a>,
        done: &'a (dyn Fn() + Sync),
    ) -> Result<Self, PlanError> {
        let mut first = None;
        let example = (0..points).find_map(|point| match resolve(point) {
            Ok(resolved) => Some(resolved),
            Err(why) => {
                first.get_or_insert(why);
                None
            }
        });
        let why = first.unwrap_or_else(|| "there are no points".to_owned());
        let example = example.ok_or(PlanError::Nothing { points, why })?;
        let promises = judge::promises(&example.config, &terms.goals)?;
        let bounds = Bounds::default();
        let known = BTreeMap::new();
        Ok(Self { terms, resolve, promises, bounds, known, simulations: 0, relaxed: None, done })
    }

    /// With the integer relaxation of the grid that its points are of.
    #[must_use]
    pub fn over(mut self, grid: &'a Grid) -> Self {
        let relaxed = Relaxed::new(grid, self.terms, &self.promises, self.resolve, &self.bounds);
        self.relaxed = relaxed.map(|relaxed| (grid, relaxed));
        self
    }

    /// The promises.
    pub fn promises(&self) -> &[Promise] {
        &self.promises
    }

    /// Searches all points.
    ///
    /// # Errors
    /// When a run fails in a way that is no fault of its scenario.
    pub fn run(&mut self, points: u64) -> Result<Found, PlanError> {
        let this = &*self;
        let mut candidates: Vec<Candidate> =
            (0..points).into_par_iter().map(|point| this.look_at(point, points)).collect();
        let order = self.order(&candidates);
        let width = (points / 128).clamp(1, 4) as usize;
        let mut best: Option<usize> = None;
        let mut next = 0;
        let mut exhausted = false;
        while next < order.len() {
            if let Some(best) = best
                && self.key(&candidates[order[next]]) >= self.reached(&candidates[best])
            {
                break;
            }
            if self.simulations >= self.terms.max_simulations {
                exhausted = true;
                break;
            }
            // Those that serve alike wait for the first of them.
            let mut batch: Vec<usize> = Vec::new();
            let end = order.len().min(next + width);
            for index in &order[next..end] {
                let like = |other: &usize| {
                    candidates[*other].likeness.is_some()
                        && candidates[*other].likeness == candidates[*index].likeness
                };
                if batch.iter().any(like) {
                    break;
                }
                batch.push(*index);
            }
            next += batch.len();
            for (index, case, state) in self.judge_all(&candidates, &batch, true)? {
                candidates[index].state = state;
                candidates[index].case = case;
                let better = |best: usize| self.reached(&candidates[index]) < self.reached(&candidates[best]);
                if candidates[index].state == State::Kept && best.is_none_or(better) {
                    best = Some(index);
                }
            }
        }
        if let Some(kept) = best {
            let kept = self.contest(&mut candidates, kept)?;
            best = Some(kept);
            self.complete(&mut candidates, kept)?;
            self.widen(&mut candidates, kept)?;
        }
        let pruned = candidates.iter().filter(|c| matches!(c.state, State::Pruned(_))).count() as u64;
        let pruned_by_integers = candidates.iter().filter(|c| c.by_integers).count() as u64;
        Ok(Found {
            candidates,
            promises: self.promises.clone(),
            best,
            simulations: self.simulations,
            pruned,
            proven: !exhausted,
            integer_bound: self.relaxed.as_ref().and_then(|(_, relaxed)| relaxed.least()),
            pruned_by_integers,
        })
    }

    /// Open candidates in the order in which they are simulated.
    fn order(&self, candidates: &[Candidate]) -> Vec<usize> {
        let mut order: Vec<usize> =
            (0..candidates.len()).filter(|index| candidates[*index].state == State::Open).collect();
        order.sort_by(|a, b| {
            let (a, b) = (&candidates[*a], &candidates[*b]);
            self.key(a).cmp(&self.key(b)).then(b.headroom.total_cmp(&a.headroom)).then(a.point.cmp(&b.point))
        });
        order
    }

    /// What is made small, as far as it is known before.
    fn key(&self, candidate: &Candidate) -> (i64, i64) {
        self.ordered(candidate.floor, candidate.cards)
    }

    /// The same, after the simulation.
    fn reached(&self, candidate: &Candidate) -> (i64, i64) {
        self.ordered(spend(candidate), candidate.cards)
    }

    fn ordered(&self, spend: Usd, cards: u64) -> (i64, i64) {
        let cards = i64::try_from(cards).unwrap_or(i64::MAX);
        match self.terms.objective {
            // Equal spend is equal.
            Objective::Spend => (spend.as_micros(), 0),
            Objective::Cards => (cards, spend.as_micros()),
        }
    }

    /// Spend that only simulation tells: candidates that may cost the same as the best run on, on the same random
    /// numbers, until the difference is resolved or there are no replications left.
    fn contest(&mut self, candidates: &mut [Candidate], mut best: usize) -> Result<usize, PlanError> {
        let Some(first) = self.terms.race else { return Ok(best) };
        let looks = looks(first, self.terms.replications);
        let alpha = ALPHA / looks.len() as f64;
        for look in looks {
            let rivals: Vec<usize> = (0..candidates.len())
                .filter(|index| *index != best && candidates[*index].state == State::Kept)
                .filter(|index| is_close(&candidates[*index], &candidates[best], alpha))
                .collect();
            if rivals.is_empty() {
                break;
            }
            let this = &*self;
            let run_on = |index: usize| {
                let failed =
                    |error| PlanError::Run { point: candidates[index].point, error: Box::new(error) };
                let mut case = candidates[index].case.clone().unwrap_or_default();
                let before = case.values.len() as u64;
                if let Ok(resolved) = (this.resolve)(candidates[index].point) {
                    let until = (look, this.terms.replications);
                    case.extend_to(&resolved.config, &this.promises, until, false, this.done)
                        .map_err(failed)?;
                }
                Ok((index, case.values.len() as u64 - before, case))
            };
            let all: Vec<usize> = rivals.iter().copied().chain([best]).collect();
            let ran: Result<Vec<_>, PlanError> = all.clone().into_par_iter().map(run_on).collect();
            for (index, more, case) in ran? {
                self.simulations += more;
                candidates[index].case = Some(case);
            }
            let reached = |index: &usize| (self.reached(&candidates[*index]), candidates[*index].point);
            best = all.into_iter().min_by_key(reached).unwrap_or(best);
        }
        Ok(best)
    }

    /// All that is known of one of `points` points without simulating it.
    fn look_at(&self, point: u64, points: u64) -> Candidate {
        let mut candidate = Candidate {
            point,
            state: State::Open,
            floor: Usd::ZERO,
            cards: 0,
            headroom: 0.0,
            bound: 1.0,
            by_integers: false,
            case: None,
            likeness: None,
        };
        let relaxed = self.relaxed.as_ref().and_then(|(grid, relaxed)| relaxed.look_at(grid, point));
        let by_integers = relaxed.and_then(|known| {
            (candidate.floor, candidate.cards) = (known.floor, known.cards);
            known.excuse
        });
        if points > LOOKED_AT_EACH
            && let Some(excuse) = &by_integers
        {
            (candidate.state, candidate.by_integers) = (State::Pruned(excuse.clone()), true);
            return candidate;
        }
        let resolved = match (self.resolve)(point) {
            Ok(resolved) => resolved,
            Err(why) => {
                let excuse = Excuse { constraint: "scenario".to_owned(), by: None, why };
                candidate.state = State::Impossible(excuse);
                return candidate;
            }
        };
        let config = &resolved.config;
        candidate.floor = facts::spend(config);
        candidate.cards = facts::cards(config);
        if let Some(excuse) = barred(&resolved, candidate.floor, &self.terms.goals) {
            candidate.state = State::Barred(excuse);
            return candidate;
        }
        // What replicas can do is known before where they are there throughout, and not placed by lot.
        if config.placement == PlacementKind::Random || !facts::is_fixed(config) {
            candidate.headroom = f64::INFINITY;
            return candidate;
        }
        let placed = facts::placed(config);
        candidate.likeness = facts::likeness(config, &placed);
        if let Some(excuse) = self.hopeless(config, &placed, &mut candidate) {
            candidate.state = State::Pruned(excuse);
        } else {
            let losses = facts::losses(config, &self.terms.goals);
            for (what, left) in losses {
                let placed = facts::placed(&left);
                if let Some(mut excuse) = self.hopeless(&left, &placed, &mut candidate.clone()) {
                    excuse.why = format!("with {what}: {}", excuse.why);
                    candidate.state = State::Pruned(excuse);
                    break;
                }
            }
        }
        if let (State::Open, Some(excuse)) = (&candidate.state, by_integers) {
            (candidate.state, candidate.by_integers) = (State::Pruned(excuse), true);
        }
        candidate
    }

    /// Why a fleet cannot keep its promises, whatever the queues do.
    fn hopeless(
        &self,
        config: &WorldConfig,
        placed: &[Vec<usize>],
        candidate: &mut Candidate,
    ) -> Option<Excuse> {
        candidate.headroom = f64::INFINITY;
        for (streams, groups) in facts::parts(config, placed, &self.bounds) {
            let replicas: u64 = groups.iter().map(|group| group.replicas).sum();
            let limited = |stream: &usize| -> Option<(&Promise, usize)> {
                let name = format!("streams.{}.slo.attainment", config.streams[*stream].traffic.name);
                let promise = self.promises.iter().find(|promise| promise.name == name)?;
                Some((promise, *stream))
            };
            let promised: Vec<_> = streams.iter().filter_map(limited).collect();
            candidate.headroom = candidate.headroom.min(self.bounds.headroom(config, &streams, &groups));
            for (promise, stream) in &promised {
                let seeds = 0..self.terms.replications;
                let most = |index| match replicas {
                    0 => 0.0,
                    _ => {
                        let seed = config.seed.replication(index);
                        self.bounds.attainment(config, seed, &[*stream], &groups).unwrap_or(1.0)
                    }
                };
                let mean = seeds.map(most).sum::<f64>() / self.terms.replications as f64;
                candidate.bound = candidate.bound.min(mean);
                if promise.broken_by(mean) > 1e-9 {
                    let by = promise.broken_by(mean);
                    let why = format!(
                        "at most {:.2} % of its requests can meet their limits, whatever the queue does; {:.2} % must",
                        100.0 * mean,
                        100.0 * promise.limit
                    );
                    return Some(Excuse { constraint: promise.name.clone(), by: Some(by), why });
                }
            }
            if promised.len() > 1 && replicas > 0 {
                let together = self.together(config, &promised, &groups);
                if together.is_some() {
                    return together;
                }
            }
        }
        None
    }

    /// Streams that share replicas: all of them together must not need more than there is.
    fn together(
        &self,
        config: &WorldConfig,
        promised: &[(&Promise, usize)],
        groups: &[super::bound::Group],
    ) -> Option<Excuse> {
        // Misses add up: with 1 − b of all requests missing, Σ over streams of their shares of misses is at least
        // that, in each replication and so in the mean.
        let allowed: f64 = promised.iter().map(|(promise, _)| 1.0 - promise.limit).sum();
        let streams: Vec<usize> = promised.iter().map(|(_, stream)| *stream).collect();
        let most = |index| {
            let seed = config.seed.replication(index);
            self.bounds.attainment(config, seed, &streams, groups).unwrap_or(1.0)
        };
        let replications = self.terms.replications;
        let mean = (0..replications).map(most).sum::<f64>() / replications as f64;
        let by = 1.0 - mean - allowed;
        (by > 1e-9).then(|| Excuse {
            constraint: promised[0].0.name.clone(),
            by: Some(by),
            why: format!(
                "of all requests to these replicas at most {:.2} % can meet their limits; {:.2} % must",
                100.0 * mean,
                100.0 * (1.0 - allowed)
            ),
        })
    }

    /// Simulates some candidates in parallel and says how each did. With `curtail`, those that are lost are given
    /// up early.
    fn judge_all(
        &mut self,
        candidates: &[Candidate],
        batch: &[usize],
        curtail: bool,
    ) -> Result<Vec<(usize, Option<Case>, State)>, PlanError> {
        let this = &*self;
        let judged: Vec<_> = batch
            .to_vec()
            .into_par_iter()
            .map(|index| this.judge(&candidates[index], curtail).map(|judged| (index, judged)))
            .collect();
        let mut all = Vec::new();
        for judged in judged {
            let (index, judged) = judged?;
            self.simulations += judged.simulations;
            self.known.extend(judged.learnt);
            all.push((index, judged.case, judged.state));
        }
        Ok(all)
    }

    fn judge(&self, candidate: &Candidate, curtail: bool) -> Result<Judged, PlanError> {
        let failed = |error: RunError| PlanError::Run { point: candidate.point, error: Box::new(error) };
        let resolved = match (self.resolve)(candidate.point) {
            Ok(resolved) => resolved,
            Err(why) => {
                let excuse = Excuse { constraint: "scenario".to_owned(), by: None, why };
                return Ok(Judged { state: State::Impossible(excuse), ..Judged::default() });
            }
        };
        let mut judged = Judged::default();
        let mut cases = vec![("".to_owned(), resolved.config.clone())];
        cases.extend(facts::losses(&resolved.config, &self.terms.goals));
        for (number, (what, config)) in cases.into_iter().enumerate() {
            let likeness = match number {
                0 => candidate.likeness.clone(),
                _ if config.placement == PlacementKind::Random => None,
                _ => facts::likeness(&config, &facts::placed(&config)),
            };
            let known = likeness.as_ref().and_then(|like| self.known.get(like).or(judged.learnt.get(like)));
            let mut case = known.cloned().unwrap_or_default();
            let before = case.values.len();
            // One alike is billed otherwise; fleets that are alike are there for the whole window.
            case.spend = vec![facts::spend(&config); before];
            case.first = None;
            match self.terms.decide(&mut case, &config, &self.promises, curtail, self.done) {
                Ok(()) => {}
                Err(error) if error.is_bad_input() => {
                    let excuse =
                        Excuse { constraint: "scenario".to_owned(), by: None, why: error.to_string() };
                    return Ok(Judged { state: State::Impossible(excuse), ..judged });
                }
                Err(error) => return Err(failed(error)),
            }
            judged.simulations += (case.values.len() - before) as u64;
            let broken = case.broken(&self.promises);
            if number == 0 {
                judged.case = Some(case.clone());
            }
            if let Some(likeness) = likeness {
                judged.learnt.insert(likeness, case);
            }
            if let Some((index, by)) = broken {
                let promise = &self.promises[index];
                let place = if what.is_empty() { String::new() } else { format!(" with {what}") };
                let value = if promise.at_least { promise.limit - by } else { promise.limit + by };
                let why = format!("simulated{place}: {value:.4} against {}", promise.limit);
                let excuse = Excuse { constraint: promise.name.clone(), by: Some(by), why };
                judged.state = State::Broken(excuse);
                return Ok(judged);
            }
        }
        judged.state = State::Kept;
        Ok(judged)
    }

    /// Makes another candidate the best, for reasons that this search does not know.
    ///
    /// # Errors
    /// When a run fails.
    pub fn adopt(&mut self, found: &mut Found, index: usize) -> Result<(), PlanError> {
        let judged = self.judge_all(&found.candidates, &[index], false)?;
        for (index, case, state) in judged {
            found.candidates[index].case = case;
            found.candidates[index].state = state;
        }
        self.complete(&mut found.candidates, index)?;
        found.best = Some(index);
        found.simulations = found.simulations.max(self.simulations);
        Ok(())
    }

    /// The best is simulated itself, if only one alike was, so that what it spends on is known.
    fn complete(&mut self, candidates: &mut [Candidate], best: usize) -> Result<(), PlanError> {
        let candidate = &candidates[best];
        if candidate.case.as_ref().is_some_and(|case| case.first.is_some()) {
            return Ok(());
        }
        let likeness = candidates[best].likeness.take();
        let judged = self.judge_all(candidates, &[best], false)?;
        for (index, case, _) in judged {
            candidates[index].case = case;
        }
        candidates[best].likeness = likeness;
        Ok(())
    }

    /// One replication of some that cost more and some that were pruned and cost less, for the frontier: evenly over
    /// what is left, each unlike the others.
    fn widen(&mut self, candidates: &mut [Candidate], best: usize) -> Result<(), PlanError> {
        let key = |index: &usize| (self.key(&candidates[*index]), candidates[*index].point);
        let unlike = |wanted: &mut dyn Iterator<Item = usize>| -> Vec<usize> {
            let mut found: BTreeMap<&str, usize> = BTreeMap::new();
            let mut alone = Vec::new();
            for index in wanted {
                match &candidates[index].likeness {
                    Some(likeness) if self.known.contains_key(likeness) => {}
                    Some(likeness) => {
                        found.entry(likeness).or_insert(index);
                    }
                    None => alone.push(index),
                }
            }
            let mut found: Vec<usize> = found.into_values().chain(alone).collect();
            found.sort_by_key(key);
            found
        };
        let costlier = unlike(&mut self.order(candidates).into_iter());
        let mut pruned: Vec<usize> = (0..candidates.len())
            .filter(|index| matches!(candidates[*index].state, State::Pruned(_)) && key(index) < key(&best))
            .collect();
        pruned.sort_by_key(key);
        let cheaper = unlike(&mut pruned.into_iter());
        let evenly = |from: &[usize], wanted: usize| -> Vec<usize> {
            let wanted = wanted.min(from.len());
            (0..wanted).map(|at| from[at * from.len() / wanted.max(1)]).collect()
        };
        let wanted = self.terms.frontier as usize;
        let mut chosen = evenly(&cheaper, wanted / 2);
        chosen.extend(evenly(&costlier, wanted - chosen.len()));
        chosen.retain(|at| *at != best);
        let this = &*self;
        let looked: Vec<_> = chosen
            .into_par_iter()
            .filter_map(|index| {
                let resolved = (this.resolve)(candidates[index].point).ok()?;
                let mut case = Case::default();
                case.extend(&resolved.config, &this.promises, 1, false, this.done).ok()?;
                Some((index, case))
            })
            .collect();
        for (index, case) in looked {
            self.simulations += 1;
            candidates[index].case = Some(case);
        }
        Ok(())
    }
}

/// Whether what two candidates are billed may be the same: the interval of the paired difference holds zero, and is
/// no point.
fn is_close(candidate: &Candidate, best: &Candidate, alpha: f64) -> bool {
    let (Some(a), Some(b)) = (&candidate.case, &best.case) else { return false };
    let pairs = a.spend.iter().zip(&b.spend);
    let differences: Vec<f64> = pairs.map(|(a, b)| a.as_f64() - b.as_f64()).collect();
    let interval = estimate(&differences, alpha).and_then(|estimate| estimate.interval);
    interval.is_some_and(|[low, high]| low <= 0.0 && 0.0 <= high && low < high)
}

/// What simulating a candidate told.
#[derive(Default)]
struct Judged {
    state: State,
    case: Option<Case>,
    simulations: u64,
    learnt: BTreeMap<String, Case>,
}
