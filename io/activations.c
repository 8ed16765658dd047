#include "io/activations.h"

#include <stddef.h>
#include <string.h>

#define NAME(name) #name,
#define LISTED(name) ", " #name

bool tw_activation_known(const char *name) {
  static const char *const all[] = {TW_ACTIVATIONS(NAME)};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (strcmp(all[i], name) == 0) return true;
  return false;
}

const char *tw_activation_names(void) {
  static const char all[] = TW_ACTIVATIONS(LISTED);
  return all + 2;  // without the first comma
}
