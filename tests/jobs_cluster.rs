//! What a cluster's users share, from the scenario file: turns, reservations, people, and giving way to serving.

use std::path::Path;

use fleetsim::metrics::results::RunResults;
use fleetsim::scenario::load_text;
use fleetsim::world::{RunOptions, run};

fn results(text: &str) -> RunResults {
    let loaded = load_text(text, Path::new("scenario.toml"), &[], None);
    let loaded = loaded.unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    run(&loaded.config, RunOptions::default()).expect("its books balance")
}

fn refused(text: &str) -> String {
    let loaded = load_text(text, Path::new("scenario.toml"), &[], None);
    loaded.map(|_| ()).expect_err("it is wrong").render(false)
}

/// Nodes of one card each for ten hours.
fn pool(nodes: u32) -> String {
    format!(
        "duration = \"10h\"\n[[pools]]\nname = \"base\"\noffer = \"lambda/gpu_1x_h100_sxm5\"\nnodes = {nodes}\n"
    )
}

fn job(name: &str, cards: u32, work: &str, more: &str) -> String {
    format!("[[jobs]]\nname = \"{name}\"\naccelerators = {cards}\nwork = \"{work}\"\n{more}\n")
}

/// Starts and ends in minutes.
fn minutes(results: &RunResults) -> Vec<(f64, f64)> {
    let minutes = |at: Option<fleetsim::units::Instant>| at.map_or(f64::NAN, |at| at.as_secs_f64() / 60.0);
    results.jobs.iter().map(|row| (minutes(row.start), minutes(row.end))).collect()
}

/// Round robin with half an hour each: the long job gives way to both others, and the last once to it.
#[test]
fn jobs_take_turns() {
    let jobs = job("long", 1, "2h", "")
        + &job("a", 1, "30m", "submit = \"10m\"")
        + &job("b", 1, "40m", "submit = \"20m\"");
    let turns = results(&format!("{}{jobs}[scheduler]\nquantum = \"30m\"\n", pool(1)));
    assert_eq!(minutes(&turns), [(0.0, 190.0), (30.0, 60.0), (60.0, 130.0)]);
    assert_eq!(turns.summary.jobs.preemptions, 3);
    let plain = results(&format!("{}{jobs}", pool(1)));
    assert_eq!(minutes(&plain), [(0.0, 120.0), (120.0, 150.0), (150.0, 190.0)]);
    assert!(
        refused(&format!("{}{jobs}[scheduler]\npolicy = \"srtf\"\nquantum = \"30m\"\n", pool(1)))
            .contains("quantum")
    );
}

/// One of two nodes is held for Ann from the first hour to the third: Ben's job of two hours, and his gang of two,
/// would reach into that time, and wait; his short job is done before it. Ann goes ahead of the gang.
#[test]
fn the_calendar_holds_nodes() {
    let user = |name: &str, submit: &str| format!("user = \"{name}\"\nsubmit = \"{submit}\"");
    let jobs = job("first", 1, "2h", &user("ben", "0s"))
        + &job("short", 1, "30m", &user("ben", "0s"))
        + &job("gang", 2, "1h", &user("ben", "35m"))
        + &job("hers", 1, "1h", &user("ann", "90m"));
    let reservation = "[[scheduler.reservations]]\nname = \"demo\"\npool = \"base\"\nnodes = 1\nfrom = \"1h\"\nto = \"3h\"\n\
                       users = [\"ann\"]\n";
    let held = results(&format!("{}{jobs}{reservation}", pool(2)));
    assert_eq!(minutes(&held), [(0.0, 120.0), (0.0, 30.0), (180.0, 240.0), (90.0, 150.0)]);
    let causes: Vec<&str> = held.job_waits.of(2).map(|(cause, _)| cause).collect();
    assert_eq!(causes, ["not enough cards", "calendar reservation"]);
    let plain = results(&format!("{}{jobs}", pool(2)));
    assert_eq!(minutes(&plain)[2..], [(120.0, 180.0), (180.0, 240.0)]);
    for (from, to, says) in [
        ("\"ann\"", "\"anna\"", "did you mean `ann`?"),
        ("\"base\"", "\"bass\"", "did you mean `base`?"),
        ("nodes = 1\nfrom", "nodes = 3\nfrom", "is of 3 nodes; the pool has 2"),
        ("to = \"3h\"", "to = \"30m\"", "ends before it begins"),
        ("users = [\"ann\"]", "users = []", "is for nobody"),
    ] {
        let error = refused(&format!("{}{jobs}{}", pool(2), reservation.replace(from, to)));
        assert!(error.contains(says), "{says:?} is not in:\n{error}");
    }
}

/// Twelve developers beside long training: the classes tell how long each waits and what one more costs. The cards
/// cost the same leased or not, so all of them together cost what the pool does.
#[test]
fn people_are_counted() {
    let text = "duration = \"48h\"\nseed = 3\n[[pools]]\nname = \"base\"\noffer = \"lambda/gpu_1x_h100_sxm5\"\nnodes = 10\n\
                [[developers]]\nname = \"notebooks\"\nheadcount = 12\nsessions_per_day = 3\n\
                session = { dist = \"lognormal\", median = \"40m\", p99 = \"4h\" }\n"
        .to_owned()
        + &job("training", 6, "40h", "queue = \"research\"\nuser = \"ann\"");
    let run = results(&text);
    let classes = &run.summary.jobs.classes;
    let seen: Vec<(&str, u64)> = classes.iter().map(|class| (class.name.as_str(), class.users)).collect();
    assert_eq!(seen, [("research", 1), ("notebooks", 12)]);
    assert_eq!((classes[0].submitted, classes[0].card_hours), (1, 240.0));
    // Three sessions a day of two working days.
    assert!((50..95).contains(&classes[1].submitted), "{classes:?}");
    assert!(
        run.jobs.iter().skip(1).all(|row| row.queue == "notebooks" && row.user.starts_with("notebooks-"))
    );
    let all: f64 = classes.iter().map(|class| class.usd_per_user * class.users as f64).sum();
    assert!((all / run.summary.spend.total_usd - 1.0).abs() < 1e-9, "{all}");
    // One more opens sessions of its own and changes nobody else's.
    let more = results(&text.replace("headcount = 12", "headcount = 13"));
    let others = |results: &RunResults| -> Vec<(String, fleetsim::units::Instant)> {
        let rows = results.jobs.iter().filter(|row| row.user != "notebooks-13");
        rows.map(|row| (row.id.clone(), row.submit)).collect()
    };
    assert_eq!(others(&run), others(&more));
    assert!(more.jobs.len() > run.jobs.len());
    assert!(refused(&text.replace("headcount = 12\n", "")).contains("headcount"));
    assert!(
        refused(&text.replace("headcount", "from = \"19:00\"\nheadcount")).contains("ends before it begins")
    );
    assert!(
        refused(&text.replace("headcount", "accelerators = 11\nheadcount"))
            .contains("it has 10 cards in all")
    );
}

/// Serving wants four more cards from the second hour on, and batch jobs hold all: those that started last give way,
/// at once where they need not save their state, after the checkpoint where it takes less than they have promised, and
/// at the promised time otherwise, with what they have done since the last checkpoint lost. In the third hour they
/// fill the valley again.
fn yielding(checkpoint: &str) -> RunResults {
    let text = "duration = \"4h\"\n[[pools]]\nname = \"base\"\noffer = \"lambda/gpu_1x_h100_sxm5\"\nnodes = 6\n\
                [[streams]]\nname = \"chat\"\nmodel = \"llama-3.1-8b\"\nrate = \"1/s\"\n\
                prompt_tokens = 100\noutput_tokens = 20\n\
                [[deployments]]\nname = \"chat-8b\"\nmodel = \"llama-3.1-8b\"\npools = [\"base\"]\n\
                replicas = { min = 1, max = 5, initial = 1 }\n\
                autoscaler = { policy = \"scheduled\", schedule = [{ start = \"0 1 * * *\", end = \"0 2 * * *\", replicas = 5 }] }\n"
        .to_owned();
    results(&(text + &job("batch", 1, "10h", &format!("array = 5\nyields_within = \"5m\"\n{checkpoint}"))))
}

#[test]
fn batch_work_yields_within_its_time() {
    for (checkpoint, within_s) in [
        ("", 0.0),
        ("checkpoint = { write = \"2m\" }", 120.0),
        ("checkpoint = { write = \"20m\", every = \"50m\" }", 300.0),
    ] {
        let run = yielding(checkpoint);
        assert_eq!(run.summary.jobs.yields, 4, "{checkpoint}");
        // Leases of batch jobs that ended in the second hour: four, all the promised time after the law decided.
        let ends: Vec<f64> = run
            .gantt
            .iter()
            .map(|row| row.to.as_secs_f64())
            .filter(|at| (3600.0..7200.0).contains(at))
            .collect();
        assert_eq!(ends.len(), 4, "{checkpoint}: {ends:?}");
        let asked = run.decisions.iter().find(|row| row.desired == 5.0).expect("the schedule begins").time;
        for end in ends {
            let took = end - asked.as_secs_f64();
            assert!((took - within_s).abs() < 1e-6, "{checkpoint}: {took} s");
        }
        let back = run.gantt.iter().filter(|row| row.from.as_secs_f64() >= 7200.0).count();
        assert_eq!(back, 4, "{checkpoint}: they fill the valley again");
        assert_eq!(run.summary.jobs.lost_card_hours > 0.0, checkpoint.contains("20m"), "{checkpoint}");
    }
    // Who has promised nothing keeps its cards.
    let text = "duration = \"4h\"\n".to_owned();
    assert!(refused(&(text + &job("batch", 1, "1h", "yields_within = \"-5m\""))).contains("yields_within"));
}

/// Two nodes of a reserved pool and a job of two hours with checkpoints after every 20 minutes of work, which cost
/// nothing. Node 0 broke at 30 minutes for an hour: ten minutes are lost, and the job goes on on node 1, the spare,
/// which broke at 60 minutes: ten of its minutes are lost too, and it waits for node 0.
#[test]
fn recorded_failures_come_back() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("failures.csv"), "time_s,node,repair_s\n3600,1,7200\n1800,0,3600\n")
        .expect("it can be written");
    let text = "duration = \"10h\"\n[[pools]]\nname = \"base\"\noffer = \"aws/p5.48xlarge\"\nnodes = 2\n\
                purchase = \"reserved-3y\"\n\
                failures = { trace = \"failures.csv\", repair = \"1h\" }\n"
        .to_owned()
        + &job("run", 8, "2h", "checkpoint = { write = \"0s\", every = \"20m\" }");
    let path = folder.path().join("scenario.toml");
    std::fs::write(&path, &text).expect("it can be written");
    let load = |path: &Path| fleetsim::scenario::load(path, &[], None).map_err(|errors| errors.render(false));
    let loaded = load(&path).unwrap_or_else(|error| panic!("{error}"));
    let results = run(&loaded.config, RunOptions::default()).expect("its books balance");
    let held: Vec<(u64, u64, u32)> = results
        .gantt
        .iter()
        .map(|row| (row.from.as_nanos() / 60_000_000_000, row.to.as_nanos() / 60_000_000_000, row.nodes[0].0))
        .collect();
    assert_eq!(held, [(0, 30, 0), (30, 60, 1), (90, 170, 0)]);
    let jobs = &results.summary.jobs;
    assert_eq!((jobs.losses, jobs.completed), (2, 1));
    assert!((jobs.lost_card_hours - 8.0 * 20.0 / 60.0).abs() < 1e-9, "{}", jobs.lost_card_hours);
    assert!((jobs.goodput.expect("it ran") - 120.0 / 140.0).abs() < 1e-9);
    std::fs::write(folder.path().join("failures.csv"), "time_s,node\n3600,2\n").expect("it can be written");
    let error = load(&path).map(|_| ()).expect_err("it is wrong");
    assert!(error.contains("line 2: node 2 is not among the pool's 2"), "{error}");
}

/// Eight nodes in racks of four that break once in 20 hours each: where all failures come to a rack at once, the nodes
/// of a rack go down in the same instant, and each as often as where they break by themselves.
#[test]
fn failures_come_together() {
    let broken = |together: &str| {
        let text = format!(
            "duration = \"2000h\"\n[[pools]]\nname = \"base\"\noffer = \"aws/p5.48xlarge\"\nnodes = 8\n\
             purchase = \"reserved-3y\"\n\
             failures = {{ life = {{ dist = \"exponential\", mean = \"20h\" }}, repair = \"1m\"{together} }}\n{}",
            job("run", 64, "1000h", "checkpoint = { write = \"0s\", every = \"1m\" }")
        );
        let results = results(&text);
        let supply = results.summary.pools[0].supply.as_ref().expect("nodes come and go").broken;
        (supply, results.summary.jobs.losses)
    };
    // 8 nodes, 2000 h, once in 20 h: 800, with a deviation of 28 alone and of 4 times the root of 200 in racks.
    let (alone, lost_alone) = broken("");
    assert!((700..900).contains(&alone), "{alone}");
    let (racks, lost) = broken(", together = { share = 1.0, nodes = 4 }");
    assert!((630..970).contains(&racks) && racks % 4 == 0, "{racks}");
    // The job of all nodes is hit once where four go down at once.
    assert!(lost_alone > 3 * lost, "{lost_alone} and {lost}");
    let error = refused(&format!(
        "{}failures = {{ life = \"20h\", repair = \"1m\", together = {{ share = 0.5, nodes = 2 }} }}\n{}",
        pool(2),
        job("run", 1, "1h", "")
    ));
    assert!(error.contains("only where `life` is exponential"), "{error}");
}

/// Two jobs on a fast and on a slow pool under `srtf`, with more left to do on the slow one than it would be on the
/// fast one: they do not stop each other without an end, and with a state to restore neither.
#[test]
fn two_speeds_come_to_an_end() {
    let text = |checkpoint: &str| {
        let job = |name: &str, tokens: &str, submit: &str| {
            format!(
                "[[jobs]]\nname = \"{name}\"\nmodel = \"llama-3.1-8b\"\ntokens = {tokens}\naccelerators = 8\n\
                 submit = \"{submit}\"\n{checkpoint}"
            )
        };
        "duration = \"100h\"\n[[pools]]\nname = \"fast\"\noffer = \"aws/p5.48xlarge\"\nnodes = 1\n\
         [[pools]]\nname = \"slow\"\noffer = \"aws/p4d.24xlarge\"\nnodes = 1\n"
            .to_owned()
            + &job("a", "10e8", "0s")
            + &job("b", "9e8", "1m")
            + &job("c", "8e8", "2m")
            + &job("d", "7e8", "3m")
            + "[scheduler]\npolicy = \"srtf\"\n"
    };
    for checkpoint in ["", "checkpoint = { write = \"0s\", restore = \"30m\" }\n"] {
        let results = results(&text(checkpoint));
        assert_eq!(results.summary.jobs.completed, 4);
        // Each gives way at most to each that is shorter.
        assert!(results.jobs.iter().all(|row| row.preemptions <= 3), "{checkpoint}: {:?}", results.jobs);
    }
}

/// What a trace loses because it cannot be used is counted where one looks first: in the terminal's summary and on the
/// first screen of the report. Without a word from the user nothing is left out.
#[test]
fn rows_left_out_are_counted_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let write =
        |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("it can be written");
    write("jobs.csv", "id,submit_s,duration_s,accelerators\na,0,600,1\nb,5,60,0\nc,20,,1\nd,30,100,64\n");
    let text = format!("{}[job_trace]\nfile = \"jobs.csv\"\n", pool(2));
    let fleetsim = |text: &str| {
        write("scenario.toml", text);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_fleetsim"));
        command.current_dir(folder.path()).args(["run", "scenario.toml", "--out", "out", "--plots", "none"]);
        let output = command.output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, _, error) = fleetsim(&text);
    assert_eq!(code, Some(2));
    for says in ["line 3: it wants no card", "line 4: `duration_s` is missing", "line 5: it wants 64 cards"] {
        assert!(error.contains(says), "{says:?} is not in:\n{error}");
    }
    let (code, summary, _) = fleetsim(&format!("{text}bad_rows = \"skip\"\n"));
    assert_eq!(code, Some(0));
    let says = "3 rows of the job trace cannot be used and were left out";
    assert!(summary.contains(says), "{summary}");
    let page = std::fs::read_to_string(folder.path().join("out/report.html")).expect("the report is there");
    let first = page.find(says).expect("the report says so");
    assert!(
        first < page.find("id=\"streams\"").or_else(|| page.find("<section")).unwrap_or(page.len()),
        "{first}"
    );
}
