//! `sweep`: the same bytes whatever the threads, shards and kills.

mod plan_support;

use std::path::Path;
use std::process::Stdio;

use fleetsim::sim::Seed;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use plan_support::{SMALL, fits, fleetsim, folder, printed, program, refused};
use serde_json::Value;

const GRID: [&str; 6] = [
    "sweep",
    "small.toml",
    "--grid",
    "deployments.chat.replicas=1..5",
    "--grid",
    "deployments.chat.routing=random,round-robin",
];

fn table(folder: &Path, out: &str) -> String {
    std::fs::read_to_string(folder.join(out).join("sweep.csv")).expect("a table")
}

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&GRID[..], more].concat()
}

#[test]
fn a_row_a_point() {
    let folder = folder();
    let text = printed(folder.path(), &with(&[]));
    fits(&text.lines().filter(|line| !line.contains("cannot be run")).collect::<Vec<_>>().join("\n"), 100);
    insta::assert_snapshot!(text);
    let table = table(folder.path(), "out/small-sweep");
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 11);
    assert!(
        lines[0].starts_with("point,deployments.chat.replicas,deployments.chat.routing,spend.total_usd,")
    );
    assert!(lines[4].starts_with("3,2,round-robin,0.333333,"), "{}", lines[4]);
    // Five replicas do not fit on four cards: a row with its error.
    assert!(lines[10].starts_with("9,5,round-robin,,,"), "{}", lines[10]);
    assert!(lines[10].contains("has room for 4") || lines[10].contains("have room for 4"), "{}", lines[10]);

    // The same cells, typed.
    let told = printed(folder.path(), &with(&["--format", "parquet", "--out", "out/typed", "--json"]));
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["file"], "out/typed/sweep.parquet");
    let file = std::fs::File::open(folder.path().join("out/typed/sweep.parquet")).expect("a file");
    let file = SerializedFileReader::new(file).expect("a Parquet file");
    let schema = file.metadata().file_metadata().schema_descr();
    let names: Vec<&str> = schema.columns().iter().map(|column| column.name()).collect();
    assert_eq!(names.join(","), lines[0]);
    assert_eq!(
        [0, 1, 2, 3].map(|column| schema.column(column).physical_type().to_string()),
        ["INT64", "INT64", "BYTE_ARRAY", "DOUBLE"]
    );
    assert_eq!(file.metadata().file_metadata().num_rows(), 10);

    // A point is what a run with its values says.
    let sets = ["--set", "deployments.chat.replicas=2", "--set", "deployments.chat.routing=round-robin"];
    let run = printed(folder.path(), &[&["run", "small.toml", "--json"], &sets[..]].concat());
    let summary: Value = serde_json::from_str(&run).expect("JSON");
    let column = lines[0].split(',').position(|name| name == "latency.ttft_s.p99").expect("a column");
    let told: f64 = lines[4].split(',').nth(column).and_then(|cell| cell.parse().ok()).expect("a number");
    assert_eq!(summary["latency"]["ttft_s"]["p99"].as_f64(), Some(told));
}

#[test]
fn threads_and_shards_do_not_matter() {
    let folder = folder();
    let run = |more: &[&str], threads| {
        let (status, _, err) =
            fleetsim(folder.path(), &with(&[&["--replications", "3"], more].concat()), threads);
        assert_eq!((status, err.as_str()), (0, ""));
    };
    run(&["--out", "one"], 1);
    run(&["--out", "two"], 2);
    let whole = table(folder.path(), "one");
    assert!(whole.contains("latency.ttft_s.p99,latency.ttft_s.p99.ci95_lo,latency.ttft_s.p99.ci95_hi"));
    assert_eq!(table(folder.path(), "two"), whole);
    for shard in ["3/3", "1/3", "2/3"] {
        run(&["--shard", shard], 2);
    }
    let parts = ["out/small-sweep-2-of-3", "out/small-sweep-1-of-3", "out/small-sweep-3-of-3"];
    let merge = |parts: &[&'static str]| [&["sweep", "merge", "--out", "merged"], parts].concat();
    let json = printed(folder.path(), &[merge(&parts), vec!["--json"]].concat());
    assert_eq!(table(folder.path(), "merged"), whole);
    let told: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&told["points"], &told["failed"]), (&10.into(), &2.into()));
    assert_eq!(told["file"], "merged/sweep.csv");
    assert_eq!(
        told["columns"].as_array().map(Vec::len),
        Some(whole.lines().next().unwrap_or("").split(',').count())
    );

    // A part that is not there, parts of other sweeps, folders of something else.
    let lacking = refused(folder.path(), &merge(&parts[..2]));
    let set = ["--set", "streams.chat.rate=5/s", "--shard", "1/3", "--out", "other"];
    run(&set, 2);
    let other = refused(folder.path(), &merge(&[parts[0], "other", parts[2]]));
    let nothing = refused(folder.path(), &merge(&["nowhere"]));
    insta::assert_snapshot!([lacking, other, nothing].join("\n"));
}

/// Killed at fifty moments and resumed: the same bytes, and no finished point lost or run again.
#[test]
fn killed_and_resumed() {
    let folder = folder();
    let sweep = |out: &'static str| {
        [
            "sweep",
            "small.toml",
            "--grid",
            "seed=1..60",
            "--grid",
            "deployments.chat.replicas=1,2,3,4",
            "--quiet",
            "--resume",
            "--out",
            out,
        ]
    };
    printed(folder.path(), &sweep("whole"));
    let journal = folder.path().join("killed").join("journal.jsonl");
    let lines = || std::fs::read(&journal).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count();
    let mut moments = Seed(8).stream("moments");
    let mut kills = 0;
    while kills < 50 {
        let before = lines();
        // Before its first byte, or after some more lines and a while.
        let wait_for = before + moments.below(9) as usize;
        let spin = std::time::Duration::from_micros(moments.below(4000));
        let mut child = program(folder.path(), &sweep("killed"), 1 + kills % 2)
            .stdin(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut ended = None;
        while lines() < wait_for && ended.is_none() {
            ended = child.try_wait().expect("a child can be asked");
        }
        std::thread::sleep(spin);
        child.kill().expect("a child can be killed");
        let status = child.wait().expect("a child ends");
        if status.code().is_some() {
            // It was done before: begin anew, so that there are fifty kills that interrupt something.
            std::fs::remove_dir_all(folder.path().join("killed")).expect("a folder");
            continue;
        }
        kills += 1;
        assert!(lines() >= before, "finished points are never lost");
    }
    let (status, _, _) = fleetsim(folder.path(), &sweep("killed"), 2);
    assert_eq!(status, 0);
    assert_eq!(table(folder.path(), "killed"), table(folder.path(), "whole"));
    assert_eq!(lines(), 241, "a line for the plan and one a point");
    // Resuming a finished sweep changes nothing.
    let (status, _, _) = fleetsim(folder.path(), &sweep("killed"), 2);
    assert_eq!((status, lines()), (0, 241));
}

/// A pivot table is the mean over the other axes, as a table, a file and a picture.
#[test]
fn pivot_tables() {
    let folder = folder();
    let pivot = ["--pivot", "replicas,routing,slo.attainment", "--grid", "seed=1,2"];
    let text = printed(folder.path(), &with(&pivot));
    assert!(text.contains("slo.attainment:\ndeployments.chat.replicas"), "{text}");
    let table = table(folder.path(), "out/small-sweep");
    let column =
        table.lines().next().and_then(|line| line.split(',').position(|name| name == "slo.attainment"));
    let column = column.expect("a column");
    // Two seeds of the first value of either axis.
    let cell =
        |line: &str| line.split(',').nth(column).and_then(|cell| cell.parse::<f64>().ok()).expect("a number");
    let mean = table.lines().skip(1).take(2).map(cell).sum::<f64>() / 2.0;
    let file = folder.path().join("out/small-sweep/pivot-1.csv");
    let pivoted = std::fs::read_to_string(file).expect("a file");
    let first = pivoted.lines().nth(1).and_then(|line| line.split(',').nth(1)?.parse::<f64>().ok());
    assert_eq!(first, Some(mean), "{pivoted}");
    // Five replicas cannot be run.
    assert_eq!(pivoted.lines().last(), Some("5,,"));
    let map = std::fs::read_to_string(folder.path().join("out/small-sweep/pivot-1.svg")).expect("a file");
    assert!(map.starts_with("<svg") && map.contains("round-robin"));
    let wrong = refused(folder.path(), &with(&["--pivot", "replicas,nodes", "--out", "other"]));
    assert!(wrong.contains("no axis `nodes`"), "{wrong}");
}

/// What is in the files of a scenario belongs to what is swept: a changed trace makes another sweep.
#[test]
fn changed_files_are_noticed() {
    let folder = folder();
    let trace = |rows: &str| {
        let text = format!("arrival_s,prompt_tokens,output_tokens\n{rows}");
        std::fs::write(folder.path().join("trace.csv"), text).expect("room");
    };
    trace("0.5,100,10\n1.5,200,20\n");
    let small = std::fs::read_to_string(folder.path().join("small.toml")).expect("a file");
    let traced = small
        .replace("rate = \"6/s\"\n", "trace = { file = \"trace.csv\", format = \"csv\" }\n")
        .replace("prompt_tokens = 100\n", "")
        .replace("output_tokens = { dist = \"geometric\", mean = 40 }\n", "");
    std::fs::write(folder.path().join("small.toml"), traced).expect("room");
    let sweep = ["sweep", "small.toml", "--grid", "deployments.chat.replicas=1,2", "--resume", "--quiet"];
    printed(folder.path(), &sweep);
    printed(folder.path(), &sweep);
    trace("0.5,100,10\n1.5,201,20\n");
    let (status, _, err) = fleetsim(folder.path(), &sweep, 2);
    assert_eq!(status, 2);
    assert!(err.contains("holds another sweep") && err.contains("differ"), "{err}");
}

#[test]
fn bad_input() {
    let folder = folder();
    std::fs::write(folder.path().join("binary.toml"), [0xff, 0xfe]).expect("room");
    let grid = |grid: &'static str| refused(folder.path(), &["sweep", "small.toml", "--grid", grid]);
    printed(folder.path(), &["sweep", "small.toml", "--grid", "seed=1", "--out", "there", "--quiet"]);
    let again = |more: &[&str]| {
        refused(
            folder.path(),
            &[&["sweep", "small.toml", "--grid", "seed=2", "--out", "there"], more].concat(),
        )
    };
    insta::assert_snapshot!(
        [
            grid("deployments.chat.replics=1..6"),
            grid("pools.bas.nodes=1..6"),
            grid("deployments.chat.replicas=5..9"),
            grid("seed=1,,2"),
            again(&[]),
            again(&["--resume"]),
            refused(folder.path(), &["sweep", "none.toml", "--grid", "seed=1"]),
            refused(folder.path(), &["sweep", "binary.toml", "--grid", "seed=1"]),
        ]
        .join("\n")
    );
    let million = grid("seed=1..1000000");
    assert!(million.contains("1,000,000 points") && million.contains("--yes"), "{million}");
    assert!(!folder.path().join("out").exists(), "nothing is begun");
}

/// A key that only some values make valid is the points' affair, not the path's.
#[test]
fn only_some_points_fail() {
    let folder = folder();
    let text = SMALL.replace("replicas = 2", "replicas = 0");
    std::fs::write(folder.path().join("none.toml"), text).expect("room");
    let arguments =
        ["sweep", "none.toml", "--grid", "deployments.chat.replicas=0..2", "--json", "--out", "some"];
    let told: Value = serde_json::from_str(&printed(folder.path(), &arguments)).expect("JSON");
    assert_eq!((&told["points"], &told["failed"]), (&3.into(), &1.into()));
}
