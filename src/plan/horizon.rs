//! A fleet over months to years without simulating each second of them: representative windows.
//!
//! The horizon is cut into equal parts. For each, the scenario's own window is simulated with the demand and the
//! prices of the part's middle, and counts for the part (the midpoint rule: its error falls with the square of the
//! parts' length). Better engines serve more with the same cards: demand is counted in what a node can do. When asked
//! for, the whole horizon is simulated too, with demand that grows continuously and prices that fall month by month,
//! and the difference is told.

use serde::Serialize;

use super::commitment::Horizon;
use super::facts::{HOURS_PER_MONTH, months};
use super::judge::Promise;
use super::search::Case;
use crate::traffic::{Shape, Source};
use crate::units::{Duration, Instant, Rate, UsdPerHour};
use crate::world::{self, PoolPlan, RunError, RunOptions, WorldConfig};

/// Hours in a year, as 12 months of 730.
const HOURS_PER_YEAR: f64 = 12.0 * HOURS_PER_MONTH;
/// Times that the demand which a fleet can bear is halved in on.
const HALVINGS: u32 = 5;

/// The horizon of the best candidate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Course {
    /// Months.
    pub months: u32,
    /// The windows, in order of time.
    pub windows: Vec<Window>,
    /// What the best candidate, as it is, costs over the horizon, in US dollars.
    pub spend_usd: f64,
    /// The share of all requests of the horizon that meet their limits, of the stream that does worst; null where none
    /// has limits.
    pub attainment: Option<f64>,
    /// The demand that it bears, as a multiple of today's; no more than the horizon's end brings was tried.
    pub bears: f64,
    /// Months for which it keeps its promises; null when it does to the end.
    pub lasts_months: Option<f64>,
    /// The same second by second; null when it was not asked for, or cannot be.
    pub full_run: Option<FullRun>,
    /// Why there is no full run though it was asked for; null otherwise.
    pub no_full_run: Option<String>,
    /// Runs that it took.
    pub simulations: u64,
}

/// A window that stands for a part of the horizon.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Window {
    /// Months from now.
    pub month: f64,
    /// The share of the horizon that it stands for.
    pub weight: f64,
    /// Demand, in what a node can do, as a multiple of today's.
    pub demand: f64,
    /// What a month of it costs, in US dollars.
    pub spend_usd_month: f64,
    /// The least share over streams of requests that meet their limits; null where none has limits.
    pub attainment: Option<f64>,
    /// The worst stream's 99th percentile of TTFT, in seconds; null where queues grow without end.
    pub ttft_p99_s: Option<f64>,
    /// Whether every promise is kept.
    pub kept: bool,
    /// The cheapest candidate of the space that keeps every promise then; null when there is none, or it was not
    /// looked for.
    pub cheapest: Option<Cheapest>,
    /// What the hosted API would cost a month; null where none is weighed.
    pub hosted_usd_month: Option<f64>,
}

/// A candidate that is right in a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cheapest {
    /// Its number in the space.
    pub point: u64,
    /// Its values by path.
    pub set: std::collections::BTreeMap<String, serde_json::Value>,
    /// What a month of it costs then, in US dollars.
    pub spend_usd_month: f64,
}

/// The whole horizon, second by second.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FullRun {
    /// Requests that arrived.
    pub requests: u64,
    /// What the horizon costs, in US dollars.
    pub spend_usd: f64,
    /// The least share over streams of requests that meet their limits.
    pub attainment: Option<f64>,
    /// (spend of the windows − this spend) ÷ this spend.
    pub spend_error: f64,
    /// Attainment of the windows − this attainment.
    pub attainment_error: Option<f64>,
}

/// What is asked.
pub struct Question<'a> {
    /// The best candidate.
    pub config: &'a WorldConfig,
    /// What it has to keep.
    pub promises: &'a [Promise],
    /// Replications of each window.
    pub replications: u64,
    /// What the months bring.
    pub horizon: Horizon,
    /// Windows; at least 1.
    pub windows: u32,
    /// The demand that it [`bears`].
    pub bears: f64,
    /// Whether to simulate the whole horizon too.
    pub full_run: bool,
    /// The cheapest candidate at a multiple of the demand and of the prices, and the runs that it took.
    pub cheapest: &'a dyn Fn(f64, f64) -> (Option<Cheapest>, u64),
    /// What a hosted API would cost in a month of today, in US dollars.
    pub hosted_usd_month: Option<f64>,
    /// Called after each run.
    pub done: &'a (dyn Fn() + Sync),
}

/// The same scenario with `demand` times the requests, and `price` times what is paid by the hour; `None` where a
/// stream is a trace or a closed loop.
pub fn scaled(config: &WorldConfig, demand: f64, price: f64) -> Option<WorldConfig> {
    let mut config = config.clone();
    if demand != 1.0 {
        for stream in &mut config.streams {
            let open = open(&mut stream.traffic.source)?;
            open.rate = Rate::per_second(open.rate.as_per_second() * demand);
        }
    }
    if price != 1.0 {
        for pool in config.pools.iter_mut().filter(|pool| !pool.tariff.purchase.is_committed()) {
            pool.tariff.price = times(pool.tariff.price, price);
            for (_, later) in &mut pool.price_path {
                *later = times(*later, price);
            }
        }
    }
    Some(config)
}

fn times(price: UsdPerHour, factor: f64) -> UsdPerHour {
    UsdPerHour::from_f64(price.as_f64() * factor)
}

fn open(source: &mut Source) -> Option<&mut crate::traffic::OpenConfig> {
    match source {
        Source::Open(open) => Some(open),
        Source::Prefixed(prefixed) => open(&mut prefixed.source),
        Source::Closed(_) | Source::Trace(_) => None,
    }
}

/// The horizon of a fleet; `None` where its demand cannot be scaled.
///
/// # Errors
/// When a run fails.
pub fn course(question: &Question<'_>) -> Result<Option<Course>, RunError> {
    let Question { config, promises, horizon, .. } = question;
    let (all, count) = (f64::from(horizon.months), f64::from(question.windows));
    let mut told = Course {
        months: horizon.months,
        windows: Vec::new(),
        spend_usd: 0.0,
        attainment: None,
        bears: question.bears,
        lasts_months: None,
        full_run: None,
        no_full_run: None,
        simulations: 0,
    };
    // By promise: requests, and those that met their limits.
    let mut met = vec![(0.0, 0.0); promises.len()];
    for index in 0..question.windows {
        let month = all * (f64::from(index) + 0.5) / count;
        let (demand, price) = (horizon.demand(month), horizon.price(month));
        let Some(config) = scaled(config, demand, price) else { return Ok(None) };
        let mut case = Case::default();
        case.extend(&config, promises, question.replications, false, question.done)?;
        told.simulations += question.replications;
        let spend: f64 = case.spend.iter().map(|spend| spend.as_f64()).sum();
        let spend = spend / case.spend.len().max(1) as f64 * months(config.duration);
        for (at, met) in met.iter_mut().enumerate() {
            *met = (met.0 + demand, met.1 + demand * case.mean(at));
        }
        let (cheapest, runs) = (question.cheapest)(demand, price);
        told.simulations += runs;
        told.spend_usd += spend * all / count;
        told.windows.push(Window {
            month,
            weight: 1.0 / count,
            demand,
            spend_usd_month: spend,
            attainment: least(promises, |at| case.mean(at)),
            ttft_p99_s: Case::latency(&case.ttft_p99),
            kept: case.broken(promises).is_none(),
            cheapest,
            hosted_usd_month: question.hosted_usd_month.map(|usd| usd * demand),
        });
    }
    told.attainment = least(promises, |at| met[at].1 / met[at].0);
    // The month in which demand comes to what the fleet bears.
    let end = horizon.demand(all);
    told.lasts_months = (question.bears < end).then(|| all * libm::log(question.bears) / libm::log(end));
    if question.full_run {
        match question.whole() {
            Ok(config) => told.full_run = Some(question.second_by_second(&config, &mut told)?),
            Err(why) => told.no_full_run = Some(why),
        }
    }
    Ok(Some(told))
}

/// The least over the promises about attainment.
fn least(promises: &[Promise], of: impl Fn(usize) -> f64) -> Option<f64> {
    let about = promises.iter().enumerate().filter(|(_, promise)| promise.name.ends_with(".slo.attainment"));
    about.map(|(at, _)| of(at)).reduce(f64::min).filter(|share| share.is_finite())
}

/// The demand that a fleet bears, as a multiple of today's, up to that of the horizon's end: found by halving; and the
/// runs that it took. Where demand cannot be scaled it bears today's.
///
/// # Errors
/// When a run fails.
pub fn bears(
    config: &WorldConfig,
    promises: &[Promise],
    replications: u64,
    horizon: &Horizon,
    done: &(dyn Fn() + Sync),
) -> Result<(f64, u64), RunError> {
    let mut runs = 0;
    let mut keeps = |demand: f64| -> Result<bool, RunError> {
        let Some(config) = scaled(config, demand, 1.0) else { return Ok(false) };
        let mut case = Case::default();
        case.extend(&config, promises, replications, true, done)?;
        runs += case.values.len() as u64;
        Ok(case.broken(promises).is_none())
    };
    let most = horizon.demand(f64::from(horizon.months));
    if most <= 1.0 || keeps(most)? {
        return Ok((most.max(1.0), runs));
    }
    let (mut low, mut high) = (1.0, most);
    for _ in 0..HALVINGS {
        let middle = libm::sqrt(low * high);
        if keeps(middle)? { low = middle } else { high = middle }
    }
    Ok((low, runs))
}

impl Question<'_> {
    /// The scenario of the whole horizon, or why there is none.
    fn whole(&self) -> Result<WorldConfig, String> {
        let mut config = self.config.clone();
        let hours = f64::from(self.horizon.months) * HOURS_PER_MONTH;
        config.duration = Duration::from_secs_f64(hours * 3600.0);
        let per_week = libm::pow(self.horizon.demand(12.0), 168.0 / HOURS_PER_YEAR);
        for stream in &mut config.streams {
            let name = stream.traffic.name.clone();
            let Some(open) = open(&mut stream.traffic.source) else {
                return Err(format!("stream `{name}` is a trace or a closed loop"));
            };
            let once = |shape: &Shape| !matches!(shape, Shape::Diurnal { .. } | Shape::Weekly { .. });
            if open.shape.iter().any(once) {
                return Err(format!(
                    "stream `{name}` has a spike or a trend of its own, which happens in every window but once in the \
                     whole horizon"
                ));
            }
            if per_week != 1.0 {
                open.shape.push(Shape::Growth { per_week, cap: None });
            }
        }
        for pool in &mut config.pools {
            if !pool.price_path.is_empty() || pool.block.is_some() {
                return Err(format!("pool `{}` has prices or a block of its own in time", pool.fleet.name));
            }
            self.falling(pool);
        }
        Ok(config)
    }

    /// What is paid by the hour falls at the beginning of each month to the price of its middle.
    fn falling(&self, pool: &mut PoolPlan) {
        if pool.tariff.purchase.is_committed() || self.horizon.price_decline_per_year == 0.0 {
            return;
        }
        let price = pool.tariff.price;
        let of = |month: u32| times(price, self.horizon.price(f64::from(month) + 0.5));
        let begin =
            |month: u32| Instant::ZERO + Duration::from_secs_f64(f64::from(month) * HOURS_PER_MONTH * 3600.0);
        pool.price_path = (0..self.horizon.months).map(|month| (begin(month), of(month))).collect();
    }

    fn second_by_second(&self, config: &WorldConfig, told: &mut Course) -> Result<FullRun, RunError> {
        let results = world::run(config, RunOptions::default())?;
        (self.done)();
        told.simulations += 1;
        let values = super::judge::values(config, self.promises, &results);
        let attainment = least(self.promises, |at| values[at]);
        let spend = results.summary.spend.total_usd;
        Ok(FullRun {
            requests: results.summary.requests.arrived,
            spend_usd: spend,
            attainment,
            spend_error: if spend > 0.0 { (told.spend_usd - spend) / spend } else { 0.0 },
            attainment_error: told.attainment.zip(attainment).map(|(windows, full)| windows - full),
        })
    }
}
