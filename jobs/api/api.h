// What the files of the library share. include/twain.h is what its users see.
#ifndef TW_API_H
#define TW_API_H

#include "base/status.h"
#include "comm/channel.h"
#include "include/twain.h"
#include "io/client.h"
#include "io/prefix.h"
#include "jobs/plan/plan.h"

struct twain_plan {
  tw_plan plan;
  tw_prefix *prefix;  // NULL: the plan has none, or NAME.prefix.json was not there
};
struct twain_model {
  tw_client client;
};
struct twain_input {
  tw_input input;
};
struct twain_link {
  tw_channel *channel;
  bool mpi;
};

// TW_ERR_USAGE for a pointer that is NULL; what: its name.
tw_status tw_api_given(const void *argument, const char *what);
// TW_ERR_USAGE unless NAME is there and one.
tw_status tw_api_name(const char *name);
// The status as the library's user sees it.
twain_status tw_api_status(tw_status status);

#endif
