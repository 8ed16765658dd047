#include "jobs/parties/service.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "io/unfinished.h"
#include "jobs/models/conversation.h"
#include "jobs/parties/earlier.h"
#include "jobs/parties/handshake.h"
#include "jobs/parties/service_finished.h"
#include "jobs/parties/service_pairs.h"
#include "jobs/parties/service_part.h"
#include "jobs/parties/service_turns.h"

enum { AT_ONCE = 12 };  // inputs of one run: what a signal removes is remembered for so many (io/unfinished.h)

// An input that was chosen.
typedef struct {
  char name[TW_QUEUE_NAME];
  tw_input_share input;
  tw_result_claim *place;
  tw_conversation_files conversation;
  bool sealed;  // so it came, and so its result goes
  bool good;    // of this party's own share; the other one's is `offer`
  char reason[TW_QUEUE_REASON];
} chosen;

// What one party says of its share.
typedef struct {
  uint8_t good, goes_on;
  tw_id input_id, after, run;  // of a later turn: the input that it goes on behind, and that turn's run
  tw_digest lengths;
  uint64_t count;
} offer;

typedef struct {
  const tw_service_options *o;
  const tw_live_dealer *dealer;
  tw_key_store *keys;
  tw_run_options *run;
  const tw_environment *e;
  tw_queue *queue;
  tw_engine *engine;
  tw_input_share input;  // of a run: those of all its inputs
  size_t room;           // elements
  uint64_t *earlier;     // of conversations: inputs with what was kept, [earlier_words]
  size_t earlier_words;
  tw_service_turns kept;
  tw_turn_files turns[AT_ONCE];
  char spent[TW_SLOTS_TEXT];
  chosen list[AT_ONCE];
  int count;
  uint64_t done;  // inputs
  tw_service_pairs pairs;
} service;

static int party_of(const service *s) { return s->run->channel->party; }

static void say(const service *s, const char *text) {
  if (s->o->note) s->o->note(s->o->state, text);
}

static void note(const service *s, const char *text) {
  if (!s->o->quiet) say(s, text);
}

static void note_refused(void *state, const char *name, const char *reason) {
  service *s = state;
  char text[TW_QUEUE_NAME + TW_QUEUE_REASON + 32];
  tw_service_pairs_refused(&s->pairs, name);
  snprintf(text, sizeof text, "refused %s: %s", name, reason);
  say(state, text);
}

static tw_status agree(service *s, tw_status found) {
  tw_terms none;
  memset(&none, 0, sizeof none);
  return tw_agree(s->run->channel, found, &none);
}

// ---- what was chosen

static tw_status choose(service *s, bool *stop) {
  char names[AT_ONCE][TW_QUEUE_NAME];
  int most = s->o->batch < AT_ONCE ? s->o->batch : AT_ONCE, count;
  tw_status found = tw_service_turns_tidy(&s->kept);
  TW_TRY(tw_service_pairs_meet(&s->pairs, found, most, names, &count, stop));
  for (s->count = 0; s->count < count; s->count++) {
    memset(&s->list[s->count], 0, sizeof s->list[0]);
    memcpy(s->list[s->count].name, names[s->count], TW_QUEUE_NAME);
  }
  return TW_OK;
}

static void drop(chosen *c) {
  tw_input_share_free(&c->input);
  tw_result_claim_release(c->place);
  tw_conversation_close(&c->conversation);
  c->place = NULL;
}

static void drop_all(service *s) {
  for (int i = 0; i < s->count; i++) drop(&s->list[i]);
  s->count = 0;
}

static tw_status check_alone(const service *s, const tw_input_share *input) {
  if (input->count <= s->o->batch) return TW_OK;
  return tw_fail(TW_ERR_RANGE, "%d sequences, and this service takes at most %d at once; send several inputs",
                 input->count, s->o->batch);
}

// Begins a conversation that goes on.
static bool begins(const chosen *c) { return c->good && c->input.goes_on && !c->input.after.hex[0]; }

static tw_status take_turn(service *s, chosen *c) {
  char client[TW_QUEUE_WORD + 1], other[TW_QUEUE_WORD + 1], detail[TW_SERVICE_TURNS_DETAIL];
  int begun = 0;
  tw_queue_divide(c->name, client);
  for (const chosen *before = s->list; before < c; before++) {
    tw_queue_divide(before->name, other);
    begun += begins(before) && strcmp(other, client) == 0;
  }
  tw_status status = tw_service_turns_take(&s->kept, s->run, c->name, &c->input, begun, &c->conversation, detail);
  if (status != TW_OK && *detail) say(s, detail);
  return status;
}

static void load(service *s, chosen *c) {
  tw_queue_copy copy;
  tw_status status = tw_queue_take(s->queue, c->name, &copy);
  if (status == TW_OK) status = tw_input_share_read(copy.path.text, party_of(s), &c->input);
  if (status == TW_OK) status = tw_run_check_input(s->run->plan, s->run->model, &c->input);
  if (status == TW_OK) status = check_alone(s, &c->input);
  if (status == TW_OK) status = take_turn(s, c);
  c->good = status == TW_OK;
  c->sealed = copy.sealed;
  if (!c->good) tw_queue_reason(s->queue, c->name, &copy, c->reason);
  tw_queue_drop(&copy);
}

static offer offer_of(const chosen *c) {
  offer o;
  memset(&o, 0, sizeof o);
  o.good = c->good;
  if (!c->good) return o;
  o.goes_on = c->input.goes_on;
  o.input_id = c->input.input_id;
  o.after = c->input.after;
  o.run = c->conversation.before.turn.run;
  o.count = (uint64_t)c->input.count;
  tw_digest_of(c->input.lengths, sizeof *c->input.lengths * (size_t)c->input.count, &o.lengths);
  return o;
}

// Removes entry i from the list.
static void take_out(service *s, int i) {
  drop(&s->list[i]);
  memmove(&s->list[i], &s->list[i + 1], sizeof s->list[0] * (size_t)(s->count - i - 1));
  s->count--;
}

// Whether one of the first `count` goes on behind the same turn: then this one waits, and finds nothing to go on
// behind.
static bool is_second(const service *s, int count, const chosen *c) {
  for (int i = 0; i < count && c->input.after.hex[0]; i++)
    if (strcmp(s->list[i].conversation.before_path.text, c->conversation.before_path.text) == 0) return true;
  return false;
}

static void judge(const service *s, chosen *c, const offer *mine, const offer *theirs) {
  bool same = memcmp(mine, theirs, sizeof *mine) == 0;
  if (c->good && !theirs->good)
    snprintf(c->reason, sizeof c->reason, "party %d refuses its share", 1 - party_of(s));
  else if (c->good && strcmp(mine->run.hex, theirs->run.hex) != 0)
    snprintf(c->reason, sizeof c->reason, "the parties keep different turns of this conversation; begin a new one");
  else if (c->good && !same)
    snprintf(c->reason, sizeof c->reason, "the two shares are not of one input: their ids or lengths differ");
}

// What either party finds wrong is refused on both, and what is too many for one run waits.
static tw_status compare_shares(service *s) {
  offer mine[AT_ONCE], theirs[AT_ONCE];
  int sequences = 0, n = s->count, at = 0;
  for (int i = 0; i < n; i++) {
    load(s, &s->list[i]);
    mine[i] = offer_of(&s->list[i]);
  }
  TW_TRY(tw_channel_exchange(s->run->channel, mine, theirs, sizeof *mine * (size_t)n));
  for (int i = 0; i < n; i++) {
    chosen *c = &s->list[at];
    judge(s, c, &mine[i], &theirs[i]);
    if (*c->reason) {
      tw_queue_refuse(s->queue, c->name, c->reason);
      take_out(s, at);
    } else if (sequences + c->input.count > s->o->batch || is_second(s, at, c)) {
      take_out(s, at);
    } else {
      sequences += s->list[at++].input.count;
    }
  }
  return TW_OK;
}

// ---- one run

static size_t elements_of(const service *s) {
  const tw_program *p = &s->run->plan->program;
  return p->tensors[p->inputs[0]].n;
}

// The names of what is in hand, as many as find room.
static void name_all(const service *s, char *text, size_t size) {
  size_t used = 0;
  *text = '\0';
  for (int i = 0; i < s->count && used + TW_QUEUE_NAME + 2 < size; i++)
    used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", s->list[i].name);
}

static void list_turns(service *s) {
  for (int i = 0; i < s->count; i++) s->turns[i] = (tw_turn_files){&s->list[i].input, &s->list[i].conversation};
  s->run->turns = s->turns;
  s->run->turn_count = s->count;
}

// All inputs of the run as one, whose id follows from theirs.
static tw_status join(service *s) {
  const tw_input_share *first = &s->list[0].input;
  tw_digest digest;
  char ids[AT_ONCE * sizeof(tw_id)] = "";
  tw_input_share *all = &s->input;
  uint64_t *share = all->share;
  tw_free(all->lengths);
  *all = *first;
  all->share = share;
  all->lengths = NULL;
  all->count = 0;
  for (int i = 0; i < s->count; i++) {
    memcpy(ids + i * (int)sizeof(tw_id), &s->list[i].input.input_id, sizeof(tw_id));
    all->count += s->list[i].input.count;
  }
  if (s->count > 1) {
    tw_digest_of(ids, sizeof(tw_id) * (size_t)s->count, &digest);
    memcpy(all->input_id.hex, digest.hex, sizeof all->input_id.hex - 1);
  }
  TW_TRY(tw_alloc(sizeof *all->lengths * (size_t)all->count, (void **)&all->lengths));
  size_t each = tw_input_share_elements(first) / (size_t)first->count;
  for (int i = 0, at = 0; i < s->count; at += s->list[i++].input.count) {
    const tw_input_share *one = &s->list[i].input;
    memcpy(all->lengths + at, one->lengths, sizeof *one->lengths * (size_t)one->count);
    memcpy(all->share + (size_t)at * each, one->share, sizeof *one->share * (size_t)one->count * each);
  }
  return TW_OK;
}

// Names and room on the disk, before any slot is marked.
static tw_status claim(service *s) {
  tw_result_share shape = {.row_count = s->run->plan->program.step_count};
  tw_plan_output_shape(s->run->plan, &shape.rows, &shape.cols);
  for (int i = 0; i < s->count; i++) {
    tw_path path;
    TW_TRY(tw_service_turns_claim(&s->kept, s->list[i].name, &s->list[i].input, &s->list[i].conversation));
    if (s->list[i].place) continue;
    shape.count = s->list[i].input.count;
    TW_TRY(tw_queue_place(s->queue, s->list[i].name, s->list[i].sealed, &path));
    TW_TRY(tw_result_share_claim(path.text, &shape, false, &s->list[i].place));
  }
  return TW_OK;
}

static tw_status finish_one(chosen *c, const tw_result_share *part) {
  TW_TRY(tw_result_share_fill(c->place, part));
  TW_TRY(tw_conversation_fill(&c->conversation));
  tw_result_claim *place = c->place;
  c->place = NULL;
  return tw_result_claim_commit(place);
}

// From here on a signal or a failure leaves the results where they are.
static tw_status finish(service *s, const tw_result_share *all) {
  tw_cost_row *rows;
  tw_status status = tw_alloc(sizeof *rows * (size_t)(all->row_count + 1), (void **)&rows);
  for (int i = 0, first = 0; i < s->count && status == TW_OK; first += s->list[i++].input.count) {
    tw_result_share part = tw_service_part(all, &s->list[i].input, first, rows);
    status = finish_one(&s->list[i], &part);
  }
  tw_unfinished_keep();
  tw_free(rows);
  return status;
}

static tw_service_finished finished_of(const service *s) {
  return (tw_service_finished){s->queue, s->run->channel, s->o->note, s->o->state};
}

// What is not delivered by the end of this is so when the service begins again. What is refused is in hand no more,
// nor, after a failure, what is delivered.
static tw_status deliver(service *s, tw_status found, const tw_result_share *all) {
  const tw_service_finished f = finished_of(s);
  tw_service_result list[AT_ONCE];
  for (int i = 0; i < s->count; i++)
    list[i] = (tw_service_result){.name = s->list[i].name, .conversation = &s->list[i].conversation};
  tw_status status = tw_service_finished_deliver(&f, s->run->ledger, found, all, list, s->count);
  for (int i = s->count; i-- > 0;) {
    s->done += list[i].delivered;
    if (list[i].refused || (status != TW_OK && list[i].delivered)) take_out(s, i);
  }
  return status;
}

static void note_run(const service *s, const tw_result_share *r) {
  char text[2 * TW_QUEUE_NAME * AT_ONCE], names[TW_QUEUE_NAME * AT_ONCE];
  name_all(s, names, sizeof names);
  snprintf(text, sizeof text, "%s: %d sequence%s, key slot%s %s, %.3f s and %.3f s before", names, r->count,
           r->count == 1 ? "" : "s", r->count == 1 ? "" : "s", s->spent, r->online_seconds,
           r->setup_seconds + r->preparation_seconds);
  note(s, text);
  for (int i = 0; i < s->count; i++) {
    const tw_conversation_files *c = &s->list[i].conversation;
    if (c->full < 0) continue;
    snprintf(text, sizeof text,
             "%s ends its conversation: it has %d tokens by now, and the plan's turns read at most %d", s->list[i].name,
             c->next.rows[c->full], c->plan->shape.earlier);
    note(s, text);
  }
}

// Keys of this run, where a live dealer has them.
static tw_status open_keys(service *s) {
  if (!s->dealer) return TW_OK;
  tw_key_store_close(s->keys);
  return tw_live_keys_open(s->dealer, s->run->plan, &s->run->model->model_id, party_of(s), s->keys);
}

static tw_status compute(service *s, tw_result_share *result) {
  tw_status found = join(s);
  list_turns(s);
  if (found == TW_OK) found = claim(s);
  if (found == TW_OK) found = open_keys(s);
  TW_TRY(agree(s, found));
  s->run->input = &s->input;
  return tw_run(s->run, result);
}

// Fewer slots may be left than a whole batch takes.
static tw_status compute_what_keys_allow(service *s, tw_result_share *result) {
  tw_status status = compute(s, result);
  while (status == TW_ERR_USED && s->count > 1 && !*s->spent) {
    for (int keep = s->count / 2; s->count > keep;) take_out(s, s->count - 1);
    status = compute(s, result);
  }
  return status;
}

static tw_status run_chosen(service *s) {
  tw_result_share result;
  TW_TRY(compute_what_keys_allow(s, &result));
  tw_environment e = *s->e;
  memcpy(e.device, result.environment.device, sizeof e.device);
  memcpy(e.transport, result.environment.transport, sizeof e.transport);
  memcpy(e.transport_why, result.environment.transport_why, sizeof e.transport_why);
  result.environment = e;
  tw_status status = deliver(s, finish(s, &result), &result);
  if (status == TW_OK && s->count > 0) note_run(s, &result);
  tw_result_share_free(&result);
  return status;
}

// ---- all of it

// Both parties alike, as they count the same turns in which nothing came.
static void rest(int turns) {
  enum { SHORT = 20, LONG = 100, SOON = 500 };  // ms, ms, turns
  const struct timespec tick = {0, 1000000L * (turns < SOON ? SHORT : LONG)};
  nanosleep(&tick, NULL);
}

static tw_status serve(service *s) {
  for (int idle = 0;; idle = s->count ? 0 : idle + (idle < INT_MAX)) {
    bool stop = false;
    drop_all(s);
    *s->spent = '\0';
    TW_TRY(choose(s, &stop));
    if (stop && s->pairs.signalled) return tw_fail(TW_STOPPED, "stopped by a signal after the work in hand");
    if (stop) return TW_OK;
    if (s->count == 0) {
      rest(idle);
      continue;
    }
    TW_TRY(compare_shares(s));
    if (s->count > 0) TW_TRY(run_chosen(s));
  }
}

static tw_queue_options queue_options(const tw_service_options *o, int party) {
  return (tw_queue_options){.folder = o->folder,
                            .out = o->out,
                            .seal = o->seal,
                            .party = party,
                            .most = o->most,
                            .client_most = o->client_most};
}

tw_status tw_service_look(const tw_service_options *o, const tw_plan *plan, int party) {
  tw_queue *queue;
  tw_queue_options options = queue_options(o, party);
  TW_TRY(tw_service_turns_check(o->caches, plan));
  TW_TRY(tw_queue_open(&options, &queue));
  tw_queue_close(queue);
  return TW_OK;
}

static tw_status make_room_for_turns(service *s) {
  const tw_plan *plan = s->run->plan;
  s->kept = (tw_service_turns){
      .folder = {s->o->caches, party_of(s)}, .most = s->o->conversations, .seconds = s->o->idle_seconds};
  if (!plan->shape.earlier) return TW_OK;
  s->earlier_words = s->room + (size_t)s->o->batch * tw_conversation_input_elements(&plan->shape);
  TW_TRY(tw_share_alloc(8 * s->earlier_words, (void **)&s->earlier));
  s->run->earlier_room = s->earlier;
  return TW_OK;
}

// Parties that take different numbers at once would choose different inputs.
static tw_status agree_batch(const service *s) {
  bool stopped, done;  // by a signal: seen when inputs are chosen; nothing is done already
  return tw_beginning_agree(s->run->channel, &(tw_beginning){.batch = (uint32_t)s->o->batch}, &stopped, &done);
}

// The room for shares, at one address; the queue; an engine for the largest batch, so that what finds no memory says so
// before anything is in hand.
static tw_status begin(service *s) {
  const tw_plan *plan = s->run->plan;
  tw_queue_options queue = queue_options(s->o, party_of(s));
  queue.refused = note_refused;
  queue.state = s;
  s->run->input = NULL;
  s->room = elements_of(s) * (size_t)s->o->batch;
  queue.largest = 8 * (uint64_t)s->room + 4 * (uint64_t)s->o->batch + (1 << 20);  // and HDF5's own
  bool single = plan->program.input_count == 1 && plan->program.output_count == 1;
  tw_status found = single || plan->shape.earlier
                        ? TW_OK
                        : tw_fail(TW_ERR_INTERNAL, "a service of a plan with several inputs or results");
  if (found == TW_OK) found = tw_service_turns_check(s->o->caches, plan);
  if (found == TW_OK && !s->dealer) found = tw_run_look(s->run, party_of(s));
  if (found == TW_OK) found = tw_share_alloc(8 * s->room, (void **)&s->input.share);
  if (found == TW_OK) found = make_room_for_turns(s);
  if (found == TW_OK) found = tw_queue_open(&queue, &s->queue);
  TW_TRY(agree(s, found));
  TW_TRY(agree_batch(s));
  s->pairs = (tw_service_pairs){.queue = s->queue, .channel = s->run->channel, .seconds = s->o->pair_seconds};
  s->run->engine = &s->engine;
  s->run->spent = s->spent;
  s->run->input = &s->input;
  const tw_service_finished finished = finished_of(s);
  TW_TRY(tw_service_finished_settle(&finished));
  if (s->dealer) tw_key_store_close(s->keys);  // until there is an input
  TW_TRY(tw_run_set_up(s->run, s->o->batch));
  char text[160];
  snprintf(text, sizeof text, "serves: at most %d sequence%s at once", s->o->batch, s->o->batch == 1 ? "" : "s");
  note(s, text);
  return TW_OK;
}

static tw_status in_hand(const service *s, tw_status status) {
  char message[1400], names[TW_QUEUE_NAME * AT_ONCE];
  if (status == TW_OK) return status;
  snprintf(message, sizeof message, "%s", tw_error_message());
  name_all(s, names, sizeof names);
  if (s->count == 0)
    return tw_fail(status, "%s; %" PRIu64 " inputs were served before, and none was in hand", message, s->done);
  return tw_fail(status, "%s; %" PRIu64 " inputs were served before; in hand, and in the queue still: %s; %s%s",
                 message, s->done, names, *s->spent ? "used up: key slots " : "no key slot was used for it", s->spent);
}

tw_status tw_service(const tw_service_options *options, const tw_live_dealer *dealer, tw_key_store *keys,
                     tw_run_options *run, const tw_environment *e) {
  service *s = calloc(1, sizeof *s);
  if (!s) return tw_fail(TW_ERR_MEMORY, "out of memory");
  *s = (service){.o = options, .dealer = dealer, .keys = keys, .run = run, .e = e};
  tw_status status = begin(s);
  if (status == TW_OK) status = serve(s);
  if (status == TW_OK) tw_queue_remove_stop(s->queue);
  status = in_hand(s, status);
  drop_all(s);
  tw_engine_destroy(s->engine);
  tw_queue_close(s->queue);
  tw_free(s->input.lengths);
  tw_share_free(s->input.share, 8 * s->room);
  tw_share_free(s->earlier, 8 * s->earlier_words);
  free(s);
  return status;
}
