//! The slots of one pool, its zones, and the integrals of both.

use super::super::config::PoolConfig;
use super::super::supply::{Stock, Supply, ZoneChoice};
use super::{Stage, Why};
use crate::policies::spot_placement::SpotHedge;
use crate::sim::{RandomStream, Seed};
use crate::units::{Duration, Instant};

/// How many stages there are.
pub(super) const STAGES: usize = 8;

/// A node as others may see it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NodeView<'a> {
    /// Its number in the pool.
    pub node: u32,
    /// How many nodes had this number before it.
    pub run: u32,
    /// Where it stands.
    pub stage: Stage,
    /// Its zone's name; empty where zones have none.
    pub zone: &'a str,
    /// When it was ordered.
    pub ordered: Instant,
    /// When it became ready, once it was.
    pub ready: Option<Instant>,
}

/// What happened to a pool's nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Orders.
    pub ordered: u64,
    /// Orders that came to nothing.
    pub refused: u64,
    /// Nodes that became ready.
    pub ready: u64,
    /// Nodes that the provider took back.
    pub preempted: u64,
    /// Nodes that broke.
    pub broken: u64,
    /// Nodes that were given back.
    pub given_back: u64,
    /// Node-nanoseconds in each stage, in the order of [`Stage`].
    pub stage_nanos: [u128; STAGES],
    /// Nanoseconds in which no zone had anything to give; none where stock is without end.
    pub dry_nanos: Option<u128>,
}

impl Tally {
    /// Node-nanoseconds in a stage.
    pub fn in_stage(&self, stage: Stage) -> u128 {
        self.stage_nanos[stage as usize]
    }

    /// Node-nanoseconds that were paid for: from the boot to the end.
    pub fn paid_nanos(&self) -> u128 {
        let paid = [Stage::Boot, Stage::Pull, Stage::Ready, Stage::Draining, Stage::Down];
        paid.map(|stage| self.in_stage(stage)).iter().sum()
    }
}

/// One place for a node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub(super) stage: Stage,
    pub(super) zone: u16,
    /// How many nodes had this number before; older events are stale.
    pub(super) run: u32,
    pub(super) ordered: Instant,
    /// When it was first paid for.
    pub(super) paid: Option<Instant>,
    pub(super) ready: Option<Instant>,
    /// It takes a place of its zone's stock.
    pub(super) counted: bool,
    /// Its start will come to nothing.
    pub(super) doomed: bool,
    /// Its image is there when it has booted.
    pub(super) warm: bool,
    /// Why it drains or is down.
    pub(super) why: Why,
}

/// A zone with what it has to give.
#[derive(Debug)]
pub(super) struct ZoneState {
    /// `None` for no end.
    pub(super) stock: Option<u32>,
    /// Nodes held there.
    pub(super) held: u32,
    /// The next level of a trace.
    pub(super) next: usize,
    pub(super) random: RandomStream,
}

/// Random streams of a pool, one for each cause.
#[derive(Debug)]
pub(super) struct Draws {
    pub(super) quota: RandomStream,
    pub(super) boot: RandomStream,
    pub(super) pull: RandomStream,
    pub(super) start: RandomStream,
    pub(super) spot: RandomStream,
    pub(super) victim: RandomStream,
    pub(super) failure: RandomStream,
    pub(super) repair: RandomStream,
    pub(super) together: RandomStream,
}

/// The nodes of one pool.
#[derive(Debug)]
pub(super) struct PoolNodes {
    pub(super) supply: Supply,
    pub(super) slots: Vec<Slot>,
    pub(super) zones: Vec<ZoneState>,
    /// Who chooses among the zones, where it is not their order.
    pub(super) hedge: Option<SpotHedge>,
    pub(super) draws: Draws,
    /// Nodes there at the beginning.
    pub(super) initial: u32,
    /// Not to be ordered from before this.
    pub(super) blocked: Option<Instant>,
    /// Stopped machines that can be started.
    pub(super) warm: u32,
    pub(super) tally: Tally,
    /// How long the next node that breaks is down, where that was recorded.
    pub(super) recorded_repair: Option<Duration>,
    counts: [u32; STAGES],
    settled: Instant,
}

impl PoolNodes {
    /// Of a pool whose nodes come and go.
    pub(super) fn new(config: &PoolConfig, seed: Seed) -> Option<Self> {
        let supply = config.supply.clone()?;
        let stream = |cause: &str| seed.stream(&format!("fleet/{}/{cause}", config.name));
        let zone = |(place, zone): (usize, &super::super::supply::Zone)| ZoneState {
            stock: match &zone.stock {
                Stock::Unlimited | Stock::InTurns { .. } => None,
                Stock::Fixed(count) => Some(*count),
                Stock::Levels(levels) => Some(levels.first().map_or(0, |(_, count)| *count)),
            },
            held: 0,
            next: 1,
            random: stream(&format!("stock/{place}/{}", zone.name)),
        };
        let slot = Slot {
            stage: Stage::Absent,
            zone: 0,
            run: 0,
            ordered: Instant::ZERO,
            paid: None,
            ready: None,
            counted: false,
            doomed: false,
            warm: false,
            why: Why::GivenBack,
        };
        let mut counts = [0; STAGES];
        counts[Stage::Absent as usize] = config.slots();
        Some(Self {
            zones: supply.zones.iter().enumerate().map(zone).collect(),
            hedge: (supply.zone_choice == ZoneChoice::SpotHedge).then(|| SpotHedge::new(supply.zones.len())),
            slots: vec![slot; config.slots() as usize],
            draws: Draws {
                quota: stream("quota"),
                boot: stream("boot"),
                pull: stream("pull"),
                start: stream("start"),
                spot: stream("spot"),
                victim: stream("victim"),
                failure: stream("failure"),
                repair: stream("repair"),
                together: stream("failures-together"),
            },
            initial: config.nodes,
            recorded_repair: None,
            blocked: None,
            warm: supply.provisioning.warm.as_ref().map_or(0, |warm| warm.nodes),
            tally: Tally {
                dry_nanos: supply.zones.iter().all(|zone| zone.stock != Stock::Unlimited).then_some(0),
                ..Tally::default()
            },
            counts,
            settled: Instant::ZERO,
            supply,
        })
    }

    /// Brings the integrals up to `now`; to be called before a stage or a stock changes.
    pub(super) fn settle(&mut self, now: Instant) {
        let nanos = u128::from(now.since(self.settled).as_nanos());
        for (sum, count) in self.tally.stage_nanos.iter_mut().zip(self.counts) {
            *sum += u128::from(count) * nanos;
        }
        if let Some(dry) = &mut self.tally.dry_nanos
            && self.zones.iter().all(|zone| zone.stock == Some(0))
        {
            *dry += nanos;
        }
        self.settled = now;
    }

    /// Moves a slot into another stage.
    pub(super) fn set_stage(&mut self, now: Instant, node: u32, to: Stage) {
        self.settle(now);
        let slot = &mut self.slots[node as usize];
        self.counts[slot.stage as usize] -= 1;
        self.counts[to as usize] += 1;
        slot.stage = to;
    }

    pub(super) fn count(&self, stage: Stage) -> u32 {
        self.counts[stage as usize]
    }

    pub(super) fn tally(&mut self, now: Instant) -> Tally {
        self.settle(now);
        self.tally.clone()
    }

    /// Nodes ordered and not ready.
    pub(super) fn coming(&self) -> u32 {
        [Stage::Quota, Stage::Stock, Stage::Boot, Stage::Pull].map(|stage| self.count(stage)).iter().sum()
    }

    /// Nodes that are there or coming and will stay.
    pub(super) fn staying(&self) -> u32 {
        self.coming() + self.count(Stage::Ready) + self.count(Stage::Down)
    }

    /// How many more nodes there may be.
    pub(super) fn room(&self) -> u32 {
        self.count(Stage::Absent)
    }

    pub(super) fn may_order(&self, now: Instant) -> bool {
        let within = self.supply.block.is_none_or(|(from, to)| from <= now && now < to);
        within && self.blocked.is_none_or(|until| until <= now) && self.room() > 0
    }

    pub(super) fn views(&self) -> impl Iterator<Item = NodeView<'_>> {
        let there = (0u32..).zip(&self.slots).filter(|(_, slot)| slot.stage != Stage::Absent);
        there.map(|(node, slot)| NodeView {
            node,
            run: slot.run,
            stage: slot.stage,
            zone: &self.supply.zones[usize::from(slot.zone)].name,
            ordered: slot.ordered,
            ready: slot.ready,
        })
    }

    pub(super) fn paid_for(&self, end: Instant) -> Vec<Duration> {
        self.slots.iter().filter_map(|slot| Some(end.since(slot.paid?))).collect()
    }
}
