// Files of weights, sound and damaged, as the format's own library takes them (tests/vectors/safetensors.json).
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/safetensors.h"
#include "tests/common/scratch.h"
#include "tests/common/suite.h"
#include "tests/vectors/load.h"

static uint8_t *from_hex(const char *hex, size_t *bytes) {
  *bytes = strlen(hex) / 2;
  uint8_t *out = malloc(*bytes + 1);
  for (size_t i = 0; i < *bytes; i++)
    out[i] = (uint8_t)strtoul((const char[]){hex[2 * i], hex[2 * i + 1], 0}, NULL, 16);
  return out;
}

// The library lets the last of two equal names win; twain refuses them, as for any JSON.
static bool is_stricter(const char *what) {
  static const char *const names[] = {"same name twice", "same key in metadata twice", "unknown key twice"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(what, names[i]) == 0) return true;
  return false;
}

static void as_the_library(void) {
  json_t *json = vector_load("safetensors.json"), *list = json_object_get(json, "files"), *item;
  size_t i, accepted = 0;
  CU_ASSERT_TRUE_FATAL(json_array_size(list) > 200);
  json_array_foreach(list, i, item) {
    const char *what = json_string_value(json_object_get(item, "what"));
    size_t bytes;
    uint8_t *file = from_hex(json_string_value(json_object_get(item, "file")), &bytes);
    dump(in_folder("model.safetensors"), file, bytes);
    free(file);
    tw_safetensors *st;
    tw_status status = tw_safetensors_open(scratch_folder(), &st);
    bool wanted = json_is_true(json_object_get(item, "accepted")) && !is_stricter(what);
    if ((status == TW_OK) != wanted) printf("\n  %s: %s\n", what, status == TW_OK ? "taken" : tw_error_message());
    CU_ASSERT_EQUAL(status == TW_OK, wanted);
    CU_ASSERT_TRUE(status == TW_OK || (status == TW_ERR_FORMAT && strstr(tw_error_message(), "model.safetensors")));
    accepted += status == TW_OK;
    if (status == TW_OK) tw_safetensors_close(st);
  }
  CU_ASSERT_TRUE(accepted > 50);
  json_decref(json);
}

// More than the 100 MB that the format allows, all of it there (a sparse file).
static void header_above_the_limit(void) {
  const uint64_t length = 100000001;
  dump(in_folder("model.safetensors"), (const uint8_t *)&length, 8);
  CU_ASSERT_EQUAL_FATAL(truncate(in_folder("model.safetensors"), (off_t)length + 100), 0);
  tw_safetensors *st;
  CU_ASSERT_EQUAL(tw_safetensors_open(scratch_folder(), &st), TW_ERR_FORMAT);
  CU_ASSERT_TRUE(message_has("model.safetensors: header of 100000001 bytes; the format allows 100 MB"));
}

int main(void) {
  static const suite_test tests[] = {{"as the library", as_the_library},
                                     {"header above the limit", header_above_the_limit}};
  if (scratch_open() != 0) return 2;
  int status = suite_run("safetensors", tests, sizeof tests / sizeof *tests);
  return scratch_close() != 0 ? 1 : status;
}
