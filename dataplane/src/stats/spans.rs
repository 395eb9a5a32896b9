//! Every span and every attribute of a trace, declared once: what is exported and what is documented come from this table. It
//! knows no time.

use super::trace::Trace;

/// Which span of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// The whole request.
    Root,
    /// Its framing.
    Framing,
    /// Its body on the way to the disk.
    WalAppend,
    /// Parsing.
    Parse,
    /// Checking the signature.
    Signature,
    /// Checking identity and claims.
    Verify,
    /// The claim.
    Dedup,
    /// The claim at another shard.
    OwnerHop,
    /// Its decision on the way to the disk.
    DecisionWait,
    /// Its answer.
    Reply,
}

/// The type of an attribute's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeType {
    /// Text.
    Text,
    /// A whole number.
    Integer,
}

/// An attribute of a span.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// The type of its value.
    pub of: AttributeType,
    /// One sentence.
    pub about: &'static str,
    value: fn(&Trace) -> Option<Value>,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(u64),
    /// The tenant of a row, whose name the page has.
    Tenant(u16),
}

impl Attribute {
    /// Its value for a record, if it has one.
    pub fn value(&self, trace: &Trace) -> Option<Value> {
        (self.value)(trace)
    }
}

/// A span, as it is documented.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Which one.
    pub kind: SpanKind,
    /// Its name.
    pub name: &'static str,
    /// What happens in it.
    pub about: &'static str,
    /// Its attributes.
    pub attributes: &'static [Attribute],
}

const fn text(
    name: &'static str,
    about: &'static str,
    value: fn(&Trace) -> Option<Value>,
) -> Attribute {
    let of = AttributeType::Text;
    Attribute {
        name,
        of,
        about,
        value,
    }
}

const fn integer(
    name: &'static str,
    about: &'static str,
    value: fn(&Trace) -> Option<Value>,
) -> Attribute {
    let of = AttributeType::Integer;
    Attribute {
        name,
        of,
        about,
        value,
    }
}

const fn span(
    kind: SpanKind,
    name: &'static str,
    about: &'static str,
    attributes: &'static [Attribute],
) -> Span {
    Span {
        kind,
        name,
        about,
        attributes,
    }
}

fn said(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| Value::Text(text.to_owned()))
}

fn id_text(trace: &Trace) -> Option<Value> {
    let digits = flk_contract::hash::hex32(&trace.pcs_id?);
    said(std::str::from_utf8(&digits).unwrap_or_default())
}

/// Every span and every attribute of a trace. The first is the root; all others but `flk.owner_hop` are its children.
#[rustfmt::skip] // a table
pub const SPANS: [Span; 10] = [
    span(SpanKind::Root, "POST /v1/pcs/submit", "The request, from its first bytes until its answer left.", &[
        text("http.request.method", "POST.", |_| said("POST")),
        text("url.path", "The path.", |_| said("/v1/pcs/submit")),
        integer("http.response.status_code", "Status of the answer; absent if the connection ended before it.", |it| (it.status > 0).then(|| Value::Integer(it.status.into()))),
        text("flk.tenant", "The tenant, as metrics name it: beyond 64 tenants `other`.", |it| Some(Value::Tenant(it.tenant_row))),
        text("flk.pcs_id", "The id of the record, if its signature is valid.", id_text),
        integer("flk.shard", "The shard that received it.", |it| Some(Value::Integer(it.shard.into()))),
        integer("flk.snapshot", "Number of the configuration snapshot that it was judged under.", |it| Some(Value::Integer(it.snapshot.into()))),
        text("flk.reason", "Why it was escalated.", |it| said(it.reason()?.as_str())),
    ]),
    span(SpanKind::Framing, "flk.framing", "From the first bytes of the request until it is cut out of the bytes of its connection: arrival of the rest, and waiting for memory and room.", &[]),
    span(SpanKind::WalAppend, "flk.wal_append", "From the append of the body to the open batch until the batch is durable.", &[
        integer("flk.batch_records", "Records of that batch.", |it| Some(Value::Integer(it.batch_records.into()))),
    ]),
    span(SpanKind::Parse, "flk.parse", "Parsing the body.", &[]),
    span(SpanKind::Signature, "flk.signature", "Checking the signature.", &[]),
    span(SpanKind::Verify, "flk.verify", "Checking the identity, and verifying the claims.", &[]),
    span(SpanKind::Dedup, "flk.dedup", "From the claim of the key until its owner answers: look-up, and waiting behind earlier claims of the same key.", &[
        text("flk.dedup", "miss, hit or conflict; absent if the claim was withdrawn or the look-up failed.", |it| said(it.found.name())),
    ]),
    span(SpanKind::OwnerHop, "flk.owner_hop", "Within flk.dedup, where another shard owns the key: the claim's way there and the answer's way back.", &[
        integer("flk.owner_shard", "The shard that owns the key.", |it| Some(Value::Integer(it.owner.into()))),
    ]),
    span(SpanKind::DecisionWait, "flk.decision_wait", "From the append of the decision to the open batch until that batch is durable.", &[]),
    span(SpanKind::Reply, "flk.reply", "From when the answer may leave until its bytes are with the driver: answers of the same connection leave in the order of its requests.", &[]),
];

/// Place of [`SpanKind::Dedup`] in [`SPANS`].
pub(super) const DEDUP_AT: u64 = 6;
const _: () = assert!(matches!(SPANS[DEDUP_AT as usize].kind, SpanKind::Dedup));

#[cfg(test)]
mod tests {
    use super::super::trace::{Found, Moment};
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_of_the_table_are_unique_and_say_a_sentence() {
        let mut names = BTreeSet::new();
        for span in SPANS {
            assert!(names.insert(span.name) && span.about.ends_with('.'));
            let mut attributes = BTreeSet::new();
            for attribute in span.attributes {
                assert!(attributes.insert(attribute.name) && attribute.about.ends_with('.'));
            }
        }
    }

    #[test]
    fn values_are_of_the_type_that_the_table_says() {
        let trace = Trace {
            status: 202,
            reason: 1,
            found: Found::Hit,
            pcs_id: Some([0xab; 32]),
            moments: [1; Moment::COUNT],
            ..Trace::default()
        };
        for attribute in SPANS.iter().flat_map(|it| it.attributes) {
            let value = attribute.value(&trace).unwrap();
            let is_integer = matches!(value, Value::Integer(_));
            assert_eq!(is_integer, attribute.of == AttributeType::Integer);
        }
        let silent = Trace::default();
        let absent = [
            "http.response.status_code",
            "flk.pcs_id",
            "flk.reason",
            "flk.dedup",
        ];
        for attribute in SPANS.iter().flat_map(|it| it.attributes) {
            let is_absent = absent.contains(&attribute.name);
            assert_eq!(
                attribute.value(&silent).is_none(),
                is_absent,
                "{}",
                attribute.name
            );
        }
    }
}
