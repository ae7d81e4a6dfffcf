//! Where the nodes of a pool come from, and how they are lost.

use super::assumptions::Ledger;
use crate::fleet::{Delay, Supply};
use crate::metrics::results::Assumption;
use crate::scenario::raw::{Count, RawPool};
use crate::units::Duration;

/// From the start of a machine to its operating system, where nobody says: nobody has published a
/// distribution for nodes with accelerators, so this is an assumption, and the report says so.
const BOOT: Duration = Duration::from_secs(180);
/// A container's image on a fresh node: 60 to 180 s (kunwar.page, chapter 52; paperscode.org; the catalogue's
/// friction `image-pull-70b`).
const IMAGE_PULL: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(180));

/// Nodes at the beginning, and where others come from.
pub fn supply(raw: &RawPool, ledger: &mut Ledger) -> (u32, Option<Supply>) {
    let (min, max, initial) = match *raw.nodes {
        Count::Fixed(nodes) => return (nodes, None),
        Count::Range { min, max, initial } => (min, max, initial),
    };
    let (low, high) = IMAGE_PULL;
    let given = raw.provisioning.as_ref();
    let assumed = |ledger: &mut Ledger, figure: &str, value: &str, source: &str, doubt: &str| {
        ledger.note(Assumption {
            about: format!("pool {}", *raw.name),
            figure: figure.to_owned(),
            value: value.to_owned(),
            source: source.to_owned(),
            date: String::new(),
            doubt: doubt.to_owned(),
        });
    };
    if given.is_none_or(|given| given.boot.is_none()) {
        let doubt = "assumed: no measured distribution was found; give `provisioning.boot`";
        assumed(ledger, "boot of a node", &BOOT.to_string(), "assumption", doubt);
    }
    if given.is_none_or(|given| given.image_pull.is_none()) {
        let doubt = "secondary source; give `provisioning.image_pull`";
        let value = format!("{low} to {high}");
        assumed(ledger, "image pull", &value, "kunwar.page, chapter 52; paperscode.org", doubt);
    }
    let pull = Delay::Uniform { low, high };
    let provisioning = given.map_or_else(
        || crate::scenario::raw::RawProvisioning::default().filled(Delay::Fixed(BOOT), pull),
        |given| given.filled(Delay::Fixed(BOOT), pull),
    );
    let mut supply = Supply { provisioning, ..Supply::new(min, max) };
    if let Some(idle_after) = raw.idle_after {
        supply.idle_after = idle_after;
    }
    (initial, Some(supply))
}
