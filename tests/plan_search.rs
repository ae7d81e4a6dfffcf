//! `plan` against the enumeration of every point: the same optimum with few of its simulations, and bounds that
//! are bounds.

use std::path::Path;

use fleetsim::plan::facts::{self, Site};
use fleetsim::plan::grid::Grid;
use fleetsim::plan::judge;
use fleetsim::plan::outcome::{Framing, Outcome};
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

/// A random space around one deployment on two pools of different cards, whose numbers of nodes vary together.
fn mixed_space(seed: u64) -> Space {
    let mut random = Seed(seed).stream("mixed");
    let (fast, slow) = (2.0 + 2.0 * random.uniform(), 0.6 + random.uniform());
    let rate = 4 + random.below(20);
    let text = format!(
        r#"
name = "mixed"
warmup = "2s"
seed = {seed}
duration = "{duration}s"
offers = [
    {{ name = "lab/fast", accelerator = "FastCard", accelerators_per_node = 1, on_demand_usd_h = {fast:.2} }},
    {{ name = "lab/pair", accelerator = "FastCard", accelerators_per_node = 2, on_demand_usd_h = {pair:.2} }},
    {{ name = "lab/slow", accelerator = "SlowCard", accelerators_per_node = 1, on_demand_usd_h = {slow:.2} }},
]
accelerators = [
    {{ name = "FastCard", like = "H100-SXM5" }},
    {{ name = "SlowCard", like = "A100-SXM4-80GB" }},
]

[[streams]]
name = "chat"
model = "llama-3.1-8b"
rate = "{rate}/s"
prompt_tokens = {prompt}
output_tokens = {{ dist = "geometric", mean = {output} }}
slo = {{ ttft = "{ttft}ms", attainment = 0.9 }}

[[pools]]
name = "fast"
offer = "lab/fast"
nodes = 1
granularity = "1s"
minimum = "0s"

[[pools]]
name = "slow"
offer = "lab/slow"
nodes = 1
granularity = "1s"
minimum = "0s"

[[deployments]]
name = "chat"
model = "llama-3.1-8b"
pools = ["fast", "slow"]
parallelism = {{ tp = 1 }}
batching = {{ max_batch_requests = {batch}, max_batch_tokens = 512 }}
replicas = 1

[plan]
vary = {{ "pools.fast.nodes" = "0..4", "pools.slow.nodes" = "0..4", "deployments.chat.replicas" = "1..10",
         "pools.fast.offer" = ["lab/fast", "lab/pair"] }}
"#,
        duration = 12 + random.below(8),
        pair = 1.8 * fast,
        prompt = 50 + random.below(800),
        output = 10 + random.below(40),
        ttft = 80 + 20 * random.below(20),
        batch = pick(&mut random, &["2", "4", "8"]),
    );
    let loaded =
        scenario::load_text(&text, Path::new("space.toml"), &["pools.fast.nodes=1".to_owned()], None)
            .unwrap_or_else(|wrong| panic!("mixed space {seed}:\n{wrong}"));
    let section = loaded.plan.expect("a section");
    let grid = Grid::parse(&section.vary).expect("a grid");
    assert_eq!(grid.points(), 500);
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
        self.plan_under(self.terms(replications))
    }

    /// A point that can be run.
    fn resolve_any(&self) -> Resolved {
        (0..self.grid.points()).find_map(|point| self.resolve(point).ok()).expect("a point")
    }

    fn plan_under(&self, terms: Terms) -> Found {
        let resolve = |point| self.resolve(point);
        let search = Search::new(&terms, self.grid.points(), &resolve, &|| ()).expect("a search");
        let mut search = search.over(&self.grid);
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
fn as_enumerated(space: fn(u64) -> Space, seeds: std::ops::Range<u64>) {
    let mut feasible_spaces = 0;
    for seed in seeds.clone() {
        let space = space(seed);
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
        // No bound is above the optimum.
        let told = outcome(&space, &found);
        let months = facts::months(space.resolve_any().config.duration);
        if let Some(optimum) = optimum {
            let optimum = optimum.as_f64() * months;
            for bound in [told.lower_bound_usd_month, told.integer_bound_usd_month].into_iter().flatten() {
                assert!(bound <= optimum * (1.0 + 1e-9), "space {seed}: {bound} above {optimum}");
            }
            assert_eq!(told.gap, Some(0.0), "space {seed}");
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
            "space {seed}: {} points, {enumerated} simulations against {}, {} pruned, optimum {optimum:?}, integer \
             bound {:?} of {:?} USD a month",
            space.grid.points(),
            found.simulations,
            found.pruned,
            told.integer_bound_usd_month,
            told.lower_bound_usd_month,
        );
    }
    assert!(2 * feasible_spaces >= seeds.count(), "{feasible_spaces}");
}

/// What is told of a search.
fn outcome(space: &Space, found: &Found) -> Outcome {
    let config = space.resolve_any().config;
    let framing = Framing {
        months: facts::months(config.duration),
        replications: 1,
        race: None,
        seed: config.seed.0,
        objective: space.section.objective,
    };
    Outcome::new(found, &space.grid, framing, None)
}

/// Two kinds of cards for one deployment: the integer relaxation takes them together.
#[test]
fn mixed_pools() {
    as_enumerated(mixed_space, 0..3);
}

/// A large space is pruned by the integer relaxation before its points are looked at; that changes nothing.
#[test]
fn large_spaces_are_relaxed_first() {
    let mut space = mixed_space(2);
    let vary = space.section.vary.iter().map(|axis| axis.replace("0..4", "0..13")).collect::<Vec<_>>();
    space.grid = Grid::parse(&vary).expect("a grid");
    let points = space.grid.points();
    assert!(points > 3000);
    let (terms, resolve) = (space.terms(1), |point| space.resolve(point));
    let plain = Search::new(&terms, points, &resolve, &|| ()).expect("a search").run(points).expect("runs");
    let relaxed = space.plan(1);
    assert_eq!(best_spend(&plain), best_spend(&relaxed));
    assert!(best_spend(&plain).is_some() && relaxed.pruned_by_integers > 5, "{}", relaxed.pruned_by_integers);
    for (candidate, other) in
        relaxed.candidates.iter().zip(&plain.candidates).filter(|(one, _)| one.by_integers)
    {
        assert!(!matches!(other.state, State::Kept), "{candidate:?}");
    }
}

/// A race comes to the verdict of as many replications for all, and spends them where candidates are close.
#[test]
fn races_spend_replications_where_candidates_are_close() {
    let (mut all, mut raced) = (0, 0);
    for seed in 20..24 {
        let space = random_space(seed);
        let many = space.plan(16);
        let race = space.plan_under(Terms { race: Some(2), ..space.terms(16) });
        assert_eq!(best_spend(&many), best_spend(&race), "space {seed}");
        let runs = |found: &Found| -> u64 {
            found.candidates.iter().filter_map(|one| Some(one.case.as_ref()?.values.len() as u64)).sum()
        };
        (all, raced) = (all + runs(&many), raced + runs(&race));
    }
    eprintln!("{raced} replications in races, {all} where all run");
    assert!(2 * raced < all, "{raced} of {all}");
}

#[test]
fn spaces_0_to_4() {
    as_enumerated(random_space, 0..5);
}

#[test]
fn spaces_5_to_9() {
    as_enumerated(random_space, 5..10);
}

#[test]
fn spaces_10_to_14() {
    as_enumerated(random_space, 10..15);
}

#[test]
fn spaces_15_to_19() {
    as_enumerated(random_space, 15..20);
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
