// twain: two parties run a transformer on secret-shared data. Dispatch, help, version and exit codes.
#include <hdf5.h>
#include <mpi.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/commands.h"
#include "app/show/print.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "io/new_files.h"
#include "kernels/isa.h"

static const tw_command *const commands[] = {&tw_command_import,  &tw_command_plan,   &tw_command_share,
                                             &tw_command_deal,    &tw_command_encode, &tw_command_ledger,
                                             &tw_command_upgrade, &tw_command_run,    &tw_command_reveal,
                                             &tw_command_check,   &tw_command_report, &tw_command_bench};
enum { COMMANDS = sizeof commands / sizeof *commands };

static const char exit_codes[] =
    "exit codes:\n"
    "   0  done\n"
    "   1  internal error (please report it)\n"
    "   2  command line\n"
    "   3  a file is missing, unreadable or unwritable, or the disk is full\n"
    "   4  a file is truncated, damaged or malformed\n"
    "   5  files or parties do not belong together\n"
    "   6  a one-time key slot was used before, or none is left\n"
    "   7  the other party ended, hung, or spoke out of turn; or a time limit passed\n"
    "   8  a value or plan does not fit its rings or windows\n"
    "   9  out of memory\n"
    "  10  a check came out negative\n";

static void print_help(FILE *file) {
  fputs(
      "twain runs a transformer between two MPI ranks that see neither its input nor its weights.\n\n"
      "usage: twain COMMAND ...\n\n",
      file);
  for (int i = 0; i < COMMANDS; i++) fprintf(file, "  %-8s  %s\n", commands[i]->name, commands[i]->summary);
  fputs(
      "\n`twain COMMAND --help` lists a command's options with their defaults; `twain --version` says what is inside.\n"
      "NAME in a command stands for a path and the beginning of file names: runs/minilm for runs/minilm.model.h5, "
      "...\n\n",
      file);
  fputs(exit_codes, file);
  fputs(
      "\nenvironment:\n"
      "  TWAIN_ISA       highest instruction set that is used: portable, avx2, avx512 (default: what the CPU has)\n"
      "  XDG_STATE_HOME  holds the ledger of used keys when none is named (default ~/.local/state)\n",
      file);
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

static tw_status help(const char *name) {
  if (!name) {
    print_help(stdout);
    return TW_OK;
  }
  const tw_command *command = find(name);
  if (!command) return unknown_command(name);
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
  if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) return help(argv[2]);
  if (strcmp(word, "--version") == 0) {
    print_version();
    return TW_OK;
  }
  const tw_command *command = find(word);
  return command ? call(command, argc - 2, argv + 2) : unknown_command(word);
}

// Before MPI is up, its launcher has said who this is.
static void speak_as_rank(void) {
  static const char *const variables[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK"};
  for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
    const char *party = getenv(variables[i]);
    if (!party || !*party) continue;
    tw_say_as(atoi(party));
    return;
  }
}

static void end_by_signal(void) {
  tw_new_files_undo();
  tw_say_ended();
}

int main(int argc, char **argv) {
  tw_no_core_dumps();
  tw_hide_stack();
  tw_interrupts_catch(end_by_signal);
  umask(077);
  speak_as_rank();
  tw_status status = dispatch(argc, argv);
  if (status == TW_OK && (fflush(stdout) != 0 || ferror(stdout)))
    status = tw_fail(TW_ERR_IO, "cannot write to standard output");
  if (status != TW_OK) tw_say_error();
  return tw_status_known((int)status) ? (int)status : TW_ERR_INTERNAL;
}
