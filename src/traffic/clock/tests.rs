//! Tests of the clock: shapes change a rate exactly.

use std::f64::consts::PI;

use proptest::prelude::*;

use super::*;
use crate::traffic::Weekday;
use crate::traffic::shape::DAY_S;

const WEEK: Duration = Duration::from_nanos(WEEK_NS);

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

/// All times at which Λ passes k + 1/2 before `window`.
fn regular(rate: f64, shapes: &[Shape], start: Start, window: Duration) -> Vec<Instant> {
    let mut clock = Clock::new(Rate::per_second(rate), shapes, start);
    let end = Instant::ZERO + window;
    let mut times: Vec<Instant> = clock.advance(0.5, end).into_iter().collect();
    while let Some(at) = clock.advance(1.0, end) {
        times.push(at);
    }
    times
}

/// Each time, put into the closed form of Λ, gives k + 1/2 to 1e-12 of Λ and the nanosecond it is cut to.
fn assert_lands(times: &[Instant], peak_rate: f64, cumulative: impl Fn(f64) -> f64) {
    assert!(times.len() > 100, "{}", times.len());
    for (k, at) in times.iter().enumerate() {
        let wanted = k as f64 + 0.5;
        let reached = cumulative(at.as_secs_f64());
        let allowed = 1e-12 * wanted.max(1.0) + 1.01e-9 * peak_rate;
        assert!((reached - wanted).abs() <= allowed, "arrival {k} at {at}: Λ = {reached}");
    }
}

#[test]
fn flat() {
    let times = regular(1000.0 / 7.0, &[], Start::default(), hours(1));
    assert_lands(&times, 143.0, |t| t * 1000.0 / 7.0);
    assert_eq!(times.len(), 514_286);
}

#[test]
fn diurnal_lands_on_the_closed_form() {
    let shape = Shape::Diurnal { peak: hours(14), peak_to_trough: 4.0 };
    let start = Start { day: Weekday::Friday, time: hours(5) };
    let times = regular(0.7, &[shape], start, hours(72));
    let omega = 2.0 * PI / DAY_S;
    // The run begins at 5:00, nine hours before the peak.
    let primitive = |t: f64| t + 0.6 / omega * libm::sin(omega * (t - 9.0 * 3600.0));
    assert_lands(&times, 1.2, |t| 0.7 * (primitive(t) - primitive(0.0)));
    assert_eq!(times.len(), 181_440);
}

#[test]
fn spike_lands_on_the_closed_form() {
    let shape = Shape::Spike {
        start: hours(10),
        factor: 10.0,
        rise: Duration::from_secs(600),
        hold: hours(1),
        fall: hours(2),
    };
    let times = regular(2.0, &[shape], Start::default(), hours(24));
    assert_lands(&times, 20.0, |t| {
        let (rise, hold, fall) = (600.0, 3600.0, 7200.0);
        let since = t - 36_000.0;
        let risen = since.clamp(0.0, rise);
        let held = (since - rise).clamp(0.0, hold);
        let fallen = (since - rise - hold).clamp(0.0, fall);
        let above = risen * risen / (2.0 * rise) + held + fallen - fallen * fallen / (2.0 * fall);
        2.0 * (t + 9.0 * above)
    });
    // 24 h and nine times (5 min + 1 h + 1 h) more.
    assert_eq!(times.len(), 2 * (86_400 + 9 * 7500));
}

#[test]
fn growth_lands_on_the_closed_form_and_stops_at_its_cap() {
    let shape = Shape::Growth { per_week: 1.5, cap: Some(2.0) };
    let times = regular(0.1, &[shape], Start::default(), WEEK * 3);
    let slope = libm::log(1.5) / WEEK.as_secs_f64();
    let capped_from = libm::log(2.0) / slope;
    assert_lands(&times, 0.2, |t| {
        0.1 * (libm::expm1(slope * t.min(capped_from)) / slope + 2.0 * (t - capped_from).max(0.0))
    });
}

#[test]
fn piecewise_lands_on_the_closed_form_and_may_be_silent() {
    let at = Duration::from_secs;
    let points = vec![(at(100), 1.0), (at(200), 0.0), (at(300), 0.0), (at(500), 4.0)];
    let times = regular(3.0, &[Shape::Piecewise { points }], Start::default(), at(1000));
    assert!(times.iter().all(|time| !(200.0..300.0).contains(&time.as_secs_f64())));
    assert_lands(&times, 12.0, |t| {
        let falling = (t - 100.0).clamp(0.0, 100.0);
        let rising = (t - 300.0).clamp(0.0, 200.0);
        3.0 * (t.min(100.0) + falling - falling * falling / 200.0
            + rising * rising / 100.0
            + 4.0 * (t - 500.0).max(0.0))
    });
}

/// A product of a cosine and a rising flank has a closed form too, by parts.
#[test]
fn products_land_on_the_closed_form() {
    let shapes = [
        Shape::Diurnal { peak: Duration::ZERO, peak_to_trough: 3.0 },
        Shape::Piecewise { points: vec![(Duration::ZERO, 0.0), (hours(48), 2.0)] },
    ];
    let times = regular(1.0, &shapes, Start::default(), hours(48));
    let (omega, slope) = (2.0 * PI / DAY_S, 2.0 / (2.0 * DAY_S));
    let by_parts = |t: f64| t * libm::sin(omega * t) / omega + (libm::cos(omega * t) - 1.0) / (omega * omega);
    assert_lands(&times, 2.0, |t| slope * (t * t / 2.0 + 0.5 * by_parts(t)));
}

#[test]
fn periodic_shapes_have_mean_1_over_their_period() {
    let day = |peak, peak_to_trough| Shape::Diurnal { peak: hours(peak), peak_to_trough };
    let week = Shape::Weekly { factors: [1.0, 1.1, 1.2, 1.1, 1.0, 0.3, 0.2] };
    let start = Start { day: Weekday::Wednesday, time: hours(7) };
    for shapes in [
        vec![day(14, 4.0)],
        vec![week.clone()],
        vec![Shape::weekend(0.25)],
        vec![day(14, 4.0), week.clone()],
        vec![day(14, 4.0), day(13, 9.0), week],
    ] {
        let count = regular(0.5, &shapes, start, WEEK * 2).len();
        assert!(count.abs_diff(604_800) <= 1, "{shapes:?}: {count}");
    }
}

#[test]
fn the_week_begins_where_it_is_told() {
    let clock =
        |day| Clock::new(Rate::per_second(7.0), &[Shape::weekend(0.0)], Start { day, time: hours(12) });
    let rate = |clock: &Clock, after| clock.rate_at(Instant::ZERO + hours(after)).as_per_second();
    let friday = clock(Weekday::Friday);
    assert!((rate(&friday, 0) - 7.0 * 7.0 / 5.0).abs() < 1e-12);
    assert!((rate(&friday, 11) - 9.8).abs() < 1e-12);
    for silent in [12, 35, 59] {
        assert_eq!(rate(&friday, silent), 0.0);
    }
    assert!((rate(&friday, 60) - 9.8).abs() < 1e-12);
    assert_eq!(rate(&clock(Weekday::Sunday), 0), 0.0);
}

#[test]
fn a_limit_stops_the_clock_there() {
    let spike = Shape::Spike {
        start: hours(1),
        factor: 3.0,
        rise: hours(1),
        hold: Duration::ZERO,
        fall: Duration::ZERO,
    };
    for shapes in [vec![], vec![spike]] {
        let mut clock = Clock::new(Rate::per_second(1.0), &shapes, Start::default());
        let quarter = Instant::ZERO + Duration::from_secs(900);
        assert_eq!(clock.advance(f64::INFINITY, quarter), None);
        assert_eq!(clock.advance(10.0, Instant::ZERO + hours(9)), Some(quarter + Duration::from_secs(10)));
        assert_eq!(clock.advance(1e9, Instant::ZERO + hours(5)), None);
        let after = clock.advance(1.0, Instant::ZERO + hours(9)).unwrap();
        assert_eq!(after, Instant::ZERO + hours(5) + Duration::from_secs(1));
    }
}

fn any_shape() -> impl Strategy<Value = Shape> {
    let time = |most: u64| (0..=most).prop_map(Duration::from_secs);
    prop_oneof![
        (time(86_399), 1.0..1000.0).prop_map(|(peak, ratio)| Shape::Diurnal { peak, peak_to_trough: ratio }),
        proptest::array::uniform7(0.01..3.0).prop_map(|factors| Shape::Weekly { factors }),
        (time(100_000), 0.0..30.0, time(9000), time(9000), time(9000))
            .prop_map(|(start, factor, rise, hold, fall)| Shape::Spike { start, factor, rise, hold, fall }),
        (0.3..4.0).prop_map(|per_week| Shape::Growth { per_week, cap: None }),
        proptest::collection::vec((1u64..50_000, 0.0..5.0), 1..6).prop_map(|steps| {
            let mut at = 0;
            let points = steps.into_iter().map(|(gap, factor)| {
                at += gap;
                (Duration::from_secs(at), factor)
            });
            Shape::Piecewise { points: points.collect() }
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever the shapes: times never go back, and their number is the integral of `rate_at`.
    #[test]
    fn any_shapes_integrate(shapes in proptest::collection::vec(any_shape(), 1..5)) {
        let window = hours(48);
        let times = regular(0.2, &shapes, Start::default(), window);
        prop_assert!(times.is_sorted());
        prop_assert!(times.last().is_none_or(|last| *last < Instant::ZERO + window));
        // The midpoint rule, in steps of a second: jumps and kinks lie at whole seconds.
        let clock = Clock::new(Rate::per_second(0.2), &shapes, Start::default());
        let integral: f64 = (0..48 * 3600)
            .map(|second| clock.rate_at(Instant::from_nanos(second * 1_000_000_000 + 500_000_000)).as_per_second())
            .sum();
        prop_assert!((times.len() as f64 - integral).abs() <= 0.6, "{} arrivals, {integral}", times.len());
    }
}
