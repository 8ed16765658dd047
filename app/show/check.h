// A comparison with the float model, as text, JSON and CSV.
#ifndef TW_APP_CHECK_H
#define TW_APP_CHECK_H

#include <jansson.h>

#include "app/comparison.h"

typedef struct {
  bool show_texts;   // texts and ids stand beside their numbers; else texts are numbered
  bool emulated;     // by the emulator, and not by a run
  tw_labels labels;  // of the client's file, where it is there; count 0: labels and words are numbers
} tw_check_view;

// Up to TW_SIMILAR_KEPT sequences one by one; of more how many differ by how much, and which differ most.
tw_status tw_comparison_print(const tw_comparison *c, const tw_check_view *view);
// Texts that the float model writes behind the same inputs, as far as they are known.
tw_status tw_comparison_print_texts(const tw_comparison *c, const tw_client *client, const tw_input *input);
tw_status tw_comparison_json(const tw_comparison *c, const tw_check_view *view, json_t **out);
// A row for each sequence, whatever their number (docs/records.md).
tw_status tw_comparison_csv(const tw_comparison *c, const tw_check_view *view);

#endif
