//! Zones whose spot capacity was probed over days: how often a node was taken, and for how much of the time
//! there was none.
//!
//! Source: computed from the traces of MaoZiming/spothedge_ae (SpotHedge, EuroSys 2025; 2022 to 2023, AWS
//! p3.2xlarge and GCP a2-highgpu-8g). Zones that were never
//! without a node, or never had one, are left out.

/// A probed zone.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SpotZone {
    /// `trace/zone`: `AWS3/us-east-1a`.
    pub name: String,
    /// The accelerator of the nodes that were probed.
    pub accelerator: String,
    /// Preemptions an hour of a node.
    pub preemptions_per_hour: f64,
    /// The share of the time, 0 to 1, with no node to be had.
    pub share_without: f64,
    /// How many days were probed.
    pub days: f64,
}

/// Where the figures come from.
pub const SOURCE: &str = "computed from the traces of MaoZiming/spothedge_ae";

/// All probed zones.
pub fn spot_zones() -> impl Iterator<Item = SpotZone> {
    include_str!("data/spot_zones.csv").lines().skip(1).map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        let number = |place: usize| cells.get(place).and_then(|cell| cell.parse().ok()).unwrap_or(f64::NAN);
        let text = |place: usize| cells.get(place).map_or(String::new(), |cell| (*cell).to_owned());
        SpotZone {
            name: text(0),
            accelerator: text(1),
            preemptions_per_hour: number(2),
            share_without: number(3),
            days: number(4),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read() {
        let zones: Vec<SpotZone> = spot_zones().collect();
        let zone = zones.iter().find(|zone| zone.name == "AWS3/us-east-1a").expect("it is there");
        assert_eq!((zone.preemptions_per_hour, zone.share_without, zone.days), (0.9036, 0.8333, 69.99));
        let sound =
            |zone: &SpotZone| zone.preemptions_per_hour > 0.0 && (0.0..1.0).contains(&zone.share_without);
        assert!(zones.iter().all(sound));
    }
}
