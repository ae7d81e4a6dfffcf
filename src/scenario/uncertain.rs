//! Uncertain numbers: any number of a scenario may be `{ low, mid, high, confidence }` or a distribution, as in
//! `{ uncertain = "lognormal", median, p90 }`.
//!
//! They are found in the tree before it is read: their middle goes into their place, so that every verb works with
//! it, and what was written is kept for whoever draws from it.

use toml_edit::DocumentMut;

use super::dom::{Entries, Node, Step, Value};
use super::problem::{Place, Problem};
use super::reading::Reading;
use super::set;

/// A number of the scenario that is not known for sure.
#[derive(Debug, Clone, PartialEq)]
pub struct Uncertain {
    /// Its path, as `--set` takes it.
    pub path: String,
    /// What follows the number: `/s`, `ms`; empty for a plain one.
    pub unit: String,
    /// How it is spread.
    pub spread: Spread,
    /// True where only whole numbers make sense.
    pub whole: bool,
}

/// How an uncertain number is spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spread {
    /// Half the time below `mid`; within `low` and `high` with the confidence. Where `low` is above zero, either
    /// half is log-normal, else normal.
    Range {
        /// The lower end.
        low: f64,
        /// The median.
        mid: f64,
        /// The upper end.
        high: f64,
        /// The probability of being within the ends, above 0 and below 1.
        confidence: f64,
    },
    /// Normal, cut at zero.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        sd: f64,
    },
    /// Log-normal.
    LogNormal {
        /// The median.
        median: f64,
        /// The 90th percentile.
        p90: f64,
    },
    /// Uniform.
    Uniform {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
}

/// The share of a range that lies within its ends where the scenario does not say: as Netflix's planner has it.
const CONFIDENCE: f64 = 0.9;
/// The 90th percentile of the standard normal distribution.
const Z90: f64 = 1.281_551_565_544_6;
/// Keys under which a distribution is one of requests, not of our knowledge.
const OWN_DISTRIBUTIONS: [&str; 4] = ["prompt_tokens", "output_tokens", "think", "lengths"];

impl Spread {
    /// The value that is not exceeded with probability `share`, above 0 and below 1.
    pub fn quantile(&self, share: f64) -> f64 {
        let z = normal_quantile(share);
        match *self {
            Self::Range { low, mid, high, confidence } => {
                let end = normal_quantile(0.5 + 0.5 * confidence);
                let (edge, z) = if z < 0.0 { (low, -z / end) } else { (high, z / end) };
                if low > 0.0 { mid * libm::exp(z * libm::log(edge / mid)) } else { mid + z * (edge - mid) }
            }
            Self::Normal { mean, sd } => (mean + z * sd).max(0.0),
            Self::LogNormal { median, p90 } => median * libm::exp(z / Z90 * libm::log(p90 / median)),
            Self::Uniform { low, high } => low + share * (high - low),
        }
    }

    /// The middle: half the time it is below.
    pub fn mid(&self) -> f64 {
        match *self {
            Self::Range { mid, .. } => mid,
            Self::Normal { mean, .. } => mean,
            Self::LogNormal { median, .. } => median,
            Self::Uniform { low, high } => 0.5 * (low + high),
        }
    }

    fn is_sound(&self) -> bool {
        match *self {
            Self::Range { low, mid, high, confidence } => {
                low <= mid && mid <= high && 0.0 < confidence && confidence < 1.0
            }
            Self::Normal { sd, mean } => sd >= 0.0 && mean > 0.0,
            Self::LogNormal { median, p90 } => median > 0.0 && p90 >= median,
            Self::Uniform { low, high } => low <= high,
        }
    }
}

/// The z with Φ(z) = `share`, by halving; libm's erfc decides.
fn normal_quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-9.0, 9.0);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if 0.5 * libm::erfc(-middle / std::f64::consts::SQRT_2) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

impl Uncertain {
    /// The `--set` argument that makes it the value at this quantile.
    pub fn set(&self, share: f64) -> String {
        format!("{}={}", self.path, self.text(self.spread.quantile(share)))
    }

    /// A value as the scenario writes it.
    fn text(&self, value: f64) -> String {
        // Ten digits are more than anybody knows of a number that is not known for sure.
        let value: f64 = format!("{value:.9e}").parse().unwrap_or(value);
        match (self.whole, self.unit.is_empty()) {
            (true, _) => format!("{}", value.round()),
            (false, true) => toml_edit::Value::from(value).to_string(),
            (false, false) => format!("\"{value}{}\"", self.unit),
        }
    }
}

/// Puts the middle of every uncertain number in its place, in the tree and in the document that is written out.
pub fn settle(root: &mut Node, document: &mut DocumentMut, reading: &mut Reading) -> Vec<Uncertain> {
    let mut found = Vec::new();
    walk(root, &mut Vec::new(), String::new(), &mut found, reading);
    for (steps, uncertain) in &found {
        let text = uncertain.text(uncertain.spread.mid());
        if let Ok(value) = text.parse::<toml_edit::Value>() {
            set::write(document, steps, value);
        }
    }
    found.into_iter().map(|(_, uncertain)| uncertain).collect()
}

fn walk(
    node: &mut Node,
    steps: &mut Vec<Step>,
    path: String,
    found: &mut Vec<(Vec<Step>, Uncertain)>,
    reading: &mut Reading,
) {
    if let Some(read) = read(node, &path, steps) {
        match read {
            Ok(uncertain) => {
                let text = uncertain.text(uncertain.spread.mid());
                let Place { source, start, .. } = node.place;
                let place = node.place;
                node.value = super::dom::parse_value(&text, source, start).value;
                node.place = place;
                found.push((steps.clone(), uncertain));
            }
            Err(why) => reading.problem(
                Problem::error(node.place, format!("`{path}`: {why}"))
                    .help("an uncertain number is { low = 10, mid = 12, high = 20, confidence = 0.9 }, with units as \
                           in \"10/s\"; or { uncertain = \"normal\", mean, sd }, { uncertain = \"lognormal\", median, p90 }, \
                           { uncertain = \"uniform\", low, high }"),
            ),
        }
        return;
    }
    let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match &mut node.value {
        Value::Table(entries) => {
            for (key, entry) in entries {
                if (path.is_empty() && key == "plan") || OWN_DISTRIBUTIONS.contains(&key.as_str()) {
                    continue;
                }
                steps.push(Step::Key(key.clone()));
                walk(&mut entry.node, steps, join(key), found, reading);
                steps.pop();
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                let path = item.name().map_or_else(|| format!("{path}[{index}]"), join);
                steps.push(Step::Index(index));
                walk(item, steps, path, found, reading);
                steps.pop();
            }
        }
        _ => {}
    }
}

/// Reads an uncertain number; `None` where the node is none.
fn read(node: &Node, path: &str, steps: &[Step]) -> Option<Result<Uncertain, String>> {
    let entries = node.entries()?;
    let has = |key: &str| entries.contains_key(key);
    let range = has("low") && has("mid") && has("high");
    let dist = match entries.get("uncertain").map(|entry| &entry.node.value) {
        Some(Value::Text(name)) => Some(name.as_str()),
        _ => None,
    };
    if !range && dist.is_none() {
        return None;
    }
    type Make = fn(&[f64], f64) -> Spread;
    let (keys, make): (&[&str], Make) = match dist {
        None => (&["low", "mid", "high"], |v, confidence| Spread::Range {
            low: v[0],
            mid: v[1],
            high: v[2],
            confidence,
        }),
        Some("normal") => (&["mean", "sd"], |v, _| Spread::Normal { mean: v[0], sd: v[1] }),
        Some("lognormal") => (&["median", "p90"], |v, _| Spread::LogNormal { median: v[0], p90: v[1] }),
        Some("uniform") => (&["low", "high"], |v, _| Spread::Uniform { low: v[0], high: v[1] }),
        Some(other) => return Some(Err(format!("there is no distribution `{other}` of uncertain numbers"))),
    };
    let known =
        |key: &String| keys.contains(&key.as_str()) || key == "uncertain" || (range && key == "confidence");
    if let Some(key) = entries.keys().find(|key| !known(key)) {
        return Some(Err(format!("an uncertain number has no key `{key}`")));
    }
    Some(numbers(entries, keys).and_then(|(values, unit, whole)| {
        let confidence = match entries.get("confidence").map(|entry| &entry.node.value) {
            None => CONFIDENCE,
            Some(value) => {
                super::kinds::number(value).map_err(|_| "`confidence` must be a number".to_owned())?
            }
        };
        let spread = make(&values, confidence);
        if !spread.is_sound() {
            return Err(
                "its ends and its middle must rise, and a confidence be above 0 and below 1".to_owned()
            );
        }
        // Counts of nodes, replicas and the like: whole in the file, whole in every draw.
        let last = steps.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        });
        let priced = last.is_some_and(|key| key.contains("usd") || key == "price" || key.contains("demand"));
        Ok(Uncertain { path: path.to_owned(), unit, spread, whole: whole && !priced })
    }))
}

/// The numbers under some keys, their common unit, and whether all are whole.
fn numbers(entries: &Entries, keys: &[&str]) -> Result<(Vec<f64>, String, bool), String> {
    let mut values = Vec::new();
    let mut unit: Option<String> = None;
    let mut whole = true;
    for key in keys {
        let entry = entries.get(*key).ok_or_else(|| format!("it has no `{key}`"))?;
        let (value, of) = match &entry.node.value {
            Value::Text(text) => {
                whole = false;
                let at =
                    text.find(|c: char| !(c.is_ascii_digit() || "+-.eE_".contains(c))).unwrap_or(text.len());
                let number =
                    text[..at].parse::<f64>().map_err(|_| format!("`{key}` is no number with a unit"))?;
                (number, text[at..].to_owned())
            }
            value => {
                whole &= matches!(value, Value::Integer(_));
                let number = super::kinds::number(value).map_err(|_| format!("`{key}` must be a number"))?;
                (number, String::new())
            }
        };
        if unit.as_ref().is_some_and(|unit| *unit != of) {
            return Err("its numbers have different units".to_owned());
        }
        unit = Some(of);
        values.push(value);
    }
    Ok((values, unit.unwrap_or_default(), whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        let range = Spread::Range { low: 10.0, mid: 12.0, high: 20.0, confidence: 0.9 };
        for (share, value) in [(0.05, 10.0), (0.5, 12.0), (0.95, 20.0)] {
            assert!((range.quantile(share) - value).abs() < 1e-9, "{share}");
        }
        let across = Spread::Range { low: -1.0, mid: 0.0, high: 2.0, confidence: 0.5 };
        assert!((across.quantile(0.25) + 1.0).abs() < 1e-9 && (across.quantile(0.75) - 2.0).abs() < 1e-9);
        let log = Spread::LogNormal { median: 5.0, p90: 10.0 };
        assert!((log.quantile(0.9) - 10.0).abs() < 1e-9);
        assert!((Spread::Uniform { low: 1.0, high: 3.0 }.quantile(0.25) - 1.5).abs() < 1e-12);
        let normal = Spread::Normal { mean: 4.0, sd: 1.0 };
        assert!((normal.quantile(0.841_344_746_068_543) - 5.0).abs() < 1e-9);
    }
}
