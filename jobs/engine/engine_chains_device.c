// Chains on a GPU: which of the program's a kernel takes, their steps in the GPU's memory, and their launches between
// the other gates'. A launch is recorded with all else; the lists of its steps go to the GPU behind the recording.
#include "jobs/engine/engine_state.h"

#ifdef TWAIN_CUDA
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "kernels/device.h"
#include "kernels/device_opens.h"

// As many steps as a softmax has; beside them a block has memory for a row of 1024 columns.
enum { MOST_STEPS = 184, TILE_ROWS = 1 };
// So many chains' corrections are made ready while others run.
enum { AHEAD = 4 };

// One launch of a job: of a chain.
typedef struct {
  tw_chain_step *steps;  // as they were recorded
  int64_t *lists;
  tw_step_move *packs;
  size_t step_bytes, list_bytes, pack_bytes;
  char *place;  // device: steps, then lists, then packs
} chain_call;

struct tw_engine_calls {
  tw_engine *engine;
  tw_tile_runner runner;
  tw_device_chain_box box;
  uint32_t blocks, packets;  // of both parties; blocks: as many tiles at most, so that all run at once
  size_t most_step_bytes, most_list_bytes, most_pack_bytes;  // of any chain
  size_t share_words, packed_words;                          // of any chain
  uint64_t *shares, *packed;                                 // device, [AHEAD][share_words], [AHEAD][packed_words]
  tw_correction_room room;                                   // of the chain that is made ready
  void *stream;  // on which chains are made ready; NULL: the session's own, one behind the other
  void *begun, *ready[AHEAD], *done[AHEAD];
  int next;           // chains so far, of the job that is being recorded
  chain_call *calls;  // [chain]
  int count;
  char *device;
  size_t device_bytes;
  uint64_t *base;            // device: rounds of earlier jobs
  uint64_t rounds, payload;  // of the job that is being recorded
  uint64_t job_payload;      // of the last one that was
};

static size_t call_bytes(const tw_engine_calls *c) {
  return c->most_step_bytes + c->most_list_bytes + c->most_pack_bytes;
}

// ---- set-up

// What every chain needs of a block and of the memory for its lists.
static tw_status note_sizes(tw_engine_calls *c, const tw_tile_steps *list) {
  size_t steps = sizeof *list->steps * (size_t)list->count, lists = 8 * list->list_words;
  size_t packs = sizeof *list->packs * (size_t)list->pack_count;
  if (list->count > MOST_STEPS) return tw_fail(TW_ERR_USAGE, "a chain of %d steps", list->count);
  if (list->pack_count == TW_MOST_PACKS) return tw_fail(TW_ERR_USAGE, "a chain of %d packs", list->pack_count);
  if (steps > c->most_step_bytes) c->most_step_bytes = tw_arena_rounded(steps);
  if (lists > c->most_list_bytes) c->most_list_bytes = tw_arena_rounded(lists);
  if (packs > c->most_pack_bytes) c->most_pack_bytes = tw_arena_rounded(packs);
  if (list->packets > c->packets) c->packets = list->packets;
  if (list->packed_words > c->packed_words) c->packed_words = list->packed_words;
  if (c->room.used > c->share_words) c->share_words = c->room.used;
  return TW_OK;
}

static uint64_t bytes_sent(const tw_tile_steps *list) {
  uint64_t packets = 0;
  for (int i = 0; i < list->count; i++) {
    const tw_step_open *o = &list->steps[i].as.open;
    if (list->steps[i].kind == TW_STEP_SEND) packets += o->paired ? (o->words + 1) / 2 : o->words;
  }
  return TW_CHAIN_PACKET_BYTES * packets;
}

// All blocks have as many tiles, so all end with the same count. Who begins the next chain has the other party's last
// packets, but cannot know that it has read this one's: the next count is in the other slot.
static uint32_t blocks_for(size_t tiles, uint32_t most) {
  uint32_t blocks = tiles < most ? (uint32_t)tiles : most;
  while (tiles % blocks) blocks--;
  return blocks;
}

static tw_status launch(tw_engine_calls *c, tw_session *s, const chain_call *call, const tw_tile_steps *list,
                        size_t of_sequence) {
  size_t tiles = of_sequence * (size_t)s->batch;
  uint32_t blocks = blocks_for(tiles, c->blocks);
  tw_chain_launch a = {.steps = (const tw_chain_step *)(const void *)call->place,
                       .lists = (const int64_t *)(const void *)(call->place + c->most_step_bytes),
                       .list_words = (uint32_t)list->list_words,
                       .count = (uint32_t)list->count,
                       .tiles = (uint32_t)tiles,
                       .of_sequence = (uint32_t)of_sequence,
                       .blocks = blocks,
                       .rounds = list->rounds,
                       .packets = c->packets,  // one distance for all chains: two that follow each other share slots
                       .shared_bytes = list->shared_bytes,
                       .sent = c->box.sent,
                       .received = c->box.received,
                       .base = c->rounds,
                       .base_at = c->base,
                       .failed = c->box.failed,
                       .no_keys = tw_key_feed_stop(c->engine->feed),
                       .stop = c->box.stop,
                       .patience_ns = c->box.patience_ns};
  uint64_t rounds = (uint64_t)list->rounds * (tiles / blocks);
  c->rounds += rounds;
  c->payload += tiles * bytes_sent(list);
  s->chained.rounds += rounds;
  return tw_chain_run(&a, s->stream);
}

// Where corrections were expanded; the session's stream waits for it.
static tw_status pack(tw_engine_calls *c, tw_session *s, const chain_call *call, const tw_tile_steps *list,
                      size_t of_sequence) {
  const char *moves = call->place + c->most_step_bytes + c->most_list_bytes;
  void *ready = c->ready[c->next % AHEAD];
  TW_TRY(tw_chain_pack((const tw_step_move *)(const void *)moves, (uint32_t)list->pack_count,
                       (uint32_t)(of_sequence * (size_t)s->batch), (uint32_t)of_sequence,
                       c->stream ? c->stream : s->stream));
  if (!c->stream) return TW_OK;
  TW_TRY(tw_device_event_record(ready, c->stream));
  return tw_device_event_wait(ready, s->stream);
}

static tw_status keep(chain_call *call, const tw_tile_steps *list) {
  void *memory;
  tw_free(call->steps);
  tw_free(call->lists);
  tw_free(call->packs);
  *call = (chain_call){.place = call->place,
                       .step_bytes = sizeof *list->steps * (size_t)list->count,
                       .list_bytes = 8 * list->list_words,
                       .pack_bytes = sizeof *list->packs * (size_t)list->pack_count};
  TW_TRY(tw_alloc(call->step_bytes + 8, &memory));
  call->steps = memory;
  TW_TRY(tw_alloc(call->list_bytes + 8, &memory));
  call->lists = memory;
  TW_TRY(tw_alloc(call->pack_bytes + 8, &memory));
  call->packs = memory;
  memcpy(call->packs, list->packs, call->pack_bytes);
  memcpy(call->steps, list->steps, call->step_bytes);
  memcpy(call->lists, list->lists, call->list_bytes);
  return TW_OK;
}

static tw_status run(void *state, tw_session *s, const tw_tile_steps *list, size_t tiles) {
  tw_engine_calls *c = state;
  if (s->silent && tiles * (size_t)s->batch > c->blocks) return tw_fail(TW_ERR_USAGE, "%zu tiles at once", tiles);
  if (s->silent) return note_sizes(c, list);
  chain_call *call = &c->calls[c->engine->chains.of_op[s->walk.running]];
  if (sizeof *list->steps * (size_t)list->count > c->most_step_bytes || 8 * list->list_words > c->most_list_bytes ||
      sizeof *list->packs * (size_t)list->pack_count > c->most_pack_bytes || list->packets > c->packets)
    return tw_fail(TW_ERR_INTERNAL, "a chain has other steps than it was foreseen with");
  TW_TRY(keep(call, list));
  TW_TRY(pack(c, s, call, list, tiles));
  TW_TRY(launch(c, s, call, list, tiles));
  return c->stream ? tw_device_event_record(c->done[c->next++ % AHEAD], s->stream) : TW_OK;
}

// What a chain needs beside its input is made ready ahead of it, in memory of AHEAD chains in turn.
static tw_status go_aside(void *state, tw_session *s) {
  tw_engine_calls *c = state;
  int slot = c->next % AHEAD;
  c->room.used = 0;
  s->corrections.room = &c->room;
  if (s->silent) return TW_OK;
  c->room.memory = c->shares + (size_t)slot * c->share_words;
  c->runner.place.packed = c->packed + (size_t)slot * c->packed_words;
  if (!c->stream) return TW_OK;
  s->stream = c->stream;
  return tw_device_event_wait(c->next < AHEAD ? c->begun : c->done[slot], c->stream);
}

// A chain takes keys of operations that stand behind others: all of a slot's must have room.
static bool are_possible(tw_engine *e) { return e->count == 1 && tw_engine_keys_have_room(e); }

// Tables, digests and memory that steps name are elsewhere later; that there are as many is what counts.
enum { NOWHERE = 1 << 30 };
static tw_status probe(tw_engine *e, tw_engine_calls *c) {
  void *nowhere;
  size_t count = (size_t)(e->o.plan->program.table_count + e->o.model->count) + 1;
  TW_TRY(tw_alloc(sizeof(void *) * count, &nowhere));
  c->runner.place.tables = nowhere;
  c->runner.place.digests = nowhere;
  c->runner.place.packed = c->room.memory = (uint64_t *)(uintptr_t)NOWHERE;
  c->runner.place.packed_words = c->room.words = NOWHERE;
  tw_session_config config = tw_engine_part_config(e, &e->parts[0]);
  config.source = tw_key_feed_source(NULL, 0);
  config.weights.mask[e->party] = config.weights.masked = nowhere;
  config.weights.masked_operand = config.weights.share_operand = nowhere;
  tw_status status = tw_tiles_probe(&config, &e->chains, TILE_ROWS, &c->runner);
  tw_free(nowhere);
  return status;
}

static tw_status open_calls(tw_engine *e, tw_chain_terms *mine) {
  void *memory;
  int multiprocessors;
  TW_TRY(tw_alloc(sizeof(tw_engine_calls), &memory));
  tw_engine_calls *c = e->calls = memory;
  *c = (tw_engine_calls){.engine = e, .runner = {.run = run, .aside = go_aside, .state = c}};
  e->reserve.runner = &c->runner;
  e->o.chain_rows = TILE_ROWS;
  TW_TRY(tw_chain_shared(MOST_STEPS, &c->runner.place.shared_base, &c->runner.place.shared_bytes));
  TW_TRY(tw_device_multiprocessors(&multiprocessors));
  TW_TRY(tw_device_pci(mine->gpu));
  mine->blocks = are_possible(e) ? (uint32_t)multiprocessors : 0;
  return TW_OK;
}

// The kernel's blocks are all resident on both GPUs: at most one a multiprocessor. Two parties on one GPU go by levels:
// it may not have room for both kernels.
static uint32_t common_blocks(const tw_chain_terms *mine, const tw_chain_terms *theirs) {
  if (memcmp(mine->gpu, theirs->gpu, sizeof mine->gpu) == 0) return 0;
  return mine->blocks < theirs->blocks ? mine->blocks : theirs->blocks;
}

// Blocks decide which chains there are: so these are exchanged when both parties know of each other's.
tw_status tw_engine_agree_on_kernels(tw_engine *e, tw_chain_terms *mine) {
  tw_chain_terms theirs;
  if (e->o.chain_rows) TW_TRY(open_calls(e, mine));
  TW_TRY(tw_engine_exchange_chains(e, mine, &theirs));
  tw_engine_calls *c = e->calls;
  if (!c) return TW_OK;
  c->blocks = common_blocks(mine, &theirs);
  if (c->blocks == 0) return TW_OK;
  TW_TRY(tw_engine_find_chains(e));
  TW_TRY(probe(e, c));
  TW_TRY(tw_engine_keep_saving(e));
  mine->packets = c->packets;
  return tw_engine_exchange_chains(e, mine, &theirs);
}

size_t tw_engine_chain_box_bytes(const tw_engine *e) {
  const tw_engine_calls *c = e->calls;
  if (e->chains.count == 0) return 0;
  return TW_CHAIN_PACKET_BYTES * TW_CHAIN_SLOTS * (size_t)c->blocks * c->packets;
}

// Where masks are not there from the beginning, a chain's are made when it comes, and so is all else.
static size_t rooms(const tw_engine *e) { return e->kept && !e->o.prepare_beside ? AHEAD : 1; }

// The rooms' of the lists, of what is made ready, and of the number of rounds.
static size_t device_bytes(const tw_engine *e, const tw_engine_calls *c) {
  return call_bytes(c) * (size_t)e->chains.count + 8 * rooms(e) * (c->share_words + c->packed_words) + sizeof *c->base;
}

size_t tw_engine_chain_bytes(const tw_engine *e) {
  if (e->chains.count == 0) return 0;
  const tw_engine_calls *c = e->calls;
  return tw_engine_chain_box_bytes(e) + device_bytes(e, c);
}

static tw_status open_stream(tw_engine *e, tw_engine_calls *c) {
  if (rooms(e) == 1) return TW_OK;
  TW_TRY(tw_device_stream_create(&c->stream));
  TW_TRY(tw_device_event_create(&c->begun));
  for (int i = 0; i < AHEAD; i++) {
    TW_TRY(tw_device_event_create(&c->ready[i]));
    TW_TRY(tw_device_event_create(&c->done[i]));
  }
  return TW_OK;
}

static tw_status take_memory(tw_engine *e, tw_engine_calls *c) {
  void *memory;
  c->count = e->chains.count;
  size_t calls = call_bytes(c) * (size_t)c->count;
  c->device_bytes = device_bytes(e, c);
  TW_TRY(e->k->alloc(c->device_bytes, &memory));
  c->device = memory;
  c->packed = (uint64_t *)(void *)(c->device + calls);
  c->shares = c->packed + rooms(e) * c->packed_words;
  c->room.words = c->share_words;
  c->runner.place.packed_words = c->packed_words;
  c->base = c->shares + rooms(e) * c->share_words;
  TW_TRY(e->k->fill(c->base, 0, sizeof *c->base, e->stream));
  TW_TRY(tw_alloc(sizeof(chain_call) * (size_t)c->count, &memory));
  c->calls = memory;
  for (int i = 0; i < c->count; i++) c->calls[i] = (chain_call){.place = c->device + call_bytes(c) * (size_t)i};
  return TW_OK;
}

// Levels need other memory, for which there is room, too.
static tw_status go_by_levels(tw_engine *e) {
  tw_chains_free(&e->chains);
  e->device_bytes = e->device_level_bytes;
  for (int i = 0; i < e->count; i++) TW_TRY(tw_engine_forecast(e, &e->parts[i], tw_key_feed_source(NULL, i)));
  return TW_OK;
}

tw_status tw_engine_open_chains(tw_engine *e) {
  tw_engine_calls *c = e->calls;
  if (e->chains.count == 0) return TW_OK;
  if (!tw_device_opener_chain_box(e->opener, &c->box)) return go_by_levels(e);
  c->runner.place.tables = e->tables;
  c->runner.place.digests = c->box.digests;
  TW_TRY(open_stream(e, c));
  return take_memory(e, c);
}

const tw_tile_runner *tw_engine_tile_runner(const tw_engine *e) { return e->calls ? &e->calls->runner : NULL; }

// ---- a job

void *tw_engine_chain_stream(const tw_engine *e) { return e->calls ? e->calls->stream : NULL; }

tw_status tw_engine_fork_chains(tw_engine *e) {
  const tw_engine_calls *c = e->calls;
  return c && c->stream ? tw_device_event_record(c->begun, e->stream) : TW_OK;
}

tw_status tw_engine_advance_chains(tw_engine *e) {
  tw_engine_calls *c = e->calls;
  if (e->chains.count == 0) return TW_OK;
  uint64_t rounds = c->rounds;
  c->job_payload = c->payload;
  c->rounds = c->payload = 0;
  c->next = 0;
  return tw_device_exchange_advance(&(tw_mailbox){.base = c->base}, rounds, e->stream);
}

tw_status tw_engine_upload_chains(tw_engine *e) {
  const tw_engine_calls *c = e->calls;
  for (int i = 0; c && i < c->count; i++) {
    const chain_call *call = &c->calls[i];
    if (!call->steps) return tw_fail(TW_ERR_INTERNAL, "a chain that was never recorded");
    TW_TRY(e->k->upload(call->place, call->steps, call->step_bytes, e->stream));
    TW_TRY(e->k->upload(call->place + c->most_step_bytes, call->lists, call->list_bytes, e->stream));
    TW_TRY(
        e->k->upload(call->place + c->most_step_bytes + c->most_list_bytes, call->packs, call->pack_bytes, e->stream));
  }
  return TW_OK;
}

uint64_t tw_engine_chain_payload(const tw_engine *e) { return e->calls ? e->calls->job_payload : 0; }

void tw_engine_close_chains(tw_engine *e) {
  tw_engine_calls *c = e->calls;
  if (!c) return;
  for (int i = 0; c->calls && i < c->count; i++) {
    tw_free(c->calls[i].steps);
    tw_free(c->calls[i].lists);
    tw_free(c->calls[i].packs);
  }
  tw_free(c->calls);
  tw_device_event_destroy(c->begun);
  for (int i = 0; i < AHEAD; i++) {
    tw_device_event_destroy(c->ready[i]);
    tw_device_event_destroy(c->done[i]);
  }
  tw_device_stream_destroy(c->stream);
  if (c->device) e->k->release(c->device, c->device_bytes);
  tw_free(c);
  e->calls = NULL;
}
#endif
