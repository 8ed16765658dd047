// A party's result: one masked value and one mask per output element, and what the run cost.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "io/audit.h"
#include "io/h5.h"
#include "io/result.h"
#include "io/result_parts.h"
#include "io/seal_files.h"

static const tw_h5_kind kind = {"twain-result-share",
                                "result-share",
                                true,
                                true,
                                "twain run",
                                "reveal it with the twain that wrote it, or run again"};

// Row of the dataset `costs`, without the gaps of tw_cost_row.
typedef struct __attribute__((packed)) {
  int32_t layer;
  char step[24];
  uint64_t correction_bytes, sent_bytes, rounds;
  double seconds;
} stored_row;

static tw_status row_type(const tw_h5 *f, hid_t *type) {
  hid_t text = H5Tcopy(H5T_C_S1);
  *type = H5Tcreate(H5T_COMPOUND, sizeof(stored_row));
  bool done = text >= 0 && *type >= 0 && H5Tset_size(text, 24) >= 0 && H5Tset_strpad(text, H5T_STR_NULLTERM) >= 0 &&
              H5Tinsert(*type, "layer", HOFFSET(stored_row, layer), H5T_STD_I32LE) >= 0 &&
              H5Tinsert(*type, "step", HOFFSET(stored_row, step), text) >= 0 &&
              H5Tinsert(*type, "correction_bytes", HOFFSET(stored_row, correction_bytes), H5T_STD_U64LE) >= 0 &&
              H5Tinsert(*type, "sent_bytes", HOFFSET(stored_row, sent_bytes), H5T_STD_U64LE) >= 0 &&
              H5Tinsert(*type, "rounds", HOFFSET(stored_row, rounds), H5T_STD_U64LE) >= 0 &&
              H5Tinsert(*type, "seconds", HOFFSET(stored_row, seconds), H5T_IEEE_F64LE) >= 0;
  if (text >= 0) H5Tclose(text);
  if (done) return TW_OK;
  if (*type >= 0) H5Tclose(*type);
  return tw_h5_fail(TW_ERR_INTERNAL, f, "dataset", "costs", "its type cannot be made");
}

enum { ENVIRONMENT_FIELDS = 13 };

typedef struct {
  const char *name;
  char *text;
  size_t size;
} field;

static void environment_fields(tw_environment *e, field out[ENVIRONMENT_FIELDS]) {
  out[0] = (field){"host", e->host, sizeof e->host};
  out[1] = (field){"cpu", e->cpu, sizeof e->cpu};
  out[2] = (field){"software", e->software, sizeof e->software};
  out[3] = (field){"mpi", e->mpi, sizeof e->mpi};
  out[4] = (field){"hdf5", e->hdf5, sizeof e->hdf5};
  out[5] = (field){"isa", e->isa, sizeof e->isa};
  out[6] = (field){"device", e->device, sizeof e->device};
  out[7] = (field){"transport", e->transport, sizeof e->transport};
  out[8] = (field){"job", e->job, sizeof e->job};
  out[9] = (field){"user", e->user, sizeof e->user};
  out[10] = (field){"started", e->started, sizeof e->started};
  out[11] = (field){"placement", e->placement, sizeof e->placement};
  out[12] = (field){"transport_why", e->transport_why, sizeof e->transport_why};
}

static tw_status put_environment(tw_h5 *f, tw_environment *e) {
  field fields[ENVIRONMENT_FIELDS];
  environment_fields(e, fields);
  TW_TRY(tw_h5_group(f, "environment"));
  for (int i = 0; i < ENVIRONMENT_FIELDS; i++) {
    tw_text_make_plain(fields[i].text);  // as readers demand; the batch system's words may be anything
    TW_TRY(tw_h5_put_text(f, "environment", fields[i].name, fields[i].text));
  }
  return tw_h5_put_int(f, "environment", "parties_share_host", e->parties_share_host);
}

static tw_status get_environment(const tw_h5 *f, tw_environment *e) {
  field fields[ENVIRONMENT_FIELDS];
  int64_t share;
  environment_fields(e, fields);
  for (int i = 0; i < ENVIRONMENT_FIELDS; i++)
    TW_TRY(tw_h5_get_text(f, "environment", fields[i].name, fields[i].text, fields[i].size));
  TW_TRY(tw_h5_get_int(f, "environment", "parties_share_host", 0, 1, &share));
  e->parties_share_host = (int)share;
  return TW_OK;
}

static tw_status put_totals(tw_h5 *f, const tw_result_share *r) {
  TW_TRY(tw_h5_put_int(f, "/", "correction_bytes", (int64_t)r->correction_bytes));
  TW_TRY(tw_h5_put_int(f, "/", "sent_bytes", (int64_t)r->sent_bytes));
  TW_TRY(tw_h5_put_int(f, "/", "rounds", (int64_t)r->rounds));
  TW_TRY(tw_h5_put_real(f, "/", "setup_seconds", r->setup_seconds));
  TW_TRY(tw_h5_put_real(f, "/", "preparation_seconds", r->preparation_seconds));
  TW_TRY(tw_h5_put_real(f, "/", "online_seconds", r->online_seconds));
  return tw_h5_put_real(f, "/", "comm_seconds", r->comm_seconds);
}

static tw_status get_totals(const tw_h5 *f, tw_result_share *r) {
  int64_t corrections, sent, rounds;
  TW_TRY(tw_h5_get_int(f, "/", "correction_bytes", 0, INT64_MAX, &corrections));
  TW_TRY(tw_h5_get_int(f, "/", "sent_bytes", 0, INT64_MAX, &sent));
  TW_TRY(tw_h5_get_int(f, "/", "rounds", 0, INT64_MAX, &rounds));
  r->correction_bytes = (uint64_t)corrections;
  r->sent_bytes = (uint64_t)sent;
  r->rounds = (uint64_t)rounds;
  TW_TRY(tw_h5_get_real(f, "/", "setup_seconds", &r->setup_seconds));
  TW_TRY(tw_h5_get_real(f, "/", "preparation_seconds", &r->preparation_seconds));
  TW_TRY(tw_h5_get_real(f, "/", "online_seconds", &r->online_seconds));
  return tw_h5_get_real(f, "/", "comm_seconds", &r->comm_seconds);
}

enum { COUNTERS = 10 };

typedef struct {
  const char *name;
  uint64_t *value;
} counter;

static void counters_of(tw_result_counters *c, counter out[COUNTERS]) {
  out[0] = (counter){"open_flushes_demand", &c->open_flushes_demand};
  out[1] = (counter){"open_flushes_budget", &c->open_flushes_budget};
  out[2] = (counter){"flushes_overlapped", &c->flushes_overlapped};
  out[3] = (counter){"open_comm_ns", &c->open_comm_ns};
  out[4] = (counter){"gate_ns", &c->gate_ns};
  out[5] = (counter){"open_wire_bytes_sent", &c->open_wire_bytes_sent};
  out[6] = (counter){"open_payload_bytes", &c->open_payload_bytes};
  out[7] = (counter){"key_bytes", &c->key_bytes};
  out[8] = (counter){"key_wait_ns", &c->key_wait_ns};
  out[9] = (counter){"products_prepared_beside", &c->products_prepared_beside};
}

static tw_status put_counters(tw_h5 *f, tw_result_counters *c) {
  counter list[COUNTERS];
  counters_of(c, list);
  for (int i = 0; i < COUNTERS; i++) TW_TRY(tw_h5_put_int(f, "/", list[i].name, (int64_t)*list[i].value));
  TW_TRY(tw_h5_put_real(f, "/", "probe_latency_seconds", c->probe_latency_seconds));
  return tw_h5_put_real(f, "/", "probe_bytes_per_second", c->probe_bytes_per_second);
}

static tw_status get_counters(const tw_h5 *f, tw_result_counters *c) {
  counter list[COUNTERS];
  counters_of(c, list);
  for (int i = 0; i < COUNTERS; i++) {
    int64_t value;
    TW_TRY(tw_h5_get_int(f, "/", list[i].name, 0, INT64_MAX, &value));
    *list[i].value = (uint64_t)value;
  }
  TW_TRY(tw_h5_get_real(f, "/", "probe_latency_seconds", &c->probe_latency_seconds));
  return tw_h5_get_real(f, "/", "probe_bytes_per_second", &c->probe_bytes_per_second);
}

// ---- the header

// What a result of this version may say beyond its first form: 1, whether steps were timed, and its batches. A file
// without the attribute is of the first form: steps were timed, and batches are not told.
enum { REVISION = 1 };

static tw_status put_header(tw_h5 *f, const tw_result_share *r) {
  TW_TRY(tw_h5_put_id(f, "model_id", &r->model_id));
  TW_TRY(tw_h5_put_id(f, "key_id", &r->key_id));
  TW_TRY(tw_h5_put_id(f, "input_id", &r->input_id));
  TW_TRY(tw_h5_put_id(f, "run_id", &r->run_id));
  TW_TRY(tw_h5_put_digest(f, "plan", &r->plan));
  TW_TRY(tw_h5_put_int(f, "/", "test_keys", r->test_keys));
  TW_TRY(tw_h5_put_text(f, "/", "output", r->output));
  TW_TRY(tw_h5_put_int(f, "/", "normalise", r->normalise));
  TW_TRY(tw_h5_put_text(f, "/", "transcript", r->transcript));
  TW_TRY(tw_h5_put_int(f, "/", "revision", REVISION));
  TW_TRY(tw_h5_put_int(f, "/", "steps_timed", r->steps_timed));
  TW_TRY(tw_h5_put_int(f, "/", "count", r->count));
  TW_TRY(tw_h5_put_int(f, "/", "rows", r->rows));
  TW_TRY(tw_h5_put_int(f, "/", "cols", r->cols));
  TW_TRY(tw_h5_put_int(f, "/", "cost_rows", r->row_count));
  TW_TRY(tw_h5_put_int(f, "/", "guard", r->guard));
  TW_TRY(tw_h5_put_int(f, "/", "ring_bits", r->ring_bits));
  return tw_h5_put_int(f, "/", "scale", r->scale);
}

bool tw_result_has_transcript(const tw_result_share *r) { return strspn(r->transcript, "0") != strlen(r->transcript); }

static tw_status get_transcript(const tw_h5 *f, tw_result_share *r) {
  tw_digest transcript;
  TW_TRY(tw_h5_get_digest(f, "transcript", &transcript));
  memcpy(r->transcript, transcript.hex, sizeof r->transcript);
  return TW_OK;
}

static tw_status get_revision(const tw_h5 *f, tw_result_share *r) {
  int revision = 0;
  r->steps_timed = true;
  if (tw_h5_has_attribute(f, "revision")) TW_TRY(tw_h5_get_small(f, "revision", 0, INT32_MAX, &revision));
  if (revision > REVISION)
    return tw_fail(TW_ERR_FORMAT, "%s: is a result of revision %d, this twain reads up to %d: use a later one", f->path,
                   revision, REVISION);
  return revision ? tw_h5_get_bool(f, "steps_timed", &r->steps_timed) : TW_OK;
}

static tw_status get_header(const tw_h5 *f, tw_result_share *r) {
  r->party = f->party;
  TW_TRY(tw_h5_get_id(f, "model_id", &r->model_id));
  TW_TRY(tw_h5_get_id(f, "key_id", &r->key_id));
  TW_TRY(tw_h5_get_id(f, "input_id", &r->input_id));
  TW_TRY(tw_h5_get_id(f, "run_id", &r->run_id));
  TW_TRY(tw_h5_get_digest(f, "plan", &r->plan));
  TW_TRY(tw_h5_get_bool(f, "test_keys", &r->test_keys));
  TW_TRY(tw_h5_get_text(f, "/", "output", r->output, sizeof r->output));
  TW_TRY(tw_h5_get_bool(f, "normalise", &r->normalise));
  TW_TRY(get_transcript(f, r));
  TW_TRY(get_revision(f, r));
  TW_TRY(tw_h5_get_small(f, "count", 1, 1 << 24, &r->count));
  TW_TRY(tw_h5_get_small(f, "rows", 1, 1 << 20, &r->rows));
  TW_TRY(tw_result_check_output(f, r->output, r->rows));
  TW_TRY(tw_h5_get_small(f, "cols", 1, 1 << 24, &r->cols));
  TW_TRY(tw_h5_get_bool(f, "guard", &r->guard));
  TW_TRY(tw_h5_get_small(f, "ring_bits", 1, 64, &r->ring_bits));
  return tw_h5_get_small(f, "scale", 0, 63, &r->scale);
}

static size_t output_bytes(const tw_result_share *r) { return (size_t)r->count * r->rows * r->cols * sizeof(uint64_t); }

// rows, spans, batches: as stored, kept by the caller until the file is written.
static tw_status put_all(tw_h5 *f, tw_result_share *r, stored_row *rows, tw_result_span *spans,
                         tw_result_batches *batches) {
  hsize_t shape[3] = {(hsize_t)r->count, (hsize_t)r->rows, (hsize_t)r->cols};
  hid_t type;
  TW_TRY(put_header(f, r));
  TW_TRY(put_totals(f, r));
  TW_TRY(put_counters(f, &r->counters));
  TW_TRY(put_environment(f, &r->environment));
  TW_TRY(tw_h5_put(f, "lengths", H5T_STD_I32LE, 1, shape, r->lengths));
  if (r->input_rows) TW_TRY(tw_h5_put(f, "input_rows", H5T_STD_I32LE, 1, shape, r->input_rows));
  TW_TRY(tw_h5_put(f, "slots", H5T_STD_U64LE, 1, shape, r->slots));
  TW_TRY(tw_h5_put(f, "masked", H5T_STD_U64LE, 3, shape, r->masked));
  TW_TRY(tw_h5_put(f, "mask", H5T_STD_U64LE, 3, shape, r->mask));
  if (r->guard) TW_TRY(tw_h5_put(f, "guard_masked", H5T_STD_U64LE, 1, shape, r->guard_masked));
  if (r->guard) TW_TRY(tw_h5_put(f, "guard_mask", H5T_STD_U64LE, 1, shape, r->guard_mask));
  for (int i = 0; i < r->row_count; i++) {
    const tw_cost_row *from = &r->rows_table[i];
    rows[i] = (stored_row){.layer = from->layer,
                           .correction_bytes = from->correction_bytes,
                           .sent_bytes = from->sent_bytes,
                           .rounds = from->rounds,
                           .seconds = from->seconds};
    memcpy(rows[i].step, from->step, strnlen(from->step, sizeof rows[i].step - 1));
  }
  TW_TRY(tw_result_put_trace(f, r, spans));
  TW_TRY(tw_result_put_batches(f, r, batches));
  TW_TRY(row_type(f, &type));
  tw_status status = tw_h5_put(f, "costs", type, 1, (hsize_t[]){(hsize_t)r->row_count}, rows);
  H5Tclose(type);
  return status;
}

// Into `out`, which was claimed, or (NULL) to `path`.
static tw_status write_share(const char *path, tw_output *out, const tw_result_share *r) {
  tw_h5 f;
  stored_row *rows;
  tw_result_span *spans = NULL;
  tw_result_batches batches = {NULL, NULL};
  tw_result_share copy = *r;  // the list of environment fields points into it
  tw_status status = tw_alloc((size_t)r->row_count * sizeof *rows, (void **)&rows);
  if (status == TW_OK) status = tw_alloc((size_t)r->span_count * sizeof *spans, (void **)&spans);
  if (status == TW_OK)
    status = out ? tw_h5_create_in(&f, out, &kind, r->party) : tw_h5_create(&f, path, &kind, r->party);
  if (status == TW_OK) {
    status = put_all(&f, &copy, rows, spans, &batches);
    status = out ? tw_h5_fill(&f, out, status) : tw_h5_finish(&f, status);
  }
  tw_free(rows);
  tw_free(spans);
  tw_result_batches_free(&batches);
  return status;
}

tw_status tw_result_share_write(const char *path, const tw_result_share *r) { return write_share(path, NULL, r); }

struct tw_result_claim {
  tw_output output;
  int party, count;  // of what it was filled with, and the ids: for the audit log
  tw_id run_id, input_id;
  char path[4096];
};

tw_status tw_result_share_fill(tw_result_claim *place, const tw_result_share *r) {
  place->party = r->party;
  place->count = r->count;
  place->run_id = r->run_id;
  place->input_id = r->input_id;
  return write_share(NULL, &place->output, r);
}

static tw_status log_result(const tw_result_claim *place) {
  char digest[65];
  if (!tw_audit_wanted()) return TW_OK;
  TW_TRY(tw_file_sha256(place->path, digest));
  return tw_audit("result", json_pack("{s:i, s:s, s:s, s:i, s:s}", "party", place->party, "run_id", place->run_id.hex,
                                      "input_id", place->input_id.hex, "sequences", place->count, "sha256", digest));
}

tw_status tw_result_claim_commit(tw_result_claim *place) {
  snprintf(place->path, sizeof place->path, "%s", place->output.path);
  tw_status status = tw_output_commit(&place->output);
  if (status == TW_OK) status = log_result(place);
  free(place);
  return status;
}

void tw_result_claim_release(tw_result_claim *place) {
  if (place) tw_output_abort(&place->output);
  free(place);
}

uint64_t tw_result_share_room(const tw_result_share *r) {
  enum { ATTRIBUTES = 64, DATASETS = 11 };
  uint64_t each =
      sizeof *r->lengths + sizeof *r->input_rows + sizeof *r->slots + sizeof *r->guard_masked + sizeof *r->guard_mask;
  return tw_h5_layout_room(ATTRIBUTES, DATASETS) + each * (uint64_t)r->count + 2 * (uint64_t)output_bytes(r) +
         sizeof(stored_row) * (uint64_t)r->row_count + sizeof(tw_result_span) * (uint64_t)r->span_count +
         sizeof(tw_result_batch_row) * (uint64_t)r->batches.row_count + 64 * (uint64_t)r->batches.count;
}

tw_status tw_result_share_claim(const char *path, const tw_result_share *r, bool replace, tw_result_claim **out) {
  tw_result_claim *place = calloc(1, sizeof *place);
  *out = NULL;
  if (!place) return tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
  tw_status status = tw_output_claim(&place->output, path, tw_result_share_room(r), replace);
  if (status == TW_OK)
    *out = place;
  else
    free(place);
  return status;
}

static tw_status check_row(const tw_h5 *f, int i, const stored_row *row) {
  bool named = row->step[sizeof row->step - 1] == '\0' && tw_text_is_plain(row->step);
  if (named && row->layer >= -1 && isfinite(row->seconds)) return TW_OK;
  return tw_fail(TW_ERR_FORMAT, "%s: dataset costs: row %d: %s", f->path, i,
                 !named           ? "a gate's name without end, or with characters that cannot be shown"
                 : row->layer < 0 ? "a layer below -1"
                                  : "a time that is not a finite number");
}

static tw_status get_rows(const tw_h5 *f, hid_t type, tw_result_share *r) {
  uint64_t offset;
  stored_row *rows;
  hsize_t shape[1] = {(hsize_t)r->row_count};
  TW_TRY(tw_h5_locate(f, "costs", type, 1, shape, &offset));
  TW_TRY(tw_alloc((size_t)r->row_count * sizeof *r->rows_table, (void **)&r->rows_table));
  TW_TRY(tw_alloc((size_t)r->row_count * sizeof *rows, (void **)&rows));
  tw_status status = tw_h5_get(f, "costs", type, 1, shape, rows);
  for (int i = 0; status == TW_OK && i < r->row_count; i++) {
    tw_cost_row *to = &r->rows_table[i];
    status = check_row(f, i, &rows[i]);
    to->layer = rows[i].layer;
    memcpy(to->step, rows[i].step, sizeof to->step - 1);
    to->correction_bytes = rows[i].correction_bytes;
    to->sent_bytes = rows[i].sent_bytes;
    to->rounds = rows[i].rounds;
    to->seconds = rows[i].seconds;
  }
  tw_free(rows);
  return status;
}

static tw_status get_costs(const tw_h5 *f, tw_result_share *r) {
  hid_t type;
  TW_TRY(tw_h5_get_small(f, "cost_rows", 0, 1 << 24, &r->row_count));
  TW_TRY(row_type(f, &type));
  tw_status status = get_rows(f, type, r);
  H5Tclose(type);
  return status;
}

static tw_status get_guard(const tw_h5 *f, tw_result_share *r) {
  enum { RING = 32 };
  uint64_t offset;
  hsize_t shape[1] = {(hsize_t)r->count};
  size_t bytes = (size_t)r->count * sizeof(uint64_t);
  TW_TRY(tw_h5_locate(f, "guard_masked", H5T_STD_U64LE, 1, shape, &offset));
  TW_TRY(tw_h5_locate(f, "guard_mask", H5T_STD_U64LE, 1, shape, &offset));
  TW_TRY(tw_secret_alloc(bytes, (void **)&r->guard_masked));
  TW_TRY(tw_secret_alloc(bytes, (void **)&r->guard_mask));
  TW_TRY(tw_h5_get_ring(f, "guard_masked", RING, 1, shape, r->guard_masked));
  return tw_h5_get_ring(f, "guard_mask", RING, 1, shape, r->guard_mask);
}

static tw_status get_input_rows(const tw_h5 *f, tw_result_share *r) {
  uint64_t offset;
  hsize_t shape[1] = {(hsize_t)r->count};
  TW_TRY(tw_h5_locate(f, "input_rows", H5T_STD_I32LE, 1, shape, &offset));
  TW_TRY(tw_alloc((size_t)r->count * sizeof *r->input_rows, (void **)&r->input_rows));
  TW_TRY(tw_h5_get(f, "input_rows", H5T_STD_I32LE, 1, shape, r->input_rows));
  for (int i = 0; i < r->count; i++)
    if (r->input_rows[i] < 0)
      return tw_fail(TW_ERR_FORMAT, "%s: dataset input_rows: %d at %d", f->path, r->input_rows[i], i);
  return TW_OK;
}

static tw_status get_all(const tw_h5 *f, tw_result_share *r) {
  uint64_t offset;
  TW_TRY(get_header(f, r));
  TW_TRY(get_totals(f, r));
  TW_TRY(get_counters(f, &r->counters));
  TW_TRY(get_environment(f, &r->environment));
  hsize_t shape[3] = {(hsize_t)r->count, (hsize_t)r->rows, (hsize_t)r->cols};
  TW_TRY(tw_h5_locate(f, "lengths", H5T_STD_I32LE, 1, shape, &offset));
  TW_TRY(tw_h5_locate(f, "slots", H5T_STD_U64LE, 1, shape, &offset));
  TW_TRY(tw_h5_locate(f, "masked", H5T_STD_U64LE, 3, shape, &offset));
  TW_TRY(tw_h5_locate(f, "mask", H5T_STD_U64LE, 3, shape, &offset));
  TW_TRY(tw_alloc((size_t)r->count * sizeof *r->lengths, (void **)&r->lengths));
  TW_TRY(tw_alloc((size_t)r->count * sizeof *r->slots, (void **)&r->slots));
  TW_TRY(tw_secret_alloc(output_bytes(r), (void **)&r->masked));
  TW_TRY(tw_secret_alloc(output_bytes(r), (void **)&r->mask));
  TW_TRY(tw_h5_get(f, "lengths", H5T_STD_I32LE, 1, shape, r->lengths));
  TW_TRY(tw_result_check_lengths(f, r->output, r->rows, r->count, r->lengths));
  TW_TRY(tw_h5_get(f, "slots", H5T_STD_U64LE, 1, shape, r->slots));
  TW_TRY(tw_h5_get_ring(f, "masked", r->ring_bits, 3, shape, r->masked));
  TW_TRY(tw_h5_get_ring(f, "mask", r->ring_bits, 3, shape, r->mask));
  if (r->guard) TW_TRY(get_guard(f, r));
  if (!r->guard && (tw_h5_has(f, "guard_masked") || tw_h5_has(f, "guard_mask")))
    return tw_h5_fail(TW_ERR_FORMAT, f, "attribute", "guard", "is 0 beside a guard's datasets; copy the file again");
  if (tw_h5_has(f, "input_rows")) TW_TRY(get_input_rows(f, r));
  TW_TRY(get_costs(f, r));
  TW_TRY(tw_result_get_batches(f, r));
  return tw_result_get_trace(f, r);
}

tw_status tw_result_share_read(const char *path, int party, tw_result_share *r) {
  tw_h5 f;
  *r = (tw_result_share){0};
  TW_TRY(tw_h5_open(&f, path, &kind, party));
  tw_status status = get_all(&f, r);
  tw_h5_close(&f);
  if (status != TW_OK) tw_result_share_free(r);
  return status;
}

void tw_result_share_free(tw_result_share *r) {
  tw_secret_free(r->masked, output_bytes(r));
  tw_secret_free(r->mask, output_bytes(r));
  tw_secret_free(r->guard_masked, (size_t)r->count * sizeof(uint64_t));
  tw_secret_free(r->guard_mask, (size_t)r->count * sizeof(uint64_t));
  tw_free(r->lengths);
  tw_free(r->input_rows);
  tw_free(r->slots);
  tw_free(r->rows_table);
  tw_free(r->spans);
  tw_free(r->batches.transcripts);
  tw_free(r->batches.rows);
  *r = (tw_result_share){0};
}
