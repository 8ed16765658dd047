#include "jobs/models/spec.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/digit.h"
#include "kernels/pack.h"

// The looked-up piece is ceil((u - t) / D) for a public t uniform in [0, D): entry g is read for arguments in
// (g - 2^sub_bits, g + 1) D / 2^sub_bits. With a zero outside, entries below 2^sub_bits hold the pieces past the end.
static void piece_interval(const tw_spec *spec, size_t g, double *from, double *to) {
  double width = ldexp(1, spec->low_bits - spec->argument_scale), step = ldexp(width, -spec->sub_bits);
  size_t fine = (size_t)1 << spec->sub_bits, n = (size_t)1 << (spec->width + spec->sub_bits);
  int rotated = spec->region == TW_ZERO_OUTSIDE;
  double at = (double)(rotated && g < fine ? g + n : g);
  *from = fmax(spec->lo + (at - (double)fine) * step, spec->lo + width * rotated);
  *to = fmin(spec->lo + (at + 1) * step, spec->lo + width * (double)(((size_t)1 << spec->width) - 1 + (size_t)rotated));
  if (*to <= *from) *to = *from + step;
}

// Where entry g's piece begins, in units of the argument: its base is the line's value there.
static int64_t piece_begin(const tw_spec *spec, size_t g) {
  size_t fine = (size_t)1 << spec->sub_bits, n = (size_t)1 << (spec->width + spec->sub_bits);
  size_t at = spec->region == TW_ZERO_OUTSIDE && g < fine ? g + n : g;
  return llrint(ldexp(spec->lo, spec->argument_scale)) + (int64_t)(at >> spec->sub_bits << spec->low_bits);
}

// Slope by the secant through the Chebyshev points, rounded; then the intercept that balances the error left.
static void fit_piece(const tw_spec *spec, double from, double to, int64_t *a, int64_t *b) {
  enum { SAMPLES = 64 };
  double centre = (from + to) / 2, h = (to - from) / 2 / sqrt(2.0);
  *b = (int64_t)rint(ldexp((spec->f(centre + h) - spec->f(centre - h)) / (2 * h), spec->slope_scale));
  double slope = ldexp((double)*b, -spec->slope_scale), low = INFINITY, high = -INFINITY;
  for (int i = 0; i <= SAMPLES; i++) {
    double x = from + (to - from) * i / SAMPLES, rest = spec->f(x) - slope * x;
    low = fmin(low, rest);
    high = fmax(high, rest);
  }
  *a = (int64_t)rint(ldexp((low + high) / 2, spec->slope_scale + spec->argument_scale));
}

tw_status tw_spec_fit(const tw_spec *spec, tw_table out[2]) {
  size_t n = (size_t)1 << (spec->width + spec->sub_bits);
  for (int i = 0; i < 2; i++) {
    out[i].n = n;
    out[i].values = calloc(n, sizeof(uint64_t));
    snprintf(out[i].name, sizeof out[i].name, "%s.%s", spec->name, i ? "slope" : "base");
  }
  if (!out[0].values || !out[1].values) return tw_fail(TW_ERR_MEMORY, "out of memory for the tables of %s", spec->name);
  for (size_t g = 0; g < n; g++) {
    double from, to;
    int64_t a, b;
    piece_interval(spec, g, &from, &to);
    fit_piece(spec, from, to, &a, &b);
    out[0].values[g] = (uint64_t)(a + b * piece_begin(spec, g)) & tw_mask(spec->ring);
    out[1].values[g] = (uint64_t)b & tw_mask(spec->ring);
  }
  return TW_OK;
}

void tw_tables_free(tw_table *tables, int count) {
  for (int i = 0; i < count; i++) free(tables[i].values);
}

int tw_table_named(tw_builder *b, const char *name) {
  for (int i = 0; i < b->program->table_count; i++)
    if (strcmp(b->program->tables[i].name, name) == 0) return i;
  tw_build_fail(b, TW_ERR_MISMATCH, "the plan holds no table %s; make the plan again with this version", name);
  return -1;
}

static int find_table(tw_builder *b, const tw_spec *spec, const char *which) {
  char name[32];
  snprintf(name, sizeof name, "%s.%s", spec->name, which);
  return tw_table_named(b, name);
}

// Opened base + slope (x - begin) at out_scale; beside it the caller compares.
static int piece_value(tw_builder *b, int x, const tw_spec *spec, tw_compared compared, uint64_t lo) {
  int table[2] = {find_table(b, spec, "base"), find_table(b, spec, "slope")}, entry[2];
  if (table[0] < 0 || table[1] < 0) return 0;
  int scale[2] = {spec->slope_scale + spec->argument_scale, spec->slope_scale};
  tw_lookup(b, compared, spec->sub_bits, lo, table, spec->ring, scale, entry);
  int v = tw_open(b, tw_offset(b, entry[0], entry[1], x, (int64_t)lo, spec->low_bits)), slope = tw_open(b, entry[1]);
  int p = tw_open(b, tw_piece(b, v, slope, x, spec->low_bits, compared));
  return tw_truncate_dithered(b, p, scale[0] - spec->out_scale);
}

// y = i P + d (c_R + s_R x) + e (c_L + s_L x), i inside, d right, e = 1 - i - d left.
static int with_sides(tw_builder *b, int x, int p, const tw_spec *spec, tw_compared compared, int64_t lo,
                      int out_ring) {
  int64_t hi = lo + ((((int64_t)1 << spec->width) - 1) << spec->low_bits), thresholds[2] = {lo, hi};
  int at_least = tw_at_least(b, compared, thresholds, 2), planes = 1, right = -1, left = -1;
  int64_t c_left = llrint(ldexp(spec->left.constant, spec->out_scale)),
          c_right = llrint(ldexp(spec->right.constant, spec->out_scale));
  tw_term terms[4] = {{0, at_least, 0}, {0, at_least, 1}};
  int term_count = 2;
  uint8_t constant[3] = {0};
  if (spec->right.slope != 0 || c_right != c_left) {
    right = planes++;
    terms[term_count++] = (tw_term){right, at_least, 1};
  }
  if (spec->left.slope != 0) {
    left = planes++;
    terms[term_count++] = (tw_term){left, at_least, 0};
    constant[left] = 1;
  }
  int bits = tw_open(b, tw_xor_planes(b, terms, term_count, planes, constant));
  int y = tw_select(b, bits, 0, 1, p, out_ring);
  if (spec->right.slope != 0)
    y = tw_combine(b, 1, y, spec->right.slope, tw_select(b, bits, right, 1, x, out_ring), false);
  if (spec->left.slope != 0) y = tw_combine(b, 1, y, spec->left.slope, tw_select(b, bits, left, 1, x, out_ring), false);
  int64_t steps[2] = {-c_left, c_right - c_left};
  if (c_left != 0 || c_right != c_left) {
    int count = right >= 0 ? 2 : 1;
    y = tw_combine(b, 1, y, 1, tw_bit_constants(b, bits, 0, count, steps, out_ring, spec->out_scale), false);
  }
  return c_left != 0 ? tw_add_constant(b, y, c_left) : y;
}

// P inside the window, elsewhere the value of the spec beyond, whose window holds every argument that occurs.
static int with_beyond(tw_builder *b, int x, int p, const tw_spec *spec, tw_compared compared, int64_t lo) {
  int far = tw_apply_spec(b, x, spec->beyond, 0), inside = tw_in_window(b, compared, lo, spec->low_bits + spec->width);
  int near_ring = tw_look(b, p).ring, far_ring = tw_look(b, far).ring,
      ring = near_ring < far_ring ? near_ring : far_ring;
  int difference = tw_combine(b, 1, tw_reduce(b, p, ring), -1, tw_reduce(b, far, ring), false);
  int y = tw_select(b, tw_open(b, inside), 0, 1, difference, ring);
  return tw_open(b, tw_combine(b, 1, y, 1, tw_as_share(b, tw_reduce(b, far, ring)), false));
}

// [x >= 0] x.
static int positive_part(tw_builder *b, int x, int out_ring) {
  int64_t zero = 0;
  return tw_select(b, tw_open(b, tw_at_least(b, tw_compare_wire(b, x), &zero, 1)), 0, 1, x, out_ring);
}

int tw_apply_spec(tw_builder *b, int x, const tw_spec *spec, int out_ring) {
  tw_tensor t = tw_look(b, x);
  if (t.scale != spec->argument_scale)
    return tw_build_fail(b, TW_ERR_INTERNAL, "%s of an argument of scale %d, not %d", spec->name, t.scale,
                         spec->argument_scale);
  if (spec->region == TW_POSITIVE_PART) return positive_part(b, x, out_ring);
  int64_t lo = llrint(ldexp(spec->lo, spec->argument_scale));
  if (spec->beyond) {  // bits above all windows are compared for nothing
    int enough = spec->beyond->low_bits + spec->beyond->width + 2;
    if (t.ring > enough) x = tw_reduce(b, x, enough);
  }
  static const tw_asked asked[] = {
      [TW_EVERYWHERE] = TW_ASK_NOTHING, [TW_ZERO_OUTSIDE] = TW_ASK_IN_WINDOW, [TW_SIDES] = TW_ASK_AT_LEAST};
  tw_pieces pieces = {spec->name, spec->low_bits, spec->width, asked[spec->region]};
  tw_compared compared = tw_compare_pieces(b, x, &pieces);
  int p = piece_value(b, x, spec, compared, (uint64_t)lo);
  if (spec->region == TW_EVERYWHERE) return p;
  if (spec->region == TW_SIDES) return with_sides(b, x, p, spec, compared, lo, out_ring);
  if (spec->beyond) return with_beyond(b, x, p, spec, compared, lo);
  int inside = tw_open(b, tw_in_window(b, compared, lo, spec->low_bits + spec->width));
  return tw_select(b, inside, 0, 1, p, out_ring);
}
