// A folder for one suite, and what tests do to the files in it.
#ifndef TW_TEST_SCRATCH_H
#define TW_TEST_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Suite set-up and tear-down. The latter fails when an HDF5 object was left open.
int scratch_open(void);
int scratch_close(void);

const char *scratch_folder(void);
// Path of a file in it. Valid for the next 15 calls.
const char *in_folder(const char *name);
bool exists(const char *path);
// Neither the file nor a partial one.
bool no_trace(const char *path);

// Whether the last error's message contains `text`; prints the message when not.
bool message_has(const char *text);

// Place and size of a contiguous dataset in its file.
void place_of(const char *path, const char *dataset, uint64_t *offset, uint64_t *bytes);
void flip_bit(const char *path, uint64_t offset, int bit);
// Whole file; free with free().
uint8_t *slurp(const char *path, size_t *bytes);
void dump(const char *path, const uint8_t *data, size_t bytes);

// Exit status of `body` in a child process, -1 when it was killed.
int in_child(int (*body)(void *state), void *state);

#endif
