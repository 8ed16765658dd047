// Which tensors a model has: one table for every architecture. Files, shares, masks, import, programs and the float
// model all read it; a new architecture adds a table here and a tw_architecture (jobs/models/architecture.h).
#ifndef TW_TENSORS_H
#define TW_TENSORS_H

#include "io/model.h"

typedef enum {
  TW_IN_LAYER,  // once in every layer
  TW_ON_TOP,    // once, behind the layers
  TW_OF_HEAD,   // the same, of a head: its names in a Hugging Face folder are whole
  TW_EMBEDDING  // once, in the client's file: never shared, and no tensor of the model's file
} tw_model_part;

typedef enum { TW_MATRIX, TW_BIAS, TW_GAMMA, TW_BETA, TW_ROWS } tw_tensor_kind;

// Biases that some models of a family have, as bits of a set.
typedef enum { TW_NOT_OPTIONAL, TW_QKV_BIASES = 1, TW_OUT_BIASES = 2, TW_MLP_BIASES = 4 } tw_optional_bias;

enum { TW_TENSOR_SOURCES = 3, TW_TENSOR_NAME = 48 };

typedef struct {
  const char *name;  // in twain's files, behind "layer.I." for those of layer I
  tw_model_part part;
  tw_tensor_kind kind;
  // [inputs][outputs] of a matrix that multiplies rows from the right; one row of a vector; any number of TW_ROWS.
  size_t (*rows)(const tw_model_config *), (*cols)(const tw_model_config *);
  int scale;   // of its fixed-point integers; 0 for embeddings, which nobody rounds
  bool query;  // its columns are Q, K, V side by side; those of Q take tw_query_fold before they are rounded
  // Names in a Hugging Face folder; %d is the layer. Of several tensors the outputs stand side by side. A matrix is
  // stored as [outputs][inputs] there, all else as it is. Names of a head are whole, all others may have a prefix.
  // None: zeros, of a bias that the program wants and the family has not.
  const char *source[TW_TENSOR_SOURCES];
  bool inputs_first;          // a matrix that is stored as it is used
  bool in_lines;              // a word table: stored as [words][width], here in whole lines (io/word_table.h)
  tw_optional_bias optional;  // zeros, too, unless the folder says that it has these
  bool centred;  // outputs are added to rows that norms read: rows of it lose their means where an architecture centres
} tw_tensor_entry;

typedef struct {
  const char *architecture;  // "bert"
  const char *prefix;        // what names of a Hugging Face folder may begin with
  const tw_tensor_entry *layer, *top, *embedding;
  int in_layer, on_top, embeddings;  // how many of each; an embedding without rows is not there
} tw_tensor_table;

// Of an architecture without a head; NULL when unknown.
const tw_tensor_table *tw_tensor_table_by_name(const char *architecture);
const tw_tensor_table *tw_tensor_table_of(const tw_model_config *config);  // of a checked config, with its head

// Entries are numbered as well: those in a layer from 0, then those on top.
const tw_tensor_entry *tw_tensor_table_entry(const tw_tensor_table *table, int entry);

// The model's tensors are numbered: layer by layer in the order of the table, then those on top. The number names a
// tensor's mask stream and its place in a program.
int tw_tensor_count(const tw_tensor_table *table, int layers);
// `layer` is ignored for a tensor on top.
int tw_tensor_number(const tw_tensor_table *table, int layers, int layer, int entry);
// The entry of a number; *layer (may be NULL) is -1 on top.
const tw_tensor_entry *tw_tensor_entry_of(const tw_tensor_table *table, int layers, int number, int *layer);

// The same for a model: its count, and name and shape of one tensor.
int tw_model_tensor_count(const tw_model_config *config);
void tw_model_tensor_shape(const tw_model_config *config, int number, char name[TW_TENSOR_NAME], size_t *rows,
                           size_t *cols);
const tw_tensor_entry *tw_model_tensor_entry(const tw_model_config *config, int number);

// A shared model of a plan with a prefix has more tensors behind these: keys and values of the prefix's rows, layer by
// layer, each [rows][kv_heads * head_dim] (cached wires, jobs/models/blocks.h).
enum { TW_CACHED_KEYS, TW_CACHED_VALUES, TW_CACHED_TENSORS };
int tw_cached_tensor(const tw_model_config *config, int layer, int which);
// Of a shared model with `rows` rows of a prefix, which may be 0: its count, name and shape of one tensor, and whether
// it is a matrix of products.
int tw_shared_count(const tw_model_config *config, int rows);
void tw_shared_shape(const tw_model_config *config, int prefix_rows, int number, char name[TW_TENSOR_NAME],
                     size_t *rows, size_t *cols);
bool tw_shared_is_matrix(const tw_model_config *config, int number);

#endif
