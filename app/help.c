#include "app/help.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { NARROWEST = 40, USUAL = 80, OPTION_COLUMN = 28, PART_COLUMN = 12 };

int tw_help_width(FILE *file) {
  const char *columns = getenv("COLUMNS");
  struct winsize size;
  int width = columns ? atoi(columns) : 0;
  if (width <= 0 && isatty(fileno(file)) && ioctl(fileno(file), TIOCGWINSZ, &size) == 0) width = size.ws_col;
  if (width <= 0) width = USUAL;
  return width < NARROWEST ? NARROWEST : width;
}

void tw_help_wrap(FILE *file, const char *text, int column, int indent, int width) {
  bool first = true;  // word of its line
  while (*text) {
    if (*text == ' ' || *text == '\n') {
      if (*text++ != '\n') continue;
      fputc('\n', file);
      column = 0;
      first = true;
      continue;
    }
    int length = (int)strcspn(text, " \n");
    if (!first && column + 1 + length > width) {
      fputc('\n', file);
      column = 0;
      first = true;
    }
    if (column < indent) column += fprintf(file, "%*s", indent - column, "");
    column += fprintf(file, "%s%.*s", first ? "" : " ", length, text);
    first = false;
    text += length;
  }
  fputc('\n', file);
}

void tw_help_row(FILE *file, const char *left, const char *text, int indent, int width) {
  int column = fprintf(file, "%s", left);
  if (column > indent - 2) {
    fputc('\n', file);
    column = 0;
  }
  tw_help_wrap(file, text, column, indent, width);
}

static void print_option(FILE *file, const tw_option *option, int width) {
  char left[64], text[1024];
  int used = option->letter ? snprintf(left, sizeof left, "  -%c, --%s", option->letter, option->name)
                            : snprintf(left, sizeof left, "      --%s", option->name);
  if (option->value) snprintf(left + used, sizeof left - (size_t)used, " %s", option->value);
  if (option->fallback)
    snprintf(text, sizeof text, "%s (default %s)", option->help, option->fallback);
  else
    snprintf(text, sizeof text, "%s", option->help);
  tw_help_row(file, left, text, OPTION_COLUMN, width);
}

static void print_options(FILE *file, const tw_command *command, int width) {
  tw_option options[TW_OPTIONS_MOST];
  int count = tw_command_options(command, options), own = count - TW_OPTIONS_ALWAYS;
  bool grouped = own > 0 && options[0].group;
  if (!grouped) fputs("\noptions:\n", file);
  for (int i = 0; i < count; i++) {
    if (options[i].group) fprintf(file, "\n%s:\n", options[i].group);
    if (grouped && i == own) fputs("\nevery command:\n", file);
    print_option(file, &options[i], width);
  }
}

static void print_parts(FILE *file, const tw_command *command, int width) {
  size_t skip = strlen(command->name) + 1;
  char left[32];
  fputc('\n', file);
  for (int i = 0; command->parts[i]; i++) {
    snprintf(left, sizeof left, "  %s", command->parts[i]->name + skip);
    tw_help_row(file, left, command->parts[i]->summary, PART_COLUMN, width);
  }
  fprintf(file, "\n`twain help %s WORD` lists the options of one.\n", command->name);
}

// A party of its own comes first: the other way protects nothing.
static void print_usage(FILE *file, const tw_command *command, int width) {
  enum { INDENT = 7 };
  char text[512];
  if (command->apart) {
    fputs("usage: ", file);
    snprintf(text, sizeof text, "twain %s %s [options]", command->name, command->apart);
    tw_help_wrap(file, text, INDENT, INDENT, width);
    snprintf(text, sizeof text, "mpirun -np 2 twain %s %s [options], for a trial: both parties in one place",
             command->name, command->arguments);
    tw_help_wrap(file, text, 0, INDENT, width);
    fputc('\n', file);
    return;
  }
  fprintf(file, "usage: %stwain %s%s%s%s\n\n", command->launched ? "mpirun -np 2 " : "", command->name,
          *command->arguments ? " " : "", command->arguments, command->parts ? "" : " [options]");
}

void tw_help_print(FILE *file, const tw_command *command) {
  int width = tw_help_width(file);
  print_usage(file, command, width);
  tw_help_wrap(file, command->summary, 0, 0, width);
  if (command->about) {
    fputc('\n', file);
    tw_help_wrap(file, command->about, 0, 0, width);
  }
  if (command->parts)
    print_parts(file, command, width);
  else
    print_options(file, command, width);
}
