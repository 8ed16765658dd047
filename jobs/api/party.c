// A party's side of the library: the link to the other party, and the run.
#include "jobs/parties/party.h"

#include <stddef.h>
#include <string.h>

#include "base/memory.h"
#include "comm/link.h"
#include "jobs/api/api.h"

// ---- the link

static tw_status open_link(const tw_link_spec *spec, int party, twain_link **out) {
  twain_link *link;
  TW_TRY(tw_alloc(sizeof *link, (void **)&link));
  link->mpi = spec->carrier == TW_LINK_MPI;
  tw_status status = tw_link_open(spec, party, &link->channel);
  if (status == TW_OK)
    *out = link;
  else
    tw_free(link);
  return status;
}

static tw_status open_stream(const twain_stream *stream, int party, double silence, twain_link **out) {
  TW_TRY(tw_api_given(out, "link"));
  *out = NULL;
  TW_TRY(tw_api_given(stream, "stream"));
  if (!stream->send || !stream->receive) return tw_fail(TW_ERR_USAGE, "the stream has no send, or no receive");
  tw_link_spec spec = {.carrier = TW_LINK_STREAM,
                       .stream = {.send = stream->send, .receive = stream->receive, .state = stream->state},
                       .silence_seconds = silence};
  return open_link(&spec, party, out);
}

static tw_status open_mpi(double silence, twain_link **out) {
  TW_TRY(tw_api_given(out, "link"));
  *out = NULL;
  return open_link(&(tw_link_spec){.carrier = TW_LINK_MPI, .silence_seconds = silence}, -1, out);
}

twain_status twain_link_stream(const twain_stream *stream, int party, double silence, twain_link **link) {
  return tw_api_status(open_stream(stream, party, silence, link));
}

twain_status twain_link_mpi(double silence, twain_link **link) { return tw_api_status(open_mpi(silence, link)); }

int twain_link_party(const twain_link *link) { return link->channel->party; }

void twain_link_close(twain_link *link) {
  if (!link) return;
  tw_channel_destroy(link->channel);
  tw_free(link);
}

// ---- the run

// A program compiled for an earlier version of the structure has fewer fields: the others keep their defaults.
static tw_status read_options(const twain_run_options *given, twain_run_options *out) {
  *out = (twain_run_options)TWAIN_RUN_OPTIONS;
  if (!given) return TW_OK;
  if (given->size < offsetof(twain_run_options, state) + sizeof given->state)
    return tw_fail(TW_ERR_USAGE, "the options' size is %zu; begin with TWAIN_RUN_OPTIONS", given->size);
  memcpy(out, given, given->size < sizeof *out ? given->size : sizeof *out);
  if (!(out->time_limit >= 0 && out->time_limit <= 1e8))
    return tw_fail(TW_ERR_USAGE, "a time limit of %g s: give 0 to 1e8", out->time_limit);
  return tw_api_given(out->device, "device");
}

static tw_status run(const char *name, twain_link *link, const twain_run_options *given) {
  twain_run_options o;
  tw_result_share result;
  TW_TRY(tw_api_given(link, "link"));
  TW_TRY(tw_api_name(name));
  TW_TRY(read_options(given, &o));
  if (!link->mpi && strcmp(o.device, "cpu") != 0)
    return tw_fail(TW_ERR_USAGE, "device %s: GPUs exchange with the help of MPI; over a stream compute on the cpu",
                   o.device);
  if (o.allow_unlocked) tw_seeds_may_be_unlocked();
  tw_hide_stack();
  link->channel->deadline_ns = o.time_limit > 0 ? tw_clock_ns() + (uint64_t)(1e9 * o.time_limit) : 0;
  // a library leaves its process on the cores where it is
  tw_party_options options = {.name = name,
                              .ledger = o.ledger,
                              .words = {.device = o.device,
                                        .transport = "auto",
                                        .affinity = "none",
                                        .split_batch = "auto",
                                        .prepare = "auto",
                                        .link = {.latency_seconds = -1},
                                        .silence_limit = link->channel->timeout_seconds},
                              .first_slot = -1,
                              .allow_test_keys = o.allow_test_keys != 0,
                              .force = o.replace != 0,
                              .listener = {.show = o.warn, .state = o.state},
                              .progress = o.progress,
                              .progress_state = o.state};
  TW_TRY(tw_party(&options, NULL, link->channel, &result));
  tw_result_share_free(&result);
  return TW_OK;
}

twain_status twain_run(const char *name, twain_link *link, const twain_run_options *options) {
  return tw_api_status(run(name, link, options));
}
