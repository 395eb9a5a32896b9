//! Where an export goes: standard output, or a file that is there whole or not at all. The file is made beside its place under a
//! name of its own, readable by its owner only, and takes its name once all of it is on the disk.

use crate::exit::{Exit, Failure};
use crate::fault;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// An output.
pub(super) struct Out {
    to: BufWriter<To>,
}

enum To {
    Standard(io::Stdout),
    File(NamedTempFile, PathBuf),
}

impl Out {
    /// To a path; `-` is standard output.
    pub(super) fn to(path: &Path) -> Result<Self, Failure> {
        let to = match path.as_os_str() == "-" {
            true => To::Standard(io::stdout()),
            false => {
                let beside = path.parent().filter(|it| !it.as_os_str().is_empty());
                let file = NamedTempFile::new_in(beside.unwrap_or(Path::new(".")));
                To::File(file.map_err(|error| failed(path, &error))?, path.to_owned())
            }
        };
        let to = BufWriter::with_capacity(1 << 18, to);
        Ok(Self { to })
    }

    /// Everything was written: now the file is there.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let to = self.to.into_inner();
        match to.map_err(|error| Failure::output(error.error()))? {
            To::Standard(_) => Ok(()),
            To::File(file, path) => {
                let synced = file.as_file().sync_all();
                synced.map_err(|error| failed(&path, &error))?;
                let kept = file.persist(&path);
                kept.map_err(|error| failed(&path, &error.error))?;
                Ok(())
            }
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Write for To {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            To::Standard(out) => out.write(bytes),
            To::File(file, _) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            To::Standard(out) => out.flush(),
            To::File(file, _) => file.flush(),
        }
    }
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    let (path, why) = (path.display(), fault::why(error));
    Failure::with(Exit::File, format!("cannot write {path}: {why}"))
}
