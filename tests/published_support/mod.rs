//! What the table of published results is made of.

pub mod openb;

use std::path::{Path, PathBuf};

/// A published figure, ours, and how far ours may be off.
pub struct Row {
    pub source: &'static str,
    pub figure: String,
    pub published: f64,
    pub ours: f64,
    /// At most so far off; `None` where chance decides.
    pub within: Option<f64>,
}

pub fn data(name: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/jobs")).join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: ../shared/data/jobs/{name} is not there");
    None
}
