//! Traces as OTLP: the messages of `ExportTraceServiceRequest` that are needed, by the field numbers of the stable protocol
//! (opentelemetry-proto 1.x), and how a traced record becomes its spans. It sends nothing.

use flk_dataplane::stats::span_times::SpanTimes;
use flk_dataplane::stats::spans::{SpanKind, Value};
use flk_dataplane::stats::trace::Trace;
use prost::Message;

/// A traced record that was taken from a page of statistics.
#[derive(Clone, Debug)]
pub struct Row {
    /// The record.
    pub trace: Trace,
    /// Nanoseconds since 1970 at which its clock was 0.
    pub epoch_ns: u64,
    /// Its tenant.
    pub tenant: String,
    /// The process that traced it.
    pub origin: Origin,
}

/// The process that traced a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its version.
    pub version: String,
    /// The region that it runs in, if one is named.
    pub region: String,
    /// The node that it runs on, if one is named.
    pub node: String,
    /// Its process id.
    pub pid: u64,
}

/// What is sent.
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Any", tags = "1, 3")]
    value: Option<Any>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Any {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Integer(i64),
}

/// What a collector answers.
#[derive(Clone, PartialEq, Message)]
pub struct CollectorAnswer {
    #[prost(message, optional, tag = "1")]
    partial: Option<Partial>,
}

#[derive(Clone, PartialEq, Message)]
struct Partial {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
}

impl CollectorAnswer {
    /// Spans that the collector did not take.
    pub fn rejected(&self) -> u64 {
        let partial = self.partial.as_ref();
        partial.map_or(0, |it| u64::try_from(it.rejected_spans).unwrap_or(0))
    }
}

const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const ERROR: i32 = 2;
/// The trace is sampled, and the next flag is valid.
const SAMPLED: u32 = 0x101;
/// The parent is of another process.
const REMOTE_PARENT: u32 = 0x200;

/// A request with all spans of these records, and how many they are.
pub fn request(rows: &[Row], service_name: &str) -> (Request, u64) {
    let groups = rows.chunk_by(|one, other| one.origin == other.origin);
    let resource_spans = groups.map(|rows| ResourceSpans {
        resource: rows.first().map(|row| resource(&row.origin, service_name)),
        scope_spans: vec![ScopeSpans {
            scope: Some(Scope {
                name: "flk".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            }),
            spans: rows.iter().flat_map(spans).collect(),
        }],
    });
    let request = Request {
        resource_spans: resource_spans.collect(),
    };
    let scopes = request.resource_spans.iter().flat_map(|it| &it.scope_spans);
    let count = scopes.map(|it| it.spans.len() as u64).sum();
    (request, count)
}

/// How many spans a record has.
pub fn spans_count(trace: &Trace) -> u64 {
    trace.spans().count() as u64
}

/// Attributes of the resource that spans are of: name, type, and what each means.
pub const RESOURCE: [(&str, &str, &str); 5] = [
    ("service.name", "string", "OTEL_SERVICE_NAME."),
    ("service.version", "string", "Version of flk."),
    (
        "service.instance.id",
        "string",
        "NODE_ID; absent until it is set.",
    ),
    (
        "cloud.region",
        "string",
        "REGION_ID; absent until it is set.",
    ),
    ("process.pid", "int", "Process id of the data plane."),
];

fn resource(origin: &Origin, service_name: &str) -> Resource {
    let texts = [
        ("service.name", service_name),
        ("service.version", &origin.version),
        ("service.instance.id", &origin.node),
        ("cloud.region", &origin.region),
    ];
    let texts = texts.into_iter().filter(|(_, value)| !value.is_empty());
    let texts = texts.map(|(key, value)| pair(key, Any::Text(value.to_owned())));
    let pid = pair("process.pid", Any::Integer(origin.pid as i64));
    Resource {
        attributes: texts.chain([pid]).collect(),
    }
}

fn spans(row: &Row) -> impl Iterator<Item = Span> + '_ {
    row.trace.spans().map(|times| span(row, &times))
}

fn span(row: &Row, times: &SpanTimes) -> Span {
    let id = |id: u64| match id {
        0 => Vec::new(),
        _ => id.to_be_bytes().to_vec(),
    };
    let is_root = times.span.kind == SpanKind::Root;
    let attributes = times.span.attributes.iter().filter_map(|attribute| {
        let value = match attribute.value(&row.trace)? {
            Value::Text(text) => Any::Text(text),
            Value::Integer(number) => Any::Integer(number as i64),
            Value::Tenant(_) => Any::Text(row.tenant.clone()),
        };
        Some(pair(attribute.name, value))
    });
    Span {
        trace_id: row.trace.trace_id.to_vec(),
        span_id: id(times.span_id),
        parent_span_id: id(times.parent_id),
        name: times.span.name.to_owned(),
        kind: if is_root { SERVER } else { INTERNAL },
        start_time_unix_nano: row.epoch_ns + times.begins_ns,
        end_time_unix_nano: row.epoch_ns + times.ends_ns,
        attributes: attributes.collect(),
        status: (is_root && row.trace.status >= 500).then_some(Status { code: ERROR }),
        flags: match is_root && row.trace.parent_id != 0 {
            true => SAMPLED | REMOTE_PARENT,
            false => SAMPLED,
        },
    }
}

fn pair(key: &str, value: Any) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
    }
}
