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
static tw_status count_labels(const tw_hf_object *config, int *count) {
  enum { MOST = 1 << 16 };
  bool named = tw_hf_says(config, "id2label"), numbered = tw_hf_says(config, "num_labels");
  const json_t *names = json_object_get(config->json, "id2label");
  int n = 2;
  if (named && !json_is_object(names)) return tw_hf_wrong(config, "id2label", "an object of names is needed");
  if (numbered) TW_TRY(tw_hf_take_size(config, "num_labels", &n));
  if (named && numbered && (size_t)n != json_object_size(names))
    return tw_fail(TW_ERR_FORMAT,
                   "%s: id2label names %zu labels, num_labels is %d; transformers 4 follows the first, 5 the second: "
                   "make them equal",
                   config->path, json_object_size(names), n);
  if (named) n = json_object_size(names) <= MOST ? (int)json_object_size(names) : MOST + 1;
  if (n < 1 || n > MOST)
    return tw_fail(TW_ERR_FORMAT, "%s: id2label and num_labels name %d labels; 1 to %d are supported", config->path, n,
                   MOST);
  *count = n;
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
static tw_status read_problem(const tw_hf_object *config, tw_labels *out) {
  const json_t *own = json_object_get(config->json, "sentence_transformers");
  bool sigmoid = tw_hf_is_sigmoid(json_object_get(own, "activation_fn")) ||
                 tw_hf_is_sigmoid(json_object_get(config->json, "sbert_ce_default_activation_function"));
  const char *text = out->count == 1 ? "regression" : "single_label_classification";
  if (tw_hf_says(config, "problem_type")) TW_TRY(tw_hf_take_text(config, "problem_type", &text));
  if (sigmoid || strcmp(text, "multi_label_classification") == 0)
    out->problem = TW_MULTI_LABEL;
  else if (strcmp(text, "regression") == 0)
    out->problem = TW_REGRESSION;
  else if (strcmp(text, "single_label_classification") != 0)
    return tw_hf_wrong(config, "problem_type", "regression, single_label_ or multi_label_classification is needed");
  else if (out->count == 1)
    return tw_hf_wrong(config, "problem_type", "of one label alone it is 1 whatever the text; transformers refuses it");
  else
    out->problem = TW_SINGLE_LABEL;
  return TW_OK;
}

bool tw_hf_is_sigmoid(const json_t *name) {
  const char *text = json_string_value(name), *last = text ? strrchr(text, '.') : NULL;
  return last && strcmp(last, ".Sigmoid") == 0;
}

tw_status tw_hf_head_read(const tw_hf_object *config, const tw_hf_family *family, tw_head *head, tw_labels *labels) {
  *head = (tw_head){.kind = kind_of(config->json, family)};
  *labels = (tw_labels){.count = 0};
  if (head->kind == TW_HEAD_NONE) return TW_OK;
  TW_TRY(count_labels(config, &head->outputs));
  head->rows = head->kind == TW_HEAD_SEQUENCE ? TW_OUTPUT_CLS : TW_OUTPUT_TOKENS;
  if (head->kind == TW_HEAD_SEQUENCE)
    snprintf(head->activation, sizeof head->activation, "%s", family->head_activation);
  labels->names = calloc((size_t)head->outputs, sizeof *labels->names);
  if (!labels->names) return tw_fail(TW_ERR_MEMORY, "out of memory");
  labels->count = head->outputs;
  if (head->kind == TW_HEAD_SEQUENCE) TW_TRY(read_problem(config, labels));
  return read_names(config->path, json_object_get(config->json, "id2label"), labels);
}
