#include "jobs/parties/handshake.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static tw_status differ(const char *what, int party, const char *mine, const char *theirs, const char *remedy) {
  return tw_fail(TW_ERR_MISMATCH, "the parties differ in %s: party %d has %s, party %d has %s; %s", what, party, mine,
                 1 - party, theirs, remedy);
}

static tw_status same_text(const char *what, int party, const char *mine, const char *theirs, const char *remedy) {
  return strcmp(mine, theirs) == 0 ? TW_OK : differ(what, party, mine, theirs, remedy);
}

static tw_status same_number(const char *what, int party, uint64_t mine, uint64_t theirs, const char *remedy) {
  char a[24], b[24];
  snprintf(a, sizeof a, "%" PRIu64, mine);
  snprintf(b, sizeof b, "%" PRIu64, theirs);
  return same_text(what, party, a, b, remedy);
}

static tw_status compare_files(int party, const tw_terms *a, const tw_terms *b) {
  TW_TRY(same_text("model", party, a->model_id.hex, b->model_id.hex, "give both the shares of one `twain share`"));
  TW_TRY(same_text("plan", party, a->plan.hex, b->plan.hex, "give both the same plan file"));
  TW_TRY(same_text("keys", party, a->key_id.hex, b->key_id.hex, "give both the files of one `twain deal`"));
  TW_TRY(
      same_text("input", party, a->input_id.hex, b->input_id.hex, "give both the files of one `twain share --input`"));
  TW_TRY(same_text("the turn to go on behind", party, a->after.hex[0] ? a->after.hex : "none",
                   b->after.hex[0] ? b->after.hex : "none", "give both --after NAME of the conversation's last turn"));
  TW_TRY(same_number("number of sequences", party, a->count, b->count,
                     "give both the files of one `twain share --input`"));
  TW_TRY(same_number("sequence length", party, a->seq, b->seq, "give both the same plan file"));
  return same_text("lengths of the sequences", party, a->lengths.hex, b->lengths.hex,
                   "give both the files of one `twain share --input`");
}

static const char *halves(uint64_t overlap) { return overlap ? "halves that take turns" : "the whole batch at once"; }

static const char *origin(uint64_t live_keys) { return live_keys ? "a live dealer" : "a key file"; }

static tw_status compare_options(int party, const tw_terms *a, const tw_terms *b) {
  for (int i = 0; i < 2; i++)
    TW_TRY(same_text(i ? "party 1's ledger" : "party 0's ledger", party, a->ledgers[i].hex, b->ledgers[i].hex,
                     "run the same twain on both"));
  TW_TRY(same_text("list of key slots", party, a->slots.hex, b->slots.hex, "run the same twain on both"));
  TW_TRY(same_number("use of TEST keys", party, a->test_keys, b->test_keys, "give both the files of one `twain deal`"));
  TW_TRY(same_text("where keys come from", party, origin(a->live_keys), origin(b->live_keys),
                   "give both --dealer, or neither"));
  TW_TRY(same_text("transport", party, a->transport, b->transport, "give both the same --transport"));
  TW_TRY(same_text("emulated link", party, a->link, b->link, "give both the same --link-latency and --link-rate"));
  return same_text("division of the batch", party, halves(a->overlap), halves(b->overlap),
                   "give both the same --split-batch");
}

static tw_status compare_runs(int party, const tw_terms *a, const tw_terms *b) {
  TW_TRY(same_text("the run that is done", party, a->run_id.hex, b->run_id.hex, "run the input again"));
  return same_text("what they opened", party, a->transcript.hex, b->transcript.hex,
                   "look for a fault in memory or network, and run the input again");
}

static tw_status compare(int party, const tw_terms *a, const tw_terms *b) {
  TW_TRY(compare_files(party, a, b));
  TW_TRY(compare_runs(party, a, b));
  return compare_options(party, a, b);
}

// ---- what came, before anything of it is used

static tw_status nonsense(int party, const char *what) {
  return tw_fail(TW_ERR_PEER,
                 "party %d sent a greeting that no twain sends (%s): it was damaged on the way, or comes from another "
                 "program",
                 1 - party, what);
}

// Empty, or so many hexadecimal digits.
static bool is_hex(const char *hex, size_t size) {
  return hex[size - 1] == '\0' && (hex[0] == '\0' || tw_is_hex(hex, size - 1));
}

static bool ends(const char *text, size_t size) { return memchr(text, '\0', size) != NULL; }

static tw_status check_terms(int party, const tw_terms *t) {
  if (!is_hex(t->model_id.hex, sizeof t->model_id.hex) || !is_hex(t->key_id.hex, sizeof t->key_id.hex) ||
      !is_hex(t->input_id.hex, sizeof t->input_id.hex) || !is_hex(t->ledgers[0].hex, sizeof t->ledgers[0].hex) ||
      !is_hex(t->ledgers[1].hex, sizeof t->ledgers[1].hex) || !is_hex(t->after.hex, sizeof t->after.hex) ||
      !is_hex(t->run_id.hex, sizeof t->run_id.hex))
    return nonsense(party, "an id is not hexadecimal");
  if (!is_hex(t->plan.hex, sizeof t->plan.hex) || !is_hex(t->lengths.hex, sizeof t->lengths.hex) ||
      !is_hex(t->slots.hex, sizeof t->slots.hex) || !is_hex(t->transcript.hex, sizeof t->transcript.hex))
    return nonsense(party, "a digest is not hexadecimal");
  if (!ends(t->transport, sizeof t->transport) || !ends(t->link, sizeof t->link))
    return nonsense(party, "a word without end");
  if (t->test_keys > 1 || t->overlap > 1 || t->live_keys > 1)
    return nonsense(party, "a truth value that is neither 0 nor 1");
  return TW_OK;
}

static tw_status check_greeting(int party, const tw_greeting *other) {
  TW_TRY(same_number("protocol version", party, TW_PROTOCOL_VERSION, other->version, "run the same twain on both"));
  if (other->party != 1u - (uint32_t)party) return nonsense(party, "its party");
  if (!tw_status_known(other->found)) return nonsense(party, "its status");
  if (!ends(other->message, sizeof other->message)) return nonsense(party, "a message without end");
  return check_terms(party, &other->terms);
}

// Greetings of versions that differ in length: what came of the other's says which it is.
static tw_status explain(int party, tw_status sent, const tw_greeting *other) {
  const uint32_t most = 1000;
  if (sent != TW_ERR_PEER || other->version == 0 || other->version > most) return sent;
  return other->version == TW_PROTOCOL_VERSION ? sent : check_greeting(party, other);
}

tw_status tw_agree(tw_channel *channel, tw_status found, const tw_terms *mine) {
  tw_greeting own, other;
  memset(&own, 0, sizeof own);
  memset(&other, 0, sizeof other);
  own.version = TW_PROTOCOL_VERSION;
  own.party = (uint32_t)channel->party;
  own.found = found;
  if (found != TW_OK)
    snprintf(own.message, sizeof own.message, "%.*s", (int)sizeof own.message - 1, tw_error_message());
  if (found == TW_OK) own.terms = *mine;
  tw_status sent = tw_channel_exchange(channel, &own, &other, sizeof own);
  if (found != TW_OK) return tw_fail(found, "%s", own.message);
  if (sent != TW_OK) return explain(channel->party, sent, &other);
  TW_TRY(check_greeting(channel->party, &other));
  if (other.found != TW_OK)
    return tw_fail((tw_status)other.found, "the other party (%d) stopped: %s", 1 - channel->party, other.message);
  return compare(channel->party, mine, &other.terms);
}
