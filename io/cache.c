#define _GNU_SOURCE
#include "io/cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/h5.h"

static const tw_h5_kind kind = {"twain-cache", "cache", true, true, "twain run", "begin a new conversation"};

struct tw_cache_claim {
  tw_output out;
  char path[4096];
};

static size_t bytes_of(const tw_cache *c) { return (size_t)c->count * c->each * sizeof *c->share; }

// ---- writing

tw_status tw_cache_begin(const char *path, const tw_cache *shape, bool replace, tw_cache_claim **out) {
  enum { ATTRIBUTES = 16, DATASETS = 2 };
  tw_cache_claim *place = calloc(1, sizeof *place);
  *out = NULL;
  if (!place) return tw_fail(TW_ERR_MEMORY, "out of memory");
  snprintf(place->path, sizeof place->path, "%s", path);
  uint64_t room = tw_h5_layout_room(ATTRIBUTES, DATASETS) + bytes_of(shape) + (uint64_t)shape->count * sizeof(int);
  tw_status status = tw_output_claim(&place->out, place->path, room, replace);
  if (status == TW_OK)
    *out = place;
  else
    free(place);
  return status;
}

static tw_status put_all(tw_h5 *f, const tw_cache *c) {
  hsize_t shape[2] = {(hsize_t)c->count, (hsize_t)c->each};
  TW_TRY(tw_h5_put_id(f, "conversation", &c->turn.conversation));
  TW_TRY(tw_h5_put_id(f, "run_id", &c->turn.run));
  TW_TRY(tw_h5_put_int(f, "/", "turn", c->turn.number));
  TW_TRY(tw_h5_put_id(f, "model_id", &c->model_id));
  TW_TRY(tw_h5_put_id(f, "input_id", &c->input_id));
  TW_TRY(tw_h5_put_digest(f, "plan", &c->plan));
  TW_TRY(tw_h5_put_int(f, "/", "count", c->count));
  TW_TRY(tw_h5_put_int(f, "/", "elements", (int64_t)c->each));
  TW_TRY(tw_h5_put(f, "rows", H5T_STD_I32LE, 1, shape, c->rows));
  return tw_h5_put(f, "share", H5T_STD_U64LE, 2, shape, c->share);
}

tw_status tw_cache_fill(tw_cache_claim *place, const tw_cache *cache) {
  tw_h5 f;
  TW_TRY(tw_h5_create_in(&f, &place->out, &kind, cache->party));
  return tw_h5_fill(&f, &place->out, put_all(&f, cache));
}

tw_status tw_cache_commit(tw_cache_claim *place) {
  tw_status status = tw_output_commit(&place->out);
  free(place);
  return status;
}

void tw_cache_release(tw_cache_claim *place) {
  if (place) tw_output_abort(&place->out);
  free(place);
}

// ---- reading

static tw_status get_head(const tw_h5 *f, tw_cache *c) {
  int64_t each;
  c->party = f->party;
  TW_TRY(tw_h5_get_id(f, "conversation", &c->turn.conversation));
  TW_TRY(tw_h5_get_id(f, "run_id", &c->turn.run));
  TW_TRY(tw_h5_get_small(f, "turn", 1, 1 << 24, &c->turn.number));
  TW_TRY(tw_h5_get_id(f, "model_id", &c->model_id));
  TW_TRY(tw_h5_get_id(f, "input_id", &c->input_id));
  TW_TRY(tw_h5_get_digest(f, "plan", &c->plan));
  TW_TRY(tw_h5_get_small(f, "count", 1, 1 << 24, &c->count));
  TW_TRY(tw_h5_get_int(f, "/", "elements", 1, INT64_C(1) << 40, &each));
  c->each = (size_t)each;
  hsize_t shape[2] = {(hsize_t)c->count, (hsize_t)c->each};
  uint64_t offset;
  TW_TRY(tw_h5_locate(f, "rows", H5T_STD_I32LE, 1, shape, &offset));
  TW_TRY(tw_h5_locate(f, "share", H5T_STD_U64LE, 2, shape, &offset));
  TW_TRY(tw_alloc((size_t)c->count * sizeof *c->rows, (void **)&c->rows));
  return tw_h5_get(f, "rows", H5T_STD_I32LE, 1, shape, c->rows);
}

tw_status tw_cache_look(const char *path, int party, tw_cache *cache) {
  tw_h5 f;
  *cache = (tw_cache){.count = 0};
  TW_TRY(tw_h5_open(&f, path, &kind, party));
  tw_status status = get_head(&f, cache);
  tw_h5_close(&f);
  if (status != TW_OK) tw_cache_free(cache);
  return status;
}

tw_status tw_cache_read(const char *path, const tw_cache *cache, uint64_t *share) {
  tw_h5 f;
  tw_cache now = {.count = 0};
  TW_TRY(tw_h5_open(&f, path, &kind, cache->party));
  tw_status status = get_head(&f, &now);
  if (status == TW_OK &&
      (strcmp(now.turn.run.hex, cache->turn.run.hex) != 0 || now.count != cache->count || now.each != cache->each))
    status = tw_fail(TW_ERR_MISMATCH, "%s: has changed during the start", path);
  hsize_t shape[2] = {(hsize_t)cache->count, (hsize_t)cache->each};
  if (status == TW_OK) status = tw_h5_get(&f, "share", H5T_STD_U64LE, 2, shape, share);
  tw_h5_close(&f);
  tw_cache_free(&now);
  tw_wipe_stack();
  return status;
}

void tw_cache_free(tw_cache *cache) {
  tw_share_free(cache->share, bytes_of(cache));
  tw_free(cache->rows);
  *cache = (tw_cache){.count = 0};
}
