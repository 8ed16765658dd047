// The dealer on one GPU: a slot's whole walk is one CUDA graph that reads seeds and slot number from GPU memory, and
// whose halves leave for page-locked host memory in chunks while later gates are dealt. A half of more than 1 GiB lies
// on the GPU as a whole only where nothing is wanted. With two buffers one can be written to disk while the other is
// being dealt into. Built with CUDA only.
#ifndef TW_DEVICE_DEALER_H
#define TW_DEVICE_DEALER_H

#include "jobs/parties/model_masks.h"
#include "jobs/plan/plan.h"

typedef struct tw_device_dealer tw_device_dealer;

// wanted: the parties whose halves are kept; buffers: 1 or 2. The GPU was selected by the caller.
tw_status tw_device_dealer_create(const tw_plan *plan, const tw_model_dealer *dealer, const bool wanted[2], int buffers,
                                  tw_device_dealer **out);
void tw_device_dealer_destroy(tw_device_dealer *d);  // wipes
// Begin a slot in a buffer, and wait for all that was begun.
tw_status tw_device_dealer_begin(tw_device_dealer *d, int buffer, const tw_seed seed[2], uint64_t slot);
tw_status tw_device_dealer_wait(tw_device_dealer *d);
// slot_bytes[party] bytes, until the buffer is begun again.
const uint8_t *tw_device_dealer_half(const tw_device_dealer *d, int buffer, int party);

// In the place of page-locked memory (nothing wanted): deals a slot into GPU memory of the caller's, slot_bytes[party]
// each, waits for it, and leaves nothing of it in the dealer's own.
tw_status tw_device_dealer_into(tw_device_dealer *d, const tw_seed seed[2], uint64_t slot, uint8_t *const to[2]);

#endif
