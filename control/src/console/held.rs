//! Bytes of an answer that hold a place among those that are made: the place is free when the last byte has left, not when the
//! answer is made. So what slow clients have not taken is bounded.

use axum::body::Bytes;

struct Held<P> {
    text: String,
    _place: P,
}

impl<P> AsRef<[u8]> for Held<P> {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// The bytes of a text, with their place or places.
pub fn bytes(text: String, place: impl Send + 'static) -> Bytes {
    Bytes::from_owner(Held {
        text,
        _place: place,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    #[test]
    fn a_place_is_free_when_the_last_byte_is_gone() {
        let places = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&places).try_acquire_owned().unwrap();
        let mut bytes = bytes("rows".to_owned(), place);
        let first = bytes.split_to(2);
        drop(bytes);
        assert_eq!((places.available_permits(), &first[..]), (0, &b"ro"[..]));
        drop(first);
        assert_eq!(places.available_permits(), 1);
    }
}
