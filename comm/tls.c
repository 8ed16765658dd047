#define _GNU_SOURCE
#include "comm/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/memory.h"
#include "comm/sockets.h"
#include "comm/tls_peer.h"

// The certificates of a handshake are padded to whole blocks: its records tell nothing of the names in them. What comes
// after has one length anyway.
enum { HANDSHAKE_BLOCK = 4096 };
// OpenSSL decrypts where it has read, and copies from there: so few records that they are still in the nearest caches.
enum { READ_AHEAD = 1 << 16 };
// Records leave together: a call of the system for each of 16 KiB takes as long as the cipher does.
enum { TOGETHER = 1 << 17, OUT_BYTES = TOGETHER + (1 << 16) };
// RFC 8446, 5.5: 2^24.5 full records under one AES-GCM key. This is 2^21 of them.
static const uint64_t usual_rekey_bytes = (uint64_t)1 << 35;
static const uint64_t last_words_ns = 500000000;  // for the other end to read what was sent last

struct tw_tls_context {
  SSL_CTX *ssl;
  BIO_METHOD *bio;
  tw_tls_identity who;
  bool answers;
  uint64_t rekey_bytes;
};

struct tw_tls {
  SSL *ssl;
  int fd;
  tw_tls_context *context;
  tw_peer_verdict verdict;        // on the peer's certificate
  int which;                      // of the peers
  uint64_t sent, rekeyed;         // bytes under the present key; how often it was changed
  bool blocked, ended, stranger;  // blocked: a record has not left yet
  bool heard;                     // anything at all
  size_t held;                    // bytes of the caller's that are encrypted and have not all left
  size_t out_begin, out_end;      // of `out`: records on their way
  char reason[512];
  char out[OUT_BYTES];
};

// ---- bytes to the socket: never a signal, never a wait

static bool is_for_later(void) { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

// 1: nothing is left in `out`; 0: the socket takes no more just now; -1: it has ended.
static int let_out(tw_tls *t) {
  while (t->out_begin < t->out_end) {
    ssize_t n = send(t->fd, t->out + t->out_begin, t->out_end - t->out_begin, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) return is_for_later() ? 0 : -1;
    t->out_begin += (size_t)n;
  }
  t->out_begin = t->out_end = 0;
  return 1;
}

static int bio_write(BIO *b, const char *data, int bytes) {
  tw_tls *t = BIO_get_data(b);
  BIO_clear_retry_flags(b);
  if ((size_t)bytes > OUT_BYTES - t->out_end) {
    int rc = let_out(t);
    if (rc == 0) BIO_set_retry_write(b);
    if (rc != 1) return -1;
  }
  size_t n = (size_t)bytes < OUT_BYTES - t->out_end ? (size_t)bytes : OUT_BYTES - t->out_end;
  memcpy(t->out + t->out_end, data, n);
  t->out_end += n;
  return (int)n;
}

static int bio_read(BIO *b, char *data, int bytes) {
  tw_tls *t = BIO_get_data(b);
  ssize_t n = recv(t->fd, data, (size_t)bytes, MSG_DONTWAIT);
  if (n > 0) t->heard = true;
  BIO_clear_retry_flags(b);
  if (n < 0 && is_for_later()) BIO_set_retry_read(b);
  if (n == 0) BIO_set_flags(b, BIO_FLAGS_IN_EOF);
  return (int)n;
}

static long bio_control(BIO *b, int command, long number, void *pointer) {
  (void)number;
  (void)pointer;
  if (command == BIO_CTRL_EOF) return BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0;
  // what the socket does not take now stays in `out`: OpenSSL's own buffer does not pass on that a flush has to wait
  return command == BIO_CTRL_FLUSH && let_out(BIO_get_data(b)) >= 0;
}

static BIO_METHOD *bio_method(void) {
  BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
  if (!m) return NULL;
  if (BIO_meth_set_write(m, bio_write) == 1 && BIO_meth_set_read(m, bio_read) == 1 &&
      BIO_meth_set_ctrl(m, bio_control) == 1)
    return m;
  BIO_meth_free(m);
  return NULL;
}

// ---- the context

static int verify(X509_STORE_CTX *store, void *argument) {
  (void)argument;
  SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
  tw_tls *t = SSL_get_app_data(ssl);
  const tw_tls_identity *who = &t->context->who;
  int error =
      tw_peer_judge(X509_STORE_CTX_get0_cert(store), who->peer, who->peers ? who->peers : 1, &t->which, &t->verdict);
  X509_STORE_CTX_set_error(store, error);
  return error == X509_V_OK;
}

// ML-KEM beside X25519: who records today and has a quantum computer later learns nothing. OpenSSL has it from 3.5 on.
static bool set_groups(SSL_CTX *c) {
  if (SSL_CTX_set1_groups_list(c, "X25519MLKEM768:X25519:P-256") == 1) return true;
  ERR_clear_error();
  return SSL_CTX_set1_groups_list(c, "X25519:P-256") == 1;
}

static bool narrow(SSL_CTX *c) {
  SSL_CTX_set_options(c, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(c, 1);
  SSL_CTX_set_default_read_buffer_len(c, READ_AHEAD);
  SSL_CTX_set_security_level(c, 2);
  return SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256") == 1 && set_groups(c) &&
         SSL_CTX_set_num_tickets(c, 0) == 1 && SSL_CTX_set_max_early_data(c, 0) == 1 &&
         SSL_CTX_set_recv_max_early_data(c, 0) == 1 && SSL_CTX_set_block_padding(c, HANDSHAKE_BLOCK) == 1;
}

tw_status tw_tls_context_create(const tw_tls_identity *who, bool answers, uint64_t rekey_bytes, tw_tls_context **out) {
  tw_tls_context *c;
  *out = NULL;
  TW_TRY(tw_alloc(sizeof *c, (void **)&c));
  c->who = *who;
  c->answers = answers;
  c->rekey_bytes = rekey_bytes ? rekey_bytes : usual_rekey_bytes;
  c->bio = bio_method();
  c->ssl = SSL_CTX_new(answers ? TLS_server_method() : TLS_client_method());
  tw_status status = TW_OK;
  ERR_clear_error();
  if (!c->bio || !c->ssl || !narrow(c->ssl)) {
    status = tw_openssl_fail(TW_ERR_INTERNAL, "cannot prepare TLS 1.3");
  } else {
    SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(c->ssl, verify, NULL);
    if (SSL_CTX_use_certificate(c->ssl, who->own->self.certificate) != 1 ||
        SSL_CTX_use_PrivateKey(c->ssl, who->own->signing) != 1)
      status = tw_openssl_fail(TW_ERR_INTERNAL, "this party's key and certificate do not go together");
  }
  if (status == TW_OK && who->secret) SSL_CTX_set_options(c->ssl, SSL_OP_CLEANSE_PLAINTEXT);
  if (status == TW_OK)
    *out = c;
  else
    tw_tls_context_destroy(c);
  return status;
}

void tw_tls_context_destroy(tw_tls_context *c) {
  if (!c) return;
  SSL_CTX_free(c->ssl);
  BIO_meth_free(c->bio);
  tw_free(c);
}

// ---- what went wrong

static const char *peer_name(const tw_tls *t) {
  return t->context->who.peers > 1 && !SSL_is_init_finished(t->ssl)
             ? "what connected"
             : tw_site_role_name(t->context->who.peer[t->which].role);
}

static void end(tw_tls *t, bool stranger, const char *reason) {
  t->ended = true;
  t->stranger = stranger;
  snprintf(t->reason, sizeof t->reason, "%s", reason);
}

// What the peer refuses comes as an alert, whatever this end was doing.
static const char *refusal(int alert) {
  switch (alert) {
    case SSL_AD_UNKNOWN_CA:
      return "it does not know this party's public key: does its file of this party come from this site?";
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
      return "this party's certificate is of another role";
    case SSL_AD_CERTIFICATE_EXPIRED:
      return "this party's certificate is not valid at this time: it has expired, or a clock is wrong";
    case SSL_AD_CERTIFICATE_REQUIRED:
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_ACCESS_DENIED:
      return "it does not take this party's certificate";
    default:
      return NULL;
  }
}

static void note_failure(tw_tls *t) {
  enum { ALERTS = 1000 };
  char text[400];
  unsigned long error = ERR_peek_last_error();
  int reason = ERR_GET_REASON(error), alert = reason > ALERTS && reason < ALERTS + 256 ? reason - ALERTS : -1;
  const char *peer = peer_name(t), *refused = refusal(alert), *why = ERR_reason_error_string(error);
  if (t->verdict.refused) {
    end(t, true, t->verdict.reason);
  } else if (refused) {
    snprintf(text, sizeof text, "%s refuses this party: %s", peer, refused);
    end(t, true, text);
  } else if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    end(t, false, "the connection was cut");
  } else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
    end(t, true, "what connected has no certificate");
  } else if (!SSL_is_init_finished(t->ssl)) {
    snprintf(text, sizeof text, "no TLS 1.3 with %s there: %s", peer, why ? why : "what came is not TLS");
    end(t, true, text);
  } else {
    snprintf(text, sizeof text, "the connection is damaged: %s", why ? why : "unknown");
    end(t, false, text);
  }
}

// 0: to be tried again; -1: ended.
static int outcome(tw_tls *t, int rc) {
  int error = errno;
  char text[128];
  switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return 0;
    case SSL_ERROR_ZERO_RETURN:
      end(t, false, "the other end has closed the connection");
      return -1;
    case SSL_ERROR_SYSCALL:
      snprintf(text, sizeof text, "the connection was cut%s%s", error ? ": " : "", error ? strerror(error) : "");
      end(t, false, text);
      return -1;
    default:
      note_failure(t);
      return -1;
  }
}

static tw_status ended(const tw_tls *t) {
  return tw_fail(t->stranger ? TW_ERR_IDENTITY : TW_ERR_PEER, "%s", t->reason);
}

// ---- a connection

// As let_out; -1: the reason is noted.
static int push_out(tw_tls *t) {
  errno = 0;
  int rc = let_out(t), error = errno;
  char text[128];
  if (rc >= 0) return rc;
  snprintf(text, sizeof text, "the connection was cut: %s", strerror(error));
  end(t, false, text);
  return -1;
}

// A peer that refuses this party closes the connection behind its alert. What is written then fails first; the alert is
// still there to be read.
static void look_for_refusal(tw_tls *t) {
  char byte;
  if (t->stranger) return;
  t->ended = false;
  if (tw_tls_receive(t, &byte, 1) < 0) return;
  end(t, false, "the connection was cut");
}

static tw_status shake_hands(tw_tls *t, uint64_t until_ns) {
  for (;;) {
    ERR_clear_error();
    errno = 0;
    int rc = SSL_do_handshake(t->ssl), left;
    if (rc != 1 && outcome(t, rc) < 0) return ended(t);
    if ((left = push_out(t)) < 0) {
      look_for_refusal(t);
      return ended(t);
    }
    if (rc == 1 && left == 1) return TW_OK;
    short events = left == 0 ? POLLOUT : POLLIN;
    if (!tw_socket_ready(t->fd, events, until_ns))
      return tw_fail(TW_ERR_PEER, "%s does not go on with the TLS handshake: silence", peer_name(t));
  }
}

static tw_status attach(tw_tls *t) {
  BIO *bio = BIO_new(t->context->bio);
  t->ssl = SSL_new(t->context->ssl);
  if (!t->ssl || !bio) {
    BIO_free(bio);
    return tw_openssl_fail(TW_ERR_INTERNAL, "cannot prepare a connection");
  }
  BIO_set_data(bio, t);
  BIO_set_init(bio, 1);
  SSL_set_bio(t->ssl, bio, bio);
  SSL_set_app_data(t->ssl, t);
  if (t->context->answers)
    SSL_set_accept_state(t->ssl);
  else
    SSL_set_connect_state(t->ssl);
  return TW_OK;
}

tw_status tw_tls_open(tw_tls_context *c, int fd, uint64_t until_ns, tw_tls **out, bool *heard) {
  tw_tls *t;
  *out = NULL;
  if (heard) *heard = false;
  tw_status status = tw_alloc(sizeof *t, (void **)&t);
  if (status != TW_OK) {
    tw_socket_hang_up(fd, 0);
    return status;
  }
  t->fd = fd;
  t->context = c;
  status = attach(t);
  if (status == TW_OK) status = shake_hands(t, until_ns);
  if (heard) *heard = t->heard;
  if (status == TW_OK) {
    SSL_set_block_padding(t->ssl, 0);
    *out = t;
  } else {
    tw_tls_close(&t, 1);
  }
  return status;
}

int tw_tls_peer(const tw_tls *t) { return t->which; }

const char *tw_tls_group(const tw_tls *t) {
  const char *name = SSL_group_to_name(t->ssl, (int)SSL_get_negotiated_group(t->ssl));
  return name ? name : "unknown";
}

tw_status tw_tls_exporter(tw_tls *t, const char *label, uint8_t out[TW_EXPORTER_BYTES]) {
  if (SSL_export_keying_material(t->ssl, out, TW_EXPORTER_BYTES, label, strlen(label), NULL, 0, 0) == 1) return TW_OK;
  return tw_openssl_fail(TW_ERR_INTERNAL, "no exporter");
}

// Under one key no more than is safe; the other end follows by itself.
static void change_keys(tw_tls *t) {
  if (t->blocked || t->sent < t->context->rekey_bytes) return;
  if (SSL_key_update(t->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1) {
    t->sent = 0;
    t->rekeyed++;
  } else {
    ERR_clear_error();  // it stays due
  }
}

// One record, into `out`. 1; else as outcome, for which the queue of errors has to be empty before.
static int encrypt_one(tw_tls *t, const char *data, size_t bytes) {
  size_t went = 0;
  change_keys(t);
  int rc = SSL_write_ex(t->ssl, data, bytes, &went);
  t->blocked = rc != 1;
  if (rc != 1) return outcome(t, rc);
  t->sent += went;
  t->held += went;
  return 1;
}

// What is encrypted counts as sent when all of it has left: until then the caller comes with the same bytes again.
ptrdiff_t tw_tls_send(tw_tls *t, const void *data, size_t bytes) {
  int rc = 1;
  if (t->ended) return -1;
  if (bytes == 0) return 0;
  ERR_clear_error();
  errno = 0;
  while (rc == 1 && t->held < bytes && t->held < TOGETHER)
    rc = encrypt_one(t, (const char *)data + t->held, bytes - t->held);
  if (rc < 0 || (rc = push_out(t)) <= 0) return rc;
  size_t went = t->held < bytes ? t->held : bytes;
  t->held = 0;
  return (ptrdiff_t)went;
}

ptrdiff_t tw_tls_receive(tw_tls *t, void *data, size_t bytes) {
  size_t came = 0;
  int rc = 1;
  if (t->ended) return -1;
  if (bytes == 0) return 0;
  ERR_clear_error();
  errno = 0;
  while (rc == 1 && came < bytes && came < TOGETHER) {
    size_t n = 0;
    rc = SSL_read_ex(t->ssl, (char *)data + came, bytes - came, &n);
    came += n;
  }
  if (rc != 1) rc = outcome(t, rc);  // an end is told when all before it has been taken
  return came ? (ptrdiff_t)came : rc;
}

tw_status tw_tls_put(tw_tls *t, const void *data, size_t bytes, uint64_t until_ns) {
  for (const char *from = data; bytes;) {
    ptrdiff_t n = tw_tls_send(t, from, bytes);
    if (n < 0) look_for_refusal(t);
    if (n < 0) return ended(t);
    from += n;
    bytes -= (size_t)n;
    if (n == 0 && !tw_socket_ready(t->fd, SSL_want_read(t->ssl) ? POLLIN : POLLOUT, until_ns))
      return tw_fail(TW_ERR_PEER, "%s takes nothing: silence", peer_name(t));
  }
  return TW_OK;
}

tw_status tw_tls_get(tw_tls *t, void *data, size_t bytes, uint64_t until_ns) {
  for (char *to = data; bytes;) {
    ptrdiff_t n = tw_tls_receive(t, to, bytes);
    if (n < 0) return ended(t);
    to += n;
    bytes -= (size_t)n;
    if (n == 0 && !tw_socket_ready(t->fd, SSL_want_write(t->ssl) ? POLLOUT : POLLIN, until_ns))
      return tw_fail(TW_ERR_PEER, "%s says nothing: silence", peer_name(t));
  }
  return TW_OK;
}

bool tw_tls_gone(const tw_tls *t) {
  struct pollfd p = {.fd = t->fd, .events = POLLRDHUP};
  return t->ended || (poll(&p, 1, 0) > 0 && p.revents);
}

const char *tw_tls_reason(const tw_tls *t) { return t->reason; }
uint64_t tw_tls_rekeyed(const tw_tls *t) { return t->rekeyed; }
void tw_tls_interrupt(tw_tls *t) { shutdown(t->fd, SHUT_RDWR); }

tw_status tw_tls_last_words(tw_tls *t, void *data, size_t bytes, uint64_t until_ns) {
  t->ended = false;
  return tw_tls_get(t, data, bytes, until_ns);
}

static void say_good_bye(tw_tls *t) {
  ERR_clear_error();
  if (t->ssl && !t->ended && !t->blocked && SSL_is_init_finished(t->ssl)) (void)SSL_shutdown(t->ssl);
  (void)let_out(t);
  ERR_clear_error();
  shutdown(t->fd, SHUT_WR);
}

void tw_tls_close(tw_tls **list, int count) {
  uint64_t until_ns = tw_clock_ns() + last_words_ns;
  for (int i = 0; i < count; i++)
    if (list[i]) say_good_bye(list[i]);
  for (int i = 0; i < count; i++) {
    tw_tls *t = list[i];
    if (!t) continue;
    SSL_free(t->ssl);
    tw_socket_hang_up(t->fd, until_ns);
    tw_free(t);
    list[i] = NULL;
  }
}
