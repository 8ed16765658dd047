#include "jobs/program/pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

// The lists so far, and which of them has a hash: 1 + its number, 0: none; collisions go to the next slot.
typedef struct {
  size_t at, count;
  uint64_t hash;
} list;

struct tw_pool_index {
  list *lists;
  size_t list_count, list_room;
  uint32_t *slot;
  size_t slots;  // a power of two, at least twice the lists
};

enum { FIRST_SLOTS = 256 };

static uint64_t hash_of(const int64_t *values, size_t count) {
  uint64_t hash = count;
  for (size_t i = 0; i < count; i++) hash = (hash ^ (uint64_t)values[i]) * 0x9e3779b97f4a7c15 + (hash >> 29);
  return hash ^ hash >> 32;
}

static void put(tw_pool_index *x, uint32_t number) {
  size_t at = x->lists[number].hash & (x->slots - 1);
  while (x->slot[at]) at = (at + 1) & (x->slots - 1);
  x->slot[at] = number + 1;
}

static tw_status make_room(tw_pool_index *x) {
  TW_TRY(tw_grow((void **)&x->lists, &x->list_room, x->list_count + 1, sizeof *x->lists));
  if (2 * (x->list_count + 1) <= x->slots) return TW_OK;
  size_t slots = x->slots ? 2 * x->slots : FIRST_SLOTS;
  uint32_t *slot = calloc(slots, sizeof *slot);
  if (!slot) return tw_fail(TW_ERR_MEMORY, "out of memory for an index of lists");
  free(x->slot);
  x->slot = slot;
  x->slots = slots;
  for (size_t i = 0; i < x->list_count; i++) put(x, (uint32_t)i);
  return TW_OK;
}

static const list *find(const tw_program *p, const int64_t *values, size_t count, uint64_t hash) {
  const tw_pool_index *x = p->pool_index;
  for (size_t at = hash & (x->slots - 1); x->slot[at]; at = (at + 1) & (x->slots - 1)) {
    const list *l = &x->lists[x->slot[at] - 1];
    if (l->hash == hash && l->count == count && memcmp(p->pool + l->at, values, count * sizeof *values) == 0) return l;
  }
  return NULL;
}

tw_status tw_pool_place(tw_program *p, const int64_t *values, size_t count, size_t *place) {
  if (!p->pool_index) p->pool_index = calloc(1, sizeof *p->pool_index);
  if (!p->pool_index) return tw_fail(TW_ERR_MEMORY, "out of memory for an index of lists");
  tw_pool_index *x = p->pool_index;
  TW_TRY(make_room(x));
  uint64_t hash = hash_of(values, count);
  const list *known = find(p, values, count, hash);
  if (!known) {
    TW_TRY(tw_grow((void **)&p->pool, &p->pool_room, p->pool_count + count, sizeof *p->pool));
    memcpy(p->pool + p->pool_count, values, count * sizeof *values);
    known = &x->lists[x->list_count];
    x->lists[x->list_count] = (list){p->pool_count, count, hash};
    p->pool_count += count;
    put(x, (uint32_t)x->list_count++);
  }
  *place = known->at;
  return TW_OK;
}

void tw_pool_close(tw_program *p) {
  if (!p->pool_index) return;
  free(p->pool_index->lists);
  free(p->pool_index->slot);
  free(p->pool_index);
  p->pool_index = NULL;
}
