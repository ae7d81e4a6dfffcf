//! What users write for a policy: their own YAML or TOML files, read into a tree in which every value knows
//! its line, and taken apart field by field so that nothing in the file is ignored.

mod fields;
mod quantity;
mod tree;

pub use fields::{Fields, Problem, Problems};
pub use quantity::{go_duration, quantity};
pub use tree::{Node, Tree, parse_toml, parse_yaml};

/// A specification that cannot be used: everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(|problem| problem.shown(.file)).collect::<Vec<_>>().join("\n"))]
pub struct SpecError {
    /// The file, as the user named it.
    pub file: String,
    /// What is wrong, in the order of the file's lines.
    pub problems: Vec<Problem>,
}
