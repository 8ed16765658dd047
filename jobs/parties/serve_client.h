// One party at a live dealer, from its handshake to its last chunk.
#ifndef TW_SERVE_CLIENT_H
#define TW_SERVE_CLIENT_H

#include "comm/tls.h"
#include "jobs/parties/live_runs.h"

// What all connections share.
typedef struct {
  const tw_plan *plan;
  const tw_id *model_id;
  const tw_site_pairs *pairs;
  tw_live_runs *runs;
  double silence_seconds;
} tw_serve_house;

// Takes fd. text: what became of it, one line. False: it was nobody who may come.
bool tw_serve_client(const tw_serve_house *house, tw_tls_context *context, int fd, char *text, size_t size);

#endif
