//! The constants that are fitted on measurements, as one value that can be varied.

/// One fitted constant: how it is called, what it may be, what it means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Constant {
    /// Its name, which ends in its unit where it has one.
    pub name: &'static str,
    /// What published measurements gave.
    pub value: f64,
    /// The least that physics allows.
    pub low: f64,
    /// The most.
    pub high: f64,
    /// What is taken before any whole system was looked at: kernels timed alone where there are such timings, else a
    /// round figure; 1 for factors of a family or an engine. Fits begin here, and are drawn to it.
    pub neutral: f64,
    /// Which measurements set it.
    pub block: Block,
    /// What it means, where it comes from.
    pub about: &'static str,
}

/// Constants that are fitted together, each on measurements of its own kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Block {
    /// Collectives timed alone.
    Collectives,
    /// Training steps.
    Training,
    /// Serving engines.
    Serving,
}

macro_rules! fitted {
    ($( $block:ident { $(
        $(#[doc = $about:literal])+
        $name:ident: $value:literal in $low:literal to $high:literal from $neutral:literal;
    )* } )*) => {
        /// Every fitted constant of the performance model. Shares have no unit, times are in microseconds,
        /// as the names say.
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct Constants {
            $( $( $(#[doc = $about])+ pub $name: f64, )* )*
        }

        impl Constants {
            /// What published measurements gave.
            pub const PUBLISHED: Self = Self { $( $( $name: $value, )* )* };

            /// What is taken before any whole system was looked at: [`Constant::neutral`].
            pub const NEUTRAL: Self = Self { $( $( $name: $neutral, )* )* };

            /// All of them, in order.
            pub const ALL: &'static [Constant] = &[
                $( $( Constant {
                    name: stringify!($name),
                    value: $value,
                    low: $low,
                    high: $high,
                    neutral: $neutral,
                    block: Block::$block,
                    about: concat!($($about),+),
                }, )* )*
            ];

            /// The one of this name.
            pub fn get(&self, name: &str) -> Option<f64> {
                match name {
                    $( $( stringify!($name) => Some(self.$name), )* )*
                    _ => None,
                }
            }

            /// Sets the one of this name, within its range.
            ///
            /// # Errors
            /// In words: no constant of this name, with the nearest; or a value out of its range.
            pub fn set_checked(&mut self, name: &str, value: f64) -> Result<(), String> {
                let Some(known) = Self::ALL.iter().find(|known| known.name == name) else {
                    let near = |known: &&Constant| strsim::jaro_winkler(known.name, name);
                    let nearest = Self::ALL.iter().max_by(|a, b| near(a).total_cmp(&near(b)));
                    let nearest = nearest.map_or("", |known| known.name);
                    return Err(format!("there is no constant `{name}`; nearest: {nearest}"));
                };
                if !(known.low..=known.high).contains(&value) {
                    return Err(format!("`{name}` is {value}; it must be from {} to {}", known.low, known.high));
                }
                self.set(name, value);
                Ok(())
            }

            /// Sets the one of this name; `false` when there is none.
            pub fn set(&mut self, name: &str, value: f64) -> bool {
                match name {
                    $( $( stringify!($name) => self.$name = value, )* )*
                    _ => return false,
                }
                true
            }
        }
    };
}

fitted! {
    Serving {
        /// How many times as long all kernels take as the other constants say: 1, but for a user's own correction.
        kernels: 1.0 in 0.5 to 2.0 from 1.0;
        /// Share of the dense peak that large matrix products of linear layers reach in 16 bits.
        linear_compute_16: 0.95 in 0.5 to 0.95 from 0.85;
        /// The same of the 8-bit peak.
        linear_compute_8: 0.69 in 0.4 to 0.95 from 0.7;
        /// The same of the 4-bit peak.
        linear_compute_4: 0.578 in 0.25 to 0.9 from 0.6;
        /// Share of the memory bandwidth that reading weights reaches, launches not counted.
        weight_bandwidth: 0.95 in 0.6 to 0.95 from 0.85;
        /// How much of the shorter of reading and computing does not hide where both take as long.
        unhidden: 0.621 in 0.0 to 0.8 from 0.5;
        /// What grouped products of experts reach of what linear layers reach.
        expert_compute: 0.419 in 0.15 to 1.0 from 0.4;
        /// Share of the memory bandwidth that reading experts reaches.
        expert_bandwidth: 0.902 in 0.4 to 0.95 from 0.8;
        /// The fullest card's load over the mean, where cards hold experts of their own.
        expert_imbalance: 1.0 in 1.0 to 2.0 from 1.0;
        /// Share of the dense 16-bit peak that attention over an endless prompt reaches, causal pairs counted.
        attention_compute: 0.64 in 0.3 to 0.8 from 0.62;
        /// Tokens of a prompt at which attention reaches half of that.
        attention_half_tokens: 428.0 in 1.0 to 2000.0 from 700.0;
        /// Share of the memory bandwidth that reading the KV cache reaches.
        kv_bandwidth: 0.922 in 0.5 to 0.95 from 0.85;
        /// What an iteration takes beside its kernels: scheduling, input tensors, sampling, answers.
        iteration_us: 1000.0 in 0.0 to 20000.0 from 1000.0;
        /// What each request in the batch adds to that.
        request_us: 1.12 in 0.0 to 60.0 from 5.0;
        /// What each request adds to the iterations that process its prompt: tokens, blocks, first answers.
        prompt_us: 0.0 in 0.0 to 5000.0 from 0.0;
        /// Iterations by which an answer is late: engines that schedule ahead of the cards (vLLM's asynchronous
        /// scheduling, SGLang's and TensorRT-LLM's overlap scheduler) admit a request one iteration later.
        late_iterations: 1.0 in 0.0 to 3.0 from 1.0;
        /// What a client waits for beside the engine: HTTP, tokens to text and back.
        front_us: 8040.0 in 0.0 to 100000.0 from 5000.0;
        /// What each layer takes beside its matrix products and attention's bytes: launches and tails of kernels.
        layer_us: 34.0 in 5.0 to 80.0 from 30.0;
        /// What routing, permuting and adding up take in a layer with experts, beside that.
        expert_layer_us: 14.0 in 5.0 to 150.0 from 30.0;
        /// What a layer with latent attention takes beside that: projections down and up, with a norm between them,
        /// are kernels of their own.
        latent_layer_us: 13.2 in 0.0 to 60.0 from 0.0;
        /// What each layer takes beside that in iterations with prompts, which run without a graph of the model.
        prefill_layer_us: 0.0 in 0.0 to 300.0 from 0.0;
        /// The same in a layer with experts.
        prefill_expert_layer_us: 122.0 in 0.0 to 900.0 from 50.0;
        /// What handing a request's KV cache from the cards that prefill to those that decode takes beside the bytes.
        hand_over_us: 114000.0 in 0.0 to 500000.0 from 30000.0;
        /// What a layer of an iteration with prompts takes at least: the host launches its kernels one by one, ahead of
        /// the card as long as these last longer.
        eager_layer_us: 76.0 in 0.0 to 500.0 from 75.0;
        /// The same beside that in a layer with experts.
        eager_expert_layer_us: 218.0 in 0.0 to 1000.0 from 100.0;
        /// The same beside that in a layer with latent attention: projections down and up are kernels of their own.
        eager_latent_layer_us: 0.0 in 0.0 to 3000.0 from 100.0;
        /// Vectors as wide as the residual stream, 16 bits a value, moved for each token and expert that it goes to, on
        /// every card that has a part of that expert: gathering tokens by expert, narrowing them, and adding up.
        elementwise_expert: 0.0 in 0.0 to 40.0 from 6.0;
        /// Vectors as wide as the residual stream, 16 bits a value, moved for each token and layer on every card.
        elementwise_repeated: 11.7 in 3.0 to 20.0 from 10.0;
        /// The same, split over the tensor-parallel cards.
        elementwise_split: 19.9 in 5.0 to 30.0 from 15.0;
        /// What a collective of a serving engine takes before its first byte, inside a graph.
        engine_collective_us: 8.296 in 3.0 to 30.0 from 5.0;
        /// What Ada's cards reach of the share of the peak that the constants say.
        ada_compute: 1.084 in 0.5 to 1.2 from 1.0;
        /// The same of Hopper's.
        hopper_compute: 0.916 in 0.5 to 1.2 from 1.0;
        /// The same of Blackwell's in 16 bits.
        blackwell_compute: 0.688 in 0.4 to 1.2 from 1.0;
        /// The same of Blackwell's in 8 and 4 bits.
        blackwell_narrow_compute: 0.923 in 0.3 to 1.2 from 1.0;
        /// The same of AMD's.
        amd_compute: 0.565 in 0.2 to 1.2 from 1.0;
        /// What AMD's cards reach of the share of the bandwidth that the constants say.
        amd_bandwidth: 0.771 in 0.4 to 1.1 from 1.0;
        /// The same of Blackwell's.
        blackwell_bandwidth: 0.944 in 0.5 to 1.1 from 1.0;
        /// What Blackwell's links reach in serving engines of the share that the constants say.
        blackwell_links: 1.0 in 0.3 to 1.2 from 1.0;
        /// How much longer launches and small kernels take on AMD's cards.
        amd_launches: 1.753 in 0.5 to 4.0 from 1.0;
        /// The same on Blackwell's.
        blackwell_launches: 1.1 in 0.4 to 2.5 from 1.0;
        /// The same in TensorRT-LLM, over vLLM.
        tensorrt_launches: 0.736 in 0.3 to 2.5 from 1.0;
        /// The same in SGLang.
        sglang_launches: 1.178 in 0.3 to 2.5 from 1.0;
        /// An iteration's overhead in TensorRT-LLM, over vLLM's.
        tensorrt_iteration: 1.588 in 0.1 to 5.0 from 1.0;
        /// The same in SGLang.
        sglang_iteration: 1.77 in 0.1 to 10.0 from 1.0;
        /// How long the first requests to SGLang wait for kernels that are compiled when they are first used.
        sglang_cold_us: 790000.0 in 0.0 to 5000000.0 from 0.0;
        /// How many times as long prompts take in SGLang, over vLLM.
        sglang_prompts: 1.1 in 0.5 to 4.0 from 1.0;
        /// The same in TensorRT-LLM.
        tensorrt_prompts: 1.0 in 0.5 to 4.0 from 1.0;
    }
    Collectives {
        /// Share of its links' bandwidth that a ring behind a crossbar reaches with endless messages: NCCL's bus
        /// bandwidth is 367 of 450 GB/s on H100 (NCCL issue 1455).
        switched_bandwidth: 0.8 in 0.5 to 0.98 from 0.8;
        /// The same over direct links and PCIe: 135.5 of 150 GB/s on 8 V100, 23.7 of 31 on 4 A100 over PCIe, 196 of 300
        /// between two A100 with a bridge (Vidur's profile).
        mesh_bandwidth: 0.87 in 0.4 to 0.98 from 0.85;
        /// Share of a path's bandwidth that one card's send to another reaches: 346 of 450 GB/s on H100, 267 of 300 on
        /// A100 (Vidur's profiles).
        send_bandwidth: 0.92 in 0.5 to 0.98 from 0.85;
        /// Share of a node's network that collectives reach: 78 of 94 GB/s of bus bandwidth over two p4de nodes.
        network_bandwidth: 0.85 in 0.4 to 0.98 from 0.8;
        /// Share of a card's links' bandwidth that sums in the switch (NVLS) reach, counting (n+1)/n buffers a card:
        /// NCCL issue 1455 has 370, 420, 440, 460 and 480 GB/s of bus bandwidth with 4 to 8 H100.
        switch_reduction: 0.72 in 0.4 to 0.95 from 0.7;
        /// What a collective of NCCL takes before its first step: 30 to 40 µs on 8 H100 and A100 (Vidur's profiles, in
        /// which launches of 7 to 60 µs alternate without a pattern in size).
        collective_us: 22.0 in 5.0 to 60.0 from 30.0;
        /// The same for one send: 5 to 9 µs on H100, 8 to 17 on A100 (Vidur's profiles).
        send_us: 7.9 in 2.0 to 30.0 from 8.0;
        /// Latency that filling a ring's pipeline adds under the root: 11 to 16 µs on A100 (2 to 8 cards, 2 to 57 MB).
        pipeline_us: 12.5 in 0.5 to 40.0 from 10.0;
        /// The same from Hopper on: 2 and 4 H100, 2 to 57 MB.
        pipeline_hopper_us: 0.5 in 0.2 to 20.0 from 5.0;
        /// Buffers a second that a tree passes through a node's cards, as a share of the bandwidth of its rings: two
        /// nodes of 8 A100 with 1,600 Gbit/s reach 91 GB/s of 246 (user's notes on OCI), where the network would give
        /// 166.
        tree_share: 0.42 in 0.2 to 1.0 from 0.5;
        /// The same for sums in the switch: 8 H100, 2 to 57 MB.
        switch_pipeline_us: 12.0 in 0.3 to 20.0 from 5.0;
        /// The same between nodes: two p4de nodes and two DGX A100 with InfiniBand, 1 MB to 1 GB.
        network_pipeline_us: 50.0 in 2.0 to 150.0 from 20.0;
    }
    Training {
        /// Share of the dense peak that the matrix products of forward and backward passes reach. Fitted (A100).
        training_linear_16: 0.738 in 0.4 to 0.95 from 0.75;
        /// The same of the 8-bit peak. Fitted (H100 and GB200, Megatron-Bridge).
        training_linear_8: 0.808 in 0.3 to 0.95 from 0.6;
        /// Share of the dense peak in 16 bits that attention reaches over forward and backward passes, counting the
        /// causal half of the pairs only. Fitted.
        training_attention: 0.332 in 0.1 to 0.7 from 0.35;
        /// Vectors as wide as the residual stream, 16 bits a value, that everything but matrix products and attention
        /// moves for each token and layer, forward and backward. Fitted.
        training_elementwise: 169.0 in 30.0 to 250.0 from 100.0;
        /// Share of the computing time behind which data-parallel traffic can hide. The fit asks for all of it.
        training_overlap: 1.0 in 0.3 to 1.0 from 1.0;
        /// Share of data-parallel traffic that never hides: the first gather and the last gradients. An assumption.
        training_exposed: 0.081 in 0.0 to 0.5 from 0.1;
        /// Share of tensor-parallel traffic that does not hide behind computing. Fitted.
        training_tensor_exposed: 0.617 in 0.0 to 1.0 from 0.7;
        /// The same of experts' all-to-alls. The fit asks for all of it.
        training_expert_exposed: 1.0 in 0.0 to 1.0 from 1.0;
        /// What grouped products of experts reach of what other matrix products reach while training. Fitted.
        training_expert: 0.239 in 0.15 to 1.0 from 0.4;
        /// The same of the 4-bit peak. Fitted (GB200).
        training_linear_4: 0.334 in 0.2 to 0.8 from 0.4;
        /// What Hopper reaches in training of the share that the global constants say. Fitted.
        training_hopper: 0.781 in 0.5 to 1.3 from 1.0;
        /// The same for Blackwell. Fitted on GB200 only; B200 comes out up to 40 % too fast.
        training_blackwell: 0.98 in 0.4 to 1.4 from 1.0;
    }
}

impl Default for Constants {
    fn default() -> Self {
        Self::PUBLISHED
    }
}
