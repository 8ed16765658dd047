#include "jobs/parties/batches.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/interrupt.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/row_claims.h"
#include "io/unfinished.h"
#include "jobs/parties/common_parts.h"
#include "jobs/parties/earlier.h"
#include "jobs/parties/handshake.h"
#include "jobs/parties/slots.h"

enum { MISSING_TEXT = 160 };

// What party 0 says before each batch; rows and wished slots stand behind it.
typedef struct {
  int32_t kind;  // a tw_rows_kind
  int32_t count, left;
  tw_id token;
  char missing[MISSING_TEXT];
} turn;

typedef struct {
  const tw_batches_options *o;
  const tw_live_dealer *dealer;
  tw_key_store *keys;
  bool keys_opened;  // of a live dealer, for the next batch
  bool begun;        // this process has found out what is done
  bool several;      // key files, of either party: rows wish for no slots then
  const tw_run_options *whole;
  const tw_environment *e;
  int total;
  tw_parts parts;
  tw_row_claims *claims;  // party 0
  tw_engine *engine;
  tw_input_share input;  // of a batch
  size_t each;           // elements of a sequence
  turn *said[2];         // [batch] rows and slots behind each
  size_t said_bytes;
  bool *done;       // [total] at the beginning, or run by this process
  uint64_t *slots;  // [total] at the beginning, those that rows wish for
  int *rows;
  uint64_t *wished;
  tw_used_slot *used;  // [total and a batch]
  int used_count;
  uint64_t *taken;
} batches;

static int party_of(const batches *b) { return b->whole->channel->party; }

static tw_status agree(const batches *b, tw_status found) {
  tw_terms none;
  memset(&none, 0, sizeof none);
  return tw_agree(b->whole->channel, found, &none);
}

tw_status tw_batches_not_begun(int count) {
  return tw_fail(TW_STOPPED, "stopped by a signal before the first batch: all %d rows are missing", count);
}

// ---- the beginning

// Into b->slots: of the rows that are missing, in their order, those that are free now.
static tw_status wish(batches *b) {
  const tw_run_options *w = b->whole;
  uint64_t *found;
  int n = 0;
  for (int i = 0; i < b->total; i++) n += !b->done[i];
  if (n == 0 || b->dealer || b->several) return TW_OK;
  tw_slots s = {.channel = w->channel, .keys = w->keys, .ledger = w->ledger, .count = n, .first_slot = w->first_slot};
  TW_TRY(tw_alloc(sizeof *found * (size_t)n, (void **)&found));
  tw_status status = tw_slots_survey(&s, found);
  tw_slots_release(&s);
  for (int i = 0, k = 0; i < b->total && k < n && status == TW_OK; i++)
    if (!b->done[i]) b->slots[i] = found[k++];
  tw_free(found);
  return status;
}

// Others of this party's processes may have done all before this one came.
static tw_status look_for_result(batches *b, bool *made) {
  tw_earlier now;
  tw_earlier_result(b->o->name, party_of(b), &b->whole->input->input_id, &b->whole->plan->digest, &now);
  return tw_earlier_made(b->whole->channel, &now, &b->o->known, b->o->force || b->o->resume, made);
}

// A process that died between the two parties' files has left one that only one of them has.
static tw_status keep_common(batches *b) {
  int processes = b->o->processes > 1 ? b->o->processes : 1;
  return tw_parts_keep_common(b->whole->channel, &b->parts, b->o->force ? -1 : processes, &b->o->listener);
}

// One of the processes finds out what is done already, and which slots the others shall have.
static tw_status begin_rows(batches *b) {
  const bool anew = b->o->force && !b->o->resume;
  tw_status found = TW_OK;
  tw_parts_refresh(&b->parts);
  if (!anew) found = tw_parts_read(&b->parts, &b->whole->input->input_id, &b->whole->plan->digest, b->total);
  if (found == TW_OK && !anew && !b->o->resume) found = tw_earlier_refuse(b->o->name, party_of(b));
  TW_TRY(agree(b, found));
  if (anew) tw_parts_drop(&b->parts);  // only now: the other party may have refused
  TW_TRY(keep_common(b));
  tw_parts_mark(&b->parts, b->done);
  TW_TRY(wish(b));
  return agree(b, b->claims ? tw_row_claims_begin(b->claims, b->done, b->whole->input->lengths, b->slots) : TW_OK);
}

static tw_status begin(batches *b, bool *made) {
  b->begun = true;
  TW_TRY(look_for_result(b, made));
  if (!*made) return begin_rows(b);
  TW_TRY(agree(b, b->claims ? tw_row_claims_joined(b->claims) : TW_OK));
  tw_row_claims_close(b->claims);
  b->claims = NULL;
  tw_earlier_remove(b->o->name, party_of(b), &b->o->listener);
  return TW_OK;
}

// Whoever removed the folder has done so because all was done, unless it was another hand.
static tw_status gone(batches *b, bool *made) {
  TW_TRY(look_for_result(b, made));
  if (*made) return TW_OK;
  return tw_fail(TW_ERR_IO,
                 "%s: the folder with the finished rows has gone, and there is no result of this run. Nobody else may "
                 "remove it; where a party has processes on several hosts, all must see one folder at one time (flock, "
                 "and on NFS no nolock, no nocto). `run --resume` goes on with what is there",
                 b->parts.folder.text);
}

static tw_status allocate(batches *b) {
  size_t most = (size_t)b->o->batch;
  b->each = tw_input_share_elements(b->whole->input) / (size_t)b->total;
  b->said_bytes = sizeof(turn) + most * (sizeof *b->rows + sizeof *b->wished);
  b->input = *b->whole->input;
  b->input.share = NULL;
  b->input.lengths = NULL;
  TW_TRY(tw_share_alloc(8 * most * b->each, (void **)&b->input.share));
  TW_TRY(tw_alloc(sizeof(int) * most, (void **)&b->input.lengths));
  TW_TRY(tw_alloc(sizeof *b->done * (size_t)b->total, (void **)&b->done));
  TW_TRY(tw_alloc(sizeof *b->slots * (size_t)b->total, (void **)&b->slots));
  TW_TRY(tw_alloc(b->said_bytes, (void **)&b->said[0]));
  TW_TRY(tw_alloc(b->said_bytes, (void **)&b->said[1]));
  TW_TRY(tw_alloc(sizeof *b->rows * most, (void **)&b->rows));
  TW_TRY(tw_alloc(sizeof *b->wished * most, (void **)&b->wished));
  TW_TRY(tw_alloc(sizeof *b->taken * most, (void **)&b->taken));
  return tw_alloc(sizeof *b->used * ((size_t)b->total + most), (void **)&b->used);
}

// The folder may go at this moment: another process has just done all.
static tw_status open_claims_of(batches *b, const tw_row_claims_options *options) {
  enum { TRIES = 100 };
  const struct timespec moment = {0, 20000000};
  bool away = true;
  tw_status status = TW_OK;
  for (int i = 0; i < TRIES && away; i++) {
    if (i) nanosleep(&moment, NULL);
    TW_TRY(tw_parts_make(&b->parts));
    status = tw_row_claims_open(options, &away, &b->claims);
  }
  return status;
}

static tw_status open_claims(batches *b) {
  const tw_row_claims_options options = {.folder = b->parts.folder.text,
                                         .input_id = b->whole->input->input_id,
                                         .plan = b->whole->plan->digest,
                                         .count = b->total,
                                         .index = b->o->index,
                                         .processes = b->o->processes,
                                         .patience = b->whole->channel->timeout_seconds};
  TW_TRY(allocate(b));
  return party_of(b) == 0 ? open_claims_of(b, &options) : tw_parts_make(&b->parts);
}

static tw_status count_key_files(batches *b) {
  uint8_t mine = b->whole->key_files > 1, theirs;
  TW_TRY(tw_channel_exchange(b->whole->channel, &mine, &theirs, 1));
  b->several = mine || theirs;
  return TW_OK;
}

// ---- a turn

static tw_status nonsense(const batches *b) {
  return tw_fail(TW_ERR_PEER, "party %d names rows of a batch as no twain does", 1 - party_of(b));
}

static int *rows_of(turn *t) { return (int *)(void *)(t + 1); }

// Into b->rows and b->wished. No row runs twice in a process.
static tw_status take_said(batches *b, turn *t) {
  int most = b->o->batch;
  if (t->kind < TW_ROWS_BEGIN || t->kind > TW_ROWS_GONE || t->count < 0 || t->count > most || t->left < 0 ||
      t->left > b->total || !tw_id_is_hex(&t->token) || !memchr(t->missing, '\0', sizeof t->missing) ||
      (t->kind == TW_ROWS_RUN) != (t->count > 0) || (t->kind == TW_ROWS_BEGIN && (b->begun || b->used_count)))
    return nonsense(b);
  tw_text_make_plain(t->missing);
  memcpy(b->rows, rows_of(t), sizeof *b->rows * (size_t)t->count);
  memcpy(b->wished, rows_of(t) + most, sizeof *b->wished * (size_t)t->count);
  for (int i = 0; i < t->count; i++)
    if (b->rows[i] < (i ? b->rows[i - 1] + 1 : 0) || b->rows[i] >= b->total || b->done[b->rows[i]]) return nonsense(b);
  return TW_OK;
}

static tw_status decide(batches *b, bool asked, turn *t) {
  tw_rows_kind kind = TW_ROWS_WAIT;
  int count = 0, left = 0;
  if (!b->claims) return TW_OK;
  TW_TRY(tw_row_claims_next(b->claims, b->o->batch, asked, &kind, b->rows, b->wished, &count, &left));
  t->kind = kind;
  t->count = count;
  t->left = left;
  tw_id_random(&t->token);
  memcpy(rows_of(t), b->rows, sizeof *b->rows * (size_t)count);
  memcpy(rows_of(t) + b->o->batch, b->wished, sizeof *b->wished * (size_t)count);
  return kind == TW_ROWS_STOP ? tw_row_claims_missing(b->claims, t->missing, sizeof t->missing) : TW_OK;
}

// Either party may have been asked to end; party 0 says what comes next.
static tw_status next_turn(batches *b, turn **out) {
  uint8_t asked[2];
  int party = party_of(b);
  asked[party] = tw_interrupts_asked();
  TW_TRY(tw_channel_exchange(b->whole->channel, &asked[party], &asked[1 - party], 1));
  memset(b->said[party], 0, b->said_bytes);
  TW_TRY(agree(b, decide(b, asked[0] || asked[1], b->said[party])));
  TW_TRY(tw_channel_exchange(b->whole->channel, b->said[party], b->said[1 - party], b->said_bytes));
  *out = b->said[0];
  return party == 0 ? TW_OK : take_said(b, b->said[0]);
}

// ---- a batch

static void fill_input(batches *b, int count) {
  const tw_input_share *from = b->whole->input;
  for (int i = 0; i < count; i++) {
    b->input.lengths[i] = from->lengths[b->rows[i]];
    memcpy(b->input.share + (size_t)i * b->each, from->share + (size_t)b->rows[i] * b->each, 8 * b->each);
  }
  b->input.count = count;
}

static tw_status open_keys(batches *b) {
  if (!b->dealer || b->keys_opened) return TW_OK;
  tw_key_store_close(b->keys);
  return tw_live_keys_open(b->dealer, b->whole->plan, &b->whole->model->model_id, party_of(b), b->keys);
}

typedef struct {
  const tw_run_options *whole;
  int done, count, total;
} share_of_all;

static void show_progress(void *state, double fraction) {
  const share_of_all *s = state;
  s->whole->progress(s->whole->progress_state, (s->done + fraction * s->count) / s->total);
}

// A result's name and room first, then keys, then the run.
static tw_status compute(batches *b, const turn *t, tw_result_claim **place, tw_result_share *result) {
  share_of_all all = {b->whole, b->total - t->left, t->count, b->total};
  tw_result_share shape = {.count = t->count, .row_count = b->whole->plan->program.step_count};
  tw_plan_output_shape(b->whole->plan, &shape.rows, &shape.cols);
  fill_input(b, t->count);
  tw_status found = tw_parts_claim(&b->parts, &t->token, &shape, place);
  if (found == TW_OK) found = open_keys(b);
  TW_TRY(agree(b, found));
  b->keys_opened = false;
  tw_run_options run = *b->whole;
  run.input = &b->input;
  run.turns = NULL;  // a plan that has turns is run all at once
  run.turn_count = 0;
  run.input_rows = b->rows;
  run.first_slot = -1;
  run.wished = b->dealer || b->several ? NULL : b->wished;
  run.used = b->used;
  run.used_count = b->used_count;
  run.taken = b->taken;
  run.engine = &b->engine;
  if (run.progress) {
    run.progress = show_progress;
    run.progress_state = &all;
  }
  return tw_run(&run, result);
}

// What both parties have is no signal's to remove.
static tw_status commit(const batches *b, tw_result_claim *place) {
  TW_TRY(agree(b, tw_result_claim_commit(place)));
  tw_unfinished_keep();
  return TW_OK;
}

static tw_status write(batches *b, tw_result_claim **place, tw_result_share *result) {
  tw_environment e = *b->e;
  memcpy(e.device, result->environment.device, sizeof e.device);
  memcpy(e.transport, result->environment.transport, sizeof e.transport);
  memcpy(e.transport_why, result->environment.transport_why, sizeof e.transport_why);
  result->environment = e;
  TW_TRY(agree(b, tw_result_share_fill(*place, result)));
  tw_result_claim *mine = *place;
  *place = NULL;
  return commit(b, mine);
}

static tw_status run_batch(batches *b, const turn *t) {
  tw_result_claim *place = NULL;
  tw_result_share result;
  if (t->count > b->total - b->used_count) return nonsense(b);
  for (int i = 0; i < t->count; i++) b->done[b->rows[i]] = true;
  tw_status status = compute(b, t, &place, &result);
  if (status == TW_OK) {
    for (int i = 0; i < t->count; i++) b->used[b->used_count++] = (tw_used_slot){result.key_id, b->taken[i]};
    status = write(b, &place, &result);
    tw_result_share_free(&result);
  }
  tw_result_claim_release(place);
  TW_TRY(status);
  return agree(b, b->claims ? tw_row_claims_done(b->claims, b->rows, t->count, true) : TW_OK);
}

// ---- the end

static tw_status stopped(const batches *b, const turn *t) {
  const char *slots = b->whole->spent;
  char used[TW_SLOTS_TEXT + 48] = "";
  if (!b->o->two_jobs && slots)
    snprintf(used, sizeof used, *slots ? "; used up: key slots %s" : "; no key slot was used%s", slots);
  return tw_fail(TW_STOPPED,
                 "stopped by a signal after the batch in hand: %d of %d rows are done, missing are %" PRId32
                 ": rows %s; `run --resume` goes on with these%s",
                 b->total - t->left, b->total, t->left, t->missing, used);
}

static tw_status write_whole(batches *b, const tw_result_share *whole) {
  tw_result_claim *place = NULL;
  const char *suffix = party_of(b) ? "result.p1.h5" : "result.p0.h5";
  tw_path path = tw_path_of(b->o->name, suffix);
  tw_earlier there;  // who put these parts together before, and died then, may have left this party's result
  tw_earlier_result(b->o->name, party_of(b), &whole->input_id, &whole->plan, &there);
  bool same = there.result && strcmp(there.run_id.hex, whole->run_id.hex) == 0;
  tw_status found = tw_result_share_claim(path.text, whole, b->o->force || b->o->resume || same, &place);
  if (found == TW_OK) found = tw_result_share_fill(place, whole);
  tw_status status = agree(b, found);
  if (status == TW_OK) return commit(b, place);
  tw_result_claim_release(place);
  return status;
}

static bool has_all(const batches *b) {
  for (int i = 0; i < b->total; i++)
    if (!b->done[i]) return false;
  return true;
}

// All rows are done; but a host may not see yet what another one has put into the folder.
static tw_status read_all_parts(batches *b) {
  enum { TRIES = 150 };
  const struct timespec moment = {0, 200000000};
  for (int i = 0; i < TRIES; i++) {
    uint8_t here, there;
    if (i) nanosleep(&moment, NULL);
    tw_parts_refresh(&b->parts);
    TW_TRY(agree(b, tw_parts_read(&b->parts, &b->whole->input->input_id, &b->whole->plan->digest, b->total)));
    memset(b->done, 0, sizeof *b->done * (size_t)b->total);
    tw_parts_mark(&b->parts, b->done);
    here = has_all(b);
    TW_TRY(tw_channel_exchange(b->whole->channel, &here, &there, 1));
    if (here && there) break;
  }
  return TW_OK;
}

// Parts stay until both parties have the whole result.
static tw_status join(batches *b, tw_result_share *out) {
  TW_TRY(read_all_parts(b));
  TW_TRY(keep_common(b));
  TW_TRY(agree(b, tw_parts_join(&b->parts, b->total, out)));
  tw_status status = write_whole(b, out);
  if (status == TW_OK) status = agree(b, b->claims ? tw_row_claims_joined(b->claims) : TW_OK);
  if (status != TW_OK) {
    tw_result_share_free(out);
    return status;
  }
  tw_row_claims_close(b->claims);  // some file systems keep a folder whose files are open
  b->claims = NULL;
  tw_earlier_remove(b->o->name, party_of(b), &b->o->listener);
  return TW_OK;
}

static tw_status walk(batches *b, tw_result_share *out, bool *made) {
  const struct timespec while_others_work = {0, 50000000};
  for (;;) {
    turn *t;
    TW_TRY(next_turn(b, &t));
    if (t->kind == TW_ROWS_BEGIN) TW_TRY(begin(b, made));
    if (t->kind == TW_ROWS_GONE) TW_TRY(gone(b, made));
    if (*made) return TW_OK;
    if (t->kind == TW_ROWS_RUN) TW_TRY(run_batch(b, t));
    if (t->kind == TW_ROWS_WAIT) nanosleep(&while_others_work, NULL);
    if (t->kind == TW_ROWS_STOP) return stopped(b, t);
    if (t->kind == TW_ROWS_JOIN) return join(b, out);
    if (t->kind == TW_ROWS_DONE) return TW_OK;
  }
}

static void release(batches *b) {
  tw_engine_destroy(b->engine);
  tw_row_claims_close(b->claims);
  tw_parts_free(&b->parts);
  tw_share_free(b->input.share, b->input.share ? 8 * (size_t)b->o->batch * b->each : 0);
  tw_free(b->input.lengths);
  tw_free(b->said[0]);
  tw_free(b->said[1]);
  tw_free(b->done);
  tw_free(b->slots);
  tw_free(b->rows);
  tw_free(b->wished);
  tw_free(b->taken);
  tw_free(b->used);
}

tw_status tw_batches(const tw_batches_options *options, const tw_live_dealer *dealer, tw_key_store *keys,
                     const tw_run_options *run, const tw_environment *e, tw_result_share *out, bool *made) {
  batches b = {.o = options,
               .dealer = dealer,
               .keys = keys,
               .keys_opened = true,
               .whole = run,
               .e = e,
               .total = run->input->count,
               .parts = tw_parts_of(options->name, run->channel->party)};
  *out = (tw_result_share){.count = 0};
  *made = false;
  tw_status status = agree(&b, open_claims(&b));
  if (status == TW_OK) status = count_key_files(&b);
  if (status == TW_OK) status = walk(&b, out, made);
  release(&b);
  return status;
}
