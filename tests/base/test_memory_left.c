// Memory that is left, read from a /proc and a /sys of files: control groups of both versions, in one another, in a
// container that does not see its path, with page cache that can be dropped; and this process's own limit.
#define _GNU_SOURCE
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory_left.h"
#include "tests/common/suite.h"

static char root[] = "/tmp/twain-left-XXXXXX";

// text into root/path, whose folders are made.
static void put(const char *path, const char *text) {
  char full[512];
  snprintf(full, sizeof full, "%s%s", root, path);
  for (char *slash = full + sizeof root; (slash = strchr(slash, '/')); *slash++ = '/') {
    *slash = '\0';
    mkdir(full, 0700);
  }
  FILE *file = fopen(full, "w");
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  fputs(text, file);
  fclose(file);
}

static int drop(const char *path, const struct stat *info, int type, struct FTW *place) {
  (void)info, (void)type, (void)place;
  return remove(path);
}

static void fresh(void) {
  enum { OPEN = 8 };
  nftw(root, drop, OPEN, FTW_DEPTH | FTW_PHYS);
  CU_ASSERT_EQUAL(mkdir(root, 0700), 0);
}

static void expect(int64_t bytes, const char *what) {
  const tw_memory_left left = tw_memory_left_for_all(root);
  CU_ASSERT_EQUAL(left.bytes, bytes);
  CU_ASSERT_PTR_NOT_NULL(strstr(left.what, what));
}

static void nothing_known(void) {
  fresh();
  expect(-1, "");
  put("/proc/meminfo", "MemTotal: 4000 kB\nMemFree: 1 kB\nMemAvailable:    3000 kB\n");
  expect(3000 * 1024, "the machine");
}

static void version_two(void) {
  fresh();
  put("/proc/meminfo", "MemAvailable: 3000 kB\n");
  put("/proc/self/cgroup", "0::/slurm/job_7/step_0\n");
  put("/sys/fs/cgroup/slurm/job_7/step_0/memory.max", "max\n");
  put("/sys/fs/cgroup/slurm/job_7/step_0/memory.current", "500000\n");
  expect(3000 * 1024, "the machine");
  put("/sys/fs/cgroup/slurm/job_7/memory.max", "1000000\n");
  put("/sys/fs/cgroup/slurm/job_7/memory.current", "900000\n");
  expect(100000, "/slurm/job_7 (a batch system's --mem)");
  put("/sys/fs/cgroup/slurm/job_7/memory.stat", "anon 1\ninactive_file 250000\nactive_file 77\n");
  expect(350000, "/slurm/job_7");
  put("/sys/fs/cgroup/slurm/memory.max", "1000\n");  // less than is taken: nothing is left
  put("/sys/fs/cgroup/slurm/memory.current", "2000\n");
  expect(0, "/slurm (");
}

// Its own path is the host's, and only the root is there.
static void container(void) {
  fresh();
  put("/proc/meminfo", "MemAvailable: 3000 kB\n");
  put("/proc/self/cgroup", "0::/../../docker/abc\n");
  put("/sys/fs/cgroup/memory.max", "2000000\n");
  put("/sys/fs/cgroup/memory.current", "1500000\n");
  expect(500000, "control group /");
  put("/proc/self/cgroup", "0::/\n");
  expect(500000, "control group /");
}

static void version_one(void) {
  fresh();
  put("/proc/meminfo", "MemAvailable: 3000 kB\n");
  put("/proc/self/cgroup", "5:cpu,memory:/uid_0/job_9\n3:cpuset:/other\n0::/\n");
  put("/sys/fs/cgroup/memory/uid_0/job_9/memory.limit_in_bytes", "800000\n");
  put("/sys/fs/cgroup/memory/uid_0/job_9/memory.usage_in_bytes", "600000\n");
  put("/sys/fs/cgroup/memory/uid_0/job_9/memory.stat", "inactive_file 1\ntotal_inactive_file 100000\n");
  put("/sys/fs/cgroup/memory/other/memory.limit_in_bytes", "1\n");
  put("/sys/fs/cgroup/memory/other/memory.usage_in_bytes", "1\n");
  put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");  // how it says: no limit
  put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "700000\n");
  expect(300000, "/uid_0/job_9");
}

static void own_limit(void) {
  struct rlimit before, now;
  CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_AS, &before), 0);
  int64_t size = tw_read_kilobytes("/proc/self/status", "VmSize");
  CU_ASSERT_TRUE(size > 0 && tw_memory_held() > 0 && tw_memory_held() <= size);
  now = before;
  now.rlim_cur = (rlim_t)size + (256u << 20);
  if (before.rlim_max != RLIM_INFINITY && now.rlim_cur > before.rlim_max) return;
  CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_AS, &now), 0);
  const tw_memory_left left = tw_memory_left_for_one();
  setrlimit(RLIMIT_AS, &before);
  CU_ASSERT_TRUE(left.bytes > 200 << 20 && left.bytes <= 257 << 20);
  CU_ASSERT_PTR_NOT_NULL(strstr(left.what, "ulimit -v"));
  if (before.rlim_cur == RLIM_INFINITY) CU_ASSERT_EQUAL(tw_memory_left_for_one().bytes, -1);
}

static void begin(void) { CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(root)); }

static void end(void) {
  fresh();
  rmdir(root);
}

SUITE_MAIN("memory that is left", {"a folder", begin}, {"the machine's", nothing_known},
           {"groups of version 2", version_two}, {"in a container", container}, {"groups of version 1", version_one},
           {"a process's limit", own_limit}, {"no folder", end})
