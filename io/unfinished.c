#define _GNU_SOURCE
#include "io/unfinished.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/interrupt.h"

enum { MOST = 40 };

// A changed path is whole at every moment: strings are made before, and dropped after, their pointer is there.
static struct {
  char *volatile path;
  volatile bool finished;
} files[MOST];

static char *volatile folder;

static void set(int i, const char *path, bool finished) {
  char *before = files[i].path;
  files[i].path = path ? strdup(path) : NULL;
  files[i].finished = finished;
  free(before);
}

static int find(const char *path) {
  for (int i = 0; i < MOST; i++)
    if (files[i].path && strcmp(files[i].path, path) == 0) return i;
  return -1;
}

void tw_unfinished_add(const char *path) {
  for (int i = 0; i < MOST; i++)
    if (!files[i].path || files[i].finished) {
      set(i, path, false);
      return;
    }
}

void tw_unfinished_rename(const char *path, const char *name) {
  int i = find(path);
  if (i >= 0) set(i, name, name != NULL);
}

void tw_unfinished_keep_held(void) {
  for (int i = 0; i < MOST; i++)
    if (files[i].path && files[i].finished) set(i, NULL, false);
}

void tw_unfinished_keep(void) {
  tw_interrupts_hold();
  tw_unfinished_keep_held();
  tw_interrupts_release();
}

void tw_unfinished_folder(const char *path) {
  char *before = folder;
  folder = path ? strdup(path) : NULL;
  free(before);
}

void tw_unfinished_remove(void) {
  for (int i = 0; i < MOST; i++)
    if (files[i].path) unlink(files[i].path);
  if (folder) rmdir(folder);
}
