#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "app/secrets.h"
#include "app/show/print.h"
#include "base/memory.h"
#include "io/model_id.h"
#include "io/seal_files.h"
#include "jobs/plan/plan.h"

typedef struct {
  const char *site, *from, *plan;
  bool allow_unlocked;
} settings;

static const tw_option options[] = {
    {.common = &tw_option_site, .field = offsetof(settings, site)},
    {.common = &tw_option_from, .field = offsetof(settings, from)},
    {.name = "plan",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, plan),
     .value = "FILE",
     .help = "the plan that the file must be of, NAME.plan.json"},
    {.common = &tw_option_allow_unlocked, .field = offsetof(settings, allow_unlocked)},
};

static bool ends_in(const char *file, const char *ending) {
  size_t n = strlen(file), m = strlen(ending);
  return n > m && strcmp(file + n - m, ending) == 0;
}

static tw_status check_plan(const char *file, const tw_seal_about *about, const char *plan) {
  tw_digest digest;
  if (!plan) return TW_OK;
  TW_TRY(tw_plan_read_digest(plan, &digest));
  if (!about->plan.hex[0] || strcmp(about->plan.hex, digest.hex) == 0) return TW_OK;
  return tw_fail(TW_ERR_MISMATCH, "%s: is of plan %s, not of %s (%s)", file, about->plan.hex, plan, digest.hex);
}

static void show(const char *file, const tw_seal_about *about, const char *plan) {
  printf("%s: whole\n", file);
  if (!about->format[0]) return;
  printf("kind %s\n", about->role);
  if (about->id.hex[0]) printf("id %s\n", about->id.hex);
  if (about->plan.hex[0])
    printf("plan %s%s\n", about->plan.hex, plan ? ", as wanted" : "");
  else
    printf("plan none: such a file serves every plan of its model\n");
}

// ---- sealed

static void show_seal(const tw_sealed *sealed, const tw_peer *from) {
  const tw_seal_public *public = tw_sealed_public(sealed);
  char when[32] = "", pin[TW_FINGERPRINT_TEXT];
  time_t seconds = (time_t) public->sealed_at;
  struct tm parts;
  if (gmtime_r(&seconds, &parts)) strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", &parts);
  tw_site_digits(public->sender, TW_FINGERPRINT_SHOWN, pin, sizeof pin);
  printf("sealed by %s (pin %s) at %s, for this site\n", tw_site_role_said(from->role), pin, when);
}

static tw_status verify_sealed(const char *file, const settings *s, bool quiet) {
  tw_site site = {.signing = NULL};
  tw_peer from = {.file = NULL};
  tw_sealed *sealed = NULL;
  if (!s->site || !s->from)
    return tw_fail(TW_ERR_USAGE,
                   "%s: is sealed: --site FOLDER (one's own) and --from FILE (the sender's site file) are needed",
                   file);
  tw_status status = tw_site_load(s->site, &site);
  if (status == TW_OK) status = tw_peer_load(s->from, &from);
  if (status == TW_OK) status = tw_sealed_open(file, &site, &from, &sealed);
  if (status == TW_OK) status = check_plan(file, tw_sealed_about(sealed), s->plan);
  if (status == TW_OK) status = tw_sealed_check(sealed);
  if (status == TW_OK && !quiet) {
    show(file, tw_sealed_about(sealed), s->plan);
    show_seal(sealed, &from);
  }
  tw_sealed_close(sealed);
  tw_peer_free(&from);
  tw_site_free(&site);
  return status;
}

// ---- plain

static tw_status check_mine(const char *file, const tw_seal_about *about, const char *folder) {
  tw_site_role sender, recipient;
  tw_site site;
  if (!folder || !tw_seal_way(about, &sender, &recipient)) return TW_OK;
  tw_status status = tw_site_load(folder, &site);
  if (status == TW_OK && site.self.role != recipient)
    status = tw_fail(TW_ERR_MISMATCH, "%s: %s is for %s, and %s is %s", file, about->role, tw_site_role_said(recipient),
                     folder, tw_site_role_said(site.self.role));
  tw_site_free(&site);
  return status;
}

// Plan and model.json are public, and no HDF5.
static tw_status verify_public(const char *file, const settings *s, bool quiet) {
  tw_plan plan;
  tw_id id;
  if (ends_in(file, ".model.json")) {
    TW_TRY(tw_model_id_read(file, &id));
    if (!quiet) printf("%s: whole\nkind model id, public\nid %s\n", file, id.hex);
    return TW_OK;
  }
  TW_TRY(tw_plan_read(file, &plan));
  tw_seal_about about = {.plan = plan.digest};
  tw_status status = check_plan(file, &about, s->plan);
  if (status == TW_OK && !quiet)
    printf("%s: whole\nkind plan, public\nplan %s%s\n", file, plan.digest.hex, s->plan ? ", as wanted" : "");
  tw_plan_free(&plan);
  return status;
}

static tw_status verify_plain(const char *file, const settings *s, bool quiet) {
  tw_seal_about about;
  if (s->from) return tw_fail(TW_ERR_USAGE, "%s: is not sealed, and so says nothing about who made it (--from)", file);
  if (ends_in(file, ".plan.json") || ends_in(file, ".model.json")) return verify_public(file, s, quiet);
  TW_TRY(tw_plain_about(file, &about));
  TW_TRY(check_mine(file, &about, s->site));
  TW_TRY(check_plan(file, &about, s->plan));
  TW_TRY(tw_plain_check(file, &about));
  if (!quiet) show(file, &about, s->plan);
  return TW_OK;
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  const char *file = call->arguments[0];
  tw_not_dumpable();
  if (s->allow_unlocked) tw_seeds_may_be_unlocked();
  tw_status status = tw_is_sealed(file) ? verify_sealed(file, s, call->quiet) : verify_plain(file, s, call->quiet);
  tw_secrets_warn();
  return status;
}

const tw_command tw_command_verify = {
    .name = "verify",
    .arguments = "FILE",
    .summary = "is a file that was handed over whole, for this site, of this plan",
    .about =
        "Reads FILE to its end with all checks, and writes nothing. Of a sealed file it checks sender, recipient and "
        "signature, and opens every chunk, with --site and --from, as unseal would. Of a plain file, a plan or "
        "model.json, it checks what its "
        "reader checks, and with --site for whom it is. A plain file proves nothing about who made it.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .least = 1,
    .most = 1,
    .run = run};
