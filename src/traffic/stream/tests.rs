//! Tests of streams: rates, burstiness, lengths, closed loops.

use proptest::prelude::*;

use super::*;
use crate::traffic::{
    ClientShares, ClientSpread, ClientsConfig, ClosedConfig, JointLengths, Length, LengthDist, Lengths,
    LogNormal, MmppState, Start, Think,
};

fn lengths() -> Lengths {
    Lengths::Independent { prompt: Length::constant(100), output: Length::constant(10) }
}

fn open(rate: f64, arrivals: ArrivalProcess, shape: Vec<Shape>, lengths: Lengths) -> StreamConfig {
    let rate = Rate::per_second(rate);
    let source = Source::Open(OpenConfig { rate, arrivals, shape, start: Start::default(), lengths });
    StreamConfig { name: "chat".to_owned(), source }
}

fn all(config: &StreamConfig, seed: u64, window: Duration) -> Vec<Arrival> {
    let mut stream = Stream::new(config, Seed(seed), window).unwrap();
    std::iter::from_fn(|| stream.next_arrival().unwrap()).collect()
}

/// Counts in windows of `width` seconds.
fn counts(arrivals: &[Arrival], window_s: u64, width: u64) -> Vec<f64> {
    let mut counts = vec![0.0; (window_s / width) as usize];
    for arrival in arrivals {
        counts[(arrival.at.as_nanos() / 1_000_000_000 / width) as usize] += 1.0;
    }
    counts
}

/// Mean and index of dispersion of the counts of `process` at rate 5/s, each within five standard errors;
/// the errors are those of a hundred stretches of the run.
fn assert_dispersion(process: ArrivalProcess, width: u64, expected: f64) {
    let window_s = 400_000;
    let arrivals = all(&open(5.0, process.clone(), vec![], lengths()), 3, Duration::from_secs(window_s));
    let counts = counts(&arrivals, window_s, width);
    let mean = 5.0 * width as f64;
    let stretch = counts.len() / 100;
    let per_stretch = |f: &dyn Fn(f64) -> f64| -> (f64, f64) {
        let values: Vec<f64> = counts
            .chunks_exact(stretch)
            .map(|chunk| chunk.iter().map(|count| f(*count)).sum::<f64>() / chunk.len() as f64)
            .collect();
        let average = values.iter().sum::<f64>() / values.len() as f64;
        let variance =
            values.iter().map(|x| (x - average) * (x - average)).sum::<f64>() / (values.len() - 1) as f64;
        (average, (variance / values.len() as f64).sqrt())
    };
    let (found, error) = per_stretch(&|count| count);
    assert!((found - mean).abs() < 5.0 * error, "{process:?}: mean {found} ± {error}, expected {mean}");
    let (found, error) = per_stretch(&|count| (count - mean) * (count - mean) / mean);
    assert!(
        (found - expected).abs() < 5.0 * error,
        "{process:?} at {width} s: index of dispersion {found} ± {error}, expected {expected}"
    );
    assert!(error < 0.2 * expected, "the test must be able to fail: ± {error} of {expected}");
}

/// The index of dispersion of the counts of a stationary renewal process in a long window:
/// cv² + (1/6 + cv⁴/2 − skewness·cv³/3)/(mean count) (D. R. Cox, Renewal Theory, 1962, section 4.5).
fn renewal_dispersion(cv: f64, skewness: f64, mean: f64) -> f64 {
    let square = cv * cv;
    square + (1.0 / 6.0 + square * square / 2.0 - skewness * square * cv / 3.0) / mean
}

#[test]
fn dispersion_of_renewal_processes() {
    assert_dispersion(ArrivalProcess::Poisson, 1, 1.0);
    assert_dispersion(ArrivalProcess::Poisson, 100, 1.0);
    for cv in [0.5, 2.0] {
        // The skewness of a gamma distribution is twice its cv.
        let gamma = renewal_dispersion(cv, 2.0 * cv, 500.0);
        assert_dispersion(ArrivalProcess::Gamma { cv: Cv(cv) }, 100, gamma);
    }
    let cv = 5f64.sqrt();
    // Moments of Weibull(1/2): E Xⁿ = (2n)!·λⁿ; with mean 1, E X² = 6, E X³ = 90, so μ₃ = 90 − 18 + 2 = 74.
    let skewness = 74.0 / (cv * cv * cv);
    assert_dispersion(ArrivalProcess::Weibull { cv: Cv(cv) }, 100, renewal_dispersion(cv, skewness, 500.0));
}

/// Two states: 1 + 2·Var(λ)/(λ̄·σ²·t)·(σt − 1 + e^(−σt)), where σ is the sum of the rates of change (W. Fischer
/// and K. Meier-Hellstern, "The Markov-modulated Poisson process cookbook", Performance Evaluation 18, 1993).
#[test]
fn dispersion_of_a_modulated_poisson_process() {
    let state = |rate, sojourn| MmppState { rate, sojourn: Duration::from_secs(sojourn) };
    let process = ArrivalProcess::Mmpp { states: vec![state(1.0, 30), state(6.0, 10)] };
    // Shares of time 3/4 and 1/4: mean 2.25 relative, scaled to 5/s.
    let scale = 5.0 / 2.25;
    let variance = 0.75 * 0.25 * (5.0 * scale) * (5.0 * scale);
    let sigma = 1.0 / 30.0 + 1.0 / 10.0;
    for t in [1u64, 10, 100] {
        let s = sigma * t as f64;
        let expected = 1.0 + 2.0 * variance / (5.0 * sigma * sigma * t as f64) * (s - 1.0 + libm::exp(-s));
        assert_dispersion(process.clone(), t, expected);
    }
}

/// Superposed and independent: the variances of the counts add up, so in the limit the index of dispersion is
/// the mean of the clients' cv² weighted with their rates, here with the term of the next order.
#[test]
fn dispersion_of_clients() {
    let process = ArrivalProcess::Clients(ClientsConfig {
        count: 3,
        shares: ClientShares::Given(vec![5.0, 3.0, 2.0]),
        cv: ClientSpread::Given(vec![Cv(0.5), Cv(1.0), Cv(3.0)]),
        family: RenewalFamily::Gamma,
    });
    let width = 200;
    let expected: f64 = [(0.5, 0.5), (0.3, 1.0), (0.2, 3.0)]
        .into_iter()
        .map(|(share, cv)| share * renewal_dispersion(cv, 2.0 * cv, share * 5.0 * width as f64))
        .sum();
    assert_dispersion(process, width, expected);
}

/// The default population is bursty within seconds and burstier within minutes.
#[test]
fn clients_are_burstier_the_longer_one_looks() {
    let config = open(5.0, ArrivalProcess::Clients(ClientsConfig::default()), vec![], lengths());
    let window_s = 42_000;
    let arrivals = all(&config, 5, Duration::from_secs(window_s));
    let dispersion = |width| {
        let counts = counts(&arrivals, window_s, width);
        let mean = counts.iter().sum::<f64>() / counts.len() as f64;
        counts.iter().map(|count| (count - mean) * (count - mean)).sum::<f64>() / counts.len() as f64 / mean
    };
    let (second, minute) = (dispersion(1), dispersion(60));
    assert!(second > 2.0 && minute > 1.5 * second, "{second} at 1 s, {minute} at 60 s");
}

#[test]
fn deterministic_arrivals_are_regular() {
    let arrivals =
        all(&open(4.0, ArrivalProcess::Deterministic, vec![], lengths()), 1, Duration::from_secs(2));
    let millis: Vec<u64> = arrivals.iter().map(|arrival| arrival.at.as_nanos() / 1_000_000).collect();
    assert_eq!(millis, [125, 375, 625, 875, 1125, 1375, 1625, 1875]);
}

/// A spike multiplies a renewal process's rate without changing what it is: in operational time the intervals
/// have the cv asked for.
#[test]
fn shapes_rescale_renewal_processes_exactly() {
    let step = Shape::Spike {
        start: Duration::from_secs(1000),
        factor: 10.0,
        rise: Duration::ZERO,
        hold: Duration::from_secs(1000),
        fall: Duration::ZERO,
    };
    let process = ArrivalProcess::Gamma { cv: Cv(2.0) };
    let flat = all(&open(5.0, process.clone(), vec![], lengths()), 9, Duration::from_secs(12_000));
    let shaped = all(&open(5.0, process, vec![step], lengths()), 9, Duration::from_secs(3000));
    assert_eq!(flat.len(), shaped.len());
    for (flat, shaped) in flat.iter().zip(&shaped) {
        // The same draws, so the flat arrival's time is the operational time of the shaped one.
        let real = match flat.at.as_secs_f64() {
            t if t < 1000.0 => t,
            t if t < 11_000.0 => 1000.0 + (t - 1000.0) / 10.0,
            t => 2000.0 + t - 11_000.0,
        };
        assert!((shaped.at.as_secs_f64() - real).abs() < 3e-9, "{} for {real}", shaped.at);
    }
}

/// Means and 99th percentiles of lengths within five standard errors.
#[test]
fn lengths_have_their_moments() {
    let sample = |dist: LengthDist| -> Vec<f64> {
        let sampler = LengthSampler::new(&Lengths::Independent {
            prompt: Length::new(dist),
            output: Length::constant(1),
        })
        .unwrap();
        let mut random = Seed(21).stream("lengths");
        let mut draws: Vec<f64> = (0..200_000).map(|_| f64::from(sampler.sample(&mut random).0)).collect();
        draws.sort_by(f64::total_cmp);
        draws
    };
    let assert_mean = |draws: &[f64], mean: f64| {
        let n = draws.len() as f64;
        let found = draws.iter().sum::<f64>() / n;
        let variance = draws.iter().map(|x| (x - found) * (x - found)).sum::<f64>() / n;
        assert!((found - mean).abs() < 5.0 * (variance / n).sqrt() + 0.01, "{found}, expected {mean}");
    };
    let draws = sample(LengthDist::LogNormal(LogNormal::MedianP99 { median: 1020.0, p99: 4142.0 }));
    assert!((draws[100_000] / 1020.0 - 1.0).abs() < 0.01, "{}", draws[100_000]);
    assert!((draws[198_000] / 4142.0 - 1.0).abs() < 0.03, "{}", draws[198_000]);
    assert_mean(&sample(LengthDist::LogNormal(LogNormal::MeanCv { mean: 300.0, cv: 1.5 })), 300.0);
    let draws = sample(LengthDist::Geometric { mean: 50.0 });
    assert_mean(&draws, 50.0);
    assert_eq!(draws[0], 1.0);
    // P(X > 50) = (1 − 1/50)^50
    let beyond = draws.iter().filter(|x| **x > 50.0).count() as f64 / 200_000.0;
    assert!((beyond - 0.364_17).abs() < 0.006, "{beyond}");
    assert_eq!(sample(LengthDist::Geometric { mean: 1.0 }).last(), Some(&1.0));
    let draws = sample(LengthDist::Uniform { low: 3, high: 6 });
    assert_mean(&draws, 4.5);
    assert_eq!((draws[0], draws[199_999]), (3.0, 6.0));
}

#[test]
fn joint_log_normal_lengths_are_correlated() {
    let prompt = LogNormal::MedianP99 { median: 1000.0, p99: 8000.0 };
    let output = LogNormal::MedianP99 { median: 200.0, p99: 900.0 };
    let joint = Lengths::Joint(JointLengths::LogNormal { prompt, output, correlation: 0.6 });
    let sampler = LengthSampler::new(&joint).unwrap();
    let mut random = Seed(22).stream("joint");
    let logs: Vec<(f64, f64)> = (0..100_000)
        .map(|_| sampler.sample(&mut random))
        .map(|(prompt, output)| (libm::log(f64::from(prompt)), libm::log(f64::from(output))))
        .collect();
    let mean = |f: &dyn Fn(&(f64, f64)) -> f64| logs.iter().map(f).sum::<f64>() / logs.len() as f64;
    let (x, y) = (mean(&|log| log.0), mean(&|log| log.1));
    let covariance = mean(&|log| (log.0 - x) * (log.1 - y));
    let variances = mean(&|log| (log.0 - x) * (log.0 - x)) * mean(&|log| (log.1 - y) * (log.1 - y));
    let correlation = covariance / variances.sqrt();
    // Its standard error is (1 − ρ²)/√n = 0.002.
    assert!((correlation - 0.6).abs() < 0.01, "{correlation}");
}

fn closed(users: u32, think: Think) -> StreamConfig {
    let source = Source::Closed(ClosedConfig { users, think, ramp: Duration::ZERO, lengths: lengths() });
    StreamConfig { name: "users".to_owned(), source }
}

#[test]
fn closed_loops_keep_their_concurrency() {
    let mut stream = Stream::new(&closed(3, Think::None), Seed(1), Duration::from_secs(10)).unwrap();
    let first: Vec<Arrival> = std::iter::from_fn(|| stream.next_arrival().unwrap()).collect();
    let who: Vec<_> = first.iter().map(|arrival| (arrival.at, arrival.session)).collect();
    assert_eq!(who, [0, 1, 2].map(|user| (Instant::ZERO, Some(user))));
    let now = Instant::from_nanos(5_000_000_000);
    let next = stream.completed(now, 1).unwrap();
    assert_eq!((next.at, next.session), (now, Some(1)));
    assert_eq!(stream.completed(Instant::from_nanos(10_000_000_000), 1), None);
    assert_eq!(stream.completed(now, 99), None);
    assert!(stream.is_closed_loop());
}

/// A user's k-th request is the same whatever order the answers come in.
#[test]
fn closed_loops_do_not_depend_on_the_order_of_answers() {
    let think = Think::Exponential(Duration::from_secs(2));
    let config = closed(2, think);
    let run = |order: [u64; 4]| -> Vec<Arrival> {
        let mut stream = Stream::new(&config, Seed(1), Duration::from_secs(1000)).unwrap();
        while stream.next_arrival().unwrap().is_some() {}
        let now = Instant::from_nanos(60_000_000_000);
        let mut arrivals: Vec<Arrival> =
            order.into_iter().map(|user| stream.completed(now, user).unwrap()).collect();
        arrivals.sort_by_key(|arrival| (arrival.session, arrival.at));
        arrivals
    };
    assert_eq!(run([0, 0, 1, 1]), run([1, 0, 1, 0]));
}

#[test]
fn problems_are_told_all_at_once() {
    let mut config = open(
        -1.0,
        ArrivalProcess::Gamma { cv: Cv(0.0) },
        vec![
            Shape::Diurnal { peak: Duration::from_secs(90_000), peak_to_trough: 0.5 },
            Shape::Growth { per_week: 1.5, cap: Some(0.5) },
            Shape::Piecewise {
                points: vec![(Duration::from_secs(5), 1.0), (Duration::from_secs(5), f64::NAN)],
            },
            Shape::Spike {
                start: Duration::ZERO,
                factor: -2.0,
                rise: Duration::ZERO,
                hold: Duration::MAX,
                fall: Duration::MAX,
            },
            Shape::Weekly { factors: [0.0; 7] },
        ],
        Lengths::Independent {
            prompt: Length {
                dist: LengthDist::LogNormal(LogNormal::MedianP99 { median: 9.0, p99: 3.0 }),
                min: 5,
                max: 2,
            },
            output: Length::new(LengthDist::Uniform { low: 0, high: 99_999_999 }),
        },
    );
    insta::assert_snapshot!("problems_open", Stream::new(&config, Seed(1), Duration::HOUR).unwrap_err());
    config.source = Source::Closed(ClosedConfig {
        users: 0,
        think: Think::LogNormal { mean: Duration::ZERO, cv: -1.0 },
        ramp: Duration::ZERO,
        lengths: Lengths::Joint(JointLengths::LogNormal {
            prompt: LogNormal::MeanCv { mean: -3.0, cv: 1000.0 },
            output: LogNormal::MeanCv { mean: 3.0, cv: 1.0 },
            correlation: 2.0,
        }),
    });
    insta::assert_snapshot!("problems_closed", Stream::new(&config, Seed(1), Duration::HOUR).unwrap_err());
    let state = |rate, nanos| MmppState { rate, sojourn: Duration::from_nanos(nanos) };
    let mut text = String::new();
    for process in [
        ArrivalProcess::Mmpp { states: vec![state(-1.0, 5)] },
        ArrivalProcess::Mmpp { states: vec![state(0.0, 50_000), state(0.0, 50_000)] },
        ArrivalProcess::Clients(ClientsConfig {
            count: 2,
            shares: ClientShares::Given(vec![1.0, -1.0, 2.0]),
            cv: ClientSpread::Quantiles { p10: Cv(2.0), p50: Cv(1.0), p90: Cv(1e9) },
            family: RenewalFamily::Gamma,
        }),
    ] {
        let config = open(1.0, process, vec![], lengths());
        text += &format!("{}\n", Stream::new(&config, Seed(1), Duration::HOUR).unwrap_err());
    }
    let growth = vec![Shape::Growth { per_week: 1000.0, cap: None }];
    let config = open(1.0, ArrivalProcess::Poisson, growth, lengths());
    let year = Duration::parse("1y").unwrap();
    text += &format!("{}\n", Stream::new(&config, Seed(1), year).unwrap_err());
    insta::assert_snapshot!("problems_processes", text);
}

fn any_process() -> impl Strategy<Value = ArrivalProcess> {
    let cv = || (0.05f64..8.0).prop_map(Cv);
    prop_oneof![
        Just(ArrivalProcess::Poisson),
        Just(ArrivalProcess::Deterministic),
        cv().prop_map(|cv| ArrivalProcess::Gamma { cv }),
        cv().prop_map(|cv| ArrivalProcess::Weibull { cv }),
        proptest::collection::vec((0.1f64..9.0, 1u64..500), 2..5).prop_map(|states| ArrivalProcess::Mmpp {
            states: states
                .into_iter()
                .map(|(rate, sojourn)| MmppState { rate, sojourn: Duration::from_secs(sojourn) })
                .collect(),
        }),
        (1u32..60)
            .prop_map(|count| ArrivalProcess::Clients(ClientsConfig { count, ..ClientsConfig::default() })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn arrivals_are_in_order_in_bounds_and_repeatable(
        process in any_process(),
        seed in any::<u64>(),
        factor in 0.0f64..20.0,
        (min, range) in (1u32..500, 0u32..2000),
    ) {
        let dist = LengthDist::LogNormal(LogNormal::MedianP99 { median: 300.0, p99: 5000.0 });
        let lengths = Lengths::Independent {
            prompt: Length { dist, min, max: min + range },
            output: Length::new(LengthDist::Geometric { mean: 40.0 }),
        };
        let spike = Shape::Spike {
            start: Duration::from_secs(300),
            factor,
            rise: Duration::from_secs(100),
            hold: Duration::from_secs(50),
            fall: Duration::from_secs(0),
        };
        let config = open(2.0, process, vec![spike], lengths);
        let window = Duration::from_secs(1000);
        let arrivals = all(&config, seed, window);
        prop_assert!(arrivals.is_sorted_by_key(|arrival| arrival.at));
        prop_assert!(arrivals.iter().all(|arrival| arrival.at < Instant::ZERO + window
            && (min..=min + range).contains(&arrival.prompt_tokens) && arrival.output_tokens >= 1));
        prop_assert_eq!(arrivals, all(&config, seed, window));
    }
}
