// Tables of tensors: numbers, names and shapes of BERT's, and of a made-up architecture with tensors on top.
#include <string.h>

#include "io/bert_tensors.h"
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

// What programs rely on: a matrix's bias and a norm's beta are the next tensor.
static void pairs(void) {
  tw_model_config c = shape();
  const tw_tensor_entry *e = tw_bert_tensors.entries;
  CU_ASSERT_EQUAL(tw_bert_tensors.in_layer % 2, 0);
  for (int i = 0; i < tw_bert_tensors.in_layer; i += 2) {
    CU_ASSERT_EQUAL(e[i + 1].kind, e[i].kind == TW_MATRIX ? TW_BIAS : TW_BETA);
    CU_ASSERT_EQUAL(e[i + 1].rows(&c), 1);
    CU_ASSERT_EQUAL(e[i + 1].cols(&c), e[i].cols(&c));
    CU_ASSERT_EQUAL(e[i + 1].query, e[i].query);
  }
}

// Every entry names at least one source, its columns are shared evenly, and parts stand in their order.
static void sources(void) {
  tw_model_config c = shape();
  c.vocab = 11, c.max_positions = 13, c.type_vocab = 2;
  int entries = tw_bert_tensors.in_layer + tw_bert_tensors.on_top + tw_bert_tensors.embeddings;
  for (int i = 0; i < entries; i++) {
    const tw_tensor_entry *e = &tw_bert_tensors.entries[i];
    size_t count = 0;
    for (int s = 0; s < TW_TENSOR_SOURCES && e->source[s]; s++) {
      count++;
      CU_ASSERT_EQUAL(strstr(e->source[s], "%d") != NULL, e->part == TW_IN_LAYER);
    }
    CU_ASSERT_FATAL(count > 0);
    CU_ASSERT_EQUAL(e->cols(&c) % count, 0);
    CU_ASSERT_EQUAL(e->part, i < tw_bert_tensors.in_layer ? TW_IN_LAYER : TW_EMBEDDING);
  }
}

static void on_top(void) {
  static const tw_tensor_entry entries[] = {{.name = "a", .part = TW_IN_LAYER},
                                            {.name = "b", .part = TW_IN_LAYER},
                                            {.name = "norm", .part = TW_ON_TOP},
                                            {.name = "head", .part = TW_ON_TOP}};
  const tw_tensor_table table = {.architecture = "made up", .entries = entries, .in_layer = 2, .on_top = 2};
  static const char *const order[] = {"a", "b", "a", "b", "a", "b", "norm", "head"};
  CU_ASSERT_EQUAL(tw_tensor_count(&table, 3), 8);
  for (int i = 0; i < 8; i++) {
    int layer;
    const tw_tensor_entry *e = tw_tensor_entry_of(&table, 3, i, &layer);
    CU_ASSERT_STRING_EQUAL(e->name, order[i]);
    CU_ASSERT_EQUAL(layer, i < 6 ? i / 2 : -1);
    CU_ASSERT_EQUAL(tw_tensor_number(&table, 3, layer, (int)(e - entries)), i);
  }
}

static void by_name(void) {
  CU_ASSERT_PTR_EQUAL(tw_tensor_table_by_name("bert"), &tw_bert_tensors);
  CU_ASSERT_PTR_NULL(tw_tensor_table_by_name("berta"));
}

// Fewer layers of a model: the first ones stay as they are.
static void keep_layers(void) {
  tw_model model;
  tw_model_config c = shape();
  CU_ASSERT_EQUAL_FATAL(tw_model_allocate(&c, &model), TW_OK);
  for (int i = 0; i < model.count; i++) model.tensors[i].values[0] = (float)i;
  tw_model_keep_layers(&model, 1);
  CU_ASSERT_EQUAL(model.config.layers, 1);
  CU_ASSERT_EQUAL_FATAL(model.count, 12);
  for (int i = 0; i < model.count; i++) CU_ASSERT_EQUAL(model.tensors[i].values[0], (float)i);
  tw_model_free(&model);
}

SUITE_MAIN("tensors", {"names and shapes", names_and_shapes}, {"pairs", pairs}, {"sources", sources},
           {"on top", on_top}, {"by name", by_name}, {"fewer layers", keep_layers})
