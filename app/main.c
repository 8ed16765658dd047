// twain: two parties run a transformer on secret-shared data. Dispatch, help, version and exit codes.
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/help.h"
#include "app/launcher.h"
#include "app/overview.h"
#include "app/pages.h"
#include "app/show/print.h"
#include "app/version.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "io/new_files.h"

static const tw_command *find(const char *name) {
  for (int i = 0; tw_commands[i]; i++)
    if (strcmp(tw_commands[i]->name, name) == 0) return tw_commands[i];
  return NULL;
}

static tw_status unknown_command(const char *word) {
  const char *names[TW_COMMANDS_MOST];
  int count = 0;
  for (; tw_commands[count]; count++) names[count] = tw_commands[count]->name;
  const char *near = tw_nearest(word, names, count, sizeof *names);
  if (near) return tw_fail(TW_ERR_USAGE, "unknown command '%s'; did you mean %s? `twain --help` lists all", word, near);
  return tw_fail(TW_ERR_USAGE, "unknown command '%s'; `twain --help` lists all", word);
}

static tw_status unknown_part(const tw_command *command, const char *word) {
  return tw_fail(TW_ERR_USAGE, "unknown word '%s'; usage: twain %s %s", word, command->name, command->arguments);
}

// What packages install: word is behind --man or --completion, and may be NULL.
static tw_status page(bool man, const char *word) {
  if (!man) return tw_pages_completion(stdout, word);
  const tw_command *command = word ? find(word) : NULL;
  if (word && !command) return unknown_command(word);
  tw_pages_man(stdout, command);
  return TW_OK;
}

// names: of a command, and of one of its parts; either may be NULL.
static tw_status help(const char *name, const char *part_name) {
  bool man = name && strcmp(name, "--man") == 0;
  if (man || (name && strcmp(name, "--completion") == 0)) return page(man, part_name);
  if (!name) {
    tw_overview_print(stdout);
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
    tw_overview_print(stderr);
    return tw_fail(TW_ERR_USAGE, "a command is missing");
  }
  const char *word = argv[1];
  if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
    return help(argv[2], argc > 3 ? argv[3] : NULL);
  if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
    tw_version_print(stdout);
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
