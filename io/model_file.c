// NAME.model.h5, whole or tensor by tensor.
#include "io/model_file.h"

#include <string.h>

#include "base/memory.h"
#include "io/h5.h"
#include "io/tensors.h"

static const tw_h5_kind kind = {"twain-model", "model", false, false, "twain import", NULL};

typedef char tensor_name[TW_TENSOR_NAME];

// ---- writing

typedef struct {
  tw_h5 f;
  tw_output out;
  const tw_model_stream *model;
  int count;
  tensor_name *names;
  int *numbers;  // of the datasets
} writer;

static tw_status declare(writer *w) {
  const tw_model_stream *m = w->model;
  TW_TRY(tw_h5_put_config(&w->f, &m->config));
  TW_TRY(tw_h5_put_digest(&w->f, "source", &m->source));
  for (int i = 0; i < w->count; i++) {
    size_t rows, cols;
    tw_model_tensor_shape(&m->config, i, w->names[i], &rows, &cols);
    TW_TRY(tw_h5_put_later(&w->f, w->names[i], H5T_IEEE_F32LE, 2, (hsize_t[]){rows, cols}, &w->numbers[i]));
  }
  return tw_h5_begin(&w->f, &w->out);
}

static tw_status write_tensor(writer *w, int i) {
  tensor_name name;
  size_t rows, cols;
  const float *values;
  tw_model_tensor_shape(&w->model->config, i, name, &rows, &cols);
  TW_TRY(w->model->read(w->model->state, i, &values));
  TW_TRY(tw_h5_finite(&w->f, TW_ERR_RANGE, name, 2, (hsize_t[]){rows, cols}, values, NULL));
  return tw_h5_add(&w->f, &w->out, w->numbers[i], values, rows * cols * sizeof *values);
}

static tw_status write_all(writer *w) {
  TW_TRY(tw_alloc((size_t)w->count * sizeof *w->names, (void **)&w->names));
  TW_TRY(tw_alloc((size_t)w->count * sizeof *w->numbers, (void **)&w->numbers));
  TW_TRY(declare(w));
  for (int i = 0; i < w->count; i++) TW_TRY(write_tensor(w, i));
  return TW_OK;
}

tw_status tw_model_write_stream(const char *path, const tw_model_stream *model) {
  writer w = {.model = model, .count = tw_model_tensor_count(&model->config), .out = {.fd = -1}};
  TW_TRY(tw_h5_create(&w.f, path, &kind, -1));
  tw_status status = tw_h5_end(&w.f, &w.out, write_all(&w));
  tw_free(w.names);
  tw_free(w.numbers);
  return status;
}

static tw_status check_canonical(const char *path, const tw_model *model) {
  if (model->count != tw_model_tensor_count(&model->config))
    return tw_fail(TW_ERR_INTERNAL, "%s: %d tensors for %d layers", path, model->count, model->config.layers);
  for (int i = 0; i < model->count; i++) {
    const tw_model_tensor *t = &model->tensors[i];
    tensor_name name;
    size_t rows, cols;
    tw_model_tensor_shape(&model->config, i, name, &rows, &cols);
    if (strcmp(name, t->name) != 0 || rows != t->rows || cols != t->cols)
      return tw_fail(TW_ERR_INTERNAL, "%s: tensor %s [%zu][%zu] stands where %s [%zu][%zu] belongs", path, t->name,
                     t->rows, t->cols, name, rows, cols);
  }
  return TW_OK;
}

static tw_status from_memory(void *model, int number, const float **values) {
  *values = ((tw_model *)model)->tensors[number].values;
  return TW_OK;
}

tw_status tw_model_write(const char *path, const tw_model *model) {
  TW_TRY(check_canonical(path, model));
  tw_model_stream stream = {model->config, model->source, from_memory, (void *)model};
  return tw_model_write_stream(path, &stream);
}

tw_status tw_model_of_stream(const tw_model_stream *stream, tw_model *model) {
  TW_TRY(tw_model_allocate(&stream->config, model));
  model->source = stream->source;
  tw_status status = TW_OK;
  for (int i = 0; i < model->count && status == TW_OK; i++) {
    tw_model_tensor *t = &model->tensors[i];
    const float *values;
    status = stream->read(stream->state, i, &values);
    if (status == TW_OK) memcpy(t->values, values, t->rows * t->cols * sizeof *values);
  }
  if (status != TW_OK) tw_model_free(model);
  return status;
}

// ---- reading

struct tw_model_file {
  tw_h5 f;
  tw_model_config config;
  tw_digest source;
  // The tensor that is read.
  tensor_name name;
  tw_h5_reader reader;
};

// Before anything is allocated: all tensors are there and inside the file, whatever the attributes claim.
static tw_status look(tw_model_file *file) {
  TW_TRY(tw_h5_get_config(&file->f, &file->config));
  TW_TRY(tw_h5_get_digest(&file->f, "source", &file->source));
  for (int i = 0; i < tw_model_tensor_count(&file->config); i++) {
    tensor_name name;
    size_t rows, cols;
    uint64_t offset;
    tw_model_tensor_shape(&file->config, i, name, &rows, &cols);
    TW_TRY(tw_h5_locate(&file->f, name, H5T_IEEE_F32LE, 2, (hsize_t[]){rows, cols}, &offset));
  }
  return TW_OK;
}

tw_status tw_model_file_open(const char *path, tw_model_file **out) {
  tw_model_file *file;
  *out = NULL;
  TW_TRY(tw_alloc(sizeof *file, (void **)&file));
  tw_status status = tw_h5_open_kept(&file->f, path, &kind, -1);
  if (status == TW_OK) status = look(file);
  if (status == TW_OK)
    *out = file;
  else
    tw_model_file_close(file);
  return status;
}

void tw_model_file_close(tw_model_file *file) {
  if (!file) return;
  tw_h5_close(&file->f);
  tw_free(file);
}

const tw_model_config *tw_model_file_config(const tw_model_file *file) { return &file->config; }

tw_status tw_model_file_begin(tw_model_file *file, int number) {
  size_t rows, cols;
  tw_model_tensor_shape(&file->config, number, file->name, &rows, &cols);
  return tw_h5_read_begin(&file->f, file->name, H5T_IEEE_F32LE, 2, (hsize_t[]){rows, cols}, &file->reader);
}

tw_status tw_model_file_next(tw_model_file *file, size_t n, float *values) {
  return tw_h5_next_f32(&file->f, &file->reader, n, values);
}

bool tw_model_is_norm(const tw_model_config *config, int number) {
  tw_tensor_kind kind = tw_model_tensor_entry(config, number)->kind;
  return kind == TW_GAMMA || kind == TW_BETA;
}

static tw_status read_part(tw_model_file *file, tw_model_choice *wanted, tw_model *out) {
  TW_TRY(tw_alloc((size_t)out->count * sizeof *out->tensors, (void **)&out->tensors));
  for (int i = 0; i < out->count; i++) {
    tw_model_tensor *t = &out->tensors[i];
    tw_model_tensor_shape(&file->config, i, t->name, &t->rows, &t->cols);
    if (!wanted(&file->config, i)) continue;
    TW_TRY(tw_alloc(t->rows * t->cols * sizeof *t->values, (void **)&t->values));
    TW_TRY(tw_model_file_begin(file, i));
    TW_TRY(tw_model_file_next(file, t->rows * t->cols, t->values));
  }
  return TW_OK;
}

tw_status tw_model_file_part(tw_model_file *file, tw_model_choice *wanted, tw_model *out) {
  *out = (tw_model){.config = file->config, .source = file->source, .count = tw_model_tensor_count(&file->config)};
  tw_status status = read_part(file, wanted, out);
  if (status != TW_OK) tw_model_free(out);
  return status;
}

tw_status tw_model_read_part(const char *path, tw_model_choice *wanted, tw_model *out) {
  tw_model_file *file;
  *out = (tw_model){0};
  TW_TRY(tw_model_file_open(path, &file));
  tw_status status = tw_model_file_part(file, wanted, out);
  tw_model_file_close(file);
  return status;
}

static tw_status read_model(tw_model_file *file, tw_model *model) {
  TW_TRY(tw_model_allocate(&file->config, model));
  model->source = file->source;
  for (int i = 0; i < model->count; i++) {
    const tw_model_tensor *t = &model->tensors[i];
    TW_TRY(tw_model_file_begin(file, i));
    TW_TRY(tw_model_file_next(file, t->rows * t->cols, t->values));
  }
  return TW_OK;
}

tw_status tw_model_read(const char *path, tw_model *model) {
  tw_model_file *file;
  *model = (tw_model){0};
  TW_TRY(tw_model_file_open(path, &file));
  tw_status status = read_model(file, model);
  tw_model_file_close(file);
  if (status != TW_OK) tw_model_free(model);
  return status;
}
