//! How long prompts and outputs are.

mod file;
mod sampler;

use std::path::PathBuf;

pub(super) use sampler::{Bounded, LengthSampler};

use super::error::Problem;
use super::trace::TraceFormat;

/// The longest request that is taken seriously: ten million tokens, the largest context window that anybody
/// advertises (Llama 4 Scout).
pub(super) const MAX_TOKENS: u32 = 10_000_000;

/// How long prompts and outputs are.
#[derive(Debug, Clone, PartialEq)]
pub enum Lengths {
    /// Prompt and output are independent of each other.
    Independent {
        /// Tokens of the prompt.
        prompt: Length,
        /// Tokens of the output.
        output: Length,
    },
    /// Prompt and output belong together.
    Joint(JointLengths),
}

/// A distribution of lengths in tokens, cut to `min`..=`max` (a sample outside takes the bound).
#[derive(Debug, Clone, PartialEq)]
pub struct Length {
    /// The distribution; samples are rounded to the nearest whole token.
    pub dist: LengthDist,
    /// The shortest, at least 1.
    pub min: u32,
    /// The longest, at most ten million.
    pub max: u32,
}

/// A distribution of lengths, in tokens.
#[derive(Debug, Clone, PartialEq)]
pub enum LengthDist {
    /// Always the same.
    Constant(u32),
    /// Every whole number from `low` to `high` with the same probability.
    Uniform {
        /// The least.
        low: u32,
        /// The greatest.
        high: u32,
    },
    /// The logarithm is normal.
    LogNormal(LogNormal),
    /// The number of trials to the first success: 1, 2, 3, ... with the given mean; what a memoryless end
    /// of text gives.
    Geometric {
        /// The mean, at least 1.
        mean: f64,
    },
    /// From a CSV file, plain or gzip. With the columns `quantile` (0 to 1, rising) and `tokens` it is a
    /// quantile table, interpolated linearly. Otherwise it is raw values, resampled with replacement: the
    /// column named by `column`, or the only column; a header is optional when there is one column.
    Empirical {
        /// The file.
        file: PathBuf,
        /// The column with the values.
        column: Option<String>,
    },
}

/// A log-normal distribution, by the figures that people have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LogNormal {
    /// By median and 99th percentile, both in tokens.
    MedianP99 {
        /// The median.
        median: f64,
        /// The 99th percentile, not below the median.
        p99: f64,
    },
    /// By mean in tokens and coefficient of variation.
    MeanCv {
        /// The mean.
        mean: f64,
        /// Standard deviation over mean, not negative.
        cv: f64,
    },
}

/// Prompt and output lengths that belong together.
#[derive(Debug, Clone, PartialEq)]
pub enum JointLengths {
    /// Pairs resampled with replacement from a request trace in any format that traces may have. The file's
    /// pairs are kept in memory, 8 bytes each.
    File {
        /// The file.
        file: PathBuf,
        /// Its format; told from its header when not given.
        format: Option<TraceFormat>,
    },
    /// Both log-normal, with the given correlation of their logarithms.
    LogNormal {
        /// Tokens of the prompt.
        prompt: LogNormal,
        /// Tokens of the output.
        output: LogNormal,
        /// From -1 to 1.
        correlation: f64,
    },
}

impl Length {
    /// The distribution with no bounds but those that every length has.
    pub fn new(dist: LengthDist) -> Self {
        Self { dist, min: 1, max: MAX_TOKENS }
    }

    /// Always `tokens`.
    pub fn constant(tokens: u32) -> Self {
        Self::new(LengthDist::Constant(tokens))
    }

    pub(super) fn check(&self, key: &str, problems: &mut Vec<Problem>) {
        let mut problem = |name: &str, what: String, help: &str| {
            problems.push(Problem::new(name, what, help).under(key));
        };
        let in_range = |tokens: u32| (1..=MAX_TOKENS).contains(&tokens);
        if !in_range(self.min) {
            problem("min", format!("the shortest is {}", self.min), "give 1 to 10000000 tokens");
        }
        if !in_range(self.max) {
            problem("max", format!("the longest is {}", self.max), "give 1 to 10000000 tokens");
        } else if self.min > self.max {
            problem(
                "max",
                format!("the longest, {}, is below the shortest, {}", self.max, self.min),
                "swap them",
            );
        }
        match &self.dist {
            LengthDist::Constant(tokens) if !in_range(*tokens) => {
                problem("", format!("the length is {tokens}"), "give 1 to 10000000 tokens");
            }
            LengthDist::Uniform { low, high } => {
                for (name, tokens) in [("low", *low), ("high", *high)] {
                    if !in_range(tokens) {
                        problem(name, format!("the bound is {tokens}"), "give 1 to 10000000 tokens");
                    }
                }
                if low > high {
                    problem("high", format!("{high} is below low, {low}"), "swap them");
                }
            }
            LengthDist::LogNormal(log_normal) => log_normal.check(key, problems),
            LengthDist::Geometric { mean } if !(1.0..=f64::from(MAX_TOKENS)).contains(mean) => {
                problem("mean", format!("the mean is {mean}"), "give 1 to 10000000 tokens");
            }
            _ => {}
        }
    }
}

impl LogNormal {
    /// The mean and the standard deviation of the logarithm.
    pub(super) fn mu_sigma(self) -> (f64, f64) {
        // The 99 % quantile of the standard normal distribution.
        const Z99: f64 = 2.326_347_874_040_841;
        match self {
            Self::MedianP99 { median, p99 } => (libm::log(median), libm::log(p99 / median) / Z99),
            Self::MeanCv { mean, cv } => {
                let variance = libm::log1p(cv * cv);
                (libm::log(mean) - variance / 2.0, variance.sqrt())
            }
        }
    }

    fn check(self, key: &str, problems: &mut Vec<Problem>) {
        let mut problem = |name: &str, what: String, help: &str| {
            problems.push(Problem::new(name, what, help).under(key));
        };
        let usable = |tokens: f64| (0.1..=f64::from(MAX_TOKENS)).contains(&tokens);
        let help = "give a number of tokens up to 10000000";
        match self {
            Self::MedianP99 { median, p99 } => {
                if !usable(median) {
                    problem("median", format!("the median is {median}"), help);
                }
                if !usable(p99) {
                    problem("p99", format!("the 99th percentile is {p99}"), help);
                } else if p99 < median {
                    problem(
                        "p99",
                        format!("the 99th percentile, {p99}, is below the median, {median}"),
                        "raise it",
                    );
                }
            }
            Self::MeanCv { mean, cv } => {
                if !usable(mean) {
                    problem("mean", format!("the mean is {mean}"), help);
                }
                if !(0.0..=100.0).contains(&cv) {
                    problem("cv", format!("the coefficient of variation is {cv}"), "give 0 to 100");
                }
            }
        }
    }
}

impl Lengths {
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        match self {
            Self::Independent { prompt, output } => {
                prompt.check("prompt_tokens", problems);
                output.check("output_tokens", problems);
            }
            Self::Joint(JointLengths::File { .. }) => {}
            Self::Joint(JointLengths::LogNormal { prompt, output, correlation }) => {
                prompt.check("lengths.prompt", problems);
                output.check("lengths.output", problems);
                if !(-1.0..=1.0).contains(correlation) {
                    problems.push(Problem::new(
                        "lengths.correlation",
                        format!("the correlation is {correlation}"),
                        "give -1 to 1",
                    ));
                }
            }
        }
    }
}
