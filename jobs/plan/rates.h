// What a party takes for its part of an inference, as measured: by `twain bench calibrate`, which writes these rates to
// a file, or from published records. Some come with the program (jobs/plan/rates/*.json). docs/formats.md explains the
// file.
#ifndef TW_RATES_H
#define TW_RATES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

// What an operation costs of one sequence, and so what its time is made of.
enum {
  TW_COST_ONCE,        // 1
  TW_COST_KEYS,        // bytes of keys that the party with more of them in all reads
  TW_COST_OPENED,      // bytes of its opening in a message
  TW_COST_MEMORY,      // bytes of its tensors
  TW_COST_LIST,        // entries of its list: digits, subsets, leaves
  TW_COST_LIST_BYTES,  // of a bit of every element for each entry
  TW_COST_BLOCKS,      // nodes of keys of point functions that it expands
  TW_COSTS
};
typedef struct {
  double cost[TW_COSTS];
  double products;  // multiply-adds, beside all that
  double weights;   // elements of weights that they read
  int ring;         // theirs
} tw_work;

// Seconds for one of each.
typedef struct {
  char gate[32];
  double seconds[TW_COSTS];
} tw_gate_rate;

enum { TW_MOST_GATE_RATES = 64, TW_RING_BYTES = 8 };
typedef struct {
  char device[96], source[256];
  double round;                        // seconds of a message, whatever it carries and however long the link is
  double opened_byte;                  // seconds of a byte in it: packing, checking, unpacking
  double relayed_byte;                 // and on its way through the host, while it is sent: the slower of both counts
  double key_rate;                     // bytes a second, from where keys lie to the gates; 0: they are there
  double mask_byte;                    // seconds of a byte of masks that is drawn before the input is there
  double multiply_add[TW_RING_BYTES];  // seconds, in rings of 1 to 8 bytes
  double weight;                       // seconds of an element of weights from memory: a product takes no less
  tw_gate_rate gates[TW_MOST_GATE_RATES];
  int gate_count;
  tw_gate_rate other;  // of gates that have no entry
} tw_rates;

const tw_gate_rate *tw_rate_of(const tw_rates *rates, const char *gate);

// name: of a file, where it has a slash or ends with .json; else of rates that come with the program, and where these
// have none of that name a stated guess (*guess). TW_ERR_FORMAT and the file's line or field. TW_ERR_USAGE where the
// name is that of a kind of devices (cpu, cuda), or empty.
tw_status tw_rates_find(const char *name, tw_rates *out, bool *guess);
// "epyc, h200": the names of what comes with the program; room for `size` bytes.
void tw_rates_names(char *text, size_t size);
// To a new file.
tw_status tw_rates_write(const char *path, const tw_rates *rates);

#endif
