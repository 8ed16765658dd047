// The batches of a result that was put together from several: who ran which rows, and what each opened.
#include <string.h>

#include "base/memory.h"
#include "io/result_parts.h"

enum { DIGITS = 64 };

static tw_status transcript_type(const tw_h5 *f, hid_t *type) {
  *type = H5Tcopy(H5T_C_S1);
  if (*type >= 0 && H5Tset_size(*type, DIGITS) >= 0 && H5Tset_strpad(*type, H5T_STR_NULLPAD) >= 0) return TW_OK;
  if (*type >= 0) H5Tclose(*type);
  return tw_h5_fail(TW_ERR_INTERNAL, f, "dataset", "transcripts", "its type cannot be made");
}

static tw_status row_type(const tw_h5 *f, hid_t *type) {
  *type = H5Tcreate(H5T_COMPOUND, sizeof(tw_result_batch_row));
  if (*type >= 0 && H5Tinsert(*type, "batch", HOFFSET(tw_result_batch_row, batch), H5T_STD_I32LE) >= 0 &&
      H5Tinsert(*type, "row", HOFFSET(tw_result_batch_row, row), H5T_STD_I32LE) >= 0 &&
      H5Tinsert(*type, "slot", HOFFSET(tw_result_batch_row, slot), H5T_STD_U64LE) >= 0)
    return TW_OK;
  if (*type >= 0) H5Tclose(*type);
  return tw_h5_fail(TW_ERR_INTERNAL, f, "dataset", "batches", "its type cannot be made");
}

tw_digest tw_batch_list_transcript(const tw_batch_list *b) {
  tw_digest all;
  tw_digest_of(b->transcripts, sizeof *b->transcripts * (size_t)b->count, &all);
  return all;
}

// ---- writing

static tw_status store(const tw_batch_list *b, tw_result_batches *to) {
  TW_TRY(tw_alloc(sizeof *to->transcripts * (size_t)b->count, (void **)&to->transcripts));
  TW_TRY(tw_alloc(sizeof *to->rows * (size_t)b->row_count, (void **)&to->rows));
  for (int i = 0; i < b->count; i++) memcpy(to->transcripts[i], b->transcripts[i], DIGITS);
  for (int i = 0; i < b->row_count; i++)
    to->rows[i] = (tw_result_batch_row){b->rows[i].batch, b->rows[i].row, b->rows[i].slot};
  return TW_OK;
}

tw_status tw_result_put_batches(tw_h5 *f, const tw_result_share *r, tw_result_batches *stored) {
  const tw_batch_list *b = &r->batches;
  hid_t type;
  TW_TRY(tw_h5_put_int(f, "/", "batches", b->count));
  if (!b->count) return TW_OK;
  TW_TRY(tw_h5_put_int(f, "/", "batch_rows", b->row_count));
  TW_TRY(store(b, stored));
  TW_TRY(transcript_type(f, &type));
  tw_status status = tw_h5_put(f, "transcripts", type, 1, (hsize_t[]){(hsize_t)b->count}, stored->transcripts);
  H5Tclose(type);
  TW_TRY(status);
  TW_TRY(row_type(f, &type));
  status = tw_h5_put(f, "batch_rows", type, 1, (hsize_t[]){(hsize_t)b->row_count}, stored->rows);
  H5Tclose(type);
  return status;
}

void tw_result_batches_free(tw_result_batches *stored) {
  tw_free(stored->transcripts);
  tw_free(stored->rows);
}

// ---- reading

static tw_status nonsense(const tw_h5 *f, const char *dataset, const char *problem) {
  return tw_h5_fail(TW_ERR_FORMAT, f, "dataset", dataset, problem);
}

static tw_status get_transcripts(const tw_h5 *f, hid_t type, tw_batch_list *b) {
  uint64_t offset;
  char(*stored)[DIGITS];
  hsize_t shape[1] = {(hsize_t)b->count};
  TW_TRY(tw_h5_locate(f, "transcripts", type, 1, shape, &offset));
  TW_TRY(tw_alloc(sizeof *b->transcripts * (size_t)b->count, (void **)&b->transcripts));
  TW_TRY(tw_alloc(sizeof *stored * (size_t)b->count, (void **)&stored));
  tw_status status = tw_h5_get(f, "transcripts", type, 1, shape, stored);
  for (int i = 0; i < b->count && status == TW_OK; i++) {
    memcpy(b->transcripts[i], stored[i], DIGITS);
    if (!tw_is_hex(b->transcripts[i], DIGITS)) status = nonsense(f, "transcripts", "not 64 hexadecimal digits each");
  }
  tw_free(stored);
  return status;
}

static tw_status get_rows(const tw_h5 *f, hid_t type, tw_batch_list *b) {
  uint64_t offset;
  tw_result_batch_row *stored;
  hsize_t shape[1] = {(hsize_t)b->row_count};
  TW_TRY(tw_h5_locate(f, "batch_rows", type, 1, shape, &offset));
  TW_TRY(tw_alloc(sizeof *b->rows * (size_t)b->row_count, (void **)&b->rows));
  TW_TRY(tw_alloc(sizeof *stored * (size_t)b->row_count, (void **)&stored));
  tw_status status = tw_h5_get(f, "batch_rows", type, 1, shape, stored);
  for (int i = 0; i < b->row_count; i++) b->rows[i] = (tw_batch_row){stored[i].batch, stored[i].row, stored[i].slot};
  tw_free(stored);
  return status;
}

// Batch by batch, none without a row, and the rows of each in ascending order: as they ran.
static bool in_order(const tw_batch_list *b, int sequences) {
  for (int i = 0; i < b->row_count; i++) {
    const tw_batch_row *now = &b->rows[i], *before = i ? now - 1 : NULL;
    bool next = now->batch == (before ? before->batch + 1 : 0);
    if (now->row < 0 || now->row >= sequences || (!next && (!before || now->batch != before->batch))) return false;
    if (!next && now->row <= before->row) return false;
  }
  return b->rows[b->row_count - 1].batch == b->count - 1;
}

// The first batch that has a row is the one whose values count.
static tw_status check_rows(const tw_h5 *f, const tw_result_share *r) {
  const tw_batch_list *b = &r->batches;
  bool *there;
  int found = 0;
  TW_TRY(tw_alloc(sizeof *there * (size_t)r->count, (void **)&there));
  tw_status status = TW_OK;
  for (int i = 0; i < b->row_count && status == TW_OK; i++) {
    const tw_batch_row *row = &b->rows[i];
    if (there[row->row]) continue;
    there[row->row] = true;
    found++;
    if (row->slot != r->slots[row->row]) status = nonsense(f, "batch_rows", "a row has another key slot than in slots");
  }
  tw_free(there);
  if (status == TW_OK && found < r->count) status = nonsense(f, "batch_rows", "a row is in no batch");
  return status;
}

static tw_status check(const tw_h5 *f, const tw_result_share *r) {
  if (!in_order(&r->batches, r->count))
    return nonsense(f, "batch_rows", "batches without rows, or rows that are not in ascending order");
  TW_TRY(check_rows(f, r));
  tw_digest all = tw_batch_list_transcript(&r->batches);
  if (strcmp(all.hex, r->transcript) == 0) return TW_OK;
  return nonsense(f, "transcripts", "are not those that the attribute transcript is made of");
}

tw_status tw_result_get_batches(const tw_h5 *f, tw_result_share *r) {
  enum { MOST = 1 << 26 };
  tw_batch_list *b = &r->batches;
  hid_t type;
  if (!tw_h5_has_attribute(f, "batches")) return TW_OK;  // of the first form
  TW_TRY(tw_h5_get_small(f, "batches", 0, MOST, &b->count));
  if (!b->count) return TW_OK;
  TW_TRY(tw_h5_get_small(f, "batch_rows", b->count, MOST, &b->row_count));
  TW_TRY(transcript_type(f, &type));
  tw_status status = get_transcripts(f, type, b);
  H5Tclose(type);
  TW_TRY(status);
  TW_TRY(row_type(f, &type));
  status = get_rows(f, type, b);
  H5Tclose(type);
  return status == TW_OK ? check(f, r) : status;
}
