// Reading the vectors of this folder in tests.
#ifndef TW_TEST_VECTORS_H
#define TW_TEST_VECTORS_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef TWAIN_SOURCE_DIR
#define TWAIN_SOURCE_DIR "."
#endif

static inline const char *vector_path(const char *file) {
  static char path[4096];
  snprintf(path, sizeof path, "%s/tests/vectors/%s", TWAIN_SOURCE_DIR, file);
  return path;
}

static inline json_t *vector_load(const char *file) {
  json_error_t error;
  json_t *json = json_load_file(vector_path(file), JSON_ALLOW_NUL, &error);
  if (!json) {
    fprintf(stderr, "%s: %s\n", vector_path(file), error.text);
    exit(1);
  }
  return json;
}

// A list of integers; *count entries, to be freed.
static inline int *vector_ints(const json_t *list, int *count) {
  *count = (int)json_array_size(list);
  int *out = malloc((size_t)(*count ? *count : 1) * sizeof *out);
  for (int i = 0; i < *count; i++) out[i] = (int)json_integer_value(json_array_get(list, (size_t)i));
  return out;
}

#endif
