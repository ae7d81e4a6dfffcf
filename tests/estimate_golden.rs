//! The values of the source documents that every reader should find again, each under its own name: `estimate` gives
//! them from the documents' inputs, to the digits to which they are known. D9 and D10 hold under their stated
//! assumptions (275 TFLOPS for a TPU v4, and the price an hour that the document's total implies).

#![allow(clippy::unwrap_used, reason = "tests, and helpers of tests, may")]

use assert_cmd::Command;
use serde_json::Value;

/// What `estimate` finds under a name, among results and inputs.
fn found(arguments: &str, name: &str) -> f64 {
    let output = Command::cargo_bin("fleetsim")
        .unwrap()
        .arg("estimate")
        .args(arguments.split_whitespace())
        .arg("--json")
        .assert()
        .success();
    let sheet: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    let lines = ["results", "inputs"].iter().flat_map(|list| sheet[list].as_array().unwrap());
    let line = lines.into_iter().find(|line| line["name"] == name);
    line.unwrap_or_else(|| panic!("no {name} in {sheet}"))["value"].as_f64().unwrap()
}

macro_rules! golden {
    ($( $test:ident: $( $arguments:literal, $name:literal = $value:literal within $tolerance:literal; )+ )+) => { $(
        #[test]
        fn $test() {
            $(
                let value = found($arguments, $name);
                let far = (value / $value - 1.0).abs();
                assert!(far < $tolerance, "estimate {}: {} is {value}, not {}", $arguments, $name, $value);
            )+
        }
    )+ };
}

golden! {
    a1: "inference --architecture encoder-decoder", "flop_per_request" = 358.4e12 within 1e-9;
        "inference", "flop_per_request" = 716.8e12 within 1e-9;
    a2: "training", "flop" = 3.15e23 within 1e-9;
    a4: "inference --flop 350e12 --peak-tflops 0.003 --utilization peak", "seconds_per_request" = 116_667.0 within 1e-5;
    a7: "memory", "weight_bytes_fp32" = 700e9 within 1e-9;
        "memory", "weight_bytes_fp16" = 350e9 within 1e-9;
        "memory", "weight_bytes_int8" = 175e9 within 1e-9;
        "memory", "weight_bytes_int4" = 87.5e9 within 1e-9;
        "memory", "weight_bytes_3bit" = 65.6e9 within 1e-3;
        "memory", "weight_bytes_int2" = 43.75e9 within 1e-9;
        "memory", "cards_fp32" = 9.0 within 1e-9;
        "memory", "cards_fp16" = 5.0 within 1e-9;
        "memory", "cards_int8" = 3.0 within 1e-9;
        "memory", "cards_int4" = 2.0 within 1e-9;
        "memory", "cards_3bit" = 1.0 within 1e-9;
        "memory", "cards_int2" = 1.0 within 1e-9;
    a11: "training --flop 3.14e23 --utilization peak", "card_hours" = 279_558.0 within 1e-5;
    a17: "own --price-usd 2398 --watts 700 --against-watts 300", "extra_energy_per_year" = 3504.0 within 1e-9;
        "own --price-usd 2398 --watts 700 --against-watts 300", "extra_energy_usd_over_life" = 1051.0 within 1e-3;
    b6: "memory", "cards_fp16" = 5.0 within 1e-9;
    c11: "memory", "most_bits_on_one_card" = 3.66 within 2e-3;
    d1: "query", "usd_per_query" = 0.00957 within 1e-3;
        "query --prompt-counted each", "usd_per_query" = 0.0105 within 1e-3;
    d2: "query --design two-stage", "usd_per_query" = 0.06557 within 1e-3;
    d3: "query", "queries_per_year" = 2.118e12 within 1e-3;
    // The document divides its rounded 0.066 dollars by eight.
    d5: "query --design two-stage", "usd_per_query_optimised" = 0.00825 within 7e-3;
    d7: "inference", "usd_per_card_hour" = 2.4025 within 1e-9;
        "inference", "seconds_per_1k_tokens" = 5.267 within 1e-4;
        "inference", "usd_per_1k_tokens" = 0.003_515 within 1e-4;
    d9: "inference --peak-tflops 275 --usd-per-card-hour 2.03", "usd_per_1k_tokens" = 0.00337 within 1e-3;
    d10: "training --peak-tflops 275 --utilization palm-2022 --usd-per-card-hour tpu-v4-implied",
            "card_hours" = 688_710.0 within 1e-5;
        "training --peak-tflops 275 --utilization palm-2022 --usd-per-card-hour tpu-v4-implied",
            "usd" = 1.4e6 within 2e-3;
    d16: "training --total-usd 312e3 --against-usd 744e3", "share_of_the_other" = 0.419 within 1e-3;
    d17: "own --price-usd 10000", "years_per_generation_by_usd" = 2.04 within 1e-3;
        "own --price-usd 10000", "years_per_generation_by_watt" = 2.01 within 2e-3;
    d20: "memory --parameters 340M", "training_bytes" = 6.8e9 within 1e-9;
        "memory", "training_bytes" = 3.5e12 within 1e-9;
        "memory", "training_cards" = 44.0 within 1e-9;
    d23: "training --utilization palm-2022 --against-utilization gpt-3-2020", "utilization_gain" = 2.17 within 1e-3;
    d25: "query --product-usd 82 --product-words 100000", "product_usd_per_1k_tokens" = 0.615 within 1e-9;
}
