// What the parts of tw_text_rules_read share. Internal to io/.
#ifndef TW_TEXT_RULES_PARTS_H
#define TW_TEXT_RULES_PARTS_H

#include <jansson.h>

#include "io/text_rules.h"

typedef struct {
  const char *folder;
  const json_t *model, *config;     // config.json, tokenizer_config.json; NULL: absent
  json_t *map, *added, *tokenizer;  // special_tokens_map.json ...; NULL: absent
  json_t *defaults;                 // special tokens of classes of their own
  int vocab_size;
  // A class of its own (BertTokenizer ...) makes the tokenizer anew from tokenizer_config.json and the vocabulary; the
  // general ones (PreTrainedTokenizerFast, TokenizersBackend) take tokenizer.json as it is.
  const char *class;
  bool general;
  json_t *ids;          // piece -> id
  const char *unknown;  // name of the unknown token
  const char *start, *end;
  tw_text_rules *rules;
  tw_notes *notes;
} tw_text_reader;

// vocab.txt to reader->ids.
tw_status tw_vocab_txt_read(tw_text_reader *r);
// tokenizer.json to ids, normaliser, prefix, longest_word, unknown, start, end.
tw_status tw_tokenizer_json_take(tw_text_reader *r);
// A tokenizer.json that is no WordPiece.
bool tw_json_is_whole(const json_t *tokenizer);
// RoBERTa's names for special tokens, where a folder says nothing.
tw_status tw_roberta_defaults(tw_text_reader *r);
// vocab.json and merges.txt to reader->tokenizer, where they are there and RobertaTokenizer's or GPT2Tokenizer's.
tw_status tw_merges_txt_read(tw_text_reader *r);
// A model of sentencepiece, of LlamaTokenizer and XLMRobertaTokenizer, to reader->tokenizer, where it is there.
tw_status tw_sentencepiece_read(tw_text_reader *r);
// Such a file, as its class of transformers runs it, to rules->tokenizer; lower_first: of tw_text_rules_read.
tw_status tw_json_take_whole(tw_text_reader *r, bool lower_first);
// The chat template to rules->chat, where the folder has one, with a note where it cannot be run here. bos, eos: the
// class's own special tokens, where the folder names none; NULL: none.
tw_status tw_chat_read(tw_text_reader *r, const char *bos, const char *eos);
// used: largest id + 1. TW_ERR_FORMAT where config.json's vocab_size is far beyond it.
tw_status tw_check_vocabulary_size(const tw_text_reader *r, int used);
// Added and special tokens of all files to rules->added, with their ids.
tw_status tw_added_tokens_read(tw_text_reader *r);

// The id of a piece, -1 when there is none.
int tw_piece_id(const tw_text_reader *r, const char *piece);
// A token is a string, or an object with its text under "content"; else NULL.
const char *tw_token_text(const json_t *value);
// What the files call a special token ("cls_token"), else BERT's name for it, else NULL (general classes).
const json_t *tw_special_value(const tw_text_reader *r, const char *field);
const char *tw_special_name(const tw_text_reader *r, const char *field);

#endif
