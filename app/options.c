#include "app/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// Every command has these, at the end of its help.
static const tw_option common[] = {
    {.name = "quiet",
     .letter = 'q',
     .field = offsetof(tw_call, quiet),
     .help = "no progress, no notes; warnings and errors stay"},
    {.name = "help", .letter = 'h', .field = offsetof(tw_call, help), .help = "this text"},
};
enum { COMMON = sizeof common / sizeof *common };

// ---- nearest word: Levenshtein's distance

static int distance(const char *a, const char *b) {
  enum { LONGEST = 40 };
  int row[LONGEST + 1], n = (int)strlen(b);
  if (n > LONGEST || strlen(a) > LONGEST) return LONGEST;
  for (int j = 0; j <= n; j++) row[j] = j;
  for (int i = 1; a[i - 1]; i++) {
    int diagonal = row[0];
    row[0] = i;
    for (int j = 1; j <= n; j++) {
      int change = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      if (row[j - 1] + 1 < change) change = row[j - 1] + 1;
      row[j] = row[j] + 1 < change ? row[j] + 1 : change;
    }
  }
  return row[n];
}

const char *tw_nearest(const char *word, const char *const *words, int count, size_t stride) {
  const char *best = NULL;
  int least = (int)strlen(word) / 2 + 1;
  for (int i = 0; i < count; i++) {
    const char *candidate = *(const char *const *)(const void *)((const char *)words + (size_t)i * stride);
    size_t shorter = strlen(word) < strlen(candidate) ? strlen(word) : strlen(candidate);
    bool begins = shorter >= 2 && strncmp(candidate, word, shorter) == 0;
    int d = begins ? 0 : distance(word, candidate);
    if (d < least) {
      least = d;
      best = candidate;
    }
  }
  return best;
}

// ---- values

static void *field_of(tw_call *call, const tw_option *option) {
  bool is_common = option >= common && option < common + COMMON;
  return (is_common ? (char *)call : (char *)call->settings) + option->field;
}

static tw_status bad_value(const tw_option *option, const char *text, const char *wanted) {
  if (option->kind == TW_OPTION_TEXT) return tw_fail(TW_ERR_USAGE, "--%s '%s': %s", option->name, text, wanted);
  return tw_fail(TW_ERR_USAGE, "--%s '%s': %s from %.15g to %.15g is needed", option->name, text, wanted, option->low,
                 option->high);
}

static tw_status set_value(tw_call *call, const tw_option *option, const char *text) {
  void *field = field_of(call, option);
  char *end;
  errno = 0;
  if (option->kind == TW_OPTION_INTEGER) {
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || (double)value < option->low || (double)value > option->high)
      return bad_value(option, text, "a whole number");
    *(int64_t *)field = value;
  } else if (option->kind == TW_OPTION_REAL) {
    double value = strtod(text, &end);
    if (errno || end == text || *end || !(value >= option->low && value <= option->high))
      return bad_value(option, text, "a number");
    *(double *)field = value;
  } else {
    *(const char **)field = text;
  }
  return TW_OK;
}

static tw_status set_defaults(tw_call *call) {
  for (int i = 0; i < call->command->option_count; i++) {
    const tw_option *option = &call->command->options[i];
    if (option->fallback)
      TW_TRY(set_value(call, option, option->fallback));
    else if (option->kind == TW_OPTION_INTEGER)
      *(int64_t *)field_of(call, option) = -1;
  }
  return TW_OK;
}

// ---- words

static const tw_option *option_at(const tw_command *command, int i) {
  return i < command->option_count ? &command->options[i] : &common[i - command->option_count];
}

static const tw_option *find(const tw_command *command, const char *name, size_t length, char letter) {
  for (int i = 0; i < command->option_count + COMMON; i++) {
    const tw_option *option = option_at(command, i);
    if (letter ? option->letter == letter : strlen(option->name) == length && strncmp(option->name, name, length) == 0)
      return option;
  }
  return NULL;
}

static tw_status unknown(const tw_command *command, const char *word) {
  char name[64];
  const char *begin = word + strspn(word, "-");
  snprintf(name, sizeof name, "%.*s", (int)strcspn(begin, "="), begin);
  const char *near = tw_nearest(name, &command->options[0].name, command->option_count, sizeof(tw_option));
  if (!near) near = tw_nearest(name, &common[0].name, COMMON, sizeof(tw_option));
  if (near)
    return tw_fail(TW_ERR_USAGE, "unknown option %s; did you mean --%s? `twain %s --help` lists all", word, near,
                   command->name);
  return tw_fail(TW_ERR_USAGE, "unknown option %s; `twain %s --help` lists all", word, command->name);
}

// One option at argv[*i], whose value may be the word behind it.
static tw_status parse_option(tw_call *call, int argc, char **argv, int *i) {
  const char *word = argv[*i], *value = NULL;
  const tw_option *option;
  if (word[1] == '-') {
    size_t length = strcspn(word + 2, "=");
    option = find(call->command, word + 2, length, 0);
    if (word[2 + length] == '=') value = word + 3 + length;
  } else {
    option = find(call->command, NULL, 0, word[1]);
    if (word[2]) value = word + 2 + (word[2] == '=');
  }
  if (!option) return unknown(call->command, word);
  if (option->kind == TW_OPTION_FLAG) {
    if (value) return tw_fail(TW_ERR_USAGE, "--%s takes no value", option->name);
    *(bool *)field_of(call, option) = true;
    return TW_OK;
  }
  if (!value && *i + 1 < argc) value = argv[++*i];
  if (!value) return tw_fail(TW_ERR_USAGE, "--%s needs a value: %s", option->name, option->value);
  return set_value(call, option, value);
}

static tw_status check_count(const tw_call *call) {
  const tw_command *c = call->command;
  if (call->help || (call->count >= c->least && (c->most < 0 || call->count <= c->most))) return TW_OK;
  if (call->count > c->least && c->most >= 0)
    return tw_fail(TW_ERR_USAGE, "'%s' is one argument too many; usage: twain %s %s", call->arguments[c->most], c->name,
                   c->arguments);
  return tw_fail(TW_ERR_USAGE, "an argument is missing; usage: twain %s %s", c->name, c->arguments);
}

tw_status tw_call_parse(const tw_command *command, int argc, char **argv, tw_call *call) {
  *call = (tw_call){.command = command};
  call->arguments = calloc((size_t)argc + 1, sizeof(char *));
  call->settings = calloc(1, command->settings_size + 1);
  if (!call->arguments || !call->settings) return tw_fail(TW_ERR_MEMORY, "out of memory");
  TW_TRY(set_defaults(call));
  bool options = true;
  for (int i = 0; i < argc; i++) {
    if (options && strcmp(argv[i], "--") == 0)
      options = false;
    else if (options && argv[i][0] == '-' && argv[i][1])
      TW_TRY(parse_option(call, argc, argv, &i));
    else
      call->arguments[call->count++] = argv[i];
  }
  return check_count(call);
}

void tw_call_free(tw_call *call) {
  free(call->arguments);
  free(call->settings);
  call->arguments = NULL;
  call->settings = NULL;
}

// ---- help

static void print_option(FILE *file, const tw_option *option) {
  char left[64];
  int used = option->letter ? snprintf(left, sizeof left, "  -%c, --%s", option->letter, option->name)
                            : snprintf(left, sizeof left, "      --%s", option->name);
  if (option->value) snprintf(left + used, sizeof left - (size_t)used, " %s", option->value);
  fprintf(file, "%-30s  %s", left, option->help);
  if (option->fallback) fprintf(file, " (default %s)", option->fallback);
  fputc('\n', file);
}

void tw_help_print(FILE *file, const tw_command *command) {
  fprintf(file, "usage: twain %s %s\n\n%s\n", command->name, command->arguments, command->summary);
  if (command->about) fprintf(file, "\n%s\n", command->about);
  fprintf(file, "\noptions:\n");
  for (int i = 0; i < command->option_count + COMMON; i++) print_option(file, option_at(command, i));
}
