#include "io/hf_ends.h"

#include <limits.h>
#include <stdlib.h>

static tw_status take_end(const tw_hf_object *of, const json_t *value, tw_model_config *c) {
  json_int_t id = json_integer_value(value);
  if (!json_is_integer(value) || id < 0 || id > INT_MAX)
    return tw_hf_wrong(of, "eos_token_id", "the number of a token, several of these, or null");
  if (id >= c->vocab) return TW_OK;  // no token has it: it never ends a text
  for (int i = 0; i < c->end_count; i++)
    if (c->ends[i] == id) return TW_OK;
  if (c->end_count == TW_MOST_ENDS) return tw_hf_wrong(of, "eos_token_id", "at most 8 tokens");
  c->ends[c->end_count++] = (int)id;
  return TW_OK;
}

static tw_status take_ends(const tw_hf_object *of, tw_model_config *c) {
  const json_t *value = json_object_get(of->json, "eos_token_id");
  if (!value || json_is_null(value)) return TW_OK;
  if (!json_is_array(value)) return take_end(of, value, c);
  for (size_t i = 0; i < json_array_size(value); i++) TW_TRY(take_end(of, json_array_get(value, i), c));
  return TW_OK;
}

// What the family's class has where config.json is silent; -1: nothing.
static int default_end(const tw_hf_family *f) {
  if (f->kind == TW_HF_GPT2 || f->kind == TW_HF_NEO) return 50256;
  return f->kind == TW_HF_LLAMA ? 2 : -1;
}

tw_status tw_hf_ends_read(const char *folder, const tw_hf_object *config, const tw_hf_family *family,
                          tw_model_config *c) {
  char *path = NULL;
  json_t *generation = NULL;
  tw_status status = tw_hf_file_read(folder, "generation_config.json", false, &path, &generation);
  if (status == TW_OK && generation && !json_is_object(generation))
    status = tw_fail(TW_ERR_FORMAT, "%s: is not a JSON object", path);
  if (status == TW_OK && generation) {
    status = take_ends(&(tw_hf_object){path, "", generation}, c);
  } else if (status == TW_OK) {
    int silent = default_end(family);
    if (tw_hf_has(config, "eos_token_id"))
      status = take_ends(config, c);
    else if (silent >= 0 && silent < c->vocab)
      c->ends[c->end_count++] = silent;
  }
  json_decref(generation);
  free(path);
  return status;
}
