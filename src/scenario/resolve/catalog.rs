//! The catalogue with the scenario's own entries and prices laid over it.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, Visitor};

use super::names::not_found;
use crate::billing::Purchase;
use crate::catalog::{
    self, AcceleratorFields, AddError, Catalog, Figure, ModelFields, NotFound, OfferFields,
};
use crate::scenario::dom::{Node, Value};
use crate::scenario::problem::{Problem, nearest};
use crate::scenario::raw::{PRICE_KEYS, RawScenario};
use crate::scenario::reading::{Reading, Sited};
use crate::units::UsdPerHour;

/// The catalogue as this scenario sees it.
pub fn build(scenario: &RawScenario, reading: &mut Reading) -> Catalog {
    let mut catalog = Catalog::embedded();
    for (list, nodes) in &scenario.overrides {
        for node in nodes {
            let added = match *list {
                "models" => read::<ModelFields>(node, "model", reading).map(|f| catalog.add_model(&f)),
                "accelerators" => read::<AcceleratorFields>(node, "accelerator", reading)
                    .map(|f| catalog.add_accelerator(&f)),
                _ => read::<OfferFields>(node, "offer", reading).map(|f| catalog.add_offer(&f)),
            };
            if !matches!(added, Some(Ok(()))) {
                reading.broken.push((list, node.name().map(str::to_owned)));
            }
            if let Some(Err(error)) = added {
                reading.problem(add_error(node, &error));
            }
        }
    }
    apply_prices(scenario, &mut catalog, reading);
    catalog
}

fn add_error(node: &Node, error: &AddError) -> Problem {
    let entries = node.entries();
    let at = |field: &str| {
        let key = field.split('.').next().unwrap_or(field);
        entries.and_then(|entries| entries.get(key)).map_or(node.place, |entry| entry.node.place)
    };
    match error {
        AddError::Bad(bad) => Problem::error(at(&bad.field), bad.to_string()),
        AddError::Dangling { missing, .. } => not_found(at("like"), missing),
    }
}

/// Reads one entry key by key, so that everything wrong with it is reported, each at its place.
fn read<T: DeserializeOwned>(node: &Node, kind: &str, reading: &mut Reading) -> Option<T> {
    let Some(entries) = node.entries() else {
        reading.problem(Problem::error(node.place, format!("each of [[{kind}s]] must be a table")));
        return None;
    };
    let Some(name) = node.name() else {
        let problem = Problem::error(node.place, format!("this entry of [[{kind}s]] has no `name`"));
        reading.problem(problem.help("name the entry of the catalogue to override, or the new one"));
        return None;
    };
    let before = reading.problems.len();
    let known = field_names::<T>();
    for (key, entry) in entries {
        if !known.contains(&key.as_str()) {
            let mut problem =
                Problem::error(entry.key, format!("{kind} `{name}` has no key `{key}`")).label("unknown key");
            if let Some(near) = nearest(key, known.iter().copied()) {
                problem = problem.help(format!("did you mean `{near}`?"));
            }
            reading.problem(problem.help(format!("valid keys here: {}", known.join(", "))));
            continue;
        }
        let single = toml::Table::from_iter([(key.clone(), plain(&entry.node))]);
        if let Err(error) = T::deserialize(single) {
            let message = format!("`{key}` of {kind} `{name}`: {}", in_words(error.message()));
            reading.problem(Problem::error(entry.node.place, message));
        }
    }
    if reading.problems.len() > before {
        return None;
    }
    let table: toml::Table = entries.iter().map(|(key, entry)| (key.clone(), plain(&entry.node))).collect();
    match T::deserialize(table) {
        Ok(fields) => Some(fields),
        Err(error) => {
            reading.problem(Problem::error(node.place, format!("{kind} `{name}`: {}", error.message())));
            None
        }
    }
}

/// Rust's names of types mean nothing to a user.
fn in_words(message: &str) -> String {
    let Some((found, expected)) =
        message.strip_prefix("invalid type: ").and_then(|text| text.split_once(", expected "))
    else {
        return message.to_owned();
    };
    let expected = match expected.trim() {
        "f64" => "a number",
        "u32" | "u64" => "a whole number",
        "a string" => "a text",
        "a boolean" => "true or false",
        other => other,
    };
    format!("it must be {expected}, not the {found}")
}

fn plain(node: &Node) -> toml::Value {
    match &node.value {
        Value::Text(text) | Value::Datetime(text) => toml::Value::String(text.clone()),
        Value::Integer(number) => toml::Value::Integer(*number),
        Value::Float(number) => toml::Value::Float(*number),
        Value::Bool(value) => toml::Value::Boolean(*value),
        Value::List(items) => toml::Value::Array(items.iter().map(plain).collect()),
        Value::Table(entries) => {
            toml::Value::Table(entries.iter().map(|(key, entry)| (key.clone(), plain(&entry.node))).collect())
        }
    }
}

/// The fields that a structure is deserialized from: serde hands them to whoever deserializes it.
fn field_names<T: DeserializeOwned>() -> &'static [&'static str] {
    struct Asked<'a>(&'a mut &'static [&'static str]);
    impl<'de> serde::Deserializer<'de> for Asked<'_> {
        type Error = serde::de::value::Error;
        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(serde::de::Error::custom("only structures have fields"))
        }
        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            *self.0 = fields;
            self.deserialize_any(visitor)
        }
        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }
    let mut names: &'static [&'static str] = &[];
    // The answer is always the error above; the names are what was asked for.
    let _ = T::deserialize(Asked(&mut names));
    names
}

/// The catalogue's purchase option, where it has one.
pub const fn option(purchase: Purchase) -> Option<catalog::Purchase> {
    match purchase {
        Purchase::OnDemand => Some(catalog::Purchase::OnDemand),
        Purchase::Reserved1y => Some(catalog::Purchase::Reserved1y),
        Purchase::Reserved3y => Some(catalog::Purchase::Reserved3y),
        Purchase::Spot => Some(catalog::Purchase::Spot),
        Purchase::Reserved | Purchase::Block | Purchase::Owned => None,
    }
}

/// Discount first, then the file, then the prices of the scenario: each goes before what is earlier.
fn apply_prices(scenario: &RawScenario, catalog: &mut Catalog, reading: &mut Reading) {
    let prices = &scenario.prices;
    if prices.discount > 0.0 {
        let offers: Vec<_> = catalog.offers().cloned().collect();
        for mut offer in offers {
            for price in offer.prices.iter_mut().flatten() {
                price.value = UsdPerHour::from_f64(price.value.as_f64() * (1.0 - prices.discount));
                price.source = format!(
                    "{}, less the scenario's discount of {} %",
                    price.source,
                    prices.discount * 100.0
                );
            }
            catalog.put_offer(offer);
        }
    }
    if let Some(file) = &prices.file {
        for (offer, purchase, price) in price_list(file, catalog, reading) {
            let source = format!("the price list {}", file.value.display());
            let figure = Figure { value: price, source, date: None, doubt: None };
            // The list has been checked against the catalogue.
            let _ = option(purchase).map(|option| catalog.override_price(&offer, option, figure));
        }
    }
    for entry in &prices.offers {
        for (purchase, price) in &entry.prices {
            let source = "[prices] of the scenario".to_owned();
            let figure = Figure { value: price.value, source, date: None, doubt: None };
            let Some(option) = option(*purchase) else { continue };
            if let Err(missing) = catalog.override_price(&entry.offer, option, figure) {
                reading.problem(not_found(entry.offer.place, &missing));
            }
        }
    }
}

type Listed = (String, Purchase, UsdPerHour);

/// Reads a price list; problems point at the place that names the file, and name the line of the file.
fn price_list(file: &Sited<std::path::PathBuf>, catalog: &Catalog, reading: &mut Reading) -> Vec<Listed> {
    let path = file.value.display();
    if !file.value.is_file() {
        // Reported where the file was named.
        return Vec::new();
    }
    let mut wrong = |line: u64, what: String, help: &str| {
        let problem = Problem::error(file.place, format!("{path}, line {line}: {what}"));
        reading.problem(problem.help(help));
    };
    let mut reader =
        match csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_path(&file.value) {
            Ok(reader) => reader,
            Err(error) => {
                wrong(1, format!("cannot be read: {error}"), "check the file's permissions");
                return Vec::new();
            }
        };
    let headers = match reader.headers() {
        Ok(headers) => headers.clone(),
        Err(error) => {
            wrong(1, format!("cannot be read: {error}"), "the file must be CSV in UTF-8");
            return Vec::new();
        }
    };
    let columns: BTreeMap<&str, usize> = headers.iter().enumerate().map(|(at, name)| (name, at)).collect();
    let price_columns = PRICE_KEYS.map(|(key, purchase)| (format!("{key}_usd_per_hour"), purchase));
    let valid: Vec<&str> =
        std::iter::once("offer").chain(price_columns.iter().map(|(name, _)| name.as_str())).collect();
    let help = format!("the columns are {}", valid.join(", "));
    for name in headers.iter().filter(|name| !valid.contains(name)) {
        wrong(1, format!("unknown column `{name}`"), &help);
    }
    let Some(offer_column) = columns.get("offer") else {
        wrong(1, "there is no column `offer`".to_owned(), &help);
        return Vec::new();
    };
    let mut listed = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                wrong(line, format!("cannot be read: {error}"), "the file must be CSV in UTF-8");
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        let offer = record.get(*offer_column).unwrap_or_default();
        if let Err(NotFound { name, nearest, .. }) = catalog.offer(offer) {
            let near = nearest.first().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            wrong(line, format!("there is no offer `{name}`{near}"), "[[offers]] adds one of your own");
            continue;
        }
        for (column, purchase) in &price_columns {
            let Some(cell) = columns.get(column.as_str()).and_then(|at| record.get(*at)) else { continue };
            match cell.parse::<f64>() {
                _ if cell.is_empty() => {}
                Ok(price) if (0.0..=1e6).contains(&price) => {
                    listed.push((offer.to_owned(), *purchase, UsdPerHour::from_f64(price)));
                }
                _ => wrong(
                    line,
                    format!("`{cell}` in the column `{column}` is no price"),
                    "a price is a number of US dollars an hour from 0 to 1e6",
                ),
            }
        }
    }
    listed
}
