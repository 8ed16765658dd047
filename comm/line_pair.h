// Two connections joined: what comes over one leaves over the other, both ways, unread and unchanged. Each way has one
// buffer; nothing is taken from an end before the other end has taken what was there. An end that has said all it has
// to say (half-close) may still listen.
#ifndef TW_LINE_PAIR_H
#define TW_LINE_PAIR_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef struct tw_line_pair tw_line_pair;

// Takes both sockets, not blocking, also when it fails.
tw_status tw_line_pair_create(const int fds[2], tw_line_pair **out);
void tw_line_pair_destroy(tw_line_pair *p);  // closes both; NULL: nothing

// What to wait for; fd -1 where there is nothing.
void tw_line_pair_wants(const tw_line_pair *p, struct pollfd out[2]);
// Moves what can be moved now, a buffer each way at most. Returns how many bytes left it.
uint64_t tw_line_pair_move(tw_line_pair *p);
// True when both ends have ended, or one is lost and the other had `now_ns` (tw_clock_ns) come to say its last words.
bool tw_line_pair_over(const tw_line_pair *p, uint64_t now_ns);
// An end is lost: the pair is over soon, whatever comes.
bool tw_line_pair_fails(const tw_line_pair *p);

#endif
