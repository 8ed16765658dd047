#include "app/void_files.h"

#include <stdio.h>
#include <string.h>

#include "app/show/print.h"
#include "io/key_parts.h"
#include "io/seal.h"

static int say_of_name(const char *name, const char *suffix, int found) {
  for (int sealed = 0; sealed < 2; sealed++) {
    char ending[64];
    snprintf(ending, sizeof ending, "%s%s", suffix, sealed ? TW_SEALED_ENDING : "");
    tw_path path = tw_path_of(name, ending);
    if (tw_path_exists(&path)) printf("%s%s", found++ ? ", " : "void now: ", path.text);
  }
  return found;
}

void tw_say_void(const char *name, const char *const *suffixes, int count, const char *why) {
  static const char keys[] = "keys.";
  tw_key_parts parts;
  tw_status looked = tw_key_parts_find(name, &parts);
  int found = 0;
  for (int i = 0; i < count; i++) {
    found = say_of_name(name, suffixes[i], found);
    bool are_keys = strncmp(suffixes[i], keys, sizeof keys - 1) == 0;
    for (int k = 0; k < parts.count && are_keys; k++) found = say_of_name(parts.names[k].text, suffixes[i], found);
  }
  if (found) printf("; %s %s\n", found == 1 ? "it is" : "they are", why);
  tw_key_parts_free(&parts);
  if (looked != TW_OK) tw_say("%s", tw_error_message());
}
