#include "jobs/parties/service_pairs.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/interrupt.h"
#include "base/memory.h"
#include "jobs/parties/handshake.h"

enum { GO_ON, BY_FILE, BY_SIGNAL };  // whether, and why, it stops
enum { TOLD = 16 };                  // refusals that one turn tells of

static tw_service_pairs_tag tag_of(const char *name) {
  tw_service_pairs_tag t;
  crypto_generichash(t.bytes, sizeof t.bytes, (const uint8_t *)name, strlen(name), NULL, 0);
  return t;
}

static void remember(tw_service_pairs_list *list, tw_service_pairs_tag t) {
  list->tags[list->count++ % TW_SERVICE_PAIRS_REMEMBERED] = t;
}

void tw_service_pairs_refused(tw_service_pairs *p, const char *name) { remember(&p->refused, tag_of(name)); }

static bool has(const tw_service_pairs_tag *tags, int count, const tw_service_pairs_tag *t) {
  for (int i = 0; i < count; i++)
    if (memcmp(&tags[i], t, sizeof *t) == 0) return true;
  return false;
}

typedef struct {
  int32_t found;  // a tw_status, of the look
  uint32_t stop, count, refusals;
  tw_service_pairs_tag refused[TOLD];  // since the turn before
} state;

// What this party has refused and not told yet; more than can be remembered is not told.
static void tell_refusals(tw_service_pairs *p, state *mine) {
  if (p->refused.count - p->sent > TW_SERVICE_PAIRS_REMEMBERED)
    p->sent = p->refused.count - TW_SERVICE_PAIRS_REMEMBERED;
  while (mine->refusals < TOLD && p->sent < p->refused.count)
    mine->refused[mine->refusals++] = p->refused.tags[p->sent++ % TW_SERVICE_PAIRS_REMEMBERED];
}

// What the other party has refused is not waited for, also where its share comes here later. It stays on this turn's
// list, and is on none of the other party's.
static void hear_refusals(tw_service_pairs *p) {
  char reason[64];
  int known = p->told.count < TW_SERVICE_PAIRS_REMEMBERED ? (int)p->told.count : TW_SERVICE_PAIRS_REMEMBERED;
  snprintf(reason, sizeof reason, "party %d refuses its share", 1 - p->channel->party);
  for (int i = 0; known > 0 && i < tw_queue_count(p->queue); i++) {
    const char *name = tw_queue_at(p->queue, i)->name;
    tw_service_pairs_tag t = tag_of(name);
    if (has(p->told.tags, known, &t)) tw_queue_refuse(p->queue, name, reason);
  }
}

static void choose(const tw_service_pairs *p, const tw_service_pairs_tag *const lists[2], const int counts[2], int most,
                   char (*names)[TW_QUEUE_NAME], int *count) {
  const tw_service_pairs_tag *mine = lists[p->channel->party];
  for (int i = 0; i < counts[0] && *count < most; i++) {
    if (!has(lists[1], counts[1], &lists[0][i])) continue;
    for (int j = 0; j < tw_queue_count(p->queue); j++)
      if (memcmp(&mine[j], &lists[0][i], sizeof *mine) == 0) {
        memcpy(names[(*count)++], tw_queue_at(p->queue, j)->name, TW_QUEUE_NAME);
        break;
      }
  }
}

// What has waited too long for the other party's share.
static void refuse_unpaired(tw_service_pairs *p, const tw_service_pairs_tag *mine, const tw_service_pairs_tag *theirs,
                            int their_count) {
  char reason[120];
  for (int i = 0; i < tw_queue_count(p->queue); i++) {
    const tw_waiting *w = tw_queue_at(p->queue, i);
    if (w->waits < p->seconds || has(theirs, their_count, &mine[i])) continue;
    snprintf(reason, sizeof reason, "party %d has not got its share within %g s", 1 - p->channel->party, p->seconds);
    tw_queue_refuse(p->queue, w->name, reason);
  }
}

// Both send as many tags as the longer list has. Then both choose by party 0's order.
static tw_status compare_lists(tw_service_pairs *p, int their_count, int most, char (*names)[TW_QUEUE_NAME],
                               int *chosen) {
  int mine = tw_queue_count(p->queue), party = p->channel->party, count[2];
  size_t longer = (size_t)(mine > their_count ? mine : their_count);
  tw_service_pairs_tag *tags[2];
  count[party] = mine;
  count[1 - party] = their_count;
  TW_TRY(tw_alloc(2 * (longer + 1) * sizeof **tags, (void **)&tags[0]));
  tags[1] = tags[0] + longer;
  for (int i = 0; i < mine; i++) tags[party][i] = tag_of(tw_queue_at(p->queue, i)->name);
  tw_status status = TW_OK;
  if (mine > 0 && their_count > 0)
    status = tw_channel_exchange(p->channel, tags[party], tags[1 - party], longer * sizeof **tags);
  if (status == TW_OK) {
    choose(p, (const tw_service_pairs_tag *const *)tags, count, most, names, chosen);
    refuse_unpaired(p, tags[party], tags[1 - party], their_count);
  }
  tw_free(tags[0]);
  return status;
}

static tw_status agree(tw_service_pairs *p, tw_status found) {
  tw_terms none;
  memset(&none, 0, sizeof none);
  return tw_agree(p->channel, found, &none);
}

tw_status tw_service_pairs_meet(tw_service_pairs *p, tw_status found, int most, char (*names)[TW_QUEUE_NAME],
                                int *count, bool *stop) {
  state mine, theirs;
  if (found == TW_OK) found = tw_queue_look(p->queue);
  *count = 0;
  hear_refusals(p);
  memset(&mine, 0, sizeof mine);
  mine.found = found;
  mine.stop = tw_interrupts_asked() ? BY_SIGNAL : tw_queue_stops(p->queue) ? BY_FILE : GO_ON;
  mine.count = (uint32_t)tw_queue_count(p->queue);
  tell_refusals(p, &mine);
  TW_TRY(tw_channel_exchange(p->channel, &mine, &theirs, sizeof mine));
  if (mine.found != TW_OK || theirs.found != TW_OK) TW_TRY(agree(p, found));
  if (theirs.count > TW_QUEUE_MOST || theirs.stop > BY_SIGNAL || theirs.refusals > TOLD)
    return tw_fail(TW_ERR_PEER,
                   "party %d says that %" PRIu32 " inputs wait there, and %" PRIu32 " were refused; no twain says that",
                   1 - p->channel->party, theirs.count, theirs.refusals);
  for (uint32_t i = 0; i < theirs.refusals; i++) remember(&p->told, theirs.refused[i]);
  *stop = mine.stop || theirs.stop;
  p->signalled = mine.stop == BY_SIGNAL || theirs.stop == BY_SIGNAL;
  return *stop ? TW_OK : compare_lists(p, (int)theirs.count, most, names, count);
}
