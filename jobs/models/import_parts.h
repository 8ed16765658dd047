// What an import is made of. Internal to imports.
#ifndef TW_IMPORT_PARTS_H
#define TW_IMPORT_PARTS_H

#include "jobs/models/import.h"

// The first member of a kind's own struct, which tw_alloc made and tw_import_close frees.
struct tw_import {
  tw_model_stream model;
  float *values;                                         // room for the model's largest tensor
  tw_status (*client)(struct tw_import *, tw_client *);  // its part, with tables; the caller frees, also after an error
  void (*close)(struct tw_import *);                     // what the kind holds
};

// The last step of opening: with status TW_OK *out gets it, else it is closed. Returns status.
tw_status tw_import_opened(tw_import *in, tw_status status, tw_import **out);

#endif
