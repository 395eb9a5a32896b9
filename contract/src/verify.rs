//! Verification (outline): the version name of a parameter set.

/// Name of a parameter set: 1–32 characters of `[A-Za-z0-9._-]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParamsVersion {
    bytes: [u8; 32],
    len: u8,
}

impl ParamsVersion {
    /// Checks and copies a name.
    pub fn new(text: &str) -> Option<ParamsVersion> {
        let ok = (1..=32).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        ok.then(|| {
            let mut bytes = [0; 32];
            bytes[..text.len()].copy_from_slice(text.as_bytes());
            ParamsVersion {
                bytes,
                len: text.len() as u8,
            }
        })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}
