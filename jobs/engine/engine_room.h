// The memory that one party's engine will hold, foreseen before it takes any, from a plan alone: no share, no other
// party and no GPU is needed.
#ifndef TW_ENGINE_ROOM_H
#define TW_ENGINE_ROOM_H

#include "jobs/engine/engine.h"

// Bytes. Of the host: what a run's engine and the files that it reads hold at their most.
typedef struct {
  uint64_t share;     // the party's share of the model, as it is read
  uint64_t operands;  // what set-up makes of it
  uint64_t arenas;    // masks, prepared products, activations
  uint64_t keys;      // on their way
  uint64_t messages;  // of openings
  uint64_t inputs;    // shares of inputs, and results
  uint64_t program;
  uint64_t process;  // this program, its libraries and MPI: measured, on x86-64 with Open MPI 4.1 and HDF5 1.10
  uint64_t host;     // all of these
  // On a GPU its memory, with all masks kept and, where these do not fit, without; 0 and 0: computes on the CPU.
  uint64_t device, device_least;
} tw_engine_room;

// Of the party whose slots are larger. o->plan, batch, device, overlap, prepare_beside, keys and key_most count; all
// else may be left out. On a GPU (a build with CUDA) what the driver's library holds on the host is not counted.
// ask_gpu: what products need there depends on the GPU, which is asked once in a process, the one that is selected now.
// Without it device and device_least stay 0, and no GPU is touched: for whoever has not selected one yet.
tw_status tw_engine_foresee(const tw_engine_options *o, bool ask_gpu, tw_engine_room *out);

#endif
