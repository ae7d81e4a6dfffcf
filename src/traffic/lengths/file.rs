//! Lengths from files.
