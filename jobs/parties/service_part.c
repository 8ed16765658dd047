#include "jobs/parties/service_part.h"

#include <string.h>

tw_result_share tw_service_part(const tw_result_share *all, const tw_input_share *input, int first, tw_cost_row *rows) {
  tw_result_share r = *all;
  size_t at = (size_t)first, each = (size_t)all->rows * (size_t)all->cols;
  uint64_t n = (uint64_t)input->count, of = (uint64_t)all->count;
  r.input_id = input->input_id;
  r.count = input->count;
  r.lengths += at;
  r.slots += at;
  r.masked += at * each;
  r.mask += at * each;
  if (r.guard) {
    r.guard_masked += at;
    r.guard_mask += at;
  }
  r.correction_bytes = all->correction_bytes / of * n;
  r.sent_bytes = all->sent_bytes / of * n;
  // whose openings are others', too, says nothing about this input
  if (all->count > r.count) memset(r.transcript, '0', sizeof r.transcript - 1);
  r.rows_table = rows;
  for (int i = 0; i < all->row_count; i++) {
    rows[i] = all->rows_table[i];
    rows[i].correction_bytes = rows[i].correction_bytes / of * n;
    rows[i].sent_bytes = rows[i].sent_bytes / of * n;
  }
  return r;
}
