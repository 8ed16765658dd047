#include "io/queue_seal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
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
  tw_status status = tw_peer_load(file.text, &peer);
  snprintf(plain.text, sizeof plain.text, "%.*s.plain", TW_NAME_LONGEST, path);
  if (status == TW_OK) status = open_sealed(s, &peer, path, plain.text);
  tw_peer_free(&peer);
  TW_TRY(status);
  tw_interrupts_hold();
  bool renamed = rename(plain.text, path) == 0;
  int error = errno;
  tw_unfinished_rename(plain.text, NULL);  // path is remembered
  tw_interrupts_release();
  return renamed ? TW_OK : tw_fail(TW_ERR_IO, "%s: cannot be replaced: %s", path, strerror(error));
}

// A site file that `now` lets nobody seal to.
static tw_status check_client(const tw_path *file, int64_t now) {
  tw_peer peer;
  tw_status status = tw_peer_load(file->text, &peer);
  if (status == TW_OK) status = tw_peer_check_time(&peer, now);
  if (status == TW_OK && peer.role != TW_SITE_CLIENT)
    status = tw_fail(TW_ERR_IDENTITY, "%s: is the site of %s, no client's", file->text, tw_site_role_said(peer.role));
  tw_peer_free(&peer);
  return status;
}

tw_status tw_queue_can_seal(const tw_queue_seal *s, const char *client, char *why, size_t bytes) {
  tw_path file;
  bool seals;
  const int64_t now = (int64_t)time(NULL);
  *why = '\0';
  if (!s->clients)
    return tw_fail(TW_ERR_USAGE, "a result of %s is to be sealed: say --clients, as the service before", client);
  TW_TRY(tw_peer_check_time(&s->site->self, now));
  TW_TRY(site_file(s, client, &file));
  TW_TRY(tw_queue_seals(s, client, &seals));
  tw_status status = seals ? check_client(&file, now) : TW_OK;
  if (status == TW_ERR_MEMORY) return status;
  if (!seals)
    snprintf(why, bytes, "%s: the site file has gone", file.text);
  else if (status != TW_OK)
    snprintf(why, bytes, "%s", tw_error_message());
  return TW_OK;
}

tw_status tw_queue_seal_result(const tw_queue_seal *s, const char *client, const char *plain, const char *sealed) {
  tw_path file;
  tw_peer peer;
  bool seals;
  TW_TRY(tw_queue_seals(s, client, &seals));
  if (!seals) return tw_fail(TW_ERR_IDENTITY, "%s: cannot be sealed to %s, which has no site file", plain, client);
  TW_TRY(site_file(s, client, &file));
  tw_status status = tw_peer_load(file.text, &peer);
  if (status == TW_OK) status = tw_seal_file(plain, s->site, &peer, sealed);
  tw_peer_free(&peer);
  return status;
}
