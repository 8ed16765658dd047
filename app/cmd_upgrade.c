#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "app/secrets.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/format.h"
#include "io/ledger.h"
#include "io/model_id.h"
#include "io/new_files.h"
#include "io/upgrade.h"

typedef struct {
  bool allow_unlocked;
} settings;

static const tw_option options[] = {{.common = &tw_option_allow_unlocked, .field = offsetof(settings, allow_unlocked)}};

enum { EARLIER = 1 };  // the one version before this

// ---- one file: read whole, the old one put aside, the new one written, the old one removed

static tw_status split_name(const char *path, char *stem, size_t size, const char **suffix) {
  const char *dot = strrchr(path, '.');
  *suffix = dot ? dot + 1 : "";
  if (dot && (size_t)(dot - path) < size && dot > path && dot[-1] != '/' && !strchr(dot, '/')) {
    snprintf(stem, size, "%.*s", (int)(dot - path), path);
    return TW_OK;
  }
  return tw_fail(TW_ERR_USAGE, "%s: give the whole name of a file that ends in .h5 or .json, or a ledger's folder",
                 path);
}

static tw_status upgrade_h5(const char *path, tw_new_files *files) {
  tw_upgrade *u;
  TW_TRY(tw_upgrade_read(path, &u));
  tw_status status = tw_new_files_begin(files);
  if (status == TW_OK) status = tw_upgrade_write(u, path);
  files->written[0] = status == TW_OK;
  tw_upgrade_free(u);
  return tw_new_files_end(files, status);
}

static tw_status upgrade_id(const char *path, tw_new_files *files) {
  tw_model_id id;
  TW_TRY(tw_model_id_read_earlier(path, EARLIER, &id));
  tw_status status = tw_new_files_begin(files);
  if (status == TW_OK) status = tw_model_id_rewrite(path, &id);
  files->written[0] = status == TW_OK;
  return tw_new_files_end(files, status);
}

static tw_status upgrade_file(const char *path) {
  char stem[TW_NAME_LONGEST];
  const char *suffix;
  tw_new_files files;
  TW_TRY(split_name(path, stem, sizeof stem, &suffix));
  TW_TRY(tw_new_files_check(&files, stem, &suffix, 1, true));
  return strcmp(suffix, "json") == 0 ? upgrade_id(path, &files) : upgrade_h5(path, &files);
}

// Two that upgrade one file at once would take each other's new file for the old one. The second one waits, and finds
// that nothing is left to do. The folder is locked, as the file itself goes. Where there is no flock nobody waits.
static tw_status lock_folder(const char *path, int *fd) {
  char folder[PATH_MAX];
  TW_TRY(tw_folder_of(path, folder));
  *fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (*fd < 0) return tw_fail(TW_ERR_IO, "%s: cannot open the folder: %s", folder, strerror(errno));
  while (flock(*fd, LOCK_EX) != 0 && errno == EINTR) continue;
  return TW_OK;
}

static tw_status upgrade_locked(const char *path) {
  int fd;
  TW_TRY(lock_folder(path, &fd));
  tw_status status = upgrade_file(path);
  close(fd);
  return status;
}

static tw_status upgrade(const char *path, bool quiet) {
  struct stat info;
  tw_ledger ledger;
  bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
  TW_TRY(folder ? tw_ledger_upgrade(path, EARLIER, &ledger) : upgrade_locked(path));
  if (!quiet) printf("%s%s: version %d\n", folder ? "ledger " : "", path, TW_FORMAT_VERSION);
  return TW_OK;
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  tw_not_dumpable();
  if (s->allow_unlocked) tw_seeds_may_be_unlocked();
  for (int i = 0; i < call->count; i++) TW_TRY(upgrade(call->arguments[i], call->quiet));
  tw_secrets_warn();
  return TW_OK;
}

const tw_command tw_command_upgrade = {
    .name = "upgrade",
    .arguments = "FILE|LEDGER ...",
    .summary = "bring files of an earlier twain to this version",
    .about =
        "For what cannot be made again: ledgers (their id and all marks stay), NAME.model.p0.h5 and .p1.h5, "
        "NAME.model.dealer.h5, NAME.model.json and NAME.client.h5. A file is read whole and checked, then replaced.\n"
        "Plans, inputs and models are written anew by the command that made them. Keys are never carried over: deal "
        "new ones.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .least = 1,
    .most = -1,
    .run = run};
