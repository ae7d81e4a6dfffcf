//! What the market does with the nodes of a pool: stock, zones, spot, failures, maintenance, and how they are
//! bought beyond a price an hour.

use std::path::PathBuf;

use super::Surroundings;
use super::failures::{self, RawFailures};
use super::supply::delay;
use crate::fleet::{Delay, Maintenance, ZoneChoice};
use crate::scenario::dom::Value;
use crate::scenario::kinds;
use crate::scenario::problem::Problem;
use crate::scenario::reader::TableReader;
use crate::scenario::reading::{Kind, Sited, Unfit};
use crate::units::Duration;

/// What a zone has to give.
#[derive(Debug, Clone)]
pub enum RawStock {
    Fixed(u32),
    InTurns { up: Delay, down: Delay },
    Trace { file: Sited<PathBuf>, copies: u32, repeat: bool },
}

/// A zone.
#[derive(Debug)]
pub struct RawZone {
    pub name: Sited<String>,
    pub stock: Option<RawStock>,
    pub measured: Option<Sited<String>>,
}

/// Spot: how nodes are taken back.
#[derive(Debug, Default)]
pub struct RawSpot {
    pub life: Option<Delay>,
    pub notice: Option<Duration>,
    pub together: f64,
    pub max_price: Option<Sited<f64>>,
}

/// A capacity block or calendar reservation.
#[derive(Debug, Clone, Copy)]
pub struct RawBlock {
    pub start: Duration,
    pub length: Duration,
}

/// The terms of `purchase = "reserved"`.
#[derive(Debug, Clone, Copy)]
pub struct RawCommitment {
    pub term: Duration,
    pub upfront: f64,
    pub minimum_spend: f64,
    pub as_paid: bool,
}

/// A node that is bought.
#[derive(Debug)]
pub struct RawOwned {
    pub price: f64,
    pub life: Duration,
    pub salvage: f64,
    pub staff: f64,
    pub space: f64,
    pub delivery: Option<Duration>,
}

/// What nodes draw.
#[derive(Debug)]
pub struct RawPower {
    pub idle: f64,
    pub busy: Option<f64>,
    pub node: f64,
    pub pue: f64,
    pub usd_per_kwh: Option<f64>,
    pub grams_per_kwh: Option<f64>,
    pub site_kw: Option<Sited<f64>>,
    pub rack_kw: Option<Sited<f64>>,
    pub nodes_per_rack: Option<u32>,
}

/// All of it.
#[derive(Debug, Default)]
pub struct RawMarket {
    pub zones: Vec<RawZone>,
    pub zone_choice: Option<Sited<ZoneChoice>>,
    pub stock: Option<RawStock>,
    pub spot: Option<Sited<RawSpot>>,
    pub price_path: Vec<(Duration, f64)>,
    pub failures: Option<RawFailures>,
    pub maintenance: Option<Maintenance>,
    pub block: Option<RawBlock>,
    pub commitment: Option<RawCommitment>,
    pub owned: Option<RawOwned>,
    pub power: Option<RawPower>,
}

/// Watts of something electric.
const WATTS: Kind<f64> = Kind {
    what: "a power in watts, from 0 to 1e6",
    read: |value| match (kinds::NOT_NEGATIVE.read)(value)? {
        watts if watts <= 1e6 => Ok(watts),
        watts => Err(Unfit::Value(format!("it is {watts}; it must be from 0 to 1e6 W"))),
    },
};

/// Power usage effectiveness.
const PUE: Kind<f64> = Kind {
    what: "a number from 1 to 5",
    read: |value| match (kinds::POSITIVE.read)(value)? {
        pue if (1.0..=5.0).contains(&pue) => Ok(pue),
        pue => {
            Err(Unfit::Value(format!("it is {pue}; a building draws 1 to 5 times what its machines draw")))
        }
    },
};

/// A small price or amount of dollars.
const USD: Kind<f64> = Kind {
    what: "an amount in US dollars",
    read: |value| match (kinds::NOT_NEGATIVE.read)(value)? {
        usd if usd <= 1e12 => Ok(usd),
        usd => Err(Unfit::Value(format!("it is {usd}; it must be from 0 to 1e12 US dollars"))),
    },
};

/// Reads what belongs to the market from a pool's table.
pub fn read(t: &mut TableReader<'_>, around: Surroundings<'_>) -> RawMarket {
    let doc = "What the provider has to give; whatever is asked for when absent.";
    let stock = stock(t, around, doc);
    let doc = "The provider's zones, in order of preference; each holds its own nodes.";
    let zones = t.tables("zones", "zone", doc, |t| {
        let name = t.required("name", &kinds::NAME, "Its name.");
        let stock = self::stock(t, around, "What the provider has to give there; the pool's when absent.");
        let doc = "A zone whose spot capacity was probed, as in \"AWS1/us-east-1f\": how long there is some and \
                   how long there is none.";
        let measured = t.optional("measured", &kinds::REFERENCE, doc);
        Some(RawZone { name: name?, stock, measured })
    });
    let doc = "Which zone is asked: the first that has a node (listed), or spread over zones and away from those \
               that took nodes back (spot-hedge, as SkyServe does).";
    let chosen = t.has("zone_choice") || t.is_describing();
    let zone_choice =
        if chosen { t.choice("zone_choice", &ZoneChoice::ALL, &[], Some("listed"), doc) } else { None };
    let spot_place = t.place_of("spot");
    let spot = t.table("spot", "How the provider takes spot nodes back.", spot);
    let price_path = t.tables("price_path", "price", "Prices from a time on, instead of one price.", |t| {
        let at = t.required("at", &kinds::TIME, "From when on.");
        let price = t.required("price", &kinds::USD_PER_HOUR, "US dollars an hour of a node.");
        Some((at?, *price?))
    });
    if let Some(pair) = price_path.windows(2).find(|pair| *pair[0].0 >= *pair[1].0) {
        let problem = Problem::error(pair[1].0.place, "the times of price_path do not ascend");
        t.problem(problem.help("each must be later than the one before"));
    }
    let failures = t.table("failures", "How nodes break.", |t| failures::read(t, around));
    let doc = "Nodes are taken out one after the other.";
    let maintenance = t.table("maintenance", doc, |t| {
        let first = t.required("first", &kinds::TIME, "When the first node is taken out.");
        let every = t.required("every", &kinds::POSITIVE_TIME, "The round begins again after so long.");
        let length = t.required("length", &kinds::POSITIVE_TIME, "How long each node is out.");
        let doc = "How long before it takes no new work; no time when absent.";
        let notice = t.optional("notice", &kinds::TIME, doc);
        let notice = notice.map_or(Duration::ZERO, |time| *time);
        Some(Maintenance { first: *first?, every: *every?, length: *length?, notice })
    });
    let block = t.table("block", "When a capacity block holds.", |t| {
        let start = t.required("start", &kinds::TIME, "When it begins.");
        let length = t.required("length", &kinds::POSITIVE_TIME, "How long it lasts; all of it is paid.");
        Some(RawBlock { start: *start?, length: *length? })
    });
    let commitment = t.table("commitment", "The terms of `purchase = \"reserved\"`.", commitment);
    let owned = t.table("owned", "What an owned node costs beside electricity.", owned);
    let power = t.table("power", "What nodes draw; without it energy is not told.", power);
    RawMarket {
        zones,
        zone_choice,
        stock,
        spot: spot.map(|value| Sited { value, place: spot_place }),
        price_path: price_path.into_iter().map(|(at, price)| (*at, price)).collect(),
        failures,
        maintenance,
        block,
        commitment,
        owned,
        power,
    }
}

pub(super) fn needed_delay(t: &mut TableReader<'_>, key: &'static str, doc: &'static str) -> Option<Delay> {
    if !t.has(key) && !t.is_describing() {
        t.missing(key, doc, "a time such as \"1000h\", or a table with a distribution");
    }
    delay(t, key, doc)
}

fn stock(t: &mut TableReader<'_>, around: Surroundings<'_>, doc: &'static str) -> Option<RawStock> {
    let kind = Kind {
        what: "a number of nodes",
        read: |value| match value {
            Value::Integer(0) => Ok(0),
            other => (kinds::COUNT.read)(other),
        },
    };
    t.short_or_table("stock", &kind, doc, RawStock::Fixed, |t| {
        let doc = "A trace of how many nodes there are: SkyPilot's JSON (`gap_seconds`, `data`), SpotServe's \
                   lines of nodes added and removed, or CSV with the columns time_s, nodes.";
        let file = t.optional("trace", &kinds::PATH, doc);
        let doc = "Under `trace`: each node of the trace stands for so many.";
        let copies = t.optional("copies", &kinds::COUNT, doc);
        let doc =
            "Under `trace`: begin again when it ends; a trace shorter than the run is an error otherwise.";
        let repeat = t.optional("repeat", &kinds::BOOL, doc);
        let up = delay(t, "up", "How long there is as much as is asked for, in turns with `down`.");
        let down = delay(t, "down", "How long there is nothing.");
        match (file, up, down) {
            (Some(file), None, None) => {
                let path = around.path(&file);
                t.file_exists(&file, &path, &[]);
                t.absolute("trace", &path);
                let file = Sited { value: path, place: file.place };
                let copies = copies.map_or(1, |copies| *copies);
                Some(RawStock::Trace { file, copies, repeat: repeat.is_some_and(|repeat| *repeat) })
            }
            (None, Some(up), Some(down)) => Some(RawStock::InTurns { up, down }),
            _ if t.is_describing() => None,
            _ => {
                let message = format!("{} is neither a trace nor turns of `up` and `down`", t.noun());
                let help = "give { trace = \"zone.json\" } or { up = \"6h\", down = \"1h\" }";
                t.problem(Problem::error(t.place, message).help(help));
                None
            }
        }
    })
}

fn spot(t: &mut TableReader<'_>) -> Option<RawSpot> {
    let doc = "Preemptions an hour of a node, as a number: the hazard of a life without memory.";
    let rate = t.optional("rate", &kinds::POSITIVE, doc);
    let life = delay(t, "life", "How long a node is left alone, instead of `rate`.");
    if let (Some(rate), Some(_)) = (&rate, &life) {
        let problem = Problem::error(rate.place, format!("{} has both `rate` and `life`", t.noun()));
        t.problem(problem.help("keep one of them"));
    }
    let notice =
        t.optional("notice", &kinds::TIME, "From the notice to the end; the provider's when absent.");
    let doc = "The share of preemptions that come to all nodes of a zone at once; 0 when absent.";
    let together = t.optional("together", &kinds::SHARE, doc);
    let doc = "Nodes are taken back while the price of `price_path` is above this, US dollars an hour.";
    let max_price = t.optional("max_price", &kinds::USD_PER_HOUR, doc);
    let by_rate = rate.map(|rate| Delay::Exponential { mean: Duration::from_secs_f64(3600.0 / *rate) });
    let life = life.or(by_rate);
    if let (Some(together), Some(life)) = (&together, &life)
        && **together > 0.0
        && !matches!(life, Delay::Exponential { .. })
    {
        let message = format!("{}: `together` needs a life without memory", t.noun());
        t.problem(Problem::error(together.place, message).help("give `rate` instead of `life`"));
    }
    Some(RawSpot {
        life,
        notice: notice.map(|time| *time),
        together: together.map_or(0.0, |share| *share),
        max_price,
    })
}

fn commitment(t: &mut TableReader<'_>) -> Option<RawCommitment> {
    let term = t.required("term", &kinds::POSITIVE_TIME, "How long it holds, as in \"1y\".");
    let doc = "The share of the whole term's price that is paid at its beginning; 0 when absent.";
    let upfront = t.optional("upfront", &kinds::SHARE, doc);
    let doc =
        "The least that is spent over the term, US dollars; the window's part of it is due in any case.";
    let minimum_spend = t.optional("minimum_spend", &USD, doc);
    let doc = "Tell what is paid upfront when it is paid, and not spread over the term; false when absent.";
    let as_paid = t.optional("as_paid", &kinds::BOOL, doc);
    Some(RawCommitment {
        term: *term?,
        upfront: upfront.map_or(0.0, |share| *share),
        minimum_spend: minimum_spend.map_or(0.0, |usd| *usd),
        as_paid: as_paid.is_some_and(|as_paid| *as_paid),
    })
}

fn owned(t: &mut TableReader<'_>) -> Option<RawOwned> {
    let price = t.required("price", &USD, "Price of a node, US dollars.");
    let life = t.required("life", &kinds::POSITIVE_TIME, "How long it is used, as in \"4y\".");
    let doc = "The share of the price that it is worth in the end; 0 when absent.";
    let salvage = t.optional("salvage", &kinds::SHARE, doc);
    let staff = t.optional("staff_per_year", &USD, "Staff for a node, US dollars a year.");
    let space = t.optional("space_per_month", &USD, "Space for a node, US dollars a month.");
    let doc = "How long it takes from the beginning of the run to be there; it is paid from then on.";
    let delivery = t.optional("delivery", &kinds::TIME, doc);
    Some(RawOwned {
        price: *price?,
        life: *life?,
        salvage: salvage.map_or(0.0, |share| *share),
        staff: staff.map_or(0.0, |usd| *usd),
        space: space.map_or(0.0, |usd| *usd),
        delivery: delivery.map(|time| *time).filter(|time| !time.is_zero()),
    })
}

fn power(t: &mut TableReader<'_>) -> Option<RawPower> {
    let idle = t.required("idle_w", &WATTS, "What a card draws while it does not compute, W.");
    let doc = "What a card draws while it computes, W; its design power when absent.";
    let busy = t.optional("busy_w", &WATTS, doc);
    let node = t.optional("node_w", &WATTS, "What the rest of a node draws, W; 0 when absent.");
    let doc = "What the building draws for each watt of its machines; 1 when absent.";
    let pue = t.optional("pue", &PUE, doc);
    let doc = "Price of electricity, US dollars a kWh; not billed when absent (a cloud's price has it).";
    let usd_per_kwh = t.optional("usd_per_kwh", &USD, doc);
    let doc = "Grams of CO2 equivalent a kWh of the grid there; emissions are not told when absent.";
    let grams = t.optional("g_co2e_per_kwh", &kinds::NOT_NEGATIVE, doc);
    let site_kw = t.optional("site_kw", &kinds::POSITIVE, "Most that the site can draw for this pool, kW.");
    let rack_kw = t.optional("rack_kw", &kinds::POSITIVE, "Most that a rack can draw, kW.");
    let nodes_per_rack = t.optional("nodes_per_rack", &kinds::COUNT, "Nodes in a rack; 1 when absent.");
    let plain = |value: Option<Sited<f64>>| value.map(|value| *value);
    Some(RawPower {
        idle: *idle?,
        busy: plain(busy),
        node: node.map_or(0.0, |watts| *watts),
        pue: pue.map_or(1.0, |pue| *pue),
        usd_per_kwh: plain(usd_per_kwh),
        grams_per_kwh: plain(grams),
        site_kw,
        rack_kw,
        nodes_per_rack: nodes_per_rack.map(|count| *count),
    })
}
