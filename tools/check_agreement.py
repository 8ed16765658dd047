#!/usr/bin/env python3
"""Compares the arithmetic of a decoder's plan with floating point on 56 prompts, row by row.

    tools/check_agreement.py BUILD NAME FOLDER [TOKENS [PROMPTS]]     NAME.model.h5, imported from FOLDER, is there

Token ids of chats, of short texts, and of 128 tokens each of Python's own library go to BUILD/tool_agree: the emulator
with a guard and the assumed bounds, and the float model. Prints on how many rows the likeliest next token is another
one, by how much the float model's logits of both differ there, and the root of the mean squared difference of logits.
Ends with 10 when more than 13 rows differ, one of them by 0.1 or more, when that root is above 0.037, or when a value is
out of bound. Takes ten minutes on a core.

With TOKENS the emulator writes so many behind each prompt (or behind the first PROMPTS of them), whatever ends a text.
Prints for each prompt that differs where, and by how much the float model's logits of both tokens differ there. Ends
with 10 when more than one prompt in seven differs, one of them by 0.1 or more, or when a value is out of bound. Takes a
minute on a core for each prompt and 32 tokens.

    pip install transformers==5.24.0 jinja2==3.1.6
"""
import heapq
import inspect
import json
import math
import subprocess
import sys
import textwrap
import typing

import transformers

MOST_ROWS, MOST_GAP, MOST_ERROR, LONGEST, TEXTS_A_DIFFERENCE = 13, 0.1, 0.037, 128, 7

CHAT = """What is the capital of France?
Write one sentence about the sea.
What is 17 plus 25?
Translate 'good morning' into Spanish.
List three fruits.
Explain gravity to a child.
Who wrote Hamlet?
Write a haiku about autumn.
What is the boiling point of water in Fahrenheit?
Give me a Python function that reverses a string.
Summarise the story of Cinderella in two sentences.
Is the earth flat?
Name the planets of the solar system in order.
My patient has a fever of 39.4 C and a rash. What should I ask next?
Rewrite politely: give me the report now.
What is the opposite of 'ancient'?
Was ist die Hauptstadt von Deutschland?
How many days are in a leap year?
Write a SQL query that counts users by country.
Classify the sentiment: 'The food was cold and the waiter rude.'
Why is the sky blue?
Give three synonyms of 'happy'.
What does HTTP 404 mean?
Continue: 2, 4, 8, 16,""".split("\n")

PLAIN = [
    "The Atlantic Ocean is the second-largest of the world's five oceanic divisions, with 17% of",
    "Once upon a time there was a little girl who",
    "def fibonacci(n):\n    if n < 2:\n        return n\n    return",
    "1 2 3 4 5 6 7 8 9",
    "The quick brown fox jumps over the lazy",
    "#include <stdio.h>\n\nint main(void) {\n  printf(",
    "In 1969, Neil Armstrong became the first",
    "The chemical formula of water is",
    "Dear Sir or Madam,\n\nI am writing to",
    "\n\n\n\n",
    "....",
    "the the the the the the the the",
    "Überraschend schnell fiel der erste Schnee auf die Straßen von",
    "El perro corre por el parque y",
    "北京是中国的",
    "<html>\n<head>\n<title>",
    "{\"name\": \"Alice\", \"age\":",
    "It was the best of times, it was the worst of times,",
    "E = mc",
    "A",
]


def prompts(tokenizer):
    ids = lambda text: tokenizer(text, verbose=False).input_ids
    for text in CHAT:
        chat = [{"role": "user", "content": text}]
        yield ids(tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False))
    yield from map(ids, PLAIN)
    long = [ids(inspect.getsource(module)) for module in (heapq, textwrap, typing)]
    for i in range(12):
        yield long[i % 3][1000 * (i // 3) :][:LONGEST]


def run(build, lines, *arguments):
    """What tool_agree says of each line of token ids, as soon as it says it."""
    with subprocess.Popen([f"{build}/tool_agree", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as tool:
        tool.stdin.write("".join(lines))
        tool.stdin.close()
        yield from map(json.loads, tool.stdout)
    if tool.returncode:
        sys.exit(f"check_agreement.py: {build}/tool_agree ended with {tool.returncode}")


def check_texts(build, name, lines, tokens):
    gaps, out, count = [], 0, 0
    for count, text in enumerate(run(build, lines, name, str(tokens)), 1):
        out += text["guard"] + text["out_of_bound"]
        if text["same"] < tokens:
            gaps.append(text["gap"])
            print(f"prompt {count}: another token behind {text['same']}, {text['gap']:.4f} below the float model's", flush=True)
    print(f"{count} prompts, {tokens} tokens each: {len(gaps)} differ from the float model's text, at most "
          f"{max(gaps, default=0):.4f} apart where they do; {out} values out of bound")
    return count == len(lines) and len(gaps) <= count / TEXTS_A_DIFFERENCE and max(gaps, default=0) < MOST_GAP and not out


def main():
    build, name, folder = sys.argv[1:4]
    tokens, most = [int(a) for a in sys.argv[4:]] + [0, None][len(sys.argv) - 4 :]
    lines = [" ".join(map(str, p)) + "\n" for p in prompts(transformers.AutoTokenizer.from_pretrained(folder))]
    if tokens:
        sys.exit(0 if check_texts(build, name, lines[:most], tokens) else 10)
    words = transformers.AutoConfig.from_pretrained(folder).vocab_size
    found = list(run(build, lines, name))
    rows, gaps = sum(f["rows"] for f in found), sorted(g for f in found for g in f["gaps"])
    error = math.sqrt(sum(f["squares"] for f in found) / rows / words)
    out = sum(f["guard"] + f["out_of_bound"] for f in found)
    print(f"{len(found)} prompts, {rows} rows: another likeliest token on {len(gaps)}, by at most {max(gaps, default=0):.4f}; "
          f"root of the mean squared difference of logits {error:.4f}; {out} values out of bound")
    if len(gaps) > MOST_ROWS or max(gaps, default=0) >= MOST_GAP or error > MOST_ERROR or out:
        sys.exit(10)


main()
