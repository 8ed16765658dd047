#include "jobs/parties/run.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/ranges.h"
#include "io/audit.h"
#include "jobs/parties/handshake.h"
#include "jobs/parties/key_choice.h"
#include "jobs/parties/slots.h"

// Everything one party holds during a run.
typedef struct {
  const tw_run_options *o;
  const tw_key_store *keys;  // of o's
  int party, batch;
  uint64_t *slots;
  tw_seed *seeds;
  uint64_t *turn;  // of a conversation: the input with what the caches held; NULL: the input alone
  int *earlier;    // [batch] rows of it; NULL: there are none
  tw_engine *engine;
} party_run;

// ---- before the handshake: what this party can see alone ----

static tw_status check_input(const tw_input_share *input, const tw_plan *plan) {
  int bits = tw_plan_number_bits(plan), seq = plan->shape.seq, hidden = bits ? 0 : plan->shape.config.hidden;
  if (!bits != !input->number_bits)
    return tw_fail(TW_ERR_MISMATCH, "the input file holds %s, but this plan takes %s; encode and share again",
                   input->number_bits ? "word numbers" : "embedded rows", bits ? "word numbers" : "embedded rows");
  if (input->number_bits != bits)
    return tw_fail(TW_ERR_MISMATCH,
                   "the input holds word numbers of %d bits, the plan's have %d; encode and share again",
                   input->number_bits, bits);
  if (input->seq != seq || input->hidden != hidden)
    return tw_fail(TW_ERR_MISMATCH, "the input is [%d][%d], the plan wants [%d][%d]; encode and share again",
                   input->seq, input->hidden, seq, hidden);
  for (int i = 0; i < input->count; i++)
    if (input->lengths[i] < 1 || input->lengths[i] > seq)
      return tw_fail(TW_ERR_FORMAT, "sequence %d has %d live tokens of %d", i, input->lengths[i], seq);
  return TW_OK;
}

static tw_status check_key_ids(const tw_run_options *o, const tw_keys_info *k) {
  if (strcmp(k->model_id.hex, o->model->model_id.hex) != 0)
    return tw_fail(TW_ERR_MISMATCH, "the keys were dealt for model %s, the model share is %s; deal keys for this model",
                   k->model_id.hex, o->model->model_id.hex);
  if (strcmp(k->plan.hex, o->plan->digest.hex) != 0)
    return tw_fail(TW_ERR_MISMATCH,
                   "the keys were dealt for plan %s, the plan file is %s: another plan, or the same model's by other "
                   "choices (--engine and the like); deal keys for this plan, or put the plan there that they are for",
                   k->plan.hex, o->plan->digest.hex);
  return TW_OK;
}

static int needed_slots(const tw_run_options *o) { return o->needed ? o->needed : o->input ? o->input->count : 1; }

static tw_status check_keys(const tw_run_options *o, const tw_keys_info *k, int party) {
  const tw_program *p = &o->plan->program;
  if (k->slot_bytes != p->slot_bytes[party] || k->index_count != (uint64_t)p->correction_count)
    return tw_fail(TW_ERR_MISMATCH, "the key file's slots of %" PRIu64 " bytes do not fit the plan's %" PRIu64,
                   k->slot_bytes, p->slot_bytes[party]);
  TW_TRY(tw_key_check_index(k, p, party));
  if (k->test && !o->allow_test_keys)
    return tw_fail(TW_ERR_USAGE,
                   "the key file is marked TEST: its seeds are known, nothing is private; deal real keys, or say "
                   "--allow-test-keys");
  int needed = needed_slots(o);
  if (o->key_files < 2 && needed >= 0 && (needed < 1 || (uint64_t)needed > k->count))
    return tw_fail(TW_ERR_USED,
                   "%d sequences need %d key slots, the key file holds %" PRIu64
                   "; deal more keys: `twain deal NAME --append`",
                   needed, needed, k->count);
  return TW_OK;
}

tw_status tw_run_check_input(const tw_plan *plan, const tw_model_share *model, const tw_input_share *input) {
  if (strcmp(input->model_id.hex, model->model_id.hex) != 0)
    return tw_fail(TW_ERR_MISMATCH, "the input was shared for model %s, the model share is %s; share the input again",
                   input->model_id.hex, model->model_id.hex);
  if (strcmp(input->plan.hex, plan->digest.hex) != 0)
    return tw_fail(TW_ERR_MISMATCH, "the input was shared for plan %s, the plan file is %s; share the input again",
                   input->plan.hex, plan->digest.hex);
  return check_input(input, plan);
}

static int key_files(const tw_run_options *o) { return o->key_files > 1 ? o->key_files : 1; }

static tw_status in_keys(const tw_key_store *keys, tw_status status) {
  return status != TW_OK && keys->path ? tw_fail_in(status, "%s", keys->path) : status;
}

// live: a dealer's keys are still to come.
static tw_status check_files(const tw_run_options *o, bool live, int party) {
  for (int i = 0; i < key_files(o) && !live; i++)
    TW_TRY(in_keys(&o->keys[i], check_key_ids(o, tw_key_store_info(&o->keys[i]))));
  TW_TRY(tw_plan_allows_norms(o->plan, o->model->norm_weight, o->model->norm_bias, o->model->centred));
  TW_TRY(tw_plan_allows_prefix(o->plan, &o->model->prefix));
  tw_status fits = o->input ? tw_run_check_input(o->plan, o->model, o->input) : TW_OK;
  if (fits != TW_OK) return o->input_path ? tw_fail_in(fits, "%s", o->input_path) : fits;
  for (int i = 0; i < key_files(o) && !live; i++)
    TW_TRY(in_keys(&o->keys[i], check_keys(o, tw_key_store_info(&o->keys[i]), party)));
  for (int i = 0; i < o->turn_count; i++) TW_TRY(tw_conversation_check(&o->turns[i], &o->model->model_id, o->ledger));
  return TW_OK;
}

static tw_status check_live_slot(const tw_run_options *o) {
  if (o->first_slot < 0) return TW_OK;
  return tw_fail(TW_ERR_USAGE, "--slot %" PRId64 ": a live dealer numbers the slots itself", o->first_slot);
}

tw_status tw_run_look(const tw_run_options *o, int party) {
  bool live = !o->keys->info;
  TW_TRY(check_files(o, live, party));
  int needed = needed_slots(o);
  if (needed < 0) return TW_OK;
  TW_TRY(tw_ledger_check_room(o->ledger, needed));
  if (live) return check_live_slot(o);
  if (key_files(o) > 1 && o->first_slot < 0)
    return tw_key_look(o->keys, key_files(o), o->ledger, party, needed, o->in_batches);
  return tw_slots_look(o->keys, o->ledger, party, needed, o->first_slot);
}

// ---- slots

static void fill_terms(const party_run *r, tw_terms *t) {
  const tw_run_options *o = r->o;
  const tw_keys_info *k = tw_key_store_info(r->keys);
  t->model_id = o->model->model_id;
  t->key_id = k->key_id;
  t->input_id = o->input->input_id;
  t->plan = o->plan->digest;
  if (o->turn_count) t->after = tw_turns_before(o->turns, o->turn_count);
  tw_digest_of(o->input->lengths, sizeof(int) * (size_t)o->input->count, &t->lengths);
  t->count = (uint64_t)o->input->count;
  t->seq = (uint64_t)o->input->seq;
  t->test_keys = k->test;
  if (!o->overlap || o->input->count < 2) return;
  t->overlap = 1;
}

tw_status tw_run_compare(const tw_run_options *o, bool keys) {
  const party_run first = {.o = o, .keys = o->keys};
  tw_terms terms;
  memset(&terms, 0, sizeof terms);
  fill_terms(&first, &terms);
  terms.overlap = 0;  // not chosen yet
  if (!keys) {
    memset(&terms.key_id, 0, sizeof terms.key_id);
    terms.test_keys = 0;
  }
  return tw_agree(o->channel, TW_OK, &terms);
}

// With those of earlier batches.
static tw_status name_slots(const party_run *r) {
  const tw_run_options *o = r->o;
  tw_used_slot *all;
  size_t earlier = (size_t)o->used_count, n = earlier + (size_t)r->batch;
  if (o->taken) memcpy(o->taken, r->slots, sizeof *r->slots * (size_t)r->batch);
  if (!o->spent) return TW_OK;
  TW_TRY(tw_alloc(n * sizeof *all, (void **)&all));
  if (earlier) memcpy(all, o->used, sizeof *all * earlier);
  for (int i = 0; i < r->batch; i++)
    all[earlier + (size_t)i] = (tw_used_slot){tw_key_store_info(r->keys)->key_id, r->slots[i]};
  tw_used_slots_say(all, n, key_files(o) > 1, o->spent);
  tw_free(all);
  return TW_OK;
}

// What the ledger says of the slots.
static void note_of(const tw_run_options *o, char *note, size_t size) {
  enum { PIECES = 3 };
  char rows[48] = "";
  if (o->input_rows) {
    tw_ranges ranges = tw_ranges_begin(rows, sizeof rows, PIECES);
    for (int i = 0; i < o->input->count; i++) tw_ranges_add(&ranges, (uint64_t)o->input_rows[i]);
    tw_ranges_end(&ranges);
  }
  snprintf(note, size, "input %s%s%s", o->input->input_id.hex, *rows ? ", rows " : "", rows);
}

// What a site's log says of slots that are about to be marked. Where it cannot be written none is.
static tw_status log_slots(const party_run *r) {
  const tw_run_options *o = r->o;
  char *slots = tw_audit_slots(r->slots, (size_t)r->batch);
  json_t *fields = json_pack("{s:i, s:s, s:s, s:s, s:s, s:b, s:s}", "party", r->party, "model_id",
                             o->model->model_id.hex, "plan", o->plan->digest.hex, "input_id", o->input->input_id.hex,
                             "key_id", tw_key_store_info(r->keys)->key_id.hex, "test_keys",
                             tw_key_store_info(r->keys)->test, "slots", slots ? slots : "");
  free(slots);
  return tw_audit("slots", slots ? fields : NULL);
}

// The same slots, which both have chosen, and ledgers on both parties; then marked, erased, and acknowledged by both
// before anything masked is sent.
static tw_status take_slots(party_run *r, tw_slots *s, tw_terms *terms) {
  char note[120];
  note_of(r->o, note, sizeof note);
  tw_digest_of(r->slots, sizeof *r->slots * (size_t)r->batch, &terms->slots);
  memcpy(terms->ledgers, s->ledgers, sizeof terms->ledgers);
  TW_TRY(tw_agree(r->o->channel, log_slots(r), terms));
  tw_status status = name_slots(r);
  if (status == TW_OK) status = tw_slots_burn(s, r->slots, note, r->seeds);
  for (int i = 0; i < r->o->turn_count && status == TW_OK; i++)
    status = tw_conversation_mark(r->o->turns[i].files, r->o->ledger);
  return tw_agree(r->o->channel, status, terms);
}

// Where a dealer chooses the slots, it knows the run by a number that both parties had a part in: nobody can have it
// give a party slots that the other one does not get.
static tw_status number_run(const party_run *r, uint8_t run[32]) {
  uint8_t said[2][32];
  randombytes_buf(said[r->party], sizeof said[0]);
  TW_TRY(tw_channel_exchange(r->o->channel, said[r->party], said[1 - r->party], sizeof said[0]));
  crypto_generichash(run, 32, said[0], sizeof said, NULL, 0);
  return TW_OK;
}

static tw_status reserve(const party_run *r, const uint8_t run[32], int64_t *first_slot) {
  uint64_t first;
  TW_TRY(check_live_slot(r->o));
  TW_TRY(r->keys->reserve(r->keys->state, run, r->batch, &first));
  *first_slot = (int64_t)first;
  return TW_OK;
}

// *again: another run took what was free in this key file after it was chosen, before its locks were held, and there
// are other files. Both parties see it alike, and no slot is marked.
static tw_status choose_and_burn(party_run *r, bool *again) {
  const tw_run_options *o = r->o;
  tw_key_chosen chosen;
  tw_terms terms;
  uint8_t run[32];
  tw_slots slots = {.channel = o->channel,
                    .ledger = o->ledger,
                    .count = r->batch,
                    .first_slot = o->first_slot,
                    .wished = o->keys->reserve ? NULL : o->wished,
                    .lock = -1};
  tw_status found = check_files(o, false, r->party);
  *again = false;
  TW_TRY(tw_key_choose(o->channel, found, o->keys, key_files(o), o->ledger, r->batch, o->first_slot, &chosen));
  slots.keys = r->keys = chosen.keys;
  if (o->keys->reserve) {
    TW_TRY(number_run(r, run));
    if (found == TW_OK) found = reserve(r, run, &slots.first_slot);
  }
  memset(&terms, 0, sizeof terms);
  if (found == TW_OK) fill_terms(r, &terms);
  TW_TRY(tw_agree(o->channel, found, &terms));
  tw_status status = tw_slots_choose(&slots, r->slots);
  *again = status == TW_ERR_USED && chosen.common > 1 && slots.first_slot < 0;
  if (status == TW_OK) status = take_slots(r, &slots, &terms);
  tw_slots_release(&slots);
  return status;
}

static tw_status agree_and_burn(party_run *r) {
  enum { TRIES = 8 };
  tw_status status = TW_OK;
  bool again = true;
  for (int i = 0; i < TRIES && again; i++) status = choose_and_burn(r, &again);
  return status;
}

// ---- the inference ----

static bool times_steps(const tw_run_options *o) { return o->time_steps || o->trace || o->device == TW_DEVICE_CPU; }

// Everything opened is known to both: a difference means a fault somewhere, and no result.
static tw_status compare_transcripts(party_run *r, const char mine[65]) {
  char theirs[65];
  TW_TRY(tw_channel_exchange(r->o->channel, mine, theirs, sizeof theirs));
  if (memcmp(mine, theirs, sizeof theirs) != 0)
    return tw_fail(TW_ERR_PEER,
                   "the parties opened different values: a fault in memory, network or program; no result was written");
  return TW_OK;
}

static void fill_counters(const tw_engine_stats *s, tw_result_counters *out) {
  const tw_open_counters *c = &s->counters;
  *out = (tw_result_counters){.open_flushes_demand = c->open_flushes_demand,
                              .open_flushes_budget = c->open_flushes_budget,
                              .flushes_overlapped = c->flushes_overlapped,
                              .open_comm_ns = c->open_comm_ns,
                              .gate_ns = c->gate_ns,
                              .open_wire_bytes_sent = c->open_wire_bytes_sent,
                              .open_payload_bytes = c->open_payload_bytes,
                              .products_prepared_beside = s->products_prepared_beside,
                              .key_bytes = s->key_bytes,
                              .key_wait_ns = s->key_wait_ns,
                              .probe_latency_seconds = s->probe_latency_s,
                              .probe_bytes_per_second = s->probe_bandwidth};
}

static tw_status fill_costs(party_run *r, tw_result_share *out) {
  const tw_program *p = &r->o->plan->program;
  tw_cost *costs, total;
  void *memory;
  TW_TRY(tw_alloc(sizeof(tw_cost) * (size_t)(p->step_count + 1), &memory));
  costs = memory;
  tw_program_costs(p, costs, &total);
  tw_status status = tw_alloc(sizeof(tw_cost_row) * (size_t)(p->step_count + 1), &memory);
  if (status == TW_OK) out->rows_table = memory;
  uint64_t batch = (uint64_t)r->batch;
  for (int i = 0; i < p->step_count && status == TW_OK; i++) {
    tw_cost_row *row = &out->rows_table[out->row_count++];
    row->layer = p->steps[i].layer;
    memcpy(row->step, p->steps[i].name, sizeof row->step);
    row->correction_bytes = batch * costs[i].correction_bytes[r->party];
    row->sent_bytes = batch * costs[i].sent_bytes;
    row->rounds = costs[i].rounds;
    row->seconds = tw_engine_step_seconds(r->engine)[i];
  }
  tw_free(costs);
  out->correction_bytes = batch * total.correction_bytes[r->party];
  return status;
}

static tw_status fill_result(party_run *r, const tw_engine_stats *stats, tw_result_share *out) {
  const tw_run_options *o = r->o;
  const tw_tensor *t = &o->plan->program.tensors[o->plan->program.outputs[0]];
  size_t n = (size_t)r->batch * t->n;
  void *memory;
  out->party = r->party;
  out->count = r->batch;
  out->model_id = o->model->model_id;
  out->key_id = tw_key_store_info(r->keys)->key_id;
  out->input_id = o->input->input_id;
  out->plan = o->plan->digest;
  out->test_keys = tw_key_store_info(r->keys)->test;
  snprintf(out->output, sizeof out->output, "%s", tw_output_name(o->plan->output));
  out->normalise = tw_config_scales(&o->plan->shape.config, o->plan->output);
  tw_plan_output_shape(o->plan, &out->rows, &out->cols);
  out->ring_bits = t->ring;
  out->scale = t->scale;
  TW_TRY(tw_alloc(sizeof(int) * (size_t)r->batch, &memory));
  out->lengths = memcpy(memory, o->input->lengths, sizeof(int) * (size_t)r->batch);
  TW_TRY(tw_alloc(8 * (size_t)r->batch, &memory));
  out->slots = memcpy(memory, r->slots, 8 * (size_t)r->batch);
  if (o->input_rows) {
    TW_TRY(tw_alloc(sizeof(int) * (size_t)r->batch, &memory));
    out->input_rows = memcpy(memory, o->input_rows, sizeof(int) * (size_t)r->batch);
  }
  TW_TRY(tw_secret_alloc(8 * n, &memory));
  out->masked = memory;
  TW_TRY(tw_secret_alloc(8 * n, &memory));
  out->mask = memory;
  TW_TRY(tw_engine_output(r->engine, 0, out->masked, out->mask));
  out->guard = o->plan->program.guard >= 0;
  if (out->guard) {
    TW_TRY(tw_secret_alloc(8 * (size_t)r->batch, &memory));
    out->guard_masked = memory;
    TW_TRY(tw_secret_alloc(8 * (size_t)r->batch, &memory));
    out->guard_mask = memory;
    TW_TRY(tw_engine_guard(r->engine, out->guard_masked, out->guard_mask));
  }
  memcpy(out->transcript, stats->transcript, sizeof out->transcript);
  out->sent_bytes = stats->counters.open_wire_bytes_sent;
  out->rounds = stats->counters.rounds;
  out->comm_seconds = 1e-9 * (double)stats->counters.open_comm_ns;
  fill_counters(stats, &out->counters);
  out->steps_timed = times_steps(o);
  if (o->trace) TW_TRY(tw_engine_get_trace(r->engine, &out->spans, &out->span_count, &out->spans_dropped));
  return fill_costs(r, out);
}

// Party 0 names the run.
static tw_status share_run_id(party_run *r, tw_id *id) {
  tw_id mine, theirs;
  tw_id_random(&mine);
  TW_TRY(tw_channel_exchange(r->o->channel, &mine, &theirs, sizeof mine));
  *id = r->party == 0 ? mine : theirs;
  if (tw_id_is_hex(id)) return TW_OK;
  return tw_fail(TW_ERR_PEER, "party 0 sent a run id that is not 32 hexadecimal digits: no result was written");
}

// An engine that is kept serves again; of one for another batch the new one takes over what it can.
static tw_status set_up(const tw_run_options *o, int batch, const uint64_t *input, tw_engine **out) {
  tw_engine_options options = {.plan = o->plan,
                               .model = o->model,
                               .channel = o->channel,
                               .batch = batch,
                               .device = o->device,
                               .transports = o->transports,
                               .overlap = o->overlap,
                               .coalesce = 1,  // each half sends its openings at once
                               .prepare_beside = o->prepare_beside,
                               .keys = TW_KEYS_FILE,
                               .input = input,
                               .time_gates = times_steps(o),
                               .trace = o->trace,
                               .before = o->engine};
  if (!o->engine) return tw_engine_create(&options, out);
  if (!*o->engine || tw_engine_batch(*o->engine) != batch) TW_TRY(tw_engine_create(&options, o->engine));
  *out = *o->engine;
  return TW_OK;
}

tw_status tw_run_set_up(const tw_run_options *o, int batch) {
  tw_engine *engine;
  const uint64_t *input = o->earlier_room ? o->earlier_room : o->input ? o->input->share : NULL;
  return set_up(o, batch, input, &engine);
}

static tw_status infer(party_run *r, tw_result_share *out) {
  const tw_run_options *o = r->o;
  tw_engine_stats stats;
  double start = tw_seconds();
  const uint64_t *input = r->turn ? r->turn : o->input->share;
  TW_TRY(set_up(o, r->batch, input, &r->engine));
  double ready = tw_seconds();
  tw_engine_job job = {.seeds = r->seeds,
                       .slots = r->slots,
                       .lengths = o->input->lengths,
                       .earlier = r->earlier,
                       .input = input,
                       .source = {.state = r->keys->state, .chunk = r->keys->chunk}};
  TW_TRY(tw_engine_prepare(r->engine, &job));
  uint8_t here = 1,
          there;  // both begin together, so that one's preparation is not counted as the other's communication
  TW_TRY(tw_channel_exchange(o->channel, &here, &there, 1));
  double prepared = tw_seconds();
  TW_TRY(tw_engine_online(r->engine, o->progress, o->progress_state));
  double end = tw_seconds();
  TW_TRY(tw_engine_get_stats(r->engine, &stats));
  TW_TRY(compare_transcripts(r, stats.transcript));
  TW_TRY(share_run_id(r, &out->run_id));
  snprintf(out->environment.device, sizeof out->environment.device, "%s", tw_engine_device_name(r->engine));
  snprintf(out->environment.transport, sizeof out->environment.transport, "%s", tw_engine_transport_name(r->engine));
  snprintf(out->environment.transport_why, sizeof out->environment.transport_why, "%s",
           tw_engine_transport_why(r->engine));
  TW_TRY(fill_result(r, &stats, out));
  TW_TRY(tw_turns_leave(o->turns, o->turn_count, r->engine, &o->model->model_id, &out->run_id));
  out->setup_seconds = ready - start;
  out->preparation_seconds = prepared - ready;
  out->online_seconds = end - prepared;
  return TW_OK;
}

static size_t turn_bytes(const party_run *r) { return 8 * tw_turns_words(r->o->plan, r->o->input); }

// Caches are marked by now, on both parties.
static tw_status read_turns(party_run *r) {
  const tw_run_options *o = r->o;
  if (!o->plan->shape.earlier) return TW_OK;
  TW_TRY(tw_alloc((size_t)r->batch * sizeof *r->earlier, (void **)&r->earlier));
  r->turn = o->earlier_room;
  if (!r->turn) TW_TRY(tw_share_alloc(turn_bytes(r), (void **)&r->turn));
  return tw_turns_input(o->turns, o->turn_count, o->input, r->turn, r->earlier);
}

static void forget_turns(party_run *r) {
  tw_free(r->earlier);
  if (!r->turn) return;
  if (r->o->earlier_room)
    tw_wipe(r->turn, turn_bytes(r));
  else
    tw_share_free(r->turn, turn_bytes(r));
}

static tw_status allocate(party_run *r) {
  void *memory;
  TW_TRY(tw_alloc(8 * (size_t)r->batch, &memory));
  r->slots = memory;
  TW_TRY(tw_seed_alloc(sizeof(tw_seed) * (size_t)r->batch, &memory));
  r->seeds = memory;
  return TW_OK;
}

static void release(party_run *r) {
  if (!r->o->engine) tw_engine_destroy(r->engine);
  tw_free(r->slots);
  tw_seed_free(r->seeds, sizeof(tw_seed) * (size_t)r->batch);
  forget_turns(r);
}

tw_status tw_run(const tw_run_options *o, tw_result_share *out) {
  party_run r = {.o = o, .party = o->channel->party, .batch = o->input->count};
  memset(out, 0, sizeof *out);
  tw_status status = allocate(&r);
  if (status == TW_OK) status = agree_and_burn(&r);
  if (status == TW_OK) status = read_turns(&r);
  if (status == TW_OK) status = infer(&r, out);
  release(&r);
  if (status != TW_OK) tw_result_share_free(out);
  return status;
}
