//! What may vary: paths and their values, as `sweep --grid` takes them.

use crate::catalog::Catalog;
use crate::scenario::dom::{Node, Value};
use crate::scenario::problem::{Problem, nearest, quoted};
use crate::scenario::reader::TableReader;

/// An offer of the scenario's own, and its accelerator.
pub type OwnOffer = (String, String);

/// The scenario's own offers, from the top of the file.
pub fn own_offers(t: &TableReader<'_>) -> Vec<OwnOffer> {
    let Some(Node { value: Value::List(items), .. }) = t.node("offers") else { return Vec::new() };
    let text = |item: &Node, key: &str| match &item.entries()?.get(key)?.node.value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    };
    items.iter().filter_map(|item| Some((text(item, "name")?, text(item, "accelerator")?))).collect()
}

/// The axis of offers that a path stands for: all of them under `pools.X.offer` = "*", and those with some accelerators
/// under `pools.X.accelerator`; `None` where it is any other path.
fn offers(path: &str, node: &Node, own: &[OwnOffer]) -> Option<(String, Result<String, String>)> {
    let by_card = path.strip_prefix("pools.")?.strip_suffix(".accelerator").is_some();
    let all = path.ends_with(".offer") && matches!(&node.value, Value::Text(text) if text.trim() == "*");
    if !by_card && !all {
        return None;
    }
    let end = path.rfind('.')?;
    let path = format!("{}.offer", &path[..end]);
    let catalog = Catalog::embedded();
    let wanted = if by_card { cards(node, &catalog, own) } else { Ok(Vec::new()) };
    let names = wanted.and_then(|wanted| {
        let known = catalog.offers().map(|offer| (offer.name.clone(), offer.accelerator.clone()));
        let names: Vec<String> = own
            .iter()
            .cloned()
            .chain(known)
            .filter(|(_, card)| all || wanted.contains(card))
            .map(|(name, _)| toml_edit::Value::from(name).to_string())
            .collect();
        if names.is_empty() {
            Err("nobody offers these accelerators".to_owned())
        } else {
            Ok(names.join(","))
        }
    });
    Some((path, names))
}

/// The names of accelerators as the catalogue has them.
fn cards(node: &Node, catalog: &Catalog, own: &[OwnOffer]) -> Result<Vec<String>, String> {
    let name = |node: &Node| {
        let Value::Text(name) = &node.value else { return Err("accelerators are named as text".to_owned()) };
        if let Ok(card) = catalog.accelerator(name) {
            return Ok(card.name.clone());
        }
        if own.iter().any(|(_, card)| card == name) {
            return Ok(name.clone());
        }
        let near = nearest(name, catalog.accelerators().map(|card| card.name.as_str()));
        let near = near.map_or(String::new(), |near| format!("; did you mean {}?", quoted([near])));
        Err(format!("there is no accelerator `{name}`{near}"))
    };
    match &node.value {
        Value::List(items) if items.is_empty() => Err("it has no values".to_owned()),
        Value::List(items) => items.iter().map(name).collect(),
        _ => Ok(vec![name(node)?]),
    }
}

/// The axes, in the order of their paths.
pub fn vary(t: &mut TableReader<'_>, doc: &'static str, own: &[OwnOffer]) -> Option<Vec<String>> {
    t.declare("vary", "a table of paths with their values", None, doc);
    if t.is_describing() {
        return None;
    }
    let Some(node) = t.node("vary") else {
        t.missing("vary", "what may vary, as in vary = { \"pools.base.nodes\" = \"0..16\" }", "");
        return None;
    };
    let help = "vary = { \"pools.base.nodes\" = \"0..16\", \"pools.base.offer\" = [\"a\", \"b\"] }";
    let Some(entries) = node.entries() else {
        let problem = Problem::error(node.place, "`vary` of `plan` must be a table of paths");
        t.problem(problem.help(help));
        return None;
    };
    if entries.is_empty() {
        let problem = Problem::error(node.place, "the space of `plan` is empty: nothing may vary");
        t.problem(problem.help(help));
        return None;
    }
    let mut axes = Some(Vec::new());
    for (path, entry) in entries {
        let bought = offers(path, &entry.node, own);
        let (path, read) = match bought {
            Some((path, values)) => (path, values),
            None => (path.clone(), values(&entry.node)),
        };
        match read {
            Ok(values) => axes.iter_mut().for_each(|axes| axes.push(format!("{path}={values}"))),
            Err(why) => {
                t.problem(Problem::error(entry.node.place, format!("`{path}` of `vary`: {why}")).help(help));
                axes = None;
            }
        }
    }
    axes
}

/// The values of an axis as `--grid` takes them.
fn values(node: &Node) -> Result<String, String> {
    match &node.value {
        Value::Text(text) if text.trim().is_empty() => Err("it has no values".to_owned()),
        Value::Text(text) => Ok(text.clone()),
        Value::List(items) if items.is_empty() => Err("it has no values".to_owned()),
        Value::List(items) => Ok(items.iter().map(as_toml).collect::<Vec<_>>().join(",")),
        Value::Table(_) => Err("give a range such as \"0..16\", or a list of values".to_owned()),
        _ => Ok(as_toml(node)),
    }
}

/// A value as TOML.
pub fn as_toml(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => toml_edit::Value::from(text.as_str()).to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => toml_edit::Value::from(*number).to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Datetime(text) => text.clone(),
        Value::List(items) => format!("[{}]", items.iter().map(as_toml).collect::<Vec<_>>().join(", ")),
        Value::Table(entries) => {
            let entry = |(key, entry): (&String, &crate::scenario::dom::Entry)| {
                format!("{} = {}", toml_edit::Key::new(key).display_repr(), as_toml(&entry.node))
            };
            format!("{{ {} }}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}
