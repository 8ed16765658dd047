// Causal attention of a whole sequence has a pair (query, key) only where the key is not behind the query, nor before
// its window. The pairs of a head are packed: the rows of queries 0, 1, ... one behind the other, each from its first
// key to its own token. What is no pair is never dealt, opened or compared. A live query has live keys only, so that
// nothing depends on a sequence's length; a dead query's row is some attention that nobody reads. Keys of cached rows,
// which come before query 0, are keys of every query, as far as its window goes.
#ifndef TW_TRIANGLE_H
#define TW_TRIANGLE_H

#include <stddef.h>

// n queries with at most `widest` keys each: all there are (tw_triangle_keys), or a local window. The first query has
// `before` keys before its own.
typedef struct {
  size_t n, widest, before;
} tw_triangle;

static inline size_t tw_triangle_keys(tw_triangle t) { return t.before + t.n; }
static inline size_t tw_triangle_length(tw_triangle t, size_t query) {
  size_t all = t.before + query + 1;
  return all < t.widest ? all : t.widest;
}
// Where a query's row begins; of query n: the pairs of a head.
static inline size_t tw_triangle_begin(tw_triangle t, size_t query) {
  size_t most = t.widest > t.before ? t.widest - t.before : 0, growing = query < most ? query : most;
  return growing * t.before + growing * (growing + 1) / 2 + (query - growing) * t.widest;
}
static inline size_t tw_triangle_pairs(tw_triangle t) { return tw_triangle_begin(t, t.n); }
// Of all keys, cached ones too, the first that a query has.
static inline size_t tw_triangle_first(tw_triangle t, size_t query) {
  return t.before + query + 1 - tw_triangle_length(t, query);
}

#endif
