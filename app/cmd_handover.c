#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "app/commands.h"
#include "app/sealing.h"
#include "app/show/print.h"
#include "io/new_files.h"
#include "io/seal_files.h"

// What changes hands, recipient by recipient.
static const struct {
  const char *to, *from, *suffix;
  bool public;
} files[] = {{"all", "model owner", "plan.json", true},        {"party 0", "model owner", "model.p0.h5", false},
             {"party 0", "dealer", "keys.p0.h5", false},       {"party 0", "client", "input.p0.h5", false},
             {"party 1", "model owner", "model.p1.h5", false}, {"party 1", "dealer", "keys.p1.h5", false},
             {"party 1", "client", "input.p1.h5", false},      {"dealer", "model owner", "model.dealer.h5", false},
             {"client", "model owner", "model.json", true},    {"client", "model owner", "client.h5", false},
             {"client", "model owner", "prefix.json", false},  {"client", "party 0", "result.p0.h5", false},
             {"client", "party 1", "result.p1.h5", false}};

typedef struct {
  tw_grid grid;
  int found, plain;
} listing;

static tw_status add(listing *l, size_t row, const tw_path *path, bool sealed) {
  struct stat info;
  char digest[65], how[16 + TW_FINGERPRINT_TEXT] = "public";
  tw_seal_public public;
  TW_TRY(tw_file_sha256(path->text, digest));
  if (stat(path->text, &info) != 0) return tw_fail(TW_ERR_IO, "%s: is gone", path->text);
  if (sealed) {
    TW_TRY(tw_sealed_look(path->text, &public));
    char pin[TW_FINGERPRINT_TEXT];
    tw_site_digits(public.recipient, 4, pin, sizeof pin);
    snprintf(how, sizeof how, "to pin %s", pin);
  } else if (!files[row].public) {
    snprintf(how, sizeof how, "no");
    l->plain++;
  }
  if (l->found++ == 0) tw_grid_row(&l->grid, "file\tfor\tfrom\tsealed\tbytes\tSHA-256");
  tw_grid_row(&l->grid, "%s\t%s\t%s\t%s\t%lld\t%s", path->text, files[row].to, files[row].from, how,
              (long long)info.st_size, digest);
  return TW_OK;
}

static tw_status list(const char *name, listing *l) {
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    for (int sealed = 0; sealed < 2; sealed++) {
      char suffix[64];
      snprintf(suffix, sizeof suffix, "%s%s", files[i].suffix, sealed ? TW_SEALED_ENDING : "");
      tw_path path = tw_path_of(name, suffix);
      if (tw_path_exists(&path)) TW_TRY(add(l, i, &path, sealed));
    }
  if (l->found == 0) return tw_fail(TW_ERR_IO, "%s: no file of that name is here that would be handed over", name);
  return TW_OK;
}

static tw_status run(const tw_call *call) {
  listing l = {.found = 0};
  TW_TRY(tw_name_check(call->arguments[0]));
  tw_status status = list(call->arguments[0], &l);
  tw_grid_print(&l.grid);
  if (status == TW_OK && l.plain > 0 && !call->quiet)
    printf(
        "%d %s not sealed: one's own, or to be sealed before it leaves this host (`share` and `deal` with --seal-to, "
        "`twain seal`)\n",
        l.plain, l.plain == 1 ? "is" : "are");
  return status;
}

const tw_command tw_command_handover = {
    .name = "handover",
    .arguments = "NAME",
    .summary = "who gets which of the files here, with digests",
    .about =
        "Lists the files of NAME that change hands, plain or sealed, with their recipients and SHA-256 digests, as "
        "`sha256sum` prints them: a recipient compares them with what arrived. Opens nothing and needs no keys.",
    .settings_size = 1,
    .least = 1,
    .most = 1,
    .run = run};
