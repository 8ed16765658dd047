#include "jobs/program/program.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/program/pool.h"
#include "kernels/digit.h"
#include "kernels/pack.h"

void tw_program_free(tw_program *p) {
  tw_pool_close(p);
  free(p->tensors);
  free(p->ops);
  free(p->pool);
  free(p->corrections);
  free(p->steps);
  free(p->limits);
  free(p->outputs);
  memset(p, 0, sizeof *p);
}

// A level's opens come after its other gates; an opened tensor exists from the next level on.
static void assign_levels(tw_program *p) {
  for (int i = 0; i < p->tensor_count; i++) p->tensors[i].level = 0;
  p->levels = 0;
  for (int i = 0; i < p->op_count; i++) {
    tw_op *op = &p->ops[i];
    op->level = 0;
    for (int j = 0; j < op->in_count; j++)
      if (p->tensors[op->in[j]].level > op->level) op->level = p->tensors[op->in[j]].level;
    for (int j = 0; j < op->out_count; j++) p->tensors[op->out[j]].level = op->level + op->opens;
    if (op->opens && op->level + 1 > p->levels) p->levels = op->level + 1;
  }
}

// A counting sort: by level, openings last in each, else in the order of emission.
static tw_status order_by_level(tw_program *p) {
  void *memory;
  size_t keys = 2 * (size_t)(p->levels + 1) + 1;
  TW_TRY(tw_alloc(sizeof(tw_op) * (size_t)p->op_count + 1, &memory));
  tw_op *sorted = memory;
  tw_status status = tw_alloc(sizeof(int) * keys, &memory);
  if (status != TW_OK) {
    tw_free(sorted);
    return status;
  }
  int *next = memory;  // of a key, where its next op goes
  for (int i = 0; i < p->op_count; i++) next[2 * p->ops[i].level + p->ops[i].opens + 1]++;
  for (size_t key = 1; key < keys; key++) next[key] += next[key - 1];
  for (int i = 0; i < p->op_count; i++) sorted[next[2 * p->ops[i].level + p->ops[i].opens]++] = p->ops[i];
  memcpy(p->ops, sorted, sizeof(tw_op) * (size_t)p->op_count);
  tw_free(sorted);
  tw_free(next);
  return TW_OK;
}

size_t tw_correction_words(const tw_correction *c) {
  return c->kind == TW_DEALT_BITS ? (size_t)c->width * tw_words(c->n) : c->n;
}

uint64_t tw_correction_bytes(const tw_correction *c, int party) {
  size_t mine = tw_part_of(c, party).count;
  size_t bytes = c->kind == TW_DEALT_BITS ? 8 * tw_words(mine) * (size_t)c->width : tw_packed_bytes(mine, c->width);
  return (bytes + 63) / 64 * 64;
}

// Use ids run through the ordered program: an op's mask, then its corrections' pads.
static tw_status assign_streams(tw_program *p) {
  void *copy;
  TW_TRY(tw_alloc(sizeof(tw_correction) * (size_t)(p->correction_count + 1), &copy));
  tw_correction *ordered = copy;
  int count = 0;
  uint32_t use = 0;
  int openings = 0;
  uint64_t offset[2] = {0, 0};
  for (int i = 0; i < p->op_count; i++) {
    tw_op *op = &p->ops[i];
    if (op->opens) op->ordinal = openings++;
    if (op->opens || op->draws) op->mask_use = use++;
    int first = count;
    for (int j = 0; j < op->correction_count; j++) {
      tw_correction c = p->corrections[op->correction + j];
      c.use = use++;
      for (int party = 0; party < 2; party++) {
        c.offset[party] = offset[party];
        c.bytes[party] = tw_correction_bytes(&c, party);
        offset[party] += c.bytes[party];
      }
      ordered[count++] = c;
    }
    op->correction = first;
  }
  if (count) memcpy(p->corrections, ordered, sizeof(tw_correction) * (size_t)count);
  tw_free(copy);
  p->use_count = use;
  p->slot_bytes[0] = offset[0];
  p->slot_bytes[1] = offset[1];
  return count == p->correction_count ? TW_OK : tw_fail(TW_ERR_INTERNAL, "a correction belongs to no gate, or to two");
}

static tw_status assign_lifetimes(tw_program *p) {
  for (int i = 0; i < p->tensor_count; i++) p->tensors[i].first_op = p->tensors[i].last_op = -1;
  for (int i = 0; i < p->op_count; i++) {
    const tw_op *op = &p->ops[i];
    for (int j = 0; j < op->in_count; j++) {
      tw_tensor *t = &p->tensors[op->in[j]];
      if (t->first_op < 0)
        return tw_fail(TW_ERR_INTERNAL, "gate %d (%s) reads a tensor before it is made", i, op->gate->name);
      t->last_op = i;
    }
    for (int j = 0; j < op->out_count; j++) {
      tw_tensor *t = &p->tensors[op->out[j]];
      if (t->first_op >= 0) return tw_fail(TW_ERR_INTERNAL, "gate %d (%s) writes a tensor twice", i, op->gate->name);
      t->first_op = t->last_op = i;
    }
  }
  for (int i = 0; i < p->output_count; i++) p->tensors[p->outputs[i]].last_op = p->op_count;
  if (p->guard >= 0) p->tensors[p->guard].last_op = p->op_count;
  // its storage would be released before the flush that fills it
  for (int i = 0; i < p->op_count; i++)
    if (p->ops[i].opens && p->tensors[p->ops[i].out[0]].last_op == i)
      return tw_fail(TW_ERR_INTERNAL, "gate %d opens a tensor that nobody reads", i);
  return TW_OK;
}

// Backwards: a mask of an opening is drawn, that of another gate follows from those of what it reads.
static tw_status mark_products(tw_program *p) {
  void *memory;
  TW_TRY(tw_alloc(sizeof(bool) * (size_t)(p->tensor_count + 1), &memory));
  bool *read = memory;
  int next = -1;
  for (int i = p->op_count - 1; i >= 0; i--) {
    tw_op *op = &p->ops[i];
    op->for_product = op->gate->prepare != NULL;
    op->next_prepared = next;
    if (op->for_product) next = i;
    for (int j = 0; j < op->out_count && op->gate->mask; j++) op->for_product |= read[op->out[j]];
    for (int j = 0; j < op->in_count && op->for_product && !op->opens; j++) read[op->in[j]] = true;
  }
  tw_free(read);
  return TW_OK;
}

static bool follows(const tw_program *p, const tw_op *op) {
  if (!op->gate->mask || op->opens || op->out_count == 0) return false;
  tw_kind kind = p->tensors[op->out[0]].kind;
  return kind == TW_WIRE || kind == TW_BITWIRE;
}

// Masks of openings are drawn; a gate's follows from its inputs'. Products come last: nothing follows from them.
static tw_status assign_waves(tw_program *p) {
  void *memory;
  TW_TRY(tw_alloc(sizeof(int) * (size_t)(p->tensor_count + 1), &memory));
  int *of = memory;
  p->waves = 0;
  for (int i = 0; i < p->op_count; i++) {
    tw_op *op = &p->ops[i];
    op->wave = 0;
    if (follows(p, op)) {
      for (int j = 0; j < op->in_count; j++)
        if (of[op->in[j]] > op->wave) op->wave = of[op->in[j]];
      op->wave++;
    }
    for (int j = 0; j < op->out_count; j++) of[op->out[j]] = op->wave;
    if (op->wave > p->waves) p->waves = op->wave;
  }
  tw_free(of);
  p->waves++;
  for (int i = 0; i < p->op_count; i++)
    if (p->ops[i].gate->prepare) p->ops[i].wave = p->waves;
  return TW_OK;
}

tw_status tw_program_finish(tw_program *p) {
  tw_pool_close(p);
  assign_levels(p);
  TW_TRY(order_by_level(p));
  TW_TRY(assign_streams(p));
  TW_TRY(tw_program_check_uses(p));
  TW_TRY(assign_lifetimes(p));
  TW_TRY(mark_products(p));
  TW_TRY(assign_waves(p));
  p->finished = true;
  return TW_OK;
}

static void absorb(crypto_generichash_state *h, const void *data, size_t bytes) {
  crypto_generichash_update(h, data, bytes);
}

static void absorb_int(crypto_generichash_state *h, int64_t value) {
  uint8_t le[8];
  for (int i = 0; i < 8; i++) le[i] = (uint8_t)((uint64_t)value >> (8 * i));
  absorb(h, le, sizeof le);
}

void tw_program_digest(const tw_program *p, tw_digest *out) {
  crypto_generichash_state h;
  crypto_generichash_init(&h, NULL, 0, 32);
  absorb(&h, "twain program 2", 15);
  absorb_int(&h, p->input_count);
  for (int i = 0; i < p->input_count; i++) absorb_int(&h, p->inputs[i]);
  absorb_int(&h, p->output_count);
  for (int i = 0; i < p->output_count; i++) absorb_int(&h, p->outputs[i]);
  absorb_int(&h, p->guard);
  for (int i = 0; i < p->tensor_count; i++) {
    const tw_tensor *t = &p->tensors[i];
    absorb_int(&h, t->kind);
    absorb_int(&h, t->ring);
    absorb_int(&h, t->scale);
    absorb_int(&h, t->planes);
    absorb_int(&h, (int64_t)t->n);
  }
  for (int i = 0; i < p->op_count; i++) {
    const tw_op *op = &p->ops[i];
    absorb(&h, op->gate->name, strlen(op->gate->name) + 1);
    for (int j = 0; j < op->in_count; j++) absorb_int(&h, op->in[j]);
    for (int j = 0; j < op->out_count; j++) absorb_int(&h, op->out[j]);
    for (int j = 0; j < TW_MAX_ARG; j++) absorb_int(&h, op->arg[j]);
    for (size_t j = 0; j < op->list_count; j++) absorb_int(&h, p->pool[op->list + j]);
    absorb_int(&h, op->opens || op->draws ? (int64_t)op->mask_use : -1);
    for (int j = 0; j < op->correction_count; j++) {
      const tw_correction *c = &p->corrections[op->correction + j];
      absorb_int(&h, c->use);
      absorb_int(&h, c->kind);
      absorb_int(&h, c->width);
      absorb_int(&h, (int64_t)c->n);
    }
  }
  for (int i = 0; i < p->table_count; i++) {
    absorb_int(&h, (int64_t)p->tables[i].n);
    for (size_t j = 0; j < p->tables[i].n; j++) absorb_int(&h, (int64_t)p->tables[i].values[j]);
  }
  uint8_t digest[32];
  crypto_generichash_final(&h, digest, sizeof digest);
  sodium_bin2hex(out->hex, sizeof out->hex, digest, sizeof digest);
}

uint64_t tw_program_open_bytes(const tw_tensor *t) {
  if (t->kind == TW_BITWIRE) return 8 * tw_words(t->n) * (uint64_t)t->planes;
  return (tw_packed_bytes(t->n, t->ring) + 7) / 8 * 8;
}

void tw_program_costs(const tw_program *p, tw_cost *per_step, tw_cost *total) {
  memset(per_step, 0, sizeof(tw_cost) * (size_t)p->step_count);
  memset(total, 0, sizeof *total);
  int *last_level = calloc((size_t)p->step_count + 1, sizeof(int));
  for (int i = 0; i < p->op_count; i++) {
    const tw_op *op = &p->ops[i];
    tw_cost *cost = &per_step[op->step];
    for (int j = 0; j < op->correction_count; j++)
      for (int party = 0; party < 2; party++)
        cost->correction_bytes[party] += p->corrections[op->correction + j].bytes[party];
    if (!op->opens) continue;
    cost->sent_bytes += tw_program_open_bytes(&p->tensors[op->out[0]]);
    if (last_level && last_level[op->step] != op->level + 1) cost->rounds++;
    if (last_level) last_level[op->step] = op->level + 1;
  }
  free(last_level);
  for (int i = 0; i < p->step_count; i++) {
    total->correction_bytes[0] += per_step[i].correction_bytes[0];
    total->correction_bytes[1] += per_step[i].correction_bytes[1];
    total->sent_bytes += per_step[i].sent_bytes;
  }
  total->rounds = (uint64_t)p->levels;
}

tw_status tw_program_index(const tw_program *p, int party, tw_key_index_entry **out) {
  void *memory;
  TW_TRY(tw_alloc(sizeof(tw_key_index_entry) * (size_t)(p->correction_count + 1), &memory));
  *out = memory;
  for (int i = 0; i < p->correction_count; i++) {
    const tw_correction *c = &p->corrections[i];
    (*out)[i] = (tw_key_index_entry){c->use, c->kind, (uint32_t)c->width, 0, c->n, c->offset[party]};
  }
  return TW_OK;
}
