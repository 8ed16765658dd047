#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "app/doctor.h"
#include "app/show/print.h"
#include "base/clock.h"
#include "base/site.h"
#include "comm/sockets.h"
#include "io/audit.h"
#include "io/ledger.h"
#include "io/new_files.h"

// ---- where results go

// A file of HDF5's own, written, read again and removed.
static bool hdf5_works(const char *folder) {
  char path[4096];
  int wrote = 42, read = 0;
  snprintf(path, sizeof path, "%s/.twain-doctor-%d.h5", folder, (int)getpid());
  hid_t file = H5Fcreate(path, H5F_ACC_EXCL, H5P_DEFAULT, H5P_DEFAULT), space = H5Screate(H5S_SCALAR);
  hid_t value = file < 0 ? -1 : H5Dcreate2(file, "value", H5T_NATIVE_INT, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  bool works = value >= 0 && H5Dwrite(value, H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, &wrote) >= 0 &&
               H5Dread(value, H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, &read) >= 0 && read == wrote;
  if (value >= 0) H5Dclose(value);
  H5Sclose(space);
  if (file >= 0) works = H5Fclose(file) >= 0 && works;
  if (file >= 0) unlink(path);
  return works;
}

void tw_doctor_files(tw_doctor *d, const char *folder) {
  uint64_t left = 0;
  char path[4096];
  snprintf(path, sizeof path, "%s/x", folder);
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  tw_status status = tw_disk_free(path, &left);
  bool works = status == TW_OK && hdf5_works(folder);
  if (status != TW_OK)
    tw_doctor_say_error(d, TW_BAD, "files");
  else
    tw_doctor_say(d, works ? TW_FINE : TW_BAD, "files",
                  "work in a folder that this user may write; where HDF5 cannot lock, HDF5_USE_FILE_LOCKING=FALSE",
                  "%s: HDF5 files %s, %s free", folder, works ? "can be written and read" : "cannot be written",
                  tw_text_bytes((double)left));
}

// ---- the ledger

static void ledger_locks(tw_doctor *d, const tw_ledger *ledger) {
  char path[4096];
  snprintf(path, sizeof path, "%s/ledger.json", ledger->dir);
  int fd = open(path, O_RDWR | O_CLOEXEC);  // NFS locks nothing that is not open for writing
  bool locks = fd >= 0 && (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno == EWOULDBLOCK);
  tw_doctor_say(
      d, locks ? TW_FINE : TW_BAD, "locking",
      "put the ledger where flock works: a local disk, NFS with its lock service, Lustre mounted with -o flock",
      "%s: flock %s", ledger->dir, locks ? "works" : strerror(errno));
  if (fd >= 0) close(fd);
}

void tw_doctor_ledger(tw_doctor *d, const char *named) {
  enum { SLOTS = 1000 };
  tw_ledger ledger;
  if (tw_ledger_find(named, &ledger) != TW_OK) {
    tw_doctor_say_error(d, named ? TW_BAD : TW_NOTE, "ledger");
    return;
  }
  const char *forgets = tw_ledger_forgets(&ledger);
  tw_doctor_say(d, forgets ? TW_BAD : TW_FINE, "ledger", "put it on durable storage that all nodes share",
                "%s, made %s, %s%s", ledger.dir, ledger.created,
                forgets ? "on a file system that forgets: " : "durable", forgets ? forgets : "");
  if (tw_ledger_check_room(&ledger, SLOTS) != TW_OK) tw_doctor_say_error(d, TW_BAD, "ledger");
  ledger_locks(d, &ledger);
}

void tw_doctor_audit(tw_doctor *d) {
  const char *where = getenv("TWAIN_AUDIT");
  if (!where || !*where)
    tw_doctor_say(d, TW_FINE, "audit log", NULL, "none is wanted (TWAIN_AUDIT)");
  else if (tw_audit("doctor", json_object()) == TW_OK)
    tw_doctor_say(d, TW_FINE, "audit log", NULL, "%s: takes a line, \"doctor\"", where);
  else
    tw_doctor_say_error(d, TW_BAD, "audit log");
}

// ---- sites

static void certificate(tw_doctor *d, const char *check, const tw_peer *peer) {
  enum { SOON = 30 };
  char until[32] = "";
  time_t end = (time_t)peer->not_after, now = time(NULL);
  struct tm parts;
  if (gmtime_r(&end, &parts)) strftime(until, sizeof until, "%Y-%m-%d", &parts);
  if (tw_peer_check_time(peer, (int64_t)now) != TW_OK) {
    tw_doctor_say_error(d, TW_BAD, check);
    return;
  }
  long days = (long)((end - now) / 86400);
  tw_doctor_say(d, days < SOON ? TW_NOTE : TW_FINE, check, "make the site anew in time, and hand its public file over",
                "%s: %s, certificate valid until %s, %ld days", peer->file, tw_site_role_name(peer->role), until, days);
}

void tw_doctor_site(tw_doctor *d, const char *folder) {
  tw_site site = {.signing = NULL};
  if (tw_site_load(folder, &site) == TW_OK)
    certificate(d, "site", &site.self);
  else
    tw_doctor_say_error(d, TW_BAD, "site");
  tw_site_free(&site);
}

void tw_doctor_peer(tw_doctor *d, const char *file) {
  tw_peer peer = {.file = NULL};
  if (tw_peer_load(file, &peer) == TW_OK)
    certificate(d, "peer", &peer);
  else
    tw_doctor_say_error(d, TW_BAD, "peer");
  tw_peer_free(&peer);
}

// ---- ports

// Connections that this host opens get a port of this range: one that listens there may find it taken.
static bool is_ephemeral(int port) {
  int low = 0, high = -1;
  FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
  if (!file) return false;
  if (fscanf(file, "%d %d", &low, &high) != 2) high = -1;
  fclose(file);
  return port >= low && port <= high;
}

void tw_doctor_listen(tw_doctor *d, const char *where) {
  tw_sockets *s = NULL;
  tw_route ways = {.listen = where};
  if (tw_sockets_open(&ways, &s) != TW_OK) {
    tw_doctor_say_error(d, TW_BAD, "port");
  } else {
    int port = tw_sockets_port(s);
    bool odd = is_ephemeral(port);
    tw_doctor_say(d, odd ? TW_NOTE : TW_FINE, "port",
                  "choose one below net.ipv4.ip_local_port_range: others may get this one at any time", "%d is free%s",
                  port, odd ? ", among those that connections get" : "");
  }
  if (s) tw_sockets_close(s);
}

void tw_doctor_connect(tw_doctor *d, const char *where) {
  const uint64_t patience = 3000000000u;
  int fd = -1;
  tw_sockets *s = NULL;
  tw_route ways = {.connect = where};
  tw_status status = tw_sockets_open(&ways, &s);
  if (status == TW_OK) status = tw_sockets_next(s, tw_clock_ns() + patience, &fd);
  if (status == TW_OK)
    tw_doctor_say(d, TW_FINE, "connect", NULL, "%s answers", where);
  else
    tw_doctor_say_error(d, status == TW_ERR_PEER ? TW_NOTE : TW_BAD, "connect");
  if (fd >= 0) close(fd);
  if (s) tw_sockets_close(s);
}
