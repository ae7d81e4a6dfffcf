//! What prompts share: turns that grow, texts in front, a reuse rate that is met.

use super::*;
use crate::traffic::{ArrivalProcess, ClosedConfig, LengthDist, Lengths, OpenConfig, Start};
use crate::units::Rate;

fn stream(config: PrefixedConfig) -> Stream {
    let config = StreamConfig { name: "s".to_owned(), source: Source::Prefixed(config) };
    Stream::new(&config, Seed(1), Duration::from_secs(1000)).expect("it is right")
}

fn open() -> Box<Source> {
    let uniform = |low, high| Length::new(LengthDist::Uniform { low, high });
    Box::new(Source::Open(OpenConfig {
        rate: Rate::per_second(10.0),
        arrivals: ArrivalProcess::Poisson,
        shape: Vec::new(),
        start: Start::default(),
        lengths: Lengths::Independent { prompt: uniform(50, 500), output: uniform(2, 100) },
    }))
}

fn begun(turns: u32) -> Sessions {
    Sessions::Begun {
        turns: Length::constant(turns),
        think: Think::Constant(Duration::from_secs(1)),
        max_context: None,
        tools: None,
    }
}

/// Each turn's prompt is the last one's prompt and answer, and what it adds; its blocks begin with theirs.
#[test]
fn turns_grow() {
    let shared = SharedPrompt { part: SharedPart::Tokens(100), variants: 3, zipf: 1.0 };
    let mut stream =
        stream(PrefixedConfig { source: open(), shared: Some(shared), sessions: Some(begun(4)) });
    let first = stream.next_arrival().expect("it runs").expect("there is one");
    let other = stream.next_arrival().expect("it runs").expect("there is one");
    assert_ne!(first.session, other.session);
    let mut last = first;
    assert!(last.prompt_tokens >= 150);
    for turn in 1..4 {
        let session = last.session.expect("it has one");
        let next = stream.completed(last.at + Duration::from_secs(3), session).expect("a turn is left");
        assert_eq!(next.at, last.at + Duration::from_secs(4));
        assert!(next.prompt_tokens >= last.prompt_tokens + last.output_tokens + 50);
        let hashes = |arrival: &Arrival| arrival.blocks.clone().expect("it has blocks").0.to_vec();
        let (before, after) = (hashes(&last), hashes(&next));
        assert_eq!(after.len(), 2 + 2 * turn);
        assert_eq!(after[..before.len()], before);
        assert_eq!(Some(after[before.len()]), last.answer);
        let ends = next.ends.clone().expect("it has ends");
        assert_eq!(ends.first().zip(ends.last()), Some((&100, &next.prompt_tokens)));
        assert!(ends.is_sorted());
        last = next;
    }
    assert_eq!(stream.completed(last.at, last.session.expect("it has one")), None);
}

/// A session whose request failed asks no more, and its place is used again under another number.
#[test]
fn a_failed_turn_is_the_last() {
    let mut stream = stream(PrefixedConfig { source: open(), shared: None, sessions: Some(begun(9)) });
    let first = stream.next_arrival().expect("it runs").expect("there is one").session.expect("it has one");
    stream.given_up(first);
    assert_eq!(stream.completed(Instant::ZERO, first), None);
    let next = stream.next_arrival().expect("it runs").expect("there is one").session.expect("it has one");
    assert_eq!((next as u32, next >> 32), (first as u32, (first >> 32) + 1));
    stream.given_up(first);
    assert!(stream.completed(Instant::ZERO, next).is_some(), "a stale number ends nobody");
}

/// The sharing that was asked for is what a cache without bound finds.
#[test]
fn the_reuse_rate_is_met() {
    let shared = SharedPrompt { part: SharedPart::Reuse(0.4), variants: 20, zipf: 0.9 };
    let mut stream = stream(PrefixedConfig { source: open(), shared: Some(shared), sessions: None });
    let mut seen = std::collections::BTreeSet::new();
    let (mut tokens, mut found) = (0u64, 0u64);
    while let Some(arrival) = stream.next_arrival().expect("it runs") {
        tokens += u64::from(arrival.prompt_tokens);
        let hashes = arrival.blocks.map(|blocks| blocks.0.to_vec()).unwrap_or_default();
        let repeated = hashes.iter().take_while(|hash| seen.contains(*hash)).count();
        found += repeated as u64 * u64::from(TEXT_BLOCK);
        seen.extend(hashes);
    }
    let reuse = found as f64 / tokens as f64;
    assert!((reuse / 0.4 - 1.0).abs() < 0.02, "{reuse}");
}

/// Users have one session after another, each with a text of its own user's.
#[test]
fn users_begin_again() {
    let lengths = Lengths::Independent { prompt: Length::constant(10), output: Length::constant(5) };
    let closed = ClosedConfig { users: 1, think: Think::None, ramp: Duration::ZERO, lengths };
    let sessions = Sessions::OfUsers { turns: Length::constant(3), max_context: None };
    let source = Box::new(Source::Closed(closed));
    let mut stream = stream(PrefixedConfig { source, shared: None, sessions: Some(sessions) });
    let mut arrival = stream.next_arrival().expect("it runs").expect("there is one");
    let mut prompts = Vec::new();
    for second in 0..7 {
        prompts.push(arrival.prompt_tokens);
        let now = Instant::ZERO + Duration::from_secs(second);
        arrival = stream.completed(now, arrival.session.expect("a user")).expect("users go on");
    }
    assert_eq!(prompts, [10, 25, 40, 10, 25, 40, 10]);
}
