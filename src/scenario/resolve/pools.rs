//! Pools: offers looked up, prices found.

use super::assumptions::Ledger;
use super::catalog::option;
use super::names::{not_found, unknown};
use super::supply::supply;
use crate::billing::{Commitment, Purchase, Tariff, UsdPerKwh};
use crate::catalog::{Accelerator, Catalog, Figure, Offer, Precision};
use crate::fleet::{Host, Inventory, PoolConfig};
use crate::perf::{NodeSpec, PlanError, UnknownFigures};
use crate::scenario::problem::{Problem, quoted};
use crate::scenario::raw::{RawOwned, RawPool, RawScenario};
use crate::scenario::reading::{PoolSite, Reading};
use crate::topology::{FabricShape, Wiring};
use crate::units::{Duration, Instant, Usd, UsdPerHour};
use crate::world::{PoolPlan, PowerPlan};

/// A pool with its name, resolved or not.
#[derive(Debug)]
pub struct Pool {
    pub name: String,
    /// `None` after errors have been recorded.
    pub resolved: Option<Resolved>,
}

/// What deployments and jobs need to know of a pool.
#[derive(Debug)]
pub struct Resolved {
    pub plan: PoolPlan,
    /// The node, or the figures that are missing to compute with it.
    pub node: Result<NodeSpec, UnknownFigures>,
}

/// Resolves every pool, in the scenario's order.
pub fn resolve(
    scenario: &RawScenario,
    catalog: &Catalog,
    reading: &mut Reading,
    ledger: &mut Ledger,
) -> Vec<Pool> {
    // Pools are numbered in 16 bits.
    if let Some(extra) = scenario.pools.get(usize::from(u16::MAX)) {
        reading.problem(Problem::error(extra.place, format!("there are more than {} pools", u16::MAX)));
        return Vec::new();
    }
    scenario
        .pools
        .iter()
        .map(|raw| Pool {
            name: raw.name.value.clone(),
            resolved: pool(raw, catalog, scenario.duration, reading, ledger),
        })
        .collect()
}

fn pool(
    raw: &RawPool,
    catalog: &Catalog,
    duration: Duration,
    reading: &mut Reading,
    ledger: &mut Ledger,
) -> Option<Resolved> {
    let offer = match catalog.offer(&raw.offer) {
        Ok(offer) => offer,
        Err(_) if reading.is_broken("offers", &raw.offer) => return None,
        Err(missing) => {
            reading.problem(not_found(raw.offer.place, &missing));
            return None;
        }
    };
    let card = match catalog.accelerator(&offer.accelerator) {
        Ok(card) => card,
        Err(_) if reading.is_broken("accelerators", &offer.accelerator) => return None,
        Err(missing) => {
            reading.problem(not_found(raw.offer.place, &missing));
            return None;
        }
    };
    let one = |missing| unknown(raw.offer.place, &UnknownFigures(vec![missing]));
    let cards = offer.accelerators_per_node().map_err(one);
    let cards = cards.map_err(|problem| reading.problem(problem));
    let tariff = tariff(raw, offer, catalog, reading, ledger);
    let cards = cards.ok()?;
    if cards > Inventory::MAX_CARDS_PER_NODE {
        let most = Inventory::MAX_CARDS_PER_NODE;
        let message = format!("a node of `{}` has {cards} cards; nodes have at most {most}", offer.name);
        reading.problem(Problem::error(raw.offer.place, message));
        return None;
    }
    let supply = supply(raw, (offer, cards), catalog, duration, reading, ledger);
    let power = power(raw, card, cards, reading, ledger);
    let (nodes, supply) = supply?;
    let most = nodes.max(supply.as_ref().map_or(0, |supply| supply.max));
    if u64::from(cards) * u64::from(most) > 1_000_000 {
        let message = format!("pool `{}` has more than a million cards", *raw.name);
        reading.problem(Problem::error(raw.place, message).help("lower `nodes`"));
        return None;
    }
    let used = ["memory_gb", "memory_gb_s", "link_gb_s", "bf16_tflops"];
    card.figures().into_iter().filter(|row| used.contains(&row.figure)).for_each(|row| ledger.row(row));
    let node = NodeSpec::from_catalog(offer, card);
    let fabric = match fabric(raw, node.as_ref().ok(), nodes.max(raw.nodes.most())) {
        Ok(fabric) => fabric,
        Err(why) => {
            reading.problem(Problem::error(
                raw.place,
                format!("pool `{}` has no such network: {why}", *raw.name),
            ));
            return None;
        }
    };
    let fleet = PoolConfig {
        name: raw.name.value.clone(),
        provider: offer.provider.clone(),
        offer: offer.name.clone(),
        accelerator: card.name.clone(),
        nodes,
        cards_per_node: cards,
        supply,
        host: host(raw, offer),
        fabric,
    };
    reading.sites.push(PoolSite { region: offer.region.clone(), card_power: card.tdp().ok() });
    let peak = card.peak(Precision::Bf16).ok();
    let price_path = raw.market.price_path.iter();
    let price_path = price_path.map(|(at, price)| (Instant::ZERO + *at, UsdPerHour::from_f64(*price)));
    let block = raw.market.block.map(|block| block.length);
    let price_path = price_path.collect();
    let plan = PoolPlan { fleet, tariff: tariff?, peak, price_path, block, power: power?, egress: None };
    Some(Resolved { plan, node })
}

/// The network between the nodes, where its links up are too few for all at once. Where nobody knows what a node's
/// network carries, gangs over several nodes are refused anyway.
fn fabric(raw: &RawPool, node: Option<&NodeSpec>, nodes: u32) -> Result<Option<FabricShape>, PlanError> {
    let (Some(oversubscription), Some(per_leaf)) = (raw.oversubscription, raw.nodes_per_switch) else {
        return Ok(None);
    };
    let Some(node) = node.filter(|node| oversubscription > 1.0 && node.scale_out.is_some()) else {
        return Ok(None);
    };
    let wiring = raw.rails.map_or(Wiring::Plain, Wiring::Rails);
    let fabric = node.fabric(nodes.max(1), per_leaf, wiring, oversubscription)?;
    Ok(Some(*fabric.shape()))
}

/// What a node has beside its cards: as the scenario says, or the catalogue.
fn host(raw: &RawPool, offer: &Offer) -> Host {
    let cpus = raw.cpus.or_else(|| offer.vcpus().ok().map(f64::from));
    let memory = raw.memory.or_else(|| offer.host_memory().ok());
    // The largest number stands for what nobody knows.
    let most = f64::from(u32::MAX - 1);
    Host {
        cpu_milli: cpus.map(|cpus| (cpus * 1000.0).min(most) as u32),
        memory_mib: memory.map(|memory| (memory.0 as f64 / 1_048_576.0).min(most) as u32),
        nodes_per_switch: raw.nodes_per_switch,
    }
}

fn tariff(
    raw: &RawPool,
    offer: &Offer,
    catalog: &Catalog,
    reading: &mut Reading,
    ledger: &mut Ledger,
) -> Option<Tariff> {
    let about = format!("offer {}", offer.name);
    if let Some(owned) = &raw.market.owned {
        return Some(owned_tariff(raw, owned, ledger));
    }
    let figure = match raw.price {
        Some(value) => {
            let source = format!("pool `{}` of the scenario", *raw.name);
            Figure { value, source, date: None, doubt: None }
        }
        None => match option(*raw.purchase).and_then(|option| offer.price_figure(option)) {
            Some(figure) => figure.clone(),
            None => {
                reading.problem(no_price(raw, offer));
                return None;
            }
        },
    };
    let price: UsdPerHour = figure.value;
    ledger.figure(about, &format!("{} price", *raw.purchase), format!("{} USD/h", price.as_f64()), &figure);
    let (granularity, minimum) = terms(raw, offer, catalog, reading, ledger);
    Some(Tariff {
        purchase: *raw.purchase,
        price,
        granularity: granularity?,
        minimum: minimum?,
        commitment: commitment(raw),
    })
}

/// Granularity and minimum of what is billed, each `None` after an error. A committed node is billed for the
/// window whatever they are.
fn terms(
    raw: &RawPool,
    offer: &Offer,
    catalog: &Catalog,
    reading: &mut Reading,
    ledger: &mut Ledger,
) -> (Option<Duration>, Option<Duration>) {
    let provider = catalog.provider(&offer.provider).ok();
    let granularity = provider.and_then(|provider| provider.billing_granularity.as_ref());
    let minimum = provider.and_then(|provider| provider.billing_minimum.as_ref());
    let minimum = offer.billing_minimum.as_ref().or(minimum);
    let committed = raw.purchase.is_committed();
    let mut term = |given: Option<Duration>, known: Option<&Figure<Duration>>, key: &str| {
        let (Some(figure), None, false) = (known, given, committed) else {
            if given.is_none() && !committed {
                reading.problem(unknown_term(raw, offer, key));
            }
            return given.or(committed.then_some(Duration::ZERO));
        };
        let about = format!("provider {}", offer.provider);
        ledger.figure(about, &format!("billing {key}"), figure.value.to_string(), figure);
        Some(figure.value)
    };
    (term(raw.granularity, granularity, "granularity"), term(raw.minimum, minimum, "minimum"))
}

fn unknown_term(raw: &RawPool, offer: &Offer, key: &str) -> Problem {
    let message = format!("the catalogue does not know the billing {key} of `{}`", offer.provider);
    Problem::error(raw.offer.place, message)
        .label("needed for this")
        .help(format!("supply it: {key} = \"1s\" in the pool, for example"))
}

fn no_price(raw: &RawPool, offer: &Offer) -> Problem {
    let purchase = *raw.purchase;
    let message = format!("the catalogue knows no {purchase} price of `{}`", offer.name);
    let known: Vec<&str> = Purchase::ALL
        .iter()
        .filter(|(_, purchase)| option(*purchase).is_some_and(|option| offer.price_figure(option).is_some()))
        .map(|(name, _)| *name)
        .collect();
    let problem = Problem::error(raw.purchase.place, message).label("needed for this");
    let problem = match known.is_empty() {
        true => problem,
        false => problem.help(format!("known are its prices {}", quoted(known))),
    };
    problem.help("supply it: price = ... in the pool, in US dollars an hour of a node, or in [prices]")
}

/// The terms of a reservation, where the scenario gives them.
fn commitment(raw: &RawPool) -> Option<Commitment> {
    let given = raw.market.commitment?;
    Some(Commitment {
        term: given.term,
        upfront_ppm: (given.upfront * 1e6).round() as u32,
        minimum_spend: Usd::from_micros((given.minimum_spend * 1e6).round() as i64),
        as_paid: given.as_paid,
    })
}

const HOURS_PER_YEAR: f64 = 8760.0;

/// An owned node by the hour: its price less its salvage over its life, staff and space.
fn owned_tariff(raw: &RawPool, owned: &RawOwned, ledger: &mut Ledger) -> Tariff {
    let hardware = owned.price * (1.0 - owned.salvage) / owned.life.as_hours_f64();
    let hourly = hardware + owned.staff / HOURS_PER_YEAR + owned.space * 12.0 / HOURS_PER_YEAR;
    let price = UsdPerHour::from_f64(hourly);
    let source = format!("pool `{}` of the scenario", *raw.name);
    let known = Figure { value: price, source, date: None, doubt: None };
    let about = format!("pool {}", *raw.name);
    ledger.figure(about, "an owned node", format!("{} USD/h", price.as_f64()), &known);
    let (granularity, minimum) = (Duration::ZERO, Duration::ZERO);
    Tariff { purchase: Purchase::Owned, price, granularity, minimum, commitment: None }
}

/// What a pool's nodes draw; `Some(None)` where the scenario does not say, `None` after errors.
fn power(
    raw: &RawPool,
    card: &Accelerator,
    cards: u32,
    reading: &mut Reading,
    ledger: &mut Ledger,
) -> Option<Option<PowerPlan>> {
    let Some(given) = &raw.market.power else { return Some(None) };
    let busy = match (given.busy, &card.tdp) {
        (Some(busy), _) => busy,
        (None, Some(tdp)) => {
            let about = format!("accelerator {}", card.name);
            ledger.figure(about, "tdp_w", format!("{} W", tdp.value.as_f64()), tdp);
            tdp.value.as_f64()
        }
        (None, None) => {
            let message = format!("the catalogue does not know the design power of `{}`", card.name);
            let problem = Problem::error(raw.place, message);
            reading.problem(problem.help("supply it: power = { busy_w = 700, ... } in the pool"));
            return None;
        }
    };
    let node_kw = (busy.max(given.idle) * f64::from(cards) + given.node) * given.pue / 1e3;
    let nodes = raw.nodes.most();
    let racks = given.nodes_per_rack.unwrap_or(1).min(nodes);
    for (cap, what, nodes) in [(&given.site_kw, "the site", nodes), (&given.rack_kw, "a rack", racks)] {
        if let Some(cap) = cap
            && node_kw * f64::from(nodes) > **cap
        {
            let message = format!(
                "pool `{}`: {nodes} nodes at {node_kw:.2} kW each draw more than the {} kW of {what}",
                *raw.name, **cap
            );
            reading.problem(Problem::error(cap.place, message).help("take fewer nodes, or a larger cap"));
            return None;
        }
    }
    let milliwatts = |watts: f64| (watts * given.pue * 1e3).round() as u64;
    let share = given.node / f64::from(cards);
    let idle_mw = milliwatts(given.idle + share);
    Some(Some(PowerPlan {
        idle_mw,
        more_mw: milliwatts(busy + share).saturating_sub(idle_mw),
        price: given.usd_per_kwh.map(UsdPerKwh::from_f64),
        grams_per_kwh: given.grams_per_kwh,
    }))
}
