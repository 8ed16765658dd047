#define _GNU_SOURCE
#include "jobs/models/encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/decoder_tensors.h"
#include "io/json_tokenizer.h"
#include "jobs/models/chunks.h"
#include "jobs/models/float_model.h"

static int rows_of(const tw_prefix *prefix) { return prefix ? prefix->count : 0; }

static tw_status check_request(const tw_client *client, const tw_prefix *prefix, int count, int seq) {
  int most = client->config.max_positions - rows_of(prefix);
  if (count < 1) return tw_fail(TW_ERR_USAGE, "no text to encode");
  if (seq < 1 || seq > most)
    return tw_fail(TW_ERR_RANGE,
                   "sequence length %d is not in 1 .. %d, the positions of model %s%s; choose another --seq", seq, most,
                   client->config.name, prefix ? " behind the prefix" : "");
  return TW_OK;
}

static tw_status allocate(const tw_client *client, const tw_prefix *prefix, int count, int seq, tw_input *out) {
  memset(out, 0, sizeof *out);
  if (prefix) out->prefix = tw_prefix_facts_of(prefix);
  size_t rows = (size_t)count * seq;
  out->count = count;
  out->seq = seq;
  out->hidden = tw_config_parties_embed(&client->config) ? 0 : client->config.hidden;
  tw_id_random(&out->input_id);
  TW_TRY(tw_alloc((size_t)count * sizeof *out->lengths, (void **)&out->lengths));
  TW_TRY(tw_alloc(rows * sizeof *out->tokens, (void **)&out->tokens));
  return tw_alloc((size_t)count * sizeof *out->texts, (void **)&out->texts);
}

static size_t row_width(const tw_client *client) {
  return (size_t)(client->config.embedding ? client->config.embedding : client->config.hidden);
}

// LayerNorm(word + position + type), and what a projection makes of it; without the norm where the model has none
// there. row: room for the width of the tables.
static void embed_token(const tw_client *client, int token, int type, int position, double *row, float *out) {
  size_t hidden = (size_t)client->config.hidden, width = row_width(client);
  const float *word = client->word + (size_t)token * width,
              *place = client->position ? client->position + (size_t)position * width : NULL,
              *kind = client->type ? client->type + (size_t)type * width : NULL;
  for (size_t c = 0; c < width; c++) row[c] = (double)word[c] + (place ? place[c] : 0) + (kind ? kind[c] : 0);
  if (client->gamma) tw_normalise_row(row, (int)width, client->config.norm_epsilon);
  for (size_t c = 0; client->gamma && c < width; c++) row[c] = row[c] * client->gamma[c] + client->beta[c];
  for (size_t c = 0; c < hidden; c++) {
    double y = client->projection_weight ? client->projection_bias[c] : row[c];
    for (size_t k = 0; client->projection_weight && k < width; k++)
      y += row[k] * client->projection_weight[k * hidden + c];
    out[c] = (float)y;
  }
}

// The row of the position table. RoBERTa counts tokens other than its padding, which has a row of its own: *counted.
static int position_of(const tw_client *client, int token, int index, int *counted) {
  int offset = client->config.position_offset;
  if (offset == 0) return index;
  return token == offset - 1 ? offset - 1 : offset + (*counted)++;
}

// Behind the live tokens, which is read by nothing; decoders have no token of their own for it.
static int padding(const tw_client *client) {
  int pad = client->rules.special.pad;
  return tw_decoder_layout_of(&client->config) && (pad < 0 || pad >= client->config.vocab) ? 0 : pad;
}

// A text must begin with the prefix and go on.
static tw_status check_prefix(const tw_prefix *prefix, const int *ids, int length, int index) {
  for (int i = 0; i < rows_of(prefix); i++) {
    if (i == length)
      return tw_fail(TW_ERR_MISMATCH, "text %d has %d tokens, the plan's prefix has %d: a text begins with all of it",
                     index + 1, length, prefix->count);
    if (ids[i] != prefix->ids[i])
      return tw_fail(TW_ERR_MISMATCH,
                     "text %d does not begin with the plan's prefix of %d tokens: token %d has id %d, the prefix has "
                     "%d; write the prefix before it, or plan with another (`twain plan --prefix`)",
                     index + 1, prefix->count, i + 1, ids[i], prefix->ids[i]);
  }
  if (prefix && length == prefix->count)
    return tw_fail(TW_ERR_RANGE, "text %d is the plan's prefix and nothing more; it needs a token behind it",
                   index + 1);
  return TW_OK;
}

// Sequence `index` of out: the given ids and types (NULL: 0) behind the prefix, then padding.
static tw_status place(const tw_client *client, const tw_prefix *prefix, const int *ids, const int *types, int length,
                       int index, tw_input *out) {
  int before = rows_of(prefix);
  TW_TRY(check_prefix(prefix, ids, length, index));
  ids += before;
  length -= before;
  if (types) types += before;
  if (length < 1) return tw_fail(TW_ERR_RANGE, "text %d has no tokens", index + 1);
  if (length > out->seq)
    return tw_fail(TW_ERR_RANGE, "text %d has %d tokens, more than the sequence length %d", index + 1, length,
                   out->seq);
  out->lengths[index] = length;
  for (int i = 0; i < out->seq; i++) {
    int token = i < length ? ids[i] : padding(client), type = i < length && types ? types[i] : 0;
    if (token < 0 || token >= client->config.vocab)
      return tw_fail(TW_ERR_RANGE, "text %d: token id %d at position %d is not in 0 .. %d", index + 1, token, i,
                     client->config.vocab - 1);
    size_t at = (size_t)index * out->seq + i;
    out->tokens[at] = token;
    if (type) out->types[at] = type;
  }
  return TW_OK;
}

// ---- rows

// The first rows of sequence s of `in` to out, [rows][hidden]. row: room for the width of the tables.
static void embed_sequence(const tw_client *client, const tw_input *in, int s, int rows, double *row, float *out) {
  int counted = 0;
  for (int i = 0; i < rows; i++) {
    size_t at = (size_t)s * (size_t)in->seq + (size_t)i;
    int token = in->tokens[at], type = in->types ? in->types[at] : 0;
    embed_token(client, token, type, position_of(client, token, in->prefix.rows + i, &counted), row,
                out + (size_t)i * (size_t)in->hidden);
  }
}

tw_status tw_encode_rows(const tw_client *client, tw_input *in) {
  size_t hidden = (size_t)in->hidden, at = 0;
  double *row;
  if (!in->hidden || in->values) return TW_OK;
  TW_TRY(tw_alloc(row_width(client) * sizeof *row, (void **)&row));
  tw_status status = tw_alloc(tw_input_rows(in) * hidden * sizeof *in->values, (void **)&in->values);
  for (int s = 0; s < in->count && status == TW_OK; at += tw_input_rows_of(in, s++) * hidden)
    embed_sequence(client, in, s, (int)tw_input_rows_of(in, s), row, in->values + at);
  tw_free(row);
  return status;
}

typedef struct {
  const tw_client *client;
  const tw_input *in;
  double *row;
} embedding;

static tw_status next_rows(void *state, int sequence, float *out) {
  const embedding *e = state;
  embed_sequence(e->client, e->in, sequence, (int)tw_input_rows_of(e->in, sequence), e->row, out);
  return TW_OK;
}

tw_status tw_encode_write(const char *path, const tw_client *client, const tw_input *in) {
  embedding e = {.client = client, .in = in};
  TW_TRY(tw_alloc(row_width(client) * sizeof *e.row, (void **)&e.row));
  tw_status status = tw_input_write_rows(path, in, next_rows, &e);
  tw_free(e.row);
  return status;
}

// ---- texts

tw_text_name tw_text_name_of(const tw_text *texts, int index) {
  tw_text_name name;
  int used = snprintf(name.text, sizeof name.text, "text %d", index + 1);
  if (texts[index].line > 0)
    snprintf(name.text + used, sizeof name.text - (size_t)used, " (line %d)", texts[index].line);
  return name;
}

int tw_encode_limit(const tw_client *client, int seq) {
  return client->max_seq_length > 0 && client->max_seq_length < seq ? client->max_seq_length : seq;
}

// Of word pieces, or one that a tokenizer.json describes.
typedef struct {
  const tw_client *client;
  tw_tokenizer *pieces;
  tw_json_tokenizer *json;
} tokenizer;

static tw_status tokenizer_start(const tw_client *client, tokenizer *out) {
  const tw_text_rules *rules = &client->rules;
  json_error_t error;
  *out = (tokenizer){.client = client};
  if (!rules->tokenizer) return tw_tokenizer_new(client->vocabulary, client->config.vocab, rules, &out->pieces);
  json_t *root = json_loads(rules->tokenizer, 0, &error);
  if (!root) return tw_fail(TW_ERR_FORMAT, "model %s: its tokenizer is no JSON: %s", client->config.name, error.text);
  tw_status status = tw_json_tokenizer_new(root, client->config.name, &out->json);
  json_decref(root);
  return status;
}

static void tokenizer_end(tokenizer *t) {
  tw_tokenizer_free(t->pieces);
  tw_json_tokenizer_free(t->json);
}

static tw_status tokenizer_encode(const tokenizer *t, const char *first, const char *second, bool special, int most,
                                  tw_encoding *out) {
  const tw_text_rules *rules = &t->client->rules;
  if (!t->json && !special) return tw_fail(TW_ERR_FORMAT, "this tokenizer has no texts with their own special tokens");
  if (!t->json) return tw_tokenizer_encode(t->pieces, first, second, most, out);
  TW_TRY(tw_json_tokenizer_encode(t->json, first, second, special, most, rules->cut_left, out));
  for (int i = 0; i < out->count && !rules->pair_types; i++) out->types[i] = 0;
  return TW_OK;
}

// A pair is for a model that compares its two texts; sentence-transformers puts prompts before single ones only.
static tw_status tokenise_one(const tw_client *client, const tokenizer *t, const tw_text *text, int most,
                              tw_encoding *out) {
  if (!client->default_prompt || text->second || text->framed)
    return tokenizer_encode(t, text->first, text->second, !text->framed, most, out);
  char *whole;
  if (asprintf(&whole, "%s%s", client->default_prompt, text->first) < 0) return tw_fail(TW_ERR_MEMORY, "out of memory");
  tw_status status = tokenizer_encode(t, whole, NULL, true, most, out);
  free(whole);
  return status;
}

static tw_status tokenise(const tw_client *client, const tw_text *texts, int count, int most, tw_encoding *out) {
  tokenizer t;
  tw_status status = tokenizer_start(client, &t);
  for (int i = 0; i < count && status == TW_OK; i++) {
    status = tokenise_one(client, &t, &texts[i], most, &out[i]);
    if (status != TW_OK) tw_fail_in(status, "%s", tw_text_name_of(texts, i).text);
  }
  tokenizer_end(&t);
  return status;
}

// All that are too long in one message, as far as it goes.
static tw_status refuse_long(const tw_client *client, const tw_prefix *prefix, const tw_text *texts, int count, int seq,
                             const tw_encoding *encodings) {
  char list[1400] = "";
  size_t used = 0;
  int found = 0, left = 0, longest = 0, before = rows_of(prefix), most = client->config.max_positions;
  const char *behind = prefix ? " and its prefix" : "";
  for (int i = 0; i < count; i++) {
    if (encodings[i].count <= before + seq) continue;
    found++;
    if (encodings[i].count > longest) longest = encodings[i].count;
    if (used + 80 > sizeof list)
      left++;
    else
      used += (size_t)snprintf(list + used, sizeof list - used, "%s%s has %d tokens", found > 1 ? ", " : "",
                               tw_text_name_of(texts, i).text, encodings[i].count);
  }
  if (found == 0) return TW_OK;
  if (left) snprintf(list + used, sizeof list - used, " and %d more", left);
  if (longest <= most)
    return tw_fail(
        TW_ERR_RANGE,
        "%s, more than the sequence length %d%s: shorten the texts, cut them with `encode --truncate`, or plan "
        "again with `plan --seq %d` or more (the model takes up to %d)",
        list, seq, behind, longest - before, most);
  return tw_fail(TW_ERR_RANGE,
                 "%s, more than the sequence length %d%s: shorten the texts or cut them with `encode --truncate`; the "
                 "model takes up to %d tokens (`plan --seq %d`)",
                 list, seq, behind, most, most - before);
}

static tw_status keep_text(const tw_text *text, char **out) {
  if (text->second)
    return asprintf(out, "%s\t%s", text->first, text->second) < 0 ? tw_fail(TW_ERR_MEMORY, "out of memory") : TW_OK;
  *out = strdup(text->first);
  return *out ? TW_OK : tw_fail(TW_ERR_MEMORY, "out of memory");
}

tw_status tw_text_origins(const tw_text *texts, int count, tw_origins *o) {
  *o = (tw_origins){NULL};
  if (texts[0].line > 0) TW_TRY(tw_alloc((size_t)count * sizeof *o->lines, (void **)&o->lines));
  if (texts[0].id) TW_TRY(tw_alloc((size_t)count * sizeof *o->ids, (void **)&o->ids));
  for (int i = 0; i < count; i++) {
    if (o->lines) o->lines[i] = texts[i].line;
    if (o->ids && !(o->ids[i] = strdup(texts[i].id ? texts[i].id : ""))) return tw_fail(TW_ERR_MEMORY, "out of memory");
  }
  return TW_OK;
}

static tw_status allocate_types(const tw_client *client, const tw_encoding *encodings, tw_input *out) {
  bool second = false;
  for (int s = 0; s < out->count; s++)
    for (int i = 0; i < encodings[s].count; i++) second |= encodings[s].types[i] != 0;
  if (!second) return TW_OK;
  if (client->config.type_vocab < 2)
    return tw_fail(TW_ERR_RANGE, "model %s has no token type for the second text of a pair (type_vocab_size 1)",
                   client->config.name);
  return tw_alloc((size_t)out->count * out->seq * sizeof *out->types, (void **)&out->types);
}

static tw_status place_all(const tw_client *client, const tw_prefix *prefix, const tw_text *texts,
                           const tw_encoding *encodings, int seq, tw_input *out) {
  int count = out->count;
  TW_TRY(allocate(client, prefix, count, seq, out));
  TW_TRY(allocate_types(client, encodings, out));
  TW_TRY(tw_text_origins(texts, count, &out->origins));
  tw_status status = TW_OK;
  for (int i = 0; i < count && status == TW_OK; i++) {
    status = keep_text(&texts[i], &out->texts[i]);
    const tw_encoding *e = &encodings[i];
    if (status == TW_OK) status = place(client, prefix, e->ids, e->types, e->count, i, out);
  }
  return status;
}

tw_status tw_encode_texts(const tw_client *client, const tw_prefix *prefix, const tw_text *texts, int count, int seq,
                          bool cut, tw_text_count *counts, tw_input *out) {
  int all = rows_of(prefix) + seq;
  memset(out, 0, sizeof *out);
  TW_TRY(check_request(client, prefix, count, seq));
  tw_encoding *encodings;
  TW_TRY(tw_alloc((size_t)count * sizeof *encodings, (void **)&encodings));
  tw_status status = tokenise(client, texts, count, cut ? tw_encode_limit(client, all) : 0, encodings);
  if (status == TW_OK) status = refuse_long(client, prefix, texts, count, seq, encodings);
  out->count = count;
  if (status == TW_OK) status = place_all(client, prefix, texts, encodings, seq, out);
  for (int i = 0; i < count; i++) {
    if (counts) counts[i] = (tw_text_count){encodings[i].whole, encodings[i].count, encodings[i].unknown};
    tw_encoding_free(&encodings[i]);
  }
  tw_free(encodings);
  if (status != TW_OK) tw_input_free(out);
  return status;
}

// ---- chunks

// Every chunk as a text of its own.
typedef struct {
  int count, room;
  tw_text *texts;
  tw_encoding *encodings;
  int *owners, *numbers;
} chunks;

static tw_status chunks_grow(chunks *c) {
  if (c->count < c->room) return TW_OK;
  int room = c->room ? 2 * c->room : 256;
  tw_text *texts = realloc(c->texts, (size_t)room * sizeof *texts);
  if (texts) c->texts = texts;
  tw_encoding *encodings = realloc(c->encodings, (size_t)room * sizeof *encodings);
  if (encodings) c->encodings = encodings;
  int *owners = realloc(c->owners, (size_t)room * sizeof *owners);
  if (owners) c->owners = owners;
  int *numbers = realloc(c->numbers, (size_t)room * sizeof *numbers);
  if (numbers) c->numbers = numbers;
  c->room = texts && encodings && owners && numbers ? room : c->room;
  return c->room == room ? TW_OK : tw_fail(TW_ERR_MEMORY, "out of memory for chunks");
}

static void chunks_free(chunks *c) {
  for (int i = 0; i < c->count; i++) tw_encoding_free(&c->encodings[i]);
  free(c->texts);
  free(c->encodings);
  free(c->owners);
  free(c->numbers);
}

// A tokenizer of word pieces puts [CLS] before a text and [SEP] behind it.
static tw_status frame_of(const tokenizer *t, const tw_text *text, const tw_encoding *whole, tw_frame *out) {
  tw_encoding plain;
  *out = (tw_frame){1, 1};
  if (!t->json) return TW_OK;
  TW_TRY(tokenizer_encode(t, text->first, NULL, false, 0, &plain));
  tw_status status = tw_frame_find(whole, plain.ids, plain.count, out);
  tw_encoding_free(&plain);
  return status;
}

static tw_status divide_one(const tokenizer *t, const tw_text *text, int owner, int most, int overlap, chunks *c,
                            tw_text_count *count) {
  tw_encoding whole;
  tw_frame frame;
  int parts;
  TW_TRY(tokenizer_encode(t, text->first, NULL, true, 0, &whole));
  tw_status status = frame_of(t, text, &whole, &frame);
  if (status == TW_OK) status = tw_chunks_count(&whole, &frame, most, overlap, &parts);
  *count = (tw_text_count){.whole = whole.whole, .unknown = whole.unknown};
  for (int i = 0; status == TW_OK && i < parts; i++) {
    status = chunks_grow(c);
    if (status == TW_OK)
      status = tw_chunk_of(&whole, &frame, parts > 1 ? most : whole.count, overlap, i, &c->encodings[c->count]);
    if (status != TW_OK) break;
    c->texts[c->count] = *text;
    if (i) c->texts[c->count].first = "";  // a copy for every chunk would grow with the square of its length
    c->owners[c->count] = owner;
    c->numbers[c->count] = parts > 1 ? i + 1 : 0;
    count->kept += c->encodings[c->count++].count;
  }
  tw_encoding_free(&whole);
  return status;
}

static tw_status divide(const tw_client *client, const tw_text *texts, int count, int most, int overlap, chunks *c,
                        tw_text_count *counts) {
  tokenizer t;
  tw_status status = tokenizer_start(client, &t);
  for (int i = 0; i < count && status == TW_OK; i++) {
    status = divide_one(&t, &texts[i], i, most, overlap, c, &counts[i]);
    if (status != TW_OK) tw_fail_in(status, "%s", tw_text_name_of(texts, i).text);
  }
  tokenizer_end(&t);
  return status;
}

static tw_status keep_numbers(const int *from, int count, int **out) {
  TW_TRY(tw_alloc((size_t)count * sizeof **out, (void **)out));
  if (count) memcpy(*out, from, (size_t)count * sizeof **out);
  return TW_OK;
}

tw_status tw_encode_chunks(const tw_client *client, const tw_text *texts, int count, int seq, int overlap,
                           tw_text_count *counts, tw_input *out) {
  chunks c = {.count = 0};
  memset(out, 0, sizeof *out);
  TW_TRY(check_request(client, NULL, count, seq));
  if (client->default_prompt)
    return tw_fail(TW_ERR_USAGE,
                   "the model puts a prompt before each text, and chunks behind the first would have none: cut the "
                   "texts (--truncate), or divide them");
  tw_status status = divide(client, texts, count, tw_encode_limit(client, seq), overlap, &c, counts);
  out->count = c.count;
  if (status == TW_OK) status = place_all(client, NULL, c.texts, c.encodings, seq, out);
  if (status == TW_OK) status = keep_numbers(c.owners, c.count, &out->origins.texts);
  if (status == TW_OK && c.count > count) status = keep_numbers(c.numbers, c.count, &out->origins.chunks);
  chunks_free(&c);
  if (status != TW_OK) tw_input_free(out);
  return status;
}

tw_status tw_encode(const tw_client *client, const char *const *texts, int count, int seq, tw_input *out) {
  tw_text *list;
  memset(out, 0, sizeof *out);
  TW_TRY(check_request(client, NULL, count, seq));
  TW_TRY(tw_alloc((size_t)count * sizeof *list, (void **)&list));
  for (int i = 0; i < count; i++) list[i] = (tw_text){.first = texts[i]};
  tw_status status = tw_encode_texts(client, NULL, list, count, seq, false, NULL, out);
  tw_free(list);
  TW_TRY(status);
  status = tw_encode_rows(client, out);
  if (status != TW_OK) tw_input_free(out);
  return status;
}

// ---- token ids

// The ids stand in for the text in files and reports.
static tw_status describe_ids(const int *ids, int length, char **out) {
  size_t room = 12 * (size_t)(length > 0 ? length : 1) + 1, used = 0;
  *out = malloc(room);
  if (!*out) return tw_fail(TW_ERR_MEMORY, "out of memory");
  (*out)[0] = '\0';
  for (int i = 0; i < length; i++) used += (size_t)snprintf(*out + used, room - used, "%s%d", i ? " " : "", ids[i]);
  return TW_OK;
}

tw_status tw_encode_ids(const tw_client *client, const tw_prefix *prefix, const int *const *ids, const int *lengths,
                        int count, int seq, tw_input *out) {
  memset(out, 0, sizeof *out);
  TW_TRY(check_request(client, prefix, count, seq));
  tw_status status = allocate(client, prefix, count, seq, out);
  for (int i = 0; i < count && status == TW_OK; i++) {
    status = place(client, prefix, ids[i], NULL, lengths[i], i, out);
    if (status == TW_OK) status = describe_ids(ids[i], lengths[i], &out->texts[i]);
  }
  if (status != TW_OK) tw_input_free(out);
  return status;
}

tw_status tw_encode_count(const tw_client *client, const tw_text *texts, int count, int *tokens) {
  tw_encoding *encodings;
  TW_TRY(tw_alloc((size_t)count * sizeof *encodings, (void **)&encodings));
  tw_status status = tokenise(client, texts, count, 0, encodings);
  for (int i = 0; i < count; i++) {
    tokens[i] = encodings[i].whole;
    tw_encoding_free(&encodings[i]);
  }
  tw_free(encodings);
  return status;
}

tw_status tw_encode_plain(const tw_client *client, const char *text, int **ids, int *count) {
  tokenizer t;
  tw_encoding e = {0};
  *ids = NULL;
  tw_status status = tokenizer_start(client, &t);
  if (status == TW_OK) status = tokenizer_encode(&t, text, NULL, false, 0, &e);
  tokenizer_end(&t);
  if (status == TW_OK) status = tw_alloc((size_t)(e.count ? e.count : 1) * sizeof **ids, (void **)ids);
  for (int i = 0; i < e.count && status == TW_OK; i++) (*ids)[i] = e.ids[i];
  *count = e.count;
  tw_encoding_free(&e);
  return status;
}
