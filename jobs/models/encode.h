// The client's step: texts or token ids to padded input: embedded rows, or ids where the parties embed
// (tw_config_parties_embed). Rows are [count][seq][hidden], most of it padding where texts are short: they are made
// when they are needed, all at once (tw_encode_rows) or a sequence at a time (tw_encode_write).
#ifndef TW_ENCODE_H
#define TW_ENCODE_H

#include "io/client.h"
#include "io/prefix.h"

typedef struct {
  const char *first, *second;  // second: NULL unless it is a pair
  bool framed;                 // it has its special tokens and its prompt: nothing is put around
  int line;                    // of the file it comes from; 0: none
  const char *id;              // in that file; NULL: none. All texts have one, or none has
} tw_text;

// What became of a text.
typedef struct {
  int whole;    // tokens, special ones too, before anything was cut
  int kept;     // those that are left, of all its chunks
  int unknown;  // of these
} tw_text_count;

// Tokenise `count` texts, each at length seq, [PAD] after the live tokens; without rows.
// The model's default prompt comes before each single text. cut: what is longer than seq, or than the model's
// max_seq_length, is cut as transformers does; otherwise TW_ERR_RANGE names all texts of more than seq tokens.
// prefix: every text begins with its tokens and goes on, else TW_ERR_MISMATCH; what comes out is behind it, seq tokens
// at most, at positions that count it. NULL: there is none.
// counts: `count` of them, or NULL. Free with tw_input_free.
tw_status tw_encode_texts(const tw_client *client, const tw_prefix *prefix, const tw_text *texts, int count, int seq,
                          bool cut, tw_text_count *counts, tw_input *out);

// The same for single texts of which those that are longer become chunks of seq tokens, or of the model's
// max_seq_length if that is less, each with the special tokens around it; `overlap` tokens of one are the next one's
// first ones. out->origins says whose each is, and which chunk of it; the first
// one of a text alone keeps it. TW_ERR_USAGE for a model that puts a prompt before texts.
tw_status tw_encode_chunks(const tw_client *client, const tw_text *texts, int count, int seq, int overlap,
                           tw_text_count *counts, tw_input *out);

// The rows of an input that has none and whose client embeds: LayerNorm(word + position + type); a decoder's client
// takes word + position.
tw_status tw_encode_rows(const tw_client *client, tw_input *in);
// Writes it with its rows, which are in memory a sequence at a time.
tw_status tw_encode_write(const char *path, const tw_client *client, const tw_input *in);

// Single texts that are not cut, without a prefix, with their rows.
tw_status tw_encode(const tw_client *client, const char *const *texts, int count, int seq, tw_input *out);

// As tw_encode_texts from token ids, lengths[i] of them in ids[i], taken as they are (no [CLS] or [SEP] is added), of
// type 0. TW_ERR_RANGE: an id outside the vocabulary, named by text and position.
tw_status tw_encode_ids(const tw_client *client, const tw_prefix *prefix, const int *const *ids, const int *lengths,
                        int count, int seq, tw_input *out);
// How many tokens each text has, special ones and the model's prompt too; nothing is cut. tokens: [count].
tw_status tw_encode_count(const tw_client *client, const tw_text *texts, int count, int *tokens);
// The tokens of a text as it stands, without special tokens around it: ids, tw_alloc'd.
tw_status tw_encode_plain(const tw_client *client, const char *text, int **ids, int *count);

// Lines and ids of `count` texts that have some. Free with tw_origins_free, also after a failure.
tw_status tw_text_origins(const tw_text *texts, int count, tw_origins *out);
// Where texts are cut: seq, or the model's max_seq_length if that is less.
int tw_encode_limit(const tw_client *client, int seq);
// "text 3", or "text 3 (line 7)".
typedef struct {
  char text[48];
} tw_text_name;
tw_text_name tw_text_name_of(const tw_text *texts, int index);

#endif
