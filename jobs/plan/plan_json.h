// Values of a plan's file, checked while they are read.
#ifndef TW_PLAN_JSON_H
#define TW_PLAN_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "io/model.h"

// TW_ERR_FORMAT with the file, the problem and what to do.
__attribute__((format(printf, 2, 3))) tw_status tw_plan_wrong(const char *path, const char *format, ...);

// The value `key` of `object`, whose own name in messages is `of` ("" for the root).
tw_status tw_plan_member(const char *path, const json_t *object, const char *of, const char *key, json_type type,
                         json_t **out);
tw_status tw_plan_int(const char *path, const json_t *object, const char *of, const char *key, int low, int high,
                      int *out);
tw_status tw_plan_positive(const char *path, const json_t *object, const char *of, const char *key, double *out);
tw_status tw_plan_number(const char *path, const json_t *object, const char *of, const char *key, double *out);
tw_status tw_plan_text(const char *path, const json_t *object, const char *of, const char *key, char *out, size_t size);
tw_status tw_plan_bool(const char *path, const json_t *object, const char *of, const char *key, bool *out);

// A plan's `model` (plan_model.c).
json_t *tw_plan_model_json(const tw_model_config *c);
tw_status tw_plan_read_model(const char *path, const json_t *root, tw_model_config *c);

#endif
