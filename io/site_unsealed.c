#define _GNU_SOURCE
#include "io/site_unsealed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file.h"
#include "io/ledger_paths.h"

static tw_status place(const char *site, const char *name, tw_ledger_path *out) {
  int used = snprintf(out->text, sizeof out->text, "%s/unsealed%s%s", site, name ? "/" : "", name ? name : "");
  if (used > 0 && (size_t)used + sizeof ".partial" < sizeof out->text) return TW_OK;
  return tw_fail(TW_ERR_IO, "%.200s...: the path is too long", site);
}

// *text: "" where nothing is noted.
static tw_status read_note(const char *site, const tw_id *key_id, tw_ledger_path *path, char *text, size_t size) {
  bool there;
  text[0] = '\0';
  TW_TRY(place(site, NULL, path));
  TW_TRY(tw_ledger_check_own(path->text, true, false, &there));
  if (!there) return TW_OK;
  TW_TRY(place(site, key_id->hex, path));
  TW_TRY(tw_ledger_check_own(path->text, false, false, &there));
  if (!there) return TW_OK;
  int error = tw_ledger_read_note(path->text, text, size);
  if (error) return tw_fail(TW_ERR_IO, "%s: cannot read: %s", path->text, strerror(error));
  if (text[0] == '\0') snprintf(text, size, "?");
  return TW_OK;
}

static tw_status other_ledger(const char *path, const tw_id *key_id, const tw_ledger *ledger, const char *note) {
  char when[64], host[256], id[64], dir[4096];
  tw_ledger_note_line(note, "time", when, sizeof when);
  tw_ledger_note_line(note, "host", host, sizeof host);
  tw_ledger_note_line(note, "ledger", id, sizeof id);
  tw_ledger_note_line(note, "note", dir, sizeof dir);
  return tw_fail(
      TW_ERR_MISMATCH,
      "key %s was unsealed for the ledger of id %s (%.400s), at %s on host %s, says %s; the ledger given has "
      "id %s and may not know which slots were used: name the right one (--ledger DIR), or have new keys "
      "dealt (`twain deal`)",
      key_id->hex, id, dir, when, host, path, ledger->id.hex);
}

static tw_status compare(const char *site, const tw_id *key_id, const tw_ledger *ledger, bool *noted) {
  tw_ledger_path path;
  char note[8192];
  tw_id id;
  TW_TRY(read_note(site, key_id, &path, note, sizeof note));
  *noted = note[0] != '\0';
  if (!*noted) return TW_OK;
  tw_ledger_note_line(note, "ledger", id.hex, sizeof id.hex);
  if (!tw_id_is_hex(&id))
    return tw_fail(TW_ERR_FORMAT,
                   "%s: damaged: it cannot be told for which ledger these keys were unsealed; have new keys dealt "
                   "(`twain deal`)",
                   path.text);
  return strcmp(id.hex, ledger->id.hex) == 0 ? TW_OK : other_ledger(path.text, key_id, ledger, note);
}

tw_status tw_site_unsealed_check(const char *site, const tw_id *key_id, const tw_ledger *ledger) {
  bool noted;
  return compare(site, key_id, ledger, &noted);
}

static tw_status make_folder(const char *site) {
  tw_ledger_path path;
  TW_TRY(place(site, NULL, &path));
  if (mkdir(path.text, 0700) != 0 && errno != EEXIST)
    return tw_fail(TW_ERR_IO, "%s: cannot make the folder in which the site notes which keys it has unsealed: %s",
                   path.text, strerror(errno));
  return tw_sync_folder_of(path.text);
}

// A file of its own first, which gets its name once it is whole; a note that has the name stays.
static tw_status write_note(const char *path, const char *text, size_t bytes) {
  tw_ledger_path partial;
  snprintf(partial.text, sizeof partial.text, "%.*s.%ld", (int)sizeof partial.text - 24, path, (long)getpid());
  int fd = open(partial.text, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  bool written = fd >= 0 && write(fd, text, bytes) == (ssize_t)bytes && fsync(fd) == 0;
  if (fd >= 0 && close(fd) != 0) written = false;
  if (written && link(partial.text, path) != 0 && errno != EEXIST) written = false;
  int error = errno;
  if (fd >= 0) unlink(partial.text);
  if (!written) return tw_fail(TW_ERR_IO, "%s: cannot note that keys are unsealed: %s", path, strerror(error));
  return tw_sync_folder_of(path);
}

tw_status tw_site_unsealed_note(const char *site, const tw_id *key_id, const tw_ledger *ledger) {
  tw_ledger_path path, whole;
  char text[8192], head[64];
  bool noted;
  TW_TRY(make_folder(site));
  TW_TRY(place(site, key_id->hex, &path));
  int used = snprintf(head, sizeof head, "ledger=%s\n", ledger->id.hex);
  memcpy(text, head, (size_t)used);
  size_t bytes = (size_t)used + tw_ledger_write_note(text + used, sizeof text - (size_t)used,
                                                     realpath(ledger->dir, whole.text) ? whole.text : ledger->dir);
  TW_TRY(write_note(path.text, text, bytes));
  TW_TRY(compare(site, key_id, ledger, &noted));
  return noted ? TW_OK : tw_fail(TW_ERR_IO, "%s: is gone as soon as it was written", path.text);
}
