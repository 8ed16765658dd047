#!/usr/bin/env bash
# transformers 5: where config.json and the weights disagree, the weights win for tied embeddings, and config.json wins
# for the number type
#
# One would expect: tie_word_embeddings true means that the head is the embedding; a second copy in the file
# is ignored, as it long was. from_pretrained gives float32 unless asked for something else, or keeps the type of the
# weights that it reads.
# What happens (5.24.0): a file with an lm_head.weight that differs from the embedding is used as it is, untied, with a
# warning; saved again it holds both, still under tie_word_embeddings true. And a float32 file whose config.json says
# bfloat16 is silently rounded to bfloat16 on loading; without the key, float32 stays. Also, a BERT configuration that
# asks for relative positions is taken and the request ignored.
# Why it matters: a program that imports such folders and is compared with this library must decide the same way.
# Dropping the head because the config says "tied" gives other logits; reading float32 where the reference rounds to
# bfloat16 gives differences of a hundredth that look like a fault of one's own arithmetic.
# Installs PyTorch from PyPI (several GB with its CUDA libraries, some minutes).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v transformers==5.24.0 sentence-transformers==6.2.0 torch==2.15.0 safetensors==0.8.0
python v <<'P'
import json
import torch, transformers
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM
from verdict import end, same
torch.set_num_threads(1)
torch.manual_seed(1)
print("transformers", transformers.__version__, "torch", torch.__version__)
shape = dict(vocab_size=64, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
LlamaForCausalLM(LlamaConfig(num_key_value_heads=1, tie_word_embeddings=True, **shape)).save_pretrained("model")
weights, config = load_file("model/model.safetensors"), json.load(open("model/config.json"))
same("saved with tied embeddings: head in the file", "lm_head.weight" in weights, False)
weights["lm_head.weight"] = 2 * weights["model.embed_tokens.weight"]
save_file(weights, "model/model.safetensors", metadata={"format": "pt"})
model = LlamaForCausalLM.from_pretrained("model")
same("config says tied", model.config.tie_word_embeddings, True)
same("a head in the file that differs is used", torch.equal(model.lm_head.weight, weights["lm_head.weight"]), True)
model.save_pretrained("again")
same("saved again: head in the file", "lm_head.weight" in load_file("again/model.safetensors"), True)
same("  and config says tied", json.load(open("again/config.json"))["tie_word_embeddings"], True)
same("type of the file", str(weights["model.norm.weight"].dtype), "torch.float32")
for kind, wanted in [("float32", "torch.float32"), ("bfloat16", "torch.bfloat16"), (None, "torch.float32")]:
    config.pop("dtype", None)
    if kind:
        config["dtype"] = kind
    json.dump(config, open("model/config.json", "w"))
    same(f"config says {kind}: loaded as", str(LlamaForCausalLM.from_pretrained("model").dtype), wanted)
names = [set(BertModel(BertConfig(position_embedding_type=p, **shape)).state_dict())
         for p in ("absolute", "relative_key")]
same("BERT with relative positions has tensors of its own", names[0] != names[1], False)
end()
P
