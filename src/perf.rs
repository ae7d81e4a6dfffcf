//! How long things take, and what fits: iterations of a replica, training steps, memory.
//!
//! Everything here is a pure function of models, accelerators and plans; nothing knows of queues or money.
//! It computes on numbers that are all known ([`ModelDims`], [`CardSpec`], [`NodeSpec`]); what the catalogue
//! does not know is an error at the conversion.

mod auto;
mod card;
mod collectives;
pub mod constants;
mod correction;
mod dims;
mod format;
mod from_catalog;
mod image;
mod links;
mod memory;
mod nearest;
mod on_links;
mod plan;
mod profile;
mod roofline;
mod segment;
mod step;
mod training;

pub use auto::{AutoPlan, ExpectedLoad, Promise, auto_plan, cheapest_plan};
pub use card::{CardSpec, NodeSpec};
pub use collectives::{Library, Operation, collective_time, collective_time_with};
pub use correction::{Correction, CorrectionError};
pub use dims::{Attention, Experts, ModelDims, SlidingWindow};
pub use from_catalog::UnknownFigures;
pub use image::{ImageDims, ImageStep};
pub use links::{LinkKind, LinkLoad, Per, serving_loads, training_loads};
pub use memory::{Fit, cards_for_weights, fit, kv_bytes_per_token, weight_bytes};
pub use nearest::{nearest_plan, nearest_training_plan};
pub use on_links::OnLinks;
pub use plan::{DoesNotFit, ParallelismPlan, PlanError, Replica, WeightsAs, check_stages};
pub use profile::{Profile, ProfileError, ProfileLimits};
pub use roofline::Roofline;
pub use segment::Segment;
pub use step::{AffineStep, BatchShape, StepModel};
pub use training::{TrainingJob, TrainingLayout, TrainingState, TrainingStep, Zero, training_throughput};
