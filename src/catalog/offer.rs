//! Offers: an instance of a provider with its prices.

use crate::units::{Bytes, BytesPerSecond, Duration, UsdPerHour};

use super::figure::{EntryName, Figure, FigureRow, Unknown};
use super::origin::{BadEntry, Sources, entry_fields};

/// How a node is bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Purchase {
    /// By the hour, without commitment.
    #[serde(rename = "on-demand")]
    OnDemand,
    /// Spare capacity that the provider may take back.
    #[serde(rename = "spot")]
    Spot,
    /// Committed and paid for one year.
    #[serde(rename = "reserved-1y")]
    Reserved1y,
    /// Committed and paid for three years.
    #[serde(rename = "reserved-3y")]
    Reserved3y,
}

impl Purchase {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::OnDemand, Self::Spot, Self::Reserved1y, Self::Reserved3y];

    /// The name in scenarios: `reserved-3y`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::Spot => "spot",
            Self::Reserved1y => "reserved-1y",
            Self::Reserved3y => "reserved-3y",
        }
    }

    /// The key of its price in data files and scenarios.
    pub const fn key(self) -> &'static str {
        match self {
            Self::OnDemand => "on_demand_usd_h",
            Self::Spot => "spot_usd_h",
            Self::Reserved1y => "reserved_1y_usd_h",
            Self::Reserved3y => "reserved_3y_usd_h",
        }
    }
}

/// What a provider rents out: a node, its cards, its prices by purchase option.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Offer {
    /// `provider/instance`, for example `aws/p5.48xlarge`.
    pub name: String,
    /// Other names for it.
    pub aliases: Vec<String>,
    /// The provider's name, for example `aws`.
    pub provider: String,
    /// The region of the prices, in the provider's words; empty when it is not stated.
    pub region: String,
    /// The accelerator's name, for example `H100-SXM5`.
    pub accelerator: String,
    /// Cards in a node.
    pub accelerators_per_node: Option<Figure<u32>>,
    /// Virtual processors of a node.
    pub vcpus: Option<Figure<u32>>,
    /// Host memory of a node.
    pub host_memory: Option<Figure<Bytes>>,
    /// The node's network beyond itself, in one direction.
    pub network: Option<Figure<BytesPerSecond>>,
    /// The least that one start of this node is billed, where it differs from the provider's.
    pub billing_minimum: Option<Figure<Duration>>,
    /// Prices of a node in the order of [`Purchase::ALL`].
    pub prices: [Option<Figure<UsdPerHour>>; 4],
    /// A remark for the reader.
    pub note: String,
}

entry_fields! {
    /// An offer as data files and scenarios write it.
    OfferFields ("offer") {
        words {
            /// The provider's name; the part of the offer's name before `/` when left out.
            provider: String,
            /// The region of the prices.
            region: String,
            /// The accelerator's name.
            accelerator: String,
            /// A remark for the reader.
            note: String,
        }
        figures {
            /// Cards in a node.
            accelerators_per_node: u32,
            /// Virtual processors of a node.
            vcpus: u32,
            /// Host memory of a node, 2³⁰ bytes.
            host_memory_gib: f64,
            /// The node's network beyond itself, 10⁹ bits a second.
            network_gbit_s: f64,
            /// The least that one start of this node is billed, where it differs from the provider's.
            billing_minimum: String,
            /// On-demand price of a node, USD an hour.
            on_demand_usd_h: f64,
            /// Spot price of a node, USD an hour.
            spot_usd_h: f64,
            /// Price of a node reserved for a year, USD an hour.
            reserved_1y_usd_h: f64,
            /// Price of a node reserved for three years, USD an hour.
            reserved_3y_usd_h: f64,
        }
    }
}

impl Offer {
    fn entry(&self) -> EntryName<'_> {
        EntryName { kind: "offer", name: &self.name }
    }

    /// The price of a node by the hour.
    ///
    /// # Errors
    /// When the provider does not sell it so, or nobody wrote the price down.
    pub fn price(&self, purchase: Purchase) -> Result<UsdPerHour, Unknown> {
        self.entry().need(purchase.key(), self.prices[purchase as usize].as_ref())
    }

    /// The price with its provenance, where it is known.
    pub fn price_figure(&self, purchase: Purchase) -> Option<&Figure<UsdPerHour>> {
        self.prices[purchase as usize].as_ref()
    }

    /// Cards in a node.
    ///
    /// # Errors
    /// When it is not known.
    pub fn accelerators_per_node(&self) -> Result<u32, Unknown> {
        self.entry().need("accelerators_per_node", self.accelerators_per_node.as_ref())
    }

    /// Host memory of a node.
    ///
    /// # Errors
    /// When it is not known.
    pub fn host_memory(&self) -> Result<Bytes, Unknown> {
        self.entry().need("host_memory_gib", self.host_memory.as_ref())
    }

    /// Virtual processors of a node.
    ///
    /// # Errors
    /// When it is not known.
    pub fn vcpus(&self) -> Result<u32, Unknown> {
        self.entry().need("vcpus", self.vcpus.as_ref())
    }

    /// Every figure, known or not, in a fixed order.
    pub fn figures(&self) -> Vec<FigureRow> {
        let entry = self.entry();
        let memory = self
            .host_memory
            .clone()
            .map(|known| known.map(|bytes| super::figure::plain(bytes.0 as f64 / 1_073_741_824.0)));
        let network = self
            .network
            .clone()
            .map(|known| known.map(|rate| super::figure::plain(rate.as_f64() * 8.0 / 1e9)));
        let mut rows = vec![
            entry.row("accelerators_per_node", self.accelerators_per_node.as_ref()),
            entry.row("vcpus", self.vcpus.as_ref()),
            FigureRow { unit: "GiB", ..entry.row("host_memory_gib", memory.as_ref()) },
            FigureRow { unit: "Gbit/s", ..entry.row("network_gbit_s", network.as_ref()) },
        ];
        if self.billing_minimum.is_some() {
            rows.push(entry.row("billing_minimum", self.billing_minimum.as_ref()));
        }
        rows.extend(
            Purchase::ALL.map(|purchase| entry.row(purchase.key(), self.prices[purchase as usize].as_ref())),
        );
        rows
    }

    /// Lays fields over this entry.
    ///
    /// # Errors
    /// When a value is impossible or a provenance key names no figure.
    pub(super) fn apply(&mut self, fields: &OfferFields, known: &Sources) -> Result<(), BadEntry> {
        let origin = fields.origin(known)?;
        self.name.clone_from(&fields.name);
        self.aliases.extend(fields.aliases.iter().cloned());
        let words = [
            (&mut self.provider, &fields.provider),
            (&mut self.region, &fields.region),
            (&mut self.accelerator, &fields.accelerator),
            (&mut self.note, &fields.note),
        ];
        for (slot, word) in words {
            if let Some(word) = word {
                slot.clone_from(word);
            }
        }
        if self.provider.is_empty() {
            let provider = self.name.split_once('/').map(|(provider, _)| provider.to_owned());
            self.provider = provider.ok_or_else(|| {
                origin.bad("provider", "is missing; name the offer `provider/instance` or set it".to_owned())
            })?;
        }
        if self.accelerator.is_empty() {
            return Err(origin.bad("accelerator", "is missing; name the card in the node".to_owned()));
        }
        origin.count(
            &mut self.accelerators_per_node,
            "accelerators_per_node",
            fields.accelerators_per_node,
        )?;
        origin.count(&mut self.vcpus, "vcpus", fields.vcpus)?;
        origin.number(&mut self.host_memory, "host_memory_gib", fields.host_memory_gib, |gib| {
            Bytes((gib * 1_073_741_824.0).round() as u64)
        })?;
        origin.number(&mut self.network, "network_gbit_s", fields.network_gbit_s, |gbit| {
            BytesPerSecond::from_gb_s(gbit / 8.0)
        })?;
        if let Some(text) = &fields.billing_minimum {
            let time =
                Duration::parse(text).map_err(|error| origin.bad("billing_minimum", error.to_string()))?;
            origin.set(&mut self.billing_minimum, "billing_minimum", Some(time));
        }
        for (purchase, value) in [
            (Purchase::OnDemand, fields.on_demand_usd_h),
            (Purchase::Spot, fields.spot_usd_h),
            (Purchase::Reserved1y, fields.reserved_1y_usd_h),
            (Purchase::Reserved3y, fields.reserved_3y_usd_h),
        ] {
            let slot = &mut self.prices[purchase as usize];
            origin.price(slot, purchase.key(), value, UsdPerHour::from_f64)?;
        }
        Ok(())
    }
}
