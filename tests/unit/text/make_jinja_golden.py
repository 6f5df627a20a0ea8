#!/usr/bin/env python3
"""Makes data/jinja_golden.json: what Python's jinja2, set up as transformers sets it up, renders for small templates.

Usage: make_jinja_golden.py      (pip install jinja2)
Every case gets the same variables; jinja_test.cpp builds them, too (MESSAGES, add_generation_prompt, bos_token, ...).
"""
import json
import pathlib

from jinja2.sandbox import ImmutableSandboxedEnvironment

DATA = pathlib.Path(__file__).resolve().parent / "data"
MESSAGES = [{"role": "user", "content": " Hi  "}, {"role": "assistant", "content": "\u00a0yo\n"}, {"role": "user", "content": "\u00e9\u6f22"}]

CASES = [
    # white space around tags
    "a\n", "a\n\n", "a\r\nb\rc\r\n", "  {% if true %}\n  x\n  {% endif %}\ny", "  {%+ if true %}\nx{% endif +%}\ny",
    "a  {%- if true -%}  \n b {%- endif -%}\n\n c", "{# c #}\nx", "  {# c #}\n  {{- 1 -}}  \n y", "x {# a\nb -#}  \n y", "{#- c +#}\nx",
    "\t {% set x = 1 %}\t\n{{ x }}", "x {% set x = 1 %} \n{{ x }}", "{{ 1 }}\n{{ 2 }}\n\n", "{{ 1 -}}\n  {% if 1 %}c{% endif %}", "{% if true %}\n\n\nx{% endif %}\n",
    "\u2003{% if 1 %}a{% endif %}", "a\u2003{%- if 1 -%}\u00a0b{% endif %}", "{", "a{", "{ { %", "}} %} #}", "{{-1}}", "", "\n",
    # literals and printing
    "{{ 'it\\'s \\n \\t \\x41 \\u00e9 \\q' }} {{ \"a\" 'b' }}", "{{ 'a\nb' }}", "{{ '{{' }} {{ '%}' }}", "{{ 1 }}{{ 1.0 }}{{ 1.5 }}{{ 2e0 }}{{ 1e16 }}{{ 1.5e-7 }}{{ 0.0001 }}",
    "{{ true }} {{ True }} {{ None }} {{ none }} {{ false }}[{{ x }}]", "{{ 'a' ~ 1 ~ none ~ true ~ 1.0 ~ x }}", "{{ '' }}",
    # operators
    "{{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 2 * 3 + 1 }} {{ 1 - 2 - 3 }} {{ 2 - -1 }} {{ true + true }}", "{{ 'a' + 'b' ~ 1 + 'c' }}",
    "{{ 1 < 2 < 3 }} {{ 3 > 2 > 2 }} {{ 'a' < 'b' }} {{ 1 == 1.0 }} {{ 1 == true }} {{ '1' == 1 }} {{ [1,'a'] == [1,'a'] }} {{ none == none }} {{ x == y }} {{ x == none }}",
    "{{ 'a' in 'bab' }} {{ 'x' not in ['x','y'] }} {{ 'role' in messages[0] }} {{ 1 in [1.0] }} {{ not 1 in [] }}",
    "{{ not true or true and false }} {{ not 1 == 2 }} {{ 0 or 'x' }} {{ '' and 1 }} {{ x or 'y' }} {{ not x }}",
    "{{ 1 if false }}|{{ 1 if true else 2 }}|{{ 1 if false else 2 if true else 3 }}|{{ (1 if x else 2) if 0 else 3 }}", "{{ (1 + 2) * 3 }} {{ - 3 }} {{ --3 }} {{ -(1) }}",
    # statements
    "{% if 0 %}a{% elif 0.0 %}b{% elif [] %}c{% elif none %}d{% elif x %}e{% else %}f{% endif %}", "{% if messages[0].role == 'user' and (messages|length) > 2 %}yes{% endif %}",
    "{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }}|{% endfor %}",
    "{% for m in messages if m.role == 'user' %}{{ loop.index }}{{ loop.last }}{{ m.content | trim }}|{% else %}none{% endfor %}", "{% for m in [] %}x{% else %}none{% endfor %}{% for m in x %}x{% endfor %}",
    "{% set a = 1 %}{% for m in messages %}{% set a = 2 %}{{ a }}{% endfor %}{{ a }}{% if true %}{% set a = 3 %}{% endif %}{{ a }}",
    "{% for a in [1,2] %}{% for b in [a, 3] %}{{ a }}{{ b }}{{ loop.index }} {% endfor %}{{ loop.index }};{% endfor %}", "{% for m in messages %}{% for m in [7] %}{{ m }}{% endfor %}{{ m.role }}{% endfor %}",
    # members, filters, tests
    "{{ messages[-1].content|trim|length }} {{ messages|length }} {{ messages[9] is defined }} {{ messages[0]['nope'] is defined }} {{ (messages|first).role }} {{ (messages|last)['role'] }}",
    "{{ x|default('d') }}{{ ''|default('e') }}{{ ''|default('e', true) }}[{{ x|d }}]", "{{ messages[1].content|trim }}|{{ messages[0]['content']|trim }}|{{ 1|string + 'a' }}", "{{ '\u2003a\x1c'|trim }}", "{{ ''|trim }}{{ '   '|trim }}",
    "{{ x is defined }} {{ x is not defined }} {{ messages is defined }} {{ tools is none }} {{ documents is not none }} {{ 1 is number }} {{ true is integer }} {{ true is boolean }} {{ messages[0] is mapping }} {{ 'a' is string }} {{ x is undefined }}",
    "{{ [1,2,]|length }} {{ [[1],[2,3]][1][0] }} {{ [1,2][-1] }} {{ [1][true] is defined }}", "{{ -messages|length if false else messages|count }}", "{{ bos_token }}{{ eos_token }}{{ raise_exception('no') if false }}",
    # shapes that chat templates have
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] | trim + ' [/INST]' }}{% else %}{{ ' ' ~ message.content | trim ~ ' ' ~ eos_token }}{% endif %}{% endfor %}",
    "{%- if messages[0].role == 'system' -%}\n    {%- set system = messages[0].content -%}\n{%- else -%}\n    {%- set system = 'none given' -%}\n{%- endif -%}\n<{{ system }}>\n{%- for m in messages %}\n    {{- '<|' + m.role + '|>\\n' + m.content + '<|end|>\\n' }}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|assistant|>\\n' }}\n{%- endif %}\n",
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n' + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}",
]


def main():
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)

    def raise_exception(message):
        raise ValueError(message)
    environment.globals["raise_exception"] = raise_exception
    result = []
    for case in CASES:
        output = environment.from_string(case).render(messages=MESSAGES, add_generation_prompt=True, bos_token="<s>", eos_token="</s>", tools=None, documents=None)
        result.append(json.dumps({"template": case, "output": output}))
    (DATA / "jinja_golden.json").write_text("[\n" + ",\n".join(result) + "\n]\n")


if __name__ == "__main__":
    main()
