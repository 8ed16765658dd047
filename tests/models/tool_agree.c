// What the emulator makes of token ids, against the float model: for tools/check_agreement.py.
//
//   tool_agree NAME [TOKENS] <ids >lines    NAME.model.h5, a decoder with a head of words; a line of ids is a sequence
//
// Every sequence has a plan of its own length, with the assumed bounds and a guard, and the logits of every row. A line
// of JSON a sequence: rows; rows whose largest logit is another one, and the float model's gap between both; the sum of
// squared differences of logits, and the largest; values out of bound that the guard counted, and the emulator met.
//
// With TOKENS the plan writes so many behind each sequence, whatever ends a text. A line has the ids; how many of them
// are the float model's own behind the same sequence, before the first other one; and the float model's gap between
// both there, 0 where there is none.
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "jobs/models/decoder_float.h"
#include "jobs/models/head.h"
#include "jobs/parties/emulate.h"

static int read_ids(char *line, int *ids, int room) {
  int count = 0;
  for (char *end; count < room; line = end) {
    long id = strtol(line, &end, 10);
    if (end == line) break;
    ids[count++] = (int)id;
  }
  return count;
}

static int largest_of(const double *row, int n) {
  int best = 0;
  for (int i = 1; i < n; i++)
    if (row[i] > row[best]) best = i;
  return best;
}

static void print(const tw_emulation *e, const double *wanted, int rows, int words, double unit) {
  double squares = 0, largest = 0, *row = calloc((size_t)words, sizeof *row);
  int differ = 0;
  printf("{\"rows\": %d, \"gaps\": [", rows);
  for (int i = 0; row && i < rows; i++) {
    const double *f = wanted + (size_t)i * (size_t)words;
    for (int k = 0; k < words; k++) {
      row[k] = (double)e->output[(size_t)i * (size_t)words + (size_t)k] * unit;
      double d = row[k] - f[k];
      squares += d * d;
      largest = fmax(largest, fabs(d));
    }
    int mine = largest_of(row, words), theirs = largest_of(f, words);
    if (mine != theirs) printf("%s%.6f", differ++ ? ", " : "", f[theirs] - f[mine]);
  }
  printf("], \"differ\": %d, \"squares\": %.9g, \"largest\": %.6f, \"guard\": %llu, \"out_of_bound\": %llu}\n", differ,
         squares, largest, (unsigned long long)e->guard[0], (unsigned long long)e->out_of_bound);
  fflush(stdout);
  free(row);
}

static tw_status float_logits(const tw_model *model, const int *ids, int length, double **out) {
  size_t n = (size_t)length * (size_t)model->config.hidden, words = (size_t)model->config.head.outputs;
  double *x;
  TW_TRY(tw_alloc(n * sizeof *x, (void **)&x));
  tw_status status = tw_alloc((size_t)length * words * sizeof **out, (void **)out);
  if (status == TW_OK) status = tw_float_embed(model, ids, length, 0, x);
  if (status == TW_OK) status = tw_float_forward(model, x, length, length, 0, x, NULL);
  if (status == TW_OK) status = tw_float_output(model, TW_OUTPUT_ALL_LOGITS, x, length, 0, *out, NULL);
  tw_free(x);
  return status;
}

static tw_status agree(const tw_model *model, int *ids, int length, uint64_t slot) {
  tw_plan plan;
  tw_emulation e;
  double *wanted = NULL;
  tw_plan_request request = {.seq = length, .output = TW_OUTPUT_ALL_LOGITS, .guard = true};
  tw_input input = {.count = 1, .seq = length, .lengths = &length, .tokens = ids};
  TW_TRY(tw_plan_make(&model->config, &request, NULL, &plan));
  tw_status status = tw_emulate(&plan, model, NULL, &input, &slot, 1, &e);
  if (status == TW_OK) {
    status = float_logits(model, ids, length, &wanted);
    const tw_tensor *out = &plan.program.tensors[plan.program.outputs[0]];
    if (status == TW_OK) print(&e, wanted, length, model->config.head.outputs, ldexp(1, -out->scale));
    tw_free(wanted);
    tw_emulation_free(&e);
  }
  tw_plan_free(&plan);
  return status;
}

// Float behind the tokens that were written is float's own text up to the first difference.
static void print_text(const int *ids, int length, int tokens, const double *logits, int words, const tw_emulation *e) {
  int same = 0;
  double gap = 0;
  for (; same < tokens; same++) {
    const double *row = logits + (size_t)(length - 1 + same) * (size_t)words;
    int wanted = largest_of(row, words);
    gap = row[wanted] - row[ids[length + same]];
    if (wanted != ids[length + same]) break;
  }
  printf("{\"ids\": [");
  for (int i = 0; i < tokens; i++) printf("%s%d", i ? ", " : "", ids[length + i]);
  printf("], \"same\": %d, \"gap\": %.6f, \"guard\": %llu, \"out_of_bound\": %llu}\n", same, gap,
         (unsigned long long)e->guard[0], (unsigned long long)e->out_of_bound);
  fflush(stdout);
}

static tw_status write_text(tw_model *model, int *ids, int length, int tokens, uint64_t slot) {
  tw_plan plan;
  tw_emulation e;
  double *logits = NULL;
  tw_plan_request request = {.seq = length, .output = TW_OUTPUT_TEXT, .generated = tokens, .guard = true};
  tw_input input = {.count = 1, .seq = length, .lengths = &length, .tokens = ids};
  model->config.end_count = 0;
  TW_TRY(tw_plan_make(&model->config, &request, NULL, &plan));
  tw_status status = tw_emulate(&plan, model, NULL, &input, &slot, 1, &e);
  if (status == TW_OK) {
    for (int i = 0; i < tokens; i++) ids[length + i] = (int)e.output[i];
    status = float_logits(model, ids, length + tokens, &logits);
    if (status == TW_OK) print_text(ids, length, tokens, logits, model->config.head.outputs, &e);
    tw_free(logits);
    tw_emulation_free(&e);
  }
  tw_plan_free(&plan);
  return status;
}

int main(int argc, char **argv) {
  static char line[1 << 16];
  static int ids[TW_MOST_TOKENS];
  char path[4096];
  tw_model model;
  int tokens = argc == 3 ? atoi(argv[2]) : 0;
  if (argc < 2 || argc > 3 || tokens < 0 || tokens > TW_MOST_TOKENS) return 2;
  snprintf(path, sizeof path, "%s.model.h5", argv[1]);
  tw_status status = tw_model_read(path, &model);
  for (uint64_t slot = 0; status == TW_OK && fgets(line, sizeof line, stdin); slot++) {
    int length = read_ids(line, ids, TW_MOST_TOKENS - tokens);
    if (length > 0 && tokens == 0) status = agree(&model, ids, length, slot);
    if (length > 0 && tokens > 0) status = write_text(&model, ids, length, tokens, slot);
  }
  if (status != TW_OK) fprintf(stderr, "%s\n", tw_error_message());
  return status == TW_OK ? 0 : 1;
}
