//! Replicas by a forecast of demand: enough for what is expected by the time that new replicas are ready.
//!
//! The law is this program's own; the forecasts are textbook ones (see [`super::forecast`]).
//!
//! | rule | test |
//! |---|---|
//! | replicas = ceil(largest of now and the forecasts up to the horizon × (1 + margin) ÷ target) | `looks_ahead` |
//! | fewer only once that has held for the delay | `looks_ahead` |
//! | bounds | `looks_ahead` |

use super::forecast::{Forecast, Model};
use super::{CannotScale, Decision, Observation, Scale, ceil_replicas};
use crate::policies::{Policy, Reason};
use crate::units::{Duration, Instant};

/// A predictive law's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictiveConfig {
    /// The metric that is forecast, a total over the deployment.
    pub metric: String,
    /// How much of it a replica takes; above zero.
    pub target: f64,
    /// How it is forecast; a step is a tick.
    pub model: Model,
    /// How many ticks ahead.
    pub horizon: usize,
    /// Share added to the forecast.
    pub margin: f64,
    /// Fewest replicas.
    pub min: u32,
    /// Most replicas.
    pub max: u32,
    /// How long a wish for less has to hold.
    pub down_delay: Duration,
}

/// A predictive law with what it remembers.
#[derive(Debug, Clone)]
pub struct Predictive {
    config: PredictiveConfig,
    forecast: Forecast,
    fewer_since: Option<Instant>,
}

impl Predictive {
    /// A law that has seen nothing.
    pub const fn new(config: PredictiveConfig) -> Self {
        let forecast = Forecast::new(config.model);
        Self { config, forecast, fewer_since: None }
    }

    /// The metric that it forecasts.
    pub fn metric(&self) -> &str {
        &self.config.metric
    }

    /// How many ticks ahead it looks.
    pub const fn horizon(&self) -> usize {
        self.config.horizon
    }
}

impl Policy for Predictive {
    type Observation<'a> = Observation;
    type Decision = Decision;

    fn decide(&mut self, now: Instant, observation: &Observation) -> (Decision, Reason) {
        let config = &self.config;
        let Some(value) = observation.value(&[&config.metric]) else {
            return (Err(CannotScale(format!("no {} reported", config.metric))), Reason("no metrics"));
        };
        self.forecast.observe(value);
        let ahead = |steps| self.forecast.ahead(steps).unwrap_or(value);
        let expected = (1..=config.horizon).map(ahead).fold(value, f64::max);
        let raw = ceil_replicas(expected * (1.0 + config.margin) / config.target);
        let mut scale = Scale::wish(raw);
        scale.figures.push(("observed", value));
        scale.figures.push(("forecast", ahead(config.horizon)));
        scale.limit(raw.clamp(config.min, config.max.max(config.min)), "bounds");
        let current = observation.replicas;
        let reason = if expected > value { "the forecast" } else { "the demand of now" };
        if scale.desired >= current {
            self.fewer_since = None;
            return (Ok(scale), Reason(reason));
        }
        let since = *self.fewer_since.get_or_insert(now);
        if now.since(since) < config.down_delay {
            scale.limit(current, "down_delay");
        }
        (Ok(scale), Reason(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_ahead() {
        let mut law = Predictive::new(PredictiveConfig {
            metric: "rps".to_owned(),
            target: 2.0,
            model: Model::SeasonalNaive { season: 4 },
            horizon: 2,
            margin: 0.5,
            min: 1,
            max: 20,
            down_delay: Duration::from_secs(60),
        });
        let mut decide = |tick: u64, replicas, rps| {
            let now = Instant::ZERO + Duration::from_secs(60) * tick;
            let scale = law.decide(now, &Observation::of(replicas).with("rps", rps)).0.unwrap();
            (scale.desired, scale.figures[1].1)
        };
        // 4 rps · 1.5 / 2 = 3. Nothing is known of the season: the forecast is the last.
        assert_eq!(decide(0, 1, 4.0), (3, 4.0));
        assert_eq!(decide(1, 3, 16.0), (12, 16.0));
        // Fewer after a minute.
        assert_eq!(decide(2, 12, 4.0), (12, 4.0));
        // The season is known: one ahead 4, two ahead 16.
        assert_eq!(decide(3, 12, 4.0), (12, 16.0));
        assert_eq!(decide(4, 3, 4.0), (12, 4.0));
        // Two ahead: 4 and 4, of now 40, bounded.
        assert_eq!(decide(5, 12, 40.0), (20, 4.0));
    }
}
