// The post-processor of a tokenizer.json: the tokens around a text or a pair, and their types.
#include <stdlib.h>
#include <string.h>

#include "io/cut.h"
#include "io/json_tokenizer_parts.h"

static tw_status out_of_memory(void) { return tw_fail(TW_ERR_MEMORY, "out of memory in the tokenizer"); }

static const char *type_of(const json_t *value) {
  const char *type = json_string_value(json_object_get(value, "type"));
  return type ? type : "";
}

static tw_status set_frame(tw_frame *frame, const tw_frame_part *parts, int count) {
  free(frame->parts);
  frame->parts = malloc((size_t)count * sizeof *parts + 1);
  if (!frame->parts) return out_of_memory();
  memcpy(frame->parts, parts, (size_t)count * sizeof *parts);
  frame->count = count;
  return TW_OK;
}

// ---- TemplateProcessing

static tw_status wrong_template(const char *where) {
  return tw_fail(TW_ERR_FORMAT, "%s: post_processor: the template is malformed", where);
}

// A token of the template stands for one or more ids.
static tw_status take_token(const json_t *token, const json_t *tokens, int type, const char *where,
                            tw_frame_part *parts, int room, int *count) {
  const char *name = json_string_value(json_object_get(token, "id"));
  const json_t *ids = name ? json_object_get(json_object_get(tokens, name), "ids") : NULL, *id;
  size_t i;
  if (!json_is_array(ids)) return wrong_template(where);
  json_array_foreach((json_t *)ids, i, id) {
    if (!json_is_integer(id) || json_integer_value(id) < 0 || *count == room) return wrong_template(where);
    parts[(*count)++] = (tw_frame_part){(int)json_integer_value(id), type};
  }
  return TW_OK;
}

static tw_status take_template(const json_t *items, const json_t *tokens, bool pair, const char *where,
                               tw_frame *frame) {
  enum { ROOM = 64 };
  tw_frame_part parts[ROOM];
  int count = 0, texts[2] = {0, 0};
  size_t i;
  const json_t *item;
  if (!json_is_array(items)) return wrong_template(where);
  json_array_foreach((json_t *)items, i, item) {
    const json_t *text = json_object_get(item, "Sequence"), *token = json_object_get(item, "SpecialToken");
    const json_t *one = text ? text : token;
    const char *name = json_string_value(json_object_get(one, "id"));
    int type = (int)json_integer_value(json_object_get(one, "type_id"));
    if (!name || count == ROOM || type < 0 || type > 1) return wrong_template(where);
    if (token) {
      TW_TRY(take_token(token, tokens, type, where, parts, ROOM, &count));
      continue;
    }
    bool second = strcmp(name, "B") == 0;
    texts[second]++;
    parts[count++] = (tw_frame_part){second ? TW_FRAME_SECOND : TW_FRAME_FIRST, type};
  }
  if (texts[0] != 1 || texts[1] != pair) return wrong_template(where);
  return set_frame(frame, parts, count);
}

// ---- RobertaProcessing and BertProcessing: "cls" and "sep" are [token, id]

static tw_status take_id(const json_t *value, const char *name, const char *where, int *id) {
  const json_t *number = json_array_get(json_object_get(value, name), 1);
  *id = (int)json_integer_value(number);
  if (json_is_integer(number) && *id >= 0) return TW_OK;
  return tw_fail(TW_ERR_FORMAT, "%s: post_processor.%s is no token with its id", where, name);
}

static tw_status take_fixed(tw_json_tokenizer *t, const json_t *value, bool roberta, const char *where) {
  int cls, sep;
  TW_TRY(take_id(value, "cls", where, &cls));
  TW_TRY(take_id(value, "sep", where, &sep));
  tw_frame_part single[] = {{cls, 0}, {TW_FRAME_FIRST, 0}, {sep, 0}};
  tw_frame_part bert[] = {{cls, 0}, {TW_FRAME_FIRST, 0}, {sep, 0}, {TW_FRAME_SECOND, 1}, {sep, 1}};
  tw_frame_part two[] = {{cls, 0}, {TW_FRAME_FIRST, 0}, {sep, 0}, {sep, 0}, {TW_FRAME_SECOND, 0}, {sep, 0}};
  TW_TRY(set_frame(&t->frame[0], single, 3));
  return roberta ? set_frame(&t->frame[1], two, 6) : set_frame(&t->frame[1], bert, 5);
}

// ---- any

static tw_status take_one(tw_json_tokenizer *t, const json_t *value, const char *where, int *frames) {
  const char *type = type_of(value);
  if (strcmp(type, "ByteLevel") == 0) return TW_OK;  // it moves offsets only
  if (++*frames > 1) return tw_fail(TW_ERR_FORMAT, "%s: post_processor: two that put tokens around", where);
  if (strcmp(type, "RobertaProcessing") == 0) return take_fixed(t, value, true, where);
  if (strcmp(type, "BertProcessing") == 0) return take_fixed(t, value, false, where);
  if (strcmp(type, "TemplateProcessing") != 0)
    return tw_fail(TW_ERR_FORMAT, "%s: post_processor %s is not supported", where, *type ? type : "of an unknown form");
  const json_t *tokens = json_object_get(value, "special_tokens");
  TW_TRY(take_template(json_object_get(value, "single"), tokens, false, where, &t->frame[0]));
  return take_template(json_object_get(value, "pair"), tokens, true, where, &t->frame[1]);
}

tw_status tw_frame_read(tw_json_tokenizer *t, const json_t *value, const char *where) {
  static const tw_frame_part bare[] = {{TW_FRAME_FIRST, 0}, {TW_FRAME_SECOND, 1}};
  int frames = 0;
  for (int pair = 0; pair < 2; pair++) TW_TRY(set_frame(&t->frame[pair], bare, 1 + pair));
  if (!value || json_is_null(value)) return TW_OK;
  if (strcmp(type_of(value), "Sequence") != 0) return take_one(t, value, where, &frames);
  const json_t *items = json_object_get(value, "processors"), *one;
  size_t i;
  json_array_foreach((json_t *)items, i, one) TW_TRY(take_one(t, one, where, &frames));
  return TW_OK;
}

// ---- putting

static void put(const tw_json_tokenizer *t, tw_encoding *out, int id, int type) {
  out->unknown += id == tw_json_model_unknown(t->model);
  out->ids[out->count] = id;
  out->types[out->count++] = type;
}

tw_status tw_frame_put(const tw_json_tokenizer *t, const tw_ids ids[2], bool pair, bool special, int most,
                       bool cut_left, tw_encoding *out) {
  const tw_frame *frame = &t->frame[pair];
  int kept[2] = {ids[0].count, ids[1].count}, around = special ? frame->count - 1 - pair : 0;
  out->whole = kept[0] + kept[1] + around;
  if (most > 0) TW_TRY(tw_cut(kept, pair, around, most));
  size_t tokens = (size_t)(kept[0] + kept[1] + around) + 1;
  out->ids = malloc(tokens * sizeof *out->ids);
  out->types = malloc(tokens * sizeof *out->types);
  if (!out->ids || !out->types) return out_of_memory();
  for (int i = 0; i < frame->count; i++) {
    const tw_frame_part *p = &frame->parts[i];
    if (p->id >= 0) {
      if (special) put(t, out, p->id, p->type);
      continue;
    }
    int which = p->id == TW_FRAME_SECOND, first = cut_left ? ids[which].count - kept[which] : 0;
    for (int j = 0; j < kept[which]; j++) put(t, out, ids[which].ids[first + j], p->type);
  }
  return TW_OK;
}
