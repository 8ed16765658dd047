// Two MPI ranks: the channel with small, empty and very large messages, and the collector on top of it.
// Each party checks what it received and exits with 1 on a difference.
#include <mpi.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/channels.h"
#include "comm/opens.h"

static int party, failures;

static void check(int ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "party %d: failed: %s (%s)\n", party, what, tw_error_message());
  failures++;
}

// Both parties can compute both parties' bytes, from a seed drawn afresh by party 0.
static void content(const uint8_t seed[32], int of_party, uint32_t number, void *out, size_t bytes) {
  uint8_t nonce[8] = {(uint8_t)of_party, 0, 0, 0, (uint8_t)number, (uint8_t)(number >> 8)};
  memset(out, 0, bytes);
  crypto_stream_chacha20_xor(out, out, bytes, nonce, seed);
}

static void exchange(tw_channel *c, const uint8_t seed[32], uint32_t number, size_t bytes) {
  uint8_t *mine = malloc(bytes + 1), *theirs = malloc(bytes + 1), *got = calloc(1, bytes + 1);
  content(seed, party, number, mine, bytes);
  content(seed, 1 - party, number, theirs, bytes);
  got[bytes] = 77;
  check(tw_channel_exchange(c, mine, got, bytes) == TW_OK, "exchange");
  check(memcmp(got, theirs, bytes) == 0 && got[bytes] == 77, "content of an exchange");
  free(mine);
  free(theirs);
  free(got);
}

static void several_in_flight(tw_channel *c, const uint8_t seed[32]) {
  enum { COUNT = 8, BYTES = 300000 };
  static uint8_t mine[COUNT][BYTES], got[COUNT][BYTES], theirs[BYTES];
  tw_exchange x[COUNT];
  for (int i = 0; i < COUNT; i++) {
    content(seed, party, (uint32_t)(1000 + i), mine[i], BYTES);
    x[i] = (tw_exchange){mine[i], got[i], i % 2 ? BYTES : 100, NULL, 0};
    check(c->start(c, &x[i]) == TW_OK, "start");
  }
  for (int i = 0; i < COUNT; i++) {
    check(c->wait(c, &x[i]) == TW_OK, "wait");
    content(seed, 1 - party, (uint32_t)(1000 + i), theirs, BYTES);
    check(memcmp(got[i], theirs, x[i].bytes) == 0, "order of exchanges in flight");
  }
}

// Party 1 answers late: party 0 sees that nothing has come, then that it has, however often it asks.
static void late_answer(tw_channel *c) {
  uint8_t mine = (uint8_t)(10 + party), got = 0;
  tw_exchange x = {&mine, &got, 1, NULL, 0};
  MPI_Barrier(MPI_COMM_WORLD);
  if (party == 0) {
    check(c->start(c, &x) == TW_OK, "start");
    for (int i = 0; i < 100; i++) check(!c->arrived(c, &x), "an arrival before anything was sent");
  }
  MPI_Barrier(MPI_COMM_WORLD);
  if (party == 1) check(c->start(c, &x) == TW_OK, "start");
  while (!c->arrived(c, &x)) continue;
  check(c->arrived(c, &x), "an arrival that is forgotten");
  check(c->wait(c, &x) == TW_OK && got == 11 - party, "what arrived late");
}

// n elements of ring k, `count` times, over one or two messages in flight.
static void open_many(tw_opens *o, const uint8_t seed[32], int count, int k, size_t n) {
  uint64_t *mine = malloc(n * 8 * (size_t)count), *theirs = malloc(n * 8), message = 0;
  for (int i = 0; i < count; i++) {
    uint64_t *data = mine + (size_t)i * n;
    content(seed, party, (uint32_t)(2000 + i), data, n * 8);
    check(tw_opens_ring(o, (uint32_t)i, 5, k, n, data) == TW_OK, "queueing");
    if (i % 3 != 0) continue;
    check(tw_opens_finish(o, message) == TW_OK, "finish");
    check(tw_opens_start(o, &message) == TW_OK, "start");
  }
  check(tw_opens_finish(o, message) == TW_OK, "finish");
  check(tw_opens_flush(o) == TW_OK, "flush");
  uint64_t mask = k < 64 ? (1ull << k) - 1 : ~0ull;
  for (int i = 0; i < count; i++) {
    uint64_t *data = mine + (size_t)i * n, *own = malloc(n * 8);
    content(seed, party, (uint32_t)(2000 + i), own, n * 8);
    content(seed, 1 - party, (uint32_t)(2000 + i), theirs, n * 8);
    size_t wrong = 0;
    for (size_t j = 0; j < n; j++) wrong += data[j] != ((own[j] + theirs[j]) & mask);
    check(wrong == 0, "opened values");
    free(own);
  }
  free(mine);
  free(theirs);
}

static void same_transcript(tw_opens *o, tw_channel *c) {
  uint8_t mine[32], theirs[32];
  tw_opens_transcript(o, mine);
  check(tw_channel_exchange(c, mine, theirs, 32) == TW_OK, "exchange of transcripts");
  check(memcmp(mine, theirs, 32) == 0, "transcripts");
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &party);
  if (sodium_init() < 0) return 2;
  uint8_t seed[32];
  randombytes_buf(seed, sizeof seed);
  MPI_Bcast(seed, sizeof seed, MPI_BYTE, 0, MPI_COMM_WORLD);

  tw_channel *c = NULL;
  tw_opens *o = NULL;
  check(tw_channel_mpi(60, &c) == TW_OK, "channel");
  if (!c) {
    MPI_Abort(MPI_COMM_WORLD, 1);
    return 1;
  }
  check(c->party == party, "party of the channel");
  static const size_t sizes[] = {0, 1, 64, 4096, 70001, 5000000, 64 << 20, (64 << 20) + 1, 80000003, 0, 17};
  for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) exchange(c, seed, i, sizes[i]);
  several_in_flight(c, seed);
  late_answer(c);

  check(tw_opens_create(c, &o) == TW_OK, "collector");
  for (int k = 1; k <= 64; k++) open_many(o, seed, 1 + k % 5, k, 100 + (size_t)k);
  same_transcript(o, c);
  open_many(o, seed, 1, 48, 14000000);  // 84 MB: more than one chunk
  same_transcript(o, c);

  tw_opens_destroy(o);
  tw_channel_destroy(c);
  MPI_Finalize();
  return failures ? 1 : 0;
}
