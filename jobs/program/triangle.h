// Causal attention of a whole sequence has a pair (query, key) only where the key is not behind the query, nor before
// its window. The pairs of a head are packed: the rows of queries 0, 1, ... one behind the other, each from its first
// key to its own token. What is no pair is never dealt, opened or compared. A live query has live keys only, so that
// nothing depends on a sequence's length; a dead query's row is some attention that nobody reads.
#ifndef TW_TRIANGLE_H
#define TW_TRIANGLE_H

#include <stddef.h>

// n queries with at most `widest` keys each: n of them, or a local window.
typedef struct {
  size_t n, widest;
} tw_triangle;

static inline size_t tw_triangle_length(tw_triangle t, size_t query) { return query < t.widest ? query + 1 : t.widest; }
// Where a query's row begins; of query n: the pairs of a head.
static inline size_t tw_triangle_begin(tw_triangle t, size_t query) {
  size_t growing = query < t.widest ? query : t.widest;
  return growing * (growing + 1) / 2 + (query - growing) * t.widest;
}
static inline size_t tw_triangle_pairs(tw_triangle t) { return tw_triangle_begin(t, t.n); }

#endif
