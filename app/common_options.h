// Options that several commands have. A command's table names one and says where its value goes:
//   {.common = &tw_option_seq, .field = offsetof(settings, seq)}
// with a default or a help text of its own where it differs. docs/options.md lists all options.
#ifndef TW_COMMON_OPTIONS_H
#define TW_COMMON_OPTIONS_H

#include "app/options.h"

// The model and what is computed with it.
extern const tw_option tw_option_seq, tw_option_generate,  // int64_t
    tw_option_result,                                      // const char *; tw_output_of (app/choices.h)
    tw_option_shape,                                       // const char *; a word that tw_shape_config knows
    tw_option_model,                                       // const char *, a NAME; tw_model_name
    tw_option_keys;                                        // const char *, a NAME

// Where a party computes (jobs/parties/hardware.h, tw_party_words).
extern const tw_option tw_option_device, tw_option_affinity;

// The link between the parties, and how they use it (the same).
extern const tw_option tw_option_transport, tw_option_split_batch, tw_option_prepare;  // const char *
extern const tw_option tw_option_link_latency, tw_option_link_rate;                    // double: tw_link_profile
extern const tw_option tw_option_silence_limit;                                        // double

// Who listens for others, and who waits for them.
extern const tw_option tw_option_connections;  // int64_t
extern const tw_option tw_option_wait_limit;   // double

// Secrets in this process's memory (app/secrets.h).
extern const tw_option tw_option_allow_unlocked;  // bool

// A party's ledger.
extern const tw_option tw_option_ledger;  // const char *

// Sites (app/sealing.h): one's own, the sender's, and those to whom files are sealed.
extern const tw_option tw_option_site, tw_option_from;  // const char *
extern const tw_option tw_option_seal_to;               // tw_option_texts

// The NAME whose model and plan a command takes: `model` where --model named one, else its own. TW_ERR_USAGE where it
// is no NAME.
tw_status tw_model_name(const char *model, const char *name, const char **out);

// What is written.
extern const tw_option tw_option_verbose, tw_option_json, tw_option_csv, tw_option_force, tw_option_show_texts;  // bool

#endif
