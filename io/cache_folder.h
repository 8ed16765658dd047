// The folder where a party that serves keeps caches of conversations (io/cache.h): FOLDER/INPUT.cache.pR.h5, or
// FOLDER/CLIENT/INPUT.cache.pR.h5 of a CLIENT's, where INPUT is the id of the input whose turn left it.
#ifndef TW_CACHE_FOLDER_H
#define TW_CACHE_FOLDER_H

#include <stdbool.h>

#include "io/ids.h"
#include "io/new_files.h"

typedef struct {
  const char *folder;
  int party;
} tw_cache_folder;

// TW_ERR_IO unless it is a folder of this user's that nobody else may look into.
tw_status tw_cache_folder_check(const char *folder);
// The NAME of a cache, NAME.cache.pR.h5; client: "" for none. Both words have been checked (tw_queue_word,
// tw_id_is_hex).
tw_status tw_cache_folder_name(const tw_cache_folder *f, const char *client, const tw_id *input, tw_path *out);
tw_path tw_cache_folder_file(const tw_cache_folder *f, const tw_path *name);
// Makes FOLDER/CLIENT where that is missing.
tw_status tw_cache_folder_make(const tw_cache_folder *f, const char *client);
// How many caches of the client are there.
tw_status tw_cache_folder_count(const tw_cache_folder *f, const char *client, int *count);
// Overwrites and removes those that are older than that, and what a process that died has left of them.
tw_status tw_cache_folder_wipe_old(const tw_cache_folder *f, double seconds);

#endif
