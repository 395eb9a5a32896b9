//! The development key: made once, at the first start, readable by its owner only. It is never printed.

use crate::exit::Failure;
use crate::fault;
use flk_contract::signature::key_text_of_file;
use flk_control::events::UpDevKeyReadable;
use flk_dataplane::run::Surroundings;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Random bytes of a new key; its text has two digits for each.
const KEY_BYTES: usize = 32;

/// A key to try the gateway with.
pub(super) struct DevKey {
    pub(super) path: PathBuf,
    /// Whether this start made it.
    pub(super) is_new: bool,
}

impl DevKey {
    /// Checks the key, or makes one where there is none.
    pub(super) fn load_or_make(path: &Path, surroundings: &Surroundings) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            let (path, why) = (path.display(), fault::why(&error));
            Failure::usage(format!(
                "cannot use the development key {path}: {why}; set PCS_HMAC_KEY, or use another directory with --data"
            ))
        };
        let is_new = match make(path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(failed(error)),
        };
        check(path, surroundings).map_err(failed)?;
        let path = path.to_owned();
        Ok(Self { path, is_new })
    }
}

fn make(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let mut text = random_text()?;
    text.push('\n');
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn random_text() -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
    let mut filled = 0;
    while filled < KEY_BYTES {
        let flags = rustix::rand::GetRandomFlags::empty();
        filled += rustix::rand::getrandom(&mut bytes[filled..], flags)?;
    }
    let mut text = Zeroizing::new(String::with_capacity(2 * KEY_BYTES + 1));
    for digit in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
    }
    Ok(text)
}

/// Whether the file holds a key; warns if others can read it.
fn check(path: &Path, surroundings: &Surroundings) -> io::Result<()> {
    let mut file = File::open(path)?;
    if file.metadata()?.mode() & 0o077 != 0 {
        let file = path.display().to_string();
        let message = format!("other users can read the development key {file}: chmod 600 {file}");
        surroundings.say(UpDevKeyReadable { file }, message);
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text)?;
    match key_text_of_file(&text).is_empty() {
        true => Err(io::Error::other(
            "it is empty; remove it to have a new one made",
        )),
        false => Ok(()),
    }
}
