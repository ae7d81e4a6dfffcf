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
        for forbidden in ["<link", "src=", "url(", "import", "fetch", "XMLHttp"] {
            assert!(!page.contains(forbidden), "{name}: the page has {forbidden}");
        }
        let summary = terminal_summary(&results);
        assert_no_nonsense(&out, &summary);
        for line in summary.lines() {
            assert!(line.chars().count() <= 80, "{name}: {line}");
        }
    }
}

/// The sort values of the cells of a row of a table of the page.
fn values(page: &str, table: &str, row: usize) -> Vec<f64> {
    let table = page.split_once(&format!("aria-label=\"{table}\"")).expect("the table").1;
    let body = table.split_once("<tbody>").expect("a body").1.split_once("</tbody>").expect("its end").0;
    let row = body.lines().filter(|line| line.starts_with("<tr>")).nth(row).expect("the row");
    let values = row.split("data-v=\"").skip(1);
    values.map(|rest| rest.split_once('"').expect("closed").0.parse().expect("a number")).collect()
}

#[test]
fn the_numbers_of_the_page_are_those_of_the_summary() {
    let results = fixtures::run(&fixtures::DAY);
    let out = folder("numbers");
    write_all(&results, "", &out, &Wanted::default()).expect("written");
    let (page, json) = (read(&out.join("report.html")), read(&out.join("summary.json")));
    let summary: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let at = |place: &str| summary.pointer(place).and_then(serde_json::Value::as_f64).expect("a number");
    for pool in 0..2 {
        let of = |field: &str| at(&format!("/pools/{pool}/{field}"));
        let spend = of("spend/total_usd");
        let told =
            ["cards", "card_hours", "utilization/allocated", "utilization/busy", "utilization/mfu"].map(of);
        let mut wanted = told.to_vec();
        wanted.extend([spend, spend * 730.0 / 24.0]);
        let found = values(&page, "Pools", pool);
        assert_eq!(found.len(), wanted.len(), "{found:?}");
        for (found, wanted) in found.iter().zip(&wanted) {
            assert!((found - wanted).abs() <= 1e-9 * wanted, "{found} {wanted}");
        }
    }
    for stream in 0..2 {
        let of = |field: &str| at(&format!("/streams/{stream}/{field}"));
        let lost =
            ["rejected", "timed_out", "failed"].map(|how| of(&format!("requests/{how}"))).iter().sum::<f64>();
        let mut wanted = vec![of("slo/attainment"), of("slo_target")];
        for latency in ["ttft_s", "tpot_s", "e2e_s"] {
            wanted.extend(["p50", "p99"].map(|quantile| of(&format!("latency/{latency}/{quantile}"))));
        }
        wanted.extend([of("requests/arrived"), lost / of("requests/arrived")]);
        assert_eq!(values(&page, "Streams", stream), wanted);
    }
    let total = at("/spend/total_usd");
    for (place, (_, usd)) in results.summary.spend.by_cause.iter().enumerate() {
        assert_eq!(values(&page, "Spend by cause", place), [*usd, *usd / total]);
    }
    // Each cause of time, then their sum.
    let time = values(&page, "Where the time went, mean seconds a request", 0);
    let (parts, sum) = time.split_at(time.len() - 1);
    assert!((parts.iter().sum::<f64>() - sum[0]).abs() < 1e-9, "{time:?}");
}

#[test]
fn a_thousand_pools_are_told_in_groups() {
    let shape = fixtures::Shape { name: "thousand-pools", pools: 1000, cards_per_pool: 8, ..fixtures::DAY };
    let mut results = fixtures::run(&shape);
    // As a run records them: strips of so many cards would be a page of their own.
    results.cards.truncate(512);
    let out = folder("thousand-pools");
    write_all(&results, "", &out, &Wanted::default()).expect("written");
    let page = read(&out.join("report.html"));
    assert!(page.len() < 1_500_000, "{}", page.len());
    assert!(page.contains("999 pools like burst"), "pools of one offer are together");
    assert_well_formed(&out, &page);
}

#[test]
fn openmetrics() {
    let results =
        fixtures::run(&fixtures::Shape { buckets: 2, streams: 1, pools: 1, jobs: 0, ..fixtures::DAY });
    let out = folder("openmetrics");
    let wanted = Wanted { openmetrics: Some(1_767_225_600), png: true, ..Wanted::default() };
    write_all(&results, "", &out, &wanted).expect("written");
    let text = read(&out.join("openmetrics.txt"));
    insta::assert_snapshot!("openmetrics.txt", text);
    // Families are told once, in one piece, and the file has its end.
    let families: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert_eq!(families.iter().collect::<std::collections::BTreeSet<_>>().len(), families.len());
    assert!(text.ends_with("# EOF\n"));
    for plot in &plots::ALL {
        let picture = fs::read(out.join(format!("plots/{}.png", plot.name))).expect("a PNG beside the SVG");
        assert!(picture.starts_with(b"\x89PNG") && picture.len() > 2_000, "{}", plot.name);
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
        ..Wanted::default()
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
