//! The 256 points of `scenarios/bench/sweep-256.toml` on one thread and on two, in wall-clock time, and whether
//! both leave the same table: `cargo bench --bench sweep` on a machine with two idle cores.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark measures time and prints it"
)]

use std::path::Path;
use std::process::Command;
use std::time::Instant;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (one, table) = sweep(1, &folder.path().join("one"));
    let (two, same) = sweep(2, &folder.path().join("two"));
    println!("1 thread {one:.2} s, 2 threads {two:.2} s: {:.2} times as fast", one / two);
    println!("{} points, the same table: {}", table.lines().count() - 1, table == same);
}

/// Runs the sweep; how long it takes in seconds, and its table.
fn sweep(threads: u32, out: &Path) -> (f64, String) {
    let rates: Vec<String> = (1..=16).map(|half| format!("{}/s", 2 * half)).collect();
    let begin = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_fleetsim"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("RAYON_NUM_THREADS", threads.to_string())
        .args(["sweep", "scenarios/bench/sweep-256.toml", "--yes", "--grid"])
        .arg(format!("streams.conversation.rate={}", rates.join(",")))
        .args(["--grid", "deployments.chat.replicas=1..16", "--out"])
        .arg(out)
        .output()
        .expect("the program starts");
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    let table = std::fs::read_to_string(out.join("sweep.csv")).expect("the sweep leaves its table");
    (begin.elapsed().as_secs_f64(), table)
}
