// Carries messages between two GPUs' mailboxes over a channel: a thread of the host waits for the flags that the GPU's
// kernels raise when a part of a message is packed, exchanges that part, and raises the flags that the kernels wait
// for. The online phase needs no other host thread. Layout and flags: kernels/device_opens.h.
#ifndef TW_RELAY_H
#define TW_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "comm/channel.h"
#include "kernels/device_opens.h"

typedef struct tw_relay tw_relay;

// A mailbox as the host sees it. sent and received may be device addresses, if the channel's transport takes them.
typedef struct {
  uint64_t *sent;
  uint64_t *received;
  _Atomic uint64_t *sent_flags;
  _Atomic uint64_t *received_flags;
  size_t slot_words;
  bool headed;        // host memory: each round begins with a word that says which it is, and is checked
  _Atomic int *stop;  // raised when the other party is lost: kernels end
} tw_relay_box;

typedef struct {
  int box;  // index of the mailbox
  int blocks, rounds;
  size_t round[TW_EXCHANGE_ROUNDS + 1];  // words before each round
} tw_relay_message;

// The channel belongs to the relay's thread from begin to end.
tw_status tw_relay_create(tw_channel *channel, const tw_relay_box *boxes, int count, tw_relay **out);
// False: a run failed and the transport may still touch the mailboxes, whose memory must stay.
bool tw_relay_destroy(tw_relay *r);
// The messages of a run, in the order in which both parties send them; borrowed until tw_relay_end.
tw_status tw_relay_begin(tw_relay *r, const tw_relay_message *messages, int count);
// Waits for the last message, and says what went wrong. cancel: gives up what has not been sent.
tw_status tw_relay_end(tw_relay *r, int cancel);

#endif
