//! A slice, as far as it says where everything in it lies: frame, directory and parameter sets, compared with what the
//! manifest names. For the keeper, and for readers beside a gateway. It opens no file and reads no entry.

use crate::dedup::slice::frame::table_checksum;
use crate::dedup::slice::reader::Directory;
use crate::dedup::slice::{SliceError, SliceReader, Unverified, part};
use crate::io::Errno;
use crate::wal::buffer::BLOCK_BYTES;
use crate::wal::manifest::{Manifest, SliceEntry};
use crate::wal::scan::ReadAt;
use flk_contract::params::ParamsVersion;

/// Why a slice cannot be looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SliceRefused {
    /// The device refused.
    Unreadable(Errno),
    /// It is shorter than a block.
    Short,
    /// It is damaged, or a newer flk wrote it.
    Wrong(SliceError),
    /// It is not the slice that the manifest names.
    NotAsNamed,
}

impl From<SliceError> for SliceRefused {
    fn from(error: SliceError) -> SliceRefused {
        SliceRefused::Wrong(error)
    }
}

impl From<Unverified> for SliceRefused {
    fn from(error: Unverified) -> SliceRefused {
        match error {
            Unverified::Unreadable(errno) => SliceRefused::Unreadable(errno),
            Unverified::Slice(error) => SliceRefused::Wrong(error),
        }
    }
}

/// See the module.
pub(crate) struct SliceFile {
    pub(crate) reader: SliceReader,
    pub(crate) directory: Directory,
    /// By the numbers that its entries use.
    pub(crate) versions: Vec<ParamsVersion>,
}

impl SliceFile {
    /// Reads it. Times of its entries are on the clock of the manifest.
    pub(crate) async fn read(
        file: &impl ReadAt,
        manifest: &Manifest,
        entry: &SliceEntry,
    ) -> Result<SliceFile, SliceRefused> {
        let bytes = file.bytes();
        let last_at = bytes.checked_sub(BLOCK_BYTES as u64);
        let last_at = last_at.ok_or(SliceRefused::Short)?;
        let first = part(file, 0..BLOCK_BYTES as u64).await?;
        let last = part(file, last_at..bytes).await?;
        let reader = SliceReader::open(&first, &last, bytes)?;
        let reader = reader.with_clock_base(manifest.clock_base_of_slices_s());
        if !is_as_named(&reader, &last, manifest, entry) {
            return Err(SliceRefused::NotAsNamed);
        }
        let [directory, params, _] = reader.small_sections()?;
        let directory = reader.directory(&part(file, directory).await?)?;
        let versions = reader.params(&part(file, params).await?)?;
        Ok(SliceFile {
            reader,
            directory,
            versions,
        })
    }
}

/// Whether a slice is the one that the manifest names. `end` are the last bytes of its file, a block at least.
pub fn is_as_named(
    reader: &SliceReader,
    end: &[u8],
    manifest: &Manifest,
    entry: &SliceEntry,
) -> bool {
    let header = reader.header();
    header.slice_id == entry.id
        && header.installation == manifest.installation
        && header.secret == manifest.secret
        && table_checksum(end) == Some(entry.checksum)
}
