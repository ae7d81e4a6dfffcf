//! What makes a space infeasible, and the least that would help.

use super::{Case, Found, PlanError, Search, State, Terms, facts, spend};
use crate::metrics::Goals;
use crate::metrics::results::{Quantiles, StreamSummary};

/// What would help.
#[derive(Debug, Clone, PartialEq)]
pub struct Relaxation {
    /// The constraint to relax.
    pub constraint: String,
    /// What it is; `None` where it is no number.
    pub from: Option<f64>,
    /// What it would have to be; `None` where it would have to go.
    pub to: Option<f64>,
    /// The point that is then feasible.
    pub point: u64,
    /// What a month of it costs, in US dollars.
    pub spend_usd_month: f64,
    /// In words.
    pub why: String,
}

/// Candidates that are simulated in full to see how near they come.
const LOOKED_AT: usize = 4;

impl Search<'_> {
    /// After a search that found nothing: the one constraint whose relaxation helps with the least change, tried in
    /// the order limits without simulation, losses to survive, promises. `found` has what was simulated so far.
    ///
    /// # Errors
    /// When a run fails.
    pub fn relaxation(&mut self, found: &mut Found) -> Result<Option<Relaxation>, PlanError> {
        let barred_by = |name: &str| {
            found.candidates.iter().any(|c| matches!(&c.state, State::Barred(why) if why.constraint == name))
        };
        let goals = &self.terms.goals;
        let mut trials: Vec<(&str, Goals)> = Vec::new();
        if barred_by("budget_usd_month") {
            trials.push(("budget_usd_month", Goals { budget_usd_month: None, ..goals.clone() }));
        }
        if barred_by("power_kw") {
            trials.push(("power_kw", Goals { power_kw: None, ..goals.clone() }));
        }
        if barred_by("providers") {
            trials.push(("providers", Goals { providers: Vec::new(), ..goals.clone() }));
        }
        if barred_by("regions") {
            trials.push(("regions", Goals { regions: Vec::new(), ..goals.clone() }));
        }
        if goals.survive.is_some() {
            trials.push(("survive", Goals { survive: None, ..goals.clone() }));
        }
        for (name, goals) in trials {
            let terms = Terms { goals, frontier: 0, ..self.terms.clone() };
            let points = found.candidates.len() as u64;
            let mut without = Search::new(&terms, points, self.resolve, self.done)?;
            std::mem::swap(&mut without.known, &mut self.known);
            let other = without.run(points)?;
            std::mem::swap(&mut without.known, &mut self.known);
            found.simulations += other.simulations;
            if let Some(best) = other.best {
                return Ok(Some(self.without(name, &other, best)));
            }
        }
        self.nearest_promise(found)
    }

    /// A constraint that needs no simulation, or the losses, without which there is a feasible fleet.
    fn without(&self, name: &str, found: &Found, best: usize) -> Relaxation {
        let candidate = &found.candidates[best];
        let month = (self.resolve)(candidate.point)
            .map(|resolved| (facts::months(resolved.config.duration), resolved.power_kw()));
        let (months, power) = month.unwrap_or((0.0, None));
        let usd = spend(candidate).as_f64() * months;
        let goals = &self.terms.goals;
        let (from, to, why) = match name {
            "budget_usd_month" => {
                let why = format!("the cheapest fleet that keeps every promise costs {usd:.2} USD a month");
                (goals.budget_usd_month, Some(usd), why)
            }
            "power_kw" => {
                let why = "the cheapest fleet that keeps every promise needs more power".to_owned();
                (goals.power_kw, power, why)
            }
            "survive" => (None, None, "with nothing lost the promises can be kept".to_owned()),
            _ => (None, None, format!("without this limit on {name} the promises can be kept")),
        };
        Relaxation {
            constraint: name.to_owned(),
            from,
            to,
            point: candidate.point,
            spend_usd_month: usd,
            why,
        }
    }

    /// The candidate that comes nearest to keeping all promises, and what it keeps.
    fn nearest_promise(&mut self, found: &mut Found) -> Result<Option<Relaxation>, PlanError> {
        let mut likely: Vec<usize> = (0..found.candidates.len())
            .filter(|index| {
                matches!(found.candidates[*index].state, State::Broken(_) | State::Pruned(_) | State::Open)
            })
            .collect();
        likely.sort_by(|a, b| {
            let (a, b) = (&found.candidates[*a], &found.candidates[*b]);
            b.bound.total_cmp(&a.bound).then(b.headroom.total_cmp(&a.headroom)).then(a.point.cmp(&b.point))
        });
        likely.truncate(LOOKED_AT);
        // All that were simulated count, these in full.
        let judged = self.judge_all(&found.candidates, &likely, false)?;
        let mut nearest: Option<(f64, usize, Case)> = None;
        for (index, case, _) in judged {
            let Some(case) = case else { continue };
            let short = |(at, promise): (usize, &super::Promise)| promise.broken_by(case.mean(at)).max(0.0);
            let short: f64 = self.promises.iter().enumerate().map(short).sum();
            if nearest.as_ref().is_none_or(|(least, ..)| short < *least) {
                nearest = Some((short, index, case));
            }
        }
        found.simulations = found.simulations.max(self.simulations);
        let Some((_, index, case)) = nearest else { return Ok(None) };
        let candidate = &found.candidates[index];
        let Some((promise, _)) = case.broken(&self.promises) else { return Ok(None) };
        let (promise, mean) = (&self.promises[promise], case.mean(promise));
        let months = (self.resolve)(candidate.point).map(|r| facts::months(r.config.duration)).unwrap_or(0.0);
        // Rounded the way that the candidate still keeps it.
        let thousandths = if promise.at_least { (mean * 1e3).floor() } else { (mean * 1e3).ceil() };
        let reached = reached(&case, &promise.name, promise.limit);
        Ok(Some(Relaxation {
            constraint: promise.name.clone(),
            from: Some(promise.limit),
            to: Some(thousandths / 1e3),
            point: candidate.point,
            spend_usd_month: case.mean_spend() * months,
            why: format!("the candidate that comes nearest reaches {mean:.4}{reached}"),
        }))
    }
}

/// The latencies that the candidate does reach for as many requests as were promised: limits that would be kept.
fn reached(case: &Case, promise: &str, share: f64) -> String {
    let Some(first) = &case.first else { return String::new() };
    let of = |stream: &&StreamSummary| promise == format!("streams.{}.slo.attainment", stream.name);
    let Some(stream) = first.streams.iter().find(of) else { return String::new() };
    let latency = &stream.latency;
    let one = |(name, quantiles): (&str, &Quantiles)| {
        let (word, value) = if share <= 0.99 { ("p99", quantiles.p99) } else { ("max", quantiles.max) };
        value.map(|seconds| format!("{name} {word} {:.1} ms", 1e3 * seconds))
    };
    let told: Vec<String> = [("TTFT", &latency.ttft_s), ("TPOT", &latency.tpot_s), ("E2E", &latency.e2e_s)]
        .into_iter()
        .filter_map(one)
        .collect();
    match told.as_slice() {
        [] => String::new(),
        told => format!("; limits above what it does reach would be kept: {}", told.join(", ")),
    }
}
