#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "app/sealing.h"
#include "app/show/print.h"
#include "base/memory.h"
#include "io/key_parts.h"
#include "io/new_files.h"
#include "io/seal_files.h"
#include "jobs/plan/lengths.h"

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
  const char *site;
} settings;

static const tw_option options[] = {{.common = &tw_option_site,
                                     .field = offsetof(settings, site),
                                     .help = "one's own site: what is for it stays plain"}};

// plain: what would be sealed before it leaves: not for this site, and without a sealed form beside it.
typedef struct {
  const char *own;  // role of this site, "": not known
  tw_grid grid;
  int found;
  tw_path *plain;
  size_t plain_room;
  int plain_count;
} listing;

typedef enum { NOTHING, SEALED, OLDER } beside;

// The sealed form of a plain file. Where this site is not the recipient, one that is older is of another content; a
// recipient's is older as a rule.
static beside look_beside(const tw_path *path, const struct stat *plain) {
  struct stat sealed;
  tw_path twin;
  snprintf(twin.text, sizeof twin.text, "%.*s" TW_SEALED_ENDING, TW_NAME_LONGEST + 32, path->text);
  if (stat(twin.text, &sealed) != 0) return NOTHING;
  const struct timespec *p = &plain->st_mtim, *s = &sealed.st_mtim;
  return p->tv_sec > s->tv_sec || (p->tv_sec == s->tv_sec && p->tv_nsec > s->tv_nsec) ? OLDER : SEALED;
}

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
    bool own = strcmp(files[row].to, l->own) == 0;
    beside twin = look_beside(path, &info);
    bool settled = own || twin == SEALED || (twin == OLDER && !*l->own);
    snprintf(how, sizeof how, own ? "no, yours" : settled ? "no, beside" : twin == OLDER ? "no, newer" : "no");
    if (!settled) {
      TW_TRY(tw_grow((void **)&l->plain, &l->plain_room, (size_t)l->plain_count + 1, sizeof *l->plain));
      l->plain[l->plain_count++] = *path;
    }
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
  return TW_OK;
}

// With keys that were appended.
static tw_status list_with_keys(const char *name, listing *l) {
  tw_key_parts parts;
  TW_TRY(list(name, l));
  TW_TRY(tw_key_parts_find(name, &parts));
  tw_status status = TW_OK;
  for (int i = 0; i < parts.count && status == TW_OK; i++) status = list(parts.names[i].text, l);
  tw_key_parts_free(&parts);
  return status;
}

// What the lengths of a plan have is NAME's, too (jobs/plan/lengths.h).
static tw_status list_lengths(const char *name, listing *l) {
  bool *seen;
  TW_TRY(tw_alloc(sizeof *seen * (TW_MOST_TOKENS + 1), (void **)&seen));
  tw_status status = tw_lengths_beside(name, seen);
  for (int seq = 1; seq <= TW_MOST_TOKENS && status == TW_OK; seq++)
    if (seen[seq]) status = list_with_keys(tw_length_name(name, seq).text, l);
  tw_free(seen);
  return status;
}

static tw_status list_all(const char *name, listing *l) {
  TW_TRY(list_with_keys(name, l));
  TW_TRY(list_lengths(name, l));
  if (l->found == 0) return tw_fail(TW_ERR_IO, "%s: no file of that name is here that would be handed over", name);
  return TW_OK;
}

static void print_plain(const listing *l) {
  if (l->plain_count == 0) return;
  for (int i = 0; i < l->plain_count; i++) printf("%s%s", i ? ", " : "\nplain: ", l->plain[i].text);
  puts("");
  if (!*l->own) puts("what was unsealed here, or is for this site, stays so (--site FOLDER says which site this is)");
  puts("before another one leaves this host it is sealed: `twain seal FILE`, or `share` and `deal` with --seal-to");
}

static tw_status know_role(const char *folder, const char **role) {
  tw_site own;
  TW_TRY(tw_site_load(folder, &own));
  *role = tw_site_role_name(own.self.role);
  tw_site_free(&own);
  return TW_OK;
}

static tw_status run(const tw_call *call) {
  listing *l = calloc(1, sizeof *l);
  if (!l) return tw_fail(TW_ERR_MEMORY, "out of memory");
  const char *folder = ((const settings *)call->settings)->site;
  l->own = "";
  tw_status status = tw_name_check(call->arguments[0]);
  if (status == TW_OK && folder) status = know_role(folder, &l->own);
  if (status == TW_OK) status = list_all(call->arguments[0], l);
  tw_grid_print(&l->grid);
  if (status == TW_OK && !call->quiet) print_plain(l);
  tw_free(l->plain);
  free(l);
  return status;
}

const tw_command tw_command_handover = {
    .name = "handover",
    .arguments = "NAME",
    .summary = "who gets which of the files here, with digests",
    .about =
        "Lists the files of NAME, and of its lengths, that change hands, also keys that were appended (`deal "
        "--append`), plain, sealed, or plain beside their sealed form, with their recipients and SHA-256 digests, as "
        "`sha256sum` prints them: a recipient compares them with what arrived. Opens nothing and needs no keys.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .least = 1,
    .most = 1,
    .run = run};
