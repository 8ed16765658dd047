#include "io/key_parts.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"

static const char mark[] = ".more";
enum { DIGITS = 14 };

tw_path tw_key_part_new(const char *name) {
  tw_path path;
  char text[DIGITS + 1] = "";
  time_t now = time(NULL);
  struct tm utc;
  if (gmtime_r(&now, &utc)) strftime(text, sizeof text, "%Y%m%d%H%M%S", &utc);
  snprintf(path.text, sizeof path.text, "%.*s%s%s", TW_NAME_LONGEST, name, mark, text);
  return path;
}

// Bytes of NAME.moreTIME in a file's name NAME.moreTIME.SUFFIX, for a NAME of so many bytes; 0: it is none.
static size_t part_of(const char *file, const char *base, size_t bytes) {
  size_t at = bytes + sizeof mark - 1;
  if (strncmp(file, base, bytes) != 0 || strncmp(file + bytes, mark, sizeof mark - 1) != 0) return 0;
  size_t digits = strspn(file + at, "0123456789");
  return digits == DIGITS && file[at + digits] == '.' ? at + digits : 0;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const tw_path *)a)->text, ((const tw_path *)b)->text);
}

static tw_status add(tw_key_parts *p, const char *folder, const char *file, size_t bytes) {
  tw_path path;
  snprintf(path.text, sizeof path.text, "%s%.*s", folder, (int)bytes, file);
  for (int i = 0; i < p->count; i++)
    if (strcmp(p->names[i].text, path.text) == 0) return TW_OK;
  if (p->count == TW_MOST_KEY_PARTS)
    return tw_fail(TW_ERR_RANGE,
                   "%s: more than %d dealings for one name; destroy those that are used up, each by its own name "
                   "(`twain destroy NAME.moreTIME`)",
                   path.text, TW_MOST_KEY_PARTS);
  TW_TRY(tw_grow((void **)&p->names, &p->room, (size_t)p->count + 1, sizeof *p->names));
  p->names[p->count++] = path;
  return TW_OK;
}

static tw_status unreadable(const tw_path *folder, int error) {
  return tw_fail(TW_ERR_IO, "%s: cannot read: %s", *folder->text ? folder->text : ".", strerror(error));
}

tw_status tw_key_parts_find(const char *name, tw_key_parts *out) {
  const char *base = tw_behind_folder(name);
  tw_path folder = {""};
  *out = (tw_key_parts){.names = NULL};
  if (base != name) snprintf(folder.text, sizeof folder.text, "%.*s", (int)(base - name), name);
  DIR *all = opendir(*folder.text ? folder.text : ".");
  if (!all) return errno == ENOENT ? TW_OK : unreadable(&folder, errno);
  tw_status status = TW_OK;
  errno = 0;
  for (const struct dirent *one; status == TW_OK && (one = readdir(all)); errno = 0) {
    size_t bytes = part_of(one->d_name, base, strlen(base));
    if (bytes) status = add(out, folder.text, one->d_name, bytes);
  }
  if (status == TW_OK && errno) status = unreadable(&folder, errno);
  closedir(all);
  if (out->count) qsort(out->names, (size_t)out->count, sizeof *out->names, by_name);
  if (status != TW_OK) tw_key_parts_free(out);
  return status;
}

tw_status tw_key_parts_check_room(const char *name) {
  tw_key_parts parts;
  tw_status status = TW_OK;
  TW_TRY(tw_key_parts_find(name, &parts));
  if (parts.count == TW_MOST_KEY_PARTS)
    status = tw_fail(TW_ERR_RANGE,
                     "%s: has %d appended dealings, and no run takes more; destroy those that are used up, here and on "
                     "both parties (`twain destroy %s`), or deal under a NAME of its own (`twain deal NAME2 --model "
                     "NAME`)",
                     name, parts.count, parts.names[0].text);
  tw_key_parts_free(&parts);
  return status;
}

void tw_key_parts_free(tw_key_parts *p) {
  tw_free(p->names);
  *p = (tw_key_parts){.names = NULL};
}
