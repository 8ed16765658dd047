#include "jobs/parties/batches.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/interrupt.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/row_claims.h"
#include "io/unfinished.h"
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
  uint64_t *used;  // [total and a batch], in ascending order
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

// ---- parts that both parties have

typedef struct {
  tw_id token, run_id;
  int32_t count;  // of rows
} part_name;

static void name_parts(const tw_parts *p, part_name *out) {
  for (int i = 0; i < p->count; i++) {
    out[i].token = p->list[i].token;
    out[i].run_id = p->list[i].run_id;
    out[i].count = p->list[i].count;
  }
}

static bool has(const part_name *list, int count, const part_name *one) {
  for (int i = 0; i < count; i++)
    if (memcmp(&list[i], one, sizeof *one) == 0) return true;
  return false;
}

// What one party has and the other one lacks.
typedef struct {
  int parts;
  int64_t rows;
} lack;

static lack lack_of(const part_name *list, int count, const part_name *others, int other_count) {
  lack l = {0, 0};
  for (int i = 0; i < count; i++)
    if (!has(others, other_count, &list[i])) {
      l.parts++;
      l.rows += list[i].count;
    }
  return l;
}

// A process that died between the two parties' files has left one that only one of them has. More are no accident.
static tw_status judge(const batches *b, const lack lacks[2]) {
  int most = b->o->processes > 1 ? b->o->processes : 1;
  if (b->o->force || lacks[0].parts + lacks[1].parts <= most) return TW_OK;
  return tw_fail(TW_ERR_MISMATCH,
                 "party 0 lacks %d finished batches (%" PRId64 " rows) that party 1 has, party 1 lacks %d (%" PRId64
                 " rows) that party 0 has: more than a process that dies leaves. Are both in the right folder, and "
                 "their disks there? `--resume --force` on both parties drops these batches",
                 lacks[0].parts, lacks[0].rows, lacks[1].parts, lacks[1].rows);
}

// Each sends as many names as the longer list has. common [mine].
static tw_status exchange_names(batches *b, int theirs, bool *common, lack lacks[2]) {
  part_name *names[2];
  int mine = b->parts.count, party = party_of(b);
  size_t longer = (size_t)(mine > theirs ? mine : theirs);
  TW_TRY(tw_alloc(2 * (longer + 1) * sizeof **names, (void **)&names[0]));
  names[1] = names[0] + longer;
  name_parts(&b->parts, names[0]);
  tw_status status = tw_channel_exchange(b->whole->channel, names[0], names[1], longer * sizeof **names);
  for (int i = 0; i < mine && status == TW_OK; i++) common[i] = has(names[1], theirs, &names[0][i]);
  if (status == TW_OK) {
    lacks[party] = lack_of(names[1], theirs, names[0], mine);
    lacks[1 - party] = lack_of(names[0], mine, names[1], theirs);
  }
  tw_free(names[0]);
  return status;
}

// Before any is put aside both parties know that they both will.
static tw_status keep_common(batches *b, int theirs, bool *common) {
  lack lacks[2];
  TW_TRY(exchange_names(b, theirs, common, lacks));
  TW_TRY(agree(b, judge(b, lacks)));
  const lack *dropped = &lacks[1 - party_of(b)];
  if (dropped->parts)
    tw_warn(&b->o->listener,
            "%s: party %d lacks %d of the batches there (%" PRId64
            " rows), which are put aside as .dropped; these rows "
            "run again",
            b->parts.folder.text, 1 - party_of(b), dropped->parts, dropped->rows);
  return agree(b, tw_parts_keep(&b->parts, common));
}

// Reads this party's parts, and puts those aside that the other one has not got.
static tw_status compare_parts(batches *b) {
  enum { MOST = 1 << 24 };
  bool *common;
  int32_t mine, theirs;
  TW_TRY(agree(b, tw_parts_read(&b->parts, &b->whole->input->input_id, &b->whole->plan->digest, b->total)));
  mine = b->parts.count;
  TW_TRY(tw_channel_exchange(b->whole->channel, &mine, &theirs, sizeof mine));
  if (theirs < 0 || theirs > MOST)
    return tw_fail(TW_ERR_PEER, "party %d says that it has %" PRId32 " finished batches", 1 - party_of(b), theirs);
  TW_TRY(tw_alloc((size_t)mine + 1, (void **)&common));
  tw_status status = keep_common(b, theirs, common);
  tw_free(common);
  return status;
}

// ---- the beginning

// Into b->slots: of the rows that are missing, in their order, those that are free now.
static tw_status wish(batches *b) {
  const tw_run_options *w = b->whole;
  uint64_t *found;
  int n = 0;
  for (int i = 0; i < b->total; i++) n += !b->done[i];
  if (n == 0 || b->dealer) return TW_OK;
  tw_slots s = {.channel = w->channel, .keys = w->keys, .ledger = w->ledger, .count = n, .first_slot = w->first_slot};
  TW_TRY(tw_alloc(sizeof *found * (size_t)n, (void **)&found));
  tw_status status = tw_slots_survey(&s, found);
  tw_slots_release(&s);
  for (int i = 0, k = 0; i < b->total && k < n && status == TW_OK; i++)
    if (!b->done[i]) b->slots[i] = found[k++];
  tw_free(found);
  return status;
}

// The first of the processes finds out what is done already, and which slots the others shall have.
static tw_status begin_rows(batches *b) {
  if (b->o->force && !b->o->resume) tw_parts_drop(&b->parts);
  tw_status found = tw_parts_read(&b->parts, &b->whole->input->input_id, &b->whole->plan->digest, b->total);
  if (found == TW_OK && !b->o->resume && !b->o->force) found = tw_earlier_refuse(b->o->name, party_of(b));
  TW_TRY(agree(b, found));
  TW_TRY(compare_parts(b));
  tw_parts_mark(&b->parts, b->done);
  TW_TRY(wish(b));
  return agree(b, b->claims ? tw_row_claims_begin(b->claims, b->done, b->whole->input->lengths, b->slots) : TW_OK);
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

static tw_status open_claims(batches *b, bool *first) {
  const tw_row_claims_options options = {.folder = b->parts.folder.text,
                                         .input_id = b->whole->input->input_id,
                                         .plan = b->whole->plan->digest,
                                         .count = b->total,
                                         .index = b->o->index,
                                         .processes = b->o->processes,
                                         .patience = b->whole->channel->timeout_seconds};
  *first = false;
  TW_TRY(allocate(b));
  TW_TRY(tw_parts_make(&b->parts));
  return party_of(b) == 0 ? tw_row_claims_open(&options, first, &b->claims) : TW_OK;
}

static tw_status begin(batches *b) {
  bool is_first;
  uint8_t first = 0, theirs;
  TW_TRY(agree(b, open_claims(b, &is_first)));
  first = is_first;
  TW_TRY(tw_channel_exchange(b->whole->channel, &first, &theirs, 1));
  return (party_of(b) == 0 ? first : theirs) ? begin_rows(b) : TW_OK;
}

// ---- a turn

static tw_status nonsense(const batches *b) {
  return tw_fail(TW_ERR_PEER, "party %d names rows of a batch as no twain does", 1 - party_of(b));
}

static int *rows_of(turn *t) { return (int *)(void *)(t + 1); }

// Into b->rows and b->wished. No row runs twice in a process.
static tw_status take_said(batches *b, turn *t) {
  int most = b->o->batch;
  if (t->kind < TW_ROWS_RUN || t->kind > TW_ROWS_STOP || t->count < 0 || t->count > most || t->left < 0 ||
      t->left > b->total || !tw_id_is_hex(&t->token) || !memchr(t->missing, '\0', sizeof t->missing) ||
      (t->kind == TW_ROWS_RUN) != (t->count > 0))
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

static int by_number(const void *a, const void *c) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)c;
  return x < y ? -1 : x > y;
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
  run.wished = b->dealer ? NULL : b->wished;
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
    memcpy(b->used + b->used_count, b->taken, sizeof *b->used * (size_t)t->count);
    b->used_count += t->count;
    qsort(b->used, (size_t)b->used_count, sizeof *b->used, by_number);
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
  tw_status found = tw_result_share_claim(path.text, whole, b->o->force || b->o->resume, &place);
  if (found == TW_OK) found = tw_result_share_fill(place, whole);
  tw_status status = agree(b, found);
  if (status == TW_OK) return commit(b, place);
  tw_result_claim_release(place);
  return status;
}

// Parts stay until both parties have the whole result.
static tw_status join(batches *b, tw_result_share *out) {
  TW_TRY(compare_parts(b));
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

static tw_status walk(batches *b, tw_result_share *out) {
  const struct timespec while_others_work = {0, 50000000};
  for (;;) {
    turn *t;
    TW_TRY(next_turn(b, &t));
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
                     const tw_run_options *run, const tw_environment *e, tw_result_share *out) {
  batches b = {.o = options,
               .dealer = dealer,
               .keys = keys,
               .keys_opened = true,
               .whole = run,
               .e = e,
               .total = run->input->count,
               .parts = tw_parts_of(options->name, run->channel->party)};
  *out = (tw_result_share){.count = 0};
  tw_status status = begin(&b);
  if (status == TW_OK) status = walk(&b, out);
  release(&b);
  return status;
}
