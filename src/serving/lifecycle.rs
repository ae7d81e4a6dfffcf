//! How replicas go: drained until a deadline, or killed; their requests end, go elsewhere or fail.

use super::config::Leftover;
use super::request::{NONE, Phase, Slot};
use super::room::{Context, Effect, Event, Outcome, Serving, Standing};
use crate::units::{Duration, Instant};

impl Serving {
    /// A replica takes no more requests and ends what it has; [`Effect::Gone`] follows when it has nothing
    /// left, perhaps at once. Nothing happens to one that drains or is gone.
    pub fn drain(&mut self, ctx: &mut Context<'_>, replica: u32) {
        let member = &mut self.replicas[replica as usize];
        if member.standing != Standing::Ready {
            return;
        }
        member.standing = Standing::Draining;
        self.deployments[member.deployment as usize].retire(ctx.now, member.place as usize);
        self.leave_if_drained(ctx, replica);
    }

    /// A replica ends now, whatever it does: its requests begin anew or go on elsewhere, or fail, as its
    /// deployment says. Nothing happens to one that is gone.
    pub fn kill(&mut self, ctx: &mut Context<'_>, replica: u32) {
        let member = &mut self.replicas[replica as usize];
        if member.standing == Standing::Gone {
            return;
        }
        let (deployment, place) = (member.deployment as usize, member.place as usize);
        let (queued, running) = (member.replica.queued(), member.replica.running());
        let mut left: Vec<Slot> = Vec::new();
        member.replica.evacuate(ctx.now, &mut self.requests, &mut left);
        member.standing = Standing::Gone;
        self.keep_counts(ctx.now, replica);
        let was_busy = std::mem::take(&mut self.replicas[replica as usize].busy);
        let owner = &mut self.deployments[deployment];
        owner.queued -= u64::from(queued);
        owner.running -= u64::from(running);
        owner.retire(ctx.now, place);
        owner.vacate(place);
        let then = owner.config.lifecycle.drain.then;
        if was_busy {
            ctx.tell(Effect::Busy { replica, busy: false });
        }
        ctx.tell(Effect::Gone { replica });
        ctx.tell(Effect::Load { deployment: deployment as u32 });
        for slot in left {
            self.send_on(ctx, slot, then);
        }
        self.break_off(ctx, replica);
    }

    /// A request in nobody's hands goes on elsewhere, unless its client went meanwhile, or the outputs that it
    /// belongs to are wanted no more.
    pub(super) fn send_on(&mut self, ctx: &mut Context<'_>, slot: Slot, then: Leftover) {
        match self.requests[slot].phase {
            Phase::Abandoned => self.requests.remove(slot),
            _ => self.go_on(ctx, slot, then),
        }
    }

    /// A request has lost its replica.
    pub(super) fn go_on(&mut self, ctx: &mut Context<'_>, slot: Slot, then: Leftover) {
        let request = &mut self.requests[slot];
        request.phase = Phase::Waiting;
        request.replica = NONE;
        request.prefilled = 0;
        match then {
            Leftover::Fail => return self.depart(ctx, slot, Outcome::Failed),
            Leftover::Migrate => {}
            Leftover::Retry => {
                request.generated = 0;
                request.first_token = None;
            }
        }
        request.retries = request.retries.saturating_add(1);
        // What came from a prefill replica is lost too.
        request.received = 0;
        let (stream, prompt, output) = (request.stream, request.prompt, request.output);
        let begun = request.generated > 0;
        let home = self.choose_deployment(stream);
        let (deployment, stop) = if begun { (home, output) } else { self.first_part(home, prompt, output) };
        let request = &mut self.requests[slot];
        (request.home, request.deployment, request.stop) = (home, deployment, stop.min(output));
        self.set_key(slot);
        self.send(ctx, slot);
    }

    /// A stream's deployments are tried in order: the next is taken when the least loaded replica of one has so many
    /// requests.
    pub fn spill_over(&mut self, stream: usize, most: Option<u32>) {
        self.spill_over[stream] = most;
    }

    /// From now on replicas of a deployment are on the way, or none are: what waits meanwhile waits for them.
    pub fn expect(&mut self, now: Instant, deployment: usize, expecting: bool) {
        let owner = &mut self.deployments[deployment];
        if owner.expecting == expecting {
            return;
        }
        owner.expect(now, expecting);
        for replica in &owner.replicas {
            self.replicas[*replica as usize].replica.waits.expect(now, expecting);
        }
    }

    /// Replicas that have ever been ready, those that are gone included.
    pub fn replicas(&self) -> usize {
        self.replicas.len()
    }

    /// Looks at the requests that a deployment holds, if there are any, one tick of the clock later: at this very
    /// instant some replicas are at a boundary and some are past it.
    pub(super) fn plan_pull(&mut self, ctx: &mut Context<'_>, deployment: u32) {
        let owner = &mut self.deployments[deployment as usize];
        if !owner.unrouted.is_empty() && !owner.pulls {
            owner.pulls = true;
            ctx.after(Duration::from_nanos(1), Event::Pull { deployment });
        }
    }

    /// Sends requests that are held, in their order, while a replica has fewer than fill its batch: as a proxy
    /// that queues does (Knative's activator), so that the first replica does not get the whole queue.
    pub(super) fn pull(&mut self, ctx: &mut Context<'_>, deployment: u32) {
        self.deployments[deployment as usize].pulls = false;
        // Those that are rejected now waited until now.
        ctx.tell(Effect::Load { deployment });
        loop {
            let owner = &mut self.deployments[deployment as usize];
            let Some(slot) = owner.unrouted.front().copied() else { return };
            if self.requests[slot].phase == Phase::Abandoned {
                owner.unrouted.pop_front();
                self.let_go(ctx, slot);
                self.requests.remove(slot);
                continue;
            }
            let most = u64::from(owner.config.batching.max_batch_requests);
            if owner.least_loaded().is_none_or(|(_, load)| load >= most) {
                return;
            }
            let Some(place) = owner.route(ctx.now, &self.requests[slot]) else { return };
            owner.let_out(ctx.now, &mut self.requests[slot]);
            owner.queued -= 1;
            self.send_to(ctx, slot, place);
        }
    }

    /// A request is no load to the replica that it was sent to any more. Its place there.
    pub(super) fn release_load(&mut self, ctx: &mut Context<'_>, slot: Slot) -> Option<u32> {
        let request = &self.requests[slot];
        let place = (request.replica != NONE).then(|| self.replicas[request.replica as usize].place)?;
        let deployment = request.deployment;
        self.deployments[deployment as usize].remove_load(place as usize, request.tokens());
        self.plan_pull(ctx, deployment);
        Some(place)
    }

    /// A draining replica that has nothing left is gone.
    pub(super) fn leave_if_drained(&mut self, ctx: &mut Context<'_>, replica: u32) {
        let member = &mut self.replicas[replica as usize];
        if member.standing == Standing::Draining && member.replica.is_empty() && member.arriving == 0 {
            member.standing = Standing::Gone;
            let (deployment, place) = (member.deployment as usize, member.place as usize);
            self.keep_counts(ctx.now, replica);
            self.deployments[deployment].vacate(place);
            ctx.tell(Effect::Gone { replica });
        }
    }
}
