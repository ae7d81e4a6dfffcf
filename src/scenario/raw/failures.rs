//! `failures` of a pool.

use std::path::PathBuf;

use super::Surroundings;
use super::market::needed_delay;
use crate::fleet::Delay;
use crate::scenario::kinds;
use crate::scenario::problem::Problem;
use crate::scenario::reader::TableReader;
use crate::scenario::reading::{Kind, Sited, Unfit};

/// How nodes break, as far as the scenario says.
#[derive(Debug, Clone)]
pub struct RawFailures {
    pub life: Option<Delay>,
    pub repair: Delay,
    /// Whether each card breaks by itself.
    pub by_card: bool,
    /// The share of failures that come to a group, and the nodes of one; those of a switch when absent.
    pub together: Option<(Sited<f64>, Option<u32>)>,
    pub trace: Option<Sited<PathBuf>>,
}

/// A share of which there is some.
const SOME: Kind<f64> = Kind {
    what: "a share above 0, at most 1",
    read: |value| match (kinds::SHARE.read)(value)? {
        0.0 => Err(Unfit::Value("it is 0; take the table out when no failures come together".to_owned())),
        share => Ok(share),
    },
};

/// Reads the table.
pub fn read(t: &mut TableReader<'_>, around: Surroundings<'_>) -> Option<RawFailures> {
    let doc = "Recorded failures, instead of `life` or beside it: CSV with the columns time_s, node (from 0) and, \
               where it is known, repair_s.";
    let trace = t.optional("trace", &kinds::PATH, doc).map(|file| {
        let path = around.path(&file);
        t.file_exists(&file, &path, &[]);
        t.absolute("trace", &path);
        Sited { value: path, place: file.place }
    });
    let doc = "From ready to broken; \"weibull\" has a hazard that changes with age.";
    let needs_life = t.is_describing() || trace.is_none() || t.has("life");
    let life = if needs_life { needed_delay(t, "life", doc) } else { None };
    let doc = "From broken to ready, where a node is kept; one that is not committed is replaced instead.";
    let repair = needed_delay(t, "repair", doc);
    let choices = [("node", false), ("card", true)];
    let doc =
        "Whose `life` that is: the node's; or each card's, of which the first to break takes its node out.";
    let by_card = t.choice("of", &choices, &[], Some("node"), doc);
    let doc =
        "Failures that come to all nodes of a switch or rack at once; a node's rate stays what `life` says.";
    let together = t.table("together", doc, |t| {
        let share = t.required("share", &SOME, "The share of a node's failures that do.");
        let doc = "Nodes of a group, in order of their numbers; those of a switch (`nodes_per_switch`) when absent.";
        let nodes = t.optional("nodes", &kinds::COUNT, doc);
        Some((share?, nodes.map(|nodes| *nodes)))
    });
    if let (Some((share, _)), false) = (&together, matches!(life, Some(Delay::Exponential { .. }))) {
        let problem = Problem::error(share.place, "failures come together only where `life` is exponential");
        t.problem(problem.help("life = { dist = \"exponential\", mean = \"1000h\" }"));
        return None;
    }
    if needs_life && life.is_none() {
        return None;
    }
    Some(RawFailures { life, repair: repair?, by_card: *by_card?, together, trace })
}
