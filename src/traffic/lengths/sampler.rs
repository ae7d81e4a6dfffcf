//! Draws lengths.

use super::file;
use super::{JointLengths, Length, LengthDist, Lengths};
use crate::sim::RandomStream;
use crate::traffic::TrafficError;
use crate::traffic::samplers::{exponential, normal};

/// Draws the lengths of prompts and outputs.
#[derive(Debug)]
pub(in crate::traffic) enum LengthSampler {
    Independent { prompt: Bounded, output: Bounded },
    Pairs(Vec<(u32, u32)>),
    LogNormal { prompt: (f64, f64), output: (f64, f64), correlation: f64, rest: f64 },
}

/// One length, cut to its bounds.
#[derive(Debug)]
pub(in crate::traffic) struct Bounded {
    sampler: Sampler,
    min: u32,
    max: u32,
}

#[derive(Debug)]
enum Sampler {
    Constant(u32),
    Uniform {
        low: u32,
        count: u64,
    },
    LogNormal {
        mu: f64,
        sigma: f64,
    },
    /// The ceiling of an exponential with this mean, −1/ln(1 − 1/mean).
    Geometric {
        scale: f64,
    },
    Values(Vec<u32>),
    Quantiles(Vec<(f64, f64)>),
}

impl LengthSampler {
    /// For parameters without problems.
    ///
    /// # Errors
    /// When a file cannot be read or its content is wrong.
    pub(in crate::traffic) fn new(lengths: &Lengths) -> Result<Self, TrafficError> {
        Ok(match lengths {
            Lengths::Independent { prompt, output } => {
                Self::Independent { prompt: Bounded::new(prompt)?, output: Bounded::new(output)? }
            }
            Lengths::Joint(JointLengths::File { file, format }) => Self::Pairs(file::pairs(file, *format)?),
            Lengths::Joint(JointLengths::LogNormal { prompt, output, correlation }) => Self::LogNormal {
                prompt: prompt.mu_sigma(),
                output: output.mu_sigma(),
                correlation: *correlation,
                rest: (1.0 - correlation * correlation).sqrt(),
            },
        })
    }

    /// Prompt and output tokens of the next request.
    pub(in crate::traffic) fn sample(&self, random: &mut RandomStream) -> (u32, u32) {
        match self {
            Self::Independent { prompt, output } => (prompt.sample(random), output.sample(random)),
            Self::Pairs(pairs) => pairs[random.below(pairs.len() as u64) as usize],
            Self::LogNormal { prompt, output, correlation, rest } => {
                let first = normal(random);
                let second = correlation * first + rest * normal(random);
                let tokens = |(mu, sigma): (f64, f64), normal: f64| {
                    rounded(libm::exp(mu + sigma * normal)).clamp(1, super::MAX_TOKENS)
                };
                (tokens(*prompt, first), tokens(*output, second))
            }
        }
    }
}

/// To the nearest whole number of tokens.
fn rounded(tokens: f64) -> u32 {
    (tokens + 0.5) as u32
}

impl Bounded {
    pub(in crate::traffic) fn new(length: &Length) -> Result<Self, TrafficError> {
        let sampler = match &length.dist {
            LengthDist::Constant(tokens) => Sampler::Constant(*tokens),
            LengthDist::Uniform { low, high } => {
                Sampler::Uniform { low: *low, count: u64::from(high - low) + 1 }
            }
            LengthDist::LogNormal(log_normal) => {
                let (mu, sigma) = log_normal.mu_sigma();
                Sampler::LogNormal { mu, sigma }
            }
            LengthDist::Geometric { mean } => Sampler::Geometric { scale: -1.0 / libm::log1p(-1.0 / mean) },
            LengthDist::Empirical { file, column } => match file::empirical(file, column.as_deref())? {
                file::Empirical::Values(values) => Sampler::Values(values),
                file::Empirical::Quantiles(table) => Sampler::Quantiles(table),
            },
        };
        Ok(Self { sampler, min: length.min, max: length.max })
    }

    pub(in crate::traffic) fn sample(&self, random: &mut RandomStream) -> u32 {
        let tokens = match &self.sampler {
            Sampler::Constant(tokens) => *tokens,
            Sampler::Uniform { low, count } => low + random.below(*count) as u32,
            Sampler::LogNormal { mu, sigma } => rounded(libm::exp(mu + sigma * normal(random))),
            Sampler::Geometric { scale } => (exponential(random) * scale).ceil() as u32,
            Sampler::Values(values) => values[random.below(values.len() as u64) as usize],
            Sampler::Quantiles(table) => rounded(interpolate(table, random.uniform())),
        };
        tokens.clamp(self.min, self.max)
    }
}

/// The value at `level` in a table of (quantile, value), which is not empty; constant outside the table.
fn interpolate(table: &[(f64, f64)], level: f64) -> f64 {
    let after = table.partition_point(|(quantile, _)| *quantile <= level);
    match (after.checked_sub(1), table.get(after)) {
        (None, _) => table[0].1,
        (Some(before), None) => table[before].1,
        (Some(before), Some((to, high))) => {
            let (from, low) = table[before];
            low + (high - low) * (level - from) / (to - from)
        }
    }
}
