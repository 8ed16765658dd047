// The trace of a result file, absent when the run recorded none.
#include "base/memory.h"
#include "io/result_parts.h"

static tw_status span_type(const tw_h5 *f, hid_t *type) {
  *type = H5Tcreate(H5T_COMPOUND, sizeof(tw_result_span));
  if (*type >= 0 && H5Tinsert(*type, "track", HOFFSET(tw_result_span, track), H5T_STD_I32LE) >= 0 &&
      H5Tinsert(*type, "half", HOFFSET(tw_result_span, half), H5T_STD_I32LE) >= 0 &&
      H5Tinsert(*type, "row", HOFFSET(tw_result_span, row), H5T_STD_I32LE) >= 0 &&
      H5Tinsert(*type, "reserved", HOFFSET(tw_result_span, unused), H5T_STD_I32LE) >= 0 &&
      H5Tinsert(*type, "begin_ns", HOFFSET(tw_result_span, begin_ns), H5T_STD_U64LE) >= 0 &&
      H5Tinsert(*type, "end_ns", HOFFSET(tw_result_span, end_ns), H5T_STD_U64LE) >= 0)
    return TW_OK;
  if (*type >= 0) H5Tclose(*type);
  return tw_h5_fail(TW_ERR_INTERNAL, f, "dataset", "trace", "its type cannot be made");
}

static void store_spans(const tw_result_share *r, tw_result_span *to) {
  for (int i = 0; i < r->span_count; i++) {
    const tw_span *s = &r->spans[i];
    to[i] = (tw_result_span){s->track, s->half, s->step, 0, s->begin_ns, s->end_ns};
  }
}

tw_status tw_result_put_trace(tw_h5 *f, const tw_result_share *r, tw_result_span *stored) {
  hid_t type;
  TW_TRY(tw_h5_put_int(f, "/", "trace_spans", r->span_count));
  TW_TRY(tw_h5_put_int(f, "/", "trace_dropped", (int64_t)r->spans_dropped));
  if (!r->span_count) return TW_OK;
  store_spans(r, stored);
  TW_TRY(span_type(f, &type));
  tw_status status = tw_h5_put(f, "trace", type, 1, (hsize_t[]){(hsize_t)r->span_count}, stored);
  H5Tclose(type);
  return status;
}

static tw_status check_span(const tw_h5 *f, const tw_result_share *r, const tw_result_span *s) {
  if (s->track >= 0 && s->track < TW_TRACE_TRACKS && s->half >= -1 && s->half <= 1 && s->row >= -1 &&
      s->row < r->row_count && s->begin_ns <= s->end_ns && s->end_ns <= INT64_MAX)
    return TW_OK;
  return tw_h5_fail(TW_ERR_FORMAT, f, "dataset", "trace",
                    "a span of no track, of no gate, or that ends before it begins");
}

static tw_status get_spans(const tw_h5 *f, hid_t type, tw_result_share *r) {
  uint64_t offset;
  tw_result_span *stored;
  hsize_t shape[1] = {(hsize_t)r->span_count};
  TW_TRY(tw_h5_locate(f, "trace", type, 1, shape, &offset));
  TW_TRY(tw_alloc((size_t)r->span_count * sizeof *r->spans, (void **)&r->spans));
  TW_TRY(tw_alloc((size_t)r->span_count * sizeof *stored, (void **)&stored));
  tw_status status = tw_h5_get(f, "trace", type, 1, shape, stored);
  for (int i = 0; status == TW_OK && i < r->span_count; i++) {
    const tw_result_span *s = &stored[i];
    status = check_span(f, r, s);
    r->spans[i] = (tw_span){s->track, s->half, s->row, s->begin_ns, s->end_ns};
  }
  tw_free(stored);
  return status;
}

tw_status tw_result_get_trace(const tw_h5 *f, tw_result_share *r) {
  int64_t dropped;
  hid_t type;
  TW_TRY(tw_h5_get_small(f, "trace_spans", 0, INT32_MAX, &r->span_count));
  TW_TRY(tw_h5_get_int(f, "/", "trace_dropped", 0, INT64_MAX, &dropped));
  r->spans_dropped = (uint64_t)dropped;
  if (!r->span_count) return TW_OK;
  TW_TRY(span_type(f, &type));
  tw_status status = get_spans(f, type, r);
  H5Tclose(type);
  return status;
}
