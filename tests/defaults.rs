//! Every option that stands for its default is told, with its value.

use std::path::Path;

use fleetsim::metrics::results::DefaultTaken;
use fleetsim::scenario;

const TEXT: &str = r#"
    duration = "5m"
    [[streams]]
    name = "chat"
    model = "llama-3.1-8b"
    rate = "1/s"
    prompt_tokens = 100
    output_tokens = 10
    [[pools]]
    name = "base"
    offer = "aws/p5.48xlarge"
    nodes = 1
    [[deployments]]
    name = "small"
    model = "llama-3.1-8b"
    precision = "fp8"
    pools = ["base"]
"#;

fn defaults(text: &str, sets: &[&str]) -> (Vec<DefaultTaken>, String) {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let loaded = scenario::load_text(text, Path::new("alone.toml"), &sets, None);
    let loaded = loaded.unwrap_or_else(|wrong| panic!("{wrong}"));
    (loaded.config.defaults, loaded.resolved_toml)
}

fn value<'a>(defaults: &'a [DefaultTaken], option: &str) -> Option<&'a str> {
    defaults.iter().find(|taken| taken.option == option).map(|taken| taken.value.as_str())
}

#[test]
fn what_is_not_said_is_listed_one_by_one() {
    let (taken, resolved) = defaults(TEXT, &[]);
    for (option, wanted) in [
        ("seed", "1"),
        ("streams.chat.arrivals", "\"poisson\""),
        ("deployments.small.replicas", "1"),
        ("deployments.small.routing", "\"least-outstanding-requests\""),
        ("deployments.small.batching.max_batch_tokens", "2048"),
    ] {
        assert_eq!(value(&taken, option), Some(wanted), "{option}: {taken:#?}");
    }
    // Each has its value in the resolved file, which gives the same list.
    let (again, _) = defaults(&resolved, &[]);
    assert_eq!(taken, again);
    let mut names: Vec<&str> = taken.iter().map(|taken| taken.option.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), taken.len(), "each once");
}

#[test]
fn what_is_said_otherwise_is_no_default() {
    let option = "deployments.small.routing";
    let (taken, _) = defaults(TEXT, &[&format!("{option}=round-robin")]);
    assert_eq!(value(&taken, option), None);
    let (taken, _) = defaults(TEXT, &[&format!("{option}=least-outstanding-requests")]);
    assert_eq!(value(&taken, option), Some("\"least-outstanding-requests\""));
}
