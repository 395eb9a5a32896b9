//! Numbers in records that are given out, and those that are reserved for later versions. They are for ever: a number is never
//! changed or used for another meaning. Reasons, regimes and encodings are the contract's.

/// What a record is.
pub mod kind {
    /// A request body as it was received.
    pub const BODY: u8 = 1;
    /// The first outcome of a key.
    pub const DECISION: u8 = 2;
    /// The body was refused.
    pub const REFUSED: u8 = 3;
    /// The body repeats a decided record.
    pub const DUPLICATE: u8 = 4;
    /// The body claims a decided key with another signing digest.
    pub const CONFLICT: u8 = 5;
    /// The body was given up without an outcome.
    pub const UNANSWERED: u8 = 6;
    /// Names bodies that were erased.
    pub const ERASURE: u8 = 8;
}

/// Kinds that later versions will write. None of them may be skipped, whatever its optional bit says: a reader that forgot one
/// would give an id a second outcome.
pub const RESERVED_KINDS: [(u8, &str); 5] = [
    (7, "deferred"),
    (9, "adopted decision"),
    (10, "epoch of partitions"),
    (11, "superseded"),
    (12, "watermark of a source"),
];

/// Problem codes that the record of a refused body has.
pub const REFUSED_CODES: [(u8, &str); 7] = [
    (60, "signature_invalid"),
    (80, "malformed_json"),
    (81, "missing_field"),
    (82, "invalid_field"),
    (83, "unsupported_schema"),
    (84, "unsupported_version"),
    (85, "pcs_id_mismatch"),
];

/// Problem codes that later versions will answer with, and the numbers that they will have.
pub const RESERVED_CODES: [(u8, &str); 7] = [
    (86, "pii_blocked"),
    (87, "forked"),
    (132, "frozen"),
    (133, "owner_unreachable"),
    (134, "copies_unavailable"),
    (135, "replication_lag"),
    (136, "cold_unavailable"),
];

/// The name of a kind that is reserved.
pub(super) fn reserved_kind(kind: u8) -> Option<&'static str> {
    let mut reserved = RESERVED_KINDS.iter();
    reserved
        .find(|(number, _)| *number == kind)
        .map(|(_, name)| *name)
}

/// Whether this version writes refusals with this problem code.
pub(super) fn is_refused_code(code: u8) -> bool {
    REFUSED_CODES.iter().any(|(number, _)| *number == code)
}
