//! `fleetsim estimate`: closed-form economics, each number with its formula or its source.

use std::fmt::Write as _;

use clap::Subcommand;

use super::Failure;
use super::figures::table;
use crate::catalog::{Catalog, Precision, Purchase};
use crate::estimate::choice::{ARTICLES, Choice, find};
use crate::estimate::{Known, OutOfRange, Unit, Worksheet};
use crate::report::format::{fixed, si};

mod inference;
mod memory;
mod own;
mod query;
mod training;

/// Calculate without simulating: what published articles calculate, with your own numbers.
///
/// Every input has a default with its source. Numbers may be written 175e9, 175B or 1.5T. Where published
/// calculations differ, an input takes the name of a choice, as in --utilization palm-2022.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    /// Print JSON: inputs with sources, results with formulas.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    Inference(inference::Args),
    Training(training::Args),
    Memory(memory::Args),
    Query(query::Args),
    Own(own::Args),
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let sheet = match &args.what {
        What::Inference(args) => args.worksheet(),
        What::Training(args) => args.worksheet(),
        What::Memory(args) => args.worksheet(),
        What::Query(args) => args.worksheet(),
        What::Own(args) => args.worksheet(),
    }?;
    super::print(&if args.json { json(&sheet)? } else { text(&sheet) })
}

fn json(sheet: &Worksheet) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(sheet);
    text.map(|text| text + "\n").map_err(|error| Failure::Failed(format!("cannot write JSON: {error}")))
}

fn text(sheet: &Worksheet) -> String {
    let mut text = format!("{}\n", sheet.title);
    for (heading, basis, lines) in [("input", "source", &sheet.inputs), ("result", "formula", &sheet.results)]
    {
        let rows = lines
            .iter()
            .map(|line| vec![line.name.to_owned(), shown(line.value, line.unit), line.basis.clone()]);
        let header = [heading, "value", basis].map(str::to_owned);
        let _ = write!(text, "\n{}", table(&header, rows.collect(), 3));
    }
    for note in &sheet.notes {
        let _ = write!(text, "\nNote: {note}\n");
    }
    let cited = |name: &str| sheet.inputs.iter().any(|line| line.basis.contains(name));
    for (name, what) in ARTICLES.iter().filter(|(name, _)| cited(name)) {
        let _ = write!(text, "\n{name}: {what}");
    }
    text.trim_end().to_owned() + "\n"
}

/// A number with its unit, as people read it.
fn shown(value: f64, unit: Unit) -> String {
    let number = match unit {
        Unit::Share => return crate::report::format::percent(value),
        Unit::Cards | Unit::Nodes if value.abs() < 1e6 => fixed(value, 0),
        _ if value != 0.0 && value.abs() < 0.1 => significant(value),
        _ if value.abs() < 1e6 => fixed(value, if value.abs() < 1000.0 { 3 } else { 0 }),
        Unit::Seconds => format!("{value:.3e}"),
        // Beyond a peta nobody says the prefix.
        _ if value.abs() >= 1e18 => format!("{value:.3e}"),
        _ => return large(&si(value), unit),
    };
    format!("{} {}", trim(&number), unit.name()).trim_end().to_owned()
}

/// `350 GB` where the unit takes prefixes, `175B parameters` where it does not.
fn large(number: &str, unit: Unit) -> String {
    let digits = number.trim_end_matches(char::is_alphabetic);
    let prefix = &number[digits.len()..];
    match unit {
        Unit::Bytes | Unit::BytesPerSecond | Unit::Flop | Unit::FlopPerSecond => {
            format!("{digits} {prefix}{}", unit.name())
        }
        _ => format!("{digits}{} {}", if prefix == "G" { "B" } else { prefix }, unit.name()),
    }
}

/// Four significant digits of a small number.
fn significant(value: f64) -> String {
    let magnitude = libm::floor(libm::log10(value.abs())) as i32;
    fixed(value, usize::try_from(3 - magnitude).unwrap_or(3).min(12))
}

/// Without zeros at the end of a fraction.
fn trim(number: &str) -> &str {
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || b".,-".contains(&byte));
    if plain && number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

impl From<OutOfRange> for Failure {
    fn from(wrong: OutOfRange) -> Self {
        Self::BadInput(format!("error: {wrong}"))
    }
}

/// A number as people write it: `175e9`, `175B`, `1.5T`.
fn number(text: &str) -> Option<f64> {
    let suffixes = [('k', 1e3), ('M', 1e6), ('B', 1e9), ('b', 1e9), ('G', 1e9), ('T', 1e12)];
    let (digits, factor) = suffixes
        .iter()
        .find_map(|(suffix, factor)| Some((text.strip_suffix(*suffix)?, *factor)))
        .unwrap_or((text, 1.0));
    digits.trim().parse::<f64>().ok().filter(|value| value.is_finite()).map(|value| value * factor)
}

/// A flag that is a number or the name of a choice; the first choice when it is not given.
fn chosen(flag: &str, given: Option<&str>, choices: &[Choice], unit: Unit) -> Result<Known, Failure> {
    let Some(text) = given else {
        return Ok(choices.first().map_or_else(|| Known::new(0.0, unit, ""), |choice| choice.known(unit)));
    };
    if let Some(choice) = find(choices, text) {
        return Ok(choice.known(unit));
    }
    number(text).map(|value| Known::new(value, unit, "given")).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|choice| choice.name).collect();
        Failure::BadInput(format!(
            "error: --{flag} is `{text}`; give a number, or one of {}",
            names.join(", ")
        ))
    })
}

/// A flag that is a number, with a default and where that comes from.
fn plain(flag: &str, given: Option<&str>, unit: Unit, default: f64, source: &str) -> Result<Known, Failure> {
    match optional(flag, given, unit)? {
        Some(known) => Ok(known),
        None => Ok(Known::new(default, unit, source)),
    }
}

/// A flag that is a number, or absent.
fn optional(flag: &str, given: Option<&str>, unit: Unit) -> Result<Option<Known>, Failure> {
    given
        .map(|text| {
            number(text).map(|value| Known::new(value, unit, "given")).ok_or_else(|| {
                let message =
                    format!("error: --{flag} is `{text}`; give a number, as in 1024, 175e9 or 175B");
                Failure::BadInput(message)
            })
        })
        .transpose()
}

/// A figure given in another unit than it is counted in: `factor` of the one for each of the other.
fn scaled(known: Known, factor: f64, unit: Unit) -> Known {
    Known { value: known.value * factor, unit, ..known }
}

/// The model whose parameters are counted.
#[derive(Debug, clap::Args)]
struct ModelArgs {
    /// Parameters of the model.
    #[arg(long, value_name = "N", conflicts_with = "model")]
    parameters: Option<String>,
    /// A model of the catalogue, for its parameters.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
}

impl ModelArgs {
    /// Parameters in memory, and those that a token meets.
    fn parameters(&self, catalog: &Catalog) -> Result<(Known, Known), Failure> {
        let Some(name) = &self.model else {
            let gpt3 = "GPT-3, a16z 2023";
            let known = plain("parameters", self.parameters.as_deref(), Unit::Parameters, 175e9, gpt3)?;
            return Ok((known.clone(), known));
        };
        let model = catalog.model(name).map_err(|error| Failure::BadInput(format!("error: {error}")))?;
        let unknown = |error| Failure::BadInput(format!("error: {error}"));
        let source = |figure: &str| format!("{figure} of {} in the catalogue", model.name);
        let all = model.parameters().map_err(unknown)?;
        let active = model.active_parameters().map_err(unknown)?;
        Ok((
            Known::new(all as f64, Unit::Parameters, source("parameters")),
            Known::new(active as f64, Unit::Parameters, source("active parameters")),
        ))
    }
}

/// The card and what its hour costs.
#[derive(Debug, clap::Args)]
struct CardArgs {
    /// A card of the catalogue, for its peak, memory, bandwidth and power.
    #[arg(long, value_name = "NAME")]
    accelerator: Option<String>,
    /// The precision whose peak of the card counts.
    #[arg(long, value_name = "NAME", default_value = "fp16")]
    precision: String,
    /// Peak TFLOPS of a card.
    #[arg(long, value_name = "N")]
    peak_tflops: Option<String>,
    /// Share of the peak that is reached: a number, or gpt-3-2020, mt-nlg-2022, gpt-2-a100, palm-2022, peak.
    #[arg(long, value_name = "SHARE")]
    utilization: Option<String>,
    /// Price of a card's hour; the cheapest offer's when the accelerator is named. A number, or
    /// aws-p4-reserved-1y, a100-2023-04, tpu-v4-implied.
    #[arg(long, value_name = "USD", conflicts_with = "offer")]
    usd_per_card_hour: Option<String>,
    /// An offer of the catalogue, for its price (on demand) and its card.
    #[arg(long, value_name = "NAME")]
    offer: Option<String>,
}

/// A card as the closed forms need it.
struct Card {
    peak: Known,
    utilization: Known,
    hour: Known,
    memory: Option<(Known, Known)>,
    watts: Option<Known>,
}

impl CardArgs {
    fn card(&self, catalog: &Catalog) -> Result<Card, Failure> {
        let bad = |error: String| Failure::BadInput(format!("error: {error}"));
        let mut name = self.accelerator.clone();
        let mut hour = chosen(
            "usd-per-card-hour",
            self.usd_per_card_hour.as_deref(),
            choices::HOUR,
            Unit::UsdPerCardHour,
        )?;
        if let Some(offer) = &self.offer {
            let offer = catalog.offer(offer).map_err(|error| bad(error.to_string()))?;
            let price = offer.price(Purchase::OnDemand).map_err(|error| bad(error.to_string()))?;
            let cards = offer.accelerators_per_node().map_err(|error| bad(error.to_string()))?;
            let source = format!("{} on demand, {cards} cards a node, in the catalogue", offer.name);
            hour = Known::new(price.as_f64() / f64::from(cards), Unit::UsdPerCardHour, source);
            name.get_or_insert_with(|| offer.accelerator.clone());
        }
        let utilization =
            chosen("utilization", self.utilization.as_deref(), choices::UTILIZATION, Unit::Share)?;
        let given = optional("peak-tflops", self.peak_tflops.as_deref(), Unit::FlopPerSecond)?;
        let given = given.map(|known| scaled(known, 1e12, Unit::FlopPerSecond));
        let Some(name) = name else {
            let a100 = || Known::new(312e12, Unit::FlopPerSecond, "A100, FP16 tensor cores, a16z 2023");
            return Ok(Card {
                peak: given.unwrap_or_else(a100),
                utilization,
                hour,
                memory: None,
                watts: None,
            });
        };
        let card = catalog.accelerator(&name).map_err(|error| bad(error.to_string()))?;
        if self.offer.is_none() && self.usd_per_card_hour.is_none() {
            hour = cheapest(catalog, &card.name).ok_or_else(|| {
                bad(format!("the catalogue has no price of {}; give --usd-per-card-hour", card.name))
            })?;
        }
        let precision = Precision::parse(&self.precision).map_err(|error| bad(error.to_string()))?;
        let source = |figure: &str| format!("{figure} of {} in the catalogue", card.name);
        let peak = match given {
            Some(peak) => peak,
            None => {
                let peak = card.peak(precision).map_err(|error| bad(error.to_string()))?;
                Known::new(peak.as_f64(), Unit::FlopPerSecond, source(&format!("{precision} peak")))
            }
        };
        let memory = card.memory().ok().zip(card.memory_bandwidth().ok()).map(|(memory, bandwidth)| {
            (
                Known::new(memory.0 as f64, Unit::Bytes, source("memory")),
                Known::new(bandwidth.as_f64(), Unit::BytesPerSecond, source("memory bandwidth")),
            )
        });
        let watts = card.tdp().ok().map(|watts| Known::new(watts.as_f64(), Unit::Watts, source("TDP")));
        Ok(Card { peak, utilization, hour, memory, watts })
    }
}

/// The lowest price of a card's hour on demand.
fn cheapest(catalog: &Catalog, accelerator: &str) -> Option<Known> {
    let own = |name: &str| catalog.accelerator(name).is_ok_and(|card| card.name == accelerator);
    let prices = catalog.offers().filter(|offer| own(&offer.accelerator)).filter_map(|offer| {
        let cards = offer.accelerators_per_node().ok()?;
        Some((offer.price(Purchase::OnDemand).ok()?.as_f64() / f64::from(cards), &offer.name))
    });
    let (price, name) = prices.min_by(|a, b| a.0.total_cmp(&b.0))?;
    let source = format!("{name} on demand, the cheapest in the catalogue");
    Some(Known::new(price, Unit::UsdPerCardHour, source))
}

/// The choices of flags that several calculations share.
mod choices {
    pub(super) use crate::estimate::choice::{CARD_HOUR as HOUR, UTILIZATION};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_write_them() {
        assert_eq!(number("175e9"), Some(175e9));
        assert_eq!(number("175B"), Some(175e9));
        assert_eq!(number("1.5T"), Some(1.5e12));
        assert_eq!(number("70b"), Some(70e9));
        assert_eq!(number("many"), None);
        assert_eq!(number("inf"), None);
    }

    #[test]
    fn numbers_as_people_read_them() {
        assert_eq!(shown(0.003_515, Unit::Usd), "0.003515 USD");
        assert_eq!(shown(5.267, Unit::Seconds), "5.267 s");
        assert_eq!(shown(3504.0, Unit::KilowattHours), "3,504 kWh");
        assert_eq!(shown(3.15e23, Unit::Flop), "3.150e23 FLOP");
        assert_eq!(shown(350e9, Unit::Bytes), "350 GB");
        assert_eq!(shown(312e12, Unit::FlopPerSecond), "312 TFLOP/s");
        assert_eq!(shown(175e9, Unit::Parameters), "175B parameters");
        assert_eq!(shown(0.0, Unit::Usd), "0 USD");
        assert_eq!(shown(5.0, Unit::Cards), "5 cards");
    }
}
