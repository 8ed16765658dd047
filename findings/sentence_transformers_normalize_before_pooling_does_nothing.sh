#!/usr/bin/env bash
# sentence-transformers 6: a Normalize that is listed before Pooling does nothing, and nothing is said
#
# One would expect: modules.json is a list of steps. With Normalize before Pooling the tokens are normalised and then
# averaged, or the folder is refused, since Normalize finds no sentence to work on.
# What happens (6.2.0): the step is passed over, the embeddings come out with lengths other than 1, and similarity
# scores by dot product are on another scale. A Normalize whose config.json names the token embeddings works before
# Pooling; behind it, it changes nothing that is returned. The number idx that modules.json gives each module plays no
# part in their order.
# Why it matters: the folder lists Normalize, so a reader of modules.json takes its embeddings for unit vectors and
# compares by dot product. An importer that puts the step where it belongs gives other numbers than the library. Check
# the length of one embedding.
# Installs PyTorch from PyPI (several GB with its CUDA libraries, some minutes).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v transformers==5.24.0 sentence-transformers==6.2.0 torch==2.15.0 safetensors==0.8.0
python v <<'P'
import json, os
import numpy as np, sentence_transformers, torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import BertConfig, BertModel
from verdict import end, same
print("sentence-transformers", sentence_transformers.__version__, "torch", torch.__version__)
torch.manual_seed(1)
os.makedirs("base")
with open("base/vocab.txt", "w") as f:
    f.write("\n".join("[PAD] [UNK] [CLS] [SEP] [MASK] the cat dog sat ran".split()) + "\n")
json.dump({"tokenizer_class": "BertTokenizer"}, open("base/tokenizer_config.json", "w"))
BertModel(BertConfig(vocab_size=10, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
                     initializer_range=0.5)).save_pretrained("base")
text = "the cat sat"


def embedding(*modules, edit=None):
    SentenceTransformer(modules=[Transformer("base"), *modules], device="cpu").save_pretrained("folder")
    if edit:
        steps = json.load(open("folder/modules.json"))
        edit(steps)
        json.dump(steps, open("folder/modules.json", "w"))
    model = SentenceTransformer("folder", device="cpu")
    return model.encode(text)


def backwards(steps):
    for i, step in enumerate(steps):
        step["idx"] = len(steps) - i


mean = embedding(Pooling(16, "mean"))
for what, modules, edit, wanted in [
    ("Pooling, Normalize", [Pooling(16, "mean"), Normalize()], None, "of length 1"),
    ("Normalize, Pooling", [Normalize(), Pooling(16, "mean")], None, "as without it"),
    ("Pooling, Normalize of tokens", [Pooling(16, "mean"), Normalize(module_input_name="token_embeddings")], None,
     "as without it"),
    ("Normalize of tokens, Pooling", [Normalize(module_input_name="token_embeddings"), Pooling(16, "mean")], None,
     "other"),
    ("Pooling, Normalize, idx backwards", [Pooling(16, "mean"), Normalize()], backwards, "of length 1"),
]:
    e = embedding(*modules, edit=edit)
    length = np.linalg.norm(e)
    kind = "of length 1" if abs(length - 1) < 1e-5 else "as without it" if np.array_equal(e, mean) else "other"
    same(f"{what}: length {length:.3f}", kind, wanted)
end()
P
