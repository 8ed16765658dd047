// What the files of the JSON tokenizer share. Internal to io/.
#ifndef TW_JSON_TOKENIZER_PARTS_H
#define TW_JSON_TOKENIZER_PARTS_H

#include "io/added_tokens.h"
#include "io/decoders.h"
#include "io/json_model.h"
#include "io/json_tokenizer.h"
#include "io/split_rules.h"

// A part of the frame: the first text (-1), the second (-2), or a token.
typedef struct {
  int id, type;
} tw_frame_part;
enum { TW_FRAME_FIRST = -1, TW_FRAME_SECOND = -2 };

typedef struct {
  tw_frame_part *parts;
  int count;
} tw_frame;

struct tw_json_tokenizer {
  tw_json_model *model;
  tw_rules_list *normalizers, *pre_tokenizers;
  tw_added_token *added;
  int added_count;
  tw_added_set *raw, *normalised;  // looked for in the text, in its normal form
  tw_frame frame[2];               // of one text, of a pair
  tw_decoder *decoder;
};

// json_frame.c
tw_status tw_frame_read(tw_json_tokenizer *t, const json_t *post_processor, const char *where);
tw_status tw_frame_put(const tw_json_tokenizer *t, const tw_ids ids[2], bool pair, bool special, int most,
                       bool cut_left, tw_encoding *out);

#endif
