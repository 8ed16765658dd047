// One random sample of every kind of file but keys, with its writer and a reader that compares.
#ifndef TW_TEST_SAMPLES_H
#define TW_TEST_SAMPLES_H

#include "io/client.h"
#include "io/model.h"
#include "io/result.h"

extern tw_model sample_model;
extern tw_client sample_client;
extern tw_input sample_input;
extern tw_result_share sample_result_share;
extern tw_result sample_result;

enum { MODEL, MODEL_SHARE, DEALER, CLIENT, INPUT, INPUT_SHARE, RESULT_SHARE, RESULT, CACHE, SAMPLE_KINDS };

typedef struct {
  const char *name, *maker;  // file name; command that makes such files
  bool per_party, secret;
  tw_status (*write)(const char *path);
  // *same: whether what was read is the sample; unchanged on failure. party is ignored by kinds without one.
  tw_status (*read)(const char *path, int party, bool *same);
} sample_kind;

extern const sample_kind sample_kinds[SAMPLE_KINDS];

// Fresh random values in every sample, those of party's in the per_party ones.
void samples_fresh(int party);
// The same, and the input holds token ids alone, its shares word numbers.
void samples_fresh_ids(int party);
void samples_free(void);

#endif
