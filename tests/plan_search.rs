//! `plan` against the enumeration of every point: the same optimum with few of its simulations, and bounds that
//! are bounds.

use std::path::Path;

use fleetsim::plan::facts::{self, Site};
use fleetsim::plan::grid::Grid;
use fleetsim::plan::judge;
use fleetsim::plan::search::{Found, Resolved, Search, State, Terms, spend};
use fleetsim::scenario::{self, PlanSection};
use fleetsim::sim::{RandomStream, Seed};
use fleetsim::units::Usd;
use fleetsim::world::{self, RunOptions};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

/// A scenario with a space: text, section, grid.
struct Space {
    text: String,
    section: PlanSection,
    grid: Grid,
}

fn pick<'a, T: ?Sized>(random: &mut RandomStream, items: &[&'a T]) -> &'a T {
    items[random.below(items.len() as u64) as usize]
}

/// A random space of at least 500 points around one or two deployments, with measured or computed step times.
fn random_space(seed: u64) -> Space {
    let mut random = Seed(seed).stream("space");
    let mut text = String::from("name = \"space\"\nwarmup = \"2s\"\n");
    text += &format!("seed = {}\nduration = \"{}s\"\n", seed + 1, 12 + random.below(8));
    for (name, cards) in [("lab/one", 1u64), ("lab/two", 2), ("lab/four", 4)] {
        let price = cards as f64 * (1.5 + random.uniform());
        text += &format!(
            "[[offers]]\nname = \"{name}\"\naccelerator = \"LabCard\"\naccelerators_per_node = {cards}\n\
             on_demand_usd_h = {price:.2}\nreserved_1y_usd_h = {:.2}\n",
            0.7 * price
        );
    }
    text += "[[accelerators]]\nname = \"LabCard\"\nlike = \"H100-SXM5\"\nmemory_gb = 80\n";
    let two = random.below(3) == 0;
    let names: &[&str] = if two { &["chat", "code"] } else { &["chat"] };
    let mut vary = Vec::new();
    for name in names {
        let rate = 4 + random.below(if two { 12 } else { 24 });
        let (ttft, tpot) = (60 + 20 * random.below(20), 25 + 5 * random.below(8));
        let slo = match random.below(4) {
            0 => format!("ttft = \"{ttft}ms\""),
            1 => format!("ttft = \"{ttft}ms\", tpot = \"{tpot}ms\""),
            2 => format!("e2e = \"{}ms\"", 600 + 100 * random.below(30)),
            _ => format!("ttft = \"{}ms\", tpot = \"{tpot}ms\", e2e = \"5s\"", 2 * ttft),
        };
        let process = pick(&mut random, &["\"poisson\"", "\"deterministic\"", "\"gamma\", cv = 2.0"]);
        let attainment = pick(&mut random, &["0.8", "0.9", "0.95", "0.99"]);
        text += &format!(
            "[[streams]]\nname = \"{name}\"\nmodel = \"llama-3.1-8b\"\nrate = \"{rate}/s\"\ndeployments = [\"{name}\"]\n\
             arrivals = {{ process = {process} }}\nprompt_tokens = {}\n\
             output_tokens = {{ dist = \"geometric\", mean = {} }}\nslo = {{ {slo}, attainment = {attainment} }}\n",
            50 + random.below(400),
            10 + random.below(30),
        );
        text += &format!(
            "[[pools]]\nname = \"{name}\"\noffer = \"lab/one\"\nnodes = 1\ngranularity = \"1s\"\nminimum = \"0s\"\n\
             [[deployments]]\nname = \"{name}\"\nmodel = \"llama-3.1-8b\"\npools = [\"{name}\"]\nreplicas = 1\n\
             parallelism = {{ tp = 1 }}\nbatching = {{ max_batch_requests = 8, max_batch_tokens = 512 }}\n"
        );
        if random.below(3) > 0 {
            text += &format!(
                "step_time = {{ base = \"{}ms\", per_request = \"{}ms\", per_prefill_token = \"{}us\" }}\n\
                 kv_blocks = {}\n",
                8 + random.below(20),
                1 + random.below(3),
                10 * random.below(8),
                200 + random.below(2000),
            );
        }
        let nodes = if two { 5 } else { 9 + random.below(4) };
        vary.push(format!("\"pools.{name}.nodes\" = \"1..{nodes}\""));
        vary.push(format!("\"deployments.{name}.replicas\" = \"1..{}\"", if two { 5 } else { 12 }));
        if !two || *name == "chat" {
            vary.push(format!("\"pools.{name}.offer\" = [\"lab/one\", \"lab/two\", \"lab/four\"]"));
        }
        if !two {
            let axis = match random.below(3) {
                0 => format!("\"pools.{name}.purchase\" = [\"on-demand\", \"reserved-1y\"]"),
                1 => format!("\"deployments.{name}.batching.max_batch_requests\" = \"8,16\""),
                _ => format!("\"deployments.{name}.routing\" = [\"round-robin\", \"random\"]"),
            };
            vary.push(axis);
        }
    }
    text += &format!("[plan]\nvary = {{ {} }}\n", vary.join(", "));
    let loaded = scenario::load_text(&text, Path::new("space.toml"), &[], None)
        .unwrap_or_else(|wrong| panic!("space {seed}:\n{wrong}"));
    let section = loaded.plan.expect("a section");
    let grid = Grid::parse(&section.vary).expect("a grid");
    assert!(grid.points() >= 500, "{}", grid.points());
    Space { text, section, grid }
}

impl Space {
    fn resolve(&self, point: u64) -> Result<Resolved, String> {
        let loaded = scenario::load_text(&self.text, Path::new("space.toml"), &self.grid.sets(point), None)
            .map_err(|wrong| wrong.to_string())?;
        let site =
            |site: &scenario::PoolSite| Site { region: site.region.clone(), card_power: site.card_power };
        Ok(Resolved { sites: loaded.sites.iter().map(site).collect(), config: loaded.config })
    }

    fn terms(&self, replications: u64) -> Terms {
        Terms {
            goals: self.section.require.clone(),
            objective: self.section.objective,
            replications,
            race: None,
            max_simulations: u64::MAX,
            frontier: 0,
        }
    }

    fn plan(&self, replications: u64) -> Found {
        let terms = self.terms(replications);
        let resolve = |point| self.resolve(point);
        let mut search = Search::new(&terms, self.grid.points(), &resolve, &|| ()).expect("a search");
        search.run(self.grid.points()).expect("a result")
    }

    /// Every point, simulated: its spend and the means of its promises; `None` where it cannot be run.
    fn enumerate(&self, replications: u64) -> Vec<Option<(Usd, Vec<f64>)>> {
        let one = |point| {
            let resolved = self.resolve(point).ok()?;
            let promises = judge::promises(&resolved.config, &self.section.require).expect("promises");
            let mut sums = vec![0.0; promises.len()];
            let mut usd = Usd::ZERO;
            for index in 0..replications {
                let mut config = resolved.config.clone();
                config.seed = config.seed.replication(index);
                let results = world::run(&config, RunOptions::default()).ok()?;
                let values = judge::values(&config, &promises, &results);
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
                usd = Usd::from_micros((results.summary.spend.total_usd * 1e6).round() as i64);
            }
            Some((usd, sums.iter().map(|sum| sum / replications as f64).collect()))
        };
        (0..self.grid.points()).into_par_iter().map(one).collect()
    }
}

/// The optimum of the enumeration, with a tenth of its simulations, in the random spaces of some seeds.
fn as_enumerated(seeds: std::ops::Range<u64>) {
    let mut feasible_spaces = 0;
    for seed in seeds.clone() {
        let space = random_space(seed);
        let replications = 1 + seed % 3;
        let found = space.plan(replications);
        let all = space.enumerate(replications);
        let kept = |values: &[f64]| found.promises.iter().zip(values).all(|(p, value)| p.is_kept(*value));
        let feasible =
            |point: usize| all[point].as_ref().filter(|(_, values)| kept(values)).map(|(usd, _)| *usd);
        let optimum = (0..all.len()).filter_map(feasible).min();
        let enumerated = all.iter().flatten().count() as u64 * replications;
        assert!(enumerated >= 100, "space {seed}: {enumerated}");

        let best = found.best.map(|best| spend(&found.candidates[best]));
        assert_eq!(best, optimum, "space {seed}: {:?}", found.best.map(|b| &found.candidates[b]));
        if let Some(best) = found.best {
            assert_eq!(feasible(best), best_spend(&found), "space {seed}");
            feasible_spaces += 1;
        }
        assert!(
            found.simulations * 10 <= enumerated,
            "space {seed}: {} of {enumerated} simulations",
            found.simulations
        );
        for (point, candidate) in found.candidates.iter().enumerate() {
            // Nothing pruned or found broken was feasible, and no bound was below what was reached.
            if !matches!(candidate.state, State::Open | State::Kept) {
                assert_eq!(feasible(point), None, "space {seed}: {candidate:?}");
            }
            let Some((usd, values)) = &all[point] else { continue };
            assert_eq!(candidate.floor, *usd, "space {seed}: the spend of {point}");
            let least = values.iter().copied().fold(1.0, f64::min);
            assert!(least <= candidate.bound + 1e-9, "space {seed}: {least} above {candidate:?}");
        }
        eprintln!(
            "space {seed}: {} points, {enumerated} simulations against {}, {} pruned, optimum {optimum:?}",
            space.grid.points(),
            found.simulations,
            found.pruned,
        );
    }
    assert!(2 * feasible_spaces >= seeds.count(), "{feasible_spaces}");
}

#[test]
fn spaces_0_to_4() {
    as_enumerated(0..5);
}

#[test]
fn spaces_5_to_9() {
    as_enumerated(5..10);
}

#[test]
fn spaces_10_to_14() {
    as_enumerated(10..15);
}

#[test]
fn spaces_15_to_19() {
    as_enumerated(15..20);
}

fn best_spend(found: &Found) -> Option<Usd> {
    found.best.map(|best| spend(&found.candidates[best]))
}

/// What must be survived is simulated: with a node lost, one more is needed.
#[test]
fn a_lost_node_costs_a_node() {
    let space = random_space(1);
    let mut safe = random_space(1);
    safe.section.require.survive = Some(fleetsim::metrics::Survive::Node);
    let (plain, safe) = (space.plan(1), safe.plan(1));
    let (plain, safe) = (best_spend(&plain).expect("feasible"), best_spend(&safe).expect("feasible"));
    assert!(safe > plain, "{safe} against {plain}");
    assert_eq!(facts::HOURS_PER_MONTH * 12.0, 8760.0);
}
