// Two GPUs of one process that reach each other, or one for both parties: what gpu_chains needs of the CUDA runtime.
#ifndef TW_TEST_CHAINS_BED_H
#define TW_TEST_CHAINS_BED_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// All end the process, with CUDA's message, when they fail.
int bed_gpus(void);        // 0, 1, or 2 that reach each other
void bed_take(int party);  // its GPU, by this thread
void *bed_stream(int urgent);
void *bed_memory(size_t bytes);  // zeroed
void bed_free(void *memory);
void bed_put(void *to, const void *from, size_t bytes);
void bed_get(void *to, const void *from, size_t bytes);
void bed_wait(void *stream);
void *bed_event(void);
void bed_note(void *event, void *stream);
double bed_between(void *from, void *to);  // seconds

void bed_other_code(void *stream, void *memory);  // a kernel of more code than a multiprocessor keeps
void bed_others(void *stream, void *memory);      // kernels of many blocks, for half a millisecond

#ifdef __cplusplus
}
#endif

#endif
