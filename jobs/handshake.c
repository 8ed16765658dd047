#include "jobs/handshake.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

// On the wire; ranks run the same build on the same kind of host.
typedef struct {
  uint32_t version, rank;
  int32_t found;
  char message[420];
  tw_terms terms;
} greeting;

static tw_status differ(const char *what, int rank, const char *mine, const char *theirs, const char *remedy) {
  return tw_fail(TW_ERR_MISMATCH, "the ranks differ in %s: rank %d has %s, rank %d has %s; %s", what, rank, mine,
                 1 - rank, theirs, remedy);
}

static tw_status same_text(const char *what, int rank, const char *mine, const char *theirs, const char *remedy) {
  return strcmp(mine, theirs) == 0 ? TW_OK : differ(what, rank, mine, theirs, remedy);
}

static tw_status same_number(const char *what, int rank, uint64_t mine, uint64_t theirs, const char *remedy) {
  char a[24], b[24];
  snprintf(a, sizeof a, "%" PRIu64, mine);
  snprintf(b, sizeof b, "%" PRIu64, theirs);
  return same_text(what, rank, a, b, remedy);
}

static tw_status compare(int rank, const tw_terms *a, const tw_terms *b) {
  TW_TRY(same_text("model", rank, a->model_id.hex, b->model_id.hex, "give both the shares of one `twain share`"));
  TW_TRY(same_text("plan", rank, a->plan.hex, b->plan.hex, "give both the same plan file"));
  TW_TRY(same_text("keys", rank, a->key_id.hex, b->key_id.hex, "give both the files of one `twain deal`"));
  TW_TRY(
      same_text("input", rank, a->input_id.hex, b->input_id.hex, "give both the files of one `twain share --input`"));
  TW_TRY(
      same_number("number of sequences", rank, a->count, b->count, "give both the files of one `twain share --input`"));
  TW_TRY(same_number("sequence length", rank, a->seq, b->seq, "give both the same plan file"));
  TW_TRY(same_text("lengths of the sequences", rank, a->lengths.hex, b->lengths.hex,
                   "give both the files of one `twain share --input`"));
  for (int i = 0; i < 2; i++)
    TW_TRY(same_text(i ? "rank 1's ledger" : "rank 0's ledger", rank, a->ledgers[i].hex, b->ledgers[i].hex,
                     "run the same twain on both"));
  TW_TRY(same_text("list of key slots", rank, a->slots.hex, b->slots.hex, "run the same twain on both"));
  return same_number("use of TEST keys", rank, a->test_keys, b->test_keys, "give both the files of one `twain deal`");
}

static void terminate(tw_terms *t) {
  t->model_id.hex[32] = t->key_id.hex[32] = t->input_id.hex[32] = 0;
  t->ledgers[0].hex[32] = t->ledgers[1].hex[32] = 0;
  t->plan.hex[64] = t->lengths.hex[64] = t->slots.hex[64] = 0;
}

tw_status tw_agree(tw_channel *channel, tw_status found, const tw_terms *mine) {
  greeting own, other;
  memset(&own, 0, sizeof own);
  own.version = TW_PROTOCOL_VERSION;
  own.rank = (uint32_t)channel->rank;
  own.found = found;
  if (found != TW_OK)
    snprintf(own.message, sizeof own.message, "%.*s", (int)sizeof own.message - 1, tw_error_message());
  if (found == TW_OK) own.terms = *mine;
  tw_status sent = tw_channel_exchange(channel, &own, &other, sizeof own);
  if (found != TW_OK) return tw_fail(found, "%s", own.message);
  TW_TRY(sent);
  other.message[sizeof other.message - 1] = 0;
  terminate(&other.terms);
  TW_TRY(same_number("protocol version", channel->rank, own.version, other.version, "run the same twain on both"));
  if (other.found != TW_OK)
    return tw_fail((tw_status)other.found, "the other rank (%d) stopped: %s", 1 - channel->rank, other.message);
  return compare(channel->rank, mine, &other.terms);
}
