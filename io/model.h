// Models: plain (float32, the owner's), shared (one file a party) and the dealer's (shapes and mask seeds).
#ifndef TW_MODEL_H
#define TW_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "io/ids.h"

// Units of fixed-point numbers, and the longest sequence that any plan takes.
enum {
  TW_SCALE = 12,       // activations, weights, gamma, beta: integers stand for multiples of 2^-12
  TW_BIAS_SCALE = 24,  // biases, which are added to products of two such numbers
  TW_MOST_TOKENS = 2048
};

// What comes out for a sequence: all its rows, the mean over its live ones, or the first; or what the model's head
// makes of them: a classifier's logits, or what a Dense module puts out. Of a decoder `logits` are those of its last
// live row, next-token the id of the largest of these, text the ids of several such words one behind the other,
// all-logits those of every row, and its rows have gone through the norm behind the layers.
typedef enum {
  TW_OUTPUT_TOKENS,
  TW_OUTPUT_POOLED,
  TW_OUTPUT_CLS,
  TW_OUTPUT_LOGITS,
  TW_OUTPUT_DENSE,
  TW_OUTPUT_ALL_LOGITS,
  TW_OUTPUT_NEXT_TOKEN,
  TW_OUTPUT_TEXT,
  TW_OUTPUTS
} tw_model_output;
const char *tw_output_name(tw_model_output o);
tw_status tw_output_parse(const char *text, tw_model_output *out);

enum { TW_ACTIVATION_NAME = 24 };

// What stands on the layers: a classifier of the sequence (matrix, activation, matrix), one of every token (matrix),
// sentence-transformers' Dense module (matrix, activation), or a decoder's matrix to the words of its vocabulary.
typedef enum { TW_HEAD_NONE, TW_HEAD_SEQUENCE, TW_HEAD_TOKENS, TW_HEAD_DENSE, TW_HEAD_WORDS, TW_HEADS } tw_head_kind;
typedef struct {
  tw_head_kind kind;
  int outputs;                          // labels, the width of what Dense puts out, or words
  char activation[TW_ACTIVATION_NAME];  // behind the first of two matrices, or behind Dense's; "": none
  tw_model_output rows;                 // what it stands on: tokens, pooled or cls
} tw_head;
const char *tw_head_name(tw_head_kind kind);  // "none", "sequence", "tokens", "dense", "words"
tw_status tw_head_parse(const char *text, tw_head_kind *out);

enum { TW_MOST_ENDS = 8 };

// How positions turn queries and keys. In every head the elements c and c + head_dim / 2 are one pair, which token i
// turns by i times the pair's frequency (jobs/models/rotary.h).
typedef enum { TW_ROTARY_NONE, TW_ROTARY_PLAIN, TW_ROTARY_LINEAR, TW_ROTARY_LLAMA3, TW_ROTARIES } tw_rotary_kind;
typedef struct {
  tw_rotary_kind kind;
  double theta;                    // frequency of pair c: theta^(-2 c / head_dim); kinds differ in what they do to it
  double factor;                   // LINEAR: all frequencies are divided by it; LLAMA3: the low ones
  double low_factor, high_factor;  // LLAMA3: what is low and high, in turns over original_positions
  int original_positions;          // LLAMA3: tokens that the model was first trained on
} tw_rotary;
const char *tw_rotary_name(tw_rotary_kind kind);  // "none", "plain", "linear", "llama3"
tw_status tw_rotary_parse(const char *text, tw_rotary_kind *out);

typedef struct {
  char name[64];          // "all-MiniLM-L6-v2", "bert-base", ...
  char architecture[16];  // "bert": one of io/tensors.h
  int layers, hidden, heads, intermediate;
  int max_positions;    // longest sequence
  int position_offset;  // rows of the position table before the first token's: RoBERTa has its padding index + 1
  int vocab, type_vocab;
  int embedding;  // width of the embedding tables where a projection brings it to `hidden`; 0: they are `hidden` wide
  double norm_epsilon;
  char activation[TW_ACTIVATION_NAME];  // one of io/activations.h
  tw_head head;
  bool pre_norm, causal;  // false for BERT encoders, true for decoders
  // Of decoders (io/decoder_tensors.h); 0 and false for encoders.
  int kv_heads;           // heads of K and V, each for heads / kv_heads heads of Q in turn; 0: as many as heads
  int head_dim;           // width of a head; 0: hidden / heads
  bool unscaled_logits;   // q k is not divided by the root of head_dim
  int local_window;       // a local layer's query sees that many keys, its own token's the last; 0: no layer is local
  uint64_t local_layers;  // bit i: layer i is local
  tw_rotary rotary;
  int end_count;  // words that end a text
  int ends[TW_MOST_ENDS];
  bool client_embeds;  // the client has the word table in clear and looks words up; else the parties do, on shares
  bool synthetic;
  tw_model_output output;  // what the model's folder pools to, and plans unless told otherwise
  bool normalise_output;   // pooled and cls are scaled to length 1, which the client does (tw_config_scales)
} tw_model_config;

int tw_config_head_dim(const tw_model_config *config);
int tw_config_kv_heads(const tw_model_config *config);
int tw_config_query_width(const tw_model_config *config);        // heads * head_dim: columns of Q
int tw_config_kv_width(const tw_model_config *config);           // kv_heads * head_dim: columns of K, and of V
int tw_config_window(const tw_model_config *config, int layer);  // keys that a query sees at most; 0: all before it
// Whether inputs are word numbers, whose rows the parties look up; else they are rows that the client looked up.
bool tw_config_parties_embed(const tw_model_config *config);

// Whether a plan with this output ends with rows of length 1.
bool tw_config_scales(const tw_model_config *config, tw_model_output output);
// Whether the output is the model's head's.
bool tw_output_of_head(tw_model_output output);
// Whether it is ids of tokens, one or several.
bool tw_output_of_tokens(tw_model_output output);
// Whether it is made of the last live row of a decoder alone.
bool tw_output_of_last_row(tw_model_output output);
// Numbers in a row of it.
int tw_config_output_cols(const tw_model_config *config, tw_model_output output);
// TW_ERR_USAGE for an output of a head that the model does not have.
tw_status tw_config_allows_output(const tw_model_config *config, tw_model_output output);
// Whether each row of a sequence has a row of the output, or all have one together.
bool tw_config_by_row(const tw_model_config *config, tw_model_output output);

// One tensor of a plain model, row-major. A vector has rows = 1.
typedef struct {
  char name[48];
  size_t rows, cols;
  float *values;
} tw_model_tensor;

typedef struct {
  tw_model_config config;
  tw_digest source;  // digest of what it was imported from
  int count;
  tw_model_tensor *tensors;
} tw_model;

// All tensors of the architecture's table (io/tensors.h), zeroed.
tw_status tw_model_allocate(const tw_model_config *config, tw_model *out);
void tw_model_free(tw_model *model);

tw_status tw_model_write(const char *path, const tw_model *model);  // NAME.model.h5, 0600
tw_status tw_model_read(const char *path, tw_model *model);         // checks shapes, refuses NaN and Inf by tensor name

// The first tokens of all sequences of a plan, whose rows no run computes: how many, and a digest. A plan's digest is
// that of the tokens under a salt (io/prefix.h); a share's covers also at what scales the plan has their keys.
typedef struct {
  int rows;  // 0: there are none
  tw_digest digest;
} tw_prefix_facts;

// A party's model: what both parties know (masked values, ring 64) and this party's own mask seed.
typedef struct {
  tw_model_config config;
  tw_id model_id;
  int party;
  double norm_weight, norm_bias;  // powers of two that hold gamma and beta of all norms: a plan must allow for them
  bool centred;                   // rows of centred tensors add up to zero: norms may take no mean
  uint8_t *mask_seed;             // [32], tw_seed_alloc; mask of tensor i: PRG stream (use = i, slot = 0), ring 64
  tw_prefix_facts prefix;         // of the tensors behind the model's own (tw_shared_count), if there are any,
  uint8_t *prefix_seed;           // and the seed that their masks come from in the same way; else NULL
  int count;
  size_t *rows, *cols;
  uint64_t **masked;  // W^ = W + p_0 + p_1 mod 2^64
} tw_model_share;

// The dealer's: shapes and both seeds, no weights.
typedef struct {
  tw_model_config config;
  tw_id model_id;
  double norm_weight, norm_bias;  // as in a share
  bool centred;
  uint8_t (*mask_seed)[32];  // [2], tw_seed_alloc
  tw_prefix_facts prefix;    // as in a share
  uint8_t (*prefix_seed)[32];
} tw_model_dealer;

// File role attributes: "model-share-0", "model-share-1", "model-dealer".
tw_status tw_model_share_write(const char *path, const tw_model_share *share);
// The same in parts: masked values come tensor by tensor, in order or not, of each from its beginning to its end. What
// share->rows, cols and masked hold is not looked at; its mask_seed must stay until the end. tw_model_share_end with
// TW_OK writes the file, else it drops all, and returns what became of it. `file` may be NULL there.
typedef struct tw_model_share_file tw_model_share_file;
tw_status tw_model_share_begin(const char *path, const tw_model_share *share, tw_model_share_file **out);
tw_status tw_model_share_add(tw_model_share_file *file, int number, const uint64_t *masked, size_t n);
tw_status tw_model_share_end(tw_model_share_file *file, tw_status status);
tw_status tw_model_share_read(const char *path, int party, tw_model_share *share);  // refuses the other party's file
// Of an earlier version of the file (io/format.h).
tw_status tw_model_share_read_version(const char *path, int party, int version, tw_model_share *share);
void tw_model_share_free(tw_model_share *share);  // wipes
tw_status tw_model_dealer_write(const char *path, const tw_model_dealer *dealer);
tw_status tw_model_dealer_read(const char *path, tw_model_dealer *dealer);
tw_status tw_model_dealer_read_version(const char *path, int version, tw_model_dealer *dealer);
void tw_model_dealer_free(tw_model_dealer *dealer);  // wipes

#endif
