//! Bad input from outside: exit status 2, the place, what was wrong, the nearest name, what to do; and folders
//! and disks that cannot be written.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests, and helpers of tests, may")]

#[path = "cli/program.rs"]
mod program;

use std::path::Path;

use fleetsim::scenario::load_text;
use fleetsim::world::{RunOptions, run};
use program::{HOME, SMALL, Said, fleetsim_in, write};
use proptest::prelude::*;
use tempfile::TempDir;

const QUICKSTART: &str = include_str!("../scenarios/quickstart.toml");

/// Texts of the small scenario and what stands there instead.
type Changes = [(&'static str, &'static str)];

/// The small scenario with changes.
fn broken(changes: &Changes) -> String {
    changes.iter().fold(SMALL.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    })
}

/// Runs a scenario's text; it must be refused, and nothing be left.
fn refused(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, "s.toml", text);
    let said = fleetsim_in(folder.path(), &["run", "s.toml", "--records", "none", "--no-report"]);
    assert_eq!((said.status, said.stdout.as_str()), (2, ""), "{}", said.stderr);
    said.stderr
}

fn assert_parts(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "no `{part}` in\n{said}");
    }
}

#[test]
fn each_kind_of_slip_has_its_place_and_a_way_out() {
    let cases: &[(&Changes, &[&str])] = &[
        // Wrong TOML.
        (&[("duration = \"15m\"", "duration = \"15m")], &["s.toml:4:"]),
        (&[("[[pools]]", "[[pools]")], &["s.toml:26:"]),
        // Unknown keys.
        (&[("routing = ", "ruoting = ")], &["s.toml:43:1", "`ruoting`", "`routing`"]),
        (&[("warmup", "warm_up")], &["s.toml:5:1", "`warm_up`", "`warmup`"]),
        // Wrong units and types.
        (&[("\"15m\"", "\"15 mins\"")], &["s.toml:4:12", "15 mins"]),
        (&[("\"6/s\"", "\"6 Hz\"")], &["s.toml:10:8", "6 Hz", "\"12/s\""]),
        (&[("nodes = 3", "nodes = \"3\"")], &["s.toml:29:9", "whole number"]),
        // Negative and absurd numbers.
        (&[("nodes = 3", "nodes = -3")], &["s.toml:29:9", "-3", "from 1 to"]),
        (&[("price = 13.0", "price = -1")], &["s.toml:35:9", "-1"]),
        (&[("cv = 2.0", "cv = 0")], &["s.toml:11:38", "above zero"]),
        (&[("\"15m\"", "\"1000000y\"")], &["s.toml:4:12", "out of range"]),
        (&[("attainment = 0.9", "attainment = 90")], &["s.toml:15:", "90"]),
        (&[("factor = 30", "factor = nan")], &["s.toml:12:", "nan"]),
        // Dangling names.
        (&[("pools = [\"singles\"]", "pools = [\"single\"]")], &["s.toml:41:10", "did you mean `singles`?"]),
        (&[("p4d.24xlarge", "p4d.24large")], &["s.toml:33:9", "did you mean `aws/p4d.24xlarge`?"]),
        (
            &[("model = \"mistral-7b\"", "model = \"mistrall-7b\"")],
            &["s.toml:20:9", "did you mean `mistral-7b`?"],
        ),
        (&[("reserved-1y", "reserved-2y")], &["s.toml:34:12", "`reserved-1y`"]),
        (&[("power-of-two", "power-of-too")], &["s.toml:43:11", "`power-of-two`"]),
        // A model that fits on none of its pools.
        (
            &[("llama-3.1-8b", "llama-3.1-70b"), ("model = \"llama-3.1-8b\"", "model = \"llama-3.1-70b\"")],
            &["s.toml:40:9", "on `singles`", "does not fit", "what would fit: tp = 2"],
        ),
        // Figures that nobody knows.
        (&[("price = 13.0\n", "")], &["s.toml:34:12", "reserved-1y price", "supply it"]),
        (
            &[("mistral-7b", "gpt-4"), ("model = \"mistral-7b\"", "model = \"gpt-4\"")],
            &["s.toml:49:9", "does not know `layers`, `hidden`", "[[models]]"],
        ),
        // Too few cards.
        (&[("accelerators = 6", "accelerators = 60")], &["s.toml:56:16", "60 cards", "8 cards in all"]),
        (
            &[("replicas = 2", "replicas = 20")],
            &["s.toml:38:1", "20 replicas", "room for 3", "raise `nodes`"],
        ),
        (
            &[("pools = [\"big\"]\nreplicas = 2", "pools = [\"singles\"]\nreplicas = 2")],
            &["s.toml:47:1", "only 1 get cards", "raise `nodes`"],
        ),
    ];
    for (changes, parts) in cases {
        let said = refused(&broken(changes));
        assert!(said.starts_with("error: "), "{said}");
        assert_parts(&said, parts);
    }
}

#[test]
fn all_errors_come_at_once_and_no_false_ones() {
    let text = broken(&[
        ("\"15m\"", "\"15 mins\""),
        ("ttft = \"500ms\"", "tfft = \"500ms\""),
        ("users = 20", "users = 0"),
        ("nodes = 3", "nodes = -3"),
        ("aws/p4d.24xlarge", "aws/p4d.24large"),
        ("power-of-two", "power-of-too"),
        ("accelerators = 4", "accelerators = 0.5"),
    ]);
    let said = refused(&text);
    let lines = [":4:12", ":15:", ":21:42", ":29:9", ":33:9", ":43:11", ":62:16"];
    assert_parts(&said, &lines.map(|place| format!("s.toml{place}")).each_ref().map(String::as_str));
    assert!(said.ends_with("7 errors in s.toml\n"), "{said}");
    // What failed to be read is there all the same: nothing else complains that it is missing.
    assert!(!said.contains("there is no pool") && !said.contains("has no `rate`"), "{said}");
}

/// The small scenario with its first stream from `trace.csv`, which has `rows`.
fn replay(rows: &[u8], more: &str) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let from = SMALL.find("rate = \"6/s\"").unwrap();
    let to = SMALL.find("slo = ").unwrap();
    let trace = format!("trace = {{ file = \"trace.csv\"{more} }}\n");
    let text = format!("{}{trace}{}", &SMALL[..from], &SMALL[to..]);
    write(&folder, "s.toml", &text);
    std::fs::write(folder.path().join("trace.csv"), rows).unwrap();
    fleetsim_in(folder.path(), &["run", "s.toml", "--records", "all", "--plots", "none", "--no-report"])
}

#[test]
fn traces_that_are_wrong_from_the_start() {
    let cases: &[(&[u8], &[&str])] = &[
        (b"", &["trace.csv:1: the file is empty"]),
        (b"arrival_s,prompt_tokens,output_tokens\n", &["trace.csv:1: there are no rows"]),
        (b"a;b;c\n1;2;3\n", &["trace.csv:1: the header `a;b;c`", "arrival_s,prompt_tokens,output_tokens"]),
        (b"\xff\xfe\x00\x01\n", &["trace.csv:1: the line is not text"]),
        (
            b"arrival_s,prompt_tokens,output_tokens\n5000,10,10\n",
            &["trace.csv:2: the first arrival", "lengthen the run"],
        ),
    ];
    for (rows, parts) in cases {
        let said = replay(rows, "");
        assert_eq!((said.status, said.stdout.as_str()), (2, ""), "{}", said.stderr);
        assert_parts(&said.stderr, parts);
        assert_parts(&said.stderr, &["s.toml:10:18"]);
    }
    // A name of a format is checked like any other.
    let said = replay(b"x", ", format = \"azure-llm-2032\"");
    assert_eq!(said.status, 2);
    assert_parts(&said.stderr, &["s.toml:10:", "`azure-llm-2023`"]);
}

#[test]
fn traces_that_are_wrong_far_in() {
    let cases: &[(&str, &[&str])] = &[
        ("50,10,10\n", &["column `arrival_s`: the row is 350 s earlier", "sort the file"]),
        ("500,10", &["the row has 2 columns, the header 3", "cut off"]),
        ("500,-5,10\n", &["column `prompt_tokens`: -5 tokens", "take failed requests out"]),
        ("500,ten,10\n", &["column `prompt_tokens`: `ten`"]),
        ("nan,10,10\n", &["column `arrival_s`"]),
    ];
    let good: String = (1..=400).map(|second| format!("{second},100,20\n")).collect();
    for (last, parts) in cases {
        let rows = format!("arrival_s,prompt_tokens,output_tokens\n{good}{last}");
        let said = replay(rows.as_bytes(), "");
        assert_eq!((said.status, said.stdout.as_str()), (2, ""), "{}", said.stderr);
        assert_parts(&said.stderr, parts);
        assert_parts(&said.stderr, &["trace.csv:402"]);
    }
}

#[test]
fn files_and_arguments_that_are_not_there() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, "small.toml", SMALL);
    write(&folder, "empty.toml", "");
    let cases: &[(&[&str], &[&str])] = &[
        (&["run"], &["<SCENARIO>"]),
        (&["run", "smal.toml"], &["smal.toml", "cannot be read", "did you mean small.toml?"]),
        (&["run", "."], &["cannot be read"]),
        (&["run", "empty.toml"], &["empty.toml:1:1", "nothing to simulate", "`duration` is missing"]),
        (&["run", "small.toml", "--records", "jbos"], &["did you mean `jobs`?"]),
        (&["run", "small.toml", "--plots", "quee"], &["did you mean `queue`?"]),
        (&["run", "small.toml", "--seed", "-1"], &["invalid value '-1'"]),
        (&["run", "small.toml", "--set", "pools.big.nods=4"], &["--set:1:", "did you mean `nodes`?"]),
        (&["run", "small.toml", "--set", "pools.bag.nodes=4"], &["--set:1:", "did you mean `big`?"]),
        (&["run", "small.toml", "--set", "nodes"], &["PATH=VALUE"]),
        (&["rum", "small.toml"], &["'run'"]),
    ];
    for (arguments, parts) in cases {
        let said = fleetsim_in(folder.path(), arguments);
        assert_eq!((said.status, said.stdout.as_str()), (2, ""), "{arguments:?}: {}", said.stderr);
        assert_parts(&said.stderr, parts);
        assert!(!folder.path().join("out").exists(), "{arguments:?}");
    }
}

/// Runs the small scenario in `folder` with further arguments.
fn small_in(folder: &TempDir, arguments: &[&str]) -> Said {
    write(folder, "small.toml", SMALL);
    fleetsim_in(folder.path(), &[&["run", "small.toml"], arguments].concat())
}

#[test]
fn folders_that_cannot_be_written_are_found_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, "file", "mine");
    let mut places = vec!["file", "file/deeper"];
    if cfg!(target_os = "linux") {
        // Folders that not even the superuser can write into: one to be made, one that is there.
        places.extend(["/proc/fleetsim", "/proc/self"]);
    }
    for place in places {
        let said = small_in(&folder, &["--out", place]);
        assert_eq!((said.status, said.stdout.as_str()), (2, ""), "{place}: {}", said.stderr);
        let message = format!("error: cannot write into the folder {place}: ");
        assert_parts(&said.stderr, &[&message, "name another folder with --out"]);
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("file")).unwrap(), "mine");
}

/// What a full disk leaves: every write to `/dev/full` fails as if there were no space.
#[cfg(target_os = "linux")]
mod full_disk {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn full(folder: &TempDir, name: &str) {
        fs::create_dir_all(folder.path().join("out")).unwrap();
        symlink("/dev/full", folder.path().join("out").join(name)).unwrap();
    }

    #[test]
    fn a_table_of_requests_that_does_not_fit_costs_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        full(&folder, "requests.csv");
        let said = small_in(&folder, &["--out", "out", "--records", "all"]);
        assert_eq!(said.status, 1, "{}", said.stderr);
        assert_parts(&said.stderr, &["error: cannot write out/requests.csv: No space left", "--records"]);
        assert_parts(&said.stdout, &["SLO missed", "Report: out/report.html"]);
        for name in ["summary.json", "report.html", "ledger.csv", "timeseries.csv", "plots/queue.svg"] {
            assert!(fs::metadata(folder.path().join("out").join(name)).unwrap().len() > 100, "{name}");
        }
        let summary = fs::read_to_string(folder.path().join("out/summary.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&summary).expect("complete");
    }

    #[test]
    fn a_table_that_does_not_fit_leaves_what_came_before() {
        let folder = tempfile::tempdir().unwrap();
        full(&folder, "ledger.csv.part");
        let said = small_in(&folder, &["--out", "out"]);
        assert_eq!(said.status, 1, "{}", said.stderr);
        assert_parts(&said.stderr, &["cannot write out/ledger.csv: No space left", "out/summary.json"]);
        assert_parts(&said.stderr, &["complete and readable", "out/report.html"]);
        assert_parts(&said.stdout, &["SLO missed", "spend by cause"]);
        let names: Vec<_> = fs::read_dir(folder.path().join("out"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(names.contains(&"jobs.csv".to_owned()), "{names:?}");
        assert!(names.iter().all(|name| !name.ends_with(".part") && name != "ledger.csv"), "{names:?}");
    }

    #[test]
    fn a_summary_that_does_not_fit_is_still_shown() {
        let folder = tempfile::tempdir().unwrap();
        full(&folder, "summary.json.part");
        let said = small_in(&folder, &["--out", "out", "--json"]);
        assert_eq!(said.status, 1, "{}", said.stderr);
        assert_parts(&said.stderr, &["cannot write out/summary.json: No space left", "--out"]);
        serde_json::from_str::<serde_json::Value>(&said.stdout).expect("the whole summary");
    }

    #[test]
    fn a_terminal_that_takes_nothing_is_said() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder, "small.toml", SMALL);
        for arguments in
            [&["run", "small.toml", "--records", "none", "--no-report"][..], &["check", "small.toml"]]
        {
            let output = std::process::Command::new(env!("CARGO_BIN_EXE_fleetsim"))
                .current_dir(folder.path())
                .args(arguments)
                .stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap())
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(1), "{arguments:?}");
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains("cannot write to standard output: No space left"), "{said}");
        }
    }
}

#[test]
fn a_job_that_never_starts_is_warned_of_and_explained() {
    let folder = tempfile::tempdir().unwrap();
    let text = broken(&[("accelerators = 6", "accelerators = 8")]);
    write(&folder, "s.toml", &text);
    let said = fleetsim_in(folder.path(), &["run", "s.toml", "--no-report", "--plots", "none"]);
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert_parts(&said.stderr, &["warning: job `first` never starts", "s.toml:56:16"]);
    let unwrapped = said.stdout.replace("\n  ", " ");
    assert_parts(&unwrapped, &["2 queued at the end", "Job first still waits at the end: wants 8 cards"]);
    let jobs = std::fs::read_to_string(folder.path().join("out/small/jobs.csv")).unwrap();
    assert_parts(&jobs, &["other jobs are before it"]);
}

#[test]
fn scenarios_of_the_repository_are_sound() {
    let said = fleetsim_in(Path::new(HOME), &["check", "scenarios/quickstart.toml"]);
    assert_eq!((said.status, said.stderr.as_str()), (0, ""));
}

/// Another value of the same kind as `old`, the `pick`-th of those that are worth trying.
fn another(old: &str, pick: usize) -> &'static str {
    let any = |values: &[&'static str]| values[pick % values.len()];
    let text = old.trim().trim_matches('"');
    let unit = text.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    if !old.contains('"') {
        return any(&[
            "0", "1", "2", "3", "7", "16", "100", "5000", "1e6", "0.5", "0.01", "1.5", "-1", "true",
        ]);
    }
    match unit {
        "s" | "m" | "h" | "ms" => {
            any(&["\"0s\"", "\"1ns\"", "\"30ms\"", "\"1s\"", "\"59s\"", "\"2m\"", "\"9h\""])
        }
        "/s" => any(&["\"0.001/s\"", "\"1/s\"", "\"50/s\"", "\"600/s\"", "\"1/h\""]),
        _ if text == "gamma" => {
            any(&["\"weibull\"", "\"poisson\"", "\"clients\"", "\"gamma\"", "\"closed\""])
        }
        _ if text.contains('-') => any(&[
            "\"round-robin\"",
            "\"random\"",
            "\"least-outstanding-tokens\"",
            "\"llama-3.1-8b\"",
            "\"mixtral-8x7b\"",
            "\"gcp/a3-highgpu-8g\"",
            "\"on-demand\"",
            "\"reserved-3y\"",
        ]),
        _ => any(&[
            "\"lognormal\"",
            "\"geometric\"",
            "\"fp8\"",
            "\"bf16\"",
            "\"auto\"",
            "\"base\"",
            "\"cloud\"",
            "\"\"",
        ]),
    }
}

/// Where the values of a text are, after their `=`.
fn values(text: &str) -> Vec<std::ops::Range<usize>> {
    let from = text.find("\nduration").unwrap();
    let ends = |rest: &str| rest.find([',', '}', '\n', '#']).unwrap_or(rest.len());
    let places = text.match_indices("= ").filter(|(at, _)| *at > from);
    places.map(|(at, _)| at + 2..at + 2 + ends(&text[at + 2..])).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever values a scenario has, it is refused or it runs, and a run's books balance (they are checked
    /// in it).
    #[test]
    fn changed_values_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), 0usize..64), 1..3)) {
        let mut text = QUICKSTART.replace("\"24h\"", "\"4m\"").replace("\"30m\"", "\"1m\"");
        text = text.replace("start = \"10h\"", "start = \"1m\"").replace("submit = \"2h\"", "submit = \"1m\"");
        for (at, pick) in changes {
            let places = values(&text);
            let place = places[at.index(places.len())].clone();
            let value = another(&text[place.clone()], pick);
            text.replace_range(place, value);
        }
        if let Ok(mut loaded) = load_text(&text, Path::new("scenario.toml"), &[], None) {
            let config = &mut loaded.config;
            // A long day or a flood is no slip; it would only take long.
            let shortest = fleetsim::units::Duration::from_secs(240);
            config.duration = config.duration.min(shortest);
            prop_assume!(config.warmup < config.duration);
            let mut rows = 0u64;
            let mut sink = |_: &fleetsim::world::RequestRow<'_>| {
                rows += 1;
                if rows > 200_000 { Err("enough".to_owned()) } else { Ok(()) }
            };
            let options = RunOptions { requests: Some(&mut sink), ..RunOptions::default() };
            match run(config, options) {
                Ok(results) => prop_assert_eq!(results.summary.requests.arrived, rows),
                Err(fleetsim::world::RunError::Books { at, what }) => prop_assert!(false, "{at}: {what}"),
                Err(_) => {}
            }
        }
    }
}
