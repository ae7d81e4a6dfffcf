//! What a plan weighs over the months to come, against figures by hand, and windows against a full run.

mod plan_support;

use plan_support::{SMALL, fleetsim};
use serde_json::Value;

const SPACE: &str = "
[plan]
vary = { \"pools.base.nodes\" = \"1..3\", \"deployments.chat.replicas\" = \"1..12\" }
require = { attainment = 0.9 }
";

const API: &str = "
[[apis]]
name = \"hosted\"
provider = \"an API\"
input_price = 2.0
output_price = 8.0
ttft = \"300ms\"
tpot = \"10ms\"
";

const PRICES: &str = "
[prices]
\"lab/rack\" = { on_demand = 10.0, reserved_1y = 7.0, reserved_3y = 5.0, spot = 3.0 }
";

fn plan(text: &str, more: &[&str]) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("small.toml"), text).expect("room on the disk");
    let arguments = [&["plan", "small.toml", "--json", "--no-plots"], more].concat();
    let (status, out, err) = fleetsim(folder.path(), &arguments, 2);
    assert_eq!(status, 0, "{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {err}"))
}

fn near(value: &Value, wanted: f64) {
    let value = value.as_f64().expect("a number");
    assert!((value / wanted - 1.0).abs() < 1e-6, "{value} and not {wanted}");
}

/// One node at 10 dollars an hour, needed always.
#[test]
fn break_even_points() {
    let horizon = "[plan.horizon]\nmonths = 24\nprice_decline_per_year = 0.2\nwindows = 2\n\
                   spot = { rate = 0.5, notice = \"30s\" }\n\
                   owned = { price = 73000, life = \"4y\", staff_per_year = 1200, space_per_month = 265 }\n";
    let told = plan(&format!("{SMALL}{PRICES}{API}{SPACE}{horizon}"), &[]);
    let points = told["break_even"].as_array().expect("a list");
    let point = |of: &str, measure: &str| {
        let is = |point: &&Value| {
            point["of"] == of && point["measure"].as_str().is_some_and(|text| text.starts_with(measure))
        };
        points.iter().find(is).unwrap_or_else(|| panic!("no {of} in {points:?}"))
    };
    near(&point("reserved-1y", "share")["at"], 0.7);
    near(&point("reserved-3y", "share")["at"], 0.5);
    near(&point("reserved-1y", "share")["now"], 1.0);
    // 73,000 dollars over 4 years of 8,766 or 8,760 hours, 1,200 a year, 265 a month: between 2.58 and 2.6 an hour.
    let owned = point("owned", "share")["at"].as_f64().expect("a share");
    assert!(
        (owned * 10.0 - (73_000.0 / 35_040.0 + 1200.0 / 8760.0 + 265.0 * 12.0 / 8760.0)).abs() < 5e-3,
        "{owned}"
    );
    // Each month costs 7,300 dollars on demand, less by the decline; upkeep is 365.
    let mut paid = 73_000.0;
    let mut month = 0;
    let at = loop {
        let rent = 7300.0 * libm::pow(0.8, f64::from(month) / 12.0);
        if paid + 365.0 <= rent {
            break f64::from(month) + paid / (rent - 365.0);
        }
        paid += 365.0 - rent;
        month += 1;
    };
    near(&point("owned", "months")["at"], at);
    // Boot 180 s, image 60 to 180 s: a preemption costs 300 s at least, so (10 ÷ 3 − 1) ÷ (300 s) or fewer an hour.
    let spot = point("spot", "preemptions");
    assert!(spot["at"].as_f64().is_some_and(|at| 0.0 < at && at <= 28.0 + 1e-9), "{spot}");
    assert_eq!((&spot["now"], &spot["pays"]), (&0.5.into(), &true.into()));
    // 100 prompt tokens at 2 and 40 or so at 8 dollars a million.
    let own = point("own-replicas", "requests");
    let each = 7300.0 / own["at"].as_f64().expect("a count");
    assert!((each / (100.0 * 2e-6 + 40.0 * 8e-6) - 1.0).abs() < 0.1, "{each}");
    // The node may as well be spot for two minutes.
    assert_eq!((&told["spot"][0]["spot_nodes"], &told["spot"][0]["of_nodes"]), (&1.into(), &1.into()));
    // Three years for one node: 5 dollars for all of 24 months, and 80 % of the price in the second.
    let three =
        told["commitment"].as_array().expect("a list").iter().find(|l| l["purchase"] == "reserved-3y");
    let three = three.expect("a level");
    assert_eq!((&three["commit_nodes"], &three["months"]), (&1.into(), &24.into()));
    near(&three["spend_usd"], 5.0 * 730.0 * 24.0);
    let rent: f64 = (0..24).map(|month| 7300.0 * libm::pow(0.8, f64::from(month) / 12.0)).sum();
    near(&three["all_on_demand_usd"], rent);
}

/// Two windows stand for two years: the middles of either, by hand.
#[test]
fn representative_windows() {
    let horizon = "[plan.horizon]\nmonths = 24\nwindows = 2\ngrowth_per_year = 0.5\nefficiency_per_year = 0.2\n\
                   price_decline_per_year = 0.19\n";
    let told = plan(&format!("{SMALL}{SPACE}{horizon}"), &[]);
    let windows = told["horizon"]["windows"].as_array().expect("windows");
    assert_eq!(windows.len(), 2);
    for (window, month) in windows.iter().zip([6.0, 18.0]) {
        near(&window["month"], month);
        near(&window["weight"], 0.5);
        near(&window["demand"], libm::pow(1.25, month / 12.0));
        near(&window["spend_usd_month"], 7300.0 * libm::pow(0.81, month / 12.0));
        assert_eq!(window["kept"], true);
    }
    // 0.9 and 0.9³ of the price, a year each.
    near(&told["horizon"]["spend_usd"], 12.0 * 7300.0 * (0.9 + 0.729));
    assert_eq!(told["horizon"]["lasts_months"], Value::Null);
    // Far more demand than a node bears: it is told when, and what is cheapest then.
    let told = plan(&format!("{SMALL}{SPACE}{horizon}"), &["--set", "plan.horizon.growth_per_year=4"]);
    let lasts = told["horizon"]["lasts_months"].as_f64().expect("an end");
    assert!((6.0..24.0).contains(&lasts), "{lasts}");
    let last = &told["horizon"]["windows"][1];
    assert!(last["cheapest"]["set"]["pools.base.nodes"].as_u64() > Some(1), "{last}");
}

/// A slow service whose load grows beyond what it bears: four windows of a day against two months second by second.
#[test]
fn windows_against_a_full_run() {
    let slow = SMALL
        .replace("duration = \"2m\"", "duration = \"24h\"")
        .replace(
            "rate = \"6/s\"",
            "rate = \"0.02/s\"\nshape = [{ kind = \"diurnal\", peak = \"14:00\", peak_to_trough = 2.0 }]",
        )
        .replace("base = \"20ms\", per_request = \"1ms\"", "base = \"4s\", per_request = \"200ms\"")
        .replace("ttft = \"200ms\"", "ttft = \"30s\"")
        .replace("replicas = 2", "replicas = 1");
    let section = "
[plan]
replications = 2
vary = { \"deployments.chat.replicas\" = \"1..1\" }
require = { attainment = 0.5 }
[plan.horizon]
months = 2
windows = 4
growth_per_year = 9.0
price_decline_per_year = 0.5
full_run = true
";
    let told = plan(&format!("{slow}{section}"), &[]);
    let (course, full) = (&told["horizon"], &told["horizon"]["full_run"]);
    assert!(full["requests"].as_u64().is_some_and(|n| n > 100_000), "{course}");
    let (spend, met) = (full["spend_error"].as_f64(), full["attainment_error"].as_f64());
    let attainment = full["attainment"].as_f64().expect("a share");
    assert!((0.2..0.99).contains(&attainment), "{course}");
    // By hand: prices fall by a half a year, so by 4 windows of half a month each nearly nothing is lost.
    assert!(spend.is_some_and(|error| error.abs() < 0.001), "{course}");
    assert!(met.is_some_and(|error| error.abs() < 0.02), "{course}");
    // A spike of its own happens in every window, but once in two months.
    let spike =
        "{ kind = \"spike\", start = \"2h\", factor = 1.1, rise = \"1m\", hold = \"1m\", fall = \"1m\" }";
    let spiky = slow.replace("shape = [", &format!("shape = [{spike}, "));
    let told = plan(&format!("{spiky}{section}"), &[]);
    assert_eq!(told["horizon"]["full_run"], Value::Null);
    assert!(
        told["horizon"]["no_full_run"].as_str().is_some_and(|why| why.contains("spike")),
        "{}",
        told["horizon"]
    );
}

/// How much spot: preemptions that come often leave fewer nodes for it.
#[test]
fn how_much_spot() {
    let text = SMALL
        .replace("accelerators_per_node = 4", "accelerators_per_node = 1")
        .replace("nodes = 1\n", "nodes = 4\n")
        .replace("replicas = 2\n", "replicas = 4\n")
        .replace("duration = \"2m\"", "duration = \"20m\"")
        .replace("rate = \"6/s\"", "rate = \"16/s\"");
    let section = "
[plan]
replications = 1
vary = { \"pools.base.nodes\" = \"4..4\" }
require = { attainment = 0.9 }
[plan.horizon]
windows = 1
";
    let level = |rate: &str| {
        let spot = format!("spot = {{ rate = {rate}, notice = \"30s\" }}\n");
        let told = plan(&format!("{text}{PRICES}{section}{spot}"), &[]);
        let level = &told["spot"][0];
        let of = |key: &str| level[key].as_f64().expect("a number");
        (of("spot_nodes"), of("spend_usd_month"), level["breaks"].clone())
    };
    let (seldom, often) = (level("0.001"), level("12"));
    // All four may be spot, at 3 instead of 10 dollars.
    assert_eq!((seldom.0, seldom.2), (4.0, Value::Null));
    assert!((seldom.1 / (4.0 * 3.0 * 730.0) - 1.0).abs() < 0.01, "{}", seldom.1);
    assert!(often.0 < 4.0 && often.2 == "streams.chat.slo.attainment", "{often:?}");
}
