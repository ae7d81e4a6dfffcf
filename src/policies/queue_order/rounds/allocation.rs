//! How much of each pool's time every job should get: the linear programs of Gavel (Narayanan et al., OSDI
//! 2020, sections 3 and 4). A job's allocation on a pool is the share of time for which it holds its gang
//! there; over all pools it is at most 1, and over all jobs cards times share is at most the pool's cards.
//!
//! A program has many solutions where one job bounds the objective: of those the one is taken that does most
//! work, each job's measured by its fastest pool.

use std::collections::VecDeque;

use good_lp::{Expression, ProblemVariables, Solution, SolverModel, Variable, constraint, microlp, variable};

use super::Objective;
use crate::sim::RandomStream;

/// A job as an allocation sees it.
#[derive(Debug, Clone)]
pub(super) struct Claimant {
    /// Cards of its gang.
    pub(super) cards: f64,
    /// Its user's share against the others'.
    pub(super) weight: f64,
    /// The share of the whole job that it does in a second on each pool; 0 where it may not run.
    pub(super) rates: Vec<f64>,
    /// The share of it that is left to do; above 0.
    pub(super) left: f64,
    /// Seconds since its submission.
    pub(super) age: f64,
    /// Seconds to its deadline; infinite without one.
    pub(super) due: f64,
}

/// Shares of time by job and pool.
pub(super) type Allocation = Vec<Vec<f64>>;

/// The pools: cards, and dollars for an hour of one.
#[derive(Debug)]
pub(super) struct Pools<'a> {
    pub(super) cards: &'a [f64],
    pub(super) prices: &'a [f64],
}

/// The allocation that an objective asks for, for jobs in order of submission. `kept` says who held which pool
/// under the last one, in order of submission; who has ended is nobody.
pub(super) fn allocate(
    objective: Objective,
    claimants: &[Claimant],
    pools: &Pools<'_>,
    kept: &[(Option<usize>, usize)],
    draws: &mut RandomStream,
) -> Allocation {
    if claimants.is_empty() {
        return Allocation::new();
    }
    match objective {
        Objective::Fifo { fastest: true } => by_speed(claimants, pools.cards),
        Objective::Fifo { fastest: false } => by_chance(claimants, pools.cards, kept, draws),
        Objective::MaxMin { aware: true } => {
            let isolated = throughputs(claimants, &equal(claimants, pools.cards));
            let target = |(of, isolated): (&Claimant, &f64)| of.weight * isolated / of.cards;
            let targets: Vec<f64> = claimants.iter().zip(&isolated).map(target).collect();
            maximin(claimants, pools.cards, &targets).1
        }
        Objective::MaxMin { aware: false } => unaware(claimants, pools.cards),
        Objective::FinishTime => finish_time(claimants, pools.cards),
        Objective::Makespan => {
            // Nobody gets more than it needs to end with the others.
            let relative: Vec<f64> = claimants.iter().map(|of| of.left / fastest(of)).collect();
            let scale = relative.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
            level(claimants, pools.cards, &relative, scale)
                .map_or_else(|| equal(claimants, pools.cards), |(_, allocation)| allocation)
        }
        Objective::Cost => cheapest(claimants, pools),
    }
}

/// Max-min over time alone, all cards being alike: each job's time over all pools, by card and weight, is
/// raised together until all is given away or the job runs all the time, and is spread over the pools as
/// their cards are. Jobs that may not run everywhere are spread first; where they crowd a pool, a program
/// decides.
fn unaware(claimants: &[Claimant], cards: &[f64]) -> Allocation {
    let all: f64 = cards.iter().sum();
    // Who runs all the time wants `cards / weight` of the level, in this order.
    let mut order: Vec<usize> = (0..claimants.len()).collect();
    let full = |of: &Claimant| of.cards / of.weight;
    order.sort_by(|a, b| full(&claimants[*a]).total_cmp(&full(&claimants[*b])).then(a.cmp(b)));
    let (mut left, mut weights) = (all, claimants.iter().map(|of| of.weight).sum::<f64>());
    let mut times = vec![0.0; claimants.len()];
    for job in order {
        let of = &claimants[job];
        let level = (left / weights).min(full(of));
        times[job] = (level * of.weight / of.cards).min(1.0);
        left -= times[job] * of.cards;
        weights -= of.weight;
    }
    let mut room = cards.to_vec();
    let mut allocation = vec![Vec::new(); claimants.len()];
    for restricted in [true, false] {
        let before = room.clone();
        for (job, of) in claimants.iter().enumerate() {
            if of.rates.contains(&0.0) != restricted {
                continue;
            }
            let open = |pool: usize| if of.rates[pool] > 0.0 { before[pool] } else { 0.0 };
            let sum: f64 = (0..cards.len()).map(open).sum();
            let row: Vec<f64> =
                (0..cards.len()).map(|pool| times[job] * open(pool) / sum.max(f64::MIN_POSITIVE)).collect();
            row.iter().zip(&mut room).for_each(|(share, room)| *room -= share * of.cards);
            allocation[job] = row;
        }
    }
    if room.iter().all(|room| *room > -1e-9) {
        return allocation;
    }
    let alike = |of: &Claimant| {
        let rates = of.rates.iter().map(|rate| if *rate > 0.0 { 1.0 } else { 0.0 }).collect();
        Claimant { rates, ..of.clone() }
    };
    let alike: Vec<Claimant> = claimants.iter().map(alike).collect();
    let targets: Vec<f64> = claimants.iter().map(|of| of.weight / of.cards).collect();
    maximin(&alike, cards, &targets).1
}

/// Every pool divided equally among the jobs (Gavel's isolated allocation).
fn equal(claimants: &[Claimant], cards: &[f64]) -> Allocation {
    let count = claimants.len() as f64;
    let share = |of: &Claimant| -> Vec<f64> {
        let mut row: Vec<f64> = cards
            .iter()
            .zip(&of.rates)
            .map(|(cards, rate)| if *rate > 0.0 { cards / count / of.cards } else { 0.0 })
            .collect();
        let sum: f64 = row.iter().sum();
        row.iter_mut().for_each(|share| *share /= sum.max(1.0));
        row
    };
    claimants.iter().map(share).collect()
}

/// Work done in a second under an allocation, by job.
fn throughputs(claimants: &[Claimant], allocation: &Allocation) -> Vec<f64> {
    let of = |(of, row): (&Claimant, &Vec<f64>)| of.rates.iter().zip(row).map(|(rate, x)| rate * x).sum();
    claimants.iter().zip(allocation).map(of).collect()
}

fn fastest(of: &Claimant) -> f64 {
    of.rates.iter().copied().fold(f64::MIN_POSITIVE, f64::max)
}

/// The variables of a program and what binds them whatever the objective.
struct Program {
    variables: ProblemVariables,
    shares: Vec<Vec<Option<Variable>>>,
}

impl Program {
    fn new(claimants: &[Claimant]) -> Self {
        let mut variables = ProblemVariables::new();
        let mut share = |rate: &f64| (*rate > 0.0).then(|| variables.add(variable().min(0.0)));
        let shares = claimants.iter().map(|of| of.rates.iter().map(&mut share).collect()).collect();
        Self { variables, shares }
    }

    /// Work done by a job in a second, over that on its fastest pool.
    fn work(&self, claimants: &[Claimant], job: usize) -> Expression {
        let of = &claimants[job];
        let top = fastest(of);
        let terms = self.shares[job].iter().zip(&of.rates);
        terms.filter_map(|(share, rate)| Some((*share)? * (rate / top))).sum()
    }

    /// Solves; `bounds` gives each job the least work that it has to do, as [`Program::work`] counts it.
    fn solve(
        self,
        objective: Expression,
        claimants: &[Claimant],
        cards: &[f64],
        bounds: Vec<Expression>,
    ) -> Option<(f64, Allocation)> {
        let works: Vec<Expression> = (0..claimants.len()).map(|job| self.work(claimants, job)).collect();
        let shares = self.shares;
        let mut model = self.variables.maximise(objective.clone()).using(microlp);
        for row in &shares {
            let sum: Expression = row.iter().flatten().sum();
            model = model.with(constraint!(sum <= 1.0));
        }
        for (pool, cards) in cards.iter().enumerate() {
            let used = claimants.iter().zip(&shares);
            let used: Expression = used.filter_map(|(of, row)| Some(row[pool]? * of.cards)).sum();
            model = model.with(constraint!(used <= *cards));
        }
        for (work, bound) in works.into_iter().zip(bounds) {
            model = model.with(constraint!(work >= bound));
        }
        let solution = model.solve().ok()?;
        let value =
            |share: &Option<Variable>| share.map_or(0.0, |share| solution.value(share).clamp(0.0, 1.0));
        let allocation = shares.iter().map(|row| row.iter().map(value).collect()).collect();
        Some((solution.eval(objective), allocation))
    }
}

/// The largest factor by which all targets (work in a second) are met together, and an allocation that does
/// so and beyond that most work.
fn maximin(claimants: &[Claimant], cards: &[f64], targets: &[f64]) -> (f64, Allocation) {
    let relative: Vec<f64> = claimants.iter().zip(targets).map(|(of, target)| target / fastest(of)).collect();
    // Factors near 1 keep the program well scaled.
    let scale = relative.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let Some((factor, first)) = level(claimants, cards, &relative, scale) else {
        return (0.0, equal(claimants, cards));
    };
    // A little less, so that rounding leaves a solution.
    let kept = factor / scale * (1.0 - 1e-7);
    let program = Program::new(claimants);
    let bounds = relative.iter().map(|target| Expression::from(target * kept)).collect();
    let works: Expression = (0..claimants.len()).map(|job| program.work(claimants, job)).sum();
    let allocation =
        program.solve(works, claimants, cards, bounds).map_or(first, |(_, allocation)| allocation);
    (factor / scale, allocation)
}

/// The largest factor alone, times `scale`.
fn level(claimants: &[Claimant], cards: &[f64], relative: &[f64], scale: f64) -> Option<(f64, Allocation)> {
    let mut program = Program::new(claimants);
    let factor = program.variables.add(variable().min(0.0));
    let bounds = relative.iter().map(|target| (target / scale) * factor).collect();
    program.solve(factor.into(), claimants, cards, bounds)
}

/// Gavel's finish-time fairness, after Themis: the least possible largest ratio of the time that a job takes
/// from submission to end under the allocation to that under an equal share of every pool. From the ratios
/// of one allocation the next step demands the largest of them of all jobs; each step is a linear program,
/// and the largest ratio falls until the program has nothing to spare.
fn finish_time(claimants: &[Claimant], cards: &[f64]) -> Allocation {
    let mut allocation = equal(claimants, cards);
    let alone: Vec<f64> = claimants
        .iter()
        .zip(throughputs(claimants, &allocation))
        .map(|(of, rate)| of.age + of.left / rate.max(f64::MIN_POSITIVE))
        .collect();
    for _ in 0..20 {
        let rates = throughputs(claimants, &allocation);
        let ratio = |((of, rate), alone): ((&Claimant, &f64), &f64)| {
            (of.age + of.left / rate.max(f64::MIN_POSITIVE)) / alone
        };
        let largest = claimants.iter().zip(&rates).zip(&alone).map(ratio).fold(0.0, f64::max);
        let target = |(of, alone): (&Claimant, &f64)| of.left / (largest * alone - of.age).max(1e-9);
        let targets: Vec<f64> = claimants.iter().zip(&alone).map(target).collect();
        let (factor, better) = maximin(claimants, cards, &targets);
        if factor >= 1.0 {
            allocation = better;
        }
        if factor < 1.0 + 1e-4 {
            break;
        }
    }
    allocation
}

/// Most work for a dollar, a job's counted in seconds of its cards on its fastest pool, while jobs with a
/// deadline get what they need to meet it; without that where it is too much.
fn cheapest(claimants: &[Claimant], pools: &Pools<'_>) -> Allocation {
    let with = |deadlines: bool| {
        let program = Program::new(claimants);
        let worth: Expression = claimants
            .iter()
            .zip(&program.shares)
            .flat_map(|(of, row)| {
                let top = fastest(of);
                let worth = |(share, (rate, price)): (&Option<Variable>, (&f64, &f64))| {
                    Some((*share)? * (of.cards * rate / top / price.max(1e-9)))
                };
                row.iter().zip(of.rates.iter().zip(pools.prices)).filter_map(worth).collect::<Vec<_>>()
            })
            .sum();
        let need = |of: &Claimant| if deadlines { of.left / of.due.max(1e-9) / fastest(of) } else { 0.0 };
        let bounds = claimants.iter().map(|of| Expression::from(need(of))).collect();
        program.solve(worth, claimants, pools.cards, bounds)
    };
    let solved = with(claimants.iter().any(|of| of.due.is_finite())).or_else(|| with(false));
    solved.map_or_else(|| equal(claimants, pools.cards), |(_, allocation)| allocation)
}

/// First come, first served, everybody anew: the fastest pool with enough cards left; of several the first.
/// Who finds none bars those behind it.
fn by_speed(claimants: &[Claimant], cards: &[f64]) -> Allocation {
    let mut left = cards.to_vec();
    let mut chosen = vec![None; claimants.len()];
    for (of, chosen) in claimants.iter().zip(&mut chosen) {
        let fits = (0..cards.len()).filter(|pool| of.rates[*pool] > 0.0 && left[*pool] >= of.cards);
        let faster = |a: &usize, b: &usize| of.rates[*a].total_cmp(&of.rates[*b]).then(b.cmp(a));
        let Some(pool) = fits.max_by(faster) else { break };
        left[pool] -= of.cards;
        *chosen = Some(pool);
    }
    whole(&chosen, cards.len())
}

/// First come, first served, each for good, to the letter of Gavel's artifact (`FIFOPolicy`, mode "base"),
/// whose published figures come of it. Who has ended hands its pool to the first of the queue, if that is no
/// larger than what jobs submitted before the one that ended leave of the pool, and passes it over until the
/// next allocation otherwise. Then the first of the queue is promised the first pool that is open, whether
/// it has room or not, as long as any has; and when that leaves a pool without a card to promise, one of
/// those that had room, drawn at random, is closed. A pool that is promised to more than it holds is shared
/// round by round.
fn by_chance(
    claimants: &[Claimant],
    cards: &[f64],
    kept: &[(Option<usize>, usize)],
    draws: &mut RandomStream,
) -> Allocation {
    let mut left = cards.to_vec();
    let mut chosen = vec![None; claimants.len()];
    for (job, pool) in kept {
        if let Some(job) = job {
            chosen[*job] = Some(*pool);
        }
    }
    let mut queue: VecDeque<usize> = (0..claimants.len()).filter(|job| chosen[*job].is_none()).collect();
    for (job, pool) in kept {
        let here = match job {
            Some(job) => Some(*job),
            None => queue.pop_front().filter(|first| {
                claimants[*first].rates[*pool] > 0.0 && claimants[*first].cards <= left[*pool]
            }),
        };
        if let Some(job) = here {
            left[*pool] -= claimants[job].cards;
            chosen[job] = Some(*pool);
        }
    }
    let mut open: Vec<usize> = (0..cards.len()).filter(|pool| left[*pool] > 0.0).collect();
    for job in queue {
        let of = &claimants[job];
        let room: Vec<usize> =
            open.iter().copied().filter(|pool| of.rates[*pool] > 0.0 && left[*pool] >= of.cards).collect();
        let first = open.iter().copied().find(|pool| of.rates[*pool] > 0.0);
        let Some(pool) = first.filter(|_| !room.is_empty()) else { break };
        let drawn = room[draws.below(room.len() as u64) as usize];
        left[pool] -= of.cards;
        chosen[job] = Some(pool);
        if left[pool] == 0.0 {
            open.retain(|pool| *pool != drawn);
        }
    }
    whole(&chosen, cards.len())
}

/// All the time of one pool for each that has one.
fn whole(chosen: &[Option<usize>], pools: usize) -> Allocation {
    let row = |chosen: &Option<usize>| {
        (0..pools).map(|pool| if *chosen == Some(pool) { 1.0 } else { 0.0 }).collect()
    };
    chosen.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Seed;

    fn job(rates: [f64; 2], age: f64) -> Claimant {
        Claimant { cards: 1.0, weight: 1.0, rates: rates.to_vec(), left: 1.0, age, due: f64::INFINITY }
    }

    fn shares(objective: Objective, claimants: &[Claimant], cards: [f64; 2], prices: [f64; 2]) -> Allocation {
        let mut draws = Seed(1).stream("test");
        allocate(objective, claimants, &Pools { cards: &cards, prices: &prices }, &[], &mut draws)
    }

    fn assert_shares(objective: Objective, expected: [[f64; 2]; 2]) {
        // A fast card and two slow ones; both jobs gain by the fast one, the first more.
        let jobs = [job([4.0, 1.0], 1.0), job([2.0, 1.0], 0.0)];
        let found = shares(objective, &jobs, [1.0, 2.0], [1.0, 0.1]);
        for (row, expected) in found.iter().zip(expected) {
            for (share, expected) in row.iter().zip(expected) {
                assert!((share - expected).abs() < 2e-3, "{objective:?}: {found:?}");
            }
        }
    }

    /// By hand, `a` being the first job's share of the fast card, the second having the rest and both the slow
    /// cards otherwise: they do 1 + 3a and 2 - a. Alone each would have a third of its time on the fast card,
    /// and do 2 and 4/3.
    #[test]
    fn each_objective_has_its_own_allocation() {
        // (1 + 3a) / 2 = (2 - a) / (4/3) at a = 4/9.
        let a = 4.0 / 9.0;
        assert_shares(Objective::MaxMin { aware: true }, [[a, 1.0 - a], [1.0 - a, a]]);
        // Time alone: everybody all the time, a third of it on the fast card; that a third of the fast card
        // is left does not matter to time.
        let third = 1.0 / 3.0;
        assert_shares(Objective::MaxMin { aware: false }, [[third, 2.0 * third], [third, 2.0 * third]]);
        // 1 + 3a = 2 - a.
        assert_shares(Objective::Makespan, [[0.25, 0.75], [0.75, 0.25]]);
        // The first has waited for a second: (1 + 1/(1 + 3a)) / (1 + 1/2) = (1/(2 - a)) / (3/4) at a = 0.5494.
        assert_shares(Objective::FinishTime, [[0.5494, 0.4506], [0.4506, 0.5494]]);
        // For a dollar a slow card does a quarter of the first job's work at a tenth of the price.
        assert_shares(Objective::Cost, [[0.0, 1.0], [0.0, 1.0]]);
        assert_shares(Objective::Fifo { fastest: true }, [[1.0, 0.0], [0.0, 1.0]]);
    }

    /// A deadline that only the fast card can meet buys its time on it.
    #[test]
    fn cost_meets_deadlines() {
        let mut jobs = [job([4.0, 1.0], 0.0), job([2.0, 1.0], 0.0)];
        jobs[1].due = 0.8;
        let found = shares(Objective::Cost, &jobs, [1.0, 2.0], [1.0, 0.1]);
        // 2b + (1 - b) = 1 / 0.8.
        assert!((found[1][0] - 0.25).abs() < 1e-6, "{found:?}");
        // What cannot be met does not stop the rest.
        jobs[1].due = 0.1;
        let found = shares(Objective::Cost, &jobs, [1.0, 2.0], [1.0, 0.1]);
        assert!((found[0][1] - 1.0).abs() < 1e-6, "{found:?}");
    }

    /// Time shared blindly: by card and weight, and a job has at most all its time.
    #[test]
    fn time_is_shared_by_card_and_weight() {
        let mut jobs = vec![job([1.0, 1.0], 0.0), job([1.0, 1.0], 0.0), job([1.0, 1.0], 0.0)];
        jobs[0].cards = 2.0;
        let times = |jobs: &[Claimant]| -> Vec<f64> {
            let found = shares(Objective::MaxMin { aware: false }, jobs, [1.0, 1.0], [1.0, 1.0]);
            found.iter().map(|row| row.iter().sum()).collect()
        };
        // Two cards by three jobs: 2/3 cards each, the gang of two a third of the time.
        for (time, expected) in times(&jobs).iter().zip([1.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0]) {
            assert!((time - expected).abs() < 1e-9);
        }
        jobs[0].weight = 2.0;
        for (time, expected) in times(&jobs).iter().zip([0.5, 0.5, 0.5]) {
            assert!((time - expected).abs() < 1e-9);
        }
        // The second may run on the first pool alone, and has it with 2/3 of its time.
        jobs[0].weight = 1.0;
        jobs[1].rates = vec![1.0, 0.0];
        let found = shares(Objective::MaxMin { aware: false }, &jobs, [1.0, 1.0], [1.0, 1.0]);
        assert!((found[1][0] - 2.0 / 3.0).abs() < 1e-9 && found[1][1] == 0.0, "{found:?}");
        for pool in 0..2 {
            let used: f64 = jobs.iter().zip(&found).map(|(of, row)| of.cards * row[pool]).sum();
            assert!(used < 1.0 + 1e-9, "{found:?}");
        }
    }
}
