#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "app/sealing.h"
#include "app/secrets.h"
#include "base/memory.h"
#include "io/new_files.h"
#include "io/seal_files.h"

// ---- seal

typedef struct {
  const char *site, *output;
  tw_option_texts seal_to;
  bool allow_unlocked;
} seal_settings;

static const tw_option seal_options[] = {
    {.common = &tw_option_site, .field = offsetof(seal_settings, site)},
    {.common = &tw_option_seal_to,
     .field = offsetof(seal_settings, seal_to),
     .help = "site file of the recipient; needed, and once"},
    {.name = "output",
     .letter = 'o',
     .kind = TW_OPTION_TEXT,
     .field = offsetof(seal_settings, output),
     .value = "FILE",
     .help = "the sealed file (not given: the file's name and .sealed)"},
    {.common = &tw_option_allow_unlocked, .field = offsetof(seal_settings, allow_unlocked)},
};

static tw_status run_seal(const tw_call *call) {
  const seal_settings *s = call->settings;
  const char *file = call->arguments[0];
  tw_path out;
  tw_sealing sealing;
  tw_not_dumpable();
  if (s->allow_unlocked) tw_seeds_may_be_unlocked();
  if (s->seal_to.count != 1) return tw_fail(TW_ERR_USAGE, "one --seal-to FILE is needed: the recipient's site file");
  if (strlen(file) > TW_NAME_LONGEST) return tw_fail(TW_ERR_USAGE, "%s: the name is too long", file);
  snprintf(out.text, sizeof out.text, "%s" TW_SEALED_ENDING, file);
  const char *output = s->output ? s->output : out.text;
  tw_status status = tw_sealing_begin(s->site, &s->seal_to, (1u << TW_SITE_ROLES) - 1, &sealing);
  if (status == TW_OK) status = tw_seal_file(file, &sealing.site, &sealing.recipients[0], output);
  if (status == TW_OK && !call->quiet) printf("for %s: %s\n", tw_site_role_said(sealing.recipients[0].role), output);
  tw_sealing_end(&sealing);
  tw_secrets_warn();
  return status;
}

const tw_command tw_command_seal = {
    .name = "seal",
    .arguments = "FILE --seal-to FILE --site FOLDER",
    .summary = "encrypt a file to another site, and sign it",
    .about =
        "For files that are there already: a party's result for the client, the client's file, a plan. `share` and "
        "`deal` seal what they write themselves. FILE stays. Shares and keys are sealed only to the role that they are "
        "for.",
    .options = seal_options,
    .option_count = sizeof seal_options / sizeof *seal_options,
    .settings_size = sizeof(seal_settings),
    .least = 1,
    .most = 1,
    .run = run_seal};

// ---- unseal

typedef struct {
  const char *site, *from, *output, *ledger;
  bool again, allow_unlocked;
} unseal_settings;

static const tw_option unseal_options[] = {
    {.common = &tw_option_site, .field = offsetof(unseal_settings, site)},
    {.common = &tw_option_from, .field = offsetof(unseal_settings, from)},
    {.name = "output",
     .letter = 'o',
     .kind = TW_OPTION_TEXT,
     .field = offsetof(unseal_settings, output),
     .value = "FILE",
     .help = "the plain file (not given: the sealed file's name without .sealed)"},
    {.common = &tw_option_ledger, .field = offsetof(unseal_settings, ledger)},
    {.name = "again",
     .field = offsetof(unseal_settings, again),
     .help = "keys: once more, as the file that was unsealed first is lost; seeds of used slots are left out"},
    {.common = &tw_option_allow_unlocked, .field = offsetof(unseal_settings, allow_unlocked)},
};

static tw_status plain_name(const char *file, tw_path *out) {
  size_t n = strlen(file), ending = strlen(TW_SEALED_ENDING);
  if (n <= ending || n > TW_NAME_LONGEST || strcmp(file + n - ending, TW_SEALED_ENDING) != 0)
    return tw_fail(TW_ERR_USAGE, "%s: does not end in " TW_SEALED_ENDING "; name the plain file with --output", file);
  snprintf(out->text, sizeof out->text, "%.*s", (int)(n - ending), file);
  return TW_OK;
}

static tw_status unseal(tw_sealed *sealed, const char *output, const unseal_settings *s) {
  tw_ledger ledger;
  if (!tw_is_keys(tw_sealed_about(sealed))) return tw_unseal_file(sealed, output, NULL);
  TW_TRY(tw_ledger_find(s->ledger, &ledger));
  tw_warn_of_ledger(&tw_speaker, &ledger);
  return tw_unseal_file(sealed, output, &(tw_unseal_keys){&ledger, s->site, s->again});
}

static tw_status run_unseal(const tw_call *call) {
  const unseal_settings *s = call->settings;
  const char *file = call->arguments[0];
  tw_path plain = {.text = ""};
  tw_site site = {.signing = NULL};
  tw_peer from = {.file = NULL};
  tw_sealed *sealed = NULL;
  tw_not_dumpable();
  if (s->allow_unlocked) tw_seeds_may_be_unlocked();
  if (!s->site || !s->from)
    return tw_fail(TW_ERR_USAGE, "--site FOLDER (one's own) and --from FILE (the sender's site file) are needed");
  if (!s->output) TW_TRY(plain_name(file, &plain));
  const char *output = s->output ? s->output : plain.text;
  tw_status status = tw_site_load(s->site, &site);
  if (status == TW_OK) status = tw_peer_load(s->from, &from);
  if (status == TW_OK) status = tw_sealed_open(file, &site, &from, &sealed);
  if (status == TW_OK) status = unseal(sealed, output, s);
  if (status == TW_OK && !call->quiet)
    printf("from %s: %s\nnow delete %s: whoever gets seal.key can open it again\n", tw_site_role_said(from.role),
           output, file);
  tw_sealed_close(sealed);
  tw_peer_free(&from);
  tw_site_free(&site);
  tw_secrets_warn();
  return status;
}

const tw_command tw_command_unseal = {
    .name = "unseal",
    .arguments = "FILE --from FILE --site FOLDER",
    .summary = "open a file that another site sealed",
    .about =
        "Writes the plain file, mode 0600, whole or not at all. Refuses what is not from the sender that --from names, "
        "not for this site, not of the sender's and this site's roles, or damaged.\n"
        "Keys are unsealed once: ledger and site record it, and the keys belong to that ledger from then on.",
    .options = unseal_options,
    .option_count = sizeof unseal_options / sizeof *unseal_options,
    .settings_size = sizeof(unseal_settings),
    .least = 1,
    .most = 1,
    .run = run_unseal};
