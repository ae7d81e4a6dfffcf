//! How nodes break: each by itself, card by card, all of a switch or rack at once, or as was recorded.

use std::sync::Arc;

use crate::sim::Delay;
use crate::sim::RandomStream;
use crate::units::{Duration, Instant};

/// How nodes break. A node that is kept (one that is committed) is repaired; another is replaced.
#[derive(Debug, Clone, PartialEq)]
pub struct Failures {
    /// From ready to broken, of each of `parts`; none where all is recorded.
    pub life: Option<Delay>,
    /// From broken to ready again.
    pub repair: Delay,
    /// Parts of a node that break by themselves, of which the first takes the node out: 1, or its cards.
    pub parts: u32,
    /// Failures that come to several nodes at once.
    pub together: Option<Together>,
    /// Recorded failures, in order of time.
    pub recorded: Arc<[Outage]>,
}

/// Failures that come to all nodes of a switch or rack at once: a common shock, after Marshall and Olkin (JASA 62,
/// 1967). The rate at which one node breaks stays what `life` says. Only where that is exponential.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Together {
    /// The share of a node's failures that come to its whole group, above 0, at most 1.
    pub share: f64,
    /// Nodes of a group, in order of their numbers.
    pub nodes: u32,
}

/// A failure that was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// When.
    pub at: Instant,
    /// Of which node, by number.
    pub node: u32,
    /// How long until it is back, where that was recorded.
    pub repair: Option<Duration>,
}

impl Failures {
    /// Nodes that break each by itself.
    pub fn of_nodes(life: Delay, repair: Delay) -> Self {
        Self { life: Some(life), repair, parts: 1, together: None, recorded: Arc::from([]) }
    }

    /// Draws how long a node lives that breaks by itself.
    pub(super) fn draw(&self, random: &mut RandomStream) -> Option<Duration> {
        let alone = match (self.life?, self.together) {
            (Delay::Exponential { .. }, Some(together)) if together.share >= 1.0 => return None,
            (Delay::Exponential { mean }, Some(together)) => {
                Delay::Exponential { mean: divided(mean, 1.0 - together.share) }
            }
            (life, _) => life,
        };
        (0..self.parts.max(1)).map(|_| alone.sample(random)).min()
    }

    /// Draws when the next failure comes to all nodes of a group.
    pub(super) fn draw_together(&self, random: &mut RandomStream) -> Option<Duration> {
        let (Some(Delay::Exponential { mean }), Some(together)) = (self.life, self.together) else {
            return None;
        };
        let rate = together.share * f64::from(self.parts.max(1));
        let shock = Delay::Exponential { mean: divided(mean, rate) };
        Some(shock.sample(random).max(Duration::from_nanos(1)))
    }

    /// Reads recorded failures: CSV with the columns `time_s,node` and, where it is known, `repair_s`.
    ///
    /// # Errors
    /// What is wrong, with the line.
    pub fn read_recorded(text: &str, nodes: u32) -> Result<Arc<[Outage]>, String> {
        let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
        let (_, header) = lines.next().ok_or("it is empty")?;
        let columns: Vec<&str> = header.split(',').map(str::trim).collect();
        let place = |name: &str| columns.iter().position(|column| *column == name);
        let missing = |name: &str| format!("the header has no column `{name}`; it needs time_s and node");
        let time = place("time_s").ok_or_else(|| missing("time_s"))?;
        let node = place("node").ok_or_else(|| missing("node"))?;
        let repair = place("repair_s");
        let mut outages = Vec::new();
        for (line, text) in lines {
            let cells: Vec<&str> = text.split(',').map(str::trim).collect();
            let seconds = |place: usize| -> Result<f64, String> {
                let cell = cells.get(place).copied().unwrap_or("");
                let number = cell.parse::<f64>().ok().filter(|number| (0.0..=3.2e9).contains(number));
                number.ok_or_else(|| format!("line {line}: `{cell}` is no time in seconds"))
            };
            let number = cells.get(node).copied().unwrap_or("");
            let number: u32 =
                number.parse().map_err(|_| format!("line {line}: `{number}` is no node's number"))?;
            if number >= nodes {
                return Err(format!(
                    "line {line}: node {number} is not among the pool's {nodes}, numbered from 0"
                ));
            }
            let repair = match repair {
                Some(place) if cells.get(place).is_some_and(|cell| !cell.is_empty()) => {
                    Some(Duration::from_secs_f64(seconds(place)?))
                }
                _ => None,
            };
            outages.push(Outage { at: Instant::from_secs_f64(seconds(time)?), node: number, repair });
        }
        outages.sort_by_key(|outage| (outage.at, outage.node));
        Ok(Arc::from(outages))
    }
}

/// The mean of a process of which a part of the rate is left.
fn divided(mean: Duration, rate: f64) -> Duration {
    Duration::from_secs_f64((mean.as_secs_f64() / rate).min(1e10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Seed;

    /// Eight cards of which each breaks once in 800 s: a node breaks once in 100 s; a quarter of it with its switch.
    #[test]
    fn rates_add_up() {
        let life = Delay::Exponential { mean: Duration::from_secs(800) };
        let together = Some(Together { share: 0.25, nodes: 4 });
        let failures = Failures { parts: 8, together, ..Failures::of_nodes(life, Delay::NONE) };
        let mut random = Seed(5).stream("failures");
        let mean = |draw: &mut dyn FnMut() -> Option<Duration>| {
            (0..50_000).filter_map(|_| draw()).map(|time| time.as_secs_f64()).sum::<f64>() / 5e4
        };
        let alone = mean(&mut || failures.draw(&mut random));
        assert!((alone - 100.0 / 0.75).abs() < 2.5, "{alone}");
        let mut random = Seed(6).stream("failures");
        let shock = mean(&mut || failures.draw_together(&mut random));
        assert!((shock - 400.0).abs() < 7.5, "{shock}");
    }

    /// The least of eight Weibull lives of shape 2 is one of a scale smaller by the root of 8: mean scale · Γ(1.5).
    #[test]
    fn the_first_card_takes_its_node() {
        let life = Delay::Weibull { scale: Duration::from_secs(1000), shape: 2.0 };
        let failures = Failures { parts: 8, ..Failures::of_nodes(life, Delay::NONE) };
        let mut random = Seed(7).stream("failures");
        let all = (0..50_000).filter_map(|_| failures.draw(&mut random));
        let mean = all.map(|time| time.as_secs_f64()).sum::<f64>() / 5e4;
        assert!((mean - 886.227 / 8f64.sqrt()).abs() < 3.0, "{mean}");
    }

    #[test]
    fn recorded_failures_are_read() {
        let read = |text: &str| Failures::read_recorded(text, 4);
        let outages = read("time_s,node,repair_s\n60,3,600\n5.5,0,\n").expect("it is right");
        let at = Instant::from_secs_f64;
        assert_eq!(outages[0], Outage { at: at(5.5), node: 0, repair: None });
        assert_eq!(outages[1], Outage { at: at(60.0), node: 3, repair: Some(Duration::from_secs(600)) });
        for (text, says) in [
            ("", "it is empty"),
            ("time,node\n", "no column `time_s`"),
            ("time_s,node\n1,4\n", "line 2: node 4 is not among the pool's 4"),
            ("time_s,node\n\nx,1\n", "line 3: `x` is no time"),
            ("time_s,node\n1,b\n", "line 2: `b` is no node's number"),
        ] {
            assert!(read(text).expect_err("it is wrong").contains(says), "{text:?}");
        }
    }
}
