#define _GNU_SOURCE
#include "jobs/encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/tokenizer.h"
#include "jobs/float_model.h"

static tw_status check_request(const tw_client *client, int count, int seq) {
  if (count < 1) return tw_fail(TW_ERR_USAGE, "no text to encode");
  if (seq < 1 || seq > client->config.max_positions)
    return tw_fail(TW_ERR_RANGE,
                   "sequence length %d is not in 1 .. %d, the positions of model %s; choose another --seq", seq,
                   client->config.max_positions, client->config.name);
  return TW_OK;
}

static tw_status allocate(const tw_client *client, int count, int seq, tw_input *out) {
  memset(out, 0, sizeof *out);
  size_t rows = (size_t)count * seq;
  out->count = count;
  out->seq = seq;
  out->hidden = client->config.hidden;
  tw_id_random(&out->input_id);
  TW_TRY(tw_alloc((size_t)count * sizeof *out->lengths, (void **)&out->lengths));
  TW_TRY(tw_alloc(rows * sizeof *out->tokens, (void **)&out->tokens));
  TW_TRY(tw_alloc((size_t)count * sizeof *out->texts, (void **)&out->texts));
  return tw_alloc(rows * out->hidden * sizeof *out->values, (void **)&out->values);
}

static void embed_token(const tw_client *client, int token, int position, double *row, float *out) {
  size_t hidden = (size_t)client->config.hidden;
  const float *word = client->word + (size_t)token * hidden, *place = client->position + (size_t)position * hidden;
  for (size_t c = 0; c < hidden; c++) row[c] = (double)word[c] + place[c] + client->type[c];
  tw_normalise_row(row, client->config.hidden, client->config.norm_epsilon);
  for (size_t c = 0; c < hidden; c++) out[c] = (float)(row[c] * client->gamma[c] + client->beta[c]);
}

// Sequence `index` of out: the given ids, then padding.
static tw_status place(const tw_client *client, const int *ids, int length, int pad, int index, double *row,
                       tw_input *out) {
  if (length < 1) return tw_fail(TW_ERR_RANGE, "text %d has no tokens", index + 1);
  if (length > out->seq)
    return tw_fail(TW_ERR_RANGE,
                   "text %d has %d tokens, more than the sequence length %d: shorten it, or plan and encode with "
                   "--seq %d or more",
                   index + 1, length, out->seq, length);
  out->lengths[index] = length;
  for (int i = 0; i < out->seq; i++) {
    int token = i < length ? ids[i] : pad;
    if (token < 0 || token >= client->config.vocab)
      return tw_fail(TW_ERR_RANGE, "text %d: token id %d at position %d is not in 0 .. %d", index + 1, token, i,
                     client->config.vocab - 1);
    size_t at = (size_t)index * out->seq + i;
    out->tokens[at] = token;
    embed_token(client, token, i, row, out->values + at * out->hidden);
  }
  return TW_OK;
}

static tw_status encode_text(const tw_client *client, const tw_tokenizer *tokenizer, const char *text, int index,
                             double *row, tw_input *out) {
  int *ids, length;
  out->texts[index] = strdup(text);
  if (!out->texts[index]) return tw_fail(TW_ERR_MEMORY, "out of memory");
  tw_status status = tw_tokenizer_encode(tokenizer, text, &ids, &length);
  if (status != TW_OK) return tw_fail_in(status, "text %d", index + 1);
  status = place(client, ids, length, tw_tokenizer_special(tokenizer).pad, index, row, out);
  free(ids);
  return status;
}

static tw_status encode_all(const tw_client *client, const char *const *texts, tw_input *out) {
  double *row;
  TW_TRY(tw_alloc((size_t)out->hidden * sizeof *row, (void **)&row));
  tw_tokenizer *tokenizer;
  tw_status status = tw_tokenizer_new(client->vocabulary, client->config.vocab, client->lower_case, &tokenizer);
  for (int i = 0; i < out->count && status == TW_OK; i++)
    status = encode_text(client, tokenizer, texts[i], i, row, out);
  tw_tokenizer_free(tokenizer);
  tw_free(row);
  return status;
}

tw_status tw_encode(const tw_client *client, const char *const *texts, int count, int seq, tw_input *out) {
  memset(out, 0, sizeof *out);
  TW_TRY(check_request(client, count, seq));
  tw_status status = allocate(client, count, seq, out);
  if (status == TW_OK) status = encode_all(client, texts, out);
  if (status != TW_OK) tw_input_free(out);
  return status;
}

// The ids stand in for the text in files and reports.
static tw_status describe_ids(const int *ids, int length, char **out) {
  size_t room = 12 * (size_t)(length > 0 ? length : 1) + 1, used = 0;
  *out = malloc(room);
  if (!*out) return tw_fail(TW_ERR_MEMORY, "out of memory");
  (*out)[0] = '\0';
  for (int i = 0; i < length; i++) used += (size_t)snprintf(*out + used, room - used, "%s%d", i ? " " : "", ids[i]);
  return TW_OK;
}

static tw_status pad_id(const tw_client *client, int *pad) {
  tw_tokenizer *tokenizer;
  TW_TRY(tw_tokenizer_new(client->vocabulary, client->config.vocab, client->lower_case, &tokenizer));
  *pad = tw_tokenizer_special(tokenizer).pad;
  tw_tokenizer_free(tokenizer);
  return TW_OK;
}

tw_status tw_encode_ids(const tw_client *client, const int *const *ids, const int *lengths, int count, int seq,
                        tw_input *out) {
  memset(out, 0, sizeof *out);
  TW_TRY(check_request(client, count, seq));
  int pad;
  TW_TRY(pad_id(client, &pad));
  tw_status status = allocate(client, count, seq, out);
  double *row = NULL;
  if (status == TW_OK) status = tw_alloc((size_t)out->hidden * sizeof *row, (void **)&row);
  for (int i = 0; i < count && status == TW_OK; i++) {
    status = place(client, ids[i], lengths[i], pad, i, row, out);
    if (status == TW_OK) status = describe_ids(ids[i], lengths[i], &out->texts[i]);
  }
  tw_free(row);
  if (status != TW_OK) tw_input_free(out);
  return status;
}
