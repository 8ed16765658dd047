#define _GNU_SOURCE
#include "io/host.h"

#include <hdf5.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io/result.h"

static void copy(char *text, size_t size, const char *from) { snprintf(text, size, "%s", from ? from : ""); }

void tw_host_time(char *text, size_t size) {
  time_t now = time(NULL);
  struct tm utc;
  gmtime_r(&now, &utc);
  if (strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0 && size) text[0] = '\0';
}

void tw_host_name(char *text, size_t size) {
  char name[256] = "";
  if (gethostname(name, sizeof name - 1) != 0) strcpy(name, "unknown");
  copy(text, size, name);
}

static void host_user(char *text, size_t size) {
  struct passwd entry, *found = NULL;
  char room[4096];
  if (getpwuid_r(geteuid(), &entry, room, sizeof room, &found) == 0 && found)
    copy(text, size, found->pw_name);
  else
    snprintf(text, size, "uid %u", (unsigned)geteuid());
}

void tw_host_job(char *text, size_t size) {
  const char *job = getenv("SLURM_JOB_ID");
  copy(text, size, job ? job : getenv("PBS_JOBID"));
}

// x86 calls it "model name", others "Model", "cpu" or nothing at all.
static void cpu_model(char *text, size_t size) {
  copy(text, size, "unknown");
  FILE *file = fopen("/proc/cpuinfo", "r");
  if (!file) return;
  char line[512];
  while (fgets(line, sizeof line, file)) {
    char *colon = strchr(line, ':');
    if (!colon || (strncmp(line, "model name", 10) != 0 && strncmp(line, "Model", 5) != 0)) continue;
    colon += 1 + strspn(colon + 1, " \t");
    colon[strcspn(colon, "\r\n")] = '\0';
    copy(text, size, colon);
    break;
  }
  fclose(file);
}

void tw_environment_collect(tw_environment *env) {
  *env = (tw_environment){0};
  tw_host_name(env->host, sizeof env->host);
  host_user(env->user, sizeof env->user);
  tw_host_job(env->job, sizeof env->job);
  tw_host_time(env->started, sizeof env->started);
  cpu_model(env->cpu, sizeof env->cpu);
  copy(env->software, sizeof env->software, "twain " TWAIN_VERSION);
  unsigned major, minor, release;
  if (H5get_libversion(&major, &minor, &release) >= 0)
    snprintf(env->hdf5, sizeof env->hdf5, "%u.%u.%u", major, minor, release);
}
