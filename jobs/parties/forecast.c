#include "jobs/parties/forecast.h"

#include <stdio.h>
#include <string.h>

#include "base/memory_left.h"
#include "io/host.h"
#include "io/result.h"
#include "jobs/parties/handshake.h"
#include "kernels/device.h"

// ---- what is needed

static double seconds_of(const tw_plan *plan, const tw_place *place, int sequences) {
  tw_estimate e;
  tw_place at = *place;
  if (sequences < 1) return 0;
  at.sequences = sequences;
  tw_estimate_program(&plan->program, &at, NULL, NULL, NULL, &e);
  return tw_estimate_seconds(&e);
}

static uint64_t result_bytes(const tw_plan *plan, int rows) {
  tw_result_share shape = {.count = rows, .row_count = plan->program.step_count};
  tw_plan_output_shape(plan, &shape.rows, &shape.cols);
  return tw_result_share_room(&shape);
}

tw_status tw_forecast_make(const tw_plan *plan, const tw_place *place, int batch, int rows, tw_device_kind device,
                           bool ask_gpu, tw_run_forecast *out) {
  const tw_engine_options options = {.plan = plan, .batch = batch, .device = device, .keys = TW_KEYS_FILE};
  const uint64_t *slots = plan->program.slot_bytes;
  *out = (tw_run_forecast){.batch = batch,
                           .rows = rows,
                           .key_bytes = (slots[1] > slots[0] ? slots[1] : slots[0]) * (uint64_t)rows,
                           .result_bytes = result_bytes(plan, rows)};
  TW_TRY(tw_engine_foresee(&options, ask_gpu, &out->room));
  if (!place) return TW_OK;
  out->seconds = seconds_of(plan, place, 1);
  out->batch_seconds = seconds_of(plan, place, batch);
  out->all_seconds = rows / batch * out->batch_seconds + seconds_of(plan, place, rows % batch);
  return TW_OK;
}

// ---- what is there

// Beside what this process holds.
static uint64_t still_needed(const tw_engine_room *room) {
  int64_t held = tw_memory_held();
  if (held < 0) return room->host;
  return (uint64_t)held < room->host ? room->host - (uint64_t)held : 0;
}

// who: "both parties", "party 1", "this process".
typedef struct {
  const char *who;
  int batch;
  uint64_t needed;
} need;

static tw_status judge(const tw_room_terms *t, const need *n, const tw_memory_left *left, bool tells) {
  char host[128], what[80];
  double all = 1e-6 * (double)n->needed, there = 1e-6 * (double)left->bytes;
  if (left->bytes < 0 || all <= 0.9 * there) return TW_OK;
  tw_host_name(host, sizeof host);
  snprintf(what, sizeof what, "%d sequence%s at once", n->batch, n->batch == 1 ? "" : "s");
  if (all > 1.1 * there && !t->lack_is_ok)
    return tw_fail(
        TW_ERR_MEMORY,
        "host %s: %s need%s another %.1f MB of memory for %s, says the forecast, and %s leaves %.1f MB: take "
        "fewer at once (--batch), or ask for more memory. If the forecast is wrong, say "
        "--allow-less-memory. No key slot was used for these",
        host, n->who, strcmp(n->who, "both parties") == 0 ? "" : "s", all, what, left->what, there);
  if (tells)
    tw_warn(&t->listener,
            "WARNING: host %s: %s may lack memory: %s need another %.1f MB, says the forecast, and %s leaves %.1f MB; "
            "--batch takes fewer at once",
            host, n->who, what, all, left->what, there);
  return TW_OK;
}

// What is limited for each process, of which it alone knows, then what all share.
static tw_status judge_both(const tw_room_terms *t, const need *own, const need *all, bool alone) {
  const tw_memory_left one = tw_memory_left_for_one(), shared = tw_memory_left_for_all("");
  TW_TRY(judge(t, own, &one, !alone));
  return judge(t, all, &shared, !alone && t->tells);
}

static int at_least_one(int n) { return n > 1 ? n : 1; }

static tw_status check_alone(const tw_room_terms *t, const tw_engine_room *room, int batch) {
  const uint64_t needed = still_needed(room);
  const need own = {"this process", batch, needed},
             all = {"this party", batch, needed * (uint64_t)at_least_one(t->processes)};
  return judge_both(t, &own, &all, true);
}

tw_status tw_room_check(const tw_room_terms *t, const tw_engine_room *room, int batch, tw_channel *channel,
                        bool one_host) {
  enum { MOST_GB = 1 << 20 };  // nobody has so much, and sums do not overflow
  const uint64_t most = (uint64_t)MOST_GB * 1000000000u;
  static const char *const names[] = {"party 0", "party 1"};
  if (!channel) return check_alone(t, room, batch);
  // of ranks of one job half are the other party's, where both are here
  int own = at_least_one(channel->mpi && one_host ? t->processes / 2 : t->processes);
  const char *who = names[channel->party];
  const need one = {who, batch, still_needed(room)};
  need all = {one_host ? "both parties" : who, batch, one.needed * (uint64_t)own};
  uint64_t theirs;
  if (one_host) {  // elsewhere it is of no use to the other party
    TW_TRY(tw_channel_exchange(channel, &all.needed, &theirs, sizeof theirs));
    all.needed += theirs < most ? theirs : most;
  }
  tw_terms none;
  memset(&none, 0, sizeof none);
  return tw_agree(channel, judge_both(t, &one, &all, false), &none);
}

tw_status tw_room_check_device(const tw_engine_room *room, int batch) {
#ifdef TWAIN_CUDA
  char name[64];
  uint64_t left = 0;
  TW_TRY(tw_device_describe(name, sizeof name, &left));
  if (room->device_least <= left) return TW_OK;
  return tw_fail(TW_ERR_MEMORY,
                 "%s: %d sequences at once need %.1f MB of GPU memory, says the forecast, and %.1f MB are free: take "
                 "fewer at once (--batch), or a GPU that no other job uses. No key slot was used",
                 name, batch, 1e-6 * (double)room->device_least, 1e-6 * (double)left);
#else
  (void)room, (void)batch;
  return TW_OK;
#endif
}
