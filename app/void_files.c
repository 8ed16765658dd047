#include "app/void_files.h"

#include <stdio.h>

#include "io/new_files.h"
#include "io/seal.h"

void tw_say_void(const char *name, const char *const *suffixes, int count, const char *why) {
  int found = 0;
  for (int i = 0; i < count; i++)
    for (int sealed = 0; sealed < 2; sealed++) {
      char suffix[64];
      snprintf(suffix, sizeof suffix, "%s%s", suffixes[i], sealed ? TW_SEALED_ENDING : "");
      tw_path path = tw_path_of(name, suffix);
      if (tw_path_exists(&path)) printf("%s%s", found++ ? ", " : "void now: ", path.text);
    }
  if (found) printf("; %s %s\n", found == 1 ? "it is" : "they are", why);
}
