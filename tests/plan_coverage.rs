//! Intervals cover: over 2,000 repetitions with a known answer (M/M/2), 95 % intervals of five replications hold
//! it 93.5 to 96.5 % of the time.

mod support;

use fleetsim::plan::replicate::{over, values};
use fleetsim::plan::statistics::ALPHA;
use fleetsim::policies::router::RouterKind;
use fleetsim::sim::Seed;
use fleetsim::traffic::{ArrivalProcess, LengthDist};
use fleetsim::world::WorldConfig;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use support::{deployment, outputs, step, stream, world};

const REPETITIONS: u64 = 2000;
/// An iteration is this small a part of the mean service time of 1 s.
const ITERATIONS: u32 = 4000;

#[test]
fn intervals_cover_the_known_answer() {
    let exponential = LengthDist::Geometric { mean: f64::from(ITERATIONS) };
    let deployment = deployment(1, 2, step(1.0 / f64::from(ITERATIONS), 0.0), RouterKind::RoundRobin);
    let rate = 0.8;
    let config = world(
        stream(rate, ArrivalProcess::Poisson, outputs(exponential)),
        deployment,
        1100.0 / rate,
        100.0 / rate,
    );
    // M/M/2 with a = 0.8: ρ = 0.4, Wq = ρ²/(1 − ρ²), and a service of 1 s.
    let exact = 0.16 / 0.84 + 1.0;
    let metrics = ["latency.e2e_s.mean".to_owned()];
    let covers = |seed: u64| {
        let config = WorldConfig { seed: Seed(seed), ..config.clone() };
        let rows = values(&config, 0..5, &metrics, &|| ()).expect("the world is right");
        let [lo, hi] = over(&rows, 0, ALPHA).and_then(|known| known.interval).expect("five values");
        lo <= exact && exact <= hi
    };
    let covered = (1..=REPETITIONS).into_par_iter().filter(|seed| covers(*seed)).count();
    let share = covered as f64 / REPETITIONS as f64;
    eprintln!("covered: {share}");
    assert!((0.935..=0.965).contains(&share), "{share}");
}
