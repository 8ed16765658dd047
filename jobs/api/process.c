#include <sodium.h>

#include "base/memory.h"
#include "io/new_files.h"
#include "jobs/api/api.h"

_Static_assert((int)TWAIN_ERR_MISMATCH == (int)TW_ERR_MISMATCH && (int)TWAIN_ERR_MEMORY == (int)TW_ERR_MEMORY,
               "the library's status codes are twain's");

int twain_abi(void) { return TWAIN_ABI; }
const char *twain_version(void) { return TWAIN_VERSION; }
const char *twain_message(void) { return tw_error_message(); }

twain_status twain_begin(int abi) {
  if (abi != TWAIN_ABI)
    return tw_api_status(tw_fail(TW_ERR_USAGE,
                                 "the program was compiled for version %d of the library's interface, the library has "
                                 "version %d; compile it again",
                                 abi, TWAIN_ABI));
  if (sodium_init() < 0)
    return tw_api_status(tw_fail(TW_ERR_INTERNAL, "libsodium cannot start: no source of randomness?"));
  tw_no_core_dumps();
  return TWAIN_OK;
}

twain_status tw_api_status(tw_status status) { return (twain_status)status; }

tw_status tw_api_given(const void *argument, const char *what) {
  return argument ? TW_OK : tw_fail(TW_ERR_USAGE, "the argument %s is NULL", what);
}

tw_status tw_api_name(const char *name) {
  TW_TRY(tw_api_given(name, "name"));
  return tw_name_check(name);
}
