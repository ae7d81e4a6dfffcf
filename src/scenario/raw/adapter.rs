//! `[[adapters]]`, and `lora` of a deployment.

use crate::scenario::kinds;
use crate::scenario::reader::TableReader;
use crate::scenario::reading::Sited;
use crate::units::{Bytes, BytesPerSecond, Duration};

/// A LoRA adapter of a base model.
#[derive(Debug, Clone)]
pub struct RawAdapter {
    pub name: Sited<String>,
    pub base: Sited<String>,
    pub rank: Sited<u32>,
    pub size: Option<Bytes>,
}

/// How a deployment serves adapters of its model.
#[derive(Debug, Clone)]
pub struct RawLora {
    /// Adapters at hand at a time.
    pub slots: Sited<u32>,
    pub max_rank: Sited<u32>,
    pub bandwidth: Option<BytesPerSecond>,
    pub load_time: Option<Duration>,
}

/// Reads one adapter.
pub fn read(t: &mut TableReader<'_>) -> Option<RawAdapter> {
    let name = t.required("name", &kinds::NAME, "Its name; streams name it under `adapter`.");
    let base = t.required("base", &kinds::REFERENCE, "The model that it adapts.");
    let rank = t.required("rank", &kinds::COUNT, "Its rank.");
    let doc = "Its bytes; when absent those of matrices of this rank beside the queries, keys, values and outputs of \
               attention, in 16 bits.";
    let size = t.optional("size", &kinds::BYTES, doc);
    Some(RawAdapter { name: name?, base: base?, rank: rank?, size: size.map(|size| *size) })
}

/// Reads `lora`.
pub fn lora(t: &mut TableReader<'_>) -> Option<RawLora> {
    let doc = "Serves the [[adapters]] of its model beside it; streams choose one by `adapter`.";
    t.table("lora", doc, |t| {
        let doc = "Adapters that a replica has at hand at a time (vLLM's max_loras).";
        let slots = t.or("slots", &kinds::COUNT, "1", doc);
        let doc = "The highest rank that there is room for (vLLM's max_lora_rank).";
        let max_rank = t.or("max_rank", &kinds::COUNT, "16", doc);
        let doc = "How fast each card takes its part of an adapter in; its PCIe link when absent.";
        let bandwidth = t.optional("bandwidth", &kinds::BANDWIDTH, doc);
        let doc = "How long an adapter takes to come, instead.";
        let load_time = t.optional("load_time", &kinds::TIME, doc);
        Some(RawLora {
            slots: slots?,
            max_rank: max_rank?,
            bandwidth: bandwidth.map(|bandwidth| *bandwidth),
            load_time: load_time.map(|time| *time),
        })
    })
}
