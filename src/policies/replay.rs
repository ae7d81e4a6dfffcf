//! Replay: one policy's decisions on recorded observations, JSON lines in and out.
//!
//! The policy is read from the file that its own project reads; observations are read here, once, into the
//! types that the simulation fills too.

mod law;
mod nodes;
mod observe;
mod prometheus;

pub use law::{LAWS, Law, LawInfo};
pub use prometheus::observations;

use serde_json::{Map, Value, json};

use crate::units::Instant;

/// Time zero of a recording, far enough from the beginning of time for what happened before it.
const EPOCH: Instant = Instant::from_nanos(1_000_000_000 * 1_000_000_000);

/// A recording that cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error: {file}:{line}: {message}")]
pub struct ReplayError {
    /// The file, as the user named it.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub message: String,
}

/// The instant of a `t_s`.
fn instant(seconds: f64) -> Result<Instant, String> {
    let nanos = (seconds * 1e9).round();
    if nanos.abs() > EPOCH.as_nanos() as f64 {
        return Err(format!("{seconds} s is out of range (31 years either way)"));
    }
    Ok(Instant::from_nanos(EPOCH.as_nanos().saturating_add_signed(nanos as i64)))
}

/// Feeds each line of `text` to the law; the answers, a line each.
///
/// # Errors
/// When a line is no JSON object, has a field of the wrong type, or goes back in time.
pub fn replay(law: &mut Law, file: &str, text: &str) -> Result<String, ReplayError> {
    let mut answers = String::new();
    let mut last = Instant::ZERO;
    let mut replicas = law.begins_with();
    for (i, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let fail = |message: String| ReplayError { file: file.to_owned(), line: i + 1, message };
        let value: Value =
            serde_json::from_str(line).map_err(|error| fail(format!("this is no JSON: {error}")))?;
        let Value::Object(fields) = value else {
            return Err(fail("each line has to be a JSON object {\"t_s\": .., ..}".to_owned()));
        };
        let seconds = fields.get("t_s").and_then(Value::as_f64);
        let seconds = seconds.ok_or_else(|| fail("t_s (a number of seconds) is missing".to_owned()))?;
        let now = instant(seconds).map_err(&fail)?;
        if now < last {
            let before = last.since(EPOCH).as_secs_f64();
            return Err(fail(format!("t_s goes back: {seconds} after {before}")));
        }
        last = now;
        let mut answer = Map::new();
        answer.insert("t_s".to_owned(), fields["t_s"].clone());
        law.answer(now, fields, &mut replicas, &mut answer).map_err(&fail)?;
        answers.push_str(&json!(answer).to_string());
        answers.push('\n');
    }
    Ok(answers)
}

/// A number as JSON, whole where it is.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { json!(value as i64) } else { json!(value) }
}
