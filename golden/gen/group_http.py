"""http/*.json and http/bodies/*: conversations with a gateway, byte for byte.

Owns one scenario per rule of the HTTP surface.  Every scenario has records of its own, so that
they may run in any order, each once per data directory.
"""

from . import judge, keyring, verdict
from .build import DROP, record, write, write_compact
from .scenario import FIN, JSON, PAUSE, SUBMIT, body_file, expect, get, head, outcome, repeat, step, text


class Bodies:
    """Makes a scenario's record bodies and remembers what each is answered."""

    def __init__(self, tree):
        self.tree, self.made = tree, {}

    def make(self, name, compact=True, data=None, **given):
        """A body file below http/bodies/; returns its name."""
        given.setdefault("shard_id", "http/" + name)
        if data is None:
            data = (write_compact if compact else write)(record(name, **given))
        self.made[name] = (data, judge.judge(data, keyring.HMAC, ("testsecret",)))
        self.tree.add("http/bodies/%s.json" % name, data)
        return name

    def post(self, name, *lines, content_type=JSON) -> list:
        """A whole POST of a made body."""
        lines = ((content_type,) if content_type else ()) + lines
        return [text(head(len(self.made[name][0]), *lines)), body_file("http/bodies/%s.json" % name)]

    def answer(self, name, dedup="miss") -> dict:
        """What the body is answered when it is the first with its id (or a duplicate of itself)."""
        found = self.made[name][1]
        if found.verdict:
            return outcome(found.status, dedup, verdict.outcome(found.record, found.verdict))
        return expect(found.status, found.code)


SCENARIOS = []


def _scenario(function):
    SCENARIOS.append(function)
    return function


@_scenario
def accepted_then_hit(b):
    """The second submission of a record gets the same bytes as a hit."""
    one = b.make("accepted")
    return [step(b.post(one), [b.answer(one)]), step(b.post(one), [b.answer(one, "hit")])]


@_scenario
def escalated_then_hit(b):
    """An escalated record is 202, also the second time."""
    one = b.make("escalated", ft={"outbox_seq": 1, "degraded": True, "fallbacks": ["r"], "clock_skew_ms": 0})
    return [step(b.post(one), [b.answer(one)]), step(b.post(one), [b.answer(one, "hit")])]


@_scenario
def retry_with_higher_attempt(b):
    """attempt, sent_at and the spelling are no part of the identity: a hit with the first bytes."""
    one = b.make("retry", shard_id="http/retry")
    two = b.make("retry_again", compact=False, shard_id="http/retry", attempt=5, sent_at="2026-01-16T00:00:00Z",
                 merkle_root=b.made[one][1].record.merkle_root)
    return [step(b.post(one), [b.answer(one)]), step(b.post(two), [b.answer(one, "hit")])]


@_scenario
def conflict_keeps_first(b):
    """Another signed body under the same id gets the first outcome, marked as a conflict."""
    one = b.make("conflict", shard_id="http/conflict")
    two = b.make("conflict_other", shard_id="http/conflict", r=0.25, merkle_root=b.made[one][1].record.merkle_root)
    return [step(b.post(one), [b.answer(one)]), step(b.post(two), [b.answer(one, "conflict")]),
            step(b.post(one), [b.answer(one, "hit")])]


@_scenario
def escalated_first_wins(b):
    """A sound body behind an escalated one stays 202."""
    one = b.make("escalated_first", shard_id="http/escalated_first", budget=0.9)
    two = b.make("escalated_first_sound", shard_id="http/escalated_first", merkle_root=b.made[one][1].record.merkle_root)
    return [step(b.post(one), [b.answer(one)]), step(b.post(two), [b.answer(one, "conflict")])]


@_scenario
def bad_signature_leaves_no_trace(b):
    """A record with a wrong signature is 401; the valid one with its id is fresh afterwards."""
    one = b.make("unsigned_twin", shard_id="http/twin", after={"sig": ""})
    two = b.make("twin", shard_id="http/twin", merkle_root=b.made[one][1].record.merkle_root)
    return [step(b.post(one), [b.answer(one)]), step(b.post(two), [b.answer(two)]),
            step(b.post(one), [b.answer(one)]), step(b.post(two), [b.answer(two, "hit")])]


@_scenario
def refusals_keep_the_connection(b):
    """400 and 401 for what is in a body never close the connection; the next request is served."""
    cut = b.make("refused_cut", data=b'{"pcs_id":')
    missing = b.make("refused_missing", after={"epoch": DROP})
    version = b.make("refused_version", after={"version": "2.0"})
    wrong = b.make("refused_pcs_id", pcs_id="0" * 64)
    signature = b.make("refused_signature", after={"sig": keyring.b64(bytes(32))})
    empty = b.make("refused_empty", data=b"")
    good = b.make("after_refusals")
    return [step(b.post(name), [b.answer(name)]) for name in (cut, missing, version, wrong, signature, empty, good)]


@_scenario
def pipelined_in_order(b):
    """Four requests in one burst: answers in their order, the duplicate among them a hit."""
    one, two = b.make("pipelined_1"), b.make("pipelined_2", budget=0.9)
    bad = b.make("pipelined_bad", after={"sig": "AAAA"})
    send = b.post(one) + b.post(two) + b.post(bad) + b.post(one)
    return [step(send, [b.answer(one), b.answer(two), b.answer(bad), b.answer(one, "hit")])]


@_scenario
def pipelined_before_framing_error(b):
    """Answers before a framing error are still given, then 400, then the connection closes."""
    one = b.make("before_framing_error")
    send = b.post(one) + [text("POST %s HTTP/1.1\r\nHost: gateway\r\nContent-Length : 2\r\n\r\n{}" % SUBMIT)]
    return [step(send, [b.answer(one), expect(400)], "closed")]


@_scenario
def bytes_in_pieces(b):
    """The same request torn into pieces, also inside a line end and inside the body."""
    one = b.make("in_pieces")
    data = b.made[one][0]
    top = head(len(data), JSON)
    send = [text(top[:3]), PAUSE, text(top[3:23]), PAUSE, text(top[23:-3]), PAUSE, text(top[-3:]), PAUSE]
    send += [{"file": "http/bodies/in_pieces.json", "to": 10}, PAUSE, {"file": "http/bodies/in_pieces.json", "from": 10}]
    return [step(send, [b.answer(one)])]


@_scenario
def fin_after_complete_request(b):
    """A complete request followed by FIN is answered."""
    one = b.make("then_fin")
    return [step(b.post(one) + [FIN], [b.answer(one)], "closed")]


@_scenario
def fin_inside_body(b):
    """A partial request is dropped: no answer here; the whole one later is a miss on a new connection."""
    one = b.make("cut_by_fin")
    part = [text(head(len(b.made[one][0]), JSON)), {"file": "http/bodies/cut_by_fin.json", "to": 100}, FIN]
    return [step(part, [], "closed"), step(b.post(one), [b.answer(one)])]


@_scenario
def connection_close(b):
    """A client that asks for it is answered and then closed."""
    one = b.make("asks_to_close")
    return [step(b.post(one, "Connection: close"), [b.answer(one)], "closed")]


@_scenario
def content_types(b):
    """JSON with parameters, in any case, or no type at all; another type is 415 and keeps the connection."""
    names = [b.make("content_type_%d" % n) for n in range(4)]
    refused = b.make("content_type_refused")
    return [
        step(b.post(names[0], content_type="Content-Type: application/json; charset=utf-8"), [b.answer(names[0])]),
        step(b.post(names[1], content_type=None), [b.answer(names[1])]),
        step(b.post(names[2], content_type="content-type:Application/JSON"), [b.answer(names[2])]),
        step(b.post(refused, content_type="Content-Type: text/plain"), [expect(415)]),
        step(b.post(refused, content_type="Content-Type: application/x-www-form-urlencoded"), [expect(415)]),
        step(b.post(names[3]), [b.answer(names[3])]),
        step(b.post(refused), [b.answer(refused)]),
    ]


@_scenario
def content_encoding(b):
    """An encoded body is 415; it was not taken, so the plain one is a miss, whether it says that it is plain or not."""
    one = b.make("content_encoding")
    return [step(b.post(one, "Content-Encoding: gzip"), [expect(415)]), step(b.post(one), [b.answer(one)]),
            step(b.post(one, "Content-Encoding: identity"), [b.answer(one, "hit")])]


@_scenario
def tenants(b):
    """Only `default` exists; every other tenant text is 401 before anything is kept."""
    one = b.make("tenant_default")
    steps = [step(b.post(one, *lines), [expect(401)], "any") for lines in (
        ("X-Tenant-Id: other",), ("X-Tenant-Id: Default",), ("X-Tenant-Id: ",), ("X-Tenant-Id: a b",), ("X-Tenant-Id: t/1",),
        ("X-Tenant-Id: " + "a" * 65,), ("X-Tenant-Id: default", "X-Tenant-Id: default"), ("X-Tenant-Id: default", "x-tenant-id: other"),
    )]
    steps.append(step(b.post(one, "X-Tenant-Id: default"), [b.answer(one)]))
    steps.append(step(b.post(one), [b.answer(one, "hit")]))
    return steps


@_scenario
def traceparent(b):
    """A trace context is taken along, also a broken one, and changes no answer."""
    one, two = b.make("traced"), b.make("traced_badly")
    return [step(b.post(one, "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), [b.answer(one)]),
            step(b.post(two, "traceparent: nonsense"), [b.answer(two)])]


@_scenario
def routing(b):
    """404 and 405 keep the connection where the rest of the body is small."""
    one = b.make("after_routing")
    return [
        step([text(head(2, JSON, path="/v1/pcs/other") + "{}")], [expect(404)]),
        step([text(head(2, JSON, path="/") + "{}")], [expect(404)]),
        step(get("/nothing"), [expect(404)]),
        step(get("/v1/pcs/" + "0" * 64), [expect(404, "not_found")]),
        step(get(SUBMIT), [expect(405, headers={"Content-Type": "application/problem+json", "Allow": "POST, OPTIONS"})]),
        step([text(head(2, JSON, method="PUT") + "{}")], [expect(405)]),
        step([text(head(65536, JSON, path="/nothing")), repeat("x", 65536)], [expect(404)]),
        step(b.post(one), [b.answer(one)]),
    ]


@_scenario
def routing_with_a_large_body(b):
    """404 with more than 64 KiB still to come closes."""
    return [step([text(head(65537 + 200000, JSON, path="/nothing"))], [expect(404)], "closed")]


@_scenario
def probes(b):
    """Health and version answer on the same port, also to HEAD."""
    return [
        step(get("/health"), [{"status": 200, "body": "OK"}]),
        step(get("/health", method="HEAD"), [{"status": 200, "body": "", "head": True}]),
        step(get("/livez"), [{"status": 200}]),
        step(get("/readyz"), [{"status": 200}]),
        step(get("/version"), [{"status": 200}]),
        step(get("/metrics"), [{"status": 200}]),
    ]


def chunks(data: bytes, size: int, extension="", trailers="") -> str:
    """A chunked body: chunks of at most `size` bytes, each with the same extension."""
    out = ""
    for at in range(0, len(data), size):
        part = data[at : at + size]
        out += "%x%s\r\n%s\r\n" % (len(part), extension, part.decode("latin-1"))
    return out + "0\r\n" + trailers + "\r\n"


CHUNKED = "Transfer-Encoding: chunked"


@_scenario
def chunked(b):
    """A chunked body is its content: the plain record behind it is a hit, and requests follow it."""
    one, two, three = b.make("chunked"), b.make("chunked_finely"), b.make("chunked_in_pieces")
    empty = b.make("chunked_empty", data=b"")
    fine = chunks(b.made[two][0], 3, ";part", "X-Checksum: none\r\n")
    torn = head(None, JSON, CHUNKED) + chunks(b.made[three][0], 200)
    pieces = [part for at in range(0, len(torn), 150) for part in (text(torn[at : at + 150]), PAUSE)]
    return [
        step([text(head(None, JSON, CHUNKED) + chunks(b.made[one][0], 10**6))], [b.answer(one)]),
        step(b.post(one), [b.answer(one, "hit")]),
        step([text(head(None, JSON, "transfer-encoding:CHUNKED") + fine)] + b.post(two), [b.answer(two), b.answer(two, "hit")]),
        step(pieces, [b.answer(three)]),
        step([text(head(None, JSON, CHUNKED) + chunks(b"", 1))], [b.answer(empty)]),
    ]


@_scenario
def chunked_expect_continue(b):
    """A client is told to go on with its chunks as with a body of known length."""
    one = b.make("chunked_expects_continue")
    top = text(head(None, JSON, CHUNKED, "Expect: 100-continue"))
    return [step([top], [{"status": 100}]), step([text(chunks(b.made[one][0], 100))], [b.answer(one)])]


@_scenario
def chunked_errors(b):
    """What two servers could read in two ways is 400 and closes, in chunks as in heads."""
    top = head(None, JSON, CHUNKED)
    bad = [
        ("invalid_chunk", "\r\n{}\r\n0\r\n\r\n"),
        ("invalid_chunk", "000000002\r\n{}\r\n0\r\n\r\n"),
        ("invalid_chunk", "2 \r\n{}\r\n0\r\n\r\n"),
        ("invalid_chunk", "0x2\r\n{}\r\n0\r\n\r\n"),
        ("invalid_chunk", "+2\r\n{}\r\n0\r\n\r\n"),
        ("invalid_chunk", "2\r\n{}0\r\n\r\n"),
        ("invalid_chunk", "2;" + "e" * 1024 + "\r\n{}\r\n0\r\n\r\n"),
        ("bare_lf", "2\n{}\r\n0\r\n\r\n"),
        ("bare_lf", "2;a\n{}\r\n0\r\n\r\n"),
        ("bare_lf", "2\r\n{}\n0\r\n\r\n"),
        ("bare_cr", "2;a\rb\r\n{}\r\n0\r\n\r\n"),
        ("bare_lf", "2\r\n{}\r\n0\r\n\n"),
        ("space_before_colon", "2\r\n{}\r\n0\r\nX : y\r\n\r\n"),
        ("folded_header", "2\r\n{}\r\n0\r\nX: y\r\n z\r\n\r\n"),
        ("forbidden_trailer", "2\r\n{}\r\n0\r\nContent-Length: 2\r\n\r\n"),
    ]
    steps = [step([text(top + body)], [expect(400, code)], "closed") for code, body in bad]
    steps.append(step([text(top + "2\r\n{}\r\n0\r\nX: "), repeat("a", 9000)], [expect(431)], "closed"))
    steps.append(step([text(top + "100001\r\n")], [expect(413)], "closed"))
    steps.append(step([text(head(None, JSON, CHUNKED, version="HTTP/1.0") + "2\r\n{}\r\n0\r\n\r\n")], [expect(400)], "closed"))
    return steps


@_scenario
def transfer_encoding(b):
    """Any coding but chunked alone is 501 and closes; a list that is malformed is 400."""
    steps = []
    for status, coding in (
        (501, "identity"), (501, "gzip, chunked"), (501, "chunked, gzip"), (501, "xchunked"), (501, "chunked;q=1"),
        (400, ""), (400, "chunked,"), (400, "chunked, chunked"), (400, "chunked\r\nTransfer-Encoding: chunked"),
    ):
        send = [text(head(None, JSON, "Transfer-Encoding: " + coding) + "2\r\n{}\r\n0\r\n\r\n")]
        steps.append(step(send, [expect(status)], "closed"))
    steps.append(step([text(head(None, JSON))], [expect(411)], "closed"))
    return steps


@_scenario
def http_1_0(b):
    """HTTP/1.0 is served: closed behind the answer unless it asked to be kept, which the answer repeats."""
    one, two = b.make("http_1_0"), b.make("http_1_0_kept")

    def post(name, *lines, host=None):
        top = head(len(b.made[name][0]), JSON, *lines, version="HTTP/1.0", host=host)
        return [text(top), body_file("http/bodies/%s.json" % name)]

    def says(response, connection):
        response["headers"] = dict(response.get("headers", {}), Connection=connection)
        return response

    health = text(head(None, "Connection: keep-alive", method="GET", path="/health", version="HTTP/1.0", host=None))
    kept = post(two, "Connection: Keep-Alive") + post(two, "Connection: keep-alive", host="Host: gateway") + [health]
    return [
        step(post(one), [says(b.answer(one), "close")], "closed"),
        step(kept, [says(b.answer(two), "keep-alive"), says(b.answer(two, "hit"), "keep-alive"),
                    says({"status": 200, "body": "OK"}, "keep-alive")]),
        step(post(two, "Expect: 100-continue"), [says(b.answer(two, "hit"), "close")], "closed"),
        step([text(head(None, JSON, version="HTTP/1.0", host=None))], [expect(411)], "closed"),
    ]


@_scenario
def options(b):
    """OPTIONS says which methods a known target takes, and the connection goes on."""
    def says(methods):
        return {"status": 200, "headers": {"Allow": methods, "Content-Length": "0"}, "body": ""}

    return [
        step(get("*", method="OPTIONS"), [says("GET, HEAD, POST, OPTIONS")]),
        step(get(SUBMIT, method="OPTIONS"), [says("POST, OPTIONS")]),
        step(get("/health", method="OPTIONS"), [says("GET, HEAD, OPTIONS")]),
        step(get("/metrics", method="OPTIONS"), [says("GET, HEAD, OPTIONS")]),
        step(get("/nothing", method="OPTIONS"), [expect(404)]),
        step(get(SUBMIT, method="HEAD"), [{"status": 405, "headers": {"Allow": "POST, OPTIONS"}, "body": "", "head": True}]),
        step(get("/metrics", method="HEAD"), [{"status": 200, "body": "", "head": True}]),
        step(get("/health"), [{"status": 200, "body": "OK"}]),
    ]


@_scenario
def other_protocols(b):
    """What is no HTTP/1 is named by the answer, and closed."""
    return [step([text(first)], [expect(status, code)], "closed") for status, code, first in (
        (400, "tls_on_plain_port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        (505, "http2_on_plain_port", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (400, "proxy_protocol", "PROXY TCP4 192.0.2.1 192.0.2.2 50000 8080\r\nGET /health HTTP/1.1\r\nHost: g\r\n\r\n"),
        (400, "proxy_protocol", "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"),
    )]


@_scenario
def empty_host(b):
    """Host may be empty, but not absent in HTTP/1.1, nor there twice."""
    one = b.make("empty_host")
    top = head(len(b.made[one][0]), JSON, host="Host:")
    return [step([text(top), body_file("http/bodies/empty_host.json")], [b.answer(one)]),
            step([text(head(2, JSON, "Host:", host="Host:") + "{}")], [expect(400)], "closed")]


@_scenario
def framing_errors(b):
    """What two servers could read in two ways is 400 and closes."""
    line = "POST %s HTTP/1.1\r\n" % SUBMIT
    end = "\r\n\r\n{}"
    bad = [
        line + "Host: g\r\nContent-Length: 2\r\nTransfer-Encoding: chunked" + end,
        line + "Host: g\r\nContent-Length: 2\r\nContent-Length: 2" + end,
        line + "Host: g\r\nContent-Length: 2\r\nContent-Length: 3" + end,
        line + "Host: g\r\nContent-Length: 2, 2" + end,
        line + "Host: g\r\nContent-Length: +2" + end,
        line + "Host: g\r\nContent-Length: -2" + end,
        line + "Host: g\r\nContent-Length: 0x2" + end,
        line + "Host: g\r\nContent-Length: 2.0" + end,
        line + "Host: g\r\nContent-Length: two" + end,
        line + "Host: g\r\nContent-Length:" + end,
        line + "Host: g\r\nContent-Length: 1 2" + end,
        line + "Host: g\r\nContent-Length : 2" + end,
        line + "Content-Length: 2" + end,
        line + "Host: g\r\nHost: g\r\nContent-Length: 2" + end,
        line + "Host: g\r\nContent-Length: 2\r\nX-Folded: a\r\n b" + end,
        line + "Host: g\r\nContent-Length: 2\r\nX-Nul: a\0b" + end,
        line + "Host: g\r\nContent-Length: 2\r\nX-Cr: a\rb" + end,
        line + "Host: g\nContent-Length: 2" + end,
        line + "Host: g\r\nContent-Length: 2\n\n{}",
        line + "Host: g\r\nContent-Length: 2\r\nX Space: a" + end,
        line + "Host: g\r\nContent-Length: 2\r\n: no name" + end,
        line + "Host: g\r\nContent-Length: 2\r\nno colon" + end,
        "POST %s\r\nHost: g\r\nContent-Length: 2" % SUBMIT + end,
        "POST  %s HTTP/1.1\r\nHost: g\r\nContent-Length: 2" % SUBMIT + end,
        "POST %s HTTP/1.1 \r\nHost: g\r\nContent-Length: 2" % SUBMIT + end,
        "POST %s HTTX/1.1\r\nHost: g\r\nContent-Length: 2" % SUBMIT + end,
        "PO ST %s HTTP/1.1\r\nHost: g\r\nContent-Length: 2" % SUBMIT + end,
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\r\n\r\n",
    ]
    return [step([text(one)], [expect(400)], "closed") for one in bad]


@_scenario
def body_limits(b):
    """Exactly 1 MiB is served; one byte more is refused by its announcement alone."""
    one = b.make("one_mebibyte")
    size = len(b.made[one][0])
    padded = [text(head(1 << 20, JSON)), {"file": "http/bodies/one_mebibyte.json", "to": size - 1}, repeat(" ", (1 << 20) - size), text("}")]
    return [
        step(padded, [b.answer(one)]),
        step([text(head((1 << 20) + 1, JSON))], [expect(413)], "closed"),
        step([text(head(10**15, JSON))], [expect(413)], "closed"),
    ]


@_scenario
def head_limits(b):
    """At most 16 KiB and 64 fields in a head."""
    one = b.make("many_fields")
    fields = ["X-F%02d: v" % n for n in range(61)]  # with Host, Content-Length and Content-Type: 64
    return [
        step(b.post(one, *fields), [b.answer(one)]),
        step(b.post(one, *fields, "X-Last: v"), [expect(431)], "closed"),
        step([text("POST %s HTTP/1.1\r\nHost: g\r\nX-Long: " % SUBMIT), repeat("a", 17000), text("\r\n\r\n")], [expect(431)], "closed"),
        step([text("GET /health HTTP/1.1\r\nX: "), repeat("a", 16384 - 25)], [expect(431)], "closed"),
    ]


@_scenario
def expect_continue(b):
    """The client is told to go on after admission; then it is answered as usual."""
    one = b.make("expects_continue")
    top = text(head(len(b.made[one][0]), JSON, "Expect: 100-continue"))
    return [step([top], [{"status": 100}]), step([body_file("http/bodies/expects_continue.json")], [b.answer(one)])]


@_scenario
def slow_head(b):
    """A head that does not come to its end in 5 s is 408."""
    return [step([text("POST %s HTTP/1.1\r\nHost: g\r\n" % SUBMIT)], [expect(408, within_ms=12000)], "closed")]


@_scenario
def slow_body(b):
    """A body slower than 1 KiB/s after 3 s of grace is 408."""
    return [step([text(head(500, JSON) + "{")], [expect(408, within_ms=12000)], "closed")]


@_scenario
def rate_limit(b):
    """One request a second, a burst of two: the third is 429, is not kept, and may come again later."""
    names = [b.make("rate_%d" % n) for n in range(3)]
    limited = expect(429, headers={"Content-Type": "application/problem+json", "Retry-After": None})
    limited["problem"] = {"retryable": True}
    send = [part for name in names for part in b.post(name)]
    return [
        step(send, [b.answer(names[0]), b.answer(names[1]), limited]),
        step([{"pause_ms": 1500}] + b.post(names[2]), [b.answer(names[2])]),
    ]


@_scenario
def look_ups(b):
    """A look-up gets the status and the bytes of the stored outcome, in its place among other answers, and claims nothing."""
    one, later = b.make("looked_up"), b.make("looked_up_before")
    two = b.make("looked_up_escalated", ft={"outbox_seq": 1, "degraded": True, "fallbacks": ["r"], "clock_skew_ms": 0})

    def path(name):
        return "/v1/pcs/" + b.made[name][1].record.pcs_id

    def found(name, **more):
        answer = b.answer(name)
        return dict({"status": answer["status"], "headers": {"Content-Type": "application/json"}, "body": answer["body"]}, **more)

    absent = expect(404, "outcome_not_found")
    not_allowed = expect(405, headers={"Content-Type": "application/problem+json", "Allow": "GET, HEAD, OPTIONS"})
    return [
        step(get(path(one)), [absent]),
        step(b.post(one) + get(path(one)), [b.answer(one), found(one)]),
        step(b.post(two), [b.answer(two)]),
        step(get(path(two)) + get(path(later)) + get(path(one)), [found(two), absent, found(one)]),
        step(get(path(one), method="HEAD"), [found(one, body="", head=True)]),
        step(get(path(one), "X-Tenant-Id: nobody"), [expect(401, "unknown_tenant")]),
        step(get(path(one).upper().replace("/V1/PCS", "/v1/pcs")), [expect(400, "invalid_pcs_id")]),
        step(get(path(one)[:-1]), [expect(400, "invalid_pcs_id")]),
        step(get(path(one) + "/"), [expect(404, "not_found")]),
        step([text(head(2, JSON, path=path(one)) + "{}")], [not_allowed]),
        step(get(path(one), method="OPTIONS"),
             [{"status": 200, "headers": {"Allow": "GET, HEAD, OPTIONS", "Content-Length": "0"}, "body": ""}]),
        step(b.post(later), [b.answer(later)]),
    ]


@_scenario
def not_ready(b):
    """Until recovery is done submits are 503 and may be repeated; liveness is 200, readiness is not."""
    one = b.make("too_early")
    unavailable = expect(503, headers={"Content-Type": "application/problem+json", "Retry-After": None})
    unavailable["problem"] = {"retryable": True}
    return [step(get("/livez"), [{"status": 200}]), step(get("/readyz"), [{"status": 503}]), step(b.post(one), [unavailable], "any")]


# Scenarios that need another gateway than the plain one.
GATEWAYS = {
    "rate_limit": {"env": {"TOKEN_RATE": "1"}},
    "look_ups": {"env": {"FLK_LOOK_UPS": "on"}},
    "not_ready": {"arrange": "recovery held back"},
}
PLAIN = {"env": {}}


def dated(one: dict) -> dict:
    """The step; every final response in it carries `Date`."""
    for response in one["responses"]:
        if response["status"] >= 200:
            response["headers"] = dict(response.get("headers", {}), Date=None)
    return one


def add(tree):
    """Adds the group to the tree."""
    bodies = Bodies(tree)
    statuses = set()
    for function in SCENARIOS:
        steps = [dated(one) for one in function(bodies)]
        statuses |= {response["status"] for one in steps for response in one["responses"]}
        tree.add_json("http/%s.json" % function.__name__, {
            "name": function.__name__, "about": function.__doc__,
            "gateway": GATEWAYS.get(function.__name__, PLAIN), "steps": steps,
        })
    owed = {200, 202, 400, 401, 404, 405, 408, 411, 413, 415, 429, 431, 501, 503, 505}
    assert owed <= statuses, owed - statuses
