// Whether a certificate that came over a line is the peer's.
#ifndef TW_TLS_PEER_H
#define TW_TLS_PEER_H

#include <stdbool.h>

#include "base/site.h"

typedef struct {
  bool refused;
  char reason[400];
} tw_peer_verdict;

// X509_V_OK, and *which of the `count` expected ones it is; or the error that OpenSSL turns into the alert for the
// other end, with the reason for this one. Public key, then role, then time of validity: each alone is enough to
// refuse.
int tw_peer_judge(X509 *certificate, const tw_peer *expected, int count, int *which, tw_peer_verdict *out);

#endif
