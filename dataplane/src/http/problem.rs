//! The table of all refusals: status, stable `code`, stable number in the log, and a text that says what to do. A problem
//! carries nothing from the request, so no response can echo a payload.

use super::request::Target;
use flk_contract::parse::{Field, Malformed, MalformedCode};

/// Makes the enum, its look-ups and the JSON body of each row from one table.
macro_rules! problems {
    ($($(#[doc = $doc:literal])* $variant:ident = $number:literal, $status:literal, $code:literal, $retryable:literal, $title:literal, $detail:literal;)*) => {
        /// Every refusal that the data plane can answer.
        ///
        /// The number is part of the log format (the disposition of a refused body contains it) and the code is part of
        /// the HTTP contract. Neither is ever changed or used for another meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Problem {
            $($(#[doc = $doc])* $variant = $number,)*
        }

        impl Problem {
            /// All problems, in the order of their numbers.
            pub const ALL: &'static [Problem] = &[$(Problem::$variant,)*];

            /// The problem with this log number; `None` for a number that no version of this table has given out.
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Problem> {
                match number {
                    $($number => Some(Problem::$variant),)*
                    _ => None,
                }
            }

            /// HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Problem::$variant => $status,)* }
            }

            /// Stable machine-readable code.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Problem::$variant => $code,)* }
            }

            /// Short human-readable title.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Problem::$variant => $title,)* }
            }

            /// What the sender can do about it.
            #[must_use]
            pub const fn detail(self) -> &'static str {
                match self { $(Problem::$variant => $detail,)* }
            }

            /// Whether the same request may succeed later without being changed.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self { $(Problem::$variant => $retryable,)* }
            }

            /// The `application/problem+json` body (RFC 9457) without its closing brace.
            ///
            /// The texts of the table need no JSON escaping; a test checks that.
            pub(super) const fn body_open(self) -> &'static str {
                match self {
                    $(Problem::$variant => concat!(
                        "{\"type\":\"about:blank\",\"title\":\"", $title, "\",\"status\":", $status,
                        ",\"code\":\"", $code, "\",\"retryable\":", $retryable,
                        ",\"detail\":\"", $detail, "\""
                    ),)*
                }
            }
        }
    };
}

problems! {
    // 1–39: framing. After each of these the start of the next request is unknown: answer and close.
    /// The request line has not exactly three parts.
    InvalidRequestLine = 1, 400, "invalid_request_line", false, "Malformed request line", "Send method, target and HTTP/1.1, separated by single spaces and ended by CRLF.";
    /// The method is not a token.
    InvalidMethod = 2, 400, "invalid_method", false, "Malformed method", "A method is 1 to 32 token characters.";
    /// The request target has a form or a character that is not allowed.
    InvalidTarget = 3, 400, "invalid_target", false, "Malformed request target", "Send an absolute path without spaces, control characters or a fragment.";
    /// The third part of the request line is not an HTTP version that ever had one.
    InvalidVersion = 4, 400, "invalid_version", false, "Malformed HTTP version", "Send HTTP/1.1.";
    /// A carriage return without a line feed.
    BareCr = 5, 400, "bare_cr", false, "Bare CR in the request head", "End each line with CRLF and send CR nowhere else.";
    /// A line feed without a carriage return.
    BareLf = 6, 400, "bare_lf", false, "Bare LF in the request head", "End each line with CRLF and send LF nowhere else.";
    /// A NUL byte.
    NulByte = 7, 400, "nul_byte", false, "NUL byte in the request head", "Remove the NUL byte.";
    /// Another control character.
    ControlCharacter = 8, 400, "control_character", false, "Control character in the request head", "Remove control characters from header values; only tab is allowed.";
    /// A line that begins with white space: a folded value, or white space before the first header.
    FoldedHeader = 9, 400, "folded_header", false, "Header line begins with white space", "Send each header on one line that starts with its name.";
    /// White space between header name and colon.
    SpaceBeforeColon = 10, 400, "space_before_colon", false, "White space before the colon", "Put the colon directly behind the header name.";
    /// A header name that is empty or not a token, or a line without a colon.
    InvalidHeaderName = 11, 400, "invalid_header_name", false, "Malformed header name", "A header name is one or more token characters followed by a colon.";
    /// A header that affects framing has a value outside its grammar.
    InvalidHeaderValue = 12, 400, "invalid_header_value", false, "Malformed header value", "Connection is a list of tokens; Transfer-Encoding names codings, each once and none empty.";
    /// A name that a lenient implementation could read as Content-Length or Transfer-Encoding.
    SuspiciousHeaderName = 13, 400, "suspicious_header_name", false, "Look-alike of a framing header", "Spell Content-Length and Transfer-Encoding exactly, or name the header differently.";
    /// No Host header.
    MissingHost = 14, 400, "missing_host", false, "Host header missing", "Send exactly one Host header.";
    /// More than one Host header.
    DuplicateHost = 15, 400, "duplicate_host", false, "More than one Host header", "Send exactly one Host header.";
    /// A Host header that is not a host with an optional port.
    InvalidHost = 16, 400, "invalid_host", false, "Malformed Host header", "Send a host name or address, with an optional port.";
    /// The authority of an absolute target and the Host header differ.
    HostMismatch = 17, 400, "host_mismatch", false, "Target and Host differ", "Send the same authority in the target and in Host, or send only the path.";
    /// Content-Length is not a plain decimal number.
    InvalidContentLength = 18, 400, "invalid_content_length", false, "Malformed Content-Length", "Send Content-Length once, as decimal digits without sign, list or leading zeros.";
    /// More than one Content-Length header, equal or not.
    DuplicateContentLength = 19, 400, "duplicate_content_length", false, "More than one Content-Length", "Send Content-Length exactly once.";
    /// Both Content-Length and Transfer-Encoding.
    LengthAndTransferEncoding = 20, 400, "length_and_transfer_encoding", false, "Two ways of framing the body", "Send either Content-Length or Transfer-Encoding: chunked.";
    /// Transfer-Encoding in an HTTP/1.0 request, which has none.
    TransferEncodingHttp10 = 21, 400, "transfer_encoding_http10", false, "Transfer-Encoding in HTTP/1.0", "Send Content-Length, or HTTP/1.1.";
    /// A GET, HEAD or OPTIONS request that announces a body.
    UnexpectedBody = 22, 400, "unexpected_body", false, "GET, HEAD or OPTIONS with a body", "Send GET, HEAD and OPTIONS without a body.";
    /// A second copy of a header that must be unambiguous.
    DuplicateHeader = 23, 400, "duplicate_header", false, "Header sent twice", "Send Authorization, Content-Type and Expect at most once.";
    /// A well-formed HTTP version that is not served.
    VersionUnsupported = 24, 505, "http_version_unsupported", false, "HTTP version not supported", "Send HTTP/1.1.";
    /// A POST with neither Content-Length nor chunks.
    LengthRequired = 25, 411, "length_required", false, "Content-Length required", "Send Content-Length with every POST, 0 for an empty body, or Transfer-Encoding: chunked.";
    /// Any Transfer-Encoding. Versions without chunked bodies answered it; its number and code stay reserved.
    TransferEncodingUnsupported = 26, 411, "transfer_encoding_unsupported", false, "Transfer-Encoding not supported", "Send the body with Content-Length and without Transfer-Encoding.";
    /// The body is longer than the limit, by its Content-Length or by its chunks.
    BodyTooLarge = 27, 413, "body_too_large", false, "Body too large", "Send one record of at most the configured size, 1 MiB by default.";
    /// The head is longer than the limit.
    HeadTooLarge = 28, 431, "head_too_large", false, "Request head too large", "Send at most the configured number of header bytes, 16 KiB by default.";
    /// The head has more fields than the limit.
    TooManyFields = 29, 431, "too_many_fields", false, "Too many header fields", "Send at most the configured number of header fields, 64 by default.";
    /// An Expect value other than 100-continue.
    ExpectationUnsupported = 30, 417, "expectation_unsupported", false, "Expectation not supported", "Send Expect: 100-continue or no Expect at all.";
    /// The head did not arrive in time.
    HeadTimeout = 31, 408, "head_timeout", true, "Request head too slow", "Send the whole head within 5 seconds, on a new connection.";
    /// The body arrived too slowly.
    BodyTimeout = 32, 408, "body_timeout", true, "Request body too slow", "Send the body at 1 KiB/s or faster, on a new connection.";
    /// A transfer coding other than chunked alone.
    TransferCodingUnsupported = 33, 501, "transfer_coding_unsupported", false, "Transfer coding not supported", "Send Transfer-Encoding: chunked as the one coding, or Content-Length.";
    /// A chunked body outside its grammar, or with a chunk extension above 1 KiB.
    InvalidChunk = 34, 400, "invalid_chunk", false, "Malformed chunked body", "Send each chunk as 1 to 8 hex digits, CRLF, that many bytes, CRLF, with at most 1 KiB of extensions.";
    /// The trailers of a chunked body are longer than the limit.
    TrailersTooLarge = 35, 431, "trailers_too_large", false, "Trailers too large", "Send at most 8 KiB of trailers behind a chunked body, or none: they are not read.";
    /// A trailer that affects framing or routing.
    ForbiddenTrailer = 36, 400, "forbidden_trailer", false, "Header not allowed as a trailer", "Send Content-Length, Transfer-Encoding and Host in the head only.";
    /// A PROXY protocol header, version 1 or 2.
    ProxyProtocol = 37, 400, "proxy_protocol", false, "PROXY protocol not spoken here", "Turn the PROXY protocol off for this upstream.";
    /// The first bytes of a TLS connection.
    TlsOnPlainPort = 38, 400, "tls_on_plain_port", false, "TLS on a plain HTTP port", "Send plain HTTP, or end TLS in a proxy before this port.";
    /// The connection preface of HTTP/2.
    Http2OnPlainPort = 39, 505, "http2_on_plain_port", false, "HTTP/2 not supported", "Send HTTP/1.1; turn prior knowledge of HTTP/2 off for this upstream.";

    // 40–59: routing and admission by head.
    /// No such path.
    NotFound = 40, 404, "not_found", false, "Not found", "Records go to POST /v1/pcs/submit.";
    /// A method other than POST or OPTIONS on the submit path.
    SubmitMethodNotAllowed = 41, 405, "submit_method_not_allowed", false, "Method not allowed", "Send POST.";
    /// A method other than GET, HEAD or OPTIONS on a read-only path.
    ReadMethodNotAllowed = 42, 405, "read_method_not_allowed", false, "Method not allowed", "Send GET or HEAD.";
    /// A content type other than JSON.
    ContentTypeUnsupported = 43, 415, "content_type_unsupported", false, "Content type not supported", "Send the header Content-Type: application/json.";
    /// A Content-Encoding other than identity.
    ContentEncodingUnsupported = 44, 415, "content_encoding_unsupported", false, "Content encoding not supported", "Send the body uncompressed and without a Content-Encoding header: turn compression of requests off in the client, and in a proxy before this port.";
    /// The path of an outcome with something else than an id.
    InvalidPcsId = 45, 400, "invalid_pcs_id", false, "Malformed pcs_id", "Ask for GET /v1/pcs/ and the pcs_id as 64 lowercase hex digits.";
    /// No outcome of that id is stored.
    OutcomeNotFound = 46, 404, "outcome_not_found", false, "No outcome", "This gateway has no outcome of that id for this tenant: none was given, or its time is over.";

    /// The body of a batch is longer than the limit, by its Content-Length or by its chunks. It closes, as every 413 does.
    BatchTooLarge = 47, 413, "body_too_large", false, "Batch too large", "Send batches of at most the configured size, 4 MiB by default.";
    /// A batch has more lines than the limit.
    TooManyRecords = 48, 413, "too_many_records", false, "Too many records", "Send batches of at most the configured number of lines, 4096 by default.";
    /// A content type other than NDJSON for a batch.
    BatchTypeUnsupported = 49, 415, "content_type_unsupported", false, "Content type not supported", "Send the header Content-Type: application/x-ndjson.";

    // 60–69: authentication and tenants.
    /// The signature is absent, malformed or matches no active key. Also any fault of pcs_id or merkle_root that makes the
    /// signed payload impossible.
    SignatureInvalid = 60, 401, "signature_invalid", false, "Signature invalid", "Sign the canonical payload with a key that is active for this tenant.";
    /// The tenant header is malformed, sent twice, or names a tenant that is not configured.
    UnknownTenant = 61, 401, "unknown_tenant", false, "Unknown tenant", "Send one X-Tenant-Id that is configured here, or none for the default tenant.";
    /// Wrong or missing credentials for metrics.
    MetricsUnauthorized = 62, 401, "metrics_unauthorized", false, "Credentials required", "Send Basic credentials for metrics.";

    // 80–99: the record itself.
    /// The body is not one well-formed JSON object within the limits on depth and members.
    MalformedJson = 80, 400, "malformed_json", false, "Malformed JSON", "Send one JSON object in UTF-8, without duplicate keys, at most 32 levels deep and 1024 members wide.";
    /// A required field is absent.
    MissingField = 81, 400, "missing_field", false, "Field missing", "Send every field of the record, those of ft too.";
    /// A field has the wrong type or is out of its range.
    InvalidField = 82, 400, "invalid_field", false, "Field invalid", "Correct the field's type or range.";
    /// A schema name that is not served.
    UnsupportedSchema = 83, 400, "unsupported_schema", false, "Schema not supported", "Send schema fractal-lba-kakeya.";
    /// A major version that is not served.
    UnsupportedVersion = 84, 400, "unsupported_version", false, "Version not supported", "Send version 0.1 or another minor of major 0.";
    /// The signature is valid, but the id does not follow from the fields.
    PcsIdMismatch = 85, 400, "pcs_id_mismatch", false, "pcs_id does not match its rule", "Set pcs_id to the lowercase hex SHA-256 of merkle_root, epoch and shard_id joined by vertical bars.";

    // 110–119: not now, because of the client's own rate.
    /// Over the rate.
    RateLimited = 110, 429, "rate_limited", true, "Too many requests", "Wait for Retry-After seconds and send the same request again.";
    /// Over a quota.
    QuotaExceeded = 111, 429, "quota_exceeded", true, "Quota exceeded", "Wait for Retry-After seconds or ask for a larger quota.";

    // 120–139: not now, because of the gateway. The outcome is unknown; sending the same request again is safe.
    /// Recovery has not finished.
    Starting = 120, 503, "starting", true, "Starting", "Recovery is under way; send the same request again after Retry-After seconds.";
    /// The process is stopping.
    Draining = 121, 503, "draining", true, "Draining", "This instance is stopping; send the same request again on a new connection.";
    /// The log cannot take the body now.
    WalUnavailable = 122, 503, "wal_unavailable", true, "Log unavailable", "Outcome unknown; send the same request again, de-duplication makes that safe.";
    /// The disk is nearly full.
    DiskFull = 123, 503, "disk_full", true, "Disk nearly full", "Outcome unknown; send the same request again after Retry-After seconds. Operators: the file system under WAL_DIR is nearly full and nothing may be deleted; free space, lower WAL_MAX_AGE or release pins.";
    /// The dedup table has reached its declared limit.
    DedupMemoryFull = 124, 503, "dedup_memory_full", true, "Dedup memory full", "Send the same request again after Retry-After seconds. Operators: raise DEDUP_MEMORY_MAX.";
    /// The request's deadline passed.
    DeadlineExceeded = 125, 503, "deadline_exceeded", true, "Deadline exceeded", "Outcome unknown; send the same request again, de-duplication makes that safe.";
    /// A store that the look-up needs did not answer.
    StoreUnavailable = 126, 503, "store_unavailable", true, "Store unavailable", "Outcome unknown; send the same request again, de-duplication makes that safe.";
    /// Requests wait for the log, and nothing has become durable for too long.
    LogStalled = 127, 503, "wal_unavailable", true, "Log stands still", "Nothing has become durable for 2 seconds although something waits. Operators: look at the disk under WAL_DIR; this instance is ready again by itself.";
    /// The log has reached its size limit and no segment may be deleted.
    CapReached = 128, 503, "disk_full", true, "Log at its cap", "Outcome unknown; send the same request again after Retry-After seconds. Operators: WAL_DIR takes all that the log may take and nothing may be deleted; raise WAL_MAX_BYTES or, where it is not set, enlarge the file system; or release pins.";
    /// The file system refuses new files.
    WalReadOnly = 129, 503, "wal_unavailable", true, "Log cannot be written", "Outcome unknown; send the same request again after Retry-After seconds. Operators: the file system refuses new files in WAL_DIR; look for a read-only mount, chattr +i or +a, and the owner and mode of WAL_DIR.";
    /// A key of the tenant could not be loaded.
    KeysUnavailable = 130, 503, "keys_unavailable", true, "Keys unavailable", "Send the same request again after Retry-After seconds. Operators: a key of this tenant could not be loaded at the start; restore its source and publish the configuration again.";
    /// A shard makes no turns.
    ShardStuck = 131, 503, "shard_stuck", true, "A shard stands still", "A shard of this instance has made no turn for more than a second; the others serve on. Operators: flk_shard_stuck and the log name it; this instance is ready again by itself once it moves.";
    /// Too many look-ups wait for an answer.
    LookUpsBusy = 137, 503, "look_ups_busy", true, "Too many look-ups", "Too many look-ups wait for an answer; ask again after Retry-After seconds.";
    /// The process may open no more files.
    OutOfDescriptors = 138, 503, "wal_unavailable", true, "Too many open files", "Outcome unknown; send the same request again after Retry-After seconds. Operators: the process has as many files open as it may, so the log gets no further segment; raise its limit of open files (LimitNOFILE, or prlimit --nofile while it runs).";
    /// Too many batches wait for their answers.
    BatchesBusy = 139, 503, "batches_busy", true, "Too many batches", "Too many batches wait for their answers; send the same batch again after Retry-After seconds, or smaller ones.";
}

impl From<&Malformed> for Problem {
    /// The refusal of a body that is not a record.
    fn from(malformed: &Malformed) -> Problem {
        match malformed.code {
            MalformedCode::NotJson
            | MalformedCode::TooDeep
            | MalformedCode::TooManyMembers
            | MalformedCode::DuplicateKey
            | MalformedCode::NotAnObject => Problem::MalformedJson,
            MalformedCode::MissingField => Problem::MissingField,
            MalformedCode::UnsupportedVersion if malformed.field == Some(Field::Schema) => {
                Problem::UnsupportedSchema
            }
            MalformedCode::UnsupportedVersion => Problem::UnsupportedVersion,
            MalformedCode::WrongType
            | MalformedCode::OutOfRange
            | MalformedCode::ScalesMismatch => Problem::InvalidField,
        }
    }
}

impl Problem {
    /// The problems of a client that speaks another protocol than HTTP/1.
    pub const FOREIGN: [Problem; 3] = [
        Problem::TlsOnPlainPort,
        Problem::Http2OnPlainPort,
        Problem::ProxyProtocol,
    ];

    /// The number under which the log stores it.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The body of a request for this resource is longer than the limit.
    #[must_use]
    pub const fn too_large(target: Target) -> Problem {
        match target {
            Target::Batch => Problem::BatchTooLarge,
            _ => Problem::BodyTooLarge,
        }
    }

    /// Whether the connection always closes after this problem. True for framing problems: the start of the next request
    /// is unknown. The two of batches are no framing problems by number, for those numbers are given out.
    #[must_use]
    pub const fn closes(self) -> bool {
        self.number() < 40 || matches!(self, Problem::BatchTooLarge | Problem::TooManyRecords)
    }

    /// Default of `Retry-After` in seconds; `None` where the header is not sent.
    #[must_use]
    pub const fn retry_after_s(self) -> Option<u32> {
        match self {
            Problem::RateLimited
            | Problem::Draining
            | Problem::WalUnavailable
            | Problem::DeadlineExceeded
            | Problem::StoreUnavailable
            | Problem::LogStalled
            | Problem::ShardStuck
            | Problem::LookUpsBusy
            | Problem::BatchesBusy => Some(1),
            Problem::Starting => Some(2),
            Problem::DiskFull
            | Problem::DedupMemoryFull
            | Problem::CapReached
            | Problem::WalReadOnly
            | Problem::OutOfDescriptors
            | Problem::KeysUnavailable => Some(10),
            Problem::QuotaExceeded => Some(60),
            _ => None,
        }
    }

    /// The header that the status requires, with its CRLF: `Allow` for 405, a challenge for 401, and for 415 the type or
    /// encoding that is accepted.
    pub(super) const fn extra_header(self) -> &'static str {
        match self {
            Problem::SubmitMethodNotAllowed => "Allow: POST, OPTIONS\r\n",
            Problem::ReadMethodNotAllowed => "Allow: GET, HEAD, OPTIONS\r\n",
            Problem::SignatureInvalid | Problem::UnknownTenant => {
                "WWW-Authenticate: PCS-Signature\r\n"
            }
            Problem::MetricsUnauthorized => {
                "WWW-Authenticate: Basic realm=\"metrics\", charset=\"UTF-8\"\r\n"
            }
            Problem::ContentTypeUnsupported => "Accept: application/json\r\n",
            Problem::BatchTypeUnsupported => "Accept: application/x-ndjson\r\n",
            Problem::ContentEncodingUnsupported => "Accept-Encoding: identity\r\n",
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Problem;
    use crate::wal::record::{REFUSED_CODES, RESERVED_CODES};
    use std::collections::HashSet;

    #[test]
    fn every_number_and_code_is_given_out_once_and_reads_back() {
        // One code to clients, several texts for the operator: what clients do about them is the same.
        let shared = [
            "wal_unavailable",
            "disk_full",
            "body_too_large",
            "content_type_unsupported",
        ];
        let mut codes = HashSet::new();
        let mut previous = 0;
        for &problem in Problem::ALL {
            assert!(problem.number() > previous, "{problem:?} is out of order");
            previous = problem.number();
            let is_new = codes.insert(problem.code());
            assert!(
                is_new || shared.contains(&problem.code()),
                "{problem:?} repeats a code"
            );
            assert_eq!(Problem::from_number(problem.number()), Some(problem));
        }
        assert_eq!(Problem::from_number(0), None);
        assert_eq!(Problem::from_number(255), None);
    }

    /// The log stores the numbers and clients act on the codes: a line of the pins is never changed, only added.
    #[test]
    fn numbers_statuses_and_codes_stay_what_they_were() {
        let lines: String = Problem::ALL
            .iter()
            .map(|problem| {
                format!(
                    "{} {} {}\n",
                    problem.number(),
                    problem.status(),
                    problem.code()
                )
            })
            .collect();
        assert_eq!(lines, include_str!("../../tests/pins/problems.txt"));
    }

    #[test]
    fn the_log_knows_every_refusal_of_a_record_and_what_it_reserves_is_not_given_out() {
        let of_records = |problem: &&Problem| {
            **problem == Problem::SignatureInvalid || (80..100).contains(&problem.number())
        };
        let refused = Problem::ALL.iter().filter(of_records);
        let refused: Vec<(u8, &str)> = refused.map(|it| (it.number(), it.code())).collect();
        assert_eq!(refused, REFUSED_CODES);
        for (number, code) in RESERVED_CODES {
            assert_eq!(Problem::from_number(number), None, "{code}");
            let is_taken = Problem::ALL.iter().any(|problem| problem.code() == code);
            assert!(!is_taken, "{code}");
        }
    }

    #[test]
    fn the_texts_need_no_json_escaping_and_codes_are_snake_case() {
        for &problem in Problem::ALL {
            for text in [problem.title(), problem.detail()] {
                assert!(!text.is_empty());
                assert!(
                    text.bytes()
                        .all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\')
                );
            }
            assert!(
                problem
                    .code()
                    .bytes()
                    .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
            );
        }
    }

    #[test]
    fn retryable_means_408_429_or_503_and_the_last_two_say_when() {
        for &problem in Problem::ALL {
            let later = matches!(problem.status(), 429 | 503);
            assert_eq!(
                problem.retryable(),
                later || problem.status() == 408,
                "{problem:?}"
            );
            assert_eq!(problem.retry_after_s().is_some(), later, "{problem:?}");
        }
    }

    #[test]
    fn exactly_the_framing_statuses_close_by_themselves() {
        for &problem in Problem::ALL {
            let framing = matches!(problem.status(), 408 | 411 | 413 | 417 | 431 | 501 | 505)
                || (problem.status() == 400 && problem.number() < 40);
            assert_eq!(problem.closes(), framing, "{problem:?}");
        }
    }
}
