//! `[[apis]]`.

use super::supply::delay;
use super::tenant;
use crate::fleet::Delay;
use crate::scenario::dom::Value;
use crate::scenario::kinds;
use crate::scenario::problem::Problem;
use crate::scenario::reader::TableReader;
use crate::scenario::reading::{Kind, Sited, Unfit};
use crate::serving::TenantLimits;
use crate::units::{Duration, UsdPerMillionTokens};

/// A hosted API.
#[derive(Debug)]
pub struct RawApi {
    pub name: Sited<String>,
    pub hosted: Option<Sited<String>>,
    pub provider: Option<String>,
    pub input: Option<UsdPerMillionTokens>,
    pub output: Option<UsdPerMillionTokens>,
    pub limits: TenantLimits,
    pub concurrency: Option<u32>,
    pub latency: Duration,
    pub ttft: Delay,
    pub tpot: Delay,
}

/// US dollars per million tokens.
const PRICE: Kind<UsdPerMillionTokens> = Kind {
    what: "a price in US dollars per million tokens, such as 0.9",
    read: |value: &Value| {
        let number = kinds::number(value)?;
        if (0.0..=1e6).contains(&number) {
            return Ok(UsdPerMillionTokens::from_f64(number));
        }
        Err(Unfit::Value(format!("it is {number}; a price is from 0 to 1e6 US dollars per million tokens")))
    },
};

/// Reads one API.
pub fn read(t: &mut TableReader<'_>) -> Option<RawApi> {
    let name = t.required("name", &kinds::NAME, "Its name; streams name it under `overflow`.");
    let doc = "A hosted model of the catalogue, which says provider and prices, as \"openai/gpt-5.4-mini\".";
    let hosted = t.optional("hosted", &kinds::REFERENCE, doc);
    let provider = t.optional("provider", &kinds::NAME, "Who runs it, where `hosted` does not say.");
    let doc = "Price of prompt tokens, US dollars per million; that of `hosted` when absent.";
    let input = t.optional("input_price", &PRICE, doc);
    let doc = "Price of output tokens, US dollars per million; that of `hosted` when absent.";
    let output = t.optional("output_price", &PRICE, doc);
    if hosted.is_none() && !t.is_describing() {
        for key in ["input_price", "output_price"] {
            if !t.has(key) {
                t.missing(key, "What its tokens cost", "US dollars per million tokens, or a `hosted` model");
            }
        }
    }
    let limits = tenant::limits(t, false);
    let doc = "Requests that it answers at a time; what is beyond goes on as if there were no API.";
    let concurrency = t.optional("concurrency", &kinds::COUNT, doc);
    let latency =
        t.or("latency", &kinds::TIME, "\"0s\"", "On the way there and back, before its first token.");
    let needed = |t: &mut TableReader<'_>, key, doc| {
        let read = delay(t, key, doc);
        if read.is_none() && !t.has(key) && !t.is_describing() {
            t.missing(key, doc, "a time, or { dist = \"lognormal\", median = \"400ms\", p99 = \"2s\" }");
        }
        read
    };
    let ttft = needed(t, "ttft", "How long it takes to the first token: nobody publishes it, so measure it.");
    let tpot = needed(t, "tpot", "How long each further token takes; drawn for each request.");
    if let (Some(provider), Some(_)) = (&provider, &hosted) {
        let message = format!("{} has both `hosted` and `provider`", t.noun());
        t.problem(Problem::error(provider.place, message).help("take `provider` out: `hosted` says it"));
    }
    Some(RawApi {
        name: name?,
        hosted,
        provider: provider.map(|provider| provider.value),
        input: input.map(|price| *price),
        output: output.map(|price| *price),
        limits,
        concurrency: concurrency.map(|most| *most),
        latency: latency.map_or(Duration::ZERO, |latency| *latency),
        ttft: ttft?,
        tpot: tpot?,
    })
}
