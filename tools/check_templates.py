#!/usr/bin/env python3
"""Hold weir's chat templates against Jinja2, set up as transformers sets it up: the rendered text, or that both refuse.

usage: check_templates.py --binary BINARY [--conversations N] [NAME ...]
       check_templates.py --binary BINARY --golden FILE [--write]

BINARY is the target weir_render (build/*/tests/oracle/). Renders every template of tests/golden/chat_template/{templates,constructs}
with N generated conversations (100): system, user, assistant and tool turns, calls, tool definitions, any Unicode, contents that are
empty, none or missing. Prints the figure per template and ends with 1 on any difference. Runs in an environment with jinja2, but
with --golden, which compares with what --write has put into that file: three conversations per template.
"""
import argparse
import datetime
import json
import os
import pathlib
import random
import subprocess
import sys
import time

try:
    import jinja2
    import jinja2.ext
    import jinja2.nodes
    import jinja2.sandbox
except ImportError:
    jinja2 = None

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDERS = [ROOT / "tests/golden/chat_template" / name for name in ("templates", "constructs")]
NOW = 1721995200  # 26 July 2024, 12:00 UTC
ERROR = object()


def refuse(message):
    raise jinja2.exceptions.TemplateError(message)


def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    class Generation(jinja2.ext.Extension):
        tags = {"generation"}

        def parse(self, parser):
            next(parser.stream)
            return jinja2.nodes.Scope(parser.parse_statements(["name:endgeneration"], drop_needle=True))

    made = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                                        extensions=[Generation, jinja2.ext.loopcontrols])
    made.filters["tojson"] = to_json
    made.globals["raise_exception"] = refuse
    made.globals["strftime_now"] = lambda form: datetime.datetime.fromtimestamp(NOW).strftime(form)
    return made


class Conversations:
    CONTENTS = ["", "Hello.", " spaces around \n", "\n\nlines\n\nmore\n", "<think>\nadd them\n</think>\n\n2", "<r>tool text</r>",
                "日本語 \u3000 😀 ﬁ ß İ ǆ", "{{ 1 + 1 }} {% if %} {# no #}", "<|im_end|> <b>&amp;</b> 'q' \"d\" \\n", "42", "3.5", "a,b,c",
                "\t\ttab\r\nreturn\u2028line", "x" * 50, "e\u0301 \u200d \ufeff \x85", "it's a-dog (yes) HELLO world", "None", "0"]
    ARGUMENTS = [{}, {"city": "Zürich", "days": 3}, {"nested": {"a": [1, 2.5, None, True]}, "text": "q\"uote\n"}, "{\"raw\": 1}"]

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.states = random.Random(f"states {seed}")

    def tools(self):
        r = self.random
        if r.random() < 0.4:
            return None
        tools = [{"type": "function", "function": {
            "name": "get_weather", "description": "Gets the wéather <now> & 'then'",
            "parameters": {"type": "object", "properties": {"city": {"type": "string", "enum": ["a", "b"]}, "days": {
                "type": "integer", "default": 3}}, "required": ["city"]}}},
                 {"name": "flat", "children": [{"name": "leaf"}, {"name": "other", "children": [{"name": "deep"}]}], "price": 1.5},
                 {"type": "function", "function": {"name": "empty", "parameters": {}}, "strict": True, "none": None}]
        return r.sample(tools, r.randrange(1, 4))

    def content(self):
        r = self.random
        if r.random() < 0.2:
            return "".join(chr(r.choice([r.randrange(32, 127), r.randrange(0xa0, 0x500), r.randrange(0x3000, 0x9fff), r.randrange(
                0x1f300, 0x1f600)])) for _ in range(r.randrange(30)))
        return r.choice(self.CONTENTS)

    def call(self, number):
        function = {"name": self.random.choice(["get_weather", "flat", "naïve"]), "arguments": self.random.choice(self.ARGUMENTS)}
        return {"id": f"call_{number}", "type": "function", "function": function}

    def messages(self):
        r = self.random
        messages = []
        if r.random() < 0.5:
            messages.append({"role": "system", "content": self.content()})
        for turn in range(r.randrange(0 if messages else 1, 5)):
            messages.append({"role": "user", "content": self.content()})
            if r.random() < 0.15:
                messages[-1]["name"] = r.choice(["Ada", "名前"])
            if r.random() < 0.8:
                messages.append({"role": "assistant", "content": self.content()})
                if r.random() < 0.3:
                    calls = [self.call(i) for i in range(r.randrange(1, 3))]
                    messages[-1]["tool_calls"] = calls
                    for call in calls:
                        answer = {"role": "tool", "content": self.content()}
                        if r.random() < 0.8:
                            answer["tool_call_id"] = call["id"]
                        messages.append(answer)
        if r.random() < 0.08:
            r.shuffle(messages)
        if r.random() < 0.03:
            messages.append({"role": "narrator", "content": "once"})
        for message in messages:
            state = self.states.random()
            if state < 0.03:
                message["content"] = None
            elif state < 0.05:
                del message["content"]
        return messages


def expected(template, question):
    if template is None:
        return ERROR
    try:
        return template.render(messages=question["messages"], tools=question["tools"], documents=None,
                               add_generation_prompt=question["add_generation_prompt"], bos_token="<|im_start|>",
                               eos_token="<|im_end|>")
    except Exception:  # whatever the oracle says no to, weir must say no to
        return ERROR


def ask(binary, questions):
    done = subprocess.run([binary], input="".join(json.dumps(one) + "\n" for one in questions), capture_output=True, text=True,
                          encoding="utf-8", check=True, env={**os.environ, "TZ": "UTC"})
    return [json.loads(line) for line in done.stdout.split("\n")[:-1]]


def compare_golden(binary, path):
    """Lines {"name", "messages", "tools", "add_generation_prompt", "text"}, text null for a refusal."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    sources = {file.stem: file.read_text(encoding="utf-8") for file in FOLDERS[1].glob("*.jinja")}
    answers = ask(binary, [{**row, "template": sources[row["name"]], "now": NOW} for row in rows])
    wrong = [row["name"] for row, answer in zip(rows, answers) if answer.get("text") != row["text"]]
    print(f"{len(wrong)} differences of {len(rows)} {sorted(set(wrong))}")
    sys.exit(1 if wrong or len(answers) < len(rows) or len(rows) < 90 else 0)


def write_golden(path):
    oracle = environment()
    with open(path, "w", encoding="utf-8") as out:
        for file in sorted(FOLDERS[1].glob("*.jinja")):
            made = Conversations("golden " + file.stem)
            template = oracle.from_string(file.read_text(encoding="utf-8"))
            for _ in range(3):
                question = {"name": file.stem, "messages": made.messages(), "tools": made.tools(), "add_generation_prompt": True}
                text = expected(template, question)
                out.write(json.dumps({**question, "text": None if text is ERROR else text}) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--conversations", type=int, default=100)
    parser.add_argument("--golden", type=pathlib.Path)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    os.environ["TZ"] = "UTC"
    time.tzset()
    if arguments.golden and arguments.write:
        write_golden(arguments.golden)
    if arguments.golden:
        compare_golden(arguments.binary, arguments.golden)
    oracle = environment()
    total = different = num_templates = 0
    for path in sorted(path for folder in FOLDERS for path in folder.glob("*.jinja")):
        if arguments.names and path.stem not in arguments.names:
            continue
        source = path.read_text(encoding="utf-8")
        try:
            template = oracle.from_string(source)
        except jinja2.exceptions.TemplateSyntaxError:
            template = None
        made = Conversations(path.stem)
        questions = [{"template": source, "messages": made.messages(), "tools": made.tools(),
                      "add_generation_prompt": made.random.random() < 0.5, "now": NOW} for _ in range(arguments.conversations)]
        answers = ask(arguments.binary, questions)
        wrong = refused = 0
        for question, found in zip(questions, answers):
            wanted = expected(template, question)
            refused += wanted is ERROR
            if (wanted is ERROR and "error" in found) or found.get("text") == wanted:
                continue
            wrong += 1
            if wrong <= 2:
                print(f"  {path.stem}: {json.dumps(question['messages'], ensure_ascii=False)} tools {json.dumps(question['tools'])}\n"
                      f"    found    {found!r}\n    expected {'an error' if wanted is ERROR else repr(wanted)}")
        print(f"{path.parent.name + '/' + path.stem:<28} {len(questions):>5} conversations, {refused:>4} refused by both, {wrong:>4} differ",
              flush=True)
        num_templates += 1
        total += len(questions)
        different += wrong
    print(f"{different} differences over {num_templates} templates, {total} renderings (jinja2 {jinja2.__version__})")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
