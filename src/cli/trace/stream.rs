//! `trace fit` of requests: a stream like the trace, as a scenario has it.

use std::fmt::Write as _;
use std::path::Path;

use super::{Failure, print};
use crate::traffic::TraceFormat;
use crate::traffic::describe::{Description, Distribution, describe};

/// Prints a `[[streams]]` fitted to a trace, or writes it to a file.
pub(super) fn fit(
    file: &Path,
    format: Option<TraceFormat>,
    name: &str,
    out: Option<&Path>,
) -> Result<(), Failure> {
    let text = stream(name, &describe(file, format)?)
        .map_err(|why| Failure::BadInput(format!("error: {} cannot be fitted: {why}", file.display())))?;
    match out {
        None => print::out(&text),
        Some(path) => std::fs::write(path, text).map_err(|error| {
            Failure::BadInput(format!("error: {} cannot be written: {error}", path.display()))
        }),
    }
}

/// The stream: the trace's mean rate, a gamma process of the same coefficient of variation of the times between
/// requests, log-normal lengths of the same median and 99th percentile, and the share of prompts that came before.
fn stream(name: &str, trace: &Description) -> Result<String, String> {
    let rate = trace.rate.ok_or("all of it is at one instant, or there is only one request")?;
    let mut text = String::from("[[streams]]\n");
    let mut line = |words: String| writeln!(text, "{words}").map_err(|error| error.to_string());
    line(format!("name = {name:?}"))?;
    line("model = \"llama-3.1-70b\"            # the trace does not say".to_owned())?;
    line(format!("rate = \"{:.4}/s\"", rate.as_per_second()))?;
    if let Some(cv) = trace.interval_cv {
        line(format!("arrivals = {{ process = \"gamma\", cv = {:.3} }}", cv.clamp(0.01, 100.0)))?;
    }
    for (key, lengths) in [("prompt_tokens", &trace.prompt_tokens), ("output_tokens", &trace.output_tokens)] {
        line(format!("{key} = {}", length(lengths)))?;
    }
    if let Some(blocks) = trace.blocks.filter(|blocks| blocks.seen_before > 0) {
        line("# What a cache without bound finds of the trace's prompts.".to_owned())?;
        line(format!("shared_prompt = {{ reuse = {:.4} }}", blocks.share().min(0.9999)))?;
    }
    Ok(text)
}

/// A log-normal length, or a number where all are alike.
fn length(lengths: &Distribution) -> String {
    let (median, p99) = (lengths.quantile(0.5).max(1), lengths.quantile(0.99).max(1));
    match p99 > median {
        true => format!("{{ dist = \"lognormal\", median = {median}, p99 = {p99} }}"),
        false => median.to_string(),
    }
}
