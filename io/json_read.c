#include "io/json_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file.h"

tw_status tw_lfs_check(const char *path, const void *data, size_t bytes) {
  static const char *const starts[] = {"version https://git-lfs.github.com/spec/",
                                       "version https://hawser.github.com/"};
  for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
    if (bytes >= strlen(starts[i]) && memcmp(data, starts[i], strlen(starts[i])) == 0)
      return tw_fail(TW_ERR_FORMAT,
                     "%s: a git-lfs pointer, not the file itself: run `git lfs pull` in its folder, or download the "
                     "file",
                     path);
  return TW_OK;
}

static tw_status read_open(int fd, const char *path, char **text, size_t *bytes) {
  enum { LARGEST = 1 << 30 };  // of a vocabulary with its merges some 20 MB are known
  struct stat info;
  if (fstat(fd, &info) != 0) return tw_fail(TW_ERR_IO, "%s: %s", path, strerror(errno));
  if (!S_ISREG(info.st_mode)) return tw_fail(TW_ERR_FORMAT, "%s: not a regular file", path);
  if (info.st_size > LARGEST) return tw_fail(TW_ERR_FORMAT, "%s: larger than any file of its kind", path);
  *bytes = (size_t)info.st_size;
  *text = malloc(*bytes + 1);
  if (!*text) return tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
  (*text)[*bytes] = '\0';
  TW_TRY(tw_read_at(fd, path, "its text", *text, *bytes, 0));
  return tw_lfs_check(path, *text, *bytes);
}

tw_status tw_file_read_whole(const char *path, bool needed, char **text, size_t *bytes) {
  struct stat info;
  *text = NULL;
  *bytes = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe is to be refused, not waited for
  if (fd < 0) {
    int problem = errno;
    if (problem == ENOENT && lstat(path, &info) == 0)
      return tw_fail(TW_ERR_IO,
                     "%s: a link to a file that is not there; download it, or copy the folder with its files", path);
    if (problem == ENOENT && !needed) return TW_OK;
    return tw_fail(TW_ERR_IO, "%s: %s; give the folder of a Hugging Face model", path, strerror(problem));
  }
  tw_status status = read_open(fd, path, text, bytes);
  close(fd);
  if (status == TW_OK) return TW_OK;
  free(*text);
  *text = NULL;
  return status;
}

// The whole number from `at` on, `length` characters: where it fits no 64 bits it becomes a real number of the same
// length, 16 digits of it or more, and 1e308 when it is beyond that too.
static void make_real(char *at, size_t length) {
  size_t sign = *at == '-', digits = length - sign;
  char saved = at[length];
  at[length] = '\0';
  errno = 0;
  (void)!strtoll(at, NULL, 10);
  bool overflows = errno == ERANGE;
  at[length] = saved;
  if (!overflows || at[sign] == '0') return;  // a leading 0 is for the parser to refuse
  if (digits > 308) {
    memset(at + sign, ' ', digits);
    memcpy(at + sign, "1e308", 5);
  } else {
    memcpy(at + length - 4, "e004", 4);
  }
}

static void widen_integers(char *text, size_t bytes) {
  bool quoted = false;
  for (size_t i = 0; i < bytes; i++) {
    if (text[i] == '"') quoted = !quoted;
    if (quoted) {
      i += text[i] == '\\';
      continue;
    }
    if (text[i] != '-' && (text[i] < '0' || text[i] > '9')) continue;
    size_t length = 1 + strspn(text + i + 1, "0123456789"), all = strspn(text + i, "+-.eE0123456789");
    if (length == all) make_real(text + i, length);
    i += all - 1;
  }
}

tw_status tw_json_parse(const char *path, char *text, size_t bytes, json_t **out) {
  json_error_t error;
  *out = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
  if (!*out && json_error_code(&error) == json_error_numeric_overflow) {
    widen_integers(text, bytes);
    *out = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
  }
  if (*out) return TW_OK;
  return tw_fail(TW_ERR_FORMAT, "%s: line %d: %s", path, error.line, error.text);
}

tw_status tw_json_read(const char *path, bool needed, json_t **out) {
  char *text;
  size_t bytes;
  *out = NULL;
  TW_TRY(tw_file_read_whole(path, needed, &text, &bytes));
  if (!text) return TW_OK;
  tw_status status = tw_json_parse(path, text, bytes, out);
  free(text);
  return status;
}
