//! How long things take, and what fits: iterations of a replica, training steps, memory.
//!
//! Everything here is a pure function of models, accelerators and plans; nothing knows of queues or money.

mod segment;
mod step;

pub use segment::Segment;
pub use step::{AffineStep, BatchShape, StepModel};
