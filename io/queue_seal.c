#include "io/queue_seal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/interrupt.h"
#include "io/seal_files.h"
#include "io/unfinished.h"

static tw_status site_file(const tw_queue_seal *s, const char *client, tw_path *out) {
  int n = snprintf(out->text, sizeof out->text, "%s/%s.pem", s->clients, client);
  if (n > 0 && n < TW_NAME_LONGEST) return TW_OK;
  return tw_fail(TW_ERR_IO, "--clients %s: the path is too long", s->clients);
}

tw_status tw_queue_seals(const tw_queue_seal *s, const char *client, bool *seals) {
  tw_path path;
  struct stat info;
  *seals = false;
  if (!s->clients || !*client) return TW_OK;
  TW_TRY(site_file(s, client, &path));
  if (stat(s->clients, &info) != 0)
    return tw_fail(TW_ERR_IO, "--clients %s: cannot be read: %s", s->clients, strerror(errno));
  if (!S_ISDIR(info.st_mode) || info.st_uid != geteuid() || (info.st_mode & 022))
    return tw_fail(TW_ERR_IO, "--clients %s: must be a folder of yours that nobody else may write", s->clients);
  *seals = lstat(path.text, &info) == 0;
  return *seals || errno == ENOENT ? TW_OK : tw_fail(TW_ERR_IO, "%s: cannot be read: %s", path.text, strerror(errno));
}

static tw_status open_sealed(const tw_queue_seal *s, const tw_peer *client, const char *path, const char *plain) {
  tw_sealed *sealed;
  TW_TRY(tw_sealed_open(path, s->site, client, &sealed));
  tw_status status = tw_is_keys(tw_sealed_about(sealed)) ? tw_fail(TW_ERR_MISMATCH, "%s: holds keys, no input", path)
                                                         : tw_unseal_file(sealed, plain, NULL);
  tw_sealed_close(sealed);
  return status;
}

tw_status tw_queue_unseal(const tw_queue_seal *s, const char *client, const char *path) {
  tw_path file, plain;
  tw_peer peer;
  TW_TRY(site_file(s, client, &file));
  TW_TRY(tw_peer_load(file.text, &peer));
  snprintf(plain.text, sizeof plain.text, "%.*s.plain", TW_NAME_LONGEST, path);
  tw_status status = open_sealed(s, &peer, path, plain.text);
  tw_peer_free(&peer);
  TW_TRY(status);
  tw_interrupts_hold();
  bool renamed = rename(plain.text, path) == 0;
  int error = errno;
  tw_unfinished_rename(plain.text, NULL);  // path is remembered
  tw_interrupts_release();
  return renamed ? TW_OK : tw_fail(TW_ERR_IO, "%s: cannot be replaced: %s", path, strerror(error));
}

tw_status tw_queue_seal_result(const tw_queue_seal *s, const char *client, const char *plain, const char *sealed,
                               mode_t mode) {
  tw_path file;
  tw_peer peer;
  TW_TRY(site_file(s, client, &file));
  TW_TRY(tw_peer_load(file.text, &peer));
  tw_status status = tw_seal_file(plain, s->site, &peer, sealed);
  tw_peer_free(&peer);
  TW_TRY(status);
  if (chmod(sealed, mode) == 0) return TW_OK;
  return tw_fail(TW_ERR_IO, "%s: cannot be given to the client: %s", sealed, strerror(errno));
}
