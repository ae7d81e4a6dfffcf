//! Hosted APIs, paid by the token: where requests go for which the own deployments have no room.
//!
//! An API is a black box: it answers after latencies of its own, lets only so many requests and tokens through, and
//! costs what its tokens cost. A request goes there when it arrives and no deployment of its stream has room (by
//! `spill_over`, by a bound on queues, or because no replica is ready), or when a replica would reject it; what the
//! API refuses too goes on as if there were none.

use std::collections::BTreeMap;

use super::config::{ApiPlan, WorldConfig};
use super::events::Event;
use super::run::World;
use crate::billing::Ledger;
use crate::metrics::results::{ApiSummary, TokenCounts};
use crate::serving::{Departure, Gate, NewRequest, Outcome, RequestKind, TimeCause, TimeSpent};
use crate::sim::RandomStream;
use crate::units::{Instant, Usd};

/// The APIs with what is under way there.
#[derive(Debug)]
pub(super) struct Hosted {
    apis: Vec<Api>,
    calls: BTreeMap<u64, Call>,
    next: u64,
}

#[derive(Debug)]
struct Api {
    gate: Gate,
    draws: RandomStream,
    account: usize,
    running: u32,
    refused: u64,
    /// Tokens asked for since the run began, and what has been billed of them.
    prompt: u64,
    output: u64,
    tokens_billed: u64,
    charged: Usd,
}

/// A request that an API answers.
#[derive(Debug)]
struct Call {
    api: usize,
    /// As it will leave.
    departure: Departure,
}

impl Hosted {
    pub(super) fn new(config: &WorldConfig, ledger: &mut Ledger) -> Self {
        let open = |(place, plan): (usize, &ApiPlan)| Api {
            gate: Gate::new(&plan.limits),
            draws: config.seed.stream(&format!("apis/{}", plan.name)),
            account: ledger.open_tokens(config.pools.len() + place),
            running: 0,
            refused: 0,
            prompt: 0,
            output: 0,
            tokens_billed: 0,
            charged: Usd::ZERO,
        };
        Self { apis: config.apis.iter().enumerate().map(open).collect(), calls: BTreeMap::new(), next: 0 }
    }
}

impl World<'_> {
    /// A request comes in: to its deployments, or to an API where they have no room.
    pub(super) fn enter(&mut self, now: Instant, request: NewRequest) {
        self.arrived += 1;
        self.recorder.arrived(now, request.stream);
        let plan = &self.config.streams[usize::from(request.stream)];
        if plan.overflow.is_some() && !self.serving.has_room(request.stream) {
            let terms = &plan.terms;
            let embeds = terms.kind != RequestKind::Generate;
            let departure = Departure {
                id: request.id,
                stream: request.stream,
                deployment: 0,
                replica: None,
                session: request.session,
                arrival: now,
                first_scheduled: None,
                first_token: None,
                end: now,
                prompt: request.prompt.max(1),
                output: if embeds { 0 } else { request.output.max(1) },
                samples: if embeds { 1 } else { terms.samples.max(1) },
                retries: 0,
                attempt: request.attempt,
                from_cache: false,
                outcome: Outcome::Completed,
                spent: TimeSpent::default(),
            };
            if self.overflow(now, &departure) {
                return;
            }
        }
        let mut ctx = crate::sim::Ctx::new(now, &mut self.buffers.serving, &mut self.buffers.served);
        self.serving.arrive(&mut ctx, request);
        self.route_serving(now);
    }

    /// Hands a request to the API of its stream; false when there is none, or it lets nothing more through.
    pub(super) fn overflow(&mut self, now: Instant, request: &Departure) -> bool {
        let stream = &self.config.streams[usize::from(request.stream)];
        let Some(place) = stream.overflow else { return false };
        let plan = &self.config.apis[place];
        let api = &mut self.hosted.apis[place];
        let outputs = u64::from(request.output) * u64::from(request.samples);
        let full = plan.concurrency.is_some_and(|most| api.running >= most);
        if full || !api.gate.passes(now, u64::from(request.prompt) + outputs) {
            api.refused += 1;
            return false;
        }
        api.running += 1;
        api.prompt += u64::from(request.prompt);
        api.output += outputs;
        let first = now + plan.latency + plan.ttft.sample(&mut api.draws);
        let each = plan.tpot.sample(&mut api.draws);
        let answered = first + each * u64::from(request.output.saturating_sub(1));
        // A client that gives up has paid all the same.
        let deadline = stream.timeout.map_or(Instant::MAX, |after| request.arrival.saturating_add(after));
        let (end, outcome) = if answered > deadline {
            (deadline.max(now), Outcome::TimedOut)
        } else {
            (answered, Outcome::Completed)
        };
        let departure = Departure {
            deployment: (self.config.deployments.len() + place) as u32,
            replica: None,
            first_scheduled: Some(now),
            first_token: (first <= end).then_some(first),
            end,
            outcome,
            spent: spent(request, now, first.min(end), end),
            ..*request
        };
        let number = self.hosted.next;
        self.hosted.next += 1;
        self.hosted.calls.insert(number, Call { api: place, departure });
        self.queue.push(end, Event::Hosted { number });
        true
    }

    /// An API has answered, or its client gave up.
    pub(super) fn answered(&mut self, now: Instant, number: u64) {
        let Some(call) = self.hosted.calls.remove(&number) else { return };
        self.hosted.apis[call.api].running -= 1;
        self.departed(now, &call.departure);
    }

    /// Requests that APIs are still answering when the run ends.
    pub(super) fn hosted_in_flight(&self, end: Instant) -> Vec<Departure> {
        let left = |call: &Call| Departure {
            first_token: call.departure.first_token.filter(|first| *first <= end),
            end,
            outcome: Outcome::InFlight,
            ..call.departure
        };
        self.hosted.calls.values().map(left).collect()
    }

    /// Bills the tokens that were asked for since the last time: the price of all so far, rounded once, less what
    /// was charged.
    pub(super) fn bill_apis(&mut self, now: Instant) {
        for (plan, api) in self.config.apis.iter().zip(&mut self.hosted.apis) {
            let due = plan.input.cost_of(api.prompt) + plan.output.cost_of(api.output);
            let tokens = api.prompt + api.output;
            if tokens > api.tokens_billed {
                self.ledger.tokens(now, api.account, tokens - api.tokens_billed, due - api.charged);
                (api.tokens_billed, api.charged) = (tokens, due);
            }
        }
    }

    /// What each API did.
    pub(super) fn api_summaries(&self) -> Vec<ApiSummary> {
        let first = self.config.deployments.len();
        let one = |(place, (plan, api)): (usize, (&ApiPlan, &Api))| {
            let mut stats = self.stats(|_, of| of as usize == first + place);
            let counts = &mut stats.counts;
            counts.arrived = counts.completed + counts.timed_out + counts.in_flight;
            ApiSummary {
                name: plan.name.clone(),
                provider: plan.provider.clone(),
                requests: stats.counts,
                refused: api.refused,
                latency: stats.latency(true),
                tokens: TokenCounts { prompt: api.prompt, output: api.output },
                spend_usd: self.ledger.charged(self.config.pools.len() + place).as_f64(),
            }
        };
        self.config.apis.iter().zip(&self.hosted.apis).enumerate().map(one).collect()
    }
}

/// What the time of a request went to that an API took over at `now`: waiting until then, then a first token and the
/// others.
fn spent(request: &Departure, now: Instant, first: Instant, end: Instant) -> TimeSpent {
    let mut spent = TimeSpent::default();
    let before = now.since(request.arrival);
    spent.at_first[TimeCause::BatchSlot as usize] = before;
    spent.in_all[TimeCause::BatchSlot as usize] = before;
    spent.in_all[TimeCause::Prefill as usize] = first.since(now);
    spent.in_all[TimeCause::Decode as usize] = end.since(first);
    spent
}
