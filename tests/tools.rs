//! Sessions that call tools: what becomes of their KV cache meanwhile, and what is refused.

mod support;

use std::path::Path;

use fleetsim::metrics::results::Summary;
use fleetsim::scenario::load_text;
use fleetsim::world::{RunOptions, WorldConfig, run};

/// Agents whose turns call three tools of 20 s each beside documents that need the room.
const SOUND: &str = r#"
duration = "2h"
[[streams]]
name = "agents"
model = "llama-3.1-8b"
rate = "0.02/s"
prompt_tokens = 1600
output_tokens = 33
sessions = { turns = 1, tools = { calls = 3, pause = { dist = "constant", mean = "20s" }, result_tokens = 160, kv = "cache" } }
[[streams]]
name = "documents"
model = "llama-3.1-8b"
rate = "0.5/s"
prompt_tokens = 3200
output_tokens = 2
shared_prompt = { tokens = 3200, variants = 1000 }
[[pools]]
name = "cards"
offer = "lambda/gpu_1x_h100_sxm5"
nodes = 1
[[deployments]]
name = "chat"
model = "llama-3.1-8b"
pools = ["cards"]
kv_blocks = 1500
kv_tiers = { host = { size = "40 GB" } }
"#;

fn load(text: &str) -> Result<WorldConfig, String> {
    let loaded = load_text(text, Path::new("scenario.toml"), &[], None);
    loaded.map(|loaded| loaded.config).map_err(|wrong| wrong.to_string())
}

fn summary(text: &str) -> Summary {
    let config = load(text).unwrap_or_else(|errors| panic!("{errors}"));
    let fast = run(&config, RunOptions::default()).expect("it runs").summary;
    let plain = run(&config, RunOptions { plain: true, ..RunOptions::default() }).expect("it runs").summary;
    assert_eq!(format!("{fast:?}"), format!("{plain:?}"));
    fast
}

/// The mean of what the agents' requests waited for their first token.
fn ttft(summary: &Summary) -> f64 {
    summary.streams[0].latency.ttft_s.mean.expect("answers")
}

/// Each session asks four times: 144 of them in two hours, the last ones cut off at the end; a result comes 20 s after
/// the answer that asked for it.
#[test]
fn a_turn_asks_again_after_each_tool() {
    let text =
        SOUND.replace("rate = \"0.02/s\"", "rate = \"0.02/s\"\narrivals = { process = \"deterministic\" }");
    let summary = summary(&text);
    let asked = summary.streams[0].requests.arrived;
    assert!((4 * 143 - 8..=4 * 144).contains(&asked), "{asked}");
    // 1,600 tokens, then each time an answer of 33 and a result of 160 more.
    let prompts = [1600.0, 1793.0, 1986.0, 2179.0];
    let mean = summary.streams[0].tokens.prompt as f64 / summary.streams[0].requests.completed as f64;
    assert!((mean / (prompts.iter().sum::<f64>() / 4.0) - 1.0).abs() < 0.01, "{mean}");
}

/// In 20 s ten documents of 200 blocks push out what is not kept. Kept, a result finds all that was said; dropped,
/// nothing; swapped, it comes back over the host's link, which is faster than to compute it again.
#[test]
fn what_becomes_of_the_cache_meanwhile() {
    let with = |kv: &str| {
        let text = SOUND.replace("kv = \"cache\"", &format!("kv = \"{kv}\""));
        // Without tiers, except for what is swapped.
        let bare = text.replace("kv_tiers = { host = { size = \"40 GB\" } }\n", "");
        summary(if kv == "swap" { &text } else { &bare })
    };
    let [cache, keep, swap, dropped] = ["cache", "keep", "swap", "drop"].map(with);
    let saved =
        |summary: &Summary| summary.deployments[0].prefix_cache.expect("prefixes").saved_prompt_tokens;
    // Of a session's 5,958 prompt tokens after its first answer, all but the results and what is not in whole blocks.
    let all = 3 * 140 * (1600 + 160);
    assert!(saved(&keep) > saved(&dropped) + all, "{} {}", saved(&keep), saved(&dropped));
    assert!(saved(&cache) < saved(&keep), "what is not kept is pushed out");
    assert!(ttft(&keep) < ttft(&swap) && ttft(&swap) < ttft(&dropped), "{} {}", ttft(&keep), ttft(&swap));
    let tiers = swap.deployments[0].prefix_cache.and_then(|cache| cache.tiers).expect("there are tiers");
    assert!(tiers.host_blocks > 0 && tiers.load_s > 0.0, "{tiers:?}");
}

#[test]
fn what_is_refused() {
    let errors = |from: &str, to: &str| {
        assert!(SOUND.contains(from), "{from}");
        load(&SOUND.replace(from, to)).map(|_| format!("accepted: {to}\n")).unwrap_or_else(|errors| errors)
    };
    let swapped = SOUND.replace("kv = \"cache\"", "kv = \"swap\"");
    let all = [
        errors("calls = 3, ", ""),
        errors("kv = \"cache\"", "kv = \"kep\""),
        errors("pause = { dist = \"constant\", mean = \"20s\" }", "pause = 20"),
        errors("result_tokens = 160", "result_tokens = 0"),
        load(&swapped.replace("kv_tiers = { host = { size = \"40 GB\" } }\n", ""))
            .map(|_| "accepted\n".to_owned())
            .unwrap_or_else(|errors| errors),
        errors("rate = \"0.02/s\"", "arrivals = { process = \"closed\", users = 3 }"),
    ];
    insta::assert_snapshot!(all.join("\n"));
}
