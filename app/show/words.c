#include "app/show/words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/show/labels.h"
#include "app/show/print.h"
#include "jobs/models/words.h"

enum { MOST = 5 };

typedef struct {
  const tw_result *r;
  const tw_input *input;
  const tw_words *words;
  const char *path;
  bool show_texts;
} source;

// `"the" 0.4310, "a" 0.0923`, behind the first `count` tokens of the sequence.
static tw_status describe(const source *s, const double *logits, const int *ids, int count, char *text, size_t room) {
  tw_word next[MOST];
  int most = s->r->cols < MOST ? s->r->cols : MOST;
  size_t used = 0;
  tw_words_likeliest(logits, s->r->cols, most, next);
  for (int i = 0; i < most; i++) {
    char *word;
    TW_TRY(tw_words_text(s->words, ids, count, next[i].id, &word));
    int n = snprintf(text + used, room - used, "%s%s %.4f", i ? ", " : "", word, next[i].probability);
    free(word);
    if (n < 0 || (size_t)n >= room - used) break;
    used += (size_t)n;
  }
  text[used] = '\0';
  return TW_OK;
}

static const double *row_of(const tw_result *r, int sequence, int row) {
  return r->values + ((size_t)sequence * r->rows + row) * r->cols;
}

static const int *ids_of(const source *s, int sequence) {
  return s->input ? s->input->tokens + (size_t)sequence * s->input->seq : NULL;
}

// "  after TEXT", the input's own, or nothing.
static const char *after(const source *s) { return s->input && s->show_texts ? "  after " : ""; }
static const char *text_of(const source *s, int sequence) {
  return s->input && s->show_texts ? s->input->texts[sequence] : "";
}

static int number_of(const source *s, int sequence) { return tw_text_number(s->r, sequence); }

static tw_status print_last(const source *s, int sequence) {
  char text[1024];
  const int *ids = ids_of(s, sequence);
  TW_TRY(describe(s, row_of(s->r, sequence, 0), ids, ids ? s->input->lengths[sequence] : 0, text, sizeof text));
  tw_print_line("%d: next %s%s%s", number_of(s, sequence), text, after(s), text_of(s, sequence));
  return TW_OK;
}

static double log_probability(const source *s, int sequence, int row) {
  return tw_words_log_probability(row_of(s->r, sequence, row - 1), s->r->cols, ids_of(s, sequence)[row]);
}

// The token of a row, with the probability that the row before gave it, and what may come next.
static tw_status print_row(const source *s, int sequence, int row) {
  char text[1024], *word = NULL;
  const int *ids = ids_of(s, sequence);
  int known = ids ? row + 1 : 0;
  TW_TRY(describe(s, row_of(s->r, sequence, row), ids, known, text, sizeof text));
  if (!ids || !s->show_texts) {
    tw_print_line("%d.%d: next %s", number_of(s, sequence), row + 1, text);
    return TW_OK;
  }
  TW_TRY(tw_words_text(s->words, ids, row, ids[row], &word));
  if (row == 0) {
    tw_print_line("%d.1: %s, next %s", number_of(s, sequence), word, text);
  } else {
    double ln = log_probability(s, sequence, row);
    tw_print_line("%d.%d: %s %.4f, next %s", number_of(s, sequence), row + 1, word, exp(ln), text);
  }
  free(word);
  return TW_OK;
}

static tw_status print_rows(const source *s, int sequence) {
  double sum = 0;
  int length = s->r->lengths[sequence];
  for (int row = 0; row < length && row < TW_ROWS_SHOWN; row++) TW_TRY(print_row(s, sequence, row));
  tw_rows_left_print(s->r, sequence, length, s->path);
  for (int row = 1; row < length && s->input; row++) sum += log_probability(s, sequence, row);
  if (s->input && length > 1)
    printf("%d: log probability %.4f of %d tokens behind the first, perplexity %.4f\n", number_of(s, sequence), sum,
           length - 1, exp(-sum / (length - 1)));
  return TW_OK;
}

static tw_status print_token(const source *s, int sequence) {
  const int *ids = ids_of(s, sequence);
  int token = (int)s->r->values[sequence];
  char *word;
  TW_TRY(tw_words_text(s->words, ids, ids ? s->input->lengths[sequence] : 0, token, &word));
  tw_print_line("%d: next %d %s%s%s", number_of(s, sequence), token, word, after(s), text_of(s, sequence));
  free(word);
  return TW_OK;
}

// The text behind the prompt, which ends where one of the model's ends stands.
static tw_status print_text(const source *s, const tw_model_config *c, int sequence) {
  const int *ids = ids_of(s, sequence);
  const double *values = row_of(s->r, sequence, 0);
  int before = ids ? s->input->lengths[sequence] : 0, count = 0;
  bool ended = false;
  char *text = NULL;
  int *all = calloc((size_t)(before + s->r->rows), sizeof *all);
  if (!all) return tw_fail(TW_ERR_MEMORY, "out of memory for a text");
  if (before) memcpy(all, ids, (size_t)before * sizeof *all);
  for (; count < s->r->rows && !ended; count++) {
    all[before + count] = (int)values[count];
    for (int i = 0; i < c->end_count; i++) ended |= all[before + count] == c->ends[i];
  }
  tw_status status = tw_words_texts(s->words, all, before, count - ended, &text);
  if (status == TW_OK)
    tw_print_line("%d: %s%s%s%s", number_of(s, sequence), text, ended ? "  (the text ends here)" : "", after(s),
                  text_of(s, sequence));
  free(text);
  free(all);
  return status;
}

static tw_status check_tokens(const source *s, int words) {
  for (int i = 0; i < s->r->count * s->r->rows; i++)
    if (s->r->values[i] < 0 || s->r->values[i] >= words)
      return tw_fail(
          TW_ERR_RANGE,
          "sequence %d has token %.0f, and there are %d words: arithmetic wrapped; plan again with a guard or "
          "with bounds of text like this (`twain plan --calibrate FILE`)",
          i / s->r->rows + 1, s->r->values[i], words);
  return TW_OK;
}

static tw_status check(const source *s, int words) {
  const tw_result *r = s->r;
  if (s->input && (s->input->count != r->count || s->input->seq < 1))
    return tw_fail(TW_ERR_MISMATCH, "the result has %d sequences, the input %d", r->count, s->input->count);
  for (int i = 0; i < r->count && s->input; i++)
    for (int k = 0; k < s->input->lengths[i]; k++)
      if (ids_of(s, i)[k] < 0 || ids_of(s, i)[k] >= words)
        return tw_fail(TW_ERR_MISMATCH, "the input has token %d, the result is of %d words; take the files of one run",
                       ids_of(s, i)[k], words);
  return TW_OK;
}

tw_status tw_words_print(const tw_result *r, const tw_client *client, const tw_input *input, const char *path,
                         bool show_texts) {
  tw_words *words;
  bool text = strcmp(r->output, "text") == 0, token = strcmp(r->output, "next-token") == 0;
  if (!token && !text && r->cols != client->config.vocab)
    return tw_fail(TW_ERR_MISMATCH,
                   "the result has %d logits a row, the client's file %d words; take the files of one model", r->cols,
                   client->config.vocab);
  TW_TRY(tw_words_new(client, &words));
  source s = {r, input, words, path, show_texts};
  bool last = strcmp(r->output, "logits") == 0;  // one row a sequence
  tw_status status = check(&s, client->config.vocab);
  if (status == TW_OK && (token || text)) status = check_tokens(&s, client->config.vocab);
  for (int i = 0; i < r->count && status == TW_OK; i++)
    status = text    ? print_text(&s, &client->config, i)
             : token ? print_token(&s, i)
             : last  ? print_last(&s, i)
                     : print_rows(&s, i);
  tw_words_free(words);
  return status;
}
