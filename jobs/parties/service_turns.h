// Conversations in a service: which turns it takes, and the caches that it keeps between them (io/cache_folder.h).
// Checks are of this party's files alone; what the other party finds reaches it as a refusal of the input.
#ifndef TW_SERVICE_TURNS_H
#define TW_SERVICE_TURNS_H

#include "io/cache_folder.h"
#include "jobs/parties/run.h"

typedef struct {
  tw_cache_folder folder;  // folder NULL: the plan has no conversations
  int most;                // of one client
  double seconds;          // for which one waits for its next turn
  uint64_t looked_ns;      // own, 0 at first: when old ones were looked for
} tw_service_turns;

// A folder for caches (NULL: none), where the plan has conversations, and there alone. TW_ERR_USAGE, or the folder's.
tw_status tw_service_turns_check(const char *caches, const tw_plan *plan);
// One turn that came. name: CLIENT/ID or ID. begun: new conversations of this client that were taken for the same run.
// TW_ERR_*: it is refused, with a reason for the client; *detail is the party's own, "" where there is none. What the
// turn goes on behind is opened, and *files closed by the caller, also after a failure. Nothing is marked.
enum { TW_SERVICE_TURNS_DETAIL = 1200 };
tw_status tw_service_turns_take(const tw_service_turns *t, const tw_run_options *run, const char *name,
                                const tw_input_share *input, int begun, tw_conversation_files *files, char *detail);
// Room for what it will leave, if its conversation goes on; once.
tw_status tw_service_turns_claim(const tw_service_turns *t, const char *name, const tw_input_share *input,
                                 tw_conversation_files *files);
// Now and then: wipes what has waited for too long.
tw_status tw_service_turns_tidy(tw_service_turns *t);

#endif
