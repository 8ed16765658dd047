// Opens between two GPUs. One kernel packs the masked shares, hands them over through a mailbox, waits for the other
// party's and combines both: nothing in an exchange waits for a host. A mailbox is memory that the other side can
// reach: the other GPU's (CUDA IPC, NVLink), a window in host memory that both parties of a host share, or pinned
// memory from which a thread relays by MPI. It holds masked values only. Where another library moves the bytes (NCCL),
// pack and unpack are kernels of their own. Present when twain was built with CUDA; pointers are device addresses.
#ifndef TW_DEVICE_OPENS_H
#define TW_DEVICE_OPENS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "kernels/ring_ops.h"

#ifdef __cplusplus
extern "C" {
#endif

// An open of the same tensor for some sequences that lie one behind the other in all arrays. In the message each
// sequence's packed data starts at a word, as the host's collector packs it. Work is cut into units: 64 ring elements
// (`width` words of the message), or 64 words of bit planes.
typedef struct {
  const uint64_t *share, *mask;
  uint64_t *out;           // opened values
  uint64_t n;              // elements of a sequence (of each plane)
  uint64_t words;          // of a sequence, in share, mask and out
  uint64_t message_words;  // of a sequence
  uint64_t first_word;     // in the message
  uint32_t units;          // of a sequence
  uint32_t first_unit;     // among the message's
  uint32_t sequences;
  uint32_t digest;  // index of the first sequence's
  uint16_t width;   // ring bits, or planes
  uint16_t bits;    // 1: bit planes
} tw_device_open;
enum {
  TW_DEVICE_OPENS = 40,
  TW_EXCHANGE_ROUNDS = 16,
  TW_EXCHANGE_BLOCKS = 160,     // most of an exchange, at most one a multiprocessor
  TW_EXCHANGE_WARPS = 16,       // of a block, that pack; as many unpack
  TW_PACKET_BYTES = 16,         // 12 of a small message and 4 that say which one it is
  TW_SMALL_PACKETS = 96 << 10,  // of a slot
  TW_STRANDS = 320,             // of an exchange through host memory
  TW_STRAND_WORDS = 512,        // of a strand's ring
  TW_FLAG_STRIDE = 8
};

// Sizes of an open in units and words; first_unit and first_word continue behind `before` (NULL: it is the first).
void tw_device_open_place(tw_device_open *open, const tw_device_open *before);

typedef struct {
  tw_device_open open[TW_DEVICE_OPENS];
  int count;
  uint32_t units;
  // Device, ns by the GPU's clock: when the first block began, and the later of what stands there and when the last
  // value had been opened; may be NULL.
  uint64_t *times;
} tw_device_message;
void tw_device_message_add(tw_device_message *message, const tw_device_open *open);  // place it first
size_t tw_device_message_words(const tw_device_message *message);

// A message travels in rounds, so that a large one is packed, moved and unpacked at the same time. Round r is a word to
// spare, in which a relay says which message and round it is, and the words of the units [units r / rounds, units
// (r + 1) / rounds); word_of_round gives where it begins.
int tw_exchange_rounds(const tw_device_message *message, size_t round_words);
size_t tw_exchange_word_of_round(const tw_device_message *message, int rounds, int round);  // round = rounds: the end
TW_ELEMENT uint64_t tw_exchange_flag(uint64_t number, int round) {
  return number * TW_EXCHANGE_ROUNDS + (uint64_t)round + 1;
}

// Two slots of slot_words each, used in turn: message k + 2 may overwrite k, since whoever has k + 1 from the other
// party knows that it has read k. Flags count up, one a block of the kernel, TW_FLAG_STRIDE words apart.
typedef struct {
  uint64_t *sent, *received;
  uint64_t *own;  // device, slot_words: what this party sends, for itself
  uint64_t *sent_flags;
  const uint64_t *received_flags;
  size_t slot_words;
  // Strands in host memory (opens_strands.cu) instead of slots: sent and received are [TW_STRANDS][TW_STRAND_WORDS].
  // Lines that each strand has carried, device; NULL: no strands.
  uint64_t *lines;
  uint32_t *turns;      // device: strands of large messages that have been sent in this run; NULL: one mailbox
  double words_per_us;  // pace of writing, in words of the window; 0: none
  int blocks;           // most of a kernel: where the way is slow, few fill it
  int warps;  // of a block, that pack: TW_EXCHANGE_WARPS, or half where two halves' blocks share a multiprocessor
  // Small messages travel without flags and fences, in packets, by two slots of TW_SMALL_PACKETS.
  uint64_t *small_sent, *small_received;
  size_t small_packets;  // most of a message; 0: none
  int small_blocks;      // most of a kernel, of packets or strands
  uint64_t *base;        // device: messages of earlier runs
  int *failed;           // device: set when the other party's part did not come or is another message
  const int *stop_flag;  // device; may be NULL: once not 0, nothing is sent
  const int *stop;       // mapped host memory: nonzero ends all waiting
  uint64_t *looked;      // device: when a waiting kernel last looked there
  uint64_t patience_ns;  // longest wait
} tw_mailbox;

// number: of the message in this run. digests (kernels/digest.h) are added up.
// turn: TW_ALONE for this GPU's only mailbox; TW_NO_TURN; or, for a message that takes one, how many messages before it
// in this run, of all mailboxes, took one. Those that do are sent one after the other.
enum { TW_ALONE = -1, TW_NO_TURN = -2 };
tw_status tw_device_exchange(const tw_device_message *message, const tw_mailbox *box, uint64_t number, int rounds,
                             int turn, uint64_t *digests, void *stream);
int tw_exchange_takes_turn(const tw_device_message *message, const tw_mailbox *box);
int tw_exchange_blocks(const tw_device_message *message, const tw_mailbox *box);
int tw_exchange_is_small(const tw_device_message *message, const tw_mailbox *box);
// Later runs start `count` messages later.
tw_status tw_device_exchange_advance(const tw_mailbox *box, uint64_t count, void *stream);

// Without headers: the message's words one behind the other. stop_flag: NULL, or device memory; once it is not 0
// packing leaves the words as they are, so that what was sent before is sent again.
tw_status tw_device_pack(const tw_device_message *message, const int *stop_flag, uint64_t *words, void *stream);
// own, theirs: both parties' messages.
tw_status tw_device_unpack(const tw_device_message *message, const uint64_t *own, const uint64_t *theirs,
                           uint64_t *digests, void *stream);

#ifdef __cplusplus
}
#endif

#endif
