//! Links that gangs share: what the graph of the fabric predicts is what runs find.

use std::path::Path;

use fleetsim::catalog::Catalog;
use fleetsim::metrics::results::RunResults;
use fleetsim::perf::{
    BatchShape, ModelDims, NodeSpec, ParallelismPlan, Replica, Roofline, StepModel, TrainingJob, Zero,
    training_throughput,
};
use fleetsim::scenario::load_text;
use fleetsim::topology::{Gang, Pattern, Wiring};
use fleetsim::units::BytesPerSecond;
use fleetsim::world::{RunOptions, run};

const TOKENS: f64 = 2e7;
const BATCH: u64 = 8192;

fn results(text: &str, plain: bool) -> RunResults {
    let loaded = load_text(text, Path::new("scenario.toml"), &[], None)
        .unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    run(&loaded.config, RunOptions { plain, ..RunOptions::default() }).expect("its books balance")
}

fn h100(cards: u32, gb_s: Option<f64>) -> (ModelDims, NodeSpec) {
    let catalog = Catalog::embedded();
    let model = ModelDims::try_from(catalog.model("llama-3.1-8b").expect("known")).expect("known");
    let offer = catalog.offer("aws/p5.48xlarge").expect("known");
    let card = catalog.accelerator("H100-SXM5").expect("known");
    let node = NodeSpec::from_catalog(offer, card).expect("known");
    let scale_out = gb_s.map(BytesPerSecond::from_gb_s).or(node.scale_out);
    (model, NodeSpec { cards, scale_out, ..node })
}

/// Seconds of the jobs below with this share of the nodes' network.
fn predicted(share: f64) -> f64 {
    let (model, node) = h100(8, None);
    let node = node.with_network(share);
    let mut job = TrainingJob::new(&model, &node, 16);
    (job.tp, job.batch_tokens) = (Some(8), Some(BATCH));
    (job.zero, job.sharded) = (Some(Zero::Optimizer), None);
    TOKENS / training_throughput(&job).expect("it fits").tokens_per_second.as_per_second()
}

/// Trains so little a step that its traffic does not hide.
fn gang(name: &str, submit_s: f64) -> String {
    format!(
        "[[jobs]]\nname = \"{name}\"\nmodel = \"llama-3.1-8b\"\ntokens = {TOKENS}\nbatch_tokens = {BATCH}\n\
         accelerators = 16\nsubmit = \"{submit_s}s\"\nparallelism = {{ tp = 8 }}\nzero = 1\n"
    )
}

/// Holds a node for so long.
fn node_for(name: &str, seconds: f64) -> String {
    format!("[[jobs]]\nname = \"{name}\"\nwork = \"{seconds}s\"\naccelerators = 8\n")
}

/// Four nodes of eight H100 under two leaves, whose links up carry what one node sends. The nodes of even number come
/// free after 100 s, the others after 200.
fn pool(oversubscription: u32) -> String {
    let mut text = format!(
        "duration = \"20h\"\n[[pools]]\nname = \"base\"\noffer = \"aws/p5.48xlarge\"\nnodes = 4\nnodes_per_switch = 2\n\
         oversubscription = {oversubscription}\n"
    );
    for node in 0..4 {
        text += &node_for(&format!("n{node}"), if node % 2 == 0 { 100.0 } else { 200.0 });
    }
    text
}

/// The nodes of a job and how long it ran.
fn ran(results: &RunResults, name: &str) -> (Vec<u32>, f64) {
    let row = results.jobs.iter().find(|row| row.id == name).expect("it is there");
    (row.nodes.clone(), row.end.expect("done").since(row.start.expect("begun")).as_secs_f64())
}

/// Two gangs, each over both leaves: the graph gives each half of the links up, and each takes as much longer as
/// half of its network makes a step, for as long as both are there.
#[test]
fn two_gangs_on_one_uplink() {
    let fabric = h100(8, None).1.fabric(4, 2, Wiring::Plain, 2.0).expect("a fabric");
    let ring = |nodes: [u32; 2]| Gang { nodes: nodes.to_vec(), cards: 0, pattern: Pattern::Ring };
    let shares = fabric.shares(&[ring([0, 2]), ring([1, 3])]).expect("sound");
    assert_eq!((shares[0].of_own, shares[1].of_own), (0.5, 0.5));
    let (alone, together) = (predicted(1.0), predicted(0.5));
    assert!(together > 1.1 * alone, "{alone} {together}");

    let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-6;
    let one = ran(&results(&format!("{}{}", pool(2), gang("a", 100.0)), false), "a");
    assert!(one.0 == [0, 2] && near(one.1, alone), "{one:?} {alone}");
    // `a` has the links to itself for 100 s, and again once `b`, which began later, is the one that is left.
    let both = results(&format!("{}{}{}", pool(2), gang("a", 100.0), gang("b", 200.0)), false);
    let (a, b) = (ran(&both, "a"), ran(&both, "b"));
    assert_eq!((a.0, b.0), (vec![0, 2], vec![1, 3]));
    let slowed = together / alone;
    assert!(near(a.1, 100.0 + (alone - 100.0) * slowed), "{} {alone} {together}", a.1);
    assert!(near(b.1, (alone - 100.0) * slowed + 100.0), "{}", b.1);
    // Where the links up carry all, neither waits.
    let wide = results(&format!("{}{}{}", pool(1), gang("a", 100.0), gang("b", 200.0)), false);
    assert!(near(ran(&wide, "a").1, alone) && near(ran(&wide, "b").1, alone));
    assert!(wide.summary.pools[0].links.is_empty());
    // What was asked of the links is told.
    let links = &both.summary.pools[0].links;
    assert_eq!(links.len(), 4);
    assert_eq!((links[0].most, links[0].link.as_str()), (2.0, "leaf 0 to spine"));
    let (window, crowded) = (20.0 * 3600.0, (alone - 100.0) * slowed);
    assert!((links[0].crowded - crowded / window).abs() < 1e-6, "{links:?}");
    assert!((links[0].allocated - (crowded + 200.0) / window).abs() < 1e-6, "{links:?}");
}

/// A gang that is stopped, or loses its cards, while it is slowed loses and keeps work as at full pace; checkpoints
/// take their time on the slow links too.
#[test]
fn slowed_gangs_that_are_stopped() {
    for policy in
        ["srtf", "easy-backfill", "las\"\nthresholds = [\"1h\"]\nplacement = \"first-fit", "max-min"]
    {
        let more = gang("a", 100.0) + "checkpoint = { write = \"5s\", restore = \"7s\", every = \"60s\" }\n";
        let urgent = node_for("urgent", 50.0) + "submit = \"400s\"\npriority = 9\n";
        let text =
            format!("{}{more}{}{urgent}[scheduler]\npolicy = \"{policy}\"\n", pool(2), gang("b", 200.0));
        let results = results(&text, false);
        assert_eq!(results.summary.jobs.completed, 7, "{policy}");
    }
}

/// One way up is crowded: under `topology` a gang that must cross goes where the graph scores it best; under
/// `best-fit`, the nearest other rule, it takes the first nodes that are free and waits for others.
#[test]
fn topology_decides_by_the_graph() {
    // Three leaves of three nodes. Job `a` crosses from leaf 0 to leaf 1. Then one node is free under each leaf, and
    // `b` needs two.
    let pool = "duration = \"20h\"\n[[pools]]\nname = \"base\"\noffer = \"aws/p5.48xlarge\"\nnodes = 12\n\
                nodes_per_switch = 3\noversubscription = 3\n";
    // Nodes 0 and 3 free after 100 s, for `a`; 1, 4, 7 and 10 after 200 s, for `b`.
    let holds = |node: u32| match node {
        0 | 3 => 100.0,
        1 | 4 | 7 | 10 => 200.0,
        _ => 40_000.0,
    };
    let held: String = (0..12).map(|node| node_for(&format!("n{node}"), holds(node))).collect();
    let text = |placement: &str| {
        format!(
            "{pool}{held}{}{}[scheduler]\nplacement = \"{placement}\"\n",
            gang("a", 100.0),
            gang("b", 200.0)
        )
    };
    let alone = predicted(1.0);
    let best_fit = results(&text("best-fit"), false);
    assert_eq!(ran(&best_fit, "b").0, [1, 4]);
    assert!(ran(&best_fit, "b").1 > 1.05 * alone);
    let topology = results(&text("topology"), false);
    assert_eq!(ran(&topology, "b").0, [7, 10]);
    assert!((ran(&topology, "b").1 / alone - 1.0).abs() < 1e-6);
}

/// How long an iteration of a decoding request lasts on a replica of TP=8, on nodes of so many cards with so much
/// network: the mean over the tokens of an answer.
fn predicted_tpot(cards: u32, gb_s: f64) -> f64 {
    let (model, node) = h100(cards, Some(gb_s));
    let replica = Replica {
        plan: ParallelismPlan::tensor(8),
        ..Replica::new(&model, &node, fleetsim::catalog::Precision::Bf16)
    };
    let step = StepModel::Roofline(Roofline::new(&replica).expect("a plan"));
    let batch = BatchShape { decode_requests: 1, decode_context: 1000, ..BatchShape::default() };
    step.segment(&batch).elapsed(199).as_secs_f64() / 199.0
}

/// Two replicas of TP=8; nodes of so many H100, with 400 Gbit/s each, each under a leaf of its own, links up a
/// quarter as wide as the node's network.
fn serving(cards: u32, per_switch: u32, more: &str) -> String {
    let nodes = if cards == 8 { 2 } else { 4 };
    let mut text = format!(
        "duration = \"10m\"\n[[offers]]\nname = \"lab/node\"\naccelerator = \"H100-SXM5\"\n\
         accelerators_per_node = {cards}\nnetwork_gbit_s = 400\non_demand_usd_h = 40.0\n[[pools]]\nname = \"base\"\n\
         offer = \"lab/node\"\nnodes = {nodes}\nnodes_per_switch = {per_switch}\noversubscription = 4\n\
         granularity = \"1s\"\nminimum = \"0s\"\n"
    );
    for name in ["one", "two"] {
        text += &format!(
            "[[streams]]\nname = \"{name}\"\nmodel = \"llama-3.1-8b\"\nrate = \"0.1/s\"\n\
             arrivals = {{ process = \"deterministic\" }}\nprompt_tokens = 1000\noutput_tokens = 200\n\
             deployments = [\"{name}\"]\n[[deployments]]\nname = \"{name}\"\nmodel = \"llama-3.1-8b\"\nprecision = \"bf16\"\n\
             pools = [\"base\"]\nparallelism = {{ tp = 8 }}\nreplicas = 1\n"
        );
    }
    text + more
}

/// A replica of TP=8 on one node with NVLink, moved to two nodes of four cards: its all-reduces cross the network,
/// and the time of a token changes by the factor that the links of the graph predict. Two such on one link up take
/// as much longer again as half of it makes them; within a leaf they do not meet.
#[test]
fn a_replica_moved_from_one_node_to_two() {
    let tpot = |text: &str| {
        let results = results(text, false);
        let mean = results.summary.streams[0].latency.tpot_s.mean.expect("served");
        assert!(results.summary.requests.completed > 100);
        mean
    };
    let near =
        |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.01, "{found} {expected}");
    let (one, two) = (predicted_tpot(8, 50.0), predicted_tpot(4, 50.0));
    assert!(two > 1.2 * one, "{one} {two}");
    near(tpot(&serving(8, 1, "")), one);
    near(tpot(&serving(4, 2, "")), two);
    // Over leaves of one node each: a quarter of the network alone, which is all that a gang ever has there.
    let across = predicted_tpot(4, 12.5);
    assert!(across > 1.02 * two, "{two} {across}");
    near(tpot(&serving(4, 1, "")), across);
}

/// Gangs that come and go change the iterations of replicas on the same links at the same moment on both paths.
#[test]
fn step_by_step_is_the_same() {
    let jobs = "[[jobs]]\nname = \"held\"\nwork = \"100s\"\naccelerators = 4\n\
                [[jobs]]\nname = \"gang\"\nmodel = \"llama-3.1-8b\"\ntokens = 2e6\naccelerators = 8\nsubmit = \"20s\"\narray = 3\n";
    let mut text = serving(4, 3, jobs).replace("nodes = 4\n", "nodes = 6\n");
    text = text.replace("rate = \"0.1/s\"", "rate = \"9/s\"").replace("10m", "4m");
    let (fast, plain) = (results(&text, false), results(&text, true));
    assert!(
        fast.summary.pools[0].links.iter().any(|link| link.crowded > 0.0),
        "{:?}",
        fast.summary.pools[0].links
    );
    let json = |results: &RunResults| serde_json::to_string(&results.summary).expect("plain data");
    assert_eq!(json(&fast), json(&plain));
    assert_eq!(fast.summary.jobs.completed, 4);
}
