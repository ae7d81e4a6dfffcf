//! `test_load_propose.py` and the state machine's tests of ai-dynamo's planner: the easy targets.

use serde_json::{Value, json};

use super::answers;

fn spec(mode: &str) -> String {
    format!(
        "policy: dynamo\nmode: {mode}\noptimization_target: throughput\nmax_gpu_budget: -1\nmin_endpoint: 1\n\
         context_length: 4096\nmax_num_batched_tokens: 2048\nmax_kv_tokens: 16384\n"
    )
}

/// An engine: KV tokens scheduled and queued, prompt tokens queued.
fn engine(name: &str, scheduled: u32, queued: u32, prompts: u32) -> Value {
    json!({"name": name, "metrics": {"scheduled_decode_kv_tokens": {"value": scheduled},
        "queued_decode_kv_tokens": {"value": queued}, "queued_prefill_tokens": {"value": prompts},
        "wall_time_s": {"value": 1}}})
}

fn prefill(name: &str, prompts: u32) -> Value {
    json!({"name": name, "metrics": {"queued_prefill_tokens": {"value": prompts}, "wall_time_s": {"value": 1}}})
}

fn wanted(mode: &str, line: Value) -> (u64, u64) {
    let answer = answers(&spec(mode), &[line]).remove(0);
    (answer["prefill"].as_u64().unwrap(), answer["decode"].as_u64().unwrap())
}

#[test]
fn engines_that_do_both() {
    let pods = |count: usize, scheduled, queued, prompts| -> Vec<Value> {
        (0..count).map(|i| engine(&format!("w{i}"), scheduled, queued, prompts)).collect()
    };
    // 16,500 of 16,384 tokens: one more; 200: one less; 10,000: neither.
    let line =
        |pods: Vec<Value>| json!({"t_s": 0, "decode": pods.len(), "replicas": pods.len(), "pods": pods});
    assert_eq!(wanted("agg", line(pods(2, 8000, 8000, 500))), (0, 3));
    assert_eq!(wanted("agg", line(pods(3, 100, 100, 0))), (0, 2));
    assert_eq!(wanted("agg", line(pods(2, 5000, 5000, 0))), (0, 2));
}

#[test]
fn each_kind_for_itself() {
    let pods =
        [prefill("p1", 8000), prefill("p2", 8000), engine("d1", 100, 100, 0), engine("d2", 100, 100, 0)];
    let line = json!({"t_s": 0, "replicas": 4, "prefill": 2, "decode": 2, "pods": pods});
    assert_eq!(wanted("disagg", line), (3, 1));
    // Nobody reports.
    assert_eq!(
        wanted("disagg", json!({"t_s": 0, "replicas": 2, "prefill": 1, "decode": 1, "pods": []})),
        (1, 1)
    );
}

#[test]
fn nothing_while_something_changes() {
    let pods = [engine("w1", 9000, 9000, 0), engine("w2", 9000, 9000, 0)];
    let line = json!({"t_s": 0, "replicas": 2, "decode": 2, "expected_decode": 3, "pods": pods});
    assert_eq!(wanted("decode", line), (0, 2));
    // One of three reports.
    let line = json!({"t_s": 0, "replicas": 3, "decode": 3, "pods": [engine("w1", 9000, 9000, 0)]});
    assert_eq!(wanted("decode", line), (0, 3));
}
