#include "jobs/parties/live_keys.h"

#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "jobs/parties/live_words.h"

enum { PORTION = 128 << 10 };

// A chunk that came before anybody asked for it.
typedef struct early {
  struct early *next;
  uint64_t at;  // in the order of all chunks
  uint8_t data[TW_KEY_CHUNK];
} early;

// What comes on one connection, in one order: of all sequences' chunk 0, then chunk 1, ... every streams-th.
typedef struct {
  tw_tls *tls;
  uint64_t next;   // in that order
  bool receiving;  // one thread does
  early *early;
} stream;

typedef struct {
  tw_live_dealer dealer;
  tw_tls_context *context;
  tw_sockets *sockets;
  int streams;
  stream stream[TW_LIVE_STREAMS];
  tw_keys_info info;
  tw_id ledger;  // that was recorded; "": none
  uint64_t first;
  int count;
  uint8_t (*seeds)[32];  // [count]
  bool taken;
  pthread_mutex_t lock;
  pthread_cond_t came;
  tw_status status;
  char message[600];
} live;

static uint64_t in_time(const live *l) { return tw_clock_ns() + (uint64_t)(1e9 * l->dealer.silence_seconds); }

// So that a slow line has its time for each portion.
static tw_status get(live *l, tw_tls *tls, void *data, size_t bytes) {
  for (uint8_t *to = data; bytes;) {
    size_t part = bytes < PORTION ? bytes : PORTION;
    TW_TRY(tw_tls_get(tls, to, part, in_time(l)));
    to += part;
    bytes -= part;
  }
  return TW_OK;
}

static tw_status no_dealer(const char *what) {
  return tw_fail(TW_ERR_IDENTITY, "what the dealer says no twain says (%s)", what);
}

static tw_status said(int32_t found, const char *message, size_t size) {
  if (!tw_status_known(found) || !memchr(message, '\0', size)) return no_dealer("its status");
  return found == TW_OK ? TW_OK : tw_fail((tw_status)found, "the dealer refuses: %s", message);
}

static tw_status in_dealer(tw_status status) {
  return status == TW_OK ? TW_OK : tw_fail_in(status, "keys from the dealer");
}

// ---- connections

static tw_status greet(live *l, int k) {
  tw_live_hello hello;
  tw_live_offer offer;
  tw_tls *tls = l->stream[k].tls;
  memset(&hello, 0, sizeof hello);
  memcpy(hello.says.magic, tw_live_magic, sizeof tw_live_magic);
  hello.says.version = TW_LIVE_VERSION;
  hello.says.stream = (uint32_t)k;
  hello.says.model_id = l->info.model_id;
  hello.says.plan = l->info.plan;
  TW_TRY(tw_tls_put(tls, hello.bytes, sizeof hello.bytes, in_time(l)));
  TW_TRY(get(l, tls, offer.bytes, sizeof offer.bytes));
  if (memcmp(offer.says.magic, tw_live_magic, sizeof tw_live_magic) != 0) return no_dealer("its greeting");
  TW_TRY(said(offer.says.found, offer.says.message, sizeof offer.says.message));
  if (offer.says.slot_bytes != l->info.slot_bytes)
    return tw_fail(TW_ERR_MISMATCH,
                   "the dealer's slots have %" PRIu64 " bytes for this site, the plan's %" PRIu64
                   "; has the dealer the pins of both parties in the right places?",
                   offer.says.slot_bytes, l->info.slot_bytes);
  if (offer.says.streams < 1) return no_dealer("its streams");
  if (k == 0 && offer.says.streams < (uint32_t)l->streams) l->streams = (int)offer.says.streams;
  return TW_OK;
}

// The dealer must be there already: the other party waits for this one.
static tw_status connect_stream(live *l, int k) {
  int fd;
  uint64_t soon = tw_clock_ns() + (uint64_t)(0.5e9 * l->dealer.silence_seconds);
  TW_TRY(tw_sockets_next(l->sockets, soon, &fd));
  TW_TRY(tw_tls_open(l->context, fd, soon, &l->stream[k].tls, NULL));
  l->stream[k].next = (uint64_t)k;
  return greet(l, k);
}

static tw_status connect_dealer(live *l) {
  char text[200];
  TW_TRY(tw_tls_context_create(&l->dealer.who, false, 0, &l->context));
  TW_TRY(tw_sockets_open(&l->dealer.route, &l->sockets));
  TW_TRY(connect_stream(l, 0));
  int n = snprintf(text, sizeof text, "keys from the live dealer: TLS 1.3, key exchange %s",
                   tw_tls_group(l->stream[0].tls));
  if (l->streams > 1 && n > 0 && (size_t)n < sizeof text)
    snprintf(text + n, sizeof text - (size_t)n, ", %d streams", l->streams);
  if (l->dealer.note) l->dealer.note(l->dealer.state, text);
  return TW_OK;
}

// ---- slots

static const tw_keys_info *live_info(void *state) { return &((live *)state)->info; }

// Which slots others have used the dealer alone knows; it gives none twice.
static tw_status live_survey(void *state, uint64_t *bits) {
  const live *l = state;
  for (uint64_t slot = 0; slot < l->info.count; slot++) bits[slot / 64] |= (uint64_t)1 << slot % 64;
  return TW_OK;
}

static tw_status live_check_ledger(void *state, const tw_id *ledger, bool *recorded) {
  const live *l = state;
  *recorded = l->ledger.hex[0] != '\0';
  if (!*recorded || strcmp(l->ledger.hex, ledger->hex) == 0) return TW_OK;
  return tw_fail(TW_ERR_MISMATCH, "keys from the dealer: another ledger than at their first use");
}

static tw_status live_record_ledger(void *state, const tw_id *ledger) {
  ((live *)state)->ledger = *ledger;
  return TW_OK;
}

static tw_status ask(live *l, int k, const uint8_t run[32], int count, tw_live_answer *answer) {
  tw_live_ask ask;
  memset(&ask, 0, sizeof ask);
  memcpy(ask.says.magic, tw_live_magic, sizeof tw_live_magic);
  memcpy(ask.says.run, run, sizeof ask.says.run);
  ask.says.count = (uint32_t)count;
  ask.says.streams = (uint32_t)l->streams;
  ask.says.stream = (uint32_t)k;
  TW_TRY(tw_tls_put(l->stream[k].tls, ask.bytes, sizeof ask.bytes, in_time(l)));
  TW_TRY(get(l, l->stream[k].tls, answer->bytes, sizeof answer->bytes));
  if (memcmp(answer->says.magic, tw_live_magic, sizeof tw_live_magic) != 0) return no_dealer("its answer");
  return said(answer->says.found, answer->says.message, sizeof answer->says.message);
}

static tw_status join(live *l, const uint8_t run[32], int count) {
  tw_live_answer answer;
  for (int k = 1; k < l->streams; k++) {
    TW_TRY(connect_stream(l, k));
    TW_TRY(ask(l, k, run, count, &answer));
  }
  return TW_OK;
}

static tw_status live_reserve(void *state, const uint8_t run[32], int count, uint64_t *first) {
  live *l = state;
  tw_live_answer answer;
  if (l->seeds) return tw_fail(TW_ERR_INTERNAL, "slots of a dealer reserved twice");
  TW_TRY(in_dealer(ask(l, 0, run, count, &answer)));
  if (!tw_id_is_hex(&answer.says.key_id) || answer.says.first > TW_LIVE_SLOTS - (uint64_t)count)
    return no_dealer("its slots");
  TW_TRY(tw_seed_alloc(sizeof *l->seeds * (size_t)count, (void **)&l->seeds));
  l->count = count;
  l->first = *first = answer.says.first;
  l->info.key_id = answer.says.key_id;
  TW_TRY(in_dealer(get(l, l->stream[0].tls, l->seeds, sizeof *l->seeds * (size_t)count)));
  return in_dealer(join(l, run, count));
}

static bool is_mine(const live *l, uint64_t slot) { return slot >= l->first && slot - l->first < (uint64_t)l->count; }

static tw_status live_seed(void *state, uint64_t slot, uint8_t seed[32]) {
  const live *l = state;
  if (!is_mine(l, slot)) return tw_fail(TW_ERR_INTERNAL, "a slot that the dealer did not give: %" PRIu64, slot);
  memcpy(seed, l->seeds[slot - l->first], 32);
  if (!sodium_is_zero(seed, 32)) return TW_OK;
  return tw_fail(TW_ERR_USED, "slot %" PRIu64 " of the dealer was taken before", slot);
}

static tw_status live_erase(void *state, const uint64_t *slots, size_t n) {
  live *l = state;
  for (size_t i = 0; i < n; i++)
    if (is_mine(l, slots[i])) tw_wipe(l->seeds[slots[i] - l->first], sizeof *l->seeds);
  return TW_OK;
}

// Both ledgers of this party say so by now: the dealer may begin.
static tw_status live_take(void *state, const uint64_t *slots, size_t n) {
  live *l = state;
  tw_live_go go;
  if (l->taken || n != (size_t)l->count || slots[0] != l->first)
    return tw_fail(TW_ERR_INTERNAL, "slots of a dealer taken twice, or others than it gave");
  l->taken = true;
  memset(&go, 0, sizeof go);
  memcpy(go.says.magic, tw_live_magic, sizeof tw_live_magic);
  go.says.first = l->first;
  return in_dealer(tw_tls_put(l->stream[0].tls, go.bytes, sizeof go.bytes, in_time(l)));
}

// ---- chunks

static uint32_t chunk_bytes(const live *l, uint64_t number) {
  uint64_t left = l->info.slot_bytes - number * TW_KEY_CHUNK;
  return left < TW_KEY_CHUNK ? (uint32_t)left : TW_KEY_CHUNK;
}

static tw_status last_words(live *l, tw_tls *tls) {
  tw_live_answer words;
  TW_TRY(get(l, tls, words.bytes, sizeof words.bytes));
  if (!tw_status_known(words.says.found) || words.says.found == TW_OK ||
      !memchr(words.says.message, '\0', sizeof words.says.message))
    return no_dealer("its last words");
  return tw_fail((tw_status)words.says.found, "the dealer stopped: %s", words.says.message);
}

static tw_status receive_head(live *l, const stream *s) {
  tw_live_head head;
  TW_TRY(get(l, s->tls, &head, sizeof head));
  if (head.sequence == UINT32_MAX) return last_words(l, s->tls);
  uint64_t count = (uint64_t)l->count;
  if (head.sequence == s->next % count && head.number == s->next / count && head.bytes == chunk_bytes(l, head.number))
    return TW_OK;
  return no_dealer("another chunk than the next one");
}

// The next chunk, into dst if it is the one that is asked for. Only the receiving thread.
static tw_status receive(live *l, stream *s, bool wanted, void *dst, early **kept) {
  uint64_t number = s->next / (uint64_t)l->count;
  *kept = NULL;
  TW_TRY(receive_head(l, s));
  if (wanted) return get(l, s->tls, dst, chunk_bytes(l, number));
  TW_TRY(tw_secret_alloc(sizeof **kept, (void **)kept));
  (*kept)->at = s->next;
  return get(l, s->tls, (*kept)->data, chunk_bytes(l, number));
}

static void keep_early(stream *s, early *e) {
  e->next = s->early;
  s->early = e;
}

// Under the lock, but for the time in which it receives. *came: the chunk lies in dst.
static tw_status receive_next(live *l, stream *s, uint64_t at, void *dst, bool *came) {
  bool wanted = s->next == at;
  early *kept;
  if (at < s->next) return tw_fail(TW_ERR_INTERNAL, "a chunk of keys is asked for twice");
  s->receiving = true;
  pthread_mutex_unlock(&l->lock);
  tw_status status = in_dealer(receive(l, s, wanted, dst, &kept));
  pthread_mutex_lock(&l->lock);
  s->receiving = false;
  if (kept && status != TW_OK) tw_secret_free(kept, sizeof *kept);
  if (kept && status == TW_OK) keep_early(s, kept);
  if (status != TW_OK && l->status == TW_OK) {
    l->status = status;
    snprintf(l->message, sizeof l->message, "%s", tw_error_message());
  }
  s->next += (uint64_t)l->streams;
  pthread_cond_broadcast(&l->came);
  *came = wanted && status == TW_OK;
  return status;
}

static bool take_early(const live *l, stream *s, uint64_t at, void *dst) {
  for (early **link = &s->early; *link; link = &(*link)->next) {
    early *e = *link;
    if (e->at != at) continue;
    memcpy(dst, e->data, chunk_bytes(l, at / (uint64_t)l->count));
    *link = e->next;
    tw_secret_free(e, sizeof *e);
    return true;
  }
  return false;
}

static tw_status live_chunk(void *state, int i, uint64_t number, void *dst) {
  live *l = state;
  uint64_t at = number * (uint64_t)l->count + (uint64_t)i;
  stream *s = &l->stream[at % (uint64_t)l->streams];
  tw_status status = TW_OK;
  pthread_mutex_lock(&l->lock);
  for (bool came = false; !came && status == TW_OK;) {
    came = take_early(l, s, at, dst);
    if (came) break;
    if (l->status != TW_OK)
      status = tw_fail(l->status, "%s", l->message);
    else if (s->receiving)
      pthread_cond_wait(&l->came, &l->lock);
    else
      status = receive_next(l, s, at, dst, &came);
  }
  pthread_mutex_unlock(&l->lock);
  return status;
}

// ---- opening

static void live_close(void *state) {
  live *l = state;
  tw_tls *all[TW_LIVE_STREAMS];
  for (int k = 0; k < TW_LIVE_STREAMS; k++) all[k] = l->stream[k].tls;
  tw_tls_close(all, TW_LIVE_STREAMS);
  tw_tls_context_destroy(l->context);
  tw_sockets_close(l->sockets);
  for (int k = 0; k < TW_LIVE_STREAMS; k++)
    for (early *e = l->stream[k].early, *next; e; e = next) {
      next = e->next;
      tw_secret_free(e, sizeof *e);
    }
  if (l->seeds) tw_seed_free(l->seeds, sizeof *l->seeds * (size_t)l->count);
  pthread_cond_destroy(&l->came);
  pthread_mutex_destroy(&l->lock);
  tw_free(l->info.index);
  tw_free(l);
}

tw_status tw_live_keys_open(const tw_live_dealer *dealer, const tw_plan *plan, const tw_id *model_id, int party,
                            tw_key_store *out) {
  live *l;
  *out = (tw_key_store){0};
  TW_TRY(tw_alloc(sizeof *l, (void **)&l));
  pthread_mutex_init(&l->lock, NULL);
  pthread_cond_init(&l->came, NULL);
  l->dealer = *dealer;
  l->streams = dealer->streams < 1 ? 1 : dealer->streams < TW_LIVE_STREAMS ? dealer->streams : TW_LIVE_STREAMS;
  l->info = (tw_keys_info){.party = party,
                           .model_id = *model_id,
                           .plan = plan->digest,
                           .count = TW_LIVE_SLOTS,
                           .slot_bytes = plan->program.slot_bytes[party],
                           .index_count = (uint64_t)plan->program.correction_count};
  tw_status status = tw_program_index(&plan->program, party, &l->info.index);
  if (status == TW_OK) status = in_dealer(connect_dealer(l));
  if (status != TW_OK) {
    live_close(l);
    return status;
  }
  *out = (tw_key_store){.state = l,
                        .info = live_info,
                        .reserve = live_reserve,
                        .survey = live_survey,
                        .check_ledger = live_check_ledger,
                        .record_ledger = live_record_ledger,
                        .seed = live_seed,
                        .erase = live_erase,
                        .take = live_take,
                        .chunk = live_chunk,
                        .close = live_close};
  return TW_OK;
}
