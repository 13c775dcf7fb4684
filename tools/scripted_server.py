#!/usr/bin/env python3
"""An OpenAI-compatible server with known delays: what a client must read from it is known.

    scripted_server.py --port 8123 --log played.jsonl [--first-ms 100] [--gap-ms 10] [--role-ms 50]

Every answer: the head and, with --role-ms, a chunk without content; a chunk of one token after --first-ms; another every --gap-ms,
as many as the request asks for; usage; [DONE]. One line of --log per request says when its last byte was read and when each chunk
was really written, in ms of CLOCK_MONOTONIC: the truth, whatever the machine made of the script.
"""
import argparse
import json
import socket
import sys
import threading
import time

MODEL = "scripted"
SPIN_NS = 300_000  # the end of a wait is watched, not slept: a sleep ends late


def wait_until(at_ns):
    left = at_ns - time.monotonic_ns() - SPIN_NS
    if left > 0:
        time.sleep(left / 1e9)
    while time.monotonic_ns() < at_ns:
        pass


def chunk(delta, finish=None, usage=None):
    choices = [] if usage else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    body = {"id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 0, "model": MODEL, "choices": choices}
    if usage:
        body["usage"] = usage
    data = b"data: " + json.dumps(body).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


class Connection:
    """Answers one request after the other, until the client leaves."""

    def __init__(self, client, args, log):
        self.client, self.args, self.log, self.unread = client, args, log, b""
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read_until(self, complete):
        while not complete(self.unread):
            data = self.client.recv(65536)
            if not data:
                raise ConnectionError
            self.unread += data

    def read(self):
        """The request line, and the body with the moment its last byte was here."""
        self.read_until(lambda data: b"\r\n\r\n" in data)
        head, self.unread = self.unread.split(b"\r\n\r\n", 1)
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n")
                       if line.lower().startswith(b"content-length")), 0)
        self.read_until(lambda data: len(data) >= length)
        at = time.monotonic_ns()
        body, self.unread = self.unread[:length], self.unread[length:]
        return head.split(b"\r\n")[0].decode(), body, at

    def reply(self, status, document):
        body = json.dumps(document).encode()
        self.client.sendall(b"HTTP/1.1 %d x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
                            % (status, len(body), body))

    def stream(self, request, read_ns):
        args = self.args
        tokens = request.get("max_completion_tokens") or request.get("max_tokens") or 16
        first = read_ns + int(args.first_ms * 1e6)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        role = chunk({"role": "assistant", "content": ""})
        if args.role_ms is not None:
            wait_until(read_ns + int(args.role_ms * 1e6))
            self.client.sendall(head + role)
            head = role = b""
        written = []
        for i in range(tokens):
            piece = head + chunk({"content": f" w{i}"}, "length" if i == tokens - 1 else None)
            head = b""
            wait_until(first + int(i * args.gap_ms * 1e6))
            written.append(time.monotonic_ns() / 1e6)
            self.client.sendall(piece)
        usage = {"prompt_tokens": 100, "completion_tokens": tokens, "total_tokens": 100 + tokens}
        self.client.sendall(chunk({}, usage=usage) + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        self.log.write(json.dumps({"read_ms": read_ns / 1e6, "written_ms": written, "tokens": tokens,
                                   "ended_ms": time.monotonic_ns() / 1e6}) + "\n")
        self.log.flush()

    def serve(self):
        with self.client:
            try:
                while True:
                    line, body, at = self.read()
                    if line.startswith("POST") and "completions" in line:
                        request = json.loads(body)
                        if request.get("stream"):
                            self.stream(request, at)
                            continue
                    if line.startswith("GET") and line.split()[1] in ("/v1/models", "/health", "/ready"):
                        self.reply(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
                    else:
                        self.reply(404, {"error": {"message": "not in the script"}})
            except (OSError, ConnectionError, ValueError):
                pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--first-ms", type=float, default=100)
    parser.add_argument("--gap-ms", type=float, default=10)
    parser.add_argument("--role-ms", type=float)
    args = parser.parse_args()
    with open(args.log, "w", encoding="utf-8") as log, socket.create_server(("127.0.0.1", args.port)) as listener:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=Connection(client, args, log).serve, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
