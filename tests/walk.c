#include "tests/walk.h"

#include <math.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/digit.h"
#include "kernels/gemm.h"
#include "kernels/pack.h"

uint64_t walk_random(void) {
  uint64_t x;
  randombytes_buf(&x, sizeof x);
  return x;
}

int64_t walk_random_range(int64_t low, int64_t high) {
  return low + (int64_t)(walk_random() % ((uint64_t)(high - low) + 1));
}

typedef struct { uint8_t *data; size_t used, size; } bytes;

static tw_status append(void *state, const void *data, size_t n) {
  bytes *b = state;
  if (b->used + n > b->size) return tw_fail(TW_ERR_INTERNAL, "the dealer wrote past the slot");
  memcpy(b->data + b->used, data, n);
  b->used += n;
  return TW_OK;
}

typedef struct { bytes *slot; } reader;  // one per sequence

static tw_status read_slot(void *state, int batch_index, void *dst, size_t n) {
  bytes *b = &((bytes *)state)[batch_index];
  if (b->used + n > b->size) return tw_fail(TW_ERR_INTERNAL, "a party read past the slot");
  memcpy(dst, b->data + b->used, n);
  b->used += n;
  return TW_OK;
}

// Opened values in order of opening, per sequence; tails of bit planes cleared.
typedef struct { uint64_t *data; size_t count, room; } trace;

static void record(trace *t, uint64_t value) {
  if (t->count == t->room) {
    t->room = t->room * 2 + 1024;
    t->data = realloc(t->data, t->room * sizeof(uint64_t));
    if (!t->data) abort();
  }
  t->data[t->count++] = value;
}

static tw_status watch(void *state, tw_session *s, const tw_op *op) {
  trace *traces = state;
  int id = op->out[0];
  const tw_tensor *t = &s->program->tensors[id];
  size_t words = tw_words_of(s, id);
  for (int b = 0; b < s->batch; b++)
    for (size_t j = 0; j < words; j++) {
      uint64_t v = s->buffers[id].value[(size_t)b * words + j];
      if (s->role == TW_CLEAR) {
        uint64_t m0 = s->buffers[id].mask[0][j], m1 = s->buffers[id].mask[1][j];
        v = t->kind == TW_WIRE ? (v + m0 + m1) & tw_mask(t->ring) : v ^ m0 ^ m1;
      }
      size_t in_plane = t->kind == TW_WIRE ? 0 : j % tw_words(t->n);
      if (t->kind != TW_WIRE && t->n % 64 && in_plane == t->n / 64) v &= (1ull << (t->n % 64)) - 1;
      record(&traces[b], v);
    }
  return TW_OK;
}

typedef struct {
  walk *w;
  int rank;
  tw_channel *channel;
  tw_seed *seeds;
  uint64_t *slots, *input, **mask, **masked, **share;
  bytes *slot;
  trace *traces;
  uint64_t *value, *out_mask;
  uint64_t rounds, payload;
  tw_status status;
  char message[512];
} party;

static tw_status party_run(party *p) {
  const tw_program *program = p->w->program;
  tw_opens *opens;
  TW_TRY(tw_opens_create(p->channel, &opens));
  tw_session s = {.program = program, .role = TW_PARTY, .rank = p->rank, .batch = p->w->batch, .slots = p->slots,
                  .lengths = p->w->lengths, .input = p->input, .opens = opens, .watch = watch, .watch_state = p->traces};
  s.seeds[p->rank] = p->seeds;
  s.weights = (tw_weights){.count = p->w->weight_count, .rows = p->w->weight_rows, .cols = p->w->weight_cols,
                           .masked = p->masked, .share = p->share};
  s.weights.mask[p->rank] = p->mask;
  s.source = (tw_source){read_slot, p->slot};
  tw_status status = tw_session_open(&s);
  if (status == TW_OK) status = tw_session_prepare(&s);
  if (status == TW_OK) status = tw_session_run(&s);
  if (status == TW_OK) {
    size_t n = (size_t)s.batch * tw_words_of(&s, program->output);
    p->value = malloc(8 * n);
    p->out_mask = malloc(8 * n);
    memcpy(p->value, s.buffers[program->output].value, 8 * n);
    memcpy(p->out_mask, s.buffers[program->output].mask[p->rank], 8 * n);
    tw_opens_stats stats;
    tw_opens_get_stats(opens, &stats);
    p->rounds = stats.flushes;
    p->payload = stats.payload_bytes;
  }
  tw_session_close(&s);
  tw_opens_destroy(opens);
  return status;
}

static void *party_thread(void *argument) {
  party *p = argument;
  p->status = party_run(p);
  if (p->status != TW_OK) {
    snprintf(p->message, sizeof p->message, "%s", tw_error_message());
    tw_channel_close(p->channel);
    p->channel = NULL;
  }
  return NULL;
}

typedef struct {
  uint64_t **p[2], **masked, **share[2];
} split_weights;

static uint64_t **matrix_list(const walk *w) {
  uint64_t **list = calloc((size_t)w->weight_count + 1, sizeof *list);
  for (int i = 0; i < w->weight_count; i++) list[i] = calloc(w->weight_rows[i] * w->weight_cols[i], 8);
  return list;
}

static split_weights split(const walk *w) {
  split_weights out = {{matrix_list(w), matrix_list(w)}, matrix_list(w), {matrix_list(w), matrix_list(w)}};
  for (int i = 0; i < w->weight_count; i++)
    for (size_t j = 0; j < w->weight_rows[i] * w->weight_cols[i]; j++) {
      out.p[0][i][j] = walk_random();
      out.p[1][i][j] = walk_random();
      out.masked[i][j] = w->weight_values[i][j] + out.p[0][i][j] + out.p[1][i][j];
      for (int rank = 0; rank < 2; rank++) out.share[rank][i][j] = (rank ? out.masked[i][j] : 0) - out.p[rank][i][j];
    }
  return out;
}

static void free_list(uint64_t **list, int count) {
  for (int i = 0; i < count; i++) free(list[i]);
  free(list);
}

static tw_status deal_slot(walk *w, const tw_seed *s0, const tw_seed *s1, uint64_t slot, const split_weights *sw, bytes out[2]) {
  tw_session s = {.program = w->program, .role = TW_DEALER, .batch = 1, .seeds = {s0, s1}, .slots = &slot};
  s.weights = (tw_weights){.count = w->weight_count, .rows = w->weight_rows, .cols = w->weight_cols, .mask = {sw->p[0], sw->p[1]}};
  for (int rank = 0; rank < 2; rank++) {
    out[rank].size = w->program->slot_bytes[rank];
    out[rank].data = calloc(1, out[rank].size + 1);
    out[rank].used = 0;
    s.sink[rank] = (tw_sink){append, &out[rank]};
  }
  tw_status status = tw_session_open(&s);
  if (status == TW_OK) status = tw_session_run(&s);
  tw_session_close(&s);
  for (int rank = 0; rank < 2 && status == TW_OK; rank++)
    if (out[rank].used != out[rank].size) status = tw_fail(TW_ERR_INTERNAL, "the dealer wrote %zu of %zu bytes", out[rank].used, out[rank].size);
  return status;
}

static tw_status emulate(walk *w, int b, const tw_seed *s0, const tw_seed *s1, uint64_t slot, const split_weights *sw, trace *t) {
  size_t n = w->program->tensors[w->program->input].n;
  tw_session s = {.program = w->program, .role = TW_CLEAR, .batch = 1, .seeds = {s0, s1}, .slots = &slot,
                  .lengths = w->lengths ? w->lengths + b : NULL, .input = w->input + (size_t)b * n, .watch = watch, .watch_state = t};
  s.weights = (tw_weights){.count = w->weight_count, .rows = w->weight_rows, .cols = w->weight_cols, .mask = {sw->p[0], sw->p[1]},
                           .value = w->weight_values};
  tw_status status = tw_session_open(&s);
  if (status == TW_OK) status = tw_session_run(&s);
  w->out_of_bound += s.out_of_bound;
  tw_session_close(&s);
  return status;
}

tw_status walk_run(walk *w) {
  const tw_program *program = w->program;
  size_t n = program->tensors[program->input].n, all = n * (size_t)w->batch, B = (size_t)w->batch;
  uint64_t ring = tw_mask(program->tensors[program->input].ring);
  tw_seed *seeds[2] = {calloc(B, sizeof(tw_seed)), calloc(B, sizeof(tw_seed))};
  uint64_t *slots = calloc(B, 8), *input[2] = {calloc(all + 1, 8), calloc(all + 1, 8)};
  bytes *slot[2] = {calloc(B, sizeof(bytes)), calloc(B, sizeof(bytes))};
  trace *traces[3] = {calloc(B, sizeof(trace)), calloc(B, sizeof(trace)), calloc(B, sizeof(trace))};
  split_weights sw = split(w);
  w->mismatches = w->out_of_bound = 0;
  tw_status status = TW_OK;
  for (size_t j = 0; j < all; j++) {
    input[0][j] = walk_random() & ring;
    input[1][j] = (w->input[j] - input[0][j]) & ring;
  }
  for (size_t b = 0; b < B && status == TW_OK; b++) {
    tw_seed_random(&seeds[0][b]);
    tw_seed_random(&seeds[1][b]);
    slots[b] = walk_random() % 1000;
    bytes dealt[2];
    status = deal_slot(w, &seeds[0][b], &seeds[1][b], slots[b], &sw, dealt);
    for (int rank = 0; rank < 2; rank++) {
      slot[rank][b] = dealt[rank];
      slot[rank][b].used = 0;
    }
  }
  party p[2];
  tw_channel *ends[2];
  if (status == TW_OK) status = tw_channel_loopback(20, ends);
  if (status == TW_OK) {
    pthread_t thread[2];
    for (int rank = 0; rank < 2; rank++) {
      p[rank] = (party){.w = w, .rank = rank, .channel = ends[rank], .seeds = seeds[rank], .slots = slots, .input = input[rank],
                        .mask = sw.p[rank], .masked = sw.masked, .share = sw.share[rank], .slot = slot[rank], .traces = traces[rank]};
      pthread_create(&thread[rank], NULL, party_thread, &p[rank]);
    }
    for (int rank = 0; rank < 2; rank++) pthread_join(thread[rank], NULL);
    for (int rank = 0; rank < 2; rank++) {
      if (p[rank].channel) tw_channel_close(p[rank].channel);
      if (p[rank].status != TW_OK && status == TW_OK) status = tw_fail(p[rank].status, "rank %d: %s", rank, p[rank].message);
    }
  }
  for (int b = 0; b < w->batch && status == TW_OK; b++) {
    status = emulate(w, b, &seeds[0][b], &seeds[1][b], slots[b], &sw, &traces[2][b]);
    trace *t0 = &traces[0][b], *t1 = &traces[1][b], *t2 = &traces[2][b];
    if (t0->count != t1->count || t0->count != t2->count) w->mismatches++;
    for (size_t i = 0; i < t0->count && i < t1->count && i < t2->count; i++)
      w->mismatches += t0->data[i] != t1->data[i] || t0->data[i] != t2->data[i];
  }
  if (status == TW_OK) {
    size_t m = program->tensors[program->output].n * B;
    uint64_t out_ring = tw_mask(program->tensors[program->output].ring);
    bool bits = program->tensors[program->output].kind == TW_BITWIRE;
    if (bits) m = B * (size_t)program->tensors[program->output].planes * tw_words(program->tensors[program->output].n);
    w->output = calloc(m + 1, 8);
    for (size_t j = 0; j < m; j++)
      w->output[j] = bits ? p[0].value[j] ^ p[0].out_mask[j] ^ p[1].out_mask[j]
                          : (p[0].value[j] - p[0].out_mask[j] - p[1].out_mask[j]) & out_ring;
    w->rounds = p[0].rounds;
    w->payload_bytes = p[0].payload;
    for (int rank = 0; rank < 2; rank++) {
      free(p[rank].value);
      free(p[rank].out_mask);
    }
  }
  for (int rank = 0; rank < 2; rank++) {
    w->corrections[rank] = slot[rank][0].data;
    for (size_t b = 1; b < B; b++) free(slot[rank][b].data);
    free(slot[rank]);
    free(seeds[rank]);
    free(input[rank]);
  }
  for (int i = 0; i < 3; i++) {
    for (size_t b = 0; b < B; b++) free(traces[i][b].data);
    free(traces[i]);
  }
  free(slots);
  free_list(sw.p[0], w->weight_count);
  free_list(sw.p[1], w->weight_count);
  free_list(sw.masked, w->weight_count);
  free_list(sw.share[0], w->weight_count);
  free_list(sw.share[1], w->weight_count);
  if (status != TW_OK) fprintf(stderr, "walk: %s\n", tw_error_message());
  return status;
}

void walk_free(walk *w) {
  free(w->output);
  free(w->corrections[0]);
  free(w->corrections[1]);
  w->output = NULL;
  w->corrections[0] = w->corrections[1] = NULL;
}

int64_t walk_signed(const walk *w, size_t i) { return tw_signed(w->output[i], w->program->tensors[w->program->output].ring); }
double walk_real(const walk *w, size_t i) {
  return ldexp((double)walk_signed(w, i), -w->program->tensors[w->program->output].scale);
}
