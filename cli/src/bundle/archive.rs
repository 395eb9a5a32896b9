//! The file that a bundle becomes: a compressed tar, readable by its owner only, there whole or not at all. It replaces no file.

use super::parts::Part;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Write};
use std::path::Path;
use tar::{Builder, EntryType, Header};
use tempfile::NamedTempFile;

/// Its mode, and that of each file in it.
const MODE: u32 = 0o600;

/// A file that takes its name when it is whole.
pub(super) struct Archive(NamedTempFile);

impl Archive {
    /// Shows whether a file can be made beside this place.
    pub(super) fn beside(path: &Path) -> io::Result<Self> {
        let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
        // Its owner alone may read what tempfile makes.
        let file = tempfile::Builder::new()
            .prefix(".flk-support-")
            .tempfile_in(directory.unwrap_or(Path::new(".")))?;
        Ok(Self(file))
    }

    /// Writes all parts below a directory of this name, and takes its name unless another file has it.
    pub(super) fn keep(
        self,
        path: &Path,
        directory: &str,
        manifest: &str,
        parts: &[Part],
        made_s: u64,
    ) -> io::Result<u64> {
        let mut tar = Builder::new(GzEncoder::new(self.0, Compression::default()));
        let parts = parts.iter().map(|it| (it.name.as_str(), it.text.as_str()));
        for (name, text) in [("manifest.json", manifest)].into_iter().chain(parts) {
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::Regular);
            header.set_mode(MODE);
            header.set_mtime(made_s);
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, format!("{directory}/{name}"), text.as_bytes())?;
        }
        let mut file = tar.into_inner()?.finish()?;
        file.flush()?;
        file.as_file().sync_all()?;
        let bytes = file.as_file().metadata()?.len();
        file.persist_noclobber(path).map_err(|error| error.error)?;
        Ok(bytes)
    }
}
