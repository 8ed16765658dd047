#include "jobs/parties/slots.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "jobs/parties/handshake.h"

static const tw_keys_info *info(const tw_slots *s) { return tw_key_store_info(s->keys); }

static size_t words(const tw_slots *s) { return (size_t)((info(s)->count + 63) / 64); }

static bool has(const uint64_t *bits, uint64_t slot) { return bits[slot / 64] >> slot % 64 & 1; }

// What this party found goes to the other one: both go on, or both stop with the reason.
static tw_status vote(const tw_slots *s, tw_status found) {
  tw_terms none;
  memset(&none, 0, sizeof none);
  return tw_agree(s->channel, found, &none);
}

static tw_status check_range(const tw_slots *s) {
  uint64_t first = s->first_slot < 0 ? 0 : (uint64_t)s->first_slot, count = info(s)->count;
  if (first <= count && (uint64_t)s->count <= count - first) return TW_OK;
  if (s->first_slot >= 0)
    return tw_fail(TW_ERR_USED,
                   "%d sequences from key slot %" PRIu64 " on: the key file holds slots 0 to %" PRIu64
                   "; choose a lower --slot, or leave it out",
                   s->count, first, count - 1);
  return tw_fail(TW_ERR_USED,
                 "key %s: slots: %d needed, the key file has %" PRIu64
                 " in all; add slots (`twain deal NAME --append`), or name another key file (`--keys NAME2`)",
                 info(s)->key_id.hex, s->count, count);
}

// Where no slot is left, or one sequence is too many, fewer sequences are no help.
static const char *or_fewer(int needed, uint64_t left) {
  return needed > 1 && left > 0 ? ", or take fewer sequences at once" : "";
}

// ---- what the parties bring along

typedef struct {
  tw_id ledger;
  int64_t first_slot;
} intent;

static tw_status meet(tw_slots *s) {
  intent mine, theirs;
  int party = s->channel->party;
  memset(&mine, 0, sizeof mine);  // the padding, too, goes to the other party
  mine.ledger = s->ledger->id;
  mine.first_slot = s->first_slot;
  TW_TRY(tw_channel_exchange(s->channel, &mine, &theirs, sizeof mine));
  // it will stand in messages and in this party's ledger
  if (!tw_id_is_hex(&theirs.ledger))
    return tw_fail(TW_ERR_PEER, "party %d sent a ledger's id that is not 32 hexadecimal digits", 1 - party);
  s->ledgers[party] = mine.ledger;
  s->ledgers[1 - party] = theirs.ledger;
  if (mine.first_slot >= 0 && theirs.first_slot >= 0 && mine.first_slot != theirs.first_slot)
    return tw_fail(TW_ERR_MISMATCH,
                   "the parties differ in the first key slot: party %d has %" PRId64 ", party %d has %" PRId64
                   "; give both the same --slot",
                   party, mine.first_slot, 1 - party, theirs.first_slot);
  if (s->first_slot < 0) s->first_slot = theirs.first_slot;
  return check_range(s);
}

// ---- the locks

// Party 0's ledger first, then party 1's: in one order for all runs, so no two runs wait for each other. A party that
// waits says so, lest the other one takes it for silent.
static tw_status lock_both(tw_slots *s) {
  enum { WAITING, LOCKED, FAILED };
  const tw_id *key = &info(s)->key_id;
  double silence = s->channel->timeout_seconds, patience = 10 * silence;
  double interval = silence / 4 < 0.25 ? silence / 4 : 0.25;
  for (int turn = 0; turn < 2; turn++) {
    tw_status found = TW_OK;
    double begin = tw_seconds();
    for (uint8_t state[2] = {WAITING, WAITING}; state[turn] == WAITING;) {
      int party = s->channel->party;
      double waited = tw_seconds() - begin;
      if (waited > patience + silence)
        return tw_fail(TW_ERR_PEER, "party %d has waited for its ledger's lock for %.0f s", turn, waited);
      if (party == turn) {
        found = waited > patience ? tw_ledger_held(s->ledger, party, key, waited)
                                  : tw_ledger_lock(s->ledger, party, key, interval, &s->lock);
        state[party] = found != TW_OK ? FAILED : s->lock >= 0 ? LOCKED : WAITING;
      }
      TW_TRY(tw_channel_exchange(s->channel, &state[party], &state[1 - party], 1));
    }
    TW_TRY(vote(s, found));
  }
  return TW_OK;
}

// ---- key file against ledger

static tw_status foreign_ledger(const tw_slots *s, uint64_t slot) {
  return tw_fail(
      TW_ERR_MISMATCH,
      "key %s: the seed of slot %" PRIu64
      " is erased, but the ledger %s (id %s) does not know that the slot was used: this is not the key "
      "file's ledger, or it was put back to an earlier state; name the right one (--ledger DIR), or deal new "
      "keys (`twain deal`)",
      info(s)->key_id.hex, slot, s->ledger->dir, s->ledger->id.hex);
}

// Marks without erasure stem from runs that were killed in between. No run needs these seeds: it has read them before
// it marks, and holds the lock until it has erased them.
static tw_status erase_left(const tw_slots *s, const uint64_t *live) {
  enum { MOST = 4096 };
  uint64_t left[MOST];
  size_t n = 0;
  for (uint64_t slot = 0; slot < info(s)->count; slot++) {
    if (has(live, slot) && has(s->marked, slot)) left[n++] = slot;
    if (n < MOST && slot + 1 < info(s)->count) continue;
    TW_TRY(s->keys->erase(s->keys->state, left, n));
    n = 0;
  }
  return TW_OK;
}

// Seeds first, then marks: a run that goes on beside (where locks do not reach) marks before it erases.
static tw_status compare(tw_slots *s, uint64_t *live, bool used) {
  TW_TRY(s->keys->survey(s->keys->state, live));
  TW_TRY(tw_ledger_marks(s->ledger, s->party, &info(s)->key_id, info(s)->count, s->marked));
  for (uint64_t slot = 0; slot < info(s)->count; slot++)
    if (!has(live, slot) && !has(s->marked, slot)) return foreign_ledger(s, slot);
  if (used) TW_TRY(erase_left(s, live));
  for (size_t i = 0; i < words(s); i++) s->open[i] = live[i] & ~s->marked[i];
  return TW_OK;
}

// The run may have waited for hours since the ledger was opened.
static tw_status look_again(const tw_ledger *ledger) {
  tw_ledger now;
  TW_TRY(tw_ledger_open(ledger->dir, &now));
  if (strcmp(now.id.hex, ledger->id.hex) == 0) return TW_OK;
  return tw_fail(TW_ERR_MISMATCH,
                 "%s: is another ledger than when this run began: it had id %s and has id %s; put the right one back, "
                 "and start again",
                 ledger->dir, ledger->id.hex, now.id.hex);
}

// Until the key was used with this ledger its seeds stay, whatever the ledger says.
static tw_status inspect(tw_slots *s) {
  bool here, there;
  int party = s->channel->party;
  void *live;
  TW_TRY(look_again(s->ledger));
  TW_TRY(tw_ledger_check_room(s->ledger, s->count));
  TW_TRY(s->keys->check_ledger(s->keys->state, &s->ledger->id, &here));
  TW_TRY(tw_ledger_check_peer(s->ledger, party, &info(s)->key_id, &s->ledgers[1 - party], &there));
  TW_TRY(tw_alloc(words(s) * sizeof(uint64_t), &live));
  tw_status status = compare(s, live, here || there);
  tw_free(live);
  return status;
}

// First use. The key file is looked at again afterwards: see tw_keys_record_ledger.
static tw_status record(tw_slots *s) {
  int party = s->channel->party;
  TW_TRY(tw_ledger_record_peer(s->ledger, party, &info(s)->key_id, &s->ledgers[1 - party]));
  TW_TRY(s->keys->record_ledger(s->keys->state, &s->ledger->id));
  return inspect(s);
}

// ---- the choice

static tw_status take_row(tw_slots *s, uint64_t *slots) {
  tw_status found = TW_OK;
  for (int i = 0; i < s->count; i++) {
    slots[i] = (uint64_t)s->first_slot + (uint64_t)i;
    if (found == TW_OK) found = tw_ledger_check(s->ledger, s->party, &info(s)->key_id, slots[i]);
  }
  return vote(s, found);
}

static uint64_t count_bits(const uint64_t *bits, size_t n) {
  uint64_t sum = 0;
  for (size_t i = 0; i < n; i++) sum += (uint64_t)__builtin_popcountll(bits[i]);
  return sum;
}

static tw_status too_few(const tw_slots *s, int taken, const uint64_t free[2]) {
  return tw_fail(
      TW_ERR_USED,
      "key %s: slots: %d needed, %d free on both parties (of %" PRIu64 ": %" PRIu64 " free on party 0, %" PRIu64
      " on party 1, say their ledgers); add slots (`twain deal NAME --append`), or deal new keys under a NAME of "
      "their own (`twain deal NAME2 --model NAME`) and name them (`--keys NAME2`)%s",
      info(s)->key_id.hex, s->count, taken, info(s)->count, free[0], free[1], or_fewer(s->count, (uint64_t)taken));
}

// The parties tell each other which slots are free, a stretch at a time, until there are enough on both.
static tw_status take_free(tw_slots *s, uint64_t *slots) {
  enum { STRETCH = 1024 };  // words
  int taken = 0, party = s->channel->party;
  uint64_t free[2] = {0, 0};
  for (size_t first = 0; first < words(s) && taken < s->count; first += STRETCH) {
    uint64_t mine[STRETCH] = {0}, theirs[STRETCH];
    size_t n = words(s) - first < STRETCH ? words(s) - first : STRETCH;
    memcpy(mine, s->open + first, n * sizeof *mine);
    TW_TRY(tw_channel_exchange(s->channel, mine, theirs, sizeof mine));
    free[party] += count_bits(mine, n);
    free[1 - party] += count_bits(theirs, n);
    for (size_t i = 0; i < n; i++)
      for (uint64_t both = mine[i] & theirs[i]; both && taken < s->count; both &= both - 1)
        slots[taken++] = 64 * (first + i) + (uint64_t)__builtin_ctzll(both);
  }
  return taken == s->count ? TW_OK : too_few(s, taken, free);
}

// In the place of one that is not free the last one: other rows wish for those at the beginning.
static int take_wished(const tw_slots *s, uint64_t *both, uint64_t *slots) {
  const uint64_t none = UINT64_MAX;
  size_t at = words(s);
  int taken = 0;
  for (int i = 0; i < s->count; i++) {
    uint64_t w = s->wished[i];
    bool free = w < info(s)->count && has(both, w);
    slots[i] = free ? w : none;
    if (free) both[w / 64] &= ~(UINT64_C(1) << w % 64);
    taken += free;
  }
  for (int i = 0; i < s->count; i++) {
    if (slots[i] != none) continue;
    while (at > 0 && !both[at - 1]) at--;
    if (at == 0) break;
    int bit = 63 - __builtin_clzll(both[at - 1]);
    slots[i] = 64 * (at - 1) + (uint64_t)bit;
    both[at - 1] &= ~(UINT64_C(1) << bit);
    taken++;
  }
  return taken;
}

// Both parties compute it from what is free on both.
static tw_status take_what_is_wished(tw_slots *s, uint64_t *slots) {
  uint64_t *open[2];
  int party = s->channel->party;
  TW_TRY(tw_alloc(2 * words(s) * sizeof **open, (void **)&open[0]));
  open[1] = open[0] + words(s);
  memcpy(open[party], s->open, words(s) * sizeof **open);
  tw_status status = tw_channel_exchange(s->channel, open[party], open[1 - party], words(s) * sizeof **open);
  uint64_t free[2] = {count_bits(open[0], words(s)), count_bits(open[1], words(s))};
  for (size_t i = 0; i < words(s); i++) open[0][i] &= open[1][i];
  int taken = status == TW_OK ? take_wished(s, open[0], slots) : 0;
  tw_free(open[0]);
  TW_TRY(status);
  return taken == s->count ? TW_OK : too_few(s, taken, free);
}

static tw_status allocate(tw_slots *s) {
  void *memory;
  s->lock = -1;
  TW_TRY(tw_alloc(words(s) * sizeof *s->marked, &memory));
  s->marked = memory;
  TW_TRY(tw_alloc(words(s) * sizeof *s->open, &memory));
  s->open = memory;
  return TW_OK;
}

tw_status tw_slots_choose(tw_slots *s, uint64_t *slots) {
  s->party = s->channel->party;
  TW_TRY(vote(s, allocate(s)));
  TW_TRY(meet(s));
  TW_TRY(lock_both(s));
  TW_TRY(vote(s, inspect(s)));
  if (s->wished && s->first_slot < 0) return take_what_is_wished(s, slots);
  return s->first_slot < 0 ? take_free(s, slots) : take_row(s, slots);
}

static tw_status survey(tw_slots *s, uint64_t *live) {
  bool recorded;
  TW_TRY(look_again(s->ledger));
  TW_TRY(s->keys->check_ledger(s->keys->state, &s->ledger->id, &recorded));
  return compare(s, live, false);
}

// What both parties do before slots are chosen or counted: this one's free slots are in open. live: [words], to be
// freed, also after a failure.
static tw_status survey_both(tw_slots *s, void **live) {
  *live = NULL;
  s->party = s->channel->party;
  TW_TRY(vote(s, allocate(s)));
  TW_TRY(meet(s));
  tw_status found = tw_alloc(words(s) * sizeof(uint64_t), live);
  if (found == TW_OK) found = survey(s, *live);
  return vote(s, found);
}

tw_status tw_slots_survey(tw_slots *s, uint64_t *slots) {
  void *live;
  tw_status status = survey_both(s, &live);
  tw_free(live);
  TW_TRY(status);
  return s->first_slot < 0 ? take_free(s, slots) : take_row(s, slots);
}

tw_status tw_slots_count(tw_slots *s, uint64_t *count) {
  void *memory;
  *count = 0;
  tw_status status = survey_both(s, &memory);
  uint64_t *theirs = memory;
  if (status == TW_OK) status = tw_channel_exchange(s->channel, s->open, theirs, words(s) * sizeof *theirs);
  for (size_t i = 0; i < words(s) && status == TW_OK; i++)
    *count += (uint64_t)__builtin_popcountll(s->open[i] & theirs[i]);
  tw_free(memory);
  return status;
}

// ---- alone

static tw_status look_for_slots(tw_slots *s, uint64_t *live) {
  bool recorded;
  TW_TRY(check_range(s));
  TW_TRY(s->keys->check_ledger(s->keys->state, &s->ledger->id, &recorded));
  TW_TRY(compare(s, live, false));
  for (int i = 0; i < s->count && s->first_slot >= 0; i++)
    TW_TRY(tw_ledger_check(s->ledger, s->party, &info(s)->key_id, (uint64_t)s->first_slot + (uint64_t)i));
  uint64_t left = count_bits(s->open, words(s));
  if (left >= (uint64_t)s->count) return TW_OK;
  return tw_fail(TW_ERR_USED,
                 "key %s: slots: %d needed, %" PRIu64 " left of %" PRIu64
                 ", says the ledger %s; ask the dealer for more (`twain deal NAME --append`)%s",
                 info(s)->key_id.hex, s->count, left, info(s)->count, s->ledger->dir, or_fewer(s->count, left));
}

tw_status tw_slots_look(const tw_key_store *keys, const tw_ledger *ledger, int party, int count, int64_t first_slot) {
  tw_slots s = {.keys = keys, .ledger = ledger, .party = party, .count = count, .first_slot = first_slot};
  void *live = NULL;
  tw_status status = allocate(&s);
  if (status == TW_OK) status = tw_alloc(words(&s) * sizeof(uint64_t), &live);
  if (status == TW_OK) status = look_for_slots(&s, live);
  tw_free(live);
  tw_slots_release(&s);
  return status;
}

tw_status tw_slots_left(const tw_key_store *keys, const tw_ledger *ledger, int party, uint64_t *left) {
  tw_slots s = {.keys = keys, .ledger = ledger, .party = party, .count = 1, .first_slot = -1};
  void *live = NULL;
  bool recorded;
  *left = 0;
  tw_status status = allocate(&s);
  if (status == TW_OK) status = tw_alloc(words(&s) * sizeof(uint64_t), &live);
  if (status == TW_OK) status = keys->check_ledger(keys->state, &ledger->id, &recorded);
  if (status == TW_OK) status = compare(&s, live, false);
  if (status == TW_OK) *left = count_bits(s.open, words(&s));
  tw_free(live);
  tw_slots_release(&s);
  return status;
}

// ---- marking

tw_status tw_slots_burn(tw_slots *s, const uint64_t *slots, const char *note, tw_seed *seeds) {
  bool recorded;
  TW_TRY(record(s));
  for (int i = 0; i < s->count; i++) {
    tw_status status = s->keys->seed(s->keys->state, slots[i], seeds[i].key);
    if (status == TW_ERR_USED) return foreign_ledger(s, slots[i]);
    TW_TRY(status);
  }
  TW_TRY(tw_ledger_mark(s->ledger, s->channel->party, &info(s)->key_id, slots, (size_t)s->count, note));
  TW_TRY(s->keys->take(s->keys->state, slots, (size_t)s->count));
  TW_TRY(s->keys->erase(s->keys->state, slots, (size_t)s->count));
  TW_TRY(s->keys->check_ledger(s->keys->state, &s->ledger->id, &recorded));
  if (recorded) return TW_OK;
  return tw_fail(TW_ERR_MISMATCH, "key %s: the key file's record of its ledger has changed during the start",
                 info(s)->key_id.hex);
}

void tw_slots_release(tw_slots *s) {
  tw_ledger_unlock(&s->lock);
  tw_free(s->marked);
  tw_free(s->open);
  s->marked = s->open = NULL;
}
