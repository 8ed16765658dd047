// Work in pieces that do not depend on each other.
#ifndef TW_SIDE_BY_SIDE_H
#define TW_SIDE_BY_SIDE_H

#include <stddef.h>

#include "base/status.h"

// piece(state, 0) .. piece(state, count - 1), in any order, on at most `threads` threads (0: as many as this process
// has cores). Returns the first failure, with its message; then pieces that had not begun are left out. Threads' stacks
// are not hidden (tw_thread_stack_hide): seeds that are secret have no place here.
tw_status tw_side_by_side(size_t count, int threads, tw_status (*piece)(void *state, size_t number), void *state);

#endif
