"""Plays the HTTP conversations against a running gateway: `play.py [--at HOST:PORT] [NAME ...]`.

An independent client: sockets only, no HTTP library, so that nothing is repaired on the way.  Needs a
gateway with an empty data directory, tenant `default` and the HMAC key `testsecret`; conversations that
need another gateway are played only when they are named.  Exit code 1 if anything differs.
"""

import argparse
import json
import pathlib
import socket
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
WAIT_S = 15.0


class Differs(Exception):
    """What came back is not what must come back."""


def part_bytes(part: dict) -> bytes:
    """The bytes of one part of a burst."""
    if "text" in part:
        return part["text"].encode("latin-1")
    if "repeat" in part:
        return part["repeat"].encode("latin-1") * part["times"]
    if "file" in part:
        data = (HERE / part["file"]).read_bytes()
        return data[part.get("from", 0) : part.get("to", len(data))]
    return b""


def send(connection, parts):
    """Sends a burst; a gateway that closes early has its answer waiting all the same."""
    pending = b""
    for part in parts:
        pending += part_bytes(part)
        if "pause_ms" in part or "fin" in part:
            connection.sendall(pending)
            pending = b""
        if "pause_ms" in part:
            time.sleep(part["pause_ms"] / 1000)
        if "fin" in part:
            connection.shutdown(socket.SHUT_WR)
    try:
        connection.sendall(pending)
    except (BrokenPipeError, ConnectionResetError):
        pass


def read_response(stream, head_only):
    """Status, header fields in lower case and body of one response."""
    line = stream.readline()
    if not line:
        raise Differs("closed without an answer")
    status, fields = int(line.split()[1]), {}
    while (line := stream.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        fields[name.strip().lower()] = value.strip()
    bodyless = head_only or status < 200 or status == 204
    return status, fields, b"" if bodyless else stream.read(int(fields.get("content-length", "0")))


def compare(want, got):
    """Raises where a response differs from what is expected."""
    status, fields, body = got
    if status != want["status"]:
        raise Differs("status %d instead of %d: %r" % (status, want["status"], body[:300]))
    for name, value in want.get("headers", {}).items():
        found = fields.get(name.lower())
        if found is None:
            raise Differs("no header %s" % name)
        if value is not None and found.split(";")[0].strip() != value:
            raise Differs("%s is %r instead of %r" % (name, found, value))
    if "body" in want and body != want["body"].encode():
        raise Differs("body %r instead of %r" % (body, want["body"]))
    if "problem" in want:
        problem = json.loads(body)
        for member in ("code", "title", "retryable"):
            if member not in problem:
                raise Differs("the problem has no %s" % member)
        for member, value in want["problem"].items():
            if problem[member] != value:
                raise Differs("problem %s is %r instead of %r" % (member, problem[member], value))


class Line:
    """One connection, opened when it is first needed and again after each close."""

    def __init__(self, address):
        self.address, self.connection, self.stream = address, None, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def open(self):
        """The socket and its buffered reading side."""
        if self.connection is None:
            self.connection = socket.create_connection(self.address, WAIT_S)
            self.stream = self.connection.makefile("rb")
        return self.connection, self.stream

    def close(self):
        """Forgets the connection."""
        if self.connection is not None:
            self.stream.close()
            self.connection.close()
            self.connection = None


def play_step(connection, stream, step):
    """One burst and what follows it."""
    send(connection, step["send"])
    for want in step["responses"]:
        compare(want, read_response(stream, want.get("head", False)))
    if step["after"] == "closed" and not at_end(stream):
        raise Differs("more bytes where the connection must close")


def play(address, conversation):
    """Plays one conversation; raises at the first difference."""
    with Line(address) as line:
        for number, step in enumerate(conversation["steps"]):
            try:
                play_step(*line.open(), step)
            except (Differs, OSError, ValueError, IndexError) as error:
                raise Differs("step %d: %s" % (number, error)) from error
            if step["after"] != "open":
                line.close()


def at_end(stream) -> bool:
    """Whether the gateway closed; a reset is a close too."""
    try:
        return stream.read(1) == b""
    except ConnectionResetError:
        return True


def main() -> int:
    """Plays what was asked for and prints one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at", default="127.0.0.1:8080", metavar="HOST:PORT")
    parser.add_argument("names", nargs="*", metavar="NAME")
    asked = parser.parse_args()
    host, _, port = asked.at.rpartition(":")
    failed = 0
    for path in sorted((HERE / "http").glob("*.json")):
        conversation = json.loads(path.read_bytes())
        if asked.names and conversation["name"] not in asked.names:
            continue
        if not asked.names and conversation["gateway"] != {"env": {}}:
            print("skipped  %s (needs %s)" % (conversation["name"], json.dumps(conversation["gateway"])))
            continue
        try:
            play((host, int(port)), conversation)
            print("same     %s" % conversation["name"])
        except Differs as difference:
            failed += 1
            print("DIFFERS  %s: %s" % (conversation["name"], difference))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
