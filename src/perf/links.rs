//! What the work of a replica or of a training job puts on the links that it crosses: bytes, not time.
//!
//! Bytes are those that leave over one link, in one direction, when collectives run as rings or direct exchanges
//! ("bus bytes" of NCCL's tests, nccl-tests/doc/PERFORMANCE.md): of a buffer of S over n cards an all-reduce sends
//! 2(n−1)/n·S, an all-gather or all-to-all (n−1)/n·S. Where a switch adds up, fewer bytes cross it.

use super::card::NodeSpec;
use super::format::stored_bits;
use super::plan::Replica;
use super::training::{TrainingJob, TrainingStep};
use crate::units::{Bytes, BytesPerSecond};

/// Which links of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkKind {
    /// Those of a card to the other cards of its node.
    Cards,
    /// The node's network to other nodes.
    Network,
    /// A card's link to the host's memory.
    Host,
}

/// The work to which bytes belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// A million tokens of a replica's iterations, prompt and output alike.
    MillionTokens,
    /// An iteration of a replica.
    Iteration,
    /// A step of a training job.
    Step,
}

/// What a piece of work sends over one link of a kind.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkLoad {
    /// Which links.
    pub kind: LinkKind,
    /// What they are, in words: `switch`, `PCIe tree`, `network`.
    pub name: &'static str,
    /// How many of them one replica or job uses.
    pub links: u32,
    /// What one carries in one direction.
    pub capacity: BytesPerSecond,
    /// What is sent over one of them.
    pub bytes: Bytes,
    /// For how much work.
    pub per: Per,
}

/// The loads of a node's links while they are added up, in bytes.
struct Loads<'a> {
    node: &'a NodeSpec,
    cards: u32,
    of_card: f64,
    of_node: f64,
    per: Per,
}

impl LinkLoad {
    /// Bytes sent over one link by so many tokens in so many iterations of a replica.
    pub fn of_replica(&self, tokens: u64, iterations: u64) -> Bytes {
        let (work, unit) = match self.per {
            Per::MillionTokens => (tokens, 1_000_000),
            Per::Iteration | Per::Step => (iterations, 1),
        };
        let bytes = u128::from(self.bytes.0) * u128::from(work) / unit;
        Bytes(u64::try_from(bytes).unwrap_or(u64::MAX))
    }
}

impl<'a> Loads<'a> {
    fn new(node: &'a NodeSpec, cards: u32, per: Per) -> Self {
        Self { node, cards, of_card: 0.0, of_node: 0.0, per }
    }

    /// An all-reduce of `bytes` over `group` cards that are next to each other.
    fn all_reduce(&mut self, group: u32, bytes: f64) {
        self.ring(group, 1, 2.0 * bytes);
    }

    /// (n−1)/n of `bytes` round a ring of `group` cards that are `stride` apart: over the cards' links inside of a
    /// node, over the network from node to node. Groups beside each other share the node's network.
    fn ring(&mut self, group: u32, stride: u32, bytes: f64) {
        if group < 2 {
            return;
        }
        let sent = bytes * f64::from(group - 1) / f64::from(group);
        let in_node = (self.node.cards / stride.max(1)).clamp(1, group);
        if in_node > 1 {
            self.of_card += sent;
        }
        if group > in_node {
            self.of_node += sent * f64::from(stride.clamp(1, self.node.cards));
        }
    }

    /// Each of `group` neighbouring cards sends `bytes` in equal parts to all of them.
    fn all_to_all(&mut self, group: u32, bytes: f64) {
        if group < 2 {
            return;
        }
        let in_node = group.min(self.node.cards);
        let part = bytes / f64::from(group);
        self.of_card += part * f64::from(in_node - 1);
        self.of_node += part * f64::from(group - in_node) * f64::from(in_node);
    }

    fn finish(self) -> Vec<LinkLoad> {
        let card = &self.node.card;
        let mut loads = Vec::new();
        let mut add = |kind, name, links, capacity: BytesPerSecond, bytes: f64| {
            if bytes >= 0.5 && capacity.as_f64() > 0.0 {
                let bytes = Bytes(bytes.round() as u64);
                loads.push(LinkLoad { kind, name, links, capacity, bytes, per: self.per });
            }
        };
        let between = card.card_link.unwrap_or(card.pcie);
        add(LinkKind::Cards, card.interconnect.name(), self.cards, between, self.of_card);
        if let Some(network) = self.node.scale_out {
            let nodes = self.cards.div_ceil(self.node.cards.max(1));
            add(LinkKind::Network, "network", nodes, network, self.of_node);
        }
        loads
    }
}

/// What the iterations of a replica send: activations within stages and between them, tokens to their experts, and
/// weights that stay in host memory. Counts follow the step model ([`super::Roofline`]): two all-reduces of 16-bit
/// activations a layer and one for the embeddings.
pub fn serving_loads(replica: &Replica<'_>) -> Vec<LinkLoad> {
    let Replica { model, node, plan, .. } = *replica;
    let cards = plan.cards();
    let tokens = 1e6;
    let hidden = 2.0 * f64::from(model.hidden);
    let layers = f64::from(model.layers);
    let expert_layers = model.experts.map_or(0.0, |experts| f64::from(experts.layers));
    let exchanged = if plan.dp > 1 { expert_layers } else { 0.0 };
    // One card sees the tokens of its rank and the layers of its stage.
    let of_card = tokens / f64::from(plan.dp) / f64::from(plan.pp);
    let mut loads = Loads::new(node, cards, Per::MillionTokens);
    loads.all_reduce(plan.tp, (2.0 * layers + 1.0 - exchanged) * of_card * hidden);
    if let Some(experts) = model.experts.filter(|_| plan.dp > 1) {
        // A token goes to each group that has one of its experts, and comes back.
        let groups = f64::from(plan.ep.max(plan.dp));
        let missed = libm::pow(1.0 - 1.0 / groups, f64::from(experts.per_token));
        let copies = groups * (1.0 - missed);
        let bytes = 2.0 * exchanged * of_card * hidden * copies / f64::from(plan.tp);
        loads.all_to_all(plan.stage_cards(), bytes);
    }
    if plan.pp > 1 {
        // Each stage hands each token on, its cards a part each; by the network where the next lies elsewhere.
        let stage = plan.stage_cards();
        if cards > node.cards {
            loads.of_node += tokens * hidden;
        } else {
            loads.of_card += tokens * hidden / f64::from(stage);
        }
    }
    let mut all = loads.finish();
    if replica.weights_as.streamed > 0.0 {
        let stored = stored_bits(replica.weights, replica.weights_as.sparse) / 8.0;
        let weights = (model.dense_parameters() + model.expert_parameters()) as f64 * stored;
        all.push(LinkLoad {
            kind: LinkKind::Host,
            name: "PCIe",
            links: cards,
            capacity: node.card.pcie,
            bytes: Bytes((weights * replica.weights_as.streamed / f64::from(cards)).round() as u64),
            per: Per::Iteration,
        });
    }
    all
}

/// What a step of a training job sends: activations of tensor parallelism, tokens to their experts, stages' hand-over
/// and the gradients (and, where they are cut, the weights) of the data-parallel ranks. Counts as in
/// [`super::training_throughput`].
pub fn training_loads(job: &TrainingJob<'_>, step: &TrainingStep) -> Vec<LinkLoad> {
    let (model, node, layout) = (job.model, job.node, job.layout);
    let tp = step.plan.tp;
    let rank_tokens = step.batch_tokens as f64 / f64::from(step.ranks.max(1));
    let activations = rank_tokens * f64::from(model.hidden) * 2.0 / f64::from(layout.cp);
    let layers = f64::from(model.layers) / f64::from(layout.pp);
    let mut loads = Loads::new(node, job.cards, Per::Step);
    loads.all_reduce(tp, if step.recompute { 6.0 } else { 4.0 } * layers * activations);
    if let Some(experts) = model.experts.filter(|_| layout.ep > 1) {
        let layers = f64::from(experts.layers) / f64::from(layout.pp);
        let width = if layout.ep.saturating_mul(tp) <= job.cards { tp } else { 1 };
        let sent = activations / f64::from(tp) * f64::from(experts.per_token);
        loads.ring(layout.ep, width, 4.0 * layers * sent);
    }
    if layout.pp > 1 {
        // Forward to the next stage and back to the one before, from each part of a stage.
        let sent = 2.0 * activations * f64::from(layout.interleave);
        if job.cards > node.cards {
            loads.of_node += sent * f64::from((node.cards / tp).max(1));
        } else {
            loads.of_card += sent / f64::from(tp);
        }
    }
    let experts = model.expert_parameters() as f64;
    let rest = model.parameters as f64 - experts;
    let stage = f64::from(tp) * f64::from(layout.pp);
    let of_rank = 2.0 * (rest / stage + experts / (stage * f64::from(layout.ep)).max(1.0));
    let micro_batches = (rank_tokens / (step.micro_batch_tokens.max(1) as f64)).ceil().max(1.0);
    let gradients = match (job.adapters_only, step.sharded) {
        (true, false) => 0.0,
        (_, false) => 2.0 * of_rank,
        // Gathered forward and backward, scattered once.
        (_, true) => 3.0 * of_rank * micro_batches,
    };
    loads.ring(step.ranks * layout.cp, tp, gradients);
    loads.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, Precision};
    use crate::perf::{CardSpec, ModelDims, ParallelismPlan, training_throughput};

    fn model() -> ModelDims {
        ModelDims::try_from(Catalog::embedded().model("llama-3.1-70b").expect("known")).expect("whole")
    }

    fn node(cards: u32) -> NodeSpec {
        let card = Catalog::embedded();
        let card = CardSpec::try_from(card.accelerator("H100-SXM5").expect("known")).expect("whole");
        let network = Some(BytesPerSecond::from_gb_s(400.0));
        NodeSpec { name: "node".to_owned(), card, cards, scale_out: network }
    }

    /// Llama 3.1 70B has 80 layers of 8,192: 161 all-reduces of 16 KiB a token, of which 7/4 cross a card's link.
    #[test]
    fn tensor_parallelism_by_hand() {
        let (model, node) = (model(), node(8));
        let mut replica = Replica::new(&model, &node, Precision::Bf16);
        replica.plan = ParallelismPlan::tensor(8);
        let loads = serving_loads(&replica);
        assert_eq!(loads.len(), 1);
        let by_hand = 161u64 * 16_384 * 7 / 4 * 1_000_000;
        assert_eq!((loads[0].kind, loads[0].links, loads[0].bytes), (LinkKind::Cards, 8, Bytes(by_hand)));
        assert_eq!(loads[0].of_replica(500_000, 77), Bytes(by_hand / 2));
        replica.plan = ParallelismPlan::tensor(1);
        assert!(serving_loads(&replica).is_empty());
    }

    /// Two stages on two nodes hand each token over once; half of the layers is on each.
    #[test]
    fn stages_by_hand() {
        let (model, node) = (model(), node(8));
        let mut replica = Replica::new(&model, &node, Precision::Bf16);
        replica.plan = ParallelismPlan { pp: 2, ..ParallelismPlan::tensor(8) };
        let loads = serving_loads(&replica);
        let bytes: Vec<(LinkKind, u32, u64)> =
            loads.iter().map(|load| (load.kind, load.links, load.bytes.0)).collect();
        let cards = 161 * 16_384 * 7 / 4 / 2 * 1_000_000;
        assert_eq!(bytes, [(LinkKind::Cards, 16, cards), (LinkKind::Network, 2, 16_384_000_000)]);
    }

    /// Weights in host memory cross each card's PCIe link once an iteration.
    #[test]
    fn streamed_weights() {
        let (model, node) = (model(), node(8));
        let mut replica = Replica::new(&model, &node, Precision::Bf16);
        replica.plan = ParallelismPlan::tensor(4);
        replica.weights_as.streamed = 0.5;
        let host = serving_loads(&replica).pop().expect("a load");
        assert_eq!((host.kind, host.per), (LinkKind::Host, Per::Iteration));
        let weights = (model.dense_parameters() + model.expert_parameters()) * 2;
        assert!(host.bytes.0.abs_diff(weights / 8) <= 1, "{host:?}");
        assert_eq!(host.of_replica(1_000_000, 3), Bytes(host.bytes.0 * 3));
    }

    /// Four nodes: gradients of 1/8 of the parameters in 16 bits, by 8 groups of 4 cards, over each node's network.
    #[test]
    fn gradients_by_hand() {
        let (model, node) = (model(), node(8));
        let mut job = TrainingJob::new(&model, &node, 32);
        job.tp = Some(8);
        let step = training_throughput(&job).expect("it fits");
        let loads = training_loads(&job, &step);
        let network = loads.iter().find(|load| load.kind == LinkKind::Network).expect("several nodes");
        let micro =
            (step.batch_tokens as f64 / f64::from(step.ranks) / step.micro_batch_tokens as f64).ceil();
        let times = if step.sharded { 3.0 * micro } else { 2.0 };
        let by_hand = times * 2.0 * model.parameters as f64 / 8.0 * 0.75 * 8.0;
        assert!((network.bytes.0 as f64 / by_hand - 1.0).abs() < 1e-9, "{network:?} {by_hand}");
        assert_eq!(network.links, 4);
    }
}
