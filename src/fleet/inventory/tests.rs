//! Pending claims, and the books of the cards whatever is claimed.

use super::*;
use proptest::prelude::*;

use crate::fleet::config::Host;

fn pool(nodes: u32, cards_per_node: u32) -> PoolConfig {
    PoolConfig {
        name: "p".to_owned(),
        provider: "x".to_owned(),
        offer: "x/y".to_owned(),
        accelerator: "z".to_owned(),
        nodes,
        cards_per_node,
        supply: None,
        host: Host::default(),
        fabric: None,
    }
}

fn job(id: u32, shape: Shape) -> Claim {
    Claim { holder: Holder::Job(id), options: vec![(PoolId(0), shape)], priority: 0, preemptible: false }
}

#[test]
fn pending_claims_are_granted_when_cards_come_back() {
    let mut inventory = Inventory::new(&[pool(2, 4)], PlacementKind::FirstFit);
    let now = Instant::ZERO;
    let ClaimResult::Lease(first) = inventory.claim(now, job(0, Shape::OneNode { cards: 3 })) else {
        panic!("cards are free");
    };
    let ClaimResult::Lease(_) = inventory.claim(now, job(1, Shape::OneNode { cards: 3 })) else {
        panic!("cards are free");
    };
    let ClaimResult::Pending(_, reason) = inventory.claim(now, job(2, Shape::OneNode { cards: 2 })) else {
        panic!("no node has two");
    };
    assert_eq!(reason.to_string(), "wants 2 cards together; 2 are free, at most 1 on one node");
    let ClaimResult::Pending(_, reason) = inventory.claim(now, job(3, Shape::Gang { cards: 6 })) else {
        panic!("two are free");
    };
    assert_eq!(reason.to_string(), "wants 6 cards, 2 are free");
    let grants = inventory.release(now, first);
    assert_eq!(grants.iter().map(|grant| grant.holder).collect::<Vec<_>>(), [Holder::Job(2)]);
    assert!(inventory.is_balanced());
}

proptest! {
    /// No card is ever held twice, and the integrals keep their order, whatever is claimed and released.
    #[test]
    fn books_balance(
        steps in prop::collection::vec((any::<bool>(), 1u32..12, any::<bool>(), 0usize..20), 1..100),
        best in any::<bool>(),
    ) {
        let placement = if best { PlacementKind::BestFit } else { PlacementKind::FirstFit };
        let mut inventory = Inventory::new(&[pool(3, 5)], placement);
        let mut held: Vec<LeaseId> = Vec::new();
        for (index, (claims, cards, gang, which)) in (0u32..).zip(&steps) {
            let now = Instant::from_nanos(u64::from(index) * 10);
            if *claims || held.is_empty() {
                let shape =
                    if *gang { Shape::Gang { cards: *cards } } else { Shape::OneNode { cards: *cards } };
                if let ClaimResult::Lease(lease) = inventory.claim(now, job(index, shape)) {
                    prop_assert_eq!(
                        inventory.lease(lease).map(|l| l.nodes.iter().map(|n| n.1.count_ones()).sum()),
                        Some(*cards)
                    );
                    inventory.set_busy(now, lease, index % 2 == 0);
                    held.push(lease);
                }
            } else {
                let lease = held.swap_remove(which % held.len());
                held.extend(inventory.release(now, lease).into_iter().map(|grant| grant.lease));
            }
            prop_assert!(inventory.is_balanced());
            prop_assert!(inventory.usage(PoolId(0)).settle(now).is_ordered());
        }
    }
}
