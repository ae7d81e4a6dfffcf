//! Plans over draws of stock, prices and efficiencies, and plans of fleets with hosted APIs.

mod plan_support;

use plan_support::{SMALL, fleetsim};
use serde_json::Value;

/// Plans a scenario: what it tells.
fn plan(text: &str, section: &str) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("small.toml"), format!("{text}\n{section}")).expect("room on the disk");
    let (status, out, err) = fleetsim(folder.path(), &["plan", "small.toml", "--json", "--no-plots"], 2);
    assert!(status != 2, "{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {err}"))
}

fn share(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Step times from the performance model, on cards that reach less or more than it expects.
fn at_efficiency(efficiency: &str) -> String {
    SMALL
        .replace("step_time = { base = \"20ms\", per_request = \"1ms\" }\nkv_blocks = 4000\n", "")
        .replace("ttft = \"200ms\"", "tpot = \"9ms\"")
        .replace("rate = \"6/s\"", "rate = \"1/s\"")
        .replace(
            "parallelism = { tp = 1 }",
            &format!("parallelism = {{ tp = 1 }}\nefficiency = {efficiency}"),
        )
}

/// A card that reaches half of what is expected takes twice as long for its kernels: the promise depends on it.
#[test]
fn efficiencies() {
    let section = "[plan]\ndraws = 24\nreplications = 1\nvary = { \"pools.base.nodes\" = \"1..2\" }\n";
    let attainment = |efficiency: &str| {
        let told = plan(&at_efficiency(efficiency), section);
        (told["best"].is_object(), told)
    };
    assert!(attainment("1").0, "kept as expected");
    assert!(!attainment("0.5").0, "broken at half of it");
    let (found, told) = attainment("{ low = 0.55, mid = 1.0, high = 1.4, confidence = 0.8 }");
    assert!(found, "{told}");
    let world = &told["uncertainty"];
    assert_eq!(world["inputs"][0], "deployments.chat.efficiency", "{told}");
    let kept = share(&told["best"]["slo_met_probability"]);
    assert!((0.5..1.0).contains(&kept), "{kept}");
}

/// Dearer worlds cost more, and the tornado names the price.
#[test]
fn prices() {
    let text = SMALL.replace(
        "nodes = 1\n",
        "nodes = 1\nprice = { low = 5.0, mid = 10.0, high = 20.0, confidence = 0.9 }\n",
    );
    let told = plan(&text, "[plan]\ndraws = 32\nvary = { \"deployments.chat.replicas\" = \"1..3\" }\n");
    let spend = &told["best"]["spend_usd_month"];
    assert!(share(&spend["p95"]) > 1.5 * share(&spend["p5"]), "{spend}");
    let swing = &told["uncertainty"]["tornado"][0];
    assert_eq!(swing["input"], "pools.base.price", "{swing}");
    // 730 hours at 5 and at 20 dollars are the ends of nine in ten.
    assert!(share(&swing["high_usd_month"]) > share(&swing["low_usd_month"]), "{swing}");
}

/// What the provider has decides whether an autoscaled fleet can grow: worlds are simulated one by one.
#[test]
fn stock() {
    let text = SMALL
        .replace("accelerators_per_node = 4", "accelerators_per_node = 1")
        .replace("nodes = 1\n", "nodes = { min = 1, max = 6 }\nstock = { low = 1, mid = 3, high = 8, confidence = 0.8 }\n")
        .replace("minimum = \"0s\"", "minimum = \"0s\"\nprovisioning = { boot = \"1s\", image_pull = \"1s\" }")
        .replace("replicas = 2\n", "replicas = { min = 1, max = 6 }\nautoscaler = { policy = \"hpa\", metric = \"concurrency\", target = 3 }\n")
        .replace("rate = \"6/s\"", "rate = \"12/s\"")
        .replace("duration = \"2m\"", "duration = \"6m\"")
        .replace("warmup = \"10s\"", "warmup = \"2m\"");
    let section =
        "[plan]\ndraws = 16\nreplications = 1\nvary = { \"deployments.chat.autoscaler.target\" = [2, 4] }\n";
    let told = plan(&text, section);
    let world = &told["uncertainty"];
    assert_eq!((&world["inputs"][0], &world["draws"]), (&"pools.base.stock".into(), &16.into()), "{told}");
    let kept = share(&told["best"]["slo_met_probability"]);
    assert!((0.0..1.0).contains(&kept) && kept > 0.0, "{kept}");
}

/// A hosted API takes what own replicas do not: the promise is kept either way, and the cheaper mix wins.
#[test]
fn hosted_apis() {
    let mix = |price: &str| {
        let api = format!(
            "[[apis]]\nname = \"hosted\"\nprovider = \"lab\"\ninput_price = {price}\noutput_price = {price}\n\
             ttft = \"50ms\"\ntpot = \"10ms\"\n"
        );
        let text = SMALL
            .replace("accelerators_per_node = 4", "accelerators_per_node = 1")
            .replace("rate = \"6/s\"", "rate = \"12/s\"\nspill_over = 6\noverflow = \"hosted\"")
            .replace("replicas = 2\n", "replicas = 1\n")
            + &api;
        let vary = "{ \"deployments.chat.replicas\" = \"1..3\", \"pools.base.nodes\" = \"1..3\" }";
        let told = plan(&text, &format!("[plan]\nreplications = 1\nvary = {vary}\n"));
        let set = &told["best"]["set"];
        (share(&set["deployments.chat.replicas"]), told["verdict"].clone())
    };
    let (few, verdict) = mix("0.01");
    assert!((few - 1.0).abs() < 1e-9, "tokens for next to nothing: {verdict}");
    let (many, verdict) = mix("200");
    assert!(many > 1.0, "dear tokens: {verdict}");
}
