// The command line of one subcommand: parsing, defaults and help come from one table.
#ifndef TW_OPTIONS_H
#define TW_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

typedef enum {
  TW_OPTION_FLAG,     // bool
  TW_OPTION_INTEGER,  // int64_t; -1 when it has no default and is not given
  TW_OPTION_REAL,     // double; 0 when it has no default and is not given
  TW_OPTION_TEXT      // const char *; NULL when it has no default and is not given
} tw_option_kind;

typedef struct {
  const char *name;  // without dashes
  char letter;       // short form, or 0
  tw_option_kind kind;
  size_t field;          // offset in the command's settings
  const char *value;     // what help calls the value; NULL for a flag
  const char *fallback;  // default, as it would be typed; NULL: none
  const char *help;
  double low, high;  // INTEGER and REAL: smallest and largest value
} tw_option;

typedef struct tw_call tw_call;

typedef struct {
  const char *name;
  const char *arguments;  // usage line after the name
  const char *summary;    // one line
  const char *about;      // the rest of the help
  const tw_option *options;
  int option_count;
  size_t settings_size;
  int least, most;  // arguments that are not options; most < 0: any number
  tw_status (*run)(const tw_call *call);
} tw_command;

// A parsed command line.
struct tw_call {
  const tw_command *command;
  bool quiet, help;
  int count;         // arguments that are not options
  char **arguments;  // point into argv
  void *settings;
};

// Parses the words after the subcommand. TW_ERR_USAGE says what is wrong and which option is nearest.
// Free with tw_call_free, also after a failure.
tw_status tw_call_parse(const tw_command *command, int argc, char **argv, tw_call *call);
void tw_call_free(tw_call *call);

void tw_help_print(FILE *file, const tw_command *command);

// Of `count` words the nearest to `word`, or NULL when none is near. stride: bytes between two `const char *`.
const char *tw_nearest(const char *word, const char *const *words, int count, size_t stride);

#endif
