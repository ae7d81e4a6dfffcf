//! Files that appear under their name only when they are complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::ReportError;

/// Writes files into one folder and remembers which are complete.
pub(super) struct Saver {
    folder: PathBuf,
    pub(super) written: Vec<PathBuf>,
}

impl Saver {
    pub(super) fn new(folder: &Path) -> Result<Self, ReportError> {
        fs::create_dir_all(folder).map_err(|cause| ReportError::folder(folder, cause))?;
        Ok(Self { folder: folder.to_path_buf(), written: Vec::new() })
    }

    /// Creates an empty file and removes it again.
    pub(super) fn probe(&self) -> Result<(), ReportError> {
        let file = self.folder.join("probe.part");
        let result = File::create(&file).and_then(|_| fs::remove_file(&file));
        result.map_err(|cause| ReportError::folder(&self.folder, cause))
    }

    /// Removes a file, if it is there. One that cannot be removed shows itself when its successor is written.
    pub(super) fn discard(&self, name: &str) {
        let _ = fs::remove_file(self.folder.join(name));
    }

    /// Writes `name` under a temporary name beside it, then renames it.
    pub(super) fn save(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), ReportError> {
        let path = self.folder.join(name);
        let temporary = self.folder.join(format!("{name}.part"));
        let result = write_file(&temporary, write).and_then(|()| fs::rename(&temporary, &path));
        match result {
            Ok(()) => {
                self.written.push(path);
                Ok(())
            }
            Err(cause) => {
                // The half-written file helps nobody and takes space; if it cannot be removed, the error
                // that matters is still the first one.
                let _ = fs::remove_file(&temporary);
                Err(ReportError::write(&path, &self.written, cause))
            }
        }
    }
}

fn write_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = BufWriter::new(File::create(path)?);
    write(&mut file)?;
    file.flush()
}
