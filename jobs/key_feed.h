// A batch's corrections on their way to the GPU: from the source into pinned memory before the online phase, from there
// to the device in chunks on a stream of their own, ahead of the gates that read them. Built with CUDA only.
#ifndef TW_KEY_FEED_H
#define TW_KEY_FEED_H

#include "jobs/session.h"

typedef struct tw_key_feed tw_key_feed;

tw_status tw_key_feed_create(uint64_t slot_bytes, int batch, void *stream, tw_key_feed **out);
void tw_key_feed_destroy(tw_key_feed *f);
tw_status tw_key_feed_load(tw_key_feed *f, const tw_source *source);  // into pinned memory
tw_status tw_key_feed_start(tw_key_feed *f);                          // enqueue all chunks
tw_source tw_key_feed_source(tw_key_feed *f);  // its `window` waits, on the stream, for the chunks it needs

#endif
