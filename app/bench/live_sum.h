// The sum of a chunk of keys, as key files have it.
#ifndef TW_LIVE_SUM_H
#define TW_LIVE_SUM_H

#include <stddef.h>
#include <stdint.h>

uint32_t tw_live_sum(const void *data, size_t bytes);  // CRC-32C

#endif
