// Reading safetensors files (format: https://huggingface.co/docs/safetensors): an 8-byte little-endian header length,
// a JSON header, then the tensors' bytes. A file is untrusted input: every size and offset is checked before use, and a
// file that the format's own library (0.8) refuses is refused: gaps, overlaps and bytes that belong to no tensor too.
#ifndef TW_SAFETENSORS_H
#define TW_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "io/ids.h"

typedef struct tw_safetensors tw_safetensors;

// Open FOLDER/model.safetensors, or every shard that FOLDER/model.safetensors.index.json names.
// TW_ERR_IO: missing or unreadable; TW_ERR_FORMAT: anything wrong inside (file and tensor are named).
tw_status tw_safetensors_open(const char *folder, tw_safetensors **out);
void tw_safetensors_close(tw_safetensors *st);

bool tw_safetensors_has(const tw_safetensors *st, const char *name);

// Tensor `name` is there, of exactly shape [rows][cols] (or [cols] when rows is 1) and of a type that is read.
// TW_ERR_FORMAT names tensor and file. Nothing is allocated or read for it.
tw_status tw_safetensors_check(tw_safetensors *st, const char *name, size_t rows, size_t cols);

// Copy tensor `name`, checked as above, to out, row-major. F32, F16 and BF16 are widened exactly; NaN and Inf are
// refused by name. What was read of the file does not stay in memory.
tw_status tw_safetensors_read(tw_safetensors *st, const char *name, size_t rows, size_t cols, float *out);
// The same of `count` rows from `first` on.
tw_status tw_safetensors_read_rows(tw_safetensors *st, const char *name, size_t rows, size_t cols, size_t first,
                                   size_t count, float *out);

// Names of the tensors that were neither checked nor read so far, in order of their names: the first one after place
// *at (0 to begin with), or NULL.
const char *tw_safetensors_unasked(const tw_safetensors *st, size_t *at);

// "F32", "BF16", ...; NULL: no such tensor.
const char *tw_safetensors_type(const tw_safetensors *st, const char *name);

// Digest of the weights: of the file's bytes, or of the shards' digests in order of their names.
void tw_safetensors_digest(const tw_safetensors *st, tw_digest *out);

#endif
