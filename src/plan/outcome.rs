//! What a plan says: `plan --json`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::break_even::BreakEven;
use super::commitment::Level;
use super::facts::HOURS_PER_MONTH;
use super::grid::Grid;
use super::horizon::Course;
use super::judge::as_json;
use super::replicate::{cell, csv_text};
use super::search::{Candidate, Case, Excuse, Found, Relaxation, State, bottleneck, spend};
use super::spot::SpotLevel;
use super::statistics::ALPHA;
use super::uncertainty::Uncertainty;
use crate::metrics::Objective;

/// What a plan says. Money is in US dollars a month of 730 hours: what the window costs, times the windows in a
/// month.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// The verdict in a line.
    pub verdict: String,
    /// True when there is a candidate that keeps every promise.
    pub feasible: bool,
    /// What was made small.
    pub objective: &'static str,
    /// The best; null when there is none.
    pub best: Option<Best>,
    /// Every candidate, the best first.
    pub candidates: Vec<Row>,
    /// Candidates of which none other is both cheaper and faster, or both cheaper and surer, by spend.
    pub frontier: Vec<FrontierPoint>,
    /// No feasible candidate costs less than this; null when none is left that might be feasible.
    pub lower_bound_usd_month: Option<f64>,
    /// (spend of the best − lower bound) ÷ spend of the best; null without a best.
    pub gap: Option<f64>,
    /// Runs.
    pub simulations: u64,
    /// Candidates that were proven infeasible without simulating them.
    pub pruned: u64,
    /// Of these, candidates that only the integer relaxation ruled out.
    pub pruned_by_integers: u64,
    /// What the cheapest fleet of the space costs at least by the integer relaxation alone; null where it does not
    /// apply, or cards are made few.
    pub integer_bound_usd_month: Option<f64>,
    /// Candidates.
    pub points: u64,
    /// Replications by whose mean a candidate is judged, at most.
    pub replications: u64,
    /// How candidates race; null where all run as many replications.
    pub racing: Option<Racing>,
    /// The seed of replication 0.
    pub seed: u64,
    /// What must hold.
    pub promises: Vec<Held>,
    /// What makes the space infeasible and the least that would help; null when there is a best.
    pub relaxation: Option<Relaxed>,
    /// How far to commit, by pool of the best and way to commit; empty where no horizon is given.
    pub commitment: Vec<Level>,
    /// Where one way to pay begins to cost less than another; empty where no horizon is given.
    pub break_even: Vec<BreakEven>,
    /// How many nodes of each pool of the best may be spot; empty where spot is not weighed.
    pub spot: Vec<SpotLevel>,
    /// The months to come, by representative windows; null where no horizon is given.
    pub horizon: Option<Course>,
    /// What the uncertain numbers do to it; null when there are none.
    pub uncertainty: Option<Uncertainty>,
}

/// A race.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Racing {
    /// Replications at the first look.
    pub min: u64,
    /// Replications at the last.
    pub max: u64,
    /// The chance that the verdict on a promise of a candidate is wrong at any look is at most this.
    pub error: f64,
}

/// The best candidate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Best {
    /// Its number in the space.
    pub point: u64,
    /// Its values by path.
    pub set: BTreeMap<String, Value>,
    /// What a month costs: over replications, and over draws where numbers are uncertain.
    pub spend_usd_month: Spread,
    /// What it is spent on.
    pub spend_by_cause_usd_month: BTreeMap<String, f64>,
    /// The share of replications, or of draws where numbers are uncertain, in which every promise is kept.
    pub slo_met_probability: f64,
    /// Card-hours in a month.
    pub gpu_hours: f64,
    /// Cards.
    pub cards: u64,
    /// What stands next to its limit.
    pub bottleneck: String,
    /// What each promise came to.
    pub promises: Vec<Held>,
}

/// A mean with percentiles.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The 5th percentile.
    pub p5: f64,
    /// The 95th percentile.
    pub p95: f64,
}

/// A promise and what it came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Held {
    /// Its name.
    pub name: String,
    /// The limit.
    pub limit: f64,
    /// True when values must be at least the limit.
    pub at_least: bool,
    /// The mean over replications; null where there is none.
    pub value: Option<f64>,
}

/// One candidate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Its number in the space.
    pub point: u64,
    /// Its values by path.
    pub set: BTreeMap<String, Value>,
    /// `best`, `feasible`, `infeasible` (simulated), `pruned` (proven infeasible), `not-needed` (costs more than the
    /// best), `open` (the simulations were used up), `barred` (breaks a limit that needs no simulation) or
    /// `impossible` (cannot be run).
    pub status: &'static str,
    /// What a month costs: simulated, or its floor; null when it cannot be run.
    pub spend_usd_month: Option<f64>,
    /// What it is spent on, where it was simulated itself.
    pub spend_by_cause_usd_month: Option<BTreeMap<String, f64>>,
    /// Cards.
    pub cards: u64,
    /// Replications run of it.
    pub replications: u64,
    /// The worst stream's 99th percentile of TTFT, in seconds, where it was simulated and there is one.
    pub ttft_p99_s: Option<f64>,
    /// The least share of requests that met their limits over streams, where it was simulated.
    pub attainment: Option<f64>,
    /// A bound on it, where it was pruned by one.
    pub attainment_at_most: Option<f64>,
    /// Why it lost; null for the best.
    pub excuse: Option<Told>,
}

/// Why a candidate lost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Told {
    /// The constraint that it broke first.
    pub constraint: String,
    /// By how much, in the constraint's own unit (dollars a month for `spend`); null where that is no number.
    pub by: Option<f64>,
    /// In words.
    pub why: String,
}

/// A candidate that no other beats in both respects.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FrontierPoint {
    /// Its number in the space.
    pub point: u64,
    /// Its values by path.
    pub set: BTreeMap<String, Value>,
    /// What a month costs.
    pub spend_usd_month: f64,
    /// The worst stream's 99th percentile of TTFT, in seconds; null where queues grow without end.
    pub ttft_p99_s: Option<f64>,
    /// The largest share over streams of requests that missed a limit.
    pub risk: Option<f64>,
    /// Against which it stands: `latency`, `risk`.
    pub against: Vec<&'static str>,
    /// Whether it keeps every promise.
    pub feasible: bool,
}

/// What would help.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Relaxed {
    /// The constraint to relax.
    pub constraint: String,
    /// What it is.
    pub from: Option<f64>,
    /// What it would have to be; null where it would have to go.
    pub to: Option<f64>,
    /// The candidate that is then feasible.
    pub set: BTreeMap<String, Value>,
    /// What a month of it costs.
    pub spend_usd_month: f64,
    /// In words.
    pub why: String,
}

/// What is told beside what was found.
#[derive(Debug, Clone, Copy)]
pub struct Framing {
    /// Windows in a month.
    pub months: f64,
    /// Replications, at most.
    pub replications: u64,
    /// The first look of a race.
    pub race: Option<u64>,
    /// The seed.
    pub seed: u64,
    /// What was made small.
    pub objective: Objective,
}

/// The values of a point by path.
pub fn set(grid: &Grid, point: u64) -> BTreeMap<String, Value> {
    let values = grid.values(point);
    grid.axes().iter().map(|axis| axis.path.clone()).zip(values.iter().map(|value| as_json(value))).collect()
}

impl Outcome {
    /// What was found, in the form in which it is told.
    pub fn new(found: &Found, grid: &Grid, with: Framing, relaxation: Option<Relaxation>) -> Self {
        let months = with.months;
        let best = found.best.map(|best| Best::new(&found.candidates[best], found, grid, months));
        let integers =
            found.integer_bound.filter(|least| least.is_finite() && with.objective == Objective::Spend);
        // The better of both bounds.
        let lower = lower_bound(found).map(|usd| usd.max(integers.unwrap_or(0.0)) * months);
        let gap = best.as_ref().zip(lower).map(|(best, lower)| {
            let mean = best.spend_usd_month.mean;
            if mean > 0.0 { ((mean - lower) / mean).max(0.0) } else { 0.0 }
        });
        let relaxation = relaxation.map(|r| Relaxed {
            constraint: r.constraint,
            from: r.from,
            to: r.to,
            set: set(grid, r.point),
            spend_usd_month: r.spend_usd_month,
            why: r.why,
        });
        let objective =
            Objective::ALL.iter().find(|(_, o)| *o == with.objective).map_or("", |(name, _)| name);
        let mut outcome = Self {
            verdict: String::new(),
            feasible: best.is_some(),
            objective,
            best,
            candidates: rows(found, grid, months),
            frontier: frontier(found, grid, months),
            lower_bound_usd_month: lower,
            gap,
            simulations: found.simulations,
            pruned: found.pruned,
            pruned_by_integers: found.pruned_by_integers,
            integer_bound_usd_month: integers.map(|usd| usd * months),
            points: found.candidates.len() as u64,
            replications: with.replications,
            racing: with.race.map(|min| Racing { min, max: with.replications, error: ALPHA }),
            seed: with.seed,
            promises: found
                .promises
                .iter()
                .map(|p| Held { name: p.name.clone(), limit: p.limit, at_least: p.at_least, value: None })
                .collect(),
            relaxation,
            commitment: Vec::new(),
            break_even: Vec::new(),
            spot: Vec::new(),
            horizon: None,
            uncertainty: None,
        };
        outcome.verdict = outcome.in_a_line();
        outcome
    }

    /// Adds what uncertain numbers do to it, and judges the best by them.
    #[must_use]
    pub fn under(mut self, uncertainty: Uncertainty) -> Self {
        if let Some(best) = &mut self.best
            && let Some(judged) = uncertainty.candidates.iter().find(|judged| judged.point == best.point)
        {
            best.spend_usd_month = judged.spend_usd_month;
            best.slo_met_probability = judged.slo_met_probability;
        }
        self.simulations += uncertainty.simulations;
        self.uncertainty = Some(uncertainty);
        self.verdict = self.in_a_line();
        self
    }

    /// `candidates.csv`: a row a candidate, the best first.
    pub fn csv(&self) -> String {
        let paths: Vec<String> =
            self.candidates.first().map_or(Vec::new(), |row| row.set.keys().cloned().collect());
        let mut header = vec!["point".to_owned(), "status".to_owned()];
        header.extend(paths);
        header.extend(
            [
                "spend_usd_month",
                "cards",
                "replications",
                "ttft_p99_s",
                "attainment",
                "constraint",
                "by",
                "why",
            ]
            .map(str::to_owned),
        );
        let rows = self.candidates.iter().map(|row| {
            let mut cells = vec![row.point.to_string(), row.status.to_owned()];
            cells.extend(
                row.set.values().map(|value| value.as_str().map_or(value.to_string(), str::to_owned)),
            );
            cells.extend([cell(row.spend_usd_month), row.cards.to_string(), row.replications.to_string()]);
            cells.extend([cell(row.ttft_p99_s), cell(row.attainment)]);
            let excuse = row.excuse.as_ref();
            cells.push(excuse.map_or(String::new(), |excuse| excuse.constraint.clone()));
            cells.push(cell(excuse.and_then(|excuse| excuse.by)));
            cells.push(excuse.map_or(String::new(), |excuse| excuse.why.clone()));
            cells
        });
        csv_text(header, rows)
    }

    /// The verdict.
    pub fn in_a_line(&self) -> String {
        let sets = |set: &BTreeMap<String, Value>| {
            let one = |(path, value): (&String, &Value)| match value {
                Value::String(text) => format!("{path}={text}"),
                other => format!("{path}={other}"),
            };
            set.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        match (&self.best, &self.relaxation) {
            (Some(best), _) => {
                let spend = best.spend_usd_month;
                let how = match &self.uncertainty {
                    Some(drawn) => format!(
                        "kept in {:.1} % of {} draws, with the least regret,",
                        100.0 * best.slo_met_probability,
                        drawn.draws
                    ),
                    None => "kept".to_owned(),
                };
                format!(
                    "Every promise is {how} by {}: {:.0} USD a month ({:.0} to {:.0}), {:.0} GPU-hours; {}.",
                    sets(&best.set),
                    spend.mean,
                    spend.p5,
                    spend.p95,
                    best.gpu_hours,
                    best.bottleneck
                )
            }
            (None, Some(relaxed)) => {
                let to = match (relaxed.from, relaxed.to) {
                    (Some(from), Some(to)) => format!("moved from {from} to {to:.3}"),
                    _ => "left out".to_owned(),
                };
                format!(
                    "None of {} candidates keeps every promise: {} makes it so. {}, it could be kept by {} for {:.0} \
                     USD a month: {}.",
                    self.points,
                    relaxed.constraint,
                    capital(&to),
                    sets(&relaxed.set),
                    relaxed.spend_usd_month,
                    relaxed.why
                )
            }
            (None, None) => format!("None of {} candidates keeps every promise.", self.points),
        }
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// The least that a feasible candidate may cost for the window, in US dollars.
fn lower_bound(found: &Found) -> Option<f64> {
    let might = |candidate: &&Candidate| matches!(candidate.state, State::Open | State::Kept);
    let least = |candidate: &Candidate| match candidate.state {
        State::Kept => spend(candidate).as_f64(),
        _ => candidate.floor.as_f64(),
    };
    found.candidates.iter().filter(might).map(least).reduce(f64::min)
}

/// Percentiles of a few values, between them linearly.
pub fn spread(values: &[f64]) -> Spread {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = share * (sorted.len().saturating_sub(1)) as f64;
        let (low, high) = (place.floor() as usize, place.ceil() as usize);
        match (sorted.get(low), sorted.get(high)) {
            (Some(a), Some(b)) => a + (b - a) * (place - low as f64),
            _ => 0.0,
        }
    };
    let mean = sorted.iter().sum::<f64>() / sorted.len().max(1) as f64;
    // Equal values have themselves as their mean, whatever rounding says.
    let mean = if sorted.first() == sorted.last() { sorted.first().copied().unwrap_or(0.0) } else { mean };
    Spread { mean, p5: at(0.05), p95: at(0.95) }
}

fn causes(case: &Case, months: f64) -> Option<BTreeMap<String, f64>> {
    let first = case.first.as_ref()?;
    Some(first.spend.by_cause.iter().map(|(cause, usd)| (cause.clone(), usd * months)).collect())
}

impl Best {
    fn new(candidate: &Candidate, found: &Found, grid: &Grid, months: f64) -> Self {
        let empty = Case::default();
        let case = candidate.case.as_ref().unwrap_or(&empty);
        let spend: Vec<f64> = case.spend.iter().map(|spend| spend.as_f64() * months).collect();
        let kept = (0..case.values.len()).filter(|at| case.keeps_all(*at, &found.promises)).count();
        let held = found.promises.iter().enumerate().map(|(index, promise)| Held {
            name: promise.name.clone(),
            limit: promise.limit,
            at_least: promise.at_least,
            value: Some(case.mean(index)),
        });
        let card_hours =
            case.first.as_ref().map(|first| first.pools.iter().map(|pool| pool.card_hours).sum());
        Self {
            point: candidate.point,
            set: set(grid, candidate.point),
            spend_usd_month: spread(&spend),
            spend_by_cause_usd_month: causes(case, months).unwrap_or_default(),
            slo_met_probability: kept as f64 / case.values.len().max(1) as f64,
            gpu_hours: card_hours
                .map_or(candidate.cards as f64 * HOURS_PER_MONTH, |hours: f64| hours * months),
            cards: candidate.cards,
            bottleneck: case.first.as_ref().map_or(String::new(), |first| bottleneck(first)),
            promises: held.collect(),
        }
    }
}

/// The least attainment over streams.
fn attainment(found: &Found, case: &Case) -> Option<f64> {
    let of = found.promises.iter().enumerate().filter(|(_, p)| p.name.ends_with(".slo.attainment"));
    of.map(|(index, _)| case.mean(index)).reduce(f64::min).filter(|share| share.is_finite())
}

fn rows(found: &Found, grid: &Grid, months: f64) -> Vec<Row> {
    let best = found.best.map(|best| &found.candidates[best]);
    let mut order: Vec<(u8, &Candidate)> = found
        .candidates
        .iter()
        .map(|candidate| {
            let is_best = best.is_some_and(|best| best.point == candidate.point);
            let rank = match candidate.state {
                _ if is_best => 0,
                State::Kept => 1,
                State::Open => 2,
                State::Broken(_) => 3,
                State::Pruned(_) => 4,
                State::Barred(_) => 5,
                State::Impossible(_) => 6,
            };
            (rank, candidate)
        })
        .collect();
    order.sort_by_key(|(rank, candidate)| (*rank, spend(candidate), candidate.point));
    let row = |(rank, candidate): (u8, &Candidate)| {
        let case = candidate.case.as_ref().filter(|case| !case.values.is_empty());
        let costs_more = best.map(|best| {
            let by = (spend(candidate).as_f64() - spend(best).as_f64()) * months;
            let cards = candidate.cards as f64 - best.cards as f64;
            let (constraint, by, why) = match by {
                0.0 if cards > 0.0 => ("cards", Some(cards), "the best needs fewer"),
                0.0 => ("spend", Some(0.0), "the best costs the same and was tried first"),
                by if by > 0.0 => ("spend", Some(by), "the best needs less"),
                _ => ("regret", None, "cheaper in the middle, with more regret over the draws"),
            };
            Told { constraint: constraint.to_owned(), by, why: why.to_owned() }
        });
        let told = |excuse: &Excuse| Told {
            constraint: excuse.constraint.clone(),
            by: excuse.by,
            why: excuse.why.clone(),
        };
        let (status, excuse) = match &candidate.state {
            _ if rank == 0 => ("best", None),
            State::Kept => ("feasible", costs_more),
            State::Open if found.proven && best.is_some() => ("not-needed", costs_more),
            State::Open => {
                let why = "the simulations were used up before its turn".to_owned();
                ("open", Some(Told { constraint: "simulations".to_owned(), by: None, why }))
            }
            State::Broken(excuse) => ("infeasible", Some(told(excuse))),
            State::Pruned(excuse) => ("pruned", Some(told(excuse))),
            State::Barred(excuse) => ("barred", Some(told(excuse))),
            State::Impossible(excuse) => ("impossible", Some(told(excuse))),
        };
        Row {
            point: candidate.point,
            set: set(grid, candidate.point),
            status,
            spend_usd_month: (rank != 6).then(|| spend(candidate).as_f64() * months),
            spend_by_cause_usd_month: case.and_then(|case| causes(case, months)),
            cards: candidate.cards,
            replications: case.map_or(0, |case| case.values.len() as u64),
            ttft_p99_s: case.and_then(|case| Case::latency(&case.ttft_p99)),
            attainment: case.and_then(|case| attainment(found, case)),
            attainment_at_most: matches!(candidate.state, State::Pruned(_))
                .then_some(candidate.bound)
                .filter(|b| *b < 1.0),
            excuse,
        }
    };
    order.into_iter().map(row).collect()
}

fn frontier(found: &Found, grid: &Grid, months: f64) -> Vec<FrontierPoint> {
    struct Seen<'a> {
        candidate: &'a Candidate,
        spend: f64,
        latency: Option<f64>,
        risk: Option<f64>,
    }
    let mut seen: Vec<Seen<'_>> = found
        .candidates
        .iter()
        .filter_map(|candidate| {
            let case = candidate.case.as_ref().filter(|case| !case.values.is_empty())?;
            Some(Seen {
                candidate,
                spend: spend(candidate).as_f64() * months,
                latency: Case::latency(&case.ttft_p99),
                risk: attainment(found, case).map(|share| 1.0 - share),
            })
        })
        .collect();
    seen.sort_by(|a, b| a.spend.total_cmp(&b.spend).then(a.candidate.point.cmp(&b.candidate.point)));
    let mut points = Vec::new();
    for one in &seen {
        let beaten = |of: fn(&Seen<'_>) -> Option<f64>| {
            let Some(own) = of(one) else { return true };
            seen.iter().any(|other| {
                of(other).is_some_and(|value| {
                    let first = other.candidate.point < one.candidate.point;
                    value <= own
                        && other.spend <= one.spend
                        && (value < own || other.spend < one.spend || first)
                })
            })
        };
        let mut against = Vec::new();
        if !beaten(|seen| seen.latency) {
            against.push("latency");
        }
        if !beaten(|seen| seen.risk) {
            against.push("risk");
        }
        if !against.is_empty() {
            points.push(FrontierPoint {
                point: one.candidate.point,
                set: set(grid, one.candidate.point),
                spend_usd_month: one.spend,
                ttft_p99_s: one.latency,
                risk: one.risk,
                against,
                feasible: one
                    .candidate
                    .case
                    .as_ref()
                    .is_some_and(|case| case.broken(&found.promises).is_none()),
            });
        }
    }
    points
}
