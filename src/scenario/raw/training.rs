//! How a training job is cut over its cards, and what its cards hold.

use crate::perf::{TrainingState, Zero};
use crate::scenario::dom::Value;
use crate::scenario::kinds;
use crate::scenario::reader::TableReader;
use crate::scenario::reading::{Kind, Unfit};

/// The plan of a training job; what is absent is chosen by rule.
#[derive(Debug, Clone, Copy)]
pub struct RawTraining {
    pub tp: Option<u32>,
    pub dp: Option<u32>,
    pub pp: u32,
    pub cp: u32,
    pub ep: u32,
    pub interleave: u32,
    pub micro_batch: Option<u32>,
    pub zero: Option<Zero>,
    pub state: TrainingState,
    pub recomputation: Option<Recomputation>,
    pub memory_utilization: Option<f64>,
}

/// What of the activations is computed again in the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recomputation {
    None,
    Selective,
    Full,
}

/// A share of memory above zero.
const UTILIZATION: Kind<f64> = Kind {
    what: "a share above 0, at most 1",
    read: |value| match (kinds::SHARE.read)(value)? {
        0.0 => Err(Unfit::Value("with no memory nothing fits; the usual value is 0.95".to_owned())),
        share => Ok(share),
    },
};

/// A stage of ZeRO.
const ZERO: Kind<Zero> = Kind {
    what: "a whole number from 0 to 3",
    read: |value| match value {
        Value::Integer(0) => Ok(Zero::Nothing),
        Value::Integer(1) => Ok(Zero::Optimizer),
        Value::Integer(2) => Ok(Zero::Gradients),
        Value::Integer(3) => Ok(Zero::Weights),
        Value::Integer(other) => {
            Err(Unfit::Value(format!("`{other}` is no stage of ZeRO; they are 0 to 3 (FSDP)")))
        }
        _ => Err(Unfit::Type),
    },
};

/// Reads the keys of a job that are about its plan. Absent ones stay out of the resolved file, which then says what
/// it always said.
pub fn read(t: &mut TableReader<'_>) -> RawTraining {
    let mut plan = RawTraining {
        tp: None,
        dp: None,
        pp: 1,
        cp: 1,
        ep: 1,
        interleave: 1,
        micro_batch: None,
        zero: None,
        state: TrainingState::default(),
        recomputation: None,
        memory_utilization: None,
    };
    let doc = "How the model is cut over the cards; by rule where absent: the smallest tp that fits.";
    t.table("parallelism", doc, |t| {
        let mut degree = |key, doc| t.optional(key, &kinds::COUNT, doc).map(|degree| *degree);
        plan.tp = degree("tp", "Tensor parallelism: cards of one node that share each layer.");
        plan.pp = degree("pp", "Pipeline parallelism: stages of layers; 1 when absent.").unwrap_or(1);
        plan.dp = degree(
            "dp",
            "Data parallelism: ranks with micro-batches of their own; what is left when absent.",
        );
        plan.ep =
            degree("ep", "Expert parallelism: groups that divide the experts; 1 when absent.").unwrap_or(1);
        plan.cp = degree("cp", "Context parallelism: parts of each sequence; 1 when absent.").unwrap_or(1);
        let doc = "Parts of each stage that micro-batches pass in turn (interleaved 1F1B); 1 when absent.";
        plan.interleave = degree("interleave", doc).unwrap_or(1);
        let doc = "Sequences of a micro-batch; as many as memory holds when absent.";
        plan.micro_batch = degree("micro_batch", doc);
        Some(())
    });
    let doc = "What is cut over the data-parallel ranks: nothing (0), the optimizer's state (1), gradients too (2), \
               weights too (3, as FSDP does); as little as fits when absent.";
    plan.zero = t.optional("zero", &ZERO, doc).map(|zero| *zero);
    let states = [
        ("12N", TrainingState::Twelve),
        ("16N", TrainingState::Sixteen),
        ("18N", TrainingState::Eighteen),
        ("20N", TrainingState::Twenty),
    ];
    let doc = "Bytes of weights, gradients and optimizer's state for each of N parameters; 16N when absent.";
    plan.state = given(t, "optimizer_state", &states, "16N", doc).unwrap_or_default();
    let choices = [
        ("auto", None),
        ("none", Some(Recomputation::None)),
        ("selective", Some(Recomputation::Selective)),
        ("full", Some(Recomputation::Full)),
    ];
    let doc = "What the backward pass computes again: nothing (attention's scores are kept); attention, as fused \
               kernels do (selective); all but each layer's input (full); selective, or full when it must (auto).";
    plan.recomputation = given(t, "recomputation", &choices, "auto", doc).flatten();
    let doc = "The share of a card's memory that the job may fill, the rest being for fragmentation; 0.95 when absent.";
    plan.memory_utilization = t.optional("memory_utilization", &UTILIZATION, doc).map(|share| *share);
    plan
}

/// One of several names, nothing when the key is absent.
fn given<T: Copy>(
    t: &mut TableReader<'_>,
    key: &'static str,
    names: &[(&'static str, T)],
    default: &'static str,
    doc: &'static str,
) -> Option<T> {
    if t.is_describing() || t.has(key) {
        return t.choice(key, names, &[], Some(default), doc).map(|choice| *choice);
    }
    t.declare(key, "one of several", None, doc);
    None
}
