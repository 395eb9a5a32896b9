//! Ways to damage a file. Each changes the copy of a directory, and nothing else.

use super::parts::{Part, Whole};
use super::stock::Stock;
use super::{Drill, Target};
use std::fs;
use std::path::Path;

/// A way to damage a part of a file, or a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Harm {
    FlippedBit,
    CutShort,
    BytesOfAnother,
    Zeros,
    AnotherFile,
    Missing,
    OlderCopy,
}

impl Harm {
    /// Those of parts, in the order of the table.
    pub(crate) const OF_PARTS: [Harm; 4] = [
        Harm::FlippedBit,
        Harm::CutShort,
        Harm::BytesOfAnother,
        Harm::Zeros,
    ];

    /// Those of files, in the order of the table.
    pub(crate) const OF_FILES: [Harm; 3] = [Harm::AnotherFile, Harm::Missing, Harm::OlderCopy];

    /// As in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Harm::FlippedBit => "a flipped bit",
            Harm::CutShort => "the file ends in it",
            Harm::BytesOfAnother => "bytes of another file",
            Harm::Zeros => "zeros",
            Harm::AnotherFile => "another file of its kind",
            Harm::Missing => "missing",
            Harm::OlderCopy => "an older copy",
        }
    }
}

/// Damages a copy of a directory.
pub(crate) fn inflict(stock: &Stock, drill: Drill, directory: &Path) {
    match drill.target {
        Target::Part(part) => harm_part(stock, part, drill.harm, directory),
        Target::Whole(whole) => harm_file(stock, whole, drill.harm, directory),
    }
}

fn harm_part(stock: &Stock, part: Part, harm: Harm, directory: &Path) {
    let name = stock.file(part.file());
    let place = part.place(stock, name);
    let mut bytes = stock.read(name);
    let before = bytes.clone();
    let middle = place.start + place.len() / 2;
    match harm {
        // In a batch this is its first record: behind the header, and before any padding.
        Harm::FlippedBit => bytes[place.start + place.len().min(400) / 2] ^= 1,
        Harm::CutShort => bytes.truncate(middle),
        Harm::Zeros => bytes[place].fill(0),
        _ => {
            let twin = stock.twin(part.file()).expect("another file of its kind");
            let other = stock.read(twin)[part.place(stock, twin)].to_vec();
            let length = other.len().min(place.len());
            bytes[place.start..place.start + length].copy_from_slice(&other[..length]);
        }
    }
    assert!(bytes != before, "{part:?} is damaged");
    fs::write(directory.join(name), bytes).unwrap();
}

fn harm_file(stock: &Stock, whole: Whole, harm: Harm, directory: &Path) {
    let path = directory.join(stock.file(whole));
    match (harm, stock.twin(whole)) {
        (Harm::Missing, _) => fs::remove_file(path).unwrap(),
        (Harm::OlderCopy, _) => {
            fs::copy(stock.older(whole), path).unwrap();
        }
        (_, Some(twin)) => {
            let twin = directory.join(twin);
            let aside = directory.join("aside");
            fs::rename(&path, &aside).unwrap();
            fs::rename(&twin, &path).unwrap();
            fs::rename(&aside, &twin).unwrap();
        }
        (_, None) => {
            fs::copy(stock.foreign(whole), path).unwrap();
        }
    }
}
