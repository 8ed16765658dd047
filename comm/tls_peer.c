#include "comm/tls_peer.h"

#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static tw_status judge(const tw_peer *seen, const tw_peer *expected, int *error) {
  *error = memcmp(seen->pin, expected->pin, TW_PIN_BYTES) != 0 ? X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
                                                               : X509_V_ERR_INVALID_PURPOSE;
  TW_TRY(tw_peer_check_same(expected, seen));
  *error = X509_V_ERR_CERT_HAS_EXPIRED;
  return tw_peer_check_time(seen, (int64_t)time(NULL));
}

// The one with this key; of one alone the caller hears in what it differs.
static tw_status find(const tw_peer *seen, const tw_peer *expected, int count, int *which, int *error) {
  *which = 0;
  while (*which < count && memcmp(seen->pin, expected[*which].pin, TW_PIN_BYTES) != 0) (*which)++;
  if (*which == count && count > 1) {
    *error = X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT;
    return tw_fail(TW_ERR_IDENTITY, "what connected (%s, it says) has a key that is none of those that may come",
                   tw_site_role_name(seen->role));
  }
  if (*which == count) *which = 0;
  return judge(seen, &expected[*which], error);
}

int tw_peer_judge(X509 *certificate, const tw_peer *expected, int count, int *which, tw_peer_verdict *out) {
  tw_peer seen = {.file = NULL};
  int error = X509_V_ERR_INVALID_PURPOSE;
  out->refused = false;
  tw_status status = certificate ? tw_peer_of_certificate(certificate, &seen)
                                 : tw_fail(TW_ERR_IDENTITY, "the other side has no certificate");
  if (status == TW_OK) status = find(&seen, expected, count, which, &error);
  tw_peer_free(&seen);
  if (status == TW_OK) return X509_V_OK;
  out->refused = true;
  snprintf(out->reason, sizeof out->reason, "%s", tw_error_message());
  return error;
}
