//! The simulation kernel: clock, event queue, named random streams. It knows nothing of accelerators.

mod ctx;
mod delay;
mod queue;
mod random;

pub use ctx::Ctx;
pub use delay::Delay;
pub use queue::{EventQueue, Ranked};
pub use random::{RandomStream, Seed};
