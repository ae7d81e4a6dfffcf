//! Plans under uncertain numbers: every draw of them is a world, and a plan is judged over all worlds.
//!
//! To simulate every candidate in every world would take hours. So:
//!
//! 1. The finalists are the candidates of which no other costs as little and can do as much.
//! 2. What each of them can bear is simulated, with queues: the load, as a multiple of the scenario's in the middle
//!    of everything, up to which it keeps its promises (by halving, on the same random numbers).
//! 3. In each world the load is what the world's requests take of the world's replicas at least ([`super::work`]),
//!    against the same in the middle; prices and all else are the world's. A finalist keeps its promises in a world
//!    when the load there is one that it can bear.
//! 4. Some worlds are simulated after all, from the least to the most loaded, and it is told how often that agrees.
//!
//! Where no load says so, as for efficiencies, each finalist is simulated in each world ([`direct`]).
//!
//! Draws are Latin hypercubes: each input has one draw in each of as many equal slices of its probability (McKay,
//! Beckman, Conover, Technometrics 21(2), 1979).

mod direct;

use std::collections::BTreeMap;

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use serde::Serialize;
use serde_json::Value;

use super::bound::Bounds;
use super::facts;
use super::horizon::scaled;
use super::outcome::{Spread, spread};
use super::search::{Candidate, Case, Found, PlanError, Resolved, State, Terms};
use crate::sim::Seed;
use crate::traffic::Source;
use crate::units::Duration;
use crate::world::WorldConfig;

/// An uncertain number.
pub struct Input {
    /// Its path.
    pub path: String,
    /// The `--set` argument that makes it the value which is not exceeded with this probability.
    pub set: Box<dyn Fn(f64) -> String + Sync>,
}

/// How regret is counted over the worlds, as Netflix's planner does
/// (service-capacity-modeling, `CapacityModel.regret` and `CapacityRegretParameters`): with the spend x of a plan and
/// the spend y of the plan that is optimal in the world, ((x − y) × over)^exponent where it costs more, ((y − x) ×
/// under)^exponent where it costs less; summed over worlds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regret {
    /// For each dollar more.
    pub over: f64,
    /// For each dollar less.
    pub under: f64,
    /// The power.
    pub exponent: f64,
}

impl Regret {
    /// The regret of spending `plan` where `optimal` was right.
    pub fn of(&self, plan: f64, optimal: f64) -> f64 {
        let weighted =
            if plan >= optimal { (plan - optimal) * self.over } else { (optimal - plan) * self.under };
        libm::pow(weighted, self.exponent)
    }
}

/// Resolves a point with further values set, or says in a line why it is none.
pub type ResolveWith<'a> = &'a (dyn Fn(u64, &[String]) -> Result<Resolved, String> + Sync);

/// What is asked.
pub struct Question<'a> {
    /// The search's terms.
    pub terms: &'a Terms,
    /// Resolves a point with further values set.
    pub resolve: ResolveWith<'a>,
    /// The values of a point by path.
    pub set: &'a (dyn Fn(u64) -> BTreeMap<String, Value> + Sync),
    /// The uncertain numbers.
    pub inputs: &'a [Input],
    /// Worlds.
    pub draws: u64,
    /// How regret is counted.
    pub regret: Regret,
    /// What the draws derive from.
    pub seed: Seed,
    /// Called after each run.
    pub done: &'a (dyn Fn() + Sync),
}

/// What the uncertain numbers do to a plan; money is in US dollars a month.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Uncertainty {
    /// Worlds.
    pub draws: u64,
    /// The paths of what is uncertain.
    pub inputs: Vec<String>,
    /// The finalists, that with the least regret first.
    pub candidates: Vec<Judged>,
    /// What each input does on its own, the most decisive first.
    pub tornado: Vec<Swing>,
    /// What the cheapest fleet that is right costs where everything is in its middle.
    pub middle_usd_month: f64,
    /// Runs that it took.
    pub simulations: u64,
    /// Worlds that were simulated to see whether what is told of them is so.
    pub checked: u64,
    /// How many of them agree.
    pub agreeing: u64,
    /// What is simulated and what is not, in words.
    pub method: &'static str,
}

/// A finalist over all worlds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// Its number in the space.
    pub point: u64,
    /// Its values by path.
    pub set: BTreeMap<String, Value>,
    /// What it costs over worlds.
    pub spend_usd_month: Spread,
    /// The share of worlds in which it keeps every promise.
    pub slo_met_probability: f64,
    /// The load that it can bear, as a multiple of the middle's; null where it was simulated in each world instead.
    pub bears: Option<f64>,
    /// Whether it keeps every promise where everything is in its middle.
    pub right_in_the_middle: bool,
    /// Its regret, summed over worlds.
    pub regret: f64,
}

/// One input alone, at its 5th and its 95th percentile.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Swing {
    /// Its path.
    pub input: String,
    /// What the cheapest fleet that is right costs at the low end.
    pub low_usd_month: f64,
    /// And at the high end.
    pub high_usd_month: f64,
    /// The load at the low end, as a multiple of the middle's; null where each world was simulated.
    pub low_load: Option<f64>,
    /// And at the high end.
    pub high_load: Option<f64>,
}

/// Told with every result.
const METHOD: &str = "queues are simulated for the load that each finalist can bear, and in the worlds that are \
                      checked; a world's load is the least time of its replicas that its requests take";
/// More finalists than this are thinned out.
const FINALISTS: usize = 12;
/// Times that the load a finalist can bear is halved in on: to 2 %.
const HALVINGS: u32 = 6;
/// Worlds that are simulated.
const CHECKED: usize = 8;
/// Requests from which the load of a world is taken at most.
const REQUESTS: f64 = 20_000.0;

/// A world as a finalist meets it.
#[derive(Debug, Clone, Copy)]
struct Met {
    /// US dollars a month.
    spend: f64,
    /// As a multiple of the middle's.
    load: f64,
}

struct Finalist {
    point: u64,
    /// Capacity over demand in the middle, and the window from which it is taken in every world.
    headroom: f64,
    window: Duration,
    bears: f64,
}

/// Judges the finalists of a search over worlds; `None` where there is none that can be built in every world.
///
/// # Errors
/// When a run fails.
pub fn judge(question: &Question<'_>, found: &Found) -> Result<Option<Uncertainty>, PlanError> {
    if !question.inputs.iter().all(|input| is_load_or_price(&input.path)) {
        return direct::judge(question, found);
    }
    let finalists: Vec<_> = finalists(found)
        .into_par_iter()
        .map(|candidate| question.finalist(candidate, found))
        .collect::<Result<Vec<_>, _>>()?;
    let mut simulations: u64 = finalists.iter().map(|(_, runs)| runs).sum();
    let finalists: Vec<Finalist> =
        finalists.into_iter().map(|(finalist, _)| finalist).filter(|f| f.headroom.is_finite()).collect();
    if finalists.is_empty() {
        return direct::judge(question, found);
    }
    let worlds = question.worlds();
    let met: Vec<Vec<Option<Met>>> =
        worlds.clone().into_par_iter().map(|sets| question.meet(&finalists, &sets)).collect();
    let optimal: Vec<f64> = met.iter().map(|met| cheapest(&finalists, met)).collect();
    let mut judged: Vec<Judged> = Vec::new();
    for (index, finalist) in finalists.iter().enumerate() {
        let own: Vec<(Met, f64)> =
            met.iter().zip(&optimal).filter_map(|(met, optimal)| Some((met[index]?, *optimal))).collect();
        if own.len() < met.len() {
            // It cannot be built in some world.
            continue;
        }
        let spends: Vec<f64> = own.iter().map(|(met, _)| met.spend).collect();
        let kept = own.iter().filter(|(met, _)| met.load <= finalist.bears).count();
        judged.push(Judged {
            point: finalist.point,
            set: (question.set)(finalist.point),
            spend_usd_month: spread(&spends),
            slo_met_probability: kept as f64 / own.len().max(1) as f64,
            bears: Some(finalist.bears),
            right_in_the_middle: finalist.bears >= 1.0,
            regret: own.iter().map(|(met, optimal)| question.regret.of(met.spend, *optimal)).sum(),
        });
    }
    judged.sort_by(|a, b| a.regret.total_cmp(&b.regret).then(a.point.cmp(&b.point)));
    let Some(first) = judged.first() else { return Ok(None) };
    let place = finalists.iter().position(|finalist| finalist.point == first.point).unwrap_or(0);
    let own: Vec<Met> = met.iter().filter_map(|met| met[place]).collect();
    let (checked, agreeing, runs) = question.check(&finalists[place], &own, &worlds, found)?;
    simulations += runs;
    let (middle, tornado) = question.tornado(&finalists, place);
    Ok(Some(Uncertainty {
        draws: question.draws,
        inputs: question.inputs.iter().map(|input| input.path.clone()).collect(),
        candidates: judged,
        tornado,
        middle_usd_month: middle,
        simulations,
        checked,
        agreeing,
        method: METHOD,
    }))
}

/// Whether an input changes what is asked, or what is billed. Others, such as efficiencies and limits, also change how
/// well a fleet does under the same load.
fn is_load_or_price(path: &str) -> bool {
    let asked = path.starts_with("streams.") && !path.contains(".slo");
    asked || path.starts_with("prices") || path.rsplit('.').next().is_some_and(|last| last.ends_with("price"))
}

/// Candidates of which no other costs as little and can do as much, in order of spend.
fn finalists(found: &Found) -> Vec<&Candidate> {
    let mut order: Vec<&Candidate> = found
        .candidates
        .iter()
        .filter(|c| !matches!(c.state, State::Impossible(_) | State::Barred(_)) && c.headroom > 0.0)
        .collect();
    let best = found.best.map(|best| found.candidates[best].point);
    let is_best = |candidate: &Candidate| best == Some(candidate.point);
    order.sort_by(|a, b| {
        a.floor.cmp(&b.floor).then(b.headroom.total_cmp(&a.headroom)).then(is_best(b).cmp(&is_best(a)))
    });
    let mut most = 0.0;
    order.retain(|candidate| {
        let more = candidate.headroom > most * 1.01;
        most = f64::max(most, candidate.headroom);
        more || is_best(candidate)
    });
    // What is far too small, or far too large, is right in hardly any world.
    let near: Vec<&Candidate> =
        order.iter().copied().filter(|c| (0.7..=6.0).contains(&c.headroom) || is_best(c)).collect();
    let near = if near.is_empty() { order } else { near };
    let count = near.len();
    near.iter()
        .enumerate()
        .filter(|(at, candidate)| {
            // One in each of as many slices.
            let slice = |at: usize| at * FINALISTS / count.max(1);
            count <= FINALISTS || *at == 0 || slice(*at) != slice(at - 1) || is_best(candidate)
        })
        .map(|(_, candidate)| *candidate)
        .collect()
}

/// The least spend of a finalist that keeps its promises in a world; where none does, that of the most capable.
fn cheapest(finalists: &[Finalist], met: &[Option<Met>]) -> f64 {
    let pairs = || finalists.iter().zip(met).filter_map(|(finalist, met)| Some((finalist, (*met)?)));
    let kept = pairs().filter(|(finalist, met)| met.load <= finalist.bears).map(|(_, met)| met.spend);
    let most = pairs().max_by(|a, b| (a.0.bears / a.1.load).total_cmp(&(b.0.bears / b.1.load)));
    kept.reduce(f64::min).or(most.map(|(_, met)| met.spend)).unwrap_or(0.0)
}

/// Capacity over demand, from at most [`REQUESTS`] requests or so.
fn headroom(config: &WorldConfig, window: Duration) -> f64 {
    if !facts::is_fixed(config) {
        return f64::INFINITY;
    }
    let bounds = Bounds::default();
    let mut config = config.clone();
    config.duration = window;
    config.warmup = Duration::ZERO;
    let placed = facts::placed(&config);
    let parts = facts::parts(&config, &placed, &bounds);
    let each = parts.iter().map(|(streams, groups)| bounds.headroom(&config, streams, groups));
    each.fold(f64::INFINITY, f64::min)
}

/// A window in which not many more than [`REQUESTS`] requests arrive.
fn window(config: &WorldConfig) -> Duration {
    let rate: f64 = config
        .streams
        .iter()
        .map(|stream| match &stream.traffic.source {
            Source::Open(open) => open.rate.as_per_second(),
            _ => 0.0,
        })
        .sum();
    let seconds = if rate > 0.0 { REQUESTS / rate } else { f64::INFINITY };
    if seconds < config.duration.as_secs_f64() { Duration::from_secs_f64(seconds) } else { config.duration }
}

impl Question<'_> {
    fn failed(point: u64) -> impl Fn(crate::world::RunError) -> PlanError {
        move |error| PlanError::Run { point, error: Box::new(error) }
    }

    /// Whether a fleet keeps its promises, with what it has to survive; and how many runs that took.
    fn keeps(&self, point: u64, config: &WorldConfig, found: &Found) -> Result<(bool, u64), PlanError> {
        let mut cases = facts::losses(config, &self.terms.goals);
        if cases.is_empty() {
            cases.push((String::new(), config.clone()));
        }
        let mut runs = 0;
        for (_, config) in cases {
            let mut case = Case::default();
            self.terms
                .decide(&mut case, &config, &found.promises, true, self.done)
                .map_err(Self::failed(point))?;
            runs += case.values.len() as u64;
            if case.broken(&found.promises).is_some() {
                return Ok((false, runs));
            }
        }
        Ok((true, runs))
    }

    /// The load that a candidate can bear.
    fn finalist(&self, candidate: &Candidate, found: &Found) -> Result<(Finalist, u64), PlanError> {
        let point = candidate.point;
        let none = Finalist { point, headroom: f64::INFINITY, window: Duration::ZERO, bears: 0.0 };
        let Ok(resolved) = (self.resolve)(point, &[]) else { return Ok((none, 0)) };
        let config = resolved.config;
        let window = window(&config);
        let headroom = headroom(&config, window);
        if !headroom.is_finite() {
            return Ok((none, 0));
        }
        let (mut low, mut high) = (0.0, headroom.max(1e-3));
        let mut runs = 0;
        for step in 0..HALVINGS {
            // First what the search knows: the load of the middle itself.
            let middle = if step == 0 && high > 1.0 { 1.0 } else { 0.5 * (low + high) };
            let Some(config) = scaled(&config, middle, 1.0) else {
                let (kept, more) = self.keeps(point, &config, found)?;
                (low, runs) = (if kept { 1.0 } else { 0.0 }, runs + more);
                break;
            };
            let (kept, more) = self.keeps(point, &config, found)?;
            runs += more;
            if kept { low = middle } else { high = middle }
        }
        Ok((Finalist { point, headroom, window, bears: low }, runs))
    }

    /// The values of every world.
    fn worlds(&self) -> Vec<Vec<String>> {
        let columns: Vec<Vec<String>> = self
            .inputs
            .iter()
            .map(|input| {
                let mut random = self.seed.stream(&format!("plan/{}", input.path));
                let mut slices: Vec<u64> = (0..self.draws).collect();
                for last in (1..slices.len()).rev() {
                    slices.swap(last, random.below(last as u64 + 1) as usize);
                }
                let share = |slice: &u64| (*slice as f64 + random.uniform_open()) / self.draws as f64;
                let shares: Vec<f64> = slices.iter().map(share).collect();
                shares.into_iter().map(|share| (input.set)(share.clamp(1e-9, 1.0 - 1e-9))).collect()
            })
            .collect();
        (0..self.draws as usize)
            .map(|draw| columns.iter().map(|column| column[draw].clone()).collect())
            .collect()
    }

    /// What every finalist costs in a world, and how it is loaded; `None` where it cannot be built.
    fn meet(&self, finalists: &[Finalist], sets: &[String]) -> Vec<Option<Met>> {
        let one = |finalist: &Finalist| {
            let config = (self.resolve)(finalist.point, sets).ok()?.config;
            let spend = facts::spend(&config).as_f64() * facts::months(config.duration);
            let load = finalist.headroom / headroom(&config, finalist.window);
            Some(Met { spend, load })
        };
        finalists.iter().map(one).collect()
    }

    /// Simulates some worlds, from the least to the most loaded: how many, how many agree, and the runs.
    fn check(
        &self,
        finalist: &Finalist,
        met: &[Met],
        worlds: &[Vec<String>],
        found: &Found,
    ) -> Result<(u64, u64, u64), PlanError> {
        let mut order: Vec<usize> = (0..met.len().min(worlds.len())).collect();
        order.sort_by(|a, b| met[*a].load.total_cmp(&met[*b].load));
        let count = CHECKED.min(order.len());
        let chosen: Vec<usize> =
            (0..count).map(|at| order[(2 * at + 1) * order.len() / (2 * count)]).collect();
        let looked: Vec<_> = chosen
            .into_par_iter()
            .map(|world| -> Result<Option<(bool, u64)>, PlanError> {
                let Ok(resolved) = (self.resolve)(finalist.point, &worlds[world]) else { return Ok(None) };
                let (kept, runs) = self.keeps(finalist.point, &resolved.config, found)?;
                Ok(Some((kept == (met[world].load <= finalist.bears), runs)))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let looked: Vec<(bool, u64)> = looked.into_iter().flatten().collect();
        let agreeing = looked.iter().filter(|(agrees, _)| *agrees).count() as u64;
        Ok((looked.len() as u64, agreeing, looked.iter().map(|(_, runs)| runs).sum()))
    }

    /// What the right fleet costs where all is in its middle, and where one input at a time is at an end.
    fn tornado(&self, finalists: &[Finalist], place: usize) -> (f64, Vec<Swing>) {
        let at = |changed: usize, share: f64| -> (f64, f64) {
            let sets: Vec<String> = self
                .inputs
                .iter()
                .enumerate()
                .map(|(index, input)| (input.set)(if index == changed { share } else { 0.5 }))
                .collect();
            let met = self.meet(finalists, &sets);
            (cheapest(finalists, &met), met[place].map_or(1.0, |met| met.load))
        };
        let mut swings: Vec<Swing> = (0..self.inputs.len())
            .into_par_iter()
            .map(|index| {
                let (low, high) = (at(index, 0.05), at(index, 0.95));
                Swing {
                    input: self.inputs[index].path.clone(),
                    low_usd_month: low.0,
                    high_usd_month: high.0,
                    low_load: Some(low.1),
                    high_load: Some(high.1),
                }
            })
            .collect();
        let usd = |swing: &Swing| (swing.high_usd_month - swing.low_usd_month).abs();
        let load = |swing: &Swing| (swing.high_load.unwrap_or(0.0) - swing.low_load.unwrap_or(0.0)).abs();
        swings.sort_by(|a, b| usd(b).total_cmp(&usd(a)).then(load(b).total_cmp(&load(a))));
        (at(usize::MAX, 0.5).0, swings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures of Netflix's formula, by hand.
    #[test]
    fn regret_as_netflix_counts_it() {
        let regret = Regret { over: 1.0, under: 1.25, exponent: 1.2 };
        assert_eq!(regret.of(100.0, 100.0), 0.0);
        assert!((regret.of(200.0, 100.0) - libm::pow(100.0, 1.2)).abs() < 1e-9);
        assert!((regret.of(100.0, 200.0) - libm::pow(125.0, 1.2)).abs() < 1e-9);
    }
}
