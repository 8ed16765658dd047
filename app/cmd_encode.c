#include <stddef.h>
#include <stdio.h>

#include "app/commands.h"
#include "app/files.h"
#include "jobs/encode.h"
#include "jobs/plan.h"

typedef struct {
  const char *file;
  bool force;
} settings;

static const tw_option options[] = {
    {.name = "file",
     .letter = 'f',
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, file),
     .value = "FILE",
     .help = "texts from a UTF-8 file, one a line; blank lines are left out"},
    {.name = "force", .field = offsetof(settings, force), .help = "replace an input that is there"},
};

static tw_status sequence_length(const char *name, int *seq) {
  tw_plan plan;
  TW_TRY(tw_plan_read(tw_path_of(name, "plan.json").text, &plan));
  *seq = plan.shape.seq;
  tw_plan_free(&plan);
  return TW_OK;
}

static void describe(const tw_input *input, const char *path) {
  printf("%d text%s of", input->count, input->count == 1 ? "" : "s");
  for (int i = 0; i < input->count; i++) printf("%s %d", i ? "," : "", input->lengths[i]);
  printf(" tokens, padded to %d\nwritten: %s\n", input->seq, path);
}

static tw_status encode(const char *name, const char *const *texts, int count, const settings *s, bool quiet) {
  static const char *const suffix[] = {"input.h5"};
  tw_places places;
  tw_client client;
  tw_input input;
  int seq;
  TW_TRY(tw_places_check(&places, name, suffix, 1, s->force));
  TW_TRY(sequence_length(name, &seq));
  TW_TRY(tw_client_read(tw_path_of(name, "client.h5").text, &client));
  tw_status status = tw_encode(&client, texts, count, seq, &input);
  tw_client_free(&client);
  TW_TRY(status);
  status = tw_places_begin(&places);
  if (status == TW_OK) status = tw_input_write(places.path[0].text, &input);
  tw_places_end(&places, status);
  if (status == TW_OK && !quiet) describe(&input, places.path[0].text);
  tw_input_free(&input);
  return status;
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  const char *name = call->arguments[0];
  TW_TRY(tw_name_check(name));
  if ((call->count > 1) == (s->file != NULL))
    return tw_fail(TW_ERR_USAGE, "either texts or --file FILE is needed; usage: twain encode %s",
                   call->command->arguments);
  if (!s->file) return encode(name, (const char *const *)call->arguments + 1, call->count - 1, s, call->quiet);
  char **lines;
  int count;
  TW_TRY(tw_lines_read(s->file, &lines, &count));
  tw_status status = encode(name, (const char *const *)lines, count, s, call->quiet);
  tw_lines_free(lines, count);
  return status;
}

const tw_command tw_command_encode = {
    .name = "encode",
    .arguments = "NAME TEXT...|--file FILE",
    .summary = "turn texts into an input (the client's step)",
    .about = "Reads NAME.client.h5 and the sequence length from NAME.plan.json; writes NAME.input.h5.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .least = 1,
    .most = -1,
    .run = run};
