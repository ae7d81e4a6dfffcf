//! What `fleetsim catalog` prints.

use assert_cmd::Command;

/// Runs the program; exit status, standard output, standard error.
fn catalog(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_fleetsim"))
        .arg("catalog")
        .args(arguments)
        .output()
        .expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("an exit status"), text(output.stdout), text(output.stderr))
}

fn printed(arguments: &[&str]) -> String {
    let (status, out, err) = catalog(arguments);
    assert_eq!((status, err.as_str()), (0, ""), "{arguments:?}");
    out
}

#[test]
fn lists_fit_the_terminal() {
    for kind in ["accelerators", "models", "offers", "providers", "hosted", "frictions"] {
        let text = printed(&[kind]);
        for line in text.lines() {
            assert!(line.chars().count() <= 120, "{kind}: {line}");
            assert_eq!(line, line.trim_end(), "{kind}");
        }
        assert!(text.lines().count() > 10, "{kind}");
    }
}

#[test]
fn a_list() {
    insta::assert_snapshot!(printed(&["offers", "--accelerator", "MI300X"]));
    insta::assert_snapshot!(printed(&["hosted", "--provider", "openai"]));
}

#[test]
fn an_entry_with_conflicts() {
    insta::assert_snapshot!(printed(&["accelerators", "B300"]));
}

#[test]
fn an_offer_with_three_sources() {
    insta::assert_snapshot!(printed(&["offers", "aws/p5.48xlarge"]));
}

#[test]
fn a_model_with_latent_attention() {
    insta::assert_snapshot!(printed(&["models", "deepseek-ai/DeepSeek-V3"]));
}

#[test]
fn a_model_of_which_little_is_known() {
    insta::assert_snapshot!(printed(&["models", "GPT-4"]));
}

#[test]
fn json_of_an_entry() {
    insta::assert_snapshot!(printed(&["providers", "gcp", "--json"]));
}

#[test]
fn json_of_every_list_reads_back() {
    for kind in ["accelerators", "models", "offers", "providers", "hosted", "frictions"] {
        let value: serde_json::Value = serde_json::from_str(&printed(&[kind, "--json"])).expect("JSON");
        let entries = value.as_array().expect("a list");
        assert!(
            entries.iter().all(|entry| entry["name"].is_string() && entry["figures"].is_object()),
            "{kind}"
        );
    }
    let value: serde_json::Value =
        serde_json::from_str(&printed(&["accelerators", "H100", "--json"])).expect("JSON");
    assert_eq!(value["figures"]["bf16_tflops"]["value"], 989);
    assert!(value["figures"]["fp4_tflops"].is_null());
}

#[test]
fn a_wrong_name_exits_with_2_and_the_nearest_names() {
    for (arguments, near) in [
        (&["models", "llama-3.1-70"][..], "`llama-3.1-70b`"),
        (&["offers", "--accelerator", "H100-SMX5"], "`H100-SXM5`"),
        (&["providers", "azur"], "`azure`"),
        (&["hosted", "openai/gpt-5.6"], "`openai/gpt-5.5`"),
    ] {
        let (status, out, err) = catalog(arguments);
        assert_eq!((status, out.as_str()), (2, ""), "{arguments:?}");
        assert!(err.contains(near), "{err}");
    }
    let (status, _, err) = catalog(&["model"]);
    assert_eq!(status, 2);
    assert!(err.contains("models"), "{err}");
}

/// Nodes as they are built: a crossbar, a cube mesh, a PCIe tree; and what is no node.
#[test]
fn the_links_of_a_node() {
    let drawn = |name: &str| printed(&["offers", name, "--topology"]);
    let nodes = ["aws/p5.48xlarge", "aws/p3.16xlarge", "aws/g6e.48xlarge"].map(drawn);
    insta::assert_snapshot!(nodes.join("\n"));
    let graph = printed(&["offers", "aws/p3.16xlarge", "--topology", "--json"]);
    let graph: serde_json::Value = serde_json::from_str(&graph).expect("JSON");
    let links = graph["links"].as_array().expect("a list");
    let between_cards = |link: &&serde_json::Value| {
        ["from", "to"].iter().all(|end| link[*end].as_str().is_some_and(|name| name.starts_with("card")))
    };
    // Sixteen pairs, both directions.
    assert_eq!(links.iter().filter(between_cards).count(), 32);
    let (status, _, err) = catalog(&["offers", "aws/p5.48xlargo", "--topology"]);
    assert_eq!(status, 2);
    assert!(err.contains("aws/p5.48xlarge"), "{err}");
    assert_eq!(catalog(&["models", "llama-3.1-8b", "--topology"]).0, 2);
}
