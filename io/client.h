// The client's files: vocabulary and embedding tables (in clear at the client), inputs, shares of inputs.
// Arrays are tw_alloc's, single strings malloc's; the free functions below release both.
#ifndef TW_CLIENT_H
#define TW_CLIENT_H

#include "io/model.h"
#include "io/origins.h"
#include "io/text_rules.h"

// What a classifier's outputs are called, and what they mean: one class of several (probabilities by softmax), any of
// them (each by sigmoid), or numbers.
typedef enum { TW_SINGLE_LABEL, TW_MULTI_LABEL, TW_REGRESSION } tw_problem;
typedef struct {
  tw_problem problem;
  int count;     // config.head.outputs, 0 where there is no classifier
  char **names;  // free with tw_labels_free
} tw_labels;
const char *tw_problem_name(tw_problem problem);
void tw_labels_free(tw_labels *labels);

// NAME.client.h5
typedef struct {
  tw_model_config config;
  tw_text_rules rules;  // how text becomes tokens
  char **vocabulary;    // config.vocab strings (UTF-8); NULL where rules.tokenizer has them, or synthetic
  // [vocab | position_offset + max_positions | type_vocab][width of embeddings]; what the architecture has not is NULL
  float *word, *position, *type;
  float *gamma, *beta;                         // embedding LayerNorm
  float *projection_weight, *projection_bias;  // [width of embeddings][hidden], [hidden], or NULL
  tw_labels labels;                            // of a classifier
  char *default_prompt;                        // put before every text; NULL: nothing is
  int max_seq_length;  // tokens after which the model's own software cuts a text; 0: it does not say
} tw_client;

// Sets the config and allocates the tables of its architecture, zeroed; tw_client_free also after an error.
tw_status tw_client_allocate(const tw_model_config *config, tw_client *client);
// The table that holds the TW_EMBEDDING of this name (io/tensors.h).
float *tw_client_table(tw_client *client, const char *name);

tw_status tw_client_write(const char *path, const tw_client *client);
tw_status tw_client_read(const char *path, tw_client *client);
tw_status tw_client_read_version(const char *path, int version, tw_client *client);  // of an earlier file
void tw_client_free(tw_client *client);

// NAME.input.h5 (plain, the client's): count sequences padded to seq tokens. Rows that the client embedded, or token
// ids alone where the parties embed (tw_config_parties_embed).
typedef struct {
  tw_id input_id;
  int count, seq;
  int hidden;              // width of the rows; 0: there are none
  int *lengths;            // live tokens
  int *seqs;               // of a plan with several lengths: that of each sequence's program; NULL: seq, of all
  int *tokens;             // [count][seq] token ids, padded with [PAD]
  int *types;              // [count][seq] token types; NULL: all are 0
  tw_prefix_facts prefix;  // of the plan: tokens before all of these
  // of a conversation's later turn: the input of the turn before, its NAME, and all tokens so far but the last, which
  // this input begins with; "" and NULL: it is no such turn
  tw_id after;
  char *after_name;
  int *earlier_lengths;  // [count]
  int *earlier;          // [count][earlier_seq]
  int earlier_seq;
  bool goes_on;  // for its shares, and not in this file (tw_input_share)
  char **texts;
  tw_origins origins;
  // [count][seq][hidden] embeddings after LayerNorm, with seqs [seqs[s]][hidden] of each sequence, one behind the
  // other; NULL: there are none, or not yet (hidden > 0)
  float *values;
} tw_input;

tw_status tw_input_write(const char *path, const tw_input *input);
// The same of an input with hidden > 0 whose values come from `rows`: of each sequence in turn, [tw_input_rows_of]
// [hidden]. hidden 0: as tw_input_write.
tw_status tw_input_write_rows(const char *path, const tw_input *input,
                              tw_status (*rows)(void *state, int sequence, float *out), void *state);
tw_status tw_input_read(const char *path, tw_input *input);
tw_status tw_input_read_id(const char *path, tw_id *id);

// Sequence s of it alone, whose rows are at `values`: it points into the input, and nothing of it is to be freed.
tw_input tw_input_view(const tw_input *input, int s, float *values);

// An input larger than memory: tw_input_open reads all but `values`, which is NULL. tw_input_next gives those of one
// sequence after the other, [seq][hidden], zeros behind those that its program takes, and nothing where there are none.
// What it gave counts once the last one came: the checksum is looked at then. The input stays where it is meanwhile.
// Free it with tw_input_free, and the rows, which may be NULL, with tw_input_reader_free.
typedef struct tw_input_reader tw_input_reader;
tw_status tw_input_open(const char *path, tw_input *input, tw_input_reader **rows);
tw_status tw_input_next(tw_input_reader *rows, float *values);
void tw_input_reader_free(tw_input_reader *rows);

void tw_input_free(tw_input *input);
// Rows that a sequence takes, live and padded ones.
static inline size_t tw_input_rows_of(const tw_input *in, int s) { return (size_t)(in->seqs ? in->seqs[s] : in->seq); }
// Of all sequences: so many times hidden values there are.
size_t tw_input_rows(const tw_input *in);
// The values of sequence s, which are there.
const float *tw_input_values(const tw_input *in, int s);

// NAME.input.p0/p1.h5: additive shares mod 2^56 of round(value * 2^12), or of word numbers by XOR; sequence lengths
// (public).
#define TW_INPUT_RING 56
#define TW_INPUT_SCALE TW_SCALE
typedef struct {
  tw_id input_id, model_id;
  tw_digest plan;
  int party, count, seq;
  int hidden;       // width of the rows; 0: numbers of number_bits bits are shared
  int number_bits;  // 0: rows are shared
  tw_id after;      // input of the turn behind which a conversation goes on; "" where it does not
  bool goes_on;     // a service keeps what a later turn needs; a run does so anyway
  int *lengths;
  uint64_t *share;  // [count][seq][hidden], or [count][seq]
} tw_input_share;
// Elements of all sequences.
size_t tw_input_share_elements(const tw_input_share *share);

tw_status tw_input_share_write(const char *path, const tw_input_share *share);
tw_status tw_input_share_read(const char *path, int party, tw_input_share *share);
void tw_input_share_free(tw_input_share *share);  // wipes

#endif
