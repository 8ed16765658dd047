// A party's key files for one plan and model, and which of them a run takes its slots from: all from one.
#ifndef TW_KEY_CHOICE_H
#define TW_KEY_CHOICE_H

#include "comm/channel.h"
#include "io/key_parts.h"
#include "io/key_store.h"
#include "io/ledger.h"
#include "jobs/program/program.h"

enum { TW_MOST_KEY_FILES = 1 + TW_MOST_KEY_PARTS };

// NAME's keys, then those that were appended, by age (io/key_parts.h).
typedef struct {
  tw_key_store list[TW_MOST_KEY_FILES];
  int count;
} tw_key_files;

// Opens NAME.keys.pR.h5 and all that was appended to it, of this plan; others stay closed, unless they are the only
// ones. Fails where there is none.
tw_status tw_key_files_open(const char *name, int party, const tw_digest *plan, tw_key_files *out);
// Those that were dealt for another sharing of the model are closed, unless they are the only ones.
void tw_key_files_keep(tw_key_files *files, const tw_id *model_id);
void tw_key_files_close(tw_key_files *files);

// Every correction must lie where the program has it, and be what it says: TW_ERR_MISMATCH.
tw_status tw_key_check_index(const tw_keys_info *keys, const tw_program *program, int party);

typedef struct {
  const tw_key_store *keys;
  int common;  // files that both parties have; 0 for a live dealer's
} tw_key_chosen;

// Both parties, with as many files as each has: one that both have, with `needed` slots that are free on both, the
// oldest such one. That is not looked for, and it is the first, with --slot on either party, where they have one or
// none in common, and where they need different numbers of slots (the run's handshake says what differs). TW_ERR_USED
// where none has so many. Without the ledgers' locks, so another run may take the slots first. found: what this party
// has found before, which both agree on first. A live dealer's store stands alone, and nothing is said.
tw_status tw_key_choose(tw_channel *channel, tw_status found, const tw_key_store *list, int count,
                        const tw_ledger *ledger, int needed, int64_t first_slot, tw_key_chosen *out);
// This party alone: whether any file, or with `together` all of them, have as many slots left. TW_ERR_USED.
tw_status tw_key_look(const tw_key_store *list, int count, const tw_ledger *ledger, int party, int needed,
                      bool together);

#endif
