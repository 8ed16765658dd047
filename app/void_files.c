#include "app/void_files.h"

#include <stdio.h>
#include <string.h>

#include "app/show/print.h"
#include "base/memory.h"
#include "io/key_parts.h"
#include "io/seal.h"
#include "jobs/plan/lengths.h"

typedef struct {
  const char *const *suffixes;
  int count, found;
} listing;

static void say_file(listing *l, const char *name, const char *suffix) {
  for (int sealed = 0; sealed < 2; sealed++) {
    char ending[64];
    snprintf(ending, sizeof ending, "%s%s", suffix, sealed ? TW_SEALED_ENDING : "");
    tw_path path = tw_path_of(name, ending);
    if (tw_path_exists(&path)) printf("%s%s", l->found++ ? ", " : "void now: ", path.text);
  }
}

// Of one length, or of the only one. What cannot be looked through is told, after the list.
static tw_status say_name(listing *l, const char *name) {
  static const char keys[] = "keys.";
  tw_key_parts parts;
  tw_status looked = tw_key_parts_find(name, &parts);
  for (int i = 0; i < l->count; i++) {
    bool are_keys = strncmp(l->suffixes[i], keys, sizeof keys - 1) == 0;
    say_file(l, name, l->suffixes[i]);
    for (int k = 0; k < parts.count && are_keys; k++) say_file(l, parts.names[k].text, l->suffixes[i]);
  }
  tw_key_parts_free(&parts);
  return looked;
}

static tw_status say_lengths(listing *l, const char *name) {
  bool *seen;
  TW_TRY(tw_alloc(sizeof *seen * (TW_MOST_TOKENS + 1), (void **)&seen));
  tw_status status = tw_lengths_beside(name, seen);
  for (int seq = 1; seq <= TW_MOST_TOKENS && status == TW_OK; seq++)
    if (seen[seq]) status = say_name(l, tw_length_name(name, seq).text);
  tw_free(seen);
  return status;
}

void tw_say_void(const char *name, const char *const *suffixes, int count, const char *why) {
  listing l = {.suffixes = suffixes, .count = count};
  tw_status looked = say_name(&l, name);
  if (looked == TW_OK) looked = say_lengths(&l, name);
  if (l.found) printf("; %s %s\n", l.found == 1 ? "it is" : "they are", why);
  if (looked != TW_OK) tw_say("%s", tw_error_message());
}
