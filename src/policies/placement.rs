//! Placement: which cards a claim gets.
