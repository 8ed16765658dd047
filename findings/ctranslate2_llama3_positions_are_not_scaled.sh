#!/usr/bin/env bash
# CTranslate2: a LLaMA with llama3 scaling is converted without a word and computes with plain rotary positions
#
# One would expect: the converter refuses what it cannot do, and says so: of "yarn" it says that linear, su, llama3 and
# longrope are supported. LLaMA 3.1 and later name llama3.
# What happens (4.8.5): type, low_freq_factor and high_freq_factor go into the converted model, factor does not: it is
# stored for linear scaling only. The logits are those of the same weights without any scaling; with "linear" they are
# transformers'. With LLaMA 3.1's numbers, whose original length is far beyond the text, 41 tokens of a model of random
# weights move by 0.2, where the largest logit is 6.
# Why it matters: a fast CPU engine is what one checks a private decoder against, or measures it by. Here it agrees with an
# importer that forgets the scaling, and differs from one that does it right, by as little as fixed point would.
# Installs PyTorch from PyPI (several GB with its CUDA libraries, some minutes).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
venv v transformers==5.24.0 torch==2.15.0 ctranslate2==4.8.5 numpy==2.4.6
python v <<'P'
import ctranslate2, numpy as np, torch, transformers
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from verdict import end, error_of, same, within
print("ctranslate2", ctranslate2.__version__, "transformers", transformers.__version__, "torch", torch.__version__)
words = ["<unk>", "<s>", "</s>"] + [f"w{i}" for i in range(17)]
words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>")),
                                unk_token="<unk>", bos_token="<s>", eos_token="</s>")
text = [1] + [3 + (7 * i) % 17 for i in range(40)]
def both(theta=500.0, **rotary): # the logits of CTranslate2 and of transformers
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=20, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64, initializer_range=0.3, rope_parameters=dict(rotary, rope_theta=theta))).eval()
    model.save_pretrained("model")
    words.save_pretrained("model")
    ctranslate2.converters.TransformersConverter("model").convert("converted", force=True)
    found = ctranslate2.Generator("converted", compute_type="float32").forward_batch([text])
    with torch.no_grad():
        return np.array(found)[0], model(torch.tensor([text])).logits[0].numpy()
def distance(a, b): return float(np.abs(a - b).max())
plain, plain_wanted = both(rope_type="default")
linear, linear_wanted = both(rope_type="linear", factor=8.0)
llama3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
found, wanted = both(**llama3)
print("largest difference of logits")
within("plain: CTranslate2 and transformers", distance(plain, plain_wanted), 0, 1e-4)
within("linear: the same", distance(linear, linear_wanted), 0, 1e-4)
within("llama3: the same", distance(found, wanted), 0.5, 100)
within("  CTranslate2's llama3 and its plain", distance(found, plain), 0, 1e-6)
within("  transformers' llama3 and its plain", distance(wanted, plain_wanted), 0.5, 100)
found, wanted = both(theta=500000.0, **dict(llama3, original_max_position_embeddings=8192))
within("llama3 as in LLaMA 3.1, 41 tokens: CTranslate2 and transformers", distance(found, wanted), 0.005, 0.5)
same("yarn", error_of(both, rope_type="yarn", factor=8.0, original_max_position_embeddings=16), "NotImplementedError")
end()
P
