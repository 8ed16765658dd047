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
  tw_cache_claim *place;  // of the next one; NULL: the plan has no conversations
} tw_conversation_files;

// Looks at AFTER.cache.pR.h5 (after NULL: a first turn), and takes name and room of NAME.cache.pR.h5, which `replace`
// may be there. Plans without conversations have neither: TW_ERR_USAGE where `after` is given.
tw_status tw_conversation_open(const tw_plan *plan, const char *after, const char *name, const tw_input_share *input,
                               int party, bool replace, tw_conversation_files *out);
void tw_conversation_close(tw_conversation_files *c);  // wipes; what was not committed is gone

// Model, plan, input and ledger are those of the cache. Marks nothing.
tw_status tw_conversation_check(const tw_conversation_files *c, const tw_id *model_id, const tw_input_share *input,
                                const tw_ledger *ledger);
// Marks the cache as read, durably.
tw_status tw_conversation_mark(const tw_conversation_files *c, const tw_ledger *ledger);
// Words of the engine's input: of the client's numbers, and of the cache behind them.
size_t tw_conversation_words(const tw_conversation_files *c, const tw_input_share *input);
// The same, into memory that holds secrets. The cache is read, and its file overwritten and removed.
tw_status tw_conversation_input(const tw_conversation_files *c, const tw_input_share *input, uint64_t *words);
// Rows of earlier turns, for the engine; NULL: none.
static inline const int *tw_conversation_earlier(const tw_conversation_files *c) {
  return c->before.count ? c->before.rows : NULL;
}

// After the online phase: what this turn leaves. *sequence: -1, or one that has more tokens than a later turn reads:
// then the conversation ends here, and nothing is left.
tw_status tw_conversation_leave(tw_conversation_files *c, tw_engine *engine, const tw_id *model_id,
                                const tw_input_share *input, const tw_id *run, int *sequence);
tw_status tw_conversation_fill(tw_conversation_files *c);  // whole on the disk, without its name
// The ledger knows the turn, and the cache has its name.
tw_status tw_conversation_commit(tw_conversation_files *c, const tw_ledger *ledger);

#endif
