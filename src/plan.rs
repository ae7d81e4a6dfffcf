//! Many runs of one question: replications, comparisons on the same arrivals, sweeps over a grid.
//!
//! Parallel over runs (rayon), never inside one. Results are collected in the order of what was asked for,
//! so they do not depend on the number of threads. Scenarios come in resolved; where values of the file vary
//! from run to run, the caller hands in a function that resolves them.

pub mod compare;
pub mod grid;
pub mod metrics;
pub mod replicate;
pub mod statistics;
pub mod sweep;
