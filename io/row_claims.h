// Which rows of an input are whose, while one or several processes of a party run them in batches: a file in the
// folder of the run's parts (io/parts.h), changed under its flock. A process that lives holds the lock of a file of its
// own, so what a dead one had claimed is free again. Party 0's processes keep it; the other party's are told.
//
// On a file system of several hosts (NFS) a host sees what another one has written when it takes the file's lock, and
// what it has made when it asks for it by making it. So rows are read under the lock of their own file, and a process
// is looked for by opening its file as one that makes it.
#ifndef TW_ROW_CLAIMS_H
#define TW_ROW_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "io/ids.h"

enum { TW_MOST_PROCESSES = 256 };  // of one party

typedef struct tw_row_claims tw_row_claims;

typedef struct {
  const char *folder;  // exists
  tw_id input_id;
  tw_digest plan;
  int count;             // rows of the input
  int index, processes;  // this one of so many
  double patience;       // seconds for which a process may not have come yet, before its rows go to others
} tw_row_claims_options;

// What a process does next.
typedef enum {
  TW_ROWS_BEGIN,  // nothing is known of rows: find out what is done, and say it with tw_row_claims_begin
  TW_ROWS_RUN,    // these rows, which it has claimed
  TW_ROWS_WAIT,   // others are at work
  TW_ROWS_JOIN,   // all rows are done: put the result together
  TW_ROWS_DONE,   // somebody has done that
  TW_ROWS_STOP,   // somebody asked for an end, and nothing is in hand
  TW_ROWS_GONE    // the folder has been removed: by who has done all, or by another hand
} tw_rows_kind;

// TW_ERR_IO where another run is at work in the folder. *gone: the folder was removed at this moment: make it again,
// and call again. No lock is held when a function returns.
tw_status tw_row_claims_open(const tw_row_claims_options *options, bool *gone, tw_row_claims **out);
// After TW_ROWS_BEGIN, which one process is told at a time, while the others wait: that takes as long as it does.
// done [count]: rows that are. lengths [count], by which the processes share the others out. slots [count]: the key
// slot that each of these shall have, if it is free then.
tw_status tw_row_claims_begin(tw_row_claims *claims, const bool *done, const int *lengths, const uint64_t *slots);
// rows, slots [most]. asked: this process is asked to end, and so all are. *left: rows that are not done; all, until
// that is known.
tw_status tw_row_claims_next(tw_row_claims *claims, int most, bool asked, tw_rows_kind *kind, int *rows,
                             uint64_t *slots, int *count, int *left);
// What was claimed is done, or, as if nothing had been, free for others.
tw_status tw_row_claims_done(tw_row_claims *claims, const int *rows, int count, bool done);
// After TW_ROWS_JOIN, or after TW_ROWS_BEGIN where the whole result is there already.
tw_status tw_row_claims_joined(tw_row_claims *claims);
// As a text: "3-7, 9 and 12 more". After TW_ROWS_STOP.
tw_status tw_row_claims_missing(tw_row_claims *claims, char *text, size_t size);
void tw_row_claims_close(tw_row_claims *claims);  // NULL: nothing

#endif
