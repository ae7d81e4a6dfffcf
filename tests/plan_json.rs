//! The JSON of `plan`, `compare` and `sweep`: the shapes that scripts are promised, as schemas.

mod plan_support;

use boon::{Compiler, Schemas};
use plan_support::{SMALL, fleetsim};
use serde_json::{Value, json};

/// Fails with what is wrong where a value is not as a schema wants it.
fn check(schema: Value, value: &Value) {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("shape.json", schema).expect("a schema");
    let index = compiler.compile("shape.json", &mut schemas).expect("a schema");
    if let Err(wrong) = schemas.validate(value, index) {
        panic!("{wrong}\n{value:#}");
    }
}

fn object(properties: Value) -> Value {
    let required: Vec<&String> = properties.as_object().expect("an object").keys().collect();
    json!({ "type": "object", "required": required, "properties": properties.clone() })
}

fn number() -> Value {
    json!({ "type": "number" })
}

fn number_or_null() -> Value {
    json!({ "type": ["number", "null"] })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn text() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

fn set() -> Value {
    json!({ "type": "object", "minProperties": 1 })
}

fn plan_schema(best: Value) -> Value {
    let spread = object(json!({ "mean": number(), "p5": number(), "p95": number() }));
    let one = object(json!({
        "set": set(),
        "spend_usd_month": spread,
        "slo_met_probability": { "type": "number", "minimum": 0, "maximum": 1 },
        "gpu_hours": number(),
        "bottleneck": text(),
    }));
    let excuse = object(json!({ "constraint": text(), "by": number_or_null(), "why": text() }));
    let candidate = object(json!({
        "set": set(),
        "status": text(),
        "spend_usd_month": number_or_null(),
        "excuse": { "anyOf": [excuse, { "type": "null" }] },
    }));
    let frontier = object(json!({
        "set": set(),
        "spend_usd_month": number(),
        "ttft_p99_s": number_or_null(),
        "risk": number_or_null(),
        "against": { "type": "array", "items": { "enum": ["latency", "risk"] }, "minItems": 1 },
    }));
    let best = if best.is_null() { one } else { json!({ "type": "null" }) };
    object(json!({
        "verdict": text(),
        "best": best,
        "candidates": { "type": "array", "minItems": 1, "items": candidate },
        "frontier": { "type": "array", "items": frontier },
        "lower_bound_usd_month": number_or_null(),
        "gap": number_or_null(),
        "simulations": count(),
        "pruned": count(),
    }))
}

fn told(section: &str, arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("small.toml"), format!("{SMALL}{section}")).expect("room on the disk");
    let (_, out, err) = fleetsim(folder.path(), arguments, 2);
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {err}"))
}

const SPACE: &str = "
[plan]
vary = { \"pools.base.nodes\" = \"1..3\", \"deployments.chat.replicas\" = \"1..6\" }
require = { attainment = 0.9 }
";

#[test]
fn plan() {
    let found = told(SPACE, &["plan", "small.toml", "--json", "--no-plots"]);
    check(plan_schema(Value::Null), &found);
    // The best has no excuse, and all others have one.
    let excuses: Vec<bool> = found["candidates"]
        .as_array()
        .expect("candidates")
        .iter()
        .map(|one| one["excuse"].is_null())
        .collect();
    assert_eq!(excuses.iter().filter(|none| **none).count(), 1);
    assert!(excuses[0]);
    let nothing =
        told(SPACE, &["plan", "small.toml", "--json", "--no-plots", "--set", "streams.chat.slo.ttft=1ms"]);
    check(plan_schema(json!("none")), &nothing);
}

#[test]
fn compare() {
    let arguments = [
        "compare",
        "small.toml",
        "--variant",
        "three:deployments.chat.replicas=3",
        "--variant",
        "one:deployments.chat.replicas=1",
        "--replications",
        "3",
        "--json",
    ];
    let interval = json!({
        "anyOf": [
            { "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 },
            { "type": "null" },
        ],
    });
    let variant = object(json!({
        "name": text(),
        "mean": number_or_null(),
        "diff": number_or_null(),
        "ci95": interval,
        "resolved": { "type": "boolean" },
        "replications_to_resolve": { "type": ["integer", "null"], "minimum": 0 },
    }));
    let metric = object(json!({
        "name": text(),
        "baseline": number_or_null(),
        "variants": { "type": "array", "items": variant, "minItems": 2, "maxItems": 2 },
    }));
    let schema = object(json!({ "metrics": { "type": "array", "minItems": 1, "items": metric } }));
    check(schema, &told("", &arguments));
}

#[test]
fn sweep() {
    let arguments = ["sweep", "small.toml", "--grid", "deployments.chat.replicas=1..3", "--json"];
    let schema = object(json!({
        "points": { "const": 3 },
        "columns": { "type": "array", "items": text(), "minItems": 3 },
        "file": { "const": "out/small-sweep/sweep.csv" },
    }));
    check(schema, &told("", &arguments));
}

/// What a plan weighs over the months to come, where it is asked to.
#[test]
fn months() {
    let section = format!(
        "{SPACE}\n[plan.horizon]\nmonths = 24\nwindows = 2\n\
         growth_per_year = 1.0\nspot = {{ rate = 0.5, notice = \"30s\" }}\n\
         owned = {{ price = 73000, life = \"4y\" }}\n[prices]\n\"lab/rack\" = {{ reserved_1y = 7.0, spot = 3.0 }}\n"
    );
    let found = told(&section, &["plan", "small.toml", "--json", "--no-plots"]);
    let level = object(json!({
        "pool": text(),
        "purchase": { "enum": ["reserved-1y", "reserved-3y", "owned"] },
        "break_even_share": number(),
        "commit_nodes": count(),
        "commit_nodes_by_term": { "type": "array", "items": count(), "minItems": 1 },
        "spend_usd": number(),
        "all_on_demand_usd": number(),
        "all_committed_usd": number(),
    }));
    let point = object(json!({
        "of": { "enum": ["reserved-1y", "reserved-3y", "owned", "spot", "own-replicas"] },
        "against": { "enum": ["on-demand", "hosted-api"] },
        "subject": text(),
        "measure": text(),
        "at": number_or_null(),
        "now": number_or_null(),
        "pays": { "type": ["boolean", "null"] },
        "why": text(),
    }));
    let spot = object(json!({ "pool": text(), "of_nodes": count(), "spot_nodes": count() }));
    let window = object(json!({
        "month": number(),
        "weight": number(),
        "demand": number(),
        "spend_usd_month": number(),
        "attainment": number_or_null(),
        "kept": { "type": "boolean" },
    }));
    let horizon = object(json!({
        "months": { "const": 24 },
        "windows": { "type": "array", "items": window, "minItems": 2, "maxItems": 2 },
        "spend_usd": number(),
        "lasts_months": number_or_null(),
        "full_run": { "type": "null" },
    }));
    check(
        object(json!({
            "commitment": { "type": "array", "items": level, "minItems": 2 },
            "break_even": { "type": "array", "items": point, "minItems": 4 },
            "spot": { "type": "array", "items": spot, "minItems": 1 },
            "horizon": horizon,
        })),
        &found,
    );
}
