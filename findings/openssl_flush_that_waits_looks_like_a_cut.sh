#!/usr/bin/env bash
# OpenSSL 3.0: a transport that cannot flush yet looks like one that is cut, but only where TLS changes its keys
#
# One would expect: a BIO that has taken a record and cannot pass it on yet says so when it is flushed (-1, and "try
# again"), as BIO_flush's page allows, and SSL_write then fails with SSL_ERROR_WANT_WRITE, as it does when the BIO's
# write has to wait. A program that gathers records, to send many in one call of the system, is made of that.
# What happens: handshake messages, KeyUpdate among them, go through a buffer that OpenSSL puts before the BIO for the
# time. Its write passes "try again" on, its flush does not: SSL_get_error sees no reason to wait and says
# SSL_ERROR_SYSCALL, with EAGAIN in errno. Nothing is lost: the same SSL_write succeeds afterwards. But the manual calls
# this error fatal for the connection, so a program closes it.
# Why it matters: connections between two sites change their keys every 32 GiB, in the middle of a run whose key slots
# are spent by then. twain's flush therefore always succeeds, and what is left goes out later.
# Uses the machine's own libssl, 3.0 or later, and a C compiler (seen with 3.0.19).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"
need cc pkg-config openssl
openssl version
pkg-config --atleast-version=3.0 libssl || absent "no OpenSSL 3 to compile with"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out crt -days 2 -subj /CN=x 2>err
cat >program.c <<'PROGRAM'
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  char bytes[1 << 16];
  int length;
} pipe_t;
typedef struct {
  pipe_t *in, *out;
  int write_waits, flush_waits;
} end_t;

static int give(BIO *b, const char *data, int n) {
  end_t *e = BIO_get_data(b);
  BIO_clear_retry_flags(b);
  if (e->write_waits) {
    errno = EAGAIN;
    BIO_set_retry_write(b);
    return -1;
  }
  memcpy(e->out->bytes + e->out->length, data, (size_t)n);
  e->out->length += n;
  return n;
}
static int take(BIO *b, char *data, int n) {
  end_t *e = BIO_get_data(b);
  BIO_clear_retry_flags(b);
  if (n > e->in->length) n = e->in->length;
  if (n == 0) {
    BIO_set_retry_read(b);
    return -1;
  }
  memcpy(data, e->in->bytes, (size_t)n);
  memmove(e->in->bytes, e->in->bytes + n, (size_t)(e->in->length - n));
  e->in->length -= n;
  return n;
}
static long control(BIO *b, int command, long number, void *pointer) {
  end_t *e = BIO_get_data(b);
  (void)number;
  (void)pointer;
  if (command != BIO_CTRL_FLUSH) return 0;
  BIO_clear_retry_flags(b);
  if (!e->flush_waits) return 1;
  errno = EAGAIN;
  BIO_set_retry_write(b);
  return -1;
}

static const char *name(int error) {
  return error == SSL_ERROR_NONE         ? "done"
         : error == SSL_ERROR_WANT_WRITE ? "SSL_ERROR_WANT_WRITE"
         : error == SSL_ERROR_SYSCALL    ? "SSL_ERROR_SYSCALL"
                                         : "another error";
}
static const char *write_byte(SSL *s) {
  errno = 0;
  ERR_clear_error();
  int rc = SSL_write(s, "x", 1);
  return name(SSL_get_error(s, rc));
}

int main(void) {
  static pipe_t there, back;
  end_t ends[2] = {{&back, &there, 0, 0}, {&there, &back, 0, 0}};
  BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "pipe");
  SSL *s[2];
  BIO_meth_set_write(m, give);
  BIO_meth_set_read(m, take);
  BIO_meth_set_ctrl(m, control);
  for (int i = 0; i < 2; i++) {
    SSL_CTX *c = SSL_CTX_new(i ? TLS_server_method() : TLS_client_method());
    SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION);
    if (i && (SSL_CTX_use_certificate_file(c, "crt", SSL_FILETYPE_PEM) != 1 ||
              SSL_CTX_use_PrivateKey_file(c, "key", SSL_FILETYPE_PEM) != 1))
      return 2;
    s[i] = SSL_new(c);
    BIO *b = BIO_new(m);
    BIO_set_data(b, &ends[i]);
    BIO_set_init(b, 1);
    SSL_set_bio(s[i], b, b);
    if (i) SSL_set_accept_state(s[i]);
    else SSL_set_connect_state(s[i]);
  }
  for (int i = 0; i < 20; i++) SSL_do_handshake(s[i % 2]);
  if (!SSL_is_init_finished(s[0]) || !SSL_is_init_finished(s[1])) return 2;
  for (int key_update = 0; key_update < 2; key_update++)
    for (int flush = 0; flush < 2; flush++) {
      if (key_update && SSL_key_update(s[0], SSL_KEY_UPDATE_NOT_REQUESTED) != 1) return 2;
      *(flush ? &ends[0].flush_waits : &ends[0].write_waits) = 1;
      const char *first = write_byte(s[0]);
      ends[0].flush_waits = ends[0].write_waits = 0;
      printf("%s, %s waits: %s, then %s\n", key_update ? "key update" : "data", flush ? "flush" : "write", first, write_byte(s[0]));
    }
}
PROGRAM
# shellcheck disable=SC2046
cc -o program program.c $(pkg-config --cflags --libs libssl libcrypto) 2>err || absent "cannot compile: $(head -n 1 err)"
./program >said || absent "the two ends did not meet"
line() { sed -n "s/^$1: //p" said; }
same "data, write waits" "$(line 'data, write waits')" "SSL_ERROR_WANT_WRITE, then done"
same "data, flush waits" "$(line 'data, flush waits')" "done, then done"
same "key update, write waits" "$(line 'key update, write waits')" "SSL_ERROR_WANT_WRITE, then done"
same "key update, flush waits" "$(line 'key update, flush waits')" "SSL_ERROR_SYSCALL, then done"
verdict
