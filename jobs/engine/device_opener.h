// Opens between two parties' GPUs: collected, packed, exchanged and combined on the device. How the bytes travel is the
// transport; all are recorded in CUDA graphs, none waits for the host. Built with CUDA only.
#ifndef TW_DEVICE_OPENER_H
#define TW_DEVICE_OPENER_H

#include "comm/channel.h"
#include "jobs/engine/transport.h"
#include "jobs/program/opener.h"
#include "jobs/program/program.h"

typedef struct tw_device_opener tw_device_opener;

typedef struct {
  tw_channel *channel;
  tw_transport transport;  // tw_device_opener_choose sets it
  size_t message_words;    // most in one message
  size_t chain_bytes;      // for packets of chains (kernels/chain_steps.h), where GPUs reach each other; 0: none
  uint32_t opens;          // of a run: openings times sequences
  int halves;              // parts of the batch that take turns
  void *streams[TW_HALVES];
} tw_device_opener_options;

// Most words of one level, and opens of the whole program, for the batch.
void tw_device_opener_room(const tw_program *program, int batch, tw_device_opener_options *o);

// Both parties call it with the same options. TW_ERR_USAGE, on both, when this transport is not to be had here.
tw_status tw_device_opener_create(const tw_device_opener_options *options, tw_device_opener **out);
// The first of `ways` that both parties can open; why: how it came to be taken.
tw_status tw_device_opener_choose(tw_device_opener_options *options, const tw_ways *ways, tw_device_opener **out,
                                  char *why, size_t why_size);
// abort: the other party is lost; whatever waits for it is given up.
void tw_device_opener_destroy(tw_device_opener *o, bool abort);
tw_opener tw_device_opener_table(tw_device_opener *o);
const char *tw_device_opener_name(const tw_device_opener *o);  // the transport, in words
const tw_device_opener_options *tw_device_opener_get_options(const tw_device_opener *o);

// Around the recording of an online phase: counts and digests from zero; where the next run's messages begin.
tw_status tw_device_opener_record_begin(tw_device_opener *o);
tw_status tw_device_opener_record_end(tw_device_opener *o);
// Around every launch of what was recorded. end: cancel what has not been sent, if the run failed.
tw_status tw_device_opener_run_begin(tw_device_opener *o);
tw_status tw_device_opener_run_end(tw_device_opener *o, bool failed);

// Once *stop (device memory) is not 0, what was computed is no good: kernels send nothing more of it.
void tw_device_opener_stop_flag(tw_device_opener *o, const int *stop);

typedef struct {
  uint64_t flushes, payload_bytes;
} tw_device_opener_counts;
tw_device_opener_counts tw_device_opener_get_counts(const tw_device_opener *o);
// Of the last run, by the GPU's clock: from when a message's kernel began until its last value was opened, summed over
// messages.
tw_status tw_device_opener_comm_ns(const tw_device_opener *o, uint64_t *sum);
tw_status tw_device_opener_transcript(tw_device_opener *o, char transcript[65]);

// What kernels of chains share with the opener: all of it on the device, but `stop`.
typedef struct {
  uint64_t *sent;            // the other GPU's memory, of chain_bytes
  const uint64_t *received;  // this one's
  uint64_t *digests;         // by index in the transcript
  int *failed;
  const int *stop;
  uint64_t patience_ns;
} tw_device_chain_box;
// False: this transport carries no chains.
bool tw_device_opener_chain_box(const tw_device_opener *o, tw_device_chain_box *out);

// Most messages of a probe (jobs/engine/device_probe.h).
enum { TW_PROBE_MESSAGES = 1024 };

#endif
