//! What the best candidate has over time.

use super::super::points::Points;
use super::plots::Capacity;
use crate::metrics::results::metric;
use crate::plan::bound::Bounds;
use crate::plan::facts;
use crate::world::{self, RunOptions};

/// What the best candidate has over time, from one more run of it; `None` when it cannot be told.
pub fn over_time(points: &Points<'_>, point: u64) -> Option<Capacity> {
    let config = points.resolve(point).ok()?;
    let results = world::run(&config, RunOptions::default()).ok()?;
    let placed = facts::placed(&config);
    let bounds = Bounds::default();
    let mut demanded: Vec<f64> = Vec::new();
    for (streams, groups) in facts::parts(&config, &placed, &bounds) {
        // Of several kinds of replicas, that of the first deployment stands for all.
        let deployment = config.streams[*streams.first()?].deployments[0];
        let option = *placed[deployment].first()?;
        let cards = f64::from(config.deployments[deployment].options[option].cards);
        let needed = bounds.needed(&config, &streams, &groups)?;
        demanded.resize(needed.len(), 0.0);
        demanded.iter_mut().zip(needed).for_each(|(sum, replicas)| *sum += replicas * cards);
    }
    let end = config.duration.as_secs_f64();
    let length = end / demanded.len().max(1) as f64;
    // Nothing is told of the warm-up.
    let warm = (config.warmup.as_secs_f64() / length).ceil() as usize;
    let demanded = demanded.into_iter().enumerate().skip(warm);
    let demanded = demanded.map(|(at, cards)| (at as f64 * length, cards)).collect();
    let over_time = |metric: &str| -> Vec<(f64, f64)> {
        let series = results.timeseries.series.iter().filter(|series| series.metric == metric);
        let mut sums: Vec<f64> = Vec::new();
        for series in series {
            sums.resize(series.values.len().max(sums.len()), 0.0);
            sums.iter_mut().zip(&series.values).for_each(|(sum, value)| *sum += value.unwrap_or(0.0));
        }
        let at = |index: usize| results.timeseries.bucket_edges(index).0.as_secs_f64();
        sums.into_iter().enumerate().map(|(index, cards)| (at(index), cards)).collect()
    };
    Some(Capacity {
        end,
        lines: vec![
            ("billed".to_owned(), over_time(metric::PROVISIONED_CARDS)),
            ("ready and held".to_owned(), over_time(metric::ALLOCATED_CARDS)),
            ("computing".to_owned(), over_time(metric::BUSY_CARDS)),
            ("demanded at least".to_owned(), demanded),
        ],
    })
}
