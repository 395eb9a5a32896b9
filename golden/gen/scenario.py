"""The vocabulary of HTTP scenarios: what a client sends, and what it must see.

Owns the shape of http/*.json.  Never decides an answer.
"""

SUBMIT = "/v1/pcs/submit"


def text(value: str) -> dict:
    """Characters to send; each is one byte (Latin-1)."""
    value.encode("latin-1")
    return {"text": value}


def body_file(path: str) -> dict:
    """The bytes of a golden file."""
    return {"file": path}


def repeat(value: str, times: int) -> dict:
    """The same characters many times."""
    return {"repeat": value, "times": times}


PAUSE = {"pause_ms": 50}
FIN = {"fin": True}


def head(length, *lines, method="POST", path=SUBMIT, version="HTTP/1.1", host="Host: gateway") -> str:
    """A request head; `length` is the Content-Length, or None for no such field."""
    out = ["%s %s %s" % (method, path, version)]
    if host:
        out.append(host)
    if length is not None:
        out.append("Content-Length: %s" % length)
    out += lines
    return "\r\n".join(out) + "\r\n\r\n"


JSON = "Content-Type: application/json"


def get(path, *lines, method="GET") -> list:
    """A request without a body."""
    return [text(head(None, *lines, method=method, path=path))]


def expect(status, code=None, **more) -> dict:
    """One response.  `code` is the problem's code where the contract names it."""
    out = {"status": status}
    if status >= 400:
        out["headers"] = {"Content-Type": "application/problem+json"}
        out["problem"] = {} if code is None else {"code": code}
    out.update(more)
    return out


def outcome(status, dedup, body) -> dict:
    """The response to a record that was decided: exact body, exact dedup header."""
    return {"status": status, "headers": {"Content-Type": "application/json", "Flk-Dedup": dedup}, "body": body}


def step(send, responses, after="open") -> dict:
    """One burst of bytes on the scenario's connection, and what follows it."""
    return {"send": send, "responses": responses, "after": after}
