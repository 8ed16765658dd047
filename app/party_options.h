// Options that `run` and `bench` share, about how the parties exchange: entries of an option table whose settings have
// the fields link, budget_words, budget_jobs, overlap and prepare. `who`: what an option is for, before its help ("" or
// "model: "). when: preparation's default.
#ifndef TW_PARTY_OPTIONS_H
#define TW_PARTY_OPTIONS_H

#include <stddef.h>

#include "jobs/program/halves.h"

// clang-format off
#define TW_PARTY_OPTIONS(settings, who_link, who, when)                                                                 \
  {.name = "emulate-link", .kind = TW_OPTION_TEXT, .field = offsetof(settings, link), .value = "US,GBIT",              \
   .help = who_link "openings as over a link of this latency (microseconds, one way) and bandwidth (Gbit/s each "      \
                    "way, 0: without limit)"},                                                                         \
  {.name = "open-budget-words", .kind = TW_OPTION_INTEGER, .field = offsetof(settings, budget_words), .value = "N",    \
   .fallback = TW_OPEN_BUDGET_WORDS, .low = 0, .high = 1e12,                                                           \
   .help = who "a half of the batch sends its openings, and the other computes meanwhile, once N 8-byte words are "    \
               "queued. 1: at once; more: smaller openings of both halves share a message; 0: all do, unless "         \
               "--open-budget-jobs says otherwise"},                                                                   \
  {.name = "open-budget-jobs", .kind = TW_OPTION_INTEGER, .field = offsetof(settings, budget_jobs), .value = "N",      \
   .fallback = "0", .low = 0, .high = 1e9,                                                                             \
   .help = who "the same by the number of openings, whichever is reached first: say --open-budget-words 0, too "       \
               "(0: no such limit)"},                                                                                  \
  {.name = "overlap", .kind = TW_OPTION_TEXT, .field = offsetof(settings, overlap), .value = "WHEN",                   \
   .fallback = "auto",                                                                                                 \
   .help = who "halves of a batch take turns, one computes while the other's openings are on their way: always, "      \
               "never, or auto: where openings are waited for - between hosts unless by NCCL, through a thread that "  \
               "relays GPUs' messages, and through memory of the host between two GPUs"},                              \
  {.name = "prepare", .kind = TW_OPTION_TEXT, .field = offsetof(settings, prepare), .value = "WHEN",                   \
   .fallback = when,                                                                                                   \
   .help = who "work that needs no input: first, so that the online phase is short; beside the online phase, while "   \
               "that waits for openings or leaves a GPU's processors idle, so that both together are short; or auto: " \
               "beside on a GPU and between hosts, but not with NCCL between hosts"}
// clang-format on

#endif
