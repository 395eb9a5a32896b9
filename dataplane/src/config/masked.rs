//! A text that is kept for long and is not to be found by a search of the memory.

use zeroize::Zeroizing;

/// A text under a random mask of its length. It hides the text from a search of the memory, not from who reads all of it.
pub(super) struct Masked {
    mask: Zeroizing<Vec<u8>>,
    masked: Zeroizing<Vec<u8>>,
}

impl Masked {
    pub(super) fn new(text: &str) -> Masked {
        let mut mask = Zeroizing::new(vec![0; text.len()]);
        let mut filled = 0;
        while filled < mask.len() {
            let flags = rustix::rand::GetRandomFlags::empty();
            match rustix::rand::getrandom(&mut mask[filled..], flags) {
                Ok(bytes) => filled += bytes,
                Err(rustix::io::Errno::INTR) => {}
                // Only a filter of system calls refuses it; then the text is kept as it is.
                Err(_) => break,
            }
        }
        let masked = text.bytes().zip(mask.iter()).map(|(byte, by)| byte ^ by);
        let masked = Zeroizing::new(masked.collect());
        Masked { mask, masked }
    }

    pub(super) fn text(&self) -> Zeroizing<String> {
        let bytes = self.masked.iter().zip(self.mask.iter());
        let bytes: Vec<u8> = bytes.map(|(byte, by)| byte ^ by).collect();
        match String::from_utf8(bytes) {
            Ok(text) => Zeroizing::new(text),
            Err(_) => unreachable!("it was a text before it was masked"),
        }
    }
}
