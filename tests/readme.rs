//! The commands that the documents show are run, and their links lead somewhere.

#![allow(clippy::unwrap_used, reason = "tests, and helpers of tests, may")]

use std::fs;
use std::path::Path;
use std::process::Command;

const HOME: &str = env!("CARGO_MANIFEST_DIR");
/// Documents whose commands a reader types.
const WITH_COMMANDS: [&str; 4] = ["README.md", "scenarios/README.md", "docs/README.md", "docs/QUESTIONS.md"];
/// Commands that get or test the project itself.
const NOT_RUN: [&str; 6] = ["git clone", "cd ", "cargo test", "cargo build", "cargo install", "rustup"];
/// How the documents start the program.
const PROGRAM: [&str; 2] = ["cargo run --release -- ", "fleetsim "];

/// The lines of a document's code blocks for a shell, a prompt taken off and continued lines joined.
fn commands(markdown: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut block: Option<&str> = None;
    let mut continued = false;
    for line in markdown.lines() {
        if let Some(fence) = line.trim_start().strip_prefix("```") {
            block = if block.is_some() { None } else { Some(fence.trim()) };
            continue;
        }
        let typed = match block {
            Some("sh" | "shell" | "bash" | "") => line.trim(),
            // In a console only what follows a prompt was typed; the rest was answered.
            Some("console") if continued => line.trim(),
            Some("console") => line.trim().strip_prefix("$ ").unwrap_or_default(),
            _ => continue,
        };
        // A block without a language may show anything; only the program's commands are meant.
        let meant = block != Some("") || PROGRAM.iter().any(|program| typed.starts_with(program));
        if typed.is_empty() || typed.starts_with('#') || !(meant || continued) {
            continue;
        }
        let (text, more) = match typed.strip_suffix('\\') {
            Some(text) => (text.trim_end(), true),
            None => (typed, false),
        };
        match commands.last_mut() {
            Some(last) if continued => *last = format!("{last} {text}"),
            _ => commands.push(text.to_owned()),
        }
        continued = more;
    }
    commands
}

/// Splits a command as a shell does: at spaces outside of quotes, comments left out.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in command.chars() {
        match (letter, quote) {
            ('\'' | '"', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (letter, Some(open)) if letter == open => quote = None,
            (' ', None) => words.extend(word.take()),
            ('#', None) if word.is_none() => break,
            (letter, _) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// Copies a folder's files.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &target) } else { fs::copy(&path, &target).map(|_| ()).unwrap() }
    }
}

#[test]
fn every_command_of_the_documents_works() {
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(HOME).join("scenarios"), &folder.path().join("scenarios"));
    let mut known: Vec<Vec<String>> = Vec::new();
    for document in WITH_COMMANDS {
        let commands = commands(&fs::read_to_string(Path::new(HOME).join(document)).unwrap());
        let mut ran = 0;
        for command in &commands {
            if NOT_RUN.iter().any(|start| command.starts_with(start)) {
                continue;
            }
            let arguments = PROGRAM.iter().find_map(|program| command.strip_prefix(program));
            let arguments = arguments.unwrap_or_else(|| panic!("{document}: how is `{command}` tested?"));
            let arguments = words(arguments);
            ran += 1;
            // What several documents show is run once.
            if known.contains(&arguments) {
                continue;
            }
            known.push(arguments.clone());
            let output = Command::new(env!("CARGO_BIN_EXE_fleetsim"))
                .current_dir(folder.path())
                .args(arguments)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{document}: {command}\n{said}");
            assert_eq!(said, "", "{document}: {command}");
            assert!(!output.stdout.is_empty(), "{document}: {command}");
        }
        assert!(ran > 0, "{document} shows no command of the program");
    }
}

#[test]
fn commands_are_found_and_split() {
    let markdown = "text\n```sh\ncargo run --release -- run a.toml \\\n  --set 'x=\"1 2\"' # why\n# no\n\n```\n\
                    ```console\n$ fleetsim check b\nb is sound\n```\n```toml\nfleetsim = 1\n```\n";
    let found = commands(markdown);
    assert_eq!(found, ["cargo run --release -- run a.toml --set 'x=\"1 2\"' # why", "fleetsim check b"]);
    assert_eq!(words(&found[0]), ["cargo", "run", "--release", "--", "run", "a.toml", "--set", "x=\"1 2\""]);
}

#[test]
fn links_lead_somewhere() {
    let mut links = 0;
    for document in [
        "README.md",
        "scenarios/README.md",
        "docs/README.md",
        "docs/FAQ.md",
        "docs/QUESTIONS.md",
        "plots/README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
    ] {
        let path = Path::new(HOME).join(document);
        let text = fs::read_to_string(&path).unwrap();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', '#', ' ']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            links += 1;
            assert!(path.parent().unwrap().join(target).exists(), "{document} links to {target}");
        }
    }
    assert!(links > 0);
}

/// Each question has a command, and each scenario for a question is asked.
#[test]
fn every_question_is_answered() {
    let text = fs::read_to_string(Path::new(HOME).join("docs/QUESTIONS.md")).unwrap();
    let questions: Vec<&str> = text.split("\n**").skip(1).collect();
    assert_eq!(questions.len(), 36);
    for (number, question) in (1..).zip(&questions) {
        assert!(question.starts_with(&format!("{number}. ")), "{question}");
        assert!(!commands(question).is_empty(), "{question}");
    }
    for entry in fs::read_dir(Path::new(HOME).join("scenarios/questions")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(text.contains(&format!("scenarios/questions/{name}")), "nobody asks {name}");
    }
}
