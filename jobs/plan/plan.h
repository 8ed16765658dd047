// The plan: everything public that dealer, owner and parties must agree on. Shapes, bounds, rings, the specs' integer
// tables, the program built from them, and its digest.
#ifndef TW_PLAN_H
#define TW_PLAN_H

#include "jobs/models/architecture.h"
#include "jobs/models/head.h"

typedef enum { TW_DITHERED, TW_FAITHFUL, TW_FAITHFUL_OUTPUT } tw_rounding;
typedef tw_model_output tw_output;  // names: tw_output_name, tw_output_parse (io/model.h)

#define TW_OUTPUT_RING 32

// A program of its own for sequences of up to seq tokens, beside the plan's (lengths.h).
enum { TW_MOST_LENGTHS = 8 };
typedef struct {
  int seq;
  int64_t texts;     // of a sample that this length is the shortest for; 0: none was looked at
  tw_digest digest;  // of the plan for this length alone
} tw_plan_length;

typedef struct {
  const tw_architecture *architecture;
  tw_layer_shape shape;
  tw_prefix_facts prefix;
  tw_rounding rounding;
  tw_output output;
  tw_choices choices;
  tw_bounds *bounds;  // per layer
  tw_rings *rings;
  tw_head_bounds head_bounds;  // where the output is the head's
  tw_head_rings head_rings;
  tw_table *tables;
  int table_count;
  tw_program program;
  tw_digest digest;
  int length_count;  // 0: one length alone; else the last is shape.seq
  tw_plan_length lengths[TW_MOST_LENGTHS];
} tw_plan;

// "digit", "pfss-rows", "pfss", "pfss-rows+exp".
const char *tw_read_by_name(tw_read_by engine);
// Functions in any order; of two that name the same the name above is what a file has.
tw_status tw_read_by_parse(const char *text, tw_read_by *out);
// TW_ERR_USAGE where by this engine no function of the model is read from keys.
tw_status tw_read_by_check(tw_read_by engine, const tw_model_config *config);

// "groups 3,6,8, nodes of 4, windows in 2 levels, norms without a mean"; room for TW_CHOICES_TEXT bytes.
enum { TW_CHOICES_TEXT = 192 };
void tw_choices_text(const tw_choices *c, char text[TW_CHOICES_TEXT]);

const char *tw_rounding_name(tw_rounding r);
tw_status tw_rounding_parse(const char *text, tw_rounding *out);

// Bounds of a whole model: one entry a layer, and its head's.
typedef struct {
  const tw_bounds *layers;
  tw_head_bounds head;
} tw_model_bounds;

// What is asked of a plan beside the model.
typedef struct {
  int seq;
  tw_rounding rounding;
  tw_output output;
  int generated;  // words of a text; 0 unless the output is one
  int earlier;    // tokens of earlier turns, at most, of a conversation; 0: it is none
  bool guard;     // the program counts values of declared wires out of bound
  tw_choices choices;
  double temperature;  // of a next token, at most TW_MOST_TEMPERATURE; 0: the likeliest
  tw_prefix_facts prefix;
} tw_plan_request;

// bounds: NULL for the defaults. TW_ERR_RANGE names a tensor that fits no ring, TW_ERR_USAGE an output of a head that
// the model does not have, a temperature of another output than a next token, groups of a row maximum that there are
// not, or norms without a mean of a model that is not centred.
tw_status tw_plan_make(const tw_model_config *config, const tw_plan_request *request, const tw_model_bounds *bounds,
                       tw_plan *out);
// A model whose gamma or beta is beyond a layer's bounds needs another plan, and so does one that is not centred where
// norms take no mean: TW_ERR_MISMATCH.
tw_status tw_plan_allows_norms(const tw_plan *plan, double weight, double bias, bool centred);
// So does one that was shared with another prefix than the plan's, or with none: TW_ERR_MISMATCH. One with a prefix
// serves plans without.
tw_status tw_plan_allows_prefix(const tw_plan *plan, const tw_prefix_facts *shared);
void tw_plan_free(tw_plan *plan);

// NAME.plan.json. Reading builds the program again and refuses a digest that differs.
tw_status tw_plan_write(const char *path, const tw_plan *plan);
tw_status tw_plan_read(const char *path, tw_plan *plan);
// MODEL.plan.json; model NULL: NAME.plan.json, and where that is not there the message has --model, too. Where NAME is
// one length's of this plan, NAME.seqS (lengths.h), it is the plan for that length.
tw_status tw_plan_read_of(const char *model, const char *name, tw_plan *plan);
// The lengths that it says it has; *count 0: one alone.
tw_status tw_plan_read_lengths(const char *path, tw_plan_length lengths[TW_MOST_LENGTHS], int *count);
// The digest that the file says it has.
tw_status tw_plan_read_digest(const char *path, tw_digest *digest);

// Elements of one sequence's input, and, where these are word numbers (tw_config_parties_embed), the bits of each; else
// 0.
size_t tw_plan_input_elements(const tw_plan *plan);
int tw_plan_number_bits(const tw_plan *plan);

// Rows and columns of one sequence's output.
void tw_plan_output_shape(const tw_plan *plan, int *rows, int *cols);

#endif
