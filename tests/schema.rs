//! `schema`, `init`, `completions`, `man`: what editors and shells take, and what a new user begins with.

#![allow(clippy::unwrap_used, reason = "tests, and helpers of tests, may")]

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use boon::{Compiler, Schemas};
use serde_json::Value;

fn program() -> Command {
    Command::cargo_bin("fleetsim").unwrap()
}

fn schema() -> Value {
    let output = program().arg("schema").assert().success();
    serde_json::from_slice(&output.get_output().stdout).unwrap()
}

/// Says whether scenarios are as the schema wants them.
struct Checker(Schemas, boon::SchemaIndex);

impl Checker {
    fn new() -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("scenario.json", schema()).unwrap();
        let index = compiler.compile("scenario.json", &mut schemas).unwrap();
        Self(schemas, index)
    }

    fn wrong(&self, toml: &str) -> Option<String> {
        let table: toml::Table = toml.parse().unwrap();
        let value = serde_json::to_value(table).unwrap();
        self.0.validate(&value, self.1).err().map(|error| error.to_string())
    }
}

#[test]
fn every_scenario_is_as_the_schema_wants_it() {
    let checker = Checker::new();
    let mut seen = 0;
    for folder in ["scenarios", "scenarios/bench"] {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let wrong = checker.wrong(&fs::read_to_string(&path).unwrap());
                assert_eq!(wrong, None, "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen >= 6);
}

#[test]
fn the_reference_of_options_is_that_of_the_program() {
    let output = program().args(["schema", "--markdown"]).assert().success();
    let printed = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    let kept =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/scenario-file.md")).unwrap();
    let part = printed.lines().zip(kept.lines()).find(|(printed, kept)| printed != kept);
    assert!(printed == kept, "fleetsim schema --markdown > docs/scenario-file.md; they part at {part:?}");
}

#[test]
fn what_is_no_scenario_is_told() {
    let checker = Checker::new();
    let quickstart =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/quickstart.toml"));
    let quickstart = quickstart.unwrap();
    for (from, to, word) in [
        ("duration = \"24h\"", "durations = \"24h\"", "durations"),
        ("seed = 7", "seed = \"seven\"", "seed"),
        ("kind = \"diurnal\"", "kind = \"nightly\"", "kind"),
    ] {
        let changed = quickstart.replacen(from, to, 1);
        assert_ne!(changed, quickstart, "{from} is there");
        let wrong = checker.wrong(&changed).unwrap_or_default();
        assert!(wrong.contains(word), "{to}: {wrong}");
    }
}

#[test]
fn a_listing_has_every_option() {
    let output = program().args(["schema", "--list"]).assert().success();
    let text = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    for option in fleetsim::scenario::option_reference() {
        assert!(text.contains(&option.path), "{}", option.path);
    }
}

#[test]
fn a_template_runs_and_is_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let init = || program().current_dir(&folder).arg("init").assert();
    init().success();
    program().current_dir(&folder).args(["check", "quickstart.toml"]).assert().success();
    let again = init().code(2);
    assert!(String::from_utf8_lossy(&again.get_output().stderr).contains("left alone"));
    let listed = program().args(["init", "--list"]).assert().success();
    let names = String::from_utf8(listed.get_output().stdout.clone()).unwrap();
    for line in names.lines() {
        let name = line.split_whitespace().next().unwrap();
        let file = format!("{name}-of-its-own.toml");
        program().current_dir(&folder).args(["init", name, "--out", &file]).assert().success();
        program().current_dir(&folder).args(["check", &file]).assert().success();
    }
    program().args(["init", "nothing"]).assert().code(2);
}

#[test]
fn shells_know_every_verb() {
    let help =
        String::from_utf8(program().arg("--help").assert().success().get_output().stdout.clone()).unwrap();
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let verbs: Vec<&str> =
        commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")).collect();
    let verbs: Vec<&str> = verbs.iter().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(verbs.len() > 8);
    let output = program().args(["completions", "bash"]).assert().success();
    let completions = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    program().arg("man").arg(folder.path()).assert().success();
    for verb in verbs {
        assert!(completions.contains(verb), "{verb}");
        if verb != "help" {
            assert!(folder.path().join(format!("fleetsim-{verb}.1")).exists(), "{verb}");
        }
    }
}
