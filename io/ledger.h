// The ledger of used key slots, a folder that is made once: DIR/ledger.json with the ledger's id, and for each party
// and key DIR/pPARTY/KEY_ID/SLOT, one empty-but-for-a-note file a slot, made with O_EXCL and fsynced (file and folder)
// before the first masked byte leaves. Outside the key file, so that a copy stays burned. Layout: docs/formats.md.
#ifndef TW_LEDGER_H
#define TW_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "io/ids.h"

typedef struct {
  char dir[3800];
  tw_id id;
  char created[32];
} tw_ledger;

// $XDG_STATE_HOME/twain/ledger, or $HOME/.local/state/twain/ledger.
tw_status tw_ledger_default(char *dir, size_t size);

// ---- the folder

// Makes a ledger, with the folders above it. TW_ERR_IO when `dir` is there and not empty.
tw_status tw_ledger_create(const char *dir, tw_ledger *out);
// Makes ledger.json in a folder of marks that has none. All marks stay.
tw_status tw_ledger_adopt(const char *dir, tw_ledger *out);
// TW_ERR_IO unless `dir` is a ledger that belongs to this user and that nobody else may write. Makes nothing.
tw_status tw_ledger_open(const char *dir, tw_ledger *out);
// A ledger of an earlier version (io/format.h) becomes one of this version, in one step. Its id and all marks stay.
tw_status tw_ledger_upgrade(const char *dir, int version, tw_ledger *out);
// The folder that was named, or the default one when `named` is NULL; it must be a ledger.
tw_status tw_ledger_find(const char *named, tw_ledger *ledger);
// "tmpfs", "ramfs" or "overlay" when the ledger is on such a file system, which may forget it; else NULL.
const char *tw_ledger_forgets(const tw_ledger *ledger);

// TW_ERR_IO unless so many slots can be marked: the folder can be written, and its file system has blocks and files for
// the marks. For when no slot is chosen yet: what a failed mark loses is lost to both parties.
tw_status tw_ledger_check_room(const tw_ledger *ledger, int marks);

// ---- one party's slots of one key. Every function fails closed: any doubt is an error.

// Whoever chooses slots holds this lock until it has marked them, and has read and erased their seeds. Waits for up to
// `seconds`; *fd is -1 when somebody else holds it still. Needs flock: TW_ERR_IO where the file system has none. It
// keeps runs from taking each other's slots; that no slot serves twice rests on tw_ledger_mark alone.
tw_status tw_ledger_lock(const tw_ledger *ledger, int party, const tw_id *key_id, double seconds, int *fd);
void tw_ledger_unlock(int *fd);  // *fd -1: nothing
// The failure of a run that does not want to wait any longer; says who holds the lock.
tw_status tw_ledger_held(const tw_ledger *ledger, int party, const tw_id *key_id, double waited);

// The other party's ledger, recorded at the key's first use. check: TW_ERR_MISMATCH when another one is recorded;
// *recorded false when none is.
tw_status tw_ledger_check_peer(const tw_ledger *ledger, int party, const tw_id *key_id, const tw_id *peer,
                               bool *recorded);
tw_status tw_ledger_record_peer(const tw_ledger *ledger, int party, const tw_id *key_id, const tw_id *peer);

// Sets bit s of bits[s / 64] for every marked slot s below `count`. [ceil(count / 64)]
tw_status tw_ledger_marks(const tw_ledger *ledger, int party, const tw_id *key_id, uint64_t count, uint64_t *bits);
// TW_ERR_USED when the slot is marked.
tw_status tw_ledger_check(const tw_ledger *ledger, int party, const tw_id *key_id, uint64_t slot);
// Mark `n` slots durably; TW_ERR_USED when one was marked already (also by a run racing with this one). After a failure
// some of them may be marked.
tw_status tw_ledger_mark(const tw_ledger *ledger, int party, const tw_id *key_id, const uint64_t *slots, size_t n,
                         const char *note);

// ---- conversations: each turn's rows go on once, in one chain

typedef struct {
  tw_id conversation;  // the run of its first turn
  tw_id run;           // that made this turn
  int number;          // of the turn, from 1 on
} tw_conversation_turn;

// Whether a turn's cache may be read: TW_ERR_MISMATCH unless this ledger knows it as tw_ledger_turn_kept noted it,
// TW_ERR_USED when it was read before.
tw_status tw_ledger_turn_check(const tw_ledger *ledger, int party, const tw_conversation_turn *turn);
// The same, and marked durably as read; TW_ERR_USED also in a race.
tw_status tw_ledger_turn_read(const tw_ledger *ledger, int party, const tw_conversation_turn *turn, const char *note);
// A turn has left its rows in a cache.
tw_status tw_ledger_turn_kept(const tw_ledger *ledger, int party, const tw_conversation_turn *turn);

// ---- sealed key files (io/seal.h)

// TW_ERR_USED when a sealed file of this key was unsealed before, with time and place; not with `again`.
tw_status tw_ledger_unseal_check(const tw_ledger *ledger, int party, const tw_id *key_id, bool again);
// Records it durably, as a mark is; TW_ERR_USED as above, also in a race. out: where the plain file will be.
tw_status tw_ledger_unseal_mark(const tw_ledger *ledger, int party, const tw_id *key_id, const char *out, bool again);

// ---- what a person wants to see

typedef struct {
  uint64_t slot;
  char time[32], host[256], pid[24], job[64], note[128];  // "unknown" where a crash cut the note off
} tw_ledger_mark_note;

typedef struct {
  int party;
  tw_id key_id;
  tw_id peer;                  // the other party's ledger; "" before first use
  size_t count, room;          // of marks; room: for how many there is memory
  tw_ledger_mark_note *marks;  // by slot
} tw_ledger_key;

// All keys, by party and key id. Free with tw_ledger_keys_free, also after a failure.
tw_status tw_ledger_list(const tw_ledger *ledger, tw_ledger_key **keys, size_t *count);
void tw_ledger_keys_free(tw_ledger_key *keys, size_t count);

#endif
