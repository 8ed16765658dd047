#!/usr/bin/env bash
# transformers 5: "is_causal": false in config.json lets tokens of GPT-2, LLaMA and Qwen2 see later ones, but not those of
# GPT-Neo; "is_decoder": false does nothing
#
# One would expect: whether a decoder is causal is part of its class. Neither field belongs to these families'
# configurations; a field that a class does not know is kept and has no effect.
# What happens (5.24.0): the functions that make masks look for is_causal in any configuration, and with false they make
# one that hides nothing: every row of the logits becomes another, without a word. GPT-Neo has a triangle of its own
# beside the mask, and stays as it was. is_decoder, which makes a BERT causal, does nothing here.
# Why it matters: a program that imports such a folder and reads only the fields of its family computes another model
# than the reference, for one decoder and not for the next. What nobody reads in one version is read in another.
# Installs PyTorch from PyPI (several GB with its CUDA libraries, some minutes).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v transformers==5.24.0 sentence-transformers==6.2.0 torch==2.15.0 safetensors==0.8.0
python v <<'P'
import json
import torch, transformers
from transformers import AutoModelForCausalLM, GPT2Config, GPTNeoConfig, LlamaConfig, Qwen2Config
from verdict import end, same
torch.set_num_threads(1)
print("transformers", transformers.__version__, "torch", torch.__version__)
llama = dict(vocab_size=64, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
             num_key_value_heads=1)
configs = {
    "GPT-2": GPT2Config(vocab_size=64, n_embd=16, n_layer=2, n_head=2, n_positions=32),
    "GPT-Neo": GPTNeoConfig(vocab_size=64, hidden_size=16, num_layers=2, num_heads=2, max_position_embeddings=32,
                            attention_types=[[["global"], 2]]),
    "LLaMA": LlamaConfig(**llama),
    "Qwen2": Qwen2Config(**llama),
}


def first_row(field, value, last):
    """Logits behind the first of five tokens, of which the last is `last`."""
    file = json.load(open("model/plain.json"))
    json.dump(dict(file, **({field: value} if field else {})), open("model/config.json", "w"))
    model = AutoModelForCausalLM.from_pretrained("model", dtype=torch.float32).eval()
    with torch.no_grad():
        return model(torch.tensor([[5, 9, 3, 7, last]])).logits[0, 0]


for name, config in configs.items():
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.5)
    model.save_pretrained("model")
    json.dump(json.load(open("model/config.json")), open("model/plain.json", "w"))
    for field, value, wanted in [(None, None, False), ("is_decoder", False, False), ("is_causal", True, False),
                                 ("is_causal", False, name != "GPT-Neo")]:
        seen = not torch.allclose(first_row(field, value, 2), first_row(field, value, 11), atol=1e-4)
        said = f"{field} {str(value).lower()}" if field else "nothing"
        same(f"{name}, the file says {said}: the first row depends on the last token", seen, wanted)
end()
P
