//! Queue orders: which waiting job is next.
