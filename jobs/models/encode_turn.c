#include "jobs/models/encode_turn.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static tw_status check(const tw_input *before, const tw_result *said, const char *name, int count) {
  if (strcmp(said->output, tw_output_name(TW_OUTPUT_TEXT)) != 0)
    return tw_fail(TW_ERR_MISMATCH, "%s has a result of %s; a conversation goes on behind a text", name, said->output);
  if (strcmp(before->input_id.hex, said->input_id.hex) != 0)
    return tw_fail(TW_ERR_MISMATCH, "%s: the result is of input %s, the input is %s; reveal that turn again", name,
                   said->input_id.hex, before->input_id.hex);
  if (count == before->count && count == said->count) return TW_OK;
  return tw_fail(TW_ERR_MISMATCH, "%d texts behind %s, which has %d sequences; give one text for each, in their order",
                 count, name, before->count);
}

// All of a sequence's tokens that have a row by then: earlier ones, the turn's own, and its text but for the last word.
static int gather(const tw_input *before, const tw_result *said, int s, int *out) {
  int n = before->earlier ? before->earlier_lengths[s] : 0, own = before->lengths[s], words = said->rows - 1;
  if (n && out) memcpy(out, before->earlier + (size_t)s * before->earlier_seq, (size_t)n * sizeof *out);
  if (out) memcpy(out + n, before->tokens + (size_t)s * before->seq, (size_t)own * sizeof *out);
  for (int i = 0; out && i < words; i++) out[n + own + i] = (int)said->values[(size_t)s * said->rows + i];
  return n + own + words;
}

static tw_status keep_earlier(const tw_input *before, const tw_result *said, const char *name, tw_input *out) {
  size_t count = (size_t)before->count;
  out->after = before->input_id;
  out->prefix = before->prefix;
  out->after_name = strdup(name);
  if (!out->after_name) return tw_fail(TW_ERR_MEMORY, "out of memory");
  TW_TRY(tw_alloc(count * sizeof(int), (void **)&out->earlier_lengths));
  for (int s = 0; s < before->count; s++) {
    out->earlier_lengths[s] = gather(before, said, s, NULL);
    if (out->earlier_lengths[s] > out->earlier_seq) out->earlier_seq = out->earlier_lengths[s];
  }
  TW_TRY(tw_alloc(count * (size_t)out->earlier_seq * sizeof(int), (void **)&out->earlier));
  for (int s = 0; s < before->count; s++) gather(before, said, s, out->earlier + (size_t)s * out->earlier_seq);
  return TW_OK;
}

static bool ends_text(const tw_model_config *c, int id) {
  for (int i = 0; i < c->end_count; i++)
    if (c->ends[i] == id) return true;
  return false;
}

// The last word, then the text's tokens; *ids is tw_alloc'd.
static tw_status tokens_of(const tw_client *client, int last, const tw_text *text, bool of_chats, int **ids,
                           int *length) {
  int *own, n;
  TW_TRY(tw_encode_plain(client, text->first, &own, &n));
  int left_out = of_chats && n > 0 && own[0] == last && ends_text(&client->config, last);
  *length = 1 + n - left_out;
  tw_status status = tw_alloc((size_t)*length * sizeof(int), (void **)ids);
  if (status == TW_OK) {
    (*ids)[0] = last;
    memcpy(*ids + 1, own + left_out, (size_t)(n - left_out) * sizeof(int));
  }
  tw_free(own);
  return status;
}

static tw_status keep_texts(const tw_text *texts, tw_input *out) {
  for (int i = 0; i < out->count; i++) {
    free(out->texts[i]);
    out->texts[i] = strdup(texts[i].first);
    if (!out->texts[i]) return tw_fail(TW_ERR_MEMORY, "out of memory");
  }
  return TW_OK;
}

// Sequence i goes on behind sequence i: a table in another order would put answers beside the wrong ids.
static tw_status check_ids(const tw_input *before, const char *name, const tw_text *texts, int count) {
  char *const *ids = before->origins.ids;
  for (int i = 0; ids && i < count; i++)
    if (texts[i].id && strcmp(ids[i], texts[i].id) != 0)
      return tw_fail(TW_ERR_MISMATCH,
                     "%s has another id than %s's text in that place; give each turn's table the order of the first "
                     "one's ids",
                     tw_text_name_of(texts, i).text, name);
  return TW_OK;
}

// Ids stay with a conversation; lines are of this turn's own file.
static tw_status keep_origins(const tw_input *before, const tw_text *texts, int count, tw_origins *out) {
  tw_origins earlier = before->origins;
  TW_TRY(tw_text_origins(texts, count, out));
  if (out->ids || !earlier.ids) return TW_OK;
  TW_TRY(tw_alloc((size_t)count * sizeof *out->ids, (void **)&out->ids));
  for (int i = 0; i < count; i++)
    if (!(out->ids[i] = strdup(earlier.ids[i]))) return tw_fail(TW_ERR_MEMORY, "out of memory for ids");
  return TW_OK;
}

tw_status tw_encode_turn(const tw_client *client, const tw_input *before, const tw_result *said, const char *name,
                         const tw_text *texts, int count, int seq, bool of_chats, tw_input *out) {
  int **ids, *lengths;
  memset(out, 0, sizeof *out);
  TW_TRY(check(before, said, name, count));
  TW_TRY(check_ids(before, name, texts, count));
  TW_TRY(tw_alloc((size_t)count * sizeof *ids, (void **)&ids));
  tw_status status = tw_alloc((size_t)count * sizeof *lengths, (void **)&lengths);
  for (int i = 0; i < count && status == TW_OK; i++) {
    int last = (int)said->values[(size_t)i * said->rows + said->rows - 1];
    status = tokens_of(client, last, &texts[i], of_chats, &ids[i], &lengths[i]);
  }
  if (status == TW_OK) status = tw_encode_ids(client, NULL, (const int *const *)ids, lengths, count, seq, out);
  if (status == TW_OK) status = keep_texts(texts, out);
  if (status == TW_OK) status = keep_origins(before, texts, count, &out->origins);
  if (status == TW_OK) status = keep_earlier(before, said, name, out);
  for (int i = 0; i < count; i++) tw_free(ids[i]);
  tw_free(ids);
  tw_free(lengths);
  if (status != TW_OK) tw_input_free(out);
  return status;
}
