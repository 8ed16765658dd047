#include "app/fit.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "app/encoding.h"
#include "app/show/print.h"
#include "app/texts.h"
#include "base/memory.h"
#include "io/new_files.h"
#include "jobs/plan/lengths.h"

const tw_option tw_option_lengths = {
    .name = "lengths",
    .kind = TW_OPTION_TEXT,
    .value = "LIST",
    .help =
        "programs for several lengths, as 16,32,128, the longest of --seq: each text is padded to the shortest that "
        "takes it"};
const tw_option tw_option_fit = {
    .name = "fit",
    .kind = TW_OPTION_TEXT,
    .value = "FILE",
    .help =
        "choose lengths, as --lengths names them, by the texts of FILE, a sample of those to come: .csv, .tsv, .jsonl, "
        "or one text a "
        "line. Without --seq the longest text counts, up to where the model's own software cuts"};
const tw_option tw_option_fit_column = {.name = "text-column",
                                        .kind = TW_OPTION_TEXT,
                                        .value = "COLUMN",
                                        .help = "column, or key, of the texts (not given: text)"};

tw_status tw_fit_check(const tw_fit_words *w, bool shape) {
  if (w->lengths && w->fit) return tw_fail(TW_ERR_USAGE, "--fit chooses lengths, --lengths names them: take one");
  if (w->fit && shape) return tw_fail(TW_ERR_USAGE, "--fit counts tokens of NAME's texts; leave --shape out");
  if (w->text_column && !w->fit) return tw_fail(TW_ERR_USAGE, "--text-column goes with --fit FILE");
  if (w->chunk && !w->fit) return tw_fail(TW_ERR_USAGE, "--chunk of a plan counts chunks of --fit FILE");
  if (w->overlap >= 0 && !w->chunk) return tw_fail(TW_ERR_USAGE, "--overlap goes with --chunk");
  return TW_OK;
}

// ---- the sample

static tw_status read_texts(const tw_fit_words *w, tw_texts *out) {
  static const struct {
    const char *ending;
    tw_text_table_form form;
  } forms[] = {{".csv", TW_TABLE_CSV}, {".tsv", TW_TABLE_TSV}, {".jsonl", TW_TABLE_JSON_LINES}};
  const char *dot = strrchr(w->fit, '.');
  for (size_t i = 0; dot && i < sizeof forms / sizeof *forms; i++)
    if (strcasecmp(dot, forms[i].ending) == 0)
      return tw_texts_of_table(w->fit, forms[i].form, w->text_column ? w->text_column : "text", NULL, out);
  if (w->text_column)
    return tw_fail(TW_ERR_USAGE, "%s: --text-column is for files that end in .csv, .tsv or .jsonl", w->fit);
  return tw_texts_read(w->fit, false, out);
}

static tw_status count_tokens(const tw_client *client, const tw_texts *texts, tw_sample *out) {
  int most = tw_encode_limit(client, client->config.max_positions);
  TW_TRY(tw_alloc(sizeof *out->tokens * (size_t)texts->count, (void **)&out->tokens));
  TW_TRY(tw_encode_count(client, texts->texts, texts->count, out->tokens));
  out->count = out->texts = texts->count;
  for (int i = 0; i < out->count; i++)
    if (out->tokens[i] > out->longest) out->longest = out->tokens[i];
  if (out->longest > most) out->longest = most;
  return TW_OK;
}

// As `encode --chunk` makes them.
static tw_status count_chunks(const tw_fit_words *w, const tw_client *client, const tw_texts *texts, int64_t seq,
                              tw_sample *out) {
  tw_input input;
  tw_text_count *counts;
  TW_TRY(tw_alloc(sizeof *counts * (size_t)texts->count, (void **)&counts));
  tw_status status = tw_encode_chunks(client, texts->texts, texts->count, seq > 0 ? (int)seq : out->longest,
                                      w->overlap < 0 ? TW_OVERLAP : (int)w->overlap, counts, &input);
  tw_free(counts);
  TW_TRY(status);
  tw_free(out->tokens);
  out->count = input.count;
  out->tokens = input.lengths;
  input.lengths = NULL;
  tw_input_free(&input);
  return TW_OK;
}

tw_status tw_sample_read(const tw_fit_words *w, const char *name, int64_t seq, tw_sample *out) {
  tw_texts texts;
  tw_client client;
  *out = (tw_sample){.count = 0};
  if (!w->fit) return TW_OK;
  TW_TRY(read_texts(w, &texts));
  tw_status status = tw_client_read(tw_path_of(name, "client.h5").text, &client);
  if (status == TW_OK) {
    status = count_tokens(&client, &texts, out);
    if (status == TW_OK && w->chunk) status = count_chunks(w, &client, &texts, seq, out);
    tw_client_free(&client);
  }
  tw_texts_free(&texts);
  return status;
}

void tw_sample_free(tw_sample *sample) {
  tw_free(sample->tokens);
  *sample = (tw_sample){.count = 0};
}

// ---- the choice

enum { STEP = 8 };  // lengths are multiples of it
#define WORTH 0.95  // what one length more must leave of the keys, at most

// Keys of one sequence, by length: a + b S + c S^2, as products of rows with rows are there.
typedef struct {
  double a, b, c;
} cost;

static double price(const cost *c, double seq) { return c->a + seq * (c->b + seq * c->c); }

static tw_status keys_of(const tw_plan *plan, int seq, double *out) {
  tw_plan one;
  TW_TRY(tw_plan_shorter(plan, seq, &one));
  *out = (double)(one.program.slot_bytes[0] + one.program.slot_bytes[1]);
  tw_plan_free(&one);
  return TW_OK;
}

// Through three lengths.
static tw_status find_cost(const tw_plan *plan, cost *out) {
  double s[3] = {plan->shape.seq / 4, plan->shape.seq / 2, plan->shape.seq}, y[3];
  for (int i = 0; i < 3; i++) TW_TRY(keys_of(plan, (int)s[i], &y[i]));
  double first = (y[1] - y[0]) / (s[1] - s[0]), second = (y[2] - y[1]) / (s[2] - s[1]);
  out->c = (second - first) / (s[2] - s[0]);
  out->b = first - out->c * (s[0] + s[1]);
  out->a = y[0] - s[0] * (out->b + s[0] * out->c);
  return TW_OK;
}

// Candidates STEP, 2 STEP ... and the plan's own length; texts [candidates]: those that each is the shortest for.
typedef struct {
  int count;
  int seqs[TW_MOST_TOKENS / STEP + 1];
  int64_t texts[TW_MOST_TOKENS / STEP + 1];
} ladder;

static void climb(const tw_sample *sample, int longest, ladder *l) {
  for (int seq = STEP; seq < longest; seq += STEP) l->seqs[l->count++] = seq;
  l->seqs[l->count++] = longest;
  for (int i = 0; i < sample->count; i++) {
    int at = 0;
    while (at + 1 < l->count && l->seqs[at] < sample->tokens[i]) at++;
    l->texts[at]++;
  }
}

// best[k][i]: least keys of all texts up to candidate i with k + 1 lengths, the last of which is i; from[k][i]: the one
// before it.
typedef struct {
  double best[TW_MOST_LENGTHS][TW_MOST_TOKENS / STEP + 1];
  int from[TW_MOST_LENGTHS][TW_MOST_TOKENS / STEP + 1];
} choice;

static void choose(const ladder *l, const cost *c, choice *out) {
  int64_t below = 0;
  for (int i = 0; i < l->count; i++) {
    below += l->texts[i];
    out->best[0][i] = (double)below * price(c, l->seqs[i]);
    out->from[0][i] = -1;
  }
  for (int k = 1; k < TW_MOST_LENGTHS; k++)
    for (int i = 0; i < l->count; i++) {
      out->best[k][i] = out->best[k - 1][i];
      out->from[k][i] = -1;
      int64_t texts = l->texts[i];
      for (int j = i - 1; j >= 0; texts += l->texts[j--]) {
        double keys = out->best[k - 1][j] + (double)texts * price(c, l->seqs[i]);
        if (keys < out->best[k][i]) out->best[k][i] = keys, out->from[k][i] = j;
      }
    }
}

// As many lengths as are each worth their messages. The last candidate is always one.
static int take(const ladder *l, const choice *c, int seqs[TW_MOST_LENGTHS], int64_t texts[TW_MOST_LENGTHS]) {
  int last = l->count - 1, k = 0, count = 0;
  while (k + 1 < TW_MOST_LENGTHS && c->best[k + 1][last] < WORTH * c->best[k][last]) k++;
  int places[TW_MOST_LENGTHS];
  for (int i = last; i >= 0; i = c->from[k][i], k -= k > 0) places[count++] = i;
  for (int n = 0; n < count; n++) {
    int to = places[count - 1 - n], after = n ? places[count - n] : -1;
    seqs[n] = l->seqs[to];
    texts[n] = 0;
    for (int i = after + 1; i <= to; i++) texts[n] += l->texts[i];
  }
  return count;
}

static tw_status fit(const tw_sample *sample, tw_plan *plan) {
  cost c;
  int seqs[TW_MOST_LENGTHS];
  int64_t texts[TW_MOST_LENGTHS];
  ladder *l;
  choice *best;
  if (plan->shape.seq < 2 * STEP) return TW_OK;
  TW_TRY(find_cost(plan, &c));
  TW_TRY(tw_alloc(sizeof *l, (void **)&l));
  tw_status status = tw_alloc(sizeof *best, (void **)&best);
  if (status == TW_OK) {
    climb(sample, plan->shape.seq, l);
    choose(l, &c, best);
    int count = take(l, best, seqs, texts);
    if (count > 1) status = tw_plan_set_lengths(plan, seqs, texts, count);
    tw_free(best);
  }
  tw_free(l);
  return status;
}

tw_status tw_fit_lengths(const tw_fit_words *w, const tw_sample *sample, tw_plan *plan) {
  int seqs[TW_MOST_LENGTHS], count;
  if (w->fit) return fit(sample, plan);
  if (!w->lengths) return TW_OK;
  TW_TRY(tw_length_list(w->lengths, seqs, &count));
  return tw_plan_set_lengths(plan, seqs, NULL, count);
}

tw_status tw_fit_print(const tw_sample *sample, const tw_plan *plan) {
  double keys = 0, whole;
  int longer = 0;
  if (!plan->length_count) return TW_OK;
  TW_TRY(keys_of(plan, plan->shape.seq, &whole));
  tw_grid grid = {0};
  const char *column = sample->count == sample->texts ? "\ttexts of the sample" : "\tsequences of the sample";
  tw_grid_row(&grid, "tokens\tkeys of both parties%s", sample->count ? column : "");
  tw_grid_rule(&grid);
  for (int i = 0; i < plan->length_count; i++) {
    const tw_plan_length *l = &plan->lengths[i];
    double one;
    TW_TRY(keys_of(plan, l->seq, &one));
    keys += one * (double)l->texts;
    if (sample->count)
      tw_grid_row(&grid, "up to %d\t%s\t%lld", l->seq, tw_text_bytes(one), (long long)l->texts);
    else
      tw_grid_row(&grid, "up to %d\t%s", l->seq, tw_text_bytes(one));
  }
  tw_grid_print(&grid);
  for (int i = 0; i < sample->count; i++) longer += sample->tokens[i] > plan->shape.seq;
  if (longer)
    printf("longer than %d tokens: %d of %d texts, counted as `encode --truncate` cuts them; --chunk counts chunks\n",
           plan->shape.seq, longer, sample->texts);
  if (sample->count > sample->texts)
    printf("divided as `encode --chunk` does: %d texts into %d sequences\n", sample->texts, sample->count);
  if (sample->count)
    printf("the sample's keys: %s; all padded to %d tokens: %s (%.0f percent)\n", tw_text_bytes(keys), plan->shape.seq,
           tw_text_bytes(whole * sample->count), 100 * keys / (whole * sample->count));
  return TW_OK;
}
