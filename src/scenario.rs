//! The file the user writes.
pub mod dom;
pub mod kinds;
pub mod problem;
pub mod raw;
pub mod reader;
pub mod set;
