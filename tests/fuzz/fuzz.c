#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <ftw.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static const char *seeds;

// libhdf5 forgets a few hundred bytes when it meets a damaged file; what twain forgets has none of its frames.
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libhdf5"; }

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *place) {
  (void)info, (void)type, (void)place;
  return remove(path);
}

static void clean_up(void) { nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS); }

void fuzz_must(int condition, const char *what) {
  if (condition) return;
  fprintf(stderr, "fuzz: %s\n", what);
  abort();
}

const char *fuzz_folder(void) { return folder; }

const char *fuzz_path(const char *name) {
  static char paths[8][256];
  static unsigned next;
  char *path = paths[next++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

static void write_at(const char *path, const void *data, size_t bytes) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  fuzz_must(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes && close(fd) == 0, path);
}

void fuzz_write(const char *name, const void *data, size_t bytes) { write_at(fuzz_path(name), data, bytes); }

void fuzz_remove(const char *name) { unlink(fuzz_path(name)); }

uint8_t *fuzz_read(const char *path, size_t *bytes) {
  struct stat info;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  fuzz_must(fd >= 0 && fstat(fd, &info) == 0, path);
  uint8_t *data = malloc((size_t)info.st_size + 1);
  fuzz_must(data && read(fd, data, (size_t)info.st_size) == info.st_size, path);
  close(fd);
  *bytes = (size_t)info.st_size;
  return data;
}

void fuzz_seed(const char *name, const void *data, size_t bytes) {
  char path[4200];
  snprintf(path, sizeof path, "%s/%s", seeds, name);
  write_at(path, data, bytes);
}

void fuzz_seed_file(const char *name, const char *path) {
  size_t bytes;
  uint8_t *data = fuzz_read(path, &bytes);
  fuzz_seed(name, data, bytes);
  free(data);
}

uint8_t fuzz_take(fuzz_bytes *b) {
  if (b->left == 0) return 0;
  b->left--;
  return *b->at++;
}

int64_t fuzz_take_number(fuzz_bytes *b) {
  uint8_t kind = fuzz_take(b), value = fuzz_take(b);
  if (kind < 96) return value;
  if (kind < 128) return -(int64_t)value;
  if (kind < 192) return (int64_t)((UINT64_C(1) << value % 64) + kind % 3 - 1);
  uint64_t any = value;
  for (int i = 0; i < 7; i++) any = any << 8 | fuzz_take(b);
  return (int64_t)any;
}

const uint8_t *fuzz_take_part(fuzz_bytes *b, size_t most, size_t *bytes) {
  const uint8_t *from = b->at;
  size_t n = 0;
  while (n < b->left && n < most && from[n]) n++;
  *bytes = n;
  b->at += n;
  b->left -= n;
  if (b->left > 0 && *b->at == 0) fuzz_take(b);
  return from;
}

void fuzz_take_files(fuzz_bytes *b, const char *const *names, int count) {
  for (int i = 0; i < count; i++) {
    size_t n;
    const uint8_t *part = fuzz_take_part(b, SIZE_MAX, &n);
    if (n)
      fuzz_write(names[i], part, n);
    else
      fuzz_remove(names[i]);
  }
}

// The same "random" samples in every process, so that an input means the same everywhere.
static const char *name_of_source(void) { return "fixed"; }
static void fixed_bytes(void *const out, const size_t bytes) {
  static const uint8_t seed[randombytes_SEEDBYTES] = "twain fuzz";
  static uint64_t calls;
  uint8_t own[randombytes_SEEDBYTES];
  memcpy(own, seed, sizeof own);
  memcpy(own + 16, &calls, sizeof calls);
  calls++;
  randombytes_buf_deterministic(out, bytes, own);
}
static uint32_t fixed_number(void) {
  uint32_t number;
  fixed_bytes(&number, sizeof number);
  return number;
}
static struct randombytes_implementation fixed_source = {
    .implementation_name = name_of_source, .random = fixed_number, .buf = fixed_bytes};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv) {
  struct stat info;
  fuzz_must(randombytes_set_implementation(&fixed_source) == 0 && sodium_init() >= 0, "libsodium");
  snprintf(folder, sizeof folder, "%s/twain-fuzz-XXXXXX", stat("/dev/shm", &info) == 0 ? "/dev/shm" : "/tmp");
  fuzz_must(mkdtemp(folder) != NULL, folder);
  atexit(clean_up);
  for (int i = 1; i < *argc; i++)
    if (strncmp((*argv)[i], "--seeds=", 8) == 0) seeds = (*argv)[i] + 8;
  fuzz_begin();
  if (!seeds) return 0;
  fuzz_seeds();
  exit(0);
}
