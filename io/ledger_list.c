// Everything that a ledger holds, for people.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/ledger_paths.h"

static int by_slot(const void *a, const void *b) {
  const tw_ledger_mark_note *x = a, *y = b;
  return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static int by_key(const void *a, const void *b) {
  const tw_ledger_key *x = a, *y = b;
  int order = strcmp(x->key_id.hex, y->key_id.hex);
  return order ? order : x->party - y->party;
}

static tw_status add_mark(const tw_ledger *ledger, const char *name, uint64_t slot, tw_ledger_key *key) {
  tw_ledger_path path;
  char note[2048];
  TW_TRY(tw_ledger_key_path(ledger, key->party, &key->key_id, name, &path));
  TW_TRY(tw_grow((void **)&key->marks, &key->room, key->count + 1, sizeof *key->marks));
  tw_ledger_mark_note *mark = &key->marks[key->count++];
  tw_ledger_read_note(path.text, note, sizeof note);
  mark->slot = slot;
  tw_ledger_note_line(note, "time", mark->time, sizeof mark->time);
  tw_ledger_note_line(note, "host", mark->host, sizeof mark->host);
  tw_ledger_note_line(note, "pid", mark->pid, sizeof mark->pid);
  tw_ledger_note_line(note, "job", mark->job, sizeof mark->job);
  tw_ledger_note_line(note, "note", mark->note, sizeof mark->note);
  return TW_OK;
}

// Calls `each` for every entry of a folder.
static tw_status walk(const char *path, tw_status (*each)(void *state, const char *name), void *state) {
  DIR *stream = opendir(path);
  if (!stream) return tw_fail(TW_ERR_IO, "%s: cannot read the ledger: %s", path, strerror(errno));
  tw_status status = TW_OK;
  for (struct dirent *entry; status == TW_OK && (errno = 0, entry = readdir(stream));)
    status = each(state, entry->d_name);
  if (status == TW_OK && errno) status = tw_fail(TW_ERR_IO, "%s: cannot read the ledger: %s", path, strerror(errno));
  closedir(stream);
  return status;
}

typedef struct {
  const tw_ledger *ledger;
  int party;
  tw_ledger_key *keys;
  size_t count, room;
} listing;

static tw_status each_mark(void *state, const char *name) {
  listing *l = state;
  uint64_t slot;
  return tw_ledger_slot_of(name, &slot) ? add_mark(l->ledger, name, slot, &l->keys[l->count - 1]) : TW_OK;
}

static tw_status each_key(void *state, const char *name) {
  listing *l = state;
  tw_ledger_path path;
  bool there;
  char note[256];
  if (!tw_is_hex(name, 32)) return TW_OK;
  TW_TRY(tw_grow((void **)&l->keys, &l->room, l->count + 1, sizeof *l->keys));
  tw_ledger_key *key = &l->keys[l->count++];
  *key = (tw_ledger_key){.party = l->party};
  memcpy(key->key_id.hex, name, sizeof key->key_id.hex);
  TW_TRY(tw_ledger_key_path(l->ledger, l->party, &key->key_id, "peer", &path));
  tw_ledger_read_note(path.text, note, sizeof note);
  if (note[0]) tw_ledger_note_line(note, "ledger", key->peer.hex, sizeof key->peer.hex);
  TW_TRY(tw_ledger_key_path(l->ledger, l->party, &key->key_id, NULL, &path));
  TW_TRY(tw_ledger_check_own(path.text, true, false, &there));
  TW_TRY(walk(path.text, each_mark, l));
  if (key->count == 0 && !key->peer.hex[0]) l->count--;  // only ever refused
  if (key->count > 1) qsort(key->marks, key->count, sizeof *key->marks, by_slot);
  return TW_OK;
}

tw_status tw_ledger_list(const tw_ledger *ledger, tw_ledger_key **keys, size_t *count) {
  listing l = {.ledger = ledger};
  tw_status status = TW_OK;
  for (; l.party < 2 && status == TW_OK; l.party++) {
    char path[sizeof ledger->dir + 16];
    bool there;
    snprintf(path, sizeof path, "%s/p%d", ledger->dir, l.party);
    status = tw_ledger_check_own(path, true, false, &there);
    if (status == TW_OK && there) status = walk(path, each_key, &l);
  }
  if (l.count > 1) qsort(l.keys, l.count, sizeof *l.keys, by_key);
  *keys = l.keys;
  *count = l.count;
  return status;
}

void tw_ledger_keys_free(tw_ledger_key *keys, size_t count) {
  for (size_t i = 0; i < count; i++) free(keys[i].marks);
  free(keys);
}
