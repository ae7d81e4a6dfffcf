//! What a run leaves: the summary, the time series and the tables, as data.

pub mod results;
