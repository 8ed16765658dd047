#include "tests/comm/two_sites.h"

#include <CUnit/Basic.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

static tw_site sites[2];
static tw_peer files[2];
static bool made;

tw_site make_site(const char *name, tw_site_role role, int64_t from_now, int64_t until_now) {
  tw_site site;
  int64_t now = (int64_t)time(NULL);
  tw_seeds_may_be_unlocked();
  CU_ASSERT_EQUAL_FATAL(tw_site_create(in_folder(name), role, now + from_now, now + until_now), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_site_load(in_folder(name), &site), TW_OK);
  return site;
}

tw_peer file_of(const char *name) {
  char path[64];
  tw_peer peer;
  snprintf(path, sizeof path, "%s/site.pem", name);
  CU_ASSERT_EQUAL_FATAL(tw_peer_load(in_folder(path), &peer), TW_OK);
  return peer;
}

void two_ends(site_end ends[2], uint32_t streams) {
  for (int party = 0; party < 2 && !made; party++) {
    sites[party] = make_site(party ? "s1" : "s0", party ? TW_SITE_PARTY_1 : TW_SITE_PARTY_0, -3600, 3600);
    files[party] = file_of(party ? "s1" : "s0");
  }
  made = true;
  for (int party = 0; party < 2; party++)
    ends[party] = (site_end){.who = {.own = &sites[party], .peer = &files[1 - party]},
                             .lines = {0, 1, streams},
                             .party = party,
                             .answers = party == 0,
                             .silence = 20};
  for (uint32_t k = 0; k < 2 * streams; k++) {
    int fds[2];
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    for (int party = 0; party < 2; party++) ends[party].fds[k] = fds[party];
  }
}

static tw_status next(void *state, uint64_t until_ns, int *fd) {
  site_end *e = state;
  *fd = e->fds[e->used];
  while (e->answers && *fd < 0 && tw_clock_ns() < until_ns) nanosleep(&(struct timespec){0, 1000000}, NULL);
  if (*fd < 0) return tw_fail(TW_ERR_PEER, "no further connection");
  e->fds[e->used++] = -1;
  return TW_OK;
}

void meet_alone(site_end *e) {
  tw_meeting meeting = {.who = e->who,
                        .lines = e->lines,
                        .answers = e->answers,
                        .next = next,
                        .state = e,
                        .wait_seconds = 5,
                        .rekey_bytes = e->rekey_bytes};
  tw_link_spec spec = {.carrier = TW_LINK_TLS, .meeting = &meeting, .silence_seconds = e->silence};
  e->status = tw_link_open(&spec, e->party, &e->channel);
  if (e->status != TW_OK) snprintf(e->message, sizeof e->message, "%s", tw_error_message());
  for (int k = e->used; e->status != TW_OK && k < MOST_LINES; k++) {
    if (e->fds[k] > 0) close(e->fds[k]);
    e->fds[k] = -1;
  }
}

static void *meet_one(void *argument) {
  meet_alone(argument);
  return NULL;
}

void meet_ends(site_end ends[2]) {
  pthread_t thread;
  pthread_create(&thread, NULL, meet_one, &ends[1]);
  meet_alone(&ends[0]);
  pthread_join(thread, NULL);
}

static void *part_one(void *argument) {
  tw_channel_destroy(((site_end *)argument)->channel);
  return NULL;
}

void part_ends(site_end ends[2]) {
  pthread_t thread;
  pthread_create(&thread, NULL, part_one, &ends[1]);
  part_one(&ends[0]);
  pthread_join(thread, NULL);
}

int two_sites_close(void) {
  for (int party = 0; party < 2 && made; party++) {
    tw_site_free(&sites[party]);
    tw_peer_free(&files[party]);
  }
  made = false;
  return scratch_close();
}
