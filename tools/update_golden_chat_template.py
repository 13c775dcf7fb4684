#!/usr/bin/env python3
"""Write the chat template goldens with Jinja2, set up as transformers sets it up, as the oracle.

    update_golden_chat_template.py

Needs: pip install transformers jinja2. Reads tests/golden/chat_template/templates/*.jinja and the table below; writes
tests/golden/chat_template/{conversations,snippets}.tsv; formats in SOURCE.md there.
"""
import pathlib

import jinja2
import transformers
from transformers.utils.chat_template_utils import _compile_jinja_template

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "chat_template"
ERROR = "!error"

CONVERSATIONS = [
    [("user", "Hello, who are you?")],
    [("system", "You are terse."), ("user", "Hi")],
    [("system", "  spaces around \n"), ("user", "\n line breaks \n\n"), ("assistant", " \tanswer "), ("user", "and\u00a0more\u00a0")],
    [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")],
    [("user", "what is 1+1?"), ("assistant", "<think>\nadd them\n</think>\n\n2"), ("user", "sure?")],
    [("user", "one"), ("user", "two")],
    [("user", "call"), ("assistant", "calling"), ("tool", "{\"a\": 1}"), ("tool", "second"), ("assistant", "done")],
    [("user", "日本語 \u3000 😀 <|im_end|> {{ 1 + 1 }} {% if %}")],
    [("narrator", "once"), ("user", "upon")],
    [("user", ""), ("assistant", "")],
    [("system", "only a system message")],
]

# Rendered with messages = [user "Hello <b>", assistant "Ünï 'q' \\"d\\""], bos_token, eos_token, add_generation_prompt = true.
SNIPPETS = r"""
{{ 1 + 2 * 3 - 4 }}
{{ 7 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 2 ** 10 }} {{ 2 ** -1 }}
{{ 1.0 }} {{ 1.5 + 1 }} {{ 1e3 }} {{ 1e16 }} {{ 0.1 + 0.2 }} {{ 1_000 }} {{ 7.0 // 2 }} {{ -7.5 % 2 }} {{ 1e-7 }}
{{ -2 ** 2 }} {{ 2 ** 3 ** 2 }} {{ -1 | abs }} {{ +3 }} {{ - - 3 }}
{{ true }} {{ false }} {{ none }} {{ True }} {{ None }}
{{ 'a' 'b' "c" }} {{ 'it\'s' }} {{ "tab\there" }} {{ 'x\ny' }} {{ '\u00e9\x41' }} {{ '\q' }}
{{ 'a' ~ 1 ~ none ~ 2.5 ~ true }} {{ 'a' + 'b' }} {{ 'ab' * 3 }} {{ 3 * 'x' }} {{ 'x' * 0 }} {{ 1 ~ 2 * 3 }}
{{ 1 < 2 }} {{ 1 < 2 < 3 }} {{ 1 < 2 > 5 }} {{ 'a' < 'b' }} {{ 1 == 1.0 }} {{ 1 == true }} {{ 'a' != 'b' }} {{ 2 >= 2 }}
{{ 'ell' in 'hello' }} {{ 'z' not in 'hello' }} {{ 1 in [1, 2] }} {{ 'a' in {'a': 1} }} {{ 'b' in {} }} {{ 'x' in nothing }}
{{ not true }} {{ not 0 and 1 }} {{ 0 or 'x' }} {{ 1 and 'y' }} {{ not 'a' == 'b' }} {{ '' or none or 'z' }}
{{ 'yes' if 1 else 'no' }} {{ 'yes' if 0 }} {{ 'a' if 0 else 'b' if 0 else 'c' }} {{ ('x' if true) ~ 'y' }}
{{ [1, 'two', 3.0, none, true, [4], {'k': 'v'}] }} {{ (1, 2) | list }} {{ {'a': "it's"} }} {{ [] }} {{ {} }}
{{ [1, 2, 3][0] }} {{ [1, 2, 3][-1] }} {{ [1, 2, 3][1:] }} {{ [1, 2, 3][:-1] }} {{ [1, 2, 3][::-1] }} {{ [1, 2, 3, 4][::2] }}
{{ 'hello'[0] }} {{ 'hello'[-1] }} {{ 'hello'[1:3] }} {{ 'hello'[::-1] }} {{ 'héllo'[1] }} {{ 'hello'[10:] }} {{ 'hello'[-100:2] }}
{{ [1, 2, 3][10] }}|{{ [1,2,3][5:1] }}|{{ 'abc'[7] }}|{{ [1,2,3][3:0:-1] }}|{{ [1,2,3,4,5][-2:-5:-2] }}
{{ {'a': {'b': 1}}.a.b }} {{ {'a': {'b': 1}}['a']['b'] }} {{ {'a': 1}.missing }} {{ {'a': 1}['missing'] }} {{ {'a': [5, 6]}.a.1 }}
{{ nothing }} {{ nothing is defined }} {{ nothing is undefined }} {{ messages is defined }} {{ messages[0].foo is defined }}
{{ nothing.a }}
{{ nothing() }}
{{ messages[9].role }}
{{ none.x }} {{ (1).x is defined }} {{ 'abc'.x is defined }}
{{ messages[0].role }} {{ messages[0]['content'] }} {{ messages | length }} {{ messages[1].content | length }}
{{ bos_token }} {{ eos_token }} {{ add_generation_prompt }} {{ tools is none }} {{ tools is not none }}
{{ 1 is odd }} {{ 2 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ 'a' is string }} {{ 1 is number }} {{ 1.5 is float }}
{{ 1 is integer }} {{ true is integer }} {{ true is boolean }} {{ [] is sequence }} {{ {} is mapping }} {{ [] is mapping }} {{ 'a' is iterable }} {{ 1 is iterable }}
{{ none is none }} {{ 1 is eq 1 }} {{ 1 is equalto(2) }} {{ 3 is gt 2 }} {{ 3 is in [3] }} {{ true is true }} {{ 1 is true }} {{ false is false }} {{ 'a' is lower }} {{ 'A' is upper }}
{{ range(3) | list }} {{ range(1, 4) | list }} {{ range(5, 0, -2) | list }} {{ range(0) | list }} {{ raise_exception is callable }}
{% for i in range(3) %}{{ i }}{{ ',' if not loop.last }}{% endfor %}
{% for i in [1,2,3] %}{{ loop.index }}/{{ loop.index0 }}/{{ loop.revindex }}/{{ loop.revindex0 }}/{{ loop.first }}/{{ loop.last }}/{{ loop.length }};{% endfor %}
{% for i in [1,2,3] %}{{ loop.previtem }}-{{ loop.nextitem }} {{ loop.cycle('a', 'b') }};{% endfor %}
{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}{% for k in {'x': 1} %}{{ k }}{% endfor %}
{% for c in 'abc' %}[{{ c }}]{% endfor %}{% for x in nothing %}x{% else %}empty{% endfor %}{% for x in [] %}x{% else %}none{% endfor %}
{% for x in [1,2,3,4] if x is even %}{{ loop.index }}:{{ x }} {% endfor %}{% for x in [1] if x > 5 %}{% else %}nope{% endfor %}
{% for x in [1,2,3,4,5] %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 4 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for a in [1,2] %}{% for b in [3,4] %}{{ a }}{{ b }}{{ loop.depth }} {% endfor %}{{ loop.index }}{% endfor %}
{% set x = 1 %}{% for i in [1,2] %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}
{% set ns = namespace(n=0, s='') %}{% for i in [1,2,3] %}{% set ns.n = ns.n + i %}{% set ns.s = ns.s ~ i %}{% endfor %}{{ ns.n }}{{ ns.s }}{{ ns.t }}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set t = (3, 4) %}{{ t[1] }}{% set u = 5, %}{{ u[0] }}
{% set x %}hello {{ 1 + 1 }}{% endset %}{{ x }}{{ x | upper }}
{% if x is defined %}a{% elif 1 %}b{% else %}c{% endif %}{% if 0 %}a{% elif 0 %}b{% else %}c{% endif %}{% if [] %}a{% endif %}
{% macro f(a, b=2, c='z') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }} {{ f(1, c='q') }} {{ f('x', 'y') }} {{ f() }}
{% macro f(n) %}{{ n }}{% if n > 0 %},{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(4) }}
{% set g = 5 %}{% macro f() %}{{ g }}{% set g = 6 %}{{ g }}{% endmacro %}{{ f() }}{{ g }}{% macro h(a) %}{{ a | length }}{% endmacro %}{{ h([1]) ~ h('xy') }}
{{ '  a b  ' | trim }}| {{ ' xax ' | trim | trim('x') }}|{{ 'AbC' | upper }}|{{ 'AbC' | lower }}|{{ 'hello world' | title }}|{{ 'hELLO' | capitalize }}
{{ "it's a-dog (yes)" | title }} {{ "it's a-dog".title() }} {{ 'ß' | upper }} {{ 'ÀÉ' | lower }} {{ 'straße'.upper() }}
{{ [1,2,3] | join(', ') }} {{ ['a','b'] | join }} {{ messages | join('|', attribute='role') }} {{ 'abc' | join('-') }}
{{ [1,2] | first }} {{ [1,2] | last }} {{ 'abc' | first }} {{ [] | first is defined }} {{ [3,1,2] | reverse | list }} {{ 'abc' | reverse }}
{{ nothing | default('d') }} {{ '' | default('d') }} {{ '' | default('d', true) }} {{ none | d('x') }} {{ nothing | default }} {{ none | default('y', boolean=true) }}
{{ 'aXbXc' | replace('X', '-') }} {{ 'aXbXc' | replace('X', '', 1) }} {{ 'aXbXc'.replace('X', 'YY') }} {{ 'aaa'.replace('a', 'b', 2) }}
{{ 5 | string ~ '!' }} {{ '42' | int + 1 }} {{ 'x' | int }} {{ 'x' | int(7) }} {{ '1.5' | float }} {{ 3.9 | int }} {{ 3 | float }}
{{ {'a': 1, 'b': [true, none, 'x"y\n\té']} | tojson }} {{ 'é<>&\'' | tojson }} {{ [] | tojson }} {{ {} | tojson }} {{ 1.5 | tojson }}
{{ {'a': [1, {'b': 2}], 'c': {}} | tojson(indent=2) }}
{{ [1, [2], 'é😀'] | tojson(true) }}{{ 'é' | tojson(ensure_ascii=false) }}{{ (1, 2) }}{{ (3,) }}{{ [(1, 'a')] }}{{ (1, 2) == [1, 2] }}{{ [] | tojson(indent=2) }}
{{ {'b': 1, 'a': 2} | items | list }} {{ {'a': 1}.keys() | list }} {{ {'a': 1}.values() | list }} {{ {'a': 1}.get('a') }} {{ {'a': 1}.get('z') }} {{ {'a': 1}.get('z', 'q') }}
{{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ messages | rejectattr('role', 'eq', 'user') | map(attribute='role') | list }} {{ [0, 1, 2] | select | list }} {{ [1,2,3] | select('odd') | list }} {{ [1,2] | reject('odd') | list }}
{{ ['a', 'b'] | map('upper') | join }} {{ messages | selectattr('name') | list | length }} {{ messages | map(attribute='content') | map('length') | list }}
{{ ' a '.strip() }}|{{ ' a '.lstrip() }}|{{ ' a '.rstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ '\n\na\n'.lstrip('\n') }}|
{{ 'hello'.startswith('he') }} {{ 'hello'.endswith('lo') }} {{ 'hello'.startswith(('x', 'h')) }} {{ 'a'.upper() }} {{ 'A'.lower() }} {{ 'aB'.capitalize() }}
{{ 'a,b,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ ' a  b '.split() }} {{ 'a b c'.split(none, 1) }} {{ 'abc'.split('x') }} {{ ''.split(',') }} {{ ''.split() }}
{{ 'hello'.find('l') }} {{ 'hello'.find('z') }} {{ 'héllo'.find('l') }} {{ 'hello'.count('l') }} {{ ','.join(['a', 'b']) }} {{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }} {{ 'a\nb\n'.splitlines() }}
{{ [1] + [2, 3] }} {{ [1, 2] == [1, 2] }} {{ {'a': 1} == {'a': 1.0} }} {{ (1, 2)[1] }} {{ [[1, 2], [3]][0][1] }}
{{ dict(a=1, b='x') }} {{ dict(a=1).a }} {{ 'a' ~ ['b'] ~ {'c': 1} }}
a{# comment #}b{#- trimmed -#} c {# x -#}   d
{% raw %}{{ not evaluated }} {% if %}{% endraw %} after {%- raw -%}  x  {%- endraw -%}  y
{{- 'a' -}}  b  {{- 'c' }}   {{ 'd' -}}
{{ '{{' }} {{ '}}' }} {{ "%}" }} {{ {'a': {'b': 1}} }}
{% if true -%}  x  {%- endif %} y {%+ if true +%} z {% endif %}
{{ 'a' | upper | lower ~ 'B' | lower }} {{ ('a' ~ 'b') | upper }} {{ -3 | abs }} {{ 'abc' | length > 2 }} {{ 'a' | upper in ['A'] }}
{{ 'x' is not none and 'x' is string }} {{ not nothing is defined }} {{ nothing is not defined or false }} {{ 1 is defined and 2 is defined }}
{{ 1/0 }}
{{ 'a' + 1 }}
{{ raise_exception('boom') }}
{{ [1] < [2] }}{{ {} < 1 }}
{{ 'a' | nofilter }}
{{ 1 is notest }}
{% for x in 5 %}{% endfor %}
{% set a, b = [1] %}
{% include 'x' %}
{% if %}{% endif %}
{{ }}
{{ (1 }}
{% for x in [1] %}
{% endif %}
{{ 'abc }}
{{ 1 +
{{ a b }}
{{ strftime_now is defined and false }}
{{ messages }}
""".strip("\n").split("\n")

# Snippets of several lines: what happens to white space around tags.
BLOCKS = [
    "a {# several\nlines #} d\n{#- x\n-#}\n e",
    "  {% if true %}\n  a\n  {% endif %}\nb",
    "x\n  {% for i in [1, 2] %}\n    {{ i }}\n  {% endfor %}\ny\n",
    "x  {% if true %}  a  {% endif %}  y\n\n",
    "\n\n{% set x = 1 %}\n\n{{ x }}\n\n",
    "a\n  {#- note #}\n  b\n  {# note #}\n  c\n\t{# note #} d",
    "a\n  {%+ if true %}\n b {%- endif +%}\n c",
    "a\r\n{% if true %}\r\n b\r{% endif %}\r\nc\r\n",
    "{% for i in [1,2] -%}\n  {{ i }}\n{%- endfor %}\n",
    "  {{ 1 }}\n  {{- 2 -}}  \n  {{ 3 }}  \n",
    "{% if true %}{% if false %}\n{% else %}\n  x\n{% endif %}\n{% endif %}\n\n",
    "{% raw %}\n  {{ x }}\n  {% endraw %}\n z",
    "line1\n{{ 'v' }}\nline2 {{ 'v' }}\n   \n{% if true %}   \n  {% endif %}   z",
    "{% macro m() %}\n  in\n{% endmacro %}\n[{{ m() }}]",
    "{% set x %}\n  body\n{% endset %}\n[{{ x }}]",
]


def escape(text):
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")


def render(source, messages, add_generation_prompt):
    try:
        template = _compile_jinja_template.__wrapped__(source) if hasattr(_compile_jinja_template, "__wrapped__") \
            else _compile_jinja_template(source)
        return template.render(messages=messages, tools=None, documents=None, add_generation_prompt=add_generation_prompt,
                               bos_token="<|im_start|>", eos_token="<|im_end|>")
    except Exception as error:  # whatever the oracle says no to, weir must say no to
        return ERROR


def write_conversations():
    lines = []
    for path in sorted((GOLDEN / "templates").glob("*.jinja")):
        source = path.read_text()
        # strftime_now would make the answer depend on the day; weir does not define it.
        source = source.replace("strftime_now is defined", "false")
        for turns in CONVERSATIONS:
            messages = [{"role": role, "content": content} for role, content in turns]
            for flag in (False, True):
                fields = [path.name, str(int(flag)), escape(render(source, messages, flag))]
                for role, content in turns:
                    fields += [escape(role), escape(content)]
                lines.append("\t".join(fields))
    (GOLDEN / "conversations.tsv").write_bytes(("\n".join(lines) + "\n").encode())
    return len(lines)


def write_snippets():
    messages = [{"role": "user", "content": "Hello <b>"}, {"role": "assistant", "content": "Ünï 'q' \"d\""}]
    lines = [f"{escape(source)}\t{escape(render(source, messages, True))}" for source in SNIPPETS + BLOCKS]
    (GOLDEN / "snippets.tsv").write_bytes(("\n".join(lines) + "\n").encode())
    return len(lines)


def main():
    print(f"{write_conversations()} conversations, {write_snippets()} snippets; "
          f"jinja2 {jinja2.__version__}, transformers {transformers.__version__}")


if __name__ == "__main__":
    main()
