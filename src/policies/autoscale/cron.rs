//! Times of the week in cron's five fields, as Kubernetes and KEDA take them (robfig/cron v3, standard parser).
//!
//! The simulated calendar has weeks and no months: day of month and month must be `*`.

use crate::units::Duration;

const MINUTE: u64 = 60_000_000_000;
const MINUTES_PER_WEEK: u64 = 7 * 24 * 60;

/// Minutes of the week: a minute matches when each field does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    /// Bit 0 is Sunday.
    days: u64,
}

/// What a field may be, and its names.
struct Field {
    what: &'static str,
    least: u64,
    most: u64,
    names: &'static [&'static str],
}

const MINUTES: Field = Field { what: "minute", least: 0, most: 59, names: &[] };
const HOURS: Field = Field { what: "hour", least: 0, most: 23, names: &[] };
const DAYS: Field = Field {
    what: "day of week",
    least: 0,
    most: 7,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

impl Cron {
    /// Reads `@hourly`, `@daily`, `@weekly` or
    /// `MINUTE HOUR * * DAY`, each a `*`, number, range `a-b`, step `a-b/n` or list of these; days also by
    /// their English names.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = match text.trim() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            other => other,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day_of_month, month, day] = fields[..] else {
            return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
        };
        for (field, what) in [(day_of_month, "day of month"), (month, "month")] {
            if field != "*" && field != "?" {
                return Err(format!(
                    "{what} is {field:?}: the simulated calendar has weeks only, so give `*`"
                ));
            }
        }
        let days = DAYS.parse(day)?;
        Ok(Self { minutes: MINUTES.parse(minute)?, hours: HOURS.parse(hour)?, days: days | days >> 7 & 1 })
    }

    /// The first matching minute strictly after `clock`, a time since some Monday 00:00; `None` when no minute
    /// of the week matches.
    pub fn next(&self, clock: Duration) -> Option<Duration> {
        let first = clock.as_nanos() / MINUTE + 1;
        let found = (first..first + MINUTES_PER_WEEK).find(|minute| self.matches(*minute))?;
        Some(Duration::from_nanos(found * MINUTE))
    }

    fn matches(&self, minute: u64) -> bool {
        // Monday is day 1 of cron's week.
        let day = (minute / (24 * 60) + 1) % 7;
        self.minutes >> (minute % 60) & 1 == 1
            && self.hours >> (minute / 60 % 24) & 1 == 1
            && self.days >> day & 1 == 1
    }
}

impl Field {
    fn parse(&self, text: &str) -> Result<u64, String> {
        text.split(',').map(|part| self.part(part)).try_fold(0, |bits, part| Ok(bits | part?))
    }

    fn part(&self, text: &str) -> Result<u64, String> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (text, None),
        };
        let step_by = match step {
            Some(step) => step.parse::<usize>().ok().filter(|step| *step > 0),
            None => Some(1),
        };
        let step_by = step_by.ok_or_else(|| format!("step of range should be a positive number: {text}"))?;
        let (from, to) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (self.least, self.most.min(self.most_of_star())),
            Some((from, to)) => (self.number(from)?, self.number(to)?),
            None if step.is_some() => (self.number(range)?, self.most_of_star()),
            None => (self.number(range)?, self.number(range)?),
        };
        if from > to {
            return Err(format!("beginning of range ({from}) beyond end of range ({to}): {text}"));
        }
        Ok((from..=to).step_by(step_by).fold(0, |bits, value| bits | 1 << value))
    }

    fn most_of_star(&self) -> u64 {
        if self.names.is_empty() { self.most } else { 6 }
    }

    fn number(&self, text: &str) -> Result<u64, String> {
        let named =
            self.names.iter().position(|name| name.eq_ignore_ascii_case(text)).map(|place| place as u64);
        let number = named.or_else(|| text.parse().ok());
        match number {
            Some(number) if (self.least..=self.most).contains(&number) => Ok(number),
            Some(number) => Err(format!(
                "{} {number} is out of range: it is from {} to {}",
                self.what, self.least, self.most
            )),
            None => Err(format!("failed to parse {} from {text:?}", self.what)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(text: &str, hours: f64) -> Option<f64> {
        let next = Cron::parse(text).unwrap().next(Duration::from_secs_f64(hours * 3600.0))?;
        Some(next.as_secs_f64() / 3600.0)
    }

    #[test]
    fn next_times() {
        // Time zero is Monday 00:00.
        assert_eq!(next("0 8 * * *", 0.0), Some(8.0));
        assert_eq!(next("0 8 * * *", 8.0), Some(32.0));
        assert_eq!(next("30 9 * * mon-fri", 4.0 * 24.0 + 10.0), Some(7.0 * 24.0 + 9.5));
        assert_eq!(next("0 0 * * 7", 0.0), Some(6.0 * 24.0));
        assert_eq!(next("*/15 * * * *", 0.1), Some(0.25));
        assert_eq!(next("0 6-18/6 * * *", 7.0), Some(12.0));
        assert_eq!(next("0 22,23 * * sat", 0.0), Some(5.0 * 24.0 + 22.0));
    }

    #[test]
    fn refusals() {
        for (text, part) in [
            ("0 8 * *", "expected exactly 5 fields"),
            ("60 8 * * *", "out of range"),
            ("0 8 1 * *", "weeks only"),
            ("0 9-8 * * *", "beyond end"),
            ("*/0 * * * *", "positive"),
            ("0 x * * *", "failed to parse hour"),
        ] {
            assert!(Cron::parse(text).unwrap_err().contains(part), "{text}: {:?}", Cron::parse(text));
        }
    }
}
