// How a model's text becomes tokens: what a Hugging Face folder says about it, and what transformers makes of that.
#ifndef TW_TEXT_RULES_H
#define TW_TEXT_RULES_H

#include <stdbool.h>

#include "base/status.h"
#include "io/hf_json.h"
#include "io/normalise.h"
#include "io/notes.h"

// Ids of the tokens that frame and fill a sequence.
typedef struct {
  int pad, unknown, start, end;  // [PAD], [UNK], [CLS], [SEP], or as the folder calls them
} tw_special_ids;

// A token that is looked for in the text itself, before it is split into words.
typedef struct {
  char *text;
  int id;
  bool special;
  bool normalised;  // looked for in the normalised text, as its own normal form
  bool single_word;
  bool strip_left, strip_right;  // takes the white space beside it along
} tw_added_token;

enum { TW_PREFIX_ROOM = 64 };

typedef struct {
  tw_normaliser normaliser;
  char prefix[TW_PREFIX_ROOM];  // of pieces inside a word: "##"
  int longest_word;             // code points; longer words are unknown
  tw_special_ids special;
  bool pair_types;  // the second text of a pair has token type 1, else 0
  bool cut_left;    // what is too long loses its beginning
  int added_count;
  tw_added_token *added;
  // JSON of a tokenizer (io/json_tokenizer.h), which then does all but cut_left and pair_types; NULL: word pieces
  char *tokenizer;
  char *chat;  // the chat template (io/chat.h); NULL: none
} tw_text_rules;

// BERT's uncased rules, [PAD], [UNK], [CLS], [SEP] at 0 .. 3: for synthetic models.
tw_status tw_text_rules_default(tw_text_rules *out);
void tw_text_rules_free(tw_text_rules *rules);
// Append a copy of *token.
tw_status tw_text_rules_add(tw_text_rules *rules, const tw_added_token *token);

// From FOLDER: tokenizer.json or vocab.txt, and special_tokens_map.json and added_tokens.json where they are; from
// *json, its other files: tokenizer_config.json, and config.json (tokenizer_class). Ids are those of the fast
// tokenizers of transformers 4 and 5; *notes says where the two differ and which one is followed, and what contradicts
// itself is refused. lower_first: sentence-transformers' do_lower_case, small letters whatever the tokenizer does.
// vocabulary: vocab_size pieces by id ("": none), free with tw_vocabulary_free; NULL where rules->tokenizer has them.
// TW_ERR_FORMAT names file, field and remedy, also for tokenizers that are sound but not supported; then nothing is
// left to free.
tw_status tw_text_rules_read(const char *folder, const tw_hf_json *json, int vocab_size, bool lower_first,
                             tw_text_rules *rules, char ***vocabulary, tw_notes *notes);
void tw_vocabulary_free(char **vocabulary, int count);

#endif
