//! `[[tenants]]`.

use crate::scenario::kinds;
use crate::scenario::reader::TableReader;
use crate::scenario::reading::Sited;

/// A tenant: whose requests a stream's are.
#[derive(Debug)]
pub struct RawTenant {
    pub name: Sited<String>,
    pub weight: f64,
}

/// Reads one tenant.
pub fn read(t: &mut TableReader<'_>) -> Option<RawTenant> {
    let name = t.required("name", &kinds::NAME, "Its name; streams name it under `tenant`.");
    let doc = "Its share against those of the others where `batching.order` is \"vtc\".";
    let weight = t.or("weight", &kinds::WEIGHT, "1.0", doc);
    Some(RawTenant { name: name?, weight: weight.map_or(1.0, |weight| *weight) })
}
