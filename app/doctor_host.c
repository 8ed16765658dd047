#define _GNU_SOURCE
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/doctor.h"
#include "app/show/print.h"
#include "base/memory_left.h"
#include "jobs/parties/machine.h"
#include "kernels/device.h"
#include "kernels/isa.h"

void tw_doctor_program(tw_doctor *d) {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  bool same = major == H5_VERS_MAJOR && minor == H5_VERS_MINOR;
  tw_doctor_say(d, same ? TW_FINE : TW_BAD, "HDF5", "load the HDF5 that twain was built with, or build it anew",
                "%u.%u.%u, built with %d.%d.%d", major, minor, release, H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE);
}

// ---- cores

void tw_doctor_cores(tw_doctor *d) {
  enum { THREADS = 2 };  // of a party
  tw_machine machine;
  if (tw_machine_look(NULL, NULL, THREADS, &machine) != TW_OK) {
    tw_doctor_say_error(d, TW_NOTE, "cores");
    return;
  }
  const char *isa = tw_isa_name(tw_isa_active());
  if (*machine.shared)
    tw_doctor_say(d, TW_NOTE, "cores",
                  "times are longer than on cores of their own: ask for two cores a party at least", "%s (%d), %s; %s",
                  machine.cores, machine.core_count, isa, machine.shared);
  else
    tw_doctor_say(d, TW_FINE, "cores", NULL, "%s (%d), %s", machine.cores, machine.core_count, isa);
}

// ---- memory

static bool first_line(const char *path, char *text, int size) {
  FILE *file = fopen(path, "r");
  bool read = file && fgets(text, size, file);
  if (file) fclose(file);
  if (read) text[strcspn(text, "\n")] = '\0';
  return read;
}

static void locked_memory(tw_doctor *d) {
  enum { SEEDS = 512 << 10 };  // with the stacks of ciphers, for hundreds of sequences
  struct rlimit limit;
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return;
  void *pages = mmap(NULL, SEEDS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  bool locks = pages != MAP_FAILED && mlock(pages, SEEDS) == 0;
  if (pages != MAP_FAILED) munmap(pages, SEEDS);
  bool unlimited = limit.rlim_cur == RLIM_INFINITY;
  tw_doctor_say(d, locks ? TW_FINE : TW_BAD, "memlock",
                "raise RLIMIT_MEMLOCK: limits.conf, LimitMEMLOCK of the unit, or PropagateResourceLimitsExcept=MEMLOCK "
                "under Slurm (docs/operating.md)",
                "%s may be locked; seeds need %s", unlimited ? "all memory" : tw_text_bytes((double)limit.rlim_cur),
                tw_text_bytes(SEEDS));
}

static void swap(tw_doctor *d) {
  char line[256];
  int areas = 0;
  FILE *file = fopen("/proc/swaps", "r");
  if (!file) return;
  while (fgets(line, sizeof line, file)) areas++;
  fclose(file);
  tw_doctor_say(d, areas > 1 ? TW_NOTE : TW_FINE, "swap", "switch it off, or encrypt it: keys and shares may reach it",
                areas > 1 ? "is on" : "is off");
}

static void pages(tw_doctor *d) {
  char mode[64];
  if (!first_line("/sys/kernel/mm/transparent_hugepage/enabled", mode, sizeof mode)) {
    tw_doctor_say(d, TW_FINE, "hugepages", NULL, "not said by this system");
    return;
  }
  tw_doctor_say(d, strstr(mode, "[always]") ? TW_FINE : TW_NOTE, "hugepages",
                "as root: echo always > /sys/kernel/mm/transparent_hugepage/enabled, if the site's other jobs bear it",
                "%s: large arrays lie on %s pages", mode, strstr(mode, "[always]") ? "huge" : "small");
}

// The narrower of what this process and what all here may take.
static void memory_left(tw_doctor *d) {
  enum { LEAST = 1 << 30 };
  const tw_memory_left one = tw_memory_left_for_one(), all = tw_memory_left_for_all("");
  const tw_memory_left *left = one.bytes >= 0 && (all.bytes < 0 || one.bytes < all.bytes) ? &one : &all;
  if (left->bytes < 0) return;
  tw_doctor_say(d, left->bytes < LEAST ? TW_NOTE : TW_FINE, "memory",
                "ask for more (--mem of Slurm, memory.max of a control group, ulimit -v): twain plan NAME forecasts a "
                "run's",
                "%s are left, says %s", tw_text_bytes((double)left->bytes), left->what);
}

void tw_doctor_memory(tw_doctor *d) {
  locked_memory(d);
  swap(d);
  pages(d);
  memory_left(d);
}

// ---- GPUs

#ifdef TWAIN_CUDA
static void describe_gpu(tw_doctor *d, int gpu, const char (*bus)[16], int count) {
  char name[64], reaches[256] = "", driver[64] = "not known";
  uint64_t left = 0;
  int lost = 0;
  if (tw_device_select(gpu) != TW_OK || tw_device_describe(name, sizeof name, &left) != TW_OK) {
    tw_doctor_say_error(d, TW_BAD, "GPU");
    return;
  }
  for (int other = 0; other < count; other++) {
    if (other == gpu) continue;
    bool reached = tw_device_reaches(bus[other]) == 1;
    size_t used = strlen(reaches);
    lost += !reached;
    snprintf(reaches + used, sizeof reaches - used, "%s%d %s", used ? ", " : "; GPU ", other,
             reached ? "reached" : "not");
  }
  first_line("/sys/module/nvidia/version", driver, sizeof driver);
  tw_doctor_say(d, lost ? TW_NOTE : TW_FINE, "GPU",
                "parties on these two exchange through the host's memory (--transport): choose others, or look at "
                "`nvidia-smi topo -m` and IOMMU settings",
                "%d: %s at %s, driver %s, %s free%s", gpu, name, bus[gpu], driver, tw_text_bytes((double)left),
                reaches);
}
#endif

void tw_doctor_gpus(tw_doctor *d) {
  bool nodes = access("/dev/nvidiactl", F_OK) == 0;
#ifdef TWAIN_CUDA
  enum { MOST = 16 };
  char bus[MOST][16] = {""};
  int count = tw_device_count();
  if (count > MOST) count = MOST;
  for (int gpu = 0; gpu < count; gpu++)
    if (tw_device_select(gpu) != TW_OK || tw_device_pci(bus[gpu]) != TW_OK) bus[gpu][0] = '\0';
  for (int gpu = 0; gpu < count; gpu++) describe_gpu(d, gpu, (const char(*)[16])bus, count);
  if (count == 0)
    tw_doctor_say(d, nodes ? TW_BAD : TW_FINE, "GPU",
                  "the driver does not give it to this process: ask the batch system for one (--gpus-per-task=1), or "
                  "update the driver",
                  nodes ? "there is one, and none can be used" : "none; parties compute on cores");
#else
  tw_doctor_say(d, nodes ? TW_NOTE : TW_FINE, "GPU", "build with nvcc on PATH (-DTWAIN_CUDA=ON) to use it",
                nodes ? "there is one, and this twain is built for cores only" : "none; built for cores");
#endif
}
