//! Worlds simulated one by one, for fleets of which no load says beforehand how they fare: replicas or nodes that come
//! and go, stocks that run out, spot, users who wait for their answers.

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::{Judged, Question, Swing, Uncertainty};
use crate::plan::facts;
use crate::plan::outcome::spread;
use crate::plan::search::{Candidate, Case, Found, PlanError, State, spend};

/// More finalists than this are thinned out.
const FINALISTS: usize = 5;
/// Told with the result.
const METHOD: &str = "every finalist is simulated in every draw, one replication each";

/// What a finalist came to in a world: US dollars a month, and whether it kept every promise.
#[derive(Debug, Clone, Copy)]
struct Met {
    spend: f64,
    kept: bool,
}

/// Judges finalists by simulating each of them in each world; `None` where there is none.
///
/// # Errors
/// When a run fails.
pub fn judge(question: &Question<'_>, found: &Found) -> Result<Option<Uncertainty>, PlanError> {
    let finalists = finalists(found);
    if finalists.is_empty() {
        return Ok(None);
    }
    let worlds = question.worlds();
    let meet_all = |worlds: &[Vec<String>]| -> Result<Vec<Vec<Option<Met>>>, PlanError> {
        worlds.to_vec().into_par_iter().map(|sets| question.simulate(&finalists, &sets, found)).collect()
    };
    let met = meet_all(&worlds)?;
    let at = |changed: usize, share: f64| -> Vec<String> {
        let inputs = question.inputs.iter().enumerate();
        inputs.map(|(index, input)| (input.set)(if index == changed { share } else { 0.5 })).collect()
    };
    let ends: Vec<Vec<String>> = std::iter::once(at(usize::MAX, 0.5))
        .chain((0..question.inputs.len()).flat_map(|index| [at(index, 0.05), at(index, 0.95)]))
        .collect();
    let ends = meet_all(&ends)?;
    let optimal: Vec<f64> = met.iter().map(|met| cheapest(met)).collect();
    let mut judged = Vec::new();
    for (index, point) in finalists.iter().enumerate() {
        let own: Option<Vec<Met>> = met.iter().map(|met| met[index]).collect();
        // It cannot be built in some world.
        let Some(own) = own else { continue };
        let spends: Vec<f64> = own.iter().map(|met| met.spend).collect();
        let kept = own.iter().filter(|met| met.kept).count();
        judged.push(Judged {
            point: *point,
            set: (question.set)(*point),
            spend_usd_month: spread(&spends),
            slo_met_probability: kept as f64 / own.len().max(1) as f64,
            bears: None,
            right_in_the_middle: ends[0][index].is_some_and(|met| met.kept),
            regret: own.iter().zip(&optimal).map(|(met, y)| question.regret.of(met.spend, *y)).sum(),
        });
    }
    judged.sort_by(|a, b| a.regret.total_cmp(&b.regret).then(a.point.cmp(&b.point)));
    let mut tornado: Vec<Swing> = question
        .inputs
        .iter()
        .zip(ends[1..].chunks(2))
        .map(|(input, ends)| Swing {
            input: input.path.clone(),
            low_usd_month: cheapest(&ends[0]),
            high_usd_month: cheapest(&ends[1]),
            low_load: None,
            high_load: None,
        })
        .collect();
    let usd = |swing: &Swing| (swing.high_usd_month - swing.low_usd_month).abs();
    tornado.sort_by(|a, b| usd(b).total_cmp(&usd(a)));
    let checked = worlds.len() as u64;
    Ok((!judged.is_empty()).then(|| Uncertainty {
        draws: question.draws,
        inputs: question.inputs.iter().map(|input| input.path.clone()).collect(),
        candidates: judged,
        tornado,
        middle_usd_month: cheapest(&ends[0]),
        simulations: (met.len() + ends.len()) as u64 * finalists.len() as u64,
        checked,
        agreeing: checked,
        method: METHOD,
    }))
}

/// The best, and others evenly over what they cost.
fn finalists(found: &Found) -> Vec<u64> {
    let best = found.best.map(|best| found.candidates[best].point);
    let mut order: Vec<&Candidate> = found
        .candidates
        .iter()
        .filter(|candidate| matches!(candidate.state, State::Kept | State::Open | State::Broken(_)))
        .collect();
    order.sort_by_key(|candidate| (spend(candidate), candidate.cards, candidate.point));
    let count = order.len();
    let slice = |at: usize| at * FINALISTS / count.max(1);
    order
        .iter()
        .enumerate()
        .filter(|(at, candidate)| {
            count <= FINALISTS || *at == 0 || slice(*at) != slice(at - 1) || best == Some(candidate.point)
        })
        .map(|(_, candidate)| candidate.point)
        .collect()
}

/// The least spend with every promise kept; where none keeps them, the most: less would be no better.
fn cheapest(met: &[Option<Met>]) -> f64 {
    let all = || met.iter().flatten();
    let kept = all().filter(|met| met.kept).map(|met| met.spend).reduce(f64::min);
    kept.or(all().map(|met| met.spend).reduce(f64::max)).unwrap_or(0.0)
}

impl Question<'_> {
    /// What every finalist comes to in a world; `None` where it cannot be built.
    fn simulate(
        &self,
        finalists: &[u64],
        sets: &[String],
        found: &Found,
    ) -> Result<Vec<Option<Met>>, PlanError> {
        let one = |point: &u64| -> Result<Option<Met>, PlanError> {
            let Ok(resolved) = (self.resolve)(*point, sets) else { return Ok(None) };
            let mut case = Case::default();
            case.extend(&resolved.config, &found.promises, 1, false, self.done)
                .map_err(Self::failed(*point))?;
            let mut kept = case.broken(&found.promises).is_none();
            for (_, config) in &facts::losses(&resolved.config, &self.terms.goals) {
                if !kept {
                    break;
                }
                let mut case = Case::default();
                case.extend(config, &found.promises, 1, false, self.done).map_err(Self::failed(*point))?;
                kept = case.broken(&found.promises).is_none();
            }
            let usd: f64 = case.spend.iter().map(|spend| spend.as_f64()).sum();
            Ok(Some(Met { spend: usd * facts::months(resolved.config.duration), kept }))
        };
        finalists.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_spend_of_a_world() {
        let met = |spend: f64, kept: bool| Some(Met { spend, kept });
        assert_eq!(cheapest(&[met(3.0, false), met(5.0, true), None, met(7.0, true)]), 5.0);
        assert_eq!(cheapest(&[met(3.0, false), met(5.0, false)]), 5.0);
        assert_eq!(cheapest(&[None]), 0.0);
    }
}
