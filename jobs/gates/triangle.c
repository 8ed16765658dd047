// Rows of packed pairs: sums, maxima, and what a row has for each of its pairs (protocols, section 8).
#include <stdlib.h>

#include "jobs/gates/gate.h"
#include "jobs/gates/mask_form.h"
#include "jobs/gates/tournament.h"

// ---- sums of rows: local; in a rectangle with zeros, which no wire of a program ever is ----
// list: of places in the rectangle [n][widest], the pair, or -1
enum { SUMS_HEADS, SUMS_N, SUMS_WIDEST };

static tw_status triangle_sums(tw_session *s, const tw_op *op, const uint64_t *const *in, uint64_t *out) {
  size_t blocks = (size_t)s->batch * (size_t)op->arg[SUMS_HEADS], n = (size_t)op->arg[SUMS_N],
         widest = (size_t)op->arg[SUMS_WIDEST];
  uint64_t *whole;
  TW_TRY(tw_scratch(s, blocks * n * widest, &whole));
  TW_TRY(s->backend->gather(&(tw_gather_args){.rows = blocks,
                                              .cols = n * widest,
                                              .x_cols = tw_t(s, op->in[0])->n / (size_t)op->arg[SUMS_HEADS],
                                              .x = in[0],
                                              .places = tw_list(s, op),
                                              .out = whole,
                                              .ring = ~0ull},
                            s->stream));
  return s->backend->row_sums(whole, blocks * n, widest, NULL, tw_ring_of(s, op->out[0]), out, s->stream);
}
TW_LOCAL_GATE(sums_gate, triangle_sums, NULL, NULL);

static bool fits(tw_builder *b, int x, size_t heads, size_t each) {
  if (b->status != TW_OK) return false;
  if (tw_look(b, x).n == heads * each && each > 0) return true;
  tw_build_fail(b, TW_ERR_INTERNAL, "packed pairs of another shape");
  return false;
}

static int64_t *places_of(tw_builder *b, size_t count) {
  int64_t *places = malloc(count * sizeof *places);
  if (!places) tw_build_fail(b, TW_ERR_MEMORY, "out of memory for the pairs of a head");
  return places;
}

int tw_triangle_sums(tw_builder *b, int x, size_t heads, tw_triangle t) {
  tw_tensor out = tw_look(b, x);
  tw_op *op = tw_emit(b, &sums_gate);
  tw_emit_in(op, x);
  op->arg[SUMS_HEADS] = (int64_t)heads;
  op->arg[SUMS_N] = (int64_t)t.n;
  op->arg[SUMS_WIDEST] = (int64_t)t.widest;
  if (!fits(b, x, heads, tw_triangle_pairs(t))) return 0;
  int64_t *places = places_of(b, t.n * t.widest);
  if (!places) return 0;
  for (size_t i = 0; i < t.n; i++)
    for (size_t j = 0; j < t.widest; j++)
      places[i * t.widest + j] = j < tw_triangle_length(t, i) ? (int64_t)(tw_triangle_begin(t, i) + j) : -1;
  tw_emit_list(b, op, places, t.n * t.widest);
  free(places);
  out.n = heads * t.n;
  out.form = tw_form_totals(out.form);
  return tw_emit_out(b, op, out);
}

int tw_triangle_spread(tw_builder *b, int x, size_t heads, tw_triangle t) {
  size_t pairs = tw_triangle_pairs(t);
  int64_t *places = fits(b, x, heads, t.n) ? places_of(b, pairs) : NULL;
  if (!places) return 0;
  for (size_t i = 0; i < t.n; i++)
    for (size_t j = 0; j < tw_triangle_length(t, i); j++) places[tw_triangle_begin(t, i) + j] = (int64_t)i;
  int out = tw_gather(b, x, heads, places, pairs);
  free(places);
  return out;
}

// ---- columns of earlier turns: taken out as a rectangle, and put back ----

int tw_triangle_fill_dead_earlier(tw_builder *b, int share, size_t heads, tw_triangle t, size_t first, size_t count,
                                  int64_t value) {
  size_t pairs = tw_triangle_pairs(t), inside = t.n * count;
  if (b->status == TW_OK && (count == 0 || first + count > t.before || t.widest < tw_triangle_keys(t)))
    return tw_build_fail(b, TW_ERR_INTERNAL, "pairs of earlier turns of another shape");
  int64_t *places = fits(b, share, heads, pairs) ? places_of(b, pairs > inside ? pairs : inside) : NULL;
  if (!places) return 0;
  for (size_t i = 0; i < t.n; i++)
    for (size_t j = 0; j < count; j++) places[i * count + j] = (int64_t)(tw_triangle_begin(t, i) + first + j);
  int filled = tw_gather(b, share, heads, places, inside);
  filled = tw_fill_dead_earlier(b, filled, heads * t.n, 0, count, value);
  for (size_t i = 0; i < t.n; i++)
    for (size_t j = 0, row = tw_triangle_begin(t, i); j < tw_triangle_length(t, i); j++)
      places[row + j] = (int64_t)(j >= first && j < first + count ? pairs + i * count + j - first : row + j);
  filled = tw_gather(b, tw_concat(b, share, filled, heads), heads, places, pairs);
  free(places);
  return filled;
}

// ---- maxima of rows: a tournament in groups of few sizes ----
// A row of L members has ceil(L / arity) groups, the first of which takes the remainder. A group is filled up to one of
// few sizes by repeating its last member: that one's copy never wins, as ties go to the lower index, and it changes no
// maximum. So all groups of a size are compared together.
enum { SIZES = 4 };  // arity, and halves of it

typedef struct {
  size_t rows, *length;   // of a head
  int64_t *place, *next;  // where row i's members are: at place[first[i]] on
  size_t *first, count;
} rows_now;

static int usual_sizes(int arity, int sizes[SIZES]) {
  int count = 0;
  for (int size = arity; size > 1 && count < SIZES; size = (size + 1) / 2) {
    sizes[count++] = size;
    if (size == 2) break;
  }
  return count;
}

// The smallest size that holds the group; 1 is its own.
static int size_for(const int *sizes, int count, int members) {
  int size = sizes[0];
  for (int i = 1; i < count; i++)
    if (sizes[i] >= members) size = sizes[i];
  return members == 1 ? 1 : size;
}

typedef struct {
  size_t first, members;  // among a row's; then the places of its members
} group_of_row;

static group_of_row group_at(size_t length, size_t arity, size_t group) {
  size_t groups = (length + arity - 1) / arity, head = length - arity * (groups - 1);
  return group == 0 ? (group_of_row){0, head} : (group_of_row){head + (group - 1) * arity, arity};
}

// Gathers all groups of one size and lets each have its winner; *made: groups of a head. Notes in `next` where each
// winner is, from place `base` on.
static int play(tw_builder *b, int x, size_t heads, rows_now *now, size_t arity, const int *sizes, int size_count,
                int size, int64_t base, size_t *made) {
  int64_t *members = places_of(b, now->count * (size_t)(size > 1 ? 2 : 1) + (size_t)size);
  size_t count = 0, winner = 0;
  *made = 0;
  if (!members) return 0;
  for (size_t i = 0; i < now->rows; i++)
    for (size_t g = 0; g * arity < now->length[i]; g++, winner++) {
      group_of_row group = group_at(now->length[i], arity, g);
      if (size_for(sizes, size_count, (int)group.members) != size) continue;
      for (size_t j = 0; j < (size_t)size; j++)
        members[count++] = now->place[now->first[i] + group.first + (j < group.members ? j : group.members - 1)];
      now->next[winner] = base + (int64_t)(*made)++;
    }
  int out = 0;
  if (count > 0) {
    out = tw_gather(b, x, heads, members, count);
    if (size > 1) out = tw_group_maxima(b, out, heads * *made, size);
  }
  free(members);
  return out;
}

// One level: winners of all groups, in one tensor.
static int level(tw_builder *b, int x, size_t heads, rows_now *now, int arity) {
  int sizes[SIZES] = {0}, count = usual_sizes(arity, sizes), all = -1;
  int64_t base = 0;
  for (int i = 0; i <= count && b->status == TW_OK; i++) {
    size_t made;
    int winners = play(b, x, heads, now, (size_t)arity, sizes, count, i < count ? sizes[i] : 1, base, &made);
    if (made == 0) continue;
    all = all < 0 ? winners : tw_concat(b, all, winners, heads);
    base += (int64_t)made;
  }
  size_t at = 0;
  for (size_t i = 0; i < now->rows; i++) {
    now->first[i] = at;
    now->length[i] = (now->length[i] + (size_t)arity - 1) / (size_t)arity;
    at += now->length[i];
  }
  int64_t *old = now->place;
  now->place = now->next;
  now->next = old;
  now->count = at;
  return all;
}

static void free_rows(rows_now *now) {
  free(now->length);
  free(now->first);
  free(now->place);
  free(now->next);
}

static bool begin_rows(tw_builder *b, tw_triangle t, rows_now *now) {
  *now = (rows_now){.rows = t.n, .count = tw_triangle_pairs(t)};
  now->length = calloc(t.n, sizeof *now->length);
  now->first = calloc(t.n, sizeof *now->first);
  now->place = calloc(now->count, sizeof *now->place);
  now->next = calloc(now->count, sizeof *now->next);
  if (!now->length || !now->first || !now->place || !now->next) {
    tw_build_fail(b, TW_ERR_MEMORY, "out of memory for the pairs of a head");
    return false;
  }
  for (size_t i = 0; i < t.n; i++) {
    now->length[i] = tw_triangle_length(t, i);
    now->first[i] = tw_triangle_begin(t, i);
  }
  for (size_t i = 0; i < now->count; i++) now->place[i] = (int64_t)i;
  return true;
}

int tw_triangle_maximum(tw_builder *b, int wire, size_t heads, tw_triangle t) {
  rows_now now = {0};
  if (!fits(b, wire, heads, tw_triangle_pairs(t))) return 0;
  if (begin_rows(b, t, &now)) {
    int levels = 0;
    for (; now.count > t.n && b->status == TW_OK; levels++) {
      if (levels == TW_MOST_LEVELS) {
        tw_build_fail(b, TW_ERR_RANGE,
                      "a row maximum of %zu columns in more than %d levels; choose larger groups (--maximum-groups)",
                      t.widest, TW_MOST_LEVELS);
        break;
      }
      wire = level(b, wire, heads, &now, tw_group_arity(b, levels));
    }
    wire = tw_gather(b, wire, heads, now.place, t.n);
  }
  free_rows(&now);
  return b->status == TW_OK ? wire : 0;
}
