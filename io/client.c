// The client's tables.
#include "io/client.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "io/client_parts.h"
#include "io/h5.h"
#include "io/tensors.h"

static const tw_h5_kind kind = {"twain-client", "client", false, false, "twain import", TW_UPGRADE};

enum { MOST_TABLES = 8 };

// A table of the file: an embedding of the architecture, and the field that holds it.
typedef struct {
  const char *name;
  float **values;
  hsize_t shape[2];
  int dims;
} table;

static float **field_of(tw_client *client, const char *name) {
  const struct {
    const char *name;
    float **values;
  } fields[] = {{"word", &client->word},
                {"position", &client->position},
                {"type", &client->type},
                {"gamma", &client->gamma},
                {"beta", &client->beta},
                {"projection.weight", &client->projection_weight},
                {"projection.bias", &client->projection_bias}};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    if (strcmp(fields[i].name, name) == 0) return fields[i].values;
  return NULL;
}

static int tables_of(tw_client *client, table out[MOST_TABLES]) {
  const tw_tensor_table *tensors = tw_tensor_table_of(&client->config);
  int count = 0;
  for (int i = 0; i < tensors->embeddings; i++) {
    const tw_tensor_entry *e = &tensors->embedding[i];
    hsize_t rows = e->rows(&client->config), cols = e->cols(&client->config);
    bool matrix = e->kind == TW_ROWS || e->kind == TW_MATRIX;
    if (rows == 0) continue;
    out[count++] = matrix ? (table){e->name, field_of(client, e->name), {rows, cols}, 2}
                          : (table){e->name, field_of(client, e->name), {cols, 1}, 1};
  }
  return count;
}

tw_status tw_client_allocate(const tw_model_config *config, tw_client *client) {
  table tables[MOST_TABLES];
  client->config = *config;
  int count = tables_of(client, tables);
  for (int i = 0; i < count; i++)
    TW_TRY(tw_alloc((size_t)(tables[i].shape[0] * tables[i].shape[1]) * sizeof(float), (void **)tables[i].values));
  return TW_OK;
}

float *tw_client_table(tw_client *client, const char *name) { return *field_of(client, name); }

// ---- labels

static const char *const problems[] = {"single_label", "multi_label", "regression"};

const char *tw_problem_name(tw_problem problem) { return problems[problem]; }

void tw_labels_free(tw_labels *labels) {
  for (int i = 0; labels->names && i < labels->count; i++) free(labels->names[i]);
  free(labels->names);
  *labels = (tw_labels){.count = 0};
}

static tw_status put_labels(tw_h5 *f, const tw_client *client) {
  const tw_head *h = &client->config.head;
  const tw_labels *l = &client->labels;
  if (h->kind != TW_HEAD_SEQUENCE && h->kind != TW_HEAD_TOKENS) return TW_OK;
  if (l->count != h->outputs)
    return tw_fail(TW_ERR_INTERNAL, "%s: %d labels for %d outputs", f->path, l->count, h->outputs);
  TW_TRY(tw_h5_put_text(f, "/", "problem", problems[l->problem]));
  return tw_h5_put_texts(f, "labels", l->count, l->names);
}

static tw_status get_labels(const tw_h5 *f, tw_client *client) {
  const tw_head *h = &client->config.head;
  tw_labels *l = &client->labels;
  char problem[24], **names;
  if (h->kind != TW_HEAD_SEQUENCE && h->kind != TW_HEAD_TOKENS) return TW_OK;
  TW_TRY(tw_h5_get_text(f, "/", "problem", problem, sizeof problem));
  int found = 0;
  while (found < 3 && strcmp(problems[found], problem) != 0) found++;
  if (found == 3)
    return tw_h5_fail(TW_ERR_FORMAT, f, "attribute", "problem", "not one of single_label, multi_label, regression");
  l->problem = (tw_problem)found;
  TW_TRY(tw_h5_get_texts(f, "labels", h->outputs, &names));
  l->names = names;
  l->count = h->outputs;
  for (int i = 0; i < l->count; i++)
    if (!tw_text_is_plain(names[i]))
      return tw_h5_fail(TW_ERR_FORMAT, f, "dataset", "labels", "holds control characters, or is not UTF-8");
  return TW_OK;
}

static tw_status put_client(tw_h5 *f, tw_client *client, tw_rules_buffers *buffers) {
  table tables[MOST_TABLES];
  TW_TRY(tw_h5_put_config(f, &client->config));
  TW_TRY(tw_rules_put(f, &client->rules, buffers));
  TW_TRY(tw_h5_put_int(f, "/", "max_seq_length", client->max_seq_length));
  TW_TRY(put_labels(f, client));
  if (client->default_prompt) TW_TRY(tw_h5_put_texts(f, "default_prompt", 1, &client->default_prompt));
  int count = tables_of(client, tables);
  for (int i = 0; i < count; i++)
    TW_TRY(tw_h5_put_f32(f, tables[i].name, tables[i].dims, tables[i].shape, *tables[i].values));
  if (!client->vocabulary && !client->rules.tokenizer && !client->config.synthetic)
    return tw_fail(TW_ERR_INTERNAL, "%s: model %s has no vocabulary", f->path, client->config.name);
  return client->vocabulary ? tw_h5_put_texts(f, "vocabulary", client->config.vocab, client->vocabulary) : TW_OK;
}

tw_status tw_client_write(const char *path, const tw_client *client) {
  tw_h5 f;
  tw_client copy = *client;  // the list of tables points into it
  tw_rules_buffers buffers = {0};
  TW_TRY(tw_h5_create(&f, path, &kind, -1));
  tw_status status = tw_h5_finish(&f, put_client(&f, &copy, &buffers));
  tw_rules_buffers_free(&buffers);
  return status;
}

static tw_status get_prompt(const tw_h5 *f, tw_client *client) {
  char **one;
  if (!tw_h5_has(f, "default_prompt")) return TW_OK;
  TW_TRY(tw_h5_get_texts(f, "default_prompt", 1, &one));
  client->default_prompt = one[0];
  one[0] = NULL;
  tw_h5_free_texts(one, 1);
  return TW_OK;
}

static tw_status get_client(const tw_h5 *f, tw_client *client) {
  table tables[MOST_TABLES];
  uint64_t offset;
  TW_TRY(tw_h5_get_config(f, &client->config));
  TW_TRY(tw_rules_get(f, client->config.vocab, &client->rules));
  TW_TRY(tw_h5_get_small(f, "max_seq_length", 0, client->config.max_positions, &client->max_seq_length));
  TW_TRY(get_labels(f, client));
  TW_TRY(get_prompt(f, client));
  int count = tables_of(client, tables);
  for (int i = 0; i < count; i++)
    TW_TRY(tw_h5_locate(f, tables[i].name, H5T_IEEE_F32LE, tables[i].dims, tables[i].shape, &offset));
  for (int i = 0; i < count; i++) {
    const table *t = &tables[i];
    TW_TRY(tw_alloc((size_t)(t->shape[0] * t->shape[1]) * sizeof(float), (void **)t->values));
    TW_TRY(tw_h5_get_f32(f, t->name, t->dims, t->shape, *t->values));
  }
  if ((client->config.synthetic || client->rules.tokenizer) && !tw_h5_has(f, "vocabulary")) return TW_OK;
  return tw_h5_get_texts(f, "vocabulary", client->config.vocab, &client->vocabulary);
}

tw_status tw_client_read_version(const char *path, int version, tw_client *client) {
  tw_h5 f;
  *client = (tw_client){0};
  TW_TRY(tw_h5_open_version(&f, path, &kind, -1, version));
  tw_status status = get_client(&f, client);
  tw_h5_close(&f);
  if (status != TW_OK) tw_client_free(client);
  return status;
}

tw_status tw_client_read(const char *path, tw_client *client) {
  return tw_client_read_version(path, TW_FORMAT_VERSION, client);
}

void tw_client_free(tw_client *client) {
  tw_h5_free_texts(client->vocabulary, client->config.vocab);
  free(client->default_prompt);
  tw_labels_free(&client->labels);
  tw_text_rules_free(&client->rules);
  tw_free(client->word);
  tw_free(client->position);
  tw_free(client->type);
  tw_free(client->gamma);
  tw_free(client->beta);
  tw_free(client->projection_weight);
  tw_free(client->projection_bias);
  *client = (tw_client){0};
}
