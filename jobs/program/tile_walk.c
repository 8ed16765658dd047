// A party's walk by tiles, in the CPU's memory: what a chain on a GPU must open.
#include <string.h>

#include "base/memory.h"
#include "jobs/program/tile_parts.h"
#include "kernels/digit.h"

// A chain needs the corrections of all its operations when it begins, others lie between them in the stream. What is
// read before its time waits here.
struct tw_tiles {
  tw_session *s;
  const tw_chains *chains;
  size_t rows;
  const tw_tile_runner *runner;
  tw_correction_reader stream;
  int read_to;      // operations before it were read from the stream
  int of_chain;     // the chain's that reads; -1: the session's next one does
  uint8_t **early;  // [operation][sequence]
};
typedef tw_tiles tile_walk;

static size_t packed_bytes(const tw_session *s, const tw_op *op) {
  const tw_correction *c = &s->program->corrections[op->correction], *last = &c[op->correction_count - 1];
  return op->correction_count ? last->offset[s->party] + last->bytes[s->party] - c->offset[s->party] : 0;
}

static tw_status read_stream(const tile_walk *w, int b, void *to, size_t bytes) {
  const tw_correction_reader *from = &w->stream;
  const uint8_t *packed;
  if (from->read) return from->read(from->state, b, to, bytes);
  TW_TRY(from->window(from->state, b, bytes, &packed));
  memcpy(to, packed, bytes);
  return TW_OK;
}

static tw_status read_early(tile_walk *w, int end) {
  for (; w->read_to < end; w->read_to++)
    for (int b = 0; b < w->s->batch; b++) {
      size_t bytes = packed_bytes(w->s, &w->s->program->ops[w->read_to]);
      void *memory;
      if (bytes == 0) continue;
      TW_TRY(tw_secret_alloc(bytes, &memory));
      w->early[(size_t)w->read_to * (size_t)w->s->batch + (size_t)b] = memory;
      TW_TRY(read_stream(w, b, memory, bytes));
    }
  return TW_OK;
}

static tw_status read_one(void *state, int b, void *dst, size_t bytes) {
  tile_walk *w = state;
  int op = w->of_chain >= 0 ? w->of_chain : w->s->walk.running;
  TW_TRY(read_early(w, op + 1));
  uint8_t **early = &w->early[(size_t)op * (size_t)w->s->batch + (size_t)b];
  if (!*early) return bytes == 0 ? TW_OK : tw_fail(TW_ERR_INTERNAL, "corrections of operation %d are read twice", op);
  memcpy(dst, *early, bytes);
  tw_secret_free(*early, bytes);
  *early = NULL;
  return TW_OK;
}

// Where all lies in memory already.
static tw_status find_window(void *state, int b, size_t bytes, const uint8_t **packed) {
  const tile_walk *w = state;
  int index = w->of_chain >= 0 ? w->of_chain : w->s->walk.running;
  const tw_op *op = &w->s->program->ops[index];
  return w->stream.window_at(w->stream.state, b, w->s->program->corrections[op->correction].offset[w->s->party], bytes,
                             w->of_chain >= 0, packed);
}

// The stream may have gone on already, for a chain: then this asks for more than is needed.
static tw_status reach(void *state, size_t bytes, bool *there) {
  const tile_walk *w = state;
  *there = true;
  return w->stream.reach ? w->stream.reach(w->stream.state, bytes, there) : TW_OK;
}

static tw_tile_part part_of(const tw_tile_run *r, int tensor) {
  const tw_chain_tensor *of = &r->tile->chain->tensors[tensor];
  const tw_tensor *t = &r->tile->whole->tensors[of->tensor];
  size_t planes = t->kind == TW_WIRE || t->kind == TW_SHARE ? 0 : (size_t)t->planes;
  return (tw_tile_part){.rows = of->rows,
                        .all = r->tile->chain->rows,
                        .n = t->n,
                        .planes = planes,
                        .sequence_words = tw_words_of(r->whole, of->tensor)};
}

static tw_status give_shares(void *state, const tw_op *op, int i, uint64_t *out) {
  tw_tile_run *r = state;
  const tw_tile *t = r->tile;
  const tw_op *whole = &t->whole->ops[t->chain->ops[op - t->program.ops]];
  const tw_correction *c = &t->whole->corrections[whole->correction + i];
  int at = op->correction + i;
  size_t planes = c->kind == TW_DEALT_BITS ? (size_t)c->width : 0;
  tw_tile_part part = {.rows = t->dealt[at],
                       .all = t->chain->rows,
                       .n = c->n,
                       .planes = planes,
                       .sequence_words = tw_correction_words(c),
                       .early = true};
  return r->hands->gather(r, &part, r->shares[at] + (size_t)r->sequence * tw_correction_words(c), out);
}

static bool has_mask(const tw_tensor *t) { return t->kind == TW_WIRE || t->kind == TW_BITWIRE; }

static tw_status gather_mask(tw_tile_run *r, int tensor) {
  tw_session *s = r->whole;
  int id = r->tile->chain->tensors[tensor].tensor;
  tw_tile_part part = part_of(r, tensor);
  part.early = true;
  TW_TRY(tw_make_mask(&r->s, tensor, s->party));
  return r->hands->gather(r, &part, tw_b(s, id)->mask[s->party] + (size_t)r->sequence * tw_words_of(s, id),
                          tw_b(&r->s, tensor)->mask[s->party]);
}

static tw_status gather_inputs(tw_tile_run *r) {
  tw_session *s = r->whole;
  for (int i = 0; i < r->tile->chain->tensor_count; i++) {
    if (!r->tile->chain->tensors[i].input) continue;
    int id = r->tile->chain->tensors[i].tensor;
    tw_tile_part part = part_of(r, i);
    TW_TRY(tw_make_value(&r->s, i));
    TW_TRY(r->hands->gather(r, &part, tw_b(s, id)->value + (size_t)r->sequence * tw_words_of(s, id),
                            tw_b(&r->s, i)->value));
    if (has_mask(tw_t(s, id))) TW_TRY(gather_mask(r, i));
  }
  return TW_OK;
}

// Of a tensor that others read, or that was opened, for whoever watches.
static tw_status scatter(tw_tile_run *r, int tensor, bool opened) {
  tw_session *s = r->whole;
  int id = r->tile->chain->tensors[tensor].tensor;
  size_t at = (size_t)r->sequence * tw_words_of(s, id);
  tw_tile_part part = part_of(r, tensor);
  part.watched = opened && !r->tile->chain->tensors[tensor].output;
  if (part.watched && !s->observers.watch) return TW_OK;
  TW_TRY(r->hands->scatter(r, &part, tw_b(&r->s, tensor)->value, tw_b(s, id)->value + at));
  if (opened || !has_mask(tw_t(s, id)) || s->preparation.keep_masks) return TW_OK;
  return r->hands->scatter(r, &part, tw_b(&r->s, tensor)->mask[s->party], tw_b(s, id)->mask[s->party] + at);
}

// In the transcript (jobs/gates/open.c).
static uint32_t index_of(const tw_tile_run *r, const tw_op *op) {
  const tw_session *s = r->whole;
  return (uint32_t)(op->ordinal * tw_whole_batch(s) + s->place.first_sequence + r->sequence);
}

static tw_status open_part(tw_tile_run *r, const tw_op *op) {
  tw_session *s = r->whole, *t = &r->s;
  int id = op->out[0];
  const tw_tensor *x = tw_t(t, id);
  if (!tw_is_split(r->tile->chain->tensors[id].rows))  // every tile would send it
    return tw_fail(TW_ERR_INTERNAL, "a chain opens what all its rows have in common");
  TW_TRY(gather_mask(r, id));
  TW_TRY(tw_make_value(t, id));
  tw_open_request request = {.use = op->mask_use,
                             .index = index_of(r, op),
                             .part = true,
                             .slot = s->sequences.slots[r->sequence],
                             .bits = x->kind == TW_BITWIRE,
                             .width = x->kind == TW_BITWIRE ? x->planes : x->ring,
                             .n = x->n,
                             .words = tw_words_of(t, id),
                             .share = tw_b(t, op->in[0])->value,
                             .mask = tw_b(t, id)->mask[s->party],
                             .out = tw_b(t, id)->value};
  return r->hands->open(r, &request);
}

// Opens what operations first .. end - 1 of the tile have queued.
static tw_status flush_part(tw_tile_run *r, int first, int end) {
  TW_TRY(r->hands->flush(r));
  for (int i = first; i < end; i++) {
    const tw_op *op = &r->tile->program.ops[i];
    if (!op->opens) continue;
    tw_tile_part part = part_of(r, op->out[0]);
    TW_TRY(r->hands->digest(r, &part, index_of(r, op), tw_b(&r->s, op->out[0])->value));
    TW_TRY(scatter(r, op->out[0], true));
    tw_session_release_inputs(&r->s, i);
  }
  return TW_OK;
}

static tw_status scatter_outputs(tw_tile_run *r) {
  for (int i = 0; i < r->tile->chain->tensor_count; i++) {
    const tw_chain_tensor *of = &r->tile->chain->tensors[i];
    bool opened = !of->input && r->tile->program.ops[r->tile->program.tensors[i].first_op].opens;
    if (of->output && !opened) TW_TRY(scatter(r, i, false));
  }
  return TW_OK;
}

tw_status tw_tile_walk(tw_tile_run *r) {
  const tw_program *p = &r->tile->program;
  TW_TRY(gather_inputs(r));
  for (int i = 0, first = 0; i < p->op_count; i++) {
    const tw_op *op = &p->ops[i];
    TW_TRY(op->opens ? open_part(r, op) : tw_session_run_op(&r->s, i));
    if (!op->opens || (i + 1 < p->op_count && p->ops[i + 1].level == op->level)) continue;
    TW_TRY(flush_part(r, first, i + 1));
    first = i + 1;
  }
  return scatter_outputs(r);
}

tw_session_config tw_tile_config(tw_tile_run *r) {
  const tw_session *s = r->whole;
  const tw_sequences *of = &s->sequences;
  int b = r->sequence;
  return (tw_session_config){.program = &r->tile->program,
                             .role = TW_PARTY,
                             .party = s->party,
                             .batch = 1,
                             .sequences = {.slots = of->slots + b,
                                           .lengths = of->lengths ? of->lengths + b : NULL,
                                           .earlier = of->earlier ? of->earlier + b : NULL,
                                           .tokens = of->tokens ? of->tokens + b : NULL},
                             .source = {.shares = give_shares, .state = r}};
}

// ---- in the CPU's memory, tile by tile

static tw_status gather_here(tw_tile_run *r, const tw_tile_part *part, uint64_t *whole, uint64_t *tile) {
  tw_tile_gather(part, r->tile->range, whole, tile);
  return TW_OK;
}

static tw_status scatter_here(tw_tile_run *r, const tw_tile_part *part, uint64_t *tile, uint64_t *whole) {
  tw_tile_scatter(part, r->tile->range, tile, whole);
  return TW_OK;
}

static tw_status open_here(tw_tile_run *r, const tw_open_request *request) {
  tw_session *s = r->whole;
  return s->opener.open(s->opener.state, s->place.half, request);
}

static tw_status flush(tw_session *s) {
  uint64_t message;
  s->chained.rounds++;
  if (s->observers.mark) TW_TRY(s->observers.mark(s->observers.mark_state, -1));
  TW_TRY(s->opener.start(s->opener.state, TW_FLUSH_DEMAND, &message));
  return s->opener.finish(s->opener.state, s->place.half, message);
}

static tw_status flush_here(tw_tile_run *r) { return flush(r->whole); }

static tw_status digest_here(tw_tile_run *r, const tw_tile_part *part, uint32_t index, uint64_t *tile) {
  const tw_opener *o = &r->whole->opener;
  return o->add_digest(o->state, index, tw_tile_digest(part, r->tile->range, tile));
}

// What the tile's gates took is the walk's.
static void add_seconds(tw_session *s, const tw_session *tile) {
  for (int i = 0; i < s->program->step_count; i++) s->step_seconds[i] += tile->step_seconds[i];
}

static tw_status run_tile(tile_walk *w, tw_tile *tile, uint64_t *const *shares, int b, size_t first) {
  static const tw_tile_hands here = {gather_here, scatter_here, open_here, flush_here, digest_here};
  tw_tile_run r = {.whole = w->s, .hands = &here, .tile = tile, .shares = shares, .sequence = b};
  tw_session_config config = tw_tile_config(&r);
  TW_TRY(tw_tile_move(tile, first));
  config.observers = (tw_observers){.mark = w->s->observers.mark, .mark_state = w->s->observers.mark_state};
  tw_status status = tw_session_create(&config, &r.s);
  if (status == TW_OK) status = tw_tile_walk(&r);
  if (status == TW_OK) add_seconds(w->s, &r.s);
  tw_session_destroy(&r.s);
  return status;
}

static tw_status run_tiles(tile_walk *w, const tw_chain *c, uint64_t *const *shares) {
  if (w->runner) return tw_tile_run_steps(w->s, c, w->rows, shares, w->runner);
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

// The shares of its corrections, one behind the other; many are expanded at once. of_chain: whose they are.
static tw_status take_shares(tw_session *s, const tw_chain *c, int *of_chain, uint64_t **shares) {
  tw_correction_args taken[TW_MAX_CORRECTIONS];
  int count = 0;
  for (int i = 0, at = 0; i < c->op_count; i++) {
    const tw_op *op = &s->program->ops[c->ops[i]];
    uint64_t *part[TW_MAX_CORRECTIONS];
    *of_chain = c->ops[i];
    TW_TRY(tw_take_later(s, op, part));
    for (int j = 0; j < op->correction_count; j++) {
      shares[at++] = s->corrections.taken[j].out;
      if (s->corrections.taken[j].sequences == 0) continue;
      taken[count++] = s->corrections.taken[j];
      if (count == TW_MAX_CORRECTIONS) TW_TRY(s->backend->corrections(taken, count, s->stream));
      if (count == TW_MAX_CORRECTIONS) count = 0;
    }
  }
  return count ? s->backend->corrections(taken, count, s->stream) : TW_OK;
}

// Masks of what it opens, and room for what others read of it, or look at.
static tw_status make_room(tw_session *s, const tw_chain *c) {
  for (int i = 0; i < c->op_count; i++) {
    const tw_op *op = &s->program->ops[c->ops[i]];
    if (op->opens && !s->preparation.keep_masks) TW_TRY(op->gate->mask(s, op, s->party));
  }
  for (int i = 0; i < c->tensor_count; i++) {
    int id = c->tensors[i].tensor;
    bool opened = s->program->ops[tw_t(s, id)->first_op].opens;
    if (c->tensors[i].input || (!c->tensors[i].output && !(opened && s->observers.watch))) continue;
    size_t bytes = 8 * (size_t)s->batch * tw_words_of(s, id);
    TW_TRY(tw_make_value(s, id));
    if (tw_t(s, id)->kind != TW_WIRE && tw_t(s, id)->kind != TW_SHARE)  // zeros behind a plane's last bit
      TW_TRY(s->backend->fill(tw_b(s, id)->value, 0, bytes, s->stream));
    if (!opened && has_mask(tw_t(s, id))) TW_TRY(tw_make_mask(s, id, s->party));
  }
  return TW_OK;
}

// A runner may put corrections aside: then they are expanded there, and the session is on its own stream and in its own
// room again, whatever comes of it.
static tw_status begin_chain(tw_session *s, const tw_chain *c, const tw_tile_runner *runner, int *of_chain,
                             uint64_t **shares) {
  void *own = s->stream;
  TW_TRY(make_room(s, c));
  tw_status status = runner && runner->aside ? runner->aside(runner->state, s) : TW_OK;
  if (status == TW_OK) status = take_shares(s, c, of_chain, shares);
  *of_chain = -1;
  s->corrections.room = NULL;
  s->stream = own;
  return status;
}

static tw_status room_for_shares(const tw_chain *c, void **out) {
  return tw_alloc(sizeof(uint64_t *) * (size_t)c->op_count * TW_MAX_CORRECTIONS, out);
}

// As the walk will ask for it. runner: NULL, or who would run the tiles; he is asked for those of so many rows, where
// that is not 0.
static tw_status reserve_chain(tw_session *s, const tw_chain *c, const tw_tile_runner *runner, size_t rows) {
  void *memory;
  int of_chain;
  TW_TRY(room_for_shares(c, &memory));
  tw_status status = begin_chain(s, c, runner, &of_chain, memory);
  if (status == TW_OK && rows) status = tw_tile_run_steps(s, c, rows, memory, runner);
  tw_session_release_scratch(s);
  tw_free(memory);
  return status;
}

// What is prepared beside is waited for; all of a chain's time is the first operation's step.
static tw_status announce(tw_session *s, const tw_chain *c) {
  for (int i = 0; i < c->op_count && s->preparer.need; i++) TW_TRY(s->preparer.need(s->preparer.state, c->ops[i]));
  int step = s->program->ops[c->ops[0]].step;
  return s->observers.mark ? s->observers.mark(s->observers.mark_state, step) : TW_OK;
}

static tw_status run_chain(tile_walk *w, const tw_chain *c) {
  void *memory;
  TW_TRY(announce(w->s, c));
  if (!w->stream.window_at) TW_TRY(read_early(w, c->ops[c->op_count - 1] + 1));
  TW_TRY(room_for_shares(c, &memory));
  tw_status status = begin_chain(w->s, c, w->runner, &w->of_chain, memory);
  if (status == TW_OK) status = run_tiles(w, c, memory);
  w->s->chained.chains += (uint64_t)w->s->batch;
  tw_session_release_scratch(w->s);
  tw_free(memory);
  return status;
}

static tw_status run_at(void *state, tw_session *s, int op) {
  tile_walk *w = state;
  const tw_chain *c = &w->chains->chains[w->chains->of_op[op]];
  if (c->ops[0] != op) return TW_OK;
  return s->silent ? reserve_chain(s, c, w->runner, 0) : run_chain(w, c);
}

static tw_status reserve_at(void *state, tw_session *s, int op) {
  const tw_tiles_reserve *r = state;
  const tw_chain *c = &r->chains->chains[r->chains->of_op[op]];
  return c->ops[0] == op ? reserve_chain(s, c, r->runner, 0) : TW_OK;
}

tw_chain_runner tw_tiles_reserver(tw_tiles_reserve *r) { return (tw_chain_runner){r->chains->of_op, reserve_at, r}; }

// What a chain needs is not there, or its tile does not fit into a block's memory (tw_session's arena).
static bool is_refusal(tw_status status) {
  return status == TW_ERR_USAGE || status == TW_ERR_RANGE || status == TW_ERR_INTERNAL;
}

// A look at chains whose memory is only asked for.
typedef struct {
  tw_chains *chains;
  size_t rows;
  const tw_tile_runner *runner;
  bool *refused;  // by chain
} chain_probe;

static tw_status probe_at(void *state, tw_session *s, int op) {
  chain_probe *p = state;
  int i = p->chains->of_op[op];
  if (p->chains->chains[i].ops[0] != op || p->refused[i]) return TW_OK;
  tw_status status = reserve_chain(s, &p->chains->chains[i], p->runner, p->rows);
  p->refused[i] = is_refusal(status);
  return p->refused[i] ? TW_OK : status;
}

tw_status tw_tiles_probe(const tw_session_config *like, tw_chains *chains, size_t rows, const tw_tile_runner *runner) {
  void *memory;
  tw_session_room room;
  tw_session_config config = *like;
  TW_TRY(tw_alloc(sizeof(bool) * (size_t)(chains->count + 1), &memory));
  chain_probe p = {chains, rows, runner, memory};
  config.chains = (tw_chain_runner){chains->of_op, probe_at, &p};
  tw_status status = tw_session_forecast(&config, TW_FORECAST_ONLINE, &room);
  if (status == TW_OK) tw_chains_drop(chains, like->program->op_count, p.refused);
  tw_free(memory);
  return status;
}

tw_status tw_tiles_begin(tw_session *s, const tw_chains *chains, size_t rows, const tw_tile_runner *runner,
                         tw_tiles **out) {
  void *memory;
  *out = NULL;
  if ((s->backend != &tw_cpu_backend || !s->opener.add_digest) && !runner)
    return tw_fail(TW_ERR_INTERNAL, "a walk by tiles in memory of %s", s->backend->name);
  TW_TRY(tw_alloc(sizeof(tw_tiles), &memory));
  tw_tiles *w = memory;
  *w = (tw_tiles){
      .s = s, .chains = chains, .rows = rows, .runner = runner, .of_chain = -1, .stream = s->corrections.source};
  tw_status status = tw_alloc(sizeof(uint8_t *) * ((size_t)s->program->op_count * (size_t)s->batch + 1), &memory);
  if (status != TW_OK) {
    tw_free(w);
    return status;
  }
  w->early = memory;
  s->corrections.source = w->stream.window_at
                              ? (tw_correction_reader){.state = w, .window = find_window, .reach = reach}
                              : (tw_correction_reader){.read = read_one, .state = w};
  s->chains = (tw_chain_runner){chains->of_op, run_at, w};
  *out = w;
  return TW_OK;
}

void tw_tiles_end(tw_tiles *w) {
  if (!w) return;
  tw_session *s = w->s;
  size_t places = (size_t)s->program->op_count * (size_t)s->batch;
  s->chains = (tw_chain_runner){NULL, NULL, NULL};
  s->corrections.source = w->stream;
  for (size_t i = 0; i < places; i++)
    if (w->early[i]) tw_secret_free(w->early[i], packed_bytes(s, &s->program->ops[i / (size_t)s->batch]));
  tw_free(w->early);
  tw_free(w);
}

tw_status tw_session_run_tiles(tw_session *s, const tw_chains *chains, size_t rows, const tw_tile_runner *runner) {
  tw_tiles *w;
  TW_TRY(tw_tiles_begin(s, chains, rows, runner, &w));
  tw_status status = tw_session_run(s);
  tw_tiles_end(w);
  return status;
}
