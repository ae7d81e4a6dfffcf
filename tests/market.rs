//! The market: nodes that are bought, start, are taken away and break, with books that balance throughout.

mod support;

use std::sync::Arc;

use fleetsim::billing::Purchase;
use fleetsim::fleet::{Delay, Failures, Maintenance, Spot, Stock, StockTrace, Supply, Zone, ZoneChoice};
use fleetsim::metrics::results::{RunResults, SupplySummary};
use fleetsim::policies::replay::Law;
use fleetsim::policies::router::RouterKind;
use fleetsim::scenario;
use fleetsim::sim::Seed;
use fleetsim::traffic::{ArrivalProcess, LengthDist};
use fleetsim::units::{Duration, Instant, Usd, UsdPerHour};
use fleetsim::world::{NodeScalerPlan, RunOptions, WorldConfig, run};
use proptest::prelude::*;
use support::{deployment, outputs, step, stream, world};

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Replicas of a card on nodes of two, under some traffic.
fn elastic(replicas: u32, supply: Supply, seconds: f64) -> WorldConfig {
    let traffic = stream(2.0, ArrivalProcess::Poisson, outputs(LengthDist::Constant(20)));
    let served = deployment(replicas, 8, step(0.05, 0.0), RouterKind::LeastOutstandingRequests);
    let mut config = world(traffic, served, seconds, 0.0);
    config.pools[0].fleet.nodes = supply.min;
    config.pools[0].fleet.cards_per_node = 2;
    config.pools[0].fleet.supply = Some(supply);
    config
}

fn done(config: &WorldConfig) -> RunResults {
    run(config, RunOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn supply_of(results: &RunResults) -> SupplySummary {
    results.summary.pools[0].supply.expect("its nodes come and go")
}

#[test]
fn what_is_pending_is_bought_and_paid_from_its_boot() {
    let mut supply = Supply::new(0, 3);
    supply.provisioning.quota = Delay::Fixed(secs(30.0));
    supply.provisioning.boot = Delay::Fixed(secs(100.0));
    supply.provisioning.image_pull = Delay::Fixed(secs(50.0));
    let results = done(&elastic(3, supply, 1000.0));
    let pool = &results.summary.pools[0];
    let seen = supply_of(&results);
    // Three replicas of a card need two nodes of two. Both wait 30 s, unpaid, start for 150 s and are ready.
    assert_eq!((seen.ordered, seen.ready, pool.nodes), (2, 2, 2));
    assert!((seen.waiting_node_hours - 60.0 / 3600.0).abs() < 1e-12);
    assert!((seen.starting_node_hours - 300.0 / 3600.0).abs() < 1e-12);
    assert!((pool.card_hours - 4.0 * 970.0 / 3600.0).abs() < 1e-12);
    // A node-hour costs a dollar.
    assert_eq!(Usd::from_micros((pool.spend.total_usd * 1e6).round() as i64), Usd::from_micros(538_889));
    let starting = pool.spend.by_cause.iter().find(|(cause, _)| cause == "starting").map(|(_, usd)| *usd);
    assert!(starting.is_some_and(|usd| (usd - 300.0 / 3600.0).abs() < 2e-6), "{starting:?}");
    assert!(results.summary.requests.completed > 1500, "{:?}", results.summary.requests);
    assert_eq!(results.decisions[0].policy, "pending");
}

#[test]
fn a_zone_without_stock_is_waited_for_and_then_left_alone() {
    let mut supply = Supply::new(0, 1);
    let none_until =
        |at: f64| Stock::Levels(Arc::from([(Instant::ZERO, 0), (Instant::from_secs_f64(at), 1)]));
    supply.provisioning.give_up = secs(100.0);
    supply.provisioning.retry_after = secs(50.0);
    // Refused at 100 s, tried again at 150 s, served at 200 s.
    supply.zones = vec![Zone { name: String::new(), stock: none_until(200.0) }];
    let results = done(&elastic(1, supply.clone(), 1000.0));
    let seen = supply_of(&results);
    assert_eq!((seen.ordered, seen.refused, seen.ready), (2, 1, 1));
    assert!((results.summary.pools[0].card_hours - 2.0 * 800.0 / 3600.0).abs() < 1e-9);
    assert!((seen.share_without_stock.unwrap_or(0.0) - 0.2).abs() < 1e-9);
    // Another zone has some: nobody waits.
    supply.zones.push(Zone { name: "b".to_owned(), stock: Stock::Fixed(1) });
    let seen = supply_of(&done(&elastic(1, supply, 1000.0)));
    assert_eq!((seen.ordered, seen.refused, seen.ready), (1, 0, 1));
}

#[test]
fn the_next_pool_is_bought_from_when_the_first_has_none() {
    let mut first = Supply::new(0, 2);
    first.zones = vec![Zone { name: String::new(), stock: Stock::Fixed(0) }];
    first.provisioning.give_up = Duration::ZERO;
    let mut config = elastic(2, first, 1000.0);
    let mut second = config.pools[0].clone();
    second.fleet.name = "second".to_owned();
    second.fleet.supply = Some(Supply::new(0, 2));
    config.pools.push(second);
    let mut option = config.deployments[0].options[0].clone();
    option.pool = fleetsim::fleet::PoolId(1);
    config.deployments[0].options.push(option);
    let results = done(&config);
    assert_eq!(results.summary.pools[0].nodes, 0);
    assert_eq!(results.summary.pools[1].nodes, 1);
    assert!(results.summary.requests.completed > 1900);
}

#[test]
fn idle_nodes_are_given_back_and_billed_for_their_minimum() {
    let mut supply = Supply::new(0, 2);
    supply.idle_after = secs(60.0);
    let mut config = elastic(0, supply, 1000.0);
    config.streams.clear();
    config.deployments.clear();
    config.pools[0].fleet.nodes = 2;
    config.pools[0].tariff.minimum = secs(600.0);
    let results = done(&config);
    let pool = &results.summary.pools[0];
    assert_eq!((pool.nodes, supply_of(&results).given_back), (0, 2));
    // Two nodes for 60 s each, billed for ten minutes each.
    assert_eq!(Usd::from_micros((pool.spend.total_usd * 1e6).round() as i64), Usd::from_micros(333_333));
}

/// A published trace, replayed by who holds all that there is and starts at once: exactly its preemptions and
/// its instance-hours.
#[test]
fn a_spot_trace_is_replayed_to_the_instance_hour() {
    let text =
        r#"{"metadata": {"gap_seconds": 150}, "data": [2, 2, 4, 4, 3, 0, 0, 1, 2, 1, 1, 4, 2, 2, 0, 1]}"#;
    let trace = StockTrace::parse(text).expect("a good trace");
    let mut supply = Supply::new(4, 4);
    let levels = trace.over(secs(2400.0), 1, false);
    supply.zones = vec![Zone { name: "zone".to_owned(), stock: Stock::Levels(Arc::from(levels)) }];
    supply.spot = Some(Spot { life: None, notice: Duration::ZERO, together: 0.0, follows_stock: true });
    supply.provisioning.give_up = secs(1e6);
    let mut config = elastic(1, supply, 2400.0);
    config.pools[0].tariff.purchase = Purchase::Spot;
    let results = done(&config);
    let seen = supply_of(&results);
    // Falls: 4 to 3, 3 to 0, 2 to 1, 4 to 2, 2 to 0.
    assert_eq!(seen.preempted, 9);
    let ticks = 2 + 2 + 4 + 4 + 3 + 1 + 2 + 1 + 1 + 4 + 2 + 2 + 1;
    assert!((results.summary.pools[0].card_hours - 2.0 * f64::from(ticks) * 150.0 / 3600.0).abs() < 1e-9);
    assert!((seen.share_without_stock.unwrap_or(0.0) - 3.0 / 16.0).abs() < 1e-9);
}

/// A probed zone as a process: over many days its preemptions an hour of a node and its share of the time
/// without any are those of the zone, within four standard errors.
#[test]
fn a_probed_zone_has_its_figures() {
    for (rate, share) in [(0.9036, 0.8333), (0.0948, 0.1087), (0.3001, 0.2069)] {
        let up = 3600.0 / rate;
        let mut supply = Supply::new(1, 1);
        let exponential = |mean: f64| Delay::Exponential { mean: secs(mean) };
        let stock = Stock::InTurns { up: exponential(up), down: exponential(up * share / (1.0 - share)) };
        supply.zones = vec![Zone { name: "zone".to_owned(), stock }];
        supply.spot = Some(Spot { life: None, notice: secs(120.0), together: 0.0, follows_stock: true });
        supply.provisioning.boot = Delay::Fixed(secs(180.0));
        supply.provisioning.give_up = secs(1e9);
        let days = 2000.0;
        let mut config = elastic(1, supply, days * 86_400.0);
        config.streams.clear();
        config.deployments.clear();
        let seen = supply_of(&done(&config));
        let cycles = days * 24.0 * rate * (1.0 - share);
        let seen_rate = seen.preemptions_per_node_hour.unwrap_or(0.0);
        // The notice is billed beyond the time that the zone had something.
        let expected = rate / (1.0 + rate * 120.0 / 3600.0);
        assert!((seen_rate / expected - 1.0).abs() < 4.0 / cycles.sqrt(), "{rate}: {seen_rate}");
        // The share of an alternating renewal process: relative standard error below √(2/cycles).
        let without = seen.share_without_stock.unwrap_or(0.0);
        assert!((without / share - 1.0).abs() < 4.0 * (2.0 / cycles).sqrt(), "{share}: {without}");
    }
}

/// Two zones in turns, a third always there: by the list all nodes stand in the first zone and go together, SpotHedge
/// spreads them.
#[test]
fn spot_hedge_spreads_over_zones() {
    let taken_back = |choice: ZoneChoice| {
        let mut supply = Supply::new(3, 3);
        let falls = |at: f64| {
            Stock::Levels(Arc::from([
                (Instant::ZERO, 9),
                (Instant::from_secs_f64(at), 0),
                (Instant::from_secs_f64(at + 100.0), 9),
            ]))
        };
        let zone = |name: &str, stock| Zone { name: name.to_owned(), stock };
        supply.zones = vec![zone("a", falls(500.0)), zone("b", falls(800.0)), zone("c", Stock::Fixed(9))];
        supply.zone_choice = choice;
        supply.spot = Some(Spot { life: None, notice: Duration::ZERO, together: 0.0, follows_stock: true });
        supply_of(&done(&elastic(1, supply, 1000.0))).preempted
    };
    // All three are in a, move to b, and go to a again: 6. Spread: the one in a goes to b, and both go from there.
    assert_eq!(taken_back(ZoneChoice::Listed), 6);
    assert_eq!(taken_back(ZoneChoice::SpotHedge), 3);
}

/// The rate of a single node stays what it is however many of the preemptions come together.
#[test]
fn preemptions_together_keep_the_rate_of_each() {
    for together in [0.0, 0.5, 1.0] {
        let mut supply = Supply::new(8, 8);
        let life = Some(Delay::Exponential { mean: secs(36_000.0) });
        supply.spot = Some(Spot { life, notice: Duration::ZERO, together, follows_stock: true });
        let mut config = elastic(1, supply, 500.0 * 86_400.0);
        config.streams.clear();
        config.deployments.clear();
        let seen = supply_of(&done(&config));
        let rate = seen.preemptions_per_node_hour.unwrap_or(0.0);
        // 9,600 preemptions, in eighths when all come together.
        assert!((rate - 0.1).abs() < 0.1 * 4.0 / 1200f64.sqrt(), "{together}: {rate}");
        assert!(seen.preempted > 8000);
    }
}

#[test]
fn committed_nodes_that_break_are_repaired_and_paid_all_the_same() {
    let mut supply = Supply::new(2, 2);
    supply.committed = true;
    supply.failures = Some(Failures::of_nodes(Delay::Fixed(secs(300.0)), Delay::Fixed(secs(100.0))));
    let mut config = elastic(2, supply, 1000.0);
    config.pools[0].tariff.purchase = Purchase::Reserved3y;
    let results = done(&config);
    let seen = supply_of(&results);
    // Broken at 300 and 700 s, down for 100 s each time.
    assert_eq!(seen.broken, 4);
    assert!((seen.down_node_hours - 400.0 / 3600.0).abs() < 1e-9);
    let spend = results.summary.pools[0].spend.total_usd;
    assert!((spend - 2000.0 / 3600.0).abs() < 1e-6, "{spend}");
    // Two nodes of two cards: one card of each has no replica, and a broken node is of use to nobody.
    let unused =
        results.summary.pools[0].spend.by_cause.iter().find(|(cause, _)| cause == "committed-unused");
    assert!(unused.is_some_and(|(_, usd)| *usd > 400.0 / 3600.0), "{unused:?}");
    assert!(results.summary.requests.completed > 1500);
}

#[test]
fn node_autoscalers_buy_and_give_back() {
    let groups = "policy: cluster-autoscaler\nflags: {scale-down-unneeded-time: 2m, scale-down-delay-after-add: 1m}\n\
                  nodeGroups:\n- {name: pool, min: 0, max: 4, resources: {nvidia.com/gpu: 2, cpu: 2, memory: 2Gi}, \
                  labels: {fleetsim/pools-0: 'true'}}\n";
    let pools = "apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: {name: default}\nspec:\n  template:\n    \
                 spec: {}\n  disruption: {consolidateAfter: 2m, budgets: [{nodes: '2'}]}\n";
    for (name, file, text) in [("cluster-autoscaler", "ca.yaml", groups), ("karpenter", "np.yaml", pools)] {
        let mut supply = Supply::new(0, 4);
        supply.provisioning.boot = Delay::Fixed(secs(60.0));
        let mut config = elastic(5, supply, 3600.0);
        config.pools[0].fleet.nodes = 4;
        let law = Law::read(file, text).unwrap_or_else(|error| panic!("{error}"));
        config.node_scaler = Some(NodeScalerPlan { name: name.to_owned(), law });
        let results = done(&config);
        // Five replicas of a card on nodes of two: three nodes are needed, the fourth is empty.
        assert_eq!(results.summary.pools[0].nodes, 3, "{name}");
        let back: Vec<_> = results.decisions.iter().filter(|row| row.rule == "scale-down").collect();
        assert_eq!((back.len(), back[0].policy.as_str()), (1, name));
        let at = back[0].time.as_secs_f64();
        assert!((120.0..200.0).contains(&at), "{name} gave a node back at {at}");
        // From nothing: as many are bought as are needed, at one look.
        config.pools[0].fleet.nodes = 0;
        let results = done(&config);
        assert_eq!(results.summary.pools[0].nodes, 3, "{name}");
        let up: Vec<_> = results.decisions.iter().filter(|row| row.rule == "scale-up").collect();
        let first = if name == "karpenter" { 1.0 } else { 0.0 };
        assert!(up.iter().all(|row| (row.time.as_secs_f64() - first).abs() < 1e-9), "{name}: {up:?}");
        assert!(results.summary.requests.completed > 6000, "{name}");
    }
}

/// What a random market is made of.
#[derive(Debug, Clone)]
struct Dice {
    seed: u64,
    bounds: (u32, u32),
    replicas: u32,
    stages: (u64, u64, u64),
    failure: f64,
    stock: Option<(u64, u64)>,
    spot: Option<(u64, u64, f64)>,
    breaks: Option<(u64, u64)>,
    maintained: bool,
    terms: (u64, u64),
    price: f64,
    prices: Vec<(u64, f64)>,
    law: u32,
    then: u32,
}

fn dice() -> impl Strategy<Value = Dice> {
    let pool = (any::<u64>(), 0u32..3, 1u32..4, 1u32..5, (0u64..20, 0u64..40, 0u64..30), 0.0f64..0.5);
    let losses = (
        prop::option::of((20u64..300, 5u64..100)),
        prop::option::of((30u64..400, 0u64..60, prop_oneof![Just(0.0), Just(1.0), 0.0f64..1.0])),
        prop::option::of((50u64..500, 0u64..100)),
        any::<bool>(),
    );
    let prices = prop::collection::vec((1u64..600, 0.0f64..90.0), 0..4);
    let money = ((0u64..120, 0u64..300), 0.1f64..90.0, prices, 0u32..3, 0u32..3);
    (pool, losses, money).prop_map(
        |(
            (seed, min, more, replicas, stages, failure),
            (stock, spot, breaks, maintained),
            (terms, price, prices, law, then),
        )| Dice {
            seed,
            bounds: (min, min + more),
            replicas,
            stages,
            failure,
            stock,
            spot,
            breaks,
            maintained,
            terms,
            price,
            prices,
            law,
            then,
        },
    )
}

fn random_market(dice: &Dice) -> WorldConfig {
    let whole = Duration::from_secs;
    let mut supply = Supply::new(dice.bounds.0, dice.bounds.1);
    let (quota, boot, pull) = dice.stages;
    supply.provisioning.quota = Delay::Fixed(whole(quota));
    supply.provisioning.boot = Delay::Uniform { low: whole(boot), high: whole(boot * 2) };
    supply.provisioning.image_pull = Delay::Exponential { mean: whole(pull) };
    supply.provisioning.failure = dice.failure;
    supply.provisioning.give_up = whole(60);
    supply.provisioning.retry_after = whole(30);
    supply.idle_after = whole(40);
    let unlimited = Stock::Unlimited;
    let turns = dice.stock.map(|(up, down)| Stock::InTurns {
        up: Delay::Exponential { mean: whole(up) },
        down: Delay::Exponential { mean: whole(down) },
    });
    let zone = |name: &str, stock: Stock| Zone { name: name.to_owned(), stock };
    supply.zones = vec![zone("a", turns.unwrap_or(unlimited)), zone("b", Stock::Fixed(1))];
    supply.spot = dice.spot.map(|(life, notice, together)| Spot {
        life: Some(Delay::Exponential { mean: whole(life) }),
        notice: whole(notice),
        together,
        follows_stock: true,
    });
    supply.failures = dice.breaks.map(|(life, repair)| {
        Failures::of_nodes(Delay::Weibull { scale: whole(life), shape: 1.5 }, Delay::Fixed(whole(repair)))
    });
    let (first, every) = (whole(100), whole(300));
    supply.maintenance =
        dice.maintained.then(|| Maintenance { first, every, length: whole(30), notice: whole(10) });
    let mut config = elastic(dice.replicas, supply, 700.0);
    let (granularity, minimum) = dice.terms;
    let tariff = &mut config.pools[0].tariff;
    (tariff.granularity, tariff.minimum) = (whole(granularity), whole(minimum));
    tariff.price = UsdPerHour::from_f64(dice.price);
    tariff.purchase = if dice.spot.is_some() { Purchase::Spot } else { Purchase::OnDemand };
    let mut prices = dice.prices.clone();
    prices.sort_by_key(|(at, _)| *at);
    prices.dedup_by_key(|(at, _)| *at);
    config.pools[0].price_path =
        prices.iter().map(|(at, price)| (Instant::ZERO + whole(*at), UsdPerHour::from_f64(*price))).collect();
    config.seed = Seed(dice.seed);
    config.streams[0].timeout = Some(whole(120));
    use fleetsim::serving::Leftover;
    config.deployments[0].lifecycle.drain.then =
        [Leftover::Retry, Leftover::Migrate, Leftover::Fail][dice.then as usize];
    let text = match dice.law {
        0 => return config,
        1 => {
            "policy: cluster-autoscaler\nflags: {scale-down-unneeded-time: 30s, scale-down-delay-after-add: 30s}\n\
             nodeGroups:\n- {name: pool, min: 0, max: 9, resources: {nvidia.com/gpu: 2, cpu: 2, memory: 2Gi}, \
             labels: {fleetsim/pools-0: 'true'}}\n"
        }
        _ => {
            "apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: {name: default}\nspec:\n  template:\n    spec: \
             {}\n  disruption: {consolidateAfter: 20s}\n"
        }
    };
    let law = Law::read("law.yaml", text).unwrap_or_else(|error| panic!("{error}"));
    config.node_scaler = Some(NodeScalerPlan { name: "law".to_owned(), law });
    config
}

fn micros(usd: f64) -> i64 {
    (usd * 1e6).round() as i64
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    /// Whatever is bought, lost and given back: requests are conserved and the ledger balances (both checked
    /// inside every run), its records add up to the spend to the micro-dollar, and running each iteration as an
    /// event of its own gives the same.
    #[test]
    fn books_balance_whatever_the_market_does(dice in dice()) {
        let config = random_market(&dice);
        let fast = done(&config);
        let recorded: i64 = fast.ledger.iter().map(|row| row.amount.as_micros()).sum();
        let causes: i64 = fast.summary.spend.by_cause.iter().map(|(_, usd)| micros(*usd)).sum();
        prop_assert_eq!(recorded, micros(fast.summary.spend.total_usd));
        prop_assert_eq!(causes, recorded);
        let seen = supply_of(&fast);
        let paid = seen.starting_node_hours + seen.ready_node_hours + seen.draining_node_hours;
        prop_assert!((fast.summary.pools[0].card_hours - 2.0 * paid).abs() < 1e-9);
        let plain = run(&config, RunOptions { plain: true, ..RunOptions::default() });
        let plain = plain.unwrap_or_else(|error| panic!("{error}"));
        prop_assert_eq!(serde_json::to_string(&fast.summary).ok(), serde_json::to_string(&plain.summary).ok());
        prop_assert_eq!(fast.decisions, plain.decisions);
    }
}

const SOUND: &str = r#"
name = "market"
duration = "1h"
[[streams]]
name = "chat"
model = "llama-3.1-8b"
rate = "1/s"
prompt_tokens = 100
output_tokens = 20
[[pools]]
name = "base"
offer = "aws/p5.48xlarge"
nodes = { min = 1, max = 3 }
[[deployments]]
name = "chat"
model = "llama-3.1-8b"
pools = ["base"]
"#;

fn load(sets: &[&str]) -> Result<scenario::Loaded, scenario::Diagnostics> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    scenario::load_text(SOUND, std::path::Path::new("market.toml"), &sets, None)
}

#[test]
fn purchase_options_agree_with_a_hand_calculation() {
    let spend = |sets: &[&str]| {
        let loaded = load(sets).unwrap_or_else(|problems| panic!("{problems}"));
        let results = done(&loaded.config);
        (results.summary.pools[0].spend.total_usd, results.summary.energy)
    };
    let close = |usd: f64, expected: f64| assert!((usd - expected).abs() < 1e-5, "{usd}, not {expected}");
    // On demand: one node at 55.04 $/h.
    close(spend(&[]).0, 55.04);
    // A block of 24 h for two nodes at 40 $/h, of which an hour is seen: all of it is paid.
    let block = ["pools.base.purchase=capacity-block", "pools.base.nodes=2", "pools.base.price=40.0"];
    close(
        spend(&[&block[..], &["pools.base.block={ start = \"0s\", length = \"24h\" }"]].concat()).0,
        1920.0,
    );
    // Reserved for a year at 30 $/h, half upfront: spread, and as paid.
    let reserved = ["pools.base.purchase=reserved", "pools.base.nodes=1", "pools.base.price=30.0"];
    let terms = |terms: &'static str| [&reserved[..], &[terms]].concat();
    close(spend(&terms("pools.base.commitment={ term = \"1y\", upfront = 0.5 }")).0, 30.0);
    let paid = spend(&terms("pools.base.commitment={ term = \"1y\", upfront = 0.5, as_paid = true }")).0;
    close(paid, 15.0 * 8760.0 + 15.0);
    let least = "pools.base.commitment={ term = \"1y\", minimum_spend = 876000 }";
    close(spend(&terms(least)).0, 100.0);
    // Owned: (300,000 less 10 %) over 4 years, staff 8,760 $ a year, space 730 $ a month; 8 cards at 100 W, idle
    // or not, and 2 kW of the node, a quarter more for the building: 3.5 kWh at 0.1 $.
    let owned = [
        "pools.base.purchase=owned",
        "pools.base.nodes=1",
        "pools.base.owned={ price = 300000, life = \"4y\", salvage = 0.1, staff_per_year = 8760, space_per_month = 730 }",
        "pools.base.power={ idle_w = 100, busy_w = 100, node_w = 2000, pue = 1.25, usd_per_kwh = 0.1, g_co2e_per_kwh = 400 }",
    ];
    let (usd, energy) = spend(&owned);
    close(usd, 270_000.0 / 35_040.0 + 1.0 + 1.0 + 0.35);
    assert!(energy.kwh.is_some_and(|kwh| (kwh - 3.5).abs() < 1e-9), "{energy:?}");
    assert!(energy.kg_co2e.is_some_and(|kg| (kg - 1.4).abs() < 1e-9), "{energy:?}");
    // Spot at 10 $/h, then 20 $/h for the second half hour.
    let spot = [
        "pools.base.purchase=spot",
        "pools.base.price=10.0",
        "pools.base.spot={ rate = 1e-9 }",
        "pools.base.price_path=[{ at = \"30m\", price = 20.0 }]",
    ];
    close(spend(&spot).0, 15.0);
}

/// Two streams of two tiers on one deployment, a job beside them, a pool of another provider that nobody uses: each
/// split adds up to the total, and streams pay by their tokens.
#[test]
fn spend_by_whom() {
    let text = SOUND.replace(
        "[[pools]]",
        "tenant = \"paid\"\n[[streams]]\nname = \"free\"\nmodel = \"llama-3.1-8b\"\nrate = \"3/s\"\nprompt_tokens = 100\n\
         output_tokens = 20\n[[tenants]]\nname = \"paid\"\n[[pools]]\nname = \"spare\"\noffer = \"lambda/gpu_8x_h100_sxm5\"\n\
         nodes = 1\nprice = 10.0\n[[jobs]]\nname = \"tune\"\nwork = \"30m\"\naccelerators = 4\n\
         pools = [\"base\"]\n[[pools]]",
    );
    let loaded = scenario::load_text(&text, std::path::Path::new("market.toml"), &[], None)
        .unwrap_or_else(|problems| panic!("{problems}"));
    let results = done(&loaded.config);
    let spend = &results.summary.spend;
    let of = |split: &Option<Vec<(String, f64)>>, name: &str| {
        let rows = split.as_ref().expect("there is more than one");
        rows.iter().find(|(key, _)| key == name).map_or(0.0, |(_, usd)| *usd)
    };
    for split in [&spend.by_provider, &spend.by_model, &spend.by_stream, &spend.by_tier] {
        let sum: i64 =
            split.as_ref().expect("there is more than one").iter().map(|(_, usd)| micros(*usd)).sum();
        assert_eq!(sum, micros(spend.total_usd));
    }
    assert!((of(&spend.by_provider, "lambda") - 10.0).abs() < 1e-9);
    // Three times as many requests alike: three times the money, within what the arrivals of an hour vary by.
    let (paid, free) = (of(&spend.by_stream, "chat"), of(&spend.by_stream, "free"));
    assert!((free / paid / 3.0 - 1.0).abs() < 0.1, "{free} {paid}");
    assert_eq!((of(&spend.by_tier, "paid"), of(&spend.by_tier, "no tier")), (paid, free));
    // Four of 16 cards for half an hour.
    let jobs = of(&spend.by_model, "jobs");
    assert_eq!(jobs, of(&spend.by_tier, "jobs"));
    assert!((jobs - 55.04 / 4.0).abs() < 0.01, "{jobs}");
}

#[test]
fn what_is_wrong_with_a_market() {
    let mut all = String::new();
    for sets in [
        &["pools.base.nodes={ min = 4, max = 2 }"][..],
        &["pools.base.purchase=spot", "pools.base.price=9.0"],
        &["pools.base.purchase=reserved-3y"],
        &["pools.base.purchase=owned", "pools.base.nodes=1"],
        &["pools.base.spot={ rate = 0.1 }"],
        &["pools.base.purchase=spot", "pools.base.zones=[{ name = \"a\", measured = \"AWS3/us-east-1b\" }]"],
        &["pools.base.stock={ up = \"1h\" }"],
        &["pools.base.zone_choice=spot-hedge"],
        &["pools.base.provisioning={ boot = { dist = \"lognormal\", median = \"3m\", p99 = \"1m\" } }"],
        &["pools.base.power={ idle_w = 100, site_kw = 5 }"],
        &["node_autoscaler={ policy = \"karpentr\" }"],
        &["pools.base.nodes=1", "node_autoscaler={ policy = \"karpenter\" }"],
    ] {
        let problems = load(sets).expect_err(&sets.join(" "));
        all += &format!("# {}\n{problems}\n", sets.join(" "));
    }
    insta::assert_snapshot!(all);
}
