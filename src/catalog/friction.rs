//! Frictions: how long things take that no price list says, and what comes with a commitment.

use crate::units::Duration;

use super::figure::{EntryName, Figure, FigureRow};
use super::origin::{BadEntry, Sources, entry_fields};

/// A delay, a rate or a discount that somebody reported.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Friction {
    /// Its name, for example `weights-70b-bf16`.
    pub name: String,
    /// Other names for it.
    pub aliases: Vec<String>,
    /// What it applies to.
    pub applies_to: String,
    /// A remark for the reader.
    pub note: String,
    /// What was reported, in words.
    pub reported: Option<Figure<String>>,
    /// The least duration reported, where it is one.
    pub least: Option<Figure<Duration>>,
    /// The greatest duration reported, where it is one; equal to `least` for a single value.
    pub greatest: Option<Figure<Duration>>,
}

entry_fields! {
    /// A friction as data files write it.
    FrictionFields ("friction") {
        words {
            /// What it applies to.
            applies_to: String,
            /// A remark for the reader.
            note: String,
        }
        figures {
            /// What was reported, in words.
            reported: String,
            /// The least duration reported.
            least: String,
            /// The greatest duration reported.
            greatest: String,
        }
    }
}

impl Friction {
    /// Every figure, known or not, in a fixed order.
    pub fn figures(&self) -> Vec<FigureRow> {
        let entry = EntryName { kind: "friction", name: &self.name };
        vec![
            entry.row("reported", self.reported.as_ref()),
            entry.row("least", self.least.as_ref()),
            entry.row("greatest", self.greatest.as_ref()),
        ]
    }

    /// Lays fields over this entry.
    ///
    /// # Errors
    /// When a value is impossible or a provenance key names no figure.
    pub(super) fn apply(&mut self, fields: &FrictionFields, known: &Sources) -> Result<(), BadEntry> {
        let origin = fields.origin(known)?;
        self.name.clone_from(&fields.name);
        self.aliases.extend(fields.aliases.iter().cloned());
        for (slot, word) in [(&mut self.applies_to, &fields.applies_to), (&mut self.note, &fields.note)] {
            if let Some(word) = word {
                slot.clone_from(word);
            }
        }
        origin.set(&mut self.reported, "reported", fields.reported.clone());
        for (slot, key, text) in
            [(&mut self.least, "least", &fields.least), (&mut self.greatest, "greatest", &fields.greatest)]
        {
            if let Some(text) = text {
                let time = Duration::parse(text).map_err(|error| origin.bad(key, error.to_string()))?;
                origin.set(slot, key, Some(time));
            }
        }
        Ok(())
    }
}
