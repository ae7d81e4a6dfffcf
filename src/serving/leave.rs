//! How requests go: answered, turned away, given up or lost.

use super::config::RequestKind;
use super::request::{NONE, Phase, Slot};
use super::room::{Context, Departure, Effect, Event, Outcome, Serving};
use super::totals::departure;

impl Serving {
    /// The requests of a stream whose time is up give up.
    pub(super) fn time_out(&mut self, ctx: &mut Context<'_>, stream: u16) {
        while let Some((at, slot, id)) = self.time_outs[usize::from(stream)].pending.front().copied() {
            let request = &self.requests[slot];
            let gone = matches!(request.phase, Phase::Done | Phase::Abandoned | Phase::Cached);
            let alive = request.id == id && !gone;
            if alive && at > ctx.now {
                ctx.at(at, Event::TimeOut { stream });
                return;
            }
            self.time_outs[usize::from(stream)].pending.pop_front();
            if alive {
                self.abandon(ctx, slot);
            }
        }
    }

    /// A client has gone. Its request departs now; its place is freed when the queue or the batch that it
    /// is in is next looked at.
    fn abandon(&mut self, ctx: &mut Context<'_>, slot: Slot) {
        if self.requests[slot].phase == Phase::Group {
            self.dissolve(ctx, slot);
            return self.depart(ctx, slot, Outcome::TimedOut);
        }
        self.tell_departure(ctx, slot, Outcome::TimedOut, false);
        self.withdraw(ctx, slot);
    }

    /// Frees the place of a request that is wanted no more when that is next looked at.
    pub(super) fn withdraw(&mut self, ctx: &mut Context<'_>, slot: Slot) {
        let request = &mut self.requests[slot];
        let (phase, id, deployment) = (request.phase, request.replica, request.deployment);
        request.abandoned_in = phase;
        request.phase = Phase::Abandoned;
        if phase == Phase::Between {
            // Whoever has it sees that it is wanted no more.
            self.let_go(ctx, slot);
        } else if id == NONE {
            self.deployments[deployment as usize].queued -= 1;
        } else {
            let replica = &mut self.replicas[id as usize].replica;
            let look = if phase == Phase::Moving {
                // Its place is freed when its KV cache arrives.
                self.deployments[deployment as usize].queued -= 1;
                None
            } else if phase == Phase::Waiting {
                self.deployments[deployment as usize].queued -= 1;
                replica.abandon_waiting(ctx.now, slot, &mut self.requests)
            } else {
                replica.abandon_running(ctx.now, slot)
            };
            self.schedule_look(ctx, id, look);
        }
        ctx.tell(Effect::Load { deployment });
    }

    /// A request leaves for good.
    pub(super) fn depart(&mut self, ctx: &mut Context<'_>, slot: Slot, outcome: Outcome) {
        if self.is_member(slot) {
            return self.member_departs(ctx, slot, outcome);
        }
        if outcome == Outcome::Completed && self.requests[slot].phase != Phase::Cached {
            if self.requests[slot].samples == 1 {
                self.count_output(slot);
            }
            let request = &self.requests[slot];
            if let (Some(question), Some(cache)) =
                (request.question, &mut self.caches[usize::from(request.stream)])
            {
                cache.answered(ctx.now, question);
            }
            let decoded = u64::from(request.told_tokens().1.saturating_sub(1));
            if let (Some(latencies), Some(first), 1..) =
                (&mut self.deployments[request.deployment as usize].latencies, request.first_token, decoded)
            {
                latencies.tpot.push(ctx.now.since(first) / decoded);
            }
        }
        self.let_go(ctx, slot);
        let from_cache = self.requests[slot].phase == Phase::Cached;
        self.requests[slot].phase = Phase::Done;
        self.tell_departure(ctx, slot, outcome, from_cache);
        self.requests.remove(slot);
    }

    /// Counts what a replica has made for a request that is complete.
    pub(super) fn count_output(&mut self, slot: Slot) {
        let request = &self.requests[slot];
        let Some(member) = self.replicas.get_mut(request.replica as usize) else { return };
        member.output_tokens += u64::from(request.told_tokens().1);
        if let RequestKind::Image(image) = self.routes[usize::from(request.stream)].1.kind {
            member.images += 1;
            member.bytes_out += u128::from(image.bytes.0);
        }
    }

    fn tell_departure(&mut self, ctx: &mut Context<'_>, slot: Slot, outcome: Outcome, from_cache: bool) {
        let place = self.release_load(ctx, slot);
        let request = &self.requests[slot];
        let departure = Departure { from_cache, ..departure(request, place, ctx.now, outcome) };
        ctx.tell(Effect::Departed(departure));
    }
}
