//! What the cards did.

use std::collections::BTreeMap;

use super::plot;
use super::pools::grouped;
use super::sheet::{Cell, PageError, Section, Table, figures, heading, paragraph};
use crate::metrics::results::{CardStrip, RunResults};
use crate::report::format::{hours, percent};

pub(super) fn section(results: &RunResults) -> Result<Section, PageError> {
    if results.summary.pools.is_empty() {
        let html = paragraph("The scenario has no pools.");
        return Ok(Section { id: "utilization", title: "Utilization", html });
    }
    let mut html = paragraph(
        "Allocated cards are leased to a deployment or a job, busy cards compute; both as a share of the cards \
         provisioned. MFU is the FLOP done as a share of what these cards could do at their peak. Stranded cards are \
         free on nodes of which another card is leased: the share is of all cards of such nodes.",
    );
    html += &figures(&[(plot(results, "utilization")?, false), (plot(results, "cards")?, true)]);
    let mut table = Table::new(
        "Utilization of each pool",
        &["pool", "#card-hours", "#allocated", "#busy", "#MFU", "#stranded"],
    );
    let stranded = stranded(&results.cards);
    for pool in &grouped(&results.summary.pools) {
        table.row(vec![
            Cell::text(&pool.name),
            Cell::number(pool.card_hours, hours(pool.card_hours)),
            Cell::maybe(pool.utilization.allocated, percent),
            Cell::maybe(pool.utilization.busy, percent),
            Cell::maybe(pool.utilization.mfu, percent),
            Cell::maybe(stranded.get(pool.name.as_str()).copied(), percent),
        ]);
    }
    html += &heading("By pool");
    html += &table.html("");
    Ok(Section { id: "utilization", title: "Utilization", html })
}

/// The node of a card, which is named `POOL/nodeN/cardM`.
fn node(card: &CardStrip) -> &str {
    card.card.rsplit_once('/').map_or(card.card.as_str(), |(node, _)| node)
}

/// By pool, of the card-time of nodes that are partly leased, what is free. Of the cards that are shown, and only of
/// pools of which one ever was leased.
fn stranded(cards: &[CardStrip]) -> BTreeMap<&str, f64> {
    let mut nodes: BTreeMap<(&str, &str), Vec<&CardStrip>> = BTreeMap::new();
    for card in cards {
        nodes.entry((&card.pool, node(card))).or_default().push(card);
    }
    let mut sums: BTreeMap<&str, (u128, u128)> = BTreeMap::new();
    for ((pool, _), cards) in nodes {
        // At each moment at which a lease begins or ends, how many cards more are leased.
        let mut changes: Vec<(u64, i64)> = Vec::new();
        for (from, to, _) in cards.iter().flat_map(|card| &card.leases) {
            changes.extend([(from.as_nanos(), 1), (to.as_nanos(), -1)]);
        }
        changes.sort_unstable();
        let (mut leased, mut since) = (0i64, 0u64);
        let sum = sums.entry(pool).or_default();
        for (at, change) in changes {
            if leased > 0 {
                let time = u128::from(at - since);
                sum.0 += time * (cards.len() as i64 - leased).max(0) as u128;
                sum.1 += time * cards.len() as u128;
            }
            leased += change;
            since = at;
        }
    }
    let share = |(pool, (free, all)): (_, (u128, u128))| (all > 0).then(|| (pool, free as f64 / all as f64));
    sums.into_iter().filter_map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Instant;

    #[test]
    fn cards_beside_leased_ones_are_stranded() {
        let card = |name: &str, leases: &[(u64, u64)]| CardStrip {
            card: name.to_owned(),
            pool: "base".to_owned(),
            leases: leases
                .iter()
                .map(|(from, to)| (Instant::from_nanos(*from), Instant::from_nanos(*to), "job".to_owned()))
                .collect(),
            busy: Vec::new(),
        };
        let cards = [
            card("base/node0/card0", &[(0, 10), (10, 20)]),
            card("base/node0/card1", &[(5, 10)]),
            card("base/node1/card0", &[]),
            card("base/node1/card1", &[]),
        ];
        // Node 0 is leased for 20 in part: 40 of card-time, of which 5 + 10 are free. Node 1 is free as a whole.
        assert_eq!(stranded(&cards), BTreeMap::from([("base", 15.0 / 40.0)]));
    }
}
