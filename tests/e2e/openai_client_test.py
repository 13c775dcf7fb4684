#!/usr/bin/env python3
"""The official client against the built server and the real model: shapes, errors, streams.

Run as: openai_client_test.py WEIR_BINARY, with the model's path in WEIR_TEST_MODEL. max_retries is 0 unless a test is
about retries, so that a wrong status is seen.
"""

import concurrent.futures
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from typing import Annotated, Optional

import openai
import pydantic
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

MODEL = "test-model"
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Current weather of a city", "parameters": {
        "type": "object", "required": ["city", "unit"], "additionalProperties": False, "properties": {
            "city": {"type": "string", "maxLength": 20}, "unit": {"enum": ["celsius", "fahrenheit"]}}}}}
HELLO = [{"role": "user", "content": "What is the capital of France?"}]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Recipe(pydantic.BaseModel):
    name: Annotated[str, pydantic.Field(max_length=30)]
    minutes: Annotated[int, pydantic.Field(ge=1, le=300)]
    vegetarian: bool
    note: Optional[Annotated[str, pydantic.Field(max_length=20)]]
    steps: Annotated[list[Annotated[str, pydantic.Field(max_length=30)]], pydantic.Field(max_length=3)]


class Server:
    def __init__(self, *flags):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [BINARY, "serve", "--model", os.environ["WEIR_TEST_MODEL"], "--port", str(self.port), "--control-port", "0",
             "--served-model-name", MODEL, "--max-model-len", "2048", *flags],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"weir serve ended with {self.process.returncode}")
            try:
                with urllib.request.urlopen(self.url + "/ready", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.05)
        self.process.kill()
        raise RuntimeError("weir serve was not ready after 120 s")

    def version(self):
        with urllib.request.urlopen(self.url + "/version", timeout=10) as answer:
            return json.load(answer)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def client(server, **more):
    return openai.OpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0, timeout=120, **more)


class OpenAiClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.client = client(cls.server)

    @classmethod
    def tearDownClass(cls):
        code = cls.server.stop()
        if code != 0:
            raise AssertionError(f"weir serve ended with {code} after SIGTERM, expected 0")

    def chat(self, **more):
        arguments = {"model": MODEL, "messages": HELLO, "temperature": 0, "max_tokens": 16, **more}
        return self.client.chat.completions.create(**arguments)

    def complete(self, **more):
        arguments = {"model": MODEL, "prompt": "Once upon a time", "temperature": 0, "max_tokens": 16, **more}
        return self.client.completions.create(**arguments)

    def test_bodies_pass_the_clients_own_validation(self):
        raw = self.client.chat.completions.with_raw_response.create(
            model=MODEL, messages=HELLO, max_tokens=4, temperature=0)
        ChatCompletion.model_validate(raw.http_response.json())
        raw = self.client.completions.with_raw_response.create(model=MODEL, prompt="Hello", max_tokens=4, logprobs=2)
        Completion.model_validate(raw.http_response.json())

    def test_streamed_chunks_join_to_the_whole_answer(self):
        whole = self.chat(max_tokens=24)
        chunks = list(self.chat(max_tokens=24, stream=True, stream_options={"include_usage": True}))
        for chunk in chunks:
            ChatCompletionChunk.model_validate(chunk.model_dump())
        self.assertEqual(len({(c.id, c.created, c.model) for c in chunks}), 1)
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-1].usage, whole.usage)
        with_choices = chunks[:-1]
        self.assertEqual(with_choices[0].choices[0].delta.role, "assistant")
        text = "".join(c.choices[0].delta.content or "" for c in with_choices)
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertTrue(text)
        self.assertEqual([c.choices[0].finish_reason for c in with_choices[:-1]], [None] * (len(with_choices) - 1))
        self.assertEqual(with_choices[-1].choices[0].finish_reason, whole.choices[0].finish_reason)

    def test_no_usage_chunk_unless_asked_for(self):
        for chunk in self.chat(max_tokens=4, stream=True):
            self.assertEqual(len(chunk.choices), 1)

    def test_usage_counts_template_tokens_and_adds_up(self):
        usage = self.chat(max_tokens=5).usage
        self.assertGreater(usage.prompt_tokens, 20)
        self.assertEqual(usage.completion_tokens, 5)
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + 5)
        self.assertLessEqual(usage.prompt_tokens_details.cached_tokens, usage.prompt_tokens)

    def test_a_stop_string_never_comes_out(self):
        text = self.complete(max_tokens=24).choices[0].text
        stop = text[6:12]  # lies across tokens
        before = text[: text.index(stop)]
        stopped = self.complete(max_tokens=24, stop=stop).choices[0]
        self.assertEqual((stopped.text, stopped.finish_reason), (before, "stop"))
        streamed = "".join(c.choices[0].text for c in self.complete(max_tokens=24, stop=[stop], stream=True))
        self.assertEqual(streamed, before)

    def test_chat_logprobs_spell_the_text(self):
        choice = self.chat(max_tokens=8, logprobs=True, top_logprobs=3).choices[0]
        spelled = b"".join(bytes(t.bytes) for t in choice.logprobs.content)
        self.assertEqual(spelled.decode(), choice.message.content)
        for token in choice.logprobs.content:
            self.assertEqual(len(token.top_logprobs), 3)
            self.assertEqual(token.top_logprobs[0].logprob, token.logprob)  # greedy

    def test_completion_logprobs_have_equal_lengths_and_echo_scores_the_prompt(self):
        logprobs = self.complete(max_tokens=0, echo=True, logprobs=1).choices[0].logprobs
        self.assertEqual(len({len(logprobs.tokens), len(logprobs.token_logprobs), len(logprobs.top_logprobs),
                              len(logprobs.text_offset)}), 1)
        self.assertEqual("".join(logprobs.tokens), "Once upon a time")
        self.assertIsNone(logprobs.token_logprobs[0])
        self.assertTrue(all(value < 0 for value in logprobs.token_logprobs[1:]))

    def test_several_choices_interleave_under_their_index(self):
        texts = {}
        for chunk in self.complete(prompt=["Hello", "The sea"], n=2, stream=True, max_tokens=6):
            choice = chunk.choices[0]
            texts[choice.index] = texts.get(choice.index, "") + choice.text
        self.assertEqual(sorted(texts), [0, 1, 2, 3])
        self.assertEqual(texts[0], texts[1])  # greedy
        alone = [self.complete(prompt=p, max_tokens=6).choices[0].text for p in ("Hello", "The sea")]
        self.assertEqual([texts[0], texts[2]], alone)

    def test_a_seed_repeats_a_sampled_answer(self):
        first, again, other = (self.chat(temperature=1.5, seed=s, max_tokens=16).choices[0].message.content
                               for s in (7, 7, 8))
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)

    def test_errors_raise_the_clients_classes_with_code_and_param(self):
        for call, kind, code, param in [
            (lambda: self.chat(temperature=3), openai.BadRequestError, "invalid_value", "temperature"),
            (lambda: self.chat(max_tokens=100000), openai.BadRequestError, "context_length_exceeded", None),
            (lambda: self.chat(messages=[]), openai.BadRequestError, "invalid_value", "messages"),
            (lambda: self.chat(tools=[{"type": "function", "function": {"name": "a b"}}]), openai.BadRequestError,
             "invalid_value", "tools[0].function.name"),
            (lambda: self.chat(response_format={"type": "json_schema", "json_schema": {
                "name": "x", "schema": {"type": "array", "uniqueItems": True}}}), openai.BadRequestError,
             "unsupported_schema", "response_format.json_schema.schema"),
            (lambda: self.chat(extra_body={"guided_json": {}}), openai.BadRequestError, "unsupported_parameter",
             "guided_json"),
            (lambda: self.chat(model="other"), openai.NotFoundError, "model_not_found", "model"),
            (lambda: self.client.embeddings.create(model=MODEL, input="x"), openai.NotFoundError, "unknown_url", None),
        ]:
            with self.assertRaises(kind) as caught:
                call()
            self.assertEqual((caught.exception.code, caught.exception.param), (code, param))
            self.assertTrue(caught.exception.request_id)

    def test_an_answer_with_a_schema_parses_into_the_clients_own_class(self):
        for seed in range(3):
            parsed = self.client.chat.completions.parse(
                model=MODEL, temperature=1.2, seed=seed, max_tokens=400, response_format=Recipe,
                messages=[{"role": "user", "content": "Give me a recipe for pancakes as JSON."}])
            recipe = parsed.choices[0].message.parsed
            self.assertIsInstance(recipe, Recipe)
            self.assertLessEqual(len(recipe.steps), 3)

    def test_json_object_gives_an_object(self):
        choice = self.chat(messages=[{"role": "user", "content": "Describe Paris as a JSON object."}],
                           response_format={"type": "json_object"}, max_tokens=300).choices[0]
        self.assertTrue(choice.message.content.startswith("{"))
        if choice.finish_reason == "stop":
            self.assertIsInstance(json.loads(choice.message.content), dict)

    def test_a_required_tool_call_has_arguments_of_its_schema(self):
        asked = dict(messages=[{"role": "user", "content": "What is the weather in Paris?"}], tools=[WEATHER],
                     tool_choice="required", parallel_tool_calls=False, max_tokens=200)
        choice = self.chat(**asked).choices[0]
        self.assertEqual(choice.finish_reason, "tool_calls")
        call = choice.message.tool_calls[0]
        self.assertEqual(call.function.name, "get_weather")
        arguments = json.loads(call.function.arguments)
        self.assertIn(arguments["unit"], ("celsius", "fahrenheit"))
        name, pieces, reasons, num_deltas = "", "", [], 0
        for chunk in self.chat(stream=True, **asked):
            ChatCompletionChunk.model_validate(chunk.model_dump())
            reasons.append(chunk.choices[0].finish_reason)
            for delta in chunk.choices[0].delta.tool_calls or []:
                self.assertEqual(delta.index, 0)
                name += delta.function.name or ""
                pieces += delta.function.arguments or ""
                num_deltas += 1
        self.assertEqual((name, json.loads(pieces), reasons[-1]), ("get_weather", arguments, "tool_calls"))
        self.assertGreater(num_deltas, 3)
        # The answer goes back in.
        follow_up = self.chat(tools=[WEATHER], max_tokens=8, messages=[
            *asked["messages"], choice.message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": "18 degrees, sunny"}])
        self.assertIn(follow_up.choices[0].finish_reason, ("stop", "length", "tool_calls"))

    def test_models_lists_the_one_that_is_served(self):
        models = self.client.models.list().data
        self.assertEqual([m.id for m in models], [MODEL])
        self.assertEqual(self.client.models.retrieve(MODEL).id, MODEL)

    def test_metrics_are_text_that_prometheus_reads(self):
        with urllib.request.urlopen(self.server.url + "/metrics", timeout=10) as answer:
            text = answer.read().decode()
        names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
        self.assertEqual(len(names), len(set(names)))
        for name in ("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc",
                     "vllm:time_to_first_token_seconds"):
            self.assertIn(name, names)

    def test_a_closed_stream_frees_its_memory(self):
        total = self.server.version()["kv_blocks"]["total"]
        stream = self.chat(max_tokens=1500, stream=True, extra_body={"ignore_eos": True})
        next(iter(stream))
        self.assertLess(self.server.version()["kv_blocks"]["free"], total)
        stream.close()
        deadline = time.monotonic() + 10
        while self.server.version()["kv_blocks"]["free"] < total:
            self.assertLess(time.monotonic(), deadline, "KV blocks are still in use")
            time.sleep(0.02)


class OverloadTest(unittest.TestCase):
    def test_every_request_is_answered_or_told_when_to_come_back(self):
        server = Server("--max-num-seqs", "4", "--max-num-queued-reqs", "16")
        try:
            def ask(_):
                try:
                    answer = client(server).chat.completions.create(model=MODEL, messages=HELLO, max_tokens=16)
                    return 200 if answer.choices[0].message.content else 0
                except openai.RateLimitError as error:
                    seconds = float(error.response.headers["retry-after"])
                    milliseconds = float(error.response.headers["retry-after-ms"])
                    return 429 if 0.1 <= seconds <= 60 and 100 <= milliseconds <= 60000 else 0

            with concurrent.futures.ThreadPoolExecutor(64) as pool:
                outcomes = list(pool.map(ask, range(64)))
            self.assertEqual(set(outcomes), {200, 429})
            blocks = server.version()["kv_blocks"]
            self.assertEqual(blocks["free"], blocks["total"])
        finally:
            self.assertEqual(server.stop(), 0)


class OwnServerTest(unittest.TestCase):
    """Tests that need a server of their own, because they give it keys or end it."""

    def test_keys_and_classes_raise_their_own_errors(self):
        key = "client-0123456789abcdef"
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as keys:
            keys.write(f'[[keys]]\nname = "one"\nkey = "{key}"\nhighest_class = "batch"\n')
            keys.flush()
            server = Server("--api-keys-file", keys.name, "--public-routes", "/ready")
            try:
                with self.assertRaises(openai.AuthenticationError) as caught:
                    client(server).models.list()
                self.assertEqual(caught.exception.code, "invalid_api_key")
                known = openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0, timeout=120)
                self.assertEqual([m.id for m in known.models.list().data], [MODEL])
                with self.assertRaises(openai.PermissionDeniedError) as caught:
                    known.completions.create(model=MODEL, prompt="a", max_tokens=1, extra_headers={"X-Weir-Class": "interactive"})
                self.assertEqual(caught.exception.code, "class_not_allowed")
            finally:
                self.assertEqual(server.stop(), 0)

    def stream_until_it_runs(self, server):
        stream = client(server).completions.create(model=MODEL, prompt="a", max_tokens=2000, stream=True,
                                                   extra_body={"ignore_eos": True})
        next(iter(stream))
        return stream

    def test_a_stream_that_fails_raises(self):
        server = Server("--drain-timeout", "0s")
        stream = self.stream_until_it_runs(server)
        server.process.send_signal(signal.SIGTERM)
        with self.assertRaises(openai.APIError) as caught:
            for _ in stream:
                pass
        self.assertNotIsInstance(caught.exception, openai.APIConnectionError)
        self.assertEqual(caught.exception.code, "draining")
        self.assertEqual(server.process.wait(timeout=60), 1)

    def test_a_stream_that_breaks_raises(self):
        server = Server()
        stream = self.stream_until_it_runs(server)
        server.process.kill()
        with self.assertRaises(openai.APIConnectionError):
            for _ in stream:
                pass
        server.process.wait(timeout=60)


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    if not os.path.isfile(os.environ.get("WEIR_TEST_MODEL", "")):
        sys.exit("WEIR_TEST_MODEL must name the model file; ./test sets it")
    unittest.main(verbosity=2)
