#include "io/id_list.h"

#include <stdlib.h>

tw_status tw_ids_push(tw_ids *ids, int id) {
  if (ids->count == ids->room) {
    int room = ids->room ? 2 * ids->room : 64;
    int *grown = realloc(ids->ids, (size_t)room * sizeof *grown);
    if (!grown) return tw_fail(TW_ERR_MEMORY, "out of memory in the tokenizer");
    ids->ids = grown;
    ids->room = room;
  }
  ids->ids[ids->count++] = id;
  return TW_OK;
}
