// Opens between two ranks' GPUs: packed, exchanged and combined on the device, by NCCL in order of the stream, or
// through pinned host memory and the channel. Built with CUDA only.
#ifndef TW_DEVICE_OPENER_H
#define TW_DEVICE_OPENER_H

#include "comm/channel.h"
#include "jobs/session.h"

typedef struct tw_device_opener tw_device_opener;

// use_nccl: both ranks' GPUs must differ.
tw_status tw_device_opener_create(const tw_program *program, int batch, tw_channel *channel, bool use_nccl,
                                  void *stream, tw_device_opener **out);
void tw_device_opener_destroy(tw_device_opener *o, bool abort);
tw_opener tw_device_opener_table(tw_device_opener *o);
// Before every online phase: counts and digests from zero, enqueued on the stream.
tw_status tw_device_opener_restart(tw_device_opener *o);
tw_status tw_device_opener_stats(tw_device_opener *o, uint64_t *flushes, uint64_t *payload_bytes, double *comm_seconds,
                                 char transcript[65]);

#endif
