//! The file that a bundle becomes: a compressed tar, readable by its owner only, there whole or not at all. It replaces no file.

use super::parts::Part;
use crate::exit::Failure;
use crate::new_file::NewFile;
use crate::new_file::place::{Existing, FilePlace, failed};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, ErrorKind};
use std::path::Path;
use tar::{Builder, EntryType, Header};

/// The mode of each file in it.
const MODE: u32 = 0o600;

/// A file that takes its name when it is whole.
pub(super) struct Archive(NewFile);

impl Archive {
    /// Shows whether a file can be made at this place, which is none of the log directory.
    pub(super) fn at(path: &Path, log_directory: &Path) -> Result<Self, Failure> {
        if path.symlink_metadata().is_ok() {
            return Err(is_there(path));
        }
        let place = FilePlace::vacant(path, log_directory, Existing::Kept)?;
        let file = NewFile::make(place);
        file.map(Self).map_err(|error| failed(path, &error))
    }

    /// Writes all parts below a directory of this name, and takes its name unless another file has it; how long it is.
    pub(super) fn keep(
        self,
        directory: &str,
        manifest: &str,
        parts: &[Part],
        made_s: u64,
    ) -> Result<u64, Failure> {
        let path = self.0.path();
        let kept = self.write(directory, manifest, parts, made_s);
        kept.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => is_there(&path),
            _ => failed(&path, &error),
        })
    }

    fn write(
        self,
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
        let file = tar.into_inner()?.finish()?;
        let bytes = file.bytes()?;
        file.keep()?;
        Ok(bytes)
    }
}

/// Another file has the name.
fn is_there(path: &Path) -> Failure {
    let shown = path.display();
    Failure::usage(format!(
        "{shown} is there already, and it was not changed: name another file with --out"
    ))
}
