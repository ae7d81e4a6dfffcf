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
