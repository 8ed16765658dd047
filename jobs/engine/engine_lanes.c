// Streams on which small gates of a level run side by side.
#include "jobs/engine/engine_state.h"

#ifdef TWAIN_CUDA
#include "kernels/device.h"

static tw_status record(void *state, int event, int lane) {
  tw_engine *e = state;
  return tw_device_event_record(e->lane_events[event], e->lanes.stream[lane]);
}

static tw_status wait(void *state, int event, int lane) {
  tw_engine *e = state;
  return tw_device_event_wait(e->lane_events[event], e->lanes.stream[lane]);
}

tw_status tw_engine_open_lanes(tw_engine *e) {
  e->lanes = (tw_lanes){.stream = {e->stream}, .record = record, .wait = wait, .state = e};
  for (int i = 1; i < TW_LANES; i++) TW_TRY(tw_engine_create_stream(e, &e->lanes.stream[i]));
  for (int i = 0; i < TW_LANE_EVENTS; i++) TW_TRY(tw_device_event_create(&e->lane_events[i]));
  return TW_OK;
}

void tw_engine_close_lanes(tw_engine *e) {
  for (int i = 1; i < TW_LANES; i++) tw_device_stream_destroy(e->lanes.stream[i]);
  for (int i = 0; i < TW_LANE_EVENTS; i++) tw_device_event_destroy(e->lane_events[i]);
}
#endif
