//! A running stream.

use super::clients::Clients;
use super::clock::Clock;
use super::closed::ClosedLoop;
use super::lengths::LengthSampler;
use super::mmpp::Mmpp;
use super::prefixes::Prefixed;
use super::process::RenewalFamily;
use super::renewal::Renewal;
use super::samplers::Interval;
use super::trace::Replay;
use super::{Arrival, ArrivalProcess, Cv, OpenConfig, Problem, Shape, Source, StreamConfig, TrafficError};
use crate::sim::{RandomStream, Seed};
use crate::units::{Duration, Instant, Rate};

/// A running stream: hands out its arrivals in order of time.
#[derive(Debug)]
pub struct Stream {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Open(Box<Open>),
    Closed(ClosedLoop),
    Trace(Box<Replay>),
    Prefixed(Box<Prefixed>),
}

impl Stream {
    /// Starts the stream. `window` is the length of the run: no arrival is at its end or later.
    ///
    /// # Errors
    /// All [`StreamConfig::problems`] at once; a file that cannot be read or whose content is wrong.
    pub fn new(config: &StreamConfig, seed: Seed, window: Duration) -> Result<Self, TrafficError> {
        let mut problems = config.problems();
        if problems.is_empty()
            && let Source::Open(open) = &config.source
        {
            problems = overgrown(open, window);
        }
        if !problems.is_empty() {
            return Err(TrafficError::Config { stream: config.name.clone(), problems });
        }
        let end = Instant::ZERO + window;
        let kind = match &config.source {
            Source::Open(open) => Kind::Open(Box::new(Open::new(open, seed, &config.name, end)?)),
            Source::Closed(closed) => Kind::Closed(ClosedLoop::new(closed, seed, &config.name, end)?),
            Source::Trace(trace) => {
                let shifts = seed.stream(&format!("shifts/{}", config.name));
                Kind::Trace(Box::new(Replay::new(trace, shifts, end)?))
            }
            Source::Prefixed(prefixed) => {
                Kind::Prefixed(Box::new(Prefixed::new(prefixed, seed, &config.name, window)?))
            }
        };
        Ok(Self { kind })
    }

    /// The next arrival, not before the one before; `None` when there is none left in the window. In a closed
    /// loop these are the users' first requests only.
    ///
    /// # Errors
    /// When a trace cannot be read on or its next row is wrong.
    pub fn next_arrival(&mut self) -> Result<Option<Arrival>, TrafficError> {
        match &mut self.kind {
            Kind::Open(open) => Ok(open.next()),
            Kind::Closed(closed) => Ok(closed.first_request()),
            Kind::Trace(trace) => trace.next(),
            Kind::Prefixed(prefixed) => prefixed.next(),
        }
    }

    /// Tells a closed loop that the request of user `session` ended at `now`, well or badly, and gives that
    /// user's next request (or tells a session, and gives its next turn), at `now` or later; `None` when that would
    /// be after the window, when there is no such user or no turn left, or when this stream does not listen.
    ///
    /// A user without think time whose request is rejected at once asks again at the same instant: whoever
    /// rejects must let time pass before it says that the request ended.
    pub fn completed(&mut self, now: Instant, session: u64) -> Option<Arrival> {
        match &mut self.kind {
            Kind::Closed(closed) => closed.next_request(now, session),
            Kind::Prefixed(prefixed) => prefixed.completed(now, session),
            Kind::Open(_) | Kind::Trace(_) => None,
        }
    }

    /// The request of a session came to nothing: no turn builds on it.
    pub fn given_up(&mut self, session: u64) {
        if let Kind::Prefixed(prefixed) = &mut self.kind {
            prefixed.given_up(session);
        }
    }

    /// True when the stream wants to hear of completions.
    pub fn is_closed_loop(&self) -> bool {
        match &self.kind {
            Kind::Closed(_) => true,
            Kind::Prefixed(prefixed) => prefixed.is_closed_loop(),
            Kind::Open(_) | Kind::Trace(_) => false,
        }
    }

    /// The mean rate offered at `at`, shapes included; `None` for closed loops and traces, which have none
    /// before they are run.
    pub fn rate_at(&self, at: Instant) -> Option<Rate> {
        match &self.kind {
            Kind::Open(open) => Some(open.clock.rate_at(at)),
            Kind::Prefixed(prefixed) => prefixed.inner().rate_at(at),
            Kind::Closed(_) | Kind::Trace(_) => None,
        }
    }
}

/// The fastest that growth may become, per second: there the nanosecond is the interval.
const RATE_MAX: f64 = 1e9;

/// Growth that leaves the range of the clock before the window's end.
fn overgrown(open: &OpenConfig, window: Duration) -> Vec<Problem> {
    let end = Instant::ZERO + window;
    // Each factor's largest value over the window, whatever the others do then.
    let highest = |shape: &Shape| match shape {
        Shape::Diurnal { peak_to_trough, .. } => 2.0 * peak_to_trough / (peak_to_trough + 1.0),
        Shape::Weekly { factors } => {
            factors.iter().fold(0.0, |most: f64, factor| most.max(*factor)) * 7.0
                / factors.iter().sum::<f64>()
        }
        Shape::Spike { factor, .. } => factor.max(1.0),
        Shape::Growth { .. } => shape.factor(open.start, end, 0.0).max(1.0),
        Shape::Piecewise { points } => points.iter().fold(0.0, |most: f64, point| most.max(point.1)),
    };
    let rate = open.rate.as_per_second() * open.shape.iter().map(highest).product::<f64>();
    if rate <= RATE_MAX {
        return Vec::new();
    }
    vec![Problem::new(
        "shape",
        format!("the shapes may raise the rate to {rate:.1e}/s within the run"),
        "lower the factors, or give growth a cap",
    )]
}

/// Open traffic.
#[derive(Debug)]
struct Open {
    clock: Clock,
    process: Process,
    lengths: LengthSampler,
    random: RandomStream,
    end: Instant,
}

#[derive(Debug)]
enum Process {
    Deterministic { begun: bool },
    Renewal(Renewal),
    Mmpp(Mmpp),
    Clients(Clients),
}

impl Open {
    fn new(config: &OpenConfig, seed: Seed, name: &str, end: Instant) -> Result<Self, TrafficError> {
        let arrivals = || seed.stream(&format!("arrivals/{name}"));
        let renewal = |family, cv| Process::Renewal(Renewal::new(Interval::new(family, cv), arrivals()));
        let process = match &config.arrivals {
            ArrivalProcess::Poisson => renewal(RenewalFamily::Gamma, Cv(1.0)),
            ArrivalProcess::Deterministic => Process::Deterministic { begun: false },
            ArrivalProcess::Gamma { cv } => renewal(RenewalFamily::Gamma, *cv),
            ArrivalProcess::Weibull { cv } => renewal(RenewalFamily::Weibull, *cv),
            ArrivalProcess::Mmpp { states } => {
                Process::Mmpp(Mmpp::new(states, arrivals(), seed.stream(&format!("states/{name}"))))
            }
            ArrivalProcess::Clients(clients) => Process::Clients(Clients::new(clients, seed, name)),
        };
        Ok(Self {
            clock: Clock::new(config.rate, &config.shape, config.start),
            process,
            lengths: LengthSampler::new(&config.lengths)?,
            random: seed.stream(&format!("lengths/{name}")),
            end,
        })
    }

    fn next(&mut self) -> Option<Arrival> {
        let step = match &mut self.process {
            Process::Deterministic { begun } => {
                if std::mem::replace(begun, true) {
                    1.0
                } else {
                    0.5
                }
            }
            Process::Renewal(renewal) => renewal.step(),
            Process::Clients(clients) => clients.step(),
            Process::Mmpp(mmpp) => {
                let at = mmpp.next(&mut self.clock, self.end)?;
                return Some(self.arrival(at));
            }
        };
        let at = self.clock.advance(step, self.end)?;
        Some(self.arrival(at))
    }

    fn arrival(&mut self, at: Instant) -> Arrival {
        let (prompt_tokens, output_tokens) = self.lengths.sample(&mut self.random);
        Arrival::plain(at, prompt_tokens, output_tokens)
    }
}

#[cfg(test)]
mod tests;
