#include "app/options.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

// Every command has these, at the end of its help.
static const tw_option always[TW_OPTIONS_ALWAYS] = {
    {.name = "quiet",
     .letter = 'q',
     .field = offsetof(tw_call, quiet),
     .help = "no progress, no notes; warnings and errors stay"},
    {.name = "help", .letter = 'h', .field = offsetof(tw_call, help), .help = "this text"},
};

// What options were called before: a command that has the new one says so.
static const struct {
  const char *before, *now, *what;
} renamed[] = {
    {"bind", "affinity", "binding to cores"},
    {"by-gate", "verbose", "the time of each gate"},
    {"emulate-link", "link-latency", "an emulated link, as in --link-latency 10us --link-rate 10Gbit/s,"},
    {"link", "link-latency", "the link, as in --link-latency 10us --link-rate 10Gbit/s,"},
    {"model", "shape", "a model's shape"},
    {"open-budget-jobs", "coalesce", "what makes openings share a message"},
    {"open-budget-words", "coalesce", "what makes openings share a message, in bytes,"},
    {"output", "result", "what is opened"},
    {"overlap", "split-batch", "halves of a batch that take turns"},
    {"synthetic", "shape", "a model's shape"},
    {"timeout", "silence-limit", "the time of silence that is borne"},
    {"trace", "timeline", "the drawing"},
};

// ---- nearest word: Levenshtein's distance, where two neighbours that change places are one error

static int distance(const char *a, const char *b) {
  enum { LONGEST = 40 };
  int d[LONGEST + 1][LONGEST + 1], m = (int)strlen(a), n = (int)strlen(b);
  if (n > LONGEST || m > LONGEST) return LONGEST;
  for (int i = 0; i <= m; i++) d[i][0] = i;
  for (int j = 0; j <= n; j++) d[0][j] = j;
  for (int i = 1; i <= m; i++)
    for (int j = 1; j <= n; j++) {
      int least = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
      if (d[i - 1][j] + 1 < least) least = d[i - 1][j] + 1;
      if (d[i][j - 1] + 1 < least) least = d[i][j - 1] + 1;
      bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped && d[i - 2][j - 2] + 1 < least) least = d[i - 2][j - 2] + 1;
      d[i][j] = least;
    }
  return d[m][n];
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

// ---- rows

static tw_option whole(const tw_option *row) {
  if (!row->common) return *row;
  tw_option o = *row->common;
  o.group = row->group;
  o.field = row->field;
  if (row->fallback) o.fallback = row->fallback;
  if (row->help) o.help = row->help;
  if (row->low > 0) o.low = row->low;
  if (row->high > 0) o.high = row->high;
  return o;
}

int tw_command_options(const tw_command *command, tw_option out[TW_OPTIONS_MOST]) {
  int count = 0;
  assert(command->option_count <= TW_OPTIONS_MOST - TW_OPTIONS_ALWAYS);
  while (count < command->option_count && count < TW_OPTIONS_MOST - TW_OPTIONS_ALWAYS) {
    out[count] = whole(&command->options[count]);
    count++;
  }
  for (int i = 0; i < TW_OPTIONS_ALWAYS; i++) out[count++] = always[i];
  return count;
}

const tw_command *tw_command_part(const tw_command *command, const char *word) {
  size_t length = strlen(command->name) + 1;  // "bench "
  for (int i = 0; command->parts && command->parts[i]; i++)
    if (strcmp(command->parts[i]->name + length, word) == 0) return command->parts[i];
  return NULL;
}

// ---- values

// The options of one call, and where their values go.
typedef struct {
  tw_call *call;
  int count;
  tw_option options[TW_OPTIONS_MOST];
} table;

static void *field_of(const table *t, const tw_option *option) {
  bool every = option >= t->options + t->count - TW_OPTIONS_ALWAYS;
  return (every ? (char *)t->call : (char *)t->call->settings) + option->field;
}

static tw_status bad_value(const tw_option *option, const char *text, const char *wanted) {
  return tw_fail(TW_ERR_USAGE, "--%s '%s': %s from %.15g to %.15g is needed", option->name, text, wanted, option->low,
                 option->high);
}

// A number with its unit.
static tw_status set_quantity(const tw_option *option, const char *text, double *field) {
  bool time = option->kind == TW_OPTION_TIME;
  tw_status status = time ? tw_parse_seconds(text, field) : tw_parse_rate(text, field);
  if (status != TW_OK) return tw_fail_in(status, "--%s", option->name);
  if (*field >= option->low && *field <= option->high) return TW_OK;
  return tw_fail(TW_ERR_USAGE, "--%s '%s': is %.15g %s, from %.15g to %.15g are possible", option->name, text, *field,
                 time ? "s" : "bytes/s", option->low, option->high);
}

tw_status tw_option_parse(const tw_option *option, const char *text, void *field) {
  char *end;
  errno = 0;
  if (option->kind == TW_OPTION_TIME || option->kind == TW_OPTION_RATE) return set_quantity(option, text, field);
  if (option->kind == TW_OPTION_INTEGER) {
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || (double)value < option->low || (double)value > option->high)
      return bad_value(option, text, "a whole number");
    *(int64_t *)field = value;
  } else if (option->kind == TW_OPTION_REAL) {
    double value = strtod(text, &end);
    bool decimal = strspn(text, " +-.0123456789eE") == strlen(text);
    if (errno || end == text || *end || !decimal || !(value >= option->low && value <= option->high))
      return bad_value(option, text, "a number");
    *(double *)field = value;
  } else if (option->kind == TW_OPTION_TEXTS) {
    tw_option_texts *texts = field;
    if (texts->count == TW_TEXTS_MOST) return tw_fail(TW_ERR_USAGE, "--%s is given too often", option->name);
    texts->text[texts->count++] = text;
  } else {
    *(const char **)field = text;
  }
  return TW_OK;
}

static tw_status set_value(const table *t, const tw_option *option, const char *text) {
  return tw_option_parse(option, text, field_of(t, option));
}

static tw_status set_defaults(const table *t) {
  for (int i = 0; i < t->count; i++) {
    const tw_option *option = &t->options[i];
    if (option->fallback)
      TW_TRY(set_value(t, option, option->fallback));
    else if (option->kind == TW_OPTION_INTEGER)
      *(int64_t *)field_of(t, option) = -1;
  }
  return TW_OK;
}

// ---- words

static const tw_option *find(const table *t, const char *name, size_t length, char letter) {
  for (int i = 0; i < t->count; i++) {
    const tw_option *option = &t->options[i];
    if (letter ? option->letter == letter : strlen(option->name) == length && strncmp(option->name, name, length) == 0)
      return option;
  }
  return NULL;
}

static tw_status unknown(const table *t, const char *word) {
  const char *command = t->call->command->name, *begin = word + strspn(word, "-");
  char name[64];
  snprintf(name, sizeof name, "%.*s", (int)strcspn(begin, "="), begin);
  for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++)
    if (strcmp(name, renamed[i].before) == 0 && find(t, renamed[i].now, strlen(renamed[i].now), 0))
      return tw_fail(TW_ERR_USAGE, "unknown option --%s: %s is --%s now; `twain help %s` lists all", name,
                     renamed[i].what, renamed[i].now, command);
  const char *near = tw_nearest(name, &t->options[0].name, t->count, sizeof(tw_option));
  if (near)
    return tw_fail(TW_ERR_USAGE, "unknown option %s; did you mean --%s? `twain help %s` lists all", word, near,
                   command);
  return tw_fail(TW_ERR_USAGE, "unknown option %s; `twain help %s` lists all", word, command);
}

// One option at argv[*i], whose value may be the word behind it.
static tw_status parse_option(const table *t, int argc, char **argv, int *i) {
  const char *word = argv[*i], *value = NULL;
  const tw_option *option;
  if (word[1] == '-') {
    size_t length = strcspn(word + 2, "=");
    option = find(t, word + 2, length, 0);
    if (word[2 + length] == '=') value = word + 3 + length;
  } else {
    option = find(t, NULL, 0, word[1]);
    if (word[2]) value = word + 2 + (word[2] == '=');
  }
  if (!option) return unknown(t, word);
  if (option->kind == TW_OPTION_FLAG) {
    if (value) return tw_fail(TW_ERR_USAGE, "--%s takes no value", option->name);
    *(bool *)field_of(t, option) = true;
    return TW_OK;
  }
  if (!value && *i + 1 < argc) value = argv[++*i];
  if (!value) return tw_fail(TW_ERR_USAGE, "--%s needs a value: %s", option->name, option->value);
  return set_value(t, option, value);
}

static tw_status check_count(const tw_call *call) {
  const tw_command *c = call->command;
  if (call->help || (call->count >= c->least && (c->most < 0 || call->count <= c->most))) return TW_OK;
  if (call->count > c->least && c->most >= 0)
    return tw_fail(TW_ERR_USAGE, "'%s' is one argument too many; usage: twain %s %s", call->arguments[c->most], c->name,
                   c->arguments);
  return tw_fail(TW_ERR_USAGE, "an argument is missing; usage: twain %s %s", c->name,
                 c->apart ? c->apart : c->arguments);
}

tw_status tw_call_parse(const tw_command *command, int argc, char **argv, tw_call *call) {
  *call = (tw_call){.command = command};
  call->arguments = calloc((size_t)argc + 1, sizeof(char *));
  call->settings = calloc(1, command->settings_size + 1);
  if (!call->arguments || !call->settings) return tw_fail(TW_ERR_MEMORY, "out of memory");
  table t = {.call = call};
  t.count = tw_command_options(command, t.options);
  TW_TRY(set_defaults(&t));
  bool options = true;
  for (int i = 0; i < argc; i++) {
    if (options && strcmp(argv[i], "--") == 0)
      options = false;
    else if (options && argv[i][0] == '-' && argv[i][1])
      TW_TRY(parse_option(&t, argc, argv, &i));
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
