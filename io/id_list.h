// A growing list of token ids.
#ifndef TW_ID_LIST_H
#define TW_ID_LIST_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int *ids;  // free()
  int count, room;
} tw_ids;
tw_status tw_ids_push(tw_ids *ids, int id);

#ifdef __cplusplus
}
#endif

#endif
