// The client's side of the library: plan, model, input, and its split.
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "io/new_files.h"
#include "jobs/api/api.h"
#include "jobs/models/encode.h"
#include "jobs/parties/share_input.h"

// ---- plan and model

static tw_status open_plan(const char *name, twain_plan **out) {
  twain_plan *p;
  TW_TRY(tw_api_given(out, "plan"));
  *out = NULL;
  TW_TRY(tw_api_name(name));
  TW_TRY(tw_alloc(sizeof *p, (void **)&p));
  tw_status status = tw_plan_read(tw_path_of(name, "plan.json").text, &p->plan);
  if (status == TW_OK) {
    tw_path path = tw_path_of(name, "prefix.json");
    if (tw_path_exists(&path)) status = tw_prefix_beside(name, &p->plan.prefix, &p->prefix);
    if (status != TW_OK) tw_plan_free(&p->plan);
  }
  if (status == TW_OK)
    *out = p;
  else
    tw_free(p);
  return status;
}

twain_status twain_plan_open(const char *name, twain_plan **plan) { return tw_api_status(open_plan(name, plan)); }

void twain_plan_close(twain_plan *plan) {
  if (!plan) return;
  tw_plan_free(&plan->plan);
  tw_prefix_drop(plan->prefix);
  tw_free(plan);
}

int twain_plan_tokens(const twain_plan *plan) { return plan->plan.shape.seq; }
int twain_plan_width(const twain_plan *plan) { return plan->plan.shape.config.hidden; }

int twain_plan_rows(const twain_plan *plan) {
  int rows, columns;
  tw_plan_output_shape(&plan->plan, &rows, &columns);
  return rows;
}

int twain_plan_columns(const twain_plan *plan) {
  int rows, columns;
  tw_plan_output_shape(&plan->plan, &rows, &columns);
  return columns;
}

static tw_status open_model(const char *name, twain_model **out) {
  twain_model *m;
  TW_TRY(tw_api_given(out, "model"));
  *out = NULL;
  TW_TRY(tw_api_name(name));
  TW_TRY(tw_alloc(sizeof *m, (void **)&m));
  tw_status status = tw_client_read(tw_path_of(name, "client.h5").text, &m->client);
  if (status == TW_OK)
    *out = m;
  else
    tw_free(m);
  return status;
}

twain_status twain_model_open(const char *name, twain_model **model) { return tw_api_status(open_model(name, model)); }

void twain_model_close(twain_model *model) {
  if (!model) return;
  tw_client_free(&model->client);
  tw_free(model);
}

// ---- an input

// An input of `count` sequences for `fill` to make.
typedef struct {
  const twain_model *model;
  const twain_plan *plan;
  const void *content;  // texts, ids or rows
  const int *lengths;
  int count, cut;
} request;

static tw_status make_input(const request *r, tw_status (*fill)(const request *, tw_input *), twain_input **out) {
  twain_input *input;
  TW_TRY(tw_api_given(out, "input"));
  *out = NULL;
  TW_TRY(tw_api_given(r->plan, "plan"));
  TW_TRY(tw_api_given(r->content, "texts, ids or rows"));
  if (r->count < 1) return tw_fail(TW_ERR_USAGE, "%d sequences: an input has at least one", r->count);
  TW_TRY(tw_alloc(sizeof *input, (void **)&input));
  tw_status status = fill(r, &input->input);
  if (status == TW_OK)
    *out = input;
  else
    tw_free(input);
  return status;
}

static tw_status check_prefix(const request *r) {
  if (r->plan->prefix || !r->plan->plan.prefix.rows) return TW_OK;
  return tw_fail(TW_ERR_MISMATCH,
                 "the plan has a prefix of %d tokens: have NAME.prefix.json sent, put it beside the plan, and open the "
                 "plan again",
                 r->plan->plan.prefix.rows);
}

static tw_status embed(const request *r, tw_status status, tw_input *out) {
  TW_TRY(status);
  status = tw_encode_rows(&r->model->client, out);
  if (status != TW_OK) tw_input_free(out);
  return status;
}

static tw_status fill_texts(const request *r, tw_input *out) {
  const char *const *texts = r->content;
  tw_text *list;
  TW_TRY(tw_api_given(r->model, "model"));
  TW_TRY(check_prefix(r));
  for (int i = 0; i < r->count; i++) TW_TRY(tw_api_given(texts[i], "texts[i]"));
  TW_TRY(tw_alloc((size_t)r->count * sizeof *list, (void **)&list));
  for (int i = 0; i < r->count; i++) list[i] = (tw_text){.first = texts[i]};
  tw_status status = tw_encode_texts(&r->model->client, r->plan->prefix, list, r->count, r->plan->plan.shape.seq,
                                     r->cut != 0, NULL, out);
  tw_free(list);
  return embed(r, status, out);
}

static tw_status fill_ids(const request *r, tw_input *out) {
  const int *const *ids = r->content;
  TW_TRY(tw_api_given(r->model, "model"));
  TW_TRY(tw_api_given(r->lengths, "lengths"));
  TW_TRY(check_prefix(r));
  for (int i = 0; i < r->count; i++) TW_TRY(tw_api_given(ids[i], "ids[i]"));
  tw_status status =
      tw_encode_ids(&r->model->client, r->plan->prefix, ids, r->lengths, r->count, r->plan->plan.shape.seq, out);
  return embed(r, status, out);
}

static tw_status check_rows(const request *r, const tw_input *input, const float *rows) {
  size_t each = (size_t)input->seq * (size_t)input->hidden;
  for (int s = 0; s < r->count; s++)
    if (r->lengths[s] < 1 || r->lengths[s] > input->seq)
      return tw_fail(TW_ERR_RANGE, "sequence %d has %d live rows; the plan has room for 1 to %d", s + 1, r->lengths[s],
                     input->seq);
  for (size_t i = 0; i < (size_t)r->count * each; i++)
    if (!isfinite(rows[i]))
      return tw_fail(TW_ERR_RANGE, "sequence %zu: the value in row %zu, column %zu is not a number", i / each + 1,
                     i % each / (size_t)input->hidden, i % (size_t)input->hidden);
  return TW_OK;
}

static tw_status fill_rows(const request *r, tw_input *out) {
  int seq = twain_plan_tokens(r->plan), hidden = twain_plan_width(r->plan);
  const float *rows = r->content;
  if (tw_config_parties_embed(&r->plan->plan.shape.config))
    return tw_fail(TW_ERR_MISMATCH,
                   "this plan's parties embed tokens themselves: it takes texts or ids, not embedded rows");
  size_t n = (size_t)r->count * (size_t)seq * (size_t)hidden;
  *out = (tw_input){.count = r->count, .seq = seq, .hidden = hidden, .prefix = r->plan->plan.prefix};
  TW_TRY(tw_api_given(r->lengths, "lengths"));
  TW_TRY(check_rows(r, out, rows));
  tw_id_random(&out->input_id);
  tw_status status = tw_alloc((size_t)r->count * sizeof *out->lengths, (void **)&out->lengths);
  if (status == TW_OK) status = tw_alloc(n * sizeof *out->values, (void **)&out->values);
  if (status != TW_OK) {
    tw_input_free(out);
    return status;
  }
  memcpy(out->lengths, r->lengths, (size_t)r->count * sizeof *out->lengths);
  memcpy(out->values, rows, n * sizeof *out->values);
  return TW_OK;
}

twain_status twain_encode_text(const twain_model *model, const twain_plan *plan, const char *const *texts, int count,
                               int cut, twain_input **input) {
  request r = {.model = model, .plan = plan, .content = texts, .count = count, .cut = cut};
  return tw_api_status(make_input(&r, fill_texts, input));
}

twain_status twain_encode_ids(const twain_model *model, const twain_plan *plan, const int *const *ids,
                              const int *lengths, int count, twain_input **input) {
  request r = {.model = model, .plan = plan, .content = ids, .lengths = lengths, .count = count};
  return tw_api_status(make_input(&r, fill_ids, input));
}

twain_status twain_encode_rows(const twain_plan *plan, const float *rows, const int *lengths, int count,
                               twain_input **input) {
  request r = {.plan = plan, .content = rows, .lengths = lengths, .count = count};
  return tw_api_status(make_input(&r, fill_rows, input));
}

int twain_input_length(const twain_input *input, int sequence) {
  return sequence >= 0 && sequence < input->input.count ? input->input.lengths[sequence] : -1;
}

void twain_input_free(twain_input *input) {
  if (!input) return;
  tw_input_free(&input->input);
  tw_free(input);
}

// ---- its split

static tw_status share(const twain_input *input, const char *name, int replace) {
  tw_id id;
  TW_TRY(tw_api_given(input, "input"));
  TW_TRY(tw_api_name(name));
  tw_hide_stack();
  return tw_share_input_files(name, NULL, &input->input, replace != 0, NULL, &id);
}

twain_status twain_share(const twain_input *input, const char *name, int replace) {
  return tw_api_status(share(input, name, replace));
}
