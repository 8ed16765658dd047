// A party's walk by tiles, in the CPU's memory: what a chain on a GPU must open.
#include <string.h>

#include "base/memory.h"
#include "jobs/program/session_parts.h"
#include "jobs/program/tile.h"
#include "kernels/digit.h"

// A chain needs the corrections of all its operations when it begins, others lie between them in the stream. What is
// read before its time waits here.
typedef struct {
  tw_session *s;
  const tw_chains *chains;
  size_t rows;
  tw_correction_reader stream;
  int read_to;      // operations before it were read from the stream
  int now;          // the one that reads
  uint8_t **early;  // [operation][sequence]
} tile_walk;

// One tile on its way.
typedef struct {
  tile_walk *walk;
  const tw_tile *tile;
  uint64_t *const *shares;  // by correction of the tile's program: the whole's, [batch]
  int sequence;
  tw_session s;
} tile_run;

static size_t packed_bytes(const tw_session *s, const tw_op *op) {
  const tw_correction *c = &s->program->corrections[op->correction], *last = &c[op->correction_count - 1];
  return op->correction_count ? last->offset[s->party] + last->bytes[s->party] - c->offset[s->party] : 0;
}

static tw_status read_early(tile_walk *w, int end) {
  for (; w->read_to < end; w->read_to++)
    for (int b = 0; b < w->s->batch; b++) {
      size_t bytes = packed_bytes(w->s, &w->s->program->ops[w->read_to]);
      void *memory;
      if (bytes == 0) continue;
      TW_TRY(tw_secret_alloc(bytes, &memory));
      w->early[(size_t)w->read_to * (size_t)w->s->batch + (size_t)b] = memory;
      TW_TRY(w->stream.read(w->stream.state, b, memory, bytes));
    }
  return TW_OK;
}

static tw_status read_one(void *state, int b, void *dst, size_t bytes) {
  tile_walk *w = state;
  TW_TRY(read_early(w, w->now + 1));
  uint8_t **early = &w->early[(size_t)w->now * (size_t)w->s->batch + (size_t)b];
  memcpy(dst, *early, bytes);
  tw_secret_free(*early, bytes);
  *early = NULL;
  return TW_OK;
}

static tw_tile_part part_of(const tile_run *r, int tensor) {
  const tw_chain_tensor *of = &r->tile->chain->tensors[tensor];
  const tw_tensor *t = &r->tile->whole->tensors[of->tensor];
  return (tw_tile_part){of->rows, r->tile->chain->rows, t->n,
                        t->kind == TW_WIRE || t->kind == TW_SHARE ? 0 : (size_t)t->planes};
}

static tw_status give_shares(void *state, const tw_op *op, int i, uint64_t *out) {
  const tile_run *r = state;
  const tw_tile *t = r->tile;
  const tw_op *whole = &t->whole->ops[t->chain->ops[op - t->program.ops]];
  const tw_correction *c = &t->whole->corrections[whole->correction + i];
  int at = op->correction + i;
  tw_tile_part part = {t->dealt[at], t->chain->rows, c->n, c->kind == TW_DEALT_BITS ? (size_t)c->width : 0};
  tw_tile_gather(&part, t->range, r->shares[at] + (size_t)r->sequence * tw_correction_words(c), out);
  return TW_OK;
}

static bool has_mask(const tw_tensor *t) { return t->kind == TW_WIRE || t->kind == TW_BITWIRE; }

static tw_status gather_mask(tile_run *r, int tensor) {
  tw_session *s = r->walk->s;
  int id = r->tile->chain->tensors[tensor].tensor;
  tw_tile_part part = part_of(r, tensor);
  TW_TRY(tw_make_mask(&r->s, tensor, s->party));
  tw_tile_gather(&part, r->tile->range, tw_b(s, id)->mask[s->party] + (size_t)r->sequence * tw_words_of(s, id),
                 tw_b(&r->s, tensor)->mask[s->party]);
  return TW_OK;
}

static tw_status gather_inputs(tile_run *r) {
  tw_session *s = r->walk->s;
  for (int i = 0; i < r->tile->chain->tensor_count; i++) {
    if (!r->tile->chain->tensors[i].input) continue;
    int id = r->tile->chain->tensors[i].tensor;
    tw_tile_part part = part_of(r, i);
    TW_TRY(tw_make_value(&r->s, i));
    tw_tile_gather(&part, r->tile->range, tw_b(s, id)->value + (size_t)r->sequence * tw_words_of(s, id),
                   tw_b(&r->s, i)->value);
    if (has_mask(tw_t(s, id))) TW_TRY(gather_mask(r, i));
  }
  return TW_OK;
}

static bool opened_by(const tile_run *r, int tensor) {
  const tw_program *p = r->tile->whole;
  int id = r->tile->chain->tensors[tensor].tensor;
  return p->ops[p->tensors[id].first_op].opens;
}

// What others read, and what was opened, for whoever watches.
static void scatter_outputs(const tile_run *r) {
  tw_session *s = r->walk->s;
  for (int i = 0; i < r->tile->chain->tensor_count; i++) {
    const tw_chain_tensor *of = &r->tile->chain->tensors[i];
    bool opened = opened_by(r, i);
    if (of->input || (!of->output && !opened)) continue;
    tw_tile_part part = part_of(r, i);
    size_t at = (size_t)r->sequence * tw_words_of(s, of->tensor);
    tw_tile_scatter(&part, r->tile->range, tw_b(&r->s, i)->value, tw_b(s, of->tensor)->value + at);
    if (!opened && has_mask(tw_t(s, of->tensor)))
      tw_tile_scatter(&part, r->tile->range, tw_b(&r->s, i)->mask[s->party], tw_b(s, of->tensor)->mask[s->party] + at);
  }
}

static tw_status open_part(tile_run *r, const tw_op *op) {
  tw_session *s = r->walk->s, *t = &r->s;
  int id = op->out[0];
  const tw_tensor *x = tw_t(t, id);
  TW_TRY(gather_mask(r, id));
  TW_TRY(tw_make_value(t, id));
  int whole_batch = s->place.total_batch ? s->place.total_batch : s->batch;
  tw_open_request request = {.use = op->mask_use,
                             .index = (uint32_t)(op->ordinal * whole_batch + s->place.first_sequence + r->sequence),
                             .slot = s->sequences.slots[r->sequence],
                             .bits = x->kind == TW_BITWIRE,
                             .width = x->kind == TW_BITWIRE ? x->planes : x->ring,
                             .n = x->n,
                             .words = tw_words_of(t, id),
                             .share = tw_b(t, op->in[0])->value,
                             .mask = tw_b(t, id)->mask[s->party],
                             .out = tw_b(t, id)->value};
  return s->opener.open(s->opener.state, s->place.half, &request);
}

static tw_status flush(tw_session *s) {
  uint64_t message;
  TW_TRY(s->opener.start(s->opener.state, TW_FLUSH_DEMAND, &message));
  return s->opener.finish(s->opener.state, s->place.half, message);
}

static tw_status walk_tile(tile_run *r) {
  const tw_program *p = &r->tile->program;
  TW_TRY(gather_inputs(r));
  for (int i = 0; i < p->op_count; i++) {
    const tw_op *op = &p->ops[i];
    TW_TRY(op->opens ? open_part(r, op) : tw_session_run_op(&r->s, i));
    if (op->opens && (i + 1 == p->op_count || p->ops[i + 1].level != op->level)) TW_TRY(flush(r->walk->s));
  }
  scatter_outputs(r);
  return TW_OK;
}

static tw_status run_tile(tile_walk *w, tw_tile *tile, uint64_t *const *shares, int b, size_t first) {
  const tw_session *s = w->s;
  tile_run r = {.walk = w, .tile = tile, .shares = shares, .sequence = b};
  const tw_sequences *of = &s->sequences;
  tw_session_config config = {.program = &tile->program,
                              .role = TW_PARTY,
                              .party = s->party,
                              .batch = 1,
                              .sequences = {.slots = of->slots + b,
                                            .lengths = of->lengths ? of->lengths + b : NULL,
                                            .earlier = of->earlier ? of->earlier + b : NULL,
                                            .tokens = of->tokens ? of->tokens + b : NULL},
                              .source = {.shares = give_shares, .state = &r}};
  TW_TRY(tw_tile_move(tile, first));
  tw_status status = tw_session_create(&config, &r.s);
  if (status == TW_OK) status = walk_tile(&r);
  tw_session_destroy(&r.s);
  return status;
}

static tw_status run_tiles(tile_walk *w, const tw_chain *c, uint64_t *const *shares) {
  for (size_t first = 0; first < c->rows;) {
    size_t count = c->rows - first < w->rows ? c->rows - first : w->rows;
    tw_tile tile;
    tw_status status = tw_tile_make(w->s->program, c, count, &tile);
    for (; status == TW_OK && first + count <= c->rows; first += count)
      for (int b = 0; b < w->s->batch && status == TW_OK; b++) status = run_tile(w, &tile, shares, b, first);
    tw_tile_free(&tile);
    TW_TRY(status);
  }
  return TW_OK;
}

// Masks of what it opens, room for what it leaves, and the shares of its corrections, one behind the other.
static tw_status begin_chain(tile_walk *w, const tw_chain *c, uint64_t **shares) {
  tw_session *s = w->s;
  TW_TRY(read_early(w, c->ops[c->op_count - 1] + 1));
  for (int i = 0, at = 0; i < c->op_count; i++) {
    const tw_op *op = &s->program->ops[c->ops[i]];
    uint64_t *part[TW_MAX_CORRECTIONS];
    w->now = c->ops[i];
    if (op->opens && !s->preparation.keep_masks) TW_TRY(op->gate->mask(s, op, s->party));
    TW_TRY(tw_take(s, op, part));
    for (int j = 0; j < op->correction_count; j++) shares[at++] = s->corrections.taken[j].out;
  }
  for (int i = 0; i < c->tensor_count; i++) {
    int id = c->tensors[i].tensor;
    bool opened = s->program->ops[tw_t(s, id)->first_op].opens;
    if (c->tensors[i].input || (!c->tensors[i].output && !opened)) continue;
    TW_TRY(tw_make_value(s, id));
    memset(tw_b(s, id)->value, 0, 8 * (size_t)s->batch * tw_words_of(s, id));  // behind a plane's last bit, too
    if (!opened && has_mask(tw_t(s, id))) TW_TRY(tw_make_mask(s, id, s->party));
  }
  return TW_OK;
}

static tw_status run_chain(tile_walk *w, const tw_chain *c) {
  void *memory;
  TW_TRY(tw_alloc(sizeof(uint64_t *) * (size_t)c->op_count * TW_MAX_CORRECTIONS, &memory));
  tw_status status = begin_chain(w, c, memory);
  if (status == TW_OK) status = run_tiles(w, c, memory);
  tw_session_release_scratch(w->s);
  tw_free(memory);
  return status;
}

static tw_status walk_program(tile_walk *w) {
  tw_session *s = w->s;
  const tw_program *p = s->program;
  for (int i = 0; i < p->op_count; i++) {
    const tw_op *op = &p->ops[i];
    const tw_chain *c = w->chains->of_op[i] < 0 ? NULL : &w->chains->chains[w->chains->of_op[i]];
    w->now = i;
    if (c && c->ops[0] == i) TW_TRY(run_chain(w, c));
    if (!c) TW_TRY(tw_session_run_op(s, i));
    if (!c && op->opens) TW_TRY(flush(s));
    if (op->opens && s->observers.watch) TW_TRY(s->observers.watch(s->observers.watch_state, s, op));
    if (c || op->opens) tw_session_release_inputs(s, i);
  }
  s->walk.next_op = s->walk.level_start = p->op_count;
  return TW_OK;
}

tw_status tw_session_run_tiles(tw_session *s, const tw_chains *chains, size_t rows) {
  void *memory;
  tile_walk w = {.s = s, .chains = chains, .rows = rows, .stream = s->corrections.source};
  size_t places = (size_t)s->program->op_count * (size_t)s->batch;
  if (s->backend != &tw_cpu_backend || !w.stream.read || rows == 0)
    return tw_fail(TW_ERR_INTERNAL, "a walk by tiles in memory of %s", s->backend->name);
  TW_TRY(tw_alloc(sizeof(uint8_t *) * (places + 1), &memory));
  w.early = memory;
  s->corrections.source = (tw_correction_reader){.read = read_one, .state = &w};
  tw_status status = walk_program(&w);
  s->corrections.source = w.stream;
  for (size_t i = 0; i < places; i++)
    if (w.early[i]) tw_secret_free(w.early[i], packed_bytes(s, &s->program->ops[i / (size_t)s->batch]));
  tw_free(w.early);
  return status;
}
