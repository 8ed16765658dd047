#include "jobs/parties/emulate.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "io/tensors.h"
#include "jobs/models/conversation.h"
#include "jobs/models/prefix.h"
#include "jobs/parties/deal.h"
#include "jobs/parties/share.h"
#include "jobs/parties/share_input.h"
#include "jobs/program/session.h"
#include "kernels/digest.h"
#include "kernels/digit.h"
#include "kernels/pack.h"

// One sequence's walk. The sequences go level by level, as the parties' batch does, so that the transcripts agree.
typedef struct {
  tw_session session;
  tw_seed seed[2];
  int length;           // columns up to the last live token
  int earlier, tokens;  // the other counts (tw_counted)
  uint64_t *digests;    // of the level's opens
  int opens;
} emulated;

static tw_status watch(void *state, tw_session *s, const tw_op *op) {
  emulated *l = state;
  int id = op->out[0];
  const tw_tensor *t = tw_t(s, id);
  const tw_buffer *b = tw_b(s, id);
  size_t words = tw_words_of(s, id);
  uint64_t *value;
  TW_TRY(tw_scratch(s, words, &value));
  for (size_t j = 0; j < words; j++) {
    if (t->kind == TW_WIRE) {
      value[j] = (b->value[j] + b->mask[0][j] + b->mask[1][j]) & tw_mask(t->ring);
    } else {
      bool tail = t->n % 64 && j % tw_words(t->n) == t->n / 64;
      value[j] = (b->value[j] ^ b->mask[0][j] ^ b->mask[1][j]) & (tail ? (1ull << (t->n % 64)) - 1 : ~0ull);
    }
  }
  l->digests[l->opens++] = tw_open_digest(t->kind != TW_WIRE, value, words);
  return TW_OK;
}

static void absorb_level(crypto_generichash_blake2b_state *h, emulated *sequences, int count) {
  for (int open = 0; open < sequences[0].opens; open++)
    for (int i = 0; i < count; i++)
      crypto_generichash_blake2b_update(h, (const uint8_t *)&sequences[i].digests[open], 8);
  for (int i = 0; i < count; i++) sequences[i].opens = 0;
}

// The parties' own masks of model vectors play no part in any opened value: the emulator takes zeros.
typedef struct {
  int count;  // cached tensors counted
  size_t *rows, *cols;
  uint64_t **value, **no_mask;
  uint64_t **own, **cached;  // what `value` lists
  uint64_t *zeros;
} clear_model;

static tw_status load_values(const tw_plan *plan, const tw_model *model, const tw_prefix *prefix, clear_model *m) {
  int own = model->count;
  void *memory;
  *m = (clear_model){.count = tw_shared_count(&model->config, plan->prefix.rows)};
  if (!prefix != !plan->prefix.rows) return tw_fail(TW_ERR_INTERNAL, "a plan's prefix is not there");
  TW_TRY(tw_fixed_tensors(model, &m->own));
  if (prefix) TW_TRY(tw_cached_integers(model, prefix, plan->bounds, plan->rings, &m->cached));
  TW_TRY(tw_alloc(sizeof(uint64_t *) * (size_t)m->count, &memory));
  m->value = memory;
  for (int i = 0; i < m->count; i++) m->value[i] = i < own ? m->own[i] : m->cached[i - own];
  return TW_OK;
}

static tw_status load_model(const tw_plan *plan, const tw_model *model, const tw_prefix *prefix, clear_model *m) {
  size_t largest = 0;
  void *memory;
  TW_TRY(load_values(plan, model, prefix, m));
  TW_TRY(tw_alloc(sizeof(size_t) * (size_t)m->count, &memory));
  m->rows = memory;
  TW_TRY(tw_alloc(sizeof(size_t) * (size_t)m->count, &memory));
  m->cols = memory;
  TW_TRY(tw_alloc(sizeof(uint64_t *) * (size_t)m->count, &memory));
  m->no_mask = memory;
  for (int i = 0; i < m->count; i++) {
    char name[TW_TENSOR_NAME];
    tw_shared_shape(&model->config, plan->prefix.rows, i, name, &m->rows[i], &m->cols[i]);
    if (m->rows[i] * m->cols[i] > largest) largest = m->rows[i] * m->cols[i];
  }
  if (tw_conversation_input_elements(&plan->shape) > largest) largest = tw_conversation_input_elements(&plan->shape);
  TW_TRY(tw_alloc(8 * largest, &memory));
  m->zeros = memory;
  for (int i = 0; i < m->count; i++) m->no_mask[i] = m->zeros;
  return TW_OK;
}

static void free_model(clear_model *m, int own) {
  tw_fixed_free(m->own, own);
  tw_cached_free(m->cached, m->count - own);
  tw_free(m->value);
  tw_free(m->rows);
  tw_free(m->cols);
  tw_free(m->no_mask);
  tw_free(m->zeros);
}

static tw_status start_sequence(const tw_plan *plan, const tw_input *input, const uint64_t *integers,
                                const clear_model *m, int i, const tw_emulation *before, const uint64_t *slot,
                                uint64_t test_seed, emulated *l) {
  void *memory;
  l->earlier = before ? before->rows[i] : 0;
  l->length = plan->shape.prefix + plan->shape.earlier + input->lengths[i];
  l->tokens = plan->shape.prefix + l->earlier + input->lengths[i];
  const uint64_t *kept = before ? before->kept + (size_t)i * tw_conversation_input_elements(&plan->shape) : m->zeros;
  for (int party = 0; party < 2; party++) tw_deal_test_seed(test_seed, party, *slot, &l->seed[party]);
  TW_TRY(tw_alloc(sizeof(uint64_t) * (size_t)plan->program.op_count, &memory));
  l->digests = memory;
  tw_session_config config = {.program = &plan->program,
                              .role = TW_EMULATOR,
                              .batch = 1,
                              .weights = {.count = m->count,
                                          .rows = m->rows,
                                          .cols = m->cols,
                                          .mask = {m->no_mask, m->no_mask},
                                          .value = m->value},
                              .sequences = {.seeds = {&l->seed[0], &l->seed[1]},
                                            .slots = slot,
                                            .lengths = &l->length,
                                            .earlier = &l->earlier,
                                            .tokens = &l->tokens,
                                            .inputs = {integers + (size_t)i * tw_plan_input_elements(plan), kept}},
                              .observers = {.watch = watch, .watch_state = l}};
  return tw_session_create(&config, &l->session);
}

static void note_bounds(const tw_plan *plan, const tw_session *s, tw_emulation *out) {
  if (s->misses.count && out->out_of_bound == 0) {
    const tw_op *op = &plan->program.ops[s->misses.first_op];
    const tw_step *step = &plan->program.steps[op->step];
    int limit = op->out_count ? plan->program.tensors[op->out[0]].limit : 0;
    if (limit)
      snprintf(out->first_out_of_bound, sizeof out->first_out_of_bound, "layer %d, %s, bound of %s", step->layer,
               step->name, plan->program.limits[limit - 1].name);
    else
      snprintf(out->first_out_of_bound, sizeof out->first_out_of_bound, "layer %d, %s, gate %s", step->layer,
               step->name, op->gate->name);
  }
  out->out_of_bound += s->misses.count;
}

static tw_status walk(const tw_plan *plan, emulated *sequences, int count, tw_emulation *out) {
  crypto_generichash_blake2b_state h;
  uint8_t digest[32];
  crypto_generichash_blake2b_init(&h, NULL, 0, 32);
  for (bool done = false; !done;) {
    for (int i = 0; i < count; i++) TW_TRY(tw_session_level(&sequences[i].session, &done));
    absorb_level(&h, sequences, count);
  }
  crypto_generichash_blake2b_final(&h, digest, sizeof digest);
  sodium_bin2hex(out->transcript, sizeof out->transcript, digest, sizeof digest);
  const tw_tensor *t = &plan->program.tensors[plan->program.outputs[0]];
  for (int i = 0; i < count; i++) {
    note_bounds(plan, &sequences[i].session, out);
    if (plan->program.guard >= 0) out->guard[i] = sequences[i].session.memory.buffers[plan->program.guard].value[0];
    for (size_t j = 0; j < t->n; j++)
      out->output[(size_t)i * t->n + j] =
          tw_signed(sequences[i].session.memory.buffers[plan->program.outputs[0]].value[j], t->ring);
  }
  return TW_OK;
}

// What a turn leaves for the next one; nothing where the plan has no turns, or no room for it.
static tw_status keep_turn(const tw_plan *plan, const tw_input *input, const emulated *sequences, tw_emulation *out) {
  const tw_layer_shape *shape = &plan->shape;
  void *memory;
  if (!shape->earlier) return TW_OK;
  for (int i = 0; i < input->count; i++)
    if (tw_conversation_rows(shape, sequences[i].earlier, input->lengths[i]) > shape->earlier) return TW_OK;
  TW_TRY(tw_alloc(sizeof(int) * (size_t)input->count, &memory));
  out->rows = memory;
  TW_TRY(tw_alloc(8 * (size_t)input->count * tw_conversation_input_elements(shape), &memory));
  out->kept = memory;
  for (int i = 0; i < input->count; i++) {
    const emulated *l = &sequences[i];
    out->rows[i] = tw_conversation_rows(shape, l->earlier, input->lengths[i]);
    for (int k = 0; k < 2 * shape->config.layers; k++)
      tw_conversation_keep(shape, k, l->earlier, input->lengths[i],
                           l->session.memory.buffers[plan->program.outputs[1 + k]].value,
                           out->kept + (size_t)i * tw_conversation_input_elements(shape));
  }
  return TW_OK;
}

// ---- many inputs of one plan

struct tw_emulator {
  const tw_plan *plan;
  int own;  // tensors of the model
  clear_model model;
};

tw_status tw_emulator_create(const tw_plan *plan, const tw_model *model, const tw_prefix *prefix, tw_emulator **out) {
  TW_TRY(tw_alloc(sizeof **out, (void **)out));
  **out = (tw_emulator){.plan = plan, .own = model->count};
  tw_status status = load_model(plan, model, prefix, &(*out)->model);
  if (status == TW_OK) return TW_OK;
  tw_emulator_destroy(*out);
  *out = NULL;
  return status;
}

void tw_emulator_destroy(tw_emulator *e) {
  if (!e) return;
  free_model(&e->model, e->own);
  tw_free(e);
}

// sequences: [input->count], zeroed.
static tw_status emulate(const tw_emulator *e, const tw_input *input, const tw_emulation *before, const uint64_t *slots,
                         uint64_t test_seed, emulated *sequences, tw_emulation *out) {
  const tw_plan *plan = e->plan;
  uint64_t *integers;
  TW_TRY(tw_alloc(8 * (size_t)input->count * tw_plan_input_elements(plan), (void **)&integers));
  tw_input_integers(plan, input, integers);
  tw_status status = TW_OK;
  for (int i = 0; i < input->count && status == TW_OK; i++)
    status = start_sequence(plan, input, integers, &e->model, i, before, &slots[i], test_seed, &sequences[i]);
  if (status == TW_OK) status = walk(plan, sequences, input->count, out);
  if (status == TW_OK) status = keep_turn(plan, input, sequences, out);
  for (int i = 0; i < input->count; i++) {
    if (sequences[i].session.program) tw_session_destroy(&sequences[i].session);
    tw_free(sequences[i].digests);
  }
  tw_free(integers);
  return status;
}

tw_status tw_emulator_run(const tw_emulator *e, const tw_input *input, const tw_emulation *before,
                          const uint64_t *slots, uint64_t test_seed, tw_emulation *out) {
  const tw_program *program = &e->plan->program;
  size_t count = (size_t)input->count;
  emulated *sequences = NULL;
  *out = (tw_emulation){.output = NULL};
  tw_status status = tw_alloc(8 * count * program->tensors[program->outputs[0]].n, (void **)&out->output);
  if (status == TW_OK) status = tw_alloc(8 * count, (void **)&out->guard);
  if (status == TW_OK) status = tw_alloc(sizeof *sequences * count, (void **)&sequences);
  if (status == TW_OK) status = emulate(e, input, before, slots, test_seed, sequences, out);
  tw_free(sequences);
  if (status != TW_OK) tw_emulation_free(out);
  return status;
}

tw_status tw_emulate(const tw_plan *plan, const tw_model *model, const tw_prefix *prefix, const tw_input *input,
                     const uint64_t *slots, uint64_t test_seed, tw_emulation *out) {
  return tw_emulate_turn(plan, model, prefix, input, NULL, slots, test_seed, out);
}

tw_status tw_emulate_turn(const tw_plan *plan, const tw_model *model, const tw_prefix *prefix, const tw_input *input,
                          const tw_emulation *before, const uint64_t *slots, uint64_t test_seed, tw_emulation *out) {
  tw_emulator *e;
  *out = (tw_emulation){.output = NULL};
  TW_TRY(tw_emulator_create(plan, model, prefix, &e));
  tw_status status = tw_emulator_run(e, input, before, slots, test_seed, out);
  tw_emulator_destroy(e);
  return status;
}

void tw_emulation_free(tw_emulation *e) {
  tw_free(e->output);
  tw_free(e->guard);
  tw_free(e->rows);
  tw_free(e->kept);
  *e = (tw_emulation){.output = NULL};
}
