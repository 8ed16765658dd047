#include "jobs/parties/party.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/interrupt.h"
#include "base/memory.h"
#include "io/new_files.h"
#include "io/unfinished.h"
#include "jobs/parties/batches.h"
#include "jobs/parties/earlier.h"
#include "jobs/parties/handshake.h"
#include "jobs/parties/key_choice.h"
#include "jobs/plan/lengths.h"
#include "kernels/isa.h"

struct tw_party_files {
  tw_plan plan;
  tw_model_share model;
  tw_key_files keys;  // a live dealer's is the first
  tw_input_share input;
  tw_result_claim *result;
  tw_conversation_files conversation;
  tw_ledger ledger;
  bool has_plan, has_model, has_input;
  tw_path input_path;
  int batch;            // most sequences at once, where the input is walked through; 0: it is not
  tw_earlier earlier;   // what an earlier run has finished, as far as this party knows
  tw_earlier replaced;  // of a run that begins anew: the result that is there
  bool late;            // the other processes of this party have made the result already
  bool whole;           // there is a result of this input already, on both parties
};

static const char *model_name(const tw_party_options *o) { return o->model ? o->model : o->name; }
static const char *input_name(const tw_party_options *o) { return o->input ? o->input : o->name; }
static const char *output_name(const tw_party_options *o) { return o->output ? o->output : o->name; }

static tw_path result_path(const char *name, int party) {
  return tw_path_of(name, party ? "result.p1.h5" : "result.p0.h5");
}

// A result that cannot be written must be known before any slot is marked: its room is taken here.
static tw_status claim_result(const tw_party_options *o, int party, tw_party_files *f) {
  tw_result_share shape = {.count = f->input.count, .row_count = f->plan.program.step_count};
  tw_path path = result_path(output_name(o), party);
  tw_plan_output_shape(&f->plan, &shape.rows, &shape.cols);
  if (o->trace) shape.span_count = tw_engine_trace_most(&f->plan.program, party, f->input.count);
  if (f->batch) shape.batches = (tw_batch_list){.count = shape.count, .row_count = shape.count};
  TW_TRY(tw_result_share_claim(path.text, &shape, o->force || o->resume, &f->result));
  if (!f->batch) return TW_OK;
  // batches have files of their own; that there is room for all of them is known from here on, and no more than that
  tw_result_claim_release(f->result);
  f->result = NULL;
  return TW_OK;
}

static tw_status exists_already(const tw_path *path) {
  return tw_fail(TW_ERR_IO, "%s: exists already; choose another NAME, remove it, or replace it with --force",
                 path->text);
}

static bool is_in_the_way(const tw_party_options *o, const tw_path *path) {
  return !o->force && !o->resume && tw_path_exists(path);
}

// Of several processes, one that comes when the others have done all finds their result. The first, unless the result
// is of its batch job, takes it for an earlier run's, so that this is told.
static tw_status look_for_others(const tw_party_options *o, int party, tw_party_files *f) {
  tw_path path = result_path(output_name(o), party);
  tw_earlier there;
  if (!is_in_the_way(o, &path)) return TW_OK;
  tw_earlier_result(output_name(o), party, &f->input.input_id, &f->plan.digest, &there);
  f->late = there.result && (o->process > 0 || there.of_job);
  return f->late ? TW_OK : exists_already(&path);
}

static tw_status check_result(const tw_party_options *o, int party) {
  tw_path path = result_path(output_name(o), party);
  if (o->processes > 1 || !is_in_the_way(o, &path)) return TW_OK;
  return exists_already(&path);
}

static tw_status check_batches(const tw_party_options *o, const tw_party_files *f) {
  if (f->plan.shape.earlier && (o->resume || o->processes > 1))
    return tw_fail(TW_ERR_USAGE,
                   "a plan with --conversation is run turn by turn, all sequences at once: without --resume, and with "
                   "one process a party");
  if (o->trace && (f->batch || o->processes > 1))
    return tw_fail(TW_ERR_USAGE,
                   "--trace records one batch: %d sequences at once need --batch %d, without --resume and with one "
                   "process a party",
                   f->input.count, f->input.count);
  return TW_OK;
}

// A run without batches needs none: they are refused, or go when its result is there.
static tw_status look_at_parts(const tw_party_options *o, int party, const tw_party_files *f) {
  if (!o->force) return tw_earlier_refuse(output_name(o), party);
  return tw_earlier_idle(output_name(o), party, &f->input.input_id, &f->plan.digest, f->input.count);
}

// A run's input, and its result's room.
static tw_status load_input(const tw_party_options *o, int party, tw_party_files *f) {
  int most = o->batch ? o->batch : TW_BATCH;
  f->input_path = tw_path_of(input_name(o), party ? "input.p1.h5" : "input.p0.h5");
  TW_TRY(tw_input_share_read(f->input_path.text, party, &f->input));
  f->has_input = true;
  f->earlier.missing = f->input.count;
  if (f->plan.shape.earlier) most = f->input.count;
  if (o->resume || o->processes > 1 || f->input.count > most) f->batch = most;
  TW_TRY(check_batches(o, f));
  if (o->resume)
    TW_TRY(tw_earlier_find(output_name(o), party, &f->input.input_id, &f->plan.digest, f->input.count, o->force,
                           &f->earlier));
  if (o->force && !o->resume && f->batch)
    tw_earlier_result(output_name(o), party, &f->input.input_id, &f->plan.digest, &f->replaced);
  if (!f->batch) TW_TRY(look_at_parts(o, party, f));
  if (o->processes > 1) TW_TRY(look_for_others(o, party, f));
  if (o->processes < 2 || (o->process == 0 && !f->late)) TW_TRY(claim_result(o, party, f));
  return tw_conversation_open(&f->plan, o->after, o->name, &f->input, party, o->force, &f->conversation);
}

// All but the model's share.
static tw_status load(const tw_party_options *o, int party, tw_party_files *f) {
  TW_TRY(tw_hardware_check(&o->words));
  if (!o->service) TW_TRY(check_result(o, party));
  TW_TRY(tw_plan_read_of(o->plan ? o->plan : o->model, o->name, &f->plan));
  f->has_plan = true;
  TW_TRY(tw_ledger_find(o->ledger, &f->ledger));
  if (!o->service) TW_TRY(load_input(o, party, f));
  tw_path keys = tw_length_keys(o->keys, model_name(o), o->name);
  return o->dealer ? TW_OK : tw_key_files_open(keys.text, party, &f->plan.digest, &f->keys);
}

// The largest file, once it is known that there is memory for it.
static tw_status load_model(const tw_party_options *o, int party, tw_party_files *f) {
  if (f->model.masked) return TW_OK;
  if (o->like)
    f->model = o->like->model;
  else
    TW_TRY(
        tw_model_share_read(tw_path_of(model_name(o), party ? "model.p1.h5" : "model.p0.h5").text, party, &f->model));
  f->has_model = !o->like;
  tw_key_files_keep(&f->keys, &f->model.model_id);
  return TW_OK;
}

// The input has its result already, and needs no keys.
static bool is_done(const tw_party_files *f) { return f->earlier.result && !f->earlier.later; }

// ---- what the run will need

// Sequences at once. A whole input that is run at once may have been cut by what is done already.
static int at_once(const tw_party_options *o, const tw_party_files *f) {
  if (o->service) return o->service->batch;
  return f->batch && f->batch < f->input.count ? f->batch : f->input.count;
}

static tw_status foresee(const tw_party_options *o, tw_party_files *f, const tw_place *place, bool ask_gpu,
                         tw_run_forecast *out) {
  tw_device_kind device;
  int batch = at_once(o, f), rows = o->service ? batch : f->earlier.missing;
  TW_TRY(tw_hardware_kind(&o->words, &device));
  return tw_forecast_make(&f->plan, place, batch, rows, device, ask_gpu, out);
}

// Nothing is left to do where an earlier run has finished.
static bool has_work(const tw_party_options *o, const tw_party_files *f) {
  return o->service || (f->earlier.missing > 0 && !is_done(f) && !f->late);
}

static tw_room_terms room_terms(const tw_party_options *o, bool tells) {
  return (tw_room_terms){
      .processes = o->words.here, .lack_is_ok = o->allow_less_memory, .tells = tells, .listener = o->listener};
}

// For a party alone, before the other one is there, and before the model is read.
static tw_status check_room_alone(const tw_party_options *o, tw_party_files *f) {
  const tw_room_terms terms = room_terms(o, false);
  tw_run_forecast forecast;
  if (!has_work(o, f)) return TW_OK;
  TW_TRY(foresee(o, f, NULL, false, &forecast));
  return tw_room_check(&terms, &forecast.room, forecast.batch, NULL, false);
}

static const char *input_path(const tw_party_files *f) { return f->has_input ? f->input_path.text : NULL; }

static tw_status look(const tw_party_options *o, int party, tw_party_files *f) {
  const tw_turn_files turn = {&f->input, &f->conversation};
  const int missing = f->earlier.missing;
  return tw_run_look(&(tw_run_options){.plan = &f->plan,
                                       .model = &f->model,
                                       .keys = f->keys.list,
                                       .key_files = f->keys.count,
                                       .input = f->has_input ? &f->input : NULL,
                                       .input_path = input_path(f),
                                       .turns = &turn,
                                       .turn_count = f->has_input,
                                       .ledger = &f->ledger,
                                       .first_slot = o->first_slot,
                                       .in_batches = f->batch > 0,
                                       .needed = f->has_input && (is_done(f) || f->late || !missing) ? -1 : missing,
                                       .allow_test_keys = o->allow_test_keys},
                     party);
}

static void unload(tw_party_files *f) {
  tw_result_claim_release(f->result);
  tw_conversation_close(&f->conversation);
  if (f->has_model) tw_model_share_free(&f->model);
  tw_key_store_close(&f->keys.list[0]);  // a live dealer's
  tw_key_files_close(&f->keys);
  if (f->has_input) tw_input_share_free(&f->input);
  if (f->has_plan) tw_plan_free(&f->plan);
}

tw_status tw_party_open(const tw_party_options *options, int party, tw_party_files **out) {
  tw_party_files *f = calloc(1, sizeof *f);
  *out = NULL;
  if (!f) return tw_fail(TW_ERR_MEMORY, "out of memory");
  tw_status status = load(options, party, f);
  if (status == TW_OK) status = tw_hardware_look(&options->words);
  if (status == TW_OK) status = check_room_alone(options, f);
  if (status == TW_OK) status = load_model(options, party, f);
  if (status == TW_OK) status = look(options, party, f);
  if (status == TW_OK && options->service) status = tw_service_look(options->service, &f->plan, party);
  if (status == TW_OK)
    *out = f;
  else
    tw_party_close(f);
  return status;
}

void tw_party_close(tw_party_files *files) {
  if (files) unload(files);
  free(files);
}

// Of several key files the run itself takes one that both have: what stands first on either says nothing.
tw_status tw_party_compare(tw_party_files *f, tw_channel *channel) {
  const tw_turn_files turn = {&f->input, &f->conversation};
  uint8_t needs_keys = !is_done(f) && f->keys.count < 2, theirs;
  TW_TRY(tw_channel_exchange(channel, &needs_keys, &theirs, 1));
  return tw_run_compare(&(tw_run_options){.plan = &f->plan,
                                          .model = &f->model,
                                          .keys = f->keys.list,
                                          .input = &f->input,
                                          .input_path = input_path(f),
                                          .turns = &turn,
                                          .turn_count = 1,
                                          .channel = channel},
                        needs_keys && theirs);
}

// ---- warnings, by party 0 for both, unless they are two jobs

static bool is_told(const tw_party_options *o, const tw_channel *channel) { return channel->party == 0 || o->two_jobs; }

typedef struct {
  char host[128], user[64];
} place;

static tw_status meet(const tw_party_options *o, tw_channel *channel, tw_environment *e) {
  place mine = {{0}, {0}}, theirs;
  memcpy(mine.host, e->host, sizeof mine.host);
  memcpy(mine.user, e->user, sizeof mine.user);
  TW_TRY(tw_channel_exchange(channel, &mine, &theirs, sizeof mine));
  theirs.host[sizeof theirs.host - 1] = theirs.user[sizeof theirs.user - 1] = '\0';
  bool host = strcmp(mine.host, theirs.host) == 0, user = strcmp(mine.user, theirs.user) == 0;
  e->parties_share_host = host;
  if (is_told(o, channel) && (host || user))
    tw_warn(&o->listener, "WARNING: both parties run%s%s%s%s: no protection against %s; a test set-up",
            host ? " on host " : "", host ? mine.host : "", user ? " as user " : "", user ? mine.user : "",
            host && user ? "that host's administrator or that user"
            : host       ? "that host's administrator"
                         : "that user");
  return TW_OK;
}

static void collect(tw_environment *e) {
  char mpi[MPI_MAX_LIBRARY_VERSION_STRING];
  int length;
  tw_environment_collect(e);
  MPI_Get_library_version(mpi, &length);
  mpi[strcspn(mpi, ",\n")] = '\0';
  snprintf(e->mpi, sizeof e->mpi, "%.*s", (int)sizeof e->mpi - 1, mpi);
  snprintf(e->isa, sizeof e->isa, "%s", tw_isa_name(tw_isa_active()));
}

static tw_status agree(tw_channel *channel, tw_status found) {
  tw_terms none;
  memset(&none, 0, sizeof none);
  return tw_agree(channel, found, &none);
}

// A place as the run's own words and the parties' hosts make it.
static void place_between(const tw_party_options *o, bool one_host, tw_place *place) {
  const tw_link_profile *link = &o->words.link;
  if (link->latency_seconds > 0 || link->bytes_per_second > 0)
    place->link = *link;
  else if (one_host)
    place->link = (tw_link_profile){0, 0};
}

// Before the model is read, and before a slot is marked. Both parties, whatever either has to do.
static tw_status check_room(const tw_party_options *o, tw_party_files *f, tw_channel *channel, bool one_host) {
  const tw_room_terms terms = room_terms(o, is_told(o, channel));
  tw_place place;
  tw_run_forecast forecast = {.batch = 1};
  if (o->place) {
    place = *o->place;
    place_between(o, one_host, &place);
  }
  tw_status found = has_work(o, f) ? foresee(o, f, o->place ? &place : NULL, false, &forecast) : TW_OK;
  TW_TRY(agree(channel, found));
  if (o->place && is_told(o, channel) && o->process == 0 && has_work(o, f))
    o->foretell(o->progress_state, &forecast, &place);
  return tw_room_check(&terms, &forecast.room, forecast.batch, channel, one_host);
}

static tw_status check_device(const tw_party_options *o, tw_party_files *f, const tw_hardware *hardware) {
  tw_run_forecast forecast;
  if (hardware->device != TW_DEVICE_CUDA || !has_work(o, f)) return TW_OK;
  TW_TRY(foresee(o, f, NULL, true, &forecast));
  return tw_room_check_device(&forecast.room, forecast.batch);
}

// ---- the run

enum { THREADS = 2 };  // one computes, one reads keys

static tw_status look_at_machine(const tw_party_options *o, tw_channel *channel, const tw_hardware *hardware) {
  tw_machine machine;
  TW_TRY(tw_machine_look(channel, hardware, THREADS, &machine));
  if (is_told(o, channel) || !hardware->pair.one_host) tw_machine_warn(&o->listener, &machine);
  if (o->how) o->how->machine = machine;
  return TW_OK;
}

static tw_status compute_in_batches(const tw_party_options *o, tw_party_files *f, const tw_run_options *run,
                                    const tw_environment *e, tw_result_share *out) {
  const tw_batches_options options = {.name = output_name(o),
                                      .batch = f->batch,
                                      .index = o->process,
                                      .processes = o->processes > 1 ? o->processes : 1,
                                      .resume = o->resume,
                                      .force = o->force,
                                      .known = o->resume ? f->earlier.run_id : f->replaced.run_id,
                                      .two_jobs = o->two_jobs,
                                      .listener = o->listener};
  return tw_batches(&options, o->dealer, f->keys.list, run, e, out, &f->whole);
}

// All is done; what a process that died then has left of the parts goes. The first process of several sees to that.
static tw_status tidy(const tw_party_options *o, const tw_party_files *f, tw_channel *channel) {
  int party = channel->party;
  if (o->process > 0) return TW_OK;
  TW_TRY(agree(channel, tw_earlier_idle(output_name(o), party, &f->input.input_id, &f->plan.digest, f->input.count)));
  tw_earlier_remove(output_name(o), party, &o->listener);
  return TW_OK;
}

static tw_status compute(const tw_party_options *o, tw_party_files *f, tw_hardware *hardware, const tw_environment *e,
                         tw_result_share *out) {
  const tw_turn_files turn = {&f->input, &f->conversation};
  tw_run_options run = {.plan = &f->plan,
                        .model = &f->model,
                        .keys = f->keys.list,
                        .key_files = f->keys.count,
                        .input = &f->input,
                        .input_path = input_path(f),
                        .turns = &turn,
                        .turn_count = f->has_input,
                        .channel = hardware->channel,
                        .ledger = &f->ledger,
                        .first_slot = o->first_slot,
                        .allow_test_keys = o->allow_test_keys,
                        .device = hardware->device,
                        .transports = hardware->ways,
                        .time_steps = o->time_steps,
                        .trace = o->trace,
                        .progress = o->progress,
                        .progress_state = o->progress_state,
                        .spent = o->how ? o->how->spent : NULL};
  TW_TRY(tw_hardware_split(hardware, &o->words, &run.overlap));
  TW_TRY(tw_hardware_prepare(hardware, &o->words, &run.prepare_beside));
  if (o->how) {
    o->how->split_batch = run.overlap && f->input.count > 1 && f->batch != 1;
    o->how->prepare_during = run.prepare_beside;
  }
  if (o->service) return tw_service(o->service, o->dealer, f->keys.list, &run, e);
  bool stopped;
  const tw_beginning beginning = {(uint32_t)f->batch, o->resume, tw_interrupts_asked(), f->earlier};
  TW_TRY(tw_beginning_agree(hardware->channel, &beginning, &stopped, &f->whole));
  if (f->whole) return tidy(o, f, hardware->channel);
  if (f->batch) return compute_in_batches(o, f, &run, e, out);
  if (stopped) return tw_batches_not_begun(f->input.count);
  TW_TRY(tw_run(&run, out));
  if (o->how) o->how->goes_on = f->conversation.next.count > 0;
  int full = f->conversation.full;
  if (full >= 0 && is_told(o, hardware->channel))
    tw_warn(&o->listener,
            "the conversation ends with this turn: sequence %d has %d tokens by now, and the plan's turns read at most "
            "%d (--conversation)",
            full + 1, f->conversation.next.rows[full], f->plan.shape.earlier);
  return TW_OK;
}

static bool has_test_keys(const tw_party_files *f) {
  bool test = tw_key_store_info(&f->keys.list[0])->test;
  for (int i = 1; i < f->keys.count; i++) test = test || tw_key_store_info(&f->keys.list[i])->test;
  return test;
}

static tw_status infer(const tw_party_options *o, tw_party_files *f, tw_channel *channel, tw_environment *e,
                       tw_result_share *out) {
  tw_hardware hardware;
  TW_TRY(tw_hardware_meet(channel, &hardware));
  TW_TRY(agree(channel, tw_hardware_choose(&o->words, &hardware)));
  TW_TRY(tw_hardware_take(channel, &hardware));
  TW_TRY(tw_hardware_place(channel, &hardware, &o->words, e->placement, sizeof e->placement));
  TW_TRY(look_at_machine(o, channel, &hardware));
  tw_status linked = tw_hardware_link(&hardware, &o->words);
  TW_TRY(agree(channel, linked == TW_OK ? check_device(o, f, &hardware) : linked));
  if (has_test_keys(f) && o->allow_test_keys && is_told(o, channel))
    tw_warn(&o->listener, "WARNING: TEST keys: everybody can derive their seeds; NOTHING IN THIS RUN IS PRIVATE");
  tw_status status = compute(o, f, &hardware, e, out);
  tw_warn_of_memory(&o->listener);
  tw_hardware_release(&hardware);
  if (status != TW_OK || o->service || f->batch) return status;
  memcpy(e->device, out->environment.device, sizeof e->device);
  memcpy(e->transport, out->environment.transport, sizeof e->transport);
  memcpy(e->transport_why, out->environment.transport_why, sizeof e->transport_why);
  out->environment = *e;
  return TW_OK;
}

// Both files are whole on their disks before either has its name.
static tw_status write_result(tw_channel *channel, tw_party_files *f, const tw_result_share *result) {
  tw_status filled = tw_result_share_fill(f->result, result);
  if (filled == TW_OK) filled = tw_conversation_fill(&f->conversation);
  TW_TRY(agree(channel, filled));
  tw_result_claim *place = f->result;
  f->result = NULL;
  TW_TRY(tw_result_claim_commit(place));
  TW_TRY(tw_conversation_commit(&f->conversation, &f->ledger));
  tw_unfinished_keep();
  return TW_OK;
}

// With the words that both parties must have been given.
static tw_status agree_on_words(tw_channel *channel, const tw_party_words *w, bool live_keys, tw_status found) {
  tw_terms words;
  memset(&words, 0, sizeof words);
  words.live_keys = live_keys;
  snprintf(words.transport, sizeof words.transport, "%s", w->transport);
  tw_hardware_link_text(w, words.link, sizeof words.link);
  return tw_agree(channel, found, &words);
}

// Whatever this party finds is told to the other one. found: of its own files.
static tw_status run_with(const tw_party_options *o, tw_channel *channel, tw_party_files *f, tw_status found,
                          tw_result_share *out) {
  tw_environment e;
  *out = (tw_result_share){.count = 0};
  collect(&e);
  TW_TRY(agree_on_words(channel, &o->words, o->dealer != NULL, found));
  tw_warn_of_ledger(&o->listener, &f->ledger);
  TW_TRY(meet(o, channel, &e));
  TW_TRY(check_room(o, f, channel, e.parties_share_host));
  found = load_model(o, channel->party, f);
  if (found == TW_OK && o->dealer)
    found = tw_live_keys_open(o->dealer, &f->plan, &f->model.model_id, channel->party, &f->keys.list[0]);
  TW_TRY(agree(channel, found));
  tw_warn_of_memory(&o->listener);
  TW_TRY(infer(o, f, channel, &e, out));
  if (o->how) {
    o->how->before = f->whole;
    o->how->elsewhere = f->batch && out->count == 0 && !f->whole;
  }
  if (o->service || f->batch) return TW_OK;
  tw_status status = write_result(channel, f, out);
  if (status != TW_OK)
    tw_result_share_free(out);
  else if (o->force)
    tw_earlier_remove(output_name(o), channel->party, &o->listener);
  return status;
}

tw_status tw_party(const tw_party_options *options, tw_party_files *files, tw_channel *channel, tw_result_share *out) {
  tw_party_files own = {.result = NULL};
  if (files) return run_with(options, channel, files, TW_OK, out);
  tw_status status = run_with(options, channel, &own, load(options, channel->party, &own), out);
  unload(&own);
  return status;
}
