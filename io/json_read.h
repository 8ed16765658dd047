// Small files of a model folder, made by other programs: read whole, JSON parsed as its own libraries do.
#ifndef TW_JSON_READ_H
#define TW_JSON_READ_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

// TW_ERR_FORMAT when `data`, the beginning of file `path`, is a git-lfs pointer: the few lines that stand for a large
// file in a repository cloned without git-lfs. Every reader of a folder's files asks this first.
tw_status tw_lfs_check(const char *path, const void *data, size_t bytes);

// The whole of a regular file (else TW_ERR_FORMAT), with a zero byte behind it; free(*text). An absent file is
// TW_ERR_IO if `needed`, else *text = NULL (but a link whose target is absent is always an error).
tw_status tw_file_read_whole(const char *path, bool needed, char **text, size_t *bytes);

// JSON text of `path`. Integers beyond 64 bits become reals, as Python has no limit there; all others stay exact. Names
// that come twice in one object are refused. TW_ERR_FORMAT names the line. `text` may be changed. json_decref(*out).
tw_status tw_json_parse(const char *path, char *text, size_t bytes, json_t **out);

// Both together; *out = NULL for an absent file that is not needed.
tw_status tw_json_read(const char *path, bool needed, json_t **out);

#endif
