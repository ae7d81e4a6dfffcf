//! Forecasts of a metric taken at even steps: seasonal naive, Holt-Winters, autoregressive.

/// How a metric is forecast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Model {
    /// What it was a season before.
    SeasonalNaive {
        /// Steps of a season; at least 1.
        season: usize,
    },
    /// Additive Holt-Winters: level, trend and season, each smoothed (Hyndman and Athanasopoulos, Forecasting:
    /// Principles and Practice, 3rd edition, section 8.3). Before two seasons are known: level and trend.
    HoltWinters {
        /// Steps of a season; at least 1.
        season: usize,
        /// Weight of the new level, 0 to 1.
        alpha: f64,
        /// Weight of the new trend, 0 to 1.
        beta: f64,
        /// Weight of the new season, 0 to 1.
        gamma: f64,
    },
    /// Autoregressive about the mean, its coefficients by the Yule-Walker equations (Levinson-Durbin) on the last
    /// observations.
    Autoregressive {
        /// How many observations before count; at least 1.
        order: usize,
        /// Observations that the coefficients rest on.
        window: usize,
    },
}

/// Forecasts with what they remember.
#[derive(Debug, Clone)]
pub struct Forecast {
    model: Model,
    /// The observations that are still needed, the last at the end.
    past: Vec<f64>,
    level: f64,
    trend: f64,
    /// Seasonal terms, by step of the season.
    seasonal: Vec<f64>,
    /// Observations so far.
    seen: usize,
}

impl Forecast {
    /// Nothing seen yet.
    pub const fn new(model: Model) -> Self {
        Self { model, past: Vec::new(), level: 0.0, trend: 0.0, seasonal: Vec::new(), seen: 0 }
    }

    /// An observation, a step after the one before.
    pub fn observe(&mut self, value: f64) {
        if let Model::HoltWinters { season, alpha, beta, gamma } = self.model {
            self.smooth(value, season, alpha, beta, gamma);
        }
        let keep = match self.model {
            Model::SeasonalNaive { season } => season,
            Model::HoltWinters { season, .. } => 2 * season,
            Model::Autoregressive { order, window } => window.max(order + 1),
        };
        self.past.push(value);
        if self.past.len() > keep {
            self.past.remove(0);
        }
        self.seen += 1;
        if let Model::HoltWinters { season, .. } = self.model
            && self.seen == 2 * season
        {
            self.begin_seasons(season);
        }
    }

    fn smooth(&mut self, value: f64, season: usize, alpha: f64, beta: f64, gamma: f64) {
        if self.seen == 0 {
            self.level = value;
            return;
        }
        let step = self.seen % season;
        let term = self.seasonal.get(step).copied().unwrap_or(0.0);
        let before = self.level;
        self.level = alpha * (value - term) + (1.0 - alpha) * (before + self.trend);
        let trend = self.trend;
        self.trend = beta * (self.level - before) + (1.0 - beta) * trend;
        if let Some(term) = self.seasonal.get_mut(step) {
            *term = gamma * (value - before - trend) + (1.0 - gamma) * *term;
        }
    }

    /// After two seasons: the level is the mean of the second, the trend what the means differ by, the seasonal
    /// terms the mean deviations.
    fn begin_seasons(&mut self, season: usize) {
        let (first, second) = self.past.split_at(season);
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let (one, two) = (mean(first), mean(second));
        self.seasonal = first.iter().zip(second).map(|(a, b)| ((a - one) + (b - two)) / 2.0).collect();
        self.level = two;
        self.trend = (two - one) / season as f64;
    }

    /// The forecast `steps` ahead of the last observation; `None` before the first. Never negative.
    pub fn ahead(&self, steps: usize) -> Option<f64> {
        let last = *self.past.last()?;
        let value = match self.model {
            Model::SeasonalNaive { season } => {
                let back = season - (steps.max(1) - 1) % season;
                self.past.len().checked_sub(back).map_or(last, |place| self.past[place])
            }
            Model::HoltWinters { season, .. } => {
                let step = (self.seen + steps.max(1) - 1) % season;
                let term = self.seasonal.get(step).copied().unwrap_or(0.0);
                self.level + self.trend * steps as f64 + term
            }
            Model::Autoregressive { order, .. } => self.autoregressive(order, steps),
        };
        Some(value.max(0.0))
    }

    fn autoregressive(&self, order: usize, steps: usize) -> f64 {
        let count = self.past.len();
        let last = self.past.last().copied().unwrap_or(0.0);
        if count < 2 * order + 2 {
            return last;
        }
        let mean = self.past.iter().sum::<f64>() / count as f64;
        let deviations: Vec<f64> = self.past.iter().map(|value| value - mean).collect();
        let covariance = |lag: usize| -> f64 {
            deviations.iter().skip(lag).zip(&deviations).map(|(a, b)| a * b).sum::<f64>() / count as f64
        };
        let covariances: Vec<f64> = (0..=order).map(covariance).collect();
        if covariances[0] <= 1e-12 * mean.abs().max(1.0) {
            return last;
        }
        let coefficients = levinson_durbin(&covariances);
        let mut recent: Vec<f64> = deviations[count - order..].iter().rev().copied().collect();
        for _ in 0..steps {
            let next = coefficients.iter().zip(&recent).map(|(a, x)| a * x).sum();
            recent.rotate_right(1);
            recent[0] = next;
        }
        mean + recent[0]
    }
}

/// The coefficients of an autoregression from its autocovariances, lags 0 to the order.
fn levinson_durbin(covariances: &[f64]) -> Vec<f64> {
    let mut coefficients: Vec<f64> = Vec::new();
    let mut error = covariances[0];
    for order in 1..covariances.len() {
        let explained: f64 =
            coefficients.iter().zip(covariances[1..order].iter().rev()).map(|(a, c)| a * c).sum();
        let reflection = if error > 0.0 { (covariances[order] - explained) / error } else { 0.0 };
        let before = coefficients.clone();
        for (a, b) in coefficients.iter_mut().zip(before.iter().rev()) {
            *a -= reflection * b;
        }
        coefficients.push(reflection);
        error *= 1.0 - reflection * reflection;
    }
    coefficients
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(model: Model, values: impl IntoIterator<Item = f64>) -> Forecast {
        let mut forecast = Forecast::new(model);
        values.into_iter().for_each(|value| forecast.observe(value));
        forecast
    }

    #[test]
    fn seasonal_naive() {
        let model = Model::SeasonalNaive { season: 4 };
        assert_eq!(Forecast::new(model).ahead(1), None);
        // Less than a season is known: the last.
        assert_eq!(after(model, [7.0, 9.0]).ahead(2), Some(9.0));
        let forecast = after(model, [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!([1, 2, 3, 4, 5].map(|steps| forecast.ahead(steps).unwrap()), [2.0, 3.0, 4.0, 5.0, 2.0]);
    }

    #[test]
    fn holt_winters() {
        let plain = Model::HoltWinters { season: 4, alpha: 0.5, beta: 0.5, gamma: 0.0 };
        // By hand: level 10; then 0.5·14 + 0.5·10 = 12, trend 0.5·2 = 1; two ahead 14.
        assert_eq!(after(plain, [10.0, 14.0]).ahead(2), Some(14.0));
        // A line with a season is met exactly after two seasons.
        let season = [0.0, 6.0, -2.0, -4.0];
        let value = |t: usize| 100.0 + 2.0 * t as f64 + season[t % 4];
        let model = Model::HoltWinters { season: 4, alpha: 0.3, beta: 0.1, gamma: 0.2 };
        let forecast = after(model, (0..400).map(value));
        for steps in 1..9 {
            let (said, came) = (forecast.ahead(steps).unwrap(), value(399 + steps));
            assert!((said - came).abs() < 0.5, "{steps}: {said} {came}");
        }
    }

    #[test]
    fn autoregression() {
        // By hand: covariances 1, 0.5, 0.25 are those of an AR(1) with 0.5.
        let coefficients = levinson_durbin(&[1.0, 0.5, 0.25]);
        assert!((coefficients[0] - 0.5).abs() < 1e-12 && coefficients[1].abs() < 1e-12, "{coefficients:?}");
        // And 2, 1, -0.5 solve [2 1; 1 2] a = [1; -0.5]: a = (5/6, -2/3).
        let coefficients = levinson_durbin(&[2.0, 1.0, -0.5]);
        assert!((coefficients[0] - 5.0 / 6.0).abs() < 1e-12, "{coefficients:?}");
        assert!((coefficients[1] + 2.0 / 3.0).abs() < 1e-12, "{coefficients:?}");
        // An oscillation of period 4 goes on.
        let model = Model::Autoregressive { order: 2, window: 400 };
        let wave = [10.0, 20.0, 10.0, 0.0];
        let forecast = after(model, (0..400).map(|t| wave[t % 4]));
        for steps in 1..5 {
            let (said, came) = (forecast.ahead(steps).unwrap(), wave[(399 + steps) % 4]);
            assert!((said - came).abs() < 0.5, "{steps}: {said} {came}");
        }
        // What never changes stays.
        assert_eq!(after(model, [5.0; 50]).ahead(3), Some(5.0));
    }
}
