#include "jobs/gates/mask_form.h"

enum { FIRST_OPENING = 1 << 24 };  // before it: model vectors

static tw_mask_form drawn(int source) { return (tw_mask_form){0, source, source, true, true}; }

tw_mask_form tw_form_of_opening(int tensor) { return drawn(FIRST_OPENING + tensor); }

tw_mask_form tw_form_of_weight(int index) { return drawn(index); }

tw_mask_form tw_form_times(tw_mask_form x, int64_t factor) {
  x.shift += __builtin_ctzll((unsigned long long)factor);
  return x;
}

static int least(int x, int y) { return x < y ? x : y; }
static int most(int x, int y) { return x > y ? x : y; }

tw_mask_form tw_form_sum(int64_t p, tw_mask_form x, int64_t q, tw_mask_form y, bool repeats) {
  if (repeats) y.distinct = false;
  if (p == 0) return tw_form_times(y, q);
  x = tw_form_times(x, p);
  if (q == 0) return x;
  y = tw_form_times(y, q);
  // of unlike powers of two the larger one is even beside the smaller; of unlike sources the newer one stays odd
  if (x.shift != y.shift) return x.shift < y.shift ? x : y;
  if (x.oldest > y.newest) return x;
  if (y.oldest > x.newest) return y;
  return (tw_mask_form){x.shift, least(x.oldest, y.oldest), most(x.newest, y.newest), false, false};
}

tw_mask_form tw_form_joined(tw_mask_form x, tw_mask_form y) {
  bool apart = x.oldest > y.newest || y.oldest > x.newest;
  return (tw_mask_form){least(x.shift, y.shift), least(x.oldest, y.oldest), most(x.newest, y.newest),
                        x.uniform && y.uniform && x.shift == y.shift, x.distinct && y.distinct && apart};
}

// Strides that an index of all smaller ones cannot reach.
static bool takes_once(tw_view_map map) {
  for (int i = 0; i < 4; i++) {
    size_t reach = 0;
    for (int j = 0; j < 4; j++) {
      bool smaller = map.stride[j] < map.stride[i] || (map.stride[j] == map.stride[i] && j < i);
      if (smaller) reach += (map.dim[j] - 1) * map.stride[j];
    }
    if (map.dim[i] > 1 && map.stride[i] <= reach) return false;
  }
  return true;
}

tw_mask_form tw_form_view(tw_mask_form x, tw_view_map map) {
  x.distinct = x.distinct && takes_once(map);
  return x;
}

tw_mask_form tw_form_totals(tw_mask_form x) {
  x.uniform = x.uniform && x.distinct;
  return x;
}

tw_mask_form tw_form_differences(tw_mask_form x) {
  x = tw_form_totals(x);
  x.distinct = false;
  return x;
}

bool tw_form_dithers(tw_builder *b, int wire, const char *what) {
  tw_mask_form form = tw_look(b, wire).form;
  if (form.shift > 0)
    tw_build_fail(b, TW_ERR_INTERNAL, "a wire whose mask is a multiple of 2^%d is %s: biased", form.shift, what);
  else if (!form.uniform)
    tw_build_fail(b, TW_ERR_INTERNAL, "a wire that counts a mask more than once is %s: biased", what);
  return form.shift == 0 && form.uniform;
}
