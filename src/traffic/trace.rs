//! Recorded traces: their formats, and what part of them is replayed how often.

mod fields;
mod header;
mod lines;
mod open;
mod reader;
mod replay;

use std::fmt;
use std::path::PathBuf;

pub(super) use fields::tokens;
pub(super) use lines::Lines;
use open::open;
pub use reader::{TraceReader, TraceRow};
pub(super) use replay::Replay;

use super::error::Problem;
use crate::units::Duration;

/// Each copy keeps the file open; systems allow 1024 open files or more.
const COPIES_MAX: u32 = 256;

/// A recorded trace to replay.
///
/// Trace time is 0 at the trace's first arrival, except in the generic CSV, whose `arrival_s` already counts
/// from the run's beginning. `from` and `to` cut a window out of it; the run's beginning is at `from`. The
/// window (or what is left of the trace) then has a period: `period` if stated, else `to` − `from` if `to`
/// is stated, else the last arrival plus the mean interval, so that a repetition does not bunch or tear the
/// seam. Copies are superposed: copy 0 as recorded, every other one shifted circularly within the period by
/// a random offset of its own. At the end of the period the trace starts again with `repeat`, and is silent
/// without. Last, `speed_up` divides all times.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceConfig {
    /// The file, plain or gzip.
    pub file: PathBuf,
    /// Its format; told from its first line when not given.
    pub format: Option<TraceFormat>,
    /// Only the rows of this stream, where the generic CSV has a column `stream`.
    pub stream: Option<String>,
    /// Leave out what is earlier in the trace.
    pub from: Duration,
    /// Leave out what is at this time of the trace or later.
    pub to: Option<Duration>,
    /// Start again at the end, for as long as the run lasts.
    pub repeat: bool,
    /// The period of repetition and of the circular shift, in trace time.
    pub period: Option<Duration>,
    /// How many copies are superposed; 1 to 256, since each keeps the file open.
    pub copies: u32,
    /// How much faster than recorded; 2 halves all intervals. 1e-6 to 1e6.
    pub speed_up: f64,
}

/// The format of a recorded trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TraceFormat {
    /// CSV with TIMESTAMP (a date with up to nine decimals of a second), ContextTokens, GeneratedTokens:
    /// Azure/AzurePublicDataset, AzureLLMInferenceTrace of 2023 and 2024.
    AzureLlm2023,
    /// CSV with Timestamp (seconds), Model, Request tokens, Response tokens, Total tokens, Log Type, and in
    /// later releases Session ID and Elapsed time: HPMLL/BurstGPT. Rows with 0 response tokens are failed
    /// requests (its README); they are left out and counted.
    BurstGpt,
    /// JSON lines with timestamp (ms), input_length, output_length, hash_ids: kvcache-ai/Mooncake.
    Mooncake,
    /// CSV with arrival_s, prompt_tokens, output_tokens and optionally stream and session.
    Csv,
}

impl TraceFormat {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::AzureLlm2023, Self::BurstGpt, Self::Mooncake, Self::Csv];

    /// The name in scenarios and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AzureLlm2023 => "azure-llm-2023",
            Self::BurstGpt => "burstgpt",
            Self::Mooncake => "mooncake",
            Self::Csv => "csv",
        }
    }

    /// The format of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

impl fmt::Display for TraceFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl TraceConfig {
    /// The whole file once, as recorded.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            format: None,
            stream: None,
            from: Duration::ZERO,
            to: None,
            repeat: false,
            period: None,
            copies: 1,
            speed_up: 1.0,
        }
    }

    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        let mut problem =
            |key: &str, what: String, help: &str| problems.push(Problem::new(key, what, help).under("trace"));
        if !(1..=COPIES_MAX).contains(&self.copies) {
            problem("copies", format!("there are {} copies", self.copies), "give 1 to 256");
        }
        if !(1e-6..=1e6).contains(&self.speed_up) {
            problem(
                "speed_up",
                format!("the speed-up is {}", self.speed_up),
                "give 1e-6 to 1e6; 2 is twice as fast",
            );
        }
        if let Some(to) = self.to
            && to <= self.from
        {
            problem(
                "to",
                format!("the window ends at {to}, not after its beginning at {}", self.from),
                "give a later end",
            );
        }
        if let Some(period) = self.period {
            if period.is_zero() {
                problem("period", "the period is zero".to_owned(), "give a positive time, or leave it out");
            }
            if let Some(to) = self.to
                && to > self.from
                && period < to - self.from
            {
                problem(
                    "period",
                    format!("the period {period} is shorter than the window {}", to - self.from),
                    "lengthen it or shorten the window",
                );
            }
        }
    }
}
