#define _GNU_SOURCE
#include "io/cache_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "io/wipe.h"

static tw_status closed(const char *path) {
  struct stat info;
  if (lstat(path, &info) != 0)
    return tw_fail(TW_ERR_IO, "--caches %s: cannot open the folder: %s", path, strerror(errno));
  if (!S_ISDIR(info.st_mode)) return tw_fail(TW_ERR_IO, "--caches %s: is no folder", path);
  if (info.st_uid != geteuid())
    return tw_fail(TW_ERR_IO, "--caches %s: belongs to user %u, not to you (%u); make a folder of your own", path,
                   (unsigned)info.st_uid, (unsigned)geteuid());
  if (info.st_mode & 077)
    return tw_fail(TW_ERR_IO, "--caches %s: others may look into it; run `chmod 700 %s`", path, path);
  return TW_OK;
}

tw_status tw_cache_folder_check(const char *folder) { return closed(folder); }

static tw_status put_together(const tw_cache_folder *f, const char *client, const char *file, tw_path *out) {
  int n = snprintf(out->text, sizeof out->text, "%s/%s%s%s", f->folder, client, *client ? "/" : "", file);
  if (n >= 0 && n < TW_NAME_LONGEST) return TW_OK;
  return tw_fail(TW_ERR_IO, "--caches %s: the path is too long", f->folder);
}

tw_status tw_cache_folder_name(const tw_cache_folder *f, const char *client, const tw_id *input, tw_path *out) {
  return put_together(f, client, input->hex, out);
}

tw_path tw_cache_folder_file(const tw_cache_folder *f, const tw_path *name) {
  return tw_path_of(name->text, f->party ? "cache.p1.h5" : "cache.p0.h5");
}

tw_status tw_cache_folder_make(const tw_cache_folder *f, const char *client) {
  tw_path path;
  if (!*client) return TW_OK;
  TW_TRY(put_together(f, client, "", &path));
  if (mkdir(path.text, 0700) != 0 && errno != EEXIST)
    return tw_fail(TW_ERR_IO, "%s: cannot make the folder: %s", path.text, strerror(errno));
  return closed(path.text);
}

// INPUT.cache.pR.h5, or with `partial` what is being written of one.
static bool is_cache(const tw_cache_folder *f, const char *file, bool partial) {
  enum { DIGITS = sizeof(tw_id) - 1 };
  char ending[32];
  snprintf(ending, sizeof ending, ".cache.p%d.h5%s", f->party, partial ? ".partial" : "");
  return strspn(file, "0123456789abcdef") == DIGITS && strcmp(file + DIGITS, ending) == 0;
}

// Calls each with every file's name in FOLDER/CLIENT, until one fails; no such folder: none.
static tw_status walk(const tw_cache_folder *f, const char *client,
                      tw_status (*each)(const tw_cache_folder *, const char *client, const char *file, void *state),
                      void *state) {
  tw_path path;
  TW_TRY(put_together(f, client, "", &path));
  DIR *dir = opendir(path.text);
  if (!dir && errno == ENOENT && *client) return TW_OK;
  if (!dir) return tw_fail(TW_ERR_IO, "%s: cannot read the folder: %s", path.text, strerror(errno));
  tw_status status = TW_OK;
  struct dirent *e;
  while (status == TW_OK && (e = readdir(dir))) status = each(f, client, e->d_name, state);
  closedir(dir);
  return status;
}

static tw_status count_one(const tw_cache_folder *f, const char *client, const char *file, void *count) {
  (void)client;
  *(int *)count += is_cache(f, file, false);
  return TW_OK;
}

tw_status tw_cache_folder_count(const tw_cache_folder *f, const char *client, int *count) {
  *count = 0;
  return walk(f, client, count_one, count);
}

static tw_status wipe_one(const tw_cache_folder *f, const char *client, const char *file, void *seconds) {
  struct stat info;
  tw_path path;
  if (file[0] == '.') return TW_OK;
  TW_TRY(put_together(f, client, file, &path));
  if (lstat(path.text, &info) != 0) return TW_OK;  // gone
  if (S_ISDIR(info.st_mode) && !*client) return walk(f, file, wipe_one, seconds);
  if (!S_ISREG(info.st_mode) || !(is_cache(f, file, false) || is_cache(f, file, true))) return TW_OK;
  return difftime(time(NULL), info.st_mtime) < *(double *)seconds ? TW_OK : tw_file_wipe(path.text);
}

tw_status tw_cache_folder_wipe_old(const tw_cache_folder *f, double seconds) { return walk(f, "", wipe_one, &seconds); }
