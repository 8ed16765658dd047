"""Tiny random models of every family and head, as transformers saves them: weights from a seed (numpy's RandomState,
whose numbers never change), a tokenizer, texts. tests/vectors/families.json holds what PyTorch makes of them
(tools/make_families.py).

    families.py NAME FOLDER       writes the folder
    families.py NAME texts SEED N prints N random texts, one a line
"""
import json
import os
import struct
import sys

import numpy as np

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + (
    "the a cat dog sat on mat and runs fast in rain house tree blue red green big small old new . , ! ? - ' "
    "un ##able ##s ##ed ##ing ##er play work jump read write good bad very not is was he she it they").split() + [
    c for c in "bcdefghijklmnopqrstuvwxyz0123456789"] + ["##" + c for c in "abcdefghijklmnopqrstuvwxyz"]
WORDS = [p for p in PIECES[5:] if p.isalpha() and len(p) > 1] + ["plays", "unread", "jumping", "worker", "zebra", "don't"]
MERGES = "t h;th e;\u0120 the;a t;i n;in g;\u0120 a;\u0120 c;\u0120c at;o n;\u0120 on;\u0120 m;\u0120m at;r e;d o;do g;\u0120 dog".split(";")

BERT = dict(model_type="bert", hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
            max_position_embeddings=48, type_vocab_size=2, hidden_act="gelu", layer_norm_eps=1e-12, pad_token_id=0)
ROBERTA = dict(BERT, model_type="roberta", type_vocab_size=1, max_position_embeddings=50, pad_token_id=1,
               layer_norm_eps=1e-5, bos_token_id=0, eos_token_id=2)
DISTILBERT = dict(model_type="distilbert", dim=32, n_layers=2, n_heads=4, hidden_dim=64, activation="gelu",
                  max_position_embeddings=48, pad_token_id=0, sinusoidal_pos_embds=False)
ELECTRA = dict(BERT, model_type="electra", embedding_size=16)


GPT2 = dict(model_type="gpt2", n_layer=2, n_embd=32, n_head=4, n_inner=None, n_positions=48, activation_function="gelu_new",
            layer_norm_epsilon=1e-5)
NEO = dict(model_type="gpt_neo", num_layers=2, hidden_size=32, num_heads=4, intermediate_size=48,
           max_position_embeddings=48, activation_function="gelu_new", layer_norm_epsilon=1e-5,
           attention_types=[[["global", "local"], 1]], window_size=5)
LLAMA = dict(model_type="llama", num_hidden_layers=2, hidden_size=32, num_attention_heads=4, num_key_value_heads=2,
             intermediate_size=48, max_position_embeddings=48, hidden_act="silu", rms_norm_eps=1e-5, rope_theta=100.0,
             tie_word_embeddings=False)
LLAMA3 = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16)


def labels(*names):
    return dict(id2label={str(i): n for i, n in enumerate(names)}, label2id={n: i for i, n in enumerate(names)})


# name: config, class of transformers
FAMILIES = {
    "bert-classes": (dict(BERT, **labels("bad", "so-so", "good")), "BertForSequenceClassification"),
    "bert-many": (dict(BERT, problem_type="multi_label_classification", **labels("red", "blue", "big")),
                  "BertForSequenceClassification"),
    "bert-number": (dict(BERT, **labels("likeness")), "BertForSequenceClassification"),
    "bert-tokens": (dict(BERT, **labels("O", "B-THING", "I-THING", "B-PLACE", "I-PLACE")), "BertForTokenClassification"),
    "roberta": (ROBERTA, "RobertaModel"),
    "roberta-classes": (dict(ROBERTA, hidden_act="gelu_new", **labels("no", "yes")), "RobertaForSequenceClassification"),
    "distilbert": (DISTILBERT, "DistilBertModel"),
    "distilbert-classes": (dict(DISTILBERT, activation="relu", **labels("NEGATIVE", "POSITIVE")),
                           "DistilBertForSequenceClassification"),
    "electra": (dict(ELECTRA, hidden_act="quick_gelu"), "ElectraModel"),
    "electra-classes": (dict(ELECTRA, hidden_act="gelu_pytorch_tanh", **labels("a", "b", "c", "d")),
                        "ElectraForSequenceClassification"),
    "electra-tokens": (dict(ELECTRA, embedding_size=32, hidden_act="gelu_fast", **labels("in", "out")),
                       "ElectraForTokenClassification"),
}
# The same of decoders; heads of 12 in one of them, four of Q for one of K and V in another.
DECODERS = {
    "gpt2": (GPT2, "GPT2LMHeadModel"),
    "gpt2-rows": (dict(GPT2, scale_attn_weights=False, activation_function="gelu"), "GPT2Model"),
    "gpt-neo": (NEO, "GPTNeoForCausalLM"),
    "llama": (dict(LLAMA, head_dim=12, attention_bias=True, mlp_bias=True, rope_scaling=LLAMA3), "LlamaForCausalLM"),
    "llama-tied": (dict(LLAMA, num_key_value_heads=1, tie_word_embeddings=True), "LlamaForCausalLM"),
    "qwen2": (dict(LLAMA, model_type="qwen2", rope_scaling=dict(rope_type="linear", factor=2.0)), "Qwen2ForCausalLM"),
}
TEXTS = ["the cat sat on the mat", "The old dog runs fast in the rain!", "he is not very good, she was",
         "zebra 2 workers playing - unreadable?", "a",
         "the <pad> dog <mask> sat<pad>"]  # padding inside a text does not move RoBERTa's positions on
DECODER_TEXTS = ["the cat sat on the mat", "The dog", "a"]
PAIR = ["the cat sat", "a dog runs fast"]


def byte_letters():
    """GPT-2's alphabet, in the order of the letters."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(256 - len(plain))]


def byte_tokenizer():
    pieces = ["<s>", "<pad>", "</s>", "<unk>"] + byte_letters() + [m.replace(" ", "") for m in MERGES] + ["<mask>"]
    token = lambda i, lstrip=False: dict(id=i, content=pieces[i], single_word=False, lstrip=lstrip, rstrip=False,
                                         normalized=False, special=True)
    return pieces, dict(
        version="1.0", truncation=None, padding=None, normalizer=None,
        added_tokens=[token(i) for i in range(4)] + [token(len(pieces) - 1, True)],
        pre_tokenizer=dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True),
        post_processor=dict(type="RobertaProcessing", sep=["</s>", 2], cls=["<s>", 0], trim_offsets=True,
                            add_prefix_space=False),
        decoder=dict(type="ByteLevel", add_prefix_space=True, trim_offsets=True, use_regex=True),
        model=dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix="", end_of_word_suffix="",
                   fuse_unk=False, byte_fallback=False, vocab={p: i for i, p in enumerate(pieces)}, merges=MERGES))


def decoder_tokenizer():
    end = "<|endoftext|>"
    pieces = byte_letters() + [m.replace(" ", "") for m in MERGES] + [end]
    level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)
    added = dict(id=len(pieces) - 1, content=end, single_word=False, lstrip=False, rstrip=False, normalized=False,
                 special=True)
    return pieces, dict(
        version="1.0", truncation=None, padding=None, normalizer=None, added_tokens=[added], pre_tokenizer=level,
        post_processor=level, decoder=level,
        model=dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix="", end_of_word_suffix="",
                   fuse_unk=False, byte_fallback=False, vocab={p: i for i, p in enumerate(pieces)}, merges=MERGES))


def decoder_shapes(config, kind):
    """The same of a decoder; GPT-2 keeps its matrices with inputs first."""
    family, out = config["model_type"], {}
    h = config.get("hidden_size") or config["n_embd"]
    m = config.get("intermediate_size") or config.get("n_inner") or 4 * h
    norm = lambda name, bias=True: out.update({name + ".weight": (h,), **({name + ".bias": (h,)} if bias else {})})
    linear = lambda name, o, i, bias: out.update({name + ".weight": (o, i), **({name + ".bias": (o,)} if bias else {})})
    conv = lambda name, o, i: out.update({name + ".weight": (i, o), name + ".bias": (o,)})
    before = "" if kind.endswith("2Model") else "transformer." if "gpt" in family else "model."
    for i in range(config.get("num_hidden_layers") or config.get("num_layers") or config["n_layer"]):
        p = before + ("h.%d." if "gpt" in family else "layers.%d.") % i
        if family == "gpt2":
            conv(p + "attn.c_attn", 3 * h, h), conv(p + "attn.c_proj", h, h)
            conv(p + "mlp.c_fc", m, h), conv(p + "mlp.c_proj", h, m)
        elif family == "gpt_neo":
            for name in "qkv":
                linear(p + f"attn.attention.{name}_proj", h, h, False)
            linear(p + "attn.attention.out_proj", h, h, True)
            linear(p + "mlp.c_fc", m, h, True), linear(p + "mlp.c_proj", h, m, True)
        else:
            heads, kv = config["num_attention_heads"], config["num_key_value_heads"]
            d, own = config.get("head_dim", h // heads), config.get("attention_bias", False)
            for name, n in ("q", heads * d), ("k", kv * d), ("v", kv * d):
                linear(p + f"self_attn.{name}_proj", n, h, own or family == "qwen2")
            linear(p + "self_attn.o_proj", h, heads * d, own)
            for name, o, n in ("gate", m, h), ("up", m, h), ("down", h, m):
                linear(p + f"mlp.{name}_proj", o, n, config.get("mlp_bias", False))
        for name in ("ln_1", "ln_2") if "gpt" in family else ("input_layernorm", "post_attention_layernorm"):
            norm(p + name, "gpt" in family)
    if "gpt" in family:
        positions = config.get("n_positions") or config["max_position_embeddings"]
        out.update({before + "wte.weight": (config["vocab_size"], h), before + "wpe.weight": (positions, h)})
        norm(before + "ln_f")
    else:
        out[before + "embed_tokens.weight"] = (config["vocab_size"], h)
        norm(before + "norm", False)
        if not config["tie_word_embeddings"]:
            out["lm_head.weight"] = (config["vocab_size"], h)
    return out


def shapes(config, kind):
    """Names and shapes of all parameters, as the class of transformers has them."""
    family = config["model_type"]
    if family in ("gpt2", "gpt_neo", "llama", "qwen2"):
        return decoder_shapes(config, kind)
    c = config if family != "distilbert" else dict(hidden_size=config["dim"], intermediate_size=config["hidden_dim"],
                                                   num_hidden_layers=config["n_layers"])
    h, m = c["hidden_size"], c["intermediate_size"]
    e = config.get("embedding_size", h)
    out = {}
    linear = lambda name, o, i: out.update({name + ".weight": (o, i), name + ".bias": (o,)})
    norm = lambda name, n: out.update({name + ".weight": (n,), name + ".bias": (n,)})
    out["embeddings.word_embeddings.weight"] = (config["vocab_size"], e)
    out["embeddings.position_embeddings.weight"] = (config["max_position_embeddings"], e)
    if "type_vocab_size" in config:
        out["embeddings.token_type_embeddings.weight"] = (config["type_vocab_size"], e)
    norm("embeddings.LayerNorm", e)
    if e != h:
        linear("embeddings_project", h, e)
    for i in range(c["num_hidden_layers"]):
        if family == "distilbert":
            p = f"transformer.layer.{i}."
            names = ["attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "sa_layer_norm",
                     "ffn.lin1", "ffn.lin2", "output_layer_norm"]
        else:
            p = f"encoder.layer.{i}."
            names = ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
                     "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"]
        for name in names[:4]:
            linear(p + name, h, h)
        norm(p + names[4], h)
        linear(p + names[5], m, h)
        linear(p + names[6], h, m)
        norm(p + names[7], h)
    if kind.endswith("Model"):
        return out
    out = {f"{family}.{k}": v for k, v in out.items()}
    n = len(config["id2label"])
    if kind.endswith("ForTokenClassification"):
        linear("classifier", n, h)
    elif family == "bert":
        linear("bert.pooler.dense", h, h)
        linear("classifier", n, h)
    elif family == "distilbert":
        linear("pre_classifier", h, h)
        linear("classifier", n, h)
    else:
        linear("classifier.dense", h, h)
        linear("classifier.out_proj", n, h)
    return out


def weights(name, config, kind):
    r = np.random.RandomState(sum(map(ord, name)))
    out = {}
    for k, shape in shapes(config, kind).items():
        norm = any(n in k for n in ("layer_norm", "LayerNorm", "layernorm", "ln_", ".norm."))
        values = r.standard_normal(shape) * (0.1 if norm else 0.2 if len(shape) > 1 else 0.1)
        if norm and k.endswith("weight"):
            values += 1
        if k.startswith("classifier") and len(shape) > 1 and shape[0] < 16:
            values *= 3  # so that labels differ
        out[k] = values.astype(np.float32)
    return out


def save_safetensors(path, tensors):
    head, at = {"__metadata__": {"format": "pt"}}, 0
    for k, v in tensors.items():
        head[k] = dict(dtype="F32", shape=list(v.shape), data_offsets=[at, at + v.nbytes])
        at += v.nbytes
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(v.tobytes() for v in tensors.values()))


def write(name, folder):
    config, kind = (FAMILIES | DECODERS)[name]
    os.makedirs(folder, exist_ok=True)
    j = lambda file, x: open(os.path.join(folder, file), "w").write(json.dumps(x, indent=1))
    if name in DECODERS:
        pieces, tokenizer = decoder_tokenizer()
        j("tokenizer.json", tokenizer)
        j("tokenizer_config.json", dict(tokenizer_class="PreTrainedTokenizerFast", bos_token="<|endoftext|>",
                                        eos_token="<|endoftext|>", model_input_names=["input_ids", "attention_mask"]))
    elif config["model_type"] == "roberta":
        pieces, tokenizer = byte_tokenizer()
        if name == "roberta":
            j("tokenizer.json", tokenizer)
        else:  # as folders were before tokenizer.json
            j("vocab.json", tokenizer["model"]["vocab"])
            open(os.path.join(folder, "merges.txt"), "w").write("#version: 0.2\n" + "".join(m + "\n" for m in MERGES))
        mask = dict(__type="AddedToken", content="<mask>", lstrip=True, rstrip=False, single_word=False, normalized=True)
        j("tokenizer_config.json", dict(tokenizer_class="RobertaTokenizer", add_prefix_space=False, mask_token=mask))
    else:
        pieces = PIECES
        tokenizers = dict(bert="BertTokenizer", distilbert="DistilBertTokenizer", electra="ElectraTokenizer")
        open(os.path.join(folder, "vocab.txt"), "w").write("".join(p + "\n" for p in pieces))
        j("tokenizer_config.json", dict(tokenizer_class=tokenizers[config["model_type"]], do_lower_case=True))
    config = dict(config, architectures=[kind], vocab_size=len(pieces))
    j("config.json", config)
    save_safetensors(os.path.join(folder, "model.safetensors"), weights(name, config, kind))


def texts(seed, count):
    r = np.random.RandomState(seed)
    return [" ".join(WORDS[i] for i in r.randint(len(WORDS), size=r.randint(1, 8))) for _ in range(count)]


if __name__ == "__main__":
    if sys.argv[2] == "texts":
        print("\n".join(texts(int(sys.argv[3]), int(sys.argv[4]))))
    else:
        write(sys.argv[1], sys.argv[2])
