//! How long prompts and outputs are.

use super::Surroundings;
use super::traffic::FORMATS;
use crate::scenario::kinds;
use crate::scenario::problem::Problem;
use crate::scenario::reader::TableReader;
use crate::traffic::{JointLengths, Length, LengthDist, LogNormal, TraceFormat};

#[derive(Clone, Copy)]
enum Dist {
    Constant,
    Uniform,
    LogNormal,
    Geometric,
    Empirical,
}

const DISTS: [(&str, Dist); 5] = [
    ("constant", Dist::Constant),
    ("uniform", Dist::Uniform),
    ("lognormal", Dist::LogNormal),
    ("geometric", Dist::Geometric),
    ("empirical", Dist::Empirical),
];

/// A length: a number of tokens, or a distribution.
pub fn length(
    t: &mut TableReader<'_>,
    key: &'static str,
    doc: &'static str,
    around: Surroundings<'_>,
) -> Option<Length> {
    t.short_or_table(key, &kinds::TOKENS, doc, Length::constant, |t| {
        let dist = t.tagged("dist", &DISTS, "The distribution.", |t, dist| match dist {
            Dist::Constant => {
                let tokens = t.required("tokens", &kinds::TOKENS, "The length.");
                Some(LengthDist::Constant(*tokens?))
            }
            Dist::Uniform => {
                let low = t.required("low", &kinds::TOKENS, "The least.");
                let high = t.required("high", &kinds::TOKENS, "The greatest.");
                Some(LengthDist::Uniform { low: *low?, high: *high? })
            }
            Dist::LogNormal => log_normal(t).map(LengthDist::LogNormal),
            Dist::Geometric => {
                let mean = t.required("mean", &kinds::POSITIVE, "The mean, at least 1.");
                Some(LengthDist::Geometric { mean: *mean? })
            }
            Dist::Empirical => {
                let file = t.required("file", &kinds::PATH, "A CSV file of values or of quantiles.");
                let column = t.optional("column", &kinds::TEXT, "The column with the values.");
                if let Some(file) = &file {
                    t.file_exists(file, &around.path(file), &[]);
                    t.absolute("file", &around.path(file));
                }
                Some(LengthDist::Empirical {
                    file: around.path(file.as_ref()?),
                    column: column.map(|c| c.value),
                })
            }
        });
        let min = t.optional("min", &kinds::TOKENS, "The shortest; 1 when absent.");
        let max = t.optional("max", &kinds::TOKENS, "The longest; ten million when absent.");
        let mut length = Length::new(dist?);
        length.min = min.map_or(length.min, |min| *min);
        length.max = max.map_or(length.max, |max| *max);
        Some(length)
    })
}

fn log_normal(t: &mut TableReader<'_>) -> Option<LogNormal> {
    let median = t.optional("median", &kinds::POSITIVE, "The median, with `p99`.");
    let p99 = t.optional("p99", &kinds::POSITIVE, "The 99th percentile, with `median`.");
    let mean = t.optional("mean", &kinds::POSITIVE, "The mean, with `cv`.");
    let cv = t.optional("cv", &kinds::NOT_NEGATIVE, "Standard deviation over mean, with `mean`.");
    let given = ["median", "p99", "mean", "cv"].map(|key| t.has(key));
    match given {
        [true, true, false, false] => Some(LogNormal::MedianP99 { median: *median?, p99: *p99? }),
        [false, false, true, true] => Some(LogNormal::MeanCv { mean: *mean?, cv: *cv? }),
        _ => {
            if !t.is_describing() {
                let message = format!("{} needs either `median` and `p99`, or `mean` and `cv`", t.noun());
                t.problem(Problem::error(t.place, message));
            }
            None
        }
    }
}

/// Prompt and output together.
pub fn joint(t: &mut TableReader<'_>, around: Surroundings<'_>) -> Option<JointLengths> {
    t.table("lengths", "Lengths of prompt and output that belong together.", |t| {
        let dists = [("lognormal", true), ("file", false)];
        t.tagged("dist", &dists, "How they are distributed.", |t, parametric| {
            if parametric {
                let prompt = t.table("prompt", "Tokens of a prompt.", log_normal);
                let output = t.table("output", "Tokens of an output.", log_normal);
                for key in ["prompt", "output"] {
                    if !t.is_describing() && !t.has(key) {
                        t.missing(key, "{ median, p99 } or { mean, cv }", "");
                    }
                }
                let doc = "Correlation of the logarithms, -1 to 1.";
                let correlation = t.required("correlation", &kinds::NUMBER, doc);
                return Some(JointLengths::LogNormal {
                    prompt: prompt?,
                    output: output?,
                    correlation: *correlation?,
                });
            }
            let file = t.required("file", &kinds::PATH, "A trace from whose requests pairs are resampled.");
            let format = format(t);
            if let Some(file) = &file {
                t.file_exists(file, &around.path(file), &[]);
                t.absolute("file", &around.path(file));
            }
            Some(JointLengths::File { file: around.path(file.as_ref()?), format })
        })
    })
}

/// The format of a trace; `None` when it is to be told from the first line.
pub fn format(t: &mut TableReader<'_>) -> Option<TraceFormat> {
    let names = FORMATS.map(|format| (format.name(), Some(format)));
    let names: Vec<_> = names.into_iter().chain([("auto", None)]).collect();
    let doc = "Its format; `auto` tells it from the first line.";
    t.choice("format", &names, &[], Some("auto"), doc).and_then(|format| *format)
}
