//! A trace's length does not show in memory. Alone in its file, so that no other test shares its process.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fmt::Write as _;
use std::fs;

use fleetsim::sim::Seed;
use fleetsim::traffic::{Source, Stream, StreamConfig, TraceConfig};
use fleetsim::units::Duration;

/// The most memory this process has held, in kibibytes, where the system says.
fn peak_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn replay_takes_constant_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.csv");
    {
        let mut text = String::from("arrival_s,prompt_tokens,output_tokens,session\n");
        for row in 0..2000 {
            writeln!(text, "{}.5,{},{},{row}", row, 100 + row % 900, 1 + row % 300).unwrap();
        }
        fs::write(&path, text).unwrap();
    }
    let trace = TraceConfig { copies: 4, repeat: true, ..TraceConfig::new(path) };
    let config = StreamConfig { name: "long".to_owned(), source: Source::Trace(trace) };
    let mut stream = Stream::new(&config, Seed(1), Duration::from_secs(10_000_000)).unwrap();
    let mut pull = |count: u32| {
        for _ in 0..count {
            assert!(stream.next_arrival().unwrap().is_some());
        }
    };
    pull(20_000);
    let Some(before) = peak_kib() else {
        println!("skipped: this system does not tell how much memory a process holds");
        return;
    };
    pull(1_000_000);
    let grown = peak_kib().unwrap() - before;
    // A million arrivals kept would be 40 MB.
    assert!(grown < 2000, "grew by {grown} KiB");
}
