//! What is done to a deployment's weights beyond their format.

use crate::scenario::dom::Value;
use crate::scenario::kinds;
use crate::scenario::problem::Place;
use crate::scenario::reader::TableReader;
use crate::scenario::reading::{Kind, Sited, Unfit};

/// How weights are made smaller, kept and used.
#[derive(Debug, Clone)]
pub struct RawWeights {
    /// Whether they are 2:4 sparse, and where that is said.
    pub sparse: Option<Place>,
    /// The share of the layers' parameters that is pruned.
    pub pruned: f64,
    /// The share of the layers that a distilled student has.
    pub distilled: f64,
    /// The format that matrix products compute in, where it is not that of the weights.
    pub compute: Option<Sited<String>>,
    /// The share that comes from host memory in each iteration.
    pub streamed: f64,
}

impl Default for RawWeights {
    /// The model as it is.
    fn default() -> Self {
        Self { sparse: None, pruned: 0.0, distilled: 1.0, compute: None, streamed: 0.0 }
    }
}

/// A share below one.
const PRUNED: Kind<f64> = Kind {
    what: "a share from 0 to below 1",
    read: |value| match (kinds::SHARE.read)(value)? {
        share if share >= 1.0 => Err(Unfit::Value("nothing of the model would be left".to_owned())),
        share => Ok(share),
    },
};

/// A share above zero.
const DISTILLED: Kind<f64> = Kind {
    what: "a share above 0, at most 1",
    read: |value: &Value| match (kinds::SHARE.read)(value)? {
        0.0 => Err(Unfit::Value("nothing of the model would be left".to_owned())),
        share => Ok(share),
    },
};

/// Reads the keys of a deployment that are about its weights. Absent ones stay out of the resolved file, which then
/// says what it always said.
pub fn read(t: &mut TableReader<'_>) -> Option<RawWeights> {
    let doc = "2:4 sparse weights, on cards that compute with them at twice their dense peak.";
    let choices = [("none", false), ("2:4", true)];
    let sparse = if t.is_describing() || t.has("sparsity") {
        t.choice("sparsity", &choices, &[], Some("none"), doc)
    } else {
        t.declare("sparsity", "one of two", None, doc);
        None
    };
    let doc =
        "The share of its layers' parameters that pruning took out whole, so that the rest computes densely.";
    let pruned = t.optional("pruning", &PRUNED, doc);
    let doc = "The share of the model's layers that a distilled student has.";
    let distilled = t.optional("distillation", &DISTILLED, doc);
    let doc =
        "The format that matrix products compute in, where weights are quantized alone: bf16 over int8, say.";
    let compute = t.optional("compute_precision", &kinds::TEXT, doc);
    let doc =
        "The share of the layers' weights that stays in host memory and comes over PCIe in each iteration.";
    let streamed = t.optional("weight_streaming", &kinds::SHARE, doc);
    Some(RawWeights {
        sparse: sparse.filter(|sparse| **sparse).map(|sparse| sparse.place),
        pruned: pruned.map_or(0.0, |share| *share),
        distilled: distilled.map_or(1.0, |share| *share),
        compute,
        streamed: streamed.map_or(0.0, |share| *share),
    })
}
