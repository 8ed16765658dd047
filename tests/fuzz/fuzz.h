// What the fuzz targets share. Each target is a libFuzzer executable: `TARGET --seeds=DIR` writes its seeds into DIR
// and ends; anything else is libFuzzer's command line (tools/fuzz.sh).
#ifndef TW_FUZZ_H
#define TW_FUZZ_H

#include <stddef.h>
#include <stdint.h>

// ---- of each target
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
void fuzz_seeds(void);  // calls fuzz_seed for each
void fuzz_begin(void);  // once, before the first input; may be empty

// ---- of all
void fuzz_seed(const char *name, const void *data, size_t bytes);
void fuzz_seed_file(const char *name, const char *path);

// A folder of this process in memory where there is room, removed at the end; paths in it, valid for 7 calls more.
const char *fuzz_folder(void);
const char *fuzz_path(const char *name);
// Replaces the file; mode 0600.
void fuzz_write(const char *name, const void *data, size_t bytes);
void fuzz_remove(const char *name);
// Whole file; free with free().
uint8_t *fuzz_read(const char *path, size_t *bytes);

// Reading an input part by part; zeros after its end.
typedef struct {
  const uint8_t *at;
  size_t left;
} fuzz_bytes;
uint8_t fuzz_take(fuzz_bytes *b);
// A number as they matter: small, near a power of two, negative, or any.
int64_t fuzz_take_number(fuzz_bytes *b);
// Up to a zero byte (left out), at most `most` bytes; points into the input.
const uint8_t *fuzz_take_part(fuzz_bytes *b, size_t most, size_t *bytes);

// Files of the folder, in this order, a zero byte between them; an empty one is removed.
void fuzz_take_files(fuzz_bytes *b, const char *const *names, int count);

// Ends the process, as a finding would, unless the condition holds.
void fuzz_must(int condition, const char *what);

#endif
