// Models tensor by tensor: no more of one need be in memory than its largest tensor. Numbers of tensors are those of
// io/tensors.h; a tensor is [rows][cols] of its entry there, row-major.
#ifndef TW_MODEL_FILE_H
#define TW_MODEL_FILE_H

#include "io/model.h"

// A model that somebody makes or reads: `read` hands out the values of tensor `number`, good until the next call. Each
// is asked for once, in order.
typedef struct {
  tw_model_config config;
  tw_digest source;  // digest of what it comes from
  tw_status (*read)(void *state, int number, const float **values);
  void *state;
} tw_model_stream;

// NAME.model.h5, 0600, as tw_model_write. TW_ERR_RANGE names tensor and place of NaN and Inf. A failure of `read` is
// returned, and no file stays.
tw_status tw_model_write_stream(const char *path, const tw_model_stream *model);
// All of it in memory; free with tw_model_free. After an error nothing is left to free.
tw_status tw_model_of_stream(const tw_model_stream *stream, tw_model *model);

// NAME.model.h5, open: all tensors are there, of the right shape and within the file.
typedef struct tw_model_file tw_model_file;
tw_status tw_model_file_open(const char *path, tw_model_file **out);
void tw_model_file_close(tw_model_file *file);
const tw_model_config *tw_model_file_config(const tw_model_file *file);
// Begins to read a tensor, and reads its next n values. With the last one its checksum must hold: TW_ERR_FORMAT, also
// for NaN and Inf, by tensor name. What was read before must not count until then.
tw_status tw_model_file_begin(tw_model_file *file, int number);
tw_status tw_model_file_next(tw_model_file *file, size_t n, float *values);
// The model with values of those tensors alone that are wanted, by their numbers; free with tw_model_free, not after an
// error.
typedef bool tw_model_choice(const tw_model_config *config, int number);
tw_status tw_model_file_part(tw_model_file *file, tw_model_choice *wanted, tw_model *out);
tw_status tw_model_read_part(const char *path, tw_model_choice *wanted, tw_model *out);
bool tw_model_is_norm(const tw_model_config *config, int number);  // a choice: gammas and betas

#endif
