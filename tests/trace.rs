//! Traces: replayed as recorded, described as published, and refused with a reason.

// Clippy knows that functions marked as tests may, but not that their helpers are tests too.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use fleetsim::sim::Seed;
use fleetsim::traffic::describe::describe;
use fleetsim::traffic::{
    Arrival, JointLengths, Length, LengthDist, Lengths, OpenConfig, Source, Start, Stream, StreamConfig,
    TraceConfig, TraceFormat, TrafficError,
};
use fleetsim::units::{Duration, Instant, Rate};
use proptest::prelude::*;
use tempfile::TempDir;

const AZURE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/traces/azure/AzureLLMInferenceTrace_conv.csv");
const MOONCAKE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/traces/mooncake/synthetic_trace.jsonl.gz");

/// The path if the file is there.
fn real(path: &str) -> Option<&Path> {
    let path = Path::new(path);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: ../shared/data/traces is not there");
    None
}

fn file(dir: &TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    path
}

fn gzip(content: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn run(trace: TraceConfig, window: Duration) -> Result<Vec<Arrival>, TrafficError> {
    let config = StreamConfig { name: "replay".to_owned(), source: Source::Trace(trace) };
    let mut stream = Stream::new(&config, Seed(7), window)?;
    let mut arrivals = Vec::new();
    while let Some(arrival) = stream.next_arrival()? {
        arrivals.push(arrival);
    }
    Ok(arrivals)
}

fn seconds(arrivals: &[Arrival]) -> Vec<f64> {
    arrivals.iter().map(|arrival| arrival.at.as_secs_f64()).collect()
}

/// Every arrival of the real trace at its 100 ns, against an independent reading of the file.
#[test]
fn the_azure_trace_is_replayed_exactly() {
    let Some(path) = real(AZURE) else { return };
    let arrivals = run(TraceConfig::new(path), Duration::from_secs(86_400)).unwrap();
    assert_eq!(arrivals.len(), 19_366);
    let text = fs::read_to_string(path).unwrap();
    // All of it is of one day: `2023-11-16 HH:MM:SS.fffffff`, in units of 100 ns since midnight.
    let recorded: Vec<(u64, u32, u32)> = text
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            assert!(fields[0].starts_with("2023-11-16 ") && fields[0].len() == 27);
            let number = |from: usize, to: usize| fields[0][from..to].parse::<u64>().unwrap();
            let time =
                ((number(11, 13) * 60 + number(14, 16)) * 60 + number(17, 19)) * 10_000_000 + number(20, 27);
            (time, fields[1].parse().unwrap(), fields[2].parse().unwrap())
        })
        .collect();
    for (arrival, (time, prompt, output)) in arrivals.iter().zip(&recorded) {
        assert_eq!(arrival.at.as_nanos(), (time - recorded[0].0) * 100);
        assert_eq!((arrival.prompt_tokens, arrival.output_tokens), (*prompt, *output));
    }
}

/// The digits printed in the data's own README.
#[test]
fn real_traces_are_described_as_published() {
    let (Some(azure), Some(mooncake)) = (real(AZURE), real(MOONCAKE)) else { return };
    let row = |path: &Path| {
        let trace = describe(path, None).unwrap();
        let lengths = [&trace.prompt_tokens, &trace.output_tokens]
            .map(|tokens| format!("{:.0}/{}/{}", tokens.mean(), tokens.quantile(0.5), tokens.quantile(0.99)));
        let windows: Vec<String> = trace
            .windows
            .iter()
            .map(|window| {
                let (dispersion, peak) = (window.index_of_dispersion.unwrap(), window.peak_to_mean.unwrap());
                let decimals = if dispersion >= 10.0 { 1 } else { 2 };
                format!("{dispersion:.decimals$} {peak:.2}")
            })
            .collect();
        let blocks = trace.blocks.map(|blocks| format!("{:.1}", 100.0 * blocks.share()));
        format!(
            "{} {} {:.0} {:.2} {:.2} | {} | {} | {}",
            trace.format,
            trace.requests,
            trace.span.as_secs_f64(),
            trace.rate.unwrap().as_per_second(),
            trace.interval_cv.unwrap(),
            windows.join(" | "),
            lengths.join(" "),
            blocks.unwrap_or_default()
        )
    };
    assert_eq!(
        row(azure),
        "azure-llm-2023 19366 3502 5.53 1.09 | 1.39 2.89 | 3.86 1.77 | 16.1 1.52 | 1155/1020/4142 211/129/601 | "
    );
    assert_eq!(
        row(mooncake),
        "mooncake 3993 1022 3.91 1.01 | 1.09 3.33 | 1.18 1.41 | 1.19 1.17 | 15325/11587/66458 149/69/769 | 64.0"
    );
}

/// Copies keep every request once, are shifted apart, and the first is as recorded.
#[test]
fn copies_of_the_azure_trace_are_superposed() {
    let Some(path) = real(AZURE) else { return };
    let single = run(TraceConfig::new(path), Duration::from_secs(86_400)).unwrap();
    let mut trace = TraceConfig::new(path);
    trace.copies = 4;
    let four = run(trace, Duration::from_secs(86_400)).unwrap();
    assert_eq!(four.len(), 4 * single.len());
    assert!(four.is_sorted_by_key(|arrival| arrival.at));
    let tokens = |arrivals: &[Arrival]| arrivals.iter().map(|a| u64::from(a.prompt_tokens)).sum::<u64>();
    assert_eq!(tokens(&four), 4 * tokens(&single));
    let mut rest = four.iter();
    assert!(single.iter().all(|arrival| rest.any(|other| other == arrival)));
}

const SMALL: &str = "arrival_s,prompt_tokens,output_tokens,stream,session\n\
                     0,10,1,a,7\n1.5,20,2,b,7\n2,30,3,a,x\n5.25,40,4,b,\n";

#[test]
fn a_trace_is_cut_repeated_and_sped_up() {
    let dir = TempDir::new().unwrap();
    let path = file(&dir, "small.csv", SMALL);
    let base = TraceConfig::new(&path);
    let hour = Duration::HOUR;
    let arrivals = run(base.clone(), hour).unwrap();
    assert_eq!(seconds(&arrivals), [0.0, 1.5, 2.0, 5.25]);
    assert_eq!((arrivals[0].session, arrivals[3].session), (Some(7), None));
    assert!(arrivals[2].session.is_some() && arrivals[2].session != Some(7));

    let only = TraceConfig { stream: Some("b".to_owned()), ..base.clone() };
    assert_eq!(seconds(&run(only, hour).unwrap()), [1.5, 5.25]);
    let cut = TraceConfig { from: Duration::from_secs(1), to: Some(Duration::from_secs(5)), ..base.clone() };
    assert_eq!(seconds(&run(cut.clone(), hour).unwrap()), [0.5, 1.0]);
    let again = TraceConfig { repeat: true, ..cut };
    assert_eq!(seconds(&run(again, Duration::from_secs(10)).unwrap()), [0.5, 1.0, 4.5, 5.0, 8.5, 9.0]);
    // The period is the last arrival and the mean interval, 1.75 s.
    let again = TraceConfig { repeat: true, ..base.clone() };
    let arrivals = run(again, Duration::from_secs(9)).unwrap();
    assert_eq!(seconds(&arrivals), [0.0, 1.5, 2.0, 5.25, 7.0, 8.5]);
    assert_ne!(arrivals[4].session, arrivals[0].session, "another round, another user");
    assert_eq!(arrivals[4].session, arrivals[5].session);
    let fast = TraceConfig { speed_up: 2.0, ..base.clone() };
    assert_eq!(seconds(&run(fast, hour).unwrap()), [0.0, 0.75, 1.0, 2.625]);
    let stated = TraceConfig { repeat: true, period: Some(Duration::from_secs(6)), ..base };
    assert_eq!(seconds(&run(stated, Duration::from_secs(8)).unwrap()), [0.0, 1.5, 2.0, 5.25, 6.0, 7.5]);
}

/// The second copy is the first, turned within the period.
#[test]
fn copies_are_shifted_circularly() {
    let dir = TempDir::new().unwrap();
    let mut trace = TraceConfig::new(file(&dir, "small.csv", SMALL));
    trace.copies = 2;
    for repeat in [false, true] {
        trace.repeat = repeat;
        let rounds = if repeat { 3 } else { 1 };
        let arrivals = run(trace.clone(), Duration::from_secs(7 * rounds)).unwrap();
        assert_eq!(arrivals.len() as u64, 8 * rounds);
        assert!(arrivals.is_sorted_by_key(|arrival| arrival.at));
        // In each round the copy's shift is the same for all requests.
        let recorded = [(10, 0.0), (20, 1.5), (30, 2.0), (40, 5.25)];
        let mut shifts: Vec<f64> = arrivals
            .iter()
            .map(|arrival| {
                let (_, at) = recorded.iter().find(|row| row.0 == arrival.prompt_tokens).unwrap();
                ((arrival.at.as_secs_f64() - at).rem_euclid(7.0) * 1e6).round() / 1e6 % 7.0
            })
            .collect();
        shifts.sort_by(f64::total_cmp);
        shifts.dedup();
        assert_eq!(shifts.len(), 2, "{shifts:?}");
        assert_eq!(shifts[0], 0.0);
    }
}

#[test]
fn each_format_is_told_from_its_header() {
    let dir = TempDir::new().unwrap();
    let azure = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n\
                 2024-05-10 23:59:59.999900+00:00,5,6\r\n2024-05-11 00:00:00.0001000+00:00,7,8";
    let burst = "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n\
                 5,12,1.0,ChatGPT,472,18,490,Conversation log\n45,13,,GPT-4,1087,0,1087,API log\n\
                 118.0,12,2.5,GPT-4,417,276,693,API log\n";
    let mooncake = "{\"timestamp\": 27000, \"input_length\": 600, \"output_length\": 3, \"hash_ids\": [0, 1]}\n\n\
                    {\"timestamp\": 27482, \"input_length\": 90, \"output_length\": 4, \"hash_ids\": [0]}\n";
    let cases = [
        ("a.csv", azure, TraceFormat::AzureLlm2023, vec![0.0, 0.0002]),
        ("b.csv", burst, TraceFormat::BurstGpt, vec![0.0, 113.0]),
        ("m.jsonl", mooncake, TraceFormat::Mooncake, vec![0.0, 0.482]),
        ("c.csv", "\u{feff}output_tokens,arrival_s,prompt_tokens\n1,3.5,2\n", TraceFormat::Csv, vec![3.5]),
    ];
    for (name, content, format, times) in cases {
        for path in [file(&dir, name, content), file(&dir, "compressed", gzip(content))] {
            assert_eq!(describe(&path, None).unwrap().format, format);
            let arrivals = run(TraceConfig::new(path), Duration::HOUR).unwrap();
            assert_eq!(seconds(&arrivals), times, "{name}");
        }
    }
    let path = file(&dir, "m.jsonl", mooncake);
    let mut trace = TraceConfig::new(path);
    let hashes = |trace: &TraceConfig| -> Vec<Vec<u64>> {
        let arrivals = run(trace.clone(), Duration::from_secs(2)).unwrap();
        arrivals.into_iter().map(|arrival| arrival.blocks.unwrap().0.to_vec()).collect()
    };
    assert_eq!(hashes(&trace), [vec![0, 1], vec![0]]);
    trace.repeat = true;
    let repeated = hashes(&trace);
    assert_eq!(repeated[..2], [vec![0, 1], vec![0]]);
    assert!(repeated[2][0] == repeated[3][0] && ![0, 1].contains(&repeated[2][0]), "{repeated:?}");
    assert_eq!(describe(&file(&dir, "b.csv", burst), None).unwrap().failed, 1);
}

#[test]
fn bad_traces_are_refused_with_a_reason() {
    let dir = TempDir::new().unwrap();
    let header = "arrival_s,prompt_tokens,output_tokens\n";
    let azure = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
    let compressed = gzip(&format!("{header}{}", "1,200,300\n".repeat(1000)));
    let mut damaged = compressed.clone();
    // The checksum of RFC 1952 is in the last eight bytes.
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 0xff;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("header-only", header.into()),
        ("wrong-header", "when,how_much\n1,2\n".into()),
        ("misspelt-column", "arrival_s,prompt_token,output_tokens\n1,2,3\n".into()),
        ("unsorted", format!("{header}\"1\",2,3\n5,2,3\r\n\n4.5,2,3\n").into()),
        ("cut-off", format!("{header}1,2,3\n5,2\n").into()),
        ("negative-tokens", format!("{header}1,-2,3\n").into()),
        ("zero-tokens", format!("{header}1,2,0\n").into()),
        ("absurd-tokens", format!("{header}1,2,3\n2,99999999999,3\n").into()),
        ("fractional-tokens", format!("{header}1,2.5,3\n").into()),
        ("no-number", format!("{header}1,2,3\nsoon,2,3\n").into()),
        ("negative-time", format!("{header}-1,2,3\n").into()),
        ("absurd-time", format!("{header}1e12,2,3\n").into()),
        ("no-date", format!("{azure}16.11.2023 18:15,2,3\n").into()),
        (
            "all-failed",
            "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,x,3,0,3,y\n".into(),
        ),
        (
            "json-cut-off",
            "{\"timestamp\": 0, \"input_length\": 6, \"output_length\": 5, \"hash_ids\": [1, 2".into(),
        ),
        ("json-field", "{\"timestamp\": 0, \"input_length\": 6, \"hash_ids\": []}\n".into()),
        (
            "json-zero",
            "{\"timestamp\": 0, \"input_length\": 0, \"output_length\": 5, \"hash_ids\": []}\n".into(),
        ),
        ("json-first-only", "{\"timestamp\": 0, \"input_length\": 9, \"output_length\": 5}\n1,2,3\n".into()),
        ("open-quote", format!("{header}1,2,3\n\"2,2,3\n").into()),
        ("binary", b"\x00\xff\xfe,\x80\n".to_vec()),
        ("gzip-cut-off", compressed[..compressed.len() - 20].to_vec()),
        ("gzip-damaged", damaged),
    ];
    let mut text = String::new();
    for (name, content) in cases {
        let path = file(&dir, name, content);
        let error = describe(&path, None).unwrap_err();
        text += &format!("{error}\n");
    }
    text += &format!("{}\n", describe(&dir.path().join("not-there.csv"), None).unwrap_err());
    let path = file(&dir, "small.csv", SMALL);
    for format in [TraceFormat::Mooncake, TraceFormat::AzureLlm2023] {
        text += &format!("{}\n", describe(&path, Some(format)).unwrap_err());
    }
    let base = TraceConfig::new(&path);
    let second = Duration::from_secs(1);
    for trace in [
        TraceConfig { stream: Some("c".to_owned()), ..base.clone() },
        TraceConfig { from: Duration::HOUR, repeat: true, ..base.clone() },
        TraceConfig { from: second * 3, to: Some(second * 4), ..base.clone() },
        TraceConfig::new(file(&dir, "later.csv", format!("{header}1700000000,2,3\n"))),
        TraceConfig { period: Some(second), repeat: true, ..base.clone() },
        TraceConfig { copies: 0, speed_up: -1.0, from: second, to: Some(second), ..base.clone() },
        TraceConfig { copies: 2, ..TraceConfig::new(file(&dir, "one.csv", format!("{header}1,2,3\n"))) },
    ] {
        text += &format!("{}\n", run(trace, Duration::HOUR).unwrap_err());
    }
    let text = text.replace(&format!("{}/", dir.path().display()), "");
    insta::assert_snapshot!(text);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever is recorded and however it is replayed: in order, within the run, the same twice, and every
    /// request of every copy once a round.
    #[test]
    fn any_replay_is_in_order_and_complete(
        gaps in proptest::collection::vec(0u64..5000, 2..40),
        copies in 1u32..5,
        speed_up in 0.25f64..4.0,
        repeat in any::<bool>(),
    ) {
        let dir = TempDir::new().unwrap();
        let mut at = 0;
        let rows: String = (1..).zip(&gaps).map(|(row, gap)| {
            at += gap + 1;
            format!("{},{row},1\n", at as f64 / 1000.0)
        }).collect();
        let path = file(&dir, "any.csv", format!("arrival_s,prompt_tokens,output_tokens\n{rows}"));
        let period = Duration::from_secs(200);
        let trace = TraceConfig { copies, speed_up, repeat, period: Some(period), ..TraceConfig::new(path) };
        // Two periods, and a little for rounding.
        let window = Duration::from_secs_f64(400.0 / speed_up - 1e-6);
        let arrivals = run(trace.clone(), window).unwrap();
        prop_assert!(arrivals.is_sorted_by_key(|arrival| arrival.at));
        prop_assert!(arrivals.iter().all(|arrival| arrival.at < Instant::ZERO + window));
        let rounds = if repeat { 2 } else { 1 };
        prop_assert_eq!(arrivals.len(), gaps.len() * copies as usize * rounds);
        prop_assert_eq!(arrivals, run(trace, window).unwrap());
    }
}

fn with_lengths(lengths: Lengths) -> Result<Vec<Arrival>, TrafficError> {
    let source = Source::Open(OpenConfig {
        rate: Rate::per_second(10.0),
        arrivals: fleetsim::traffic::ArrivalProcess::Poisson,
        shape: vec![],
        start: Start::default(),
        lengths,
    });
    let config = StreamConfig { name: "chat".to_owned(), source };
    let mut stream = Stream::new(&config, Seed(1), Duration::from_secs(2000))?;
    Ok(std::iter::from_fn(|| stream.next_arrival().unwrap()).collect())
}

fn prompts_from(file: PathBuf, column: Option<&str>) -> Result<Vec<u32>, TrafficError> {
    let dist = LengthDist::Empirical { file, column: column.map(str::to_owned) };
    let lengths = Lengths::Independent { prompt: Length::new(dist), output: Length::constant(1) };
    Ok(with_lengths(lengths)?.iter().map(|arrival| arrival.prompt_tokens).collect())
}

#[test]
fn lengths_are_resampled_from_files() {
    let dir = TempDir::new().unwrap();
    let raw = file(&dir, "raw.txt", "10\n20\n20\n40\n");
    let named = file(&dir, "named.csv", gzip("id,tokens\n1,10\n2,20\n3,20\n4,40\n"));
    for prompts in [prompts_from(raw, None), prompts_from(named, Some("tokens"))] {
        let prompts = prompts.unwrap();
        let share =
            |tokens| prompts.iter().filter(|prompt| **prompt == tokens).count() as f64 / prompts.len() as f64;
        // Five standard errors of 20,000 draws.
        assert!((share(10) - 0.25).abs() < 0.016 && (share(20) - 0.5).abs() < 0.018);
        assert!((share(10) + share(20) + share(40) - 1.0).abs() < 1e-12);
    }
    let table = file(&dir, "table.csv", "quantile,tokens\n0,100\n0.5,200\n1,1000\n");
    let prompts = prompts_from(table, None).unwrap();
    let below = prompts.iter().filter(|prompt| **prompt <= 200).count() as f64 / prompts.len() as f64;
    assert!((below - 0.5).abs() < 0.02, "{below}");
    assert!(prompts.iter().all(|prompt| (100..=1000).contains(prompt)));

    let pairs = Lengths::Joint(JointLengths::File { file: file(&dir, "small.csv", SMALL), format: None });
    let arrivals = with_lengths(pairs).unwrap();
    assert!(arrivals.iter().all(|arrival| arrival.prompt_tokens == 10 * arrival.output_tokens));
    assert!(
        [10, 20, 30, 40].iter().all(|prompt| arrivals.iter().any(|arrival| arrival.prompt_tokens == *prompt))
    );
}

#[test]
fn bad_length_files_are_refused_with_a_reason() {
    let dir = TempDir::new().unwrap();
    let cases = [
        ("empty.csv", "", None),
        ("header-only.csv", "tokens\n", None),
        ("two-columns.csv", "a,b\n1,2\n", None),
        ("no-column.csv", "a,b\n1,2\n", Some("c")),
        ("zero.csv", "tokens\n5\n0\n", None),
        ("cut-off.csv", "a,b\n1,2\n3\n", Some("b")),
        ("falling.csv", "quantile,tokens\n0.1,50\n0.5,40\n", None),
        ("percent.csv", "quantile,tokens\n10,50\n50,60\n", None),
        ("one-row.csv", "quantile,tokens\n0.1,50\n", None),
    ];
    let mut text = String::new();
    for (name, content, column) in cases {
        text += &format!("{}\n", prompts_from(file(&dir, name, content), column).unwrap_err());
    }
    insta::assert_snapshot!(text.replace(&format!("{}/", dir.path().display()), ""));
}

/// A trace much longer than its window: nothing is kept, and nothing after the window is read.
#[test]
fn only_the_window_is_read() {
    let dir = TempDir::new().unwrap();
    let path =
        file(&dir, "later-wrong.csv", "arrival_s,prompt_tokens,output_tokens\n1,2,3\n9,2,3\n10,zero,3\n");
    let arrivals = run(TraceConfig::new(path), Duration::from_secs(5)).unwrap();
    assert_eq!(arrivals.len(), 1);
    assert!(arrivals[0].at < Instant::ZERO + Duration::from_secs(5));
}

fn fleetsim(args: &[&str], dir: &Path) -> std::process::Output {
    assert_cmd::Command::cargo_bin("fleetsim").unwrap().args(args).current_dir(dir).output().unwrap()
}

#[test]
fn describe_prints_and_draws() {
    let dir = TempDir::new().unwrap();
    let rows: String =
        (0..400).map(|i| format!("{}.{},{},{}\n", i / 4, i % 4, 100 + i, 1 + i % 50)).collect();
    file(&dir, "steady.csv", format!("arrival_s,prompt_tokens,output_tokens\n{rows}"));
    let output = fleetsim(&["trace", "describe", "steady.csv"], dir.path());
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 80));
    insta::assert_snapshot!("describe_text", text);
    for plot in ["rate.svg", "dispersion.svg", "intervals.svg", "lengths.svg"] {
        let svg = fs::read_to_string(dir.path().join("out/trace-steady").join(plot)).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("steady") && !svg.contains("NaN"), "{plot}");
    }
    let output = fleetsim(&["trace", "describe", "steady.csv", "--json"], dir.path());
    insta::assert_snapshot!("describe_json", String::from_utf8(output.stdout).unwrap());
}

/// A trace of one request, or of requests all at once, has little to say, but it says it.
#[test]
fn the_shortest_traces_are_described() {
    let dir = TempDir::new().unwrap();
    for (name, rows) in [("one.csv", "3,5,6\n"), ("at-once.csv", "3,5,6\n3,5,6\n3,5,6\n")] {
        file(&dir, name, format!("arrival_s,prompt_tokens,output_tokens\n{rows}"));
        let output = fleetsim(&["trace", "describe", name, "--out", "plots"], dir.path());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("too short to say"));
        let svg = fs::read_to_string(dir.path().join("plots/intervals.svg")).unwrap();
        assert!(!svg.contains("NaN"));
    }
}

#[test]
fn bad_usage_exits_with_2() {
    let dir = TempDir::new().unwrap();
    file(&dir, "small.csv", SMALL);
    file(&dir, "blocked", "a file where a folder should be");
    for args in [
        &["trace", "describe", "not-there.csv"][..],
        &["trace", "describe", "small.csv", "--format", "mooncak"],
        &["trace", "describe", "small.csv", "--format", "mooncake"],
        &["trace", "describe", "small.csv", "--out", "blocked/plots"],
        &["trace", "fit", "not-there.csv"],
    ] {
        let output = fleetsim(args, dir.path());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("error: "), "{args:?}");
    }
}
