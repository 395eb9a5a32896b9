//! Clients behind proxies: headers of the PROXY protocol and `X-Forwarded-For` count from trusted networks, are refused from
//! elsewhere, and budgets of addresses follow them.

use flk_e2e::setting::Setting;
use flk_testkit::DEADLINE;
use flk_testkit::client::{Connection, Response, submit};
use flk_testkit::gateway::Gateway;
use flk_testkit::plan::Plan;
use flk_testkit::records::record;
use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Instant;

on_every_host!(
    headers_are_read_however_they_are_cut_and_what_follows_is_answered_in_order,
    a_header_from_elsewhere_is_refused_by_name_and_counted,
    where_a_header_is_required_nobody_is_served_by_a_proxy_without_one,
    the_quota_of_an_address_follows_the_header_of_a_proxy,
    the_quota_of_an_address_follows_x_forwarded_for,
);

const LINE: &[u8] = b"PROXY TCP4 192.0.2.1 127.0.0.1 56324 8080\r\n";
const OTHER_LINE: &[u8] = b"PROXY TCP6 2001:db8::2 ::1 56324 8080\r\n";
/// The same client as in [`LINE`], in version 2, with a type behind the addresses.
const BINARY: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x10\xc0\0\x02\x01\x7f\0\0\x01\xdc\x04\x1f\x90\x04\0\x01\0";
/// A health check of a proxy.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const LIVE: &[u8] = b"GET /livez HTTP/1.1\r\nHost: gateway\r\n\r\n";

fn plan(setting: Setting, directory: &Path, protocol: &str, trusted: &str) -> Plan {
    let plan = setting.plan(directory).with("FLK_CORES", "1");
    plan.with("PROXY_PROTOCOL", protocol)
        .with("TRUSTED_PROXIES", trusted)
}

fn headers(gateway: &Gateway, result: &str) -> String {
    let mut from_elsewhere = Connection::open_from(Ipv4Addr::new(127, 0, 0, 9), gateway.address())
        .expect("every address of 127.0.0.0/8 is this machine's");
    let page = from_elsewhere.get("/metrics").unwrap();
    let sample = format!("flk_proxy_headers_total{{result=\"{result}\"}} ");
    let mut lines = page.text().lines();
    let line = lines.find_map(|line| line.strip_prefix(&sample));
    line.unwrap_or_else(|| panic!("no {sample}")).to_owned()
}

fn headers_are_read_however_they_are_cut_and_what_follows_is_answered_in_order(setting: Setting) {
    let directory = setting.directory();
    let gateway = plan(setting, directory.path(), "optional", "127.0.0.1, ::1").start();
    for header in [LINE, OTHER_LINE, BINARY, LOCAL, b""] {
        let requests = [LIVE.to_vec(), submit(&record(1).body), LIVE.to_vec()].concat();
        let stream = [header, &requests].concat();
        let cuts = [1, header.len().max(2) - 1, header.len() + 1, stream.len()];
        for cut in cuts {
            let mut connection = gateway.connect();
            for piece in [&stream[..cut], &stream[cut..]] {
                connection.send(piece).unwrap();
            }
            let answers: [Response; 3] = std::array::from_fn(|_| connection.response().unwrap());
            assert_eq!(answers.each_ref().map(|answer| answer.status), [200; 3]);
            let is_of_submit = answers.each_ref().map(|answer| answer.dedup().is_some());
            assert_eq!(is_of_submit, [false, true, false]);
        }
    }
    assert_eq!(headers(&gateway, "taken"), "12");
    assert_eq!(headers(&gateway, "without_address"), "4");
    let said = gateway.stop().said;
    assert!(
        !said.contains("192.0.2.1") && !said.contains("2001:db8"),
        "{said}"
    );
}

fn a_header_from_elsewhere_is_refused_by_name_and_counted(setting: Setting) {
    let directory = setting.directory();
    let gateway = plan(setting, directory.path(), "optional", "127.0.0.2").start();
    for header in [LINE, BINARY] {
        let mut spoofer = gateway.connect();
        spoofer.send(&[header, LIVE].concat()).unwrap();
        let answer = spoofer.response().unwrap();
        assert_eq!(answer.status, 400);
        assert_eq!(answer.problem_code(), "proxy_protocol");
        assert!(spoofer.closes());
        let trusted = Ipv4Addr::new(127, 0, 0, 2);
        let mut proxy = Connection::open_from(trusted, gateway.address()).unwrap();
        proxy.send(&[header, LIVE].concat()).unwrap();
        assert_eq!(proxy.response().unwrap().status, 200);
    }
    assert_eq!(headers(&gateway, "refused"), "2");
    assert_eq!(headers(&gateway, "taken"), "2");
    gateway.wait_until_said("PROXY_PROTOCOL and TRUSTED_PROXIES");
}

fn where_a_header_is_required_nobody_is_served_by_a_proxy_without_one(setting: Setting) {
    let directory = setting.directory();
    let gateway = plan(setting, directory.path(), "required", "127.0.0.2/31").start();
    let trusted = Ipv4Addr::new(127, 0, 0, 2);
    for (first, result) in [(LIVE, "missing"), (&b"PROXY TCP5\r\n"[..], "malformed")] {
        let mut proxy = Connection::open_from(trusted, gateway.address()).unwrap();
        proxy.send(first).unwrap();
        assert_eq!(proxy.rest().unwrap(), b"", "it is closed without an answer");
        assert_eq!(headers(&gateway, result), "1");
    }
    gateway.wait_until_said("1 connection of trusted proxies without a header");
    gateway.wait_until_said("1 connection of trusted proxies with a malformed header");
    let mut proxy = Connection::open_from(trusted, gateway.address()).unwrap();
    proxy.send(&[LINE, LIVE].concat()).unwrap();
    assert_eq!(proxy.response().unwrap().status, 200);
    // The address of who comes directly is known.
    assert_eq!(gateway.get("/livez").status, 200);
}

/// A tenant whose quota of bytes without a valid signature is more than the largest body, and that of an address less.
const LIMITED: &str = "[[tenants]]
id = \"default\"
unauthenticated_bytes_per_second = 550_000
[[tenants.keys]]
id = \"first\"
scheme = \"hmac-sha256\"
env = \"PCS_HMAC_KEY\"
";

fn limited(setting: Setting, directory: &Path, protocol: &str, trusted: &str) -> Gateway {
    let file = directory.join("flk.toml");
    std::fs::write(&file, LIMITED).unwrap();
    plan(setting, &directory.join("wal"), protocol, trusted)
        .with("FLK_CONFIG", file.to_str().unwrap())
        .start()
}

/// One client sends more bytes without a valid signature than an address may: it is closed, and no other is.
fn closes_only_the_sender(gateway: &Gateway, ask: impl Fn(&Gateway, Client, &[u8]) -> Response) {
    let mut large = record(1).forged();
    large.resize(1_000_000, b' ');
    let from = Instant::now();
    loop {
        // Its quota fills again within seconds, which a slow machine may take for what is done here.
        let forged = ask(gateway, Client::First, &large).status;
        let is_closed = ask(gateway, Client::First, &record(2).body).status == 429;
        assert!([401, 429].contains(&forged), "{forged}");
        assert_eq!(ask(gateway, Client::Second, &record(2).body).status, 200);
        if is_closed {
            return;
        }
        assert!(from.elapsed() < DEADLINE, "the sender is never closed");
    }
}

#[derive(Clone, Copy)]
enum Client {
    First,
    Second,
}

fn the_quota_of_an_address_follows_the_header_of_a_proxy(setting: Setting) {
    let directory = setting.directory();
    let gateway = limited(setting, directory.path(), "required", "127.0.0.2");
    for first in [LINE, BINARY] {
        closes_only_the_sender(&gateway, |gateway, client, body| {
            let header = match client {
                Client::First => first,
                Client::Second => OTHER_LINE,
            };
            let trusted = Ipv4Addr::new(127, 0, 0, 2);
            let mut proxy = Connection::open_from(trusted, gateway.address()).unwrap();
            proxy.send(header).unwrap();
            proxy.post(body).unwrap()
        });
    }
}

fn the_quota_of_an_address_follows_x_forwarded_for(setting: Setting) {
    let directory = setting.directory();
    let gateway = limited(setting, directory.path(), "off", "127.0.0.0/8");
    let proxy = RefCell::new(gateway.connect());
    closes_only_the_sender(&gateway, |_, client, body| {
        let list = match client {
            Client::First => "198.51.100.7, 192.0.2.1, 127.0.0.1",
            Client::Second => "192.0.2.1, 192.0.2.2",
        };
        let request = submit(body);
        let (line, rest) =
            request.split_at(request.iter().position(|&it| it == b'\n').unwrap() + 1);
        let named = format!("X-Forwarded-For: {list}\r\n");
        let mut proxy = proxy.borrow_mut();
        proxy
            .send(&[line, named.as_bytes(), rest].concat())
            .unwrap();
        proxy.response().unwrap()
    });
}
