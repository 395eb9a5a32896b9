//! Traces from a client's header to a collector: what arrives there, what does not, and that a collector that is away or
//! refuses changes nothing for traffic. What arrives is read with the generated messages of OpenTelemetry.

use crate::server::{Server, answer};
use flk_dataplane::stats::spans::SPANS;
use flk_testkit::client::{Connection, Response};
use flk_testkit::gateway::Gateway;
use flk_testkit::hex::hex;
use flk_testkit::metrics::Metrics;
use flk_testkit::plan::Plan;
use flk_testkit::records::{KEY, record};
use flk_testkit::{DEADLINE, skipped, wait_until};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message;
use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

/// `flk up` with so many shards that sends spans there.
fn start(dir: &Path, cores: &str, endpoint: &str, variables: &[(&str, &str)]) -> Gateway {
    let mut plan = Plan::bare(env!("CARGO_BIN_EXE_flk"))
        .with_arguments(&["up", "--port", "0", "--cores", cores])
        .in_directory(dir)
        .with("ADMIN_LISTEN", "127.0.0.1:0")
        .with("WAL_SEGMENT_BYTES", "4MiB")
        .with("DEDUP_MEMORY_MAX", "64MiB")
        .with("PCS_HMAC_KEY", KEY)
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    for (name, value) in variables {
        plan = plan.with(name, value);
    }
    let gateway = plan.launch().unwrap();
    gateway.wait_until_recovered();
    gateway
}

fn admin(gateway: &Gateway) -> SocketAddr {
    gateway.wait_until_said("admin API on http://");
    let said = gateway.said();
    let (_, behind) = said.split_once("admin API on http://").unwrap();
    behind.split(',').next().unwrap().parse().unwrap()
}

/// Sends a record with these fields in its head.
fn send(connection: &mut Connection, number: u64, fields: &str) -> Response {
    let body = record(number).body;
    let length = body.len();
    let head = format!(
        "POST /v1/pcs/submit HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{fields}\r\n"
    );
    connection.send(&[head.as_bytes(), &body].concat()).unwrap();
    connection.response().unwrap()
}

fn trace_id(number: u64) -> String {
    format!("{:032x}", 0xabc0_0000 + number)
}

fn traceparent(number: u64, flags: &str) -> String {
    let parent = 0xcafe_0000 + number;
    format!(
        "traceparent: 00-{}-{parent:016x}-{flags}\r\n",
        trace_id(number)
    )
}

fn page(address: SocketAddr, accept: &str) -> String {
    let mut connection = Connection::open(address).unwrap();
    let head = format!("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: {accept}\r\n\r\n");
    connection.send(head.as_bytes()).unwrap();
    connection.response().unwrap().text().to_owned()
}

fn exported(collector: &Server) -> Vec<ResourceSpans> {
    let requests = collector.requests();
    let decoded = requests
        .iter()
        .map(|it| ExportTraceServiceRequest::decode(&it.body[..]).unwrap());
    decoded.flat_map(|it| it.resource_spans).collect()
}

fn spans(collector: &Server) -> Vec<Span> {
    let scopes = exported(collector)
        .into_iter()
        .flat_map(|it| it.scope_spans);
    scopes.flat_map(|it| it.spans).collect()
}

fn attribute<'a>(attributes: &'a [KeyValue], name: &str) -> &'a Value {
    let found = attributes.iter().find(|it| it.key == name);
    let found = found.unwrap_or_else(|| panic!("{name} in {attributes:?}"));
    found.value.as_ref().unwrap().value.as_ref().unwrap()
}

fn is_text(value: &Value, text: &str) -> bool {
    matches!(value, Value::StringValue(it) if it == text)
}

/// A span lies within its parent, as far as that is ours, and has the attributes of the table and no others.
fn check_span(span: &Span, all: &[Span]) {
    let described = SPANS.iter().find(|it| it.name == span.name).unwrap();
    let names: BTreeSet<&str> = span.attributes.iter().map(|it| it.key.as_str()).collect();
    let known: BTreeSet<&str> = described.attributes.iter().map(|it| it.name).collect();
    assert!(names.is_subset(&known), "{span:?}");
    assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
    assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
    if span.name == SPANS[0].name {
        return;
    }
    let around = |it: &&Span| it.trace_id == span.trace_id && it.span_id == span.parent_span_id;
    let parent = all.iter().find(around).unwrap();
    let expected = match span.name.as_str() {
        "flk.owner_hop" => "flk.dedup",
        _ => SPANS[0].name,
    };
    assert_eq!(parent.name, expected);
    assert!(
        parent.start_time_unix_nano <= span.start_time_unix_nano,
        "{span:?} {parent:?}"
    );
    assert!(
        span.end_time_unix_nano <= parent.end_time_unix_nano,
        "{span:?} {parent:?}"
    );
}

/// The root of the trace of this number is as its client and the record say.
fn check_root(roots: &[Span], number: u64) {
    let root = roots
        .iter()
        .find(|it| hex(&it.trace_id) == trace_id(number));
    let root = root.unwrap();
    assert_eq!(root.parent_span_id, (0xcafe_0000 + number).to_be_bytes());
    assert_eq!(
        (root.kind, root.flags),
        (2, 0x301),
        "a server's, of a remote parent"
    );
    let of = |name| attribute(&root.attributes, name);
    assert_eq!(of("http.response.status_code"), &Value::IntValue(200));
    assert!(is_text(of("flk.tenant"), "default"));
    let body = String::from_utf8(record(number).body).unwrap();
    let Value::StringValue(id) = of("flk.pcs_id") else {
        panic!("an id is a text")
    };
    assert!(body.contains(id.as_str()));
}

/// In OpenMetrics, and only there, both pages name one of so many traces.
fn check_exemplars(gateway: &Gateway, count: u64) {
    let open = "application/openmetrics-text;version=1.0.0";
    for address in [gateway.address(), admin(gateway)] {
        let text = page(address, open);
        let named =
            (0..count).any(|it| text.contains(&format!("# {{trace_id=\"{}\"}}", trace_id(it))));
        assert!(named, "{text}");
        assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
        assert!(!page(address, "text/plain").contains("trace_id"));
    }
}

#[test]
fn a_traced_request_arrives_at_a_collector_with_its_parent_and_all_spans() {
    const COUNT: u64 = 24;
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return skipped("one CPU: no key has another owner");
    }
    let dir = tempfile::tempdir().unwrap();
    let collector = Server::answering(|_, _| answer(200, "", ""));
    let secret = [("OTEL_EXPORTER_OTLP_HEADERS", "x-scope=the%20edge")];
    let gateway = start(dir.path(), "2", &collector.url(), &secret);
    let mut connection = gateway.connect();
    assert_eq!(send(&mut connection, 1000, "").status, 200);
    let unsampled = traceparent(2000, "00");
    assert_eq!(send(&mut connection, 1001, &unsampled).status, 200);
    for number in 0..COUNT {
        assert_eq!(
            send(&mut connection, number, &traceparent(number, "01")).status,
            200
        );
    }
    let roots = |all: &[Span]| -> Vec<Span> {
        let is_root = |it: &&Span| it.name == SPANS[0].name;
        all.iter().filter(is_root).cloned().collect()
    };
    wait_until("all traces have arrived", DEADLINE, || {
        roots(&spans(&collector)).len() as u64 >= COUNT
    });
    let all = spans(&collector);
    let roots = roots(&all);
    assert_eq!(roots.len() as u64, COUNT, "no other is exported");
    all.iter().for_each(|span| check_span(span, &all));
    (0..COUNT).for_each(|number| check_root(&roots, number));
    let names: BTreeSet<&str> = all.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(
        names,
        SPANS.iter().map(|it| it.name).collect(),
        "a hop is among them"
    );
    let resource = exported(&collector).remove(0).resource.unwrap();
    assert!(is_text(
        attribute(&resource.attributes, "service.name"),
        "flk"
    ));
    let version = env!("CARGO_PKG_VERSION");
    assert!(is_text(
        attribute(&resource.attributes, "service.version"),
        version
    ));
    let head = collector.requests()[0].head.to_lowercase();
    assert!(head.starts_with("post /v1/traces "), "{head}");
    assert!(
        head.contains("content-type: application/x-protobuf"),
        "{head}"
    );
    assert!(head.contains("x-scope: the edge"), "{head}");
    assert!(!gateway.said().contains("the%20edge") && !gateway.said().contains("the edge"));

    check_exemplars(&gateway, COUNT);
    let counts = page(admin(&gateway), "text/plain");
    let counts = Metrics::read(&counts);
    assert_eq!(counts.count("flk_traces_total"), COUNT);
    assert_eq!(counts.count("flk_control_traces_overwritten_total"), 0);
    assert_eq!(gateway.stop().code(), 0);
}

#[test]
fn a_collector_that_is_busy_is_asked_again_and_one_that_refuses_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Server::scripted(vec![
        answer(503, "Retry-After: 0\r\n", ""),
        answer(200, "", ""),
        answer(400, "", ""),
    ]);
    let gateway = start(dir.path(), "1", &collector.url(), &[]);
    let mut connection = gateway.connect();
    let counts = || Metrics::read(&page(admin(&gateway), "text/plain"));
    assert_eq!(send(&mut connection, 1, &traceparent(1, "01")).status, 200);
    wait_until("it is taken", DEADLINE, || {
        counts().count("flk_control_spans_exported_total") > 0
    });
    let [first, second] = &collector.requests()[..] else {
        panic!("two attempts")
    };
    assert_eq!(first.body, second.body, "the same batch");
    let refused = "flk_control_spans_refused_total";
    assert_eq!(counts().count(refused), 0);
    assert_eq!(send(&mut connection, 2, &traceparent(2, "01")).status, 200);
    wait_until("it is refused", DEADLINE, || counts().count(refused) > 0);
    assert_eq!(collector.requests().len(), 3, "once");
    assert_eq!(counts().count("flk_control_span_export_failures_total"), 2);
    assert_eq!(gateway.stop().code(), 0);
}

#[test]
fn without_a_collector_traffic_goes_on_and_one_line_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nothing = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let gateway = start(dir.path(), "1", &nothing, &[("TRACES_PER_SECOND_MAX", "3")]);
    let mut connection = gateway.connect();
    let address = admin(&gateway);
    for number in 0..20 {
        assert_eq!(
            send(&mut connection, number, &traceparent(number, "01")).status,
            200
        );
    }
    let counts = || Metrics::read(&page(address, "text/plain"));
    wait_until("an attempt has failed twice", DEADLINE, || {
        counts().count("flk_control_span_export_failures_total") >= 2
    });
    let all = counts().count("flk_traces_total") + counts().count("flk_traces_limited_total");
    assert_eq!(all, 20);
    assert!(
        counts().count("flk_traces_limited_total") > 0,
        "the bound holds"
    );
    assert_eq!(gateway.said().matches("does not take them").count(), 1);
    assert_eq!(gateway.stop().code(), 0);
}

#[test]
fn an_address_by_https_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = crate::flk(dir.path());
    command
        .args(["up", "--port", "0"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318");
    let ended = crate::run(&mut command, b"");
    assert_eq!(ended.code, 78, "{ended:?}");
    assert!(
        ended.stderr.contains("name a collector of this machine"),
        "{ended:?}"
    );
}
