// NAME.model.json: the public name of a shared model. Clients need it to share an input, and have no model share.
#ifndef TW_MODEL_ID_H
#define TW_MODEL_ID_H

#include "io/model.h"

tw_status tw_model_id_write(const char *path, const tw_id *id, const tw_model_config *config);
tw_status tw_model_id_read(const char *path, tw_id *id);

#endif
