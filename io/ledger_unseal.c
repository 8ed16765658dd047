// Keys that came sealed and were unsealed: DIR/pPARTY/KEY_ID/unsealed, a note for each time.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/file.h"
#include "io/ledger_paths.h"

static const char name[] = "unsealed";

static tw_status unsealed_before(const tw_id *key_id, const char *path) {
  char note[2048], when[64], host[256], where[512];
  tw_ledger_read_note(path, note, sizeof note);
  tw_ledger_note_line(note, "time", when, sizeof when);
  tw_ledger_note_line(note, "host", host, sizeof host);
  tw_ledger_note_line(note, "note", where, sizeof where);
  return tw_fail(TW_ERR_USED,
                 "key %s was unsealed before: at %s on host %s as %s, says the ledger %s; use that file. If it is lost "
                 "for good, --again makes another one, without the seeds of used slots",
                 key_id->hex, when, host, where, path);
}

tw_status tw_ledger_unseal_check(const tw_ledger *ledger, int party, const tw_id *key_id, bool again) {
  tw_ledger_path path;
  bool there;
  TW_TRY(tw_ledger_check_key_folder(ledger, party, key_id, &there));
  TW_TRY(tw_ledger_key_path(ledger, party, key_id, name, &path));
  if (there) TW_TRY(tw_ledger_check_own(path.text, false, false, &there));
  return there && !again ? unsealed_before(key_id, path.text) : TW_OK;
}

tw_status tw_ledger_unseal_mark(const tw_ledger *ledger, int party, const tw_id *key_id, const char *out, bool again) {
  char text[1024];
  tw_ledger_path path;
  TW_TRY(tw_ledger_make_key_folder(ledger, party, key_id));
  TW_TRY(tw_ledger_key_path(ledger, party, key_id, name, &path));
  int fd = open(path.text, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | (again ? 0 : O_EXCL), 0600);
  if (fd < 0 && errno == EEXIST) return unsealed_before(key_id, path.text);
  if (fd < 0) return tw_fail(TW_ERR_IO, "%s: cannot write the ledger: %s", path.text, strerror(errno));
  size_t bytes = tw_ledger_write_note(text, sizeof text, out);
  bool written = write(fd, text, bytes) == (ssize_t)bytes && fsync(fd) == 0;
  if (close(fd) != 0) written = false;
  if (!written) return tw_fail(TW_ERR_IO, "%s: cannot write the ledger: %s", path.text, strerror(errno));
  return tw_sync_folder_of(path.text);
}
