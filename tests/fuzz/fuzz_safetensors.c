// model.safetensors, or, when the input begins with '{', an index of shards beside two sound ones.
#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"
#include "tests/fuzz/fuzz.h"

static size_t make_file(uint8_t *to, const char *header, size_t data_bytes) {
  uint64_t length = strlen(header);
  memcpy(to, &length, 8);
  memcpy(to + 8, header, length);
  for (size_t i = 0; i < data_bytes; i++) to[8 + length + i] = (uint8_t)(i % 60);
  return 8 + length + data_bytes;
}

static const char one[] =
    "{\"__metadata__\":{\"format\":\"pt\"},\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},\"h\":{"
    "\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[24,32]},\"b\":{\"dtype\":\"BF16\",\"shape\":[1,2,2],"
    "\"data_offsets\":[32,40]}}";
static const char other[] = "{\"i\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]}}     ";
static const char index_text[] =
    "{\"metadata\":{\"total_size\":48},\"weight_map\":{\"w\":\"a.safetensors\",\"h\":\"a.safetensors\",\"b\":\"a."
    "safetensors\",\"i\":\"b.safetensors\"}}";

void fuzz_begin(void) {
  uint8_t file[1024];
  size_t bytes = make_file(file, one, 40);
  fuzz_write("a.safetensors", file, bytes);
  bytes = make_file(file, other, 8);
  fuzz_write("b.safetensors", file, bytes);
}

void fuzz_seeds(void) {
  uint8_t file[1024];
  fuzz_seed("one", file, make_file(file, one, 40));
  fuzz_seed("other", file, make_file(file, other, 8));
  fuzz_seed("index", index_text, sizeof index_text - 1);
}

static void read_all(tw_safetensors *st) {
  static const struct {
    const char *name;
    size_t rows, cols;
  } tensors[] = {{"w", 2, 3}, {"h", 1, 4}, {"b", 2, 2}, {"i", 1, 1}, {"", 1, 6}};
  for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
    size_t rows = tensors[i].rows, cols = tensors[i].cols;
    float values[6];
    bool has = tw_safetensors_has(st, tensors[i].name);
    fuzz_must(has == (tw_safetensors_type(st, tensors[i].name) != NULL), "a tensor that is there has a type");
    bool fits = tw_safetensors_check(st, tensors[i].name, rows, cols) == TW_OK;
    fuzz_must(has || !fits, "what is missing does not fit");
    bool read = tw_safetensors_read(st, tensors[i].name, rows, cols, values) == TW_OK;
    fuzz_must(fits || !read, "what does not fit is not read");
  }
  size_t at = 0;
  while (tw_safetensors_unasked(st, &at)) continue;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  bool is_index = bytes > 0 && data[0] == '{';
  fuzz_write(is_index ? "model.safetensors.index.json" : "model.safetensors", data, bytes);
  fuzz_remove(is_index ? "model.safetensors" : "model.safetensors.index.json");
  tw_safetensors *st;
  if (tw_safetensors_open(fuzz_folder(), &st) != TW_OK) return 0;
  tw_digest digest;
  read_all(st);
  tw_safetensors_digest(st, &digest);
  tw_safetensors_close(st);
  return 0;
}
