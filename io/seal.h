// Sealed files: encrypted to one site and signed by another one (base/site.h), in chunks of 1 MiB, so that key files of
// any size pass through little memory. Who sealed a file cannot open it again.
//
// Every file has a key of its own: an ephemeral X25519 key with the recipient's, HKDF-SHA256, AES-256-GCM. A chunk's
// nonce is its number; its associated data are the file's id and size, both sites' pins and the ephemeral key. The tags
// of all chunks, and what the file is, stand under the sender's signature: a chunk that is changed, missing, exchanged
// or from another file is refused, and the signature is checked before anything is decrypted. Layout: docs/formats.md.
#ifndef TW_SEAL_H
#define TW_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/site.h"
#include "io/ids.h"

#define TW_SEALED_ENDING ".sealed"  // behind the name of a file that is encrypted to a site

enum { TW_SEAL_CHUNK = 1 << 20 };

// What a file is; only the recipient can read it. Empty where there is none.
typedef struct {
  char format[33], role[33];  // of an HDF5 file of twain's; format "" for any other file
  tw_digest plan;
  tw_id id;  // key_id, model_id, input_id or run_id
} tw_seal_about;

// What everybody can read.
typedef struct {
  uint64_t plain_bytes;
  int64_t sealed_at;  // seconds since 1970
  tw_id file_id;
  uint8_t sender[TW_PIN_BYTES], recipient[TW_PIN_BYTES];
} tw_seal_public;

// Bytes of the sealed file; plain: at least 1, at most 2^60.
uint64_t tw_sealed_bytes(uint64_t plain);

// From whom to whom such a file goes; false: twain hands it to nobody, or it is none of twain's.
bool tw_seal_way(const tw_seal_about *about, tw_site_role *from, tw_site_role *to);
// TW_ERR_IDENTITY unless such a file goes from a site of that role to one of that: keys from the dealer to their party,
// and so on. A file that is none of these goes from anybody to anybody.
tw_status tw_seal_check_roles(const char *path, const tw_seal_about *about, tw_site_role sender,
                              tw_site_role recipient);

// ---- writing

typedef struct tw_sealer tw_sealer;
// The sealed file, where bytes are put and read again.
typedef struct {
  tw_status (*put)(void *file, const void *data, size_t bytes, uint64_t offset);
  tw_status (*get)(void *file, void *data, size_t bytes, uint64_t offset);
  void *file;
} tw_seal_file_ways;

// path: for messages. site and recipient must stay until the end. Both must be valid now, and their roles must fit.
tw_status tw_sealer_create(const char *path, const tw_site *site, const tw_peer *recipient, const tw_seal_about *about,
                           uint64_t plain_bytes, tw_sealer **out);
// Any part of the plain file, in any order, each byte once: another time is TW_ERR_INTERNAL. It is encrypted and put at
// once, and nothing of it is kept. A chunk whose parts do not come in order is read again for its tag.
tw_status tw_sealer_write(tw_sealer *sealer, const tw_seal_file_ways *to, const void *data, size_t bytes,
                          uint64_t offset);
// Bytes that were never written are zeros. Puts what is left, tags and header.
tw_status tw_sealer_finish(tw_sealer *sealer, const tw_seal_file_ways *to);
void tw_sealer_destroy(tw_sealer *sealer);  // wipes; may be NULL

// Whoever writes `path` through tw_output (io/file.h) from now on writes it sealed: no byte of it reaches the disk in
// clear. At most four paths. about: what it is; NULL: the writer of an HDF5 file says it.
tw_status tw_seal_path(const char *path, const tw_site *site, const tw_peer *recipient, const tw_seal_about *about);
void tw_seal_paths_forget(void);

// ---- reading

// Whether the file begins as sealed ones do.
bool tw_is_sealed(const char *path);
// Without any key, and so without any proof.
tw_status tw_sealed_look(const char *path, tw_seal_public *out);

typedef struct tw_sealed tw_sealed;
// TW_ERR_IDENTITY when it is not sealed to `site`, or not signed by `sender`, whose certificate must be valid now, or
// when their roles do not fit; TW_ERR_FORMAT when header or tags are damaged.
tw_status tw_sealed_open(const char *path, const tw_site *site, const tw_peer *sender, tw_sealed **out);
const tw_seal_public *tw_sealed_public(const tw_sealed *sealed);
const tw_seal_about *tw_sealed_about(const tw_sealed *sealed);
// Chunk `number` from 0; data: TW_SEAL_CHUNK bytes. *bytes: how many the chunk has.
tw_status tw_sealed_chunk(tw_sealed *sealed, uint64_t number, uint8_t *data, size_t *bytes);
uint64_t tw_sealed_chunks(const tw_sealed *sealed);
void tw_sealed_close(tw_sealed *sealed);  // may be NULL

#endif
