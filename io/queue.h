// Inputs that wait in a folder for a party that serves, and the folder where results go. Others write into the first:
// names, kinds, sizes and contents of what lies there are theirs, and nothing is believed. Layout: docs/operating.md,
// "A service".
//
// QUEUE/ID.input.pR.h5 is an input of no client in particular, QUEUE/CLIENT/ID.input.pR.h5 one of CLIENT. It is there
// when it has its name, so it is put there by rename. What has a name of another form is left alone. Inputs of clients
// with a site file (io/queue_seal.h) are ID.input.pR.h5.sealed, and so are their results.
#ifndef TW_QUEUE_H
#define TW_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "io/new_files.h"
#include "io/queue_seal.h"

enum {
  TW_QUEUE_WORD = 64,                     // longest ID, longest CLIENT
  TW_QUEUE_NAME = 2 * TW_QUEUE_WORD + 2,  // "ID" or "CLIENT/ID", with its end
  TW_QUEUE_MOST = 1024,                   // most that may wait
  TW_QUEUE_REASON = 400
};

typedef struct {
  const char *folder, *out;
  int party;
  int most, client_most;  // inputs that may wait: in all, of one client
  uint64_t largest;       // bytes of one input
  tw_queue_seal seal;
  // Hears of every input that is refused; may be NULL.
  void (*refused)(void *state, const char *name, const char *reason);
  void *state;
} tw_queue_options;

typedef struct {
  char name[TW_QUEUE_NAME];
  int64_t arrived;  // ns since 1970, by the file's change time, which no client chooses
  uint64_t inode;
  double waits;  // seconds since this process saw it first
  uint64_t seen_ns;
} tw_waiting;

typedef struct tw_queue tw_queue;

// ID and CLIENT: letters, digits, - and _, at most TW_QUEUE_WORD of them, the first no -.
bool tw_queue_word(const char *word);
// CLIENT of a name, "" where it has none; returns its ID.
const char *tw_queue_divide(const char *name, char client[TW_QUEUE_WORD + 1]);

// TW_ERR_IO unless all are folders of this user. The world may not write into the first, nobody else into the second,
// and into that of site files.
tw_status tw_queue_open(const tw_queue_options *options, tw_queue **out);
void tw_queue_close(tw_queue *q);  // NULL: nothing

// Looks again. What may not wait is refused: no regular file, of a user and group that are not this process's, empty or
// too large, with a result or a refusal already, or past a limit, the newest first. A failure is the folder's own.
tw_status tw_queue_look(tw_queue *q);
int tw_queue_count(const tw_queue *q);
const tw_waiting *tw_queue_at(const tw_queue *q, int i);  // oldest first; until the next look
// QUEUE/stop was there at the last look.
bool tw_queue_stops(const tw_queue *q);
void tw_queue_remove_stop(tw_queue *q);

// What waits, as a copy of this user's own beside the results, which nobody else changes any more.
typedef struct {
  tw_path path;
  bool sealed;  // what waits
} tw_queue_copy;
tw_status tw_queue_take(tw_queue *q, const char *name, tw_queue_copy *out);
void tw_queue_drop(tw_queue_copy *copy);  // removes it

// Where its result is finished, OUT/NAME.result.pR.h5.finished, or .h5.sealed.finished where the input came sealed: no
// client takes that, and both hold it in plain. Makes OUT/CLIENT where that is missing.
tw_status tw_queue_place(tw_queue *q, const char *name, bool sealed, tw_path *finished);
// Whether what is finished can be sealed to its client, where it is to be sealed. why: "", or for what it is to be
// refused. Failures are of a folder or of this party's site.
tw_status tw_queue_can_deliver(const tw_queue *q, const char *name, char why[TW_QUEUE_REASON]);
// What is finished becomes the result, in one step and on the disk: sealed to its client, if its input came sealed or
// the client has a site file; otherwise its group may read it where OUT, or OUT/CLIENT, gives new files its own group
// (mode 2750). After a failure it is finished still.
tw_status tw_queue_deliver(tw_queue *q, const char *name);
tw_status tw_queue_forget(tw_queue *q, const char *name);  // removes what is finished
tw_path tw_queue_finished(const tw_queue *q, const char *name);

// What OUT says of an input. One that is delivered may be finished still, and is both then.
typedef enum { TW_QUEUE_NOTHING, TW_QUEUE_FINISHED, TW_QUEUE_DELIVERED, TW_QUEUE_REFUSED } tw_queue_state;
// Of every file in OUT and its clients' folders that says something, in no order, until one fails.
tw_status tw_queue_walk(const tw_queue *q, tw_status (*each)(void *state, const char *name, tw_queue_state what),
                        void *state);

// Writes OUT/NAME.error.pR.txt and takes the input away. A refusal of one input never ends what goes on: what cannot be
// written or removed is told with the reason.
void tw_queue_refuse(tw_queue *q, const char *name, const char *reason);
// Its result is there: takes the input away.
tw_status tw_queue_done(tw_queue *q, const char *name);

// The last failure's message, with the copy called by the input's own file name. out: [TW_QUEUE_REASON]
void tw_queue_reason(const tw_queue *q, const char *name, const tw_queue_copy *copy, char *out);

#endif
