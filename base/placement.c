#include "base/placement.h"

#include <hwloc.h>
#include <stdio.h>
#include <string.h>

static tw_status no_memory(void) { return tw_fail(TW_ERR_MEMORY, "out of memory for the machine's topology"); }

// ---- the machine

// Backends that start GPU drivers of their own are left out.
static tw_status load_machine(hwloc_topology_t *out) {
  static const char *const unwanted[] = {"cuda", "nvml", "opencl", "gl", "rsmi", "levelzero"};
  *out = NULL;
  if (hwloc_topology_init(out) != 0) return no_memory();
  for (size_t i = 0; i < sizeof unwanted / sizeof *unwanted; i++)
    hwloc_topology_set_components(*out, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, unwanted[i]);
  hwloc_topology_set_flags(*out, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
  hwloc_topology_set_io_types_filter(*out, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
  if (hwloc_topology_load(*out) == 0) return TW_OK;
  hwloc_topology_destroy(*out);
  *out = NULL;
  return tw_fail(TW_ERR_INTERNAL, "hwloc cannot read this machine's topology; use --affinity none");
}

// Cores on which the system lets this process run; all of them where it does not tell.
static void find_given(tw_placement *p) {
  if (hwloc_get_cpubind(p->topology, p->given, HWLOC_CPUBIND_PROCESS) != 0)
    hwloc_bitmap_copy(p->given, hwloc_topology_get_topology_cpuset(p->topology));
  hwloc_bitmap_and(p->given, p->given, hwloc_topology_get_allowed_cpuset(p->topology));
}

// ---- near the GPU

static void keep_near(tw_placement *p, hwloc_obj_t place) {
  hwloc_bitmap_t near = hwloc_bitmap_dup(p->given);
  if (!near) return;
  if (place) hwloc_bitmap_and(near, near, place->cpuset);
  if (!hwloc_bitmap_iszero(near)) hwloc_bitmap_copy(p->cores, near);
  hwloc_bitmap_free(near);
}

static void find_gpu(tw_placement *p, const char *bus_id) {
  snprintf(p->gpu, sizeof p->gpu, "%s", bus_id ? bus_id : "");
  hwloc_obj_t gpu = bus_id ? hwloc_get_pcidev_by_busidstring(p->topology, bus_id) : NULL;
  hwloc_obj_t place = gpu ? hwloc_get_non_io_ancestor_obj(p->topology, gpu) : NULL;
  p->gpu_found = place != NULL;
  if (place) keep_near(p, place);
}

static void find_cards(tw_placement *p) {
  size_t used = 0;
  p->cards[0] = '\0';
  for (hwloc_obj_t o = NULL; (o = hwloc_get_next_osdev(p->topology, o)) != NULL;) {
    if (o->attr->osdev.type != HWLOC_OBJ_OSDEV_NETWORK && o->attr->osdev.type != HWLOC_OBJ_OSDEV_OPENFABRICS) continue;
    hwloc_obj_t place = hwloc_get_non_io_ancestor_obj(p->topology, o);
    if (!place || !hwloc_bitmap_intersects(place->cpuset, p->cores) || !o->name) continue;
    if (used + strlen(o->name) + 3 > sizeof p->cards) return;
    used += (size_t)snprintf(p->cards + used, sizeof p->cards - used, "%s%s", used ? ", " : "", o->name);
  }
}

static void find_nodes(tw_placement *p) { hwloc_cpuset_to_nodeset(p->topology, p->cores, p->nodes); }

static tw_status find(tw_placement *p, const char *given, const char *bus_id) {
  p->given = hwloc_bitmap_alloc();
  p->cores = hwloc_bitmap_alloc();
  p->nodes = hwloc_bitmap_alloc();
  if (!p->given || !p->cores || !p->nodes) return no_memory();
  if (given && hwloc_bitmap_list_sscanf(p->given, given) != 0)
    return tw_fail(TW_ERR_INTERNAL, "'%s' is no list of cores", given);
  if (!given) find_given(p);
  if (hwloc_bitmap_iszero(p->given)) return tw_fail(TW_ERR_INTERNAL, "this process may run on no core of the machine");
  p->restricted = !hwloc_bitmap_isequal(p->given, hwloc_topology_get_topology_cpuset(p->topology));
  hwloc_bitmap_copy(p->cores, p->given);
  find_gpu(p, bus_id);
  find_nodes(p);
  find_cards(p);
  return TW_OK;
}

tw_status tw_placement_find(const char *gpu_pci_bus_id, tw_placement *p) {
  *p = (tw_placement){.topology = NULL};
  TW_TRY(load_machine(&p->topology));
  return find(p, NULL, gpu_pci_bus_id);
}

tw_status tw_placement_find_in(struct hwloc_topology *topology, const char *given, const char *gpu_pci_bus_id,
                               tw_placement *p) {
  *p = (tw_placement){.topology = topology};
  return find(p, given, gpu_pci_bus_id);
}

void tw_placement_free(tw_placement *p) {
  hwloc_bitmap_free(p->given);
  hwloc_bitmap_free(p->cores);
  hwloc_bitmap_free(p->nodes);
  if (p->topology) hwloc_topology_destroy(p->topology);
  *p = (tw_placement){.topology = NULL};
}

void tw_placement_cores(const tw_placement *p, char *text, size_t size) {
  hwloc_bitmap_list_snprintf(text, size, p->cores);
}

// ---- two parties on one host

static int count_of(const tw_placement *p, hwloc_obj_type_t type) {
  int count = 0;
  for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(p->topology, type, o)) != NULL;)
    count += hwloc_bitmap_intersects(o->cpuset, p->cores);
  return count;
}

// The first or second half of the objects of a type that the cores touch; false when it has no cores of its own.
static bool take_half(tw_placement *p, hwloc_obj_type_t type, int index) {
  int count = count_of(p, type), at = 0;
  hwloc_bitmap_t half = hwloc_bitmap_alloc();
  if (count < 2 || !half) {
    hwloc_bitmap_free(half);
    return false;
  }
  for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(p->topology, type, o)) != NULL;)
    if (hwloc_bitmap_intersects(o->cpuset, p->cores) && (at++ >= (count + 1) / 2) == index)
      hwloc_bitmap_or(half, half, o->cpuset);
  hwloc_bitmap_and(half, half, p->cores);
  hwloc_bitmap_copy(p->cores, half);
  hwloc_bitmap_free(half);
  return true;
}

void tw_placement_halve(tw_placement *p, int index) {
  static const hwloc_obj_type_t kinds[] = {HWLOC_OBJ_NUMANODE, HWLOC_OBJ_CORE, HWLOC_OBJ_PU};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (take_half(p, kinds[i], index)) break;
  find_nodes(p);
  find_cards(p);
}

// ---- binding

void tw_placement_bind(tw_placement *p) {
  p->bound = hwloc_set_cpubind(p->topology, p->cores, HWLOC_CPUBIND_PROCESS) == 0;
  // without STRICT: other nodes serve when these are full
  p->memory_bound = p->bound && hwloc_set_membind(p->topology, p->nodes, HWLOC_MEMBIND_BIND,
                                                  HWLOC_MEMBIND_THREAD | HWLOC_MEMBIND_BYNODESET) == 0;
}

void tw_placement_text(const tw_placement *p, char *text, size_t size) {
  char cores[64], given[48], nodes[24];
  hwloc_bitmap_list_snprintf(cores, sizeof cores, p->cores);
  hwloc_bitmap_list_snprintf(given, sizeof given, p->given);
  hwloc_bitmap_list_snprintf(nodes, sizeof nodes, p->nodes);
  int all = hwloc_get_nbobjs_by_type(p->topology, HWLOC_OBJ_PU);
  snprintf(text, size, "cores %s of %d, memory node %s%s%s%s%s%s%s%s; %s", cores, all, nodes,
           *p->gpu ? (p->gpu_found ? "; near GPU " : "; unknown place of GPU ") : "", p->gpu,
           *p->cards ? "; network " : "", p->cards, p->restricted ? "; given " : "", p->restricted ? given : "",
           p->restricted ? " by launcher or system" : "",
           !p->bound         ? "not bound"
           : p->memory_bound ? "bound"
                             : "bound, memory is not");
}
