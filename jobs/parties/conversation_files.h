// One party's part in a conversation: the cache that a turn goes on behind, and the one that it leaves. The ledger
// knows each turn's cache (io/ledger.h), which is marked before it is read and overwritten right after.
#ifndef TW_CONVERSATION_FILES_H
#define TW_CONVERSATION_FILES_H

#include "io/cache.h"
#include "io/client.h"
#include "io/new_files.h"
#include "jobs/engine/engine.h"
#include "jobs/plan/plan.h"

typedef struct {
  const tw_plan *plan;
  int party;
  tw_path before_path, path;
  tw_cache before;  // of an earlier turn, without its shares; count 0: this is a first turn
  tw_cache next;
  int full;               // a sequence that has more tokens than a later turn reads: the conversation has ended; or -1
  tw_cache_claim *place;  // of the next one; NULL: none will be left
} tw_conversation_files;

// An input of a run, and its conversation. A run's are in the order of their sequences.
typedef struct {
  const tw_input_share *input;
  tw_conversation_files *files;
} tw_turn_files;

// Looks at AFTER.cache.pR.h5 (after NULL: a first turn), and takes name and room of NAME.cache.pR.h5, which `replace`
// may be there. Plans without conversations have neither: TW_ERR_USAGE where `after` is given.
tw_status tw_conversation_open(const tw_plan *plan, const char *after, const char *name, const tw_input_share *input,
                               int party, bool replace, tw_conversation_files *out);
// The two halves of tw_conversation_open, where a turn may be refused before it takes room.
tw_status tw_conversation_look(const tw_plan *plan, const char *after, int party, tw_conversation_files *out);
tw_status tw_conversation_claim(tw_conversation_files *c, const char *name, const tw_input_share *input, bool replace);
void tw_conversation_close(tw_conversation_files *c);  // wipes; what was not committed is gone

// Model, plan, input and ledger are those of the cache. Marks nothing.
tw_status tw_conversation_check(const tw_turn_files *turn, const tw_id *model_id, const tw_ledger *ledger);
// Marks the cache as read, durably.
tw_status tw_conversation_mark(const tw_conversation_files *c, const tw_ledger *ledger);
// What a run goes on behind, which both parties must have alike: the run of the turn before, or of several turns a
// digest; "": of nothing.
tw_id tw_turns_before(const tw_turn_files *turns, int count);
// Words of the engine's input: of the client's numbers, and of the caches behind them. joined: all inputs as one.
size_t tw_turns_words(const tw_plan *plan, const tw_input_share *joined);
// The same, into memory that holds secrets, with the rows of earlier turns, [joined->count]. Caches are read, and their
// files overwritten and removed.
tw_status tw_turns_input(const tw_turn_files *turns, int count, const tw_input_share *joined, uint64_t *words,
                         int *earlier);

// After the online phase: what the turns leave, of each that has a place, unless it is full.
tw_status tw_turns_leave(const tw_turn_files *turns, int count, tw_engine *engine, const tw_id *model_id,
                         const tw_id *run);
tw_status tw_conversation_fill(tw_conversation_files *c);  // whole on the disk, without its name
// The ledger knows the turn, and the cache has its name.
tw_status tw_conversation_commit(tw_conversation_files *c, const tw_ledger *ledger);

#endif
