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
  TW_OPTION_TIME,     // double, seconds, typed with a unit (base/units.h); 0 when it has no default and is not given
  TW_OPTION_RATE,     // double, bytes a second, typed with a unit; 0 when it has no default and is not given
  TW_OPTION_TEXT,     // const char *; NULL when it has no default and is not given
  TW_OPTION_TEXTS     // tw_option_texts; may be given several times
} tw_option_kind;

enum { TW_TEXTS_MOST = 4 };
typedef struct {
  int count;
  const char *text[TW_TEXTS_MOST];
} tw_option_texts;

typedef struct tw_option tw_option;
struct tw_option {
  const tw_option *common;  // what commands share (app/common_options.h): gives everything that this row leaves out
  const char *group;        // heading in help, over this row and those below; NULL: that of the row above
  const char *name;         // without dashes
  char letter;              // short form, or 0
  tw_option_kind kind;
  size_t field;          // offset in the command's settings; each row has its own
  const char *value;     // what help calls the value; NULL for a flag
  const char *words;     // that may be typed, with blanks between, where completion can offer them; or NULL
  const char *fallback;  // default, as it would be typed; NULL: none
  const char *help;
  double low, high;  // INTEGER, REAL, TIME and RATE: smallest and largest value, in the field's unit
};

typedef struct tw_call tw_call;
typedef struct tw_command tw_command;

struct tw_command {
  const char *name;       // "run"; of a part both words: "bench model"
  const char *arguments;  // usage line after the name
  const char *apart;      // of one that is launched: the same for a party that is a job of its own; or NULL
  const char *summary;    // one line
  const char *about;      // the rest of the help; a line break ends a paragraph
  const tw_option *options;
  int option_count;
  size_t settings_size;
  int least, most;  // arguments that are not options; most < 0: any number
  bool launched;    // as two MPI ranks, by mpirun
  tw_status (*run)(const tw_call *call);
  const tw_command *const *parts;  // NULL-terminated: the next word chooses one, which has all of the above; or NULL
};

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

// A command's rows with what they leave out, then those of every command (field: in tw_call).
enum { TW_OPTIONS_MOST = 64, TW_OPTIONS_ALWAYS = 2 };
// Returns their number; the last TW_OPTIONS_ALWAYS are every command's.
int tw_command_options(const tw_command *command, tw_option out[TW_OPTIONS_MOST]);

// A value as it is typed for an option; field: what the option's kind says. TW_ERR_USAGE.
tw_status tw_option_parse(const tw_option *option, const char *text, void *field);

// A part of a command, or NULL.
const tw_command *tw_command_part(const tw_command *command, const char *word);

// Of `count` words the nearest to `word`, or NULL when none is near. stride: bytes between two `const char *`.
const char *tw_nearest(const char *word, const char *const *words, int count, size_t stride);

#endif
