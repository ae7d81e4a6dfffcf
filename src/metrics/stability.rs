//! Whether a queue settles: overload is said, not averaged.

use super::results::StabilitySummary;

/// A queue that at the end holds less than this share of what arrived in the second half has settled: at
/// 1 % over capacity, 1 % of the arrivals stay.
const BACKLOG_SHARE: f64 = 0.01;
/// A shorter queue is noise.
const BACKLOG_LEAST: f64 = 20.0;
/// Of the queue at the end, the share that must have built up steadily over the second half.
const STEADY_SHARE: f64 = 0.5;

/// Judges a queue by its mean length in each bucket, how many requests arrived in the second half of the
/// run, and how many hours that half has.
///
/// A queue grows when its length at the end is more than 1 % of the arrivals of the second half, and a
/// straight line fitted to the second half rises by at least half of that length.
pub fn judge(queue: &[f64], arrived_second_half: u64, hours_second_half: f64) -> StabilitySummary {
    let settled =
        StabilitySummary { stable: true, why: "the queue settles".to_owned(), growth_per_hour: None };
    let half = &queue[queue.len() / 2..];
    let Some(last) = half.last().copied() else { return settled };
    if last < BACKLOG_LEAST || last < BACKLOG_SHARE * arrived_second_half as f64 || half.len() < 3 {
        return settled;
    }
    let rise = slope(half) * half.len() as f64;
    if rise < STEADY_SHARE * last {
        return settled;
    }
    let per_hour = rise / hours_second_half;
    StabilitySummary {
        stable: false,
        growth_per_hour: Some(per_hour),
        why: format!(
            "demand exceeds capacity: the queue grows by {per_hour:.0} requests an hour and ends at {last:.0}; \
             no steady-state wait exists"
        ),
    }
}

/// The slope of the least-squares line, per step.
fn slope(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean_x = (n - 1.0) / 2.0;
    let mean_y = values.iter().sum::<f64>() / n;
    let (mut products, mut squares) = (0.0, 0.0);
    for (x, y) in values.iter().enumerate() {
        let dx = x as f64 - mean_x;
        products += dx * (y - mean_y);
        squares += dx * dx;
    }
    products / squares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_overload_from_a_spike() {
        let growing: Vec<f64> = (0..100).map(|x| f64::from(x) * 10.0).collect();
        let judged = judge(&growing, 5_000, 2.0);
        assert!(!judged.stable);
        assert!(judged.why.contains("grows by 250 requests an hour"), "{}", judged.why);
        let spike: Vec<f64> = (0..100).map(|x| if (50..60).contains(&x) { 800.0 } else { 1.0 }).collect();
        assert!(judge(&spike, 5_000, 2.0).stable);
        let busy: Vec<f64> = (0..100).map(|x| 15.0 + f64::from(x % 7)).collect();
        assert!(judge(&busy, 50_000, 2.0).stable);
        assert!(judge(&[], 0, 1.0).stable);
    }
}
