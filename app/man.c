#include <ctype.h>
#include <string.h>

#include "app/overview.h"
#include "app/pages.h"

// Text of a line that begins here: troff takes a hyphen for one that may be broken at, and a dot at the beginning for
// a request. A line break becomes a paragraph.
static void text(FILE *file, const char *s) {
  bool first = true;
  for (; *s; s++) {
    if (first && (*s == '.' || *s == '\'')) fputs("\\&", file);
    first = *s == '\n';
    if (*s == '\n')
      fputs("\n.PP\n", file);
    else if (*s == '-')
      fputs("\\-", file);
    else if (*s == '\\')
      fputs("\\e", file);
    else
      fputc(*s, file);
  }
}

static void line(FILE *file, const char *s) {
  text(file, s);
  fputc('\n', file);
}

static void section(FILE *file, const char *request, const char *title) {
  fprintf(file, ".%s \"", request);
  text(file, title);
  fputs("\"\n", file);
}

static void terms(FILE *file, const tw_term *term) {
  for (; term->word; term++) {
    fputs(".TP\n.B ", file);
    line(file, term->word + strspn(term->word, " "));
    line(file, term->meaning);
  }
}

static void option(FILE *file, const tw_option *o) {
  fputs(".TP\n", file);
  if (o->letter) fprintf(file, "\\fB\\-%c\\fR, ", o->letter);
  fputs("\\fB\\-\\-", file);
  text(file, o->name);
  fputs("\\fR", file);
  if (o->value) fprintf(file, " \\fI%s\\fR", o->value);
  fputc('\n', file);
  text(file, o->help);
  if (o->fallback) {
    fputs(" (default ", file);
    text(file, o->fallback);
    fputc(')', file);
  }
  fputc('\n', file);
}

static void usage(FILE *file, const char *before, const char *name, const char *arguments, const char *after) {
  fprintf(file, ".PP\n%s\\fBtwain %s\\fR ", before, name);
  text(file, arguments);
  line(file, after);
}

static void synopsis(FILE *file, const tw_command *command) {
  if (command->apart) usage(file, "", command->name, command->apart, " [options]");
  usage(file, command->launched ? "mpirun \\-np 2 " : "", command->name, command->arguments,
        command->parts ? "" : " [options]");
}

static void options(FILE *file, const tw_command *command, const char *heading) {
  tw_option list[TW_OPTIONS_MOST];
  int count = tw_command_options(command, list);
  section(file, heading, "OPTIONS");
  for (int i = 0; i < count; i++) {
    if (list[i].group) section(file, "SS", list[i].group);
    if (i == count - TW_OPTIONS_ALWAYS && i > 0 && list[0].group) section(file, "SS", "every command");
    option(file, &list[i]);
  }
}

static void about(FILE *file, const tw_command *command) {
  line(file, command->about ? command->about : command->summary);
}

static void part(FILE *file, const tw_command *command) {
  char title[64];
  snprintf(title, sizeof title, "twain %s", command->name);
  section(file, "SH", title);
  line(file, command->summary);
  synopsis(file, command);
  fputs(".PP\n", file);
  about(file, command);
  options(file, command, "SS");
}

static void of_command(FILE *file, const tw_command *command) {
  fputs(".TH TWAIN\\-", file);
  for (const char *s = command->name; *s; s++) fputc(toupper((unsigned char)*s), file);
  fprintf(file, " 1 \"\" \"twain %s\" \"twain\"\n.SH NAME\ntwain\\-%s \\- ", TWAIN_VERSION, command->name);
  line(file, command->summary);
  section(file, "SH", "SYNOPSIS");
  synopsis(file, command);
  section(file, "SH", "DESCRIPTION");
  about(file, command);
  if (!command->parts) options(file, command, "SH");
  for (int i = 0; command->parts && command->parts[i]; i++) part(file, command->parts[i]);
  section(file, "SH", "EXIT STATUS");
  terms(file, tw_exit_codes);
  fputs(".SH SEE ALSO\n.BR twain (1)\n", file);
}

static void of_twain(FILE *file) {
  fprintf(file, ".TH TWAIN 1 \"\" \"twain %s\" \"twain\"\n.SH NAME\ntwain \\- ", TWAIN_VERSION);
  line(file, "run a transformer between two parties on secret-shared data");
  fputs(".SH SYNOPSIS\n\\fBtwain\\fR \\fICOMMAND\\fR ...\n.SH DESCRIPTION\n", file);
  line(file, tw_what_twain_does);
  fputs(".PP\n", file);
  line(file, tw_how_to_read_on);
  section(file, "SH", "COMMANDS");
  for (int i = 0; tw_commands[i]; i++) {
    fprintf(file, ".TP\n.BR twain\\-%s (1)\n", tw_commands[i]->name);
    line(file, tw_commands[i]->summary);
  }
  section(file, "SH", "EXIT STATUS");
  terms(file, tw_exit_codes);
  section(file, "SH", "ENVIRONMENT");
  terms(file, tw_environment_variables);
}

void tw_pages_man(FILE *file, const tw_command *command) {
  if (command)
    of_command(file, command);
  else
    of_twain(file);
}
