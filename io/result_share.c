// A rank's result: one masked value and one mask per output element, and what the run cost.
#include <string.h>

#include "base/memory.h"
#include "io/h5.h"
#include "io/result.h"

static const tw_h5_kind kind = {"twain-result-share", "result-share", true, true, "twain run"};

// Row of the dataset `costs`, without the gaps of tw_cost_row.
typedef struct __attribute__((packed)) {
  int32_t layer;
  char gate[24];
  uint64_t correction_bytes, sent_bytes, rounds;
  double seconds;
} stored_row;

static tw_status row_type(const tw_h5 *f, hid_t *type) {
  hid_t gate = H5Tcopy(H5T_C_S1);
  *type = H5Tcreate(H5T_COMPOUND, sizeof(stored_row));
  bool done = gate >= 0 && *type >= 0 && H5Tset_size(gate, 24) >= 0 && H5Tset_strpad(gate, H5T_STR_NULLTERM) >= 0 &&
              H5Tinsert(*type, "layer", HOFFSET(stored_row, layer), H5T_STD_I32LE) >= 0 &&
              H5Tinsert(*type, "gate", HOFFSET(stored_row, gate), gate) >= 0 &&
              H5Tinsert(*type, "correction_bytes", HOFFSET(stored_row, correction_bytes), H5T_STD_U64LE) >= 0 &&
              H5Tinsert(*type, "sent_bytes", HOFFSET(stored_row, sent_bytes), H5T_STD_U64LE) >= 0 &&
              H5Tinsert(*type, "rounds", HOFFSET(stored_row, rounds), H5T_STD_U64LE) >= 0 &&
              H5Tinsert(*type, "seconds", HOFFSET(stored_row, seconds), H5T_IEEE_F64LE) >= 0;
  if (gate >= 0) H5Tclose(gate);
  if (done) return TW_OK;
  if (*type >= 0) H5Tclose(*type);
  return tw_h5_fail(TW_ERR_INTERNAL, f, "dataset", "costs", "its type cannot be made");
}

enum { ENVIRONMENT_FIELDS = 12 };

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
}

static tw_status put_environment(tw_h5 *f, tw_environment *e) {
  field fields[ENVIRONMENT_FIELDS];
  environment_fields(e, fields);
  TW_TRY(tw_h5_group(f, "environment"));
  for (int i = 0; i < ENVIRONMENT_FIELDS; i++) TW_TRY(tw_h5_put_text(f, "environment", fields[i].name, fields[i].text));
  return tw_h5_put_int(f, "environment", "ranks_share_host", e->ranks_share_host);
}

static tw_status get_environment(const tw_h5 *f, tw_environment *e) {
  field fields[ENVIRONMENT_FIELDS];
  int64_t share;
  environment_fields(e, fields);
  for (int i = 0; i < ENVIRONMENT_FIELDS; i++)
    TW_TRY(tw_h5_get_text(f, "environment", fields[i].name, fields[i].text, fields[i].size));
  TW_TRY(tw_h5_get_int(f, "environment", "ranks_share_host", 0, 1, &share));
  e->ranks_share_host = (int)share;
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

static tw_status put_header(tw_h5 *f, const tw_result_share *r) {
  TW_TRY(tw_h5_put_id(f, "model_id", &r->model_id));
  TW_TRY(tw_h5_put_id(f, "key_id", &r->key_id));
  TW_TRY(tw_h5_put_id(f, "input_id", &r->input_id));
  TW_TRY(tw_h5_put_id(f, "run_id", &r->run_id));
  TW_TRY(tw_h5_put_digest(f, "plan", &r->plan));
  TW_TRY(tw_h5_put_int(f, "/", "test_keys", r->test_keys));
  TW_TRY(tw_h5_put_text(f, "/", "output", r->output));
  TW_TRY(tw_h5_put_text(f, "/", "transcript", r->transcript));
  TW_TRY(tw_h5_put_int(f, "/", "count", r->count));
  TW_TRY(tw_h5_put_int(f, "/", "rows", r->rows));
  TW_TRY(tw_h5_put_int(f, "/", "cols", r->cols));
  TW_TRY(tw_h5_put_int(f, "/", "cost_rows", r->row_count));
  TW_TRY(tw_h5_put_int(f, "/", "ring_bits", r->ring_bits));
  return tw_h5_put_int(f, "/", "scale", r->scale);
}

static tw_status get_header(const tw_h5 *f, tw_result_share *r) {
  r->rank = f->rank;
  TW_TRY(tw_h5_get_id(f, "model_id", &r->model_id));
  TW_TRY(tw_h5_get_id(f, "key_id", &r->key_id));
  TW_TRY(tw_h5_get_id(f, "input_id", &r->input_id));
  TW_TRY(tw_h5_get_id(f, "run_id", &r->run_id));
  TW_TRY(tw_h5_get_digest(f, "plan", &r->plan));
  TW_TRY(tw_h5_get_bool(f, "test_keys", &r->test_keys));
  TW_TRY(tw_h5_get_text(f, "/", "output", r->output, sizeof r->output));
  TW_TRY(tw_h5_get_text(f, "/", "transcript", r->transcript, sizeof r->transcript));
  TW_TRY(tw_h5_get_small(f, "count", 1, 1 << 24, &r->count));
  TW_TRY(tw_h5_get_small(f, "rows", 1, 1 << 20, &r->rows));
  TW_TRY(tw_h5_get_small(f, "cols", 1, 1 << 24, &r->cols));
  TW_TRY(tw_h5_get_small(f, "ring_bits", 1, 64, &r->ring_bits));
  return tw_h5_get_small(f, "scale", 0, 63, &r->scale);
}

static size_t output_bytes(const tw_result_share *r) { return (size_t)r->count * r->rows * r->cols * sizeof(uint64_t); }

// rows: the cost table as stored, kept by the caller until the file is written.
static tw_status put_all(tw_h5 *f, tw_result_share *r, stored_row *rows) {
  hsize_t shape[3] = {(hsize_t)r->count, (hsize_t)r->rows, (hsize_t)r->cols};
  hid_t type;
  TW_TRY(put_header(f, r));
  TW_TRY(put_totals(f, r));
  TW_TRY(put_environment(f, &r->environment));
  TW_TRY(tw_h5_put(f, "lengths", H5T_STD_I32LE, 1, shape, r->lengths));
  TW_TRY(tw_h5_put(f, "slots", H5T_STD_U64LE, 1, shape, r->slots));
  TW_TRY(tw_h5_put(f, "masked", H5T_STD_U64LE, 3, shape, r->masked));
  TW_TRY(tw_h5_put(f, "mask", H5T_STD_U64LE, 3, shape, r->mask));
  for (int i = 0; i < r->row_count; i++) {
    const tw_cost_row *from = &r->rows_table[i];
    rows[i] = (stored_row){.layer = from->layer,
                           .correction_bytes = from->correction_bytes,
                           .sent_bytes = from->sent_bytes,
                           .rounds = from->rounds,
                           .seconds = from->seconds};
    memcpy(rows[i].gate, from->gate, strnlen(from->gate, sizeof rows[i].gate - 1));
  }
  TW_TRY(row_type(f, &type));
  tw_status status = tw_h5_put(f, "costs", type, 1, (hsize_t[]){(hsize_t)r->row_count}, rows);
  H5Tclose(type);
  return status;
}

tw_status tw_result_share_write(const char *path, const tw_result_share *r) {
  tw_h5 f;
  stored_row *rows;
  tw_result_share copy = *r;  // the list of environment fields points into it
  TW_TRY(tw_alloc((size_t)r->row_count * sizeof *rows, (void **)&rows));
  tw_status status = tw_h5_create(&f, path, &kind, r->rank);
  if (status == TW_OK) status = tw_h5_finish(&f, put_all(&f, &copy, rows));
  tw_free(rows);
  return status;
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
    to->layer = rows[i].layer;
    memcpy(to->gate, rows[i].gate, sizeof to->gate - 1);
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

static tw_status get_all(const tw_h5 *f, tw_result_share *r) {
  uint64_t offset;
  TW_TRY(get_header(f, r));
  TW_TRY(get_totals(f, r));
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
  TW_TRY(tw_h5_get(f, "slots", H5T_STD_U64LE, 1, shape, r->slots));
  TW_TRY(tw_h5_get_ring(f, "masked", r->ring_bits, 3, shape, r->masked));
  TW_TRY(tw_h5_get_ring(f, "mask", r->ring_bits, 3, shape, r->mask));
  return get_costs(f, r);
}

tw_status tw_result_share_read(const char *path, int rank, tw_result_share *r) {
  tw_h5 f;
  *r = (tw_result_share){0};
  TW_TRY(tw_h5_open(&f, path, &kind, rank));
  tw_status status = get_all(&f, r);
  tw_h5_close(&f);
  if (status != TW_OK) tw_result_share_free(r);
  return status;
}

void tw_result_share_free(tw_result_share *r) {
  tw_secret_free(r->masked, output_bytes(r));
  tw_secret_free(r->mask, output_bytes(r));
  tw_free(r->lengths);
  tw_free(r->slots);
  tw_free(r->rows_table);
  *r = (tw_result_share){0};
}
