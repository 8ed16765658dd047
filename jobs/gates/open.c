// Inputs, secret model vectors, and openings (protocols, section 1).
#include "jobs/gates/gate.h"
#include "jobs/gates/mask_form.h"

// ---- additive shares of the input ----
enum { INPUT_NUMBER };  // of the program

static tw_status input_value(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  size_t n = tw_batch_n(s, op->out[0]);
  return s->backend->combine(&(tw_combine_args){.rows = 1,
                                                .cols = n,
                                                .x = s->sequences.inputs[op->arg[INPUT_NUMBER]],
                                                .out = tw_b(s, op->out[0])->value,
                                                .p = 1,
                                                .ring = tw_ring_of(s, op->out[0])},
                             s->stream);
}

static const tw_gate input_gate = {"input", NULL, NULL, NULL, input_value, input_value};

int tw_build_input(tw_builder *b, int ring, int scale, size_t n) {
  tw_op *op = tw_emit(b, &input_gate);
  tw_program *p = b->program;
  if (p->input_count == TW_MOST_INPUTS)
    return tw_build_fail(b, TW_ERR_INTERNAL, "a program of more than %d inputs", TW_MOST_INPUTS);
  op->arg[INPUT_NUMBER] = p->input_count;
  int id = tw_emit_out(b, op, (tw_tensor){.kind = TW_SHARE, .ring = ring, .scale = scale, .n = n});
  p->inputs[p->input_count++] = id;
  return id;
}

// ---- open: party b sends its share plus its mask share; one round, no key ----
static tw_status open_mask(tw_session *s, const tw_op *op, int side) { return tw_draw_mask(s, op, side); }

static tw_status open_party(tw_session *s, const tw_op *op) {
  int id = op->out[0];
  const tw_tensor *t = tw_t(s, id);
  size_t words = tw_words_of(s, id);
  TW_TRY(tw_make_value(s, id));
  bool bits = t->kind == TW_BITWIRE;
  TW_EACH_SEQUENCE(s, b) {
    tw_open_request r = {.use = op->mask_use,
                         .index = (uint32_t)(op->ordinal * tw_whole_batch(s) + s->place.first_sequence + b),
                         .slot = s->sequences.slots[b],
                         .bits = bits,
                         .width = bits ? t->planes : t->ring,
                         .n = t->n,
                         .words = words,
                         .share = tw_value(s, op->in[0], b),
                         .mask = tw_mask_of(s, id, s->party, b),
                         .out = tw_value(s, id, b)};
    TW_TRY(s->opener.open(s->opener.state, s->place.half, &r));
  }
  return TW_OK;
}

static tw_status open_emulate(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  memcpy(tw_b(s, op->out[0])->value, tw_b(s, op->in[0])->value, 8 * (size_t)s->batch * tw_words_of(s, op->out[0]));
  return TW_OK;
}

static const tw_gate open_gate = {"open", open_mask, NULL, NULL, open_party, open_emulate, .rows = tw_rows_each};

int tw_open(tw_builder *b, int x) {
  tw_tensor t = tw_look(b, x);
  tw_op *op = tw_emit(b, &open_gate);
  tw_emit_in(op, x);
  op->opens = true;
  if (t.kind != TW_SHARE && t.kind != TW_BITS) return tw_build_fail(b, TW_ERR_INTERNAL, "only shares are opened");
  t.kind = t.kind == TW_SHARE ? TW_WIRE : TW_BITWIRE;
  t.form = tw_form_of_opening(b->program->tensor_count);
  return tw_emit_out(b, op, t);
}

// ---- a model vector, or the first rows of a table: W^ = W + p_0 + p_1 was opened once, when the model was shared ----
enum { WEIGHT_INDEX };  // among the model's tensors

static tw_status weight_copy(tw_session *s, const tw_op *op, const uint64_t *from, uint64_t *to) {
  size_t n = tw_t(s, op->out[0])->n, index = (size_t)op->arg[WEIGHT_INDEX];
  if ((int)index >= s->weights.count || n % s->weights.cols[index] ||
      n / s->weights.cols[index] > s->weights.rows[index])
    return tw_fail(TW_ERR_MISMATCH, "model tensor %zu does not fit the plan; plan and share must come from one model",
                   index);
  tw_view_args a = {
      .rows = (size_t)s->batch, .cols = n, .x = from, .out = to, .dim = {1, 1, 1, n}, .stride = {0, 0, 0, 1}};
  return s->backend->view(&a, s->stream);
}

static tw_status weight_mask(tw_session *s, const tw_op *op, int side) {
  TW_TRY(tw_make_mask(s, op->out[0], side));
  return weight_copy(s, op, s->weights.mask[side][op->arg[WEIGHT_INDEX]], tw_b(s, op->out[0])->mask[side]);
}

static tw_status weight_party(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  return weight_copy(s, op, s->weights.masked[op->arg[WEIGHT_INDEX]], tw_b(s, op->out[0])->value);
}

static tw_status weight_emulate(tw_session *s, const tw_op *op) {
  TW_TRY(tw_make_value(s, op->out[0]));
  return weight_copy(s, op, s->weights.value[op->arg[WEIGHT_INDEX]], tw_b(s, op->out[0])->value);
}

static const tw_gate weight_gate = {"weight", weight_mask, NULL, NULL, weight_party, weight_emulate};

int tw_weight_wire(tw_builder *b, int index, int scale, size_t n) {
  tw_op *op = tw_emit(b, &weight_gate);
  op->arg[WEIGHT_INDEX] = index;
  return tw_emit_out(
      b, op, (tw_tensor){.kind = TW_WIRE, .ring = 64, .scale = scale, .n = n, .form = tw_form_of_weight(index)});
}
