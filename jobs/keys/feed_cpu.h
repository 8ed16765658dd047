// A batch's keys on their way to gates that run on the CPU: a thread reads and checks a few chunks of every sequence
// ahead of them, or the keys lie in memory and are read in place.
#ifndef TW_HOST_FEED_H
#define TW_HOST_FEED_H

#include "jobs/keys/key_source.h"
#include "jobs/program/opener.h"
#include "jobs/program/session_corrections.h"

typedef struct tw_host_feed tw_host_feed;

// place: FILE or MEMORY.
tw_status tw_host_feed_create(uint64_t slot_bytes, int batch, tw_key_location place, tw_host_feed **out);
void tw_host_feed_destroy(tw_host_feed *f);  // wipes
// Bytes that such a feed of FILE takes.
uint64_t tw_host_feed_bytes(uint64_t slot_bytes, int batch);
// Begin a job: reading starts now, in the background.
tw_status tw_host_feed_load(tw_host_feed *f, const tw_key_source *source);
// For a part of the batch that begins with sequence `first` (0, or one more part).
tw_correction_reader tw_host_feed_source(tw_host_feed *f, int first);
// Time for which gates waited for keys, this job.
uint64_t tw_host_feed_wait_ns(const tw_host_feed *f);

#endif
