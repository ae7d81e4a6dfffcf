//! A correction of the formula for one card and engine, as `fleetsim calibrate` writes it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::constants::{Constants, Engine};

/// Constants that measurements on one's own machines gave. Fields of the file have the same names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correction {
    /// The card, as the catalogue calls it.
    pub card: String,
    /// The engine: `vllm`, `tensorrt-llm`, `sglang`; anything else counts as other.
    #[serde(default)]
    pub engine: String,
    /// What was measured.
    #[serde(default)]
    pub source: String,
    /// Constants by name, each within its range.
    pub constants: std::collections::BTreeMap<String, f64>,
}

/// Why a correction can't be used.
#[derive(Debug, Error)]
#[error("{}: {why}", .path.display())]
pub struct CorrectionError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, and what to do.
    pub why: String,
}

impl Correction {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// When it cannot be read, is no correction, names a constant that does not exist or gives it a value out of
    /// its range.
    pub fn read(path: &Path) -> Result<Self, CorrectionError> {
        let bad = |why: String| CorrectionError { path: path.to_owned(), why };
        let text = fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
        let correction: Self = toml::from_str(&text).map_err(|error| bad(error.to_string()))?;
        correction.constants().map_err(bad)?;
        Ok(correction)
    }

    /// The published constants with these in their place.
    ///
    /// # Errors
    /// In words: an unknown name with the nearest one, or a value out of range.
    pub fn constants(&self) -> Result<Constants, String> {
        let mut constants = Constants::PUBLISHED;
        for (name, value) in &self.constants {
            constants.set_checked(name, *value)?;
        }
        Ok(constants)
    }

    /// The engine.
    pub fn engine(&self) -> Engine {
        Engine::named(&self.engine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_refuses() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("c.toml");
        let read = |text: &str| {
            fs::write(&file, text).expect("written");
            Correction::read(&file).map(|correction| correction.constants()).map_err(|error| error.why)
        };
        let found = read("card = \"L4\"\n[constants]\nkernels = 1.2\n").expect("sound").expect("sound");
        assert_eq!(found, Constants { kernels: 1.2, ..Constants::PUBLISHED });
        let refused = |text: &str| read(text).expect_err("refused");
        assert!(refused("card = \"L4\"\n[constants]\nkernel = 1.2\n").contains("nearest: kernels"));
        assert!(refused("card = \"L4\"\n[constants]\nkernels = 12.0\n").contains("from 0.5 to 2"));
        assert!(refused("card = \"L4\"\ncolour = 1\n[constants]\n").contains("colour"));
    }
}
