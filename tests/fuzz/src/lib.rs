//! What the targets share: plain readings of rules that the product implements cleverly, and sound bytes to start from.
//! Nothing here shares code with what it is compared with.

use flk_contract::OwnedRecord;
use flk_dataplane::dedup::Decided;
use flk_dataplane::dedup::key::KeyHash;
use flk_dataplane::dedup::slice::{SliceMeta, SliceWriter};
use flk_dataplane::wal::manifest::Cover;
use flk_dataplane::wal::name::{LogId, Sequence};

/// A record that is in order, as it would be sent.
pub const RECORD: &str = include_str!("../../../golden/records/pcs_tiny_case_1.json");

/// The same, parsed.
pub fn record() -> OwnedRecord {
    let mut parser = flk_contract::Parser::new();
    let record = parser
        .parse(RECORD.as_bytes())
        .expect("the golden record is in order");
    OwnedRecord::from(&record)
}

/// Standard base64 with padding and no spare bits set, bit by bit.
pub fn base64_plainly(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let digits = text.trim_end_matches('=');
    if text.len() - digits.len() > 2 {
        return None;
    }
    let mut bits = Vec::new();
    for digit in digits.bytes() {
        let value = ALPHABET.iter().position(|&letter| letter == digit)?;
        bits.extend((0..6).rev().map(|bit| value >> bit & 1));
    }
    let spare = bits.len() % 8;
    // A lone digit spells no byte, and padding fills exactly what digits leave.
    let sound = spare != 6 && bits.iter().rev().take(spare).all(|&bit| bit == 0);
    let bytes = bits.chunks_exact(8);
    sound.then(|| {
        bytes
            .map(|byte| byte.iter().fold(0, |sum, &bit| sum << 1 | bit as u8))
            .collect()
    })
}

/// A sealed slice of some decisions in some partitions, and the decisions.
pub fn slice() -> (Vec<u8>, Vec<Decided>) {
    let hash = KeyHash::new([9; 16]);
    let mut entries: Vec<Decided> = (0..200_u32)
        .map(|number| Decided {
            key: hash.key("default", &number.to_string()),
            digest_tag: u64::from(number),
            numbers: [1.5, 1.25, 0.4, f64::from(number)],
            decided_at: 100 + number % 50,
            expiry: 10_000 + number % 7,
            ..Decided::default()
        })
        .collect();
    entries.sort_by_key(|entry| entry.key);
    let meta = SliceMeta {
        slice_id: 77,
        generation: 12,
        installation: [1; 16],
        incarnation: [2; 16],
        secret: [3; 16],
    };
    let mut writer = SliceWriter::new(meta, &[flk_contract::ParamsVersion::ONE]);
    for entry in &entries {
        writer.push(entry).expect("entries ascend");
    }
    let mut bytes = writer.take_ready();
    let log = LogId {
        start: 3,
        number: 1,
    };
    let covers = [Cover {
        log,
        upto: Sequence(77),
    }];
    bytes.extend(writer.finish(&covers).expect("a sound slice").bytes);
    (bytes, entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_base64_reads_what_it_should_and_nothing_else() {
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("+/+/", "\u{0}"),
        ] {
            let expect = if text == "+/+/" {
                vec![0xfb, 0xff, 0xbf]
            } else {
                bytes.as_bytes().to_vec()
            };
            assert_eq!(base64_plainly(text), Some(expect), "{text}");
        }
        for text in [
            "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm-v", "Zm9v\n", " Zg=",
        ] {
            assert_eq!(base64_plainly(text), None, "{text}");
        }
    }
}
