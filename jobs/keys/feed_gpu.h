// A batch's keys on their way to the GPU, on a stream of their own, ahead of the gates that read them: from a key file
// through a bounded ring of page-locked memory that reader threads fill (from preparation on), or straight from
// page-locked memory; or they lie on the GPU already. All of it may be part of a graph that is launched for every
// batch. In the GPU's memory they pass through a ring for each sequence, of bounded size. Built with CUDA only.
#ifndef TW_KEY_FEED_H
#define TW_KEY_FEED_H

#include "base/trace.h"
#include "jobs/keys/key_laps.h"
#include "jobs/keys/key_source.h"
#include "jobs/program/opener.h"
#include "jobs/program/session_corrections.h"

typedef struct tw_key_feed tw_key_feed;

enum { TW_KEY_AHEAD = 96 << 20 };  // most bytes of a slot that are copied before a job's other work
enum { TW_KEY_MOST = 1 << 30 };    // bytes of GPU memory for a batch's keys, unless its largest gates need more

typedef struct {
  const tw_key_windows *windows;  // of the gates; read by the two functions below
  uint64_t most;                  // as TW_KEY_MOST; 0: that
  int batch;
  tw_key_location place;
  int halves;  // parts of the batch, each on a stream of its own, from sequence `first` on (tw_key_feed_first)
  void *streams[TW_HALVES];
  int first[TW_HALVES];
  uint64_t ahead;  // MEMORY: about so many bytes of a slot are copied by tw_key_feed_lead, before a job's other work
  void *aside;     // a stream that windows from any place are read on, too; NULL: none
  bool timed;      // measure how long gates wait for keys (costs small kernels a block)
  bool traced;     // time every block's copy (tw_key_feed_spans)
} tw_key_feed_options;

// Bytes of GPU memory for keys that such a feed takes.
uint64_t tw_key_feed_room(const tw_key_feed_options *options);
// Whether that is a whole slot of each sequence: then gates may ask for keys in any order (`window_at`).
bool tw_key_feed_whole(const tw_key_feed_options *options);
// Bytes of page-locked memory on the host, at most.
uint64_t tw_key_feed_host_room(const tw_key_feed_options *options);
tw_status tw_key_feed_create(const tw_key_feed_options *options, tw_key_feed **out);
void tw_key_feed_destroy(tw_key_feed *f);  // ends and wipes
// Readers stop, and no copy waits for one any more.
void tw_key_feed_end(tw_key_feed *f);
// Begin a job. FILE: readers fill the ring in the background. *moved: the keys lie elsewhere than those of the job
// before, so that a graph recorded for it is of no use. The stream's earlier work has ended.
tw_status tw_key_feed_load(tw_key_feed *f, const tw_key_source *source, bool *moved);
tw_status tw_key_feed_lead(tw_key_feed *f);   // enqueue the copies that are to be ahead, beside all other work
tw_status tw_key_feed_fill(tw_key_feed *f);   // wait for them; FILE: until the ring is full, or all is read
tw_status tw_key_feed_start(tw_key_feed *f);  // enqueue the first copies; the others as gates go on
tw_correction_reader tw_key_feed_source(tw_key_feed *f,
                                        int half);  // its `window` waits, on the stream, for the blocks it needs;
                                                    // `window_at`: where a slot has room as a whole
// Device memory, 0 until a block of keys fails its check or cannot be read. Gates that come after computed with bytes
// that are no keys: whoever forms messages on the stream must send nothing of theirs once this is not 0.
const int *tw_key_feed_stop(const tw_key_feed *f);
// After the stream's work: the readers' failure, if any; *wait_ns, when timed: how long gates waited for keys.
tw_status tw_key_feed_status(tw_key_feed *f);
tw_status tw_key_feed_wait_ns(tw_key_feed *f, uint64_t *wait_ns);
// When traced: a span for every block of all sequences, from `origin` (a timer that passed before them) on. It begins
// when the copy before has ended, or gates have asked for more, so it holds the wait for a reader, too.
tw_status tw_key_feed_spans(const tw_key_feed *f, void *origin, tw_trace *trace);

#endif
