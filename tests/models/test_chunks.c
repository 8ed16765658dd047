// Long texts in chunks: every token of the text is there, in its order, with the same tokens around each chunk.
#include <CUnit/Basic.h>
#include <sodium.h>
#include <stdlib.h>

#include "jobs/models/chunks.h"
#include "tests/common/suite.h"

enum { MOST = 400 };

static int below(int n) { return (int)randombytes_uniform((uint32_t)n); }

// Own tokens are numbers from 100 on, special ones 1, 2 ... before and 50, 51 ... behind them.
static void make(tw_frame frame, int own, int *ids, tw_encoding *out) {
  *out = (tw_encoding){.count = frame.head + own + frame.tail, .ids = ids};
  out->types = calloc((size_t)out->count + 1, sizeof *out->types);
  for (int i = 0; i < frame.head; i++) ids[i] = 1 + i;
  for (int i = 0; i < own; i++) ids[frame.head + i] = 100 + i;
  for (int i = 0; i < frame.tail; i++) ids[frame.head + own + i] = 50 + i;
}

static void check_chunk(const tw_encoding *chunk, tw_frame frame, int most, int overlap, bool last, int *seen) {
  int own = chunk->count - frame.head - frame.tail;
  CU_ASSERT_FATAL(own >= 1 && chunk->count <= most);
  CU_ASSERT_TRUE(last || chunk->count == most);
  for (int i = 0; i < frame.head; i++) CU_ASSERT_EQUAL(chunk->ids[i], 1 + i);
  for (int i = 0; i < frame.tail; i++) CU_ASSERT_EQUAL(chunk->ids[frame.head + own + i], 50 + i);
  int first = chunk->ids[frame.head] - 100;
  CU_ASSERT_EQUAL(first, *seen ? *seen - overlap : 0);
  for (int i = 0; i < own; i++) CU_ASSERT_EQUAL(chunk->ids[frame.head + i], 100 + first + i);
  CU_ASSERT_TRUE(first + own > *seen);
  *seen = first + own;
}

static void whole_texts(void) {
  for (int trial = 0; trial < 2000; trial++) {
    int ids[MOST + 8], count = 0, seen = 0, own = 1 + below(MOST);
    tw_frame frame = {below(4), below(4)}, found;
    int most = frame.head + frame.tail + 1 + below(60), overlap = below(most - frame.head - frame.tail);
    tw_encoding whole;
    make(frame, own, ids, &whole);
    CU_ASSERT_EQUAL(tw_frame_find(&whole, ids + frame.head, own, &found), TW_OK);
    CU_ASSERT_TRUE(found.head == frame.head && found.tail == frame.tail);
    CU_ASSERT_EQUAL_FATAL(tw_chunks_count(&whole, &frame, most, overlap, &count), TW_OK);
    CU_ASSERT_EQUAL(count == 1, whole.count <= most);
    for (int i = 0; i < count && count > 1; i++) {
      tw_encoding chunk;
      CU_ASSERT_EQUAL_FATAL(tw_chunk_of(&whole, &frame, most, overlap, i, &chunk), TW_OK);
      check_chunk(&chunk, frame, most, overlap, i + 1 == count, &seen);
      tw_encoding_free(&chunk);
    }
    if (count > 1) CU_ASSERT_EQUAL(seen, own);
    free(whole.types);
  }
}

static void refusals(void) {
  int ids[MOST + 8], count;
  tw_frame frame = {1, 1}, found;
  tw_encoding whole;
  make(frame, 30, ids, &whole);
  CU_ASSERT_EQUAL(tw_chunks_count(&whole, &frame, 10, 8, &count), TW_ERR_USAGE);
  CU_ASSERT_EQUAL(tw_chunks_count(&whole, &frame, 10, 7, &count), TW_OK);
  CU_ASSERT_EQUAL(tw_frame_find(&whole, (const int[]){100, 102}, 2, &found), TW_ERR_FORMAT);
  free(whole.types);
}

SUITE_MAIN("chunks", {"whole texts", whole_texts}, {"refusals", refusals})
