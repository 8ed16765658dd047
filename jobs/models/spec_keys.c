#include "jobs/models/spec_keys.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/pack.h"

// ---- fitting ----

typedef struct {
  double (*at)(const void *of, double x);
  const void *of;
} function;

// A line on [from, to]: slope by the secant through the Chebyshev points, rounded to a whole number of `unit`; returns
// what is left to add, in the middle of the rest.
static double fit_line(const function *f, double from, double to, double unit, int samples, double *slope) {
  double centre = (from + to) / 2, h = (to - from) / 2 / sqrt(2.0), low = INFINITY, high = -INFINITY;
  *slope = rint((f->at(f->of, centre + h) - f->at(f->of, centre - h)) / (2 * h) / unit) * unit;
  for (int i = 0; i <= samples; i++) {
    double x = from + (to - from) * i / samples, rest = f->at(f->of, x) - *slope * x;
    low = fmin(low, rest);
    high = fmax(high, rest);
  }
  return (low + high) / 2;
}

void tw_key_table_name(const char *function, int i, char name[TW_KEY_TABLE_NAME]) {
  snprintf(name, TW_KEY_TABLE_NAME, "%s.key.%s", function, i ? "slope" : "base");
}

// The program's tables of this function.
static bool find_tables(tw_builder *b, const char *function, int table[2]) {
  for (int i = 0; i < 2; i++) {
    char name[TW_KEY_TABLE_NAME];
    tw_key_table_name(function, i, name);
    table[i] = tw_table_named(b, name);
  }
  return b->status == TW_OK;
}

static tw_status make_tables(const char *name, size_t n, tw_table out[2]) {
  for (int i = 0; i < 2; i++) {
    out[i] = (tw_table){.n = n, .values = calloc(n, sizeof(uint64_t))};
    tw_key_table_name(name, i, out[i].name);
  }
  return out[0].values && out[1].values ? TW_OK : tw_fail(TW_ERR_MEMORY, "out of memory for the tables of %s", name);
}

// ---- windows ----

bool tw_spec_by_key(const tw_spec *s) {
  return (s->region == TW_SIDES && s->left.slope == 0) || (s->region == TW_ZERO_OUTSIDE && !s->beyond);
}

// Pieces 0 .. 2^width - 1 from here on.
static double window_begin(const tw_spec *s) {
  return s->region == TW_ZERO_OUTSIDE ? s->lo + ldexp(1, s->low_bits - s->argument_scale) : s->lo;
}

// Less what there is on the left, which is added everywhere.
static double above_left(const void *of, double x) {
  const tw_spec *s = of;
  return s->f(x) - s->left.constant;
}

// Entry g is read for arguments of (g - 2^sub_bits, g + 1) steps from the beginning; none that is 0 outside has less.
tw_status tw_spec_fit_by_key(const tw_spec *s, tw_table out[2]) {
  enum { SAMPLES = 64 };
  size_t fine = (size_t)1 << s->sub_bits, n = (size_t)1 << (s->width + s->sub_bits);
  double begin = window_begin(s), width = ldexp(1, s->low_bits - s->argument_scale), step = width / (double)fine;
  int scale = s->slope_scale + s->argument_scale;
  function f = {above_left, s};
  TW_TRY(make_tables(s->name, n, out));
  for (size_t g = 0; g < n; g++) {
    double from = begin + ((double)g - (double)fine) * step, to = begin + (double)(g + 1) * step, slope;
    if (s->region == TW_ZERO_OUTSIDE) from = fmax(from, begin);
    double rest = rint(ldexp(fit_line(&f, from, to, ldexp(1, -s->slope_scale), SAMPLES, &slope), scale));
    int64_t b = (int64_t)rint(ldexp(slope, s->slope_scale)),
            piece = llrint(ldexp(begin, s->argument_scale)) + (int64_t)(g >> s->sub_bits << s->low_bits);
    out[0].values[g] = (uint64_t)((int64_t)rest + b * piece);
    out[1].values[g] = (uint64_t)b;
  }
  return TW_OK;
}

// Left of the window as far as right of it: from its end to the other side of the circle from its middle.
static void right_of(const tw_window *w, int64_t *arc) {
  int64_t half = (int64_t)1 << (w->ring - w->low - 1);
  arc[TW_ARC_OFFSET] = w->lo;
  arc[TW_ARC_FROM] = 1 - half - w->count / 2;
  arc[TW_ARC_TO] = 1 - w->count;
}

// c - a is none of -1, 0, 1, with c and a the bits from `bits` up.
static void out_of_bound(const tw_window *w, int bits, int64_t *arc) {
  int round = bits - w->low;
  arc[TW_ARC_ROUND] = round;
  arc[TW_ARC_FROM] = -((int64_t)1 << round);
  arc[TW_ARC_TO] = (int64_t)2 << round;
  arc[TW_ARC_NEGATE] = 1;
}

// d (c + s x) on the right, less what is on the left; at P's scale, in its ring.
static int add_right(tw_builder *b, int x, int p, const tw_spec *s, int bits, int ring) {
  double constant = s->right.constant - s->left.constant;
  int shift = s->slope_scale + s->argument_scale - s->out_scale;
  if (s->right.slope != 0) {
    int side = tw_shift_left(b, tw_select(b, bits, 0, 1, x, ring), shift);
    p = tw_combine(b, 1, p, s->right.slope, side, false);
  }
  if (constant != 0) {
    int64_t step = llrint(ldexp(constant, s->out_scale + shift));
    p = tw_combine(b, 1, p, 1, tw_bit_constants(b, bits, 0, 1, &step, ring + shift, s->out_scale + shift), false);
  }
  return p;
}

int tw_apply_spec_by_key(tw_builder *b, int x, const tw_spec *s, int ring, tw_key_guard *guard) {
  tw_tensor t = tw_look(b, x);
  int scale[2] = {s->slope_scale + s->argument_scale, s->slope_scale}, shift = scale[0] - s->out_scale;
  bool sides = s->region == TW_SIDES && (s->right.slope != 0 || s->right.constant != s->left.constant);
  tw_window w = {t.ring, s->low_bits, 1 << s->width, s->sub_bits, llrint(ldexp(window_begin(s), s->argument_scale))};
  int64_t arcs[2 * TW_ARC_WORDS] = {0};
  int arc_count = 0, bits = 0, table[2];
  if (!find_tables(b, s->name, table)) return 0;
  if (t.scale != s->argument_scale || !tw_spec_by_key(s) || ring + shift > 64)
    return tw_build_fail(b, TW_ERR_RANGE, "%s by key of an argument of scale %d, in a ring of %d bits", s->name,
                         t.scale, ring);
  if (sides) right_of(&w, arcs + TW_ARC_WORDS * arc_count++);
  if (guard) out_of_bound(&w, guard->bits, arcs + TW_ARC_WORDS * arc_count++);
  tw_window_entries e = tw_read_window(b, x, &w, arcs, arc_count, table, ring + shift, scale);
  if (arc_count > 0) bits = tw_open(b, e.bits);
  if (guard) guard->bitwire = bits, guard->plane = sides;
  int v = tw_open(b, tw_offset(b, e.base, e.slope, x, w.lo, s->low_bits)), slope = tw_open(b, e.slope);
  int p = tw_signed_piece(b, v, slope, x, s->low_bits, e.base);
  if (sides) p = add_right(b, x, p, s, bits, ring);
  int64_t left = llrint(ldexp(s->left.constant, scale[0]));
  return left != 0 ? tw_add_constant(b, p, left) : p;
}

int tw_open_at(tw_builder *b, int share, int scale) {
  int shift = tw_look(b, share).scale - scale, wire = tw_open(b, share);
  return shift > 0 ? tw_truncate_dithered(b, wire, shift) : wire;
}

// ---- segment tables ----

enum { STEPS = 32 };  // of a run, while x doubles

// Runs from one step below `start`, whose true border lies up to a step higher, until `end`.
static tw_segments runs_between(uint64_t start, uint64_t end) {
  tw_segments s = {0};
  int m = 0;
  while (start / STEPS >> m > 1) m++;
  uint64_t at = (uint64_t)STEPS << m;
  s.first_step = m;
  s.border[0] = (start >> m << m) - ((uint64_t)1 << m);
  for (s.runs = 1; 2 * at < end && s.runs < TW_SEGMENT_MOST_RUNS; s.runs++) s.border[s.runs] = at *= 2, m++;
  s.border[s.runs] = ((end - 1) >> m << m) + ((uint64_t)1 << m);
  for (int i = 0; i < s.runs; i++) {
    int step = s.first_step + i, sub = step < TW_SEGMENT_SUB ? step : TW_SEGMENT_SUB;
    s.entry[i] = s.entries;
    s.entries += (size_t)((s.border[i + 1] - s.border[i] + ((uint64_t)2 << step)) >> (step - sub)) + 1;
  }
  s.ring = 64 - __builtin_clzll(s.border[s.runs] + ((uint64_t)1 << m) - 1);
  return s;
}

enum { ROOT_SCALE = 24 };
tw_segment_spec tw_segments_root(size_t width, int lowest, int highest, int scale) {
  return (tw_segment_spec){
      .name = "root",
      .root = true,
      .factor = ldexp((double)width, 2 * TW_SCALE),
      .scale = scale,
      .fine = ROOT_SCALE - scale,
      .segments = runs_between((uint64_t)1 << (2 * TW_SCALE + lowest), (uint64_t)1 << (2 * TW_SCALE + highest + 1))};
}

tw_segment_spec tw_segments_reciprocal(double largest) {
  enum { FINE = 8, SCALE = 18 };
  uint64_t unit = (uint64_t)1 << TW_SCALE;
  int scale = SCALE;
  while (ldexp(128, scale - SCALE) < largest) scale++;  // small results need finer units
  return (tw_segment_spec){.name = "reciprocal",
                           .factor = (double)unit,
                           .scale = scale,
                           .fine = FINE,
                           .segments = runs_between(3 * unit / 4, (uint64_t)ceil(ldexp(largest, TW_SCALE)) + unit)};
}

static double segment_value(const void *of, double x) {
  const tw_segment_spec *s = of;
  double ratio = s->factor / fmax(x, 1);
  return ldexp(s->root ? sqrt(ratio) : ratio, s->scale + s->fine);
}

// Entry g of a run with steps of 2^m: numbers above (g / 2^sub - 1) steps from the border, below (g + 1) / 2^sub. The
// line is one in rho', whose unit is 2^(m - fine): edge - rho' unit, edge that of the entry.
static void fit_run(const tw_segment_spec *s, int i, tw_table out[2]) {
  enum { SAMPLES = 16 };
  const tw_segments *seg = &s->segments;
  int m = seg->first_step + i, sub = m < TW_SEGMENT_SUB ? m : TW_SEGMENT_SUB,
      fine = m < TW_SEGMENT_FINE ? m : TW_SEGMENT_FINE;
  size_t end = i + 1 < seg->runs ? seg->entry[i + 1] : seg->entries;
  double step = ldexp(1, m), unit = ldexp(1, m - fine);
  function f = {segment_value, s};
  for (size_t g = 0; seg->entry[i] + g < end; g++) {
    double edge = (double)seg->border[i] + (double)g * step / ldexp(1, sub), slope;
    double rest = fit_line(&f, fmax(edge - step, 1), edge + step / ldexp(1, sub), 1 / unit, SAMPLES, &slope);
    out[0].values[seg->entry[i] + g] = (uint64_t)(int64_t)rint(rest + slope * edge);
    out[1].values[seg->entry[i] + g] = (uint64_t)(int64_t)rint(-slope * unit);
  }
}

tw_status tw_segments_fit(const tw_segment_spec *spec, tw_table out[2]) {
  TW_TRY(make_tables(spec->name, spec->segments.entries, out));
  for (int i = 0; i < spec->segments.runs; i++) fit_run(spec, i, out);
  return TW_OK;
}

int tw_apply_segments(tw_builder *b, int x, const tw_segment_spec *spec, int ring, int *outside) {
  int bit = 0, table[2], wide = ring + spec->fine < 64 ? ring + spec->fine : 64;
  if (!find_tables(b, spec->name, table)) return 0;
  int value = tw_read_segments(b, x, &spec->segments, table, wide, spec->scale + spec->fine, outside ? &bit : NULL);
  if (outside) *outside = tw_open(b, bit);
  return tw_open(b, value);
}
