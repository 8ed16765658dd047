#include "jobs/keys/key_laps.h"

#include "base/memory.h"

enum { LINE = 256 };  // places keep a slot's alignment

// The slot's position that lies at the memory's beginning during a lap.
static uint64_t base_of(const tw_key_laps *l, int lap) { return l->starts[lap] / LINE * LINE; }

tw_status tw_key_windows_of(const tw_program *program, int party, tw_key_windows *out) {
  void *memory;
  *out = (tw_key_windows){.slot_bytes = program->slot_bytes[party]};
  TW_TRY(tw_alloc(8 * (size_t)(program->op_count + 1), &memory));
  out->ends = memory;
  for (int i = 0; i < program->op_count; i++) {
    const tw_op *op = &program->ops[i];
    if (op->correction_count == 0) continue;
    const tw_correction *last = &program->corrections[op->correction + op->correction_count - 1];
    out->ends[out->count++] = last->offset[party] + last->bytes[party];
  }
  if (out->count == 0 || out->ends[out->count - 1] < out->slot_bytes) out->ends[out->count++] = out->slot_bytes;
  return TW_OK;
}

void tw_key_windows_free(tw_key_windows *w) {
  tw_free(w->ends);
  w->ends = NULL;
}

uint64_t tw_key_largest(const tw_key_windows *w) {
  uint64_t largest = 0;
  for (int i = 0; i < w->count; i++) {
    uint64_t bytes = w->ends[i] - (i ? w->ends[i - 1] : 0);
    if (bytes > largest) largest = bytes;
  }
  return largest;
}

uint64_t tw_key_room(const tw_key_windows *w, uint64_t block, uint64_t most) {
  uint64_t least = 2 * (tw_key_largest(w) + block) + 2 * LINE, room = most > least ? most : least;
  return room < w->slot_bytes ? room / LINE * LINE : w->slot_bytes;
}

tw_status tw_key_laps_create(const tw_key_windows *w, uint64_t room, tw_key_laps *out) {
  void *memory;
  *out = (tw_key_laps){.room = room};
  TW_TRY(tw_alloc(8 * (size_t)(w->count + 2), &memory));
  out->starts = memory;
  out->count = 1;
  for (int i = 0; i < w->count; i++) {
    uint64_t begin = i ? w->ends[i - 1] : 0;
    if (w->ends[i] - base_of(out, out->count - 1) <= room) continue;
    out->starts[out->count++] = begin;
    if (w->ends[i] - base_of(out, out->count - 1) > room) {
      tw_key_laps_free(out);
      return tw_fail(TW_ERR_INTERNAL, "a gate takes more keys than their memory of %llu bytes holds",
                     (unsigned long long)room);
    }
  }
  out->starts[out->count] = w->slot_bytes;
  return TW_OK;
}

void tw_key_laps_free(tw_key_laps *l) {
  tw_free(l->starts);
  l->starts = NULL;
}

int tw_key_lap(const tw_key_laps *l, uint64_t at) {
  int low = 0, high = l->count;
  while (high - low > 1) {
    int middle = (low + high) / 2;
    if (l->starts[middle] <= at)
      low = middle;
    else
      high = middle;
  }
  return low;
}

uint64_t tw_key_place(const tw_key_laps *l, uint64_t at) { return at - base_of(l, tw_key_lap(l, at)); }

// The byte that lay there a lap before; but all that is older, too: the first of these bytes may belong to the lap
// before, and lie where that lap's predecessor had its last keys.
uint64_t tw_key_read_before(const tw_key_laps *l, uint64_t end) {
  int lap = end > 0 ? tw_key_lap(l, end - 1) : 0;
  if (lap == 0) return 0;
  uint64_t same_place = base_of(l, lap - 1) + (end - base_of(l, lap)), older = l->starts[lap - 1];
  return same_place > older ? same_place : older;
}
