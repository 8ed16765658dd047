#define _GNU_SOURCE
#include "app/files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "io/file.h"

tw_path tw_path_of(const char *name, const char *suffix) {
  tw_path p;
  snprintf(p.text, sizeof p.text, "%.*s.%s", TW_NAME_LONGEST, name, suffix);
  return p;
}

tw_status tw_name_check(const char *name) {
  size_t n = strlen(name);
  if (n == 0 || name[n - 1] == '/')
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

tw_status tw_places_check(tw_places *p, const char *name, const char *const *suffixes, int count, bool force) {
  *p = (tw_places){.count = count};
  for (int i = 0; i < count; i++) {
    p->path[i] = tw_path_of(name, suffixes[i]);
    const char *path = p->path[i].text;
    if (!tw_path_exists(&p->path[i])) {
      TW_TRY(tw_file_check_new(path));
    } else if (!force) {
      return tw_fail(TW_ERR_IO, "%s: exists already; choose another NAME, remove it, or replace it with --force", path);
    }
    snprintf(p->aside[i].text, sizeof p->aside[i].text, "%.*s.replaced", (int)sizeof p->aside[i].text - 16, path);
  }
  return TW_OK;
}

tw_status tw_places_begin(tw_places *p) {
  for (int i = 0; i < p->count; i++) {
    if (!tw_path_exists(&p->path[i])) continue;
    if (rename(p->path[i].text, p->aside[i].text) != 0)
      return tw_fail(TW_ERR_IO, "%s: cannot be put aside as %s: %s", p->path[i].text, p->aside[i].text,
                     strerror(errno));
    p->moved[i] = true;
  }
  return TW_OK;
}

tw_status tw_places_end(tw_places *p, tw_status status) {
  for (int i = 0; i < p->count; i++) {
    if (status == TW_OK) {
      if (p->moved[i]) unlink(p->aside[i].text);
    } else if (p->moved[i]) {
      rename(p->aside[i].text, p->path[i].text);
    } else if (p->written[i]) {
      unlink(p->path[i].text);
    }
  }
  return status;
}

tw_status tw_disk_free(const char *path, uint64_t *bytes) {
  char folder[4096];
  snprintf(folder, sizeof folder, "%s", path);
  char *slash = strrchr(folder, '/');
  if (!slash)
    strcpy(folder, ".");
  else
    slash[slash == folder] = '\0';
  struct statvfs fs;
  if (statvfs(folder, &fs) != 0) return tw_fail(TW_ERR_IO, "%s: %s", folder, strerror(errno));
  *bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
  return TW_OK;
}
