// Turns of a conversation, in a folder of its id: N.kept says that turn N left its rows in a cache, N.read that a later
// turn has taken them. A conversation is one chain: each cache is read once, and only one that this ledger knows.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/file.h"
#include "io/ledger_paths.h"

static tw_status path_of(const tw_ledger *ledger, int party, const tw_conversation_turn *turn, const char *what,
                         tw_ledger_path *out) {
  char name[40];
  snprintf(name, sizeof name, "%d.%s", turn->number, what);
  return tw_ledger_key_path(ledger, party, &turn->conversation, name, out);
}

static tw_status look(const tw_ledger *ledger, int party, const tw_conversation_turn *turn, const char *what,
                      char *note, size_t size, bool *there) {
  tw_ledger_path path;
  TW_TRY(path_of(ledger, party, turn, what, &path));
  TW_TRY(tw_ledger_check_own(path.text, false, false, there));
  note[0] = '\0';
  if (*there) tw_ledger_read_note(path.text, note, size);
  return TW_OK;
}

static tw_status read_before(const tw_ledger *ledger, const tw_conversation_turn *turn, const char *note) {
  char when[64], host[256], pid[32];
  tw_ledger_note_line(note, "time", when, sizeof when);
  tw_ledger_note_line(note, "host", host, sizeof host);
  tw_ledger_note_line(note, "pid", pid, sizeof pid);
  return tw_fail(TW_ERR_USED,
                 "conversation %s: what turn %d left was read before: at %s on host %s (process %s), says the ledger "
                 "%s; a turn goes on once: go on behind the last turn, or begin a new conversation",
                 turn->conversation.hex, turn->number, when, host, pid, ledger->dir);
}

tw_status tw_ledger_turn_check(const tw_ledger *ledger, int party, const tw_conversation_turn *turn) {
  char note[2048], run[64];
  bool there;
  TW_TRY(tw_ledger_check_key_folder(ledger, party, &turn->conversation, &there));
  TW_TRY(look(ledger, party, turn, "kept", note, sizeof note, &there));
  tw_ledger_note_line(note, "note", run, sizeof run);
  if (!there || strcmp(run, turn->run.hex) != 0)
    return tw_fail(TW_ERR_MISMATCH,
                   "conversation %s: the ledger %s does not know run %s as its turn %d: the cache is of another ledger "
                   "(--ledger DIR), or a copy that does not belong here; begin a new conversation",
                   turn->conversation.hex, ledger->dir, turn->run.hex, turn->number);
  TW_TRY(look(ledger, party, turn, "read", note, sizeof note, &there));
  return there ? read_before(ledger, turn, note) : TW_OK;
}

// Made once, and durable.
static tw_status make(const char *path, const char *note, bool *there) {
  char text[1024];
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  *there = fd < 0 && errno == EEXIST;
  if (*there) return TW_OK;
  if (fd < 0) return tw_fail(TW_ERR_IO, "%s: cannot write the ledger: %s", path, strerror(errno));
  size_t bytes = tw_ledger_write_note(text, sizeof text, note);
  bool written = write(fd, text, bytes) == (ssize_t)bytes && fsync(fd) == 0;
  if (close(fd) != 0) written = false;
  if (!written) return tw_fail(TW_ERR_IO, "%s: cannot write the ledger: %s", path, strerror(errno));
  return tw_sync_folder_of(path);
}

tw_status tw_ledger_turn_read(const tw_ledger *ledger, int party, const tw_conversation_turn *turn, const char *note) {
  tw_ledger_path path;
  char earlier[2048];
  bool there;
  TW_TRY(tw_ledger_turn_check(ledger, party, turn));
  TW_TRY(path_of(ledger, party, turn, "read", &path));
  TW_TRY(make(path.text, note, &there));
  if (!there) return TW_OK;
  TW_TRY(look(ledger, party, turn, "read", earlier, sizeof earlier, &there));
  return read_before(ledger, turn, earlier);
}

tw_status tw_ledger_turn_kept(const tw_ledger *ledger, int party, const tw_conversation_turn *turn) {
  tw_ledger_path path;
  bool there;
  TW_TRY(tw_ledger_make_key_folder(ledger, party, &turn->conversation));
  TW_TRY(path_of(ledger, party, turn, "kept", &path));
  TW_TRY(make(path.text, turn->run.hex, &there));
  if (!there) return TW_OK;
  return tw_fail(TW_ERR_USED, "conversation %s: the ledger %s has a turn %d already", turn->conversation.hex,
                 ledger->dir, turn->number);
}
