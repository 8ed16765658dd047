// The first words on every connection between two sites. TLS has said who is at the other end; these say which run,
// process, stream and direction a connection belongs to, so that nobody in between swaps connections of two runs of the
// same sites. Each end draws 32 random bytes for every connection and tells them on connection 0, which lists them all.
// Every other connection begins with both ends' bytes. All of it is authenticated by the connection's exporter, so that
// no word of one connection says anything on another.
#ifndef TW_TLS_HELLO_H
#define TW_TLS_HELLO_H

#include "comm/tls.h"

enum {
  TW_MOST_STREAMS = 16,
  TW_MOST_CONNECTIONS = 2 * TW_MOST_STREAMS,  // one a stream and direction
  TW_TOKEN_BYTES = 32,
  TW_HELLO_BYTES = 4096,  // of connection 0, each way
  TW_LINE_BYTES = 256     // of every other connection, each way
};

typedef uint8_t tw_token[TW_TOKEN_BYTES];

// What both ends must say alike; a party's process i talks to the other's process i.
typedef struct {
  uint32_t process, processes, streams;
} tw_lines;

typedef struct {
  tw_lines lines;
  int party;
  bool answers;                            // the end that answers (comm/tls.h)
  tw_token token[2][TW_MOST_CONNECTIONS];  // of the end that does not answer, and of the one that does
} tw_hello;

// Draws this end's random bytes.
void tw_hello_begin(tw_hello *h, const tw_lines *lines, int party, bool answers);
// On connection 0. TW_ERR_MISMATCH with both values for another version of twain or number of streams or processes,
// TW_ERR_IDENTITY for what no twain sends; both ends learn it.
tw_status tw_hello_meet(tw_hello *h, tw_tls *t, uint64_t until_ns);
// On connection k, from 1 on. TW_ERR_IDENTITY: it belongs to another run, or to another place in this one.
tw_status tw_hello_line(const tw_hello *h, int k, tw_tls *t, uint64_t until_ns);

#endif
