#include "jobs/parties/share_model.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "io/model_file.h"
#include "io/model_id.h"
#include "io/new_files.h"
#include "io/tensors.h"
#include "jobs/models/fold.h"
#include "jobs/models/prefix.h"
#include "jobs/parties/share.h"

enum { PART = 1 << 17 };  // elements at a time, if that is a row

typedef struct {
  tw_model_file *model;
  tw_model_dealer dealer;
  tw_seed *seeds;         // [2]
  tw_seed *prefix_seeds;  // the same, of the prefix alone
  uint64_t **cached;      // integers of its tensors
  tw_model_share_file *share[2];
  size_t room;  // elements of these
  float *values;
  uint64_t *masked, *mask;
} sharing;

// The file's head states what holds gamma and beta of all norms: these vectors are read before all else.
static tw_status look_at_norms(sharing *s) {
  tw_model norms;
  TW_TRY(tw_model_file_part(s->model, tw_model_is_norm, &norms));
  tw_bounds_of_norms(&norms, &s->dealer.norm_weight, &s->dealer.norm_bias);
  tw_model_free(&norms);
  return TW_OK;
}

static tw_status check_plan(const tw_plan *plan, const tw_model_config *c) {
  const tw_model_config *p = &plan->shape.config;
  if (p->layers == c->layers && tw_config_kv_width(p) == tw_config_kv_width(c) && p->hidden == c->hidden) return TW_OK;
  return tw_fail(TW_ERR_MISMATCH,
                 "the plan is for %d layers, %d wide; the model has %d, %d: plan for this model (`twain plan`)",
                 p->layers, p->hidden, c->layers, c->hidden);
}

// The prefix of NAME's plan, if it has one.
static tw_status look_at_prefix(sharing *s, const char *name) {
  tw_path path = tw_path_of(name, "prefix.json");
  tw_plan plan;
  tw_prefix prefix = {.count = 0};
  tw_model model = {.count = 0};
  if (!tw_path_exists(&path)) return TW_OK;
  TW_TRY(tw_plan_read(tw_path_of(name, "plan.json").text, &plan));
  tw_status status = TW_OK;
  if (plan.prefix.rows) {
    status = tw_prefix_read_for(path.text, &plan.prefix, &prefix);
    if (status == TW_OK) status = tw_model_read(tw_path_of(name, "model.h5").text, &model);
    if (status == TW_OK) status = check_plan(&plan, &model.config);
    if (status == TW_OK) status = tw_cached_integers(&model, &prefix, plan.bounds, plan.rings, &s->cached);
    if (status == TW_OK) s->dealer.prefix = tw_cached_facts(&plan.prefix, plan.rings, model.config.layers);
  }
  if (model.count) tw_model_free(&model);
  tw_prefix_free(&prefix);
  tw_plan_free(&plan);
  return status;
}

static void find_room(sharing *s) {
  s->room = PART;
  for (int i = 0; i < tw_shared_count(&s->dealer.config, s->dealer.prefix.rows); i++) {
    char name[TW_TENSOR_NAME];
    size_t rows, cols;
    tw_shared_shape(&s->dealer.config, s->dealer.prefix.rows, i, name, &rows, &cols);
    if (cols > s->room) s->room = cols;
  }
}

static tw_status allocate(sharing *s) {
  find_room(s);
  TW_TRY(tw_seed_alloc(2 * sizeof *s->seeds, (void **)&s->seeds));
  TW_TRY(tw_seed_alloc(2 * 32, (void **)&s->dealer.mask_seed));
  TW_TRY(tw_alloc(s->room * sizeof *s->values, (void **)&s->values));
  TW_TRY(tw_secret_alloc(s->room * sizeof *s->masked, (void **)&s->masked));
  TW_TRY(tw_secret_alloc(s->room * sizeof *s->mask, (void **)&s->mask));
  for (int party = 0; party < 2; party++) {
    tw_seed_random(&s->seeds[party]);
    memcpy(s->dealer.mask_seed[party], s->seeds[party].key, 32);
  }
  if (!s->dealer.prefix.rows) return TW_OK;
  TW_TRY(tw_seed_alloc(2 * sizeof *s->prefix_seeds, (void **)&s->prefix_seeds));
  TW_TRY(tw_seed_alloc(2 * 32, (void **)&s->dealer.prefix_seed));
  for (int party = 0; party < 2; party++) {
    tw_seed_random(&s->prefix_seeds[party]);
    memcpy(s->dealer.prefix_seed[party], s->prefix_seeds[party].key, 32);
  }
  return TW_OK;
}

static tw_status begin_shares(sharing *s, const tw_new_files *files) {
  for (int party = 0; party < 2; party++) {
    tw_model_share head = {.config = s->dealer.config,
                           .model_id = s->dealer.model_id,
                           .party = party,
                           .norm_weight = s->dealer.norm_weight,
                           .norm_bias = s->dealer.norm_bias,
                           .centred = s->dealer.centred,
                           .mask_seed = s->dealer.mask_seed[party],
                           .prefix = s->dealer.prefix};
    if (s->dealer.prefix_seed) head.prefix_seed = s->dealer.prefix_seed[party];
    TW_TRY(tw_model_share_begin(files->path[party].text, &head, &s->share[party]));
  }
  return TW_OK;
}

static tw_status share_tensor(sharing *s, int number) {
  char name[TW_TENSOR_NAME];
  size_t rows, cols;
  tw_model_tensor_shape(&s->dealer.config, number, name, &rows, &cols);
  TW_TRY(tw_model_file_begin(s->model, number));
  size_t most = s->room / cols * cols;
  for (size_t at = 0, part; at < rows * cols; at += part) {
    part = rows * cols - at < most ? rows * cols - at : most;
    TW_TRY(tw_model_file_next(s->model, part, s->values));
    TW_TRY(tw_fix_values(&s->dealer.config, number, at, part, s->values, s->masked));
    tw_mask_values(s->seeds, number, at, part, s->mask, s->masked);
    for (int party = 0; party < 2; party++) TW_TRY(tw_model_share_add(s->share[party], number, s->masked, part));
  }
  return TW_OK;
}

static tw_status share_cached(sharing *s, int number) {
  char name[TW_TENSOR_NAME];
  size_t rows, cols;
  uint64_t *values = s->cached[number - tw_model_tensor_count(&s->dealer.config)];
  tw_shared_shape(&s->dealer.config, s->dealer.prefix.rows, number, name, &rows, &cols);
  size_t most = s->room / cols * cols;
  for (size_t at = 0, part; at < rows * cols; at += part) {
    part = rows * cols - at < most ? rows * cols - at : most;
    tw_mask_values(s->prefix_seeds, number, at, part, s->mask, values + at);
    for (int party = 0; party < 2; party++) TW_TRY(tw_model_share_add(s->share[party], number, values + at, part));
  }
  return TW_OK;
}

static tw_status write_shares(sharing *s, tw_new_files *files) {
  tw_status status = begin_shares(s, files);
  int own = tw_model_tensor_count(&s->dealer.config), all = tw_shared_count(&s->dealer.config, s->dealer.prefix.rows);
  for (int i = 0; i < all && status == TW_OK; i++) status = i < own ? share_tensor(s, i) : share_cached(s, i);
  for (int party = 0; party < 2; party++) {
    status = tw_model_share_end(s->share[party], status);
    files->written[party] = status == TW_OK;
  }
  return status;
}

static tw_status write_files(sharing *s, tw_new_files *secret, tw_new_files *public) {
  TW_TRY(tw_new_files_begin(secret));
  TW_TRY(tw_new_files_begin(public));
  TW_TRY(write_shares(s, secret));
  TW_TRY(tw_model_dealer_write(secret->path[2].text, &s->dealer));
  secret->written[2] = true;
  return tw_model_id_write(public->path[0].text, &s->dealer.model_id, &s->dealer.config);
}

static tw_status share(sharing *s, const char *name, tw_new_files *secret, tw_new_files *public) {
  TW_TRY(tw_model_file_open(tw_path_of(name, "model.h5").text, &s->model));
  s->dealer.config = *tw_model_file_config(s->model);
  s->dealer.centred = tw_model_centres(&s->dealer.config);
  tw_id_random(&s->dealer.model_id);
  TW_TRY(look_at_norms(s));
  TW_TRY(look_at_prefix(s, name));
  TW_TRY(allocate(s));
  tw_status status = write_files(s, secret, public);
  tw_new_files_end(secret, status);
  return tw_new_files_end(public, status);
}

tw_status tw_share_model_files(const char *name, bool force, const char *const endings[3], tw_id *model_id) {
  static const char *const names[] = {"model.p0.h5", "model.p1.h5", "model.dealer.h5"}, *const id_suffix[] = {
                                                                                            "model.json"};
  char room[3][32];
  const char *const suffixes[] = {room[0], room[1], room[2]};
  for (int i = 0; i < 3; i++) snprintf(room[i], sizeof room[i], "%s%s", names[i], endings ? endings[i] : "");
  tw_new_files secret, public;
  sharing s = {.model = NULL};
  TW_TRY(tw_new_files_check(&secret, name, suffixes, 3, force));
  TW_TRY(tw_new_files_check(&public, name, id_suffix, 1, force));
  tw_status status = share(&s, name, &secret, &public);
  *model_id = s.dealer.model_id;
  tw_cached_free(s.cached, TW_CACHED_TENSORS * s.dealer.config.layers);
  tw_model_file_close(s.model);
  tw_model_dealer_free(&s.dealer);
  tw_seed_free(s.seeds, 2 * sizeof *s.seeds);
  tw_seed_free(s.prefix_seeds, 2 * sizeof *s.prefix_seeds);
  tw_free(s.values);
  tw_secret_free(s.masked, s.room * sizeof *s.masked);
  tw_secret_free(s.mask, s.room * sizeof *s.mask);
  tw_wipe_stack();
  return status;
}
