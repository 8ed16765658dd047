// The client's tables.
#include "io/client.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
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
                {"beta", &client->beta}};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    if (strcmp(fields[i].name, name) == 0) return fields[i].values;
  return NULL;
}

static int tables_of(tw_client *client, table out[MOST_TABLES]) {
  const tw_tensor_table *tensors = tw_tensor_table_of(&client->config);
  const tw_tensor_entry *entries = tensors->entries + tensors->in_layer + tensors->on_top;
  for (int i = 0; i < tensors->embeddings; i++) {
    const tw_tensor_entry *e = &entries[i];
    hsize_t rows = e->rows(&client->config), cols = e->cols(&client->config);
    out[i] = e->kind == TW_ROWS ? (table){e->name, field_of(client, e->name), {rows, cols}, 2}
                                : (table){e->name, field_of(client, e->name), {cols, 1}, 1};
  }
  return tensors->embeddings;
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

static tw_status put_client(tw_h5 *f, tw_client *client, tw_rules_buffers *buffers) {
  table tables[MOST_TABLES];
  TW_TRY(tw_h5_put_config(f, &client->config));
  TW_TRY(tw_rules_put(f, &client->rules, buffers));
  TW_TRY(tw_h5_put_int(f, "/", "max_seq_length", client->max_seq_length));
  if (client->default_prompt) TW_TRY(tw_h5_put_texts(f, "default_prompt", 1, &client->default_prompt));
  int count = tables_of(client, tables);
  for (int i = 0; i < count; i++)
    TW_TRY(tw_h5_put_f32(f, tables[i].name, tables[i].dims, tables[i].shape, *tables[i].values));
  if (!client->vocabulary && !client->config.synthetic)
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
  TW_TRY(get_prompt(f, client));
  int count = tables_of(client, tables);
  for (int i = 0; i < count; i++)
    TW_TRY(tw_h5_locate(f, tables[i].name, H5T_IEEE_F32LE, tables[i].dims, tables[i].shape, &offset));
  for (int i = 0; i < count; i++) {
    const table *t = &tables[i];
    TW_TRY(tw_alloc((size_t)(t->shape[0] * t->shape[1]) * sizeof(float), (void **)t->values));
    TW_TRY(tw_h5_get_f32(f, t->name, t->dims, t->shape, *t->values));
  }
  if (client->config.synthetic && !tw_h5_has(f, "vocabulary")) return TW_OK;
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
  tw_text_rules_free(&client->rules);
  tw_free(client->word);
  tw_free(client->position);
  tw_free(client->type);
  tw_free(client->gamma);
  tw_free(client->beta);
  *client = (tw_client){0};
}
