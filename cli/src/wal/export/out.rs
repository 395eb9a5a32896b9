//! Where an export goes: standard output, something that takes bytes, or a file that is there whole or not at all. Errors are
//! reported in the same words whatever writes into it.

use crate::exit::Failure;
use crate::new_file::NewFile;
use crate::new_file::place::{Existing, Place, failed, is_there};
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;

/// An output.
pub(super) struct Out {
    to: BufWriter<To>,
}

enum To {
    Standard(io::Stdout),
    Stream(File),
    File(NewFile),
}

impl Out {
    /// To a path, which is none of the log directory.
    pub(super) fn to(
        path: &Path,
        log_directory: &Path,
        existing: Existing,
    ) -> Result<Self, Failure> {
        let to = match Place::of(path, log_directory, existing)? {
            Place::Standard => To::Standard(io::stdout()),
            Place::Stream(file) => To::Stream(file),
            Place::File(place) => {
                let made = NewFile::make(place);
                To::File(made.map_err(|error| failed(path, &error))?)
            }
        };
        let to = BufWriter::with_capacity(1 << 18, to);
        Ok(Self { to })
    }

    /// Everything was written: now the file is there.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let to = self.to.into_inner();
        match to.map_err(|error| Failure::output(error.error()))? {
            To::Standard(mut out) => out.flush().map_err(|error| Failure::output(&error)),
            To::Stream(_) => Ok(()),
            To::File(file) => {
                let path = file.path();
                file.keep().map_err(|error| match error.kind() {
                    ErrorKind::AlreadyExists => is_there(&path),
                    _ => failed(&path, &error),
                })
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
            To::Stream(file) => file.write(bytes),
            To::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            To::Standard(out) => out.flush(),
            To::Stream(file) => file.flush(),
            To::File(file) => file.flush(),
        }
    }
}
