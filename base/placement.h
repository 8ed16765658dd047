// Where a party runs, by hwloc: the cores and the memory node near its GPU, the network cards beside them, and its
// share of them when both parties are on one host. Everything stays inside the cores that mpirun, Slurm or a container
// gave.
#ifndef TW_PLACEMENT_H
#define TW_PLACEMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct hwloc_topology;
struct hwloc_bitmap_s;

typedef struct {
  struct hwloc_topology *topology;
  struct hwloc_bitmap_s *given;  // cores this process may use
  struct hwloc_bitmap_s *cores;  // where it shall run, a part of them
  struct hwloc_bitmap_s *nodes;  // memory of these cores
  bool restricted;               // `given` is less than the machine
  bool bound, memory_bound;
  char gpu[16];    // PCI bus id, "" without a GPU
  bool gpu_found;  // hwloc knows where it is
  char cards[96];  // network cards near the cores: "mlx5_0, mlx5_1"
} tw_placement;

// gpu_pci_bus_id: "0000:17:00.0", or NULL. Without the GPU's place known, all cores given. Free with tw_placement_free,
// also after a failure.
tw_status tw_placement_find(const char *gpu_pci_bus_id, tw_placement *p);
// The same on another topology (loaded, given away to *p), with `given` cores of it (hwloc's list: "0-3,8").
tw_status tw_placement_find_in(struct hwloc_topology *topology, const char *given, const char *gpu_pci_bus_id,
                               tw_placement *p);
void tw_placement_free(tw_placement *p);

// The cores as text, to be compared with another process's on the same host.
void tw_placement_cores(const tw_placement *p, char *text, size_t size);
// Two parties would run on the same cores: take half `index` of them, whole memory nodes if there are several, else
// whole cores. A single hardware thread is left to both.
void tw_placement_halve(tw_placement *p, int index);

// This process and threads it starts from now on run there, and take memory there first. It helps speed alone: what the
// system refuses is left as it is, and the text says so.
void tw_placement_bind(tw_placement *p);
// "cores 0-15 of 64, memory node 0; near GPU 0000:17:00.0; network mlx5_0; bound"
void tw_placement_text(const tw_placement *p, char *text, size_t size);

#endif
