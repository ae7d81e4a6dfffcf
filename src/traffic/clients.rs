//! Many clients superposed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::process::{ClientShares, ClientSpread, ClientsConfig, Cv};
use super::samplers::Interval;
use crate::sim::{RandomStream, Seed};

/// A superposition of renewal processes of unequal rate, with rate 1 in operational time. Each client starts
/// in its stationary state, so the superposition is stationary.
#[derive(Debug)]
pub(super) struct Clients {
    clients: Vec<Client>,
    /// The next arrival of each: its operational time as bits, which are in the same order as the numbers
    /// as long as these are not negative.
    next: BinaryHeap<Reverse<(u64, u32)>>,
    now: f64,
    random: RandomStream,
}

#[derive(Debug)]
struct Client {
    mean_interval: f64,
    interval: Interval,
}

impl Clients {
    /// `name` is the stream's.
    pub(super) fn new(config: &ClientsConfig, seed: Seed, name: &str) -> Self {
        let mut population = seed.stream(&format!("clients/{name}"));
        let mut random = seed.stream(&format!("arrivals/{name}"));
        let shares = shares(config);
        let spread = spread(&config.cv, &shares, &mut population);
        let clients: Vec<Client> = shares
            .iter()
            .zip(spread)
            .map(|(share, cv)| Client {
                mean_interval: 1.0 / share,
                interval: Interval::new(config.family, cv),
            })
            .collect();
        let next = (0..)
            .zip(&clients)
            .map(|(index, client)| {
                let first = client.interval.first(&mut random) * client.mean_interval;
                Reverse((first.to_bits(), index))
            })
            .collect();
        Self { clients, next, now: 0.0, random }
    }

    /// Operational time to the next arrival.
    pub(super) fn step(&mut self) -> f64 {
        let Some(mut top) = self.next.peek_mut() else { return f64::INFINITY };
        let Reverse((bits, index)) = *top;
        let at = f64::from_bits(bits);
        let client = &self.clients[index as usize];
        let after = at + client.interval.sample(&mut self.random) * client.mean_interval;
        *top = Reverse((after.to_bits(), index));
        drop(top); // sifts it down
        let step = at - self.now;
        self.now = at;
        step
    }
}

/// The clients' shares of the rate, adding up to 1.
fn shares(config: &ClientsConfig) -> Vec<f64> {
    let count = config.count;
    let weights: Vec<f64> = match &config.shares {
        ClientShares::Zipf { exponent, offset } => {
            (1..=count).map(|rank| libm::pow(f64::from(rank) + offset, -exponent)).collect()
        }
        ClientShares::Pareto { alpha } => (1..=count)
            .map(|rank| libm::pow((f64::from(rank) - 0.5) / f64::from(count), -1.0 / alpha))
            .collect(),
        ClientShares::Given(weights) => weights.clone(),
    };
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

/// The clients' coefficients of variation.
fn spread(spread: &ClientSpread, shares: &[f64], random: &mut RandomStream) -> Vec<Cv> {
    match spread {
        ClientSpread::Same(cv) => vec![*cv; shares.len()],
        ClientSpread::Given(values) => values.clone(),
        ClientSpread::Quantiles { p10, p50, p90 } => {
            let mut order: Vec<usize> = (0..shares.len()).collect();
            for last in (1..order.len()).rev() {
                order.swap(last, random.below(last as u64 + 1) as usize);
            }
            let mut values = vec![Cv(1.0); shares.len()];
            let mut before = 0.0;
            for index in order {
                values[index] = quantile([*p10, *p50, *p90], before + shares[index] / 2.0);
                before += shares[index];
            }
            values
        }
    }
}

/// The cv at `level`, by logarithmic interpolation between the quantiles at 10, 50 and 90 %.
fn quantile([p10, p50, p90]: [Cv; 3], level: f64) -> Cv {
    let (from, to, along) =
        if level < 0.5 { (p10, p50, (level - 0.1) / 0.4) } else { (p50, p90, (level - 0.5) / 0.4) };
    let along = along.clamp(0.0, 1.0);
    Cv(libm::exp((1.0 - along) * libm::log(from.0) + along * libm::log(to.0)))
}
