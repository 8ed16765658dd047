// NAME.prefix.json: the tokens that all texts of a plan begin with, and the salt under which the plan's digest of them
// stands. For the model's owner and its clients; parties and dealer get the digest alone.
#ifndef TW_PREFIX_H
#define TW_PREFIX_H

#include "io/model.h"

enum { TW_PREFIX_SALT = 32 };

typedef struct {
  int count;
  int *ids;  // tw_alloc's
  uint8_t salt[TW_PREFIX_SALT];
} tw_prefix;

// A copy of these ids under a fresh salt.
tw_status tw_prefix_make(const int *ids, int count, tw_prefix *out);
void tw_prefix_free(tw_prefix *prefix);

// BLAKE2b-256 of the salt and the ids (4 bytes each, lowest first).
tw_prefix_facts tw_prefix_facts_of(const tw_prefix *prefix);

// 0600; TW_ERR_IO where the file exists.
tw_status tw_prefix_write(const char *path, const tw_prefix *prefix);
tw_status tw_prefix_read(const char *path, tw_prefix *prefix);
// The prefix that a plan was made with; TW_ERR_MISMATCH: the file holds another one.
tw_status tw_prefix_read_for(const char *path, const tw_prefix_facts *plan, tw_prefix *prefix);

// NAME.prefix.json of a plan that has a prefix; *out NULL where it has none. Free with tw_prefix_drop.
tw_status tw_prefix_beside(const char *name, const tw_prefix_facts *plan, tw_prefix **out);
void tw_prefix_drop(tw_prefix *prefix);

#endif
