//! Writes the committed corpora anew: `seeds DIRECTORY` (the Makefile's `fuzz-corpus`). Everything comes from the golden
//! vectors and from what is encoded here, so that two runs write the same bytes. It removes nothing.

#[path = "seeds/manifests.rs"]
mod manifests;

// The coverage flags that all programs here are compiled with want the engine to be linked, though nothing runs it here.
use libfuzzer_sys as _;

use flk_dataplane::wal::batch::{BatchFields, BatchLimits, OpenBatch};
use flk_dataplane::wal::buffer::Blocks;
use flk_dataplane::wal::manifest::Manifest;
use flk_dataplane::wal::name::{LogId, Place, Sequence};
use flk_dataplane::wal::record::{BodyMeta, Decision, Entry, ErasedBody, ErasureList, Refused};
use flk_dataplane::wal::secret::Secret;
use flk_dataplane::wal::segment::{Predecessor, Region, SegmentHeader, SegmentLabels};
use std::path::{Path, PathBuf};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden");
const LOG: LogId = LogId {
    start: 3,
    number: 1,
};

fn main() {
    let Some(root) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: seeds DIRECTORY");
        std::process::exit(2);
    };
    let count = http_head(&root)
        + chunked(&root)
        + proxy(&root)
        + record(&root)
        + signature(&root)
        + log(&root)
        + slice(&root);
    println!("{count} seeds below {}", root.display());
}

fn put(root: &Path, target: &str, name: &str, bytes: &[u8]) -> usize {
    let directory = root.join(target);
    std::fs::create_dir_all(&directory).expect("the corpus directory can be made");
    std::fs::write(directory.join(name), bytes).expect("a seed can be written");
    1
}

/// Bodies in chunks: sound ones, and those that peers read differently.
fn chunked(root: &Path) -> usize {
    let seeds: &[(&str, &str)] = &[
        ("empty", "0\r\n\r\n"),
        ("two_chunks", "3\r\nabc\r\n00000002\r\nde\r\n0\r\n\r\nPOST"),
        ("extensions", "1;a=b;c=\"d\"\r\nx\r\n0;last\r\n\r\n"),
        (
            "trailers",
            "1\r\nx\r\n0\r\nX-Checksum: 1\r\nExpires:\r\n\r\n",
        ),
        (
            "upper_and_lower",
            "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
        ),
        ("nine_digits", "000000001\r\nx\r\n0\r\n\r\n"),
        ("space_behind_size", "1 \r\nx\r\n0\r\n\r\n"),
        ("prefix", "0x1\r\nx\r\n0\r\n\r\n"),
        ("bare_lf", "1\nx\n0\n\n"),
        ("bare_lf_in_extension", "1;a\nx\r\n0\r\n\r\n"),
        ("no_crlf_behind_data", "1\r\nx0\r\n\r\n"),
        ("length_in_trailer", "0\r\nContent-Length: 1\r\n\r\n"),
        ("folded_trailer", "0\r\nX: y\r\n z\r\n\r\n"),
        ("too_large", "ffffffff\r\n"),
    ];
    seeds
        .iter()
        .map(|(name, text)| put(root, "chunked", name, text.as_bytes()))
        .sum()
}

/// Headers of the PROXY protocol, in both versions, and lists of addresses.
fn proxy(root: &Path) -> usize {
    const SIGNATURE: &str = "\r\n\r\n\0\r\nQUIT\n";
    let seeds: &[(&str, &str)] = &[
        (
            "line_v4",
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\nGET",
        ),
        ("line_v6", "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n"),
        ("line_unknown", "PROXY UNKNOWN a b\r\n"),
        ("list", "192.0.2.1, [2001:db8::1]:80,10.0.0.1:1"),
    ];
    let binary: &[(&str, &str)] = &[
        (
            "binary_v4",
            "\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x02\0\x01\0\x02GET",
        ),
        ("binary_local", "\x20\0\0\x04\x04\0\x01x"),
        ("binary_unspecified", "\x21\0\0\0"),
        ("binary_too_long", "\x20\0\x7f\x7f"),
    ];
    let lines = seeds.iter().map(|(name, text)| (name, (*text).to_owned()));
    let binary = binary
        .iter()
        .map(|(name, text)| (name, [SIGNATURE, text].concat()));
    lines
        .chain(binary)
        .map(|(name, text)| put(root, "proxy", name, text.as_bytes()))
        .sum()
}

/// Heads and streams of heads that are hard to read, most of them wrong.
const HARD_HEADS: [(&str, &str); 14] = [
    (
        "te_and_cl",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "two_lengths",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    ),
    (
        "length_list",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
    ),
    (
        "length_plus",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
    ),
    ("bare_lf", "GET / HTTP/1.1\nHost: a\n\n"),
    (
        "obs_fold",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
    ),
    ("space_colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
    (
        "absolute",
        "GET http://a/health HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    ("asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("http_1_0_health", "GET /health HTTP/1.0\r\nHost: a\r\n\r\n"),
    ("http_2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("leading_crlf", "\r\nGET /livez HTTP/1.1\r\nHost: a\r\n\r\n"),
    (
        "all_fields",
        "POST /v1/pcs/submit?x HTTP/1.1\r\nHost: [::1]:8080\r\nContent-Type: application/json; charset=utf-8\r\nX-Tenant-Id: a.b_C-9\r\nAuthorization: Basic eDp5\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nExpect: 100-continue\r\nConnection: keep-alive, close\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhelloGET",
    ),
    (
        "pipeline",
        "POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}GET /readyz HTTP/1.1\r\nHost: a\r\n\r\nHEAD /version HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ),
];

/// What a golden conversation sends, bodies cut to what a seed needs.
fn first_bytes(path: &Path) -> Vec<u8> {
    let text = std::fs::read_to_string(path).expect("a conversation");
    let conversation: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let mut stream: Vec<u8> = Vec::new();
    let steps = conversation["steps"].as_array().into_iter().flatten();
    for part in steps.flat_map(|step| step["send"].as_array()).flatten() {
        let text = part["text"].as_str().unwrap_or_default();
        stream.extend(text.chars().map(|c| c as u8));
        if let Some(file) = part["file"].as_str() {
            let body = std::fs::read(Path::new(GOLDEN).join(file)).expect("a body");
            stream.extend_from_slice(&body[..body.len().min(700)]);
        }
    }
    stream
}

/// The first connection of each golden conversation, bodies cut to what a seed needs, and lines that nobody should accept.
fn http_head(root: &Path) -> usize {
    let mut count = 0;
    let mut conversations: Vec<PathBuf> = std::fs::read_dir(Path::new(GOLDEN).join("http"))
        .expect("golden conversations")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .collect();
    conversations.sort();
    for path in conversations {
        let mut stream = first_bytes(&path);
        stream.truncate(2_000);
        let name = path
            .file_stem()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        count += put(root, "http_head", &name, &stream);
    }
    count
        + HARD_HEADS
            .iter()
            .map(|(name, text)| put(root, "http_head", name, text.as_bytes()))
            .sum::<usize>()
}

/// The golden records are read where they are; here is what they do not have.
fn record(root: &Path) -> usize {
    let tiny = flk_fuzz::RECORD.replace([' ', '\n'], "");
    let with = |from: &str, to: &str| tiny.replace(from, to);
    let seeds = [
        ("compact", tiny.clone()),
        ("unknown_members", with("{\"pcs_id\"", "{\"x\":[[{}],null,true,-0.0e-0],\"\\u0078y\":{\"\":\"\\ud83d\\ude00\"},\"pcs_id\"")),
        ("negative_zero", with("\"degraded\":false", "\"degraded\":false,\"z\":-0")),
        (
            "negative_zero_epoch",
            with("\"epoch\":1700000000", "\"epoch\":-0"),
        ),
        ("numbers", "[0,-0,0.0,-0.0,1e5,1E+5,1e-5,4.9e-324,2.2250738585072014e-308,1.7976931348623157e308,18446744073709551615,9007199254740993]".to_owned()),
        ("scalars", "[true,false,null,\"\",{},[]]".to_owned()),
        ("escapes", "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u007f\\uFFFF\"]".to_owned()),
        ("deep", format!("{}{}", "[".repeat(32), "]".repeat(32))),
        ("too_deep", format!("{}{}", "{\"a\":".repeat(33), "0".to_owned() + &"}".repeat(33))),
        ("same_key", "{\"a\":1,\"\\u0061\":2}".to_owned()),
        ("white", " \t\r\n[ 1 , 2 ] \n".to_owned()),
    ];
    seeds
        .iter()
        .map(|(name, text)| put(root, "record", name, text.as_bytes()))
        .sum()
}

fn signature(root: &Path) -> usize {
    let b64 = |fill: char, length: usize| fill.to_string().repeat(length);
    let seeds = [
        ("hmac_length", b64('A', 43) + "="),
        ("hmac_spare_bits", b64('A', 42) + "B="),
        ("hmac_no_padding", b64('A', 43)),
        ("ed25519_length", b64('A', 86) + "=="),
        ("ed25519_spare_bits", b64('A', 85) + "B=="),
        ("url_alphabet", b64('-', 43) + "="),
        ("padding_within", b64('A', 41) + "=AA"),
        ("base_point", format!("WG{}=", b64('Z', 41))),
        ("neutral_point", format!("AQ{}=", b64('A', 41))),
        ("line_end", b64('A', 42) + "=\n"),
        ("scheme", "hmac-sha256;num=fixed9".to_owned()),
        ("key", "testsecret".to_owned()),
        ("unicode", "schlüssel\u{1f511}".to_owned()),
    ];
    seeds
        .iter()
        .map(|(name, text)| put(root, "signature", name, text.as_bytes()))
        .sum()
}

fn labels() -> SegmentLabels {
    SegmentLabels {
        node: Some([5; 16]),
        group: Some([1; 16]),
        region: Region::new("eu-west"),
    }
}

fn segment(
    ordinal: u32,
    predecessor: Option<Predecessor>,
    made_bytes: Option<u64>,
) -> SegmentHeader {
    SegmentHeader {
        installation: [1; 16],
        incarnation: [2; 16],
        log: LOG,
        ordinal,
        salt: 0x5A17 + u64::from(ordinal),
        generation: 9,
        predecessor,
        made_bytes,
        labels: labels(),
    }
}

fn sequence(counter: u64) -> Sequence {
    Sequence(u64::from(LOG.start) << 40 | counter)
}

fn place(counter: u64, index: u32) -> Place {
    Place {
        sequence: sequence(counter),
        index,
    }
}

fn fields(counter: u64, salt: u64, previous_checksum: u32) -> BatchFields {
    BatchFields {
        salt,
        sequence: sequence(counter),
        expiry_clock_s: 1_000 + counter as u32,
        wall_us: 1_760_000_000_000_000,
        durable_upto: sequence(counter - 1),
        resolved_upto: sequence(counter - 1),
        previous_checksum,
        term: 0,
    }
}

/// A batch with a record of every kind.
fn full_batch() -> OpenBatch {
    let mut batch = OpenBatch::new(BatchLimits::default());
    let meta = BodyMeta {
        snapshot: 1,
        tenant: "default",
        ..BodyMeta::default()
    };
    for body in ["{}", flk_fuzz::RECORD, ""] {
        batch.push_body(body.as_bytes(), &meta);
    }
    batch.push(&Entry::Decision(Decision {
        body: place(1, 1),
        tenant: "default",
        pcs_id: [0xab; 32],
        digest: [0xcd; 32],
        key_id: [7; 8],
        params: "1",
        decided_at: 1_000,
        expiry: 1_210_600,
        encoding: 1,
        reason: 2,
        regime: 1,
        numbers: [1.35, 1.35, 0.4, 0.4],
        origin: 3,
    }));
    batch.push(&Entry::Refused(Refused {
        body: place(1, 0),
        status: 400,
        code: 80,
    }));
    batch.push(&Entry::Duplicate(place(1, 2)));
    batch.push(&Entry::Conflict(place(1, 2)));
    batch.push(&Entry::Unanswered(place(1, 2)));
    let mut room = Vec::new();
    batch.push(&Entry::Erasure(ErasureList::encode(
        &[ErasedBody {
            log: LOG,
            body: place(1, 0),
        }],
        &mut room,
    )));
    batch
}

fn log(root: &Path) -> usize {
    let secret = Secret {
        id: [5; 16],
        key: [6; 16],
    };
    let mut blocks = Blocks::default();
    let (full, empty) = (full_batch(), OpenBatch::new(BatchLimits::default()));
    let lead = segment(0, None, None);
    let mut two = Vec::new();
    let first = full.assemble(&fields(1, lead.salt, 0), Some(&lead), &mut blocks);
    two.extend_from_slice(blocks.bytes());
    let led = two.clone();
    let mark = empty.assemble(&fields(2, lead.salt, first.checksum), None, &mut blocks);
    let lone_mark = blocks.bytes().to_vec();
    two.extend_from_slice(blocks.bytes());
    // The next segment, written behind the first: how a log goes on.
    let next = segment(
        1,
        Some(Predecessor {
            ends_after: sequence(2),
            checksum: mark.checksum,
        }),
        Some(8192),
    );
    full.assemble(&fields(3, next.salt, 0), Some(&next), &mut blocks);
    let mut rolled = two.clone();
    rolled.extend_from_slice(blocks.bytes());
    // A segment that was made longer than it is.
    let cut = segment(0, None, Some(1 << 20));
    full.assemble(&fields(1, cut.salt, 0), Some(&cut), &mut blocks);
    let cut = blocks.bytes().to_vec();
    let mut torn = two.clone();
    torn[4096 + 200] ^= 1;
    let mut gap = led.clone();
    gap.resize(gap.len() + 4096, 0);
    gap.extend_from_slice(&lone_mark);
    full.assemble(&fields(1, 7, 0), None, &mut blocks);
    let seeds = [
        ("secret", secret.encode()),
        ("manifest", manifests::manifest().encode()),
        ("manifest_empty", Manifest::default().encode()),
        ("manifest_of_format_1", golden("wal/v1/manifest")),
        ("manifest_with_a_later_section", golden("wal/v2/manifest")),
        (
            "segment_of_format_1",
            golden("wal/v1/segment-0000000000000004.wal"),
        ),
        ("batch_alone", blocks.bytes().to_vec()),
        ("mark_alone", lone_mark),
        ("segment_of_one", led),
        ("segment_of_two", two),
        ("rolled", rolled),
        ("torn", torn),
        ("cut", cut),
        ("zeros_between", gap),
        ("file_name", b"0000000000000007.seg".to_vec()),
    ];
    seeds
        .iter()
        .map(|(name, bytes)| put(root, "log", name, bytes))
        .sum()
}

/// The bytes of a golden file.
fn golden(path: &str) -> Vec<u8> {
    let path = Path::new(GOLDEN).join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Lists of changes to a sound slice, and the sound slice's first and last block.
fn slice(root: &Path) -> usize {
    let (bytes, _) = flk_fuzz::slice();
    let seeds: [(&str, Vec<u8>); 6] = [
        ("first_byte", vec![0, 0, 0, 1]),
        ("in_a_block", vec![100, 16, 0, 1]),
        ("cut_short", vec![1]),
        ("longer", vec![200, 0]),
        ("head", bytes[..4096].to_vec()),
        ("tail", bytes[bytes.len() - 4096..].to_vec()),
    ];
    seeds
        .iter()
        .map(|(name, bytes)| put(root, "slice", name, bytes))
        .sum()
}
