//! A text file that is there whole or as it was: it is written beside its place and takes that at the end.

use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Others may read it, as far as the process lets them.
const MODE: u32 = 0o644;

/// See the module. It is gone if it is dropped before it took its place.
pub(crate) struct WholeFile {
    path: PathBuf,
    file: NamedTempFile,
}

impl WholeFile {
    /// A file beside this place, which shows whether one can be made there.
    pub(crate) fn beside(path: &Path) -> io::Result<Self> {
        let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
        let mode = std::fs::Permissions::from_mode(MODE);
        let file = tempfile::Builder::new()
            .permissions(mode)
            .tempfile_in(directory.unwrap_or(Path::new(".")))?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Lets others read it, whatever the process makes else.
    pub(crate) fn readable_by_all(self) -> io::Result<Self> {
        let mode = std::fs::Permissions::from_mode(MODE);
        self.file.as_file().set_permissions(mode)?;
        Ok(self)
    }

    /// Where it will be.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes it, and puts it into its place.
    pub(crate) fn keep(mut self, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())?;
        self.file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}
