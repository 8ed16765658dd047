// NAME.model.json: the public name of a shared model. Clients need it to share an input, and have no model share.
#ifndef TW_MODEL_ID_H
#define TW_MODEL_ID_H

#include "io/model.h"

tw_status tw_model_id_write(const char *path, const tw_id *id, const tw_model_config *config);
tw_status tw_model_id_read(const char *path, tw_id *id);

// For `twain upgrade`: what a file of an earlier version says, and the same in a file of this one.
typedef struct {
  tw_id id;
  char name[64];
} tw_model_id;
tw_status tw_model_id_read_earlier(const char *path, int version, tw_model_id *out);
tw_status tw_model_id_rewrite(const char *path, const tw_model_id *id);

#endif
