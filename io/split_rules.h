// What a tokenizer.json does to text before its model sees words: normalizers, which rewrite it, and pre-tokenizers,
// which cut it. Both are lists of rules of the tokenizers library (0.22). A rule that is not known here is refused.
#ifndef TW_SPLIT_RULES_H
#define TW_SPLIT_RULES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

// Stretches of one text, in order, valid UTF-8, each malloc's.
typedef struct {
  char *text;
  size_t bytes;
  bool first;  // begins where the whole text does
} tw_stretch;

typedef struct {
  tw_stretch *items;
  int count, room;
} tw_stretches;

// Takes `text` over, also after a failure; an empty one is dropped.
tw_status tw_stretches_add(tw_stretches *list, char *text, size_t bytes, bool first);
tw_status tw_stretches_copy(tw_stretches *list, const char *text, size_t bytes, bool first);
void tw_stretches_free(tw_stretches *list);

typedef struct tw_rules_list tw_rules_list;

// "normalizer" and "pre_tokenizer" of the file `where` (for messages); NULL and null: nothing is done. TW_ERR_FORMAT
// names the rule that is not known, TW_ERR_MEMORY.
tw_status tw_normalizers_read(const json_t *value, const char *where, tw_rules_list **out);
tw_status tw_pre_tokenizers_read(const json_t *value, const char *where, tw_rules_list **out);
void tw_rules_list_free(tw_rules_list *list);

// Replaces the stretches by what the rules make of them, one rule after the other. TW_ERR_RANGE: a pattern that takes
// too many steps on this text.
tw_status tw_rules_apply(const tw_rules_list *list, tw_stretches *stretches);

// GPT-2's alphabet: byte -> code point that stands for it, and back (-1: none).
int tw_byte_letter(unsigned char byte);
int tw_letter_byte(int code_point);
// Appends a code point's UTF-8 bytes (1..4) to `to`; returns how many.
size_t tw_utf8_put(int code_point, char *to);

#endif
