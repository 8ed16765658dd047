#include "jobs/parties/earlier.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "io/host.h"
#include "io/new_files.h"
#include "io/row_claims.h"

// ---- of this party

static tw_status read_result(const tw_path *path, int party, const tw_id *input_id, const tw_digest *plan,
                             tw_result_share *r, bool *same) {
  TW_TRY(tw_result_share_read(path->text, party, r));
  *same = strcmp(r->input_id.hex, input_id->hex) == 0 && strcmp(r->plan.hex, plan->hex) == 0;
  return TW_OK;
}

void tw_earlier_result(const char *name, int party, const tw_id *input_id, const tw_digest *plan, tw_earlier *out) {
  tw_path path = tw_path_of(name, party ? "result.p1.h5" : "result.p0.h5");
  tw_result_share r;
  memset(out, 0, sizeof *out);
  if (!tw_path_exists(&path) || read_result(&path, party, input_id, plan, &r, &out->result) != TW_OK) return;
  if (out->result) out->run_id = r.run_id;
  char job[sizeof r.environment.job];
  tw_host_job(job, sizeof job);
  out->of_job = out->result && *job && strcmp(job, r.environment.job) == 0;
  tw_result_share_free(&r);
}

static tw_status find_result(const tw_parts *parts, const tw_path *path, const tw_id *input_id, const tw_digest *plan,
                             bool replace, tw_earlier *out) {
  tw_result_share r;
  TW_TRY(read_result(path, parts->party, input_id, plan, &r, &out->result));
  tw_status status = TW_OK;
  if (out->result) {
    out->run_id = r.run_id;
    status = tw_parts_later(parts, &r, &out->later);
  } else if (!replace && parts->count == 0) {
    status =
        tw_fail(TW_ERR_IO, "%s: is the result of another input or plan; choose another NAME, or remove it", path->text);
  }
  tw_result_share_free(&r);
  return status;
}

tw_status tw_earlier_find(const char *name, int party, const tw_id *input_id, const tw_digest *plan, int rows,
                          bool replace, tw_earlier *out) {
  tw_path path = tw_path_of(name, party ? "result.p1.h5" : "result.p0.h5");
  tw_parts parts = tw_parts_of(name, party);
  bool *done;
  memset(out, 0, sizeof *out);
  out->missing = rows;
  TW_TRY(tw_alloc(sizeof *done * (size_t)rows, (void **)&done));
  tw_status status = tw_parts_read(&parts, input_id, plan, rows);
  if (status == TW_OK) tw_parts_mark(&parts, done);
  for (int i = 0; i < rows && status == TW_OK; i++) out->missing -= done[i];
  if (status == TW_OK && tw_path_exists(&path)) status = find_result(&parts, &path, input_id, plan, replace, out);
  tw_free(done);
  tw_parts_free(&parts);
  return status;
}

// ---- of both

static tw_status differ(int party, const char *what, uint32_t mine, uint32_t theirs) {
  return tw_fail(TW_ERR_MISMATCH,
                 "the parties differ in %s: party %d has %" PRIu32 ", party %d has %" PRIu32 "; give both the same",
                 what, party, mine, 1 - party, theirs);
}

// On the wire.
typedef struct {
  uint32_t batch, resume, stopped, result, later, all_rows;
  tw_id run_id;
} words;

static void describe(const words *w, char text[96]) {
  const char *what = w->later ? "rows of a later run" : w->result ? "the result of run " : "no result";
  snprintf(text, 96, "%s%s", what, w->result && !w->later ? w->run_id.hex : "");
}

// A result may not be replaced that was made of all that is here, because the other party lacks its half: that half may
// lie elsewhere, or be delivered.
static tw_status results_differ(int party, const words *mine, const words *theirs) {
  char here[96], there[96];
  describe(mine, here);
  describe(theirs, there);
  return tw_fail(TW_ERR_MISMATCH,
                 "party %d has %s of this input, party %d has %s: halves of one run go together; if a half lies "
                 "elsewhere, put it back. To run the input anew, move away what is there on both parties first",
                 party, here, 1 - party, there);
}

static tw_status compare(int party, const words *mine, const words *theirs, bool *done) {
  *done = false;
  bool same = mine->result && theirs->result && strcmp(mine->run_id.hex, theirs->run_id.hex) == 0;
  if (same && !mine->later && !theirs->later) {
    *done = true;
    return TW_OK;
  }
  if (mine->all_rows && theirs->all_rows) return TW_OK;  // they are joined, again on who had done that
  bool kept = (mine->result && !mine->later) || (theirs->result && !theirs->later);
  return kept ? results_differ(party, mine, theirs) : TW_OK;
}

tw_status tw_beginning_agree(tw_channel *channel, const tw_beginning *mine, bool *stopped, bool *done) {
  words own, other;
  memset(&own, 0, sizeof own);
  own.batch = mine->batch;
  own.resume = mine->resume;
  own.stopped = mine->stopped;
  own.result = mine->earlier.result;
  own.later = mine->earlier.later;
  own.all_rows = mine->resume && mine->earlier.missing == 0;
  own.run_id = mine->earlier.run_id;
  TW_TRY(tw_channel_exchange(channel, &own, &other, sizeof own));
  if (other.resume > 1 || other.stopped > 1 || other.result > 1 || other.later > 1 || other.all_rows > 1 ||
      (other.result && !tw_id_is_hex(&other.run_id)))
    return tw_fail(TW_ERR_PEER, "party %d says how it begins, as no twain says it", 1 - channel->party);
  if (own.batch != other.batch) return differ(channel->party, "--batch (0: all at once)", own.batch, other.batch);
  if (own.resume != other.resume) return differ(channel->party, "--resume", own.resume, other.resume);
  *stopped = own.stopped || other.stopped;
  return compare(channel->party, &own, &other, done);
}

tw_status tw_earlier_made(tw_channel *channel, const tw_earlier *now, const tw_id *known, bool replace, bool *made) {
  words own, other;
  bool is_new = now->result && !now->later && strcmp(now->run_id.hex, known->hex) != 0;
  memset(&own, 0, sizeof own);
  own.result = is_new;
  if (is_new) own.run_id = now->run_id;
  TW_TRY(tw_channel_exchange(channel, &own, &other, sizeof own));
  if (other.result > 1 || (other.result && !tw_id_is_hex(&other.run_id)))
    return tw_fail(TW_ERR_PEER, "party %d says what result it has, as no twain says it", 1 - channel->party);
  *made = own.result && other.result && strcmp(own.run_id.hex, other.run_id.hex) == 0;
  if (*made || replace || (!own.result && !other.result)) return TW_OK;
  return results_differ(channel->party, &own, &other);
}

// ---- parts that are of no use

tw_status tw_earlier_idle(const char *name, int party, const tw_id *input_id, const tw_digest *plan, int rows) {
  tw_parts parts = tw_parts_of(name, party);
  tw_row_claims *claims;
  bool gone;
  if (party || !tw_parts_exist(&parts)) return TW_OK;
  tw_status status = tw_row_claims_open(
      &(tw_row_claims_options){
          .folder = parts.folder.text, .input_id = *input_id, .plan = *plan, .count = rows, .processes = 1},
      &gone, &claims);
  tw_row_claims_close(claims);
  return gone ? TW_OK : status;
}

void tw_earlier_remove(const char *name, int party, const tw_listener *listener) {
  tw_parts parts = tw_parts_of(name, party);
  if (tw_parts_remove(&parts) != TW_OK) tw_warn(listener, "%s", tw_error_message());
}

tw_status tw_earlier_refuse(const char *name, int party) {
  tw_parts parts = tw_parts_of(name, party);
  if (!tw_parts_any(&parts)) return TW_OK;
  return tw_fail(TW_ERR_IO,
                 "%s: holds rows of a run that was ended before its last batch: --resume goes on with the rows that "
                 "are missing, --force begins anew",
                 parts.folder.text);
}
