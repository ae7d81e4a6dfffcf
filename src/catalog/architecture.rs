//! A model's shape with every number known, and what follows from it: parameters and cache.

use super::figure::Shown;
use super::precision::Precision;
use crate::units::Bytes;

/// The shape of a decoder-only transformer (or of an encoder with the same blocks).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Architecture {
    /// Transformer layers.
    pub layers: u32,
    /// Width of the residual stream.
    pub hidden: u32,
    /// How tokens look at each other.
    pub attention: Attention,
    /// What each token goes through alone.
    pub feed_forward: FeedForward,
    /// Entries of the vocabulary, padding included.
    pub vocabulary: u32,
    /// Whether the output shares the input's embedding matrix.
    pub tied_embeddings: bool,
    /// The longest context in tokens.
    pub context: u32,
    /// How positions enter.
    pub positional: Positional,
}

/// How tokens look at each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attention {
    /// Multi-head, grouped-query or multi-query attention.
    Heads(Heads),
    /// Multi-head latent attention, as in DeepSeek-V2 and V3 (arXiv 2412.19437, section 2.1.1).
    Latent(Latent),
}

/// Multi-head, grouped-query or multi-query attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub heads: u32,
    /// Key and value heads.
    pub kv_heads: u32,
    /// Width of one head.
    pub head_size: u32,
    /// The layers that look back only so far.
    pub window: Option<SlidingWindow>,
}

/// Multi-head latent attention: keys and values are kept as one latent a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latent {
    /// Query heads.
    pub heads: u32,
    /// Width of the keys' and values' latent.
    pub kv_lora_rank: u32,
    /// Width of the queries' latent; `None` when queries are projected directly.
    pub q_lora_rank: Option<u32>,
    /// Width of a head's part without position.
    pub qk_nope_head_size: u32,
    /// Width of a head's part with rotary position.
    pub qk_rope_head_size: u32,
    /// Width of a head's value.
    pub v_head_size: u32,
}

/// Layers that look back only so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlidingWindow {
    /// Tokens that such a layer looks back.
    pub tokens: u32,
    /// One layer in this many attends to everything; 0: none does.
    pub global_every: u32,
}

/// What each token goes through alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedForward {
    /// Inner width of the dense block; 0 where every layer has experts instead.
    pub ffn: u32,
    /// Whether blocks are gated (three matrices instead of two).
    pub gated: bool,
    /// The experts of a mixture; `None` for a dense model.
    pub experts: Option<Experts>,
}

/// A mixture of experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Experts {
    /// Routed experts of a layer.
    pub total: u32,
    /// Routed experts that one token uses.
    pub active: u32,
    /// Shared experts, which every token uses.
    pub shared: u32,
    /// Inner width of one expert, routed or shared.
    pub ffn: u32,
    /// Leading layers with the dense block instead.
    pub dense_layers: u32,
    /// One layer in this many has experts; 1: all (after the leading dense ones).
    pub every: u32,
}

/// How positions enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Positional {
    /// Rotation of queries and keys: no parameters.
    Rope,
    /// A learned vector a position: `context × hidden` parameters.
    Learned,
    /// Biases that are not learned: no parameters.
    Alibi,
    /// Transformer-XL's relative encoding: `hidden × hidden` parameters a layer.
    Relative,
}

impl Shown for Positional {
    const UNIT: &'static str = "";
    fn shown(&self) -> String {
        match self {
            Self::Rope => "rope",
            Self::Learned => "learned",
            Self::Alibi => "alibi",
            Self::Relative => "relative",
        }
        .to_owned()
    }
}

impl Attention {
    /// Query heads.
    pub const fn heads(self) -> u32 {
        match self {
            Self::Heads(heads) => heads.heads,
            Self::Latent(latent) => latent.heads,
        }
    }

    /// Values that one layer keeps in the cache for one token: `2 × kv_heads × head_size`, or with MLA the
    /// latent and the rotary key that all heads share.
    pub const fn cached_values(self) -> u64 {
        match self {
            Self::Heads(heads) => 2 * heads.kv_heads as u64 * heads.head_size as u64,
            Self::Latent(latent) => latent.kv_lora_rank as u64 + latent.qk_rope_head_size as u64,
        }
    }

    /// Parameters of one layer's projections, without biases and norms.
    pub const fn parameters(self, hidden: u32) -> u64 {
        let width = hidden as u64;
        match self {
            Self::Heads(heads) => {
                let queries = heads.heads as u64 * heads.head_size as u64;
                let keys = heads.kv_heads as u64 * heads.head_size as u64;
                2 * width * queries + 2 * width * keys
            }
            Self::Latent(latent) => {
                let heads = latent.heads as u64;
                let query = latent.qk_nope_head_size as u64 + latent.qk_rope_head_size as u64;
                let rank = latent.kv_lora_rank as u64;
                let queries = match latent.q_lora_rank {
                    Some(q_rank) => width * q_rank as u64 + q_rank as u64 * heads * query,
                    None => width * heads * query,
                };
                let down = width * (rank + latent.qk_rope_head_size as u64);
                let up = rank * heads * (latent.qk_nope_head_size as u64 + latent.v_head_size as u64);
                queries + down + up + heads * latent.v_head_size as u64 * width
            }
        }
    }
}

impl FeedForward {
    /// Matrices of a block: 3 when gated, otherwise 2.
    pub const fn matrices(self) -> u64 {
        if self.gated { 3 } else { 2 }
    }
}

impl Architecture {
    /// Layers whose feed-forward block is a mixture of experts.
    pub const fn expert_layers(&self) -> u32 {
        match self.feed_forward.experts {
            None => 0,
            Some(experts) => (self.layers - experts.dense_layers) / experts.every,
        }
    }

    /// Layers that attend to the whole context.
    pub fn global_layers(&self) -> u32 {
        match self.attention {
            Attention::Heads(Heads { window: Some(window), .. }) => {
                self.layers.checked_div(window.global_every).unwrap_or(0)
            }
            _ => self.layers,
        }
    }

    /// Values that all layers together keep for one token that every layer still sees.
    pub const fn cached_values_per_token(&self) -> u64 {
        self.layers as u64 * self.attention.cached_values()
    }

    /// Cache memory for a context of `tokens`, where layers with a sliding window keep no more than it.
    pub fn cache_bytes(&self, tokens: u64, precision: Precision) -> Bytes {
        let all = u64::from(self.global_layers());
        let windowed = u64::from(self.layers) - all;
        let window = match self.attention {
            Attention::Heads(Heads { window: Some(window), .. }) => u64::from(window.tokens),
            _ => u64::MAX,
        };
        precision.bytes_of(self.attention.cached_values() * (all * tokens + windowed * tokens.min(window)))
    }

    /// All parameters that follow from the shape: embeddings, projections, feed-forward blocks, routers,
    /// norms, learned positions; biases are left out (below 0.1 % of a large model).
    pub const fn parameter_count(&self) -> u64 {
        match self.feed_forward.experts {
            None => self.count_with(0),
            Some(experts) => self.count_with(experts.total),
        }
    }

    /// The parameters that one token uses; the input embedding, of which it reads one row, counted whole.
    pub const fn active_parameter_count(&self) -> u64 {
        match self.feed_forward.experts {
            None => self.count_with(0),
            Some(experts) => self.count_with(experts.active),
        }
    }

    /// Parameters of the input embedding.
    pub const fn embedding_parameters(&self) -> u64 {
        self.vocabulary as u64 * self.hidden as u64
    }

    /// The count with `routed` experts a layer.
    const fn count_with(&self, routed: u32) -> u64 {
        let (hidden, layers) = (self.hidden as u64, self.layers as u64);
        let mut attention = self.attention.parameters(self.hidden) + 2 * hidden;
        let mut positions = 0;
        match self.positional {
            Positional::Learned => positions = self.context as u64 * hidden,
            Positional::Relative => attention += hidden * hidden,
            Positional::Rope | Positional::Alibi => {}
        }
        let dense = self.feed_forward.matrices() * hidden * self.feed_forward.ffn as u64;
        let mixed_layers = self.expert_layers() as u64;
        let mixture = match self.feed_forward.experts {
            None => 0,
            Some(experts) => {
                let one = self.feed_forward.matrices() * hidden * experts.ffn as u64;
                (routed as u64 + experts.shared as u64) * one + experts.total as u64 * hidden
            }
        };
        let embeddings = self.embedding_parameters() * if self.tied_embeddings { 1 } else { 2 };
        layers * attention
            + (layers - mixed_layers) * dense
            + mixed_layers * mixture
            + embeddings
            + positions
            + hidden
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deepseek_v3() -> Architecture {
        Architecture {
            layers: 61,
            hidden: 7168,
            attention: Attention::Latent(Latent {
                heads: 128,
                kv_lora_rank: 512,
                q_lora_rank: Some(1536),
                qk_nope_head_size: 128,
                qk_rope_head_size: 64,
                v_head_size: 128,
            }),
            feed_forward: FeedForward {
                ffn: 18432,
                gated: true,
                experts: Some(Experts {
                    total: 256,
                    active: 8,
                    shared: 1,
                    ffn: 2048,
                    dense_layers: 3,
                    every: 1,
                }),
            },
            vocabulary: 129_280,
            tied_embeddings: false,
            context: 163_840,
            positional: Positional::Rope,
        }
    }

    #[test]
    fn deepseek_v3_has_671_billion_parameters() {
        // arXiv 2412.19437: 671B in total, 37B activated for each token.
        let model = deepseek_v3();
        assert_eq!(model.parameter_count() / 1_000_000_000, 671);
        assert_eq!(model.active_parameter_count() / 1_000_000_000, 37);
        assert_eq!(model.cached_values_per_token(), 61 * 576);
    }

    #[test]
    fn a_window_caps_the_cache_of_its_layers_only() {
        let mut model = deepseek_v3();
        model.layers = 24;
        model.attention = Attention::Heads(Heads {
            heads: 64,
            kv_heads: 8,
            head_size: 64,
            window: Some(SlidingWindow { tokens: 128, global_every: 2 }),
        });
        let per_layer_token = 2 * 8 * 64 * 2;
        assert_eq!(model.global_layers(), 12);
        assert_eq!(model.cache_bytes(100, Precision::Bf16), Bytes(24 * 100 * per_layer_token));
        assert_eq!(model.cache_bytes(1000, Precision::Bf16), Bytes(12 * (1000 + 128) * per_layer_token));
    }
}
