// Two sites in one process, each driven by a thread, with socket pairs between them.
#ifndef TW_TEST_TWO_SITES_H
#define TW_TEST_TWO_SITES_H

#include "comm/link.h"
#include "tests/common/scratch.h"

enum { MOST_LINES = 8 };

// A site with its folder; end with leave_site.
tw_site make_site(const char *name, tw_site_role role, int64_t from_now, int64_t until_now);
// The site's public file, as the other one has it.
tw_peer file_of(const char *name);

// One end of a meeting, and what became of it.
typedef struct {
  tw_tls_identity who;
  tw_lines lines;
  int party;
  bool answers;
  int fds[MOST_LINES], used;  // -1: the connection does not come
  double silence;
  uint64_t rekey_bytes;
  tw_channel *channel;
  tw_status status;
  char message[512];
} site_end;

// Two good ends: sites s0 and s1, made when they are first asked for, socket pairs between them; party 0 answers.
void two_ends(site_end ends[2], uint32_t streams);
// Both meet. The sockets belong to them.
void meet_ends(site_end ends[2]);
void part_ends(site_end ends[2]);
// One end alone, in the caller's thread.
void meet_alone(site_end *end);
// All that there is of made sites.
int two_sites_close(void);

#endif
