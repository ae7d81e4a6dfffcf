//! Every policy and placement that a scenario can name decides differently from its nearest neighbour. Why, by hand,
//! is told by the unit tests beside each; here the same jobs go through the scenario file under both names.

use std::path::Path;

use fleetsim::policies::placement::PlacementKind;
use fleetsim::policies::queue_order::QueueOrder;
use fleetsim::scenario::load_text;
use fleetsim::units::Instant;
use fleetsim::world::{RunOptions, run};

/// Who started and ended when, and where.
type Schedule = Vec<(Option<Instant>, Option<Instant>, Option<String>, Vec<u32>)>;

fn schedule(text: &str) -> Schedule {
    let loaded = load_text(text, Path::new("scenario.toml"), &[], None);
    let loaded = loaded.unwrap_or_else(|errors| panic!("{}\n{text}", errors.render(false)));
    let results = run(&loaded.config, RunOptions::default()).expect("its books balance");
    results.jobs.into_iter().map(|row| (row.start, row.end, row.pool, row.nodes)).collect()
}

/// Eighteen training jobs of two users with their queues on two kinds of nodes.
fn training(scheduler: &str) -> String {
    let mut text =
        "duration = \"200h\"\n[[pools]]\nname = \"fast\"\noffer = \"aws/p5.48xlarge\"\nnodes = 2\n\
                    [[pools]]\nname = \"slow\"\noffer = \"aws/p4d.24xlarge\"\nnodes = 2\n"
            .to_owned();
    for job in 0..18u64 {
        // Numbers that look drawn: multiples of a prime, modulo others.
        let (tokens, cards) = (1 + 37 * job % 11, [8, 8, 16, 4, 8, 12][(job % 6) as usize]);
        let (submit, deadline) = (13 * job % 31, 300 + 211 * job % 1301);
        let (user, priority, estimate) =
            (["ann", "ben"][(job % 3 / 2) as usize], 7 * job % 5, 60 + 53 * job % 400);
        text += &format!(
            "[[jobs]]\nname = \"job{job}\"\nmodel = \"llama-3.1-8b\"\ntokens = {tokens}e8\naccelerators = {cards}\n\
             submit = \"{submit}m\"\ndeadline = \"{deadline}m\"\nestimate = \"{estimate}m\"\npriority = {priority}\n\
             user = \"{user}\"\nqueue = \"{user}\"\n"
        );
    }
    text + "[scheduler]\n" + scheduler
}

#[test]
fn policies_differ_from_their_neighbours() {
    let with = |name: &str| -> String {
        let settings = match name {
            "las" => "thresholds = [\"1h\", \"4h\"]\n",
            "quota" => {
                "quotas = [{ queue = \"ann\", cards = 16, borrow = 0 }, { queue = \"ben\", cards = 16, borrow = 0 }]\n"
            }
            "fair-share" => "half_life = \"1h\"\n",
            "max-min" | "finish-time-fairness" | "min-makespan" | "cost" => {
                "round = \"20m\"\nreallocate = \"40m\"\n"
            }
            _ => "",
        };
        format!("policy = \"{name}\"\n{settings}")
    };
    let neighbours = [
        ("fifo", "priority"),
        ("priority", "edf"),
        ("sjf", "srtf"),
        ("srtf", "las"),
        ("edf", "sjf"),
        ("easy-backfill", "conservative-backfill"),
        ("conservative-backfill", "fifo"),
        ("las", "gittins"),
        ("gittins", "srtf"),
        ("fair-share", "drf"),
        ("drf", "quota"),
        ("quota", "fifo"),
        ("max-min", "finish-time-fairness"),
        ("finish-time-fairness", "min-makespan"),
        ("min-makespan", "cost"),
        ("cost", "max-min"),
    ];
    let mut names: Vec<&str> = neighbours.iter().map(|(name, _)| *name).collect();
    let mut known = QueueOrder::NAMES.to_vec();
    names.sort_unstable();
    known.sort_unstable();
    assert_eq!(names, known, "each policy has a neighbour");
    for (name, neighbour) in neighbours {
        let (own, other) = (schedule(&training(&with(name))), schedule(&training(&with(neighbour))));
        assert_ne!(own, other, "{name} decides as {neighbour} does");
        assert_eq!(own, schedule(&training(&with(name))), "{name} decides the same each time");
    }
}

/// Fifty jobs that want parts of cards, cards and whole nodes, with CPUs beside them; or whole cards alone.
fn mixed(placement: &str, parts: bool) -> String {
    let mut text = "duration = \"200h\"\n[[pools]]\nname = \"a\"\noffer = \"aws/p4d.24xlarge\"\nnodes = 6\n\
                    nodes_per_switch = 2\n\
                    [[pools]]\nname = \"b\"\noffer = \"aws/p5.48xlarge\"\nnodes = 4\nnodes_per_switch = 2\n"
        .to_owned();
    for job in 0..50u64 {
        let cards = [1, 2, 1, 4, 16, 1, 3, 8, 20, 1][(job % 10) as usize];
        let more = match (parts, job % 10) {
            (false, _) => String::new(),
            (true, 0 | 5) => format!("cards_fraction = 0.{}\ncpus = {}\n", 1 + job % 4, 1 + 11 * job % 17),
            (true, _) => format!("cpus = {}\n", 1 + 7 * job % 40),
        };
        let (work, submit) = (20 + 41 * job % 173, 7 * job % 89);
        let pools = if job % 4 == 0 { "[\"b\", \"a\"]" } else { "[\"a\", \"b\"]" };
        // What trains is faster on the one and cheaper on the other.
        let work = match (more.is_empty(), job % 3) {
            (true, 0) => format!("model = \"llama-3.1-8b\"\ntokens = {work}e5\nzero = 3"),
            _ => format!("work = \"{work}m\""),
        };
        let cards = if work.starts_with("model") { cards.max(4) } else { cards };
        text += &format!(
            "[[jobs]]\nname = \"job{job}\"\n{work}\naccelerators = {cards}\nsubmit = \"{submit}m\"\npools = {pools}\n{more}"
        );
    }
    text + &format!("[scheduler]\nplacement = \"{placement}\"\n")
}

#[test]
fn placements_differ_from_their_neighbours() {
    let neighbours = [
        ("first-fit", "best-fit", false),
        ("best-fit", "pack", false),
        ("worst-fit", "spread", false),
        ("pack", "first-fit", false),
        ("spread", "random", false),
        ("random", "first-fit", false),
        ("consolidate", "best-fit", false),
        ("dot-product", "best-fit", true),
        ("gpu-clustering", "gpu-packing", true),
        ("gpu-packing", "fgd", true),
        ("fgd", "dot-product", true),
        ("topology", "best-fit", false),
        ("cheapest", "fastest", false),
        ("fastest", "best-fit", false),
    ];
    let mut names: Vec<&str> = neighbours.iter().map(|(name, ..)| *name).collect();
    let mut known = PlacementKind::ALL.map(|(name, _)| name);
    names.sort_unstable();
    known.sort_unstable();
    assert_eq!(names, known, "each placement has a neighbour");
    for (name, neighbour, parts) in neighbours {
        let own = schedule(&mixed(name, parts));
        assert_ne!(own, schedule(&mixed(neighbour, parts)), "{name} decides as {neighbour} does");
    }
}
