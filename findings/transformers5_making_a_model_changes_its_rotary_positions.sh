#!/usr/bin/env bash
# transformers 5: the configuration that was read says one original_max_position_embeddings, and the model that is made
# from it computes with another, which it then writes into that configuration
#
# One would expect: with llama3 scaling the number within rope_scaling counts, beside the factors that it belongs to. At
# the least config.rope_parameters, as read, shows what will be computed.
# What happens (5.24.0): a field original_max_position_embeddings beside rope_scaling, which LLaMA's configuration does
# not know, is set aside while rope_parameters is put together; after reading that has the inner number, or, without one,
# max_position_embeddings. Making the model puts it together again, now sees the outer field, and takes that: other
# angles, and the configuration has changed under its reader. Version 4 computes with the inner number.
# Why it matters: an importer that follows the object, or version 4, computes other positions than version 5 does; the
# first words still look right. What a configuration says must be asked of a model, not of the file's reader.
# Installs PyTorch from PyPI (several GB with its CUDA libraries, some minutes).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v transformers==5.24.0 sentence-transformers==6.2.0 torch==2.15.0 safetensors==0.8.0
python v <<'P'
import copy
import torch, transformers
from transformers import LlamaConfig, LlamaModel
from verdict import end, same
torch.set_num_threads(1)
print("transformers", transformers.__version__, "torch", torch.__version__)
field = "original_max_position_embeddings"
shape = dict(model_type="llama", vocab_size=64, hidden_size=64, num_hidden_layers=1, num_attention_heads=2,
             intermediate_size=32, max_position_embeddings=48, rope_theta=100.0)
scaling = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0)


def made(inner, outer):
    """The number after reading, after making a model, and the model's frequencies."""
    file = dict(shape, rope_scaling={**scaling, **({field: inner} if inner else {})}, **({field: outer} if outer else {}))
    config = LlamaConfig.from_dict(copy.deepcopy(file))
    read = config.rope_parameters[field]
    return read, LlamaModel(config).rotary_emb.inv_freq, config.rope_parameters[field]


wanted = {n: made(n, None)[1] for n in (8, 16, 48)}
same("8, 16 and 48 are three different models", len({tuple(f.tolist()) for f in wanted.values()}), 3)
for inner, outer, read, used in [(8, None, 8, 8), (None, None, 48, 48), (None, 16, 48, 16), (8, 16, 8, 16)]:
    before, frequencies, after = made(inner, outer)
    what = f"within rope_scaling {inner or 'nothing'}, beside it {outer or 'nothing'}"
    same(f"{what}: as read", before, read)
    same(f"{what}: computed with", next(n for n, f in wanted.items() if torch.equal(f, frequencies)), used)
    same(f"{what}: the same configuration afterwards", after, used)
end()
P
