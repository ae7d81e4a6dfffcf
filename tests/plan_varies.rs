//! What a plan may vary, and what it may require: each by itself, where it decides.

mod plan_support;

use plan_support::{SMALL, fleetsim};
use serde_json::Value;

/// Plans a scenario: what it tells, with its exit status.
fn plan(text: &str, section: &str) -> (i32, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("small.toml"), format!("{text}\n{section}")).expect("room on the disk");
    let (status, out, err) = fleetsim(folder.path(), &["plan", "small.toml", "--json", "--no-plots"], 2);
    let told = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {err}"));
    (status, told)
}

/// The values of the best candidate.
fn best(text: &str, section: &str) -> Value {
    let (status, told) = plan(text, section);
    assert_eq!(status, 0, "{}", told["verdict"]);
    told["best"]["set"].clone()
}

/// A second, cheaper offer with one card a node, and one with a slower card.
const OFFERS: &str = r#"
[[offers]]
name = "lab/single"
accelerator = "LabCard"
accelerators_per_node = 1
on_demand_usd_h = 3.0
reserved_1y_usd_h = 2.0

[[offers]]
name = "lab/slow"
accelerator = "SlowCard"
accelerators_per_node = 1
on_demand_usd_h = 1.5

[[accelerators]]
name = "SlowCard"
like = "L4"
"#;

#[test]
fn offers_and_counts() {
    let section = r#"
[plan]
vary = { "pools.base.offer" = ["lab/rack", "lab/single"], "pools.base.nodes" = "1..4",
         "deployments.chat.replicas" = "1..4" }
"#;
    let set = best(&format!("{SMALL}{OFFERS}"), section);
    // Two replicas are needed: two single nodes at 3 dollars, not one of four cards at 10.
    assert_eq!(
        (&set["pools.base.offer"], &set["pools.base.nodes"]),
        (&"lab/single".into(), &2.into()),
        "{set}"
    );
    assert_eq!(set["deployments.chat.replicas"], 2);
}

#[test]
fn purchase_options() {
    let text =
        SMALL.replace("offer = \"lab/rack\"", "offer = \"lab/single\"").replace("nodes = 1\n", "nodes = 2\n");
    let section = "[plan]\nvary = { \"pools.base.purchase\" = [\"on-demand\", \"reserved-1y\"] }\n";
    assert_eq!(best(&format!("{text}{OFFERS}"), section)["pools.base.purchase"], "reserved-1y");
}

/// The step time is computed from the card: the slow one is cheaper and misses its limit.
#[test]
fn accelerators() {
    let text = computed("tpot = \"12ms\"").replace("nodes = 1\n", "nodes = 4\n");
    let section = "[plan]\nvary = { \"pools.base.accelerator\" = [\"LabCard\", \"SlowCard\"] }\n";
    let (status, told) = plan(&format!("{text}{OFFERS}"), section);
    let offers: Vec<&str> = told["candidates"]
        .as_array()
        .expect("candidates")
        .iter()
        .filter_map(|candidate| candidate["set"]["pools.base.offer"].as_str())
        .collect();
    assert_eq!((status, offers.len(), offers[0]), (0, 3, "lab/single"), "{}", told["verdict"]);
    assert!(offers.contains(&"lab/slow") && offers.contains(&"lab/rack"), "{offers:?}");
}

/// The scenario with step times computed from card and model, and another limit.
fn computed(limit: &str) -> String {
    SMALL
        .replace("step_time = { base = \"20ms\", per_request = \"1ms\" }\nkv_blocks = 4000\n", "")
        .replace("ttft = \"200ms\"", limit)
        .replace("rate = \"6/s\"", "rate = \"1/s\"")
}

#[test]
fn parallelism() {
    let section = "[plan]\nvary = { \"deployments.chat.parallelism\" = [{ tp = 1 }, { tp = 2 }] }\n";
    let set = best(&computed("tpot = \"6ms\""), section);
    assert_eq!(set["deployments.chat.parallelism"]["tp"], 2, "{set}");
}

#[test]
fn precision() {
    let section = "[plan]\nvary = { \"deployments.chat.precision\" = [\"bf16\", \"fp8\"] }\n";
    assert_eq!(best(&computed("tpot = \"6ms\""), section)["deployments.chat.precision"], "fp8");
}

#[test]
fn batching() {
    let section = "[plan]\nvary = { \"deployments.chat.batching.max_batch_requests\" = [1, 2, 8] }\n";
    assert_eq!(best(SMALL, section)["deployments.chat.batching.max_batch_requests"], 8);
}

/// Nodes are paid while they are there: the higher target keeps fewer of them.
#[test]
fn autoscaler_parameters() {
    let text = scaled();
    let section = r#"
[plan]
replications = 1
vary = { "deployments.chat.autoscaler.target" = [1, 6] }
"#;
    assert_eq!(best(&text, section)["deployments.chat.autoscaler.target"], 6);
}

/// An autoscaled deployment on single nodes.
fn scaled() -> String {
    format!("{SMALL}{OFFERS}")
        .replace("offer = \"lab/rack\"\nnodes = 1", "offer = \"lab/single\"\nnodes = { min = 1, max = 6 }")
        .replace(
            "replicas = 2\n",
            "replicas = { min = 2, max = 6 }\nautoscaler = { policy = \"hpa\", metric = \"concurrency\", \
             target = 4 }\n",
        )
        .replace(
            "minimum = \"0s\"",
            "minimum = \"0s\"\nprovisioning = { boot = \"5s\", image_pull = \"5s\" }\nidle_after = \"10s\"",
        )
        .replace("attainment = 0.9", "attainment = 0.6")
}

/// A reserved base beside nodes on demand that come and go: how many to reserve is what the space varies.
#[test]
fn the_reserved_level() {
    let text = scaled()
        .replace("pools = [\"base\"]", "pools = [\"reserved\", \"base\"]")
        .replace("nodes = { min = 1, max = 6 }", "nodes = { min = 0, max = 6 }")
        + "\n[[pools]]\nname = \"reserved\"\noffer = \"lab/single\"\npurchase = \"reserved-1y\"\nnodes = 0\n";
    let section = r#"
[plan]
replications = 1
vary = { "pools.reserved.nodes" = "1..4" }
"#;
    let (status, told) = plan(&text, section);
    assert_eq!(status, 0, "{}", told["verdict"]);
    // Two replicas are always there: two reserved nodes at 2 dollars beat on-demand ones at 3; a third is idle.
    assert_eq!(told["best"]["set"]["pools.reserved.nodes"], 2, "{}", told["verdict"]);
}

/// Which deployments serve which streams.
#[test]
fn the_tier_map() {
    let text = SMALL.to_owned()
        + r#"
[[deployments]]
name = "large"
model = "llama-3.1-8b"
pools = ["base"]
replicas = 2
parallelism = { tp = 1 }
batching = { max_batch_requests = 8, max_batch_tokens = 512 }
step_time = { base = "60ms", per_request = "1ms" }
kv_blocks = 4000
"#;
    let section = r#"
[plan]
vary = { "streams.chat.deployments" = [["large"], ["chat"], ["large", "chat"]] }
"#;
    let set = best(&text, section);
    assert_eq!(set["streams.chat.deployments"], serde_json::json!(["chat"]));
}

const ROOM: &str =
    "[plan]\nvary = { \"pools.base.nodes\" = \"1..3\", \"deployments.chat.replicas\" = \"1..4\" }\n";

/// The constraints that candidates broke.
fn broken(text: &str, require: &str) -> Vec<String> {
    let (_, told) = plan(text, &format!("{ROOM}require = {{ {require} }}\n"));
    let candidates = told["candidates"].as_array().expect("candidates");
    let constraint = |candidate: &Value| candidate["excuse"]["constraint"].as_str().map(str::to_owned);
    candidates.iter().filter_map(constraint).collect()
}

#[test]
fn what_may_be_required() {
    let lost = |text: &str, require: &str, constraint: &str| {
        let all = broken(text, require);
        assert!(all.iter().any(|name| name == constraint), "{constraint}: {all:?}");
    };
    let hurried = SMALL.replace("ttft = \"200ms\"", "ttft = \"22ms\"");
    lost(&hurried, "attainment = { chat = 0.99 }", "streams.chat.slo.attainment");
    // H100-like cards of 700 W, four a node: 5.6 kW for two.
    lost(SMALL, "power_kw = 5.0", "power_kw");
    lost(SMALL, "budget_usd_month = 8000.0", "budget_usd_month");
    lost(SMALL, "metrics = { \"latency.e2e_s.p99\" = { at_most = 0.001 } }", "latency.e2e_s.p99");
    let queue = SMALL.replace("kv_blocks = 4000", "kv_blocks = 4000\nqueue = { max_requests = 1 }");
    let queue = queue.replace("rate = \"6/s\"", "rate = \"20/s\"");
    lost(&queue, "rejection = 0.0001, attainment = 0.1", "rejection");
}

/// What candidates may be bought from, and where.
#[test]
fn providers_and_regions() {
    let text = format!("{SMALL}{OFFERS}")
        + "\n[[offers]]\nname = \"far/single\"\naccelerator = \"LabCard\"\n\
           accelerators_per_node = 1\non_demand_usd_h = 1.0\n\
           region = \"far-away\"\n";
    let vary = "[plan]\nvary = { \"pools.base.offer\" = [\"lab/single\", \"far/single\"], \
                \"pools.base.nodes\" = \"2..3\" }\n";
    assert_eq!(best(&text, vary)["pools.base.offer"], "far/single");
    let near = best(&text, &format!("{vary}require = {{ providers = [\"lab\"] }}\n"));
    assert_eq!(near["pools.base.offer"], "lab/single");
    let far = best(&text, &format!("{vary}require = {{ regions = [\"far-away\"] }}\n"));
    assert_eq!(far["pools.base.offer"], "far/single");
}

/// Jobs that have to end in time need a second node.
#[test]
fn job_deadlines() {
    let text = SMALL.to_owned()
        + "\n[[jobs]]\nname = \"tune\"\nwork = \"60s\"\naccelerators = 4\nsubmit = \"5s\"\ndeadline = \"100s\"\n";
    let section = "[plan]\nvary = { \"pools.base.nodes\" = \"1..3\" }\nrequire = { job_deadlines = true }\n";
    assert_eq!(best(&text, section)["pools.base.nodes"], 2);
}

/// With a zone of two lost, half of the nodes is gone.
#[test]
fn a_lost_zone_is_survived() {
    let text = format!("{SMALL}{OFFERS}").replace("offer = \"lab/rack\"", "offer = \"lab/single\"");
    let vary =
        "[plan]\nvary = { \"pools.base.nodes\" = \"1..6\", \"deployments.chat.replicas\" = \"1..6\" }\n";
    let nodes = |require: &str| {
        let set = best(&text, &format!("{vary}require = {{ {require} }}\n"));
        set["pools.base.nodes"].as_u64().expect("a number")
    };
    let (plain, node, zone) =
        (nodes(""), nodes("survive = \"node\""), nodes("survive = \"zone\", zones = 2"));
    assert_eq!((plain, node, zone), (2, 3, 4));
}
