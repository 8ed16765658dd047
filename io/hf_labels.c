#define _GNU_SOURCE
#include "io/hf_labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static tw_head_kind kind_of(const json_t *config, const tw_hf_family *family) {
  const char *name = json_string_value(json_array_get(json_object_get(config, "architectures"), 0));
  size_t n = strlen(family->classes);
  if (!name || strncmp(name, family->classes, n) != 0) return TW_HEAD_NONE;
  if (strcmp(name + n, "ForSequenceClassification") == 0) return TW_HEAD_SEQUENCE;
  if (strcmp(name + n, "ForTokenClassification") == 0) return TW_HEAD_TOKENS;
  return TW_HEAD_NONE;
}

// id2label, else num_labels, else two, as in transformers.
static tw_status count_labels(const char *path, const json_t *config, int *count) {
  enum { MOST = 1 << 16 };
  const json_t *names = json_object_get(config, "id2label"), *number = json_object_get(config, "num_labels");
  json_int_t n = 2;
  if (names && json_is_integer(number) && json_integer_value(number) != (json_int_t)json_object_size(names))
    return tw_fail(TW_ERR_FORMAT,
                   "%s: id2label names %zu labels, num_labels is %lld; transformers 4 follows the first, 5 the second: "
                   "make them equal",
                   path, json_object_size(names), (long long)json_integer_value(number));
  if (names && !json_is_null(names))
    n = (json_int_t)json_object_size(names);
  else if (number && !json_is_null(number))
    n = json_integer_value(number);
  if (n < 1 || n > MOST)
    return tw_fail(TW_ERR_FORMAT, "%s: id2label and num_labels name %lld labels; 1 to %d are supported", path,
                   (long long)n, MOST);
  *count = (int)n;
  return TW_OK;
}

static tw_status read_names(const char *path, const json_t *names, tw_labels *out) {
  for (int i = 0; i < out->count; i++) {
    char key[16];
    snprintf(key, sizeof key, "%d", i);
    const char *name = json_string_value(json_object_get(names, key));
    if (json_is_object(names) && (!name || !tw_text_is_plain(name)))
      return tw_fail(TW_ERR_FORMAT, "%s: id2label: label %d is missing, or no plain text", path, i);
    if (name)
      out->names[i] = strdup(name);
    else if (asprintf(&out->names[i], "LABEL_%d", i) < 0)
      out->names[i] = NULL;
    if (!out->names[i]) return tw_fail(TW_ERR_MEMORY, "out of memory");
  }
  return TW_OK;
}

// One label alone is a number, unless problem_type or a cross-encoder's own entry (sentence-transformers 2 to 5.6) says
// otherwise.
static tw_status read_problem(const char *path, const json_t *config, tw_labels *out) {
  const json_t *type = json_object_get(config, "problem_type");
  const char *text = json_string_value(type);
  bool sigmoid = tw_hf_is_sigmoid(json_object_get(json_object_get(config, "sentence_transformers"), "activation_fn")) ||
                 tw_hf_is_sigmoid(json_object_get(config, "sbert_ce_default_activation_function"));
  bool unsaid = !type || json_is_null(type);
  if (sigmoid || (text && strcmp(text, "multi_label_classification") == 0))
    out->problem = TW_MULTI_LABEL;
  else if ((unsaid && out->count == 1) || (text && strcmp(text, "regression") == 0))
    out->problem = TW_REGRESSION;
  else if (unsaid || (text && strcmp(text, "single_label_classification") == 0))
    out->problem = TW_SINGLE_LABEL;
  else
    return tw_fail(TW_ERR_FORMAT, "%s: problem_type is %s, which is unknown", path, text ? text : "no text");
  return TW_OK;
}

bool tw_hf_is_sigmoid(const json_t *name) {
  const char *text = json_string_value(name), *last = text ? strrchr(text, '.') : NULL;
  return last && strcmp(last, ".Sigmoid") == 0;
}

tw_status tw_hf_head_read(const char *path, const json_t *config, const tw_hf_family *family, tw_head *head,
                          tw_labels *labels) {
  *head = (tw_head){.kind = kind_of(config, family)};
  *labels = (tw_labels){.count = 0};
  if (head->kind == TW_HEAD_NONE) return TW_OK;
  TW_TRY(count_labels(path, config, &head->outputs));
  head->rows = head->kind == TW_HEAD_SEQUENCE ? TW_OUTPUT_CLS : TW_OUTPUT_TOKENS;
  if (head->kind == TW_HEAD_SEQUENCE)
    snprintf(head->activation, sizeof head->activation, "%s", family->head_activation);
  labels->names = calloc((size_t)head->outputs, sizeof *labels->names);
  if (!labels->names) return tw_fail(TW_ERR_MEMORY, "out of memory");
  labels->count = head->outputs;
  if (head->kind == TW_HEAD_SEQUENCE) TW_TRY(read_problem(path, config, labels));
  return read_names(path, json_object_get(config, "id2label"), labels);
}
