// Reading safetensors files (format: https://huggingface.co/docs/safetensors): an 8-byte little-endian header length,
// a JSON header, then the tensors' bytes. A file is untrusted input: every size and offset is checked before use.
#ifndef TW_SAFETENSORS_H
#define TW_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "io/ids.h"

enum { TW_SAFETENSORS_MAX_DIMS = 8 };

typedef struct tw_safetensors tw_safetensors;

// Open FOLDER/model.safetensors, or every shard that FOLDER/model.safetensors.index.json names.
// TW_ERR_IO: missing or unreadable; TW_ERR_FORMAT: anything wrong inside (file and tensor are named).
tw_status tw_safetensors_open(const char *folder, tw_safetensors **out);
void tw_safetensors_close(tw_safetensors *st);

bool tw_safetensors_has(const tw_safetensors *st, const char *name);

// Shape of a tensor: *dims entries of shape[]. TW_ERR_FORMAT names the tensor and the files when it is missing.
tw_status tw_safetensors_shape(const tw_safetensors *st, const char *name, int *dims,
                               uint64_t shape[TW_SAFETENSORS_MAX_DIMS]);

// Copy tensor `name` of exactly shape [rows][cols] (or [cols] when rows is 1) to out, row-major.
// F32, F16 and BF16 are widened exactly; NaN and Inf are refused by name.
tw_status tw_safetensors_read(const tw_safetensors *st, const char *name, size_t rows, size_t cols, float *out);

// Digest of the weights: of the file's bytes, or of the shards' digests in order of their names.
void tw_safetensors_digest(const tw_safetensors *st, tw_digest *out);

#endif
