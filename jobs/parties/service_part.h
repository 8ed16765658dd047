// Of a run that several inputs shared: one input's result.
#ifndef TW_SERVICE_PART_H
#define TW_SERVICE_PART_H

#include "io/client.h"
#include "io/result.h"

// The part of the run's result that is of `input`, whose sequences are first, first + 1, ...: arrays stay the whole's,
// and rows, [all->row_count], the caller's. Costs of keys and messages are counted by sequences.
tw_result_share tw_service_part(const tw_result_share *all, const tw_input_share *input, int first, tw_cost_row *rows);

#endif
