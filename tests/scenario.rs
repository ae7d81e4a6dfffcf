//! What a user sees of the scenario room: errors with their places, `--set`, the resolved file.

use std::path::Path;

use fleetsim::scenario::{Loaded, Severity, load, load_text, option_reference};
use proptest::prelude::*;

#[path = "scenario/jobs.rs"]
mod jobs;

const QUICKSTART: &str = include_str!("../scenarios/quickstart.toml");

/// A small scenario that is sound; tests break it in one place.
const SOUND: &str = r#"
duration = "1h"

[[streams]]
name = "chat"
model = "llama-3.1-8b"
rate = "2/s"
prompt_tokens = 512
output_tokens = { dist = "geometric", mean = 100 }
slo = { ttft = "1s" }

[[pools]]
name = "base"
offer = "lambda/gpu_1x_h100_sxm5"
nodes = 2

[[deployments]]
name = "chat-8b"
model = "llama-3.1-8b"
pools = ["base"]

[[jobs]]
name = "finetune"
work = "10m"
accelerators = 1
"#;

fn load_sets(text: &str, sets: &[&str]) -> Result<Loaded, String> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    load_text(text, Path::new("scenario.toml"), &sets, None).map_err(|wrong| wrong.to_string())
}

/// The errors of the sound scenario with one text replaced by another.
fn broken(from: &str, to: &str) -> String {
    assert!(SOUND.contains(from), "{from}");
    errors(&SOUND.replace(from, to), &[])
}

fn errors(text: &str, sets: &[&str]) -> String {
    match load_sets(text, sets) {
        Ok(loaded) => panic!("this loads:\n{}", loaded.resolved_toml),
        Err(errors) => errors,
    }
}

fn warnings(text: &str, sets: &[&str]) -> String {
    load_sets(text, sets)
        .map(|loaded| loaded.warnings.to_string())
        .unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_sound_scenario_is_sound() {
    assert_eq!(warnings(SOUND, &[]), "");
}

#[test]
fn wrong_toml() {
    insta::assert_snapshot!(broken("duration = \"1h\"", "duration = 1h\nname = \"x"));
}

#[test]
fn unknown_keys() {
    insta::assert_snapshot!(broken("rate = \"2/s\"", "rat = \"2/s\"\nflavour = \"sweet\""));
}

#[test]
fn missing_keys() {
    insta::assert_snapshot!(errors("[[streams]]\nname = \"chat\"\n[[pools]]\n[[jobs]]\nname = \"j\"\n", &[]));
}

#[test]
fn an_empty_file() {
    insta::assert_snapshot!(errors("", &[]));
}

#[test]
fn wrong_types_and_units() {
    let text = SOUND
        .replace("duration = \"1h\"", "duration = 60")
        .replace("rate = \"2/s\"", "rate = \"2 per second\"")
        .replace("ttft = \"1s\"", "ttft = \"1 sec\"")
        .replace("nodes = 2", "nodes = \"two\"")
        .replace("pools = [\"base\"]", "pools = \"base\"");
    insta::assert_snapshot!(errors(&text, &[]));
}

#[test]
fn negative_and_absurd_numbers() {
    let text = SOUND
        .replace("duration = \"1h\"", "duration = \"1e6y\"\nwarmup = \"-3s\"\nseed = -1")
        .replace("rate = \"2/s\"", "rate = \"0/s\"\narrivals = { process = \"gamma\", cv = 1e9 }")
        .replace("prompt_tokens = 512", "prompt_tokens = { dist = \"lognormal\", median = 500, p99 = 5 }")
        .replace("nodes = 2", "nodes = 1e7\nprice = nan")
        .replace("accelerators = 1", "accelerators = 99999999999999999999");
    insta::assert_snapshot!(errors(&text, &[]));
    let text = text.replace("99999999999999999999", "0.5");
    insta::assert_snapshot!(errors(&text, &[]));
}

#[test]
fn dangling_names() {
    let text = SOUND
        .replace("rate = \"2/s\"", "rate = \"2/s\"\ndeployments = [\"chat-7b\"]")
        .replace("pools = [\"base\"]", "pools = [\"bass\", \"elsewhere\"]")
        .replace("lambda/gpu_1x_h100_sxm5", "lambda/gpu_1x_h100_smx5")
        .replace("work = \"10m\"", "model = \"lama-3.1-8b\"\ntokens = 1e9");
    insta::assert_snapshot!(errors(&text, &[]));
}

#[test]
fn a_model_that_nobody_serves() {
    insta::assert_snapshot!(broken("model = \"llama-3.1-8b\"\nrate", "model = \"llama-3.1-70b\"\nrate"));
}

#[test]
fn duplicate_names() {
    let more = "\n[[pools]]\nname = \"base\"\noffer = \"lambda/gpu_1x_h100_sxm5\"\nnodes = 1\n";
    insta::assert_snapshot!(errors(&format!("{SOUND}{more}"), &[]));
}

#[test]
fn values_that_contradict_each_other() {
    let text = SOUND
        .replace("duration = \"1h\"", "duration = \"1h\"\nwarmup = \"2h\"")
        .replace("rate = \"2/s\"", "rate = \"2/s\"\narrivals = { process = \"closed\", users = 4 }")
        .replace(
            "pools = [\"base\"]",
            "pools = [\"base\"]\nbatching = { max_batch_requests = 64, max_batch_tokens = 32 }",
        )
        .replace("work = \"10m\"", "work = \"10m\"\ntokens = 1e9");
    insta::assert_snapshot!(errors(&text, &[]));
}

#[test]
fn a_model_that_fits_nowhere() {
    let text = SOUND.replace("llama-3.1-8b", "llama-3.1-70b");
    insta::assert_snapshot!(errors(&text, &[]));
}

#[test]
fn plans_that_cannot_be() {
    insta::assert_snapshot!(broken("pools = [\"base\"]", "pools = [\"base\"]\nparallelism = { tp = 2 }"));
    insta::assert_snapshot!(broken(
        "pools = [\"base\"]",
        "pools = [\"base\"]\nparallelism = { pp = 2, tp = 1 }"
    ));
    insta::assert_snapshot!(broken(
        "pools = [\"base\"]",
        "pools = [\"base\"]\nparallelism = { pools = { bose = { tp = 1 } } }"
    ));
}

#[test]
fn too_few_cards() {
    insta::assert_snapshot!(broken("pools = [\"base\"]", "pools = [\"base\"]\nreplicas = 3"));
    insta::assert_snapshot!(broken("accelerators = 1", "accelerators = 3"));
    insta::assert_snapshot!(warnings(
        &SOUND.replace("pools = [\"base\"]", "pools = [\"base\"]\nreplicas = 2"),
        &[]
    ));
}

#[test]
fn figures_that_the_catalogue_does_not_know() {
    insta::assert_snapshot!(broken("nodes = 2", "nodes = 2\npurchase = \"reserved-1y\""));
    insta::assert_snapshot!(broken("llama-3.1-8b", "gpt-4"));
    // Supplied by the scenario, it is known.
    let text = SOUND.replace("nodes = 2", "nodes = 2\npurchase = \"reserved-1y\"\nprice = 2.5");
    assert_eq!(warnings(&text, &[]), "");
}

#[test]
fn what_is_not_built_yet() {
    let text = SOUND
        .replace("nodes = 2", "nodes = { min = 0, max = 8 }\npurchase = \"spot\"")
        .replace("pools = [\"base\"]", "pools = [\"base\"]\nautoscaler = { policy = \"hpa\" }");
    let job = "[[jobs]]\nname = \"grow\"\nwork = \"1h\"\naccelerators = 1\nelastic = true\n";
    let text = format!("{text}\n{job}");
    insta::assert_snapshot!(errors(&text, &[]));
}

#[test]
fn own_entries_of_the_catalogue() {
    let own = r#"
[[offers]]
name = "lab/rack"
accelerator = "LabCard"
accelerators_per_node = 4
on_demand_usd_h = 10.0

[[accelerators]]
name = "LabCard"
like = "H100-SXM5"
memory_gb = 141
"#;
    let text = SOUND.replace("lambda/gpu_1x_h100_sxm5", "lab/rack") + own;
    // How a laboratory bills, nobody can know.
    insta::assert_snapshot!(errors(&text, &[]));
    let text = text.replace("nodes = 2", "nodes = 2\ngranularity = \"1s\"\nminimum = \"0s\"");
    let loaded = load_sets(&text, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    let pool = &loaded.config.pools[0];
    assert_eq!((pool.fleet.accelerator.as_str(), pool.fleet.cards_per_node), ("LabCard", 4));
    assert_eq!(pool.tariff.price.as_f64(), 10.0);
    let memory = loaded.config.assumptions.iter().find(|known| known.figure == "memory_gb");
    assert_eq!(memory.map(|known| known.value.as_str()), Some("141 GB"));

    let wrong = own
        .replace("memory_gb = 141", "memory_gb = \"141 GB\"\nmemry = 3")
        .replace("like = \"H100-SXM5\"", "like = \"H100-SMX5\"")
        .replace("on_demand_usd_h = 10.0", "on_demand_usd_h = -10.0");
    insta::assert_snapshot!(errors(&(SOUND.replace("lambda/gpu_1x_h100_sxm5", "lab/rack") + &wrong), &[]));
}

#[test]
fn private_prices() {
    let price = |text: &str| {
        let loaded = load_sets(text, &[]).unwrap_or_else(|errors| panic!("{errors}"));
        loaded.config.pools[0].tariff.price.as_f64()
    };
    let listed = price(SOUND);
    let discounted = price(&format!("{SOUND}\n[prices]\ndiscount = 0.1\n"));
    assert!((discounted - 0.9 * listed).abs() < 1e-9);
    let own =
        format!("{SOUND}\n[prices]\ndiscount = 0.1\n\"lambda/gpu_1x_h100_sxm5\" = {{ on_demand = 1.25 }}\n");
    assert_eq!(price(&own), 1.25);
    assert_eq!(price(&own.replace("nodes = 2", "nodes = 2\nprice = 0.5")), 0.5);
    let wrong = format!(
        "{SOUND}\n[prices]\ndiscount = 10\nfile = \"none.csv\"\n\"lambda/gpu\" = {{ on_demand = -1 }}\n\
         \"lambda/gpu_1x_h100_smx5\" = {{ reserved_3y = 1 }}\n"
    );
    insta::assert_snapshot!(errors(&wrong, &[]));
}

#[test]
fn a_price_list() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario.toml");
    std::fs::write(&scenario, format!("{SOUND}\n[prices]\nfile = \"prices.csv\"\n")).unwrap();
    let list = folder.path().join("prices.csv");
    std::fs::write(&list, "offer,on_demand_usd_per_hour\nlambda/gpu_1x_h100_sxm5,1.5\naws/p5.48xlarge,\n")
        .unwrap();
    let loaded = load(&scenario, &[], None).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.config.pools[0].tariff.price.as_f64(), 1.5);
    std::fs::write(
        &list,
        "offer,on_demand,reserved_3y_usd_per_hour\nlambda/gpu_1x_h100_smx5,1,1\naws/p5.48xlarge,1,cheap\n",
    )
    .unwrap();
    let errors = load(&scenario, &[], None).map(|loaded| loaded.resolved_toml).unwrap_err().to_string();
    insta::assert_snapshot!(errors.replace(&folder.path().display().to_string(), "FOLDER"));
}

#[test]
fn traces_that_cannot_be_replayed() {
    let trace = "trace = { file = \"AzureLLMInferenceTrace_conv.csv\", copies = 2 }";
    let keys = "rate = \"2/s\"\nprompt_tokens = 512\noutput_tokens = { dist = \"geometric\", mean = 100 }";
    let text = SOUND.replace(keys, trace);
    insta::assert_snapshot!(errors(&text, &[]));
    insta::assert_snapshot!(broken("slo = {", &format!("{trace}\nslo = {{")));

    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario.toml");
    std::fs::write(&scenario, text).unwrap();
    let file = folder.path().join("AzureLLMInferenceTrace_conv.csv");
    let mut found = String::new();
    for content in [
        "",
        "a,b,c\n1,2,3\n",
        "TIMESTAMP,ContextTokens,GeneratedTokens\n",
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,many\n",
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:45.0,3",
    ] {
        std::fs::write(&file, content).unwrap();
        let errors = load(&scenario, &[], None).map(|loaded| loaded.resolved_toml).unwrap_err().to_string();
        found += &format!("{content:?}\n{errors}\n\n");
    }
    insta::assert_snapshot!(found.replace(&folder.path().display().to_string(), "FOLDER"));
}

#[test]
fn set_values() {
    let sets = [
        "pools.base.nodes=4",
        "streams.chat.rate=20/s",
        "streams.chat.slo.ttft=2s",
        "streams.chat.output_tokens.mean=50",
        "deployments.chat-8b.batching.max_batch_requests=64",
        "seed=9",
        "warmup=\"5m\"",
        "jobs[0].accelerators=2",
        "prices.\"lambda/gpu_1x_h100_sxm5\".on_demand=1",
    ];
    let loaded = load_sets(SOUND, &sets).unwrap_or_else(|errors| panic!("{errors}"));
    let config = &loaded.config;
    assert_eq!(config.pools[0].fleet.nodes, 4);
    assert_eq!(config.seed.0, 9);
    assert_eq!(config.warmup.to_string(), "5m");
    assert_eq!(config.deployments[0].batching.max_batch_requests, 64);
    assert_eq!(config.streams[0].slo.ttft.map(|ttft| ttft.to_string()), Some("2s".to_owned()));
    assert_eq!(config.jobs[0].cards, 2);
    assert_eq!(config.pools[0].tariff.price.as_f64(), 1.0);
    insta::assert_snapshot!(loaded.resolved_toml);
}

#[test]
fn set_values_that_are_wrong() {
    let sets = [
        "pools.bass.nodes=4",
        "pools.base.nods=4",
        "pools.base.nodes=four",
        "pools[7].nodes=4",
        "streams.chat.rate=fast",
        "streams.chat.rate.unit=s",
        "streams.chat.slo=",
        "nodes",
        ".x=1",
        "deployments.=1",
        "jobs.finetune=3",
    ];
    insta::assert_snapshot!(errors(SOUND, &sets));
}

#[test]
fn the_seed_of_the_command_line_goes_before_all() {
    // With and without a seed that it goes before.
    for sets in [vec![], vec!["seed=9".to_owned()]] {
        for seed in [5, u64::MAX] {
            let loaded = load_text(SOUND, Path::new("scenario.toml"), &sets, Some(seed)).unwrap();
            assert_eq!(loaded.config.seed.0, seed);
            assert_round_trip(&loaded, Path::new("scenario.toml"));
        }
    }
}

/// The resolved file gives the same configuration, and resolving it again changes nothing.
fn assert_round_trip(loaded: &Loaded, path: &Path) {
    let again = load_text(&loaded.resolved_toml, path, &[], None).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(format!("{:#?}", again.config), format!("{:#?}", loaded.config));
    assert_eq!(again.resolved_toml, loaded.resolved_toml);
}

#[test]
fn the_resolved_file_says_the_same() {
    for text in [SOUND, QUICKSTART] {
        let loaded = load_text(text, Path::new("scenario.toml"), &[], None).unwrap();
        assert_round_trip(&loaded, Path::new("scenario.toml"));
    }
}

#[test]
fn every_kind_of_option_survives_resolving() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("trace.csv"), "arrival_s,prompt_tokens,output_tokens\n1,10,10\n2,20,20\n")
        .unwrap();
    std::fs::write(folder.join("lengths.csv"), "10\n20\n30\n").unwrap();
    let text = r#"
name = "everything"
duration = "2d"
warmup = "1h30m"
start = { day = "friday", time = "18:30" }

[[streams]]
name = "mmpp"
model = "own"
rate = "2/s"
arrivals = { process = "mmpp", states = [{ rate = 1, sojourn = "5m" }, { rate = 5, sojourn = "30s" }] }
shape = [{ kind = "weekly", weekend = 0.3 }, { kind = "growth", per_week = 1.5, cap = 2 },
         { kind = "piecewise", points = [{ at = "0s", factor = 1 }, { at = "1d", factor = 2 }] }]
prompt_tokens = { dist = "uniform", low = 10, high = 20 }
output_tokens = { dist = "empirical", file = "lengths.csv", max = 25 }

[[streams]]
name = "clients"
model = "own"
rate = "2/s"
arrivals = { process = "clients", count = 10 }
lengths = { dist = "lognormal", prompt = { median = 100, p99 = 900 }, output = { mean = 50, cv = 1 }, correlation = 0.3 }

[[streams]]
name = "users"
model = "own"
arrivals = { process = "closed", users = 3, think = { dist = "lognormal", mean = "2s", cv = 1 } }
prompt_tokens = 100
output_tokens = { dist = "constant", tokens = 10 }

[[streams]]
name = "replay"
model = "own"
trace = { file = "trace.csv", copies = 2, repeat = true, speed_up = 2 }
timeout = "90s"

[[pools]]
name = "small one"
offer = "lambda/gpu_1x_h100_sxm5"
nodes = 2

[[pools]]
name = "large"
offer = "aws/p4d.24xlarge"
nodes = 1
granularity = "1h"
minimum = "2h"

[[deployments]]
name = "own"
model = "own"
pools = ["small one", "large"]
step_time = { base = "8ms", per_request = "0.15us", per_context_token = "0.5ns" }
kv_blocks = 1000
replicas = 2

[[deployments]]
name = "mixed"
model = "qwen2.5-32b"
pools = ["large", "small one"]
memory_utilization = 0.92
queue = { max_requests = 7 }

[scheduler]
placement = "best-fit"
"#;
    let path = folder.join("scenario.toml");
    let loaded = load_text(text, &path, &[], None).unwrap_or_else(|errors| panic!("{errors}"));
    assert_round_trip(&loaded, &path);
    // The two pools get different plans, which the resolved file writes apart.
    assert!(loaded.resolved_toml.contains("pools = {"), "{}", loaded.resolved_toml);
}

#[test]
fn scenarios_of_the_repository_load() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let loaded = load(&folder.join("quickstart.toml"), &[], None).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    // A trace in the same format stands in for the one that must be fetched.
    let stand_in = tempfile::tempdir().unwrap();
    let file = stand_in.path().join("trace.csv");
    let rows = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9,396,109\n";
    std::fs::write(&file, rows).unwrap();
    let set = format!("streams.conversation.trace.file={}", file.display());
    let loaded = load(&folder.join("azure-conversation.toml"), &[set], None);
    assert!(loaded.unwrap_or_else(|errors| panic!("{errors}")).warnings.is_empty());
}

#[test]
fn problems_have_positions() {
    let text = SOUND.replace("rate = \"2/s\"", "rate = 2");
    let wrong =
        load_text(&text, Path::new("scenario.toml"), &[], None).map(|loaded| loaded.config.name).unwrap_err();
    let problem = &wrong.problems()[0];
    assert_eq!(problem.severity, Severity::Error);
    assert_eq!(wrong.position(problem), Some(("scenario.toml", 7, 8)));
}

#[test]
fn files_that_are_no_scenario() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.toml");
    let mut found = load(&missing, &[], None).map(|loaded| loaded.config.name).unwrap_err().to_string();
    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, [b'a', 0xff, 0xfe]).unwrap();
    found += "\n";
    found += &load(&binary, &[], None).map(|loaded| loaded.config.name).unwrap_err().to_string();
    insta::assert_snapshot!(found.replace(&folder.path().display().to_string(), "FOLDER"));
}

/// The reference is made of the declarations that also read the file.
#[test]
fn option_reference_lists_everything() {
    let mut text = String::new();
    for option in option_reference() {
        let default = match (option.required, option.default) {
            (true, _) => "required".to_owned(),
            (false, Some(default)) => default,
            (false, None) => "-".to_owned(),
        };
        text += &format!("{} | {} | {default} | {}\n", option.path, option.kind, option.doc);
    }
    insta::assert_snapshot!(text);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens to the text, loading it ends in a configuration or in errors.
    #[test]
    fn mutations_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..40, "\\PC{0,6}|[-0-9.\\[\\]{}=\",e/ ]{1,6}"), 1..6),
    ) {
        let mut text = QUICKSTART.to_owned();
        for (at, cut, insert) in edits {
            let boundaries: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let from = at.index(boundaries.len());
            let to = (from + cut).min(boundaries.len() - 1);
            text.replace_range(boundaries[from]..boundaries[to], &insert);
        }
        if let Err(wrong) = load_text(&text, Path::new("scenario.toml"), &[], None) {
            prop_assert!(!wrong.to_string().is_empty());
        }
    }

    /// Lines taken out, doubled or swapped make scenarios that parse and are wrong in other ways.
    #[test]
    fn shuffled_lines_never_panic(
        swaps in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0u8..3), 1..8),
    ) {
        let mut lines: Vec<&str> = QUICKSTART.lines().filter(|line| !line.starts_with('#')).collect();
        for (a, b, what) in swaps {
            let (a, b) = (a.index(lines.len()), b.index(lines.len()));
            match what {
                0 => lines.swap(a, b),
                1 => lines.insert(a, lines[b]),
                _ => { lines.remove(a); }
            }
        }
        let loaded = load_text(&lines.join("\n"), Path::new("scenario.toml"), &[], None);
        if let Ok(loaded) = loaded {
            assert_round_trip(&loaded, Path::new("scenario.toml"));
        }
    }

    /// Nor does any argument of --set.
    #[test]
    fn arguments_never_panic(path in "[a-z.\\[\\]\"0-9]{0,12}", known in prop::sample::select(vec!["streams.chat.rate", "pools.base.nodes", "deployments.chat-8b.batching", "jobs[0].accelerators", "duration", "x"]), value in "\\PC{0,12}") {
        let _ = load_sets(SOUND, &[&format!("{path}={value}"), &format!("{known}={value}"), &format!("{known}{path}={value}")]);
    }
}

/// Errors go to stderr and exit with 2; a sound scenario goes to stdout and exits with 0.
#[test]
fn the_check_verb() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario.toml");
    std::fs::write(&scenario, SOUND).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = assert_cmd::Command::cargo_bin("fleetsim").unwrap();
        command.arg("check").arg(&scenario).args(arguments).assert()
    };
    let sound = run(&[]).success().get_output().clone();
    assert!(sound.stderr.is_empty());
    let text = String::from_utf8(sound.stdout).unwrap();
    insta::assert_snapshot!(text.replace(&folder.path().display().to_string(), "FOLDER"));
    let resolved = run(&["--resolved", "--seed", "9"]).success().get_output().stdout.clone();
    assert!(String::from_utf8(resolved).unwrap().contains("seed = 9\n"));
    let wrong = run(&["--set", "pools.base.nodes=none"]).code(2).get_output().clone();
    assert!(wrong.stdout.is_empty());
    insta::assert_snapshot!(String::from_utf8(wrong.stderr).unwrap());
}
