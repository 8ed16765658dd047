#include "comm/link.h"

#include "comm/channels.h"

tw_status tw_link_open(const tw_link_spec *spec, int party, tw_channel **out) {
  *out = NULL;
  if (spec->carrier == TW_LINK_STREAM)
    TW_TRY(tw_channel_stream(&spec->stream, party, spec->silence_seconds, out));
  else if (spec->carrier == TW_LINK_TLS)
    TW_TRY(tw_channel_tls(spec->meeting, party, spec->silence_seconds, spec->deadline_ns, out));
  else
    TW_TRY(tw_channel_mpi(spec->silence_seconds, out));
  (*out)->deadline_ns = spec->deadline_ns;
  if (party < 0 || party == (*out)->party) return TW_OK;
  tw_status status = tw_fail(TW_ERR_USAGE, "party %d: MPI makes this process party %d; start the parties in that order",
                             party, (*out)->party);
  tw_channel_destroy(*out);
  *out = NULL;
  return status;
}

tw_status tw_link_emulate(tw_channel *inner, const tw_link_profile *profile, tw_channel **out) {
  return tw_channel_link(inner, profile, out);
}
