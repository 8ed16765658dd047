// Whom a live dealer serves: pairs of parties, known by their pins (base/site.h). Layout: docs/formats.md.
#ifndef TW_PAIRS_H
#define TW_PAIRS_H

#include "base/site.h"

// No run of a pair takes more than most_sequences slots, nor its chunks over more than most_streams connections, and no
// more than most_runs are under way at once.
// most_inferences: slots for the pair, since the dealer's start; 0: no limit.
typedef struct {
  uint8_t pin[2][TW_PIN_BYTES];
  uint32_t most_sequences, most_runs, most_streams;
  uint64_t most_inferences;
} tw_site_pair;

typedef struct {
  char *file;
  tw_site_pair *pair;
  int count;
} tw_site_pairs;

// TW_ERR_FORMAT names the pair and the field. A pin stands in one place of one pair only: it says who connects. Free
// with tw_site_pairs_free, also after a failure.
tw_status tw_site_pairs_read(const char *path, tw_site_pairs *out);
void tw_site_pairs_free(tw_site_pairs *p);

#endif
