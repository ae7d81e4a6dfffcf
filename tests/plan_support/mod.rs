//! A small scenario that needs nothing of the catalogue's figures, and the program run in a folder of its own.

#![allow(dead_code, reason = "each test file uses a part")]

use std::path::Path;
use std::process::Command;

/// Two replicas on one node; a run takes milliseconds.
pub const SMALL: &str = r#"
name = "small"
seed = 5
duration = "2m"
warmup = "10s"

[[offers]]
name = "lab/rack"
accelerator = "LabCard"
accelerators_per_node = 4
on_demand_usd_h = 10.0

[[accelerators]]
name = "LabCard"
like = "H100-SXM5"
memory_gb = 80

[[streams]]
name = "chat"
model = "llama-3.1-8b"
rate = "6/s"
prompt_tokens = 100
output_tokens = { dist = "geometric", mean = 40 }
slo = { ttft = "200ms", attainment = 0.9 }

[[pools]]
name = "base"
offer = "lab/rack"
nodes = 1
granularity = "1s"
minimum = "0s"

[[deployments]]
name = "chat"
model = "llama-3.1-8b"
pools = ["base"]
replicas = 2
parallelism = { tp = 1 }
batching = { max_batch_requests = 8, max_batch_tokens = 512 }
step_time = { base = "20ms", per_request = "1ms" }
kv_blocks = 4000
"#;

/// A folder with the scenario in `small.toml`.
pub fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("small.toml"), SMALL).expect("room on the disk");
    folder
}

/// The program, in a folder, on so many threads.
pub fn program(folder: &Path, arguments: &[&str], threads: u32) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetsim"));
    command.current_dir(folder).args(arguments).env("RAYON_NUM_THREADS", threads.to_string());
    command
}

/// Runs the program: exit status, standard output, standard error.
pub fn fleetsim(folder: &Path, arguments: &[&str], threads: u32) -> (i32, String, String) {
    let output = program(folder, arguments, threads).output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("an exit status"), text(output.stdout), text(output.stderr))
}

/// What the program prints when all is well.
pub fn printed(folder: &Path, arguments: &[&str]) -> String {
    let (status, out, err) = fleetsim(folder, arguments, 2);
    assert_eq!((status, err.as_str()), (0, ""), "{arguments:?}");
    out
}

/// What the program says of bad input, without the keys that a table may have: they grow.
pub fn refused(folder: &Path, arguments: &[&str]) -> String {
    let (status, out, err) = fleetsim(folder, arguments, 2);
    assert_eq!((status, out.as_str()), (2, ""), "{arguments:?}\n{err}");
    let lines = err.lines().filter(|line| !line.contains("valid keys here"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// No line is wider than a terminal.
pub fn fits(text: &str, width: usize) {
    for line in text.lines() {
        assert!(line.chars().count() <= width, "{line}");
    }
}
