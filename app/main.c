// twain: two parties run a transformer on secret-shared data. Dispatch, help, version and exit codes.
#include <fcntl.h>
#include <hdf5.h>
#include <mpi.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/help.h"
#include "app/launcher.h"
#include "app/show/print.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "io/new_files.h"
#include "kernels/isa.h"

static const tw_command *const commands[] = {
    &tw_command_site,   &tw_command_import,  &tw_command_plan,   &tw_command_share,  &tw_command_deal,
    &tw_command_encode, &tw_command_seal,    &tw_command_unseal, &tw_command_verify, &tw_command_handover,
    &tw_command_ledger, &tw_command_upgrade, &tw_command_run,    &tw_command_reveal, &tw_command_ask,
    &tw_command_check,  &tw_command_report,  &tw_command_bench,  &tw_command_relay};
enum { COMMANDS = sizeof commands / sizeof *commands };

static const struct {
  const char *code, *meaning;
} exit_codes[] = {
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
    {"12", "a site or a sender is not who it should be, or its certificate is not valid now"},
};

// What the environment may say; docs/operating.md has more on some of them.
static const struct {
  const char *name, *meaning;
} environment[] = {
    {"TWAIN_ISA", "highest instruction set that is used: portable, avx2, avx512 (not set: what the CPU has)"},
    {"XDG_STATE_HOME", "holds the ledger of used keys when none is named (not set: ~/.local/state)"},
    {"TMPDIR", "holds the key files of `bench model --keys file`, and what `ask` works with (not set: /tmp)"},
    {"COLUMNS", "width of help (not set: the terminal's, else 80)"},
    {"CUDA_DEVICE_MAX_CONNECTIONS", "hardware queues of a GPU (not set: 32)"},
};

static void print_row(FILE *file, const char *name, const char *text, int indent) {
  char left[64];
  snprintf(left, sizeof left, "  %s", name);
  tw_help_row(file, left, text, indent, tw_help_width(file));
}

static void print_help(FILE *file) {
  enum { COMMAND_COLUMN = 12, CODE_COLUMN = 6, VARIABLE_COLUMN = 20 };
  int width = tw_help_width(file);
  tw_help_wrap(file, "twain runs a transformer between two parties that see neither its input nor its weights.", 0, 0,
               width);
  fputs("\nusage: twain COMMAND ...\n\n", file);
  for (int i = 0; i < COMMANDS; i++) print_row(file, commands[i]->name, commands[i]->summary, COMMAND_COLUMN);
  fputc('\n', file);
  tw_help_wrap(
      file,
      "`twain help COMMAND` lists a command's options with their defaults; `twain --version` (-V) says what is "
      "inside.\n"
      "NAME in a command stands for a path and the beginning of file names: runs/minilm for "
      "runs/minilm.model.h5, ...",
      0, 0, width);
  fputs("\nexit codes:\n", file);
  for (size_t i = 0; i < sizeof exit_codes / sizeof *exit_codes; i++)
    print_row(file, exit_codes[i].code, exit_codes[i].meaning, CODE_COLUMN);
  fputs("\nenvironment:\n", file);
  for (size_t i = 0; i < sizeof environment / sizeof *environment; i++)
    print_row(file, environment[i].name, environment[i].meaning, VARIABLE_COLUMN);
}

static void print_version(void) {
  char mpi[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  unsigned major = 0, minor = 0, release = 0;
  MPI_Get_library_version(mpi, &length);
  mpi[strcspn(mpi, ",\n")] = '\0';
  H5get_libversion(&major, &minor, &release);
  printf("twain %s\nMPI   %s\nHDF5  %u.%u.%u\nISA   %s\n", TWAIN_VERSION, mpi, major, minor, release,
         tw_isa_name(tw_isa_active()));
}

static const tw_command *find(const char *name) {
  for (int i = 0; i < COMMANDS; i++)
    if (strcmp(commands[i]->name, name) == 0) return commands[i];
  return NULL;
}

static tw_status unknown_command(const char *word) {
  const char *names[COMMANDS];
  for (int i = 0; i < COMMANDS; i++) names[i] = commands[i]->name;
  const char *near = tw_nearest(word, names, COMMANDS, sizeof *names);
  if (near) return tw_fail(TW_ERR_USAGE, "unknown command '%s'; did you mean %s? `twain --help` lists all", word, near);
  return tw_fail(TW_ERR_USAGE, "unknown command '%s'; `twain --help` lists all", word);
}

static tw_status unknown_part(const tw_command *command, const char *word) {
  return tw_fail(TW_ERR_USAGE, "unknown word '%s'; usage: twain %s %s", word, command->name, command->arguments);
}

// names: of a command, and of one of its parts; either may be NULL.
static tw_status help(const char *name, const char *part_name) {
  if (!name) {
    print_help(stdout);
    return TW_OK;
  }
  const tw_command *command = find(name);
  if (!command) return unknown_command(name);
  if (command->parts && part_name) {
    const tw_command *part = tw_command_part(command, part_name);
    if (!part) return unknown_part(command, part_name);
    command = part;
  }
  tw_help_print(stdout, command);
  return TW_OK;
}

static tw_status call(const tw_command *command, int argc, char **argv) {
  tw_call call;
  tw_status status = tw_call_parse(command, argc, argv, &call);
  if (status == TW_OK && call.help)
    tw_help_print(stdout, command);
  else if (status == TW_OK)
    status = command->run(&call);
  tw_call_free(&call);
  return status;
}

static tw_status dispatch(int argc, char **argv) {
  if (sodium_init() < 0) return tw_fail(TW_ERR_INTERNAL, "libsodium cannot start: no source of randomness?");
  if (argc < 2) {
    print_help(stderr);
    return tw_fail(TW_ERR_USAGE, "a command is missing");
  }
  const char *word = argv[1];
  if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
    return help(argv[2], argc > 3 ? argv[3] : NULL);
  if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
    print_version();
    return TW_OK;
  }
  const tw_command *command = find(word);
  if (!command) return unknown_command(word);
  const tw_command *part = argc > 2 ? tw_command_part(command, argv[2]) : NULL;
  return part ? call(part, argc - 3, argv + 3) : call(command, argc - 2, argv + 2);
}

static void end_by_signal(void) {
  tw_new_files_undo();
  tw_say_ended();
}

// CUDA reads it at its first call. Streams whose work goes through one of the hardware's queues wait for each other:
// gates, preparation and keys would come one after the other.
static void ask_for_queues(void) {
#ifdef TWAIN_CUDA
  setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0);  // the most there are, unless the user chose
#endif
}

// Where a launcher has closed one of the three, the next file to be opened would have its number, and get what is
// printed: a key file, or the line to the other party. What stands there instead can be neither read nor written, as
// they are for.
static bool keep_standard_files(void) {
  for (int fd = 0; fd < 3; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) return false;
  return true;
}

int main(int argc, char **argv) {
  if (!keep_standard_files()) return TW_ERR_IO;  // nobody can be told
  ask_for_queues();
  tw_no_core_dumps();
  tw_hide_stack();
  tw_interrupts_catch(end_by_signal);
  umask(077);
  if (tw_launcher_rank() >= 0) tw_say_as(tw_launcher_rank());  // before MPI is up
  tw_status status = dispatch(argc, argv);
  if (status == TW_OK && (fflush(stdout) != 0 || ferror(stdout)))
    status = tw_fail(TW_ERR_IO, "cannot write to standard output");
  if (status != TW_OK) tw_say_error();
  return tw_status_known((int)status) ? (int)status : TW_ERR_INTERNAL;
}
