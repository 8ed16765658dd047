#include "jobs/models/generate.h"

#include <stdlib.h>

#include "io/decoder_tensors.h"
#include "jobs/models/decoder.h"
#include "jobs/models/embed.h"

// Text so far, of which the last word has no row yet.
typedef struct {
  const tw_layer_shape *shape;
  const tw_rings *rings;
  const tw_head_rings *head;
  tw_kept *kept;  // [layers]
  int numbers;    // of the last word, opened bits
  int ended;      // opened bit: it ends the text; -1: nothing does
  int row;        // of the last word in its table; -1: it is looked up by its number
  int end_row;    // opened row of the word behind a text's end; -1: it was not needed yet
} text;

// A row of the word behind `written` others stands behind the live tokens of the prompt and these.
static tw_tokens tokens_behind(const text *t, size_t written) {
  size_t before = (size_t)(t->shape->prefix + t->shape->earlier + t->shape->seq);
  return (tw_tokens){1, before + written + 1, 0, false, written + 1};
}

// As many planes as the word table's numbers have; no place needs more.
static int table_bits(tw_builder *b, const text *t, int places) {
  int planes = tw_look(b, places).planes, wanted = tw_word_number_bits(&t->shape->config), count = 0;
  tw_term terms[TW_MOST_PLACE_BITS];
  for (; count < wanted && count < planes && count < TW_MOST_PLACE_BITS; count++)
    terms[count] = (tw_term){count, places, count};
  return planes == wanted ? places : tw_xor_planes(b, terms, count, wanted, NULL);
}

// One for all words of the text: it waits for nothing.
static int end_row(tw_builder *b, text *t, const tw_argmax_row *row, size_t end) {
  if (t->end_row < 0) t->end_row = tw_open(b, tw_word_row(b, row->weight, row->table, end, row->ring, row->scale));
  return t->end_row;
}

// From the last row of the layers: its word; last: none follows.
static void write_word(tw_builder *b, text *t, bool last, int x) {
  const tw_model_config *c = &t->shape->config;
  int logits = tw_build_decoder_output(b, t->shape, t->head, TW_OUTPUT_LOGITS, false, x);
  uint64_t ends[TW_MOST_ENDS] = {0};
  for (int i = 0; i < c->end_count; i++) ends[i] = (uint64_t)c->ends[i];
  tw_word_table table;
  tw_argmax_row row = tw_words_beside(c, t->rings[0].input, &table);
  bool beside = b->choices.lookup_beside && !last;
  if (beside && t->ended >= 0) row.end_row = end_row(b, t, &row, (size_t)ends[0]);
  int places = tw_build_next_word(b, t->shape, logits, t->ended, ends[0], beside ? &row : NULL);
  t->row = row.row;
  t->numbers = tw_open(b, table_bits(b, t, places));
  if (c->end_count && !last) t->ended = tw_open(b, tw_is_one_of(b, t->numbers, ends, c->end_count));
}

// The row of the last word, through all layers.
static int next_row(tw_builder *b, const text *t, size_t written) {
  tw_layer at = tw_decoder_layers_begin(b, t->shape, tokens_behind(t, written));
  int x = t->row < 0 ? tw_build_word(b, t->shape, t->numbers, at.tokens, t->rings[0].input)
                     : tw_build_word_of_row(b, t->shape, t->row, at.tokens);
  for (int i = 0; i < t->shape->config.layers; i++) {
    at.index = i;
    at.rings = &t->rings[i];
    at.kept = &t->kept[i];
    x = tw_build_decoder_layer(b, at, x);
  }
  return x;
}

// ---- a conversation: K and V of all rows so far come in as shares, and go out as wires ----

size_t tw_conversation_elements(const tw_layer_shape *shape) {
  return (size_t)shape->earlier * (size_t)tw_config_kv_width(&shape->config);
}

// Layer by layer K and V, each as tw_kept has them.
static void take_earlier(tw_builder *b, const text *t) {
  size_t n = tw_conversation_elements(t->shape);
  if (n == 0) return;
  int layers = t->shape->config.layers, all = tw_build_input(b, 64, 0, 2 * (size_t)layers * n);
  for (int i = 0; i < layers; i++) {
    tw_view_map map = {{1, 1, 1, n}, {0, 0, 0, 1}, 2 * (size_t)i * n};
    t->kept[i].earlier_k = tw_view(b, all, map);
    map.offset += n;
    t->kept[i].earlier_v = tw_view(b, all, map);
  }
}

static void leave_kept(tw_builder *b, const text *t) {
  if (!t->shape->earlier) return;
  for (int i = 0; i < t->shape->config.layers; i++) {
    tw_build_output(b, t->kept[i].k);
    tw_build_output(b, t->kept[i].v);
  }
}

// Of a conversation's earlier rows it is not known which ones a window holds.
static bool windows_hold(const tw_layer_shape *shape) {
  for (int i = 0; i < shape->config.layers; i++) {
    int window = tw_config_window(&shape->config, i);
    if (window && window < tw_shape_keys(shape)) return false;
  }
  return true;
}

void tw_build_generated(tw_builder *b, const tw_layer_shape *shape, const tw_rings *rings, const tw_head_rings *head,
                        int x) {
  text t = {.shape = shape, .rings = rings, .head = head, .ended = -1, .row = -1, .end_row = -1};
  if (shape->earlier && !windows_hold(shape)) {
    tw_build_fail(
        b, TW_ERR_USAGE,
        "a layer of %s sees fewer than the %d tokens of a conversation's turn; plan a shorter --conversation, "
        "a shorter --seq or fewer words",
        shape->config.name, tw_shape_keys(shape));
    return;
  }
  t.kept = calloc((size_t)shape->config.layers, sizeof *t.kept);
  if (!t.kept) {
    tw_build_fail(b, TW_ERR_MEMORY, "out of memory for a text's layers");
    return;
  }
  take_earlier(b, &t);
  x = tw_build_decoder_layers(b, shape, rings, t.kept, x);
  int out = 0;
  for (int i = 0; i < shape->generated && b->status == TW_OK; i++) {
    if (i > 0) x = next_row(b, &t, (size_t)i - 1);
    write_word(b, &t, i == shape->generated - 1, x);
    int id = tw_build_word_id(b, t.numbers);
    out = i ? tw_concat(b, out, id, 1) : id;
  }
  tw_step_begin(b, -1, "output");
  out = tw_open(b, out);
  tw_build_output(b, out);
  leave_kept(b, &t);
  free(t.kept);
}
