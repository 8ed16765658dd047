#include <stddef.h>
#include <stdio.h>

#include "app/chats.h"
#include "app/commands.h"
#include "app/common_options.h"
#include "app/texts.h"
#include "base/memory.h"
#include "io/new_files.h"
#include "jobs/models/encode_turn.h"
#include "jobs/plan/plan.h"

typedef struct {
  const char *model, *after, *file;
  bool pair, chat, messages, truncate, force;
} settings;

static const tw_option options[] = {
    {.common = &tw_option_model, .field = offsetof(settings, model)},
    {.name = "after",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, after),
     .value = "NAME",
     .help =
         "go on behind the turn of this NAME, one text for each of its sequences, in a plan with --conversation; reads "
         "NAME.input.h5 and NAME.result.h5. A text is taken as it stands; with --chat it is the user's next message"},
    {.name = "file",
     .letter = 'f',
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, file),
     .value = "FILE",
     .help = "texts from a UTF-8 file, one a line, - is standard input; blank lines are left out"},
    {.name = "pair",
     .field = offsetof(settings, pair),
     .help =
         "pairs of texts, as cross-encoders take them: two arguments a pair, or two texts a line of FILE with a tab "
         "between them; the second has token type 1"},
    {.name = "chat",
     .field = offsetof(settings, chat),
     .help = "each text is what a user says to the model: it is put into the model's chat template, up to where the "
             "answer begins"},
    {.name = "messages",
     .field = offsetof(settings, messages),
     .help = "as --chat, but each text is a whole conversation: a list in JSON of objects with role (system, user, "
             "assistant) and content"},
    {.name = "truncate",
     .field = offsetof(settings, truncate),
     .help =
         "cut texts that are longer than the plan's --seq, or than the model's max_seq_length, as transformers does; "
         "without it they are refused"},
    {.common = &tw_option_force, .field = offsetof(settings, force)},
};

static tw_status look_at_plan(const settings *s, const char *name, const char *model, int *seq, tw_prefix **prefix) {
  tw_plan plan;
  TW_TRY(tw_plan_read_of(s->model, name, &plan));
  *seq = plan.shape.seq;
  tw_status status = tw_prefix_beside(model, &plan.prefix, prefix);
  if (status == TW_OK && s->after && !plan.shape.earlier) {
    tw_prefix_drop(*prefix);
    status = tw_fail(TW_ERR_USAGE, "--after %s: this plan has no conversations; plan with --conversation", s->after);
  }
  tw_plan_free(&plan);
  return status;
}

// ---- what was done, in words

static void describe_unknown(const tw_texts *texts, const tw_text_count *counts, const tw_input *input) {
  enum { MOST = 20 };
  long unknown = 0, all = 0;
  int with = 0;
  for (int i = 0; i < input->count; i++) {
    all += input->lengths[i];
    unknown += counts[i].unknown;
    if (counts[i].unknown == 0 || ++with > MOST) continue;
    printf("%s: %d of %d tokens unknown\n", tw_text_name_of(texts->texts, i).text, counts[i].unknown,
           input->lengths[i]);
  }
  if (with > MOST) printf("... and %d more texts with unknown tokens\n", with - MOST);
  if (with) printf("unknown in all: %ld of %ld tokens, in %d of %d texts\n", unknown, all, with, input->count);
}

// Without --truncate nothing is cut, but the model's own software would do so.
static void describe_length(const tw_client *client, const settings *s, const tw_text_count *counts,
                            const tw_input *input) {
  int limit = tw_encode_limit(client, input->prefix.rows + input->seq), over = 0;
  for (int i = 0; i < input->count; i++) over += counts[i].whole > limit;
  if (over == 0) return;
  if (s->truncate)
    printf("cut to %d tokens: %d of %d texts\n", limit, over, input->count);
  else
    printf(
        "longer than the model's max_seq_length %d: %d of %d texts; sentence-transformers would cut them, as "
        "--truncate does\n",
        limit, over, input->count);
}

static void describe_prompt(const tw_client *client, const settings *s) {
  bool chat = s->chat || s->messages;
  if (!client->default_prompt) return;
  printf("%s: the model's prompt \"", s->pair ? "not put before pairs"
                                      : chat  ? "not put before chats"
                                              : "put before each text");
  for (const char *at = client->default_prompt; *at; at++) putchar((unsigned char)*at < ' ' || *at == 127 ? '?' : *at);
  printf("\"\n");
}

static void describe_tokens(const tw_input *input, const settings *s) {
  int least = input->seq, most = 0;
  printf("%d %s%s of", input->count, s->pair ? "pair" : "text", input->count == 1 ? "" : "s");
  for (int i = 0; i < input->count; i++) {
    if (input->count <= 32) printf("%s %d", i ? "," : "", input->lengths[i]);
    if (input->lengths[i] < least) least = input->lengths[i];
    if (input->lengths[i] > most) most = input->lengths[i];
  }
  if (input->count > 32) printf(" %d to %d", least, most);
  printf(" tokens, padded to %d", input->seq);
  if (input->prefix.rows) printf("; before them, the prefix of %d", input->prefix.rows);
  if (input->after.hex[0]) printf("; behind the turn of %s", input->after_name);
  putchar('\n');
  if (s->pair)
    puts(input->types ? "token types: 0, in second texts 1"
                      : "token types: all 0, as the model's tokenizer gives no others");
}

static void describe(const tw_client *client, const tw_texts *texts, const settings *s, const tw_text_count *counts,
                     const tw_input *input, const char *path) {
  describe_prompt(client, s);
  describe_tokens(input, s);
  if (texts->blank) printf("blank lines left out: %d\n", texts->blank);
  describe_length(client, s, counts, input);
  describe_unknown(texts, counts, input);
  printf("written: %s\n", path);
}

// ---- the work

static tw_status write_input(tw_new_files *places, const tw_input *input) {
  tw_status status = tw_new_files_begin(places);
  if (status == TW_OK) status = tw_input_write(places->path[0].text, input);
  return tw_new_files_end(places, status);
}

static tw_status encode_later(const tw_client *client, const tw_texts *texts, int seq, const settings *s,
                              tw_text_count *counts, tw_input *out) {
  tw_input before;
  tw_result said;
  TW_TRY(tw_input_read(tw_path_of(s->after, "input.h5").text, &before));
  tw_status status = tw_result_read(tw_path_of(s->after, "result.h5").text, &said);
  if (status == TW_OK) {
    status = tw_encode_turn(client, &before, &said, s->after, texts->texts, texts->count, seq, s->chat, out);
    for (int i = 0; i < texts->count && status == TW_OK; i++) counts[i].whole = out->lengths[i];
    tw_result_free(&said);
  }
  tw_input_free(&before);
  return status;
}

static tw_status encode(const tw_client *client, const tw_prefix *prefix, const tw_texts *texts, int seq,
                        const settings *s, tw_new_files *places, bool quiet) {
  tw_text_count *counts;
  tw_input input;
  TW_TRY(tw_alloc((size_t)texts->count * sizeof *counts, (void **)&counts));
  tw_status status =
      s->after ? encode_later(client, texts, seq, s, counts, &input)
               : tw_encode_texts(client, prefix, texts->texts, texts->count, seq, s->truncate, counts, &input);
  if (status == TW_OK) {
    status = write_input(places, &input);
    if (status == TW_OK && !quiet) describe(client, texts, s, counts, &input, places->path[0].text);
    tw_input_free(&input);
  }
  tw_free(counts);
  return status;
}

// A second input beside the first: its own NAME, the model's files by --model.
static tw_status check_place(const char *name, const char *model, bool force) {
  tw_path path = tw_path_of(name, "input.h5");
  if (force || !tw_path_exists(&path)) return TW_OK;
  return tw_fail(TW_ERR_IO,
                 "%s: exists already; give this input a NAME of its own: `twain encode NAME2 --model %s`, and the same "
                 "for share --input, run and reveal; or replace it with --force",
                 path.text, model);
}

static tw_status encode_at(const char *name, const char *model, const tw_prefix *prefix, int seq, tw_texts *texts,
                           const settings *s, bool quiet) {
  static const char *const suffix[] = {"input.h5"};
  tw_new_files places;
  tw_client client;
  TW_TRY(check_place(name, model, s->force));
  TW_TRY(tw_new_files_check(&places, name, suffix, 1, s->force));
  TW_TRY(tw_client_read(tw_path_of(model, "client.h5").text, &client));
  tw_path older = tw_path_of(name, "input.p0.h5");
  tw_chat_kind question = s->after ? TW_CHAT_LATER : TW_CHAT_QUESTIONS;
  tw_chat_kind chat = s->messages ? TW_CHAT_MESSAGES : s->chat ? question : TW_NO_CHAT;
  tw_status status = tw_chats_format(&client, chat, texts);
  if (status == TW_OK) status = encode(&client, prefix, texts, seq, s, &places, quiet);
  if (status == TW_OK && !quiet && tw_path_exists(&older))
    printf("%s is of an earlier input: `twain share %s --input --force` comes next\n", older.text, name);
  tw_client_free(&client);
  return status;
}

static tw_status encode_texts(const char *name, const char *model, tw_texts *texts, const settings *s, bool quiet) {
  tw_prefix *prefix;
  int seq;
  TW_TRY(look_at_plan(s, name, model, &seq, &prefix));
  tw_status status = encode_at(name, model, prefix, seq, texts, s, quiet);
  tw_prefix_drop(prefix);
  return status;
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  const char *name = call->arguments[0], *model;
  tw_texts texts;
  TW_TRY(tw_name_check(name));
  TW_TRY(tw_model_name(s->model, name, &model));
  if ((call->count > 1) == (s->file != NULL))
    return tw_fail(TW_ERR_USAGE, "%s; usage: twain encode %s",
                   s->file ? "either texts or --file FILE, not both" : "texts or --file FILE are needed",
                   call->command->arguments);
  if (s->pair + s->chat + s->messages > 1)
    return tw_fail(TW_ERR_USAGE, "--pair, --chat and --messages say different things about a text; take one of them");
  if (s->after) TW_TRY(tw_name_check(s->after));
  if (s->after && (s->pair || s->messages || s->truncate))
    return tw_fail(TW_ERR_USAGE, "--after takes texts as they stand, or with --chat a user's messages; leave %s out",
                   s->pair       ? "--pair"
                   : s->messages ? "--messages"
                                 : "--truncate");
  if (s->file)
    TW_TRY(tw_texts_read(s->file, s->pair, &texts));
  else
    TW_TRY(tw_texts_take((const char *const *)call->arguments + 1, call->count - 1, s->pair, &texts));
  tw_status status = encode_texts(name, model, &texts, s, call->quiet);
  tw_texts_free(&texts);
  return status;
}

const tw_command tw_command_encode = {
    .name = "encode",
    .arguments = "NAME TEXT...|--file FILE",
    .summary = "turn texts into an input (the client's step)",
    .about =
        "Reads NAME.client.h5 and the sequence length from NAME.plan.json; writes NAME.input.h5. Of a plan with a "
        "prefix each text must begin with that, by NAME.prefix.json. A second input has a NAME of its own: `encode "
        "NAME2 "
        "--model NAME`. "
        "Token ids are those of transformers' fast tokenizers. Tokens that the vocabulary lacks are counted.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .least = 1,
    .most = -1,
    .run = run};
