#include "app/check_source.h"

#include <math.h>
#include <string.h>

#include "app/show/print.h"
#include "base/memory.h"
#include "io/new_files.h"
#include "jobs/models/float_model.h"
#include "jobs/parties/beside.h"
#include "jobs/parties/share_input.h"
#include "jobs/plan/lengths.h"

// ---- of a run

// Of a plan with several lengths a result has the rows of the longest that a text took.
static int rows_of(const tw_input *input) {
  int most = input->seqs ? 0 : input->seq;
  for (int s = 0; input->seqs && s < input->count; s++)
    if (input->seqs[s] > most) most = input->seqs[s];
  return most;
}

static tw_status check_shapes(const tw_model_config *c, const tw_input *input, const tw_result *result) {
  if (strcmp(input->input_id.hex, result->input_id.hex) != 0)
    return tw_fail(TW_ERR_MISMATCH,
                   "the result is of input %s, the input file is %s; check a result with its own input",
                   result->input_id.hex, input->input_id.hex);
  tw_model_output output;
  TW_TRY(tw_output_parse(result->output, &output));
  TW_TRY(tw_config_allows_output(c, output));
  int hidden = tw_config_parties_embed(c) ? 0 : c->hidden;
  if (input->hidden != hidden || result->cols != tw_config_output_cols(c, output) || input->count != result->count ||
      memcmp(input->lengths, result->lengths, sizeof(int) * (size_t)input->count) != 0 ||
      (output != TW_OUTPUT_TEXT && result->rows != (tw_config_by_row(c, output) ? rows_of(input) : 1)) ||
      (output == TW_OUTPUT_TEXT && (result->rows < 1 || result->rows > TW_MOST_TOKENS)))
    return tw_fail(
        TW_ERR_MISMATCH,
        "model, input and result have different shapes: %d wide; [%d][%d][%d]; [%d][%d][%d]; check a result with "
        "the input and the model that it was run with",
        hidden, input->count, input->seq, input->hidden, result->count, result->rows, result->cols);
  return TW_OK;
}

static bool counted(const tw_result *r) {
  for (int s = 0; r->out_of_bound && s < r->count; s++)
    if (r->out_of_bound[s] != 0) return true;
  return false;
}

tw_status tw_check_open_result(tw_check_source *source, const char *name, const char *of, const tw_model *model) {
  tw_path path = tw_path_of(name, "result.h5"), untrusted = tw_path_of(name, "result.untrusted.h5");
  bool with_input;
  *source = (tw_check_source){.model = model};
  if (!tw_path_exists(&path) && tw_path_exists(&untrusted)) path = untrusted;
  TW_TRY(tw_result_open(path.text, &source->result, &source->values));
  if (counted(&source->result)) tw_say("warning: %s: values out of the plan's bounds were counted in it", path.text);
  TW_TRY(tw_input_open(tw_path_of(name, "input.h5").text, &source->input, &source->rows));
  TW_TRY(check_shapes(&model->config, &source->input, &source->result));
  return tw_beside_check(name, of, &source->result.input_id, &source->result.model_id, NULL, &with_input);
}

static tw_status next_of_result(void *state, int s, float *rows, double *values, uint64_t *out_of_bound) {
  tw_check_source *source = state;
  *out_of_bound = source->result.out_of_bound ? (uint64_t)source->result.out_of_bound[s] : 0;
  TW_TRY(tw_input_next(source->rows, rows));
  return tw_result_next(source->values, values);
}

// ---- of the emulator

static tw_status check_plan(const tw_plan *plan, const tw_model *model, const tw_input *input) {
  const tw_model_config *a = &plan->shape.config, *b = &model->config;
  if (a->layers != b->layers || a->hidden != b->hidden || a->heads != b->heads || a->intermediate != b->intermediate ||
      a->vocab != b->vocab || tw_shared_count(a, 0) != tw_shared_count(b, 0))
    return tw_fail(TW_ERR_MISMATCH,
                   "the plan is for %d layers of %d, the model has %d of %d, or other words or tensors; make a plan of "
                   "this model (`twain plan`)",
                   a->layers, a->hidden, b->layers, b->hidden);
  if (input->after.hex[0])
    return tw_fail(TW_ERR_USAGE,
                   "--emulate has no earlier turns, and this input goes on behind %s; check its run with --exact",
                   input->after_name);
  return TW_OK;
}

tw_status tw_check_open_emulator(tw_check_source *source, const char *name, const char *of, const tw_model *model,
                                 uint64_t test_seed) {
  *source = (tw_check_source){.model = model, .emulated = true, .test_seed = test_seed};
  TW_TRY(tw_input_open(tw_path_of(name, "input.h5").text, &source->input, &source->rows));
  TW_TRY(tw_plan_read_of(of, name, &source->plan));
  source->has_plan = true;
  return check_plan(&source->plan, model, &source->input);
}

static const tw_plan *plan_in_hand(const tw_check_source *source) {
  return source->has_part ? &source->part : &source->plan;
}

// The emulator of the sequence's program, which is the one before's unless the length is another.
static tw_status choose_emulator(tw_check_source *source, int s) {
  int seq = source->input.seqs ? source->input.seqs[s] : source->plan.shape.seq;
  if (source->emulator && plan_in_hand(source)->shape.seq == seq) return TW_OK;
  tw_emulator_destroy(source->emulator);
  source->emulator = NULL;
  if (source->has_part) tw_plan_free(&source->part);
  source->has_part = false;
  if (seq != source->plan.shape.seq) {
    TW_TRY(tw_plan_shorter(&source->plan, seq, &source->part));
    source->has_part = true;
  }
  return tw_emulator_create(plan_in_hand(source), source->model, source->prefix, &source->emulator);
}

// As the client does it with a result (jobs/parties/reveal.c): a pooled output is a sum over live tokens.
static void put_values(const tw_plan *plan, const tw_emulation *e, int length, double *values) {
  int rows, cols, scale = plan->program.tensors[plan->program.outputs[0]].scale;
  tw_plan_output_shape(plan, &rows, &cols);
  double divisor = ldexp(plan->output == TW_OUTPUT_POOLED ? length : 1, scale);
  for (size_t i = 0; i < (size_t)rows * (size_t)cols; i++) values[i] = (double)e->output[i] / divisor;
  for (int row = 0; tw_config_scales(&plan->shape.config, plan->output) && row < rows; row++)
    tw_unit_length(values + (size_t)row * (size_t)cols, cols);
}

static tw_status next_of_emulator(void *state, int s, float *rows, double *values, uint64_t *out_of_bound) {
  tw_check_source *source = state;
  tw_emulation e;
  uint64_t slot = (uint64_t)s;
  TW_TRY(tw_input_next(source->rows, rows));
  TW_TRY(choose_emulator(source, s));
  const tw_plan *plan = plan_in_hand(source);
  tw_input one = tw_input_view(&source->input, s, rows);
  if (source->input.seqs) one.seq = plan->shape.seq;
  tw_status status = tw_input_check(&one, plan);
  if (status != TW_OK) return tw_fail_in(status, "of sequence %d alone", s + 1);
  TW_TRY(tw_emulator_run(source->emulator, &one, NULL, &slot, source->test_seed, &e));
  put_values(plan, &e, one.lengths[0], values);
  *out_of_bound = e.out_of_bound;
  tw_emulation_free(&e);
  return TW_OK;
}

// ---- both

tw_status tw_check_request(tw_check_source *source, const tw_prefix *prefix, tw_compare_request *out) {
  source->prefix = prefix;
  *out = (tw_compare_request){.model = source->model,
                              .prefix = prefix,
                              .input = &source->input,
                              .next = source->emulated ? next_of_emulator : next_of_result,
                              .state = source};
  if (!source->emulated) {
    out->rows = source->result.rows;
    out->cols = source->result.cols;
    out->normalised = source->result.normalised;
    return tw_output_parse(source->result.output, &out->output);
  }
  tw_plan_output_shape(&source->plan, &out->rows, &out->cols);
  out->output = source->plan.output;
  out->normalised = tw_config_scales(&source->plan.shape.config, out->output);
  return TW_OK;
}

void tw_check_close(tw_check_source *source) {
  tw_emulator_destroy(source->emulator);
  if (source->has_part) tw_plan_free(&source->part);
  if (source->has_plan) tw_plan_free(&source->plan);
  tw_result_rows_free(source->values);
  tw_result_free(&source->result);
  tw_input_reader_free(source->rows);
  tw_input_free(&source->input);
  *source = (tw_check_source){.model = NULL};
}
