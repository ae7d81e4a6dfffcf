//! The card-by-time strip: one row a card, coloured by its holder, darker where it computes.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::canvas::{Align, Canvas};
use super::figure::{Entry, HEADING, Mark, legend};
use super::panel::Panel;
use super::style::{GREY, GRID, MARGIN, MUTED, SERIES, TEXT_SIZE, series_color, text_width};
use crate::metrics::results::{CardStrip, RunResults, TimeSeries};
use crate::report::format::{plural, shorten};

/// More rows than this cannot be told apart: cards are then sampled.
const MOST_ROWS: usize = 64;
/// Up to this many rows, each has its card's name.
const NAMED_ROWS: usize = 40;
/// More pools than this have their name at the side of their rows.
const MOST_HEADINGS: usize = 6;
const SIDE_NAME: usize = 24;
/// Shades of a row are merged until the figure has about so many rectangles.
const MOST_SHADES: usize = 6000;
/// Levels of busy that can be told apart.
const LEVELS: f64 = 4.0;
/// How strong the colour of a card is that is leased and computes nothing.
const IDLE_OPACITY: f64 = 0.22;

pub(super) fn draw(results: &RunResults, canvas: &mut Canvas<'_>) {
    let groups = sample(&results.cards);
    let rows: usize = groups.iter().map(|(_, cards)| cards.len()).sum();
    let sampled = if rows < results.cards.len() {
        format!("; {rows} of {}, evenly spaced within each pool", plural(results.cards.len() as u64, "card"))
    } else {
        String::new()
    };
    canvas.note(&format!(
        "colour: holder; the stronger, the larger the share of time that the card computes{sampled}"
    ));
    let holders = holders(&results.cards);
    let mut entries: Vec<Entry<'_>> = holders
        .iter()
        .take(SERIES.len())
        .enumerate()
        .map(|(index, holder)| (Mark::Area(1.0), series_color(index), *holder))
        .collect();
    let others = format!("{} others", holders.len().saturating_sub(SERIES.len()));
    if holders.len() > SERIES.len() {
        entries.push((Mark::Area(1.0), GREY, &others));
    }
    if !holders.is_empty() {
        entries.push((Mark::Area(IDLE_OPACITY), series_color(0), "pale: leased, not computing"));
    }
    entries.push((Mark::Area(1.0), GRID, "not leased"));
    legend(canvas, &entries);
    draw_groups(results, canvas, &groups, &holders);
}

/// How the rows are laid out.
struct Layout {
    left: f64,
    width: f64,
    row: f64,
    /// Space between rows.
    gap: f64,
    /// Space above a group of rows.
    heading: f64,
    /// Pools have their name at the side rather than above.
    side: bool,
    names: bool,
    columns: usize,
}

impl Layout {
    fn of(canvas: &Canvas<'_>, groups: &[(&str, Vec<&CardStrip>)]) -> Self {
        let rows: usize = groups.iter().map(|(_, cards)| cards.len()).sum();
        let side = groups.len() > MOST_HEADINGS;
        let names = rows <= NAMED_ROWS && !side;
        let labels: Vec<String> = match (side, names) {
            (true, _) => groups.iter().map(|(pool, _)| shorten(pool, SIDE_NAME)).collect(),
            (_, true) => groups.iter().flat_map(|group| &group.1).map(|card| label(card)).collect(),
            _ => Vec::new(),
        };
        let longest = labels.iter().map(|label| text_width(label, TEXT_SIZE)).fold(0.0, f64::max);
        let left = MARGIN + if labels.is_empty() { 4.0 } else { longest + 8.0 };
        let row = (640.0 / rows.max(1) as f64).clamp(if side { 15.0 } else { 9.0 }, 20.0);
        Self {
            left,
            width: canvas.width - left - MARGIN - 6.0,
            row,
            gap: if row > 12.0 { 2.0 } else { 1.0 },
            heading: if side { 3.0 } else { HEADING },
            side,
            names,
            columns: (MOST_SHADES / rows.max(1)).clamp(60, 360),
        }
    }
}

fn draw_groups(
    results: &RunResults,
    canvas: &mut Canvas<'_>,
    groups: &[(&str, Vec<&CardStrip>)],
    holders: &[&str],
) {
    let layout = Layout::of(canvas, groups);
    let (left, width) = (layout.left, layout.width);
    let x = Axis::time(results.timeseries.end.as_secs_f64(), (width / 60.0) as usize);
    let empty: (&str, Vec<&CardStrip>) = ("", Vec::new());
    let groups = if groups.is_empty() { std::slice::from_ref(&empty) } else { groups };
    for (index, (pool, cards)) in groups.iter().enumerate() {
        let top = canvas.bottom + layout.heading;
        let height = if cards.is_empty() { 100.0 } else { cards.len() as f64 * layout.row };
        let panel = Panel { x: &x, y: Axis::share_of_all(&[], ""), left, top, width, height };
        if layout.side {
            panel.side_heading(canvas, &shorten(pool, SIDE_NAME));
        } else {
            panel.heading(canvas, &shorten(pool, 60));
        }
        if cards.is_empty() {
            panel.frame(canvas);
            panel.say(canvas, "no cards were provisioned");
        }
        for (row, card) in cards.iter().enumerate().filter(|_| layout.names) {
            let middle = (left - 6.0, top + (row as f64 + 0.5) * layout.row - layout.gap / 2.0);
            canvas.text(middle, &label(card), TEXT_SIZE, MUTED, Align::Right);
        }
        let end = results.timeseries.end.as_secs_f64();
        canvas.open_window((left, top), (width, height), end, &panel.y.in_words(), "");
        for (row, card) in cards.iter().enumerate() {
            let row_top = top + row as f64 * layout.row;
            let bottom = row_top + layout.row - layout.gap;
            let shades = shades(card, &results.timeseries, layout.columns);
            for (from, to) in gaps(&shades, results.timeseries.end.as_secs_f64()) {
                let (from, to) = (panel.at(from, 0.0).0, panel.at(to, 0.0).0);
                canvas.rectangle((from, row_top), (to, bottom), GRID, 1.0);
            }
            for shade in shades {
                let holder = holders.iter().position(|name| *name == shade.holder);
                let color = series_color(holder.unwrap_or(usize::MAX));
                let (from, to) = (panel.at(shade.from, 0.0).0, panel.at(shade.to, 0.0).0);
                let opacity = IDLE_OPACITY + (1.0 - IDLE_OPACITY) * f64::from(shade.level) / LEVELS;
                canvas.rectangle((from, row_top), (to, bottom), color, opacity);
            }
        }
        canvas.close_window();
        canvas.bottom = top + height;
        if index + 1 == groups.len() {
            canvas.bottom = panel.horizontal_labels(canvas);
        }
    }
}

/// The times in which a card is not leased.
fn gaps(shades: &[Shade<'_>], end: f64) -> Vec<(f64, f64)> {
    let mut gaps = Vec::new();
    let mut free_from = 0.0;
    for shade in shades {
        if shade.from > free_from {
            gaps.push((free_from, shade.from));
        }
        free_from = shade.to.max(free_from);
    }
    if end > free_from {
        gaps.push((free_from, end));
    }
    gaps
}

/// The card's name without its pool.
fn label(card: &CardStrip) -> String {
    let name = card.card.strip_prefix(&card.pool).unwrap_or(&card.card);
    shorten(name.trim_start_matches('/'), 22)
}

/// Cards by pool in their order, evenly thinned to about [`MOST_ROWS`]; every pool keeps at least one.
fn sample(cards: &[CardStrip]) -> Vec<(&str, Vec<&CardStrip>)> {
    let mut groups: Vec<(&str, Vec<&CardStrip>)> = Vec::new();
    for card in cards {
        match groups.iter_mut().find(|group| group.0 == card.pool) {
            Some(group) => group.1.push(card),
            None => groups.push((&card.pool, vec![card])),
        }
    }
    if cards.len() > MOST_ROWS {
        for (_, group) in &mut groups {
            let keep = (group.len() * MOST_ROWS / cards.len()).max(1);
            *group = (0..keep).map(|index| group[index * group.len() / keep]).collect();
        }
    }
    groups
}

/// Holders, the longest first.
fn holders(cards: &[CardStrip]) -> Vec<&str> {
    let mut held: BTreeMap<&str, u128> = BTreeMap::new();
    for (from, to, holder) in cards.iter().flat_map(|card| &card.leases) {
        *held.entry(holder).or_default() += u128::from(to.since(*from).as_nanos());
    }
    let mut holders: Vec<(&str, u128)> = held.into_iter().collect();
    holders.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    holders.into_iter().map(|holder| holder.0).collect()
}

/// A stretch of one row in one colour.
#[derive(Debug, PartialEq)]
struct Shade<'a> {
    from: f64,
    to: f64,
    holder: &'a str,
    level: u8,
}

/// A card's leases, cut where the share of busy time changes visibly.
fn shades<'a>(card: &'a CardStrip, timeseries: &TimeSeries, columns: usize) -> Vec<Shade<'a>> {
    let group = card.busy.len().div_ceil(columns.max(1)).max(1);
    let level = |column: usize| -> u8 {
        let values = card.busy.iter().skip(column * group).take(group);
        let (count, sum) = values.fold((0usize, 0.0), |(count, sum), busy| (count + 1, sum + busy));
        if count == 0 { 0 } else { (sum / count as f64 * LEVELS).round().clamp(0.0, LEVELS) as u8 }
    };
    let width = timeseries.bucket.as_secs_f64() * group as f64;
    let count = card.busy.len().div_ceil(group);
    let levels: Vec<u8> = (0..count).map(level).collect();
    let mut shades: Vec<Shade<'a>> = Vec::new();
    for (from, to, holder) in &card.leases {
        let (from, to) = (from.as_secs_f64(), to.min(&timeseries.end).as_secs_f64());
        let first = if width > 0.0 { (from / width) as usize } else { 0 };
        let mut begin = from;
        for column in first.. {
            let end =
                if width > 0.0 && column + 1 < count { ((column + 1) as f64 * width).min(to) } else { to };
            let level = levels.get(column).copied().unwrap_or(0);
            match shades.last_mut() {
                Some(last) if last.holder == holder && last.level == level && last.to >= begin => {
                    last.to = end
                }
                _ if end > begin => shades.push(Shade { from: begin, to: end, holder, level }),
                _ => {}
            }
            begin = end;
            if end >= to {
                break;
            }
        }
    }
    shades
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Duration, Instant};

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn shades_follow_leases_and_busy() {
        let timeseries = TimeSeries { bucket: Duration::from_secs(10), end: at(40), series: Vec::new() };
        let card = CardStrip {
            card: "base/node0/card0".to_string(),
            pool: "base".to_string(),
            leases: vec![(at(5), at(25), "chat".to_string()), (at(25), at(99), "tune".to_string())],
            busy: vec![0.5, 1.0, 1.0, 0.0],
        };
        let shades = shades(&card, &timeseries, 100);
        let text: Vec<String> = shades
            .iter()
            .map(|shade| format!("{}-{} {} {}", shade.from, shade.to, shade.holder, shade.level))
            .collect();
        assert_eq!(text, ["5-10 chat 2", "10-25 chat 4", "25-30 tune 4", "30-40 tune 0"]);
        assert_eq!(gaps(&shades, 50.0), [(0.0, 5.0), (40.0, 50.0)]);
        assert_eq!(label(&card), "node0/card0");
    }

    #[test]
    fn many_cards_are_thinned_evenly() {
        let cards: Vec<CardStrip> = (0..1000)
            .map(|index| CardStrip {
                card: format!("{index}"),
                pool: if index < 10 { "small" } else { "large" }.to_string(),
                leases: Vec::new(),
                busy: Vec::new(),
            })
            .collect();
        let groups = sample(&cards);
        assert_eq!((groups[0].1.len(), groups[1].1.len()), (1, 63));
        assert_eq!(groups[1].1[1].card, "25");
    }
}
