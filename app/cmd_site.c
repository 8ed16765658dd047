#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "app/secrets.h"
#include "app/show/print.h"
#include "base/memory.h"
#include "base/site.h"

enum { DAY = 86400, EARLIER = 600 };  // clocks of two sites differ

static void show_time(const char *what, int64_t seconds) {
  char text[32];
  time_t t = (time_t)seconds;
  struct tm parts;
  if (gmtime_r(&t, &parts) && strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts)) printf("%s %s\n", what, text);
}

static void show(const tw_peer *peer) {
  char fingerprint[TW_FINGERPRINT_TEXT], pin[TW_PIN_BYTES * 5 / 2];
  tw_site_digits(peer->fingerprint, TW_FINGERPRINT_SHOWN, fingerprint, sizeof fingerprint);
  tw_site_digits(peer->pin, TW_PIN_BYTES, pin, sizeof pin);
  printf("role %s\nfingerprint %s\npin %s\n", tw_site_role_name(peer->role), fingerprint, pin);
  show_time("valid from", peer->not_before);
  show_time("valid until", peer->not_after);
}

static json_t *as_json(const tw_peer *peer) {
  char fingerprint[TW_FINGERPRINT_TEXT], pin[TW_PIN_BYTES * 5 / 2];
  tw_site_digits(peer->fingerprint, TW_FINGERPRINT_SHOWN, fingerprint, sizeof fingerprint);
  tw_site_digits(peer->pin, TW_PIN_BYTES, pin, sizeof pin);
  return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "file", peer->file, "role", tw_site_role_word(peer->role),
                   "fingerprint", fingerprint, "pin", pin, "not_before", (json_int_t)peer->not_before, "not_after",
                   (json_int_t)peer->not_after);
}

// ---- init

typedef struct {
  const char *role;
  int64_t days;
  bool allow_unlocked;
} init_settings;

static const tw_option init_options[] = {
    {.name = "role",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(init_settings, role),
     .value = "ROLE",
     .words = "0 1 dealer client owner",
     .help = "what this site is: 0 or 1 (a party), dealer, client, or owner (of the model); needed"},
    {.name = "days",
     .kind = TW_OPTION_INTEGER,
     .field = offsetof(init_settings, days),
     .value = "DAYS",
     .fallback = "730",
     .help = "how long the certificate is valid; then the site is made anew, with new keys",
     .low = 1,
     .high = 3650},
    {.common = &tw_option_allow_unlocked, .field = offsetof(init_settings, allow_unlocked)},
};

static tw_status run_init(const tw_call *call) {
  const init_settings *s = call->settings;
  const char *folder = call->arguments[0];
  tw_site_role role;
  tw_site site;
  tw_not_dumpable();
  if (s->allow_unlocked) tw_seeds_may_be_unlocked();
  if (!s->role) return tw_fail(TW_ERR_USAGE, "--role is missing: 0, 1, dealer, client or owner");
  TW_TRY(tw_site_role_parse(s->role, &role));
  int64_t now = (int64_t)time(NULL);
  TW_TRY(tw_site_create(folder, role, now - EARLIER, now + s->days * DAY));
  tw_status status = tw_site_load(folder, &site);
  if (status == TW_OK && !call->quiet) {
    printf("site %s\n", folder);
    show(&site.self);
    printf("for the others: %s/site.pem; read them the fingerprint over the telephone\n", folder);
  }
  tw_site_free(&site);
  tw_secrets_warn();
  return status;
}

static const tw_command site_init = {
    .name = "site init",
    .arguments = "FOLDER --role ROLE",
    .summary = "make this site's keys and certificate",
    .about =
        "Makes FOLDER with site.key and seal.key, which are private and never leave it, and site.pem, which the "
        "others get. Keys have no passphrase: jobs start without a person. FOLDER must not be there yet.",
    .options = init_options,
    .option_count = sizeof init_options / sizeof *init_options,
    .settings_size = sizeof(init_settings),
    .least = 1,
    .most = 1,
    .run = run_init};

// ---- show

typedef struct {
  bool json;
} show_settings;

static const tw_option show_options[] = {
    {.common = &tw_option_json, .field = offsetof(show_settings, json), .help = "print JSON"},
};

static tw_status run_show(const tw_call *call) {
  const show_settings *s = call->settings;
  tw_peer peer;
  tw_status status = tw_peer_load(call->arguments[0], &peer);
  if (status == TW_OK && s->json) {
    status = tw_json_print(as_json(&peer));
  } else if (status == TW_OK) {
    show(&peer);
    status = tw_peer_check_time(&peer, (int64_t)time(NULL));
  }
  tw_peer_free(&peer);
  return status;
}

static const tw_command site_show = {.name = "site show",
                                     .arguments = "FILE",
                                     .summary = "what a site's public file says",
                                     .about =
                                         "Compare the fingerprint with the one that its owner reads to you, before "
                                         "you use the file. Ends with 12 if its certificate is not valid now.",
                                     .options = show_options,
                                     .option_count = sizeof show_options / sizeof *show_options,
                                     .settings_size = sizeof(show_settings),
                                     .least = 1,
                                     .most = 1,
                                     .run = run_show};

static tw_status run(const tw_call *call) {
  if (call->count == 0)
    return tw_fail(TW_ERR_USAGE, "a word is missing; usage: twain site %s", call->command->arguments);
  return tw_fail(TW_ERR_USAGE, "unknown word '%s'; use init or show", call->arguments[0]);
}

static const tw_command *const parts[] = {&site_init, &site_show, NULL};

const tw_command tw_command_site = {.name = "site",
                                    .arguments = "init|show",
                                    .summary = "who this site is, and who another one is",
                                    .settings_size = 1,
                                    .most = -1,
                                    .run = run,
                                    .parts = parts};
