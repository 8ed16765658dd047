// Tables of tensors: numbers, names and shapes of BERT's and its kin's, and of a made-up architecture with tensors on
// top.
#include <stdio.h>
#include <string.h>

#include "io/bert_tensors.h"
#include "io/decoder_tensors.h"
#include "tests/common/suite.h"

// A model in front of the table: two layers of width 8.
static tw_model_config shape(void) {
  return (tw_model_config){.architecture = "bert", .layers = 2, .hidden = 8, .heads = 2, .intermediate = 32};
}

static void names_and_shapes(void) {
  static const char *const names[] = {"layer.1.qkv.weight", "layer.1.qkv.bias",    "layer.1.out.weight",
                                      "layer.1.out.bias",   "layer.1.norm1.gamma", "layer.1.norm1.beta",
                                      "layer.1.up.weight",  "layer.1.up.bias",     "layer.1.down.weight",
                                      "layer.1.down.bias",  "layer.1.norm2.gamma", "layer.1.norm2.beta"};
  tw_model_config c = shape();
  size_t total = 0;
  CU_ASSERT_EQUAL(tw_model_tensor_count(&c), 24);
  for (int i = 0; i < 12; i++) {
    char name[TW_TENSOR_NAME];
    size_t rows, cols;
    tw_model_tensor_shape(&c, 12 + i, name, &rows, &cols);
    CU_ASSERT_STRING_EQUAL(name, names[i]);
    total += rows * cols;
    bool bias = strstr(name, "bias"), matrix = strstr(name, "weight");
    CU_ASSERT_EQUAL(tw_model_tensor_entry(&c, 12 + i)->scale, bias ? 24 : 12);
    CU_ASSERT_EQUAL(rows > 1, matrix);
  }
  // A BERT layer: 4 h^2 + 2 h m weights, 9 h + m vector elements.
  CU_ASSERT_EQUAL(total, 4 * 64 + 2 * 8 * 32 + 9 * 8 + 32);
}

enum { FAMILIES = 4, KINDS = TW_HEAD_WORDS };  // heads of encoders
static const tw_tensor_table *const families[FAMILIES] = {tw_bert_tensors, tw_roberta_tensors, tw_distilbert_tensors,
                                                          tw_electra_tensors};

// What programs rely on: a matrix's bias and a norm's beta are the next tensor; layers are alike in all families.
static void pairs_of(const tw_model_config *c, const tw_tensor_table *t) {
  CU_ASSERT_EQUAL_FATAL(t->in_layer, TW_BERT_IN_LAYER);
  for (int i = 0; i < t->in_layer + t->on_top; i += 2) {
    const tw_tensor_entry *e = tw_tensor_table_entry(t, i), *next = tw_tensor_table_entry(t, i + 1);
    CU_ASSERT_EQUAL(next->kind, e->kind == TW_MATRIX ? TW_BIAS : TW_BETA);
    CU_ASSERT_EQUAL(next->rows(c), 1);
    CU_ASSERT_EQUAL(next->cols(c), e->cols(c));
    CU_ASSERT_EQUAL(next->query, e->query);
    if (i < t->in_layer) CU_ASSERT_STRING_EQUAL(e->name, tw_bert_tensors[0].layer[i].name);
  }
}

static void pairs(void) {
  tw_model_config c = shape();
  for (int i = 0; i < FAMILIES * KINDS; i++) pairs_of(&c, &families[i / KINDS][i % KINDS]);
}

// Every entry names at least one source, its columns are shared evenly, and it says where it stands.
static void sources_of(const tw_model_config *c, const tw_tensor_entry *entries, int count, tw_model_part part) {
  for (int i = 0; i < count; i++) {
    const tw_tensor_entry *e = &entries[i];
    size_t sources = 0;
    for (int s = 0; s < TW_TENSOR_SOURCES && e->source[s]; s++) {
      sources++;
      CU_ASSERT_EQUAL(strstr(e->source[s], "%d") != NULL, part == TW_IN_LAYER);
    }
    CU_ASSERT_FATAL(sources > 0);
    CU_ASSERT_EQUAL(e->cols(c) % sources, 0);
    CU_ASSERT_EQUAL(e->part, part);
  }
}

static void sources(void) {
  tw_model_config c = shape();
  c.vocab = 11, c.max_positions = 13, c.type_vocab = 2, c.embedding = 4, c.head.outputs = 3;
  for (int i = 0; i < FAMILIES * KINDS; i++) {
    const tw_tensor_table *t = &families[i / KINDS][i % KINDS];
    sources_of(&c, t->layer, t->in_layer, TW_IN_LAYER);
    sources_of(&c, t->top, t->on_top, TW_OF_HEAD);
    sources_of(&c, t->embedding, t->embeddings, TW_EMBEDDING);
  }
}

// A head's tensors, behind the layers: BERT's pooler and classifier, RoBERTa's own, and what has none.
static void heads(void) {
  static const int tops[] = {0, 4, 2, 2};
  for (int kind = 0; kind < TW_HEAD_WORDS; kind++) {
    tw_model_config c = shape();
    c.head = (tw_head){.kind = (tw_head_kind)kind, .outputs = 3};
    CU_ASSERT_EQUAL(tw_model_tensor_count(&c), 24 + tops[kind]);
    for (int i = 24; i < 24 + tops[kind]; i++) {
      char name[TW_TENSOR_NAME];
      size_t rows, cols;
      tw_model_tensor_shape(&c, i, name, &rows, &cols);
      CU_ASSERT_EQUAL(strncmp(name, "head.", 5), 0);
      bool last = kind == TW_HEAD_SEQUENCE ? i >= 26 : true;
      CU_ASSERT_EQUAL(cols, last ? 3 : 8);
      CU_ASSERT_EQUAL(rows, i % 2 ? 1 : 8);
    }
  }
  CU_ASSERT_STRING_EQUAL(tw_bert_tensors[TW_HEAD_SEQUENCE].top[0].source[0], "bert.pooler.dense.weight");
  CU_ASSERT_STRING_EQUAL(tw_roberta_tensors[TW_HEAD_SEQUENCE].top[2].source[0], "classifier.out_proj.weight");
  CU_ASSERT_STRING_EQUAL(tw_distilbert_tensors[TW_HEAD_SEQUENCE].top[0].source[0], "pre_classifier.weight");
}

// What programs of decoders rely on: where the layout says that a tensor is, with its bias or beta next.
static void decoders(void) {
  static const char *const names[] = {"gpt2", "gpt_neo", "llama"};
  for (int i = 0; i < 3; i++) {
    tw_model_config c = shape();
    snprintf(c.architecture, sizeof c.architecture, "%s", names[i]);
    c.heads = 2, c.vocab = 11, c.max_positions = 13, c.type_vocab = 1;
    if (i == 2) c.kv_heads = 1, c.head_dim = 6;
    c.head = (tw_head){TW_HEAD_WORDS, 11, .rows = TW_OUTPUT_TOKENS};
    const tw_decoder_layout *l = tw_decoder_layout_of(&c);
    CU_ASSERT_PTR_NOT_NULL_FATAL(l);
    size_t q = i == 2 ? 12 : 8, kv = i == 2 ? 6 : 8;
    const struct {
      int entry;
      const char *name;
      size_t rows, cols;
    } known[] = {{l->qkv, "layer.1.qkv.weight", 8, q + 2 * kv},
                 {l->out, "layer.1.out.weight", q, 8},
                 {l->norm1, "layer.1.norm1.gamma", 1, 8},
                 {l->up, "layer.1.up.weight", 8, 32},
                 {l->down, "layer.1.down.weight", 32, 8},
                 {l->norm2, "layer.1.norm2.gamma", 1, 8},
                 {l->final_norm, "norm.gamma", 1, 8},
                 {l->word, "word.weight", 11, 8},
                 {l->head, "head.out.weight", 8, 11},
                 {l->gate, "layer.1.gate.weight", 8, 32},
                 {l->position, "position", 13, 8}};
    CU_ASSERT_EQUAL(l->gate >= 0, l->gated);
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
      char name[TW_TENSOR_NAME];
      size_t rows, cols;
      if (known[k].entry < 0) continue;
      int number = tw_tensor_number(tw_tensor_table_of(&c), c.layers, 1, known[k].entry);
      tw_model_tensor_shape(&c, number, name, &rows, &cols);
      CU_ASSERT_STRING_EQUAL(name, known[k].name);
      CU_ASSERT_EQUAL(rows, known[k].rows);
      CU_ASSERT_EQUAL(cols, known[k].cols);
      const tw_tensor_entry *e = tw_model_tensor_entry(&c, number), *next = tw_model_tensor_entry(&c, number + 1);
      if (e->kind == TW_ROWS || (e->kind == TW_GAMMA && l->rms_norm)) continue;
      CU_ASSERT_EQUAL(next->kind, e->kind == TW_MATRIX ? TW_BIAS : TW_BETA);
      CU_ASSERT_EQUAL(next->cols(&c), cols);
      CU_ASSERT_EQUAL(next->query, e->query);
    }
    int all = tw_model_tensor_count(&c);
    c.head = (tw_head){.kind = TW_HEAD_NONE};
    CU_ASSERT_EQUAL(all, tw_model_tensor_count(&c) + 2);
    CU_ASSERT_PTR_NULL(
        tw_tensor_table_of(&(tw_model_config){.architecture = "llama", .head.kind = TW_HEAD_DENSE})->top);
  }
}

static void on_top(void) {
  static const tw_tensor_entry layer[] = {{.name = "a", .part = TW_IN_LAYER}, {.name = "b", .part = TW_IN_LAYER}};
  static const tw_tensor_entry top[] = {{.name = "norm", .part = TW_ON_TOP}, {.name = "head", .part = TW_ON_TOP}};
  const tw_tensor_table table = {.architecture = "made up", .layer = layer, .top = top, .in_layer = 2, .on_top = 2};
  static const char *const order[] = {"a", "b", "a", "b", "a", "b", "norm", "head"};
  CU_ASSERT_EQUAL(tw_tensor_count(&table, 3), 8);
  for (int i = 0; i < 8; i++) {
    int at;
    const tw_tensor_entry *e = tw_tensor_entry_of(&table, 3, i, &at);
    CU_ASSERT_STRING_EQUAL(e->name, order[i]);
    CU_ASSERT_EQUAL(at, i < 6 ? i / 2 : -1);
    CU_ASSERT_EQUAL(tw_tensor_number(&table, 3, at, i < 6 ? (int)(e - layer) : 2 + (int)(e - top)), i);
  }
}

static void by_name(void) {
  CU_ASSERT_PTR_EQUAL(tw_tensor_table_by_name("bert"), tw_bert_tensors);
  CU_ASSERT_PTR_NULL(tw_tensor_table_by_name("berta"));
}

SUITE_MAIN("tensors", {"names and shapes", names_and_shapes}, {"pairs", pairs}, {"sources", sources}, {"heads", heads},
           {"decoders", decoders}, {"on top", on_top}, {"by name", by_name})
