// `check --exact`: a run on TEST keys beside the emulator, bit for bit.
#ifndef TW_APP_CHECK_EXACT_H
#define TW_APP_CHECK_EXACT_H

#include <jansson.h>
#include <stdint.h>

#include "io/model.h"
#include "io/prefix.h"

typedef struct {
  size_t values, differ, first;
  int64_t first_private, first_emulated;
  bool told;                   // every batch has a transcript
  int transcripts, different;  // compared, and of these
  int guard;                   // first sequence whose count of values out of bound differs, -1: none
  uint64_t out_of_bound;
  char where[96];
} tw_exact_verdict;

// NAME's run, or all its runs where the input has several lengths, whose result is of `run`. The whole input is in
// memory meanwhile, as its sequences go level by level.
tw_status tw_exact_compare(const char *name, const char *of, const tw_model *model, const tw_prefix *prefix,
                           const tw_id *run, uint64_t test_seed, tw_exact_verdict *out);
// TW_ERR_CHECK says what differs.
tw_status tw_exact_judge(const tw_exact_verdict *verdict);
void tw_exact_print(const tw_exact_verdict *verdict);
json_t *tw_exact_json(const tw_exact_verdict *verdict);

#endif
