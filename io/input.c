// Inputs and their shares: rows that the client embedded, or token ids.
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/client.h"
#include "io/h5.h"
#include "io/origins_parts.h"

static const tw_h5_kind kind = {"twain-input", "input", false, false, "twain encode", NULL};
static const tw_h5_kind share_kind = {"twain-input-share", "input-share", true, true, "twain share --input", NULL};

enum { MOST_NUMBER_BITS = 32 };

// hidden 0: there are no rows.
static tw_status put_sizes(tw_h5 *f, int count, int seq, int hidden, const int *lengths) {
  if (count < 1 || seq < 1 || hidden < 0) return tw_fail(TW_ERR_INTERNAL, "%s: empty input", f->path);
  for (int i = 0; i < count; i++)
    if (lengths[i] < 1 || lengths[i] > seq)
      return tw_fail(TW_ERR_RANGE, "%s: dataset lengths: sequence %d has %d of %d tokens", f->path, i, lengths[i], seq);
  TW_TRY(tw_h5_put_int(f, "/", "count", count));
  TW_TRY(tw_h5_put_int(f, "/", "seq", seq));
  TW_TRY(tw_h5_put_int(f, "/", "hidden", hidden));
  return tw_h5_put(f, "lengths", H5T_STD_I32LE, 1, (hsize_t[]){(hsize_t)count}, lengths);
}

static tw_status get_sizes(const tw_h5 *f, int *count, int *seq, int *hidden, int **lengths) {
  uint64_t offset;
  TW_TRY(tw_h5_get_small(f, "count", 1, 1 << 24, count));
  TW_TRY(tw_h5_get_small(f, "seq", 1, 1 << 20, seq));
  TW_TRY(tw_h5_get_small(f, "hidden", 0, 1 << 20, hidden));
  TW_TRY(tw_h5_locate(f, "lengths", H5T_STD_I32LE, 1, (hsize_t[]){(hsize_t)*count}, &offset));
  TW_TRY(tw_alloc((size_t)*count * sizeof **lengths, (void **)lengths));
  TW_TRY(tw_h5_get(f, "lengths", H5T_STD_I32LE, 1, (hsize_t[]){(hsize_t)*count}, *lengths));
  for (int i = 0; i < *count; i++)
    if ((*lengths)[i] < 1 || (*lengths)[i] > *seq)
      return tw_fail(TW_ERR_FORMAT, "%s: dataset lengths: sequence %d has %d of %d tokens", f->path, i, (*lengths)[i],
                     *seq);
  return TW_OK;
}

static tw_status put_earlier(tw_h5 *f, const tw_input *in) {
  hsize_t shape[2] = {(hsize_t)in->count, (hsize_t)in->earlier_seq};
  TW_TRY(tw_h5_put_id(f, "after", &in->after));
  TW_TRY(tw_h5_put_texts(f, "after_name", 1, &in->after_name));
  TW_TRY(tw_h5_put_int(f, "/", "earlier_seq", in->earlier_seq));
  TW_TRY(tw_h5_put(f, "earlier_lengths", H5T_STD_I32LE, 1, shape, in->earlier_lengths));
  return tw_h5_put(f, "earlier", H5T_STD_I32LE, 2, shape, in->earlier);
}

static tw_status put_all_but_rows(tw_h5 *f, const tw_input *in) {
  hsize_t shape[2] = {(hsize_t)in->count, (hsize_t)in->seq};
  TW_TRY(tw_h5_put_id(f, "input_id", &in->input_id));
  TW_TRY(put_sizes(f, in->count, in->seq, in->hidden, in->lengths));
  if (in->prefix.rows) {
    TW_TRY(tw_h5_put_int(f, "/", "prefix_rows", in->prefix.rows));
    TW_TRY(tw_h5_put_digest(f, "prefix", &in->prefix.digest));
  }
  TW_TRY(tw_h5_put(f, "tokens", H5T_STD_I32LE, 2, shape, in->tokens));
  if (in->types) TW_TRY(tw_h5_put(f, "types", H5T_STD_I32LE, 2, shape, in->types));
  if (in->after.hex[0]) TW_TRY(put_earlier(f, in));
  if (in->seqs) TW_TRY(tw_h5_put(f, "seqs", H5T_STD_I32LE, 1, shape, in->seqs));
  TW_TRY(tw_h5_put_texts(f, "texts", in->count, in->texts));
  return tw_origins_put(f, in->count, &in->origins);
}

// Of `values`; gives how many dimensions it has. Rows that no program takes are not in the file.
static int shape_of_values(const tw_input *in, hsize_t shape[3]) {
  if (in->seqs) {
    memcpy(shape, (hsize_t[]){(hsize_t)tw_input_rows(in), (hsize_t)in->hidden}, 2 * sizeof *shape);
    return 2;
  }
  memcpy(shape, (hsize_t[]){(hsize_t)in->count, (hsize_t)in->seq, (hsize_t)in->hidden}, 3 * sizeof *shape);
  return 3;
}

static tw_status put_input(tw_h5 *f, const tw_input *in) {
  hsize_t shape[3];
  int dims = shape_of_values(in, shape);
  TW_TRY(put_all_but_rows(f, in));
  if (in->hidden && !in->values) return tw_fail(TW_ERR_INTERNAL, "%s: an input without its rows", f->path);
  return in->hidden ? tw_h5_put_f32(f, "values", dims, shape, in->values) : TW_OK;
}

tw_status tw_input_write(const char *path, const tw_input *input) {
  tw_h5 f;
  TW_TRY(tw_h5_create(&f, path, &kind, -1));
  return tw_h5_finish(&f, put_input(&f, input));
}

typedef struct {
  tw_status (*next)(void *state, int sequence, float *out);
  void *state;
} row_source;

static tw_status add_rows(tw_h5 *f, tw_output *out, const tw_input *in, const row_source *rows) {
  hsize_t shape[3];
  int number, dims = shape_of_values(in, shape);
  size_t hidden = (size_t)in->hidden, at = 0;
  float *one;
  TW_TRY(put_all_but_rows(f, in));
  TW_TRY(tw_h5_put_later(f, "values", H5T_IEEE_F32LE, dims, shape, &number));
  TW_TRY(tw_h5_begin(f, out));
  TW_TRY(tw_alloc((size_t)in->seq * hidden * sizeof *one, (void **)&one));
  tw_status status = TW_OK;
  for (int s = 0; s < in->count && status == TW_OK; s++) {
    size_t n = tw_input_rows_of(in, s) * hidden;
    status = rows->next(rows->state, s, one);
    if (status == TW_OK) status = tw_h5_finite_part(f, TW_ERR_RANGE, "values", dims, shape, at, n, one, NULL);
    if (status == TW_OK) status = tw_h5_add(f, out, number, one, n * sizeof *one);
    at += n;
  }
  tw_free(one);
  return status;
}

tw_status tw_input_write_rows(const char *path, const tw_input *input,
                              tw_status (*rows)(void *state, int sequence, float *out), void *state) {
  tw_h5 f;
  tw_output out = {.fd = -1};
  const row_source source = {rows, state};
  if (!input->hidden) return tw_input_write(path, input);
  TW_TRY(tw_h5_create(&f, path, &kind, -1));
  return tw_h5_end(&f, &out, add_rows(&f, &out, input, &source));
}

static tw_status get_types(const tw_h5 *f, const hsize_t *shape, size_t tokens, tw_input *in) {
  uint64_t offset;
  TW_TRY(tw_h5_locate(f, "types", H5T_STD_I32LE, 2, shape, &offset));
  TW_TRY(tw_alloc(tokens * sizeof *in->types, (void **)&in->types));
  TW_TRY(tw_h5_get(f, "types", H5T_STD_I32LE, 2, shape, in->types));
  for (size_t i = 0; i < tokens; i++)
    if (in->types[i] < 0 || in->types[i] > 1)
      return tw_fail(TW_ERR_FORMAT, "%s: dataset types: %d at [%zu][%zu] is neither 0 nor 1", f->path, in->types[i],
                     i / in->seq, i % in->seq);
  return TW_OK;
}

static tw_status get_seqs(const tw_h5 *f, const hsize_t *shape, tw_input *in) {
  uint64_t offset;
  TW_TRY(tw_h5_locate(f, "seqs", H5T_STD_I32LE, 1, shape, &offset));
  TW_TRY(tw_alloc((size_t)in->count * sizeof *in->seqs, (void **)&in->seqs));
  TW_TRY(tw_h5_get(f, "seqs", H5T_STD_I32LE, 1, shape, in->seqs));
  for (int s = 0; s < in->count; s++) {
    if (in->seqs[s] < in->lengths[s] || in->seqs[s] > in->seq)
      return tw_fail(TW_ERR_FORMAT, "%s: dataset seqs: sequence %d of %d tokens is for %d, %d are possible", f->path, s,
                     in->lengths[s], in->seqs[s], in->seq);
    if (s && in->seqs[s] < in->seqs[s - 1])
      return tw_fail(TW_ERR_FORMAT, "%s: dataset seqs: sequence %d is for %d tokens, behind one for %d; they rise",
                     f->path, s, in->seqs[s], in->seqs[s - 1]);
  }
  return TW_OK;
}

static tw_status check_earlier(const tw_h5 *f, const tw_input *in) {
  for (int s = 0; s < in->count; s++) {
    if (in->earlier_lengths[s] < 1 || in->earlier_lengths[s] > in->earlier_seq)
      return tw_fail(TW_ERR_FORMAT, "%s: dataset earlier_lengths: sequence %d has %d of %d tokens", f->path, s,
                     in->earlier_lengths[s], in->earlier_seq);
    for (int i = 0; i < in->earlier_lengths[s]; i++)
      if (in->earlier[s * in->earlier_seq + i] < 0)
        return tw_fail(TW_ERR_FORMAT, "%s: dataset earlier: negative id at [%d][%d]", f->path, s, i);
  }
  return TW_OK;
}

static tw_status get_earlier(const tw_h5 *f, tw_input *in) {
  uint64_t offset;
  char **name = NULL;
  if (!tw_h5_has_attribute(f, "after")) return TW_OK;
  TW_TRY(tw_h5_get_id(f, "after", &in->after));
  TW_TRY(tw_h5_get_texts(f, "after_name", 1, &name));
  in->after_name = name[0];
  name[0] = NULL;
  tw_h5_free_texts(name, 1);
  TW_TRY(tw_h5_get_small(f, "earlier_seq", 1, TW_MOST_TOKENS, &in->earlier_seq));
  hsize_t shape[2] = {(hsize_t)in->count, (hsize_t)in->earlier_seq};
  TW_TRY(tw_h5_locate(f, "earlier_lengths", H5T_STD_I32LE, 1, shape, &offset));
  TW_TRY(tw_h5_locate(f, "earlier", H5T_STD_I32LE, 2, shape, &offset));
  TW_TRY(tw_alloc((size_t)in->count * sizeof(int), (void **)&in->earlier_lengths));
  TW_TRY(tw_alloc((size_t)in->count * (size_t)in->earlier_seq * sizeof(int), (void **)&in->earlier));
  TW_TRY(tw_h5_get(f, "earlier_lengths", H5T_STD_I32LE, 1, shape, in->earlier_lengths));
  TW_TRY(tw_h5_get(f, "earlier", H5T_STD_I32LE, 2, shape, in->earlier));
  return check_earlier(f, in);
}

size_t tw_input_rows(const tw_input *in) {
  size_t rows = 0;
  for (int s = 0; s < in->count; s++) rows += tw_input_rows_of(in, s);
  return rows;
}

const float *tw_input_values(const tw_input *in, int s) {
  size_t rows = 0;
  if (!in->seqs) return in->values + (size_t)s * (size_t)in->seq * (size_t)in->hidden;
  for (int t = 0; t < s; t++) rows += tw_input_rows_of(in, t);
  return in->values + rows * (size_t)in->hidden;
}

static tw_status get_rows(const tw_h5 *f, tw_input *in) {
  uint64_t offset;
  hsize_t shape[3];
  int dims = shape_of_values(in, shape);
  TW_TRY(tw_h5_locate(f, "values", H5T_IEEE_F32LE, dims, shape, &offset));
  TW_TRY(tw_alloc(tw_input_rows(in) * (size_t)in->hidden * sizeof *in->values, (void **)&in->values));
  return tw_h5_get_f32(f, "values", dims, shape, in->values);
}

// All but the rows.
static tw_status get_input(const tw_h5 *f, tw_input *in) {
  uint64_t offset;
  TW_TRY(tw_h5_get_id(f, "input_id", &in->input_id));
  TW_TRY(get_sizes(f, &in->count, &in->seq, &in->hidden, &in->lengths));
  if (tw_h5_has_attribute(f, "prefix_rows")) {
    TW_TRY(tw_h5_get_small(f, "prefix_rows", 1, TW_MOST_TOKENS, &in->prefix.rows));
    TW_TRY(tw_h5_get_digest(f, "prefix", &in->prefix.digest));
  }
  hsize_t shape[2] = {(hsize_t)in->count, (hsize_t)in->seq};
  size_t tokens = (size_t)in->count * in->seq;
  TW_TRY(tw_h5_locate(f, "tokens", H5T_STD_I32LE, 2, shape, &offset));
  TW_TRY(tw_alloc(tokens * sizeof *in->tokens, (void **)&in->tokens));
  TW_TRY(tw_h5_get(f, "tokens", H5T_STD_I32LE, 2, shape, in->tokens));
  if (tw_h5_has(f, "types")) TW_TRY(get_types(f, shape, tokens, in));
  TW_TRY(get_earlier(f, in));
  if (tw_h5_has(f, "seqs")) TW_TRY(get_seqs(f, shape, in));
  TW_TRY(tw_h5_get_texts(f, "texts", in->count, &in->texts));
  TW_TRY(tw_origins_get(f, in->count, &in->origins));
  for (size_t i = 0; i < tokens; i++)
    if (in->tokens[i] < 0)
      return tw_fail(TW_ERR_FORMAT, "%s: dataset tokens: negative id at [%zu][%zu]", f->path, i / in->seq, i % in->seq);
  return TW_OK;
}

tw_status tw_input_read(const char *path, tw_input *input) {
  tw_h5 f;
  *input = (tw_input){0};
  TW_TRY(tw_h5_open(&f, path, &kind, -1));
  tw_status status = get_input(&f, input);
  if (status == TW_OK && input->hidden) status = get_rows(&f, input);
  tw_h5_close(&f);
  if (status != TW_OK) tw_input_free(input);
  return status;
}

tw_input tw_input_view(const tw_input *input, int s, float *values) {
  tw_input one = *input;
  size_t from = (size_t)s * (size_t)input->seq;
  one.count = 1;
  one.lengths += s;
  one.tokens += from;
  one.texts += s;
  one.seqs = NULL;
  one.origins = (tw_origins){.texts = NULL};
  if (one.types) one.types += from;
  if (one.earlier) {
    one.earlier += (size_t)s * (size_t)input->earlier_seq;
    one.earlier_lengths += s;
  }
  one.values = input->hidden ? values : NULL;
  return one;
}

// ---- row by row

struct tw_input_reader {
  tw_h5 f;
  tw_h5_reader reader;
  const tw_input *input;
  int s;  // the next sequence
};

static tw_status begin_rows(const char *path, tw_input *input, tw_input_reader *rows) {
  TW_TRY(tw_h5_open_kept(&rows->f, path, &kind, -1));
  TW_TRY(get_input(&rows->f, input));
  rows->input = input;
  if (!input->hidden) return TW_OK;
  hsize_t shape[3];
  int dims = shape_of_values(input, shape);
  return tw_h5_read_begin(&rows->f, "values", H5T_IEEE_F32LE, dims, shape, &rows->reader);
}

tw_status tw_input_open(const char *path, tw_input *input, tw_input_reader **rows) {
  *input = (tw_input){0};
  TW_TRY(tw_alloc(sizeof **rows, (void **)rows));
  tw_status status = begin_rows(path, input, *rows);
  if (status == TW_OK) return TW_OK;
  tw_input_free(input);
  tw_input_reader_free(*rows);
  *rows = NULL;
  return status;
}

tw_status tw_input_next(tw_input_reader *rows, float *values) {
  const tw_input *in = rows->input;
  size_t hidden = (size_t)in->hidden, all = (size_t)in->seq * hidden;
  if (!all) return TW_OK;
  if (rows->s == in->count) return tw_fail(TW_ERR_INTERNAL, "%s: rows behind the last sequence", rows->f.path);
  size_t n = tw_input_rows_of(in, rows->s++) * hidden;
  TW_TRY(tw_h5_next_f32(&rows->f, &rows->reader, n, values));
  memset(values + n, 0, (all - n) * sizeof *values);
  return TW_OK;
}

void tw_input_reader_free(tw_input_reader *rows) {
  if (!rows) return;
  tw_h5_close(&rows->f);
  tw_free(rows);
}

tw_status tw_input_read_id(const char *path, tw_id *id) {
  tw_h5 f;
  TW_TRY(tw_h5_open(&f, path, &kind, -1));
  tw_status status = tw_h5_get_id(&f, "input_id", id);
  tw_h5_close(&f);
  return status;
}

void tw_input_free(tw_input *input) {
  tw_h5_free_texts(input->texts, input->count);
  tw_origins_free(&input->origins, input->count);
  tw_free(input->lengths);
  tw_free(input->seqs);
  tw_free(input->tokens);
  tw_free(input->types);
  free(input->after_name);
  tw_free(input->earlier_lengths);
  tw_free(input->earlier);
  tw_free(input->values);
  *input = (tw_input){0};
}

size_t tw_input_share_elements(const tw_input_share *in) {
  return (size_t)in->count * (size_t)in->seq * (size_t)(in->hidden ? in->hidden : 1);
}

static tw_status put_elements(tw_h5 *f, const tw_input_share *in) {
  hsize_t shape[3] = {(hsize_t)in->count, (hsize_t)in->seq, (hsize_t)in->hidden};
  if (in->number_bits) {
    TW_TRY(tw_h5_put_int(f, "/", "number_bits", in->number_bits));
    return tw_h5_put(f, "numbers", H5T_STD_U64LE, 2, shape, in->share);
  }
  TW_TRY(tw_h5_put_int(f, "/", "ring_bits", TW_INPUT_RING));
  TW_TRY(tw_h5_put_int(f, "/", "scale", TW_INPUT_SCALE));
  return tw_h5_put(f, "share", H5T_STD_U64LE, 3, shape, in->share);
}

static tw_status put_share(tw_h5 *f, const tw_input_share *in) {
  if (!in->hidden == !in->number_bits) return tw_fail(TW_ERR_INTERNAL, "%s: neither rows nor numbers", f->path);
  TW_TRY(tw_h5_put_id(f, "input_id", &in->input_id));
  TW_TRY(tw_h5_put_id(f, "model_id", &in->model_id));
  TW_TRY(tw_h5_put_digest(f, "plan", &in->plan));
  if (in->after.hex[0]) TW_TRY(tw_h5_put_id(f, "after", &in->after));
  if (in->goes_on) TW_TRY(tw_h5_put_int(f, "/", "goes_on", 1));
  TW_TRY(put_sizes(f, in->count, in->seq, in->hidden, in->lengths));
  return put_elements(f, in);
}

tw_status tw_input_share_write(const char *path, const tw_input_share *share) {
  tw_h5 f;
  TW_TRY(tw_h5_create(&f, path, &share_kind, share->party));
  return tw_h5_finish(&f, put_share(&f, share));
}

static size_t share_bytes(const tw_input_share *in) { return tw_input_share_elements(in) * sizeof *in->share; }

// Elements of `bits` bits.
static tw_status get_elements(const tw_h5 *f, const char *name, int dims, int bits, tw_input_share *in) {
  uint64_t offset;
  hsize_t shape[3] = {(hsize_t)in->count, (hsize_t)in->seq, (hsize_t)in->hidden};
  TW_TRY(tw_h5_locate(f, name, H5T_STD_U64LE, dims, shape, &offset));
  TW_TRY(tw_share_alloc(share_bytes(in), (void **)&in->share));
  return tw_h5_get_ring(f, name, bits, dims, shape, in->share);
}

static tw_status get_share(const tw_h5 *f, tw_input_share *in) {
  int fixed, goes_on = 0;
  in->party = f->party;
  TW_TRY(tw_h5_get_id(f, "input_id", &in->input_id));
  TW_TRY(tw_h5_get_id(f, "model_id", &in->model_id));
  TW_TRY(tw_h5_get_digest(f, "plan", &in->plan));
  if (tw_h5_has_attribute(f, "after")) TW_TRY(tw_h5_get_id(f, "after", &in->after));
  if (tw_h5_has_attribute(f, "goes_on")) TW_TRY(tw_h5_get_small(f, "goes_on", 1, 1, &goes_on));
  in->goes_on = goes_on == 1;
  TW_TRY(get_sizes(f, &in->count, &in->seq, &in->hidden, &in->lengths));
  if (!in->hidden) {
    TW_TRY(tw_h5_get_small(f, "number_bits", 1, MOST_NUMBER_BITS, &in->number_bits));
    return get_elements(f, "numbers", 2, in->number_bits, in);
  }
  TW_TRY(tw_h5_get_small(f, "ring_bits", TW_INPUT_RING, TW_INPUT_RING, &fixed));
  TW_TRY(tw_h5_get_small(f, "scale", TW_INPUT_SCALE, TW_INPUT_SCALE, &fixed));
  return get_elements(f, "share", 3, TW_INPUT_RING, in);
}

tw_status tw_input_share_read(const char *path, int party, tw_input_share *share) {
  tw_h5 f;
  *share = (tw_input_share){0};
  TW_TRY(tw_h5_open(&f, path, &share_kind, party));
  tw_status status = get_share(&f, share);
  tw_h5_close(&f);
  tw_wipe_stack();
  if (status != TW_OK) tw_input_share_free(share);
  return status;
}

void tw_input_share_free(tw_input_share *share) {
  tw_share_free(share->share, share_bytes(share));
  tw_free(share->lengths);
  *share = (tw_input_share){0};
}
