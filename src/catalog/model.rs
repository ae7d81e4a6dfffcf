//! Models: what is published about their shape.

use super::architecture::{
    Architecture, Attention, Experts, FeedForward, Heads, Latent, Positional, SlidingWindow,
};
use super::figure::{EntryName, Figure, FigureRow, Unknown};
use super::origin::{BadEntry, Sources, entry_fields};

/// A model, as far as it is known: sizes are counts, the context is in tokens.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Model {
    /// Its name in kebab case, for example `llama-3.1-70b`.
    pub name: String,
    /// Other names for it, for example `meta-llama/Llama-3.1-70B`.
    pub aliases: Vec<String>,
    /// Who trained it.
    pub maker: String,
    /// A remark for the reader.
    pub note: String,
    /// Where each word of the position goes.
    pub positional: Option<Figure<Positional>>,
    /// All parameters, as published.
    pub parameters: Option<Figure<u64>>,
    /// Parameters that one token uses, as published; a dense model uses all.
    pub active_parameters: Option<Figure<u64>>,
    /// Transformer layers.
    pub layers: Option<Figure<u32>>,
    /// Width of the residual stream.
    pub hidden: Option<Figure<u32>>,
    /// Query heads.
    pub heads: Option<Figure<u32>>,
    /// Key and value heads: equal to `heads` for multi-head, fewer for grouped-query, 1 for multi-query.
    pub kv_heads: Option<Figure<u32>>,
    /// Width of one head.
    pub head_size: Option<Figure<u32>>,
    /// Width of the keys' and values' latent, which makes the attention multi-head latent (MLA).
    pub kv_lora_rank: Option<Figure<u32>>,
    /// Width of the queries' latent (MLA).
    pub q_lora_rank: Option<Figure<u32>>,
    /// Width of a head's part without position (MLA).
    pub qk_nope_head_size: Option<Figure<u32>>,
    /// Width of a head's part with rotary position (MLA).
    pub qk_rope_head_size: Option<Figure<u32>>,
    /// Width of a head's value (MLA).
    pub v_head_size: Option<Figure<u32>>,
    /// Tokens that a sliding-window layer looks back.
    pub window: Option<Figure<u32>>,
    /// One layer in this many attends to everything; 0: none does.
    pub global_every: Option<Figure<u32>>,
    /// Inner width of the (dense) feed-forward block.
    pub ffn: Option<Figure<u32>>,
    /// Whether the feed-forward block is gated (three matrices instead of two).
    pub gated: Option<Figure<bool>>,
    /// Routed experts of a layer.
    pub experts: Option<Figure<u32>>,
    /// Routed experts that one token uses.
    pub experts_active: Option<Figure<u32>>,
    /// Shared experts of a layer, which every token uses.
    pub experts_shared: Option<Figure<u32>>,
    /// Inner width of one expert.
    pub expert_ffn: Option<Figure<u32>>,
    /// Leading layers with the dense block.
    pub dense_layers: Option<Figure<u32>>,
    /// One layer in this many has experts (the others are dense).
    pub experts_every: Option<Figure<u32>>,
    /// Entries of the vocabulary, padding included.
    pub vocabulary: Option<Figure<u32>>,
    /// Whether the output shares the input's embedding matrix.
    pub tied_embeddings: Option<Figure<bool>>,
    /// The longest context in tokens, as published.
    pub context: Option<Figure<u32>>,
    /// Of a model that makes images: the parameters that each of its steps runs through; text encoders and the image
    /// decoder are left out.
    pub denoiser_parameters: Option<Figure<u64>>,
    /// Width and height of the image, in pixels, at which the following are given.
    pub image_side: Option<Figure<u32>>,
    /// Passes of a step: 2 where an image with and one without the prompt are compared (classifier-free guidance).
    pub step_passes: Option<Figure<u32>>,
    /// TFLOP of a pass that grow with the pixels.
    pub step_tflop: Option<Figure<f64>>,
    /// TFLOP of a pass that grow with their square: pixels that attend to pixels.
    pub step_attention_tflop: Option<Figure<f64>>,
    /// Pixels as which the prompt counts, where it goes through the denoiser beside the image.
    pub text_pixels: Option<Figure<u32>>,
    /// TFLOP of making an image of what the last step leaves.
    pub decode_tflop: Option<Figure<f64>>,
}

entry_fields! {
    /// A model as data files and scenarios write it.
    ModelFields ("model") {
        words {
            /// Who trained it.
            maker: String,
            /// A remark for the reader.
            note: String,
        }
        figures {
            /// Where each word of the position goes.
            positional: Positional,
            /// All parameters, as published.
            parameters: f64,
            /// Parameters that one token uses, as published.
            active_parameters: f64,
            /// Transformer layers.
            layers: u32,
            /// Width of the residual stream.
            hidden: u32,
            /// Query heads.
            heads: u32,
            /// Key and value heads.
            kv_heads: u32,
            /// Width of one head.
            head_size: u32,
            /// Width of the keys' and values' latent (MLA).
            kv_lora_rank: u32,
            /// Width of the queries' latent (MLA).
            q_lora_rank: u32,
            /// Width of a head's part without position (MLA).
            qk_nope_head_size: u32,
            /// Width of a head's part with rotary position (MLA).
            qk_rope_head_size: u32,
            /// Width of a head's value (MLA).
            v_head_size: u32,
            /// Tokens that a sliding-window layer looks back.
            window: u32,
            /// One layer in this many attends to everything; 0: none does.
            global_every: u32,
            /// Inner width of the (dense) feed-forward block.
            ffn: u32,
            /// Whether the feed-forward block is gated.
            gated: bool,
            /// Routed experts of a layer.
            experts: u32,
            /// Routed experts that one token uses.
            experts_active: u32,
            /// Shared experts of a layer.
            experts_shared: u32,
            /// Inner width of one expert.
            expert_ffn: u32,
            /// Leading layers with the dense block.
            dense_layers: u32,
            /// One layer in this many has experts.
            experts_every: u32,
            /// Entries of the vocabulary, padding included.
            vocabulary: u32,
            /// Whether the output shares the input's embedding matrix.
            tied_embeddings: bool,
            /// The longest context in tokens.
            context: u32,
            /// Of a model that makes images: the parameters that each of its steps runs through.
            denoiser_parameters: f64,
            /// Width and height of the image, in pixels, at which the following are given.
            image_side: u32,
            /// Passes of a step: 2 with classifier-free guidance.
            step_passes: u32,
            /// TFLOP of a pass that grow with the pixels.
            step_tflop: f64,
            /// TFLOP of a pass that grow with their square.
            step_attention_tflop: f64,
            /// Pixels as which the prompt counts in the denoiser.
            text_pixels: u32,
            /// TFLOP of making an image of what the last step leaves.
            decode_tflop: f64,
        }
    }
}

impl Model {
    fn entry(&self) -> EntryName<'_> {
        EntryName { kind: "model", name: &self.name }
    }

    /// All parameters, as published.
    ///
    /// # Errors
    /// When nobody published them.
    pub fn parameters(&self) -> Result<u64, Unknown> {
        self.entry().need("parameters", self.parameters.as_ref())
    }

    /// Parameters that one token uses: as published, or all of a model without experts.
    ///
    /// # Errors
    /// When neither is known.
    pub fn active_parameters(&self) -> Result<u64, Unknown> {
        match &self.active_parameters {
            Some(figure) => Ok(figure.value),
            None if self.experts.is_none() => self.parameters(),
            None => Err(self.entry().unknown("active_parameters")),
        }
    }

    /// Whether it makes images, step by step, rather than tokens.
    pub fn makes_images(&self) -> bool {
        self.image_side.is_some() || self.step_tflop.is_some() || self.denoiser_parameters.is_some()
    }

    /// The shape with every number in it, as performance and memory models need it.
    ///
    /// # Errors
    /// The first figure that is missing.
    pub fn architecture(&self) -> Result<Architecture, Unknown> {
        let entry = self.entry();
        let count = |key, figure: &Option<Figure<u32>>| entry.need(key, figure.as_ref());
        let layers = count("layers", &self.layers)?;
        let heads = count("heads", &self.heads)?;
        let attention = if self.kv_lora_rank.is_some() {
            Attention::Latent(Latent {
                heads,
                kv_lora_rank: count("kv_lora_rank", &self.kv_lora_rank)?,
                q_lora_rank: self.q_lora_rank.as_ref().map(|figure| figure.value),
                qk_nope_head_size: count("qk_nope_head_size", &self.qk_nope_head_size)?,
                qk_rope_head_size: count("qk_rope_head_size", &self.qk_rope_head_size)?,
                v_head_size: count("v_head_size", &self.v_head_size)?,
            })
        } else {
            let window = match &self.window {
                None => None,
                Some(figure) => Some(SlidingWindow {
                    tokens: figure.value,
                    global_every: count("global_every", &self.global_every)?,
                }),
            };
            Attention::Heads(Heads {
                heads,
                kv_heads: count("kv_heads", &self.kv_heads)?,
                head_size: count("head_size", &self.head_size)?,
                window,
            })
        };
        let optional = |figure: &Option<Figure<u32>>, default| {
            figure.as_ref().map_or(default, |figure: &Figure<u32>| figure.value)
        };
        let experts = match &self.experts {
            None => None,
            Some(figure) => Some(Experts {
                total: figure.value,
                active: count("experts_active", &self.experts_active)?,
                shared: optional(&self.experts_shared, 0),
                ffn: count("expert_ffn", &self.expert_ffn)?,
                dense_layers: optional(&self.dense_layers, 0),
                every: optional(&self.experts_every, 1),
            }),
        };
        // A model all of whose layers have experts has no dense block to know the width of.
        let all_experts =
            experts.as_ref().is_some_and(|experts| experts.dense_layers == 0 && experts.every == 1);
        let ffn = if all_experts { 0 } else { count("ffn", &self.ffn)? };
        let architecture = Architecture {
            layers,
            hidden: count("hidden", &self.hidden)?,
            attention,
            feed_forward: FeedForward { ffn, gated: entry.need("gated", self.gated.as_ref())?, experts },
            vocabulary: count("vocabulary", &self.vocabulary)?,
            tied_embeddings: entry.need("tied_embeddings", self.tied_embeddings.as_ref())?,
            context: count("context", &self.context)?,
            positional: entry.need("positional", self.positional.as_ref())?,
        };
        Ok(architecture)
    }

    /// Every figure that is known, and those that the calculations need and lack, in a fixed order.
    pub fn figures(&self) -> Vec<FigureRow> {
        let entry = self.entry();
        let mut rows = vec![
            entry.row("parameters", self.parameters.as_ref()),
            entry.row("active_parameters", self.active_parameters.as_ref()),
        ];
        rows.extend(self.counts().map(|(key, figure)| entry.row(key, figure.as_ref())));
        rows.push(entry.row("gated", self.gated.as_ref()));
        rows.push(entry.row("tied_embeddings", self.tied_embeddings.as_ref()));
        rows.push(entry.row("positional", self.positional.as_ref()));
        if self.makes_images() {
            rows.retain(|row| row.value.is_some());
            rows.extend([
                entry.row("denoiser_parameters", self.denoiser_parameters.as_ref()),
                entry.row("image_side", self.image_side.as_ref()),
                entry.row("step_passes", self.step_passes.as_ref()),
                entry.row("step_tflop", self.step_tflop.as_ref()),
                entry.row("step_attention_tflop", self.step_attention_tflop.as_ref()),
                entry.row("decode_tflop", self.decode_tflop.as_ref()),
            ]);
            rows.extend(self.text_pixels.iter().map(|pixels| entry.row("text_pixels", Some(pixels))));
            return rows;
        }
        let needed = [
            "parameters",
            "layers",
            "hidden",
            "heads",
            "kv_heads",
            "head_size",
            "ffn",
            "gated",
            "vocabulary",
            "tied_embeddings",
            "context",
            "positional",
        ];
        let latent = self.kv_lora_rank.is_some();
        rows.retain(|row| {
            let lacking = needed.contains(&row.figure)
                && !(latent && matches!(row.figure, "kv_heads" | "head_size"))
                && !(self.experts.is_some() && row.figure == "ffn");
            row.value.is_some() || lacking
        });
        rows
    }

    fn counts(&self) -> impl Iterator<Item = (&'static str, &Option<Figure<u32>>)> {
        [
            ("layers", &self.layers),
            ("hidden", &self.hidden),
            ("heads", &self.heads),
            ("kv_heads", &self.kv_heads),
            ("head_size", &self.head_size),
            ("kv_lora_rank", &self.kv_lora_rank),
            ("q_lora_rank", &self.q_lora_rank),
            ("qk_nope_head_size", &self.qk_nope_head_size),
            ("qk_rope_head_size", &self.qk_rope_head_size),
            ("v_head_size", &self.v_head_size),
            ("window", &self.window),
            ("global_every", &self.global_every),
            ("ffn", &self.ffn),
            ("experts", &self.experts),
            ("experts_active", &self.experts_active),
            ("experts_shared", &self.experts_shared),
            ("expert_ffn", &self.expert_ffn),
            ("dense_layers", &self.dense_layers),
            ("experts_every", &self.experts_every),
            ("vocabulary", &self.vocabulary),
            ("context", &self.context),
        ]
        .into_iter()
    }

    /// Lays fields over this entry.
    ///
    /// # Errors
    /// When a value is impossible or a provenance key names no figure.
    pub(super) fn apply(&mut self, fields: &ModelFields, known: &Sources) -> Result<(), BadEntry> {
        let origin = fields.origin(known)?;
        self.name.clone_from(&fields.name);
        self.aliases.extend(fields.aliases.iter().cloned());
        for (slot, word) in [(&mut self.maker, &fields.maker), (&mut self.note, &fields.note)] {
            if let Some(word) = word {
                slot.clone_from(word);
            }
        }
        origin.number(&mut self.parameters, "parameters", fields.parameters, |count| count as u64)?;
        origin.number(
            &mut self.active_parameters,
            "active_parameters",
            fields.active_parameters,
            |count| count as u64,
        )?;
        let denoiser = fields.denoiser_parameters;
        origin
            .number(&mut self.denoiser_parameters, "denoiser_parameters", denoiser, |count| count as u64)?;
        for (slot, key, value) in [
            (&mut self.step_tflop, "step_tflop", fields.step_tflop),
            (&mut self.step_attention_tflop, "step_attention_tflop", fields.step_attention_tflop),
            (&mut self.decode_tflop, "decode_tflop", fields.decode_tflop),
        ] {
            origin.number(slot, key, value, |tflop| tflop)?;
        }
        origin.set(&mut self.text_pixels, "text_pixels", fields.text_pixels);
        for (slot, key, value) in [
            (&mut self.image_side, "image_side", fields.image_side),
            (&mut self.step_passes, "step_passes", fields.step_passes),
            (&mut self.layers, "layers", fields.layers),
            (&mut self.hidden, "hidden", fields.hidden),
            (&mut self.heads, "heads", fields.heads),
            (&mut self.kv_heads, "kv_heads", fields.kv_heads),
            (&mut self.head_size, "head_size", fields.head_size),
            (&mut self.kv_lora_rank, "kv_lora_rank", fields.kv_lora_rank),
            (&mut self.q_lora_rank, "q_lora_rank", fields.q_lora_rank),
            (&mut self.qk_nope_head_size, "qk_nope_head_size", fields.qk_nope_head_size),
            (&mut self.qk_rope_head_size, "qk_rope_head_size", fields.qk_rope_head_size),
            (&mut self.v_head_size, "v_head_size", fields.v_head_size),
            (&mut self.window, "window", fields.window),
            (&mut self.ffn, "ffn", fields.ffn),
            (&mut self.experts, "experts", fields.experts),
            (&mut self.experts_active, "experts_active", fields.experts_active),
            (&mut self.expert_ffn, "expert_ffn", fields.expert_ffn),
            (&mut self.experts_every, "experts_every", fields.experts_every),
            (&mut self.vocabulary, "vocabulary", fields.vocabulary),
            (&mut self.context, "context", fields.context),
        ] {
            origin.count(slot, key, value)?;
        }
        origin.set(&mut self.global_every, "global_every", fields.global_every);
        origin.set(&mut self.experts_shared, "experts_shared", fields.experts_shared);
        origin.set(&mut self.dense_layers, "dense_layers", fields.dense_layers);
        origin.set(&mut self.gated, "gated", fields.gated);
        origin.set(&mut self.tied_embeddings, "tied_embeddings", fields.tied_embeddings);
        origin.set(&mut self.positional, "positional", fields.positional);
        for (key, whole, part) in [
            ("kv_heads", &self.heads, &self.kv_heads),
            ("experts_active", &self.experts, &self.experts_active),
            ("dense_layers", &self.layers, &self.dense_layers),
        ] {
            if let (Some(whole), Some(part)) = (whole, part)
                && part.value > whole.value
            {
                return Err(origin.bad(key, format!("is {}; it must be at most {}", part.value, whole.value)));
            }
        }
        Ok(())
    }
}
