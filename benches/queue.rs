//! The event queue by itself: the hold model (pop one, push one later) at several numbers of pending events.
//!
//! `cargo bench --bench queue`

use divan::counter::ItemsCount;
use fleetsim::sim::{EventQueue, Ranked, Seed};
use fleetsim::units::Duration;

const HOLDS: u64 = 100_000;

/// As large as the world's events.
#[derive(Clone, Copy)]
struct Event(u32, u64);

impl Ranked for Event {
    fn rank(&self) -> u64 {
        self.1
    }
}

fn main() {
    divan::main();
}

#[divan::bench(args = [10, 1_000, 100_000, 1_000_000])]
fn hold(bencher: divan::Bencher<'_, '_>, pending: u64) {
    let mut random = Seed(1).stream("bench");
    let mut queue = EventQueue::new();
    let mut delay = move || Duration::from_nanos((random.exponential() * 1e9) as u64);
    for number in 0..pending {
        queue.push(fleetsim::units::Instant::ZERO + delay(), Event(0, number));
    }
    bencher.counter(ItemsCount::new(HOLDS)).bench_local(|| {
        for _ in 0..HOLDS {
            if let Some((now, Event(kind, number))) = queue.pop() {
                queue.push(now + delay(), Event(kind, number));
            }
        }
    });
}
