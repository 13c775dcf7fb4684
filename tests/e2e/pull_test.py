#!/usr/bin/env python3
"""`weir pull` against a scripted HTTP server: resume, redirects and tokens, damage, retries, rivals.

Run as: pull_test.py WEIR_BINARY.
"""
import gzip
import hashlib
import http.server
import os
import random
import resource
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

BODY = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(250_000)
SHA = hashlib.sha256(BODY).hexdigest()
TOKEN = "secret-token-123"


class Server:
    """Answers request number n with the n-th step of the script, the last one again and again."""

    def __init__(self, *script, tls=None):
        self.script, self.seen, self.lock = list(script), [], threading.Lock()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                with owner.lock:
                    step = owner.script[min(len(owner.seen), len(owner.script) - 1)]
                    owner.seen.append((self.path, dict(self.headers)))
                try:
                    step(self)
                except OSError:
                    pass
                self.close_connection = True

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.scheme = "https" if tls else "http"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, host="127.0.0.1", path="/model.gguf"):
        return f"{self.scheme}://{host}:{self.port}{path}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def sends(body=BODY, etag='"one"', at_most=None, then_waits=0, pace=0):
    """The file as a sound server sends it: ranges only while If-Range names what it has."""
    def step(request):
        first = 0
        asked = request.headers.get("Range", "")
        if asked.startswith("bytes=") and request.headers.get("If-Range") == etag:
            first = int(asked[6:].split("-")[0])
        if first and first >= len(body):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(body)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(206 if first else 200)
        if first:
            request.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        if etag:
            request.send_header("ETag", etag)
        request.send_header("Content-Length", str(len(body) - first))
        request.end_headers()
        data = body[first:][:at_most]
        for start in range(0, len(data), 10_000):
            request.wfile.write(data[start:start + 10_000])
            request.wfile.flush()
            time.sleep(pace)
        time.sleep(then_waits)
    return step


def answers(status, **fields):
    def step(request):
        request.send_response(status)
        for name, value in fields.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", "5")
        request.end_headers()
        request.wfile.write(b"no...")
    return step


class PullTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "model.gguf")
        self.servers = []

    def tearDown(self):
        for server in self.servers:
            server.close()
        self.folder.cleanup()

    def serve(self, *script, **more):
        self.servers.append(Server(*script, **more))
        return self.servers[-1]

    def command(self, url, *flags):
        output = [] if "--output" in flags else ["--output", self.path]
        return [BINARY, "pull", url, *output, "--retry-wait", "0.05", *flags]

    def pull(self, url, *flags, code=0, env=None, **more):
        done = subprocess.run(self.command(url, *flags), capture_output=True, text=True, timeout=60,
                              env={**os.environ, **(env or {})}, **more)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertNotIn(TOKEN, done.stdout + done.stderr)
        return done

    def expect_file(self, body=BODY):
        with open(self.path, "rb") as file:
            self.assertEqual(file.read(), body)
        self.assertEqual(os.listdir(self.folder.name), ["model.gguf"])

    def expect_nothing(self, but=()):
        self.assertEqual(sorted(os.listdir(self.folder.name)), sorted(but))

    def test_a_whole_file_comes_under_its_name_and_the_path_is_printed(self):
        server = self.serve(sends())
        done = self.pull(server.url(), "--sha256", SHA.upper())
        self.assertEqual(done.stdout.strip(), self.path)
        self.assertIn(SHA, done.stderr)
        self.expect_file()
        self.pull(server.url(), "--sha256", SHA)
        self.assertEqual(len(server.seen), 1, "what is there is not fetched again")
        self.pull(server.url(), "--force")
        self.assertEqual(len(server.seen), 2)

    def test_a_folder_takes_the_name_of_the_url(self):
        server = self.serve(sends())
        done = self.pull(server.url(path="/a/b%20c.gguf?sign=xyz"), "--output", self.folder.name, code=2)
        self.assertIn("--output", done.stderr)
        self.assertNotIn("xyz", done.stderr)
        done = self.pull(server.url(path="/a/m.gguf?sign=xyz"), "--output", self.folder.name + "/new/")
        self.assertEqual(done.stdout.strip(), self.folder.name + "/new/m.gguf")

    def test_a_cut_connection_is_resumed_where_it_ended(self):
        server = self.serve(sends(at_most=100_000), sends(at_most=100_000), sends())
        self.pull(server.url(), "--sha256", SHA)
        self.expect_file()
        self.assertEqual([fields.get("Range") for _, fields in server.seen],
                         [None, "bytes=100000-", "bytes=200000-"])
        self.assertEqual(server.seen[1][1]["If-Range"], '"one"')

    def test_an_interrupted_pull_goes_on_in_the_next_process(self):
        server = self.serve(sends(pace=0.05), sends())
        process = subprocess.Popen(self.command(server.url()), stderr=subprocess.PIPE, text=True)
        while not os.path.exists(self.path + ".part") or os.path.getsize(self.path + ".part") < 50_000:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130, errors)
        self.assertIn("goes on from there", errors)
        self.assertFalse(os.path.exists(self.path))
        self.assertIn("of them earlier", self.pull(server.url(), "--sha256", SHA).stderr)
        self.assertTrue(server.seen[1][1]["Range"].startswith("bytes="))
        self.expect_file()

    def test_a_file_that_changed_meanwhile_begins_anew(self):
        server = self.serve(sends(at_most=100_000), sends(OTHER, '"two"'))
        self.pull(server.url())
        self.expect_file(OTHER)

    def test_without_a_strong_validator_nothing_is_resumed(self):
        for etag in ('W/"weak"', ""):
            server = self.serve(sends(etag=etag, at_most=100_000), sends(etag=etag))
            self.pull(server.url(), "--force")
            self.assertNotIn("Range", server.seen[1][1])
            self.expect_file()

    def test_what_is_whole_but_not_renamed_is_taken(self):
        server = self.serve(sends())
        with open(self.path + ".part", "wb") as part:
            part.write(BODY)
        with open(self.path + ".part.source", "w") as source:
            source.write(server.url() + '\n"one"\n')
        self.pull(server.url(), "--sha256", SHA)
        self.expect_file()

    def test_a_range_that_was_not_asked_for_is_refused(self):
        def lies(request):
            request.send_response(206)
            request.send_header("Content-Range", "bytes 5-9/10")
            request.send_header("Content-Length", "5")
            request.end_headers()
            request.wfile.write(b"fives")
        self.pull(self.serve(lies).url(), code=3)
        self.expect_nothing()

    def test_g15_another_hash_leaves_nothing_and_tells_both(self):
        done = self.pull(self.serve(sends(OTHER)).url(), "--sha256", SHA, code=3)
        self.assertIn(SHA, done.stderr)
        self.assertIn(hashlib.sha256(OTHER).hexdigest(), done.stderr)
        self.expect_nothing()
        with open(self.path, "wb") as file:
            file.write(b"mine")
        self.assertIn("--force", self.pull(self.serve(sends()).url(), "--sha256", SHA, code=3).stderr)

    def test_g15_a_digest_of_another_form_is_refused_before_anything_is_asked_for(self):
        server = self.serve(sends())
        for digest in (SHA[1:], SHA + "0", "g" * 64, "../" + SHA[3:], SHA[:63] + "\u0661", " " + SHA[1:]):
            self.assertIn("64 hex digits", self.pull(server.url(), "--sha256", digest, code=2).stderr)
        self.assertEqual(server.seen, [])
        self.expect_nothing()

    def test_g15_a_body_longer_than_announced_is_cut_where_it_was_to_end(self):
        def announces(length):
            def step(request):
                request.send_response(200)
                request.send_header("Content-Length", str(length))
                request.end_headers()
                request.wfile.write(BODY)
            return step
        self.pull(self.serve(announces(len(BODY) - 5)).url(), "--sha256", SHA, code=3)
        self.expect_nothing()
        self.pull(self.serve(announces(1000)).url())
        self.expect_file(BODY[:1000])

    def test_g15_a_compressed_body_is_refused_and_not_unpacked(self):
        bomb = gzip.compress(bytes(50_000_000))
        def packed(request):
            request.send_response(200)
            request.send_header("Content-Encoding", "gzip")
            request.send_header("Content-Length", str(len(bomb)))
            request.end_headers()
            request.wfile.write(bomb)
        server = self.serve(packed)
        self.assertIn("gzip", self.pull(server.url(), "--sha256", hashlib.sha256(bomb).hexdigest(), code=3).stderr)
        self.expect_nothing()
        self.assertNotIn("gzip", server.seen[0][1].get("Accept-Encoding", ""))

    def test_refusals_end_at_once_and_say_what_to_do(self):
        for status, code, part in ((404, 3, "check the URL"), (401, 4, "--token"), (403, 4, "--token"), (400, 4, "400")):
            server = self.serve(answers(status))
            self.assertIn(part, self.pull(server.url(), code=code).stderr)
            self.assertEqual(len(server.seen), 1)
        self.expect_nothing()

    def test_errors_that_pass_are_tried_again(self):
        server = self.serve(answers(500), answers(503), answers(429, Retry_After="1"), sends())
        started = time.monotonic()
        self.pull(server.url(), "--sha256", SHA)
        self.assertGreater(time.monotonic() - started, 1.0)
        self.expect_file()
        server = self.serve(answers(500))
        self.pull(server.url(), "--force", "--retries", "2", code=4)
        self.assertEqual(len(server.seen), 3)
        self.expect_file()

    def test_a_server_that_stands_still_is_left_and_resumed(self):
        server = self.serve(sends(at_most=100_000, then_waits=20), sends())
        self.assertIn("sent nothing", self.pull(server.url(), "--sha256", SHA, "--stall-timeout", "0.5").stderr)
        self.expect_file()

    def test_nobody_there_is_told(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.pull(f"http://127.0.0.1:{port}/m.gguf", "--retries", "1", code=4)
        self.expect_nothing()

    def test_g15_a_token_never_reaches_another_host_or_port(self):
        file = self.serve(sends())
        first = self.serve(lambda request: answers(302, Location="/again")(request),
                           lambda request: answers(302, Location=file.url("localhost"))(request))
        self.pull(first.url(), "--token-env", "MY_TOKEN", env={"MY_TOKEN": TOKEN})
        self.expect_file()
        self.assertEqual([fields.get("Authorization") for _, fields in first.seen], [f"Bearer {TOKEN}"] * 2)
        self.assertNotIn("Authorization", file.seen[0][1])

    def test_a_token_does_not_come_back_after_a_detour(self):
        hops = []
        first = self.serve(lambda r: hops[0](r), sends())
        second = self.serve(answers(307, Location=first.url(path="/back")))
        hops.append(answers(307, Location=second.url()))
        self.pull(first.url(), "--token-env", "MY_TOKEN", env={"MY_TOKEN": TOKEN})
        self.assertIn("Authorization", first.seen[0][1])
        self.assertNotIn("Authorization", first.seen[1][1])

    def test_tokens_are_taken_only_where_they_are_safe(self):
        env = {"MY_TOKEN": TOKEN, "BAD": "a\nb"}
        done = self.pull("http://example.invalid/m.gguf", "--token-env", "MY_TOKEN", env=env, code=2)
        self.assertIn("use https", done.stderr)
        server = self.serve(sends())
        self.pull(server.url(), "--token-env", "BAD", env=env, code=2)
        self.pull(server.url(), "--token-env", "NOT_SET", env=env, code=2)
        self.pull(f"http://user:pass@127.0.0.1:{server.port}/m.gguf", code=2)
        secret = os.path.join(self.folder.name, "token")
        with open(secret, "w") as file:
            file.write(TOKEN + "\n")
        os.chmod(secret, 0o644)
        self.pull(server.url(), "--token-file", secret, code=2)
        self.assertEqual(server.seen, [])
        os.chmod(secret, 0o600)
        self.pull(server.url(), "--token-file", secret)
        self.assertEqual(server.seen[0][1]["Authorization"], f"Bearer {TOKEN}")

    def test_g15_https_is_checked_and_not_left_for_http_with_a_token(self):
        key, cert = (os.path.join(self.folder.name, name) for name in ("key.pem", "cert.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
                       check=True, capture_output=True)
        trust = {"SSL_CERT_FILE": cert, "MY_TOKEN": TOKEN}
        plain = self.serve(sends())
        down = self.serve(answers(302, Location=plain.url()), tls=(cert, key))
        for flags in (["--token-env", "MY_TOKEN", "--sha256", SHA], []):
            done = self.pull(down.url("localhost"), *flags, env=trust, code=2)
            self.assertIn("not encrypted", done.stderr)
        self.assertEqual(plain.seen, [])
        self.pull(down.url("localhost"), "--sha256", SHA, env=trust)
        self.pull(down.url("localhost"), "--force", env={"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"}, code=4)
        self.pull(self.serve(sends(), tls=(cert, key)).url("localhost"), "--force", "--token-env", "MY_TOKEN", env=trust)

    def test_g15_redirects_end_and_stay_on_the_network(self):
        server = self.serve(answers(302, Location="/again"))
        self.assertIn("10 redirects", self.pull(server.url(), code=3).stderr)
        self.assertEqual(len(server.seen), 11)
        for place in ("file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x/"):
            self.pull(self.serve(answers(302, Location=place)).url(), code=2)
        self.pull(self.serve(answers(302)).url(), code=3)
        self.expect_nothing()

    def test_several_at_once_fetch_it_once(self):
        server = self.serve(sends(pace=0.02))
        rivals = [subprocess.Popen(self.command(server.url(), "--sha256", SHA), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True) for _ in range(4)]
        for rival in rivals:
            _, errors = rival.communicate(timeout=60)
            self.assertEqual(rival.returncode, 0, errors)
        self.expect_file()
        self.assertEqual(len(server.seen), 1)

    def test_a_full_disk_leaves_no_file_and_keeps_what_came(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        server = self.serve(sends())
        self.assertIn("make room", self.pull(server.url(), code=4, preexec_fn=limit).stderr)
        self.expect_nothing(but=["model.gguf.part", "model.gguf.part.source"])
        self.pull(server.url(), "--sha256", SHA)
        self.assertEqual(server.seen[1][1]["Range"], "bytes=100000-")
        self.expect_file()

    def test_more_than_the_disk_has_is_refused_before_it_comes(self):
        def huge(request):
            request.send_response(200)
            request.send_header("Content-Length", str(1 << 60))
            request.end_headers()
            request.wfile.write(b"x")
        self.assertIn("the disk has room for", self.pull(self.serve(huge).url(), code=4).stderr)
        self.expect_nothing()

    def test_a_file_of_this_machine_is_copied(self):
        source = os.path.join(self.folder.name, "source")
        with open(source, "wb") as file:
            file.write(BODY)
        self.pull("file://" + source, "--sha256", SHA)
        os.remove(source)
        self.expect_file()
        self.pull("file:///nonexistent", "--force", code=3)
        self.pull("file:///", "--force", code=3)
        for url in ("ftp://host/file", "model.gguf", "http://", "http://[::1", ""):
            self.pull(url, "--force", code=2)
        self.expect_file()


if __name__ == "__main__":
    BINARY = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=1)
