//! The `traceparent` header of W3C Trace Context, level 2: which trace a request belongs to, and whether its caller traces
//! it. A value that is not valid is as good as none. It decides nothing and never looks at a record.

/// What a valid `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceparent {
    /// The trace, not all zeros.
    pub trace_id: [u8; 16],
    /// The span of the caller, not all zeros.
    pub parent_id: [u8; 8],
    /// Whether the caller may have recorded its span.
    pub sampled: Sampled,
}

/// The flag `sampled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampled {
    /// The caller records the trace.
    Yes,
    /// It does not.
    No,
}

/// Bytes of version `00`: `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const BYTES: usize = 55;

/// Reads the trimmed value of the header; `None`: it is not valid, and the trace begins here.
///
/// Versions above `00` are read like it, as their beginning has the same form; what they add is behind another dash. `ff` is
/// not a version.
#[must_use]
pub fn read_traceparent(value: &[u8]) -> Option<Traceparent> {
    let (fixed, added) = value.split_at_checked(BYTES)?;
    let [version] = hex::<1>(&fixed[..2])?;
    let is_whole = match version {
        0 => added.is_empty(),
        0xff => false,
        _ => added.is_empty() || added[0] == b'-',
    };
    let dashes = [2, 35, 52].iter().all(|&at| fixed[at] == b'-');
    if !is_whole || !dashes {
        return None;
    }
    let trace_id = hex(&fixed[3..35])?;
    let parent_id = hex(&fixed[36..52])?;
    let [flags] = hex::<1>(&fixed[53..])?;
    let is_set = trace_id != [0; 16] && parent_id != [0; 8];
    is_set.then_some(Traceparent {
        trace_id,
        parent_id,
        sampled: match flags & 1 {
            1 => Sampled::Yes,
            _ => Sampled::No,
        },
    })
}

/// Pairs of hex digits, lowercase only.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    debug_assert_eq!(digits.len(), 2 * N);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn check(value: &str, expected: Option<Sampled>) {
        let found = read_traceparent(value.as_bytes());
        assert_eq!(found.map(|it| it.sampled), expected, "{value}");
        if let Some(found) = found {
            assert_eq!(flk_testkit::hex::hex(&found.trace_id), TRACE);
            assert_eq!(flk_testkit::hex::hex(&found.parent_id), SPAN);
        }
    }

    #[test]
    fn the_cases_of_the_specification_are_read_or_ignored() {
        use Sampled::{No, Yes};
        check(&format!("00-{TRACE}-{SPAN}-01"), Some(Yes));
        check(&format!("00-{TRACE}-{SPAN}-00"), Some(No));
        // Flags that this version does not know are not looked at; the second one says that the id is random.
        check(&format!("00-{TRACE}-{SPAN}-03"), Some(Yes));
        check(&format!("00-{TRACE}-{SPAN}-fe"), Some(No));
        // A later version may add something behind a dash.
        check(&format!("01-{TRACE}-{SPAN}-01"), Some(Yes));
        check(&format!("cc-{TRACE}-{SPAN}-01-what-comes-later"), Some(Yes));
        check(&format!("fe-{TRACE}-{SPAN}-01-"), Some(Yes));
        for wrong in [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("cc-{TRACE}-{SPAN}-01.more"),
            format!("cc-{TRACE}-{SPAN}-011"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-001"),
            format!("0G-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-0A"),
            format!("00_{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}_{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}_01"),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{TRACE}-{SPAN}-.1"),
        ] {
            check(&wrong, None);
        }
    }

    /// The same by splitting at dashes.
    fn twin(value: &str) -> Option<Traceparent> {
        let parts: Vec<&str> = value.splitn(5, '-').collect();
        let is_hex = |text: &str, length: usize| {
            text.len() == length && text.chars().all(|it| "0123456789abcdef".contains(it))
        };
        let (version, trace, span, flags) = match parts[..] {
            [version, trace, span, flags] => (version, trace, span, flags),
            [version, trace, span, flags, _] if version != "00" => (version, trace, span, flags),
            _ => return None,
        };
        let well_formed = is_hex(version, 2)
            && is_hex(trace, 32)
            && is_hex(span, 16)
            && is_hex(flags, 2)
            && version != "ff";
        let is_set = trace.contains(|it| it != '0') && span.contains(|it| it != '0');
        let flags = u8::from_str_radix(flags, 16).ok()?;
        (well_formed && is_set).then(|| Traceparent {
            trace_id: flk_testkit::hex::unhex_array(trace),
            parent_id: flk_testkit::hex::unhex_array(span),
            sampled: [Sampled::No, Sampled::Yes][usize::from(flags & 1)],
        })
    }

    proptest! {
        #[test]
        fn a_value_is_read_as_by_its_twin(
            text in "(00|01|fe|ff|[0-9a-fA-F]{2})-([0-9a-f]{32}|0{32}|[0-9a-fG]{31,33})-([0-9a-f]{16}|0{16})-[0-9a-f]{1,3}(-[a-z]{0,3}|[a-z-]{0,2})",
            at in any::<proptest::sample::Index>(),
            by in "[-0a\u{e9}F.]?",
        ) {
            prop_assert_eq!(read_traceparent(text.as_bytes()), twin(&text));
            let (before, after) = text.split_at(at.index(text.len()));
            let changed = format!("{before}{by}{}", &after[1..]);
            prop_assert_eq!(read_traceparent(changed.as_bytes()), twin(&changed));
        }

        #[test]
        fn any_bytes_are_read_or_ignored(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let text = String::from_utf8_lossy(&bytes);
            prop_assert_eq!(read_traceparent(&bytes), twin(&text));
        }
    }
}
