//! What goes into a search, and what comes out of it.

use super::case::Case;
use crate::metrics::{Goals, Objective};
use crate::plan::facts::{self, Site};
use crate::plan::judge::Promise;
use crate::units::Usd;
use crate::world::{RunError, WorldConfig};

/// A point of the space, resolved.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// What is run.
    pub config: WorldConfig,
    /// Where its pools are, in their order.
    pub sites: Vec<Site>,
}

impl Resolved {
    /// What all cards are designed to draw, in kilowatts; `None` when that of one is not known.
    pub fn power_kw(&self) -> Option<f64> {
        let used = self.config.pools.iter().zip(&self.sites).filter(|(pool, _)| pool.fleet.slots() > 0);
        let watts: Option<f64> = used
            .map(|(pool, site)| {
                let cards = f64::from(pool.fleet.slots()) * f64::from(pool.fleet.cards_per_node);
                Some(site.card_power?.as_f64() * cards)
            })
            .sum();
        watts.map(|watts| watts / 1000.0)
    }
}

/// Resolves a point, or says in a line why it is none.
pub type Resolve<'a> = &'a (dyn Fn(u64) -> Result<Resolved, String> + Sync);

/// What is asked.
#[derive(Debug, Clone)]
pub struct Terms {
    /// What must hold.
    pub goals: Goals,
    /// What is made small.
    pub objective: Objective,
    /// Replications by whose mean a candidate is judged.
    pub replications: u64,
    /// Where candidates race: after how many replications it is looked at first whether more are needed.
    pub race: Option<u64>,
    /// No more simulations than this; the gap then says how far the result may be from the optimum.
    pub max_simulations: u64,
    /// How many more than the search needs may be simulated for the frontier.
    pub frontier: u64,
}

impl Terms {
    /// Simulates a case until it is decided.
    ///
    /// # Errors
    /// When a run fails.
    pub fn decide(
        &self,
        case: &mut Case,
        config: &WorldConfig,
        promises: &[Promise],
        curtail: bool,
        done: &(dyn Fn() + Sync),
    ) -> Result<(), RunError> {
        match self.race {
            Some(first) => case.race(config, promises, (first, self.replications), done),
            None => case.extend(config, promises, self.replications, curtail, done),
        }
    }

    /// Replications of what is simulated beside the search.
    pub fn beside(&self) -> u64 {
        self.race.unwrap_or(self.replications)
    }
}

/// Why a candidate lost.
#[derive(Debug, Clone, PartialEq)]
pub struct Excuse {
    /// The constraint that it broke first: a promise, `budget_usd_month`, `power_kw`, `providers`, `regions`,
    /// `spend` (it costs more than the best), `cards`, or `scenario` (it cannot be run).
    pub constraint: String,
    /// By how much, in the constraint's own unit; `None` where that is no number.
    pub by: Option<f64>,
    /// In words.
    pub why: String,
}

/// How far a candidate got.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum State {
    /// Not looked at: everything that costs as much was not needed, or the simulations were used up.
    #[default]
    Open,
    /// It cannot be run.
    Impossible(Excuse),
    /// It breaks a limit that needs no simulation.
    Barred(Excuse),
    /// It was proven not to keep its promises without simulating it.
    Pruned(Excuse),
    /// It was simulated, or one that serves alike, and breaks a promise.
    Broken(Excuse),
    /// It was simulated, or one that serves alike, and keeps all.
    Kept,
}

/// One point of the space.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its number in the grid.
    pub point: u64,
    /// How far it got.
    pub state: State,
    /// The least that is billed for the window; exact where nothing starts or ends within it.
    pub floor: Usd,
    /// Cards provisioned.
    pub cards: u64,
    /// Capacity over demand, roughly: only an order among equals.
    pub headroom: f64,
    /// A bound on the share of requests that meet their limits.
    pub bound: f64,
    /// Whether the integer relaxation pruned it.
    pub by_integers: bool,
    /// What was simulated of it, whole.
    pub case: Option<Case>,
    /// Shared with fleets that serve alike.
    pub(super) likeness: Option<String>,
}

/// What the search found.
#[derive(Debug)]
pub struct Found {
    /// Every point, in order.
    pub candidates: Vec<Candidate>,
    /// The promises.
    pub promises: Vec<Promise>,
    /// The place of the best in `candidates`.
    pub best: Option<usize>,
    /// Runs.
    pub simulations: u64,
    /// Candidates that were proven infeasible without simulating them or one alike.
    pub pruned: u64,
    /// True when no cheaper candidate is left that might keep its promises.
    pub proven: bool,
    /// The least of what is made small that the integer relaxation of the space allows, in US dollars for the window
    /// or in cards; `None` where there is none.
    pub integer_bound: Option<f64>,
    /// Candidates that only the integer relaxation pruned.
    pub pruned_by_integers: u64,
}

/// The mean of what a candidate is billed; its floor where it was not simulated itself.
pub fn spend(candidate: &Candidate) -> Usd {
    match &candidate.case {
        Some(case) if !case.spend.is_empty() => {
            let sum: i64 = case.spend.iter().map(|spend| spend.as_micros()).sum();
            Usd::from_micros(sum / case.spend.len() as i64)
        }
        _ => candidate.floor,
    }
}

/// The first limit that a fleet breaks without being run.
pub(super) fn barred(resolved: &Resolved, floor: Usd, goals: &Goals) -> Option<Excuse> {
    let Resolved { config, sites } = resolved;
    let used = || config.pools.iter().zip(sites).filter(|(pool, _)| pool.fleet.slots() > 0);
    let excuse =
        |constraint: &str, by, why: String| Some(Excuse { constraint: constraint.to_owned(), by, why });
    for (pool, site) in used() {
        let provider = &pool.fleet.provider;
        if !goals.providers.is_empty() && !goals.providers.contains(provider) {
            return excuse(
                "providers",
                None,
                format!("pool `{}` is bought from {provider}", pool.fleet.name),
            );
        }
        if !goals.regions.is_empty() && !goals.regions.contains(&site.region) {
            let region = if site.region.is_empty() { "a region nobody names" } else { &site.region };
            return excuse("regions", None, format!("pool `{}` is in {region}", pool.fleet.name));
        }
    }
    if let Some(most) = goals.power_kw {
        let Some(power) = resolved.power_kw() else {
            let unknown = used().find(|(_, site)| site.card_power.is_none());
            let card = unknown.map_or("", |(pool, _)| pool.fleet.accelerator.as_str());
            return excuse("power_kw", None, format!("nobody knows the design power of {card}"));
        };
        if power > most {
            return excuse(
                "power_kw",
                Some(power - most),
                format!("its cards are designed for {power:.2} kW"),
            );
        }
    }
    if let Some(most) = goals.budget_usd_month {
        let month = floor.as_f64() * facts::months(config.duration);
        if month > most {
            return excuse("budget_usd_month", Some(month - most), format!("a month costs {month:.2} USD"));
        }
    }
    None
}
