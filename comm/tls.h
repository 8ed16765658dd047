// One connection to the other party, encrypted and authenticated by both: TLS 1.3 alone (RFC 8446), AES-128-GCM or
// ChaCha20-Poly1305, no session that could be taken up again, no data before the handshake's end, no name of a server.
// Who the other party is its certificate says: public key, role and validity, each of which refuses by itself.
#ifndef TW_TLS_H
#define TW_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/site.h"

enum { TW_EXPORTER_BYTES = 32 };

// Who meets whom; borrowed as long as a context made of it lives.
typedef struct {
  const tw_site *own;
  const tw_peer *peer;  // or several, each of whom may come
  int peers;            // how many; 0: one
  bool secret;          // what comes is a secret: no copy of it stays in OpenSSL's buffers
} tw_tls_identity;

typedef struct tw_tls_context tw_tls_context;
typedef struct tw_tls tw_tls;

// answers: this end answers the other's first message (a server in TLS's words). rekey_bytes: after so many bytes each
// way a connection changes its keys; 0: long before AES-GCM asks for it.
tw_status tw_tls_context_create(const tw_tls_identity *who, bool answers, uint64_t rekey_bytes, tw_tls_context **out);
void tw_tls_context_destroy(tw_tls_context *c);

// Takes fd, not blocking, also when it fails. The handshake: TW_ERR_IDENTITY when the other end is not the peer, or
// does not speak TLS 1.3; TW_ERR_PEER when it ends, or `until_ns` (tw_clock_ns) passes. On the end that does not
// answer, success does not yet mean that the peer accepts this party: its first message does. *heard (or NULL): whether
// anything at all came from the other end, also after a failure.
tw_status tw_tls_open(tw_tls_context *c, int fd, uint64_t until_ns, tw_tls **out, bool *heard);
// Which of the peers is there, from 0 on.
int tw_tls_peer(const tw_tls *t);
// How both ends came to their keys: "X25519MLKEM768", where both ends' OpenSSL has it, "x25519" or "P-256".
const char *tw_tls_group(const tw_tls *t);
// 32 bytes that only the two ends of this very connection know (RFC 8446, 7.5).
tw_status tw_tls_exporter(tw_tls *t, const char *label, uint8_t out[TW_EXPORTER_BYTES]);

// All of it, by `until_ns`; errors as of tw_tls_open, and they say so when the peer has refused this party.
tw_status tw_tls_put(tw_tls *t, const void *data, size_t bytes, uint64_t until_ns);
tw_status tw_tls_get(tw_tls *t, void *data, size_t bytes, uint64_t until_ns);

// At once, as a tw_stream does (comm/link.h): bytes that went or came, 0: none just now, negative: the connection has
// ended. One thread at a time uses a connection.
ptrdiff_t tw_tls_send(tw_tls *t, const void *data, size_t bytes);
ptrdiff_t tw_tls_receive(tw_tls *t, void *data, size_t bytes);
// Whether the other end has closed the connection, as far as it shows without reading. For who has nothing to say yet.
bool tw_tls_gone(const tw_tls *t);
const char *tw_tls_reason(const tw_tls *t);  // why it ended
// As tw_tls_get, also after the connection has ended for what this end writes: the other end's last words.
tw_status tw_tls_last_words(tw_tls *t, void *data, size_t bytes, uint64_t until_ns);
// How often this end has changed its keys.
uint64_t tw_tls_rekeyed(const tw_tls *t);
// From another thread: whoever uses the connection finds it ended.
void tw_tls_interrupt(tw_tls *t);

// All of them together, NULL among them or not: says good-bye, and gives the other end a moment to read what was sent
// last.
void tw_tls_close(tw_tls **list, int count);

#endif
