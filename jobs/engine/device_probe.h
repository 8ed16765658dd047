// What a device opener takes for one message: measured when an engine is set up, and by `twain bench opens`. Built with
// CUDA only.
#ifndef TW_DEVICE_PROBE_H
#define TW_DEVICE_PROBE_H

#include "jobs/engine/device_opener.h"

// One open of `bytes` packed bytes of a 32-bit ring, or of bits, from share and mask to opened value, `count` times
// (fewer than TW_PROBE_MESSAGES) one behind the other in a graph. Both parties call it. Seconds of one; TW_ERR_PEER
// when what was opened is wrong.
tw_status tw_device_opener_probe(tw_device_opener *o, size_t bytes, bool bits, int count, double *seconds);

#endif
