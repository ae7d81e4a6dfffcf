//! From what the file says to what a run needs.
use super::raw::RawScenario;
use super::reader::Reading;
use crate::world::WorldConfig;

pub fn resolve(_scenario: RawScenario, _reading: &mut Reading) -> Option<WorldConfig> {
    None
}
