#include "io/tensors.h"

#include <stdio.h>
#include <string.h>

#include "io/bert_tensors.h"
#include "io/decoder_tensors.h"

// A family's tables, one for each kind of head.
static const tw_tensor_table *family(const char *architecture) {
  static const tw_tensor_table *const all[] = {tw_bert_tensors,    tw_roberta_tensors, tw_distilbert_tensors,
                                               tw_electra_tensors, tw_gpt2_tensors,    tw_gpt_neo_tensors,
                                               tw_llama_tensors};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (strcmp(all[i]->architecture, architecture) == 0) return all[i];
  return NULL;
}

const tw_tensor_table *tw_tensor_table_by_name(const char *architecture) { return family(architecture); }

const tw_tensor_table *tw_tensor_table_of(const tw_model_config *config) {
  return family(config->architecture) + config->head.kind;
}

const tw_tensor_entry *tw_tensor_table_entry(const tw_tensor_table *table, int entry) {
  return entry < table->in_layer ? &table->layer[entry] : &table->top[entry - table->in_layer];
}

int tw_tensor_count(const tw_tensor_table *table, int layers) { return layers * table->in_layer + table->on_top; }

int tw_tensor_number(const tw_tensor_table *table, int layers, int layer, int entry) {
  bool inside = entry < table->in_layer;
  return inside ? layer * table->in_layer + entry : (layers - 1) * table->in_layer + entry;
}

const tw_tensor_entry *tw_tensor_entry_of(const tw_tensor_table *table, int layers, int number, int *layer) {
  int at = number / table->in_layer;
  bool inside = at < layers;
  if (layer) *layer = inside ? at : -1;
  return tw_tensor_table_entry(table, inside ? number % table->in_layer : number - (layers - 1) * table->in_layer);
}

int tw_model_tensor_count(const tw_model_config *config) {
  return tw_tensor_count(tw_tensor_table_of(config), config->layers);
}

const tw_tensor_entry *tw_model_tensor_entry(const tw_model_config *config, int number) {
  return tw_tensor_entry_of(tw_tensor_table_of(config), config->layers, number, NULL);
}

void tw_model_tensor_shape(const tw_model_config *config, int number, char name[TW_TENSOR_NAME], size_t *rows,
                           size_t *cols) {
  int layer;
  const tw_tensor_entry *e = tw_tensor_entry_of(tw_tensor_table_of(config), config->layers, number, &layer);
  if (layer < 0)
    snprintf(name, TW_TENSOR_NAME, "%s", e->name);
  else
    snprintf(name, TW_TENSOR_NAME, "layer.%d.%s", layer, e->name);
  *rows = e->rows(config);
  *cols = e->cols(config);
}

int tw_cached_tensor(const tw_model_config *config, int layer, int which) {
  return tw_model_tensor_count(config) + TW_CACHED_TENSORS * layer + which;
}

int tw_shared_count(const tw_model_config *config, int rows) {
  return rows ? tw_cached_tensor(config, config->layers, 0) : tw_model_tensor_count(config);
}

void tw_shared_shape(const tw_model_config *config, int prefix_rows, int number, char name[TW_TENSOR_NAME],
                     size_t *rows, size_t *cols) {
  static const char *const names[] = {"keys", "values"};
  int cached = number - tw_model_tensor_count(config);
  if (cached < 0) {
    tw_model_tensor_shape(config, number, name, rows, cols);
    return;
  }
  snprintf(name, TW_TENSOR_NAME, "layer.%d.prefix.%s", cached / TW_CACHED_TENSORS, names[cached % TW_CACHED_TENSORS]);
  *rows = (size_t)prefix_rows;
  *cols = (size_t)tw_config_kv_width(config);
}

bool tw_shared_is_matrix(const tw_model_config *config, int number) {
  return number < tw_model_tensor_count(config) && tw_model_tensor_entry(config, number)->kind == TW_MATRIX;
}
