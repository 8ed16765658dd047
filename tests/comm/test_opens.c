// The collector over a loopback pair, against plain addition and against a second, bit-by-bit reading of the format.
#include "kernels/digest.h"
#include "tests/comm/opens_pair.h"
#include "tests/common/suite.h"

static void every_width_in_one_flush(void) {
  item items[MAX_ITEMS];
  int count = 0;
  for (int k = 1; k <= 64; k++) {
    items[count++] = make_item(0, k, 1 + randombytes_uniform(150));
    items[count++] = make_item(1, 1 + (int)randombytes_uniform(17), (size_t)(3 * k - 2));
  }
  items[count++] = make_item(0, 13, 0);
  items[count++] = make_item(1, 3, 0);
  items[count++] = make_item(1, 300, 65);
  items[count++] = make_item(1, 2, 128);
  party parties[2];
  pair_open(parties, items, count);
  pair_run(parties, one_flush, one_flush);
  both_ok(parties);
  pair_close(parties);
  free_items(items, count);
}

static tw_status many_flushes(party *p) {
  int at = 0;
  while (p->items[at].share[0]) {
    int todo = p->count;  // opens a flush; the schedule is the same at both parties
    int from = at;
    for (int i = 0; i < todo && p->items[at].share[0]; i++, at++) TW_TRY(queue_item(p->opens, &p->items[at], p->party));
    TW_TRY(tw_opens_flush(p->opens));
    for (int i = from; i < at; i++) p->wrong += !opened(&p->items[i], p->party);
  }
  return TW_OK;
}

static void thousand_random_schedules(void) {
  for (int round = 0; round < 1000; round++) {
    item items[33] = {0};
    int count = 1 + (int)randombytes_uniform(32);
    for (int i = 0; i < count; i++) items[i] = random_item();
    party parties[2];
    pair_open(parties, items, 1 + (int)randombytes_uniform(8));
    pair_run(parties, many_flushes, many_flushes);
    both_ok(parties);
    pair_close(parties);
    free_items(items, count);
  }
}

// Queue, start, queue the next ones while the message is under way, finish.
static tw_status overlapped(party *p) {
  uint64_t message = 0;
  for (int i = 0; i < p->count; i++) {
    TW_TRY(queue_item(p->opens, &p->items[i], p->party));
    if (i > 0) {
      TW_TRY(tw_opens_finish(p->opens, message));
      p->wrong += !opened(&p->items[i - 1], p->party) + !untouched(&p->items[i], p->party);
    }
    TW_TRY(tw_opens_start(p->opens, &message));
    p->wrong += pending(p->opens) != 0;
  }
  TW_TRY(tw_opens_finish(p->opens, message));
  p->wrong += !opened(&p->items[p->count - 1], p->party);
  return TW_OK;
}

static void work_during_a_flush(void) {
  item items[40];
  for (int i = 0; i < 40; i++) items[i] = make_item(i % 3 == 0, 1 + i, 1 + randombytes_uniform(3000));
  party parties[2];
  pair_open(parties, items, 40);
  pair_run(parties, overlapped, overlapped);
  both_ok(parties);
  pair_close(parties);
  free_items(items, 40);
}

// CRC32C, one bit at a time (RFC 3720 12.1; reflected polynomial).
static uint32_t slow_crc32c(const uint8_t *data, size_t bytes) {
  uint32_t crc = ~0u;
  for (size_t i = 0; i < bytes; i++) {
    crc ^= data[i];
    for (int b = 0; b < 8; b++) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
  }
  return ~crc;
}

static uint64_t number_at(const uint8_t *p, int bytes) {
  uint64_t v = 0;
  for (int i = 0; i < bytes; i++) v |= (uint64_t)p[i] << 8 * i;
  return v;
}

// The packed bytes of a list of words, one bit at a time; returns their number.
static size_t slow_pack(const item *t, const uint64_t *words, uint8_t *out) {
  if (t->bits) {
    for (size_t j = 0; j < t->words * 8; j++) out[j] = (uint8_t)(words[j / 8] >> j % 8 * 8);
    return t->words * 8;
  }
  size_t bits = t->n * (size_t)t->width;
  memset(out, 0, (bits + 7) / 8);
  for (size_t b = 0; b < bits; b++)
    out[b / 8] |= (uint8_t)((words[b / (size_t)t->width] >> b % (size_t)t->width & 1) << b % 8);
  return (bits + 7) / 8;
}

static void message_as_specified(void) {
  CU_ASSERT_EQUAL(slow_crc32c((const uint8_t *)"123456789", 9), 0xE3069283u);  // the published check value
  item items[9];
  for (int i = 0; i < 9; i++) items[i] = i < 3 ? make_item(1, 1 + i, 30 + 64 * (size_t)i) : make_item(0, 7 * i, 41);
  party parties[2];
  item before = make_item(0, 64, 2000);  // leaves its bytes in the buffers
  pair_open(parties, &before, 1);
  pair_run(parties, one_flush, one_flush);
  both_ok(parties);
  for (int r = 0; r < 2; r++) {
    parties[r].items = items;
    parties[r].count = 9;
  }
  pair_run(parties, one_flush, one_flush);
  both_ok(parties);

  for (int r = 0; r < 2; r++) {
    uint8_t payload[1 << 15], layout[9 * 24], digest[16];
    size_t bytes = 0;
    for (int i = 0; i < 9; i++) {
      const item *t = &items[i];
      uint64_t sent[128];
      memcpy(sent, t->kept[r], t->words * 8);
      size_t row = (t->n + 63) / 64;
      for (size_t j = row - 1; t->bits && j < t->words; j += row)
        sent[j] = sent[j] << (64 - t->n % 64) >> (64 - t->n % 64);
      bytes += slow_pack(t, sent, payload + bytes);
      while (bytes % 8) payload[bytes++] = 0;
      uint64_t fields[5] = {t->use, (uint64_t)t->bits, (uint64_t)t->width, t->slot, t->n};
      int sizes[5] = {4, 2, 2, 8, 8};
      uint8_t *at = layout + (size_t)24 * (size_t)i;
      for (int f = 0; f < 5; at += sizes[f++]) memcpy(at, &fields[f], (size_t)sizes[f]);
    }
    crypto_generichash(digest, 16, layout, sizeof layout, NULL, 0);
    const uint8_t *m = parties[r].channel.message;
    CU_ASSERT_EQUAL_FATAL(parties[r].channel.message_bytes, HEADER + bytes);
    CU_ASSERT_EQUAL(memcmp(m + HEADER, payload, bytes), 0);
    CU_ASSERT_EQUAL(memcmp(m, "TWOP", 4), 0);
    CU_ASSERT_EQUAL(number_at(m + 4, 2), 1);
    CU_ASSERT_EQUAL(number_at(m + 6, 2), (uint64_t)r);
    CU_ASSERT_EQUAL(number_at(m + 8, 8), 1);
    CU_ASSERT_EQUAL(number_at(m + 16, 8), bytes);
    CU_ASSERT_EQUAL(memcmp(m + 24, digest, 16), 0);
    CU_ASSERT_EQUAL(number_at(m + 40, 4), 9);
    CU_ASSERT_EQUAL(number_at(m + 44, 4), items[0].use);
    CU_ASSERT_EQUAL(number_at(m + 48, 8), items[0].slot);
    CU_ASSERT_EQUAL(number_at(m + 56, 4), slow_crc32c(payload, bytes));
    CU_ASSERT_EQUAL(number_at(m + 60, 4), slow_crc32c(m, 60));
    CU_ASSERT_EQUAL(parties[r].stats.flushes, 2);
    CU_ASSERT_EQUAL(parties[r].stats.payload_bytes, 16000 + bytes);
    CU_ASSERT_EQUAL(parties[r].stats.wire_bytes, 16000 + HEADER + bytes + HEADER);
    CU_ASSERT(parties[r].stats.comm_ns > 0);
  }
  pair_close(parties);
  free_items(&before, 1);
  free_items(items, 9);
}

static tw_status nothing_queued(party *p) {
  uint64_t message;
  TW_TRY(tw_opens_flush(p->opens));
  TW_TRY(tw_opens_start(p->opens, &message));
  return tw_opens_finish(p->opens, message);
}

static void empty_flushes(void) {
  party parties[2];
  pair_open(parties, NULL, 0);
  pair_run(parties, nothing_queued, nothing_queued);
  both_ok(parties);
  CU_ASSERT_EQUAL(parties[0].stats.flushes, 0);
  CU_ASSERT_PTR_NULL(parties[0].channel.message);
  pair_close(parties);

  item items[2] = {make_item(0, 20, 0), make_item(1, 4, 0)};  // of length zero: a round, but no payload
  pair_open(parties, items, 2);
  pair_run(parties, one_flush, one_flush);
  both_ok(parties);
  CU_ASSERT_EQUAL(parties[0].stats.wire_bytes, HEADER);
  pair_close(parties);
  free_items(items, 2);
}

// Open the items in flushes of `group`; the transcript of both parties must be that of the plain sums.
static void transcript_of(item *items, int count, int group, uint8_t digest[32]) {
  party parties[2];
  item list[MAX_ITEMS + 1] = {0};
  memcpy(list, items, (size_t)count * sizeof *items);
  pair_open(parties, list, group);
  pair_run(parties, many_flushes, many_flushes);
  both_ok(parties);
  CU_ASSERT_EQUAL(memcmp(parties[0].transcript, parties[1].transcript, 32), 0);
  memcpy(digest, parties[0].transcript, 32);
  pair_close(parties);
  for (int i = 0; i < count; i++)
    for (int r = 0; r < 2; r++) memcpy(items[i].share[r], items[i].kept[r], items[i].words * 8);
}

static uint64_t slow_mix(uint64_t x) {
  x = (x ^ x >> 32) * UINT64_C(0xbf58476d1ce4e5b9);
  return x ^ x >> 32;
}

// Of planes bit by bit.
static uint64_t slow_digest(bool bits, const uint64_t *values, size_t words) {
  const uint64_t c = UINT64_C(0x9e3779b97f4a7c15);
  uint64_t sum = 0;
  for (size_t j = 0; j < words && !bits; j++) sum += slow_mix(values[j] + (j + 1) * c);
  for (size_t i = 0; i < 64 * words && bits; i++)
    if (values[i / 64] >> i % 64 & 1) sum += (slow_mix((i / 32 + 1) * c) | 1) << i % 32;
  return sum;
}

// Faults that a plain sum or XOR would miss: values exchanged, all off by the same, the same bit wrong in all.
static void digest_finds_faults(void) {
  enum { N = 1 << 12, BITS = 64 };
  static uint64_t right[N], wrong[N];
  for (int bit = 0; bit < 2 * BITS; bit++) {
    bool bits = bit >= BITS;
    uint64_t one = UINT64_C(1) << bit % BITS;
    size_t i = randombytes_uniform(N), k = (i + 1 + randombytes_uniform(N - 1)) % N;
    randombytes_buf(right, sizeof right);
    uint64_t digest = tw_open_digest(bits, right, N);
    CU_ASSERT_EQUAL(digest, slow_digest(bits, right, N));
    memcpy(wrong, right, sizeof right);
    wrong[i] = right[k], wrong[k] = right[i];
    CU_ASSERT_NOT_EQUAL(tw_open_digest(bits, wrong, N), digest);
    for (size_t j = 0; j < N; j++) wrong[j] = right[j] + one;
    CU_ASSERT_NOT_EQUAL(tw_open_digest(bits, wrong, N), digest);
    for (size_t j = 0; j < N; j++) wrong[j] = right[j] ^ one;
    CU_ASSERT_NOT_EQUAL(tw_open_digest(bits, wrong, N), digest);
    memcpy(wrong, right, sizeof right);
    wrong[i] = right[i] << 32 | right[i] >> 32;
    CU_ASSERT_NOT_EQUAL(tw_open_digest(bits, wrong, N), digest);
    wrong[i] = right[i] ^ one, wrong[k] = right[k] ^ one;  // in two places, where 64 bits lose the most
    CU_ASSERT_NOT_EQUAL(tw_open_digest(bits, wrong, N), digest);
  }
}

// Whoever has some bits of planes adds what they give: every bit once, in any order. A bit that two have is noticed.
static void digest_of_parts(void) {
  enum { N = 300, OWNERS = 5 };
  uint64_t values[N], part[OWNERS][N] = {{0}}, sum = 0;
  randombytes_buf(values, sizeof values);
  for (size_t i = 0; i < 64 * N; i++)
    part[randombytes_uniform(OWNERS)][i / 64] |= values[i / 64] & UINT64_C(1) << i % 64;
  for (int owner = OWNERS - 1; owner >= 0; owner--)
    for (size_t j = N; j-- > 0;) sum += tw_plane_digest_term(part[owner][j], j);
  CU_ASSERT_EQUAL(sum, tw_open_digest(true, values, N));
  for (size_t i = 0; i < 64 * N; i++)
    if (values[i / 64] >> i % 64 & 1)
      CU_ASSERT_NOT_EQUAL(sum + tw_plane_digest_term(UINT64_C(1) << i % 64, i / 64), sum);
}

static void transcript(void) {
  enum { COUNT = 20 };
  item items[COUNT];
  uint8_t bytes[1 << 16], expected[32], digest[32];
  size_t total = 0;
  for (int i = 0; i < COUNT; i++) {
    items[i] = random_item();
    uint64_t term = slow_digest(items[i].bits, items[i].sum, items[i].words);
    memcpy(bytes + total, &term, sizeof term);
    total += items[i].words ? sizeof term : 0;
  }
  crypto_generichash(expected, 32, bytes, total, NULL, 0);
  transcript_of(items, COUNT, 7, digest);
  CU_ASSERT_EQUAL(memcmp(digest, expected, 32), 0);
  transcript_of(items, COUNT, 20, digest);  // does not depend on how opens fall into messages
  CU_ASSERT_EQUAL(memcmp(digest, expected, 32), 0);

  item changed = make_item(0, 17, 9);
  transcript_of(&changed, 1, 1, expected);
  for (int r = 0; r < 2; r++) changed.kept[r][4] = changed.share[r][4] += r ? 1 : 0;
  changed.sum[4] = (changed.sum[4] + 1) % (1 << 17);
  transcript_of(&changed, 1, 1, digest);
  CU_ASSERT_NOT_EQUAL(memcmp(digest, expected, 32), 0);
  free_items(&changed, 1);
  free_items(items, COUNT);
}

static void impossible_arguments(void) {
  party parties[2];
  uint64_t word = 1;
  pair_open(parties, NULL, 0);
  tw_opens *o = parties[0].opens;
  CU_ASSERT_EQUAL(tw_opens_ring(o, 1, 1, 0, 1, &word), TW_ERR_INTERNAL);
  CU_ASSERT_EQUAL(tw_opens_ring(o, 1, 1, 65, 1, &word), TW_ERR_INTERNAL);
  CU_ASSERT_EQUAL(tw_opens_bits(o, 1, 1, 0, 1, &word), TW_ERR_INTERNAL);
  CU_ASSERT_EQUAL(tw_opens_bits(o, 1, 1, 65536, 1, &word), TW_ERR_INTERNAL);
  CU_ASSERT_EQUAL(tw_opens_ring(o, 1, 1, 8, 1, NULL), TW_ERR_INTERNAL);
  CU_ASSERT_EQUAL(tw_opens_ring(o, 1, 1, 8, SIZE_MAX, &word), TW_ERR_INTERNAL);
  CU_ASSERT_EQUAL(pending(o), 0);
  CU_ASSERT_EQUAL(word, 1);
  pair_close(parties);
}

int main(void) {
  if (sodium_init() < 0 || CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("opens", NULL, NULL);
  CU_ADD_TEST(suite, every_width_in_one_flush);
  CU_ADD_TEST(suite, thousand_random_schedules);
  CU_ADD_TEST(suite, work_during_a_flush);
  CU_ADD_TEST(suite, message_as_specified);
  CU_ADD_TEST(suite, empty_flushes);
  CU_ADD_TEST(suite, transcript);
  CU_ADD_TEST(suite, digest_finds_faults);
  CU_ADD_TEST(suite, digest_of_parts);
  CU_ADD_TEST(suite, impossible_arguments);
  return suite_end();
}
