// The tokenizer's rules in the client's file. Internal to io/.
#ifndef TW_CLIENT_PARTS_H
#define TW_CLIENT_PARTS_H

#include "io/h5.h"
#include "io/text_rules.h"

// What a file being written points into, until it is finished.
typedef struct {
  char **texts;
  int *numbers;
} tw_rules_buffers;

tw_status tw_rules_put(tw_h5 *f, const tw_text_rules *rules, tw_rules_buffers *buffers);
void tw_rules_buffers_free(tw_rules_buffers *buffers);
// vocab: how many ids there are. What was read is in *rules even after an error: free it.
tw_status tw_rules_get(const tw_h5 *f, int vocab, tw_text_rules *rules);

#endif
