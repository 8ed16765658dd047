#!/usr/bin/env python3
"""Compare what twain makes of chat templates with what transformers makes of them, and make test vectors.

    python3 -m venv .venv && .venv/bin/pip install transformers==5.24.0 jinja2==3.1.6
    .venv/bin/python tools/compare_chats.py BUILD [TEMPLATE...]   # build folder; files of templates besides those below
    .venv/bin/python tools/compare_chats.py --vectors             # tests/vectors/chats.json

FORMS are the common forms of chats, each as a template of its own; RULES are what the language does with white space,
scopes, values and names, a line each. Every template gets every conversation. Templates that twain refuses are named;
a text that is not transformers' ends the script with 1, and so does a conversation that only transformers refuses.
"""
import json
import os
import pathlib
import subprocess
import sys

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
import jinja2
import transformers
from transformers.utils.chat_template_utils import _compile_jinja_template

VECTORS = pathlib.Path(__file__).resolve().parent.parent / "tests" / "vectors" / "chats.json"
TOKENS = dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>")
talk = lambda *turns: [dict(role=role, content=content) for role, content in turns]
CHATS = [talk(("user", "Hello")),
         talk(("system", "  Be brief. \n"), ("user", " Who?\u3000\x1f")),
         talk(("user", "a"), ("assistant", " b "), ("user", "c\n\nd <|im_end|> \u00e9")),
         talk(("system", "S"), ("user", "q"), ("assistant", "r"), ("user", "t"), ("assistant", "u"), ("user", "v")),
         talk(("user", "x"), ("user", "y")), talk(("assistant", "x")), talk(("user", ""))]

ALTERNATE = ("{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('user and assistant in turn') }}"
             "{% endif %}")
SPLIT = ("{% if messages[0].role == 'system' %}{% set first = messages[0].content %}{% set rest = messages[1:] %}"
         "{% else %}{% set first = DEFAULT %}{% set rest = messages %}{% endif %}")
FORMS = {
    "chatml": "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}"
              "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "chatml, a system message of its own":
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "<|im_start|>system\nBe helpful.<|im_end|>\n{% endif %}"
        "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
        "{%- if add_generation_prompt %}\n{{- '<|im_start|>assistant\\n' }}\n{%- endif %}\n",
    "chatml with tools":
        "{%- if tools %}\n    {{- '<|im_start|>system\\n' }}\n    {%- for tool in tools %}\n        {{- tool | tojson }}\n"
        "    {%- endfor %}\n{%- else %}\n    {%- if messages[0].role == 'system' %}\n        {{- '<|im_start|>system\\n' + "
        "messages[0].content + '<|im_end|>\\n' }}\n    {%- endif %}\n{%- endif %}\n{%- for message in messages %}\n"
        "    {%- if (message.role == \"user\") or (message.role == \"system\" and not loop.first) or (message.role == "
        "\"assistant\" and not message.tool_calls) %}\n        {{- '<|im_start|>' + message.role + '\\n' + message.content "
        "+ '<|im_end|>' + '\\n' }}\n    {%- elif message.role == \"tool\" %}\n        {{- message | tojson(indent=2) }}\n"
        "    {%- endif %}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}\n",
    "llama 2": SPLIT.replace("DEFAULT", "false") + "{% for message in rest %}" + ALTERNATE +
        "{% if loop.index0 == 0 and first != false %}{% set content = '<<SYS>>\\n' + first + '\\n<</SYS>>\\n\\n' + message.content %}"
        "{% else %}{% set content = message.content %}{% endif %}{% if message.role == 'user' %}"
        "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message.role == 'assistant' %}"
        "{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "llama 3": "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
        "+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
        "{{ content }}{% endfor %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}",
    "llama 3 with a date":
        "{{- bos_token }}\n{%- if not date_string is defined %}\n    {%- set date_string = \"26 Jul 2024\" %}\n{%- endif %}\n"
        "{%- if messages[0]['role'] == 'system' %}\n    {%- set system_message = messages[0]['content']|trim %}\n"
        "    {%- set messages = messages[1:] %}\n{%- else %}\n    {%- set system_message = \"\" %}\n{%- endif %}\n"
        "{{- \"<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: \" + date_string + \"\\n\\n\" }}\n"
        "{%- if tools is not none %}{{- tools | tojson }}{%- endif %}\n{{- system_message + \"<|eot_id|>\" }}\n"
        "{%- for message in messages %}\n    {%- if not (message.role == 'ipython' or 'tool_calls' in message) %}\n"
        "        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}\n"
        "    {%- endif %}\n{%- endfor %}\n{%- if add_generation_prompt %}\n"
        "    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}\n{%- endif %}\n",
    "mistral": "{{ bos_token }}{% for message in messages %}" + ALTERNATE + "{% if message['role'] == 'user' %}"
        "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
        "{{ message['content'] + eos_token}}{% else %}{{ raise_exception('no such role') }}{% endif %}{% endfor %}",
    "mistral, counted": "{%- set ns = namespace() %}\n{%- set ns.index = 0 %}\n{%- set asked = messages | selectattr('role', "
        "'equalto', 'user') | list %}\n{%- for message in messages %}\n    {%- if message.role == 'user' %}\n"
        "        {%- set ns.index = ns.index + 1 %}\n    {%- endif %}\n{%- endfor %}\n{{- bos_token }}\n"
        "{%- for message in messages %}\n    {%- if message.role == 'user' and message == asked[-1] %}\n"
        "        {{- '[INST] ' ~ ns.index ~ ' ' + message.content + '[/INST]' }}\n    {%- elif message.role == 'user' %}\n"
        "        {{- message.content }}\n    {%- endif %}\n{%- endfor %}\n",
    "gemma": "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{% for message in messages %}" + ALTERNATE + "{% set role = 'model' if message['role'] == 'assistant' else "
        "message['role'] %}{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}",
    "phi 3": "{% for message in messages %}{% if message['role'] in ['user', 'system'] %}{{'<|' ~ message['role'] ~ '|>\n' + "
        "message['content'] + '<|end|>\n'}}{% else %}{{message['content'] + '<|end|>' + '\\n'}}{% endif %}{% endfor %}"
        "{% if add_generation_prompt and messages[-1].role != 'assistant' %}<|assistant|>\n{% endif %}",
    "zephyr": "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n"
        "{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n{% endif %}\n"
        "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}",
    "vicuna": SPLIT.replace("DEFAULT", "'A chat.'") + "{{ first.strip() + ' ' }}{% for message in rest %}{% if message.role == "
        "'user' %}USER: {{ message.content.strip() }} {% else %}ASSISTANT: {{ message.content.strip() + eos_token }}{% endif %}"
        "{% endfor %}ASSISTANT:",
    "openchat": "{{ bos_token }}{% for message in messages %}{{ 'Chat ' + message['role'].title() + ': ' + message['content'] "
        "+ '<|end_of_turn|>'}}{% endfor %}{{ 'Chat ' + 'assistant'|capitalize + ':' }}",
    "thoughts left out": "{% for m in messages[::-1] %}{% if m.role == 'assistant' %}{{ m.content.split('</think>')[-1].lstrip('\\n') }}"
        "{% else %}{{ m.content }}{% endif %}|{% endfor %}",
}
RULES = ["a\n  {% if true %}  \nb\n  {%- endif -%}  \n c\n", "{% if true %}\n\n x{% endif %}\n", "  {{ 'a' }}  \n{{- 'b' -}}\n  c",
         "x {%+ if true %}\ny{% endif +%}\nz", "\t {# gone #} \nq\n{#- gone -#}\n r", "a\r\nb\r{{ 'c\r\nd' }}\n\n",
         "{% for i in range(3) %}{{ i }}{{ ',' if not loop.last }}{% else %}none{% endfor %}",
         "{% for i in [] %}x{% else %}none{% endfor %}", "{% for m in messages if m.role == 'user' %}{{ loop.length }}{{ loop.index }}{% endfor %}",
         "{% set a = 1 %}{% for m in messages %}{% set a = 2 %}{% endfor %}{{ a }}", "{% if true %}{% set a = 2 %}{% endif %}{{ a }}",
         "{% set n = namespace(a=1) %}{% for m in messages %}{% set n.a = n.a + loop.index %}{% endfor %}{{ n.a }}",
         "{% set a %}x{{ 1 + 1 }}{% endset %}{{ a ~ a }}", "{{ missing }}|{{ messages[0].missing }}|{{ messages[9] }}",
         "{{ missing is defined }}{{ none is none }}{{ messages is iterable }}{{ 'a' is string and 1 is not string }}",
         "{{ messages is sequence and messages is not mapping and messages[0] is mapping }}{{ 3 is odd }}{{ 1 is number }}",
         "{{ 'b' in 'abc' }}{{ 'role' in messages[0] }}{{ 1 not in [2, 3] }}{{ 'x' in missing }}{{ missing == none }}{{ true == 1 }}",
         "{{ 1 + 2 * 3 - 4 // 3 }}{{ 7 % 4 }}{{ 'a' ~ 1 + 2 }}", "{{ 1 < 2 and 2 <= 2 and 3 > 2 and 'a' < 'b' }}{{ not 1 == 2 }}",
         "{{ not false and not none }}{{ '' or 'x' }}{{ 'a' and 'b' }}{{ 0 or none or 'z' }}", "{{ true }}{{ false }}{{ none }}{{ -1 }}",
         "{{ 'a' 'b' \"c'\" }}{{ 'it\\'s \\t \\\\ \\x41\\u00e9 \\q' }}", "{{ ' x ' | trim | length }}{{ 'abc' | upper }}{{ 'A b'.lower() }}",
         "{{ missing | default('d') }}{{ '' | default('e', true) }}{{ 'f' | default('g') }}{{ '' | default('h', boolean=true) }}",
         "{{ ['a', 'b', 'c'] | join(', ') }}{{ [1, 2] | first }}{{ [1, 2] | last }}{{ [] | length }}{{ messages | length }}",
         "{{ 'a-b-c'.split('-')[1] }}{{ 'a-b-c'.replace('-', '+') }}{{ 'xxaxx'.strip('x') }}{{ 'abc'.startswith('ab') }}{{ 'abc'.endswith('b') }}",
         "{% for k, v in messages[0].items() %}{{ k }}={{ v }};{% endfor %}{{ messages[0].get('none', 'other') }}{{ messages[0].get('role') }}",
         "{% for k in messages[0] %}{{ k }}{% endfor %}", "{{ messages[-1].content }}{{ messages[1:] | length }}{{ messages[:-1] | length }}",
         "{{ 'a' if missing else 'b' if 0 else 'c' }}{{ ('x' if 1 else 'y') + 'z' }}{{ 'n' if false }}",
         "{% for m in messages %}{{ loop.previtem.role if loop.previtem is defined else '-' }}{{ loop.revindex }}{% endfor %}",
         "{{ {'a': 1, 'b': [2, 3]}['b'][1] }}{{ {'a': {'b': 'c'}}.a.b }}", "{% generation %}{{ messages[0].content }}{% endgeneration %}",
         "{{ [1] + [2] | length }}", "{{ 'x' * 2 }}", "{{ missing.more }}", "{{ 1 + 'a' }}", "{% macro f() %}x{% endmacro %}{{ f() }}",
         "{{ messages }}", "{{ messages[0] | tojson }}", "{{ 1.5 }}", "{{ 1 < 2 < 3 }}", "{{ raise_exception('no') }}",
         "{% if false %}{{ unknown_function() | unknown_filter }}{% endif %}ok"]


def reference(template, messages):
    try:
        return _compile_jinja_template(template).render(messages=messages, tools=None, documents=None,
                                                        add_generation_prompt=True, **TOKENS)
    except (jinja2.TemplateError, TypeError):
        return None


def cases(more):
    for name, template in more + list(FORMS.items()) + [("rule", rule) for rule in RULES]:
        yield name, template, [reference(template, chat) for chat in CHATS]


def compare(build, files):
    questions, wanted = [], []
    for name, template, texts in cases([(f, open(f, encoding="utf-8", newline="").read()) for f in files]):
        questions += [dict(chat=dict(template=template, tokens=TOKENS), messages=chat) for chat in CHATS]
        wanted += [(name, template, text) for text in texts]
    asked = "".join(json.dumps(q) + "\n" for q in questions).encode()
    out = subprocess.run([os.path.join(build, "tool_tokens")], input=asked, stdout=subprocess.PIPE, check=True).stdout
    answers = [json.loads(line) for line in out.split(b"\n")[:-1]]
    same = bad = 0
    refused = {}
    for (name, template, text), answer in zip(wanted, answers, strict=True):
        if "text" not in answer and text is not None:
            refused[name, template] = answer["error"]
        elif answer.get("text") == text:
            same += 1
        else:
            bad += 1
            print(f"{name}: {template[:200]!r}\n    transformers {text!r}\n    twain        {answer.get('text')!r}")
    for (name, template), error in refused.items():
        print(f"refused: {template[:60] if name == 'rule' else name}: {error}")
    print(f"transformers {transformers.__version__}, jinja2 {jinja2.__version__}: {same} texts and refusals equal, {bad} differences, "
          f"{len(refused)} templates that only twain refuses")
    return bad


def vectors():
    made = dict(transformers=transformers.__version__, jinja2=jinja2.__version__, script="tools/compare_chats.py --vectors")
    rows = [dict(name=name, template=template, texts=texts) for name, template, texts in cases([])]
    VECTORS.write_text(json.dumps(dict(made_with=made, tokens=TOKENS, chats=CHATS, templates=rows), separators=(",", ":"))
                       .replace('{"name":', '\n{"name":') + "\n", encoding="ascii")


if sys.argv[1] == "--vectors":
    vectors()
else:
    sys.exit(compare(sys.argv[1], sys.argv[2:]) != 0)
