//! What is free on a node when cards are shared and CPUs and host memory count, and what a claim takes of it.

/// What a claim asks for beside a number of cards. Nothing of it by default: whole cards, whatever the host
/// has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Needs {
    /// Thousandths of each of its cards, from 1 to 999; 0 stands for whole cards.
    pub card_milli: u16,
    /// Thousandths of CPUs, of all its nodes together.
    pub cpu_milli: u32,
    /// Host memory in MiB, of all its nodes together.
    pub memory_mib: u32,
}

/// A card as a whole, in thousandths.
pub const WHOLE: u16 = 1000;

/// The part of a claim that lies on one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Want {
    /// Cards; none for work of the host alone.
    pub cards: u32,
    /// Thousandths of each of them that it takes: [`WHOLE`] for whole cards.
    pub card_milli: u16,
    /// Thousandths of CPUs.
    pub cpu_milli: u32,
    /// Host memory in MiB.
    pub memory_mib: u32,
}

/// What is free on a node. CPUs and memory of which nobody knows how many there are are `u32::MAX`, and
/// never get fewer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeFree {
    /// Free thousandths of each card, ascending.
    pub milli: Vec<u16>,
    /// Free thousandths of CPUs.
    pub cpu_milli: u32,
    /// Free host memory in MiB.
    pub memory_mib: u32,
    /// Which kinds of holders are on it, ascending, where the placement asks for it: 0 for those that share
    /// a card, otherwise their number of cards.
    pub kinds: Vec<u16>,
}

/// The largest node of a fleet: what scores measure by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Largest {
    /// Thousandths of CPUs; 0 when nobody knows.
    pub cpu_milli: u32,
    /// Thousandths of cards.
    pub card_milli: u32,
}

impl Needs {
    /// True when whole cards are all that it asks for.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// What falls to `here` of `cards` cards: of the host in proportion, rounded up.
    pub fn on_node(&self, here: u32, cards: u32) -> Want {
        let part = |all: u32| match cards {
            0 => all,
            _ => (u64::from(all) * u64::from(here)).div_ceil(u64::from(cards)) as u32,
        };
        Want {
            cards: here,
            card_milli: if self.card_milli == 0 { WHOLE } else { self.card_milli },
            cpu_milli: part(self.cpu_milli),
            memory_mib: part(self.memory_mib),
        }
    }
}

impl Want {
    /// True when it shares its card with others.
    pub fn is_part(&self) -> bool {
        self.card_milli < WHOLE
    }

    /// Thousandths of cards in all.
    pub fn total_milli(&self) -> u32 {
        self.cards * u32::from(self.card_milli)
    }

    /// Its kind, as in [`NodeFree::kinds`]; none without a card.
    pub fn kind(&self) -> Option<u16> {
        match self.cards {
            0 => None,
            1 if self.is_part() => Some(0),
            cards => Some(u16::try_from(cards).unwrap_or(u16::MAX)),
        }
    }
}

impl NodeFree {
    /// Whether a claim fits.
    pub fn fits(&self, want: &Want) -> bool {
        let cards = want.cards as usize;
        self.cpu_milli >= want.cpu_milli
            && self.memory_mib >= want.memory_mib
            && cards <= self.milli.len()
            && (cards == 0 || self.milli[self.milli.len() - cards] >= want.card_milli)
    }

    /// Free thousandths of all cards.
    pub fn total_milli(&self) -> u32 {
        self.milli.iter().map(|milli| u32::from(*milli)).sum()
    }

    /// Cards of which nobody holds anything.
    pub fn whole_cards(&self) -> usize {
        self.milli.len() - self.milli.partition_point(|milli| *milli < WHOLE)
    }

    /// The places, in `milli`, of the cards that a claim takes when it goes to those with the least that is
    /// enough.
    pub fn tightest(&self, want: &Want) -> std::ops::Range<usize> {
        let first = self.milli.partition_point(|milli| *milli < want.card_milli);
        first..first + want.cards as usize
    }

    /// What is left when a claim takes the cards at these places.
    pub fn without(&self, want: &Want, places: std::ops::Range<usize>) -> Self {
        let mut left = self.clone();
        left.milli[places].iter_mut().for_each(|milli| *milli -= want.card_milli);
        left.milli.sort_unstable();
        let less = |have: u32, take: u32| if have == u32::MAX { have } else { have - take };
        left.cpu_milli = less(left.cpu_milli, want.cpu_milli);
        left.memory_mib = less(left.memory_mib, want.memory_mib);
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_and_what_is_left() {
        let node = NodeFree {
            milli: vec![0, 300, 700, 1000],
            cpu_milli: 8000,
            memory_mib: u32::MAX,
            kinds: Vec::new(),
        };
        let want = |cards, card_milli, cpu_milli| Want { cards, card_milli, cpu_milli, memory_mib: 5 };
        assert!(node.fits(&want(1, 1000, 8000)) && !node.fits(&want(1, 1000, 8001)));
        assert!(node.fits(&want(2, 700, 0)) && !node.fits(&want(2, 701, 0)) && !node.fits(&want(2, 1000, 0)));
        assert!(node.fits(&want(0, 1000, 8000)) && !node.fits(&want(5, 1, 0)));
        assert_eq!((node.total_milli(), node.whole_cards()), (2000, 1));
        let part = want(1, 250, 3000);
        assert_eq!(node.tightest(&part), 1..2);
        let left = node.without(&part, 1..2);
        assert_eq!((left.milli, left.cpu_milli, left.memory_mib), (vec![0, 50, 700, 1000], 5000, u32::MAX));
    }

    /// A gang of 12 cards with 100 CPUs: 8 cards get 66.667 of them, rounded up, 4 cards 33.334.
    #[test]
    fn a_gang_spreads_its_host_over_its_cards() {
        let needs = Needs { cpu_milli: 100_000, memory_mib: 12, card_milli: 0 };
        let (whole, rest) = (needs.on_node(8, 12), needs.on_node(4, 12));
        assert_eq!(
            (whole.cpu_milli, whole.memory_mib, rest.cpu_milli, rest.memory_mib),
            (66_667, 8, 33_334, 4)
        );
        assert_eq!(needs.on_node(0, 0).cpu_milli, 100_000);
    }
}
