// Public JSON files: written whole or not at all, read with their format checked.
#ifndef TW_JSON_FILE_H
#define TW_JSON_FILE_H

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"

// Writes `text` to a new file (TW_ERR_IO when it exists).
tw_status tw_text_file_write(const char *path, const char *text, size_t bytes);

// Reads an object whose "format" is `format`, of this version (io/format.h; an earlier one for `twain upgrade`). maker:
// the command that writes such files. renew: what to do with one of an earlier version; NULL: have the maker write it
// anew. Free with json_decref.
tw_status tw_json_file_read(const char *path, const char *format, int version, const char *maker, const char *renew,
                            json_t **root);

#endif
