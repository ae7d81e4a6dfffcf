//! The code as text: what rustfmt and clippy do not look at.

#![allow(clippy::unwrap_used, reason = "tests, and helpers of tests, may")]

use std::fs;
use std::path::{Path, PathBuf};

const HOME: &str = env!("CARGO_MANIFEST_DIR");
/// Beyond this a file holds more than one subject.
const MOST_LINES: usize = 600;
const MOST_COLUMNS: usize = 120;

/// Every file with one of these extensions below a folder of the repository, with its text.
fn texts(folder: &str, extensions: &[&str]) -> Vec<(String, String)> {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut folders = vec![Path::new(HOME).join(folder)];
    while let Some(here) = folders.pop() {
        for entry in fs::read_dir(&here).into_iter().flatten() {
            let path = entry.unwrap().path();
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            if path.is_dir() {
                folders.push(path);
            } else if extensions.contains(&extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    let text = |path: PathBuf| {
        let name = path.strip_prefix(HOME).unwrap().display().to_string();
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, text)
    };
    found.into_iter().map(text).collect()
}

/// Panics with all that is wrong, not only the first.
fn assert_none(wrong: &[String], rule: &str) {
    assert!(wrong.is_empty(), "{rule}:\n{}", wrong.join("\n"));
}

/// Each line that `wrong` says is wrong, with its place.
fn lines<'a>(
    files: impl IntoIterator<Item = &'a (String, String)>,
    wrong: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in files {
        let bad = text.lines().enumerate().filter(|(_, line)| wrong(line));
        found.extend(bad.map(|(place, line)| format!("{name}:{}: {}", place + 1, line.trim())));
    }
    found
}

/// Everything of ours that is compiled.
fn code() -> Vec<(String, String)> {
    ["src", "tests", "benches"].iter().flat_map(|folder| texts(folder, &["rs"])).collect()
}

#[test]
fn files_are_short() {
    let long: Vec<String> = texts("src", &["rs"])
        .iter()
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(name, lines)| format!("{name} has {lines} lines"))
        .collect();
    assert_none(&long, "a file of src has at most 600 lines");
}

#[test]
fn lines_are_short() {
    let mut files = code();
    files.extend(texts("scenarios", &["toml"]));
    // A text or address that cannot be broken may be longer.
    let unbroken = |line: &str| line.split_whitespace().any(|word| word.len() > 100);
    let quoted = |line: &str| line.matches('"').count() >= 2;
    let wrong = |line: &str| line.chars().count() > MOST_COLUMNS && !unbroken(line) && !quoted(line);
    assert_none(&lines(&files, wrong), "a line has at most 120 columns");
    let sloppy = |line: &str| line.ends_with([' ', '\t']) || line.contains('\r');
    assert_none(&lines(&files, sloppy), "no space at the end of a line");
}

#[test]
fn nothing_is_left_to_do() {
    // Put together, so that this file does not find itself.
    let unfinished = ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!("));
    let notes = ["TODO", "FIXME", "XXX"].map(|note| format!("{note}:"));
    let wrong = |line: &str| unfinished.iter().chain(&notes).any(|word| line.contains(word.as_str()));
    assert_none(&lines(&code(), wrong), "what is not built is refused with an error, not left open");
}

#[test]
fn every_module_says_what_it_is() {
    let silent: Vec<String> =
        code().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(name, _)| name).collect();
    assert_none(&silent, "a file begins with a sentence on what it holds");
}

#[test]
fn modules_lie_beside_their_folders() {
    let old: Vec<String> = texts("src", &["rs"])
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name.ends_with("mod.rs"))
        .collect();
    assert_none(&old, "a module is foo.rs beside foo/, not foo/mod.rs");
}

#[test]
fn nothing_names_the_machine_it_was_made_on() {
    let folders = ["/work/", "/home/", "/root/", "/tmp/"];
    let files: Vec<_> = ["src", "scenarios"]
        .iter()
        .flat_map(|folder| texts(folder, &["rs", "toml", "md", "csv", "html", "css"]))
        .chain(texts(".ci", &[""]))
        .collect();
    assert_none(
        &lines(&files, |line| folders.iter().any(|path| line.contains(path))),
        "no path of a machine",
    );
    // Tests may look for data beside the repository, and skip where there is none.
    assert_none(&lines(&files, |line| line.contains("../shared")), "only tests and benches may look for it");
}

/// Clippy refuses the platform's float functions; this finds where that refusal was taken back.
#[test]
fn only_drawing_may_use_the_platforms_float_functions() {
    // A large sweep or plan tells on the terminal how long it would take; no result knows.
    let allowed = |name: &str| {
        ["src/report/", "src/cli/trace/plots", "src/cli/sweep.rs", "src/cli/plan.rs"]
            .iter()
            .any(|start| name.starts_with(start))
    };
    let files = texts("src", &["rs"]);
    let elsewhere = files.iter().filter(|(name, _)| !allowed(name));
    let wrong = |line: &str| line.contains("allow(clippy::disallowed_methods");
    assert_none(&lines(elsewhere, wrong), "results are the same on every platform");
    // Random draws come from named streams, never from the system.
    let random = ["thread_rng", "rand::rng()", "from_os_rng", "from_entropy", "HashMap<", "HashSet<"];
    let wrong = |line: &str| {
        let code = line.split("//").next().unwrap_or_default();
        // A hash table with a fixed hasher has the same order everywhere.
        !code.contains("BuildHasherDefault") && random.iter().any(|name| code.contains(name))
    };
    assert_none(&lines(&files, wrong), "results do not depend on chance or on the order of a hash table");
}

/// The rooms' arrows point one way: a room names those below it, and itself.
#[test]
fn rooms_depend_downwards_only() {
    let leaves: &[&str] = &["policies", "perf", "topology", "catalog", "sim"];
    let rooms: &[&str] = &["serving", "jobs", "fleet", "billing", "traffic", "metrics"];
    let below = |room: &str| -> Option<Vec<&str>> {
        let leaf: Vec<&str> = leaves.to_vec();
        match room {
            "units" | "estimate" => Some(vec![]),
            _ if leaves.contains(&room) => Some(leaf),
            _ if rooms.contains(&room) => Some([leaves, rooms].concat()),
            "world" => Some([leaves, rooms].concat()),
            "report" => Some([leaves, rooms, &["world"]].concat()),
            "scenario" => Some([leaves, rooms, &["world"]].concat()),
            _ => None,
        }
    };
    let mut wrong = Vec::new();
    for (name, text) in texts("src", &["rs"]) {
        let path = name.trim_start_matches("src/");
        let room = path.split(['/', '.']).next().unwrap_or_default();
        let Some(below) = below(room) else { continue };
        for (place, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for (at, _) in code.match_indices("crate::") {
                let rest = &code[at + 7..];
                let used = rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next();
                let used = used.unwrap_or_default();
                if !used.is_empty() && used != "units" && used != room && !below.contains(&used) {
                    wrong.push(format!("{name}:{}: {}", place + 1, line.trim()));
                }
            }
        }
    }
    assert_none(
        &wrong,
        "world ties the rooms; scenario is read at the edge; sim knows nothing of accelerators",
    );
}
