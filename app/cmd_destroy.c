#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/show/print.h"
#include "base/memory.h"
#include "io/audit.h"
#include "io/key_parts.h"
#include "io/new_files.h"
#include "io/seal_files.h"
#include "io/wipe.h"
#include "jobs/plan/lengths.h"

typedef struct {
  bool all;
} settings;

static const tw_option options[] = {
    {.name = "all",
     .letter = 'a',
     .field = offsetof(settings, all),
     .help = "shares of model, input and result, the dealer's seeds, and what is in clear, too; only the plan and "
             "NAME.model.json, which are public, stay"},
};

// Of a NAME. Sealed forms, and what a killed command left half written or put aside, go with each.
static const struct {
  const char *suffix;
  bool always;  // without --all
} files[] = {{"keys.p0.h5", true},          {"keys.p1.h5", true},   {"cache.p0.h5", true},   {"cache.p1.h5", true},
             {"model.h5", false},           {"model.p0.h5", false}, {"model.p1.h5", false},  {"model.dealer.h5", false},
             {"client.h5", false},          {"prefix.json", false}, {"input.h5", false},     {"input.p0.h5", false},
             {"input.p1.h5", false},        {"result.h5", false},   {"result.p0.h5", false}, {"result.p1.h5", false},
             {"result.untrusted.h5", false}};
static const char *const forms[] = {"", ".partial", ".replaced"};
enum { FILES = sizeof files / sizeof *files, FORMS = sizeof forms / sizeof *forms };

typedef enum { PLAIN, LINK, FOLDER } form_of;
typedef struct {
  tw_path path;
  uint64_t bytes;
  tw_id key;  // of a key file; "": none, or not readable
  form_of form;
} target;

typedef struct {
  target *list;
  size_t room;
  int count;
} targets;

static tw_status add(targets *t, const tw_path *path, const struct stat *info, bool may_be_keys) {
  tw_seal_about about;
  TW_TRY(tw_grow((void **)&t->list, &t->room, (size_t)t->count + 1, sizeof *t->list));
  target *found = &t->list[t->count++];
  *found = (target){.path = *path, .bytes = S_ISDIR(info->st_mode) ? 0 : (uint64_t)info->st_size};
  found->form = S_ISLNK(info->st_mode) ? LINK : S_ISDIR(info->st_mode) ? FOLDER : PLAIN;
  if (may_be_keys && found->form == PLAIN && tw_plain_about(path->text, &about) == TW_OK && tw_is_keys(&about))
    found->key = about.id;
  return TW_OK;
}

static tw_status look(targets *t, const char *name, const char *suffix, bool sealed, const char *form) {
  struct stat info;
  char ending[64];
  snprintf(ending, sizeof ending, "%s%s%s", suffix, sealed ? TW_SEALED_ENDING : "", form);
  tw_path path = tw_path_of(name, ending);
  return lstat(path.text, &info) == 0 ? add(t, &path, &info, !sealed && !*form) : TW_OK;
}

// A folder with what batches of a run have finished: its files, then itself.
static tw_status look_into(targets *t, const char *name, const char *suffix) {
  struct stat info;
  tw_path folder = tw_path_of(name, suffix), path;
  DIR *list = lstat(folder.text, &info) == 0 && S_ISDIR(info.st_mode) ? opendir(folder.text) : NULL;
  if (!list) return TW_OK;
  tw_status status = TW_OK;
  for (const struct dirent *e = readdir(list); e && status == TW_OK; e = readdir(list)) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    struct stat inside;
    int length = snprintf(path.text, sizeof path.text, "%s/%s", folder.text, e->d_name);
    if (length >= (int)sizeof path.text)
      status = tw_fail(TW_ERR_IO, "%s/%s: too long a name", folder.text, e->d_name);
    else if (lstat(path.text, &inside) == 0)
      status = add(t, &path, &inside, false);
  }
  closedir(list);
  return status == TW_OK ? add(t, &folder, &info, false) : status;
}

static tw_status look_at_name(targets *t, const char *name, bool all) {
  for (int i = 0; i < FILES; i++)
    for (int sealed = 0; sealed < 2; sealed++)
      for (int form = 0; form < FORMS; form++)
        if (all || files[i].always || sealed) TW_TRY(look(t, name, files[i].suffix, sealed, forms[form]));
  if (all) TW_TRY(look_into(t, name, "parts.p0"));
  return all ? look_into(t, name, "parts.p1") : TW_OK;
}

// With keys that were appended.
static tw_status look_at_all_keys(targets *t, const char *name, bool all) {
  tw_key_parts parts;
  TW_TRY(look_at_name(t, name, all));
  TW_TRY(tw_key_parts_find(name, &parts));
  tw_status status = TW_OK;
  for (int i = 0; i < parts.count && status == TW_OK; i++) status = look_at_name(t, parts.names[i].text, all);
  tw_key_parts_free(&parts);
  return status;
}

// What the lengths of a plan have is NAME's, too (jobs/plan/lengths.h).
static tw_status look_at_lengths(targets *t, const char *name, bool all) {
  bool *seen;
  TW_TRY(tw_alloc(sizeof *seen * (TW_MOST_TOKENS + 1), (void **)&seen));
  tw_status status = tw_lengths_beside(name, seen);
  for (int seq = 1; seq <= TW_MOST_TOKENS && status == TW_OK; seq++)
    if (seen[seq]) status = look_at_all_keys(t, tw_length_name(name, seq).text, all);
  tw_free(seen);
  return status;
}

static tw_status look_for_all(targets *t, const char *name, bool all) {
  TW_TRY(look_at_all_keys(t, name, all));
  TW_TRY(look_at_lengths(t, name, all));
  if (t->count) return TW_OK;
  return tw_fail(TW_ERR_IO, "%s: nothing to destroy: no keys, caches or sealed files of that name%s", name,
                 all ? ", and nothing else that is secret" : " (--all takes shares and results, too)");
}

// Before the first is gone: what goes, by number and key. Names of files stay out of the log.
static tw_status log_all(const targets *t) {
  json_t *keys = json_array();
  for (int i = 0; i < t->count; i++)
    if (t->list[i].key.hex[0]) json_array_append_new(keys, json_string(t->list[i].key.hex));
  return tw_audit("destroy", json_pack("{s:i, s:o}", "files", t->count, "key_ids", keys));
}

// A link is removed and what it points to stays: that has a NAME of its own, which others may use.
static tw_status destroy(const target *t) {
  if (t->form == PLAIN) return tw_file_wipe(t->path.text);
  if (t->form == FOLDER ? rmdir(t->path.text) == 0 : unlink(t->path.text) == 0) return TW_OK;
  return tw_fail(TW_ERR_IO, "%s: cannot remove: %s", t->path.text, strerror(errno));
}

// What a link points to, as text; "": nothing.
static void look_behind(const target *t, char text[PATH_MAX]) {
  *text = '\0';
  if (t->form != LINK || realpath(t->path.text, text)) return;
  int error = errno;
  *text = '\0';
  if (error != ENOENT) snprintf(text, PATH_MAX, "not known where: %s", strerror(error));
}

// Whoever asks for keys to be destroyed must not believe that they are.
static tw_status warn_of_file(const target *t, const char *behind) {
  if (!*behind) return TW_OK;
  tw_say("%s: was a link, and its file is NOT destroyed (%s); destroy that one's NAME, too", t->path.text, behind);
  return TW_ERR_IO;
}

static tw_status destroy_all(const targets *t, bool quiet) {
  tw_status first = TW_OK;
  tw_grid grid = {0};
  if (!quiet) {
    tw_grid_row(&grid, "file\tbytes\tdone");
    tw_grid_rule(&grid);
  }
  for (int i = 0; i < t->count; i++) {
    const target *one = &t->list[i];
    char behind[PATH_MAX];
    look_behind(one, behind);
    tw_status status = destroy(one);
    static const char *const done[] = {"overwritten, removed", "link removed; its file stays", "removed"};
    if (status != TW_OK) tw_say("%s", tw_error_message());
    if (!quiet)
      tw_grid_row(&grid, "%s\t%llu\t%s", one->path.text, (unsigned long long)one->bytes,
                  status == TW_OK ? done[one->form] : "FAILED");
    if (status == TW_OK) status = warn_of_file(one, behind);
    if (first == TW_OK) first = status;
  }
  if (!quiet) tw_grid_print(&grid);
  return first == TW_OK ? TW_OK : tw_fail(first, "not everything is destroyed");
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  const char *name = call->arguments[0];
  TW_TRY(tw_name_check(name));
  targets t = {.count = 0};
  tw_status status = look_for_all(&t, name, s->all);
  if (status == TW_OK) status = log_all(&t);
  if (status == TW_OK) status = destroy_all(&t, call->quiet);
  if (status == TW_OK && !call->quiet)
    puts("\nThe ledger stays, and refuses used slots in copies, of which this command knows nothing.");
  tw_free(t.list);
  return status;
}

const tw_command tw_command_destroy = {
    .name = "destroy",
    .arguments = "NAME",
    .summary = "overwrite and remove keys, caches and sealed files",
    .about =
        "For the end of a study, or keys that shall not be used: overwrites NAME.keys.pR.h5, keys that were appended "
        "(`deal --append`), NAME.cache.pR.h5 and all sealed files of NAME, and of its lengths, removes them, and says "
        "so. No run may be using them. The ledger stays as it is.\n"
        "What a disk keeps elsewhere, a flash drive's spare blocks, snapshots and backups, it cannot reach: an "
        "encrypted disk whose key is thrown away does that.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .least = 1,
    .most = 1,
    .run = run};
