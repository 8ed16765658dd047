// A model folder of a test's own, sound at first, whose files it changes; and what import says to it.
#ifndef TW_TEST_MODEL_FOLDER_H
#define TW_TEST_MODEL_FOLDER_H

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/json_read.h"
#include "jobs/models/import.h"
#include "tests/common/scratch.h"
#include "tests/common/suite.h"
#include "tests/vectors/load.h"

static const char *const files[] = {"config.json", "tokenizer_config.json", "modules.json",
                                    "vocab.txt",   "model.safetensors",     "1_Pooling/config.json"};
enum { FILES = sizeof files / sizeof *files };

static inline void put(const char *file, const char *text) {
  dump(in_folder(file), (const uint8_t *)text, strlen(text));
}

static inline void fresh(void) {
  static const char *const others[] = {"sentence_bert_config.json", "config_sentence_transformers.json",
                                       "2_Normalize/config.json", "model.safetensors.index.json",
                                       "adapter_config.json"};
  size_t bytes;
  mkdir(in_folder("1_Pooling"), 0700);
  mkdir(in_folder("2_Normalize"), 0700);
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) unlink(in_folder(others[i]));
  for (int i = 0; i < FILES; i++) {
    char from[128];
    snprintf(from, sizeof from, "tiny-bert/f32/%s", files[i]);
    unlink(in_folder(files[i]));
    uint8_t *data = slurp(vector_path(from), &bytes);
    dump(in_folder(files[i]), data, bytes);
    free(data);
  }
}

// Members of the JSON text `more` (without braces) join the object in `file`; those called "-NAME" leave it.
static inline void change(const char *file, const char *more) {
  char text[2048];
  json_t *json, *with;
  const char *key;
  json_t *value;
  CU_ASSERT_EQUAL_FATAL(tw_json_read(in_folder(file), true, &json), TW_OK);
  snprintf(text, sizeof text, "{%s}", more);
  CU_ASSERT_EQUAL_FATAL(tw_json_parse("test", text, strlen(text), &with), TW_OK);
  json_object_foreach(with, key, value) {
    if (*key == '-')
      json_object_del(json, key + 1);
    else
      json_object_set(json, key, value);
  }
  char *out = json_dumps(json, 0);
  put(file, out);
  free(out);
  json_decref(json);
  json_decref(with);
}

static tw_model model;
static tw_client client;
static tw_notes notes;

static inline void forget(void) {
  tw_model_free(&model);
  tw_client_free(&client);
  free(notes.text);
  notes.text = NULL;
}

static inline void taken(void) {
  tw_status status = tw_import_folder_noting(scratch_folder(), false, &model, &client, &notes);
  if (status != TW_OK) printf("\n  refused: %s\n", tw_error_message());
  CU_ASSERT_EQUAL_FATAL(status, TW_OK);
}

static inline void refused(const char *one, const char *two) {
  tw_status status = tw_import_folder_noting(scratch_folder(), false, &model, &client, &notes);
  if (status == TW_OK) printf("\n  taken, not refused with: %s\n", one);
  CU_ASSERT_EQUAL(status, TW_ERR_FORMAT);
  CU_ASSERT_TRUE(message_has(one) && message_has(two));
  forget();
}

static inline void noted(const char *text) {
  bool there = notes.text && strstr(notes.text, text);
  if (!there) printf("\n  no note says %s: %s\n", text, notes.text ? notes.text : "(none)");
  CU_ASSERT_TRUE(there);
}

#endif
