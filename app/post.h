// The way of an input's shares from the client to the queues of two services, and of results back: folders, or commands
// of the client's.
#ifndef TW_POST_H
#define TW_POST_H

#include "app/options.h"

// As they are typed. Each list is empty or party 0's and then party 1's.
typedef struct {
  tw_option_texts to, put;    // folders; commands: COMMAND FILE takes the file there, under its own name
  tw_option_texts from, get;  // folders; commands: COMMAND NAME FILE brings the file NAME as FILE, if it is there
  const char *client;         // the client's folder in those of `to` and `from`, or NULL
  double wait;                // seconds for both results
} tw_post_words;

extern const tw_option tw_option_to, tw_option_put, tw_option_back, tw_option_get;  // tw_option_texts
extern const tw_option tw_option_client;                                            // const char *

tw_status tw_post_check(const tw_post_words *words);
// Brings FOLDER/ID.input.pR.h5 to party R. Under its name it is whole. ending: what is behind the names of files that
// are sealed, "" where they are not.
tw_status tw_post_send(const tw_post_words *words, const char *folder, const char *id, const char *ending, int party);
// Waits until both parties' results are FOLDER/ID.result.pR.h5, closed to others. TW_ERR_PEER: one has refused the
// input, with its reason, or the time is over.
tw_status tw_post_wait(const tw_post_words *words, const char *folder, const char *id, const char *ending);

#endif
