//! `plan` as users and scripts meet it: the verdict, the JSON, files, and bad input.

mod plan_support;

use std::path::Path;

use plan_support::{SMALL, fits, fleetsim, printed};
use serde_json::Value;

const SPACE: &str = "
[plan]
vary = { \"pools.base.nodes\" = \"1..3\", \"deployments.chat.replicas\" = \"1..6\" }
require = { attainment = 0.9 }
";

fn folder(section: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("small.toml"), format!("{SMALL}{section}")).expect("room on the disk");
    folder
}

fn json(folder: &Path, more: &[&str], status: i32) -> Value {
    let (code, out, err) = fleetsim(folder, &[&["plan", "small.toml", "--json"], more].concat(), 2);
    assert_eq!(code, status, "{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

#[test]
fn the_cheapest_that_keeps_its_promise() {
    let folder = folder(SPACE);
    let told = json(folder.path(), &[], 0);
    let best = &told["best"];
    assert_eq!(best["set"]["pools.base.nodes"], 1, "{told}");
    assert!(best["set"]["deployments.chat.replicas"].is_number());
    // One node of 10 USD an hour, 730 hours.
    for key in ["mean", "p5", "p95"] {
        let usd = best["spend_usd_month"][key].as_f64().expect("money");
        assert!((usd - 7300.0).abs() < 0.01, "{usd}");
    }
    assert_eq!(best["gpu_hours"].as_f64().map(f64::round), Some(2920.0));
    assert!(best["slo_met_probability"].as_f64().is_some_and(|share| (0.0..=1.0).contains(&share)));
    assert!(best["bottleneck"].as_str().is_some_and(|text| text.contains("chat")), "{best}");
    assert_eq!(told["gap"], 0.0);
    assert!(told["lower_bound_usd_month"].as_f64() <= best["spend_usd_month"]["mean"].as_f64());
    assert_eq!((&told["points"], told["candidates"].as_array().map(Vec::len)), (&18.into(), Some(18)));
    assert!(told["simulations"].as_u64().is_some_and(|n| n > 0) && told["pruned"].is_u64());
    for candidate in &told["candidates"].as_array().expect("candidates")[1..] {
        let excuse = &candidate["excuse"];
        assert!(excuse["constraint"].is_string() && !excuse["why"].as_str().unwrap_or("").is_empty());
    }
    assert!(told["frontier"].as_array().is_some_and(|points| !points.is_empty()));
    let file = std::fs::read_to_string(folder.path().join("out/small-plan/plan.json")).expect("a file");
    assert_eq!(serde_json::from_str::<Value>(&file).expect("JSON"), told);
    let table = std::fs::read_to_string(folder.path().join("out/small-plan/candidates.csv")).expect("a file");
    assert_eq!(table.lines().count(), 19);

    let text = printed(folder.path(), &["plan", "small.toml"]);
    fits(&text.lines().skip(1).collect::<Vec<_>>().join("\n"), 100);
    assert!(text.starts_with("Every promise is kept by"), "{text}");
    // Neither threads nor a second time change a byte.
    let (_, once, _) = fleetsim(folder.path(), &["plan", "small.toml", "--json"], 1);
    let (_, again, _) = fleetsim(folder.path(), &["plan", "small.toml", "--json"], 3);
    assert_eq!(once, again);
}

#[test]
fn nothing_is_good_enough() {
    let folder = folder(SPACE);
    // No card makes a token in less than 20 ms: attainment of a limit of 1 ms is none.
    let told = json(folder.path(), &["--set", "streams.chat.slo.ttft=1ms"], 1);
    assert_eq!((&told["best"], &told["feasible"]), (&Value::Null, &false.into()));
    assert_eq!(told["relaxation"]["constraint"], "streams.chat.slo.attainment");
    assert_eq!(told["relaxation"]["to"], 0.0);
    let why = told["relaxation"]["why"].as_str().expect("words");
    assert!(why.contains("would be kept: TTFT p99 "), "{why}");
    // A budget that is too small is told with what would do.
    let told = json(folder.path(), &["--set", "plan.require.budget_usd_month=100"], 1);
    assert_eq!(told["relaxation"]["constraint"], "budget_usd_month", "{told}");
    let would_do = told["relaxation"]["to"].as_f64().expect("money");
    assert!((would_do - 7300.0).abs() < 0.01, "{would_do}");
    assert!(told["candidates"][0]["excuse"]["by"].as_f64().is_some_and(|by| by > 7000.0));
    let (status, _, err) =
        fleetsim(folder.path(), &["plan", "small.toml", "--set", "plan.require.budget_usd_month=100"], 2);
    assert_eq!(status, 1);
    assert!(err.contains("budget_usd_month makes it so"), "{err}");
}

#[test]
fn a_lost_node_is_survived() {
    let folder = folder(SPACE);
    let plain = json(folder.path(), &[], 0);
    let safe = json(folder.path(), &["--set", "plan.require.survive=node"], 0);
    assert_eq!(
        (&plain["best"]["set"]["pools.base.nodes"], &safe["best"]["set"]["pools.base.nodes"]),
        (&1.into(), &2.into())
    );
}

/// How far to commit: of a flat demand all or nothing, by the prices alone.
#[test]
fn commitments_over_a_horizon() {
    let folder = folder(SPACE);
    let set = |price: &str| {
        let path = format!("prices.\"lab/rack\"={{ on_demand = 10.0, reserved_1y = {price} }}");
        let told = json(folder.path(), &["--set", &path, "--set", "plan.horizon={ months = 24 }"], 0);
        told["commitment"].as_array().cloned().expect("a list")
    };
    let cheap = set("4.0");
    assert_eq!(
        (cheap.len(), &cheap[0]["purchase"], &cheap[0]["commit_nodes"]),
        (1, &"reserved-1y".into(), &1.into())
    );
    assert_eq!(cheap[0]["break_even_share"], 0.4);
    assert_eq!(cheap[0]["spend_usd"].as_f64().map(f64::round), Some(4.0 * 730.0 * 24.0));
    assert_eq!(set("10.5")[0]["commit_nodes"], 0);
}

#[test]
fn bad_input() {
    let refuse = |section: &str, more: &[&str], words: &[&str]| {
        let folder = folder(section);
        let (status, out, err) = fleetsim(folder.path(), &[&["plan", "small.toml"], more].concat(), 2);
        assert_eq!((status, out.as_str()), (2, ""), "{err}");
        for word in words {
            assert!(err.contains(word), "`{word}` is not in:\n{err}");
        }
    };
    refuse("", &[], &["no section [plan]", "vary"]);
    refuse("[plan]\nvary = {}\n", &[], &["empty"]);
    refuse("[plan]\nvary = { \"pools.base.nodes\" = [] }\n", &[], &["no values", "pools.base.nodes"]);
    refuse("[plan]\nvary = { \"pools.base.nodes\" = \"5..1\" }\n", &[], &["5..1", "ends before it begins"]);
    refuse("[plan]\nvary = { \"pools.bas.nodes\" = \"1..5\" }\n", &[], &["`bas`", "base"]);
    let contradiction =
        "[plan]\nvary = { \"pools.base.nodes\" = \"1..2\" }\nrequire = { providers = [\"moon\"] }\n";
    refuse(contradiction, &[], &["contradicts", "providers"]);
    let crossed = "[plan]\nvary = { \"pools.base.nodes\" = \"1..2\" }\n\
                   require = { metrics = { \"latency.ttft_s.p99\" = { at_least = 2.0, at_most = 1.0 } } }\n";
    refuse(crossed, &[], &["at least 2", "at most 1"]);
    let many = "[plan]\nvary = { \"pools.base.nodes\" = \"1..1000\", \"deployments.chat.replicas\" = \"1..1000\" }\n";
    refuse(many, &[], &["1,000,000 candidates", "--yes", "takes about"]);
    refuse(
        "[plan]\nvary = { \"pools.base.nodes\" = \"1..2\" }\nrequire = { attainmet = 0.9 }\n",
        &[],
        &["attainment"],
    );
    refuse(SPACE, &["--set", "plan.objective=fun"], &["`fun`", "spend"]);
    refuse(
        SPACE,
        &["--set", "plan.require.metrics.\"latency.ttft.p99\"={ at_most = 1 }"],
        &["latency.ttft_s.p99"],
    );
}

/// The example of the repository, uncertain numbers and all.
#[test]
fn the_example() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/plan-chat.toml");
    let draws = ["plan", file, "--json", "--set", "plan.draws=40", "--set", "duration=\"4m\""];
    let (status, out, err) = fleetsim(folder.path(), &draws, 2);
    assert_eq!(status, 0, "{err}");
    let told: Value = serde_json::from_str(&out).expect("JSON");
    let world = &told["uncertainty"];
    assert_eq!((&world["draws"], &world["inputs"][0]), (&40.into(), &"streams.chat.rate".into()));
    let probability = told["best"]["slo_met_probability"].as_f64().expect("a share");
    assert!((0.3..=1.0).contains(&probability), "{probability}");
    // Those that are told to keep the promise do so when they are simulated, nearly always.
    let (checked, agreeing) = (world["checked"].as_u64(), world["agreeing"].as_u64());
    assert!(checked == Some(8) && agreeing >= Some(6), "{world}");
    // More use costs no less.
    let swing = &world["tornado"][0];
    assert!(swing["high_usd_month"].as_f64() >= swing["low_usd_month"].as_f64());
    // What is slow is out however many there are of it.
    let slow = |row: &&Value| row["set"]["pools.cards.offer"] == "aws/g6.xlarge" && row["status"] == "pruned";
    assert!(told["candidates"].as_array().expect("candidates").iter().filter(slow).count() > 0);
    // `run` takes the middle, and says so.
    let run = ["run", file, "--json", "--set", "duration=\"2m\"", "--no-report", "--plots", "none"];
    let (status, out, err) = fleetsim(folder.path(), &run, 2);
    assert_eq!(status, 0, "{err}");
    let summary: Value = serde_json::from_str(&out).expect("JSON");
    let arrived = summary["requests"]["arrived"].as_f64().expect("a count");
    assert!((arrived / 960.0 - 1.0).abs() < 0.3, "{arrived}");
    let resolved =
        std::fs::read_to_string(folder.path().join("out/plan-chat/scenario.toml")).expect("a file");
    assert!(resolved.contains("rate = \"8/s\""), "{resolved}");
}
