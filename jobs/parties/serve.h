// The live dealer: keys for pairs of sites, dealt while their runs go on, on the CPU or a GPU. It knows who asks by the
// certificate alone, so party b gets what is party b's, whatever it says. Words: jobs/parties/live_words.h.
//
// It keeps nothing: key ids are drawn when it starts, and a run's seeds are forgotten when both parties have left. So a
// dealer that starts again cannot give a slot twice.
#ifndef TW_SERVE_H
#define TW_SERVE_H

#include "comm/places.h"
#include "io/model.h"
#include "io/pairs.h"
#include "jobs/engine/engine.h"
#include "jobs/plan/plan.h"

typedef struct {
  const tw_plan *plan;
  const tw_model_dealer *dealer;
  const tw_site_pairs *pairs;
  const tw_site *own;
  const char *option;  // what the place is called in messages
  tw_socket_place place;
  int connections;                              // most at once; one a party, run and stream
  tw_device_kind device;                        // not AUTO; the GPU was selected by the caller
  int room;                                     // whole slots in memory at once. CPU: 0, level by level
  double silence_seconds;                       // a party that says or takes nothing for so long is given up
  void (*note)(void *state, const char *text);  // one line: what happened; several threads
  void *state;
} tw_serve_options;

typedef struct tw_serve tw_serve;

// Draws the model's masks, and listens. What it borrows stays until tw_serve_destroy.
tw_status tw_serve_create(const tw_serve_options *o, tw_serve **out);
int tw_serve_port(const tw_serve *s);
int tw_serve_room(const tw_serve *s);  // slots that are whole in memory at once; 0: none is
// Works until told to stop, as tw_line_relay_work.
tw_status tw_serve_work(tw_serve *s, int stop_fd);
void tw_serve_destroy(tw_serve *s);

#endif
