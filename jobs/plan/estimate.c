#include "jobs/plan/estimate.h"

#include <math.h>
#include <string.h>

#include "jobs/program/build.h"

// A table of rows by keys is priced with seven of these rounds: it saves five of them, and BERT-base takes 13.7 ms by
// digits, 16.0 by keys of rows.
#define KEY_BYTE [TW_COST_KEYS] = 1 / 40e9
static const tw_rates one_host = {.device = "two GPUs of one host",
                                  .source = "docs/design/decisions.md, 88",
                                  .round = 26e-6,
                                  .opened_byte = 1 / 118e9,
                                  .gates = {{"segments by key", {KEY_BYTE, [TW_COST_ONCE] = 250e-6}},
                                            {"window by key", {KEY_BYTE, [TW_COST_BLOCKS] = 0.12e-9}}},
                                  .gate_count = 2,
                                  .other = {.seconds = {KEY_BYTE}}};
// by_one_layer: so the plans of twain 0.2 were chosen, whose digests stay what they are.
const tw_place tw_place_one_host = {.rates = &one_host, .by_one_layer = true};

// ---- an operation

static int larger_slot(const tw_program *p) { return p->slot_bytes[1] > p->slot_bytes[0]; }

static double memory_of(const tw_tensor *t) {
  return t->kind == TW_WIRE || t->kind == TW_SHARE ? 8 * (double)t->n : (double)t->planes * (double)t->n / 8;
}

tw_work tw_work_of(const tw_program *p, const tw_op *op) {
  tw_work work = {.cost = {[TW_COST_ONCE] = 1, [TW_COST_BLOCKS] = tw_expanded_nodes(p, op)},
                  .products = tw_multiply_adds(p, op),
                  .weights = tw_weights_read(p, op)};
  int party = larger_slot(p);
  for (int i = 0; i < op->correction_count; i++)
    work.cost[TW_COST_KEYS] += (double)p->corrections[op->correction + i].bytes[party];
  for (int i = 0; i < op->in_count; i++) work.cost[TW_COST_MEMORY] += memory_of(&p->tensors[op->in[i]]);
  for (int i = 0; i < op->out_count; i++) work.cost[TW_COST_MEMORY] += memory_of(&p->tensors[op->out[i]]);
  if (op->opens) work.cost[TW_COST_OPENED] = (double)tw_program_open_bytes(&p->tensors[op->out[0]]);
  double list = work.cost[TW_COST_BLOCKS] > 0 ? 0 : (double)op->list_count;  // a key's nodes are what its list says
  work.cost[TW_COST_LIST] = list;
  if (!op->out_count) return work;
  work.cost[TW_COST_LIST_BYTES] = list * (double)p->tensors[op->out[0]].n / 8;
  work.ring = p->tensors[op->out[0]].ring;
  return work;
}

double tw_products_seconds(const tw_rates *rates, const tw_work *work) {
  int bytes = (work->ring + 7) / 8;
  if (work->products <= 0) return 0;
  bytes = bytes < 1 ? 1 : bytes > TW_RING_BYTES ? TW_RING_BYTES : bytes;
  return fmax(work->products * rates->multiply_add[bytes - 1], work->weights * rates->weight);
}

static double seconds_of(const tw_rates *rates, const tw_op *op, const tw_work *work) {
  const tw_gate_rate *rate = tw_rate_of(rates, op->gate->name);
  double seconds = tw_products_seconds(rates, work);
  for (int i = 0; i < TW_COSTS; i++) seconds += rate->seconds[i] * work->cost[i];
  return seconds;
}

double tw_work_seconds(const tw_rates *rates, const tw_program *p, const tw_op *op) {
  tw_work work = tw_work_of(p, op);
  return seconds_of(rates, op, &work);
}

// Products with masks, and these masks, of n sequences.
static double preparation_seconds(const tw_rates *rates, const tw_program *p, const tw_op *op, const tw_work *work,
                                  double n) {
  double seconds = 0;
  if (op->opens && op->for_product) seconds += n * rates->mask_byte * memory_of(&p->tensors[op->out[0]]);
  return op->gate->prepare ? seconds + tw_products_seconds(rates, work) : seconds;
}

// ---- levels

typedef struct {
  const tw_program *program;
  const tw_place *place;
  tw_layer_repeats *repeats;
  void *state;
  double *step_seconds;
  double clock;  // seconds of the online phase so far
  double rounds, key_bytes, sent_bytes;
  tw_estimate *f;
} walk;

static double repeats_of(const walk *w, const tw_op *op) {
  int layer = w->program->steps[op->step].layer;
  return w->repeats && layer >= 0 ? w->repeats(w->state, layer) : 1;
}

static void spend(walk *w, const tw_op *op, double seconds) {
  w->clock += seconds;
  if (w->step_seconds) w->step_seconds[op->step] += seconds;
}

static double key_rate(const tw_place *place) {
  double local = place->rates->key_rate, dealer = place->dealer_rate;
  return dealer > 0 && (local <= 0 || dealer < local) ? dealer : local;
}

static double sequences_of(const walk *w) { return w->place->sequences > 1 ? w->place->sequences : 1; }

// Of all sequences: what is done once for an operation, and reading its weights, is done once for all of them.
static tw_work work_of_all(const walk *w, const tw_op *op) {
  tw_work work = tw_work_of(w->program, op);
  double n = sequences_of(w);
  for (int i = 0; i < TW_COSTS; i++)
    if (i != TW_COST_ONCE) work.cost[i] *= n;
  work.products *= n;
  return work;
}

static void compute(walk *w, const tw_op *op) {
  const tw_rates *rates = w->place->rates;
  tw_work work = work_of_all(w, op);
  double times = repeats_of(w, op), rate = key_rate(w->place);
  w->key_bytes += times * work.cost[TW_COST_KEYS];
  if (rate > 0 && w->key_bytes / rate > w->clock && work.cost[TW_COST_KEYS] > 0) {
    double wait = w->key_bytes / rate - w->clock;
    w->f->keys += wait;
    spend(w, op, wait);
  }
  double seconds = times * seconds_of(rates, op, &work);
  w->f->gates += seconds;
  w->f->preparation += times * preparation_seconds(rates, w->program, op, &work, sequences_of(w));
  spend(w, op, seconds);
}

// The openings of the operations first .. end - 1, of one level: one message.
static void open_level(walk *w, int first, int end) {
  const tw_rates *rates = w->place->rates;
  const tw_link_profile *link = &w->place->link;
  double on_link = link->bytes_per_second > 0 ? 1 / link->bytes_per_second : 0,
         bytes_time = rates->opened_byte + fmax(0, rates->relayed_byte - on_link);
  double times = 0, opens = 0;
  for (int i = first; i < end; i++)
    if (w->program->ops[i].opens) opens++, times = fmax(times, repeats_of(w, &w->program->ops[i]));
  for (int i = first; i < end; i++) {
    const tw_op *op = &w->program->ops[i];
    if (!op->opens) continue;
    double bytes =
        sequences_of(w) * repeats_of(w, op) * (double)tw_program_open_bytes(&w->program->tensors[op->out[0]]);
    w->sent_bytes += bytes;
    w->f->messages += bytes * bytes_time + times / opens * rates->round;
    w->f->bytes += bytes * on_link;
    w->f->latency += times / opens * link->latency_seconds;
    spend(w, op, bytes * (bytes_time + on_link) + times / opens * (rates->round + link->latency_seconds));
  }
  w->rounds += times;
}

static uint64_t counted(double more, uint64_t a, uint64_t b) {
  return a + (uint64_t)llround(more * ((double)a - (double)b));
}

tw_estimate tw_estimate_repeated(const tw_estimate *one, const tw_estimate *two, int count) {
  double more = count - 2;
  return (tw_estimate){.preparation = two->preparation + more * (two->preparation - one->preparation),
                       .gates = two->gates + more * (two->gates - one->gates),
                       .messages = two->messages + more * (two->messages - one->messages),
                       .latency = two->latency + more * (two->latency - one->latency),
                       .bytes = two->bytes + more * (two->bytes - one->bytes),
                       .keys = two->keys + more * (two->keys - one->keys),
                       .rounds = counted(more, two->rounds, one->rounds),
                       .key_bytes = counted(more, two->key_bytes, one->key_bytes),
                       .sent_bytes = counted(more, two->sent_bytes, one->sent_bytes)};
}

void tw_estimate_program(const tw_program *program, const tw_place *place, tw_layer_repeats *repeats, void *state,
                         double *step_seconds, tw_estimate *out) {
  walk w = {
      .program = program, .place = place, .repeats = repeats, .state = state, .step_seconds = step_seconds, .f = out};
  *out = (tw_estimate){0};
  if (step_seconds) memset(step_seconds, 0, sizeof *step_seconds * (size_t)program->step_count);
  for (int i = 0, first = 0; i < program->op_count; i++) {
    compute(&w, &program->ops[i]);
    if (i + 1 < program->op_count && program->ops[i + 1].level == program->ops[first].level) continue;
    open_level(&w, first, i + 1);
    first = i + 1;
  }
  out->rounds = (uint64_t)llround(w.rounds);
  out->key_bytes = (uint64_t)llround(w.key_bytes);
  out->sent_bytes = (uint64_t)llround(w.sent_bytes);
}
