//! What a plan weighs over the months to come: commitments, spot, owned nodes, hosted APIs, and the horizon itself.

use super::super::Failure;
use super::super::points::Points;
use super::{failed, resolved};
use crate::catalog::Catalog;
use crate::metrics::results::Summary;
use crate::plan::bound::Bounds;
use crate::plan::break_even::{self, BreakEven, Owning};
use crate::plan::commitment::{self, Horizon, Level, Way};
use crate::plan::facts;
use crate::plan::horizon::{self, Cheapest, Course};
use crate::plan::outcome;
use crate::plan::search::{Found, PlanError, Resolved, Search, Terms, spend};
use crate::plan::spot::{self, SpotLevel};
use crate::scenario::HorizonTerms;
use crate::serving::DeploymentConfig;
use crate::world::{PoolPlan, RunError, WorldConfig};

/// Commitments that a plan weighs, with their terms in months.
const COMMITMENTS: [(&str, u32); 2] = [("reserved-1y", 12), ("reserved-3y", 36)];
/// Spaces with more points than this are not searched anew for each window of the horizon.
const MOST_SEARCHED: u64 = 5_000;

/// What was weighed.
#[derive(Debug, Default)]
pub struct Weighed {
    pub levels: Vec<Level>,
    pub break_even: Vec<BreakEven>,
    pub spot: Vec<SpotLevel>,
    pub horizon: Option<Course>,
    pub simulations: u64,
}

/// What the best candidate is weighed with.
pub struct Question<'a> {
    pub points: &'a Points<'a>,
    pub terms: &'a Terms,
    pub horizon: &'a HorizonTerms,
    pub found: &'a Found,
    /// The best candidate's place.
    pub best: usize,
    pub done: &'a (dyn Fn() + Sync),
}

/// A pool as it is needed over the window.
struct Needed {
    pool: usize,
    /// Nodes that the requests of each interval need.
    nodes: Vec<f64>,
    /// The mean share of the time for which a node is needed.
    used: f64,
}

impl Question<'_> {
    /// Weighs everything that the scenario asks for.
    pub fn weigh(&self) -> Result<Weighed, Failure> {
        let point = self.found.candidates[self.best].point;
        let Ok(config) = self.points.resolve(point) else { return Ok(Weighed::default()) };
        let run_failed =
            |error: RunError| failed(PlanError::Run { point, error: Box::new(error) }, self.points);
        let horizon = Horizon {
            months: self.horizon.months,
            growth_per_year: self.horizon.growth_per_year,
            price_decline_per_year: self.horizon.price_decline_per_year,
            efficiency_per_year: self.horizon.efficiency_per_year,
        };
        let mut told = Weighed::default();
        let (promises, replications) = (&self.found.promises, self.terms.beside());
        let (bears, runs) =
            horizon::bears(&config, promises, replications, &horizon, self.done).map_err(run_failed)?;
        told.simulations += runs;
        for needed in needed(&config, bears) {
            self.pool(point, &config, &needed, &horizon, &mut told).map_err(run_failed)?;
        }
        let hosted = self.hosted(&config, &mut told)?;
        let cheapest = |demand: f64, price: f64| self.cheapest(demand, price);
        let question = horizon::Question {
            config: &config,
            promises: &self.found.promises,
            replications: self.terms.beside(),
            horizon,
            windows: self.horizon.windows,
            bears,
            full_run: self.horizon.full_run,
            cheapest: &cheapest,
            hosted_usd_month: hosted,
            done: self.done,
        };
        told.horizon = horizon::course(&question).map_err(run_failed)?;
        told.simulations += told.horizon.as_ref().map_or(0, |course| course.simulations);
        told.simulations += told.spot.iter().map(|level| level.simulations).sum::<u64>();
        Ok(told)
    }

    /// One pool of the candidate, with values of it set.
    fn bought(&self, point: u64, pool: &str, purchase: &str, more: &[(&str, &str)]) -> Option<PoolPlan> {
        let mut sets = vec![format!("pools.{pool}.purchase={purchase}")];
        sets.extend(more.iter().map(|(key, text)| format!("pools.{pool}.{key}={text}")));
        let config = self.points.loaded(point, &sets).ok()?.config;
        config.pools.into_iter().find(|plan| plan.fleet.name == pool)
    }

    fn pool(
        &self,
        point: u64,
        config: &WorldConfig,
        needed: &Needed,
        horizon: &Horizon,
        told: &mut Weighed,
    ) -> Result<(), RunError> {
        let plan = &config.pools[needed.pool];
        let name = plan.fleet.name.as_str();
        let Some(rented) = self.bought(point, name, "on-demand", &[]) else { return Ok(()) };
        let on_demand = rented.tariff.price.as_f64();
        let weigh = |way: Way<'_>, told: &mut Weighed| {
            told.levels.push(commitment::level(way, &needed.nodes, horizon, on_demand));
            told.break_even.push(break_even::committed(
                name,
                way.purchase,
                on_demand,
                way.usd_h,
                needed.used,
            ));
        };
        for (purchase, term) in COMMITMENTS {
            if let Some(committed) = self.bought(point, name, purchase, &[]) {
                let usd_h = committed.tariff.price.as_f64();
                weigh(Way { pool: name, purchase, usd_h, term: Some(term) }, told);
            }
        }
        if let Some(owned) = &self.horizon.owned {
            let power = self.horizon.power.as_deref().map(|power| ("power", power));
            let more: Vec<(&str, &str)> = [("owned", owned.text.as_str())].into_iter().chain(power).collect();
            if let Some(bought) = self.bought(point, name, "owned", &more) {
                let energy = energy_usd_h(&bought);
                let usd_h = bought.tariff.price.as_f64() + energy;
                weigh(Way { pool: name, purchase: "owned", usd_h, term: None }, told);
                let owning = Owning {
                    price: owned.price,
                    upkeep_usd_month: owned.upkeep_usd_month + energy * facts::HOURS_PER_MONTH,
                    life_months: (owned.life.as_hours_f64() / facts::HOURS_PER_MONTH).round() as u32,
                };
                told.break_even.push(break_even::payback(name, &owning, on_demand, needed.used, horizon));
            }
        }
        if let Some(spot) = &self.horizon.spot
            && let Some(bought) = self.bought(point, name, "spot", &[("spot", spot)])
        {
            let (rate, recovery) = preemptions(config, needed.pool, &bought);
            let price = bought.tariff.price.as_f64();
            told.break_even.push(break_even::spot(name, on_demand, price, rate, recovery));
            let (promises, replications) = (&self.found.promises, self.terms.beside());
            let level = spot::most(config, needed.pool, &bought, promises, replications, self.done)?;
            told.spot.extend(level);
        }
        Ok(())
    }

    /// The bill of a hosted API for a month of today's requests, where there is one to weigh.
    fn hosted(&self, config: &WorldConfig, told: &mut Weighed) -> Result<Option<f64>, Failure> {
        let candidate = &self.found.candidates[self.best];
        let summary = candidate.case.as_ref().and_then(|case| case.first.as_ref());
        let Some(summary) = summary.filter(|_| config.jobs.is_empty() && config.job_trace.is_none()) else {
            return Ok(None);
        };
        let Some((name, input, output)) = self.api(config)? else { return Ok(None) };
        let bill = |of: &Summary| (of.tokens.prompt as f64 * input + of.tokens.output as f64 * output) / 1e6;
        let (completed, months) = (summary.requests.completed, facts::months(config.duration));
        if completed == 0 {
            return Ok(None);
        }
        let each = bill(summary) / completed as f64;
        let requests = summary.requests.arrived as f64 * months;
        let hosted = summary
            .spend
            .by_cause
            .iter()
            .find(|(cause, _)| cause == "hosted-tokens")
            .map_or(0.0, |(_, usd)| *usd);
        let own = (spend(candidate).as_f64() - hosted) * months;
        told.break_even.push(break_even::hosted(&name, own, each, requests));
        Ok(Some(each * requests))
    }

    /// The API to weigh: its name, and what a million prompt and output tokens cost.
    fn api(&self, config: &WorldConfig) -> Result<Option<(String, f64, f64)>, Failure> {
        let of = |api: &crate::world::ApiPlan| (api.name.clone(), api.input.as_f64(), api.output.as_f64());
        let named = |name: &String| config.apis.iter().find(|api| api.name == *name).map(of);
        if let Some(name) = &self.horizon.api {
            return named(name).map(Some).ok_or_else(|| {
                let names: Vec<&str> = config.apis.iter().map(|api| api.name.as_str()).collect();
                let there = if names.is_empty() { "there is none".to_owned() } else { names.join(", ") };
                super::bad(format!(
                    "`api` of `horizon` of `plan` names `{name}`, which is no API of the scenario ({there})\n  add \
                     [[apis]] name = \"{name}\", with its prices"
                ))
            });
        }
        let overflow = config.streams.iter().find_map(|stream| stream.overflow);
        if let Some(api) = overflow.or((config.apis.len() == 1).then_some(0)) {
            return Ok(config.apis.get(api).map(of));
        }
        // The catalogue's, where all streams ask for one model and it has both prices.
        let Some(first) = config.streams.first() else { return Ok(None) };
        if !config.apis.is_empty() || config.streams.iter().any(|stream| stream.model != first.model) {
            return Ok(None);
        }
        let catalog = Catalog::embedded();
        Ok(catalog.hosted_models().find_map(|entry| {
            let (input, output) = (entry.input.as_ref()?, entry.output.as_ref()?);
            (entry.model == first.model)
                .then(|| (entry.name.clone(), input.value.as_f64(), output.value.as_f64()))
        }))
    }

    /// The cheapest candidate at other demand and prices.
    fn cheapest(&self, demand: f64, price: f64) -> (Option<Cheapest>, u64) {
        let points = self.points.grid.points();
        if points > MOST_SEARCHED {
            return (None, 0);
        }
        let resolve = |point: u64| {
            let found = self.points.loaded(point, &[]).map(resolved)?;
            let config = horizon::scaled(&found.config, demand, price);
            let config = config.ok_or_else(|| "its demand cannot be scaled".to_owned())?;
            Ok(Resolved { config, ..found })
        };
        let terms = Terms { frontier: 0, ..self.terms.clone() };
        let Ok(mut search) = Search::new(&terms, points, &resolve, self.done) else { return (None, 0) };
        let Ok(found) = search.run(points) else { return (None, 0) };
        let best = found.best.map(|best| &found.candidates[best]);
        let cheapest = best.and_then(|best| {
            let months = facts::months(resolve(best.point).ok()?.config.duration);
            Some(Cheapest {
                point: best.point,
                set: outcome::set(&self.points.grid, best.point),
                spend_usd_month: spend(best).as_f64() * months,
            })
        });
        (cheapest, found.simulations)
    }
}

/// What the pools of a candidate are needed for: in each interval in proportion to the least work of its requests,
/// and at the peak for what the candidate was found to bear: all of it at `bears` times today's demand.
fn needed(config: &WorldConfig, bears: f64) -> Vec<Needed> {
    let (placed, bounds) = (facts::placed(config), Bounds::default());
    let mut all: Vec<Needed> = Vec::new();
    for (streams, groups) in facts::parts(config, &placed, &bounds) {
        let Some(mut needed) = bounds.needed(config, &streams, &groups) else { continue };
        // Nothing is told of the warm-up.
        let warm = config.warmup.as_secs_f64() / config.duration.as_secs_f64() * needed.len() as f64;
        needed.drain(..(warm.ceil() as usize).min(needed.len()));
        let peak = needed.iter().copied().fold(0.0, f64::max);
        if peak <= 0.0 {
            continue;
        }
        let mut pools: Vec<usize> = streams
            .iter()
            .flat_map(|stream| &config.streams[*stream].deployments)
            .flat_map(|deployment| config.deployments[*deployment].options.iter().map(|o| o.pool.index()))
            .filter(|pool| config.pools[*pool].fleet.slots() > 0 && all.iter().all(|had| had.pool != *pool))
            .collect();
        pools.sort_unstable();
        pools.dedup();
        for pool in pools {
            let slots = f64::from(config.pools[pool].fleet.slots());
            let nodes: Vec<f64> = needed.iter().map(|need| need / peak * slots / bears).collect();
            let hours: f64 = nodes.iter().map(|nodes| (nodes - 1e-9).ceil()).sum();
            let used = hours / (slots * nodes.len() as f64);
            all.push(Needed { pool, nodes, used });
        }
    }
    all
}

/// What the electricity of a busy node costs an hour, where it is billed.
fn energy_usd_h(plan: &PoolPlan) -> f64 {
    let Some(power) = plan.power else { return 0.0 };
    let kilowatts = (power.idle_mw + power.more_mw) as f64 / 1e6 * f64::from(plan.fleet.cards_per_node);
    power.price.map_or(0.0, |price| price.as_f64() * kilowatts)
}

/// Preemptions an hour of a spot node, where its life says, and the hours for which the next one is paid before it
/// serves.
fn preemptions(config: &WorldConfig, pool: usize, spot: &PoolPlan) -> (Option<f64>, f64) {
    let Some(supply) = &spot.fleet.supply else { return (None, 0.0) };
    let life = supply.spot.as_ref().and_then(|spot| spot.life.as_ref());
    let rate = life.map(|life| 1.0 / life.mean().as_hours_f64().max(1e-9));
    let on_it = config
        .deployments
        .iter()
        .filter(|deployment| deployment.options.iter().any(|option| option.pool.index() == pool));
    let start = |deployment: &DeploymentConfig| {
        let start = &deployment.lifecycle.start;
        let stages = [start.image_pull, start.weight_load, start.warm_up];
        stages.iter().map(|stage| stage.mean().as_hours_f64()).sum::<f64>()
    };
    let start = on_it.map(start).fold(0.0, f64::max);
    let stages =
        supply.provisioning.boot.mean().as_hours_f64() + supply.provisioning.image_pull.mean().as_hours_f64();
    (rate, stages + start)
}
