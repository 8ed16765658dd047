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

tw_status tw_conversation_look(const tw_plan *plan, const char *after, int party, tw_conversation_files *out) {
  *out = (tw_conversation_files){.plan = plan, .party = party, .full = -1};
  if (!after) return TW_OK;
  if (!plan->shape.earlier)
    return tw_fail(TW_ERR_USAGE, "--after %s: this plan has no conversations; plan with --conversation", after);
  out->before_path = cache_path(after, party);
  return tw_cache_look(out->before_path.text, party, &out->before);
}

tw_status tw_conversation_claim(tw_conversation_files *c, const char *name, const tw_input_share *input, bool replace) {
  tw_cache shape = {.count = input->count, .each = tw_conversation_input_elements(&c->plan->shape)};
  c->path = cache_path(name, c->party);
  return tw_cache_begin(c->path.text, &shape, replace, &c->place);
}

tw_status tw_conversation_open(const tw_plan *plan, const char *after, const char *name, const tw_input_share *input,
                               int party, bool replace, tw_conversation_files *out) {
  TW_TRY(tw_conversation_look(plan, after, party, out));
  return plan->shape.earlier ? tw_conversation_claim(out, name, input, replace) : TW_OK;
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

tw_status tw_conversation_check(const tw_turn_files *turn, const tw_id *model_id, const tw_ledger *ledger) {
  const tw_conversation_files *c = turn->files;
  const tw_input_share *input = turn->input;
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
  const char *note = *c->path.text ? c->path.text : "the last turn";
  return c->before.count ? tw_ledger_turn_read(ledger, c->party, &c->before.turn, note) : TW_OK;
}

tw_id tw_turns_before(const tw_turn_files *turns, int count) {
  const tw_id none = {.hex = ""};
  tw_id all = none;
  tw_digest digest;
  bool any = false;
  if (count == 1) return turns->files->before.turn.run;
  for (int i = 0; i < count; i++) {
    const tw_cache *b = &turns[i].files->before;
    const tw_id said[] = {all, b->turn.conversation, b->turn.run};
    tw_digest_of(said, sizeof said, &digest);
    memcpy(all.hex, digest.hex, sizeof all.hex - 1);
    any |= b->count > 0;
  }
  return any ? all : none;
}

// ---- the input

size_t tw_turns_words(const tw_plan *plan, const tw_input_share *joined) {
  return tw_input_share_elements(joined) + (size_t)joined->count * tw_conversation_input_elements(&plan->shape);
}

static tw_status take_cache(const tw_conversation_files *c, int count, uint64_t *words, int *earlier) {
  size_t bytes = 8 * (size_t)count * tw_conversation_input_elements(&c->plan->shape);
  memset(words, 0, bytes);
  memset(earlier, 0, (size_t)count * sizeof *earlier);
  if (!c->before.count) return TW_OK;
  memcpy(earlier, c->before.rows, (size_t)count * sizeof *earlier);
  TW_TRY(tw_cache_read(c->before_path.text, &c->before, words));
  return tw_file_wipe(c->before_path.text);
}

tw_status tw_turns_input(const tw_turn_files *turns, int count, const tw_input_share *joined, uint64_t *words,
                         int *earlier) {
  size_t own = tw_input_share_elements(joined), at = 0;
  memcpy(words, joined->share, 8 * own);
  for (int i = 0; i < count; at += (size_t)turns[i++].input->count) {
    const tw_conversation_files *c = turns[i].files;
    size_t each = tw_conversation_input_elements(&c->plan->shape);
    TW_TRY(take_cache(c, turns[i].input->count, words + own + at * each, earlier + at));
  }
  return TW_OK;
}

// ---- what is left

// A wire's share b X^ - r_b, in the place of X^.
static void as_share(int party, int ring, size_t n, const uint64_t *mask, uint64_t *masked) {
  for (size_t i = 0; i < n; i++) masked[i] = ((party ? masked[i] : 0) - mask[i]) & tw_mask(ring);
}

// Of result 1 + k of all sequences, shares [][n]: each turn's to its place.
static void keep_result(const tw_turn_files *turns, int count, int k, size_t n, const uint64_t *share) {
  for (int i = 0; i < count; share += n * (size_t)turns[i++].input->count) {
    tw_conversation_files *c = turns[i].files;
    for (int s = 0; s < c->next.count; s++)
      tw_conversation_keep(&c->plan->shape, k, c->before.count ? c->before.rows[s] : 0, turns[i].input->lengths[s],
                           share + (size_t)s * n, c->next.share + (size_t)s * c->next.each);
  }
}

static tw_status keep_results(const tw_turn_files *turns, int count, tw_engine *engine) {
  const tw_plan *plan = turns->files->plan;
  const tw_program *p = &plan->program;
  size_t largest = 0, sequences = 0;
  uint64_t *masked;
  for (int i = 0; i < count; i++) sequences += (size_t)turns[i].input->count;
  for (int k = 1; k < p->output_count; k++)
    if (p->tensors[p->outputs[k]].n > largest) largest = p->tensors[p->outputs[k]].n;
  TW_TRY(tw_secret_alloc(16 * sequences * largest, (void **)&masked));
  tw_status status = TW_OK;
  for (int k = 0; k < 2 * plan->shape.config.layers && status == TW_OK; k++) {
    const tw_tensor *t = &p->tensors[p->outputs[1 + k]];
    uint64_t *mask = masked + sequences * t->n;
    status = tw_engine_output(engine, 1 + k, masked, mask);
    if (status != TW_OK) break;
    as_share(turns->files->party, t->ring, sequences * t->n, mask, masked);
    keep_result(turns, count, k, t->n, masked);
  }
  tw_secret_free(masked, 16 * sequences * largest);
  return status;
}

// Turns of one run are told apart by what begins with each: an id that both parties know, and no other run has.
static tw_id name_of(const tw_id *run, const tw_input_share *input, bool alone) {
  const tw_id said[] = {*run, input->input_id};
  tw_digest digest;
  tw_id id = *run;
  if (alone) return id;
  tw_digest_of(said, sizeof said, &digest);
  memcpy(id.hex, digest.hex, sizeof id.hex - 1);
  return id;
}

// What the cache will say, and its room; count stays 0 where there will be none.
static tw_status begin_next(const tw_turn_files *turn, const tw_id *model_id, const tw_id *run, bool alone) {
  tw_conversation_files *c = turn->files;
  const tw_input_share *input = turn->input;
  tw_cache *next = &c->next;
  if (!c->place) return TW_OK;
  *next = (tw_cache){.turn = {.conversation = name_of(run, input, alone), .run = *run, .number = 1},
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
    if (next->rows[i] > c->plan->shape.earlier && c->full < 0) c->full = i;
  }
  if (c->full >= 0) return TW_OK;
  next->count = input->count;
  return tw_share_alloc(8 * (size_t)next->count * next->each, (void **)&next->share);
}

tw_status tw_turns_leave(const tw_turn_files *turns, int count, tw_engine *engine, const tw_id *model_id,
                         const tw_id *run) {
  bool any = false;
  for (int i = 0; i < count; i++) {
    TW_TRY(begin_next(&turns[i], model_id, run, count == 1));
    any |= turns[i].files->next.count > 0;
  }
  return any ? keep_results(turns, count, engine) : TW_OK;
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
