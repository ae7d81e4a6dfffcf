//! Where the nodes of a pool come from, and how they are lost.

use std::sync::Arc;

use super::assumptions::Ledger;
use crate::billing::Purchase;
use crate::catalog::{Catalog, Offer, SPOT_ZONES_SOURCE, spot_zones};
use crate::fleet::{
    Delay, Failures, Provisioning, Spot, Stock, StockTrace, Supply, Together, Zone, ZoneChoice,
};
use crate::metrics::results::Assumption;
use crate::scenario::problem::{Problem, nearest};
use crate::scenario::raw::{Count, RawPool, RawProvisioning, RawStock};
use crate::scenario::reading::{Reading, Sited};
use crate::units::{Duration, Instant};

/// From the start of a machine to its operating system, where nobody says: nobody has published a
/// distribution for nodes with accelerators, so this is an assumption, and the report says so.
const BOOT: Duration = Duration::from_secs(180);
/// A container's image on a fresh node: 60 to 180 s (kunwar.page, chapter 52; paperscode.org; the catalogue's
/// friction `image-pull-70b`).
const IMAGE_PULL: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(180));

/// Nodes at the beginning, and where others come from. `None` after errors.
pub fn supply(
    raw: &RawPool,
    (offer, cards): (&Offer, u32),
    catalog: &Catalog,
    duration: Duration,
    reading: &mut Reading,
    ledger: &mut Ledger,
) -> Option<(u32, Option<Supply>)> {
    let (min, max, initial) = match *raw.nodes {
        Count::Fixed(nodes) => (nodes, nodes, nodes),
        Count::Range { min, max, initial } => (min, max, initial),
    };
    let errors = reading.problems.len();
    let purchase = *raw.purchase;
    if purchase.is_committed() && min < max {
        let message = format!("pool `{}` is {purchase} and has a range of nodes", *raw.name);
        let problem = Problem::error(raw.nodes.place, message);
        reading.problem(problem.help("a commitment is for a number of nodes, as in nodes = 4"));
    }
    let market = &raw.market;
    let delivery = market.owned.as_ref().and_then(|owned| owned.delivery);
    let still = min == max
        && raw.provisioning.is_none()
        && market.zones.is_empty()
        && market.stock.is_none()
        && purchase != Purchase::Spot
        && purchase != Purchase::Block
        && market.failures.is_none()
        && market.maintenance.is_none()
        && delivery.is_none();
    belongs(raw, reading);
    if still {
        return (reading.problems.len() == errors).then_some((initial, None));
    }
    if let Some(choice) = market.zone_choice.as_ref().filter(|_| market.zones.len() < 2) {
        let message = format!("pool `{}` has no zones to choose among", *raw.name);
        reading.problem(Problem::error(choice.place, message).help("give at least two `zones`"));
    }
    let zones = zones(raw, duration, reading, ledger);
    let spot = if purchase == Purchase::Spot { spot(raw, offer, catalog, reading, ledger) } else { None };
    let block = match (market.block, delivery) {
        (Some(block), _) => {
            let from = Instant::ZERO + block.start;
            Some((from, from.saturating_add(block.length)))
        }
        (None, Some(delivery)) => Some((Instant::ZERO + delivery, Instant::MAX)),
        (None, None) => None,
    };
    let supply = Supply {
        provisioning: provisioning(raw, ledger),
        zones: zones.unwrap_or_default(),
        zone_choice: market.zone_choice.as_ref().map_or(ZoneChoice::Listed, |choice| choice.value),
        spot,
        failures: failures(raw, (max, cards), reading),
        maintenance: market.maintenance.clone(),
        committed: purchase.is_committed(),
        block,
        idle_after: raw.idle_after.unwrap_or(Duration::from_secs(600)),
        ..Supply::new(min, max)
    };
    (reading.problems.len() == errors).then_some((initial, Some(supply)))
}

/// How the nodes break. `None` where they do not, or after errors.
fn failures(raw: &RawPool, (nodes, cards): (u32, u32), reading: &mut Reading) -> Option<Failures> {
    let given = raw.market.failures.as_ref()?;
    let together = match &given.together {
        None => None,
        Some((share, own)) => match own.or(raw.nodes_per_switch) {
            Some(nodes) => Some(Together { share: share.value, nodes }),
            None => {
                let message = format!("pool `{}`: nobody says which nodes fail together", *raw.name);
                let help = "give `nodes` of a group here, or the pool `nodes_per_switch`";
                reading.problem(Problem::error(share.place, message).help(help));
                None
            }
        },
    };
    let recorded = match &given.trace {
        // A file that is not there has been reported.
        Some(file) => match Failures::read_recorded(&std::fs::read_to_string(&file.value).ok()?, nodes) {
            Ok(recorded) => recorded,
            Err(why) => {
                let message = format!("{} cannot be used: {why}", file.value.display());
                let help = "it needs the columns time_s,node and may have repair_s";
                reading.problem(Problem::error(file.place, message).help(help));
                return None;
            }
        },
        None => Arc::from([]),
    };
    let parts = if given.by_card { cards } else { 1 };
    Some(Failures { life: given.life, repair: given.repair, parts, together, recorded })
}

/// Tables that belong to a purchase option stand under it, and the others do not.
fn belongs(raw: &RawPool, reading: &mut Reading) {
    let market = &raw.market;
    let purchase = *raw.purchase;
    for (key, there, wanted, needed) in [
        ("block", market.block.is_some(), Purchase::Block, true),
        ("commitment", market.commitment.is_some(), Purchase::Reserved, true),
        ("owned", market.owned.is_some(), Purchase::Owned, true),
        ("spot", market.spot.is_some(), Purchase::Spot, false),
        ("price_path", !market.price_path.is_empty(), Purchase::Spot, false),
    ] {
        let message = match (there, purchase == wanted) {
            (true, false) => format!("pool `{}` has `{key}`, but its purchase is {purchase}", *raw.name),
            (false, true) if needed => format!("pool `{}` is {purchase} and has no `{key}`", *raw.name),
            _ => continue,
        };
        let problem = Problem::error(if there { raw.place } else { raw.purchase.place }, message);
        reading.problem(problem.help(match there {
            true => format!("`{key}` belongs to purchase = \"{wanted}\""),
            false => match key {
                "block" => "give block = { start = \"2h\", length = \"24h\" }".to_owned(),
                "commitment" => "give commitment = { term = \"1y\", upfront = 0.5 }".to_owned(),
                _ => "give owned = { price = 300000, life = \"4y\" }".to_owned(),
            },
        }));
    }
}

fn assumed(raw: &RawPool, ledger: &mut Ledger, figure: &str, value: String, source: &str, doubt: &str) {
    ledger.note(Assumption {
        about: format!("pool {}", *raw.name),
        figure: figure.to_owned(),
        value,
        source: source.to_owned(),
        date: String::new(),
        doubt: doubt.to_owned(),
    });
}

fn provisioning(raw: &RawPool, ledger: &mut Ledger) -> Provisioning {
    let (low, high) = IMAGE_PULL;
    let nothing = RawProvisioning::default();
    let given = raw.provisioning.as_ref().unwrap_or(&nothing);
    if given.boot.is_none() {
        let doubt = "assumed: no measured distribution was found; give `provisioning.boot`";
        assumed(raw, ledger, "boot of a node", BOOT.to_string(), "assumption", doubt);
    }
    if given.image_pull.is_none() {
        let doubt = "secondary source; give `provisioning.image_pull`";
        let source = "kunwar.page, chapter 52; paperscode.org";
        assumed(raw, ledger, "image pull", format!("{low} to {high}"), source, doubt);
    }
    given.filled(Delay::Fixed(BOOT), Delay::Uniform { low, high })
}

/// The zones, at least one, with what they have to give.
fn zones(raw: &RawPool, duration: Duration, reading: &mut Reading, ledger: &mut Ledger) -> Option<Vec<Zone>> {
    let market = &raw.market;
    let limit = market.spot.as_ref().and_then(|spot| spot.max_price.as_ref());
    let whole = match (&market.stock, limit) {
        (Some(_), Some(limit)) => {
            let message = format!("pool `{}` has both a stock and a highest price", *raw.name);
            reading.problem(Problem::error(limit.place, message).help("take out one of them"));
            return None;
        }
        (Some(stock), None) => resolved(stock, duration, reading)?,
        (None, Some(limit)) => by_price(raw, limit, reading)?,
        (None, None) => Stock::Unlimited,
    };
    if market.zones.is_empty() {
        return Some(vec![Zone { name: String::new(), stock: whole }]);
    }
    let zone = |zone: &crate::scenario::raw::RawZone| {
        let stock = match (&zone.stock, &zone.measured) {
            (Some(_), Some(measured)) => {
                let message = format!("zone `{}` has both a stock and a measured zone", *zone.name);
                reading.problem(Problem::error(measured.place, message).help("take out one of them"));
                return None;
            }
            (Some(stock), None) => resolved(stock, duration, reading)?,
            (None, Some(measured)) => probed(raw, measured, reading, ledger)?,
            (None, None) => whole.clone(),
        };
        Some(Zone { name: zone.name.value.clone(), stock })
    };
    market.zones.iter().map(zone).collect()
}

fn resolved(stock: &RawStock, duration: Duration, reading: &mut Reading) -> Option<Stock> {
    let (file, copies, repeat) = match stock {
        RawStock::Fixed(count) => return Some(Stock::Fixed(*count)),
        RawStock::InTurns { up, down } => return Some(Stock::InTurns { up: *up, down: *down }),
        RawStock::Trace { file, copies, repeat } => (file, *copies, *repeat),
    };
    // A file that is not there has been reported.
    let text = std::fs::read_to_string(&file.value).ok()?;
    let shown = file.value.display();
    match StockTrace::parse(&text) {
        Err(why) => {
            let problem = Problem::error(file.place, format!("{shown} cannot be used: {why}"));
            reading
                .problem(problem.help("SkyPilot's JSON, SpotServe's lines or CSV (time_s,nodes) are read"));
            None
        }
        Ok(trace) if !repeat && trace.end < Instant::ZERO + duration => {
            let end = trace.end.since(Instant::ZERO);
            let message = format!("{shown} ends after {end}, the run after {duration}");
            let problem = Problem::error(file.place, message);
            reading.problem(problem.help("shorten `duration`, or set repeat = true"));
            None
        }
        Ok(trace) => Some(Stock::Levels(Arc::from(trace.over(duration, copies, repeat)))),
    }
}

/// Everything while the price is at most the limit, nothing above it.
fn by_price(raw: &RawPool, limit: &Sited<f64>, reading: &mut Reading) -> Option<Stock> {
    if raw.market.price_path.is_empty() {
        let message = format!("pool `{}` has a highest price, but its price never changes", *raw.name);
        reading.problem(Problem::error(limit.place, message).help("give `price_path`"));
        return None;
    }
    let mut levels = vec![(Instant::ZERO, u32::MAX)];
    for (at, price) in &raw.market.price_path {
        let level = if *price > limit.value { 0 } else { u32::MAX };
        let at = Instant::ZERO + *at;
        match levels.last_mut() {
            Some((before, last)) if *before == at => *last = level,
            Some((_, last)) if *last == level => {}
            _ => levels.push((at, level)),
        }
    }
    Some(Stock::Levels(Arc::from(levels)))
}

/// A probed zone as a process: while there is something, a node is left alone for as long as was seen, and
/// then the zone has nothing for as long as its share of the time wants it.
fn probed(raw: &RawPool, name: &Sited<String>, reading: &mut Reading, ledger: &mut Ledger) -> Option<Stock> {
    let zones: Vec<_> = spot_zones().collect();
    let Some(zone) = zones.iter().find(|zone| zone.name == name.value) else {
        let problem = Problem::error(name.place, format!("there is no probed zone `{}`", name.value));
        let near = nearest(&name.value, zones.iter().map(|zone| zone.name.as_str()));
        reading.problem(match near {
            Some(near) => problem.label(format!("did you mean `{near}`?")),
            None => problem.help("they are called as in \"AWS1/us-east-1f\""),
        });
        return None;
    };
    let up = 3600.0 / zone.preemptions_per_hour;
    let down = up * zone.share_without / (1.0 - zone.share_without);
    let value = format!(
        "{} preemptions an hour of a node, nothing for {} % of the time",
        zone.preemptions_per_hour,
        zone.share_without * 100.0
    );
    let doubt = format!("of {} over {} days, exponential, all nodes at once", zone.accelerator, zone.days);
    assumed(raw, ledger, &format!("spot zone {}", zone.name), value, SPOT_ZONES_SOURCE, &doubt);
    let mean = |seconds: f64| Delay::Exponential { mean: Duration::from_secs_f64(seconds) };
    Some(Stock::InTurns { up: mean(up), down: mean(down) })
}

fn spot(
    raw: &RawPool,
    offer: &Offer,
    catalog: &Catalog,
    reading: &mut Reading,
    ledger: &mut Ledger,
) -> Option<Spot> {
    let given = raw.market.spot.as_ref();
    let life = given.and_then(|spot| spot.life);
    let by_stock = raw.market.stock.is_some()
        || given.is_some_and(|spot| spot.max_price.is_some())
        || raw.market.zones.iter().any(|zone| zone.stock.is_some() || zone.measured.is_some());
    if life.is_none() && !by_stock {
        let message =
            format!("nobody knows how often the provider takes spot nodes of `{}` back", offer.name);
        let problem = Problem::error(raw.purchase.place, message).label("needed for this");
        reading.problem(problem.help(
            "supply it: spot = { rate = 0.05 } in the pool, or a `stock` that falls, or zones with `measured`",
        ));
    }
    let known = catalog.provider(&offer.provider).ok().and_then(|provider| provider.spot_notice.as_ref());
    let notice = match (given.and_then(|spot| spot.notice), known) {
        (Some(notice), _) => notice,
        (None, Some(figure)) => {
            let about = format!("provider {}", offer.provider);
            ledger.figure(about, "spot notice", figure.value.to_string(), figure);
            figure.value
        }
        (None, None) => {
            let message = format!("the catalogue does not know the spot notice of `{}`", offer.provider);
            let problem = Problem::error(raw.purchase.place, message).label("needed for this");
            reading.problem(problem.help("supply it: spot = { notice = \"30s\" } in the pool, for example"));
            return None;
        }
    };
    let together = given.map_or(0.0, |spot| spot.together);
    Some(Spot { life, notice, together, follows_stock: true })
}
