//! Losing a node: preemption, failure, maintenance, the end of a reservation, and giving it back.

use super::super::config::PoolId;
use super::state::PoolNodes;
use super::{Context, Effect, Event, Stage, Why};
use crate::sim::Delay;
use crate::units::Duration;

impl PoolNodes {
    /// What will befall whole zones, and the rounds of maintenance.
    pub(super) fn begin_losses(&mut self, ctx: &mut Context<'_>, id: PoolId) {
        for zone in 0..self.zones.len() as u16 {
            self.draw_shock(ctx, id, zone);
        }
        self.begin_failures(ctx, id);
        if let Some(maintenance) = &self.supply.maintenance {
            for node in 0..self.slots.len() as u32 {
                let turn = maintenance.length * u64::from(node);
                let first = (maintenance.first + turn).saturating_sub(maintenance.notice);
                ctx.after(first, Event::Maintain { pool: id, node });
            }
        }
    }

    /// When the provider will take a node back by itself.
    pub(super) fn draw_life(&mut self, ctx: &mut Context<'_>, id: PoolId, node: u32) {
        let Some(spot) = &self.supply.spot else { return };
        let Some(life) = spot.life.filter(|_| spot.together < 1.0) else { return };
        let alone = match life {
            // The rest of the hazard comes with the shocks.
            Delay::Exponential { mean } => Delay::Exponential { mean: scaled(mean, 1.0 - spot.together) },
            other => other,
        };
        let time = alone.sample(&mut self.draws.spot);
        let run = self.slots[node as usize].run;
        ctx.after(time, Event::Preempt { pool: id, node, run });
    }

    fn draw_shock(&mut self, ctx: &mut Context<'_>, id: PoolId, zone: u16) {
        let Some(spot) = self.supply.spot.as_ref().filter(|spot| spot.together > 0.0) else { return };
        let Some(Delay::Exponential { mean }) = spot.life else { return };
        let every = Delay::Exponential { mean: scaled(mean, spot.together) };
        let time = every.sample(&mut self.zones[usize::from(zone)].random).max(Duration::from_nanos(1));
        ctx.after(time, Event::Shock { pool: id, zone });
    }

    pub(super) fn shocked(&mut self, ctx: &mut Context<'_>, id: PoolId, zone: u16) {
        self.draw_shock(ctx, id, zone);
        for node in self.held_in(zone) {
            self.preempt(ctx, id, node);
        }
        self.refill(ctx, id);
    }

    pub(super) fn preempted(&mut self, ctx: &mut Context<'_>, id: PoolId, node: u32, run: u32) {
        let slot = &self.slots[node as usize];
        if slot.run == run && slot.counted && slot.stage != Stage::Draining {
            self.preempt(ctx, id, node);
            self.refill(ctx, id);
        }
    }

    /// Takes from a zone what it holds beyond its stock: which of its nodes, is drawn.
    pub(super) fn take_excess(&mut self, ctx: &mut Context<'_>, id: PoolId, zone: u16) {
        if !self.supply.spot.as_ref().is_some_and(|spot| spot.follows_stock) {
            return;
        }
        let state = &self.zones[usize::from(zone)];
        let excess = state.stock.map_or(0, |stock| state.held.saturating_sub(stock));
        let mut candidates = self.held_in(zone);
        for _ in 0..excess.min(candidates.len() as u32) {
            let drawn = self.draws.victim.below(candidates.len() as u64) as usize;
            let node = candidates.swap_remove(drawn);
            self.preempt(ctx, id, node);
        }
        self.refill(ctx, id);
    }

    /// Nodes that hold a place in a zone and are not on their way out.
    fn held_in(&self, zone: u16) -> Vec<u32> {
        let nodes = (0u32..).zip(&self.slots);
        let held = nodes
            .filter(|(_, slot)| slot.counted && slot.zone == zone)
            .filter(|(_, slot)| matches!(slot.stage, Stage::Boot | Stage::Pull | Stage::Ready));
        held.map(|(node, _)| node).collect()
    }

    fn preempt(&mut self, ctx: &mut Context<'_>, id: PoolId, node: u32) {
        self.tally.preempted += 1;
        let zone = usize::from(self.slots[node as usize].zone);
        if let Some(hedge) = &mut self.hedge {
            hedge.preempted(zone);
        }
        let notice = self.supply.spot.as_ref().map_or(Duration::ZERO, |spot| spot.notice);
        self.revoke(ctx, id, node, notice, Why::Preempted);
    }

    /// Draws when a node that became ready will break.
    pub(super) fn draw_failure(&mut self, ctx: &mut Context<'_>, id: PoolId, node: u32) {
        let failures = self.supply.failures.as_ref();
        if let Some(time) = failures.and_then(|failures| failures.draw(&mut self.draws.failure)) {
            let run = self.slots[node as usize].run;
            ctx.after(time, Event::Break { pool: id, node, run });
        }
    }

    /// The first failure of each group, and the first that was recorded.
    fn begin_failures(&mut self, ctx: &mut Context<'_>, id: PoolId) {
        let Some(failures) = &self.supply.failures else { return };
        if let Some(outage) = failures.recorded.first() {
            ctx.at(outage.at, Event::Outage { pool: id, place: 0 });
        }
        let Some(together) = failures.together else { return };
        for group in 0..(self.slots.len() as u32).div_ceil(together.nodes.max(1)) {
            self.draw_group(ctx, id, group);
        }
    }

    fn draw_group(&mut self, ctx: &mut Context<'_>, id: PoolId, group: u32) {
        let failures = self.supply.failures.as_ref();
        if let Some(time) = failures.and_then(|failures| failures.draw_together(&mut self.draws.together)) {
            ctx.after(time, Event::BreakGroup { pool: id, group });
        }
    }

    /// All nodes of a group that are there break.
    pub(super) fn group_broken(&mut self, ctx: &mut Context<'_>, id: PoolId, group: u32) {
        self.draw_group(ctx, id, group);
        let Some(together) = self.supply.failures.as_ref().and_then(|failures| failures.together) else {
            return;
        };
        let first = group * together.nodes;
        for node in first..(first + together.nodes).min(self.slots.len() as u32) {
            let run = self.slots[node as usize].run;
            self.broken(ctx, id, node, run);
        }
    }

    /// A node breaks as was recorded, if it is there.
    pub(super) fn outage(&mut self, ctx: &mut Context<'_>, id: PoolId, place: u32) {
        let Some(failures) = &self.supply.failures else { return };
        let (outage, next) = (failures.recorded[place as usize], failures.recorded.get(place as usize + 1));
        if let Some(next) = next {
            ctx.at(next.at, Event::Outage { pool: id, place: place + 1 });
        }
        let run = self.slots[outage.node as usize].run;
        self.recorded_repair = outage.repair;
        self.broken(ctx, id, outage.node, run);
        self.recorded_repair = None;
    }

    pub(super) fn broken(&mut self, ctx: &mut Context<'_>, id: PoolId, node: u32, run: u32) {
        let slot = &self.slots[node as usize];
        if slot.run == run && matches!(slot.stage, Stage::Ready | Stage::Draining) {
            self.tally.broken += 1;
            self.set_stage(ctx.now, node, Stage::Draining);
            self.slots[node as usize].why = Why::Broken;
            self.end(ctx, id, node);
            self.refill(ctx, id);
        }
    }

    pub(super) fn maintained(&mut self, ctx: &mut Context<'_>, id: PoolId, node: u32) {
        let Some(maintenance) = self.supply.maintenance.clone() else { return };
        ctx.after(maintenance.every, Event::Maintain { pool: id, node });
        if self.slots[node as usize].stage == Stage::Ready {
            self.revoke(ctx, id, node, maintenance.notice, Why::Maintenance);
            self.refill(ctx, id);
        }
    }

    /// A reservation has ended, and with it every node.
    pub(super) fn end_all(&mut self, ctx: &mut Context<'_>, id: PoolId) {
        for node in 0..self.slots.len() as u32 {
            if self.slots[node as usize].stage != Stage::Absent {
                self.revoke(ctx, id, node, Duration::ZERO, Why::BlockEnded);
            }
        }
    }

    pub(super) fn give_back(
        &mut self,
        ctx: &mut Context<'_>,
        id: PoolId,
        node: u32,
        grace: Duration,
    ) -> bool {
        let Some(slot) = self.slots.get(node as usize) else { return false };
        let leaves = !matches!(slot.stage, Stage::Absent | Stage::Draining | Stage::Down);
        if !leaves || self.staying() <= self.supply.min {
            return false;
        }
        self.tally.given_back += 1;
        self.revoke(ctx, id, node, grace, Why::GivenBack);
        true
    }

    /// A node will go: at once if nothing can be on it, else by its deadline.
    fn revoke(&mut self, ctx: &mut Context<'_>, id: PoolId, node: u32, notice: Duration, why: Why) {
        match self.slots[node as usize].stage {
            Stage::Absent | Stage::Down | Stage::Draining => {}
            Stage::Quota | Stage::Stock => {
                self.slots[node as usize].run += 1;
                self.set_stage(ctx.now, node, Stage::Absent);
            }
            Stage::Boot | Stage::Pull => self.lose(ctx, id, node, why),
            Stage::Ready => {
                self.set_stage(ctx.now, node, Stage::Draining);
                self.slots[node as usize].why = why;
                if why != Why::GivenBack {
                    self.leave_zone(node);
                }
                let deadline = ctx.now.saturating_add(notice);
                ctx.tell(Effect::Revoked { pool: id, node, deadline, why });
                let run = self.slots[node as usize].run;
                ctx.at(deadline, Event::Deadline { pool: id, node, run });
            }
        }
    }

    pub(super) fn deadline(&mut self, ctx: &mut Context<'_>, id: PoolId, node: u32, run: u32) {
        let slot = &self.slots[node as usize];
        if slot.run == run && slot.stage == Stage::Draining {
            self.end(ctx, id, node);
            self.refill(ctx, id);
        }
    }

    pub(super) fn vacated(&mut self, ctx: &mut Context<'_>, id: PoolId, node: u32) {
        if self.slots[node as usize].stage == Stage::Draining {
            self.end(ctx, id, node);
            self.refill(ctx, id);
        }
    }

    /// A draining node ends: for good, or until it is repaired.
    fn end(&mut self, ctx: &mut Context<'_>, id: PoolId, node: u32) {
        let why = self.slots[node as usize].why;
        let back = match why {
            _ if !self.supply.committed => None,
            Why::Broken => {
                let repair = self.supply.failures.as_ref().map(|failures| failures.repair);
                self.recorded_repair.or_else(|| repair.map(|repair| repair.sample(&mut self.draws.repair)))
            }
            Why::Maintenance => self.supply.maintenance.as_ref().map(|maintenance| maintenance.length),
            _ => None,
        };
        let Some(back) = back else { return self.lose(ctx, id, node, why) };
        let slot = &mut self.slots[node as usize];
        slot.run += 1;
        slot.ready = None;
        let run = slot.run;
        self.set_stage(ctx.now, node, Stage::Down);
        ctx.tell(Effect::Down { pool: id, node });
        ctx.after(back, Event::Stage { pool: id, node, run });
    }

    /// A node that is paid for is gone.
    pub(super) fn lose(&mut self, ctx: &mut Context<'_>, id: PoolId, node: u32, why: Why) {
        self.leave_zone(node);
        let slot = &mut self.slots[node as usize];
        slot.run += 1;
        slot.ready = None;
        let used = slot.paid.take().map_or(Duration::ZERO, |paid| ctx.now.since(paid));
        self.set_stage(ctx.now, node, Stage::Absent);
        ctx.tell(Effect::Gone { pool: id, node, used, why });
    }

    fn leave_zone(&mut self, node: u32) {
        let slot = &mut self.slots[node as usize];
        if std::mem::take(&mut slot.counted) {
            self.zones[usize::from(slot.zone)].held -= 1;
        }
    }
}

/// The mean of a process that keeps `share` of the rate; far beyond any run when nothing is left.
fn scaled(mean: Duration, share: f64) -> Duration {
    Duration::from_secs_f64((mean.as_secs_f64() / share).min(1e10))
}
