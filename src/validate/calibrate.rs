//! Calibrating the model's constants on tables of measurements, and scoring the fit on what it did not see.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use super::fit::{Slopes, fit, kind, objective, slopes};
use super::report::{Compared, Overall, Report, Row, quantile};
use super::{Tables, ValidateError};
use crate::perf::constants::{Block, Constant, Constants};

/// How to fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Simulated runs of an origin, accelerator, model and engine at most; fewer are faster. Scores take all rows.
    pub runs_per_group: usize,
    /// Rounds over all constants.
    pub rounds: u32,
    /// Only these constants, the others staying as they are published; all when empty.
    pub only: Vec<String>,
    /// Groups to leave out one at a time.
    pub leave_out: Option<LeftOut>,
}

/// What a fit does without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// All tables of one origin at a time: InferenceX with the parts of it that others pass on, say.
    Source,
    /// One accelerator at a time.
    Accelerator,
    /// One model at a time.
    Model,
}

/// A fit and what it is worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// Each constant before and after.
    pub constants: Vec<Fitted>,
    /// The objective where the fit began: with neutral values.
    pub before: f64,
    /// And after.
    pub after: f64,
    /// The objective with the constants in the program.
    pub published: f64,
    /// Scores on groups that a fit did not see.
    pub left_out: Vec<Scored>,
    /// By metric, all groups together, each predicted by the fit that did not see it.
    pub left_out_overall: Vec<LeftOutOverall>,
}

/// A fitted constant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fitted {
    /// Its name.
    pub name: &'static str,
    /// Where fits begin.
    pub neutral: f64,
    /// The value in the program.
    pub published: f64,
    /// The value that these tables ask for.
    pub fitted: f64,
}

/// A group that a fit did without, and one kind of its metrics.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scored {
    /// The origin, the accelerator or the model.
    pub group: String,
    /// The kind of metrics.
    pub kind: &'static str,
    /// Its rows.
    pub rows: usize,
    /// The median of its groups' medians with the constants of the program, which saw it.
    pub with: f64,
    /// The same with those that began neutral and were fitted on all others.
    pub without: f64,
    /// The median signed error of the latter.
    pub signed: f64,
}

/// A metric over all groups, with constants that saw them and with those that did not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeftOutOverall {
    /// What was measured.
    pub metric: String,
    /// How many groups of source, accelerator and model.
    pub groups: usize,
    /// How many rows.
    pub rows: usize,
    /// The median of their medians with the constants of the program.
    pub with: f64,
    /// Each group's by the fit that did not see it.
    pub without: f64,
    /// The 90th percentile of the latter.
    pub p90_without: f64,
}

/// Not fitted on tables: how a user's own machine differs.
const USERS_OWN: &str = "kernels";

/// Fits the constants, beginning from neutral values: first those of collectives, then of training, then of serving,
/// each on measurements of its own kind ([`fit`](super::fit)). With [`Settings::leave_out`] the same without each group
/// in turn, from neutral values again, and the group's rows are predicted with what comes out.
///
/// # Errors
/// When a file cannot be read or is none that is known.
pub fn calibrate(
    paths: &[PathBuf],
    settings: &Settings,
    mut progress: impl FnMut(&str),
) -> Result<Calibration, ValidateError> {
    let full = Tables::read(paths)?;
    let tables = Tables::read(paths)?.thinned(settings.runs_per_group);
    let start = settings.start();
    let everything = |_: &Compared| true;
    let before = objective(&tables.rows(&start)?);
    let slopes: Vec<Slopes> = BLOCKS
        .iter()
        .map(|block| slopes(&start, &settings.moved(*block), |k| tables.block(k, *block, &everything)))
        .collect();
    let mut fitted = start;
    for (block, slopes) in BLOCKS.into_iter().zip(&slopes) {
        let rows = |k: &Constants| tables.block(k, block, &everything);
        let (moved, slopes) = (settings.moved(block), slopes.clone());
        fitted = fit(fitted, &moved, settings.rounds, slopes, true, rows, &mut progress);
    }
    let after = objective(&tables.rows(&fitted)?);
    let published = objective(&tables.rows(&Constants::PUBLISHED)?);
    let (mut left_out, mut all_without) = (Vec::new(), Vec::new());
    if let Some(what) = settings.leave_out {
        let with = full.rows(&Constants::PUBLISHED)?;
        let names: BTreeSet<String> = with.iter().flatten().map(|row| what.name(row).to_owned()).collect();
        for group in names {
            progress(&format!("without {group}"));
            let of_group = |row: &Compared| what.name(row) == group;
            let mut constants = start;
            for (block, slopes) in BLOCKS.into_iter().zip(&slopes) {
                let concerned = full.block(&Constants::PUBLISHED, block, &of_group).iter().any(Result::is_ok);
                constants = if concerned {
                    let rows = |k: &Constants| tables.block(k, block, &|row| !of_group(row));
                    let (moved, slopes) = (settings.moved(block), slopes.clone());
                    fit(constants, &moved, CHORDS * settings.rounds, slopes, false, rows, &mut progress)
                } else {
                    with_block(constants, &fitted, block)
                };
            }
            let without: Vec<Row> = BLOCKS
                .into_iter()
                .flat_map(|block| full.block(&constants, block, &of_group))
                .filter(|row| row.is_ok())
                .collect();
            left_out.extend(scores(&group, &with, &without, of_group));
            all_without.extend(without);
        }
        return Ok(Calibration {
            left_out_overall: overall(&Report::of(&with).overall, &Report::of(&all_without).overall),
            ..told(fitted, before, after, published, left_out)
        });
    }
    Ok(told(fitted, before, after, published, left_out))
}

/// Rounds without fresh slopes for one with them.
const CHORDS: u32 = 2;

/// In the order of fitting: what comes later rests on what comes first.
const BLOCKS: [Block; 3] = [Block::Collectives, Block::Training, Block::Serving];

fn told(fitted: Constants, before: f64, after: f64, published: f64, left_out: Vec<Scored>) -> Calibration {
    let of = |known: &Constant| Fitted {
        name: known.name,
        neutral: known.neutral,
        published: known.value,
        fitted: fitted.get(known.name).unwrap_or(known.value),
    };
    let constants = Constants::ALL.iter().map(of).collect();
    Calibration { constants, before, after, published, left_out, left_out_overall: Vec::new() }
}

impl Settings {
    fn moves(&self, known: &Constant) -> bool {
        match self.only.is_empty() {
            true => known.name != USERS_OWN,
            false => self.only.iter().any(|only| only == known.name),
        }
    }

    fn moved(&self, block: Block) -> Vec<&'static Constant> {
        Constants::ALL.iter().filter(|known| known.block == block && self.moves(known)).collect()
    }

    /// Neutral values of what moves, published ones of the rest.
    fn start(&self) -> Constants {
        let mut start = Constants::PUBLISHED;
        for known in Constants::ALL.iter().filter(|known| self.moves(known)) {
            start.set(known.name, known.neutral);
        }
        start
    }
}

impl LeftOut {
    fn name(self, row: &Compared) -> &str {
        match self {
            Self::Source => &row.origin,
            Self::Accelerator => &row.accelerator,
            Self::Model => &row.model,
        }
    }
}

/// `of` in one block, the rest as it was.
fn with_block(mut constants: Constants, of: &Constants, block: Block) -> Constants {
    for known in Constants::ALL.iter().filter(|known| known.block == block) {
        if let Some(value) = of.get(known.name) {
            constants.set(known.name, value);
        }
    }
    constants
}

/// Errors by kind of metric over a group's rows.
fn scores(group: &str, with: &[Row], without: &[Row], of_group: impl Fn(&Compared) -> bool) -> Vec<Scored> {
    let by_kind = |rows: &[Row]| {
        let mut kinds: BTreeMap<&'static str, Vec<Row>> = BTreeMap::new();
        for row in rows.iter().flatten().filter(|row| of_group(row)) {
            if let Some(kind) = kind(&row.metric) {
                kinds.entry(kind).or_default().push(Ok(row.clone()));
            }
        }
        kinds
    };
    let median = |rows: &[Row]| {
        let mut medians: Vec<f64> = Report::of(rows).groups.iter().map(|group| group.median_ape).collect();
        quantile(&mut medians, 0.5)
    };
    let signed = |rows: &[Row]| {
        let mut medians: Vec<f64> = Report::of(rows).groups.iter().map(|group| group.median_signed).collect();
        quantile(&mut medians, 0.5)
    };
    let (with, without) = (by_kind(with), by_kind(without));
    let of = |(kind, rows): (&&'static str, &Vec<Row>)| Scored {
        group: group.to_owned(),
        kind,
        rows: rows.len(),
        with: with.get(kind).map_or(f64::NAN, |rows| median(rows)),
        without: median(rows),
        signed: signed(rows),
    };
    without.iter().map(of).collect()
}

fn overall(with: &[Overall], without: &[Overall]) -> Vec<LeftOutOverall> {
    let of = |found: &Overall| LeftOutOverall {
        metric: found.metric.clone(),
        groups: found.groups,
        rows: found.rows,
        with: with
            .iter()
            .find(|other| other.metric == found.metric)
            .map_or(f64::NAN, |other| other.median_ape),
        without: found.median_ape,
        p90_without: found.p90_ape,
    };
    without.iter().map(of).collect()
}
