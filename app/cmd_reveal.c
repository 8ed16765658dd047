#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "app/show/answer.h"
#include "app/show/result_table.h"
#include "base/memory.h"
#include "io/audit.h"
#include "io/file.h"
#include "io/new_files.h"
#include "io/seal_files.h"
#include "jobs/parties/by_text.h"
#include "jobs/parties/reveal.h"

typedef struct {
  const char *model, *csv, *npy;
  bool force, show_texts;
} settings;

static const tw_option options[] = {
    {.common = &tw_option_model, .field = offsetof(settings, model)},
    {.name = "csv",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, csv),
     .value = "FILE",
     .help =
         "also write a CSV file in the order of the client's texts: id, line, tokens, then values, or a classifier's "
         "label and probabilities, or words"},
    {.name = "npy",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, npy),
     .value = "FILE",
     .help = "also write the values as an array of NumPy, in the order of the client's texts"},
    {.common = &tw_option_show_texts, .field = offsetof(settings, show_texts)},
    {.common = &tw_option_force, .field = offsetof(settings, force)},
};

enum { TRUSTED, UNTRUSTED, NAMES };

static tw_status log_result(const tw_result *r, const char *path) {
  char digest[65];
  if (!tw_audit_wanted()) return TW_OK;
  TW_TRY(tw_file_sha256(path, digest));
  return tw_audit("reveal", json_pack("{s:s, s:s, s:s, s:i, s:s}", "model_id", r->model_id.hex, "run_id", r->run_id.hex,
                                      "input_id", r->input_id.hex, "sequences", r->count, "sha256", digest));
}

// A result with values out of bound goes under a name of its own; an older one of either name does not stay beside it.
// None is left that the audit log does not know.
static tw_status write_result(tw_new_files *places, const tw_result *result, int which) {
  tw_status status = tw_new_files_begin(places);
  if (status == TW_OK) status = tw_result_write(places->path[which].text, result);
  places->written[which] = status == TW_OK;
  if (status == TW_OK) status = log_result(result, places->path[which].text);
  return tw_new_files_end(places, status);
}

static void print(const tw_result *r, const char *path, bool with_input) {
  printf("run %s: %d sequence%s, output %s [%d][%d]%s\nwritten: %s\n", r->run_id.hex, r->count,
         r->count == 1 ? "" : "s", r->output, r->rows, r->cols, r->normalised ? ", scaled to length 1" : "", path);
  if (!with_input) printf("of input %s, which is not here to compare\n", r->input_id.hex);
  if (!r->out_of_bound)
    puts("values out of the plan's bounds: NOT counted, the plan has no guard");
  else if (tw_result_first_bad(r) < 0)
    puts("values out of the plan's bounds: none counted");
}

// ---- for other programs

// Whether two names are one place: a folder may be written in several ways.
static bool one_place(const char *a, const char *b) {
  char folder[2][PATH_MAX];
  struct stat info[2];
  if (strcmp(tw_behind_folder(a), tw_behind_folder(b)) != 0) return false;
  return tw_folder_of(a, folder[0]) == TW_OK && tw_folder_of(b, folder[1]) == TW_OK && stat(folder[0], &info[0]) == 0 &&
         stat(folder[1], &info[1]) == 0 && info[0].st_dev == info[1].st_dev && info[0].st_ino == info[1].st_ino;
}

static tw_status check_tables(const settings *s, const tw_new_files *places) {
  const char *files[] = {s->csv, s->npy};
  for (int i = 0; i < 2; i++) {
    if (!files[i]) continue;
    TW_TRY(tw_file_check_table(files[i], s->force));
    for (int j = 0; j < places->count; j++)
      if (one_place(files[i], places->path[j].text))
        return tw_fail(TW_ERR_USAGE, "%s: is the result's own name; give --csv and --npy others", files[i]);
  }
  if (s->csv && s->npy && one_place(s->csv, s->npy))
    return tw_fail(TW_ERR_USAGE, "--csv and --npy name one file: give each its own");
  return TW_OK;
}

static tw_status write_csv(const settings *s, const char *model, const char *input, const tw_result *texts,
                           const int *first) {
  tw_client client;
  tw_input own;
  tw_path path = tw_path_of(model, "client.h5");
  bool named = tw_path_exists(&path);
  if (named) TW_TRY(tw_client_read(path.text, &client));
  tw_status status = input ? tw_input_read(input, &own) : TW_OK;
  if (status == TW_OK) {
    tw_result_table table = {texts, first, path.text, named ? &client : NULL, input ? &own : NULL};
    status = tw_result_csv(s->csv, s->force, &table);
    if (input) tw_input_free(&own);
  }
  if (named) tw_client_free(&client);
  return status;
}

static tw_status write_tables(const tw_call *call, const char *model, const char *input, const tw_result *result) {
  const settings *s = call->settings;
  const char *files[] = {s->csv, s->npy};
  tw_result texts;
  int *first;
  if (!s->csv && !s->npy) return TW_OK;
  TW_TRY(tw_alloc((size_t)result->count * sizeof *first, (void **)&first));
  tw_status status = tw_result_by_text(result, &texts, first);
  if (status == TW_OK) {
    if (s->csv) status = write_csv(s, model, input, &texts, first);
    if (status == TW_OK && s->npy) status = tw_result_npy(s->npy, s->force, &texts);
    for (int i = 0; i < 2; i++)
      if (status == TW_OK && !call->quiet && files[i]) printf("written: %s, %d texts\n", files[i], texts.count);
    tw_result_free(&texts);
  }
  tw_free(first);
  return status;
}

// An older table must not stand for a result that is not to be trusted. What is no plain file stays.
static tw_status remove_tables(const tw_call *call) {
  const settings *s = call->settings;
  const char *files[] = {s->csv, s->npy};
  struct stat info;
  for (int i = 0; i < 2; i++) {
    if (!files[i] || lstat(files[i], &info) != 0 || !S_ISREG(info.st_mode)) continue;
    if (unlink(files[i]) != 0)
      return tw_fail(TW_ERR_IO, "%s: is of an older result and cannot be removed: %s", files[i], strerror(errno));
    if (!call->quiet) printf("removed: %s, of an older result\n", files[i]);
  }
  return TW_OK;
}

static tw_status tell(const tw_call *call, const char *model, const tw_result *result, const char *path, bool trusted,
                      bool with_input) {
  const settings *s = call->settings;
  tw_path input = tw_path_of(call->arguments[0], "input.h5");
  const char *own = with_input ? input.text : NULL;
  if (!call->quiet) print(result, path, with_input);
  if (!trusted) return remove_tables(call);
  if (!call->quiet && !s->csv) TW_TRY(tw_answer_print(model, result, own, path, s->show_texts));
  return write_tables(call, model, own, result);
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  const char *name = call->arguments[0], *model;
  static const char *const suffix[] = {"result.h5", "result.untrusted.h5"};
  tw_new_files places;
  tw_result result;
  bool with_input = false;
  TW_TRY(tw_name_check(name));
  TW_TRY(tw_model_name(s->model, name, &model));
  TW_TRY(tw_new_files_check(&places, name, suffix, NAMES, s->force));
  TW_TRY(check_tables(s, &places));
  TW_TRY(tw_reveal(name, model, &result, &with_input));
  int which = tw_result_first_bad(&result) >= 0 ? UNTRUSTED : TRUSTED;
  tw_status status = write_result(&places, &result, which);
  if (status == TW_OK) status = tell(call, model, &result, places.path[which].text, which == TRUSTED, with_input);
  if (status == TW_OK) status = tw_result_judge(&result, places.path[which].text);
  tw_result_free(&result);
  return status;
}

const tw_command tw_command_reveal = {
    .name = "reveal",
    .arguments = "NAME",
    .summary = "join the two halves of a result (the client's step)",
    .about =
        "Reads NAME.result.p0.h5 and .p1.h5, which must come from one run, and be of NAME.input.h5, NAME.model.json "
        "and NAME.plan.json where these are there; writes NAME.result.h5. Logits are also shown as labels and "
        "probabilities, a decoder's as the likeliest next tokens, and a next token as its id and text, if "
        "NAME.client.h5 is "
        "there.\n"
        "Where the plan counted values out of bound the result goes to NAME.result.untrusted.h5 instead, and the "
        "exit code is 8.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .least = 1,
    .most = 1,
    .run = run};
