#include "jobs/parties/conversation_files.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "io/wipe.h"
#include "jobs/models/conversation.h"
#include "kernels/pack.h"

static tw_path cache_path(const char *name, int party) {
  return tw_path_of(name, party ? "cache.p1.h5" : "cache.p0.h5");
}

tw_status tw_conversation_open(const tw_plan *plan, const char *after, const char *name, const tw_input_share *input,
                               int party, bool replace, tw_conversation_files *out) {
  *out = (tw_conversation_files){.plan = plan, .party = party};
  if (!plan->shape.earlier) {
    if (!after) return TW_OK;
    return tw_fail(TW_ERR_USAGE, "--after %s: this plan has no conversations; plan with --conversation", after);
  }
  out->path = cache_path(name, party);
  if (after) {
    out->before_path = cache_path(after, party);
    TW_TRY(tw_cache_look(out->before_path.text, party, &out->before));
  }
  tw_cache shape = {.count = input->count, .each = tw_conversation_input_elements(&plan->shape)};
  return tw_cache_begin(out->path.text, &shape, replace, &out->place);
}

void tw_conversation_close(tw_conversation_files *c) {
  tw_cache_release(c->place);
  tw_cache_free(&c->before);
  tw_cache_free(&c->next);
  c->place = NULL;
}

// ---- before the run

static tw_status differ(const tw_conversation_files *c, const char *what, const char *remedy) {
  return tw_fail(TW_ERR_MISMATCH, "%s: is of another %s; %s", c->before_path.text, what, remedy);
}

static tw_status check_before(const tw_conversation_files *c, const tw_id *model_id, const tw_input_share *input) {
  const tw_cache *b = &c->before;
  if (strcmp(b->model_id.hex, model_id->hex) != 0)
    return differ(c, "sharing of the model", "take the model's share of its turns");
  if (strcmp(b->plan.hex, c->plan->digest.hex) != 0)
    return differ(c, "plan", "all turns of a conversation have one plan");
  if (strcmp(b->input_id.hex, input->after.hex) != 0)
    return differ(c, "turn than the one that the input goes on behind",
                  "name that turn (--after), or encode behind this one (`twain encode --after`)");
  if (b->count != input->count)
    return tw_fail(TW_ERR_MISMATCH, "%s: is of %d sequences, the input has %d; a turn has as many as the one before",
                   c->before_path.text, b->count, input->count);
  if (b->each != tw_conversation_input_elements(&c->plan->shape))
    return tw_fail(TW_ERR_FORMAT, "%s: %zu elements a sequence do not fit the plan", c->before_path.text, b->each);
  for (int i = 0; i < b->count; i++)
    if (b->rows[i] < 1 || b->rows[i] > c->plan->shape.earlier)
      return tw_fail(TW_ERR_FORMAT, "%s: dataset rows: sequence %d has %d of %d", c->before_path.text, i, b->rows[i],
                     c->plan->shape.earlier);
  return TW_OK;
}

tw_status tw_conversation_check(const tw_conversation_files *c, const tw_id *model_id, const tw_input_share *input,
                                const tw_ledger *ledger) {
  if (c->before.count) {
    TW_TRY(check_before(c, model_id, input));
    return tw_ledger_turn_check(ledger, c->party, &c->before.turn);
  }
  if (!input->after.hex[0]) return TW_OK;
  return tw_fail(TW_ERR_USAGE,
                 "the input goes on behind input %s; name the turn of that input (--after NAME), whose cache is "
                 "NAME.cache.p%d.h5",
                 input->after.hex, c->party);
}

tw_status tw_conversation_mark(const tw_conversation_files *c, const tw_ledger *ledger) {
  return c->before.count ? tw_ledger_turn_read(ledger, c->party, &c->before.turn, c->path.text) : TW_OK;
}

// ---- the input

size_t tw_conversation_words(const tw_conversation_files *c, const tw_input_share *input) {
  return tw_input_share_elements(input) + (size_t)input->count * tw_conversation_input_elements(&c->plan->shape);
}

tw_status tw_conversation_input(const tw_conversation_files *c, const tw_input_share *input, uint64_t *words) {
  size_t own = tw_input_share_elements(input), all = tw_conversation_words(c, input);
  memcpy(words, input->share, 8 * own);
  memset(words + own, 0, 8 * (all - own));
  if (!c->before.count) return TW_OK;
  TW_TRY(tw_cache_read(c->before_path.text, &c->before, words + own));
  return tw_file_wipe(c->before_path.text);
}

// ---- what is left

// A wire's share b X^ - r_b, in the place of X^.
static void as_share(int party, int ring, size_t n, const uint64_t *mask, uint64_t *masked) {
  for (size_t i = 0; i < n; i++) masked[i] = ((party ? masked[i] : 0) - mask[i]) & tw_mask(ring);
}

static tw_status keep_results(tw_conversation_files *c, tw_engine *engine, const int *lengths) {
  const tw_layer_shape *shape = &c->plan->shape;
  const tw_program *p = &c->plan->program;
  size_t largest = 0, count = (size_t)c->next.count;
  uint64_t *masked;
  for (int k = 1; k < p->output_count; k++)
    if (p->tensors[p->outputs[k]].n > largest) largest = p->tensors[p->outputs[k]].n;
  TW_TRY(tw_secret_alloc(16 * count * largest, (void **)&masked));
  tw_status status = TW_OK;
  for (int k = 0; k < 2 * shape->config.layers && status == TW_OK; k++) {
    const tw_tensor *t = &p->tensors[p->outputs[1 + k]];
    uint64_t *mask = masked + count * t->n;
    status = tw_engine_output(engine, 1 + k, masked, mask);
    if (status == TW_OK) as_share(c->party, t->ring, count * t->n, mask, masked);
    for (size_t s = 0; s < count && status == TW_OK; s++)
      tw_conversation_keep(shape, k, c->before.count ? c->before.rows[s] : 0, lengths[s], masked + s * t->n,
                           c->next.share + s * c->next.each);
  }
  tw_secret_free(masked, 16 * count * largest);
  return status;
}

tw_status tw_conversation_leave(tw_conversation_files *c, tw_engine *engine, const tw_id *model_id,
                                const tw_input_share *input, const tw_id *run, int *sequence) {
  tw_cache *next = &c->next;
  *sequence = -1;
  if (!c->place) return TW_OK;
  *next = (tw_cache){.turn = {.conversation = *run, .run = *run, .number = 1},
                     .model_id = *model_id,
                     .input_id = input->input_id,
                     .plan = c->plan->digest,
                     .party = c->party,
                     .each = tw_conversation_input_elements(&c->plan->shape)};
  if (c->before.count) {
    next->turn.conversation = c->before.turn.conversation;
    next->turn.number = c->before.turn.number + 1;
  }
  TW_TRY(tw_alloc((size_t)input->count * sizeof *next->rows, (void **)&next->rows));
  for (int i = 0; i < input->count; i++) {
    int earlier = c->before.count ? c->before.rows[i] : 0;
    next->rows[i] = tw_conversation_rows(&c->plan->shape, earlier, input->lengths[i]);
    if (next->rows[i] > c->plan->shape.earlier && *sequence < 0) *sequence = i;
  }
  if (*sequence >= 0) return TW_OK;
  next->count = input->count;
  TW_TRY(tw_share_alloc(8 * (size_t)next->count * next->each, (void **)&next->share));
  return keep_results(c, engine, input->lengths);
}

tw_status tw_conversation_fill(tw_conversation_files *c) {
  return c->next.count ? tw_cache_fill(c->place, &c->next) : TW_OK;
}

tw_status tw_conversation_commit(tw_conversation_files *c, const tw_ledger *ledger) {
  if (!c->next.count) return TW_OK;
  TW_TRY(tw_ledger_turn_kept(ledger, c->party, &c->next.turn));
  tw_cache_claim *place = c->place;
  c->place = NULL;
  return tw_cache_commit(place);
}
