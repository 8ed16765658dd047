#!/usr/bin/env python3
"""Compare twain's token ids with those of tokenizers, and its texts of ids, for tokenizer.json files (byte-pair encoding,
Unigram) and folders with a model of sentencepiece, and make test vectors of them.

    python3 -m venv .venv
    .venv/bin/pip install transformers==4.57.6 tokenizers==0.22.2 sentencepiece==0.2.1 protobuf==6.33.5 numpy h5py
    .venv/bin/python tools/compare_tokenizers.py TWAIN [LINES [SEED]]   # 10000 lines, a seed of its own
    .venv/bin/python tools/compare_tokenizers.py --vectors              # tests/vectors/tokenizers.json, sentencepiece.json

Twenty kinds of tokenizers, trained on the lines: GPT-2's, RoBERTa's, LLaMA's, Qwen's and SmolLM's rules, Metaspace, each
way of splitting, and Unigram with XLM-R's rules. Lines from 90 blocks of Unicode (more than 40 scripts) and from its
whole range, digits, runs of blanks, code, controls; single texts and pairs. The same ids, and random ones, as text, with
and without special tokens. LLaMA's and XLM-R's models of sentencepiece are compared with transformers' slow
tokenizers. TWAIN is the program; tool_tokens lies beside it. Ends with 1 on a difference.
"""
import base64
import collections
import io
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

from compare_tokens import BLANKS, BLOCKS, CONTROLS, MARKS, count_differences, twain, write_weights
from tokenizers import AddedToken, Regex, Tokenizer, __version__, decoders, models, normalizers, pre_tokenizers, processors, trainers

VECTORS = pathlib.Path(__file__).resolve().parent.parent / "tests" / "vectors" / "tokenizers.json"
WORDS = ["the quick brown fox", " jumps over", "Hello, world!", "na\u00efve caf\u00e9", "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8",
         "\u0645\u0631\u062d\u0628\u0627", "\u041f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440", "\uc548\ub155\ud558\uc138\uc694", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\U0001f642\U0001f44d\U0001f3fd\U0001f468\u200d\U0001f469\u200d\U0001f467"]
SHORT = ["don't", "I'LL", "we'Ve", "it\u2019s", "'S", "'\u017f", "'tis", "O'RE", " 'd", "\u0130'm"]
CODE = ["for (int i = 0; i < n; i++) {\n    x[i] += 1;\n}", "def f(x):\n\treturn x**2", "<|im_start|>", "<|endoftext|>",
        " <|im_end|> ", "<s>", "</s>", "[INST]", "<mask>", " <mask> "]
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
          r"\s+(?!\S)|\s+")
QWEN = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


def line(r, most=12):
    out = []
    for _ in range(r.randint(1, most)):
        k = r.random()
        if k < .25: out.append("".join(chr(r.randint(*r.choice(BLOCKS))) for _ in range(r.randint(1, 6))))
        elif k < .28: out.append(chr(r.randrange(1, 0x110000)))
        elif k < .35: out.append(r.choice(BLANKS) * r.randint(1, 4))
        elif k < .42: out.append(r.choice(CONTROLS))
        elif k < .5: out.append(chr(r.randint(*r.choice(MARKS))))
        elif k < .6: out.append(str(r.randrange(10 ** r.randint(1, 12))))
        elif k < .65: out.append(" " * r.randint(1, 30))
        elif k < .7: out.append("\n" * r.randint(1, 3) + "\r\n" * r.randint(0, 2) + "\t" * r.randint(0, 3))
        elif k < .8: out.append(r.choice(SHORT))
        elif k < .87: out.append(r.choice(CODE))
        else: out.append(r.choice(WORDS))
        if r.random() < .5: out.append(" ")
    return "".join(c for c in "".join(out) if not 0xd800 <= ord(c) < 0xe000)


# What is written for what, in the vectors: letters, a pair of them, one in the place of a pair, a mark that vanishes.
RULES = [("\uff21", "A"), ("\u212b", "\xc5"), ("A\u030a", "\xc5"), ("\ufb01", "fi"), ("\u00bd", "1/2"), ("\u3000", " "), ("\t", " "),
         ("\r", ""), ("\u200d", ""), ("\uff21\u030a", "\xc5"), ("\u1100\u1161", "\uac00"), ("e\u0301", "\xe9")]


def write_rules(path):
    code = lambda text: " ".join(f"{ord(c):X}" for c in text)
    path.write_text("".join(f"{code(a)}\t{code(b)}\n" for a, b in RULES), encoding="utf-8")
    return dict(normalization_rule_tsv=str(path))


def charsmap(whole):
    """sentencepiece's table of nmt_nfkc, which XLM-R has, or a small one of RULES."""
    import sentencepiece
    model = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        rules = {} if whole else write_rules(pathlib.Path(folder) / "rules.tsv")
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(["a b c"] * 20), model_writer=model, vocab_size=7,
                                                 model_type="char", minloglevel=2, **rules)
    from sentencepiece import sentencepiece_model_pb2
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model.getvalue())
    return proto.normalizer_spec.precompiled_charsmap


def unigrams(corpus, size, limit, whole):
    mark, fallback = "\u2581", [f"<0x{i:02X}>" for i in range(256)]
    precompiled = normalizers.Precompiled(charsmap(whole))
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    frame = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])

    # the trainer takes no more letters than pieces
    common = {c for c, _ in collections.Counter("".join(corpus)).most_common(limit)}
    few = ["".join(c for c in text if c in common) for text in corpus]

    def train(t):
        t.train_from_iterator(few, trainers.UnigramTrainer(vocab_size=size + 2 * limit, special_tokens=special, unk_token="<unk>",
                                                           show_progress=False))
        return t
    t = Tokenizer(models.Unigram())
    t.normalizer = precompiled
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(mark, "always")])
    t.decoder = decoders.Metaspace(mark, "always")
    t = train(t)
    t.post_processor = frame
    t.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    yield "xlm-roberta", t
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([precompiled, normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Metaspace(mark, "always")
    t.decoder = decoders.Metaspace(mark, "always")
    t = train(t)
    t.post_processor = frame
    yield "unigram, runs of blanks", t
    t = Tokenizer(models.Unigram())
    t.pre_tokenizer = pre_tokenizers.Metaspace(mark, "first", split=False)
    t.decoder = decoders.Sequence([decoders.Replace(mark, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t = train(t)
    model = json.loads(t.to_str())
    model["model"]["vocab"] += [[piece, -20 - i / 64] for i, piece in enumerate(fallback)]
    model["model"]["byte_fallback"] = True
    yield "unigram, bytes", Tokenizer.from_str(json.dumps(model))


def kinds(corpus, size, most_letters=500, whole=True):
    """name, tokenizer; size: pieces beyond the letters; most_letters: of kinds that do not work on bytes."""
    yield from byte_pairs(corpus, size, most_letters)
    yield from unigrams(corpus, size, most_letters, whole)


def byte_pairs(corpus, size, most_letters):
    def train(t, special, letters=True, limit=most_letters):
        alphabet = pre_tokenizers.ByteLevel.alphabet() if letters else []
        most = {} if letters else dict(limit_alphabet=limit)
        t.train_from_iterator(corpus, trainers.BpeTrainer(
            vocab_size=size + (256 if letters else limit), special_tokens=special, initial_alphabet=alphabet,
            show_progress=False, **most))
        return t

    def byte_level(prefix, first=None, normalizer=None, frame=None, special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"), **model):
        t = Tokenizer(models.BPE(**model))
        last = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=not isinstance(first, pre_tokenizers.Split))
        t.pre_tokenizer = pre_tokenizers.Sequence([first, last]) if first else last
        t.decoder = decoders.ByteLevel()
        if normalizer:
            t.normalizer = normalizer
        t = train(t, list(special))
        t.post_processor = frame or processors.ByteLevel(trim_offsets=False)
        return t

    template = lambda token, id: processors.TemplateProcessing(single=token + " $A", pair=f"{token} $A {token}:1 $B:1",
                                                               special_tokens=[(token, id)])
    framed = processors.Sequence([processors.ByteLevel(trim_offsets=False), template("<|endoftext|>", 0)])
    yield "gpt2", byte_level(False)
    both = dict(id="both", ids=[0, 1], tokens=["<|endoftext|>", "<|im_start|>"])  # one name of a template, two ids
    yield "gpt2, a blank before", byte_level(True, frame=processors.TemplateProcessing(
        single="both $A", pair="$A both:1 $B:1 both:0", special_tokens=[both]))
    roberta = byte_level(False, special=["<s>", "<pad>", "</s>", "<unk>"],
                         frame=processors.RobertaProcessing(("</s>", 2), ("<s>", 0)))
    roberta.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    yield "roberta", roberta
    yield "llama 3", byte_level(False, pre_tokenizers.Split(Regex(LLAMA3), "isolated"), frame=framed, ignore_merges=True)
    yield "qwen 2", byte_level(False, pre_tokenizers.Split(Regex(QWEN), "isolated"), normalizers.NFC(), framed)
    yield "smollm", byte_level(False, pre_tokenizers.Digits(individual_digits=True))
    t = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    t = train(t, ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)], False)
    t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                   decoders.Strip(" ", 1, 0)])
    t.post_processor = template("<s>", 1)
    t.add_tokens([AddedToken("[INST]", normalized=True), AddedToken("jumps over", normalized=True, single_word=True)])
    yield "llama 2", t
    for scheme in ("first", "always", "never"):
        t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
        t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
        t.decoder = decoders.Metaspace(prepend_scheme=scheme)
        yield "metaspace, " + scheme, train(t, ["<unk>", "<s>", "</s>"], False)
    for behaviour, invert in (("removed", False), ("isolated", False), ("contiguous", False), ("merged_with_previous", False),
                              ("merged_with_next", False), ("contiguous", True)):
        t = Tokenizer(models.BPE(unk_token="<unk>"))
        t.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\p{P}]"), behaviour, invert=invert)
        yield f"split, {behaviour}{', inverted' if invert else ''}", train(t, ["<unk>"], False)
    t = Tokenizer(models.BPE(unk_token="[UNK]"))
    t.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    t.decoder = decoders.WordPiece("##", True)  # no such prefix in the pieces: blanks before all but signs
    yield "decoded as word pieces", train(t, ["[UNK]"], False)


def slow_tokenizers(corpus, letters, size, folder, whole):
    """Folder without tokenizer.json, transformers' slow tokenizer; letters: how many; size: pieces of each model."""
    import sentencepiece
    from transformers import LlamaTokenizer, XLMRobertaTokenizer
    common = {c for c, _ in collections.Counter("".join(corpus)).most_common(letters)} - set("\0\n")
    few = ["".join(c for c in text if c in common) for text in corpus]
    rules = dict(normalization_rule_name="nmt_nfkc") if whole else write_rules(folder / "rules.tsv")
    llama = dict(model_type="bpe", byte_fallback=True, split_digits=True, allow_whitespace_only_pieces=True,
                 remove_extra_whitespaces=False, normalization_rule_name="identity")
    for name, class_, options in (("llama", LlamaTokenizer, llama), ("xlm-roberta", XLMRobertaTokenizer, dict(model_type="unigram", **rules))):
        path = folder / name
        path.mkdir()
        model = folder / (name + ".model")
        with open(model, "wb") as f:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(few), model_writer=f, vocab_size=size + (256 if name == "llama" else 0), character_coverage=1.0,
                hard_vocab_limit=False, max_sentence_length=100000, minloglevel=2, **options)
        t = class_(str(model), **(dict(legacy=True) if name == "llama" else {}))
        t.model_max_length = 1024
        t.add_tokens([AddedToken("jumps over", lstrip=True), AddedToken("<|im_start|>", rstrip=True)])
        t.save_pretrained(str(path))
        yield name, path, t


def reference(t, texts):
    return [(e.ids, e.type_ids) for e in (t.encode(*text) for text in texts)]


def encoded(program, texts, *options):
    import h5py
    out = []
    for first in range(0, len(texts), 500):
        part = texts[first:first + 500]
        twain(program, "encode", "m", "--force", "-q", *options, "--", *[x for t in part for x in t])
        with h5py.File("m.input.h5") as f:
            types = f["types"][()] if "types" in f else 0 * f["tokens"][()]
            out += [(list(map(int, a[:n])), list(map(int, b[:n]))) for a, b, n in zip(f["tokens"], types, f["lengths"])]
    return out


def write_folder(path, t):
    path.mkdir()
    save = lambda name, value: (path / name).write_text(json.dumps(value))
    t.save(str(path / "tokenizer.json"))
    save("tokenizer_config.json", dict(tokenizer_class="PreTrainedTokenizerFast", model_max_length=1024, add_prefix_space=json.loads(
        t.to_str())["pre_tokenizer"].get("add_prefix_space", False) if t.pre_tokenizer else False))
    write_model(path, t)


def write_model(path, t):
    size = max(t.get_vocab().values()) + 1
    save = lambda name, value: (path / name).write_text(json.dumps(value))
    save("config.json", dict(model_type="bert", architectures=["BertModel"], hidden_act="gelu", hidden_size=8,
                             num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, max_position_embeddings=512,
                             type_vocab_size=2, pad_token_id=0, vocab_size=size))
    write_weights(path, size)


def ask(tool, folder, questions):
    asked = "".join(json.dumps(q) + "\n" for q in questions)
    out = subprocess.run([tool, folder / "tokenizer.json"], input=asked.encode(), stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in out.stdout.split(b"\n")[:-1]]


def random_ids(r, t, count):
    """Of pieces, bytes and special tokens in any order, and some that are not there."""
    size = max(t.get_vocab().values()) + 1
    first = lambda: r.randrange(size + 3) if r.random() < .6 else r.randrange(min(300, size))
    return [[first() for _ in range(r.randrange(12))] for _ in range(count)]


def compare_texts(r, tool, folder, name, t, rows):
    """From ids back."""
    lists = rows + random_ids(r, t, len(rows))
    bad = 0
    for skip in (True, False):
        want = [t.decode(ids, skip_special_tokens=skip) for ids in lists]
        got = [a.get("text") for a in ask(tool, folder, [dict(ids=ids, skip=skip) for ids in lists])]
        bad += count_differences(f"{name}, decoded {'without' if skip else 'with'} special tokens", lists, want, got)
    return bad


def by_commands(program, folder, name, texts, want, count):
    """Singles, of which there are `count`, and pairs, as many as fit, through import, plan and encode."""
    bad = 0
    twain(program, "import", str(folder), "-o", "m", "-q", "--force")
    twain(program, "plan", "m", "--seq", "512", "-q", "--force")
    some = [i for i, (ids, _) in enumerate(want) if 0 < len(ids) <= 512]
    for options, most in (((), 1000), (("--pair",), 200)):
        part = [i for i in some if (i >= count) == bool(options)][:most]
        bad += count_differences(f"{name}, twain encode {' '.join(options)}", [texts[i] for i in part], [want[i] for i in part],
                                 encoded(program, [texts[i] for i in part], *options))
    return bad


def compare_models(program, corpus, texts, count):
    bad = 0
    for name, path, t in slow_tokenizers(corpus, 600, 4000, pathlib.Path("."), True):
        write_model(path, t)
        want = [(t(*text)["input_ids"], None) for text in texts]
        want = [(ids, [0] * len(ids)) for ids, _ in want]
        rules = f"{name}, a model of sentencepiece"
        for first in range(0, count, 1000):  # all singles, part by part; pairs with the first
            part = slice(first, min(first + 1000, count))
            pairs = texts[count:] if first == 0 else []
            bad += by_commands(program, path, f"{rules}, from {first}", texts[part] + pairs, want[part] + (want[count:] if pairs else []),
                               part.stop - part.start)
    return bad


def compare(program, count, seed):
    r = random.Random(seed)
    print(f"tokenizers {__version__}, seed {seed}")
    os.chdir(tempfile.mkdtemp(prefix="twain-tokenizers-"))
    tool = os.path.join(os.path.dirname(program), "tool_tokens")
    lines = [line(r) for _ in range(count)]
    bad, folder = 0, pathlib.Path("m")
    corpus = [line(r) for _ in range(3000)]
    for name, t in kinds(corpus, 4000):
        shutil.rmtree(folder, True)
        write_folder(folder, t)
        texts = [(s,) for s in lines] + list(zip(lines[::8], lines[1::8]))
        want = reference(t, texts)
        got = [(a.get("ids"), a.get("types")) for a in ask(tool, folder, [dict(text=text) for text in texts])]
        bad += count_differences(name, texts, want, got)
        bad += compare_texts(r, tool, folder, name, t, [ids for ids, _ in want[:len(lines)]])
        bad += by_commands(program, folder, name, texts, want, len(lines))
    bad += compare_models(program, corpus, texts, len(lines))
    shutil.rmtree(os.getcwd())
    print(f"{bad} differences in all")
    return bad


def model_vectors():
    r, out, folder = random.Random(11), [], pathlib.Path(tempfile.mkdtemp())
    corpus = [line(r, 6) for _ in range(300)]
    lines = ["\uff21\u030a \ufb01\u3000\xbd\t\u1100\u1161"] + [text for text in (line(r, 5) for _ in range(60)) if text.strip()][:39]
    for name, path, t in slow_tokenizers(corpus, 60, 110, folder, False):
        files = {f.name: json.loads(f.read_text()) for f in path.glob("*.json")}
        model = {f.name: base64.b64encode(f.read_bytes()).decode() for f in path.glob("*.model")}
        out.append(dict(name=name, size=max(t.get_vocab().values()) + 1, files=files, model=model,
                        texts=[[text, t(text)["input_ids"]] for text in lines],
                        pairs=[[a, b, t(a, b)["input_ids"]] for a, b in zip(lines[::4], lines[1::4])]))
    shutil.rmtree(folder)
    import sentencepiece, transformers
    made = dict(transformers=transformers.__version__, sentencepiece=sentencepiece.__version__,
                script="tools/compare_tokenizers.py --vectors")
    (VECTORS.parent / "sentencepiece.json").write_text(
        json.dumps(dict(made_with=made, kinds=out), separators=(",", ":")).replace('{"name":', '\n{"name":') + "\n", encoding="ascii")


def vectors():
    r = random.Random(7)
    out = []
    for name, t in kinds([line(r, 6) for _ in range(400)], 60, 100, False):
        texts = [(line(r, 4),) for _ in range(20)]
        texts += [(line(r, 3), line(r, 3)) for _ in range(4)]
        texts += [("A\u030a \uff21\u030a\ufb01  \u1100\u1161\r\n\u3000\u00bd",)]
        rows = [dict(text=list(text), ids=ids, types=types) for text, (ids, types) in zip(texts, reference(t, texts))]
        lists = [row["ids"] for row in rows] + random_ids(random.Random(9), t, 20)
        decoded = [[ids, t.decode(ids), t.decode(ids, skip_special_tokens=False)] for ids in lists]
        out.append(dict(name=name, tokenizer=json.loads(t.to_str()), texts=rows, decoded=decoded))
    made = dict(tokenizers=__version__, script="tools/compare_tokenizers.py --vectors")
    VECTORS.write_text(json.dumps(dict(made_with=made, kinds=out), separators=(",", ":")).replace('{"name":', '\n{"name":') + "\n",
                       encoding="ascii")


if sys.argv[1] == "--vectors":
    vectors()
    model_vectors()
else:
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.SystemRandom().randrange(1 << 30)
    sys.exit(compare(os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10000, seed) != 0)
