// Long because three roles and what compares them share one stage, which no other file should see.
#include "tests/common/walk.h"

#include <math.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/channels.h"
#include "jobs/gates/guard.h"
#include "jobs/program/host_opener.h"
#include "jobs/program/timed_backend.h"
#include "kernels/digit.h"
#include "kernels/pack.h"

typedef struct {
  uint8_t *data;
  size_t used, size;
} slot_bytes;
typedef struct {
  uint64_t *data;
  size_t count, room;
} trace;

enum { EMULATOR = 2 };

// All that the roles hold in one walk.
typedef struct {
  walk *w;
  tw_seed *seeds[2];
  uint64_t *slots, *input[2];
  uint64_t **model_mask[2], **model_share[2], **masked, **mask_sum;
  slot_bytes *slot[2];                 // [batch]
  trace *opened[3];                    // [batch]: party 0, party 1, emulator
  uint64_t *value[3], *mask[2];        // the output: public value at the parties and its masks; the emulator's value
  uint64_t *guard[3], *guard_mask[2];  // the same of the guard's count
  tw_opens_stats stats;
} stage;

static void *room(size_t count, size_t size) {
  void *p = calloc(count + 1, size);
  if (!p) abort();
  return p;
}

// Elements, or words of planes, of one sequence's output number i; of all outputs before number `end`.
static size_t words_of_output(const walk *w, int i) {
  const tw_tensor *t = &w->program->tensors[w->program->outputs[i]];
  return t->kind == TW_WIRE ? t->n : (size_t)t->planes * tw_words(t->n);
}
static size_t words_before(const walk *w, int end) {
  size_t words = 0;
  for (int i = 0; i < end; i++) words += words_of_output(w, i);
  return words;
}
static size_t output_words(const walk *w) { return words_before(w, w->program->output_count); }

// Where input number i begins in memory that holds all inputs, one behind the other.
static size_t input_begin(const walk *w, int i) {
  size_t at = 0;
  for (int j = 0; j < i; j++) at += (size_t)w->batch * w->program->tensors[w->program->inputs[j]].n;
  return at;
}
static size_t input_words(const walk *w) { return input_begin(w, w->program->input_count); }

static size_t weight_size(const walk *w, int i) { return w->weight_rows[i] * w->weight_cols[i]; }

static uint64_t **matrix_list(const walk *w) {
  uint64_t **list = room((size_t)w->weight_count, sizeof *list);
  for (int i = 0; i < w->weight_count; i++) list[i] = room(weight_size(w, i), 8);
  return list;
}

static void free_list(uint64_t **list, int count) {
  for (int i = 0; i < count; i++) free(list[i]);
  free(list);
}

// W^ = W + p_0 + p_1, and the parties' shares b W^ - p_b.
static void share_model(stage *st) {
  walk *w = st->w;
  tw_seed seeds[2];
  for (int party = 0; party < 2; party++) {
    if (w->model_seeds)
      seeds[party] = w->model_seeds[party];
    else
      tw_seed_random(&seeds[party]);
    st->model_mask[party] = matrix_list(w);
    st->model_share[party] = matrix_list(w);
    for (int i = 0; i < w->weight_count; i++)
      tw_prg_ring(&seeds[party], (uint32_t)i, 0, 64, 0, weight_size(w, i), st->model_mask[party][i]);
  }
  st->masked = matrix_list(w);
  st->mask_sum = matrix_list(w);
  for (int i = 0; i < w->weight_count; i++)
    for (size_t j = 0; j < weight_size(w, i); j++) {
      uint64_t p0 = st->model_mask[0][i][j], p1 = st->model_mask[1][i][j], masked = w->weight_values[i][j] + p0 + p1;
      st->masked[i][j] = masked;
      st->mask_sum[i][j] = p0 + p1;
      st->model_share[0][i][j] = 0 - p0;
      st->model_share[1][i][j] = masked - p1;
    }
}

static void share_input(stage *st) {
  const walk *w = st->w;
  for (int party = 0; party < 2; party++) st->input[party] = room(input_words(w), 8);
  for (int i = 0; i < w->program->input_count; i++) {
    const tw_tensor *t = &w->program->tensors[w->program->inputs[i]];
    bool bits = t->kind == TW_BITS;
    uint64_t ring = tw_mask(bits ? t->planes : t->ring);
    for (size_t j = input_begin(w, i); j < input_begin(w, i + 1); j++) {
      st->input[0][j] = walk_random() & ring;
      st->input[1][j] = (bits ? w->input[j] ^ st->input[0][j] : w->input[j] - st->input[0][j]) & ring;
    }
  }
}

static void stage_open(stage *st, walk *w) {
  size_t batch = (size_t)w->batch;
  *st = (stage){.w = w, .slots = room(batch, 8)};
  w->mismatches = w->out_of_bound = 0;
  for (size_t b = 0; b < batch; b++) st->slots[b] = w->slots ? w->slots[b] : walk_random();
  for (int side = 0; side < 3; side++) st->guard[side] = room(batch, 8);
  for (int party = 0; party < 2; party++) {
    st->guard_mask[party] = room(batch, 8);
    st->seeds[party] = room(batch, sizeof(tw_seed));
    st->slot[party] = room(batch, sizeof(slot_bytes));
    st->mask[party] = room(batch * output_words(w), 8);
    for (size_t b = 0; b < batch; b++) {
      if (w->seeds[party])
        st->seeds[party][b] = w->seeds[party][b];
      else
        tw_seed_random(&st->seeds[party][b]);
    }
  }
  for (int role = 0; role < 3; role++) {
    st->opened[role] = room(batch, sizeof(trace));
    st->value[role] = room(batch * output_words(w), 8);
  }
  share_model(st);
  share_input(st);
}

static void stage_close(stage *st) {
  int count = st->w->weight_count;
  for (int party = 0; party < 2; party++) {
    for (int b = 0; b < st->w->batch; b++) free(st->slot[party][b].data);
    free(st->slot[party]);
    free(st->seeds[party]);
    free(st->input[party]);
    free(st->mask[party]);
    free(st->guard_mask[party]);
    free_list(st->model_mask[party], count);
    free_list(st->model_share[party], count);
  }
  for (int role = 0; role < 3; role++) {
    for (int b = 0; b < st->w->batch; b++) free(st->opened[role][b].data);
    free(st->opened[role]);
    free(st->value[role]);
    free(st->guard[role]);
  }
  free_list(st->masked, count);
  free_list(st->mask_sum, count);
  free(st->slots);
}

// ---- what sessions call ----

static tw_status append(void *state, const void *data, size_t n) {
  slot_bytes *b = state;
  if (b->used + n > b->size) return tw_fail(TW_ERR_INTERNAL, "the dealer wrote past the slot");
  memcpy(b->data + b->used, data, n);
  b->used += n;
  return TW_OK;
}

static tw_status read_slot(void *state, int batch_index, void *dst, size_t n) {
  slot_bytes *b = &((slot_bytes *)state)[batch_index];
  if (b->used + n > b->size) return tw_fail(TW_ERR_INTERNAL, "a party read past the slot");
  memcpy(dst, b->data + b->used, n);
  b->used += n;
  return TW_OK;
}

static void record(trace *t, uint64_t value) {
  if (t->count == t->room) {
    t->room = t->room * 2 + 1024;
    t->data = realloc(t->data, t->room * sizeof(uint64_t));
    if (!t->data) abort();
  }
  t->data[t->count++] = value;
}

// Public values of an opened tensor, as the emulator predicts or a party finds them.
static tw_status watch(void *state, tw_session *s, const tw_op *op) {
  trace *traces = state;
  int id = op->out[0];
  const tw_tensor *t = tw_t(s, id);
  const tw_buffer *opened = tw_b(s, id);
  size_t words = tw_words_of(s, id), row = tw_words(t->n);
  for (int b = 0; b < s->batch; b++)
    for (size_t j = 0; j < words; j++) {
      uint64_t v = opened->value[(size_t)b * words + j];
      if (s->role == TW_EMULATOR && t->kind == TW_WIRE)
        v = (v + opened->mask[0][j] + opened->mask[1][j]) & tw_mask(t->ring);
      if (s->role == TW_EMULATOR && t->kind != TW_WIRE) v ^= opened->mask[0][j] ^ opened->mask[1][j];
      if (t->kind != TW_WIRE && t->n % 64 && j % row == row - 1) v &= tw_mask((int)(t->n % 64));
      record(&traces[b], v);
    }
  return TW_OK;
}

// ---- the three roles ----

static tw_weights weights_of(const stage *st, tw_role role, int party) {
  const walk *w = st->w;
  tw_weights out = {.count = w->weight_count, .rows = w->weight_rows, .cols = w->weight_cols};
  for (int side = 0; side < 2; side++)
    if (role != TW_PARTY || side == party) out.mask[side] = st->model_mask[side];
  if (role == TW_EMULATOR) out.value = w->weight_values;
  if (role == TW_DEALER) out.mask_sum = (void *const *)st->mask_sum;
  if (role == TW_PARTY) {
    out.masked = st->masked;
    out.masked_operand = (void *const *)st->masked;
    out.share_operand = (void *const *)st->model_share[party];
  }
  return out;
}

// The CPU's, which reads operands by their products alone.
static tw_backend closed(void) {
  tw_backend k = tw_cpu_backend;
  k.operand_is_values = false;
  return k;
}

static tw_status deal(stage *st, int b) {
  const tw_program *program = st->w->program;
  tw_backend backend = closed();
  tw_session s;
  tw_session_config config = {.program = program,
                              .role = TW_DEALER,
                              .batch = 1,
                              .sequences = {.seeds = {st->seeds[0] + b, st->seeds[1] + b}, .slots = st->slots + b},
                              .weights = weights_of(st, TW_DEALER, 0)};
  if (st->w->closed_operands) config.backend = &backend;
  for (int party = 0; party < 2; party++) {
    slot_bytes *slot = &st->slot[party][b];
    slot->size = program->slot_bytes[party];
    slot->data = room(slot->size, 1);
    config.sink[party] = (tw_sink){append, slot};
  }
  tw_status status = tw_session_create(&config, &s);
  if (status == TW_OK) status = tw_session_run(&s);
  tw_session_destroy(&s);
  for (int party = 0; party < 2 && status == TW_OK; party++) {
    slot_bytes *slot = &st->slot[party][b];
    if (slot->used != slot->size)
      status = tw_fail(TW_ERR_INTERNAL, "the dealer wrote %zu of %zu bytes", slot->used, slot->size);
    slot->used = 0;
  }
  return status;
}

static bool guarded(const stage *st) { return st->w->program->guard >= 0; }

static tw_status emulate(stage *st, int b) {
  walk *w = st->w;
  const tw_program *program = w->program;
  tw_session s;
  tw_session_config config = {.program = program,
                              .role = TW_EMULATOR,
                              .batch = 1,
                              .sequences = {.seeds = {st->seeds[0] + b, st->seeds[1] + b},
                                            .slots = st->slots + b,
                                            .lengths = w->lengths ? w->lengths + b : NULL,
                                            .earlier = w->earlier ? w->earlier + b : NULL,
                                            .tokens = w->earlier ? w->earlier + b : NULL},
                              .weights = weights_of(st, TW_EMULATOR, 0),
                              .observers = {.watch = watch, .watch_state = &st->opened[EMULATOR][b]}};
  for (int i = 0; i < program->input_count; i++)
    config.sequences.inputs[i] = w->input + input_begin(w, i) + (size_t)b * program->tensors[program->inputs[i]].n;
  tw_status status = tw_session_create(&config, &s);
  if (status == TW_OK) status = tw_session_run(&s);
  for (int i = 0; i < program->output_count && status == TW_OK; i++) {
    size_t words = words_of_output(w, i), at = (size_t)w->batch * words_before(w, i) + (size_t)b * words;
    memcpy(st->value[EMULATOR] + at, s.memory.buffers[program->outputs[i]].value, 8 * words);
  }
  if (status == TW_OK && guarded(st)) st->guard[EMULATOR][b] = s.memory.buffers[program->guard].value[0];
  w->out_of_bound += s.misses.count;
  tw_session_destroy(&s);
  return status;
}

typedef struct {
  stage *st;
  int party;
  tw_channel *channel;
  tw_status status;
  char message[512];
} party_state;

static void tell_secrets(party_state *p) {
  walk *w = p->st->w;
  stage *st = p->st;
  size_t batch = (size_t)w->batch;
  w->secrecy(st->seeds[p->party], batch * sizeof(tw_seed), true);
  w->secrecy(st->input[p->party], 8 * input_words(w), true);
  for (size_t b = 0; b < batch; b++) w->secrecy(st->slot[p->party][b].data, st->slot[p->party][b].size, true);
  for (int i = 0; i < w->weight_count; i++) {
    w->secrecy(st->model_mask[p->party][i], 8 * weight_size(w, i), true);
    w->secrecy(st->model_share[p->party][i], 8 * weight_size(w, i), true);
  }
}

static void keep_output(party_state *p, const tw_session *s) {
  stage *st = p->st;
  for (int i = 0; i < s->program->output_count; i++) {
    const tw_buffer *out = &s->memory.buffers[s->program->outputs[i]];
    size_t at = (size_t)s->batch * words_before(st->w, i), bytes = 8 * (size_t)s->batch * words_of_output(st->w, i);
    memcpy(st->value[p->party] + at, out->value, bytes);
    memcpy(st->mask[p->party] + at, out->mask[p->party], bytes);
    if (st->w->secrecy) st->w->secrecy(st->mask[p->party] + at, bytes, false);
  }
  if (!guarded(st)) return;
  const tw_buffer *count = &s->memory.buffers[s->program->guard];
  memcpy(st->guard[p->party], count->value, 8 * (size_t)s->batch);
  memcpy(st->guard_mask[p->party], count->mask[p->party], 8 * (size_t)s->batch);
  if (st->w->secrecy) st->w->secrecy(st->guard_mask[p->party], 8 * (size_t)s->batch, false);
}

// Forks and joins take turns.
static tw_status fork_streams(void *state) {
  int *open = state;
  return ++*open == 1 ? TW_OK : tw_fail(TW_ERR_INTERNAL, "a fork in a fork");
}
static tw_status join_streams(void *state) {
  int *open = state;
  return --*open == 0 ? TW_OK : tw_fail(TW_ERR_INTERNAL, "a join without a fork");
}

static tw_status prepare_kept(tw_session *s) {
  enum { LONGEST = 100 };
  int open = 0;
  tw_fan fan = {.count = 3, .fork = fork_streams, .join = join_streams, .state = &open};
  s->preparation.fan = &fan;
  while (s->walk.next_op < s->program->op_count) {
    int end = s->walk.next_op + (int)walk_random_range(1, LONGEST);
    TW_TRY(tw_session_prepare_to(s, end < s->program->op_count ? end : s->program->op_count));
  }
  s->preparation.fan = NULL;
  tw_session_rewind(s);
  return open == 0 ? TW_OK : tw_fail(TW_ERR_INTERNAL, "a fork was not joined");
}

// ---- kernels that are run again

static bool any_kernel(void *state, const char *kernel, const tw_kernel_cost *cost) {
  (void)state, (void)kernel, (void)cost;
  return true;
}

static tw_status run_thrice(void *state, const tw_timed_call *call, void *stream) {
  uint64_t *count = state;
  if (!(call->cost.bytes > 0 && call->cost.work > 0))
    return tw_fail(TW_ERR_INTERNAL, "%s of %s without a cost", call->kernel, call->cost.size);
  for (int i = 0; i < 3; i++) TW_TRY(call->run(call->args, stream));
  ++*count;
  return TW_OK;
}

static tw_status party_run(party_state *p) {
  stage *st = p->st;
  tw_opens *opens;
  TW_TRY(tw_opens_create(p->channel, &opens));
  tw_session s;
  tw_session_config config = {
      .program = st->w->program,
      .role = TW_PARTY,
      .party = p->party,
      .batch = st->w->batch,
      .sequences = {.slots = st->slots, .lengths = st->w->lengths, .earlier = st->w->earlier, .tokens = st->w->earlier},
      .weights = weights_of(st, TW_PARTY, p->party),
      .source = {.read = read_slot, .state = st->slot[p->party]},
      .opener = tw_host_opener(opens),
      .keep_masks = st->w->keep_masks,
      .observers = {.watch = watch, .watch_state = st->opened[p->party]}};
  config.sequences.seeds[p->party] = st->seeds[p->party];
  for (int i = 0; i < st->w->program->input_count; i++)
    config.sequences.inputs[i] = st->input[p->party] + input_begin(st->w, i);
  uint64_t repeated = 0;
  tw_timing timing = {&tw_cpu_backend, config.program->pool, config.program->pool, any_kernel, run_thrice, &repeated};
  tw_backend again = tw_timed_backend(&timing), not_values = closed();
  if (st->w->closed_operands) config.backend = &not_values;
  if (st->w->repeat_kernels) config.backend = &again;
  if (st->w->secrecy) tell_secrets(p);
  tw_status status = tw_session_create(&config, &s);
  if (status == TW_OK) status = config.keep_masks ? prepare_kept(&s) : tw_session_prepare(&s);
  const tw_chains *tiled = st->w->chains;
  if (status == TW_OK)
    status = tiled ? tw_session_run_tiles(&s, tiled, st->w->tile_rows, st->w->runner[p->party]) : tw_session_run(&s);
  if (status == TW_OK) keep_output(p, &s);
  tw_opens_transcript(opens, st->w->transcript[p->party]);
  if (p->party == 0) {
    tw_opens_get_stats(opens, &st->stats);
    st->w->repeated = repeated;
  }
  tw_session_destroy(&s);
  tw_opens_destroy(opens);
  return status;
}

static void *party_thread(void *argument) {
  party_state *p = argument;
  p->status = party_run(p);
  if (p->status != TW_OK) snprintf(p->message, sizeof p->message, "%s", tw_error_message());
  tw_channel_destroy(p->channel);  // wakes the other party when this one failed
  return NULL;
}

static tw_status both_parties(stage *st) {
  tw_channel *ends[2];
  party_state p[2];
  pthread_t thread[2];
  TW_TRY(tw_channel_loopback(60, ends));
  for (int i = 0; i < 2; i++) {
    p[i] = (party_state){.st = st, .party = i, .channel = ends[i]};
    if (pthread_create(&thread[i], NULL, party_thread, &p[i])) abort();
  }
  for (int party = 0; party < 2; party++) pthread_join(thread[party], NULL);
  int failed = p[0].status == TW_OK || p[0].status == TW_ERR_PEER;  // a lost peer is not the cause
  if (p[failed].status == TW_OK) failed = 1 - failed;
  return p[failed].status == TW_OK ? TW_OK : tw_fail(p[failed].status, "party %d: %s", failed, p[failed].message);
}

// ---- comparison and results ----

static void compare_opened(stage *st, int b) {
  const trace *party0 = &st->opened[0][b], *party1 = &st->opened[1][b], *emulator = &st->opened[EMULATOR][b];
  if (party0->count != party1->count || party0->count != emulator->count) {
    st->w->mismatches++;
    return;
  }
  for (size_t i = 0; i < emulator->count; i++)
    st->w->mismatches += party0->data[i] != party1->data[i] || party0->data[i] != emulator->data[i];
}

static void reveal_one(stage *st, int i) {
  walk *w = st->w;
  const tw_tensor *t = &w->program->tensors[w->program->outputs[i]];
  size_t batch = (size_t)w->batch, first = batch * words_before(w, i), end = first + batch * words_of_output(w, i);
  size_t row = tw_words(t->n);
  for (size_t j = first; j < end; j++) {
    uint64_t live = tw_mask(t->ring), value = st->value[0][j], m0 = st->mask[0][j], m1 = st->mask[1][j];
    if (t->kind != TW_WIRE) live = t->n % 64 && (j - first) % row == row - 1 ? tw_mask((int)(t->n % 64)) : ~0ull;
    w->output[j] = (t->kind == TW_WIRE ? value - m0 - m1 : value ^ m0 ^ m1) & live;
    w->mismatches += st->value[0][j] != st->value[1][j] || w->output[j] != (st->value[EMULATOR][j] & live);
  }
}

static void reveal_guard(stage *st) {
  walk *w = st->w;
  w->guard = room((size_t)w->batch, 8);
  for (int b = 0; b < w->batch; b++) {
    w->guard[b] = (st->guard[0][b] - st->guard_mask[0][b] - st->guard_mask[1][b]) & tw_mask(TW_GUARD_RING);
    w->mismatches += st->guard[0][b] != st->guard[1][b] || w->guard[b] != st->guard[EMULATOR][b];
  }
}

tw_status walk_run(walk *w) {
  stage st;
  tw_status status = TW_OK;
  walk_free(w);
  stage_open(&st, w);
  for (int b = 0; b < w->batch && status == TW_OK; b++) status = deal(&st, b);
  for (int b = 0; b < w->batch && status == TW_OK; b++) status = emulate(&st, b);
  if (status == TW_OK) status = both_parties(&st);
  if (status == TW_OK) {
    for (int b = 0; b < w->batch; b++) compare_opened(&st, b);
    w->output = room(output_words(w) * (size_t)w->batch, 8);
    for (int i = 0; i < w->program->output_count; i++) reveal_one(&st, i);
    if (guarded(&st)) reveal_guard(&st);
    w->rounds = st.stats.flushes;
    w->payload_bytes = st.stats.payload_bytes;
    w->opened = st.opened[0][0].data;
    w->opened_count = st.opened[0][0].count;
    st.opened[0][0].data = NULL;
    for (int party = 0; party < 2; party++) {
      w->corrections[party] = st.slot[party][0].data;
      st.slot[party][0].data = NULL;
    }
  } else {
    fprintf(stderr, "walk: %s\n", tw_error_message());
  }
  stage_close(&st);
  return status;
}

void walk_free(walk *w) {
  free(w->output);
  free(w->opened);
  free(w->guard);
  for (int party = 0; party < 2; party++) free(w->corrections[party]);
  w->output = w->opened = w->guard = NULL;
  w->corrections[0] = w->corrections[1] = NULL;
}
