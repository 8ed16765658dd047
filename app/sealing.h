// Files that a command writes sealed: --site and --seal-to.
#ifndef TW_SEALING_H
#define TW_SEALING_H

#include "app/options.h"
#include "io/new_files.h"
#include "io/seal.h"

typedef struct {
  bool loaded;
  tw_site site;
  int count;
  tw_peer recipients[TW_TEXTS_MOST];
} tw_sealing;

// roles: bit 1 << role for each role that the command writes for. TW_ERR_USAGE for others, for two recipients of one
// role, and for one of the options without the other. All must be valid now. End it, also after a failure.
tw_status tw_sealing_begin(const char *site, const tw_option_texts *to, unsigned roles, tw_sealing *out);
void tw_sealing_end(tw_sealing *sealing);
// The recipient of that role, or NULL: written plain.
const tw_peer *tw_sealing_for(const tw_sealing *sealing, tw_site_role role);
// The name of a file for that role: `name`, or in `room` with the ending of sealed files.
const char *tw_sealing_name(const tw_sealing *sealing, tw_site_role role, const char *name, char *room, size_t size);
// From now on `path` is written sealed, if there is a recipient of that role.
tw_status tw_sealing_path(const tw_sealing *sealing, tw_site_role role, const char *path);

// Where NAME's file for `role` will be, which tw_sealing_path hears of, and what its name ends in.
tw_status tw_sealing_place(const char *name, const char *suffix, const tw_sealing *sealing, tw_site_role role,
                           tw_path *path, const char **ending);

#endif
