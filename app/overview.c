#include "app/overview.h"

#include "app/commands.h"
#include "app/help.h"

const tw_command *const tw_commands[] = {&tw_command_site,
                                         &tw_command_import,
                                         &tw_command_plan,
                                         &tw_command_share,
#ifndef TWAIN_CLIENT
                                         &tw_command_deal,
#endif
                                         &tw_command_encode,
                                         &tw_command_seal,
                                         &tw_command_unseal,
                                         &tw_command_verify,
                                         &tw_command_handover,
                                         &tw_command_upgrade,
                                         &tw_command_destroy,
                                         &tw_command_doctor,
#ifndef TWAIN_CLIENT
                                         &tw_command_ledger,
                                         &tw_command_run,
                                         &tw_command_status,
#endif
                                         &tw_command_reveal,
                                         &tw_command_ask,
#ifndef TWAIN_CLIENT
                                         &tw_command_check,
                                         &tw_command_report,
                                         &tw_command_bench,
                                         &tw_command_relay,
#endif
                                         NULL};

const tw_term tw_exit_codes[] = {
    {" 0", "done"},
    {" 1", "internal error (please report it)"},
    {" 2", "command line"},
    {" 3", "a file is missing, unreadable or unwritable, or the disk is full"},
    {" 4", "a file is truncated, damaged or malformed"},
    {" 5", "files or parties do not belong together"},
    {" 6", "a one-time key slot was used before, or none is left"},
    {" 7", "the other party ended, hung, or spoke out of turn; or a time limit passed"},
    {" 8", "a value or plan does not fit its rings or windows"},
    {" 9", "out of memory"},
    {"10", "a check came out negative"},
    {"11", "stopped by a signal after the work in hand; `run --resume` goes on"},
    {"12", "a site or a sender is not who it should be, or its certificate is not valid now"},
    {NULL, NULL}};

// docs/operating.md has more on some of them.
const tw_term tw_environment_variables[] = {
    {"TWAIN_ISA", "highest instruction set that is used: portable, avx2, avx512 (not set: what the CPU has)"},
    {"TWAIN_AUDIT", "the audit log: a file from the root on, or syslog (not set: none)"},
    {"XDG_STATE_HOME", "holds the ledger of used keys when none is named (not set: ~/.local/state)"},
    {"TMPDIR", "holds the key files of `bench model --keys file`, and what `ask` works with (not set: /tmp)"},
    {"COLUMNS", "width of help (not set: the terminal's, else 80)"},
    {"CUDA_DEVICE_MAX_CONNECTIONS", "hardware queues of a GPU (not set: 32)"},
    {NULL, NULL}};

const char tw_what_twain_does[] =
    "twain runs a transformer between two parties that see neither its input nor its weights.";
const char tw_how_to_read_on[] =
    "`twain help COMMAND` lists a command's options with their defaults; `twain --version` (-V) says what is inside. "
    "`twain help --man [COMMAND]` is the man page, `twain help --completion bash` (or zsh) what the shell reads.\n"
    "NAME in a command stands for a path and the beginning of file names: runs/minilm for runs/minilm.model.h5, ...";

static void print_row(FILE *file, const tw_term *term, int indent) {
  char left[64];
  snprintf(left, sizeof left, "  %s", term->word);
  tw_help_row(file, left, term->meaning, indent, tw_help_width(file));
}

void tw_overview_print(FILE *file) {
  enum { COMMAND_COLUMN = 12, CODE_COLUMN = 6, VARIABLE_COLUMN = 20 };
  int width = tw_help_width(file);
  tw_help_wrap(file, tw_what_twain_does, 0, 0, width);
  fputs("\nusage: twain COMMAND ...\n\n", file);
  for (int i = 0; tw_commands[i]; i++)
    print_row(file, &(tw_term){tw_commands[i]->name, tw_commands[i]->summary}, COMMAND_COLUMN);
  fputc('\n', file);
  tw_help_wrap(file, tw_how_to_read_on, 0, 0, width);
  fputs("\nexit codes:\n", file);
  for (const tw_term *t = tw_exit_codes; t->word; t++) print_row(file, t, CODE_COLUMN);
  fputs("\nenvironment:\n", file);
  for (const tw_term *t = tw_environment_variables; t->word; t++) print_row(file, t, VARIABLE_COLUMN);
}
