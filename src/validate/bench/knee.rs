//! Where the curves of a table bend: from there on more load brings waiting and hardly more throughput.
//!
//! A curve is what one source measured of one model on one set-up under several loads. Its knee is set from the
//! measured throughput alone: a load lies past it when throughput has grown by less than the [`ELASTICITY`]-th power of
//! what load has since some smaller load, or when a smaller load lies past it already. What we predict plays no part.

use std::collections::BTreeMap;

use super::super::inference::PAST_KNEE;
use super::super::report::Skip;
use super::{Case, Habits, Load, Reading, mean};

/// Throughput that grows by a smaller power of load than this has stopped rising: doubling the load brings at most 7 %.
const ELASTICITY: f64 = 0.1;

/// Marks the latencies of loads past the knee of their curve.
pub(super) fn mark(rows: &mut [Result<Reading, Skip>]) {
    let mut curves: BTreeMap<String, BTreeMap<u64, Point>> = BTreeMap::new();
    for reading in rows.iter().flatten() {
        let Some((curve, load)) = place(reading) else { continue };
        curves.entry(curve).or_default().entry(load.to_bits()).or_default().add(reading);
    }
    let knees: BTreeMap<String, f64> = curves
        .into_iter()
        .filter_map(|(curve, points)| {
            let points: Vec<(f64, f64)> = points
                .into_iter()
                .filter_map(|(load, point)| {
                    Some((f64::from_bits(load), point.throughput(f64::from_bits(load))?))
                })
                .collect();
            Some((curve, knee(&points)?))
        })
        .collect();
    for reading in rows.iter_mut().flatten() {
        let past =
            place(reading).is_some_and(|(curve, load)| knees.get(&curve).is_some_and(|knee| load > *knee));
        for (metric, _) in reading.measured.iter_mut().filter(|_| past) {
            let latency = ["ttft", "tpot", "e2e"].iter().any(|name| metric.starts_with(name));
            if latency && !metric.ends_with(PAST_KNEE) {
                metric.push_str(PAST_KNEE);
            }
        }
    }
}

/// The curve that a row belongs to, and where it lies on it; `None` where load is not what is varied.
fn place(reading: &Reading) -> Option<(String, f64)> {
    let load = match reading.case.load {
        Load::Closed(users) => f64::from(users),
        Load::Poisson(rate) | Load::Even(rate) => rate,
        Load::Offline(_) | Load::Static(_) => return None,
    };
    // What scripts set by the load does not make another curve.
    let case = Case { load: Load::Offline(0), habits: Habits::default(), ..reading.case.clone() };
    Some((format!("{} {case:?}", reading.source), load))
}

/// What was measured at one load.
#[derive(Default)]
struct Point {
    throughputs: Vec<f64>,
    ttft: Vec<f64>,
    tpot: Vec<f64>,
    e2e: Vec<f64>,
    output: f64,
}

impl Point {
    fn add(&mut self, reading: &Reading) {
        self.output = mean(&reading.case.output);
        for (metric, value) in &reading.measured {
            let kept = match metric.as_str() {
                "output_tok_s_per_gpu" | "output_tok_s_total" => &mut self.throughputs,
                "ttft_mean" | "ttft_p50" => &mut self.ttft,
                "tpot_mean" | "tpot_p50" => &mut self.tpot,
                "e2e_mean" | "e2e_p50" => &mut self.e2e,
                _ => continue,
            };
            kept.push(*value);
        }
    }

    /// Throughput, in a unit that is the same for all points of a curve: as measured, or what so many users get whose
    /// requests take so long (Little's law).
    fn throughput(mut self, load: f64) -> Option<f64> {
        let middle =
            |values: &mut Vec<f64>| (!values.is_empty()).then(|| super::super::report::quantile(values, 0.5));
        middle(&mut self.throughputs).or_else(|| {
            let whole = middle(&mut self.e2e).or_else(|| {
                Some(middle(&mut self.ttft)? + (self.output - 1.0).max(0.0) * middle(&mut self.tpot)?)
            });
            Some(load / whole?)
        })
    }
}

/// The largest load before throughput stops rising; `None` where it never does. Points are of different loads.
fn knee(points: &[(f64, f64)]) -> Option<f64> {
    let mut points = points.to_vec();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let stopped = points.iter().enumerate().position(|(at, (load, throughput))| {
        let grown = |(before, less): &(f64, f64)| libm::log(throughput / less) / libm::log(load / before);
        points[..at].iter().any(|smaller| grown(smaller) < ELASTICITY)
    })?;
    Some(points[stopped - 1].0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From 8 to 16 throughput grows by 3 %, which doubling the load must beat by 7: the knee is at 8, and what comes
    /// after it lies past it even where it rises again.
    #[test]
    fn where_throughput_stops_rising() {
        let rising = [(1.0, 10.0), (2.0, 19.0), (4.0, 35.0), (8.0, 50.0)];
        assert_eq!(knee(&rising), None);
        let bent = [&rising[..], &[(32.0, 80.0), (16.0, 51.5)]].concat();
        assert_eq!(knee(&bent), Some(8.0));
        assert_eq!(knee(&[(4.0, 7.0)]), None);
        // An open rate that is kept up with, and one that is not.
        assert_eq!(knee(&[(1.0, 100.0), (2.0, 200.0), (3.0, 200.0)]), Some(2.0));
    }
}
