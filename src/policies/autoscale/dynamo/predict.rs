//! The planner's load predictors (`dynamo/planner/core/load/predictors.py`).
//!
//! Constant and Kalman are upstream's, figure for figure. Arima is approximate: upstream fits pmdarima's
//! `auto_arima`; here an autoregression of at most five terms on the values or their differences, chosen by
//! Akaike's criterion.

/// How the next interval's load is predicted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Predictor {
    /// As it was.
    Constant,
    /// A level and a trend, filtered.
    Kalman {
        /// `kalman_q_level` (1.0): how much the level wanders.
        level: f64,
        /// `kalman_q_trend` (0.1): how much the trend wanders.
        trend: f64,
        /// `kalman_r` (10.0): how noisy what is seen is.
        noise: f64,
    },
    /// An autoregression: approximate.
    Arima,
}

/// A predictor with what it has seen.
#[derive(Debug, Clone)]
pub(super) struct Series {
    predictor: Predictor,
    log1p: bool,
    seen: Vec<f64>,
    /// Level and trend, their covariance, and whether the filter stands at the next interval already.
    state: [f64; 2],
    covariance: [[f64; 2]; 2],
    ahead: bool,
}

/// Points before which an arima repeats the last.
const ARIMA_LEAST: usize = 5;

impl Series {
    pub(super) const fn new(predictor: Predictor, log1p: bool) -> Self {
        let covariance = [[1000.0, 0.0], [0.0, 1000.0]];
        Self { predictor, log1p, seen: Vec::new(), state: [0.0; 2], covariance, ahead: false }
    }

    /// Adds an interval; the idle time before the first load does not count.
    pub(super) fn add(&mut self, value: f64) {
        let value = if value.is_finite() { value } else { 0.0 };
        if value == 0.0 && self.seen.is_empty() {
            return;
        }
        self.seen.push(value);
        let z = if self.log1p { libm::log1p(value.max(0.0)) } else { value };
        if let Predictor::Kalman { noise, .. } = self.predictor {
            if self.seen.len() == 1 {
                self.state = [z, 0.0];
            } else {
                if !self.ahead {
                    self.step();
                }
                self.update(z, noise.max(1e-9));
            }
            self.ahead = false;
        }
    }

    /// The filter's prediction: level += trend, the covariance grows.
    fn step(&mut self) {
        let Predictor::Kalman { level, trend, .. } = self.predictor else { return };
        let [[a, b], [c, d]] = self.covariance;
        self.state[0] += self.state[1];
        self.covariance = [[a + b + c + d + level.max(1e-12), b + d], [c + d, d + trend.max(1e-12)]];
    }

    fn update(&mut self, z: f64, noise: f64) {
        let [[a, b], [c, d]] = self.covariance;
        let gain = [a / (a + noise), c / (a + noise)];
        let error = z - self.state[0];
        self.state = [self.state[0] + gain[0] * error, self.state[1] + gain[1] * error];
        let keep = 1.0 - gain[0];
        // (I − KH) P, symmetric up to rounding.
        self.covariance = [[keep * a, keep * b], [c - gain[1] * a, d - gain[1] * b]];
    }

    /// The next interval.
    pub(super) fn next(&mut self) -> f64 {
        let last = self.seen.last().copied().unwrap_or(0.0);
        match self.predictor {
            Predictor::Constant => last,
            Predictor::Kalman { .. } if self.seen.is_empty() => 0.0,
            Predictor::Kalman { .. } => {
                if !self.ahead {
                    self.step();
                    self.ahead = true;
                }
                if self.log1p { libm::expm1(self.state[0]).max(0.0) } else { self.state[0] }
            }
            Predictor::Arima => {
                if self.seen.len() < ARIMA_LEAST || self.seen.iter().all(|value| *value == last) {
                    return last;
                }
                let logs = || self.seen.iter().map(|value| libm::log1p(value.max(0.0))).collect::<Vec<_>>();
                if !self.log1p
                    && let Some(next) = autoregression(&self.seen)
                {
                    return next.max(0.0);
                }
                // What has no structure of its own is fitted to the logarithms, as upstream does.
                let logs = logs();
                let next = autoregression(&logs).unwrap_or_else(|| logs[logs.len() - 1]);
                libm::expm1(next).max(0.0)
            }
        }
    }
}

/// The next value by the best autoregression on the values or their differences; `None` when no lag helps.
fn autoregression(values: &[f64]) -> Option<f64> {
    let differences: Vec<f64> = values.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let variance = |values: &[f64]| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / values.len() as f64
    };
    let differ = variance(&differences) < variance(values);
    let series = if differ { &differences[..] } else { values };
    let base = if differ { values[values.len() - 1] } else { 0.0 };
    let deepest = 5.min(series.len() / 3);
    let fits = (0..=deepest).filter_map(|lags| fit(series, lags, deepest).map(|fit| (lags, fit)));
    let (lags, (_, next)) = fits.min_by(|a, b| a.1.0.total_cmp(&b.1.0))?;
    (lags > 0).then_some(base + next)
}

/// Least squares of a value on a constant and the `lags` before it: Akaike's criterion and the next value.
fn fit(series: &[f64], lags: usize, skip: usize) -> Option<(f64, f64)> {
    let rows = series.len().checked_sub(skip).filter(|rows| *rows > lags + 1)?;
    let row = |at: usize| std::iter::once(1.0).chain((1..=lags).map(move |lag| series[at - lag]));
    let width = lags + 1;
    let mut normal = vec![vec![0.0; width + 1]; width];
    for (at, value) in series.iter().enumerate().skip(skip) {
        let terms: Vec<f64> = row(at).collect();
        for (i, a) in terms.iter().enumerate() {
            for (j, b) in terms.iter().enumerate() {
                normal[i][j] += a * b;
            }
            normal[i][width] += a * value;
        }
    }
    let weights = super::estimate::solve(normal)?;
    let said = |at: usize| row(at).zip(&weights).map(|(a, w)| a * w).sum::<f64>();
    let error: f64 = (skip..series.len()).map(|at| (series[at] - said(at)) * (series[at] - said(at))).sum();
    let per_row = (error / rows as f64).max(1e-12);
    let criterion = rows as f64 * libm::log(per_row) + 2.0 * (width + 1) as f64;
    Some((criterion, said(series.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(predictor: Predictor, values: &[f64]) -> Series {
        let mut series = Series::new(predictor, false);
        values.iter().for_each(|value| series.add(*value));
        series
    }

    #[test]
    fn predictors() {
        assert_eq!(series(Predictor::Constant, &[0.0, 3.0, 0.0]).next(), 0.0);
        assert_eq!(series(Predictor::Constant, &[0.0, f64::INFINITY, 4.0]).next(), 4.0);
        // By hand, q 1 and 0.1, r 10: x = (10, 0), P = 1000·1. Step: P = (2001, 1000; 1000, 1000.1); seen 14:
        // gain 2001/2011 and 1000/2011, x = (13.98011, 1.98906); the next is their sum.
        let kalman = Predictor::Kalman { level: 1.0, trend: 0.1, noise: 10.0 };
        let mut two = series(kalman, &[10.0, 14.0]);
        let next = two.next();
        assert!((next - (10.0 + 4.0 * 3001.0 / 2011.0)).abs() < 1e-9, "{next}");
        // Asked again in the same interval it says the same.
        assert_eq!(two.next(), next);
        // A line is met.
        let line: Vec<f64> = (1..60).map(|i| 5.0 * f64::from(i)).collect();
        assert!((series(kalman, &line).next() - 300.0).abs() < 0.5);
    }

    #[test]
    fn arima_is_an_autoregression() {
        assert_eq!(series(Predictor::Arima, &[3.0, 9.0]).next(), 9.0);
        assert_eq!(series(Predictor::Arima, &[4.0; 9]).next(), 4.0);
        // 0.5 of what was, plus 10: from 20 ± 8 with alternating shocks.
        let mut values = vec![28.0];
        for i in 0..60 {
            let shock = [1.0, -2.0, 0.5, 1.5, -1.0][i % 5];
            values.push(10.0 + 0.5 * values[values.len() - 1] + shock);
        }
        let last = values[values.len() - 1];
        let next = series(Predictor::Arima, &values).next();
        assert!((next - (10.0 + 0.5 * last)).abs() < 2.5, "{next} after {last}");
    }
}
