// The line relay: where no party can be reached from the other one, both dial this process, each at its own port, and
// it passes bytes on. It has no keys, and reads nothing of what it passes: TLS goes from party to party, inside.
//
// One pair of ports serves one pair of sites. The first connection to a port waits for one to the other port, and then
// they are joined; so the parties' connections are joined in the order in which they come. The first joined pair begins
// a run, and until its last pair has ended only the two hosts that began it may connect. What is taken up is bounded:
// `connections` pairs, one waiting connection at each port. Every other one is closed at once.
#ifndef TW_LINE_RELAY_H
#define TW_LINE_RELAY_H

#include <stdint.h>

#include "comm/places.h"

enum { TW_LINE_RELAY_MOST = 64 };  // joined connections

typedef struct tw_line_relay tw_line_relay;

typedef struct {
  tw_socket_place place[2];                     // for party 0, for party 1
  tw_nets allow[2];                             // who may come there
  const char *option[2];                        // what the place is called in messages
  int connections;                              // joined at a time; TW_LINE_RELAY_MOST at most
  double complete_seconds;                      // how long a connection waits for the one that is to be joined to it
  double silence_seconds;                       // a run in which nothing moves for so long is ended
  double whole_seconds;                         // a run is ended after so long; 0: no limit
  uint64_t most_bytes;                          // a run is ended after so many, both ways together; 0: no limit
  void (*note)(void *state, const char *text);  // one line: what happened
  void *state;
} tw_line_relay_options;

// Listens. Errors as of tw_place_listen.
tw_status tw_line_relay_create(const tw_line_relay_options *o, tw_line_relay **out);
void tw_line_relay_destroy(tw_line_relay *r);
int tw_line_relay_port(const tw_line_relay *r, int party);

// Works until told to stop. Each read of stop_fd that gives something asks for it: at the first one nobody new is
// taken and a run that is under way goes on to its end; at the second one it is ended, too.
tw_status tw_line_relay_work(tw_line_relay *r, int stop_fd);

#endif
