"""Tiny folders of every family (families.py), their config.json changed: what `twain import` makes of each change.

ALIKE: a change imports as another change does, for which tests/vectors has PyTorch's outputs or which names the same
fields plainly. SAID: a line that goes with it. REFUSED: exit code 4, no file written, and these words.
tools/compare_folders.py compares such folders with transformers itself; what counts here is what it computes there.
"""
import json
import os
import subprocess

import families
import h5py

TWAIN, DROP = os.environ.get("TWAIN"), object()
THREE = {k: v for k, v in families.LLAMA3.items() if not k.startswith("original")}
LINEAR = dict(rope_type="linear", factor=2.0)
NO_ROPE = dict(rope_scaling=DROP, rope_theta=DROP)
ORIGINAL = "original_max_position_embeddings"


def rope(**fields):
    return dict(NO_ROPE, rope_parameters=fields)


ALIKE = [  # model, change, the change that it equals; new fields stand first and last in the file, in turn
    ("gpt2", dict(num_attention_heads=2), dict(n_head=2)),
    ("gpt2", dict(num_attention_heads=2), dict(n_head=2)),
    ("gpt2", dict(num_hidden_layers=1), dict(n_layer=1)),
    ("gpt2", dict(n_embd=16, hidden_size=32), {}),
    ("gpt2", dict(n_positions=16, max_position_embeddings=48), {}),
    ("gpt2", dict(n_head=DROP, num_attention_heads=4, n_layer=DROP, num_hidden_layers=2, n_embd=DROP, hidden_size=32,
                  n_positions=DROP, max_position_embeddings=48), {}),
    ("gpt2", dict(n_ctx=7, num_heads=2, num_layers=1, head_dim=4, num_key_value_heads=1), {}),
    ("gpt2", dict(activation_function=DROP, layer_norm_epsilon=DROP, n_inner=DROP), {}),
    ("gpt2", dict(hidden_act="relu", is_decoder=False, is_causal=True, reorder_and_upcast_attn=True), {}),
    ("gpt2", dict(activation_function="gelu_python"), dict(activation_function="gelu")),
    ("gpt2", dict(layer_types=["full_attention"] * 2, per_layer_config=None, quantization_config=None), {}),
    ("gpt-neo", dict(num_attention_heads=2), dict(num_heads=2)),
    ("gpt-neo", dict(attention_layers=["local", "local"]), dict(attention_types=[[["local"], 2]])),
    ("gpt-neo", dict(attention_layers=["global", "local"], attention_types=[[["local"], 9]]), {}),
    ("gpt-neo", dict(num_hidden_layers=1, attention_layers=["local"]),
     dict(num_layers=1, attention_types=[[["local"], 1]])),
    ("gpt-neo", dict(window_size=DROP), dict(window_size=256)),
    ("gpt-neo", dict(scale_attn_weights=True, n_head=2, is_decoder=True), {}),
    ("llama", dict(rope_scaling=THREE, **{ORIGINAL: 16}), {}),
    ("llama", dict(rope_scaling=dict(THREE, **{ORIGINAL: 8}), **{ORIGINAL: 16}), {}),
    ("llama", dict(rope_scaling=THREE), dict(rope_scaling=dict(THREE, **{ORIGINAL: 48}))),
    ("llama", dict(rope_scaling=dict(families.LLAMA3, attention_factor=2.0, type="yarn")), {}),
    ("llama", rope(**families.LLAMA3, rope_theta=100.0), {}),
    ("llama", dict(scale_attn_weights=False, pretraining_tp=2, n_head=2), {}),
    ("llama", dict(rms_norm_eps=DROP), dict(rms_norm_eps=1e-6)),
    ("llama", dict(tie_word_embeddings=DROP), {}),
    ("llama-tied", {ORIGINAL: 16}, {}),
    ("llama-tied", dict(head_dim=None), {}),
    ("llama-tied", rope(rope_theta=77.0), dict(rope_theta=77.0)),
    ("llama-tied", dict(rope_scaling=None, rope_theta=None, rope_parameters=dict(rope_theta=77.0)),
     dict(rope_theta=77.0)),
    ("llama-tied", NO_ROPE, dict(rope_theta=1e4)),
    ("llama-tied", dict(rope_theta=9.0, rope_parameters=dict(rope_type="default", rope_theta=77.0)),
     dict(rope_theta=77.0)),
    ("llama-tied", dict(rope_scaling=dict(LINEAR, rope_theta=55.0)), dict(rope_theta=55.0, rope_scaling=LINEAR)),
    ("llama-tied", dict(rope_scaling=LINEAR, rope_parameters=dict(families.LLAMA3)), dict(rope_scaling=LINEAR)),
    ("llama-tied", dict(rope_scaling=dict(type="linear", factor=2)), dict(rope_scaling=LINEAR)),
    ("llama-tied", dict(rope_scaling=dict(type="linear", rope_type="default", factor=4.0)), {}),
    ("llama-tied", dict(rope_scaling={}), {}),
    ("llama-tied", dict(partial_rotary_factor=0.5, **rope(rope_theta=100.0, partial_rotary_factor=1.0)), {}),
    ("llama-tied", dict(sliding_window=3, hidden_act="swish"), {}),
    ("qwen2", dict(sliding_window=3, max_window_layers=0, attention_bias=False, mlp_bias=True), {}),
    ("bert-classes", dict(layer_norm_eps=DROP, hidden_act=DROP, type_vocab_size=DROP), {}),
    ("bert-classes", dict(is_causal=True, is_decoder=False, n_layers=1, n_heads=2, dim=16), {}),
    ("roberta", dict(pad_token_id=DROP), {}),
    ("distilbert", dict(num_hidden_layers=1), dict(n_layers=1)),
    ("distilbert", dict(num_attention_heads=2), dict(n_heads=2)),
    ("distilbert", dict(dim=16, hidden_size=32), {}),
    ("distilbert", dict(dim=DROP, hidden_size=32, n_heads=DROP, num_attention_heads=4, n_layers=DROP,
                        num_hidden_layers=2), {}),
    ("distilbert", dict(layer_norm_eps=0.5, intermediate_size=5, hidden_act="relu"), {}),
    ("electra", dict(layer_norm_eps=DROP), {}),
]
SAID = [
    ("gpt2", dict(num_attention_heads=2), "num_attention_heads is 2 and n_head 4: the first counts"),
    ("llama", {ORIGINAL: 8},
     "is 8 and rope_scaling." + ORIGINAL + " 16: the first counts, as in transformers 5 (not 4)"),
    ("llama", dict(scale_attn_weights=True, logits_scaling=4.0, embedding_multiplier=3.0, rope_interleaved=False),
     "a llama model does not read scale_attn_weights, logits_scaling, embedding_multiplier: without effect"),
    ("distilbert", dict(layer_norm_eps=0.5), "a distilbert model does not read layer_norm_eps"),
    ("bert-classes", dict(type_vocab_size=DROP), "type_vocab_size is missing: 2, transformers' default"),
]
SIZE, FLAG = "; a positive integer is needed", "; true or false is needed"
REFUSED = [
    ("gpt2", dict(n_head="4"), 'n_head is "4"' + SIZE),
    ("gpt2", dict(n_head=4.0), "n_head is 4.0" + SIZE),
    ("gpt2", dict(n_head=True), "n_head is true" + SIZE),
    ("gpt2", dict(num_attention_heads=None), "num_attention_heads is null" + SIZE),
    ("gpt2", dict(n_head=None, num_attention_heads=4), "n_head is null" + SIZE),
    ("gpt2", dict(n_layer=0), "n_layer is 0" + SIZE),
    ("gpt2", dict(n_head=3), "3 heads do not divide hidden size 32"),
    ("gpt2", dict(n_head=DROP), "12 heads do not divide hidden size 32"),
    ("gpt2", dict(hidden_size=16), "has shape [32 x 96], but config.json asks for [16 x 48]"),
    ("gpt2", dict(max_position_embeddings=5), "wpe.weight has shape [48 x 32], but config.json asks for [5 x 32]"),
    ("gpt2", dict(is_causal=False), "is_causal is false; tokens that see later ones"),
    ("gpt2", dict(is_causal=None), "is_causal is null" + FLAG),
    ("gpt2", dict(add_cross_attention=1), "add_cross_attention is 1" + FLAG),
    ("gpt2", dict(scale_attn_by_inverse_layer_idx=1), "scale_attn_by_inverse_layer_idx is 1" + FLAG),
    ("gpt2", dict(scale_attn_by_inverse_layer_idx="true"), 'scale_attn_by_inverse_layer_idx is "true"' + FLAG),
    ("gpt2", dict(scale_attn_by_inverse_layer_idx=True), "scale_attn_by_inverse_layer_idx is true; scaling by"),
    ("gpt2", dict(scale_attn_weights=None), "scale_attn_weights is null" + FLAG),
    ("gpt2", dict(tie_word_embeddings=None), "tie_word_embeddings is null" + FLAG),
    ("gpt2", dict(activation_function=None), "activation_function is null; only gelu, "),
    ("gpt2", dict(layer_norm_epsilon="1e-5"), 'layer_norm_epsilon is "1e-5"; a number is needed'),
    ("gpt2", dict(layer_norm_epsilon=0), "layer_norm_epsilon is 0; a number above 0"),
    ("gpt2", dict(per_layer_config={"1": {"n_head": 2}}), "layers of different shapes"),
    ("gpt2", dict(attribute_map={"n_inner": "n_embd"}), "attribute_map is {"),
    ("gpt2", dict(reorder_and_upcast_attn=1), "reorder_and_upcast_attn is 1" + FLAG),
    ("gpt2", dict(configuration_files=["config.4.0.0.json"]), "configuration_files is ["),
    ("gpt2", dict(transformers_weights="other.safetensors"), "transformers_weights is"),
    ("gpt2", dict(quantization_config=[1]), "quantization_config is [1]; the weights are quantised"),
    ("gpt2", dict(quantization_config={}), "quantization_config is {}; the weights are quantised"),
    ("gpt2", dict(architectures="GPT2LMHeadModel"), 'architectures is "GPT2LMHeadModel"; a list of names'),
    ("gpt2", dict(architectures=[1]), "architectures is [1]; a list of names"),
    ("gpt2", dict(tie_word_embeddings=False), "lm_head.weight is missing"),
    ("gpt2", dict(model_type="gptj"), 'model_type is "gptj"; only bert, '),
    ("gpt2", dict(model_type=7), "model_type is 7; a text is needed"),
    ("gpt-neo", dict(is_causal=False), "is_causal is false"),
    ("gpt-neo", dict(attention_types=DROP), "attention_types is missing; kinds of 2 layers"),
    ("gpt-neo", dict(attention_types=[[["local"], 5]]), 'attention_types is [[["local"],5]]; kinds of 2 layers'),
    ("gpt-neo", dict(attention_types=[[["local"], True]]), "attention_types is"),
    ("gpt-neo", dict(attention_types=[[["local"], 2.0]]), "attention_types is"),
    ("gpt-neo", dict(attention_types=[[[], 10**18]]), "attention_types is"),
    ("gpt-neo", dict(attention_types=[["gl", 1]]), "attention_types is"),
    ("gpt-neo", dict(attention_types=[[["sparse"], 2]]), "attention_types is"),
    ("gpt-neo", dict(num_hidden_layers=1), "kinds of 1 layers"),
    ("gpt-neo", dict(attention_layers=None), "attention_layers is null"),
    ("gpt-neo", dict(attention_layers=["local"]), "attention_layers is"),
    ("gpt-neo", dict(attention_layers=["local", "sparse"]), "attention_layers is"),
    ("gpt-neo", dict(window_size=0), "window_size is 0" + SIZE),
    ("gpt-neo", dict(window_size=None), "window_size is null" + SIZE),
    ("llama", dict(hidden_act="mish"), 'hidden_act is "mish"; only'),
    ("llama", dict(rms_norm_eps=0.0), "rms_norm_eps is 0.0; a number above 0"),
    ("llama", dict(head_dim=7), "heads of 7: rotary positions turn pairs, so a head's width must be even"),
    ("llama", dict(head_dim=0), "head_dim is 0" + SIZE),
    ("llama", dict(rope_scaling=dict(LINEAR, rope_type="yarn")), 'rope_type is "yarn"; only default, linear'),
    ("llama", dict(num_attention_heads=6, num_key_value_heads=3),
     "hidden_size is 32; num_attention_heads must divide it"),
    ("llama", dict(num_key_value_heads=3), "4 heads of 12 that share 3"),
    ("llama", dict(attention_bias=None), "attention_bias is null" + FLAG),
    ("llama", dict(tie_word_embeddings=1), "tie_word_embeddings is 1" + FLAG),
    ("llama", dict(layer_types={"0": "sliding_attention"}), "layer_types is {"),
    ("llama", dict(layer_types=["full_attention"]), "layer_types is ["),
    ("llama", dict(layer_types=["full_attention", "sliding_attention"]), "only full_attention is computed"),
    ("llama", dict(use_sliding_window=True), "use_sliding_window is true; its windows"),
    ("llama", dict(text_config=dict(num_attention_heads=2)), "text_config is {"),
    ("llama", {ORIGINAL: None}, ORIGINAL + " is null" + SIZE),
    ("llama", {ORIGINAL: "16"}, ORIGINAL + ' is "16"' + SIZE),
    ("llama", dict(rope_scaling=dict(THREE, low_freq_factor=DROP)), "rope_scaling.low_freq_factor is missing"),
    ("llama", dict(rope_scaling=dict(THREE, high_freq_factor=1.0)), "low_freq_factor is 1 and high_freq_factor 1"),
    ("llama-tied", dict(tie_word_embeddings=DROP), "its word table, if tie_word_embeddings were true"),
    ("llama-tied", dict(is_causal=False), "is_causal is false"),
    ("llama-tied", dict(rope_scaling=[1]), "rope_scaling is [1]; an object or null"),
    ("llama-tied", dict(rope_scaling=False), "rope_scaling is false; an object or null"),
    ("llama-tied", dict(rope_parameters="x"), 'rope_parameters is "x"; an object or null'),
    ("llama-tied", dict(rope_theta=None), "rope_theta is null; a number"),
    ("llama-tied", dict(rope_theta=1.0), "rope_theta is 1; a number above 1"),
    ("llama-tied", dict(rope_scaling=dict(LINEAR, rope_type=None, type="linear")), "rope_scaling.rope_type is null"),
    ("llama-tied", dict(rope_scaling=dict(LINEAR, rope_type="Linear")), 'rope_type is "Linear"; only default, linear'),
    ("llama-tied", dict(rope_scaling=dict(rope_type="linear")), "rope_scaling.factor is missing; a number"),
    ("llama-tied", dict(rope_scaling=dict(LINEAR, factor="2.0")), 'rope_scaling.factor is "2.0"; a number'),
    ("llama-tied", dict(rope_scaling=dict(LINEAR, factor=True)), "rope_scaling.factor is true; a number"),
    ("llama-tied", dict(rope_scaling=dict(LINEAR, factor=0.5)),
     "factor of rotary positions is 0.5; a number of at least 1"),
    ("llama-tied", dict(rope_scaling=dict(LINEAR, rope_theta=None)), "rope_scaling.rope_theta is null"),
    ("llama-tied", rope(full_attention=dict(rope_theta=7.0)), 'rope_parameters.full_attention is {"rope_theta":7.0}'),
    ("llama-tied", rope(rope_theta=7.0, partial_rotary_factor=0.5), "partial_rotary_factor is 0.5; only heads"),
    ("llama-tied", dict(partial_rotary_factor=0.5), "partial_rotary_factor is 0.5; only heads"),
    ("llama-tied", dict(rope_theta=DROP, rope_scaling=LINEAR, rope_parameters=dict(LINEAR, rope_theta=7.0)),
     "loses the second's"),
    ("llama-tied", dict(num_key_value_heads=DROP),
     "k_proj.weight has shape [8 x 32], but config.json asks for [32 x 32]"),
    ("qwen2", dict(num_key_value_heads=None), "k_proj.weight has shape [16 x 32], but config.json asks for [32 x 32]"),
    ("qwen2", dict(num_key_value_heads=DROP), "num_key_value_heads is missing; transformers takes 32"),
    ("qwen2", dict(layer_types=["sliding_attention", "full_attention"]), "only full_attention is computed"),
    ("qwen2", dict(use_sliding_window=1), "use_sliding_window is 1" + FLAG),
    ("qwen2", rope(full_attention=dict(rope_type="default", rope_theta=77.0)), "rope_parameters.full_attention is"),
    ("bert-classes", dict(is_decoder=True), "is_decoder is true; only encoders"),
    ("bert-classes", dict(is_decoder=0), "is_decoder is 0" + FLAG),
    ("bert-classes", dict(add_cross_attention="no"), 'add_cross_attention is "no"' + FLAG),
    ("bert-classes", dict(num_attention_heads=True), "num_attention_heads is true" + SIZE),
    ("bert-classes", dict(hidden_act=["gelu"]), 'hidden_act is ["gelu"]; only'),
    ("bert-classes", dict(layer_norm_eps=None), "layer_norm_eps is null"),
    ("bert-classes", dict(layer_norm_eps=0.0), "layer_norm_eps is 0.0; a number above 0"),
    ("bert-classes", dict(type_vocab_size=None), "type_vocab_size is null" + SIZE),
    ("bert-classes", dict(position_embedding_type=None), "position_embedding_type is null"),
    ("bert-classes", dict(id2label=["a", "b", "c"]), 'id2label is ["a","b","c"]; an object of names'),
    ("bert-classes", dict(num_labels="3"), 'num_labels is "3"' + SIZE),
    ("bert-classes", dict(problem_type=1), "problem_type is 1"),
    ("bert-classes", dict(problem_type="many"), 'problem_type is "many"; regression, '),
    ("bert-classes", dict(quantization_config=False), "quantization_config is false"),
    ("bert-number", dict(problem_type="single_label_classification"), "transformers refuses it"),
    ("roberta", dict(pad_token_id=None), "pad_token_id is null"),
    ("roberta", dict(pad_token_id=-1), "pad_token_id is -1"),
    ("distilbert", dict(is_decoder=True), "is_decoder is true"),
    ("distilbert", dict(hidden_size="32"), 'hidden_size is "32"' + SIZE),
    ("distilbert", dict(activation=None), "activation is null; only gelu, "),
    ("electra", dict(embedding_size=None), "embedding_size is null" + SIZE),
    ("electra", dict(embedding_size=DROP), "embeddings.word_embeddings.weight has shape"),
]
PREFIXES = [("llama", "model.", "embed"), ("gpt2", "transformer.", "h.1"), ("bert-classes", "bert.", "layer.0")]
plain = {}


def clean(value):
    return {k: clean(v) for k, v in value.items() if v is not DROP} if isinstance(value, dict) else value


def run(folder, out="out"):
    done = subprocess.run([TWAIN, "import", folder, "-o", out, "--force"], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def changed(name, change, first=False):
    """The folder of a model, its config.json with a change, whose new fields stand last, or first of all."""
    if name not in plain:
        families.write(name, name)
        plain[name] = json.load(open(f"{name}/config.json"))
    config = clean({**{k: change[k] for k in change if first}, **plain[name], **change})
    json.dump(config, open(f"{name}/config.json", "w"))
    return name


def imported(name, change, first=False):
    """What import writes of it, but for the date."""
    code, said = run(changed(name, change, first))
    assert code == 0, (name, change, said)
    out = []
    for file in "out.model.h5", "out.client.h5":
        with h5py.File(file) as f:
            out += [{k: str(v) for k, v in f.attrs.items() if k != "created"}, {k: f[k][()].tolist() for k in f}]
    return out


def differ(a, b):
    return [(k, str(x.get(k))[:40], str(y.get(k))[:40]) for x, y in zip(a, b) for k in {*x, *y} if x.get(k) != y.get(k)]


def refused(folder, words, *what):
    code, said = run(folder, "none")
    assert code == 4 and words in said and folder in said, (folder, what, words, code, said)
    assert not os.path.exists("none.model.h5") and not os.path.exists("none.client.h5"), (folder, what)


def renamed(name, change):
    """The folder of a model whose tensors have other names: change gives the names of each."""
    changed(name, {})
    tensors = families.weights(name, plain[name], plain[name]["architectures"][0])
    folder = f"{name}-renamed"
    os.makedirs(folder, exist_ok=True)
    for file in os.listdir(name):
        if not file.endswith(".safetensors"):
            with open(f"{name}/{file}", "rb") as old, open(f"{folder}/{file}", "wb") as new:
                new.write(old.read())
    families.save_safetensors(f"{folder}/model.safetensors", {n: v for k, v in tensors.items() for n in change(k)})
    return folder


def main():
    plainly = {}
    for number, (name, change, like) in enumerate(ALIKE):
        key = name, repr(like)
        if key not in plainly:
            plainly[key] = imported(name, like)
        wrong = differ(plainly[key], imported(name, change, number % 2 == 0))
        assert not wrong, (name, change, like, wrong)
    for name, change, words in SAID:
        code, said = run(changed(name, change))
        assert code == 0 and words in said, (name, change, words, said)
    for name, change, words in REFUSED:
        refused(changed(name, change), words, change)

    # ---- names of tensors: each with the prefix of its family or without, but not both
    for name, prefix, some in PREFIXES:
        wanted = plainly.get((name, "{}")) or imported(name, {})
        for part in some, "":
            folder = renamed(name, lambda k: [k.removeprefix(prefix) if part in k else k])
            code, said = run(folder)
            assert code == 0, (name, part, said)
            with h5py.File("out.model.h5") as f:
                assert {k: f[k][()].tolist() for k in f} == wanted[1], (name, part)
        twins = renamed(name, lambda k: [k, k.removeprefix(prefix)] if some in k else [k])
        refused(twins, "two names of one tensor", name)
    print(len(ALIKE), "changes alike,", len(SAID), "said,", len(REFUSED), "refused")


if __name__ == "__main__":
    main()
