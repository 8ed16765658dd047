// Texts from the command line, or a file, as an input of a plan: what `encode` and `ask` have alike.
#ifndef TW_ENCODING_H
#define TW_ENCODING_H

#include "app/options.h"
#include "app/texts.h"
#include "io/prefix.h"
#include "jobs/plan/plan.h"

// As they are typed.
typedef struct {
  const char *file;
  const char *csv, *tsv, *jsonl;        // `encode` alone
  const char *text_column, *id_column;  // of these
  const char *after;                    // NAME of the turn before; NULL: none
  bool pair, chat, messages, truncate;
  bool chunk;       // `encode` alone, as the one below
  int64_t overlap;  // tokens; -1: not given
} tw_encoding_words;
enum { TW_OVERLAP = 16 };

extern const tw_option tw_option_file;                                                          // const char *
extern const tw_option tw_option_pair, tw_option_chat, tw_option_messages, tw_option_truncate;  // bool
extern const tw_option tw_option_chunk;                                                         // bool
extern const tw_option tw_option_overlap;                                                       // int64_t

typedef struct {
  tw_plan plan;
  tw_texts texts;
  tw_prefix *prefix;  // of the plan, or NULL
  tw_client client;
  tw_text_count *counts;  // of each text
  tw_input input;
} tw_encoding;

// `count` texts, or none where a file is named, of one form or another. TW_ERR_USAGE where the words do not go
// together.
tw_status tw_encoding_texts(const tw_call *call, const tw_encoding_words *words, const char *const *texts, int count,
                            tw_texts *out);
// Reads NAME's or MODEL's plan and MODEL's client's file and encodes. Takes `texts` over. End it, also after a failure.
tw_status tw_encoding_make(const char *model_word, const char *name, const tw_encoding_words *words, tw_texts *texts,
                           tw_encoding *out);
void tw_encoding_end(tw_encoding *encoding);

#endif
