#include "jobs/gates/guard.h"

#include <stdio.h>

#include "jobs/gates/digit.h"
#include "jobs/gates/gate.h"
#include "jobs/gates/mask_form.h"
#include "kernels/bit_ops.h"

// ---- counting ----

static void add_count(tw_builder *b, int share) {
  b->count = b->count < 0 ? share : tw_combine(b, 1, b->count, 1, share, false);
}

// Sum of a SHARE [queries][cols] over live tokens.
static void count_rows(tw_builder *b, int share, tw_tokens tokens, size_t cols) {
  add_count(b, tw_row_sum(b, tw_pool_live(b, share, tokens, cols), cols));
}

static void count_live(tw_builder *b, int share, tw_layout layout, size_t parts, tw_tokens tokens) {
  size_t n = tw_look(b, share).n, queries = tokens.queries, keys = tokens.keys, cols = n / parts / queries;
  tw_view_map map = {{1, queries, parts, cols}, {0, cols, queries * cols, 1}, 0};
  switch (layout) {
    case TW_BY_ROW:
      count_rows(b, share, tokens, n / queries);
      return;
    case TW_BY_COLUMN:
      map = (tw_view_map){{1, 1, queries, n / queries}, {0, 0, 1, queries}, 0};
      count_rows(b, tw_view(b, share, map), tokens, n / queries);
      return;
    case TW_BY_PAIR:
      share = tw_row_sum(b, tw_zero_dead(b, share, parts * queries, tokens), keys);
      map = (tw_view_map){{1, 1, queries, parts}, {0, 0, 1, queries}, 0};
      count_rows(b, tw_view(b, share, map), tokens, parts);
      return;
    case TW_BY_PACKED:
      share = tw_triangle_sums(b, share, parts, (tw_triangle){queries, keys, tokens.first});
      map = (tw_view_map){{1, 1, queries, parts}, {0, 0, 1, queries}, 0};
      tokens.keys = tokens.first + queries;
      count_rows(b, tw_view(b, share, map), tokens, parts);
      return;
    default:
      count_rows(b, tw_view(b, share, map), tokens, n / queries);
  }
}

int tw_guard_bit(tw_builder *b, int wire, int low) {
  int width = TW_GUARD_BITS;
  if (low > 0 && !tw_form_dithers(b, wire, "guarded")) return 0;
  tw_digits d = tw_deal_digits(b, tw_reduce(b, wire, low + width), low, &width, 1, false, -1);
  uint64_t unit = 1ull << low;
  tw_leaf leaf[3] = {{0, 0, TW_LEAF_EQ}, {unit, 0, TW_LEAF_EQ}, {0 - unit, 0, TW_LEAF_EQ}};
  int leaves = tw_leaves(b, &d, leaf, 3);
  tw_term terms[3] = {{0, leaves, 0}, {0, leaves, 1}, {0, leaves, 2}};
  uint8_t one = 1;
  return tw_open(b, tw_xor_planes(b, terms, 3, 1, &one));
}

void tw_declare_range(tw_builder *b, int wire, const char *name, int64_t low, int64_t high, tw_layout layout,
                      size_t parts, tw_tokens tokens) {
  tw_program *p = b->program;
  tw_limit limit = {.low = low, .high = high, .layout = layout, .parts = parts, .tokens = tokens};
  snprintf(limit.name, sizeof limit.name, "%s", name);
  if (b->status != TW_OK || !tw_builder_grow(b, (void **)&p->limits, &p->limit_room, p->limit_count + 1, sizeof limit))
    return;
  p->limits[p->limit_count] = limit;
  p->tensors[wire].limit = ++p->limit_count;
}

int tw_declared_bits(const tw_builder *b, int wire) { return tw_look(b, wire).ring - (b->guard ? TW_GUARD_BITS : 2); }

// False: the ring has no room for it.
static bool declare_bound(tw_builder *b, int wire, const char *name, int bits, tw_layout layout, size_t parts,
                          tw_tokens tokens) {
  tw_tensor t = tw_look(b, wire);
  if (t.kind != TW_WIRE || bits < 1 || bits > tw_declared_bits(b, wire)) {
    tw_build_fail(b, TW_ERR_RANGE, "%s: a bound of 2^%d in a ring of %d bits", name, bits, t.ring);
    return false;
  }
  int64_t most = (int64_t)1 << bits;
  tw_declare_range(b, wire, name, -most, most, layout, parts, tokens);
  return true;
}

static void count_plane(tw_builder *b, int bitwire, int plane, tw_layout layout, size_t parts, tw_tokens tokens) {
  int64_t one = 1;
  count_live(b, tw_bit_constants(b, bitwire, plane, 1, &one, TW_GUARD_RING, 0), layout, parts, tokens);
}

void tw_declare(tw_builder *b, int wire, const char *name, int bits, tw_layout layout, size_t parts, tw_tokens tokens) {
  if (bits == 0) bits = tw_declared_bits(b, wire);
  if (!declare_bound(b, wire, name, bits, layout, parts, tokens)) return;
  if (b->guard) count_plane(b, tw_guard_bit(b, wire, bits), 0, layout, parts, tokens);
}

void tw_declare_read(tw_builder *b, int wire, const char *name, int bitwire, int plane, tw_layout layout, size_t parts,
                     tw_tokens tokens) {
  if (!declare_bound(b, wire, name, tw_declared_bits(b, wire), layout, parts, tokens)) return;
  if (b->guard) count_plane(b, bitwire, plane, layout, parts, tokens);
}

void tw_guard_planes(tw_builder *b, int bitwire, int plane0, int count, tw_tokens tokens) {
  int64_t ones[2] = {1, 1};
  if (count > 2) {
    tw_build_fail(b, TW_ERR_INTERNAL, "a guard of %d planes", count);
    return;
  }
  int share = tw_bit_constants(b, bitwire, plane0, count, ones, TW_GUARD_RING, 0);
  count_rows(b, share, tokens, tw_look(b, share).n / tokens.queries);
}

void tw_guard_finish(tw_builder *b) {
  if (b->count >= 0) b->program->guard = tw_open(b, b->count);
}
