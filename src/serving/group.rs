//! Requests for several outputs: best of n, and beams.
//!
//! As in vLLM v1 (`vllm/v1/engine/parallel_sampling.py`) each output is a request of its own to the scheduler, and
//! the prompt's KV blocks are shared through the prefix cache: where the deployment keeps prefixes, the first of
//! them to be admitted processes the prompt and the others find it. The whole is complete with its last output.
//! Every output is as long as the request's; of beams, which advance in step, that is what happens.

use super::request::{NONE, Phase, Request, Slot};
use super::room::{Context, Outcome, Serving};
use super::speculate::Draws;

/// The outputs of a request that are still being made.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// Where they are; those that are complete are gone.
    pub(crate) members: Vec<Slot>,
    /// Outputs that are not complete, those not yet sent included.
    left: u32,
}

/// What tells made-up hashes from those of traces.
const MADE_UP: u64 = 1 << 63;

impl Serving {
    /// Sends a request out as so many, one for each output.
    pub(super) fn fan_out(&mut self, ctx: &mut Context<'_>, parent: Slot) {
        let request = &mut self.requests[parent];
        let outputs = request.samples;
        request.phase = Phase::Group;
        request.group = Some(Box::new(Group { members: Vec::new(), left: u32::from(outputs) }));
        let config = &self.deployments[request.deployment as usize].config;
        if let (Some(size), None) = (config.prefix_tokens, &request.hashes) {
            let blocks = request.prompt.div_ceil(size);
            let made_up = |block: u32| MADE_UP | request.id << 20 | u64::from(block);
            request.hashes = Some((0..blocks).map(made_up).collect());
        }
        let decoder = &self.deployments[request.home as usize].config;
        let (speculation, name) = (decoder.speculation, decoder.name.clone());
        let like = Request {
            parent,
            samples: 1,
            phase: Phase::Waiting,
            group: None,
            question: None,
            ..self.requests[parent].clone()
        };
        for sample in 0..outputs {
            let draws = speculation
                .map(|how| Box::new(Draws::new(how, self.seed, &format!("{name}/{sample}"), like.id)));
            let member = self.requests.insert(Request { draws, sample, ..like.clone() });
            if let Some(group) = &mut self.requests[parent].group {
                group.members.push(member);
            }
            self.send(ctx, member);
            // One that is turned away takes the others with it.
            if self.requests[parent].phase != Phase::Group {
                return;
            }
        }
    }

    /// One of the outputs of a request is complete, or was turned away.
    pub(super) fn member_departs(&mut self, ctx: &mut Context<'_>, slot: Slot, outcome: Outcome) {
        self.let_go(ctx, slot);
        self.release_load(ctx, slot);
        if outcome == Outcome::Completed {
            self.count_output(slot);
        }
        let member = &mut self.requests[slot];
        member.phase = Phase::Done;
        let (parent, first_scheduled, first_token) =
            (member.parent, member.first_scheduled, member.first_token);
        let retries = member.retries;
        let account = member.account;
        self.requests.remove(slot);
        let request = &mut self.requests[parent];
        let sooner = |a: Option<_>, b: Option<_>| a.into_iter().chain(b).min();
        let soonest = sooner(request.first_scheduled, first_scheduled);
        request.account.follow(&account, soonest != request.first_scheduled);
        request.first_scheduled = soonest;
        request.first_token = sooner(request.first_token, first_token);
        request.retries = request.retries.saturating_add(retries);
        let Some(group) = &mut request.group else { return };
        group.members.retain(|member| *member != slot);
        if outcome == Outcome::Completed {
            group.left -= 1;
            let done = group.left == 0;
            if done {
                self.depart(ctx, parent, Outcome::Completed);
            }
        } else {
            self.dissolve(ctx, parent);
            self.depart(ctx, parent, outcome);
        }
    }

    /// The outputs that are still being made are wanted no more.
    pub(super) fn dissolve(&mut self, ctx: &mut Context<'_>, parent: Slot) {
        let group = self.requests[parent].group.take();
        for member in group.into_iter().flat_map(|group| group.members) {
            let request = &self.requests[member];
            let times = (request.first_scheduled, request.first_token);
            let whole = &mut self.requests[parent];
            whole.first_scheduled = whole.first_scheduled.into_iter().chain(times.0).min();
            whole.first_token = whole.first_token.into_iter().chain(times.1).min();
            self.release_load(ctx, member);
            self.withdraw(ctx, member);
        }
    }

    /// When the first token of any output of a request was there.
    pub(super) fn first_of_group(&self, request: &Request) -> Request {
        let mut request = request.clone();
        if let Some(group) = &request.group {
            let members = group.members.iter().map(|member| &self.requests[*member]);
            let (scheduled, token): (Vec<_>, Vec<_>) =
                members.map(|member| (member.first_scheduled, member.first_token)).unzip();
            request.first_scheduled = scheduled.into_iter().chain([request.first_scheduled]).flatten().min();
            request.first_token = token.into_iter().chain([request.first_token]).flatten().min();
        }
        request
    }

    /// Whether a request is one output of another.
    pub(super) fn is_member(&self, slot: Slot) -> bool {
        self.requests[slot].parent != NONE
    }
}
