//! The scenario file as a JSON Schema, for editors; drawn from the same declarations as the reader.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::option_reference;
use super::reading::OptionDoc;

/// An option with those beneath it.
#[derive(Default)]
struct Node {
    kind: String,
    doc: &'static str,
    default: Option<String>,
    required: bool,
    /// By key; `NAME` stands for any.
    children: BTreeMap<String, Node>,
}

/// A JSON Schema (draft 2020-12) of scenario files.
///
/// It is a little wider than the reader: which keys go with which kind of a process, a shape or a distribution,
/// and what depends on two keys, only `check` says.
pub fn json_schema() -> Value {
    let mut root = Node { kind: "a table".to_owned(), ..Node::default() };
    for option in option_reference() {
        place(&mut root, option);
    }
    let mut schema = schema_of(&root);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("fleetsim scenario");
    schema
}

/// Puts an option where its path leads: `streams[].shape[](spike).factor`.
fn place(root: &mut Node, option: OptionDoc) {
    let segments: Vec<&str> = option.path.split('.').collect();
    // What is required of one kind is not required of all.
    let everywhere = segments[..segments.len() - 1].iter().all(|segment| !segment.contains('('));
    let mut node = root;
    for segment in &segments {
        let key = segment.split(['[', '(']).next().unwrap_or_default();
        node = node.children.entry(key.to_owned()).or_default();
    }
    if node.kind.is_empty() {
        node.kind = option.kind;
        node.doc = option.doc;
        node.default = option.default;
        node.required = option.required && everywhere;
    } else if node.kind != option.kind {
        // The same key with another meaning under another kind.
        node.kind = format!("{}, or {}", node.kind, option.kind);
        node.default = None;
    }
}

fn schema_of(node: &Node) -> Value {
    let mut kinds: Vec<Value> = node.kind.split(", or ").map(|kind| kind_schema(kind, node)).collect();
    kinds.dedup();
    // A number may be uncertain wherever it stands.
    let numbers = ["a number", "a whole number", "a share", "a time", "a price", "a rate"];
    if numbers.iter().any(|start| node.kind.starts_with(start)) {
        let ways = [json!({ "required": ["low", "mid", "high"] }), json!({ "required": ["uncertain"] })];
        kinds.push(json!({ "type": "object", "anyOf": ways }));
    }
    let mut schema = if kinds.len() == 1 { kinds.remove(0) } else { json!({ "anyOf": kinds }) };
    if !node.doc.is_empty() {
        schema["description"] = json!(node.doc);
    }
    if let Some(default) = node.default.as_deref().and_then(default_value) {
        schema["default"] = default;
    }
    schema
}

/// What one way of writing an option must look like. What the words do not tell is left open.
fn kind_schema(kind: &str, node: &Node) -> Value {
    if let Some(item) = kind.strip_prefix("a list; each is ") {
        return json!({ "type": "array", "items": kind_schema(item, node) });
    }
    let quoted = |mark: char| -> Vec<&str> { kind.split(mark).skip(1).step_by(2).collect() };
    match kind {
        "a table" => table(node),
        "a list of tables" => json!({ "type": "array", "items": table(node) }),
        "a list" => json!({ "type": "array" }),
        "true or false" => json!({ "type": "boolean" }),
        _ if kind.starts_with("one of ") => json!({ "enum": quoted('`') }),
        _ if kind.starts_with('"') => json!({ "enum": quoted('"') }),
        _ if kind.starts_with("a whole number") => json!({ "type": "integer" }),
        "a number" => json!({ "type": "number" }),
        _ if kind.starts_with("a number above zero") => json!({ "type": "number", "exclusiveMinimum": 0 }),
        _ if kind.starts_with("a number of at least zero") => json!({ "type": "number", "minimum": 0 }),
        _ if kind.starts_with("a share") => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        _ if kind.starts_with("a time") => json!({ "type": "string" }),
        _ if ["a name", "a text", "the path"].iter().any(|start| kind.starts_with(start)) => {
            json!({ "type": "string" })
        }
        _ => json!({}),
    }
}

fn table(node: &Node) -> Value {
    let named: Map<String, Value> = node
        .children
        .iter()
        .filter(|(key, _)| *key != "NAME")
        .map(|(key, child)| (key.clone(), schema_of(child)))
        .collect();
    let required: Vec<&String> =
        node.children.iter().filter(|(_, child)| child.required).map(|(key, _)| key).collect();
    // A table whose keys nobody declares holds anything; one with declared keys nothing else.
    let others = match node.children.get("NAME") {
        Some(any) => schema_of(any),
        None => json!(node.children.is_empty()),
    };
    let mut schema = json!({ "type": "object", "properties": named, "additionalProperties": others });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// A default as it is written in TOML.
fn default_value(toml: &str) -> Option<Value> {
    let document: toml::Table = format!("value = {toml}").parse().ok()?;
    serde_json::to_value(document.get("value")?).ok()
}
