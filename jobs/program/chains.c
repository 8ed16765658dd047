#include "jobs/program/chains.h"

#include <string.h>

#include "base/memory.h"

// A chain that grows from one operation. Tensors that it touches have rows, all others are unknown.
typedef struct {
  const tw_program *p;
  const int *of_op;
  tw_rows *rows;  // by tensor
  bool *mine;     // by operation
  size_t count;   // rows
  int seed, first, last;
  int reach;  // no operation behind it reads what has rows
} growth;

static bool same(tw_rows a, tw_rows b) { return a.kind == b.kind && a.outer == b.outer && a.inner == b.inner; }

// What a rule says, against what was known and the tensor's size.
static bool fits(tw_rows said, tw_rows known, size_t rows, size_t n) {
  if (said.kind == TW_ROWS_UNKNOWN || (known.kind != TW_ROWS_UNKNOWN && !same(said, known))) return false;
  return said.kind == TW_ROWS_COMMON || said.outer * rows * said.inner == n;
}

static bool dealt_fits(const growth *g, const tw_row_shape *s) {
  for (int i = 0, at = 0; i < s->op->dealt_count; i++) {
    if (!(s->op->dealt >> i & 1)) continue;
    const tw_correction *c = &g->p->corrections[s->op->correction + at++];
    if (c->kind == TW_DEALT_COMMON || !fits(s->dealt[i], (tw_rows){0}, s->rows, c->n)) return false;
  }
  return true;
}

static void take(growth *g, int index, const tw_row_shape *s) {
  const tw_op *op = s->op;
  for (int i = 0; i < op->in_count; i++) g->rows[op->in[i]] = s->in[i];
  for (int i = 0; i < op->out_count; i++) g->rows[op->out[i]] = s->out[i];
  for (int i = 0; i < op->in_count + op->out_count; i++) {
    int id = i < op->in_count ? op->in[i] : op->out[i - op->in_count], last = g->p->tensors[id].last_op;
    if (tw_is_split(g->rows[id]) && last > g->reach) g->reach = last;
  }
  g->mine[index] = true;
  if (index < g->first) g->first = index;
  if (index > g->last) g->last = index;
}

// before: it may stand before the chain, and makes what the chain reads, or reads the same.
static bool join(growth *g, int index, bool before) {
  const tw_op *op = &g->p->ops[index];
  if (!op->gate->rows || g->of_op[index] >= 0 || g->mine[index] || op->draws) return false;
  tw_row_shape s = {.program = g->p, .op = op, .rows = g->count};
  bool known = g->count == 0;
  for (int i = 0; i < op->in_count; i++) {
    s.in[i] = g->rows[op->in[i]];
    known = known || tw_is_split(s.in[i]);
    if (s.in[i].kind == TW_ROWS_UNKNOWN && g->p->tensors[op->in[i]].first_op >= g->first && !before) return false;
  }
  for (int i = 0; i < op->out_count; i++) {
    s.out[i] = g->rows[op->out[i]];
    known = known || tw_is_split(s.out[i]);
  }
  if (!known || !op->gate->rows(&s) || s.rows < 1 || (g->count && s.rows != g->count) || !dealt_fits(g, &s))
    return false;
  for (int i = 0; i < op->in_count; i++)
    if (!fits(s.in[i], g->rows[op->in[i]], s.rows, g->p->tensors[op->in[i]].n)) return false;
  for (int i = 0; i < op->out_count; i++)
    if (!fits(s.out[i], g->rows[op->out[i]], s.rows, g->p->tensors[op->out[i]].n)) return false;
  g->count = s.rows;
  take(g, index, &s);
  return true;
}

// All that it reads from outside is made before its first operation.
static bool closed(const growth *g) {
  for (int i = g->first; i <= g->last; i++)
    for (int j = 0; g->mine[i] && j < g->p->ops[i].in_count; j++) {
      int maker = g->p->tensors[g->p->ops[i].in[j]].first_op;
      if (maker >= g->first && !g->mine[maker]) return false;
    }
  return true;
}

static void forget(growth *g) {
  for (int i = g->first; i <= g->last; i++) {
    const tw_op *op = &g->p->ops[i];
    for (int j = 0; g->mine[i] && j < op->in_count; j++) g->rows[op->in[j]] = (tw_rows){0};
    for (int j = 0; g->mine[i] && j < op->out_count; j++) g->rows[op->out[j]] = (tw_rows){0};
    g->mine[i] = false;
  }
}

static void grow_on(growth *g) {
  for (int i = g->seed + 1; i <= g->reach && i < g->p->op_count; i++) join(g, i, false);
}

// From operation g->seed on, and back to what is local and of its level, from which the chain may go on again.
static bool grow(growth *g, bool back) {
  const tw_op *ops = g->p->ops;
  g->first = g->last = g->reach = g->seed;
  g->count = 0;
  if (!join(g, g->seed, false)) return false;
  grow_on(g);
  for (int i = g->seed - 1; back && i >= 0 && ops[i].level == ops[g->seed].level; i--)
    if (!ops[i].opens) join(g, i, true);
  if (back) grow_on(g);
  if (closed(g)) return true;
  forget(g);
  return false;
}

static int rounds_of(const growth *g) {
  int rounds = 0, level = -1;
  for (int i = g->first; i <= g->last; i++)
    if (g->mine[i] && g->p->ops[i].opens && g->p->ops[i].level != level) {
      level = g->p->ops[i].level;
      rounds++;
    }
  return rounds;
}

static bool read_elsewhere(const growth *g, int tensor) {
  const tw_tensor *t = &g->p->tensors[tensor];
  if (t->last_op == g->p->op_count) return true;  // a result
  for (int i = t->first_op + 1; i <= t->last_op; i++)
    for (int j = 0; !g->mine[i] && j < g->p->ops[i].in_count; j++)
      if (g->p->ops[i].in[j] == tensor) return true;
  return false;
}

static tw_status keep(const growth *g, tw_chain *c) {
  void *memory;
  *c = (tw_chain){.rows = g->count, .rounds = rounds_of(g)};
  TW_TRY(tw_alloc(sizeof(int) * (size_t)(g->last - g->first + 1), &memory));
  c->ops = memory;
  for (int i = g->first; i <= g->last; i++)
    if (g->mine[i]) c->ops[c->op_count++] = i;
  int count = 0;
  for (int i = 0; i < g->p->tensor_count; i++) count += g->rows[i].kind != TW_ROWS_UNKNOWN;
  TW_TRY(tw_alloc(sizeof(tw_chain_tensor) * (size_t)(count + 1), &memory));
  c->tensors = memory;
  for (int i = 0; i < g->p->tensor_count; i++) {
    if (g->rows[i].kind == TW_ROWS_UNKNOWN) continue;
    bool input = !g->mine[g->p->tensors[i].first_op];
    c->tensors[c->tensor_count++] = (tw_chain_tensor){i, g->rows[i], input, !input && read_elsewhere(g, i)};
  }
  return TW_OK;
}

static tw_status find_all(growth *g, int rounds, tw_chains *out) {
  size_t room = 0;
  for (g->seed = 0; g->seed < g->p->op_count; g->seed++) {
    if (out->of_op[g->seed] >= 0 || !g->p->ops[g->seed].gate->rows) continue;
    if (!grow(g, true) && !grow(g, false)) continue;
    if (rounds_of(g) >= rounds) {
      TW_TRY(tw_grow((void **)&out->chains, &room, (size_t)out->count + 1, sizeof *out->chains));
      TW_TRY(keep(g, &out->chains[out->count++]));
      for (int i = g->first; i <= g->last; i++)
        if (g->mine[i]) out->of_op[i] = out->count - 1;
    }
    forget(g);
  }
  return TW_OK;
}

tw_status tw_chains_find(const tw_program *p, int rounds, tw_chains *out) {
  void *memory;
  *out = (tw_chains){0};
  growth g = {.p = p};
  TW_TRY(tw_alloc(sizeof(int) * (size_t)(p->op_count + 1), &memory));
  g.of_op = out->of_op = memory;
  for (int i = 0; i < p->op_count; i++) out->of_op[i] = -1;
  tw_status status = tw_alloc(sizeof(tw_rows) * (size_t)(p->tensor_count + 1), &memory);
  if (status == TW_OK) {
    g.rows = memory;
    status = tw_alloc(sizeof(bool) * (size_t)(p->op_count + 1), &memory);
  }
  if (status == TW_OK) {
    g.mine = memory;
    status = find_all(&g, rounds, out);
  }
  tw_free(g.rows);
  tw_free(g.mine);
  return status;
}

void tw_chains_free(tw_chains *c) {
  for (int i = 0; i < c->count; i++) {
    tw_free(c->chains[i].ops);
    tw_free(c->chains[i].tensors);
  }
  tw_free(c->chains);
  tw_free(c->of_op);
  *c = (tw_chains){0};
}

void tw_chains_drop(tw_chains *c, int op_count, const bool *dropped) {
  for (int op = 0; op < op_count; op++) {
    int before = 0, of = c->of_op[op];
    if (of < 0) continue;
    for (int i = 0; i < of; i++) before += dropped[i];
    c->of_op[op] = dropped[of] ? -1 : of - before;
  }
  int left = 0;
  for (int i = 0; i < c->count; i++) {
    if (!dropped[i]) {
      c->chains[left++] = c->chains[i];
      continue;
    }
    tw_free(c->chains[i].ops);
    tw_free(c->chains[i].tensors);
  }
  c->count = left;
}

// Of a level: openings in no chain, and chains that open in it.
typedef struct {
  int outside, chains;
} level_use;

// Operation i of the chain is its first that opens in a level.
static bool enters(const tw_program *p, const tw_chain *c, int i, int *level) {
  const tw_op *op = &p->ops[c->ops[i]];
  if (!op->opens || op->level == *level) return false;
  *level = op->level;
  return true;
}

static void count_chain(const tw_program *p, const tw_chain *c, level_use *levels) {
  for (int i = 0, level = -1; i < c->op_count; i++)
    if (enters(p, c, i, &level)) levels[level].chains++;
}

// Half levels: one that two chains share is half of each. Where more do, none has half, and it counts for nobody.
static int saved_by(const tw_program *p, const tw_chain *c, const level_use *levels) {
  int halves = 0;
  for (int i = 0, level = -1; i < c->op_count; i++)
    if (enters(p, c, i, &level) && levels[level].outside == 0)
      halves += levels[level].chains == 1 ? 2 : levels[level].chains == 2;
  return halves;
}

// What one chain does not save may be what another one cannot save either.
static void drop_idle(const tw_program *p, int rounds, tw_chains *c, level_use *levels, bool *dropped) {
  for (bool changed = true; changed;) {
    changed = false;
    memset(levels, 0, sizeof *levels * (size_t)(p->levels + 1));
    memset(dropped, 0, sizeof *dropped * (size_t)c->count);
    for (int i = 0; i < p->op_count; i++) levels[p->ops[i].level].outside += p->ops[i].opens && c->of_op[i] < 0;
    for (int i = 0; i < c->count; i++) count_chain(p, &c->chains[i], levels);
    for (int i = 0; i < c->count; i++) {
      int halves = saved_by(p, &c->chains[i], levels);
      dropped[i] = halves < 2 * rounds || halves < c->chains[i].rounds;
      changed = changed || dropped[i];
    }
    tw_chains_drop(c, p->op_count, dropped);
  }
}

tw_status tw_chains_keep_saving(const tw_program *p, int rounds, tw_chains *c) {
  void *levels, *dropped = NULL;
  TW_TRY(tw_alloc(sizeof(level_use) * (size_t)(p->levels + 1), &levels));
  tw_status status = tw_alloc(sizeof(bool) * (size_t)(c->count + 1), &dropped);
  if (status == TW_OK) drop_idle(p, rounds, c, levels, dropped);
  tw_free(levels);
  tw_free(dropped);
  return status;
}

int tw_chain_tensor_of(const tw_chain *c, int tensor) {
  int low = 0, high = c->tensor_count - 1;
  while (low < high) {
    int middle = (low + high) / 2;
    if (c->tensors[middle].tensor < tensor)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

void tw_chain_shape(const tw_program *p, const tw_chain *c, const tw_op *op, tw_row_shape *out) {
  *out = (tw_row_shape){.program = p, .op = op, .rows = c->rows};
  for (int i = 0; i < op->in_count; i++) out->in[i] = c->tensors[tw_chain_tensor_of(c, op->in[i])].rows;
  for (int i = 0; i < op->out_count; i++) out->out[i] = c->tensors[tw_chain_tensor_of(c, op->out[i])].rows;
  op->gate->rows(out);
}
