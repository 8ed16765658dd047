// The ledger's folder: made once, recognised by ledger.json, closed to everyone else.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "io/file.h"
#include "io/format.h"
#include "io/host.h"
#include "io/ledger_paths.h"

#define FORMAT "twain-ledger"

static const char make_one[] = "a party that has none yet makes one, once: `twain ledger --new DIR`";

tw_status tw_ledger_default(char *dir, size_t size) {
  const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
  int used;
  if (state && state[0] == '/')
    used = snprintf(dir, size, "%s/twain/ledger", state);
  else if (home && home[0] == '/')
    used = snprintf(dir, size, "%s/.local/state/twain/ledger", home);
  else
    return tw_fail(TW_ERR_USAGE, "no folder for the ledger: neither XDG_STATE_HOME nor HOME is set; name the ledger");
  if (used < 0 || (size_t)used >= size) return tw_fail(TW_ERR_USAGE, "the ledger's path is too long; name another one");
  return TW_OK;
}

static tw_status set_dir(const char *dir, tw_ledger *out) {
  *out = (tw_ledger){.dir = ""};
  if (dir[0] == '\0' || strlen(dir) >= sizeof out->dir)
    return tw_fail(TW_ERR_USAGE, "ledger: the path \"%.200s\" is empty or too long; name another folder", dir);
  snprintf(out->dir, sizeof out->dir, "%s", dir);
  for (size_t n = strlen(out->dir); n > 1 && out->dir[n - 1] == '/'; n--) out->dir[n - 1] = '\0';
  return TW_OK;
}

static tw_ledger_path inside(const tw_ledger *ledger, const char *name) {
  tw_ledger_path p;
  snprintf(p.text, sizeof p.text, "%s/%s", ledger->dir, name);
  return p;
}

tw_status tw_ledger_check_own(const char *path, bool folder, bool follow, bool *there) {
  struct stat info;
  *there = false;
  if ((follow ? stat : lstat)(path, &info) != 0) {
    if (errno == ENOENT) return TW_OK;
    return tw_fail(TW_ERR_IO, "%s: cannot look at the ledger: %s; repair it or its permissions", path, strerror(errno));
  }
  *there = true;
  if (folder ? !S_ISDIR(info.st_mode) : !S_ISREG(info.st_mode))
    return tw_fail(TW_ERR_IO, "%s: is not a %s: no ledger of twain; %s", path, folder ? "folder" : "regular file",
                   make_one);
  if (info.st_uid != geteuid())
    return tw_fail(
        TW_ERR_IO,
        "%s: the ledger belongs to user %u, not to you (%u), and who owns it can undo marks; use a ledger of "
        "your own, or run as its owner",
        path, (unsigned)info.st_uid, (unsigned)geteuid());
  if ((info.st_mode & 022) != 0)
    return tw_fail(TW_ERR_IO,
                   "%s: the ledger's mode %04o lets group or world write, and so undo marks; if nobody did, run `chmod "
                   "go-w %s`",
                   path, (unsigned)(info.st_mode & 07777), path);
  return TW_OK;
}

// Is there any of DIR/p0, DIR/p1? *empty: there is nothing at all, but for the partial file of a ledger.json.
static tw_status look_inside(const tw_ledger *ledger, bool *marks, bool *empty) {
  *marks = false;
  *empty = true;
  DIR *stream = opendir(ledger->dir);
  if (!stream) return tw_fail(TW_ERR_IO, "%s: cannot read the folder: %s", ledger->dir, strerror(errno));
  errno = 0;
  for (struct dirent *entry; (entry = readdir(stream));) {
    const char *name = entry->d_name;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "ledger.json.partial") == 0) continue;
    *empty = false;
    if (strcmp(name, "p0") == 0 || strcmp(name, "p1") == 0) *marks = true;
  }
  int error = errno;
  closedir(stream);
  return error ? tw_fail(TW_ERR_IO, "%s: cannot read the folder: %s", ledger->dir, strerror(error)) : TW_OK;
}

// ---- making

// The folder and all above it; a new one is made durable in its parent at once.
static tw_status make_folders(const char *dir) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s", dir);
  for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
    if (slash) *slash = '\0';
    if (mkdir(path, 0700) == 0)
      TW_TRY(tw_sync_folder_of(path));
    else if (errno != EEXIST)
      return tw_fail(TW_ERR_IO, "%s: cannot make the ledger's folder: %s; make the ledger elsewhere", path,
                     strerror(errno));
    if (!slash) return TW_OK;
    *slash = '/';
  }
}

// replace: ledger.json is there, and stays until the new one takes its place.
static tw_status write_json(const tw_ledger *ledger, bool replace) {
  tw_output out;
  json_t *json = json_pack("{s:s, s:i, s:s, s:s, s:s}", "format", FORMAT, "version", TW_FORMAT_VERSION, "software",
                           "twain " TWAIN_VERSION, "created", ledger->created, "id", ledger->id.hex);
  char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
  json_decref(json);
  if (!text) return tw_fail(TW_ERR_MEMORY, "out of memory for ledger.json");
  tw_ledger_path path = inside(ledger, "ledger.json");
  tw_status status = replace ? tw_output_claim(&out, path.text, strlen(text) + 1, true)
                             : tw_output_begin(&out, path.text, strlen(text) + 1);
  if (status == TW_OK) {
    status = tw_output_write(&out, "the ledger's id", text, strlen(text), 0);
    if (status == TW_OK) status = tw_output_write(&out, "the ledger's id", "\n", 1, strlen(text));
    if (status == TW_OK)
      status = tw_output_commit(&out);
    else
      tw_output_abort(&out);
  }
  free(text);
  return status;
}

static tw_status write_new(tw_ledger *ledger) {
  tw_id_random(&ledger->id);
  tw_host_time(ledger->created, sizeof ledger->created);
  return write_json(ledger, false);
}

tw_status tw_ledger_create(const char *dir, tw_ledger *out) {
  bool there, marks, empty;
  TW_TRY(set_dir(dir, out));
  TW_TRY(tw_ledger_check_own(out->dir, true, true, &there));
  if (!there) {
    TW_TRY(make_folders(out->dir));
    TW_TRY(tw_ledger_check_own(out->dir, true, true, &there));
  }
  TW_TRY(look_inside(out, &marks, &empty));
  if (access(inside(out, "ledger.json").text, F_OK) == 0)
    return tw_fail(TW_ERR_IO, "%s: is a ledger already: use it as it is; a ledger is never made anew", out->dir);
  if (marks)
    return tw_fail(TW_ERR_IO,
                   "%s: holds marks of used slots; `twain ledger --adopt %s` makes it a ledger and keeps them all",
                   out->dir, out->dir);
  if (!empty) return tw_fail(TW_ERR_IO, "%s: is not empty; a ledger has a folder of its own", out->dir);
  return write_new(out);
}

tw_status tw_ledger_adopt(const char *dir, tw_ledger *out) {
  bool there, marks, empty;
  TW_TRY(set_dir(dir, out));
  TW_TRY(tw_ledger_check_own(out->dir, true, true, &there));
  if (!there) return tw_fail(TW_ERR_IO, "%s: no such folder; %s", out->dir, make_one);
  if (access(inside(out, "ledger.json").text, F_OK) == 0)
    return tw_fail(TW_ERR_IO, "%s: is a ledger already: use it as it is", out->dir);
  TW_TRY(look_inside(out, &marks, &empty));
  if (!marks) return tw_fail(TW_ERR_IO, "%s: holds no marks of used slots (no p0, no p1); %s", out->dir, make_one);
  for (int party = 0; party < 2; party++)
    TW_TRY(tw_ledger_check_own(inside(out, party ? "p1" : "p0").text, true, false, &there));
  return write_new(out);
}

// ---- opening

static tw_status not_ours(const char *path, const char *what) {
  return tw_fail(TW_ERR_FORMAT, "%s: %s: changed or damaged; restore this file (never the marks) from a copy", path,
                 what);
}

static tw_status parse(const char *path, const json_t *json, int wanted, tw_ledger *out) {
  const char *format = json_string_value(json_object_get(json, "format"));
  const char *id = json_string_value(json_object_get(json, "id"));
  const char *created = json_string_value(json_object_get(json, "created"));
  json_int_t version = json_integer_value(json_object_get(json, "version"));
  if (!format || strcmp(format, FORMAT) != 0) return not_ours(path, "not a file of format " FORMAT);
  if (version != wanted) {
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)version);
    return tw_format_other_version(path, FORMAT, number, TW_UPGRADE ", and keeps all marks");
  }
  if (!id || !tw_is_hex(id, 32)) return not_ours(path, "no id of 32 digits");
  memcpy(out->id.hex, id, sizeof out->id.hex);
  snprintf(out->created, sizeof out->created, "%s", created ? created : "unknown");
  return TW_OK;
}

static tw_status read_json(tw_ledger *ledger, int version) {
  tw_ledger_path path = inside(ledger, "ledger.json");
  bool there, marks = false, empty;
  TW_TRY(tw_ledger_check_own(path.text, false, false, &there));
  if (!there) TW_TRY(look_inside(ledger, &marks, &empty));
  if (!there && marks)
    return tw_fail(TW_ERR_IO,
                   "%s: holds marks of used slots but no ledger.json: if it is the ledger of an earlier twain, `twain "
                   "ledger --adopt %s` keeps them all; if ledger.json was lost, restore it",
                   ledger->dir, ledger->dir);
  if (!there)
    return tw_fail(TW_ERR_IO, "%s: is no ledger (no ledger.json); is the name right? %s", ledger->dir, make_one);
  json_error_t error;
  json_t *json = json_load_file(path.text, JSON_REJECT_DUPLICATES, &error);
  if (!json && access(path.text, R_OK) != 0)
    return tw_fail(TW_ERR_IO, "%s: cannot read: %s", path.text, strerror(errno));
  if (!json) return not_ours(path.text, error.text);
  tw_status status = parse(path.text, json, version, ledger);
  json_decref(json);
  return status;
}

static tw_status open_ledger(const char *dir, int version, tw_ledger *out) {
  bool there;
  TW_TRY(set_dir(dir, out));
  TW_TRY(tw_ledger_check_own(out->dir, true, true, &there));
  if (!there)
    return tw_fail(TW_ERR_IO,
                   "%s: no such ledger: a ledger that is not there is not an empty one; is the name right, the disk "
                   "mounted? %s",
                   out->dir, make_one);
  TW_TRY(read_json(out, version));
  for (int party = 0; party < 2; party++)
    TW_TRY(tw_ledger_check_own(inside(out, party ? "p1" : "p0").text, true, false, &there));
  return TW_OK;
}

tw_status tw_ledger_open(const char *dir, tw_ledger *out) { return open_ledger(dir, TW_FORMAT_VERSION, out); }

tw_status tw_ledger_upgrade(const char *dir, int version, tw_ledger *out) {
  TW_TRY(open_ledger(dir, version, out));
  return write_json(out, true);
}

tw_status tw_ledger_find(const char *named, tw_ledger *ledger) {
  char dir[sizeof ledger->dir];
  if (named) return tw_ledger_open(named, ledger);
  TW_TRY(tw_ledger_default(dir, sizeof dir));
  tw_status status = tw_ledger_open(dir, ledger);
  return status == TW_OK ? TW_OK : tw_fail_in(status, "the default ledger, as no --ledger DIR names yours");
}

tw_status tw_ledger_check_room(const tw_ledger *ledger, int marks) {
  enum { BESIDE = 4 };  // folders that grow, the lock's note, the other party's ledger
  struct statvfs fs;
  if (access(ledger->dir, W_OK | X_OK) != 0)
    return tw_fail(TW_ERR_IO, "%s: slots cannot be marked in the ledger: %s", ledger->dir, strerror(errno));
  // some file systems do not count blocks, or files
  if (statvfs(ledger->dir, &fs) != 0 || fs.f_blocks == 0) return TW_OK;
  uint64_t wanted = (uint64_t)marks + BESIDE;
  if (fs.f_bavail >= wanted && (fs.f_files == 0 || fs.f_favail >= wanted)) return TW_OK;
  return tw_fail(
      TW_ERR_IO,
      "%s: no room in the ledger for the marks of %d slots: %llu blocks of %llu bytes and %llu files are free; "
      "make room there",
      ledger->dir, marks, (unsigned long long)fs.f_bavail, (unsigned long long)fs.f_frsize,
      (unsigned long long)fs.f_favail);
}

const char *tw_ledger_forgets(const tw_ledger *ledger) {
  struct statfs fs;
  if (statfs(ledger->dir, &fs) != 0) return NULL;
  switch ((unsigned long)fs.f_type & 0xffffffffu) {
    case TMPFS_MAGIC:
      return "tmpfs";
    case RAMFS_MAGIC:
      return "ramfs";
    case OVERLAYFS_SUPER_MAGIC:
      return "overlay";
    default:
      return NULL;
  }
}
