//! `[[pools]]` and `[prices]`.

use std::path::PathBuf;

use super::Surroundings;
use super::market::{self, RawMarket};
use super::supply::{self, Count, RawProvisioning};
use crate::billing::Purchase;
use crate::scenario::kinds;
use crate::scenario::problem::{Place, Problem};
use crate::scenario::reader::TableReader;
use crate::scenario::reading::{Kind, Sited, Unfit};
use crate::units::{Bytes, Duration, UsdPerHour};

/// A pool.
#[derive(Debug)]
pub struct RawPool {
    pub name: Sited<String>,
    pub offer: Sited<String>,
    pub purchase: Sited<Purchase>,
    pub nodes: Sited<Count>,
    pub provisioning: Option<RawProvisioning>,
    pub idle_after: Option<Duration>,
    pub price: Option<UsdPerHour>,
    pub granularity: Option<Duration>,
    pub minimum: Option<Duration>,
    pub market: RawMarket,
    /// CPUs of a node.
    pub cpus: Option<f64>,
    /// Host memory of a node.
    pub memory: Option<Bytes>,
    pub nodes_per_switch: Option<u32>,
    /// US dollars a gigabyte that leaves.
    pub egress_price: Option<Sited<f64>>,
    pub oversubscription: Option<f64>,
    pub rails: Option<u32>,
    pub place: Place,
}

/// `[prices]`.
#[derive(Debug, Default)]
pub struct RawPrices {
    /// A share off every price of the catalogue that is not overridden.
    pub discount: f64,
    /// A price list.
    pub file: Option<Sited<PathBuf>>,
    /// Prices by offer.
    pub offers: Vec<OfferPrices>,
}

/// Prices of one offer.
#[derive(Debug)]
pub struct OfferPrices {
    pub offer: Sited<String>,
    pub prices: Vec<(Purchase, Sited<UsdPerHour>)>,
}

/// Reads one pool.
pub fn read(t: &mut TableReader<'_>, around: Surroundings<'_>) -> Option<RawPool> {
    let name = t.required("name", &kinds::NAME, "Its name.");
    let offer = t.required("offer", &kinds::REFERENCE, "What is bought, as in \"aws/p5.48xlarge\".");
    let purchase = t.choice(
        "purchase",
        &Purchase::ALL,
        &["per-token"],
        Some("on-demand"),
        "How it is bought; reserved nodes are paid whether used or not.",
    );
    let nodes = supply::count(t);
    let provisioning = supply::provisioning(t);
    let doc = "A node beyond the minimum with nothing on it is given back after so long, where no node \
               autoscaler decides; \"10m\" when absent.";
    let idle_after = t.optional("idle_after", &kinds::TIME, doc);
    let doc = "Price of a node in US dollars an hour; the catalogue's or [prices] when absent.";
    let price = t.optional("price", &kinds::USD_PER_HOUR, doc);
    let doc = "Billed time is rounded up to a multiple of this; the provider's when absent.";
    let granularity = t.optional("granularity", &kinds::TIME, doc);
    let doc = "Billed time is at least this; the provider's when absent.";
    let minimum = t.optional("minimum", &kinds::TIME, doc);
    let market = market::read(t, around);
    let doc = "CPUs of a node, for jobs that ask for some; the catalogue's when absent.";
    let cpus = t.optional("cpus", &kinds::POSITIVE, doc);
    let doc =
        "Host memory of a node, for jobs that ask for some, as in \"2 TiB\"; the catalogue's when absent.";
    let memory = t.optional("memory", &kinds::BYTES, doc);
    let doc = "Nodes that hang off one switch, in order of their numbers, for `placement = \"topology\"` and for how \
               long gangs under several switches take; the whole pool when absent.";
    let nodes_per_switch = t.optional("nodes_per_switch", &kinds::COUNT, doc);
    let doc = "What a switch's links down to its nodes carry over its links up to the spine; 1 or absent does not \
         block. Training jobs and replicas over several nodes share the links up, and take as much longer as that \
         leaves them less bandwidth.";
    let oversubscription = t.optional("oversubscription", &kinds::POSITIVE, doc);
    let doc = "US dollars a GB of images that leave the cloud; the provider's price by volume when absent.";
    let egress_price = t.optional("egress_price", &kinds::USD_PER_GB, doc);
    let doc = "Rails of the fabric: each node's network cards go to so many switches of their own (rail-optimised); \
               all to one when absent.";
    let rails = t.optional("rails", &kinds::COUNT, doc);
    t.later(&[
        ("min_nodes", "autoscaled pools are"),
        ("max_nodes", "autoscaled pools are"),
        ("autoscaler", "node autoscalers are"),
        ("region", "regions are"),
    ]);
    Some(RawPool {
        name: name?,
        offer: offer?,
        purchase: purchase?,
        nodes: nodes?,
        provisioning,
        idle_after: idle_after.map(|time| *time),
        price: price.map(|price| UsdPerHour::from_f64(*price)),
        granularity: granularity.map(|granularity| *granularity),
        minimum: minimum.map(|minimum| *minimum),
        market,
        cpus: cpus.map(|cpus| *cpus),
        memory: memory.map(|memory| *memory),
        egress_price,
        nodes_per_switch: nodes_per_switch.map(|nodes| *nodes),
        oversubscription: oversubscription.map(|times| times.max(1.0)),
        rails: rails.map(|rails| *rails),
        place: t.place,
    })
}

/// The keys of prices.
pub const PRICE_KEYS: [(&str, Purchase); 4] = [
    ("on_demand", Purchase::OnDemand),
    ("reserved_1y", Purchase::Reserved1y),
    ("reserved_3y", Purchase::Reserved3y),
    ("spot", Purchase::Spot),
];

/// Reads `[prices]`.
pub fn prices(t: &mut TableReader<'_>, around: Surroundings<'_>) -> RawPrices {
    let doc = "A private price list: by offer, as in \"aws/p5.48xlarge\" = { on_demand = 40.0 }.";
    let prices = t.table("prices", doc, |t| {
        let doc = "A share off every catalogue price that is not given here.";
        let discount = t.optional("discount", &DISCOUNT, doc);
        let doc = "A CSV file with the columns offer, on_demand_usd_per_hour, reserved_1y_usd_per_hour, \
                   reserved_3y_usd_per_hour, spot_usd_per_hour; empty cells change nothing.";
        let file = t.optional("file", &kinds::PATH, doc);
        let file = file.map(|file| {
            let path = around.path(&file);
            t.file_exists(&file, &path, &[]);
            t.absolute("file", &path);
            Sited { value: path, place: file.place }
        });
        let mut offers = Vec::new();
        for (key, place) in t.other_keys() {
            offers.extend(t.other(&key, "Prices of a node of this offer.", |t| {
                let prices = PRICE_KEYS.map(|(key, purchase)| {
                    let price = t.optional(key, &kinds::USD_PER_HOUR, "US dollars an hour.");
                    price.map(|p| (purchase, Sited { value: UsdPerHour::from_f64(*p), place: p.place }))
                });
                if prices.iter().all(Option::is_none) && !t.is_describing() {
                    let message = format!("{} gives no price", t.noun());
                    let help = "give on_demand, reserved_1y, reserved_3y or spot in US dollars an hour";
                    t.problem(Problem::error(t.place, message).help(help));
                }
                let offer = Sited { value: key.clone(), place };
                Some(OfferPrices { offer, prices: prices.into_iter().flatten().collect() })
            }));
        }
        Some(RawPrices { discount: discount.map_or(0.0, |discount| *discount), file, offers })
    });
    prices.unwrap_or_default()
}

const DISCOUNT: Kind<f64> = Kind {
    what: "a share from 0 to 1",
    read: |value| match (kinds::SHARE.read)(value)? {
        1.0 => Err(Unfit::Value("a discount of 1 makes everything free; 10 % off is 0.1".to_owned())),
        share => Ok(share),
    },
};
