//! The shape of a model, as numbers that are all known.

/// What the performance model needs to know of a transformer. The catalogue's model converts into it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelDims {
    /// Its name, for messages.
    pub name: String,
    /// All parameters, embeddings and every expert included.
    pub parameters: u64,
    /// Transformer layers.
    pub layers: u32,
    /// Width of the residual stream.
    pub hidden: u32,
    /// Tokens in the vocabulary.
    pub vocabulary: u32,
    /// Whether the output head is the input embedding's own matrix.
    pub tied_embeddings: bool,
    /// The longest context it takes, in tokens.
    pub max_context: u64,
    /// Heads and what they leave in the KV cache.
    pub attention: Attention,
    /// Layers that attend to the last tokens only; `None` when every layer attends to all.
    pub window: Option<SlidingWindow>,
    /// Experts, for a mixture of experts.
    pub experts: Option<Experts>,
}

/// The kind of attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attention {
    /// Multi-head, grouped-query and multi-query attention: a key and a value per KV head and token.
    Grouped {
        /// Query heads.
        heads: u32,
        /// KV heads; as many as `heads` in multi-head attention.
        kv_heads: u32,
        /// Width of a head.
        head_size: u32,
    },
    /// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1): one compressed vector per
    /// token and a rotary key that all heads share.
    Latent {
        /// Query heads.
        heads: u32,
        /// Width of a head's value, and of its key without the rotary part.
        head_size: u32,
        /// Width of the compressed keys and values.
        kv_lora_rank: u32,
        /// Width of the rotary key.
        rope_size: u32,
    },
}

/// Sliding-window attention in some of the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlidingWindow {
    /// Tokens that such a layer attends to.
    pub tokens: u32,
    /// How many of the layers do.
    pub layers: u32,
}

/// The routed experts of a mixture. Shared experts count with the dense parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Experts {
    /// Experts in a layer.
    pub per_layer: u32,
    /// Experts that each token is routed to.
    pub per_token: u32,
    /// Layers that have experts.
    pub layers: u32,
    /// Parameters of one expert in one layer.
    pub parameters: u64,
}

impl ModelDims {
    /// The model with a share of the parameters of its layers' matrices taken out, such that what is left computes
    /// as densely as before (structured pruning). `share` is from 0 to below 1.
    pub fn pruned(&self, share: f64) -> Self {
        let kept = |parameters: u64| (parameters as f64 * (1.0 - share)).round() as u64;
        let experts =
            self.experts.map(|experts| Experts { parameters: kept(experts.parameters).max(1), ..experts });
        let mut model = Self { experts, ..self.clone() };
        let embedding = self.embedding_parameters().min(self.parameters);
        model.parameters = embedding + model.expert_parameters() + kept(self.dense_parameters());
        model
    }

    /// A student of the same width with this share of the layers, rounded, at least one (as DistilBERT has half of
    /// BERT's: Sanh et al., arXiv 1910.01108, section 3). `share` is above 0, at most 1.
    pub fn distilled(&self, share: f64) -> Self {
        let of = |layers: u32| (f64::from(layers) * share).round() as u32;
        let layers = of(self.layers).max(1);
        let experts =
            self.experts.map(|experts| Experts { layers: of(experts.layers).clamp(1, layers), ..experts });
        let window =
            self.window.map(|window| SlidingWindow { layers: of(window.layers).min(layers), ..window });
        let mut model = Self { layers, experts, window, ..self.clone() };
        let dense = self.dense_parameters() as f64 * f64::from(layers) / f64::from(self.layers.max(1));
        let embedding = self.embedding_parameters().min(self.parameters);
        model.parameters = embedding + model.expert_parameters() + dense.round() as u64;
        model
    }

    /// Query heads: what a tensor-parallel degree must divide.
    pub const fn heads(&self) -> u32 {
        match self.attention {
            Attention::Grouped { heads, .. } | Attention::Latent { heads, .. } => heads,
        }
    }

    /// Whether keys and values are kept as one latent vector (MLA).
    pub const fn is_latent(&self) -> bool {
        matches!(self.attention, Attention::Latent { .. })
    }

    /// Parameters of the input embedding and the output head (one matrix when tied).
    pub fn embedding_parameters(&self) -> u64 {
        let matrix = u64::from(self.vocabulary) * u64::from(self.hidden);
        if self.tied_embeddings { matrix } else { 2 * matrix }
    }

    /// Parameters of all routed experts.
    pub fn expert_parameters(&self) -> u64 {
        self.experts.map_or(0, |experts| {
            experts.parameters * u64::from(experts.per_layer) * u64::from(experts.layers)
        })
    }

    /// Parameters that every token passes through, embeddings and head not counted: attention, dense
    /// feed-forward layers, shared experts, routers.
    pub fn dense_parameters(&self) -> u64 {
        self.parameters.saturating_sub(self.embedding_parameters() + self.expert_parameters())
    }

    /// Parameters that one token's matrix products use: dense ones, its own experts, and the output head
    /// (the input embedding is a look-up).
    pub fn active_parameters(&self) -> u64 {
        let experts = self.experts.map_or(0, |experts| {
            experts.parameters * u64::from(experts.per_token) * u64::from(experts.layers)
        });
        self.dense_parameters() + experts + u64::from(self.vocabulary) * u64::from(self.hidden)
    }

    /// Layers that attend to the whole context.
    pub fn global_layers(&self) -> u32 {
        self.layers - self.window_layers()
    }

    /// Layers that attend to a window.
    pub fn window_layers(&self) -> u32 {
        self.window.map_or(0, |window| window.layers.min(self.layers))
    }

    /// Values that one token leaves in one layer's KV cache on each of `tp` cards. KV heads are split over
    /// the cards, and repeated when there are fewer heads than cards; the latent vector is on every card.
    pub fn kv_values_per_layer(&self, tp: u32) -> u64 {
        match self.attention {
            Attention::Grouped { kv_heads, head_size, .. } => {
                2 * u64::from(kv_heads.div_ceil(tp.max(1)).max(1)) * u64::from(head_size)
            }
            Attention::Latent { kv_lora_rank, rope_size, .. } => {
                u64::from(kv_lora_rank) + u64::from(rope_size)
            }
        }
    }

    /// FLOP of one query token with one token in the KV cache in one layer, over all heads, while decoding.
    /// Two products of two FLOP a value; latent attention works on the compressed vectors ("absorbed").
    pub fn flop_per_pair_decoding(&self) -> u64 {
        match self.attention {
            Attention::Grouped { heads, head_size, .. } => 4 * u64::from(heads) * u64::from(head_size),
            Attention::Latent { heads, kv_lora_rank, rope_size, .. } => {
                2 * u64::from(heads) * (2 * u64::from(kv_lora_rank) + u64::from(rope_size))
            }
        }
    }

    /// The same while prefilling, where latent attention works on the expanded heads.
    pub fn flop_per_pair_prefilling(&self) -> u64 {
        match self.attention {
            Attention::Grouped { .. } => self.flop_per_pair_decoding(),
            Attention::Latent { heads, head_size, rope_size, .. } => {
                2 * u64::from(heads) * (2 * u64::from(head_size) + u64::from(rope_size))
            }
        }
    }
}
