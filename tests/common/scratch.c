#define _GNU_SOURCE
#include "tests/common/scratch.h"

#include <CUnit/CUnit.h>
#include <fcntl.h>
#include <hdf5.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/status.h"

static char folder[64];

// HDF5 itself loses memory when it meets damaged metadata.
// the sanitizer looks for it in the program, whose symbols are hidden
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libhdf5\n"; }

int scratch_open(void) {
  strcpy(folder, P_tmpdir "/twain-test-XXXXXX");
  return sodium_init() < 0 || !mkdtemp(folder);
}

int scratch_close(void) {
  char command[100];
  ssize_t left = H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL);
  if (left != 0) printf("\n  %zd files, datasets or attributes were left open\n", left);
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command) != 0 || left != 0;
}

const char *scratch_folder(void) { return folder; }

const char *in_folder(const char *name) {
  static char paths[16][200];
  static int turn;
  turn = (turn + 1) % 16;
  snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
  return paths[turn];
}

bool exists(const char *path) { return access(path, F_OK) == 0; }

bool no_trace(const char *path) {
  char partial[320];
  snprintf(partial, sizeof partial, "%s.partial", path);
  return !exists(path) && !exists(partial);
}

bool message_has(const char *text) {
  if (strstr(tw_error_message(), text)) return true;
  printf("\n  message lacks \"%s\": %s\n", text, tw_error_message());
  return false;
}

void place_of(const char *path, const char *dataset, uint64_t *offset, uint64_t *bytes) {
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), set = H5Dopen2(file, dataset, H5P_DEFAULT);
  CU_ASSERT_TRUE_FATAL(set >= 0);
  *offset = H5Dget_offset(set);
  *bytes = H5Dget_storage_size(set);
  H5Dclose(set);
  H5Fclose(file);
}

void flip_bit(const char *path, uint64_t offset, int bit) {
  int fd = open(path, O_RDWR);
  uint8_t byte;
  CU_ASSERT_EQUAL_FATAL(pread(fd, &byte, 1, (off_t)offset), 1);
  byte ^= (uint8_t)(1u << bit);
  CU_ASSERT_EQUAL_FATAL(pwrite(fd, &byte, 1, (off_t)offset), 1);
  close(fd);
}

uint8_t *slurp(const char *path, size_t *bytes) {
  struct stat st;
  CU_ASSERT_EQUAL_FATAL(stat(path, &st), 0);
  *bytes = (size_t)st.st_size;
  uint8_t *data = malloc(*bytes);
  int fd = open(path, O_RDONLY);
  CU_ASSERT_EQUAL_FATAL(read(fd, data, *bytes), (ssize_t)*bytes);
  close(fd);
  return data;
}

void dump(const char *path, const uint8_t *data, size_t bytes) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  CU_ASSERT_EQUAL_FATAL(write(fd, data, bytes), (ssize_t)bytes);
  close(fd);
}

int in_child(int (*body)(void *state), void *state) {
  int status = 0;
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    int rc = body(state);
    fflush(stdout);
    _exit(rc);
  }
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}
