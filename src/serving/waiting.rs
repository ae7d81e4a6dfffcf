//! The queue of a replica, in whatever order its deployment asks for.

use std::collections::{BTreeMap, VecDeque};

use super::request::{Request, Slot};
use crate::policies::request_order::{RequestOrder, TenantWeights, TokenCounters};
use crate::units::Instant;

/// Requests that wait at a replica.
#[derive(Debug)]
pub(crate) enum Waiting {
    /// In order of arrival; who is preempted goes to the head.
    Fcfs(VecDeque<Slot>),
    /// By the order's key, then arrival, then number; who is preempted goes back to where it belongs.
    Keyed(BTreeMap<Key, Slot>),
    /// By tenant, each in order of arrival.
    Fair(Fair),
}

/// The queues of tenants and what each was served.
#[derive(Debug)]
pub(crate) struct Fair {
    queues: Vec<VecDeque<Slot>>,
    counters: TokenCounters,
    /// Decoding requests by tenant.
    decoding: Vec<u32>,
    len: usize,
}

impl Waiting {
    pub(crate) fn new(order: RequestOrder, tenants: &TenantWeights) -> Self {
        match order {
            RequestOrder::Fcfs => Self::Fcfs(VecDeque::new()),
            RequestOrder::Vtc => Self::Fair(Fair {
                queues: vec![VecDeque::new(); tenants.len().max(1)],
                counters: TokenCounters::new(tenants),
                decoding: vec![0; tenants.len().max(1)],
                len: 0,
            }),
            _ => Self::Keyed(BTreeMap::new()),
        }
    }

    /// Entries; in order of arrival those whose client has gone are among them until they reach the head.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Fcfs(queue) => queue.len(),
            Self::Keyed(queue) => queue.len(),
            Self::Fair(fair) => fair.len,
        }
    }

    /// A request joins. True when it may have become the head.
    pub(crate) fn push(&mut self, slot: Slot, request: &Request) -> bool {
        match self {
            Self::Fcfs(queue) => {
                queue.push_back(slot);
                queue.len() == 1
            }
            Self::Keyed(queue) => {
                let key = key(request);
                queue.insert(key, slot);
                queue.first_key_value().is_some_and(|(first, _)| *first == key)
            }
            Self::Fair(fair) => {
                fair.counters.arrives(usize::from(request.tenant));
                fair.queues[usize::from(request.tenant)].push_back(slot);
                fair.len += 1;
                true
            }
        }
    }

    /// A request that was in the batch waits again.
    pub(crate) fn push_back_again(&mut self, slot: Slot, request: &Request) {
        match self {
            Self::Fcfs(queue) => queue.push_front(slot),
            Self::Keyed(queue) => drop(queue.insert(key(request), slot)),
            Self::Fair(fair) => {
                fair.counters.arrives(usize::from(request.tenant));
                fair.queues[usize::from(request.tenant)].push_front(slot);
                fair.len += 1;
            }
        }
    }

    /// Takes out a request whose client has gone; false where it stays until it reaches the head.
    pub(crate) fn forget(&mut self, slot: Slot, request: &Request) -> bool {
        match self {
            Self::Fcfs(_) => false,
            Self::Keyed(queue) => queue.remove(&key(request)).is_some(),
            Self::Fair(fair) => {
                let tenant = usize::from(request.tenant);
                let place = fair.queues[tenant].iter().position(|other| *other == slot);
                if let Some(place) = place {
                    fair.queues[tenant].remove(place);
                    fair.counters.leaves(tenant);
                    fair.len -= 1;
                }
                place.is_some()
            }
        }
    }

    /// The entry that is next.
    pub(crate) fn head(&self) -> Option<Slot> {
        match self {
            Self::Fcfs(queue) => queue.front().copied(),
            Self::Keyed(queue) => queue.first_key_value().map(|(_, slot)| *slot),
            Self::Fair(fair) => fair.queues[fair.counters.next()?].front().copied(),
        }
    }

    /// Takes the entry that is next out.
    pub(crate) fn pop(&mut self) {
        match self {
            Self::Fcfs(queue) => drop(queue.pop_front()),
            Self::Keyed(queue) => drop(queue.pop_first()),
            Self::Fair(fair) => {
                if let Some(tenant) = fair.counters.next() {
                    fair.queues[tenant].pop_front();
                    fair.counters.leaves(tenant);
                    fair.len -= 1;
                }
            }
        }
    }

    /// The entries in no particular order.
    pub(crate) fn slots(&self) -> Box<dyn Iterator<Item = Slot> + '_> {
        match self {
            Self::Fcfs(queue) => Box::new(queue.iter().copied()),
            Self::Keyed(queue) => Box::new(queue.values().copied()),
            Self::Fair(fair) => Box::new(fair.queues.iter().flatten().copied()),
        }
    }

    /// Whether the head may change while nothing happens to the queue: tenants' counters move as they decode.
    pub(crate) fn is_restless(&self) -> bool {
        matches!(self, Self::Fair(fair) if fair.counters.tenants_waiting() > 1)
    }

    /// A request is admitted for the first time; `tokens` of its prompt count.
    pub(crate) fn admitted(&mut self, tenant: u16, tokens: u32) {
        if let Self::Fair(fair) = self {
            fair.counters.prompt(usize::from(tenant), u64::from(tokens));
        }
    }

    /// A tenant has so many more (or fewer) requests that decode.
    pub(crate) fn decoding(&mut self, tenant: u16, change: i32) {
        if let Self::Fair(fair) = self {
            let count = &mut fair.decoding[usize::from(tenant)];
            *count = count.wrapping_add_signed(change);
        }
    }

    /// A request of a tenant made so many tokens beyond one an iteration.
    pub(crate) fn made(&mut self, tenant: u16, tokens: u64) {
        if let Self::Fair(fair) = self {
            fair.counters.output(usize::from(tenant), tokens);
        }
    }

    /// Every decoding request made `n` tokens.
    pub(crate) fn decoded(&mut self, n: u64) {
        if let Self::Fair(fair) = self {
            for (tenant, count) in fair.decoding.iter().enumerate() {
                fair.counters.output(tenant, n * u64::from(*count));
            }
        }
    }
}

/// The order's key, arrival, number, and number among the outputs of one request.
type Key = (u64, Instant, u64, u16);

fn key(request: &Request) -> Key {
    (request.key, request.arrival, request.id, request.sample)
}
