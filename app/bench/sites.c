#define _GNU_SOURCE
#include "app/bench/sites.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void path_in(const tw_bench_sites *s, int i, const char *file, char out[96]) {
  snprintf(out, 96, "%s/%d%s%s", s->folder, i, *file ? "/" : "", file);
}

void tw_bench_sites_forget(tw_bench_sites *s) {
  static const char *const files[] = {"site.key", "seal.key", "site.pem"};
  char path[96];
  for (int k = 0; k < s->count; k++) {
    tw_site_free(&s->site[k]);
    tw_peer_free(&s->file[k]);
    for (int i = 0; i < 3; i++) {
      path_in(s, k, files[i], path);
      unlink(path);
    }
    path_in(s, k, "", path);
    rmdir(path);
  }
  if (*s->folder) rmdir(s->folder);
  *s->folder = '\0';
  s->count = 0;
}

tw_status tw_bench_sites_make(tw_bench_sites *s, int count) {
  static const tw_site_role roles[TW_BENCH_SITES] = {TW_SITE_PARTY_0, TW_SITE_PARTY_1, TW_SITE_DEALER};
  int64_t now = (int64_t)time(NULL);
  char path[96];
  snprintf(s->folder, sizeof s->folder, "/tmp/twain-bench-XXXXXX");
  if (!mkdtemp(s->folder)) {
    *s->folder = '\0';
    return tw_fail(TW_ERR_IO, "/tmp: no folder can be made there");
  }
  s->count = count;
  for (int i = 0; i < TW_BENCH_SITES && i < count; i++) {
    path_in(s, i, "", path);
    TW_TRY(tw_site_create(path, roles[i], now - 60, now + 86400));
    TW_TRY(tw_site_load(path, &s->site[i]));
    path_in(s, i, "site.pem", path);
    TW_TRY(tw_peer_load(path, &s->file[i]));
  }
  return TW_OK;
}
