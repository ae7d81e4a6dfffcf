//! Named values for inputs on which published calculations differ. The first of each list is the default.
//!
//! Most come from articles of 2023 on the economics of large models ([`ARTICLES`]).

use super::{Known, Unit};

/// Articles that inputs cite by a short name, and what they are.
pub const ARTICLES: &[(&str, &str)] = &[
    ("a16z 2023", "Appenzeller, Bornstein, Casado: Navigating the High Cost of AI Compute, a16z, April 2023"),
    ("Sunyan 2023", "Sunyan: The Economics of Large Language Models, January 2023"),
    ("SPEKA 2023", "SPEKA: how neural networks are trained and what it costs, June 2023"),
];

/// A value with a name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// What a user types.
    pub name: &'static str,
    /// The value.
    pub value: f64,
    /// Who says so.
    pub source: &'static str,
}

impl Choice {
    /// As an input, in `unit`.
    pub fn known(&self, unit: Unit) -> Known {
        Known::new(self.value, unit, format!("{}: {}", self.name, self.source))
    }
}

const fn choice(name: &'static str, value: f64, source: &'static str) -> Choice {
    Choice { name, value, source }
}

/// Share of the peak FLOP/s that serves the model.
pub const UTILIZATION: &[Choice] = &[
    choice("gpt-3-2020", 0.213, "GPT-3 on V100, Sunyan 2023"),
    choice("mt-nlg-2022", 0.302, "MT-NLG on an NVIDIA cluster, Sunyan 2023"),
    choice("gpt-2-a100", 0.357, "GPT-2 on one A100, Sunyan 2023"),
    choice("palm-2022", 0.462, "PaLM on TPU v4, Sunyan 2023"),
    choice("peak", 1.0, "the peak, as a16z 2023 counts"),
];

/// US dollars an hour of one card.
pub const CARD_HOUR: &[Choice] = &[
    choice("aws-p4-reserved-1y", 19.22 / 8.0, "8 A100 at 19.22 USD/h, Sunyan 2023"),
    choice("a100-2023-04", 2.003, "what a16z 2023 implies, 560,000 USD over 279,558 h"),
    choice("tpu-v4-implied", 2.03, "what Sunyan 2023 implies at 275 TFLOPS; not found on a price page"),
];

/// US dollars per 1,000 tokens of a hosted model.
pub const API_PRICE: &[Choice] = &[
    choice("davinci-2023-02", 0.02, "OpenAI Davinci, February 2023, Sunyan 2023"),
    choice("openai-2023-04", 0.002, "OpenAI, April 2023, a16z 2023"),
];

/// FLOP for each parameter and token of a forward pass.
pub const FORWARD_FLOP: &[Choice] = &[
    choice("decoder-only", 2.0, "a multiplication and an addition per parameter, Sunyan 2023"),
    choice("encoder-decoder", 1.0, "a token meets half of the parameters: a16z 2023, Sunyan 2023"),
];

/// FLOP for each parameter and token of training.
pub const TRAINING_FLOP: &[Choice] = &[
    choice("decoder-only", 6.0, "forward 2, backward 4: a16z 2023, Kaplan et al. 2020 section 2.1"),
    choice(
        "full-recomputation",
        8.0,
        "the forward pass twice: Narayanan et al. 2021 (Megatron-LM), section 3.5",
    ),
    choice("encoder-decoder", 3.0, "Sunyan 2023"),
];

/// Bytes of memory for each parameter while training, without activations.
pub const TRAINING_BYTES: &[Choice] = &[
    choice("20n", 20.0, "mixed-precision Adam, Sunyan 2023"),
    choice("18n", 18.0, "as 16n with gradients in FP32 (Narayanan et al. 2021, Megatron-LM)"),
    choice("16n", 16.0, "mixed-precision Adam: Rajbhandari et al. 2020 (ZeRO), section 3.1"),
    choice("12n", 12.0, "FP32 weights and 8 bytes beside them, a16z 2023"),
];

/// Searches of a year.
pub const SEARCHES: &[Choice] = &[
    choice("sunyan-2023", 1.2e12 * 60.0 / 34.0, "100e9 a month by desktop, times 60/34, Sunyan 2023"),
    choice("sunyan-2023-rounded", 2.1e12, "the same as printed, Sunyan 2023"),
    choice("speka-2023", 3.3e12, "SPEKA 2023"),
];

/// The choice of this name.
pub fn find<'a>(choices: &'a [Choice], name: &str) -> Option<&'a Choice> {
    choices.iter().find(|choice| choice.name == name)
}
