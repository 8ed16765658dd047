#include "jobs/program/tile.h"

#include <string.h>

#include "base/memory.h"
#include "kernels/digest.h"
#include "kernels/digit.h"

static size_t in_tile(tw_rows r, size_t rows, size_t n) {
  return r.kind == TW_ROWS_COMMON ? n : r.outer * rows * r.inner;
}

static void make_tensors(tw_tile *t) {
  for (int i = 0; i < t->chain->tensor_count; i++) {
    const tw_chain_tensor *of = &t->chain->tensors[i];
    tw_tensor *x = &t->program.tensors[i];
    *x = t->whole->tensors[of->tensor];
    x->n = in_tile(of->rows, t->range.count, x->n);
    x->limit = 0;
    x->first_op = x->last_op = -1;
  }
}

static void find_lifetimes(tw_tile *t) {
  tw_tensor *x = t->program.tensors;
  for (int i = 0; i < t->program.op_count; i++) {
    const tw_op *op = &t->program.ops[i];
    for (int j = 0; j < op->in_count; j++) x[op->in[j]].last_op = i;
    for (int j = 0; j < op->out_count; j++) x[op->out[j]].first_op = x[op->out[j]].last_op = i;
  }
  for (int i = 0; i < t->chain->tensor_count; i++)
    if (t->chain->tensors[i].output) x[i].last_op = t->program.op_count;
}

static void make_op(tw_tile *t, int i) {
  const tw_op *whole = &t->whole->ops[t->chain->ops[i]];
  tw_op *op = &t->program.ops[i];
  *op = *whole;
  tw_chain_shape(t->whole, t->chain, whole, &t->shapes[i]);
  for (int j = 0; j < op->in_count; j++) op->in[j] = tw_chain_tensor_of(t->chain, whole->in[j]);
  for (int j = 0; j < op->out_count; j++) op->out[j] = tw_chain_tensor_of(t->chain, whole->out[j]);
  op->correction = t->program.correction_count;
  for (int j = 0, at = 0; j < op->dealt_count; j++) {
    if (!(op->dealt >> j & 1)) continue;
    t->dealt[t->program.correction_count] = t->shapes[i].dealt[j];
    tw_correction *c = &t->program.corrections[t->program.correction_count++];
    *c = t->whole->corrections[whole->correction + at++];
    c->n = in_tile(t->shapes[i].dealt[j], t->range.count, c->n);
  }
}

static tw_status make_lists(tw_tile *t) {
  const tw_chain *c = t->chain;
  void *memory;
  size_t ops = (size_t)c->op_count + 1;
  TW_TRY(tw_alloc(sizeof(tw_tensor) * (size_t)(c->tensor_count + 1), &memory));
  t->program.tensors = memory;
  TW_TRY(tw_alloc(sizeof(tw_op) * ops, &memory));
  t->program.ops = memory;
  TW_TRY(tw_alloc(sizeof(tw_correction) * TW_MAX_CORRECTIONS * ops, &memory));
  t->program.corrections = memory;
  TW_TRY(tw_alloc(sizeof(tw_row_shape) * ops, &memory));
  t->shapes = memory;
  TW_TRY(tw_alloc(sizeof(tw_rows) * TW_MAX_CORRECTIONS * ops, &memory));
  t->dealt = memory;
  t->program.tensor_count = c->tensor_count;
  t->program.op_count = c->op_count;
  return TW_OK;
}

tw_status tw_tile_make(const tw_program *whole, const tw_chain *chain, size_t rows, tw_tile *out) {
  *out = (tw_tile){.whole = whole, .chain = chain, .range = {0, rows}};
  out->program = (tw_program){.pool = whole->pool,
                              .pool_count = whole->pool_count,
                              .steps = whole->steps,
                              .step_count = whole->step_count,
                              .tables = whole->tables,
                              .table_count = whole->table_count,
                              .guard = -1,
                              .use_count = whole->use_count,
                              .finished = true};
  TW_TRY(make_lists(out));
  make_tensors(out);
  for (int i = 0; i < chain->op_count; i++) make_op(out, i);
  find_lifetimes(out);
  return tw_tile_move(out, 0);
}

void tw_tile_free(tw_tile *t) {
  tw_free(t->program.tensors);
  tw_free(t->program.ops);
  tw_free(t->program.corrections);
  tw_free(t->shapes);
  tw_free(t->dealt);
  *t = (tw_tile){0};
}

tw_status tw_tile_move(tw_tile *t, size_t first) {
  t->range.first = first;
  for (int i = 0; i < t->program.op_count; i++) {
    const tw_op *op = &t->program.ops[i];
    if (op->gate->tile && !op->gate->tile(&t->shapes[i], t->range, &t->program.ops[i]))
      return tw_fail(TW_ERR_RANGE, "rows %zu to %zu are no tile of gate %s: they belong to two heads", first,
                     first + t->range.count - 1, op->gate->name);
  }
  return TW_OK;
}

static void copy_bits(const uint64_t *from, size_t from_at, uint64_t *to, size_t to_at, size_t count) {
  for (size_t j = 0; j < count; j++) {
    uint64_t bit = from[(from_at + j) / 64] >> ((from_at + j) % 64) & 1, at = (to_at + j) % 64;
    to[(to_at + j) / 64] = (to[(to_at + j) / 64] & ~(1ull << at)) | bit << at;
  }
}

typedef enum { GATHER, SCATTER } direction;

// A run of a tile's elements that lie one after the other in the whole, too.
static void move_run(direction d, size_t planes, uint64_t *whole, size_t whole_at, uint64_t *tile, size_t tile_at,
                     size_t count) {
  if (planes == 0)
    memcpy(d == GATHER ? tile + tile_at : whole + whole_at, d == GATHER ? whole + whole_at : tile + tile_at, 8 * count);
  else if (d == GATHER)
    copy_bits(whole, whole_at, tile, tile_at, count);
  else
    copy_bits(tile, tile_at, whole, whole_at, count);
}

static void move(direction d, const tw_tile_part *part, tw_row_range range, uint64_t *whole, uint64_t *tile) {
  size_t here = in_tile(part->rows, range.count, part->n), outer = part->rows.outer,
         run = range.count * part->rows.inner, words = tw_words(part->n), tile_words = tw_words(here);
  if (part->rows.kind == TW_ROWS_COMMON) outer = 1, run = part->n, range.first = 0;
  for (size_t plane = 0; plane < (part->planes ? part->planes : 1); plane++)
    for (size_t o = 0; o < outer; o++)
      move_run(d, part->planes, whole + plane * words, (o * part->all + range.first) * part->rows.inner,
               tile + plane * tile_words, o * run, run);
}

static uint64_t digest_bits(const uint64_t *tile, size_t tile_at, size_t at, size_t first_word, size_t count) {
  uint64_t sum = 0;
  for (size_t j = 0; j < count; j++) {
    uint64_t bit = tile[(tile_at + j) / 64] >> (tile_at + j) % 64 & 1;
    sum += tw_plane_digest_term(bit << (at + j) % 64, first_word + (at + j) / 64);
  }
  return sum;
}

uint64_t tw_tile_digest(const tw_tile_part *part, tw_row_range range, const uint64_t *tile) {
  size_t run = range.count * part->rows.inner, words = tw_words(part->n), tile_words = tw_words(part->rows.outer * run);
  uint64_t sum = 0;
  for (size_t o = 0; o < part->rows.outer; o++) {
    size_t at = (o * part->all + range.first) * part->rows.inner;
    for (size_t j = 0; j < run && !part->planes; j++) sum += tw_open_digest_term(tile[o * run + j], at + j);
    for (size_t plane = 0; plane < part->planes; plane++)
      sum += digest_bits(tile + plane * tile_words, o * run, at, plane * words, run);
  }
  return sum;
}

void tw_tile_gather(const tw_tile_part *part, tw_row_range range, const uint64_t *whole, uint64_t *tile) {
  move(GATHER, part, range, (uint64_t *)whole, tile);
}

void tw_tile_scatter(const tw_tile_part *part, tw_row_range range, const uint64_t *tile, uint64_t *whole) {
  move(SCATTER, part, range, whole, (uint64_t *)tile);
}
