//! Job traces.
