// What a measurement says about the machine it ran on: cores, and whether others use them, memory, GPU.
#ifndef TW_MACHINE_H
#define TW_MACHINE_H

#include <stdint.h>

#include "jobs/parties/hardware.h"
#include "jobs/parties/warnings.h"

typedef struct {
  char cores[768];  // on which this process may run: "0-3,8"
  int core_count;
  int threads;       // of this process that are at work
  char shared[256];  // why cores are shared with the other party or with other processes; "": they are not
  char gpu[64], driver[32], cuda[16];  // "": computes on the CPU, or not known
} tw_machine;

// threads: at work in this process. Two parties: after tw_hardware_place, both call it. One process: NULL, NULL.
tw_status tw_machine_look(tw_channel *channel, const tw_hardware *hardware, int threads, tw_machine *out);
// The GPU that was selected, for a process alone; tw_machine_look does it for two parties.
tw_status tw_machine_look_at_gpu(tw_machine *machine);
// One line, where cores are shared.
void tw_machine_warn(const tw_listener *to, const tw_machine *machine);

// Bytes that processes of this host, or of this job where its memory is limited, can still take; -1: not known.
int64_t tw_machine_memory_left(void);
// Most memory that this process has held since it started, or since the reset; -1: the system does not tell.
int64_t tw_machine_memory_peak(void);
// The same for what this process has allocated on its GPU; -1: it has none.
int64_t tw_machine_gpu_memory_peak(void);
// Both peaks begin anew; false: the system does not do that for the host's.
bool tw_machine_reset_peaks(void);

#endif
