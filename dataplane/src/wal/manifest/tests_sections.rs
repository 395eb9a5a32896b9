//! Sections of a manifest: known ones read back, optional ones of later versions are carried over, others are refused.

use super::tests::{CLOCK_BASE, manifest, sealed};
use super::*;

fn log(start: u32, number: u16) -> LogId {
    LogId { start, number }
}

fn upto(log: LogId, counter: u64) -> LogUpto {
    let upto = Sequence(Sequence::before_first(log.start).0 + counter);
    LogUpto { log, upto }
}

fn hold(name: &str) -> Hold {
    Hold {
        name: name.to_owned(),
        owner: "the nightly backup".to_owned(),
        bytes_max: 1 << 40,
        age_max_s: 86_400,
        made_at_s: 7,
        moved_at_s: 8,
        done: vec![upto(log(1, 7), 3), upto(log(2, 0), 0)],
    }
}

/// All kinds of sections.
fn sections() -> Sections {
    Sections {
        clock_base_of_format_1: Some(CLOCK_BASE),
        holds: vec![
            hold("backup"),
            hold("shipping"),
            Hold {
                done: Vec::new(),
                ..hold("x")
            },
        ],
        restored_from: Some(RestoredFrom {
            incarnation: [9; 16],
            taken: vec![upto(log(1, 7), 4)],
        }),
        released: vec![
            range("backup", log(1, 7), 4, 9),
            range("x", log(2, 0), 1, 1),
        ],
        ..Sections::default()
    }
}

fn range(hold: &str, log: LogId, from: u64, to: u64) -> ReleasedRange {
    ReleasedRange {
        hold: hold.to_owned(),
        log,
        from: upto(log, from).upto,
        to: upto(log, to).upto,
        at_s: 9,
    }
}

fn with(sections: Sections) -> Manifest {
    Manifest {
        sections,
        ..manifest()
    }
}

/// A manifest with this list of sections.
fn with_list(count: u32, list: &[u8]) -> Result<Manifest, ManifestFault> {
    let mut bytes = with(Sections::default()).encode();
    bytes.truncate(bytes.len() - 8);
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(list);
    bytes.extend_from_slice(&[0; 4]);
    Manifest::decode(&sealed(bytes))
}

#[test]
fn all_sections_read_back() {
    for sections in [Sections::default(), sections()] {
        let manifest = with(sections);
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes), Ok(manifest.clone()));
        assert_eq!(manifest.encoded_bytes(), bytes.len());
    }
}

/// A manifest with a closed segment of batches in a packed file.
fn with_packed(file: PackedFile) -> Manifest {
    let mut manifest = with(sections());
    let mut segments = manifest.logs.iter_mut().flat_map(|log| &mut log.segments);
    let closed = segments.find_map(|entry| match entry.state {
        SegmentState::Closed(extent) if extent.first <= extent.last => Some((entry, extent)),
        _ => None,
    });
    let (entry, extent) = closed.unwrap();
    entry.state = SegmentState::Packed(extent, file);
    manifest
}

#[test]
fn a_packed_segment_reads_back_and_is_a_section_that_no_older_flk_takes() {
    let manifest = with_packed(PackedFile {
        salt: 5,
        bytes: 3 * 4096,
    });
    let bytes = manifest.encode();
    assert_eq!(Manifest::decode(&bytes), Ok(manifest.clone()));
    assert_eq!(manifest.encoded_bytes(), bytes.len());
    let plain = with(sections()).encode();
    assert_eq!(
        bytes.len(),
        plain.len() + 8 + 4 + 24,
        "and no byte without one"
    );
    // The section stands last, behind those that were there before; it is not optional.
    let at = bytes.len() - 4 - 36;
    assert_eq!(bytes[at..at + 8], [5, 0, 0, 0, 28, 0, 0, 0]);
}

#[test]
fn a_packed_file_of_a_length_that_none_has_is_never_written() {
    for bytes in [0, 2 * 4096, 3 * 4096 + 512] {
        let manifest = with_packed(PackedFile { salt: 5, bytes });
        let fault = Err(ManifestFault::Field("packed segment"));
        assert_eq!(
            manifest.encode_within(usize::MAX).map(drop),
            fault,
            "{bytes}"
        );
    }
}

#[test]
fn a_manifest_of_the_first_format_has_no_sections() {
    let mut manifest = with(Sections::default());
    let mut bytes = manifest.encode();
    let end = bytes.len() - 8;
    assert_eq!(bytes[end..end + 4], [0; 4], "an empty list");
    bytes.drain(end..end + 4);
    bytes[8] = 1;
    bytes[14] = 1; // of flk 0.1.0
    // Its clock is read on the clock of now, and keeps what is added: here nothing.
    manifest.sections.clock_base_of_format_1 = Some(ClockBase {
        base_s: 0,
        upto_start: manifest.start,
    });
    assert_eq!(Manifest::decode(&sealed(bytes)), Ok(manifest.clone()));
    let mut bytes = manifest.encode();
    bytes[8] = 1;
    assert_eq!(Manifest::decode(&sealed(bytes)), Err(ManifestFault::Length));
}

#[test]
fn optional_sections_of_a_later_version_are_carried_over_byte_for_byte() {
    let known = [1, 0, 0, 0, 8, 0, 0, 0, 17, 0, 0, 0, 1, 0, 0, 0];
    let later = [
        &[77, 0, 1, 0, 3, 0, 0, 0, 1, 2, 3][..],
        &[78, 0, 1, 0, 0, 0, 0, 0],
    ];
    let list = [&known[..], &later.concat()].concat();
    let read = with_list(3, &list).unwrap();
    assert_eq!(read.sections.clock_base_of_format_1, Some(CLOCK_BASE));
    let next = Manifest {
        generation: read.generation + 1,
        ..read.clone()
    };
    let bytes = next.encode();
    assert_eq!(next.encoded_bytes(), bytes.len());
    let end = bytes.len() - 4;
    assert_eq!(bytes[end - list.len()..end], list);
    assert_eq!(Manifest::decode(&bytes), Ok(next));
}

#[test]
fn another_section_of_a_later_version_is_refused_and_is_no_damage() {
    let fault = with_list(1, &[77, 0, 0, 0, 1, 0, 0, 0, 1]).unwrap_err();
    assert_eq!(fault, ManifestFault::NewerSection { kind: 77 });
    assert!(fault.is_newer());
    let said = fault.to_string();
    assert!(
        said.contains("was written by a newer flk") && said.contains("77"),
        "{said}"
    );
}

#[test]
fn lists_of_sections_that_no_writer_writes_are_refused() {
    let base = [1, 0, 0, 0, 8, 0, 0, 0, 17, 0, 0, 0, 1, 0, 0, 0];
    let later = [77, 0, 1, 0, 0, 0, 0, 0];
    let section = ManifestFault::Field("section");
    for (count, list, fault, why) in [
        (2, [&base[..], &base].concat(), section, "one kind twice"),
        (
            2,
            [&later[..], &base].concat(),
            section,
            "kinds do not ascend",
        ),
        (
            1,
            vec![0, 0, 1, 0, 0, 0, 0, 0],
            section,
            "kinds begin with 1",
        ),
        (1, vec![77, 0, 3, 0, 0, 0, 0, 0], section, "an unknown flag"),
        (
            1,
            vec![1, 0, 1, 0, 8, 0, 0, 0, 17, 0, 0, 0, 1, 0, 0, 0],
            section,
            "a known one is not optional",
        ),
        (
            1,
            vec![1, 0, 0, 0, 7, 0, 0, 0, 17, 0, 0, 0, 1, 0, 0],
            section,
            "too short",
        ),
        (
            1,
            vec![1, 0, 0, 0, 9, 0, 0, 0, 17, 0, 0, 0, 1, 0, 0, 0, 0],
            section,
            "too long",
        ),
        (1, vec![2, 0, 0, 0, 0, 0, 0, 0], section, "no list of holds"),
        (1, vec![3, 0, 0, 0, 0, 0, 0, 0], section, "no incarnation"),
        (
            1,
            vec![4, 0, 0, 0, 0, 0, 0, 0],
            section,
            "no list of ranges",
        ),
        (1, later[..7].to_vec(), ManifestFault::Length, "it is cut"),
        (
            1,
            vec![77, 0, 1, 0, 1, 0, 0, 0],
            ManifestFault::Length,
            "its content is cut",
        ),
        (2, later.to_vec(), ManifestFault::Length, "one is missing"),
        (
            u32::MAX,
            later.to_vec(),
            ManifestFault::Length,
            "many are missing",
        ),
        (0, later.to_vec(), ManifestFault::Length, "one too many"),
    ] {
        assert_eq!(with_list(count, &list), Err(fault), "{why}");
    }
}

#[test]
fn holds_and_origins_that_cannot_be_are_neither_written_nor_read() {
    let refused = |change: &dyn Fn(&mut Sections)| {
        let mut sections = sections();
        change(&mut sections);
        let manifest = with(sections);
        let written = manifest.encode_within(MANIFEST_BYTES_MAX);
        let read = Manifest::decode(&manifest.encode());
        match (written, read) {
            (Err(ManifestFault::Field(written)), Err(ManifestFault::Field(read))) => {
                assert_eq!(written, read);
                read
            }
            other => panic!("{other:?}"),
        }
    };
    let hold = |change: &dyn Fn(&mut Hold)| refused(&|it| change(&mut it.holds[0]));
    let long = "n".repeat(HOLD_TEXT_BYTES_MAX + 1);
    assert_eq!(hold(&|it| it.name.clear()), "hold");
    assert_eq!(hold(&|it| it.name.clone_from(&long)), "hold");
    assert_eq!(hold(&|it| it.name = "two words".to_owned()), "hold");
    assert_eq!(hold(&|it| it.owner.clone_from(&long)), "hold");
    assert_eq!(hold(&|it| it.owner = "line\n".to_owned()), "hold");
    assert_eq!(hold(&|it| it.moved_at_s = it.made_at_s - 1), "hold");
    assert_eq!(hold(&|it| it.done.push(it.done[0])), "hold");
    assert_eq!(hold(&|it| it.done[0].upto = Sequence(9)), "hold");
    assert_eq!(
        hold(&|it| it.name = "shipping".to_owned()),
        "hold named twice"
    );
    let restored = |change: &dyn Fn(&mut RestoredFrom)| {
        refused(&|it| change(it.restored_from.as_mut().unwrap()))
    };
    let origin = "log of a restored directory";
    assert_eq!(restored(&|it| it.taken.push(it.taken[0])), origin);
    assert_eq!(restored(&|it| it.taken[0].upto = Sequence(9)), origin);
    let released = |change: &dyn Fn(&mut ReleasedRange)| refused(&|it| change(&mut it.released[0]));
    let lost = "range that a hold let go of";
    assert_eq!(released(&|it| it.hold = "nobody's".to_owned()), lost);
    assert_eq!(released(&|it| it.to = Sequence(it.from.0 - 1)), lost);
    assert_eq!(released(&|it| it.from = Sequence(9)), lost);
    let carried = |kinds: &[u16]| {
        refused(&|it| {
            let section = |&kind| CarriedSection {
                kind,
                bytes: Vec::new(),
            };
            it.carried = kinds.iter().map(section).collect();
        })
    };
    for kinds in [&[3][..], &[4], &[78, 77], &[77, 77]] {
        assert_eq!(carried(kinds), "section");
    }
    let longest = Hold {
        name: "n".repeat(HOLD_TEXT_BYTES_MAX),
        owner: "o".repeat(HOLD_TEXT_BYTES_MAX),
        moved_at_s: 7,
        ..super::tests_sections::hold("")
    };
    let manifest = with(Sections {
        holds: vec![longest],
        ..Sections::default()
    });
    assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
}
