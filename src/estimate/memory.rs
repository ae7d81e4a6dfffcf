//! How many cards a model needs for its memory alone.

use super::{Known, OutOfRange, Range, Unit, Worksheet};

/// Bits of a weight, with the names of the results: bytes of the weights, and cards.
const PRECISIONS: [(f64, &str, &str); 6] = [
    (32.0, "weight_bytes_fp32", "cards_fp32"),
    (16.0, "weight_bytes_fp16", "cards_fp16"),
    (8.0, "weight_bytes_int8", "cards_int8"),
    (4.0, "weight_bytes_int4", "cards_int4"),
    (3.0, "weight_bytes_3bit", "cards_3bit"),
    (2.0, "weight_bytes_int2", "cards_int2"),
];

/// The inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Memory {
    /// Parameters of the model, all of them.
    pub parameters: Known,
    /// Memory of a card.
    pub memory: Known,
    /// Share of the memory that is kept for caches and activations.
    pub headroom: Known,
    /// Bytes for each parameter while training.
    pub training_bytes: Known,
    /// Cards of a node.
    pub cards_per_node: Known,
    /// Bytes of cache for each token, and the tokens in flight; without them no cache is counted.
    pub cache: Option<(Known, Known)>,
}

impl Memory {
    /// Calculates.
    ///
    /// # Errors
    /// When an input makes no sense.
    pub fn worksheet(&self) -> Result<Worksheet, OutOfRange> {
        let mut sheet = Worksheet::new("Cards by memory");
        let parameters = sheet.input("parameters", &self.parameters, Range::Positive)?;
        let memory = sheet.input("memory_bytes", &self.memory, Range::Positive)?;
        let headroom = sheet.input("headroom", &self.headroom, Range::Part)?;
        let rule = sheet.input("training_bytes_per_parameter", &self.training_bytes, Range::Positive)?;
        let per_node = sheet.input("cards_per_node", &self.cards_per_node, Range::AtLeastOne)?;
        let usable = memory * (1.0 - headroom);
        sheet.result("usable_bytes_per_card", Unit::Bytes, "memory · (1 − headroom)", usable);
        let cache = match &self.cache {
            None => 0.0,
            Some((per_token, tokens)) => {
                let per_token = sheet.input("cache_bytes_per_token", per_token, Range::Positive)?;
                let tokens = sheet.input("cached_tokens", tokens, Range::NotNegative)?;
                sheet.result("cache_bytes", Unit::Bytes, "cache a token · tokens", per_token * tokens)
            }
        };
        for (bits, bytes, cards) in PRECISIONS {
            let weights = parameters * bits / 8.0;
            sheet.result(bytes, Unit::Bytes, &format!("parameters · {bits} ÷ 8"), weights);
            let need = ((weights + cache) / usable).ceil();
            sheet.result(cards, Unit::Cards, "(weights + cache) ÷ usable memory, rounded up", need);
        }
        let formula = "8 · usable memory ÷ parameters: the most that one card holds";
        sheet.result("most_bits_on_one_card", Unit::Bits, formula, 8.0 * usable / parameters);
        let training = rule * parameters;
        let formula = "bytes a parameter · parameters, without activations";
        sheet.result("training_bytes", Unit::Bytes, formula, training);
        let formula = "training bytes ÷ usable memory, rounded up";
        let cards = sheet.result("training_cards", Unit::Cards, formula, (training / usable).ceil());
        let formula = "training cards ÷ cards of a node, rounded up";
        sheet.result("training_nodes", Unit::Nodes, formula, (cards / per_node).ceil());
        let formula = "usable memory ÷ bytes a parameter: the most that one card trains";
        sheet.result("most_parameters_on_one_card", Unit::Parameters, formula, usable / rule);
        sheet.note(
            "A plan also has to divide heads, layers and experts, and replicates some weights; \
             `check` on a scenario tells what fits.",
        );
        Ok(sheet)
    }
}
