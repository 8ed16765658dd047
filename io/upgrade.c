#include "io/upgrade.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/client.h"
#include "io/h5.h"
#include "io/model.h"

struct tw_upgrade {
  const struct kind *kind;
  union {
    tw_model_share share;
    tw_model_dealer dealer;
    tw_client client;
  } content;
};

// ---- the kinds that are carried over

static tw_status read_share(const char *path, int version, tw_upgrade *u) {
  return tw_model_share_read_version(path, -1, version, &u->content.share);
}
static tw_status write_share(const tw_upgrade *u, const char *path) {
  return tw_model_share_write(path, &u->content.share);
}
static void free_share(tw_upgrade *u) { tw_model_share_free(&u->content.share); }

static tw_status read_dealer(const char *path, int version, tw_upgrade *u) {
  return tw_model_dealer_read_version(path, version, &u->content.dealer);
}
static tw_status write_dealer(const tw_upgrade *u, const char *path) {
  return tw_model_dealer_write(path, &u->content.dealer);
}
static void free_dealer(tw_upgrade *u) { tw_model_dealer_free(&u->content.dealer); }

static tw_status read_client(const char *path, int version, tw_upgrade *u) {
  return tw_client_read_version(path, version, &u->content.client);
}
static tw_status write_client(const tw_upgrade *u, const char *path) {
  return tw_client_write(path, &u->content.client);
}
static void free_client(tw_upgrade *u) { tw_client_free(&u->content.client); }

typedef struct kind {
  const char *format;
  tw_status (*read)(const char *path, int version, tw_upgrade *u);
  tw_status (*write)(const tw_upgrade *u, const char *path);
  void (*free)(tw_upgrade *u);
} kind;

static const kind kinds[] = {{"twain-model-share", read_share, write_share, free_share},
                             {"twain-model-dealer", read_dealer, write_dealer, free_dealer},
                             {"twain-client", read_client, write_client, free_client}};

// ---- any file

static tw_status read_version(const tw_h5 *f, tw_file_version *out) {
  char version[16], *end;
  if (tw_h5_get_text(f, "/", "format", out->format, sizeof out->format) != TW_OK ||
      strncmp(out->format, "twain-", 6) != 0)
    return tw_fail(TW_ERR_FORMAT, "%s: not written by twain (no attribute format)", f->path);
  TW_TRY(tw_h5_get_text(f, "/", "version", version, sizeof version));
  long number = strtol(version, &end, 10);
  if (!*version || *end || number < 1 || number > 9999)
    return tw_fail(TW_ERR_FORMAT, "%s: its version \"%s\" is no version; fetch a fresh copy", f->path, version);
  out->version = (int)number;
  return TW_OK;
}

tw_status tw_file_version_read(const char *path, tw_file_version *out) {
  tw_h5 f;
  TW_TRY(tw_h5_open_any(&f, path));
  tw_status status = read_version(&f, out);
  tw_h5_close(&f);
  return status;
}

static tw_status not_carried(const char *path, const tw_file_version *v) {
  static const struct {
    const char *format, *instead;
  } others[] = {{"twain-keys", "deal new keys (`twain deal`): keys are used once, and are never carried over"},
                {"twain-model", "import the model again (`twain import`)"},
                {"twain-input", "encode the input again (`twain encode`)"},
                {"twain-input-share", "share the input again (`twain share --input`)"},
                {"twain-result-share", "reveal it with the twain that wrote it, or run again"},
                {"twain-result", "read it with the twain that wrote it, or with HDF5's own tools"}};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (strcmp(v->format, others[i].format) == 0)
      return tw_fail(TW_ERR_FORMAT, "%s: %s files are not carried over: %s", path, v->format, others[i].instead);
  return tw_fail(TW_ERR_FORMAT, "%s: %s is no kind of file that this twain knows", path, v->format);
}

tw_status tw_upgrade_read(const char *path, tw_upgrade **out) {
  tw_file_version v;
  *out = NULL;
  TW_TRY(tw_file_version_read(path, &v));
  if (v.version == TW_FORMAT_VERSION)
    return tw_fail(TW_ERR_USAGE, "%s: is of version %d already: nothing to do", path, v.version);
  if (v.version > TW_FORMAT_VERSION) {
    char number[16];
    snprintf(number, sizeof number, "%d", v.version);
    return tw_format_other_version(path, v.format, number, "");
  }
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (strcmp(v.format, kinds[i].format) != 0) continue;
    tw_upgrade *u = calloc(1, sizeof *u);
    if (!u) return tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
    u->kind = &kinds[i];
    tw_status status = u->kind->read(path, v.version, u);
    if (status == TW_OK)
      *out = u;
    else
      free(u);
    return status;
  }
  return not_carried(path, &v);
}

tw_status tw_upgrade_write(const tw_upgrade *u, const char *path) { return u->kind->write(u, path); }

void tw_upgrade_free(tw_upgrade *u) {
  if (!u) return;
  u->kind->free(u);
  free(u);
}
