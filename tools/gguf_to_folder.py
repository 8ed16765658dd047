#!/usr/bin/env python3
"""A LLaMA-type model from a GGUF file into a folder as Hugging Face has them, in float32.

    tools/gguf_to_folder.py FILE.gguf FOLDER

Writes config.json, model.safetensors, tokenizer.json and tokenizer_config.json (with the chat template). Quantised
tensors are dequantised by gguf's own code, so the folder holds the numbers that a GGUF runner computes with. GGUF
keeps the rows of a head of Q and K so that the two of a rotary pair are neighbours; Hugging Face keeps them half a
head apart. All else is a change of names. What this script has not been made for ends it with a message.

Needs gguf, safetensors, tokenizers (tools/fetch_smollm2.sh has the versions).
"""
import json
import os
import sys

import gguf
import numpy
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

TOP = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def refuse(message):
    sys.exit(f"gguf_to_folder.py: {sys.argv[1]}: {message}")


class Fields:
    """Metadata of a GGUF file by key."""

    def __init__(self, reader):
        self.fields = reader.fields

    def __call__(self, key, default=None):
        if key in self.fields:
            return self.fields[key].contents()
        return default if default is not None else refuse(f"no field {key}")

    def is_only(self, key, wanted):
        found = self(key, wanted)
        if found != wanted:
            refuse(f"{key} is {found!r}; only {wanted!r} is converted")


def name_of(name):
    """blk.3.attn_q.weight -> model.layers.3.self_attn.q_proj.weight"""
    stem, _, kind = name.rpartition(".")
    if stem in TOP:
        return f"{TOP[stem]}.{kind}"
    block, layer, part = (stem.split(".") + ["", ""])[:3]
    if block != "blk" or part not in LAYER:
        refuse(f"tensor {name} has no counterpart")
    return f"model.layers.{layer}.{LAYER[part]}.{kind}"


def halves(rows, heads):
    """Rows [head][pair][2] -> [head][2][pair]."""
    pairs = rows.reshape(heads, len(rows) // heads // 2, 2, -1)
    return pairs.swapaxes(1, 2).reshape(rows.shape)


def tensors_of(reader, field):
    turned = {
        "self_attn.q_proj.weight": field("llama.attention.head_count"),
        "self_attn.k_proj.weight": field("llama.attention.head_count_kv"),
    }
    result = {}
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        name = name_of(tensor.name)
        for end, heads in turned.items():
            if name.endswith(end):
                values = halves(values, heads)
        # safetensors' numpy side writes memory as it lies: a view that is not in C order would be saved shuffled
        result[name] = numpy.ascontiguousarray(values)
    return result


def config_of(field, tied):
    field.is_only("general.architecture", "llama")
    width = field("llama.embedding_length") // field("llama.attention.head_count")
    field.is_only("llama.rope.dimension_count", width)
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": field("llama.embedding_length"),
        "intermediate_size": field("llama.feed_forward_length"),
        "num_hidden_layers": field("llama.block_count"),
        "num_attention_heads": field("llama.attention.head_count"),
        "num_key_value_heads": field("llama.attention.head_count_kv"),
        "head_dim": width,
        "max_position_embeddings": field("llama.context_length"),
        "vocab_size": field("llama.vocab_size"),
        # float32 in the file: the shortest decimal that gives it is what the model was made with
        "rms_norm_eps": float(str(numpy.float32(field("llama.attention.layer_norm_rms_epsilon")))),
        "rope_theta": field("llama.rope.freq_base"),
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": tied,
        "bos_token_id": field("tokenizer.ggml.bos_token_id"),
        "eos_token_id": field("tokenizer.ggml.eos_token_id"),
        "pad_token_id": field("tokenizer.ggml.padding_token_id"),
        "torch_dtype": "float32",
    }


def tokenizer_of(field):
    """Byte-level BPE; what GGUF calls the rule "smollm" splits digits one by one before GPT-2's pattern."""
    field.is_only("tokenizer.ggml.model", "gpt2")
    field.is_only("tokenizer.ggml.pre", "smollm")
    tokens, kinds = field("tokenizer.ggml.tokens"), field("tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ")) for merge in field("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, kinds) if kind == gguf.TokenType.CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    return tokenizer


def tokenizer_config_of(field):
    tokens = field("tokenizer.ggml.tokens")
    special = {name: tokens[field(f"tokenizer.ggml.{key}_token_id")]
               for name, key in [("bos_token", "bos"), ("eos_token", "eos"), ("unk_token", "unknown"), ("pad_token", "padding")]}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **special,
        "model_max_length": field("llama.context_length"),
        "clean_up_tokenization_spaces": False,
        "chat_template": field("tokenizer.chat_template"),
    }


def write_json(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")


def main(path, folder):
    reader = gguf.GGUFReader(path)
    field = Fields(reader)
    field.is_only("general.architecture", "llama")
    os.makedirs(folder, exist_ok=True)
    tensors = tensors_of(reader, field)
    write_json(folder, "config.json", config_of(field, "lm_head.weight" not in tensors))
    save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    tokenizer_of(field).save(os.path.join(folder, "tokenizer.json"))
    write_json(folder, "tokenizer_config.json", tokenizer_config_of(field))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
