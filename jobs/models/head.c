#include "jobs/models/head.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "io/bert_tensors.h"
#include "io/decoder_tensors.h"
#include "jobs/models/decoder.h"
#include "jobs/models/decoder_float.h"
#include "jobs/models/float_parts.h"
#include "jobs/models/noise.h"
#include "jobs/models/ring_widths.h"

enum {
  LAST_NORM = 32,         // rows that are the output
  WIDEST_ROWS = 64 - 15,  // what a norm puts out (jobs/models/bert_rings.c)
  MEAN_BITS = 20          // a mean's factor: 1/n to 2^-21, for n = 512 0.02 percent
};

// Numbers of the head's tensors: behind those of the layers.
static int first_tensor(const tw_model_config *c) {
  return tw_tensor_number(tw_tensor_table_of(c), c->layers, 0, TW_BERT_IN_LAYER);
}
static int dense_weight(const tw_model_config *c) { return first_tensor(c) + TW_HEAD_DENSE_WEIGHT; }
static int out_weight(const tw_model_config *c) {
  if (c->head.kind == TW_HEAD_WORDS)
    return tw_tensor_number(tw_tensor_table_of(c), c->layers, 0, tw_decoder_layout_of(c)->head);
  return first_tensor(c) + (c->head.kind == TW_HEAD_TOKENS ? 0 : TW_HEAD_OUT_WEIGHT);
}

static bool has_dense(const tw_head *h) { return h->kind != TW_HEAD_TOKENS && h->kind != TW_HEAD_WORDS; }
static bool has_out(const tw_head *h) { return h->kind != TW_HEAD_DENSE; }

// ---- bounds and rings

tw_head_bounds tw_head_default_bounds(void) {
  return (tw_head_bounds){.dense = 1023, .outputs = 1023, .norm = {0.0625, 0x1p34, 63, 1023}};
}

tw_head_bounds tw_head_widened(const tw_head_bounds *measured, double margin) {
  tw_norm_bounds norm = measured->norm;
  norm.variance_sum_min /= margin;
  norm.variance_sum_max *= margin;
  return (tw_head_bounds){fmax(measured->dense * margin, 31), fmax(measured->outputs * margin, 31), norm};
}

static tw_status refuse(const char *what, int ring, double bound) {
  return tw_fail(TW_ERR_RANGE,
                 "plan refused: tensor %s: bound %.4g needs a ring of %d bits, at most %d fit; lower the bound (`twain "
                 "plan --calibrate` measures it)",
                 what, bound, ring, WIDEST_ROWS);
}

static tw_status choose_decoder(const tw_layer_shape *shape, const tw_head_bounds *bounds, tw_head_rings *out) {
  const tw_norm_bounds *norm = &bounds->norm;
  out->norm = tw_decoder_norm_rings(shape, norm->variance_sum_min, norm->variance_sum_max, norm->norm_weight);
  double largest = bounds->outputs + TW_NOISE_LARGEST * shape->temperature;
  if (shape->config.head.kind == TW_HEAD_WORDS)
    out->outputs = 2 * TW_SCALE + tw_wire_room(shape) + tw_bits_for(largest);
  out->rows = tw_larger(LAST_NORM, out->outputs);
  if (out->outputs > WIDEST_ROWS) return refuse("head.out", out->outputs, bounds->outputs);
  return tw_decoder_check_norm(shape, -1, norm, &out->norm, out->rows);
}

tw_status tw_head_choose_rings(const tw_layer_shape *shape, const tw_head_bounds *bounds, double largest_row,
                               tw_head_rings *out) {
  const tw_head *h = &shape->config.head;
  int extra = tw_wire_room(shape);
  *out = (tw_head_rings){.rows = 0};
  if (tw_decoder_layout_of(&shape->config)) return choose_decoder(shape, bounds, out);
  if (has_out(h)) out->outputs = out->rows = 2 * TW_SCALE + extra + tw_bits_for(bounds->outputs);
  if (has_dense(h)) {
    const tw_spec *spec = *h->activation ? tw_spec_by_name(h->activation) : NULL;
    int argument = TW_SCALE + extra + tw_bits_for(bounds->dense);
    if (spec) argument = tw_larger(argument, tw_larger(spec->width + spec->low_bits + 2, spec->ring));
    out->dense = out->rows = argument + TW_SCALE;
  }
  if (h->kind == TW_HEAD_DENSE && h->rows == TW_OUTPUT_POOLED) {
    int mean = TW_SCALE + MEAN_BITS + extra + tw_bits_for(largest_row);
    if (mean > WIDEST_ROWS) return refuse("mean of the output rows", mean, largest_row);
    out->rows = WIDEST_ROWS;
  }
  if (out->dense > WIDEST_ROWS) return refuse("head.dense", out->dense, bounds->dense);
  if (out->outputs > WIDEST_ROWS) return refuse("head.out", out->outputs, bounds->outputs);
  return TW_OK;
}

void tw_head_raise_bounds(const tw_layer_shape *shape, const tw_head_rings *rings, tw_head_bounds *bounds) {
  double unit = ldexp(1, -TW_SCALE);
  int taken = 2 * TW_SCALE + tw_wire_room(shape);
  if (rings->dense) bounds->dense = fmax(bounds->dense, ldexp(1, rings->dense - taken) - unit);
  double noise = TW_NOISE_LARGEST * shape->temperature;
  if (rings->outputs) bounds->outputs = fmax(bounds->outputs, ldexp(1, rings->outputs - taken) - unit - noise);
}

// ---- the program

static int truncate(tw_builder *b, bool exact, int x) {
  return exact ? tw_truncate_faithful(b, x, TW_SCALE) : tw_truncate(b, x, TW_SCALE);
}

// The mean over live rows in ring `ring`: opened afresh, as the sum's mask has a factor, and once more, as it is
// narrower then.
static int mean_of(tw_builder *b, int x, tw_tokens tokens, size_t hidden, int ring) {
  x = tw_reduce(b, x, WIDEST_ROWS);
  x = tw_open(b, tw_as_share(b, tw_mean_live(b, x, tokens, hidden, MEAN_BITS)));
  x = tw_truncate(b, x, MEAN_BITS);
  tw_declare(b, x, "head mean", 0, TW_BY_ROW, 1, (tw_tokens){1, 1, 0, false});
  return tw_open(b, tw_extend(b, x, ring));
}

int tw_build_head(tw_builder *b, const tw_layer_shape *shape, const tw_head_rings *rings, bool exact, int x) {
  const tw_model_config *c = &shape->config;
  const tw_head *h = &c->head;
  size_t seq = (size_t)shape->seq, hidden = (size_t)c->hidden, outputs = (size_t)h->outputs;
  tw_tokens all = {seq, seq, 0, c->causal}, one = {1, 1, 0, false}, tokens = h->rows == TW_OUTPUT_TOKENS ? all : one;
  tw_step_begin(b, -1, "head dense");
  x = h->rows == TW_OUTPUT_POOLED ? mean_of(b, x, all, hidden, rings->dense)
                                  : tw_build_pooled(b, h->rows, x, all, hidden);
  if (has_dense(h)) {
    size_t wide = has_out(h) ? hidden : outputs;
    x = tw_open(b, tw_linear(b, x, dense_weight(c), hidden, wide, rings->dense, TW_SCALE));
    x = truncate(b, exact && !has_out(h), x);
    tw_declare(b, x, "head dense", 0, TW_BY_ROW, 1, tokens);
    if (*h->activation) {
      tw_step_begin(b, -1, h->activation);
      x = tw_apply_spec(b, x, tw_spec_by_name(h->activation), has_out(h) ? rings->outputs : rings->dense - TW_SCALE);
      if (has_out(h)) x = tw_open(b, x);
    }
  }
  if (!has_out(h)) return x;
  tw_step_begin(b, -1, "head out");
  x = truncate(b, exact, tw_open(b, tw_linear(b, x, out_weight(c), hidden, outputs, rings->outputs, TW_SCALE)));
  tw_declare(b, x, "head out", 0, TW_BY_ROW, 1, tokens);
  return x;
}

// From differences at COARSE fractional bits. Their ring has two bits more than the bound, as differences have one.
int tw_build_next_word(tw_builder *b, const tw_layer_shape *shape, int logits, int ended, uint64_t otherwise,
                       tw_argmax_row *row) {
  enum { COARSE = 7 };
  tw_argmax_level levels[TW_ARGMAX_LEVELS];
  tw_step_begin(b, -1, "argmax");
  int x = tw_truncate_dithered(b, logits, TW_SCALE - COARSE), ring = tw_look(b, x).ring - (tw_wire_room(shape) - 2);
  int rounds = b->choices.argmax_rounds, found;
  bool wide = b->choices.wide_nodes;
  size_t words = tw_look(b, x).n;
  if (b->status != TW_OK) return 0;
  if (row)
    found = tw_argmax_find_with_row(words, ring, wide, rounds, row->table->width, row->ring, levels);
  else
    found = tw_argmax_find(words, ring, wide, rounds, levels);
  if (found == 0)
    return tw_build_fail(b, TW_ERR_USAGE,
                         "no argmax of %zu words of %d bits%s takes %d rounds; allow more (--argmax-rounds), or nodes "
                         "of 8 digits (--node-arity 8)",
                         words, ring, row ? " with a lookup beside it" : "", rounds);
  return tw_argmax_with_row(b, tw_reduce(b, x, ring), 1, levels, ended, otherwise, row);
}

int tw_build_word_id(tw_builder *b, int number) {
  int64_t unit[TW_MOST_PLACE_BITS];
  int bits = tw_look(b, number).planes;
  for (int p = 0; p < bits && p < TW_MOST_PLACE_BITS; p++) unit[p] = (int64_t)1 << p;
  return tw_bit_constants(b, number, 0, bits, unit, bits + 1, 0);
}

int tw_build_decoder_output(tw_builder *b, const tw_layer_shape *shape, const tw_head_rings *rings,
                            tw_model_output output, bool exact, int x) {
  const tw_model_config *c = &shape->config;
  const tw_decoder_layout *l = tw_decoder_layout_of(c);
  bool words = tw_output_of_head(output);
  size_t hidden = (size_t)c->hidden, rows = tw_look(b, x).n / hidden;
  if (b->status != TW_OK) return 0;  // there are no rows
  tw_tokens one = {1, 1, 0, false}, tokens = rows > 1 ? tw_shape_tokens(shape) : one;
  if (tw_output_of_last_row(output) && rows > 1)
    return tw_build_fail(b, TW_ERR_INTERNAL, "%s of every row", tw_output_name(output));
  int gamma = tw_tensor_number(tw_tensor_table_of(c), c->layers, 0, l->final_norm), beta = -1;
  tw_step_begin(b, -1, "norm");
  b->exact_result = exact && !words;
  if (!l->rms_norm) beta = tw_weight_wire(b, gamma + 1, TW_SCALE, hidden);
  x = tw_build_norm(b, tokens, x, beta >= 0 && !shape->centred, tw_weight_wire(b, gamma, TW_SCALE, hidden), beta,
                    hidden, rings->norm, rings->rows, c->norm_epsilon);
  if (!words) return x;
  tw_step_begin(b, -1, "head out");
  size_t outputs = (size_t)c->head.outputs;
  x = tw_linear(b, x, out_weight(c), hidden, outputs, rings->outputs, TW_SCALE);
  if (shape->temperature > 0)
    x = tw_add_noise(b, x, (int[]){tw_table_named(b, tw_noise_base), tw_table_named(b, tw_noise_slope)});
  x = truncate(b, exact, tw_open(b, x));
  tw_declare(b, x, "head out", 0, TW_BY_ROW, 1, tokens);
  if (output != TW_OUTPUT_NEXT_TOKEN) return x;
  return tw_build_word_id(b, tw_open(b, tw_build_next_word(b, shape, x, -1, 0, NULL)));
}

// ---- in double precision

// From rows [count][hidden]; middle: as large.
static tw_status head_of(const tw_model *model, const double *rows, int count, int quantised, double *middle,
                         double *out, tw_head_bounds *bounds) {
  const tw_model_config *c = &model->config;
  const tw_head *h = &c->head;
  if (has_dense(h)) {
    double *to = has_out(h) ? middle : out;
    size_t n = (size_t)count * (size_t)(has_out(h) ? c->hidden : h->outputs);
    TW_TRY(tw_float_linear(model, dense_weight(c), quantised, rows, (size_t)count, to));
    if (bounds) tw_observe(&bounds->dense, to, n);
    const tw_spec *spec = *h->activation ? tw_spec_by_name(h->activation) : NULL;
    for (size_t i = 0; spec && i < n; i++) to[i] = spec->f(to[i]);
    rows = middle;
  }
  if (!has_out(h)) return TW_OK;
  TW_TRY(tw_float_linear(model, out_weight(c), quantised, rows, (size_t)count, out));
  if (bounds) tw_observe(&bounds->outputs, out, (size_t)count * (size_t)h->outputs);
  return TW_OK;
}

// The rows that `output` reads, into chosen [*count][hidden]. Sums of squares of all rows are observed: which of them
// is the last depends on the sequence.
static tw_status choose_rows(const tw_model *model, tw_model_output output, const double *rows, int length,
                             int quantised, double *chosen, int *count, tw_head_bounds *bounds) {
  const tw_model_config *c = &model->config;
  size_t hidden = (size_t)c->hidden;
  bool decoder = tw_decoder_layout_of(c) != NULL;
  tw_model_output taken = output;
  if (tw_output_of_head(output)) taken = c->head.rows;
  *count = taken == TW_OUTPUT_TOKENS ? length : 1;
  if (decoder)
    TW_TRY(tw_float_decoder_rows(model, rows, length, quantised, chosen, bounds ? &bounds->norm : NULL));
  else if (taken == TW_OUTPUT_POOLED)
    tw_pool_mean(rows, length, c->hidden, chosen);
  else
    memcpy(chosen, rows, (size_t)*count * hidden * sizeof *rows);
  if (!decoder || !tw_output_of_last_row(output)) return TW_OK;
  memmove(chosen, chosen + (size_t)(length - 1) * hidden, hidden * sizeof *rows);
  *count = 1;
  return TW_OK;
}

tw_status tw_float_output(const tw_model *model, tw_model_output output, const double *rows, int length, int quantised,
                          double *out, tw_head_bounds *bounds) {
  size_t hidden = (size_t)model->config.hidden, n = (size_t)length * hidden;
  double *chosen;
  int count;
  TW_TRY(tw_alloc(2 * n * sizeof *chosen, (void **)&chosen));
  tw_status status = choose_rows(model, output, rows, length, quantised, chosen, &count, bounds);
  if (status == TW_OK && tw_output_of_head(output))
    status = head_of(model, chosen, count, quantised, chosen + n, out, bounds);
  else if (status == TW_OK)
    memcpy(out, chosen, (size_t)count * hidden * sizeof *out);
  tw_free(chosen);
  return status;
}

tw_head_bounds tw_head_bounds_start(const tw_model *model) { return (tw_head_bounds){.norm = tw_bounds_of_top(model)}; }
