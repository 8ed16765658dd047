#include "jobs/parties/key_choice.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/parties/handshake.h"
#include "jobs/parties/slots.h"

// ---- a party's files

static void drop(tw_key_files *f, int i) {
  tw_key_store_close(&f->list[i]);
  memmove(&f->list[i], &f->list[i + 1], sizeof *f->list * (size_t)(f->count - i - 1));
  f->list[--f->count] = (tw_key_store){.state = NULL};
}

static bool is_of_plan(const tw_keys_info *k, const void *plan) {
  return strcmp(k->plan.hex, ((const tw_digest *)plan)->hex) == 0;
}
static bool is_of_model(const tw_keys_info *k, const void *model_id) {
  return strcmp(k->model_id.hex, ((const tw_id *)model_id)->hex) == 0;
}

// Where none fits the first stays, whose checks say what is wrong.
static void keep(tw_key_files *f, bool (*fits)(const tw_keys_info *, const void *), const void *what) {
  int fitting = 0;
  for (int i = 0; i < f->count; i++) fitting += fits(tw_key_store_info(&f->list[i]), what);
  for (int i = f->count - 1; i >= (fitting ? 0 : 1); i--)
    if (!fits(tw_key_store_info(&f->list[i]), what)) drop(f, i);
}

static tw_status open_one(const char *name, int party, bool must, tw_key_files *f) {
  tw_path path = tw_path_of(name, party ? "keys.p1.h5" : "keys.p0.h5");
  if (!must && !tw_path_exists(&path)) return TW_OK;
  TW_TRY(tw_key_store_open(path.text, party, &f->list[f->count]));
  f->count++;
  return TW_OK;
}

tw_status tw_key_files_open(const char *name, int party, const tw_digest *plan, tw_key_files *out) {
  tw_key_parts parts;
  out->count = 0;
  TW_TRY(tw_key_parts_find(name, &parts));
  tw_status status = open_one(name, party, false, out);
  for (int i = 0; i < parts.count && status == TW_OK; i++) status = open_one(parts.names[i].text, party, false, out);
  tw_key_parts_free(&parts);
  if (status == TW_OK && out->count == 0) status = open_one(name, party, true, out);
  if (status == TW_OK)
    keep(out, is_of_plan, plan);
  else
    tw_key_files_close(out);
  return status;
}

void tw_key_files_keep(tw_key_files *f, const tw_id *model_id) { keep(f, is_of_model, model_id); }

void tw_key_files_close(tw_key_files *f) {
  for (int i = 0; i < f->count; i++) tw_key_store_close(&f->list[i]);
  f->count = 0;
}

static void describe(const tw_key_index_entry *e, char *text, size_t size) {
  snprintf(text, size,
           "use %" PRIu32 ", kind %" PRIu32 ", width %" PRIu32 ", reserved %" PRIu32 ", %" PRIu64
           " elements at byte %" PRIu64,
           e->use, e->kind, e->width, e->reserved, e->count, e->offset);
}

tw_status tw_key_check_index(const tw_keys_info *k, const tw_program *p, int party) {
  char here[160], there[160];
  tw_key_index_entry *wanted;
  TW_TRY(tw_program_index(p, party, &wanted));
  uint64_t i = 0;
  while (i < k->index_count && memcmp(&k->index[i], &wanted[i], sizeof *wanted) == 0) i++;
  if (i < k->index_count) {
    describe(&k->index[i], here, sizeof here);
    describe(&wanted[i], there, sizeof there);
  }
  tw_free(wanted);
  if (i == k->index_count) return TW_OK;
  return tw_fail(TW_ERR_MISMATCH,
                 "party %d's key file: dataset index: entry %" PRIu64
                 " is %s, but the plan has %s; copy the file again, or deal new keys",
                 party, i, here, there);
}

// ---- the choice

// What a party has and needs, as it goes to the other one.
typedef struct {
  uint64_t count, needed;
  int64_t first_slot;
  tw_id key_id[TW_MOST_KEY_FILES];
} key_list;

static void fill(const tw_key_store *list, int count, int needed, int64_t first_slot, key_list *out) {
  memset(out, 0, sizeof *out);
  out->count = (uint64_t)count;
  out->needed = (uint64_t)needed;
  out->first_slot = first_slot;
  for (int i = 0; i < count; i++) out->key_id[i] = tw_key_store_info(&list[i])->key_id;
}

static bool is_sound(const key_list *l) {
  if (l->count < 1 || l->count > TW_MOST_KEY_FILES) return false;
  for (uint64_t i = 0; i < l->count; i++)
    if (!tw_id_is_hex(&l->key_id[i])) return false;
  return true;
}

static int place_in(const key_list *l, const tw_id *id) {
  for (uint64_t i = 0; i < l->count; i++)
    if (strcmp(l->key_id[i].hex, id->hex) == 0) return (int)i;
  return -1;
}

// In the order of party 0's list: places in this party's own.
static int find_common(const key_list lists[2], int party, int places[TW_MOST_KEY_FILES]) {
  int common = 0;
  for (uint64_t i = 0; i < lists[0].count; i++) {
    int there = place_in(&lists[1], &lists[0].key_id[i]);
    if (there >= 0) places[common++] = party ? there : (int)i;
  }
  return common;
}

static tw_status too_few(int needed, int files, uint64_t most, uint64_t sum) {
  return tw_fail(
      TW_ERR_USED,
      "slots: %d needed, and a run takes all of its slots from one dealing: of %d key files that both parties "
      "have none has more than %" PRIu64 " free on both (%" PRIu64
      " in all); have more dealt (`twain deal NAME --append`)%s",
      needed, files, most, sum, most ? ", or take fewer sequences at once" : "");
}

// Every file is looked at until one does; the other party sees the same numbers.
static tw_status look_through(tw_channel *channel, const tw_key_store *list, const tw_ledger *ledger, const int *places,
                              int common, int needed, int *chosen) {
  uint64_t most = 0, sum = 0;
  for (int i = 0; i < common; i++) {
    uint64_t free;
    tw_slots s = {.channel = channel, .keys = &list[places[i]], .ledger = ledger, .count = 1, .first_slot = -1};
    tw_status status = tw_slots_count(&s, &free);
    tw_slots_release(&s);
    TW_TRY(status);
    *chosen = places[i];
    if (free >= (uint64_t)needed) return TW_OK;
    sum += free;
    if (free > most) most = free;
  }
  return too_few(needed, common, most, sum);
}

// Both look for the same number of slots, wherever these are: else they would not look at the same files.
static bool are_alike(const key_list lists[2]) {
  return lists[0].needed == lists[1].needed && lists[0].first_slot < 0 && lists[1].first_slot < 0;
}

static tw_status choose(tw_channel *channel, const tw_key_store *list, int count, const tw_ledger *ledger, int needed,
                        int64_t first_slot, key_list lists[2], int *common, int *chosen) {
  int places[TW_MOST_KEY_FILES], party = channel->party;
  fill(list, count, needed, first_slot, &lists[party]);
  TW_TRY(tw_channel_exchange(channel, &lists[party], &lists[1 - party], sizeof *lists));
  if (!is_sound(&lists[1 - party]))
    return tw_fail(TW_ERR_PEER, "party %d sent a list of its key files that no twain sends", 1 - party);
  *common = find_common(lists, party, places);
  *chosen = *common ? places[0] : 0;
  if (*common < 2 || !are_alike(lists)) return TW_OK;
  return look_through(channel, list, ledger, places, *common, needed, chosen);
}

tw_status tw_key_choose(tw_channel *channel, tw_status found, const tw_key_store *list, int count,
                        const tw_ledger *ledger, int needed, int64_t first_slot, tw_key_chosen *out) {
  key_list *lists;
  tw_terms none;
  int chosen = 0;
  *out = (tw_key_chosen){.keys = list};
  if (list->reserve) return TW_OK;
  memset(&none, 0, sizeof none);
  TW_TRY(tw_agree(channel, found, &none));
  TW_TRY(tw_alloc(2 * sizeof *lists, (void **)&lists));
  tw_status status = choose(channel, list, count, ledger, needed, first_slot, lists, &out->common, &chosen);
  out->keys = &list[chosen];
  tw_free(lists);
  return status;
}

tw_status tw_key_look(const tw_key_store *list, int count, const tw_ledger *ledger, int party, int needed,
                      bool together) {
  uint64_t most = 0, sum = 0;
  for (int i = 0; i < count; i++) {
    uint64_t left;
    TW_TRY(tw_slots_left(&list[i], ledger, party, &left));
    sum += left;
    if (left > most) most = left;
  }
  if ((together ? sum : most) >= (uint64_t)needed) return TW_OK;
  return tw_fail(TW_ERR_USED,
                 "slots: %d needed, and %d key files have %" PRIu64 " left, none of them more than %" PRIu64
                 ", says the ledger %s; ask the dealer for more (`twain deal NAME --append`)%s",
                 needed, count, sum, most, ledger->dir, most ? ", or take fewer sequences at once" : "");
}
