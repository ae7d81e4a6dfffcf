//! Many runs of one question: replications, comparisons on the same arrivals, sweeps over a grid.
//!
//! Parallel over runs (rayon), never inside one. Results are collected in the order of what was asked for,
//! so they do not depend on the number of threads. Scenarios come in resolved; where values of the file vary
//! from run to run, the caller hands in a function that resolves them.

pub mod bound;
pub mod break_even;
pub mod commitment;
pub mod compare;
pub mod demand;
pub mod facts;
pub mod grid;
pub mod horizon;
pub mod integer;
pub mod judge;
pub mod metrics;
pub mod outcome;
pub mod pivot;
pub mod replicate;
pub mod search;
pub mod spot;
pub mod statistics;
pub mod sweep;
pub mod uncertainty;
pub mod work;
