// Fields of config.json, read strictly: a field that is there holds what its type says or is refused with its value.
#ifndef TW_HF_FIELDS_H
#define TW_HF_FIELDS_H

#include <jansson.h>

#include "base/status.h"
#include "io/hf_families.h"
#include "io/notes.h"

// An object of the file, for messages: the file's path, and what stands before a field's name ("rope_scaling.", "").
typedef struct {
  const char *path, *of;
  const json_t *json;
} tw_hf_object;

bool tw_hf_has(const tw_hf_object *object, const char *field);   // also null
bool tw_hf_says(const tw_hf_object *object, const char *field);  // more than null

// TW_ERR_FORMAT "PATH: FIELD is VALUE; NEEDED", or "is missing".
tw_status tw_hf_wrong(const tw_hf_object *object, const char *field, const char *needed);

// A field into *out, which stays as it is where the field is missing. null is no value.
tw_status tw_hf_take_size(const tw_hf_object *object, const char *field, int *out);  // an integer of 1 or more
tw_status tw_hf_take_number(const tw_hf_object *object, const char *field, double *out);
tw_status tw_hf_take_flag(const tw_hf_object *object, const char *field, bool *out);
tw_status tw_hf_take_text(const tw_hf_object *object, const char *field, const char **out);
tw_status tw_hf_need_number(const tw_hf_object *object, const char *field, double *out);  // missing is refused

// A size of a family: its alias before its name, else the default. *notes gets a line where
// neither is there, or both are and differ.
tw_status tw_hf_take(const tw_hf_object *config, const tw_hf_size *size, tw_notes *notes, int *out);

// Refuses what would change the result and is not computed. *notes gets the names of fields that sound as if they did
// and that nobody reads.
tw_status tw_hf_check_fields(const tw_hf_object *config, const tw_hf_family *family, int layers, tw_notes *notes);

#endif
