// One GPU of this process: selection, streams, events, memory that others reach, graphs. Present when
// twain was built with CUDA (TWAIN_CUDA); a stream, event or graph is the CUDA runtime's behind void *.
#ifndef TW_DEVICE_H
#define TW_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

// GPUs that this process can use; 0 without a driver.
int tw_device_count(void);
// Take GPU `index`; later calls of this process work on it.
tw_status tw_device_select(int index);
// Blocks of a kernel that can run at once, one a multiprocessor.
tw_status tw_device_multiprocessors(int *count);
tw_status tw_device_describe(char *name, size_t size, uint64_t *free_bytes);
void tw_device_cuda_version(char text[16]);  // of the runtime that is linked in: "13.0"
// Most bytes that the backend had allocated on the GPU at one time; without the driver's own, and without mailboxes.
int64_t tw_device_memory_peak(void);
int64_t tw_device_memory_now(void);
void tw_device_memory_reset_peak(void);    // to what is allocated now
tw_status tw_device_pci(char bus_id[16]);  // of the GPU taken: "0000:17:00.0"
// Whether the GPU taken reaches that one's memory: 1 or 0; -1 where this process does not see it.
int tw_device_reaches(const char *bus_id);

tw_status tw_device_stream_create(void **stream);
tw_status tw_device_stream_create_urgent(void **stream);  // its blocks are started before those of others
void tw_device_stream_destroy(void *stream);
tw_status tw_device_wait(void *stream);
// Waits for at most `seconds`; TW_ERR_PEER past that (the stream hangs on the other party).
tw_status tw_device_wait_for(void *stream, double seconds);

tw_status tw_device_event_create(void **event);
void tw_device_event_destroy(void *event);
tw_status tw_device_event_record(void *event, void *stream);
tw_status tw_device_event_wait(void *event, void *stream);  // the stream waits

// Events that keep time, also inside a graph; seconds between two that have passed.
tw_status tw_device_timer_create(void **event);
tw_status tw_device_timer_record(void *event, void *stream);
tw_status tw_device_timer_between(void *from, void *to, double *seconds);

// Page-locked host memory, reachable by the GPU; wiped on release.
tw_status tw_pinned_alloc(size_t bytes, void **out);
void tw_pinned_free(void *memory, size_t bytes);
// Copies that do not wait, from or to pinned memory.
tw_status tw_device_copy_in(void *device, const void *pinned, size_t bytes, void *stream);
tw_status tw_device_copy_out(void *pinned, const void *device, size_t bytes, void *stream);

// One step of a stream that copies blocks of keys from host memory: note that what was enqueued before has happened,
// give back all blocks before it, and wait for the next. Parts whose pointer is NULL are left out; without `epoch` only
// the time is noted.
typedef struct {
  uint64_t *arrived;      // device memory: the GPU's clock, nanoseconds
  const uint64_t *epoch;  // this and the next two: page-locked host memory, see jobs/keys/key_ring.h
  uint64_t *released;
  const uint64_t *ready;
  int *stop;       // device memory; set to 1 when the block will never come: from then on nothing may be sent
  uint64_t count;  // blocks given back
} tw_device_hand_over_args;
tw_status tw_device_hand_over(const tw_device_hand_over_args *args, void *stream);

// Record what is enqueued on the stream (and on streams that wait for its events) instead of running it.
tw_status tw_device_capture_begin(void *stream);
// recorded: how it went; a failure is returned as it is, for it is the cause of what fails after it.
tw_status tw_device_capture_end(void *stream, tw_status recorded, void **graph);
tw_status tw_device_graph_launch(void *graph, void *stream);
void tw_device_graph_destroy(void *graph);

// Memory of this GPU that another process may write (CUDA IPC), in an allocation of its own, zeroed; the handle goes to
// the other process, which maps it. TW_ERR_USAGE when the two GPUs cannot reach each other.
typedef struct {
  unsigned char bytes[64];
} tw_device_handle;
tw_status tw_device_share(size_t bytes, void **memory, tw_device_handle *handle);
void tw_device_unshare(void *memory);
tw_status tw_device_map(const tw_device_handle *handle, void **theirs);
void tw_device_unmap(void *theirs);

tw_status tw_device_zero(void *memory, size_t bytes);  // waits
// Where this GPU finds `party`'s part of a window of NCCL's (an ncclWindow_t); with NCCL 2.28 or later.
tw_status tw_nccl_window_of(void *window, int party, void **part);

// Host memory that lies elsewhere already (a window that two processes share), made reachable by the GPU.
tw_status tw_host_map(void *memory, size_t bytes, void **device);
void tw_host_unmap(void *memory);
// Where the GPU finds memory of tw_pinned_alloc.
tw_status tw_pinned_device(void *memory, void **device);

#ifdef __cplusplus
}
#endif

#endif
