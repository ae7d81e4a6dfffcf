//! `openmetrics.txt` against the grammar of OpenMetrics 1.0 (<https://prometheus.io/docs/specs/om/open_metrics_spec/>,
//! section "ABNF" and the rules under "Data Model"), read strictly.

#![allow(clippy::unwrap_used, dead_code, reason = "tests, and helpers of tests, may")]

#[path = "report/fixtures.rs"]
mod fixtures;

use std::collections::{BTreeMap, BTreeSet};

use fleetsim::metrics::results::RunResults;
use fleetsim::report::{Wanted, write_all};

/// A name of a metric: a letter, `_` or `:`, then also digits; of a label without colons.
fn is_name(text: &str, colons: bool) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || (colons && c == ':');
    text.starts_with(letter) && text.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// Takes a text in quotes, in which only `\\`, `\"` and `\n` are escaped; what is left behind it.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut letters = text.strip_prefix('"').ok_or("no quote")?.char_indices();
    let mut value = String::new();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((value, &text[at + 2..])),
            '\\' => match letters.next().map(|next| next.1) {
                Some('\\') => value.push('\\'),
                Some('"') => value.push('"'),
                Some('n') => value.push('\n'),
                other => return Err(format!("the escape {other:?}")),
            },
            '\n' => return Err("a line break in a value".to_owned()),
            letter => value.push(letter),
        }
    }
    Err("a value without its end".to_owned())
}

/// A sample: its name with its labels, its value and its time.
fn sample(line: &str) -> Result<(String, BTreeMap<String, String>, f64, f64), String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    if !is_name(name, true) {
        return Err(format!("the name {name:?}"));
    }
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once('=').ok_or("a label without a value")?;
            if !is_name(label, false) {
                return Err(format!("the label {label:?}"));
            }
            let (value, after) = quoted(after)?;
            if labels.insert(label.to_owned(), value).is_some() {
                return Err(format!("the label {label} twice"));
            }
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => {
                    rest = after.strip_prefix('}').ok_or("labels without their end")?;
                    break;
                }
            }
        }
    }
    let words: Vec<&str> = rest.strip_prefix(' ').ok_or("no space before the value")?.split(' ').collect();
    let [value, time] = words.as_slice() else { return Err(format!("{} numbers", words.len())) };
    let number = |text: &str| -> Result<f64, String> {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let real = digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.chars().all(|c| c.is_ascii_digit() || ".eE+-".contains(c));
        text.parse().ok().filter(|_| real).ok_or(format!("the number {text:?}"))
    };
    Ok((name.to_owned(), labels, number(value)?, number(time)?))
}

fn check(text: &str) -> Result<usize, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("the file does not end with # EOF")?;
    let (mut family, mut seen): (String, BTreeSet<String>) = (String::new(), BTreeSet::new());
    // Of each series of the family: when its last sample was.
    let mut last: BTreeMap<BTreeMap<String, String>, f64> = BTreeMap::new();
    let mut order: Vec<BTreeMap<String, String>> = Vec::new();
    let (mut samples, mut described) = (0, BTreeSet::new());
    for (number, line) in (1..).zip(body.split_terminator('\n')) {
        let at = |why: String| format!("line {number}: {why}: {line}");
        if let Some(meta) = line.strip_prefix("# ") {
            let (kind, rest) = meta.split_once(' ').ok_or_else(|| at("no kind".to_owned()))?;
            let (name, value) = rest.split_once(' ').ok_or_else(|| at("no value".to_owned()))?;
            if !is_name(name, true) || !["TYPE", "HELP", "UNIT"].contains(&kind) {
                return Err(at("unknown metadata".to_owned()));
            }
            if name != family {
                if !seen.insert(name.to_owned()) {
                    return Err(at("a family in two pieces".to_owned()));
                }
                (family, last, order) = (name.to_owned(), BTreeMap::new(), Vec::new());
            }
            let type_is_known = ["gauge", "counter", "info", "unknown"].contains(&value);
            if !described.insert((kind.to_owned(), name.to_owned()))
                || !last.is_empty()
                || (kind == "TYPE" && !type_is_known)
                || (kind == "UNIT" && !name.ends_with(&format!("_{value}")))
            {
                return Err(at("metadata twice, too late or wrong".to_owned()));
            }
            continue;
        }
        let (name, labels, value, time) = sample(line).map_err(at)?;
        let at = |why: &str| format!("line {number}: {why}: {line}");
        let own = name == family || name.strip_suffix("_total").is_some_and(|base| base == family);
        if !own || !described.contains(&("TYPE".to_owned(), family.clone())) {
            return Err(at("a sample of another family"));
        }
        if !value.is_finite() || last.get(&labels).is_some_and(|before| *before >= time) {
            return Err(at("no number, or a time that does not rise"));
        }
        // The samples of a series stand together.
        if order.last() != Some(&labels) {
            if last.contains_key(&labels) {
                return Err(at("a series in two pieces"));
            }
            order.push(labels.clone());
        }
        last.insert(labels, time);
        samples += 1;
    }
    Ok(samples)
}

fn exported(results: &RunResults) -> String {
    let out = tempfile::tempdir().unwrap();
    let wanted = Wanted { openmetrics: Some(1_767_225_600), ..Wanted::nothing() };
    write_all(results, "", out.path(), &wanted).unwrap();
    std::fs::read_to_string(out.path().join("openmetrics.txt")).unwrap()
}

#[test]
fn every_export_keeps_to_the_grammar() {
    for results in fixtures::all() {
        let text = exported(&results);
        let told = check(&text).unwrap_or_else(|why| panic!("{}: {why}", results.summary.scenario.name));
        let values = results.timeseries.series.iter().flat_map(|series| &series.values);
        assert_eq!(told, values.flatten().filter(|value| value.is_finite()).count());
    }
}

#[test]
fn the_grammar_is_strict() {
    let good = "# TYPE a gauge\n# HELP a b\na{x=\"\\\"\\n\\\\\"} 1 2.5\n# EOF\n";
    assert_eq!(check(good), Ok(1));
    for (from, to) in [
        ("# EOF\n", ""),
        ("gauge", "gouge"),
        ("x=", "1x="),
        ("\\n", "\\t"),
        ("1 2.5", "NaN 2.5"),
        ("1 2.5", "1"),
        ("a{", "b{"),
        ("1 2.5\n", "1 2.5\na{x=\"\"} 1 2\na{x=\"\\\"\\n\\\\\"} 1 3\n"),
        ("1 2.5\n", "1 2.5\na{x=\"\\\"\\n\\\\\"} 1 2.5\n"),
        ("# HELP a b\n", "# TYPE b gauge\nb 1 2\n# HELP a b\n"),
    ] {
        let bad = good.replace(from, to);
        assert!(bad != good && check(&bad).is_err(), "{bad}");
    }
}
