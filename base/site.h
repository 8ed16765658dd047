// Sites: who a party, the dealer, the model owner or a client is to the others.
//
// A site has a folder with two private keys, mode 0600 and without a passphrase, and a public file that it mails to the
// others: FOLDER/site.key (Ed25519: signs, and proves the site in TLS), FOLDER/seal.key (X25519: opens what is sealed
// to the site), FOLDER/site.pem (its certificate, and the X25519 public key, which the site key signs). The certificate
// is signed by its own key. It says the role in its subject alternative name, a URI, and nothing that would identify a
// host or a person; all certificates of one role have the same length. Layout: docs/formats.md.
//
// Who names another site's file trusts what is in it: the *pin* is the SHA-256 of the certificate's
// SubjectPublicKeyInfo (RFC 7469, section 2.4), and is compared whatever an authority says. Role, pin and time of
// validity each refuse by themselves, with TW_ERR_IDENTITY.
#ifndef TW_SITE_H
#define TW_SITE_H

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum {
  TW_SITE_PARTY_0,
  TW_SITE_PARTY_1,
  TW_SITE_DEALER,
  TW_SITE_CLIENT,
  TW_SITE_OWNER,
  TW_SITE_ROLES
} tw_site_role;

enum { TW_PIN_BYTES = 32, TW_SEALING_KEY_BYTES = 32, TW_SITE_SIGNATURE_BYTES = 64 };

// A site as the others see it.
typedef struct {
  char *file;  // where it was read from, for messages; "" for a certificate that came over a line
  tw_site_role role;
  uint8_t pin[TW_PIN_BYTES];
  uint8_t fingerprint[32];  // SHA-256 of certificate and sealing key: what people read to each other. Zeros without the
                            // latter
  uint8_t sealing_key[TW_SEALING_KEY_BYTES];  // X25519, public. Zeros for a certificate that came over a line
  int64_t not_before, not_after;              // seconds since 1970, UTC; both ends belong to the time of validity
  X509 *certificate;
} tw_peer;

// One's own.
typedef struct {
  tw_peer self;
  EVP_PKEY *signing, *sealing;  // private Ed25519 and X25519; in OpenSSL's secure heap, which is locked
} tw_site;

// "party 0", "party 1", "dealer", "client", "model owner"; and as it is typed: 0, 1, dealer, client, owner.
const char *tw_site_role_name(tw_site_role role);
// As a sentence has it: "party 0", "the dealer".
const char *tw_site_role_said(tw_site_role role);
const char *tw_site_role_word(tw_site_role role);
// TW_ERR_USAGE for any other word.
tw_status tw_site_role_parse(const char *word, tw_site_role *role);

// Makes the folder (0700) with the three files, durably. It must not be there yet: TW_ERR_IO. The certificate is valid
// from not_before to not_after, seconds since 1970. After a failure nothing of it remains.
tw_status tw_site_create(const char *folder, tw_site_role role, int64_t not_before, int64_t not_after);

// For a process whose handshakes run in many threads, before its first site: locked memory for so many of them.
// TW_ERR_MEMORY as tw_seed_alloc.
tw_status tw_private_keys_room(int threads);

// TW_ERR_IO unless folder and keys belong to this user, nobody else may write the folder, and the keys are closed to
// group and world. TW_ERR_FORMAT for damaged files, TW_ERR_MISMATCH for keys that are not the public file's. The time
// of validity is not looked at. Free with tw_site_free, also after a failure.
tw_status tw_site_load(const char *folder, tw_site *out);
void tw_site_free(tw_site *site);

// Of a file that says whom this site trusts: TW_ERR_IO when its mode (of stat) lets group or world write it.
tw_status tw_trust_file_check(const char *file, unsigned mode);
// A public file. TW_ERR_IO where others may write it. TW_ERR_FORMAT unless it is one certificate of a known role and
// one sealing key, each signed by the certificate's key. The time of validity is not looked at. Free with tw_peer_free,
// also after a failure.
tw_status tw_peer_load(const char *file, tw_peer *out);
// The same from memory (name: for messages).
tw_status tw_peer_parse(const char *name, const void *data, size_t bytes, tw_peer *out);
// Role, pin and validity of a certificate that came over a line, so without a sealing key. Its signature is not looked
// at: compare the pin, and have TLS prove the key. TW_ERR_IDENTITY unless it says a role in the way of these files.
// `certificate` gets one more reference.
tw_status tw_peer_of_certificate(X509 *certificate, tw_peer *out);
void tw_peer_free(tw_peer *peer);

// TW_ERR_IDENTITY unless `now` (seconds since 1970) is in the time of validity; the message says since when it is not.
tw_status tw_peer_check_time(const tw_peer *peer, int64_t now);
// TW_ERR_IDENTITY unless `seen` (over a line) is the site whose file `expected` is, pin by pin, and says the same role.
tw_status tw_peer_check_same(const tw_peer *expected, const tw_peer *seen);

// Pin or fingerprint for people: `bytes` bytes as groups of four digits, 5/2 characters a byte.
void tw_site_digits(const uint8_t *data, size_t bytes, char *text, size_t size);
// The fingerprint's first 20 bytes, ten groups: nobody finds a second file with the same ones.
enum { TW_FINGERPRINT_SHOWN = 20, TW_FINGERPRINT_TEXT = 50 };

// Signs `message` with the site key, prefixed by `context`, which names the kind of message and has at most 64 bytes.
tw_status tw_site_sign(const tw_site *site, const char *context, const void *message, size_t bytes,
                       uint8_t signature[TW_SITE_SIGNATURE_BYTES]);
// TW_ERR_IDENTITY unless `signer` signed just that.
tw_status tw_peer_check_signature(const tw_peer *signer, const char *context, const void *message, size_t bytes,
                                  const uint8_t signature[TW_SITE_SIGNATURE_BYTES]);

// A failure of OpenSSL: `what`, and the reason of its last error; clears its list of errors.
tw_status tw_openssl_fail(tw_status code, const char *what);

#endif
