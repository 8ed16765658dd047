#include "app/sealing.h"

#include <stdio.h>
#include <time.h>

const tw_peer *tw_sealing_for(const tw_sealing *s, tw_site_role role) {
  for (int i = 0; i < s->count; i++)
    if (s->recipients[i].role == role) return &s->recipients[i];
  return NULL;
}

static tw_status add(tw_sealing *s, const char *file, unsigned roles) {
  tw_peer peer;
  tw_status status = tw_peer_load(file, &peer);
  if (status == TW_OK) status = tw_peer_check_time(&peer, (int64_t)time(NULL));
  if (status == TW_OK && !(roles >> peer.role & 1))
    status = tw_fail(TW_ERR_USAGE, "--seal-to %s: is of %s, for whom this command writes nothing", file,
                     tw_site_role_said(peer.role));
  if (status == TW_OK && tw_sealing_for(s, peer.role))
    status = tw_fail(TW_ERR_USAGE, "--seal-to %s: %s is named already", file, tw_site_role_said(peer.role));
  if (status == TW_OK)
    s->recipients[s->count++] = peer;
  else
    tw_peer_free(&peer);
  return status;
}

tw_status tw_sealing_begin(const char *site, const tw_option_texts *to, unsigned roles, tw_sealing *out) {
  *out = (tw_sealing){.count = 0};
  if (!site && to->count == 0) return TW_OK;
  if (!site || to->count == 0)
    return tw_fail(TW_ERR_USAGE, "--site FOLDER (the sender) and --seal-to FILE (a recipient) go together");
  out->loaded = true;
  TW_TRY(tw_site_load(site, &out->site));
  TW_TRY(tw_peer_check_time(&out->site.self, (int64_t)time(NULL)));
  for (int i = 0; i < to->count; i++) TW_TRY(add(out, to->text[i], roles));
  return TW_OK;
}

void tw_sealing_end(tw_sealing *s) {
  tw_seal_paths_forget();
  for (int i = 0; i < s->count; i++) tw_peer_free(&s->recipients[i]);
  if (s->loaded) tw_site_free(&s->site);
  *s = (tw_sealing){.count = 0};
}

const char *tw_sealing_name(const tw_sealing *s, tw_site_role role, const char *name, char *room, size_t size) {
  if (!tw_sealing_for(s, role)) return name;
  snprintf(room, size, "%s" TW_SEALED_ENDING, name);
  return room;
}

tw_status tw_sealing_path(const tw_sealing *s, tw_site_role role, const char *path) {
  const tw_peer *recipient = tw_sealing_for(s, role);
  return recipient ? tw_seal_path(path, &s->site, recipient, NULL) : TW_OK;
}

tw_status tw_sealing_place(const char *name, const char *suffix, const tw_sealing *s, tw_site_role role, tw_path *path,
                           const char **ending) {
  char room[32];
  *path = tw_path_of(name, tw_sealing_name(s, role, suffix, room, sizeof room));
  *ending = tw_sealing_for(s, role) ? TW_SEALED_ENDING : "";
  return tw_sealing_path(s, role, path->text);
}
