#include "jobs/models/chunks.h"

#include <stdlib.h>
#include <string.h>

tw_status tw_frame_find(const tw_encoding *whole, const int *ids, int count, tw_frame *out) {
  for (int head = 0; head + count <= whole->count; head++)
    if (memcmp(whole->ids + head, ids, (size_t)count * sizeof *ids) == 0) {
      *out = (tw_frame){head, whole->count - head - count};
      return TW_OK;
    }
  return tw_fail(TW_ERR_FORMAT,
                 "--chunk: this tokenizer gives a text other tokens where special ones stand around it, so it has no "
                 "chunks; cut the texts (`encode --truncate`), or divide them beforehand");
}

tw_status tw_chunks_count(const tw_encoding *whole, const tw_frame *frame, int most, int overlap, int *count) {
  int own = whole->count - frame->head - frame->tail, room = most - frame->head - frame->tail, step = room - overlap;
  *count = 1;
  if (whole->count <= most) return TW_OK;
  if (step < 1)
    return tw_fail(
        TW_ERR_USAGE,
        "--overlap %d: chunks of %d tokens, %d of them special ones, have no room behind so many that overlap; "
        "say fewer",
        overlap, most, frame->head + frame->tail);
  *count = 1 + (own - room + step - 1) / step;
  return TW_OK;
}

tw_status tw_chunk_of(const tw_encoding *whole, const tw_frame *frame, int most, int overlap, int index,
                      tw_encoding *out) {
  int around = frame->head + frame->tail, own = whole->count - around, room = most - around;
  int first = index * (room - overlap), n = own - first < room ? own - first : room;
  size_t tokens = (size_t)(n + around);
  *out = (tw_encoding){.count = n + around, .whole = n + around};
  out->ids = calloc(tokens, sizeof *out->ids);
  out->types = calloc(tokens, sizeof *out->types);
  if (!out->ids || !out->types) {
    tw_encoding_free(out);
    return tw_fail(TW_ERR_MEMORY, "out of memory for chunks");
  }
  for (int i = 0; i < n + around; i++) {
    int from = i < frame->head ? i : i < frame->head + n ? first + i : whole->count - (n + around - i);
    out->ids[i] = whole->ids[from];
    out->types[i] = whole->types[from];
  }
  return TW_OK;
}
