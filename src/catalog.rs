//! What the world sells: accelerators, offers, providers, hosted models, models and frictions.
//!
//! The data files lie beside the code and are embedded; each figure carries its source, its date and
//! what is doubtful about it. What nobody published stays unknown, and using it is an error that says
//! which key supplies it. A scenario lays its own entries over these in the same form.
//!
//! ```
//! use fleetsim::catalog::{Catalog, Precision, Purchase};
//! let catalog = Catalog::embedded();
//! let card = catalog.accelerator("H100-SXM5")?;
//! assert_eq!(card.peak(Precision::Bf16)?.as_f64(), 989e12);
//! let offer = catalog.offer("aws/p5.48xlarge")?;
//! assert_eq!(offer.price(Purchase::OnDemand)?.as_f64(), 55.04);
//! assert_eq!(catalog.model("llama-3.1-70b")?.architecture()?.layers, 80);
//! let wrong = catalog.model("llama-3.1-70").unwrap_err();
//! assert_eq!(wrong.nearest[0], "llama-3.1-70b");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::sync::LazyLock;

mod accelerator;
mod architecture;
mod embedded;
mod figure;
mod friction;
mod hosted;
mod model;
mod network;
mod offer;
mod origin;
mod precision;
mod provider;
mod shelf;
mod spot_zone;

pub use accelerator::{Accelerator, AcceleratorFields, Interconnect, LinkClass, peak_key};
pub use architecture::{
    Architecture, Attention, Experts, FeedForward, Heads, Latent, Positional, SlidingWindow,
};
pub use figure::{Figure, FigureRow, Shown, Unknown};
pub use friction::{Friction, FrictionFields};
pub use hosted::{HostedFields, HostedModel};
pub use model::{Model, ModelFields};
pub use network::NetworkClass;
pub use offer::{Offer, OfferFields, Purchase};
pub use origin::BadEntry;
pub use precision::{ParsePrecisionError, Precision};
pub use provider::{EgressPrices, EgressTier, Provider, ProviderFields};
pub use shelf::NotFound;
pub use spot_zone::{SOURCE as SPOT_ZONES_SOURCE, SpotZone, spot_zones};

use crate::units::{Duration, UsdPerHour};
use shelf::Shelf;

/// All that is known, by name; entries of the user lie over those that are built in.
#[derive(Debug, Clone)]
pub struct Catalog {
    sources: origin::Sources,
    accelerators: Shelf<Accelerator>,
    models: Shelf<Model>,
    offers: Shelf<Offer>,
    providers: Shelf<Provider>,
    hosted: Shelf<HostedModel>,
    frictions: Shelf<Friction>,
}

/// Why an entry of the user could not be laid into the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// A field of the entry is wrong.
    #[error(transparent)]
    Bad(#[from] BadEntry),
    /// The entry refers to one that does not exist.
    #[error("{kind} `{entry}`: {missing}")]
    Dangling {
        /// The kind of the entry.
        kind: &'static str,
        /// The entry that refers.
        entry: String,
        /// What it refers to.
        missing: NotFound,
    },
}

/// Lookups, listing and laying over, the same for each kind of entry.
macro_rules! shelf_methods {
    ($shelf:ident: $entry:ty, $fields:ty, $kind:literal, $get:ident, $all:ident, $put:ident, $add:ident) => {
        #[doc = concat!("The ", $kind, " of this name or alias; case, blanks and underscores don't matter.")]
        ///
        /// # Errors
        /// When there is none; the error carries the nearest names.
        pub fn $get(&self, name: &str) -> Result<&$entry, NotFound> {
            self.$shelf.get(name)
        }

        #[doc = concat!("Every ", $kind, ", in the order of the data files, the user's own last.")]
        pub fn $all(&self) -> impl Iterator<Item = &$entry> {
            self.$shelf.iter()
        }

        #[doc = concat!("Puts a whole ", $kind, " in place of the one of the same name, or adds it.")]
        pub fn $put(&mut self, entry: $entry) {
            let (name, aliases) = (entry.name.clone(), entry.aliases.clone());
            self.$shelf.put(&name, &aliases, entry);
        }

        #[doc = concat!("Lays fields over the ", $kind, " of their name; a new one starts from `like`, or from nothing.")]
        /// Figures without a `source` are marked as given by the user.
        ///
        /// # Errors
        /// When a value is impossible or `like` names nothing; the catalogue is then unchanged.
        pub fn $add(&mut self, fields: &$fields) -> Result<(), AddError> {
            let dangling = |missing| AddError::Dangling { kind: $kind, entry: fields.name.clone(), missing };
            let mut entry = match (&fields.like, self.$shelf.named(&fields.name)) {
                (Some(like), _) => {
                    let base = self.$shelf.get(like).map_err(dangling)?;
                    <$entry>::clone_as_new(base)
                }
                (None, Some(known)) => known.clone(),
                (None, None) => <$entry>::default(),
            };
            entry.apply(fields, &self.sources)?;
            self.$put(entry);
            Ok(())
        }
    };
}

/// A copy under a new name answers to none of the old names.
trait CloneAsNew: Clone {
    fn clone_as_new(&self) -> Self;
}

macro_rules! clone_as_new {
    ($($entry:ty),*) => { $(
        impl CloneAsNew for $entry {
            fn clone_as_new(&self) -> Self {
                Self { aliases: Vec::new(), ..self.clone() }
            }
        }
    )* };
}
clone_as_new!(Accelerator, Model, Offer, Provider, HostedModel, Friction);

impl Catalog {
    /// What is built in, as a copy that the user's entries can be laid over. Parsed once a process.
    pub fn embedded() -> Self {
        static EMBEDDED: LazyLock<Catalog> = LazyLock::new(|| match embedded::load() {
            Ok(catalog) => catalog,
            // The data files are part of the program, and a test loads them.
            Err(error) => unreachable!("the embedded catalogue does not load: {error}"),
        });
        EMBEDDED.clone()
    }

    fn empty(sources: origin::Sources) -> Self {
        Self {
            sources,
            accelerators: Shelf::new("accelerator"),
            models: Shelf::new("model"),
            offers: Shelf::new("offer"),
            providers: Shelf::new("provider"),
            hosted: Shelf::new("hosted"),
            frictions: Shelf::new("friction"),
        }
    }

    shelf_methods!(accelerators: Accelerator, AcceleratorFields, "accelerator", accelerator, accelerators, put_accelerator, add_accelerator);
    shelf_methods!(models: Model, ModelFields, "model", model, models, put_model, add_model);
    shelf_methods!(offers: Offer, OfferFields, "offer", offer, offers, put_offer, add_offer);
    shelf_methods!(providers: Provider, ProviderFields, "provider", provider, providers, put_provider, add_provider);
    shelf_methods!(hosted: HostedModel, HostedFields, "hosted", hosted_model, hosted_models, put_hosted, add_hosted);
    shelf_methods!(frictions: Friction, FrictionFields, "friction", friction, frictions, put_friction, add_friction);

    /// Sets one price of an offer, from a private price list.
    ///
    /// # Errors
    /// When there is no such offer; the error carries the nearest names.
    pub fn override_price(
        &mut self,
        offer: &str,
        purchase: Purchase,
        price: Figure<UsdPerHour>,
    ) -> Result<(), NotFound> {
        match self.offers.get_mut(offer) {
            Some(entry) => {
                entry.prices[purchase as usize] = Some(price);
                Ok(())
            }
            None => self.offers.get(offer).map(|_| ()),
        }
    }

    /// The least that one start of a node of this offer is billed: the offer's own rule, or its provider's.
    ///
    /// # Errors
    /// When neither is known (an offer's provider that is no entry counts as one that knows nothing).
    pub fn billing_minimum(&self, offer: &Offer) -> Result<Duration, Unknown> {
        match (&offer.billing_minimum, self.provider(&offer.provider)) {
            (Some(own), _) => Ok(own.value),
            (None, Ok(provider)) => provider.billing_minimum(),
            (None, Err(_)) => {
                Provider { name: offer.provider.clone(), ..Provider::default() }.billing_minimum()
            }
        }
    }

    /// Checks that every offer's accelerator and provider, and every hosted model's provider and model, exist.
    ///
    /// # Errors
    /// All that do not.
    pub fn check_references(&self) -> Result<(), Vec<AddError>> {
        let mut errors = Vec::new();
        let mut note = |kind, entry: &str, result: Result<(), NotFound>| {
            if let Err(missing) = result {
                errors.push(AddError::Dangling { kind, entry: entry.to_owned(), missing });
            }
        };
        for offer in self.offers() {
            note("offer", &offer.name, self.accelerator(&offer.accelerator).map(|_| ()));
            note("offer", &offer.name, self.provider(&offer.provider).map(|_| ()));
        }
        for hosted in self.hosted_models() {
            note("hosted", &hosted.name, self.provider(&hosted.provider).map(|_| ()));
            if !hosted.model.is_empty() {
                note("hosted", &hosted.name, self.model(&hosted.model).map(|_| ()));
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}
