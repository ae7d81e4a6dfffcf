//! The end of a replica that still has requests.

use super::Replica;
use crate::serving::request::{Phase, Requests, Slot};
use crate::units::{Instant, Ticks};

impl Replica {
    /// True when nothing runs, nobody waits and nothing is read from here.
    pub(crate) fn is_empty(&self) -> bool {
        self.segment.is_none() && self.waiting.len() == 0 && self.held == 0
    }

    /// Stops at `now`, in the midst of an iteration, which is lost. All requests whose clients have not gone are
    /// put on `left`: those of the batch in order of admission, then those that waited, in the queue's order.
    /// Those in the batch know how many tokens they have. Boundaries at `now` itself come after: everything that
    /// makes a replica end is handled before boundaries are.
    pub(crate) fn evacuate(&mut self, now: Instant, requests: &mut Requests, left: &mut Vec<Slot>) {
        self.finish(now);
        self.waits.settle(now);
        // The blocks of the chunks of the lost iteration are taken already.
        for (slot, tokens) in self.batch.chunks.drain(..) {
            requests[slot].prefilled += tokens;
        }
        self.drop_abandoned(requests);
        while let Some(slot) = self.batch.last() {
            let generated = requests[slot].generated_by(self.decoded());
            self.leave(slot, requests);
            requests[slot].generated = generated;
            requests[slot].account.close(now);
            requests[slot].phase = Phase::Between;
            left.push(slot);
        }
        left.reverse();
        self.batch.clear_chunks();
        while let Some(slot) = self.waiting.head() {
            self.waiting.pop();
            // What lies in the host's memory is lost with it.
            self.forget_swapped(slot, requests);
            if requests[slot].phase == Phase::Abandoned {
                requests.remove(slot);
            } else {
                requests[slot].account.end_wait(&self.waits);
                requests[slot].phase = Phase::Between;
                left.push(slot);
            }
        }
        // What was being read is lost; whoever read it is told apart.
        self.batch.kv.give_back(self.held);
        (self.held, self.read) = (0, 0);
        self.abandoned_waiting = 0;
        self.copying = Ticks::ZERO;
        self.waiting_tokens = 0;
        self.segment = None;
        self.target = self.boundary;
        self.generation = self.generation.wrapping_add(1);
    }
}
