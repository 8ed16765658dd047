#define _GNU_SOURCE
#include "jobs/parties/machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory_left.h"
#include "kernels/device.h"

// ---- cores

enum { MOST_CORES = 8192 };

typedef union {
  cpu_set_t set;
  uint8_t bytes[MOST_CORES / 8];
} core_set;

static bool has(const core_set *s, int core) { return CPU_ISSET_S((size_t)core, sizeof s->bytes, &s->set); }

static int count_of(const core_set *s) { return CPU_COUNT_S(sizeof s->bytes, &s->set); }

// Where the system does not tell: none, of which nothing is said.
static void find_cores(core_set *s) {
  memset(s, 0, sizeof *s);
  if (sched_getaffinity(0, sizeof s->bytes, &s->set) != 0) memset(s, 0, sizeof *s);
}

static void list_cores(const core_set *s, char *text, size_t size) {
  size_t used = 0;
  text[0] = '\0';
  for (int first = 0, last; first < MOST_CORES && used + 16 < size; first = last + 1) {
    last = first;
    if (!has(s, first)) continue;
    while (last + 1 < MOST_CORES && has(s, last + 1)) last++;
    used +=
        (size_t)snprintf(text + used, size - used, first == last ? "%s%d" : "%s%d-%d", used ? "," : "", first, last);
  }
}

// ---- who else uses them

static void add_reason(tw_machine *m, const char *reason) {
  size_t used = strlen(m->shared);
  snprintf(m->shared + used, sizeof m->shared - used, "%s%s", used ? "; " : "", reason);
}

static int least(int a, int b) { return a < b ? a : b; }

static void compare_parties(tw_machine *m, const core_set *mine, const core_set *theirs) {
  char text[200], list[96];
  core_set both;
  // NOLINTNEXTLINE: all of a set is filled, by the system or by the other party
  CPU_AND_S(sizeof both.bytes, &both.set, &mine->set, &theirs->set);
  int together = count_of(mine) + count_of(theirs) - count_of(&both);
  if (count_of(&both) == 0) return;
  if (together >= 2 * m->threads && count_of(mine) > m->threads) return;  // not bound, and there is room for both
  list_cores(&both, list, sizeof list);
  snprintf(text, sizeof text, "both parties run on %s %s", count_of(&both) == 1 ? "core" : "cores", list);
  add_reason(m, text);
}

static void compare_threads(tw_machine *m) {
  char text[80];
  if (m->core_count == 0 || m->threads <= m->core_count) return;
  snprintf(text, sizeof text, "%d threads have %d core%s", m->threads, m->core_count, m->core_count == 1 ? "" : "s");
  add_reason(m, text);
}

// used: cores that this job keeps busy on this host. An average of less than half a process is noise, or what this
// job's forerunner left.
static void compare_load(tw_machine *m, int used) {
  char text[120];
  double load;
  int all = (int)sysconf(_SC_NPROCESSORS_ONLN), left = all > used ? all - used : 0;
  if (getloadavg(&load, 1) != 1 || load <= left + 0.5) return;
  snprintf(text, sizeof text, "the load was %.1f before, and %d of %d cores are left to others", load, left, all);
  add_reason(m, text);
}

tw_status tw_machine_look(tw_channel *channel, const tw_hardware *hardware, int threads, tw_machine *out) {
  core_set mine, theirs;
  *out = (tw_machine){.threads = threads};
  find_cores(&mine);
  list_cores(&mine, out->cores, sizeof out->cores);
  out->core_count = count_of(&mine);
  bool one_host = hardware && hardware->pair.one_host;
  int used = least(threads, out->core_count);
  if (channel) TW_TRY(tw_channel_exchange(channel, &mine, &theirs, sizeof mine));
  if (one_host) {
    used += least(threads, count_of(&theirs));
    compare_parties(out, &mine, &theirs);
  }
  compare_threads(out);
  compare_load(out, used);
  return hardware && hardware->device == TW_DEVICE_CUDA ? tw_machine_look_at_gpu(out) : TW_OK;
}

void tw_machine_warn(const tw_listener *to, const tw_machine *m) {
  if (*m->shared) tw_warn(to, "WARNING: cores are shared: %s; times are longer than on cores of their own", m->shared);
}

// ---- GPU

tw_status tw_machine_look_at_gpu(tw_machine *m) {
#ifdef TWAIN_CUDA
  uint64_t left;
  TW_TRY(tw_device_describe(m->gpu, sizeof m->gpu, &left));
  tw_device_cuda_version(m->cuda);
  FILE *file = fopen("/sys/module/nvidia/version", "r");
  if (!file) return TW_OK;
  if (!fgets(m->driver, sizeof m->driver, file)) m->driver[0] = '\0';
  m->driver[strcspn(m->driver, "\n")] = '\0';
  fclose(file);
#else
  m->gpu[0] = '\0';
#endif
  return TW_OK;
}

// ---- memory

int64_t tw_machine_memory_left(void) { return tw_memory_left_for_all("").bytes; }

// VmHWM, not getrusage: that one begins with what mpirun held when it started this process.
int64_t tw_machine_memory_peak(void) { return tw_read_kilobytes("/proc/self/status", "VmHWM"); }

int64_t tw_machine_gpu_memory_peak(void) {
#ifdef TWAIN_CUDA
  return tw_device_memory_peak();
#else
  return -1;
#endif
}

bool tw_machine_reset_peaks(void) {
#ifdef TWAIN_CUDA
  tw_device_memory_reset_peak();
#endif
  FILE *file = fopen("/proc/self/clear_refs", "w");
  if (!file) return false;
  bool written = fputs("5", file) >= 0;
  return fclose(file) == 0 && written;
}
