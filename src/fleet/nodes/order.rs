//! Getting a node: order, stock, boot, image, ready.

use super::super::config::PoolId;
use super::super::supply::Stock;
use super::state::PoolNodes;
use super::{Context, Effect, Event, Stage, Why};
use crate::units::{Duration, Instant};

impl PoolNodes {
    pub(super) fn begin(&mut self, ctx: &mut Context<'_>, id: PoolId) {
        for zone in 0..self.zones.len() {
            if let Some(at) = self.next_stock(Instant::ZERO, zone) {
                ctx.at(at, Event::Stock { pool: id, zone: zone as u16 });
            }
        }
        if let Some((from, to)) = self.supply.block {
            ctx.at(from, Event::Retry { pool: id });
            ctx.at(to, Event::Retry { pool: id });
        } else {
            for _ in 0..self.initial {
                match self.zone_with_room() {
                    Some(zone) => self.stand(ctx, id, zone),
                    None => drop(self.order(ctx, id)),
                }
            }
        }
        self.begin_losses(ctx, id);
    }

    /// A node is there from the beginning.
    fn stand(&mut self, ctx: &mut Context<'_>, id: PoolId, zone: u16) {
        if let Some(node) = self.absent() {
            self.hold(ctx, id, node, zone);
            self.ready(ctx, id, node);
        }
    }

    /// The first place without a node.
    fn absent(&self) -> Option<u32> {
        (0u32..).zip(&self.slots).find(|(_, slot)| slot.stage == Stage::Absent).map(|(node, _)| node)
    }

    /// The zone that gives a node: the first that has one, or the first of those that SpotHedge asks in turn.
    fn zone_with_room(&mut self) -> Option<u16> {
        let room = |zone: &super::state::ZoneState| zone.stock.is_none_or(|stock| stock > zone.held);
        let Some(hedge) = &mut self.hedge else {
            return (0u16..).zip(&self.zones).find(|(_, zone)| room(zone)).map(|(place, _)| place);
        };
        if !self.zones.iter().any(room) {
            return None;
        }
        let held: Vec<u32> = self.zones.iter().map(|zone| zone.held).collect();
        // A zone that has none to give is left like one that took a node back. All may have become active again,
        // but one of them has room, and it is asked before long: if not by this, by the order of the list.
        for _ in 0..self.zones.len() {
            let zone = hedge.next(&held, &[])?;
            if room(&self.zones[zone]) {
                return Some(zone as u16);
            }
            hedge.preempted(zone);
        }
        (0u16..).zip(&self.zones).find(|(_, zone)| room(zone)).map(|(place, _)| place)
    }

    /// Orders a node.
    pub(super) fn order(&mut self, ctx: &mut Context<'_>, id: PoolId) -> bool {
        let Some(node) = self.absent() else { return false };
        let quota = self.supply.provisioning.quota.sample(&mut self.draws.quota);
        let slot = &mut self.slots[node as usize];
        slot.run += 1;
        slot.ordered = ctx.now;
        self.tally.ordered += 1;
        self.set_stage(ctx.now, node, Stage::Quota);
        self.after(ctx, id, node, quota);
        true
    }

    /// The stage that a node is in ends after so long; at once if that is no time at all.
    fn after(&mut self, ctx: &mut Context<'_>, id: PoolId, node: u32, time: Duration) {
        let run = self.slots[node as usize].run;
        if time.is_zero() {
            self.stage_ends(ctx, id, node, run);
        } else {
            ctx.after(time, Event::Stage { pool: id, node, run });
        }
    }

    pub(super) fn stage_ends(&mut self, ctx: &mut Context<'_>, id: PoolId, node: u32, run: u32) {
        let slot = self.slots[node as usize];
        if slot.run != run {
            return;
        }
        match slot.stage {
            Stage::Quota => match self.zone_with_room() {
                Some(zone) => self.boot(ctx, id, node, zone),
                None => {
                    let (since, give_up) = (slot.ordered, self.supply.provisioning.give_up);
                    let left = (since + give_up).since(ctx.now);
                    self.set_stage(ctx.now, node, Stage::Stock);
                    self.after(ctx, id, node, left);
                }
            },
            Stage::Stock => self.refused(ctx, id, node),
            Stage::Boot if slot.doomed => {
                self.block(ctx, id);
                self.lose(ctx, id, node, Why::NeverCame);
            }
            Stage::Boot => {
                let warm = slot.warm;
                self.set_stage(ctx.now, node, Stage::Pull);
                let pull = &self.supply.provisioning.image_pull;
                let time = if warm { Duration::ZERO } else { pull.sample(&mut self.draws.pull) };
                self.after(ctx, id, node, time);
            }
            Stage::Pull => self.ready(ctx, id, node),
            Stage::Down => self.ready(ctx, id, node),
            Stage::Absent | Stage::Ready | Stage::Draining => {}
        }
    }

    /// An order comes to nothing, and the pool is left alone for a while.
    fn refused(&mut self, ctx: &mut Context<'_>, id: PoolId, node: u32) {
        let waited = ctx.now.since(self.slots[node as usize].ordered);
        self.slots[node as usize].run += 1;
        self.set_stage(ctx.now, node, Stage::Absent);
        self.block(ctx, id);
        ctx.tell(Effect::Refused { pool: id, waited });
    }

    fn block(&mut self, ctx: &mut Context<'_>, id: PoolId) {
        self.tally.refused += 1;
        // No sooner than the next instant, or an order without any waiting would be refused for ever.
        let after = self.supply.provisioning.retry_after.max(Duration::from_nanos(1));
        let until = ctx.now.saturating_add(after);
        self.blocked = Some(until);
        ctx.at(until, Event::Retry { pool: id });
    }

    /// The pool may be ordered from again, or its reservation begins or ends.
    pub(super) fn retry(&mut self, ctx: &mut Context<'_>, id: PoolId) {
        if let Some((_, to)) = self.supply.block
            && ctx.now >= to
        {
            return self.end_all(ctx, id);
        }
        if self.blocked.is_some_and(|until| until > ctx.now) {
            return;
        }
        self.blocked = None;
        self.refill(ctx, id);
        ctx.tell(Effect::Open { pool: id });
    }

    /// Orders what is missing to the minimum.
    pub(super) fn refill(&mut self, ctx: &mut Context<'_>, id: PoolId) {
        while self.staying() < self.supply.min && self.may_order(ctx.now) {
            self.order(ctx, id);
        }
    }

    /// A node takes a place in a zone, and is paid for from now on.
    fn hold(&mut self, ctx: &mut Context<'_>, id: PoolId, node: u32, zone: u16) {
        self.zones[usize::from(zone)].held += 1;
        let slot = &mut self.slots[node as usize];
        slot.zone = zone;
        slot.counted = true;
        slot.paid = Some(ctx.now);
        slot.doomed = false;
        slot.warm = false;
        ctx.tell(Effect::Starting { pool: id, node });
        self.draw_life(ctx, id, node);
    }

    fn boot(&mut self, ctx: &mut Context<'_>, id: PoolId, node: u32, zone: u16) {
        self.hold(ctx, id, node, zone);
        self.set_stage(ctx.now, node, Stage::Boot);
        let provisioning = &self.supply.provisioning;
        let doomed = provisioning.failure > 0.0 && self.draws.start.uniform() < provisioning.failure;
        let mut time = provisioning.boot.sample(&mut self.draws.boot);
        let slot = &mut self.slots[node as usize];
        slot.doomed = doomed;
        if let Some(warm) = provisioning.warm.as_ref().filter(|_| self.warm > 0) {
            self.warm -= 1;
            slot.warm = true;
            // The one that takes its place boots as any other, and pulls its image.
            let next = time + provisioning.image_pull.sample(&mut self.draws.pull);
            ctx.after(next, Event::Warm { pool: id });
            time = warm.boot.sample(&mut self.draws.boot);
        }
        self.after(ctx, id, node, time);
    }

    pub(super) fn warmed(&mut self) {
        self.warm += 1;
    }

    fn ready(&mut self, ctx: &mut Context<'_>, id: PoolId, node: u32) {
        self.set_stage(ctx.now, node, Stage::Ready);
        self.slots[node as usize].ready = Some(ctx.now);
        self.tally.ready += 1;
        let zone = usize::from(self.slots[node as usize].zone);
        if let Some(hedge) = &mut self.hedge {
            hedge.ready(zone);
        }
        ctx.tell(Effect::Ready { pool: id, node });
        self.draw_failure(ctx, id, node);
    }

    /// When a zone's stock changes next.
    fn next_stock(&mut self, now: Instant, zone: usize) -> Option<Instant> {
        let state = &mut self.zones[zone];
        match &self.supply.zones[zone].stock {
            Stock::Unlimited | Stock::Fixed(_) => None,
            Stock::InTurns { up, down } => {
                let length = if state.stock.is_none() { up } else { down };
                Some(now.saturating_add(length.sample(&mut state.random).max(Duration::from_nanos(1))))
            }
            Stock::Levels(levels) => levels.get(state.next).map(|(at, _)| *at),
        }
    }

    /// A zone has more or less to give: who waits is served, the excess is taken back.
    pub(super) fn stock_changes(&mut self, ctx: &mut Context<'_>, id: PoolId, zone: u16) {
        self.settle(ctx.now);
        let place = usize::from(zone);
        let state = &mut self.zones[place];
        match &self.supply.zones[place].stock {
            Stock::Unlimited | Stock::Fixed(_) => {}
            Stock::InTurns { .. } => state.stock = if state.stock.is_none() { Some(0) } else { None },
            Stock::Levels(levels) => {
                state.stock = levels.get(state.next).map(|(_, count)| *count);
                state.next += 1;
            }
        }
        if let Some(at) = self.next_stock(ctx.now, place) {
            ctx.at(at, Event::Stock { pool: id, zone });
        }
        self.take_excess(ctx, id, zone);
        let waiting: Vec<u32> = (0u32..)
            .zip(&self.slots)
            .filter(|(_, slot)| slot.stage == Stage::Stock)
            .map(|(node, _)| node)
            .collect();
        for node in waiting {
            let Some(zone) = self.zone_with_room() else { break };
            // The event that would have given the order up is stale.
            self.slots[node as usize].run += 1;
            self.boot(ctx, id, node, zone);
        }
    }
}
