//! The closed forms against what the articles they come from calculate, through the program.

#![allow(clippy::unwrap_used, reason = "tests, and helpers of tests, may")]

use assert_cmd::Command;
use serde_json::Value;

fn sheet(arguments: &str) -> Value {
    let output = Command::cargo_bin("fleetsim")
        .unwrap()
        .arg("estimate")
        .args(arguments.split_whitespace())
        .arg("--json")
        .assert()
        .success();
    serde_json::from_slice(&output.get_output().stdout).unwrap()
}

fn value(sheet: &Value, name: &str) -> f64 {
    let lines = ["results", "inputs"].iter().flat_map(|list| sheet[list].as_array().unwrap());
    let line = lines.into_iter().find(|line| line["name"] == name);
    line.unwrap_or_else(|| panic!("no {name} in {sheet}"))["value"].as_f64().unwrap()
}

/// Each calculation with the value that it has, to the digits that it is known to.
#[track_caller]
fn holds(arguments: &str, expected: &[(&str, f64)]) {
    let sheet = sheet(arguments);
    for (name, expected) in expected {
        let found = value(&sheet, name);
        assert!(
            (found / expected - 1.0).abs() < 6e-4,
            "estimate {arguments}: {name} is {found}, not {expected}"
        );
    }
}

#[test]
fn inference() {
    // 2 · 1,024 · 175e9: a token of an encoder-decoder meets half of the parameters.
    holds("inference --architecture encoder-decoder", &[("flop_per_request", 358.4e12)]);
    holds("inference", &[("flop_per_request", 716.8e12)]);
    // A core of a processor at 3 GHz, one instruction a cycle.
    let core = "inference --flop 350e12 --peak-tflops 0.003 --utilization peak";
    holds(core, &[("seconds_per_request", 116_667.0)]);
    holds("inference --flop 350e12 --utilization peak", &[("seconds_per_request", 1.122)]);
    // 8 A100 reserved for a year at 19.22 USD/h, 21.3 % of 312 TFLOPS.
    let known = [
        ("usd_per_card_hour", 2.4025),
        ("seconds_per_1k_tokens", 5.267),
        ("usd_per_1k_tokens", 0.003_515),
        ("usd_per_1k_words", 0.004_686),
        ("tokens_per_second_per_card", 189.87),
        ("cost_share_of_api_price", 0.1757),
        ("usd_per_card_day", 57.66),
        ("tokens_per_card_day", 16_405_138.0),
        ("break_even_tokens_per_card_day", 2.883e6),
        ("break_even_share_of_capacity", 0.1757),
    ];
    holds("inference", &known);
    holds("inference --api-usd-per-1k openai-2023-04", &[("break_even_share_of_capacity", 1.757)]);
    // Decoding at a batch of one reads 350 GB from five cards at 2.039 TB/s.
    let bytes = "inference --memory-gb 80 --bandwidth-gb-s 2039";
    let known = [
        ("cards_for_weights", 5.0),
        ("decode_seconds_per_token_at_batch_1", 0.034_33),
        ("batch_where_compute_bound", 153.0),
    ];
    holds(bytes, &known);
    // A card of 275 TFLOPS (TPU v4) at 2.0286 USD/h.
    holds("inference --peak-tflops 275 --usd-per-card-hour 2.0286", &[("usd_per_1k_tokens", 0.003_367)]);
}

#[test]
fn training() {
    holds("training", &[("flop", 3.15e23)]);
    let one = "training --flop 3.14e23 --utilization peak --usd-per-card-hour a100-2023-04";
    let known = [
        ("card_seconds", 1.0064e9),
        ("card_hours", 279_558.0),
        ("years_on_one_card", 31.913),
        ("usd", 559_955.0),
    ];
    holds(one, &known);
    holds("training --flop 3.14e23 --utilization palm-2022", &[("years_on_one_card", 69.08)]);
    holds("training --flop 3.14e23", &[("years_on_one_card", 149.83)]);
    // TPU v4: 275 TFLOPS at 46.2 %, 2.03 USD/h as implied.
    let tpu = "--peak-tflops 275 --utilization palm-2022 --usd-per-card-hour tpu-v4-implied";
    holds(&format!("training {tpu}"), &[("card_hours", 688_710.0), ("usd", 1.398e6)]);
    let palm = format!("training --parameters 540e9 --tokens 780e9 {tpu}");
    holds(&palm, &[("flop", 2.5272e24), ("card_hours", 5.5254e6), ("usd", 11.2166e6)]);
    // GPT-3 on 10,000 V100 in 14.8 days, in house for 744,000 USD; on H100 for 312,000.
    let house = "training --peak-tflops 125 --card-hours 3.552e6 --total-usd 744e3";
    let known = [("implied_usd_per_card_hour", 0.209_46), ("achieved_utilization", 0.1971)];
    holds(house, &known);
    holds("training --total-usd 312e3 --against-usd 744e3", &[("share_of_the_other", 0.4194)]);
    let gain = "training --utilization palm-2022 --against-utilization gpt-3-2020";
    holds(gain, &[("utilization_gain", 2.169)]);
    let gain = "training --utilization mt-nlg-2022 --against-utilization gpt-3-2020";
    holds(gain, &[("utilization_gain", 1.418)]);
    let trillion = "training --parameters 1T --tokens 300e9";
    holds(trillion, &[("loss_of_size", 0.0338), ("loss_of_data", 0.2511), ("loss", 1.975)]);
    holds("training --parameters 70B --tokens 1.4T", &[("loss", 1.9366), ("tokens_per_parameter", 20.0)]);
}

#[test]
fn memory() {
    let known = [
        ("weight_bytes_fp32", 700e9),
        ("weight_bytes_fp16", 350e9),
        ("weight_bytes_int8", 175e9),
        ("weight_bytes_int4", 87.5e9),
        ("weight_bytes_3bit", 65.625e9),
        ("weight_bytes_int2", 43.75e9),
        ("cards_fp32", 9.0),
        ("cards_fp16", 5.0),
        ("cards_int8", 3.0),
        ("cards_int4", 2.0),
        ("cards_3bit", 1.0),
        ("cards_int2", 1.0),
        ("most_bits_on_one_card", 3.657),
        ("training_bytes", 3.5e12),
        ("training_cards", 44.0),
        ("training_nodes", 6.0),
    ];
    holds("memory", &known);
    holds("memory --headroom 0.2", &[("cards_fp16", 6.0)]);
    holds("memory --memory-gb 40", &[("cards_fp16", 9.0), ("training_cards", 88.0)]);
    holds("memory --training-bytes 12n", &[("training_cards", 27.0), ("training_bytes", 2.1e12)]);
    holds("memory --cards-per-node 16", &[("training_nodes", 3.0)]);
    holds("memory --parameters 340M", &[("training_bytes", 6.8e9), ("training_cards", 1.0)]);
    holds("memory --memory-gb 12 --training-bytes 12n", &[("most_parameters_on_one_card", 1e9)]);
    holds("memory --memory-gb 12", &[("most_parameters_on_one_card", 0.6e9)]);
}

#[test]
fn query() {
    holds("query", &[("words", 2050.0), ("usd_per_query", 0.009_567), ("queries_per_year", 2.1176e12)]);
    holds("query --prompt-counted each", &[("words", 2250.0), ("usd_per_query", 0.0105)]);
    let two = [
        ("words", 14_050.0),
        ("usd_per_query", 0.065_567),
        ("usd_per_query_optimised", 0.008_196),
        ("share_of_revenue", 1.3769),
    ];
    holds("query --design two-stage --queries sunyan-2023-rounded", &two);
    holds("query --design two-stage --samples 5 --prompt-counted each", &[("words", 32_500.0)]);
    // 0.066 USD an answer, a fourth by the model and a half in house.
    assert!((0.066_f64 / 8.0 - 0.00825).abs() < 1e-12);
    // 82 USD for 100,000 words.
    let writing = "query --product-usd 82 --product-words 100000";
    let one = format!("{writing} --samples 1");
    holds(&one, &[("product_usd_per_1k_tokens", 0.615), ("product_margin", 0.9675)]);
    holds(writing, &[("product_margin", 0.8374)]);
}

#[test]
fn own() {
    // Two consumer cards of 350 W instead of an A100 of 300 W.
    let two = "own --price-usd 2398 --watts 700 --against-watts 300";
    holds(two, &[("extra_energy_per_year", 3504.0), ("extra_energy_usd_over_life", 1051.2)]);
    let known = [("years_per_generation_by_usd", 2.039), ("years_per_generation_by_watt", 2.008)];
    holds("own --price-usd 10000", &known);
    let fifty = "own --price-usd 1 --annual-usd 50e6 --cloud-usd-per-card-hour";
    holds(&format!("{fifty} a100-2023-04"), &[("rented_cards_all_year", 2849.6)]);
    holds(&format!("{fifty} 1.10"), &[("rented_cards_all_year", 5188.9)]);
    // Half of the hours at half of the price: nothing is left.
    let even = "own --price-usd 26280 --watts 0 --cloud-usd-per-card-hour 2 --utilization 0.5";
    holds(even, &[("owned_usd_per_card_hour", 1.0), ("break_even_utilization", 0.5)]);
}

#[test]
fn catalogue_names_are_taken() {
    let known = sheet("inference --model llama-3.1-70b --offer aws/p5.48xlarge --precision fp8");
    assert!(value(&known, "parameters") > 70e9);
    assert!(value(&known, "cards_for_weights") >= 2.0);
    let trained = sheet("training --model llama-3.1-8b --accelerator H100-SXM5 --precision bf16");
    assert!(value(&trained, "energy") > 0.0);
    let price = trained["inputs"].as_array().unwrap().iter().find(|line| line["name"] == "usd_per_card_hour");
    assert!(price.unwrap()["basis"].as_str().unwrap().contains("cheapest in the catalogue"));
}

#[test]
fn bad_input_says_what_to_do() {
    let refused = |arguments: &str, words: &[&str]| {
        let output = Command::cargo_bin("fleetsim")
            .unwrap()
            .arg("estimate")
            .args(arguments.split_whitespace())
            .assert()
            .code(2);
        let text = String::from_utf8(output.get_output().stderr.clone()).unwrap();
        for word in words {
            assert!(text.contains(word), "estimate {arguments}: {text}");
        }
    };
    refused("inference --utilization much", &["--utilization", "palm-2022"]);
    refused("inference --utilization 1.5", &["utilization is 1.5", "at most 1"]);
    refused("inference --model llama-3.1-70", &["llama-3.1-70b"]);
    refused("memory --parameters -3", &["parameters is -3", "above 0"]);
    refused("memory --parameters many", &["--parameters", "175e9"]);
    refused("own", &["--price-usd"]);
    refused("training --accelerator H1000", &["H1000", "H100"]);
}
