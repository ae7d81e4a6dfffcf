//! What the results rest on: each figure used, once, in the order of its first use.

use crate::catalog::{Figure, FigureRow};
use crate::metrics::results::Assumption;
use crate::perf::constants;

/// The figures used so far.
#[derive(Debug, Default)]
pub struct Ledger {
    assumptions: Vec<Assumption>,
}

impl Ledger {
    /// Notes an assumption, unless it has been noted.
    pub fn note(&mut self, assumption: Assumption) {
        let same = |known: &Assumption| known.about == assumption.about && known.figure == assumption.figure;
        if !self.assumptions.iter().any(same) {
            self.assumptions.push(assumption);
        }
    }

    /// Notes a figure with its provenance.
    pub fn figure<T>(&mut self, about: String, figure: &str, value: String, known: &Figure<T>) {
        self.note(Assumption {
            about,
            figure: figure.to_owned(),
            value,
            source: known.source.clone(),
            date: known.date.clone().unwrap_or_default(),
            doubt: known.doubt.clone().unwrap_or_default(),
        });
    }

    /// Notes a row of the catalogue, if its value is known.
    pub fn row(&mut self, row: FigureRow) {
        if let Some(value) = row.value {
            self.note(Assumption {
                about: format!("{} {}", row.kind, row.entry),
                figure: row.figure.to_owned(),
                value: format!("{value} {}", row.unit).trim_end().to_owned(),
                source: row.source,
                date: row.date.unwrap_or_default(),
                doubt: row.doubt.unwrap_or_default(),
            });
        }
    }

    /// Notes the constants of the performance model that an iteration rests on.
    pub fn performance_model(&mut self) {
        for (figure, value) in [
            ("share of peak in linear layers", constants::Constants::PUBLISHED.linear_compute_16),
            ("share of peak in attention", constants::Constants::PUBLISHED.attention_compute),
            ("share of memory bandwidth, weights", constants::Constants::PUBLISHED.weight_bandwidth),
            ("share of memory bandwidth, KV cache", constants::Constants::PUBLISHED.kv_bandwidth),
            ("share of link bandwidth, collectives", constants::Constants::PUBLISHED.switched_bandwidth),
        ] {
            self.constant(figure, value);
        }
    }

    /// Notes the share of memory that an engine takes.
    pub fn memory_utilization(&mut self, deployment: &str, share: f64) {
        let usual = share == constants::MEMORY_UTILIZATION;
        self.note(Assumption {
            about: format!("deployment {deployment}"),
            figure: "share of memory for weights and KV cache".to_owned(),
            value: share.to_string(),
            source: if usual { "vLLM's default gpu_memory_utilization" } else { "the scenario" }.to_owned(),
            date: String::new(),
            doubt: String::new(),
        });
    }

    /// Notes the constants of the performance model that a training step rests on.
    pub fn training_model(&mut self) {
        for (figure, value) in [
            (
                "share of peak in training, matrix products",
                constants::Constants::PUBLISHED.training_linear_16,
            ),
            ("share of gradient traffic hidden", constants::Constants::PUBLISHED.training_overlap),
            ("share of memory in training", constants::TRAINING_MEMORY_UTILIZATION),
        ] {
            self.constant(figure, value);
        }
    }

    fn constant(&mut self, figure: &str, value: f64) {
        self.note(Assumption {
            about: "performance model".to_owned(),
            figure: figure.to_owned(),
            value: value.to_string(),
            source: "src/perf/constants.rs".to_owned(),
            date: String::new(),
            doubt: "set on a part of the published measurements; `fleetsim validate` shows the errors"
                .to_owned(),
        });
    }

    /// All of them.
    pub fn into_assumptions(self) -> Vec<Assumption> {
        self.assumptions
    }
}
