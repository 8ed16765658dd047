#define _GNU_SOURCE
#include "io/new_files.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/interrupt.h"
#include "io/file.h"
#include "io/unfinished.h"

tw_path tw_path_of(const char *name, const char *suffix) {
  tw_path p;
  snprintf(p.text, sizeof p.text, "%.*s.%s", TW_NAME_LONGEST, name, suffix);
  return p;
}

const char *tw_behind_folder(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

tw_status tw_name_check(const char *name) {
  size_t n = strlen(name);
  const char *last = tw_behind_folder(name);
  if (!*last || strcmp(last, ".") == 0 || strcmp(last, "..") == 0)
    return tw_fail(TW_ERR_USAGE,
                   "NAME '%s' has no last part; give a path and the beginning of a file name, e.g. runs/minilm", name);
  if (n > TW_NAME_LONGEST) return tw_fail(TW_ERR_USAGE, "NAME is longer than %d bytes", TW_NAME_LONGEST);
  static const char *const kinds[] = {"model", "client", "plan", "keys", "input", "result"};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    char ending[24];
    for (int json = 0; json < 2; json++) {
      snprintf(ending, sizeof ending, ".%s.%s", kinds[i], json ? "json" : "h5");
      size_t m = strlen(ending);
      if (n > m && strcmp(name + n - m, ending) == 0)
        return tw_fail(TW_ERR_USAGE, "'%s' is a file; give the NAME before the ending: %.*s", name, (int)(n - m), name);
    }
  }
  return TW_OK;
}

// ---- places

bool tw_path_exists(const tw_path *path) {
  struct stat info;
  return lstat(path->text, &info) == 0;
}

// Old files that a killed command has left aside are the only ones of their kind until somebody has decided.
static tw_status check_aside(const tw_new_files *p) {
  char back[1024] = "", away[1024] = "";
  bool complete = true, left = false;
  for (int i = 0; i < p->count; i++) {
    size_t used = strlen(back), dropped = strlen(away);
    complete = complete && tw_path_exists(&p->path[i]);
    if (!tw_path_exists(&p->aside[i])) continue;
    left = true;
    snprintf(back + used, sizeof back - used, "%smv %s %s", used ? " && " : "", p->aside[i].text, p->path[i].text);
    snprintf(away + dropped, sizeof away - dropped, " %s", p->aside[i].text);
  }
  if (!left) return TW_OK;
  if (complete)
    return tw_fail(
        TW_ERR_IO,
        "a command that replaced %s was killed after the new files were complete; if none is running, remove "
        "the old ones: rm%s",
        p->path[0].text, away);
  return tw_fail(TW_ERR_IO,
                 "a command that was to replace %s was killed; if none is running, put the old files back: %s",
                 p->path[0].text, back);
}

tw_status tw_new_files_check(tw_new_files *p, const char *name, const char *const *suffixes, int count, bool force) {
  *p = (tw_new_files){.count = count};
  for (int i = 0; i < count; i++) {
    p->path[i] = tw_path_of(name, suffixes[i]);
    snprintf(p->aside[i].text, sizeof p->aside[i].text, "%.*s.replaced", TW_NAME_LONGEST + 32, p->path[i].text);
  }
  TW_TRY(check_aside(p));
  for (int i = 0; i < count; i++) {
    const char *path = p->path[i].text;
    if (!tw_path_exists(&p->path[i])) {
      TW_TRY(tw_file_check_new(path));
    } else if (!force) {
      return tw_fail(TW_ERR_IO, "%s: exists already; choose another NAME, remove it, or replace it with --force", path);
    }
  }
  return TW_OK;
}

// Places between begin and end.
enum { OPEN_AT_ONCE = 2 };
static tw_new_files *volatile open_places[OPEN_AT_ONCE];

static void note(tw_new_files *from, tw_new_files *to) {
  for (int i = 0; i < OPEN_AT_ONCE; i++)
    if (open_places[i] == from) {
      open_places[i] = to;
      return;
    }
}

void tw_new_files_undo(void) {
  tw_unfinished_remove();
  for (int i = 0; i < OPEN_AT_ONCE; i++) {
    const tw_new_files *p = open_places[i];
    for (int j = 0; p && j < p->count; j++)
      if (p->moved[j]) rename(p->aside[j].text, p->path[j].text);
  }
}

static tw_status put_aside(tw_new_files *p) {
  for (int i = 0; i < p->count; i++) {
    if (!tw_path_exists(&p->path[i])) continue;
    if (rename(p->path[i].text, p->aside[i].text) != 0)
      return tw_fail(TW_ERR_IO, "%s: cannot be put aside as %s: %s", p->path[i].text, p->aside[i].text,
                     strerror(errno));
    p->moved[i] = true;
  }
  return TW_OK;
}

tw_status tw_new_files_begin(tw_new_files *p) {
  tw_interrupts_hold();
  tw_status status = put_aside(p);
  note(NULL, p);
  tw_interrupts_release();
  return status;
}

tw_status tw_new_files_end(tw_new_files *p, tw_status status) {
  tw_interrupts_hold();
  for (int i = 0; i < p->count; i++) {
    if (status == TW_OK) {
      if (p->moved[i]) unlink(p->aside[i].text);
    } else if (p->moved[i]) {
      rename(p->aside[i].text, p->path[i].text);
    } else if (p->written[i]) {
      unlink(p->path[i].text);
    }
  }
  tw_unfinished_keep_held();
  note(p, NULL);
  tw_interrupts_release();
  return status;
}

tw_status tw_disk_free(const char *path, uint64_t *bytes) {
  char folder[PATH_MAX];
  TW_TRY(tw_folder_of(path, folder));
  struct statvfs fs;
  if (statvfs(folder, &fs) != 0) return tw_fail(TW_ERR_IO, "%s: %s", folder, strerror(errno));
  *bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
  return TW_OK;
}
