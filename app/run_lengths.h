// A run of an input that has several lengths: one run for each, on one line between the parties.
#ifndef TW_RUN_LENGTHS_H
#define TW_RUN_LENGTHS_H

#include "io/new_files.h"
#include "jobs/parties/party.h"
#include "jobs/plan/plan.h"

// count 0: the input has one length, and NAME's own files. Else each has files under NAME.seqS, and so have its keys.
typedef struct {
  int count;
  struct {
    int seq;
    tw_path name, model, keys, input, output;
    tw_party_files *files;
  } list[TW_MOST_LENGTHS];
} tw_run_lengths;

// Which lengths the input has, by the plan and the shares of this party.
tw_status tw_run_lengths_find(const tw_party_options *o, int party, tw_run_lengths *out);
// Both parties, where they have found some, with what each has found in its files: TW_ERR_MISMATCH where the other
// party has other lengths, or files of one length that do not belong together.
tw_status tw_run_lengths_agree(const tw_run_lengths *lengths, tw_channel *channel, tw_status found);
// The options of one of them.
tw_party_options tw_run_lengths_options(const tw_run_lengths *lengths, int i, const tw_party_options *o);
// Opens the files of all (tw_party_open), with the model once.
tw_status tw_run_lengths_open(tw_run_lengths *lengths, const tw_party_options *o, int party);
void tw_run_lengths_close(tw_run_lengths *lengths);
// A failure of one of several, by its name, with what is to say behind it.
tw_status tw_run_lengths_failed(const tw_run_lengths *lengths, int i, tw_status status, const char *more);

#endif
