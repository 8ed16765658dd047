// What `twain doctor` looks at on this host, and how it tells.
#ifndef TW_DOCTOR_H
#define TW_DOCTOR_H

#include <jansson.h>

#include "app/options.h"

typedef enum {
  TW_FINE,
  TW_NOTE,  // works, with a loss or a risk that somebody must know
  TW_BAD    // a run would fail, or not be protected
} tw_finding;

// What is found, row by row; each is kept as {"check", "state", "found", "remedy"}.
typedef struct {
  json_t *rows;
  int notes, bad;
} tw_doctor;

// found is a printf format. remedy: what to do; NULL when there is nothing.
void tw_doctor_say(tw_doctor *d, tw_finding finding, const char *check, const char *remedy, const char *found, ...)
    __attribute__((format(printf, 5, 6)));
// The last failure (tw_error_message) as a row; its message has the remedy.
void tw_doctor_say_error(tw_doctor *d, tw_finding finding, const char *check);
// The table, in lines of the terminal's width.
void tw_doctor_print(const tw_doctor *d);

// ---- what is looked at

void tw_doctor_program(tw_doctor *d);  // libraries
void tw_doctor_cores(tw_doctor *d);
void tw_doctor_memory(tw_doctor *d);                      // locked, swap, pages, left
void tw_doctor_gpus(tw_doctor *d);                        // and which reach each other
void tw_doctor_files(tw_doctor *d, const char *folder);   // HDF5 and room, where results go
void tw_doctor_ledger(tw_doctor *d, const char *named);   // locking, durability, room
void tw_doctor_audit(tw_doctor *d);                       // TWAIN_AUDIT
void tw_doctor_site(tw_doctor *d, const char *folder);    // one's own keys and certificate
void tw_doctor_peer(tw_doctor *d, const char *file);      // another's certificate
void tw_doctor_listen(tw_doctor *d, const char *where);   // whether the port is free
void tw_doctor_connect(tw_doctor *d, const char *where);  // whether somebody answers
void tw_doctor_launcher(tw_doctor *d);                    // MPI's, and Slurm's
tw_status tw_doctor_ranks(const tw_call *call);           // as one of two ranks: whether they meet

#endif
