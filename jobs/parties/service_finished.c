#include "jobs/parties/service_finished.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "io/unfinished.h"
#include "jobs/parties/handshake.h"

// What a party says of one of its results: which input's, and which run's, by a digest.
typedef struct {
  uint8_t name[16], run[16];
} label;

typedef struct {
  char name[TW_QUEUE_NAME];
  label label;
  char reason[TW_QUEUE_REASON];  // why it is refused, whatever the other party has, or ""
} finished;

// What the other party says of it. UNKNOWN: it has neither input nor result.
enum { UNKNOWN, TO_COMPUTE, REFUSED, ANOTHER_RUN, HAS, WORDS };

enum { MOST = 1024 };  // far more than runs have inputs

typedef struct {
  const tw_service_finished *f;
  finished *mine;
  size_t room;
  int count;
  const label *theirs;
  uint8_t *answers;  // [their_count], to what they ask
  int their_count;
} settling;

static void digest(uint8_t out[16], const void *data, size_t bytes) {
  crypto_generichash(out, 16, data, bytes, NULL, 0);
}

static tw_status refuse(tw_queue *queue, const char *name, const char *reason) {
  TW_TRY(tw_queue_forget(queue, name));
  tw_queue_refuse(queue, name, reason);
  return TW_OK;
}

// ---- what lies here

static tw_status find(void *state, const char *name, tw_queue_state what) {
  settling *s = state;
  tw_result_share r;
  if (what != TW_QUEUE_FINISHED) return TW_OK;
  if (s->count == MOST)
    return tw_fail(TW_ERR_IO, "more than %d finished results in --out; another party's service uses this folder", MOST);
  TW_TRY(tw_grow((void **)&s->mine, &s->room, (size_t)s->count + 1, sizeof *s->mine));
  finished *one = &s->mine[s->count];
  tw_path path = tw_queue_finished(s->f->queue, name);
  TW_TRY(tw_result_share_read(path.text, s->f->channel->party, &r));
  memset(one, 0, sizeof *one);
  snprintf(one->name, sizeof one->name, "%s", name);
  digest(one->label.name, name, strlen(name));
  digest(one->label.run, r.run_id.hex, sizeof r.run_id.hex);
  tw_result_share_free(&r);
  s->count++;
  return tw_queue_can_deliver(s->f->queue, name, one->reason);
}

// Of two things that are there, the one that counts more stands later in the list of words.
static void answer(settling *s, const char *name, uint8_t word) {
  uint8_t tag[16];
  digest(tag, name, strlen(name));
  for (int i = 0; i < s->their_count; i++)
    if (memcmp(tag, s->theirs[i].name, sizeof tag) == 0 && s->answers[i] < word) s->answers[i] = word;
}

static tw_status compare(void *state, const char *name, tw_queue_state what) {
  settling *s = state;
  if (what == TW_QUEUE_DELIVERED) answer(s, name, HAS);
  if (what == TW_QUEUE_REFUSED) answer(s, name, REFUSED);
  return TW_OK;
}

static tw_status answer_all(settling *s) {
  tw_queue *queue = s->f->queue;
  for (int i = 0; i < s->count; i++)
    if (*s->mine[i].reason) TW_TRY(refuse(queue, s->mine[i].name, s->mine[i].reason));
  for (int i = 0; i < tw_queue_count(queue); i++) answer(s, tw_queue_at(queue, i)->name, TO_COMPUTE);
  TW_TRY(tw_queue_walk(queue, compare, s));
  for (int i = 0; i < s->their_count; i++)
    for (int j = 0; j < s->count; j++) {
      const finished *one = &s->mine[j];
      if (memcmp(one->label.name, s->theirs[i].name, sizeof one->label.name) != 0) continue;
      bool same = memcmp(&one->label, &s->theirs[i], sizeof(label)) == 0;
      s->answers[i] = *one->reason ? REFUSED : same ? HAS : ANOTHER_RUN;
    }
  return TW_OK;
}

// ---- what becomes of it

static void say(const settling *s, const char *name, const char *what) {
  char text[TW_QUEUE_NAME + 120];
  snprintf(text, sizeof text, "%s: %s", name, what);
  if (s->f->say) s->f->say(s->f->state, text);
}

static tw_status settle_one(const settling *s, const char *name, uint8_t theirs) {
  char reason[80];
  int other = 1 - s->f->channel->party;
  if (theirs == REFUSED) {
    snprintf(reason, sizeof reason, "party %d refuses its share", other);
    return refuse(s->f->queue, name, reason);
  }
  if (theirs == ANOTHER_RUN)
    return refuse(s->f->queue, name, "the parties finished different runs of it; send it again");
  if (theirs == TO_COMPUTE) {
    snprintf(reason, sizeof reason, "party %d has not finished its result; computed again", other);
    say(s, name, reason);
    return tw_queue_forget(s->f->queue, name);
  }
  TW_TRY(tw_queue_deliver(s->f->queue, name));
  say(s, name, "delivered, as the service before had finished it");
  return tw_queue_done(s->f->queue, name);
}

static tw_status agree(const settling *s, tw_status found) {
  tw_terms none;
  memset(&none, 0, sizeof none);
  return tw_agree(s->f->channel, found, &none);
}

// memory: labels of both, then answers of both, each of the longer list's length, which is the message's.
static tw_status exchange(settling *s, int longer, label *labels, uint8_t *answers) {
  tw_channel *channel = s->f->channel;
  uint8_t *theirs = answers + longer;
  for (int i = 0; i < s->count; i++) labels[i] = s->mine[i].label;
  TW_TRY(tw_channel_exchange(channel, labels, labels + longer, sizeof *labels * (size_t)longer));
  s->theirs = labels + longer;
  s->answers = answers;
  TW_TRY(agree(s, answer_all(s)));
  TW_TRY(tw_channel_exchange(channel, answers, theirs, (size_t)longer));
  for (int i = 0; i < s->count; i++)
    if (theirs[i] >= WORDS)
      return tw_fail(TW_ERR_PEER, "party %d says %d of a finished result; no twain says that", 1 - channel->party,
                     theirs[i]);
  tw_status status = TW_OK;
  for (int i = 0; i < s->count && status == TW_OK; i++)
    if (!*s->mine[i].reason) status = settle_one(s, s->mine[i].name, theirs[i]);
  return agree(s, status);
}

static tw_status settle(settling *s) {
  uint32_t mine, theirs;
  tw_status found = tw_queue_walk(s->f->queue, find, s);
  TW_TRY(agree(s, found == TW_OK ? tw_queue_look(s->f->queue) : found));
  mine = (uint32_t)s->count;
  TW_TRY(tw_channel_exchange(s->f->channel, &mine, &theirs, sizeof mine));
  if (theirs > MOST)
    return tw_fail(TW_ERR_PEER, "party %d says that %" PRIu32 " results are finished; no twain says that",
                   1 - s->f->channel->party, theirs);
  size_t longer = mine > theirs ? mine : theirs;
  if (longer == 0) return TW_OK;
  s->their_count = (int)theirs;
  label *labels;
  TW_TRY(tw_alloc(2 * longer * (sizeof *labels + 1), (void **)&labels));
  memset(labels, 0, 2 * longer * (sizeof *labels + 1));
  tw_status status = exchange(s, (int)longer, labels, (uint8_t *)(labels + 2 * longer));
  tw_free(labels);
  return status;
}

tw_status tw_service_finished_settle(const tw_service_finished *f) {
  settling s = {.f = f};
  tw_status status = settle(&s);
  tw_free(s.mine);
  return status;
}

// ---- results of one run

static tw_status check(const tw_service_finished *f, tw_service_result *results, int count) {
  for (int i = 0; i < count; i++) TW_TRY(tw_queue_can_deliver(f->queue, results[i].name, results[i].reason));
  return TW_OK;
}

// Results of parties that differ are of no use to anybody.
static tw_status agree_run(const tw_service_finished *f, tw_status found, const tw_result_share *all,
                           const tw_service_result *results, int count) {
  char message[1200];
  tw_terms terms;
  memset(&terms, 0, sizeof terms);
  terms.input_id = all->input_id;
  terms.run_id = all->run_id;
  memcpy(terms.transcript.hex, all->transcript, sizeof terms.transcript.hex);
  tw_digest_of(all->slots, sizeof *all->slots * (size_t)all->count, &terms.slots);
  tw_status status = tw_agree(f->channel, found, &terms);
  if (status != TW_ERR_MISMATCH) return status;
  snprintf(message, sizeof message, "%s", tw_error_message());
  for (int i = 0; i < count; i++) tw_queue_forget(f->queue, results[i].name);
  return tw_fail(status, "%s", message);
}

static tw_status refuse_on_both(const tw_service_finished *f, tw_service_result *results, int count) {
  uint8_t mine[MOST], theirs[MOST];
  if (count > MOST) return tw_fail(TW_ERR_INTERNAL, "a run of %d inputs", count);
  for (int i = 0; i < count; i++) mine[i] = *results[i].reason != '\0';
  TW_TRY(tw_channel_exchange(f->channel, mine, theirs, (size_t)count));
  for (int i = 0; i < count; i++) {
    if (theirs[i] > 1) return tw_fail(TW_ERR_PEER, "party %d says %d of a result", 1 - f->channel->party, theirs[i]);
    if (theirs[i] && !mine[i])
      snprintf(results[i].reason, sizeof results[i].reason, "party %d cannot seal its result to this client",
               1 - f->channel->party);
  }
  return TW_OK;
}

static tw_status deliver(const tw_service_finished *f, const tw_ledger *ledger, tw_service_result *r) {
  if (*r->reason) {
    TW_TRY(refuse(f->queue, r->name, r->reason));
    r->refused = true;
    return TW_OK;
  }
  TW_TRY(tw_conversation_commit(r->conversation, ledger));
  TW_TRY(tw_queue_deliver(f->queue, r->name));
  r->delivered = true;
  // that it has a result keeps it from being served again
  if (tw_queue_done(f->queue, r->name) != TW_OK && f->say) f->say(f->state, tw_error_message());
  return TW_OK;
}

tw_status tw_service_finished_deliver(const tw_service_finished *f, const tw_ledger *ledger, tw_status found,
                                      const tw_result_share *all, tw_service_result *results, int count) {
  char message[1200];
  tw_status first = TW_OK;
  if (found == TW_OK) found = check(f, results, count);
  TW_TRY(agree_run(f, found, all, results, count));
  TW_TRY(refuse_on_both(f, results, count));
  for (int i = 0; i < count; i++) {
    tw_status status = deliver(f, ledger, &results[i]);
    if (status == TW_OK || first != TW_OK) continue;
    first = status;
    snprintf(message, sizeof message, "%s", tw_error_message());
  }
  tw_unfinished_keep();
  return first == TW_OK ? TW_OK : tw_fail(first, "%s", message);
}
