// What config.json says of a classifier: the kind of head, its labels and what they are for.
#ifndef TW_HF_LABELS_H
#define TW_HF_LABELS_H

#include <jansson.h>

#include "io/client.h"
#include "io/hf_fields.h"

// The head that `architectures` names, into *head: TW_HEAD_NONE where it names none that is computed; labels and
// problem of a classifier (free with tw_labels_free). TW_ERR_FORMAT names the field.
tw_status tw_hf_head_read(const tw_hf_object *config, const tw_hf_family *family, tw_head *head, tw_labels *labels);

// Whether a name of a torch module, as cross-encoders keep what follows their logits, is Sigmoid's.
bool tw_hf_is_sigmoid(const json_t *name);

#endif
