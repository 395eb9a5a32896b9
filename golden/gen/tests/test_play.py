"""The player against a stub that recites expected answers, and one that recites wrong ones."""

import json
import socket
import threading
import unittest

import play


def recite(server, conversation, spoil=False):
    """Answers each burst with what the conversation expects, knowing how many bytes it has."""
    connection = None
    for step in conversation["steps"]:
        if connection is None:
            connection, _ = server.accept()
        left = sum(len(play.part_bytes(part)) for part in step["send"])
        while left:
            left -= len(connection.recv(left))
        for response in step["responses"]:
            body = response.get("body", "")
            if "problem" in response:
                body = json.dumps({"code": "c", "title": "t", "retryable": False} | response["problem"])
            if spoil:
                body = body.replace("true", "nope")
            lines = ["HTTP/1.1 %d Stub" % response["status"], "Content-Length: %d" % len(body)]
            lines += ["%s: %s" % (name, value or "1") for name, value in response.get("headers", {}).items()]
            connection.sendall(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
        if step["after"] != "open":
            connection.close()
            connection = None
    if connection:
        connection.close()


def played(name, spoil=False):
    """Plays one committed conversation against the stub."""
    conversation = json.loads((play.HERE / "http" / (name + ".json")).read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=recite, args=(server, conversation, spoil), daemon=True)
        thread.start()
        play.play(server.getsockname(), conversation)
        thread.join()


class Player(unittest.TestCase):
    def test_expected_answers_are_the_same(self):
        for name in ("accepted_then_hit", "pipelined_in_order", "framing_errors", "fin_inside_body", "probes", "expect_continue"):
            with self.subTest(name):
                played(name)

    def test_a_wrong_body_differs(self):
        with self.assertRaises(play.Differs):
            played("accepted_then_hit", spoil=True)
