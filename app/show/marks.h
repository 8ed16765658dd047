// Marks of a ledger as people read them: which slots, and by whom they were used up.
#ifndef TW_MARKS_H
#define TW_MARKS_H

#include "app/show/print.h"
#include "io/ledger.h"

// Of the first n marks, by slot: "3-5, 9"; "..." where it gets long.
void tw_marks_slots(const tw_ledger_mark_note *marks, size_t n, char *text, size_t size);
// A table with a row for each run: neighbouring marks of one process.
void tw_marks_head(tw_grid *grid);
void tw_marks_rows(tw_grid *grid, const tw_ledger_key *key);

#endif
