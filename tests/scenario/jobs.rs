//! Jobs, their traces and their schedulers.

use super::*;

#[test]
fn schedulers_and_job_traces() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = "id,submit_s,duration_s,accelerators,user,queue\na,0,60,1,ann,x\nb,5,60,0,ben,y\n";
    std::fs::write(folder.path().join("jobs.csv"), trace).expect("it can be written");
    let pools =
        "duration = \"1h\"\n[[pools]]\nname = \"base\"\noffer = \"lambda/gpu_1x_h100_sxm5\"\nnodes = 2\n";
    let load = |more: &str| {
        let path = folder.path().join("scenario.toml");
        std::fs::write(&path, format!("{pools}{more}")).expect("it can be written");
        fleetsim::scenario::load(&path, &[], None).map_err(|errors| errors.render(false))
    };
    let says = |more: &str, what: &str| {
        let error = load(more).map(|_| ()).expect_err("it is wrong");
        assert!(error.contains(what), "{what:?} is not in:\n{error}");
    };
    says("[job_trace]\nfile = \"jobs.csv\"\n", "line 3: it wants no card");
    says("[job_trace]\nfile = \"jobs.csv\"\nformat = \"openb\"\n", "the header has no column `name`");
    says("[job_trace]\nfile = \"jobs.csv\"\nformat = \"openbb\"\n", "did you mean `openb`?");
    let skip = "[job_trace]\nfile = \"jobs.csv\"\nbad_rows = \"skip\"\n";
    let loaded = load(&format!("{skip}[scheduler]\npolicy = \"easy-backfill\"\nplacement = \"pack\"\n"));
    let config = loaded.expect("it is right").config;
    assert_eq!(config.queue_order, fleetsim::policies::queue_order::QueueOrder::Easy);
    assert_eq!(config.job_trace.map(|jobs| jobs.len()), Some(1));
    assert!(config.assumptions.iter().any(|note| note.figure == "rows left out" && note.value == "1"));
    says(&format!("{skip}[scheduler]\npolicy = \"las\"\n"), "thresholds");
    says(&format!("{skip}[scheduler]\npolicy = \"las\"\nthresholds = [\"2h\", \"1h\"]\n"), "do not ascend");
    says(&format!("{skip}[scheduler]\npolicy = \"quota\"\n"), "needs the quotas");
    let quota = "policy = \"quota\"\nquotas = [{ queue = \"z\", cards = 2 }]\n";
    says(&format!("{skip}[scheduler]\n{quota}"), "its queue `x` may use 0 at most");
    let shares = "policy = \"fair-share\"\nhalf_life = \"1d\"\nshares = [{ user = \"anne\", weight = 2 }]\n";
    says(&format!("{skip}[scheduler]\n{shares}"), "did you mean `ann`?");
    for settings in [
        "policy = \"fifo\"\naccelerators = \"fastest\"\nround = \"5m\"",
        "policy = \"sjf\"\ndurations = \"noisy\"\nnoise = 0.3",
        "policy = \"srtf\"\ndurations = \"predicted\"",
        "policy = \"gittins\"",
        "policy = \"max-min\"\nheterogeneity = \"agnostic\"\nshares = [{ user = \"ann\", weight = 2 }]",
        "policy = \"finish-time-fairness\"\nreallocate = \"0s\"",
        "policy = \"min-makespan\"",
        "policy = \"cost\"",
    ] {
        let loaded =
            load(&format!("{skip}[scheduler]\n{settings}\n")).unwrap_or_else(|error| panic!("{error}"));
        let results = fleetsim::world::run(&loaded.config, fleetsim::world::RunOptions::default());
        assert_eq!(results.expect("its books balance").summary.jobs.completed, 1, "{settings}");
    }
    says(&format!("{skip}[scheduler]\npolicy = \"srtf\"\nnoise = 0.3\n"), "noise");
    for (name, _) in fleetsim::policies::placement::PlacementKind::ALL {
        let text = format!("{skip}[scheduler]\nplacement = \"{name}\"\n");
        let loaded = load(&text).unwrap_or_else(|error| panic!("{error}"));
        let results = fleetsim::world::run(&loaded.config, fleetsim::world::RunOptions::default());
        assert_eq!(results.expect("its books balance").summary.jobs.completed, 1, "{name}");
    }
}

/// Parts of cards, CPUs and memory of listed jobs, and pools by what they cost and how fast they are.
#[test]
fn jobs_that_share() {
    let pools = "duration = \"5h\"\n[[pools]]\nname = \"fast\"\noffer = \"aws/p5.48xlarge\"\nnodes = 2\n\
                 nodes_per_switch = 1\noversubscription = 4\n\
                 [[pools]]\nname = \"cheap\"\noffer = \"aws/p4d.24xlarge\"\nnodes = 2\n";
    let job = |name: &str, more: &str| format!("[[jobs]]\nname = \"{name}\"\n{more}\n");
    let load = |jobs: &str, placement: &str| {
        let text = format!("{pools}{jobs}[scheduler]\nplacement = \"{placement}\"\n");
        load_text(&text, Path::new("scenario.toml"), &[], None).map_err(|errors| errors.render(false))
    };
    let rows = |jobs: &str, placement: &str| {
        let loaded = load(jobs, placement).unwrap_or_else(|error| panic!("{error}"));
        let results = fleetsim::world::run(&loaded.config, fleetsim::world::RunOptions::default());
        results.expect("its books balance")
    };
    // Four notebooks on a card, and a fifth that needs more CPUs than the first node has left.
    let notebook = |name: &str, cpus: u32, more: &str| {
        let text = format!(
            "work = \"1h\"\naccelerators = 1\ncards_fraction = 0.25\ncpus = {cpus}\npools = [\"cheap\"]\n{more}"
        );
        job(name, &text)
    };
    let text = notebook("notebook", 20, "array = 4") + &notebook("large", 30, "memory = \"100 GiB\"");
    let results = rows(&text, "best-fit");
    let nodes: Vec<&[u32]> = results.jobs.iter().map(|row| row.nodes.as_slice()).collect();
    assert_eq!(nodes, [[0], [0], [0], [0], [1]].each_ref().map(<[u32; 1]>::as_slice));
    let waits: Vec<&str> = results.jobs.iter().map(|row| row.wait_reason.as_str()).collect();
    assert_eq!(waits, [""; 5]);
    // Two cards were used for an hour.
    let busy = results.summary.utilization.busy.expect("cards are paid for");
    assert!((busy - 2.0 / (32.0 * 5.0)).abs() < 1e-9, "{busy}");
    assert_eq!(results.gantt.len(), 5);
    // Stated work takes as long everywhere: the cheap pool costs less; a model trains faster on the fast one.
    let stated = job("stated", "work = \"1h\"\naccelerators = 8");
    let training = job("training", "model = \"llama-3.1-8b\"\ntokens = 1e8\naccelerators = 8");
    let pool = |text: &str, placement: &str| rows(text, placement).jobs[0].pool.clone().expect("it ran");
    assert_eq!(pool(&stated, "best-fit"), "fast");
    assert_eq!(pool(&stated, "cheapest"), "cheap");
    assert_eq!(pool(&stated, "fastest"), "fast");
    let slow_first = training.replace("accelerators", "pools = [\"cheap\", \"fast\"]\naccelerators");
    assert_eq!(
        (pool(&slow_first, "best-fit").as_str(), pool(&slow_first, "fastest").as_str()),
        ("cheap", "fast")
    );
    // Sixteen cards lie under two switches of one node each: with a quarter of the bandwidth between them
    // it takes longer.
    let took = |pools: &str| {
        let text =
            job("wide", "model = \"llama-3.1-8b\"\ntokens = 1e8\naccelerators = 16\npools = [\"fast\"]");
        let text = format!("{pools}{text}[scheduler]\nplacement = \"topology\"\n");
        let loaded = load_text(&text, Path::new("scenario.toml"), &[], None)
            .unwrap_or_else(|errors| panic!("{errors}"));
        let results = fleetsim::world::run(&loaded.config, fleetsim::world::RunOptions::default());
        results.expect("its books balance").summary.jobs.jct_s.mean.expect("it is done")
    };
    assert!(took(pools) > 1.01 * took(&pools.replace("nodes_per_switch = 1", "nodes_per_switch = 2")));
    let says = |text: &str, what: &str| {
        let error = load(text, "best-fit").map(|_| ()).expect_err("it is wrong");
        assert!(error.contains(what), "{what:?} is not in:\n{error}");
    };
    says(&notebook("greedy", 97, ""), "it needs 97 CPUs on a node, which has 96");
    says(&job("part", "work = \"1h\"\naccelerators = 1\ncards_fraction = 1.5"), "`1.5` is no part of a card");
    let trained = "model = \"llama-3.1-8b\"\ntokens = 1e8\naccelerators = 1\ncards_fraction = 0.5";
    says(&job("part", trained), "says how long it takes");
}

/// Arrays, dependencies, limits and checkpoints of listed jobs: read, run, and refused with their lines.
#[test]
fn jobs_that_follow_each_other() {
    let job = |name: &str, more: &str| {
        format!("\n[[jobs]]\nname = \"{name}\"\nwork = \"10m\"\naccelerators = 1\npools = [\"base\"]\n{more}")
    };
    let text = |jobs: &[String]| {
        let pool = "[[pools]]\nname = \"base\"\noffer = \"lambda/gpu_1x_h100_sxm5\"\nnodes = 2\n";
        format!("duration = \"5h\"\n{pool}{}", jobs.concat())
    };
    let checkpoint =
        "checkpoint = { size = \"120GB\", bandwidth = \"2GB/s\", every = \"daly\", mtbf = \"30d\" }\n";
    let jobs = [
        job("train", &format!("array = 3\ntime_limit = \"1h\"\n{checkpoint}")),
        job("judge", "after = [\"train\"]\n"),
    ];
    let loaded = load_sets(&text(&jobs), &[]).unwrap_or_else(|errors| panic!("{errors}"));
    let extra = &loaded.config.jobs[0].extra;
    let checkpoint = extra.checkpoint.expect("it has one");
    assert_eq!((checkpoint.write.as_secs_f64(), checkpoint.restore.as_secs_f64()), (60.0, 60.0));
    // sqrt(2 * 60 * 2592000) and a little, less 60.
    let every = checkpoint.every.expect("daly's").as_secs_f64();
    assert!((17_576.0..17_600.0).contains(&every), "{every}");
    let results = fleetsim::world::run(&loaded.config, fleetsim::world::RunOptions::default());
    let results = results.expect("its books balance");
    let ends: Vec<(String, f64)> = results
        .jobs
        .iter()
        .map(|job| (job.id.clone(), job.end.map_or(0.0, |end| end.as_secs_f64())))
        .collect();
    let expected = [("train[0]", 600.0), ("train[1]", 600.0), ("train[2]", 1200.0), ("judge", 1800.0)];
    assert_eq!(ends, expected.map(|(name, end)| (name.to_owned(), end)));
    let after = |other: &str| format!("after = [\"{other}\"]\n");
    let circle = [job("first", ""), job("second", &after("third")), job("third", &after("second"))];
    insta::assert_snapshot!(errors(&text(&circle), &[]));
    insta::assert_snapshot!(errors(&text(&[job("first", ""), job("second", &after("frist"))]), &[]));
    let bare = "checkpoint = { every = \"1h\" }\n";
    insta::assert_snapshot!(errors(&text(&[job("first", bare)]), &[]));
}
