#include "base/memory_left.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { PATH = 4096 };

int64_t tw_read_kilobytes(const char *path, const char *name) {
  char line[256];
  long long kilobytes = -1;
  FILE *file = fopen(path, "r");
  if (!file) return -1;
  while (kilobytes < 0 && fgets(line, sizeof line, file))
    if (strncmp(line, name, strlen(name)) == 0 && sscanf(line + strlen(name), ": %lld kB", &kilobytes) != 1)
      kilobytes = -1;
  fclose(file);
  return kilobytes < 0 ? -1 : 1024 * (int64_t)kilobytes;
}

int64_t tw_memory_held(void) { return tw_read_kilobytes("/proc/self/status", "VmRSS"); }

// ---- control groups

// A file that holds one number, or a word ("max"); -1: no number.
static int64_t read_number(const char *folder, const char *name) {
  char path[PATH + 64];
  long long value = -1;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "r");
  if (!file) return -1;
  if (fscanf(file, "%lld", &value) != 1) value = -1;
  fclose(file);
  return value;
}

// The number behind a word in a file of lines "WORD NUMBER"; 0: not there.
static int64_t read_entry(const char *folder, const char *name, const char *word) {
  char path[PATH + 64], line[256];
  long long value = 0;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "r");
  if (!file) return 0;
  for (size_t n = strlen(word); fgets(line, sizeof line, file);)
    if (strncmp(line, word, n) == 0 && line[n] == ' ' && sscanf(line + n, " %lld", &value) == 1) break;
  fclose(file);
  return value;
}

// How the two versions name the same things.
typedef struct {
  const char *mount, *limit, *taken, *cache;
} version;
static const version versions[] = {
    {"", "memory.max", "memory.current", "inactive_file"},
    {"/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"}};

// The narrowest counts.
static void take(tw_memory_left *left, int64_t bytes, const char *format, const char *what) {
  if (bytes < 0) bytes = 0;
  if (left->bytes >= 0 && bytes >= left->bytes) return;
  left->bytes = bytes;
  snprintf(left->what, sizeof left->what, format, what);
}

static void look_at_group(const version *v, const char *folder, const char *group, tw_memory_left *left) {
  int64_t limit = read_number(folder, v->limit), taken = read_number(folder, v->taken);
  if (limit < 0 || taken < 0) return;
  taken -= read_entry(folder, "memory.stat", v->cache);
  take(left, limit - taken, "control group %.100s (a batch system's --mem)", *group ? group : "/");
}

// They lie in one another. In a container the file may name a path of the host's, of which
// only the last part, or nothing, is there: what is not there is passed over.
static void look_at_groups(const version *v, const char *root, const char *group, tw_memory_left *left) {
  char folder[PATH], path[PATH / 2];
  snprintf(path, sizeof path, "%s", group);
  for (;;) {
    int n = snprintf(folder, sizeof folder, "%s/sys/fs/cgroup%s%s", root, v->mount, path);
    if (n > 0 && n < PATH) look_at_group(v, folder, path, left);
    char *slash = strrchr(path, '/');
    if (!slash) return;
    *slash = '\0';
  }
}

static bool has_memory(const char *controllers) {
  const char word[] = "memory";
  for (const char *at = controllers; (at = strstr(at, word)); at++)
    if ((at == controllers || at[-1] == ',') && (at[sizeof word - 1] == ',' || at[sizeof word - 1] == '\0'))
      return true;
  return false;
}

static void look_at_job(const char *root, tw_memory_left *left) {
  char path[PATH], line[PATH / 2];
  snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
  FILE *file = fopen(path, "r");
  if (!file) return;
  while (fgets(line, sizeof line, file)) {  // HIERARCHY:CONTROLLERS:PATH
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group) continue;
    *group++ = '\0';
    *controllers++ = '\0';
    bool second = strcmp(line, "0") == 0 && !*controllers;
    if (second || has_memory(controllers))
      look_at_groups(&versions[!second], root, strcmp(group, "/") ? group : "", left);
  }
  fclose(file);
}

tw_memory_left tw_memory_left_for_all(const char *root) {
  char path[PATH];
  tw_memory_left left = {.bytes = -1, .what = ""};
  snprintf(path, sizeof path, "%s/proc/meminfo", root);
  int64_t available = tw_read_kilobytes(path, "MemAvailable");
  if (available >= 0) take(&left, available, "%s", "the machine (MemAvailable)");
  look_at_job(root, &left);
  return left;
}

tw_memory_left tw_memory_left_for_one(void) {
  tw_memory_left left = {.bytes = -1, .what = ""};
  struct rlimit limit;
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return left;
  int64_t taken = tw_read_kilobytes("/proc/self/status", "VmSize");
  if (taken >= 0) take(&left, (int64_t)limit.rlim_cur - taken, "%s", "the limit on address space (ulimit -v)");
  return left;
}
