#include "jobs/parties/serve_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

enum { PORTION = 128 << 10 };
static const double shake_seconds = 10;  // for who has not said yet who it is, and what it has

typedef struct {
  const tw_serve_house *house;
  tw_tls *tls;
  int pair, party;
  uint32_t stream, streams;  // of the run's
  bool in;                   // counted as that stream
  tw_live_run *run;
  const tw_seed *seeds;
  tw_id key_id;
  uint64_t first, sent;
  int count;
} client;

static uint64_t in_time(const client *c) { return tw_clock_ns() + (uint64_t)(1e9 * c->house->silence_seconds); }

// So that a slow line has its time for each portion.
static tw_status put(const client *c, const void *data, size_t bytes) {
  for (const uint8_t *from = data; bytes;) {
    size_t part = bytes < PORTION ? bytes : PORTION;
    TW_TRY(tw_tls_put(c->tls, from, part, in_time(c)));
    from += part;
    bytes -= part;
  }
  return TW_OK;
}

static tw_status no_twain(void) {
  return tw_fail(TW_ERR_IDENTITY, "what it says no twain says: it is another program, or another version");
}

// ---- hello

static tw_status check_hello(const client *c, const tw_live_hello *h) {
  const tw_serve_house *house = c->house;
  if (memcmp(h->says.magic, tw_live_magic, sizeof tw_live_magic) != 0) return no_twain();
  if (h->says.version != TW_LIVE_VERSION)
    return tw_fail(TW_ERR_MISMATCH,
                   "party and dealer differ in the version of live keys: the party has %" PRIu32
                   ", the dealer %d; run the same twain on both",
                   h->says.version, TW_LIVE_VERSION);
  if (!tw_id_is_hex(&h->says.model_id) || !tw_is_hex(h->says.plan.hex, sizeof h->says.plan.hex - 1)) return no_twain();
  if (strcmp(h->says.model_id.hex, house->model_id->hex) != 0)
    return tw_fail(TW_ERR_MISMATCH,
                   "party and dealer differ in the model: the party has %s, the dealer %s; give both "
                   "what one `twain share` wrote",
                   h->says.model_id.hex, house->model_id->hex);
  if (h->says.stream >= TW_LIVE_STREAMS) return no_twain();
  if (strcmp(h->says.plan.hex, house->plan->digest.hex) != 0)
    return tw_fail(TW_ERR_MISMATCH,
                   "party and dealer differ in the plan: the party has %s, the dealer %s; give both "
                   "the same plan file",
                   h->says.plan.hex, house->plan->digest.hex);
  return TW_OK;
}

// found: what speaks against this connection already.
static tw_status greet(client *c, tw_status found) {
  tw_live_hello hello;
  tw_live_offer offer;
  char message[sizeof offer.says.message];
  snprintf(message, sizeof message, "%s", found == TW_OK ? "" : tw_error_message());
  TW_TRY(tw_tls_get(c->tls, hello.bytes, sizeof hello.bytes, tw_clock_ns() + (uint64_t)(1e9 * shake_seconds)));
  found = found == TW_OK ? check_hello(c, &hello) : tw_fail(found, "%s", message);
  if (found == TW_OK) found = tw_live_runs_come_in(c->house->runs, c->pair, c->party, (int)hello.says.stream);
  c->in = found == TW_OK;
  c->stream = hello.says.stream;
  memset(&offer, 0, sizeof offer);
  memcpy(offer.says.magic, tw_live_magic, sizeof tw_live_magic);
  offer.says.version = TW_LIVE_VERSION;
  offer.says.found = (int32_t)found;
  if (found != TW_OK)
    snprintf(offer.says.message, sizeof offer.says.message, "%s", tw_error_message());
  else
    offer.says.slot_bytes = c->house->plan->program.slot_bytes[c->party];
  offer.says.streams = c->house->pairs->pair[c->pair].most_streams;
  TW_TRY(put(c, offer.bytes, sizeof offer.bytes));
  return found == TW_OK ? TW_OK : tw_fail(found, "%s", offer.says.message);
}

// ---- slots

static tw_status put_answer(const client *c, tw_status found) {
  tw_live_answer answer;
  memset(&answer, 0, sizeof answer);
  memcpy(answer.says.magic, tw_live_magic, sizeof tw_live_magic);
  answer.says.found = (int32_t)found;
  answer.says.key_id = c->key_id;
  answer.says.first = c->first;
  if (found != TW_OK) snprintf(answer.says.message, sizeof answer.says.message, "%s", tw_error_message());
  TW_TRY(put(c, answer.bytes, sizeof answer.bytes));
  return found == TW_OK ? TW_OK : tw_fail(found, "%s", answer.says.message);
}

static tw_status join_run(client *c, const tw_live_ask *ask) {
  tw_status found = ask->says.stream == c->stream ? TW_OK : no_twain();
  if (found == TW_OK) found = tw_live_run_join(c->house->runs, c->pair, c->party, ask, &c->run);
  TW_TRY(put_answer(c, found));
  c->count = (int)ask->says.count;
  return TW_OK;
}

static tw_status give_slots(client *c) {
  tw_live_ask ask;
  uint64_t soon = tw_clock_ns() + (uint64_t)(1e9 * shake_seconds);  // a further stream knows its run already
  TW_TRY(tw_tls_get(c->tls, ask.bytes, sizeof ask.bytes, c->stream && soon < in_time(c) ? soon : in_time(c)));
  tw_status found = TW_OK;
  if (memcmp(ask.says.magic, tw_live_magic, sizeof tw_live_magic) != 0) found = no_twain();
  c->streams = ask.says.streams;
  if (found == TW_OK && c->stream) return join_run(c, &ask);
  if (found == TW_OK)
    found = tw_live_run_ask(c->house->runs, c->pair, c->party, ask.says.run, ask.says.count, ask.says.streams, &c->run,
                            &c->key_id, &c->first, &c->seeds);
  TW_TRY(put_answer(c, found));
  c->count = (int)ask.says.count;
  return put(c, c->seeds, sizeof *c->seeds * (size_t)c->count);
}

static tw_status await_other(client *c, tw_live_deal **deal) {
  tw_live_go go;
  if (!c->stream) {
    TW_TRY(tw_tls_get(c->tls, go.bytes, sizeof go.bytes, in_time(c)));
    if (memcmp(go.says.magic, tw_live_magic, sizeof tw_live_magic) != 0 || go.says.first != c->first) return no_twain();
  }
  uint64_t until_ns = in_time(c);
  for (*deal = NULL; !*deal;) {
    TW_TRY(tw_live_run_go(c->house->runs, c->run, c->party, c->stream, deal));
    if (tw_tls_gone(c->tls)) return tw_fail(TW_ERR_PEER, "it has gone before the other party was ready");
    if (!*deal && tw_clock_ns() > until_ns)
      return tw_fail(TW_ERR_PEER, "party %d was not ready in time: silence", 1 - c->party);
  }
  return TW_OK;
}

// ---- chunks

static tw_status next_piece(const client *c, tw_live_tap *tap, tw_live_piece **piece) {
  for (*piece = NULL; !*piece;) {
    TW_TRY(tw_live_tap_next(tap, 0, piece));
    if (!*piece && tw_tls_gone(c->tls)) return tw_fail(TW_ERR_PEER, "it has gone in the middle of its keys");
  }
  return TW_OK;
}

static tw_status send_from(client *c, tw_live_tap *tap) {
  while (!tw_live_tap_ended(tap)) {
    tw_live_piece *piece;
    TW_TRY(next_piece(c, tap, &piece));
    TW_TRY(put(c, &piece->sent, piece->bytes));
    c->sent += piece->bytes;
  }
  return TW_OK;
}

static tw_status send_keys(client *c, tw_live_deal *deal) {
  tw_live_tap *tap;
  TW_TRY(tw_live_tap_open(deal, c->party, (int)c->stream, (int)c->streams, NULL, 0, &tap));
  tw_status status = send_from(c, tap);
  tw_live_tap_close(tap);
  return status;
}

// The reason, where a head would stand.
static void say_last_words(const client *c, tw_status status, const char *message) {
  tw_live_head none = {.sequence = UINT32_MAX};
  tw_live_answer words;
  memset(&words, 0, sizeof words);
  memcpy(words.says.magic, tw_live_magic, sizeof tw_live_magic);
  words.says.found = (int32_t)status;
  snprintf(words.says.message, sizeof words.says.message, "%s", message);
  uint64_t soon = tw_clock_ns() + 1000000000;
  if (tw_tls_put(c->tls, &none, sizeof none, soon) == TW_OK) (void)tw_tls_put(c->tls, words.bytes, sizeof words, soon);
}

static tw_status deliver(client *c) {
  tw_live_deal *deal = NULL;
  char message[TW_LIVE_MESSAGE];
  tw_status status = await_other(c, &deal);
  if (status == TW_OK) status = send_keys(c, deal);
  snprintf(message, sizeof message, "%s", status == TW_OK ? "" : tw_error_message());
  tw_live_run_leave(c->house->runs, c->run, c->party, status, message);
  if (status == TW_OK) return TW_OK;
  say_last_words(c, status, message);
  return tw_fail(status, "%s", message);
}

static tw_status serve(client *c, tw_status found) {
  TW_TRY(greet(c, found));
  tw_status status = give_slots(c);
  if (status == TW_OK) return deliver(c);
  char message[TW_LIVE_MESSAGE];
  snprintf(message, sizeof message, "%s", tw_error_message());
  if (c->run) tw_live_run_leave(c->house->runs, c->run, c->party, status, message);
  return tw_fail(status, "%s", message);
}

static void name_slots(const client *c, char *text, size_t size) {
  uint64_t last = c->first + (uint64_t)c->count - 1;
  int n = snprintf(text, size, "key %s, slot%s %" PRIu64, c->key_id.hex, c->count == 1 ? "" : "s", c->first);
  if (c->count > 1 && n > 0 && (size_t)n < size) snprintf(text + n, size - (size_t)n, "-%" PRIu64, last);
}

static void tell(const client *c, tw_status status, double seconds, char *text, size_t size) {
  char slots[96] = "";
  int n = snprintf(text, size, "pair %d, party %d (%s): ", c->pair, c->party, tw_tls_group(c->tls));
  size_t used = n > 0 && (size_t)n < size ? (size_t)n : 0;
  if (c->count && c->stream)
    snprintf(slots, sizeof slots, "stream %" PRIu32, c->stream);
  else if (c->count)
    name_slots(c, slots, sizeof slots);
  if (status == TW_OK)
    snprintf(text + used, size - used, "%s: %" PRIu64 " bytes in %.1f s", slots, c->sent, seconds);
  else if (c->count)
    snprintf(text + used, size - used, c->stream ? "%s: %s" : "%s: spent; %s", slots, tw_error_message());
  else
    snprintf(text + used, size - used, "%s", tw_error_message());
}

bool tw_serve_client(const tw_serve_house *house, tw_tls_context *context, int fd, char *text, size_t size) {
  client c = {.house = house};
  uint64_t start = tw_clock_ns();
  tw_status status = tw_tls_open(context, fd, start + (uint64_t)(1e9 * shake_seconds), &c.tls, NULL);
  if (status != TW_OK) {
    snprintf(text, size, "%s", tw_error_message());
    return false;
  }
  c.pair = tw_tls_peer(c.tls) / 2;
  c.party = tw_tls_peer(c.tls) % 2;
  tw_status let_in = tw_live_runs_come_in(house->runs, c.pair, c.party, -1);
  status = serve(&c, let_in);
  if (c.in) tw_live_runs_go_out(house->runs, c.pair, c.party, (int)c.stream);
  if (let_in == TW_OK) tw_live_runs_go_out(house->runs, c.pair, c.party, -1);
  tell(&c, status, 1e-9 * (double)(tw_clock_ns() - start), text, size);
  tw_tls_close(&c.tls, 1);
  return true;
}
