//! Why a body is not a record: the rule that it breaks and the field that breaks it.
//! It holds no byte of the body, so it can be logged and sent back.

/// The rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MalformedCode {
    /// Not JSON (RFC 8259), not UTF-8, a lone surrogate, a byte order mark, a number outside the range of a double.
    NotJson,
    /// Arrays and objects nested too deeply.
    TooDeep,
    /// An object with too many members.
    TooManyMembers,
    /// The same key twice in one object, after unescaping.
    DuplicateKey,
    /// JSON, but not an object.
    NotAnObject,
    /// A required field is absent.
    MissingField,
    /// A field has another JSON type, or an integer has a fraction or an exponent.
    WrongType,
    /// A field's value is outside its bounds or malformed.
    OutOfRange,
    /// `schema` or the major of `version` is not supported.
    UnsupportedVersion,
    /// `N_j` and `scales` do not name the same scales.
    ScalesMismatch,
}

impl MalformedCode {
    /// All codes, for counters.
    pub const ALL: [Self; 10] = [
        Self::NotJson,
        Self::TooDeep,
        Self::TooManyMembers,
        Self::DuplicateKey,
        Self::NotAnObject,
        Self::MissingField,
        Self::WrongType,
        Self::OutOfRange,
        Self::UnsupportedVersion,
        Self::ScalesMismatch,
    ];

    /// A stable word for problem documents, metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "json_invalid",
            Self::TooDeep => "json_too_deep",
            Self::TooManyMembers => "json_too_many_members",
            Self::DuplicateKey => "json_duplicate_key",
            Self::NotAnObject => "json_not_an_object",
            Self::MissingField => "field_missing",
            Self::WrongType => "field_wrong_type",
            Self::OutOfRange => "field_out_of_range",
            Self::UnsupportedVersion => "version_unsupported",
            Self::ScalesMismatch => "scales_mismatch",
        }
    }
}

macro_rules! fields {
    ($($variant:ident $name:literal $rule:literal,)*) => {
        /// A field of the record.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Field {
            $(
                #[doc = concat!("`", $name, "`: ", $rule, ".")]
                $variant,
            )*
        }

        impl Field {
            /// All fields, in the order of the contract; those of `ft` last.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in the record, with a dot where it is a member of `ft`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What the field must be.
            pub const fn rule(self) -> &'static str {
                match self {
                    $(Self::$variant => $rule,)*
                }
            }
        }
    };
}

fields! {
    PcsId "pcs_id" "a string",
    Schema "schema" "the string `fractal-lba-kakeya`",
    Version "version" "a string MAJOR.MINOR or MAJOR.MINOR.PATCH with major 0",
    ShardId "shard_id" "a string of 1 to 128 bytes",
    Epoch "epoch" "an integer from 0 to 2^53-1",
    Attempt "attempt" "an integer from 1 to 2^53-1",
    SentAt "sent_at" "an RFC 3339 date-time",
    Seed "seed" "an integer from -2^63 to 2^63-1",
    Scales "scales" "an array of 2 to 64 distinct integers from 1 to 2^31-1",
    NJ "N_j" "an object with exactly the scales as keys and integers from 1 to 2^53-1 as values",
    CohStar "coh_star" "a finite number",
    VStar "v_star" "an array of 1 to 4096 finite numbers",
    DHat "D_hat" "a finite number",
    R "r" "a finite number",
    Budget "budget" "a finite number",
    Regime "regime" "`sticky`, `mixed` or `non_sticky`",
    MerkleRoot "merkle_root" "a string",
    Sig "sig" "a string",
    Ft "ft" "an object",
    OutboxSeq "ft.outbox_seq" "an integer from -2^63 to 2^63-1",
    Degraded "ft.degraded" "a boolean",
    Fallbacks "ft.fallbacks" "an array of strings",
    ClockSkewMs "ft.clock_skew_ms" "an integer from -2^63 to 2^63-1",
}

/// A body that is not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The rule that was broken.
    pub code: MalformedCode,
    /// The field that broke it, where it is one field.
    pub field: Option<Field>,
}

impl Malformed {
    pub(super) const fn json(code: MalformedCode) -> Self {
        Self { code, field: None }
    }

    pub(super) const fn field(code: MalformedCode, field: Field) -> Self {
        Self {
            code,
            field: Some(field),
        }
    }
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(field) = self.field {
            let (name, rule) = (field.as_str(), field.rule());
            return match self.code {
                MalformedCode::MissingField => write!(f, "`{name}` is missing; it must be {rule}"),
                _ => write!(f, "`{name}` must be {rule}"),
            };
        }
        f.write_str(match self.code {
            MalformedCode::TooDeep => "the JSON is nested deeper than 32 levels",
            MalformedCode::TooManyMembers => "an object has more than 1024 members",
            MalformedCode::DuplicateKey => "an object has the same key twice",
            MalformedCode::NotAnObject => "the body must be one JSON object",
            _ => "the body is not valid JSON (RFC 8259) in UTF-8",
        })
    }
}

impl std::error::Error for Malformed {}
