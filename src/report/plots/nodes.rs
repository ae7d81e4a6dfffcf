//! The nodes of each pool at its busiest moment: which card is held by whom.

use std::collections::BTreeMap;

use super::canvas::{Align, Canvas};
use super::figure::{Entry, HEADING, Mark, legend, stack};
use super::queue::nothing;
use super::style::{GREY, GRID, INK, MARGIN, MUTED, SERIES, TEXT_SIZE, series_color};
use crate::metrics::results::{CardStrip, RunResults};
use crate::report::format::{clock, percent, plural, shorten, si};
use crate::units::Instant;

const MOST_POOLS: usize = 12;
/// Nodes shown of one pool.
const MOST_NODES: usize = 6;
const CARD: f64 = 22.0;
const GAP: f64 = 5.0;
/// Cards beside each other in a node.
const PER_ROW: usize = 4;

pub(super) fn draw(results: &RunResults, canvas: &mut Canvas<'_>) {
    let mut pools: Vec<(&str, Vec<&CardStrip>)> = Vec::new();
    for card in &results.cards {
        match pools.iter_mut().find(|pool| pool.0 == card.pool) {
            Some(pool) => pool.1.push(card),
            None => pools.push((&card.pool, vec![card])),
        }
    }
    let left_out = pools.len().saturating_sub(MOST_POOLS);
    pools.truncate(MOST_POOLS);
    let more =
        if left_out > 0 { format!("; {} more", plural(left_out as u64, "pool")) } else { String::new() };
    canvas.note(&format!("the first nodes of each pool when most of its cards are leased{more}"));
    if let Some(busiest) = busiest_link(results) {
        canvas.note(&busiest);
    }
    if pools.is_empty() {
        return stack(canvas, &results.timeseries, vec![nothing("no cards were provisioned")]);
    }
    let moments: Vec<Instant> = pools.iter().map(|(_, cards)| busiest(cards)).collect();
    let holders = holders(&pools, &moments);
    let others = format!("{} others", holders.len().saturating_sub(SERIES.len()));
    let mut entries: Vec<Entry<'_>> = (0..holders.len().min(SERIES.len()))
        .map(|index| (Mark::Area(1.0), series_color(index), holders[index]))
        .collect();
    if holders.len() > SERIES.len() {
        entries.push((Mark::Area(1.0), GREY, &others));
    }
    entries.push((Mark::Area(1.0), GRID, "free"));
    legend(canvas, &entries);
    for ((pool, cards), at) in pools.iter().zip(moments) {
        draw_pool(results, canvas, (pool, cards), at, &holders);
    }
}

/// `busiest link: card to card (switch) under chat on base, 12% of 450GB/s`
fn busiest_link(results: &RunResults) -> Option<String> {
    let link = results.summary.links.first()?;
    Some(format!(
        "busiest link: {} ({}) under {} on {}, {} of {}B/s while it computes",
        link.kind,
        link.name,
        shorten(&link.holder, 24),
        shorten(&link.pool, 24),
        percent(link.computing_share?),
        si(link.capacity_bytes_per_s)
    ))
}

fn draw_pool(
    results: &RunResults,
    canvas: &mut Canvas<'_>,
    (pool, cards): (&str, &[&CardStrip]),
    at: Instant,
    holders: &[&str],
) {
    let nodes = nodes(cards);
    let accelerator = results.summary.pools.iter().find(|known| known.name == pool);
    let accelerator = accelerator.map_or("", |known| known.accelerator.as_str());
    let shown = nodes.len().min(MOST_NODES);
    let title = format!(
        "{}: {accelerator}, {} of {} at {}",
        shorten(pool, 40),
        shown,
        plural(nodes.len() as u64, "node"),
        clock(at.as_secs_f64())
    );
    canvas.text((MARGIN, canvas.bottom + HEADING * 0.5), &title, TEXT_SIZE, INK, Align::Left);
    let widest = nodes.iter().map(|(_, cards)| cards.len().min(PER_ROW)).max().unwrap_or(1) as f64;
    let (width, top) = (widest * (CARD + GAP) + GAP, canvas.bottom + HEADING);
    let mut lowest = top;
    let mut x = MARGIN;
    for (name, cards) in nodes.iter().take(shown) {
        let rows = cards.len().div_ceil(PER_ROW) as f64;
        let height = rows * (CARD + GAP) + GAP + 10.0;
        let corners = [(x, top), (x + width, top), (x + width, top + height), (x, top + height), (x, top)];
        canvas.line(&corners, MUTED, 1.0, 1.0);
        // What connects the cards of the node.
        let (middle, bar) = (top + height - 8.0, (x + GAP, x + width - GAP));
        canvas.rectangle((bar.0, middle), (bar.1, middle + 3.0), MUTED, 0.6);
        for (index, card) in cards.iter().enumerate() {
            let (column, row) = ((index % PER_ROW) as f64, (index / PER_ROW) as f64);
            let corner = (x + GAP + column * (CARD + GAP), top + GAP + row * (CARD + GAP));
            let color = match holder(card, at) {
                Some(held) => {
                    series_color(holders.iter().position(|name| *name == held).unwrap_or(usize::MAX))
                }
                None => GRID,
            };
            canvas.rectangle(corner, (corner.0 + CARD, corner.1 + CARD), color, 1.0);
        }
        let label = shorten(name.rsplit('/').next().unwrap_or(name), 12);
        canvas.text((x, top + height + 9.0), &label, TEXT_SIZE, MUTED, Align::Left);
        lowest = lowest.max(top + height + 18.0);
        x += width + 14.0;
        if x + width > canvas.width - MARGIN {
            break;
        }
    }
    canvas.bottom = lowest + 6.0;
}

/// Cards by node, in order.
fn nodes<'a>(cards: &[&'a CardStrip]) -> Vec<(&'a str, Vec<&'a CardStrip>)> {
    let mut nodes: Vec<(&str, Vec<&CardStrip>)> = Vec::new();
    for card in cards {
        let name = card.card.rsplit_once('/').map_or(card.card.as_str(), |(node, _)| node);
        match nodes.last_mut() {
            Some(last) if last.0 == name => last.1.push(card),
            _ => nodes.push((name, vec![card])),
        }
    }
    nodes
}

fn holder(card: &CardStrip, at: Instant) -> Option<&str> {
    card.leases.iter().find(|(from, to, _)| *from <= at && at < *to).map(|lease| lease.2.as_str())
}

/// The first moment at which the most cards are leased.
fn busiest(cards: &[&CardStrip]) -> Instant {
    let mut changes: Vec<(Instant, i64)> = Vec::new();
    for (from, to, _) in cards.iter().flat_map(|card| &card.leases) {
        changes.extend([(*from, 1), (*to, -1)]);
    }
    changes.sort_unstable();
    let (mut leased, mut most, mut moment) = (0, 0, Instant::ZERO);
    for (index, (at, change)) in changes.iter().enumerate() {
        leased += change;
        let settled = changes.get(index + 1).is_none_or(|next| next.0 > *at);
        if settled && leased > most {
            (most, moment) = (leased, *at);
        }
    }
    moment
}

/// Who holds a card at the moments shown, who holds the most first.
fn holders<'a>(pools: &[(&str, Vec<&'a CardStrip>)], moments: &[Instant]) -> Vec<&'a str> {
    let mut held: BTreeMap<&str, usize> = BTreeMap::new();
    for ((_, cards), at) in pools.iter().zip(moments) {
        for name in cards.iter().filter_map(|card| holder(card, *at)) {
            *held.entry(name).or_default() += 1;
        }
    }
    let mut holders: Vec<(&str, usize)> = held.into_iter().collect();
    holders.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    holders.into_iter().map(|holder| holder.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_moment() {
        let card = |leases: &[(u64, u64)]| CardStrip {
            card: "base/node0/card0".to_owned(),
            pool: "base".to_owned(),
            leases: leases
                .iter()
                .map(|(from, to)| (Instant::from_nanos(*from), Instant::from_nanos(*to), "chat".to_owned()))
                .collect(),
            busy: Vec::new(),
        };
        let (one, two) = (card(&[(0, 10), (10, 30)]), card(&[(20, 25)]));
        assert_eq!(busiest(&[&one, &two]), Instant::from_nanos(20));
        assert_eq!(busiest(&[]), Instant::ZERO);
        assert_eq!(holder(&two, Instant::from_nanos(25)), None);
    }
}
