// One-time key files: per slot a 32-byte seed and one stream of corrections in order of use.
// Layout: docs/formats.md. Contiguous dataset /corrections [count][slot_bytes]; /chunk_crc32c [count][chunks] over 1
// MiB chunks of each slot; /seeds [count][32]; /ledger [48]. Header attributes and index are covered by a BLAKE2b
// digest.
#ifndef TW_KEYS_H
#define TW_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "io/ids.h"

#define TW_KEY_CHUNK (1u << 20)

// Where one correction tensor of a slot lies in this party's stream (64-byte aligned).
typedef struct {
  uint32_t use;
  uint32_t kind;   // 0 ring elements, 1 bit planes
  uint32_t width;  // ring bits, or number of planes
  uint32_t reserved;
  uint64_t count;   // elements of the whole tensor (both parties' halves)
  uint64_t offset;  // bytes from the slot's start
} tw_key_index_entry;

typedef struct {
  int party;
  tw_id key_id, model_id;
  tw_digest plan;
  bool test;            // derived from a known seed: never for real data
  uint64_t count;       // slots
  uint64_t slot_bytes;  // of this party
  uint64_t index_count;
  tw_key_index_entry *index;  // owned by the writer's caller; by the reader on reading
} tw_keys_info;

typedef struct tw_keys_writer tw_keys_writer;
typedef struct tw_keys tw_keys;
typedef struct tw_key_stream tw_key_stream;

// Creates path.partial (0600); commit fsyncs, renames to path and fsyncs the folder; abort removes it.
// Refuses to overwrite an existing file under the final name. Never holds more than a few chunks in memory.
tw_status tw_keys_create(const char *path, const tw_keys_info *info, tw_keys_writer **out);
tw_status tw_keys_begin_slot(tw_keys_writer *, uint64_t slot, const uint8_t seed[32]);
tw_status tw_keys_append(tw_keys_writer *, const void *data, size_t bytes);
tw_status tw_keys_end_slot(tw_keys_writer *);  // exactly slot_bytes must have been appended
tw_status tw_keys_commit(tw_keys_writer *);    // frees the writer, also on failure (then the partial file is removed)
void tw_keys_abort(tw_keys_writer *);

// Opens read-write (seeds are erased after use). Checks format, version, role against `party`, the header digest,
// sizes, owner and mode (group or world bits are refused).
tw_status tw_keys_open(const char *path, int party, tw_keys **out);
const tw_keys_info *tw_keys_get_info(const tw_keys *);
void tw_keys_close(tw_keys *);

// TW_ERR_USED when the slot's seed has been erased; TW_ERR_FORMAT when it does not fit its tag (a BLAKE2b-128 hash in
// the file): damaged, or another slot's.
tw_status tw_keys_seed(tw_keys *, uint64_t slot, uint8_t seed[32]);
// Seeds and tags of `n` slots: overwritten with zeros, fsynced.
tw_status tw_keys_erase_seeds(tw_keys *, const uint64_t *slots, size_t n);
// Bit s of live[s / 64] is set where anything is left of slot s's seed or tag. [ceil(count / 64)]
tw_status tw_keys_survey(tw_keys *, uint64_t *live);

// A key file belongs to the ledger that it was first used with: its id lies in the file.
// TW_OK when none is recorded yet (*recorded false) or it is this one; else TW_ERR_MISMATCH or, when it is no whole id
// of any ledger and no part of this one's, TW_ERR_FORMAT.
tw_status tw_keys_check_ledger(tw_keys *, const tw_id *ledger, bool *recorded);
// Records and fsyncs it, where tw_keys_check_ledger allows. Two processes that record different ledgers at once may
// both succeed; so check again once the seeds are erased: the one whose record was overwritten learns it there, and the
// other one finds erased seeds when it looks at them after recording.
tw_status tw_keys_record_ledger(tw_keys *, const tw_id *ledger);

// One slot's corrections, chunk by chunk. Several streams may be open at once, and a stream may be read by other
// threads than the one that opened it (no HDF5 call is made).
tw_status tw_key_stream_create(tw_keys *, uint64_t slot, tw_key_stream **out);
// Chunk `number` of the slot (TW_KEY_CHUNK bytes, the last one fewer) into `dst`, checked against its CRC32C. When the
// check fails `dst` is wiped, and TW_ERR_FORMAT names file, dataset, slot and byte range. In any order, by any number
// of threads at once.
tw_status tw_key_stream_chunk(const tw_key_stream *, uint64_t number, void *dst);
void tw_key_stream_destroy(tw_key_stream *);  // lets the system's cache forget the slot

#endif
