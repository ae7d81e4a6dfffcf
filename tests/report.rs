//! What is written and shown after a run, from results made by hand. The files stay in the test's folder
//! under `target/tmp/report/`, to be looked at.

#[path = "report/fixtures.rs"]
mod fixtures;

use std::fs;
use std::path::{Path, PathBuf};

use fleetsim::metrics::results::RunResults;
use fleetsim::report::{Format, Plots, Record, Records, Wanted, plots, terminal_summary, write_all};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("report").join(name)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every tag is closed, in order, and every attribute is well-formed.
fn assert_well_formed(path: &Path, text: &str) {
    let mut reader = quick_xml::Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let mut depth = 0;
    loop {
        use quick_xml::events::Event;
        match reader.read_event() {
            Ok(Event::Eof) => break,
            Ok(Event::Start(tag)) => {
                depth += 1;
                tag.attributes().for_each(|attribute| assert!(attribute.is_ok(), "{}", path.display()));
            }
            Ok(Event::End(_)) => depth -= 1,
            Ok(Event::Empty(tag)) => {
                tag.attributes().for_each(|attribute| assert!(attribute.is_ok(), "{}", path.display()));
            }
            Ok(_) => {}
            Err(error) => panic!("{}: {error} at {}", path.display(), reader.buffer_position()),
        }
    }
    assert_eq!(depth, 0, "{}", path.display());
}

/// No value that does not exist is printed as a number.
fn assert_no_nonsense(path: &Path, text: &str) {
    for word in text.split(|letter: char| !letter.is_alphanumeric()) {
        assert!(!["NaN", "inf", "nan", "infinity"].contains(&word), "{} has {word}", path.display());
    }
}

#[test]
fn every_run_can_be_shown() {
    for results in fixtures::all() {
        let name = results.summary.scenario.name.clone();
        let out = folder(&name.replace(|letter: char| !letter.is_alphanumeric() && letter != '-', "_"));
        let written = write_all(&results, "name = \"x\"\n", &out, &Wanted::default()).expect("written");
        assert_eq!(written.len(), 2 + 1 + plots::ALL.len() + 4);
        for path in &written {
            let text = read(path);
            assert_no_nonsense(path, &text);
            if path.extension().is_some_and(|extension| extension == "svg" || extension == "html") {
                assert_well_formed(path, &text);
            }
        }
        let page = read(&out.join("report.html"));
        assert!(page.len() < 1_500_000, "{name}: the page has {} bytes", page.len());
        let links: Vec<&str> =
            page.split("http").skip(1).filter(|rest| !rest.starts_with("://www.w3.org")).collect();
        assert!(links.iter().all(|link| link.starts_with("s://aws.amazon.com")), "{name}: {links:?}");
        for forbidden in ["<script", "<link", "src=", "url("] {
            assert!(!page.contains(forbidden), "{name}: the page has {forbidden}");
        }
        let summary = terminal_summary(&results);
        assert_no_nonsense(&out, &summary);
        for line in summary.lines() {
            assert!(line.chars().count() <= 80, "{name}: {line}");
        }
    }
}

#[test]
fn the_same_results_give_the_same_bytes() {
    let results = fixtures::run(&fixtures::DAY);
    let bytes = |name: &str| -> Vec<Vec<u8>> {
        let out = folder(name);
        let written = write_all(&results, "", &out, &Wanted::default()).expect("written");
        written.iter().map(|path| fs::read(path).expect("readable")).collect()
    };
    assert_eq!(bytes("once"), bytes("twice"));
}

#[test]
fn terminal() {
    for results in fixtures::all().into_iter().take(7) {
        insta::assert_snapshot!(
            format!("terminal-{}", results.summary.scenario.name),
            terminal_summary(&results)
        );
    }
}

#[test]
fn tables() {
    let results = fixtures::run(&fixtures::Shape { buckets: 2, ..fixtures::DAY });
    let out = folder("tables");
    write_all(&results, "", &out, &Wanted::default()).expect("written");
    for table in ["jobs.csv", "ledger.csv", "decisions.csv", "timeseries.csv"] {
        let text = read(&out.join(table));
        let head: Vec<&str> = text.lines().take(8).collect();
        insta::assert_snapshot!(table, head.join("\n"));
    }
    insta::assert_snapshot!("summary.json", read(&out.join("summary.json")));
}

#[test]
fn only_what_is_wanted() {
    let results = fixtures::empty();
    let out = tempfile::tempdir().expect("a folder");
    let names = |wanted: &Wanted| -> Vec<String> {
        let written = write_all(&results, "", out.path(), wanted).expect("written");
        let relative = written.iter().map(|path| path.strip_prefix(out.path()).expect("inside"));
        relative.map(|path| path.display().to_string()).collect()
    };
    assert_eq!(names(&Wanted::nothing()), ["summary.json", "scenario.toml"]);
    let some = Wanted {
        records: Records([Record::Ledger].into()),
        format: Format::Csv,
        report: false,
        plots: "rate,spend".parse::<Plots>().expect("names of plots"),
    };
    assert_eq!(
        names(&some),
        ["summary.json", "scenario.toml", "plots/rate.svg", "plots/spend.svg", "ledger.csv"]
    );
    let typed = Wanted { format: Format::Parquet, ..some };
    assert_eq!(names(&typed).last().map(String::as_str), Some("ledger.parquet"));
    assert!(!out.path().join("ledger.csv").exists(), "a table of another format is left");
}

#[test]
fn a_folder_that_cannot_be_is_an_error() {
    let out = tempfile::tempdir().expect("a folder");
    fs::write(out.path().join("file"), "").expect("written");
    let inside = out.path().join("file/out");
    let error = write_all(&fixtures::empty(), "", &inside, &Wanted::default()).expect_err("not a folder");
    let text = error.to_string();
    assert!(text.contains("file/out") && text.contains("--out"), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_leaves_the_summary() {
    let out = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink("/dev/full", out.path().join("ledger.csv.part")).expect("linked");
    let results: RunResults = fixtures::run(&fixtures::DAY);
    let error = write_all(&results, "", out.path(), &Wanted::default()).expect_err("the disk is full");
    let text = error.to_string();
    assert!(text.contains("ledger.csv") && text.contains("No space left"), "{text}");
    assert!(text.contains("summary.json") && text.contains("report.html"), "{text}");
    let summary = read(&out.path().join("summary.json"));
    assert!(serde_json::from_str::<serde_json::Value>(&summary).is_ok());
    assert!(!out.path().join("ledger.csv").exists() && !out.path().join("ledger.csv.part").exists());
}
