//! What checkpoints keep of a job that loses its card.

use super::*;
use crate::jobs::{Checkpoint, JobExtra, JobTerms};
use crate::policies::queue_order::Shadow;

/// One card, for whom it is.
struct OneCard(Option<u32>);

impl Cluster for OneCard {
    fn free(&self, _pool: u16) -> u32 {
        u32::from(self.0.is_none())
    }
    fn reserve(&mut self, _: u32, _: &mut dyn Iterator<Item = (Instant, u32)>) -> Option<Shadow> {
        None
    }
    fn victims(&mut self, _: u32, _: Instant, _: &mut dyn Iterator<Item = u32>) -> Option<Vec<u32>> {
        None
    }
}

impl Cards for OneCard {
    fn start(&mut self, _: Instant, job: u32, _: Ask) -> Result<usize, PendingReason> {
        match self.0 {
            Some(_) => Err(PendingReason::TooFewFree { free: 0, wanted: 1 }),
            None => {
                self.0 = Some(job);
                Ok(0)
            }
        }
    }
    fn stop(&mut self, _: Instant, _: u32) {
        self.0 = None;
    }
    fn expect(&mut self, _: u32, _: Instant) {}
}

/// Runs one job of 100 s that loses its card at these times, and says when it ends and what was lost.
fn losing(checkpoint: Option<Checkpoint>, losses: &[u64]) -> (f64, f64, f64) {
    let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
    let mut list = JobList::default();
    let work = Duration::from_secs(100);
    list.push(("long", "", ""), Instant::ZERO, (1, work), &[PoolId(0)], JobTerms::default());
    list.set_extra(0, JobExtra { checkpoint, ..JobExtra::default() });
    let fleet = FleetFacts { cards: vec![1], types: vec![0], places: vec![vec![0]], ..FleetFacts::default() };
    let mut jobs = Jobs::new(Arc::new(list), &QueueOrder::Fifo, &JobRules::default(), &fleet);
    let (mut cards, mut queue, mut effects) = (OneCard(None), Vec::new(), Vec::new());
    jobs.begin(&mut Ctx::new(Instant::ZERO, &mut queue, &mut effects));
    let mut losses = losses.iter().map(|second| at(*second)).peekable();
    while let Some(place) = (0..queue.len()).min_by_key(|place| queue[*place].0) {
        if let Some(loss) = losses.next_if(|loss| *loss <= queue[place].0) {
            let mut ctx = Ctx::new(loss, &mut queue, &mut effects);
            jobs.lose_lease(&mut ctx, &mut cards, 0);
            continue;
        }
        let (now, event) = queue.remove(place);
        jobs.handle(&mut Ctx::new(now, &mut queue, &mut effects), &mut cards, event);
    }
    let state = jobs.state(0);
    let end = state.finished.expect("it is done").as_secs_f64();
    (end, state.lost.as_secs_f64(), jobs.work_and_time(at(0)).0)
}

/// Checkpoints of 2 after every 10. It loses its card at 30, in the third stretch of work: 20 are saved, 6
/// lost; 5 to restore, then 80 of work with seven checkpoints. Without any all 30 are lost.
#[test]
fn what_the_last_checkpoint_holds_is_kept() {
    let s = Duration::from_secs;
    let checkpoint = Checkpoint { write: s(2), restore: s(5), every: Some(s(10)) };
    assert_eq!(losing(Some(checkpoint), &[]), (118.0, 0.0, 100.0));
    assert_eq!(losing(Some(checkpoint), &[30]), (30.0 + 5.0 + 80.0 + 14.0, 6.0, 100.0));
    // Lost again while it restores: nothing more is lost but time.
    assert_eq!(losing(Some(checkpoint), &[30, 33]), (33.0 + 5.0 + 80.0 + 14.0, 6.0, 100.0));
    assert_eq!(losing(None, &[30]), (130.0, 30.0, 100.0));
    // Only saved when it is stopped, which it never is.
    let never = Checkpoint { every: None, ..checkpoint };
    assert_eq!(losing(Some(never), &[30]), (135.0, 30.0, 100.0));
}
