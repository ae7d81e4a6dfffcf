//! The program as a user starts it, and its files read back.

#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part; helpers of tests may panic")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// The repository.
pub const HOME: &str = env!("CARGO_MANIFEST_DIR");
/// The trace that `azure-conversation` replays, where it happens to be.
pub const AZURE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/traces/azure/AzureLLMInferenceTrace_conv.csv");

/// A few minutes with something of everything: two providers, two deployments, open and closed streams, a
/// spike that overflows a queue, clients who give up, and jobs of which one must wait.
pub const SMALL: &str = r#"
name = "small"
seed = 3
duration = "15m"
warmup = "1m"

[[streams]]
name = "chat"
model = "llama-3.1-8b"
rate = "6/s"
arrivals = { process = "gamma", cv = 2.0 }
shape = [{ kind = "spike", start = "4m", factor = 30, rise = "10s", hold = "30s", fall = "20s" }]
prompt_tokens = { dist = "lognormal", median = 400, p99 = 3000 }
output_tokens = { dist = "geometric", mean = 120 }
slo = { ttft = "500ms", tpot = "25ms", attainment = 0.9 }
timeout = "12s"

[[streams]]
name = "agents"
model = "mistral-7b"
arrivals = { process = "closed", users = 20, think = { dist = "exponential", mean = "2s" } }
prompt_tokens = { dist = "uniform", low = 100, high = 4000 }
output_tokens = 64
slo = { e2e = "3s" }

[[pools]]
name = "singles"
offer = "lambda/gpu_1x_h100_sxm5"
nodes = 3

[[pools]]
name = "big"
offer = "aws/p4d.24xlarge"
purchase = "reserved-1y"
price = 13.0
nodes = 1

[[deployments]]
name = "chat-8b"
model = "llama-3.1-8b"
pools = ["singles"]
replicas = 2
routing = "power-of-two"
batching = { max_batch_requests = 64, max_batch_tokens = 1024 }
queue = { max_requests = 300 }

[[deployments]]
name = "agents-7b"
model = "mistral-7b"
pools = ["big"]
replicas = 2

[[jobs]]
name = "first"
work = "7m"
accelerators = 6
pools = ["big"]

[[jobs]]
name = "second"
work = "4m"
accelerators = 4
pools = ["big"]
submit = "1m"
user = "research"
"#;

/// What a command left on the terminal.
#[derive(Debug)]
pub struct Said {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the program in folder `cwd`.
pub fn fleetsim_in<S: AsRef<OsStr>>(cwd: &Path, arguments: &[S]) -> Said {
    fleetsim_with(cwd, arguments, &[])
}

/// Runs the program in folder `cwd` with environment variables.
pub fn fleetsim_with<S: AsRef<OsStr>>(cwd: &Path, arguments: &[S], environment: &[(&str, &str)]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_fleetsim"))
        .current_dir(cwd)
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let said = Said {
        // None is the end by a signal, which no test expects.
        status: output.status.code().expect("an exit status"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    };
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    assert!(!said.stderr.contains("error in the program"), "{}", said.stderr);
    said
}

/// A run whose files are there to be read.
#[derive(Debug)]
pub struct Run {
    pub said: Said,
    pub out: PathBuf,
    // Keeps the folder while the run is looked at.
    _folder: TempDir,
}

/// Runs `scenario` (a path) with further arguments, the results in a new folder.
pub fn run_file(scenario: &Path, arguments: &[&str]) -> Run {
    run_file_with(scenario, arguments, &[])
}

/// As [`run_file`], with environment variables. The run must succeed.
pub fn run_file_with(scenario: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut all = vec!["run", scenario.to_str().unwrap(), "--out", out.to_str().unwrap()];
    all.extend(arguments);
    let said = fleetsim_with(Path::new(HOME), &all, environment);
    assert_eq!(said.status, 0, "{arguments:?}: {}", said.stderr);
    Run { said, out, _folder: folder }
}

/// Runs a scenario given as text.
pub fn run_text(text: &str, arguments: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    run_file(&write(&folder, "scenario.toml", text), arguments)
}

/// Runs `quickstart`.
pub fn run_quickstart(arguments: &[&str]) -> Run {
    run_file(&Path::new(HOME).join("scenarios/quickstart.toml"), arguments)
}

/// Three hours of the quickstart with a launch that fills queues and caches, for what takes long.
pub const QUICKSTART_SHORT: [&str; 12] = [
    "--set",
    "duration=3h",
    "--set",
    "deployments.chat-70b.kv_blocks=4000",
    "--set",
    "streams.chat.rate=20/s",
    "--set",
    "streams.chat.shape[1].start=1h",
    "--set",
    "streams.chat.shape[1].hold=20m",
    "--set",
    "jobs.finetune-8b.submit=10m",
];

/// Writes a file into a folder of the test.
pub fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

/// Every file below `folder` with its bytes.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(here) = folders.pop() {
        for entry in fs::read_dir(here).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Asserts that two runs left the same bytes in the same files.
pub fn assert_same_files(a: &Run, b: &Run) {
    let (a, b) = (files(&a.out), files(&b.out));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, bytes) in &a {
        // Not assert_eq: nobody wants to read a hundred megabytes.
        assert!(bytes == &b[name], "{name} differs");
    }
}

impl Run {
    /// `summary.json`.
    pub fn summary(&self) -> Value {
        serde_json::from_str(&self.text("summary.json")).unwrap()
    }

    /// A file as text.
    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.out.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// A table.
    pub fn table(&self, name: &str) -> Table {
        let mut reader = csv::Reader::from_path(self.out.join(name)).unwrap();
        let columns = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let rows = reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
        Table { columns, rows }
    }
}

/// A CSV file.
#[derive(Debug)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// The number of a column.
    pub fn column(&self, name: &str) -> usize {
        self.columns.iter().position(|column| column == name).unwrap_or_else(|| panic!("no column {name}"))
    }

    /// The cells of one column.
    pub fn cells(&self, name: &str) -> Vec<&str> {
        let column = self.column(name);
        self.rows.iter().map(|row| row[column].as_str()).collect()
    }
}

/// `"1.5"` is 1,500,000,000 ns, exactly; `None` when empty.
pub fn nanos(cell: &str) -> Option<u64> {
    fixed_point(cell, 9).map(|nanos| u64::try_from(nanos).unwrap())
}

/// `"1.5"` is 1,500,000 micro-dollars, exactly.
pub fn micro_dollars(cell: &str) -> i64 {
    fixed_point(cell, 6).unwrap()
}

fn fixed_point(cell: &str, digits: usize) -> Option<i64> {
    if cell.is_empty() {
        return None;
    }
    let (whole, rest) = cell.split_once('.').unwrap_or((cell, ""));
    assert!(rest.len() <= digits, "{cell} has more than {digits} decimals");
    let text = format!("{whole}{rest:0<digits$}");
    Some(text.parse().unwrap_or_else(|error| panic!("{cell}: {error}")))
}

/// A number of the summary.
pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}
