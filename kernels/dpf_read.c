// What a party reads from its keys: walks along public paths, 64 keys side by side, and runs of nodes of one key.
#include <sodium.h>
#include <string.h>

#include "base/memory.h"
#include "kernels/dpf_nodes.h"
#include "kernels/pack.h"

typedef struct {
  const tw_dpf_keys *keys;
  size_t first, count;  // of the keys
  tw_nodes nodes, next;
  tw_blocks block;
  uint64_t parity;  // of left siblings' control bits
} walking;

static void expand(walking *w, int level) {
  const tw_dpf_name *name = &w->keys->name;
  tw_node_name node = {name->slot, name->use, (uint32_t)level, name->first + w->first, 1};
  tw_nodes_expand(&w->keys->shape, &node, &w->nodes, w->count, w->block);
}

static uint64_t turns(const uint64_t *c, size_t count, int shift) {
  uint64_t plane = 0;
  for (size_t j = 0; j < count; j++) plane |= (c[j] >> shift & 1) << j;
  return plane;
}

// From the roots to the nodes `levels` levels below whose numbers are c >> drop.
static void walk(walking *w, int levels, const uint64_t *c, int drop) {
  const tw_dpf_keys *k = w->keys;
  int halves = tw_dpf_halves(&k->shape);
  tw_nodes_root(k->root + (size_t)halves * w->first, halves, 1, w->count, k->party, &w->nodes);
  w->parity = 0;
  for (int level = 0; level < levels; level++) {
    uint64_t right = turns(c + w->first, w->count, levels - 1 - level + drop);
    expand(w, level);
    uint64_t left = tw_nodes_step(w->nodes.control, w->block, w->count,
                                  tw_dpf_level_word(&k->words, k->n, level, w->first, 1), right, &w->next);
    w->parity ^= right & left;
    memcpy(&w->nodes, &w->next, sizeof w->nodes);
  }
}

// The next 64 keys, or what is left of them; the first ones where w is new. Behind the last, w is wiped.
static bool next_keys(walking *w) {
  w->first += w->count;
  size_t left = w->keys->n - w->first;
  w->count = left < TW_NODES ? left : TW_NODES;
  if (w->count > 0) return true;
  tw_wipe(w, sizeof *w);
  return false;
}

// ---- along a path

static uint64_t leaf_half(const walking *w, int half, size_t j) {
  if (half >= tw_dpf_halves(&w->keys->shape)) return 0;
  uint64_t own = w->nodes.seed[2 * half][j] | (uint64_t)w->nodes.seed[2 * half + 1][j] << 32;
  uint64_t word = w->keys->words.leaf[(size_t)half * w->keys->n + w->first + j];
  return own ^ ((0 - (w->nodes.control >> j & 1)) & word);
}

static uint64_t parity(uint64_t x) {
  for (int shift = 32; shift > 0; shift /= 2) x ^= x >> shift;
  return x & 1;
}

// Parity of a leaf word's first `count` bits.
static uint64_t parity_of_first(const walking *w, size_t j, int count) {
  uint64_t low = count < 64 ? ((uint64_t)1 << count) - 1 : ~(uint64_t)0, high = count > 64 ? tw_mask(count - 64) : 0;
  return parity((leaf_half(w, 0, j) & low) ^ (leaf_half(w, 1, j) & high));
}

void tw_dpf_below(const tw_dpf_keys *keys, const uint64_t *c, bool at, uint64_t *plane) {
  bool leaves = keys->shape.leaves;
  int leaf_bits = tw_dpf_leaf_bits(&keys->shape);
  walking w = {.keys = keys};
  while (next_keys(&w)) {
    walk(&w, tw_dpf_levels(&keys->shape), c, leaves ? leaf_bits : 0);
    for (size_t j = 0; leaves && j < w.count; j++)
      w.parity ^= parity_of_first(&w, j, (int)(c[w.first + j] & tw_mask(leaf_bits)) + at) << j;
    if (!leaves && at) w.parity ^= w.nodes.control;
    plane[w.first / TW_NODES] = w.parity & tw_mask((int)w.count);
  }
}

void tw_dpf_leaf(const tw_dpf_keys *keys, const uint64_t *at, uint64_t *out) {
  walking w = {.keys = keys};
  while (next_keys(&w)) {
    walk(&w, tw_dpf_levels(&keys->shape), at, 0);
    for (int half = 0; half < tw_dpf_halves(&keys->shape); half++)
      for (size_t j = 0; j < w.count; j++) out[(size_t)half * keys->n + w.first + j] = leaf_half(&w, half, j);
  }
}

// ---- values

// Where the value words of a level begin.
static const uint64_t *level_values(const tw_dpf_keys *keys, int level) {
  uint64_t above = keys->shape.value_levels & (((uint64_t)1 << level) - 1);
  return keys->words.value + (size_t)(__builtin_popcountll(above) * keys->shape.values) * keys->n;
}

// Party 1's shares are negative.
static uint64_t node_value(const tw_dpf_keys *keys, const tw_blocks block, uint64_t control, size_t lane, int v,
                           uint64_t word) {
  uint64_t value = tw_block_value(block, v, lane) + ((0 - (control >> lane & 1)) & word);
  return (keys->party ? 0 - value : value) & tw_mask(keys->shape.ring_bits);
}

void tw_dpf_value(const tw_dpf_keys *keys, int level, const uint64_t *at, uint64_t *out) {
  const uint64_t *words = level_values(keys, level);
  walking w = {.keys = keys};
  while (next_keys(&w)) {
    walk(&w, level, at, 0);
    expand(&w, level);
    for (int v = 0; v < keys->shape.values; v++)
      for (size_t j = 0; j < w.count; j++) {
        size_t place = (size_t)v * keys->n + w.first + j;
        out[place] = node_value(keys, w.block, w.nodes.control, j, v, words[place]);
      }
  }
}

// ---- runs of one key's nodes

// At each level the nodes that carry a wanted value, or stand above one, are neighbours. Numbers of nodes go on past
// the end of a level: node 2^level is node 0 once more, so that a run may pass the end.
typedef struct {
  uint64_t first;
  size_t count;
} interval;

enum { CHUNKS = 4, MOST = CHUNKS * TW_NODES };  // nodes of one level

typedef struct {
  const tw_dpf_keys *keys;
  size_t key;
  interval wanted[TW_DPF_MOST_BITS + 1];
  tw_nodes nodes[CHUNKS], next[CHUNKS];
  tw_blocks block[CHUNKS], turned;
} sweeping;

// Runs in order of their nodes: each level's interval is its own runs' and what stands above the next level's.
static void find_wanted(sweeping *w, const tw_dpf_run *runs, int run_count) {
  for (int level = TW_DPF_MOST_BITS; level >= 0; level--) {
    uint64_t low = 0, high = 0;
    bool any = false;
    if (level < TW_DPF_MOST_BITS && w->wanted[level + 1].count > 0) {
      const interval *below = &w->wanted[level + 1];
      low = below->first >> 1;
      high = (below->first + below->count - 1) >> 1;
      any = true;
    }
    for (int i = 0; i < run_count; i++) {
      if (runs[i].level != level || runs[i].count == 0) continue;
      uint64_t end = runs[i].first + runs[i].count - 1;
      low = any && low < runs[i].first ? low : runs[i].first;
      high = any && high > end ? high : end;
      any = true;
    }
    w->wanted[level] = (interval){low, any ? (size_t)(high - low) + 1 : 0};
    if (w->wanted[level].count > MOST) sodium_misuse();
  }
}

// The children that are wanted next, 64 at a time, each from its parent's block.
static void descend(sweeping *w, int level) {
  const tw_dpf_keys *k = w->keys;
  interval from = w->wanted[level], to = w->wanted[level + 1];
  for (size_t done = 0; done < to.count; done += TW_NODES) {
    size_t count = to.count - done < TW_NODES ? to.count - done : TW_NODES;
    uint64_t control = 0, right = 0;
    for (size_t j = 0; j < count; j++) {
      uint64_t child = to.first + done + j, parent = (child >> 1) - from.first;
      size_t chunk = parent / TW_NODES, lane = parent % TW_NODES;
      for (int i = 0; i <= TW_BLOCK_CONTROL; i++) w->turned[i][j] = w->block[chunk][i][lane];
      control |= (w->nodes[chunk].control >> lane & 1) << j;
      right |= (child & 1) << j;
    }
    tw_nodes_step(control, w->turned, count, tw_dpf_level_word(&k->words, k->n, level, w->key, 0), right,
                  &w->next[done / TW_NODES]);
  }
  memcpy(w->nodes, w->next, sizeof w->nodes);
}

static void read_runs(const sweeping *w, int level, const tw_dpf_run *runs, int run_count, size_t stride,
                      uint64_t *out) {
  const tw_dpf_keys *k = w->keys;
  size_t start = 0;
  for (int i = 0; i < run_count; start += runs[i].count, i++) {
    if (runs[i].level != level) continue;
    const uint64_t *words = level_values(k, level) + w->key;
    for (int v = 0; v < k->shape.values; v++)
      for (size_t t = 0; t < runs[i].count; t++) {
        size_t node = (size_t)(runs[i].first - w->wanted[level].first) + t, chunk = node / TW_NODES;
        out[(size_t)v * stride + start + t] =
            node_value(k, w->block[chunk], w->nodes[chunk].control, node % TW_NODES, v, words[(size_t)v * k->n]);
      }
  }
}

size_t tw_dpf_runs(const tw_dpf_keys *keys, size_t j, const tw_dpf_run *runs, int run_count, size_t stride,
                   uint64_t *out) {
  sweeping w = {.keys = keys, .key = j};
  size_t blocks = 0;
  find_wanted(&w, runs, run_count);
  for (size_t i = 0; i < CHUNKS; i++) tw_nodes_root(keys->root + 2 * j, 2, 0, TW_NODES, keys->party, &w.nodes[i]);
  for (int level = 0; level <= TW_DPF_MOST_BITS && w.wanted[level].count > 0; level++) {
    tw_node_name name = {keys->name.slot, keys->name.use, (uint32_t)level, keys->name.first + j, 0};
    for (size_t done = 0; done < w.wanted[level].count; done += TW_NODES) {
      size_t count = w.wanted[level].count - done < TW_NODES ? w.wanted[level].count - done : TW_NODES;
      tw_nodes_expand(&keys->shape, &name, &w.nodes[done / TW_NODES], count, w.block[done / TW_NODES]);
      blocks += count;
    }
    read_runs(&w, level, runs, run_count, stride, out);
    if (level < TW_DPF_MOST_BITS && w.wanted[level + 1].count > 0) descend(&w, level);
  }
  tw_wipe(&w, sizeof w);
  return blocks;
}
