//! Exponential and normal draws by the ziggurat method, several times faster than by inversion: G. Marsaglia
//! and W. W. Tsang, "The ziggurat method for generating random variables", Journal of Statistical Software
//! 5(8), 2000, in the form of J. A. Doornik, "An improved ziggurat method to generate normal random
//! samples", 2005, which takes layer and position from different bits. The tables are computed by libm.

use std::sync::LazyLock;

use crate::sim::RandomStream;

const LAYERS: usize = 256;

/// Layers of equal area under a falling density f with f(0) = 1.
struct Layers {
    /// Right edges, falling; the base layer's is where its rectangle of the same area would end.
    edges: [f64; LAYERS + 1],
    /// The density there.
    heights: [f64; LAYERS + 1],
    /// How much of each layer lies under the density whatever the height.
    sure: [f64; LAYERS],
}

impl Layers {
    /// `tail` is where the base layer's tail begins and `area` a layer's area.
    fn new(tail: f64, area: f64, density: impl Fn(f64) -> f64, inverse: impl Fn(f64) -> f64) -> Self {
        let mut edges = [0.0; LAYERS + 1];
        edges[0] = area / density(tail);
        edges[1] = tail;
        for layer in 2..LAYERS {
            edges[layer] = inverse(density(edges[layer - 1]) + area / edges[layer - 1]);
        }
        Self {
            edges,
            heights: edges.map(density),
            sure: std::array::from_fn(|layer| edges[layer + 1] / edges[layer]),
        }
    }
}

/// Where the tail begins for 256 layers (Marsaglia and Tsang, section 2).
const EXPONENTIAL_TAIL: f64 = 7.697_117_470_131_05;
const NORMAL_TAIL: f64 = 3.654_152_885_361_009;

static EXPONENTIAL: LazyLock<Layers> = LazyLock::new(|| {
    let area = (EXPONENTIAL_TAIL + 1.0) * libm::exp(-EXPONENTIAL_TAIL);
    Layers::new(EXPONENTIAL_TAIL, area, |x| libm::exp(-x), |height| -libm::log(height))
});

static NORMAL: LazyLock<Layers> = LazyLock::new(|| {
    let density = |x: f64| libm::exp(-0.5 * x * x);
    let beyond = (std::f64::consts::PI / 2.0).sqrt() * libm::erfc(NORMAL_TAIL / std::f64::consts::SQRT_2);
    let area = NORMAL_TAIL * density(NORMAL_TAIL) + beyond;
    Layers::new(NORMAL_TAIL, area, density, |height| (-2.0 * libm::log(height)).sqrt())
});

/// Splits 64 random bits into a layer and a uniform number in [0, 1) of 53 bits.
fn split(bits: u64) -> (usize, f64) {
    ((bits & 0xff) as usize, (bits >> 11) as f64 * (1.0 / (1u64 << 53) as f64))
}

/// Exponential with mean 1.
pub(in crate::traffic) fn exponential(random: &mut RandomStream) -> f64 {
    let layers = &*EXPONENTIAL;
    let mut before = 0.0;
    loop {
        let (layer, part) = split(random.bits());
        let x = part * layers.edges[layer];
        if part < layers.sure[layer] {
            return before + x;
        }
        if layer == 0 {
            // The tail is the whole distribution again.
            before += EXPONENTIAL_TAIL;
        } else {
            let (low, high) = (layers.heights[layer], layers.heights[layer + 1]);
            if low + random.uniform() * (high - low) < libm::exp(-x) {
                return before + x;
            }
        }
    }
}

/// Standard normal.
pub(in crate::traffic) fn normal(random: &mut RandomStream) -> f64 {
    let layers = &*NORMAL;
    loop {
        let (layer, part) = split(random.bits());
        let part = 2.0 * part - 1.0;
        let x = part * layers.edges[layer];
        if part.abs() < layers.sure[layer] {
            return x;
        }
        if layer == 0 {
            // G. Marsaglia, "Generating a variable from the tail of the normal distribution", 1964.
            loop {
                let beyond = -libm::log(random.uniform_open()) / NORMAL_TAIL;
                let height = -libm::log(random.uniform_open());
                if 2.0 * height >= beyond * beyond {
                    return if part < 0.0 { -NORMAL_TAIL - beyond } else { NORMAL_TAIL + beyond };
                }
            }
        }
        let (low, high) = (layers.heights[layer], layers.heights[layer + 1]);
        if low + random.uniform() * (high - low) < libm::exp(-0.5 * x * x) {
            return x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Seed;

    /// The layers meet the top of the density: the tail's place and the area fit each other.
    #[test]
    fn layers_add_up() {
        for layers in [&*EXPONENTIAL, &*NORMAL] {
            let last = LAYERS - 1;
            let area = layers.edges[0] * layers.heights[1];
            let top = layers.heights[last] + area / layers.edges[last];
            assert!((top - 1.0).abs() < 1e-9, "{top}");
            assert_eq!((layers.edges[LAYERS], layers.heights[LAYERS]), (0.0, 1.0));
        }
    }

    /// Kolmogorov and Smirnov: with a million draws the greatest distance is below 1.95/√n in 999 of 1000
    /// cases.
    #[test]
    fn draws_follow_their_distributions() {
        let n = 1_000_000;
        let distance = |mut draws: Vec<f64>, cumulative: &dyn Fn(f64) -> f64| {
            draws.sort_by(f64::total_cmp);
            draws.iter().enumerate().fold(0.0, |most: f64, (rank, x)| {
                most.max((cumulative(*x) - (rank as f64 + 0.5) / n as f64).abs())
            })
        };
        let limit = 1.95 / (n as f64).sqrt();
        let mut random = Seed(5).stream("ziggurat");
        let draws: Vec<f64> = (0..n).map(|_| exponential(&mut random)).collect();
        // Beyond the base layer too: e^-7.7 of a million is 454.
        assert!(draws.iter().filter(|x| **x > EXPONENTIAL_TAIL).count().abs_diff(454) < 107);
        assert!(distance(draws, &|x| -libm::expm1(-x)) < limit);
        let draws: Vec<f64> = (0..n).map(|_| normal(&mut random)).collect();
        // Two sides of 1.29e-4.
        assert!(draws.iter().filter(|x| x.abs() > NORMAL_TAIL).count().abs_diff(258) < 81);
        assert!(distance(draws, &|x| 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2)) < limit);
    }
}
