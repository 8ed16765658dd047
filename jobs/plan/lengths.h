// A plan for sequences of several lengths: a program for each, so that short texts are not padded to the longest. All
// have the rings and tables of the longest, whose bounds hold for shorter ones, too; so one sharing of the model serves
// all, and outputs are alike. What is made for one length has a NAME of its own, NAME.seq16, whose plan this one is
// (tw_plan_read_of).
#ifndef TW_LENGTHS_H
#define TW_LENGTHS_H

#include "io/new_files.h"
#include "jobs/plan/plan.h"

// The same plan for `seq` tokens; at most those of `like`, before which it is freed: its tables are those of `like`.
// TW_ERR_USAGE for a decoder's.
tw_status tw_plan_shorter(const tw_plan *like, int seq, tw_plan *out);
// Lengths [count], from the shortest to the plan's own; texts [count]: of a sample, or NULL. TW_ERR_USAGE.
tw_status tw_plan_set_lengths(tw_plan *plan, const int *seqs, const int64_t *texts, int count);
// Makes of a plan with several lengths that of one of them. TW_ERR_MISMATCH: it has no such one, or another digest.
tw_status tw_plan_take_length(tw_plan *plan, int seq);
// The shortest for so many tokens; the plan's own where there is no other.
int tw_plan_length_for(const tw_plan *plan, int tokens);

// "16:60,128:4": how many of each of the plan's lengths, 0 of those that are not named. TW_ERR_USAGE.
tw_status tw_length_counts(const tw_plan *plan, const char *list, int64_t counts[TW_MOST_LENGTHS]);
// "16,32,128", in any order, into seqs, from the shortest on. TW_ERR_USAGE.
tw_status tw_length_list(const char *list, int seqs[TW_MOST_LENGTHS], int *count);

// NAME.seqS; and back: S of a name that ends so, else 0.
tw_path tw_length_name(const char *name, int seq);
int tw_length_of_name(const char *name);
// Whose keys a run of `name` takes: those of `keys`; without it MODEL's, and of NAME.seqS MODEL.seqS's if a party's are
// there.
tw_path tw_length_keys(const char *keys, const char *model, const char *name);
// For which S there is some file NAME.seqS.* beside NAME. seen: [TW_MOST_TOKENS + 1], false before.
tw_status tw_lengths_beside(const char *name, bool *seen);

#endif
