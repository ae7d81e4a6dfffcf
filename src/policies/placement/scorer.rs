//! The score of a node for a claim, where cards are shared, CPUs and host memory count, or the rule scores
//! nodes.

use std::collections::BTreeMap;

use super::fgd::Workload;
use super::node_free::{Largest, NodeFree, Want};
use super::{PlacementKind, dot_product, gpu_clustering, gpu_packing, tight};

/// Scores nodes by one rule.
#[derive(Debug, Clone)]
pub struct Scorer {
    /// The rule.
    pub kind: PlacementKind,
    /// What scores measure by.
    pub largest: Largest,
    /// What `fgd` takes for the typical workload.
    pub workload: Workload,
    /// Numbers of the kinds of claims that have been made, and the last of them.
    numbers: BTreeMap<Want, usize>,
    last: Option<(Want, usize)>,
}

impl Scorer {
    /// A scorer by this rule.
    pub fn new(kind: PlacementKind, largest: Largest, workload: Workload) -> Self {
        Self { kind, largest, workload, numbers: BTreeMap::new(), last: None }
    }

    /// The number of a kind of claim.
    pub fn number(&mut self, want: &Want) -> usize {
        if let Some((last, number)) = &self.last
            && last == want
        {
            return *number;
        }
        let next = self.numbers.len();
        let number = *self.numbers.entry(*want).or_insert(next);
        self.last = Some((*want, number));
        number
    }

    /// Whether the number of the node decides, and not what is free on it.
    pub fn by_number(&self) -> bool {
        self.kind == PlacementKind::FirstFit
    }

    /// Whether chance decides.
    pub fn is_random(&self) -> bool {
        self.kind == PlacementKind::Random
    }

    /// Whether the kinds of holders on a node matter.
    pub fn by_kind(&self) -> bool {
        self.kind == PlacementKind::GpuClustering
    }

    /// The score of a node on which the claim fits: the highest wins, ties by pool, then by number.
    /// `fragments` keeps what the rule knows of such nodes from one claim to the next.
    pub fn score(&self, free: &NodeFree, fragments: &mut Option<f64>, want: &Want, node: u32) -> i64 {
        match self.kind {
            PlacementKind::FirstFit => -i64::from(node),
            PlacementKind::Random => 0,
            PlacementKind::BestFit
            | PlacementKind::Pack
            | PlacementKind::Consolidate
            | PlacementKind::Topology
            | PlacementKind::Cheapest
            | PlacementKind::Fastest => tight::best(free, want, &self.largest),
            PlacementKind::WorstFit | PlacementKind::Spread => tight::worst(free, want, &self.largest),
            PlacementKind::DotProduct => dot_product::score(free, want, &self.largest),
            PlacementKind::GpuClustering => gpu_clustering::score(free, want, &self.largest),
            PlacementKind::GpuPacking => gpu_packing::score(free, want),
            PlacementKind::Fgd => {
                let before = *fragments.get_or_insert_with(|| self.workload.fragments(free));
                self.workload.score(free, before, want).0
            }
        }
    }

    /// How much is free on the card that a claim sharing one gets on a node, where the rule says so.
    pub fn card(&self, free: &NodeFree, want: &Want) -> Option<u16> {
        let fragments = || self.workload.fragments(free);
        (self.kind == PlacementKind::Fgd).then(|| self.workload.score(free, fragments(), want).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(milli: &[u16], cpu_milli: u32, kinds: &[u16]) -> NodeFree {
        NodeFree { milli: milli.to_vec(), cpu_milli, memory_mib: u32::MAX, kinds: kinds.to_vec() }
    }

    fn want(cards: u32, card_milli: u16, cpu_milli: u32) -> Want {
        Want { cards, card_milli, cpu_milli, memory_mib: 0 }
    }

    /// Which of the nodes a rule takes.
    fn choice(kind: PlacementKind, nodes: &[NodeFree], workload: &[Want], want: &Want) -> usize {
        let largest = Largest { cpu_milli: 64_000, card_milli: 4000 };
        let scorer = Scorer::new(kind, largest, Workload::of(workload.iter().copied()));
        let score = |(place, free): (usize, &NodeFree)| {
            let score = scorer.score(free, &mut None, want, place as u32);
            free.fits(want).then_some((score, std::cmp::Reverse(place)))
        };
        nodes.iter().enumerate().filter_map(score).max().expect("one fits").1.0
    }

    /// A claim of a whole card and 8 CPUs. Node 0 has little of both; node 1 many CPUs and one card; node 2
    /// few CPUs and four cards, and is empty; node 3 has cards of which something is taken.
    #[test]
    fn each_rule_decides_its_own_way() {
        use PlacementKind::*;
        let nodes = [
            node(&[0, 0, 1000, 1000], 12_000, &[2]),
            node(&[0, 0, 0, 1000], 60_000, &[1, 2]),
            node(&[1000, 1000, 1000, 1000], 8000, &[]),
            node(&[0, 400, 400, 1000], 30_000, &[0, 1]),
        ];
        let part = [want(1, 400, 1000), want(1, 400, 2000)];
        let whole = want(1, 1000, 8000);
        let of = |kind| choice(kind, &nodes, &part, &whole);
        assert_eq!(of(FirstFit), 0);
        // Left over: 4 CPUs and a card; 52 and none; none and three cards; 22 and 0.8.
        assert_eq!(of(BestFit), 0);
        assert_eq!(of(WorstFit), 1);
        // 12 CPUs and two cards, 60 and one, 8 and four, 30 and 1.8, weighed by 8 CPUs and one card.
        assert_eq!(of(DotProduct), 0);
        // Nodes 1 and 3 have a claim of one card; of these node 1 is the fuller.
        assert_eq!(of(GpuClustering), 1);
        // Empty nodes last; all others must open one card: the first.
        assert_eq!(of(GpuPacking), 0);
        // What is free on the cards of node 1 could all be used, and what is left can be used on the others
        // as well: node 2 is left without CPUs, so all its cards would be fragments.
        assert_eq!(of(Fgd), 0);
    }

    /// A fifth of a card, where everybody else wants half of one. Best fit fills the node that has least
    /// left; packing takes the card in use, however much it leaves of no use; FGD the card of which less
    /// than half is free anyway; dot product the node with least free, although no card there is of use to
    /// anybody else.
    #[test]
    fn where_neighbours_part() {
        use PlacementKind::*;
        let others = [want(1, 500, 0)];
        let fifth = want(1, 200, 0);
        let nodes = [
            node(&[0, 0, 0, 500], u32::MAX, &[2]),
            node(&[0, 0, 300, 500], u32::MAX, &[0]),
            node(&[0, 0, 0, 1000], u32::MAX, &[1]),
        ];
        let of = |kind| choice(kind, &nodes, &others, &fifth);
        assert_eq!((of(BestFit), of(Fgd), of(GpuClustering)), (0, 1, 1));
        // Half a card is left of node 0 and 0.3 of the used card of node 1: packing scores the fuller card.
        assert_eq!(of(GpuPacking), 1);
        assert_eq!(of(WorstFit), 2);
        // Two cards: packing opens as few free cards as it can, clustering goes to its like, dot product to
        // the least.
        let nodes = [
            node(&[0, 1000, 1000, 1000], 64_000, &[1]),
            node(&[0, 0, 1000, 1000], 64_000, &[0]),
            node(&[1000, 1000, 1000, 1000], 9000, &[]),
            node(&[0, 1000, 1000, 1000], 64_000, &[2]),
        ];
        let of = |kind, cpus| choice(kind, &nodes, &others, &want(2, 1000, cpus));
        assert_eq!((of(GpuPacking, 8000), of(GpuClustering, 8000)), (0, 3));
        // Many CPUs are wanted: the dot product weighs those, best fit does not care what is wanted.
        assert_eq!((of(DotProduct, 9000), of(BestFit, 9000)), (1, 2));
    }

    /// Card by card: half of a card goes where exactly half is free, not where the least that is enough
    /// would leave a fragment.
    #[test]
    fn fgd_chooses_the_card_too() {
        let largest = Largest { cpu_milli: 0, card_milli: 4000 };
        let workload = Workload::of([want(1, 500, 0), want(1, 1000, 0)]);
        let scorer = Scorer::new(PlacementKind::Fgd, largest, workload);
        let free = node(&[0, 450, 700, 1000], u32::MAX, &[]);
        // 0.4 of the card with 0.45 leaves 0.05 and spoils nothing; of 0.7 it would leave 0.3 of no use to
        // anybody.
        assert_eq!(scorer.card(&free, &want(1, 400, 0)), Some(450));
        // 0.2: from 0.45, which is of no use anyway, rather than from 0.7, which half a card could have used.
        assert_eq!(scorer.card(&free, &want(1, 200, 0)), Some(450));
        assert_eq!(scorer.card(&free, &want(1, 600, 0)), Some(700));
    }
}
