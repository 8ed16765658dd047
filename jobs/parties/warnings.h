// What a user ought to know of a process though nothing failed, as text for whoever shows it.
#ifndef TW_WARNINGS_H
#define TW_WARNINGS_H

#include "io/ledger.h"

typedef struct {
  void (*show)(void *state, const char *text);  // NULL: nobody listens
  void *state;
} tw_listener;

void tw_warn(const tw_listener *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
// A ledger that lies where it may be forgotten.
void tw_warn_of_ledger(const tw_listener *to, const tw_ledger *ledger);
// Seeds or shares that could not be locked in memory so far; once a process.
void tw_warn_of_memory(const tw_listener *to);

#endif
