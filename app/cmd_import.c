#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "io/new_files.h"
#include "jobs/models/import.h"

typedef struct {
  const char *shape, *output;
  bool encoder_only, client_embeds, force;
} settings;

static const tw_option options[] = {
    {.name = "output",
     .letter = 'o',
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, output),
     .value = "NAME",
     .help = "path and beginning of the new files' names; needed"},
    {.common = &tw_option_shape, .field = offsetof(settings, shape)},
    {.name = "encoder-only",
     .field = offsetof(settings, encoder_only),
     .help = "the encoder alone: without a classifier, and without the pooling, scaling, prompts and other modules of "
             "sentence-transformers"},
    {.name = "client-embeds",
     .field = offsetof(settings, client_embeds),
     .help = "of a decoder: the client has the word table in clear and looks its tokens up, instead of the parties on "
             "shares; where table and head are one it holds the head, too"},
    {.common = &tw_option_force, .field = offsetof(settings, force)},
};

// The model first, a tensor at a time: then its memory is free again, and the client's tables come.
static tw_status write_files(tw_new_files *places, tw_import *in, tw_client *client) {
  TW_TRY(tw_new_files_begin(places));
  TW_TRY(tw_model_write_stream(places->path[0].text, tw_import_model(in)));
  places->written[0] = true;
  TW_TRY(tw_import_client(in, client));
  TW_TRY(tw_client_write(places->path[1].text, client));
  places->written[1] = true;
  return TW_OK;
}

static void describe_head(const tw_model_config *c, const tw_client *client) {
  const tw_labels *l = &client->labels;
  if (c->head.kind == TW_HEAD_DENSE) printf("head: a Dense module, %d wide\n", c->head.outputs);
  if (l->count == 0) return;
  printf("head: %s %s, %d label%s:", l->problem == TW_REGRESSION ? "regression on" : "classifier of",
         c->head.kind == TW_HEAD_TOKENS ? "every token" : "the sequence", l->count, l->count == 1 ? "" : "s");
  for (int i = 0; i < l->count && i < 8; i++) printf(" %s", l->names[i]);
  puts(l->count > 8 ? " ..." : "");
}

static void describe(const tw_client *client, const tw_notes *notes, const tw_new_files *places) {
  const tw_model_config *c = &client->config;
  printf("%s%s: %d layers, %d wide, %d heads, %d in the feed-forward part, %s, up to %d tokens\n", c->name,
         c->synthetic ? " (SYNTHETIC weights: outputs mean nothing)" : "", c->layers, c->hidden, c->heads,
         c->intermediate, c->activation, c->max_positions);
  printf("vocabulary: %d %s\n", c->vocab,
         client->vocabulary || client->rules.tokenizer ? "pieces" : "numbers, texts are hashed to them");
  if (tw_config_parties_embed(c))
    puts("embedded by the parties, on shares: the client has no word table");
  else
    puts(c->client_embeds ? "embedded by the client, which has the word table, and with it a head that is tied to it"
                          : "embedded by the client, which has these tables");
  describe_head(c, client);
  if (c->output != TW_OUTPUT_TOKENS)
    printf("output: %s%s, plan's default\n", tw_output_name(c->output),
           c->normalise_output ? " scaled to length 1" : "");
  if (client->max_seq_length) printf("texts: up to %d tokens\n", client->max_seq_length);
  if (notes->text) fputs(notes->text, stdout);
  printf("written: %s, %s\n", places->path[0].text, places->path[1].text);
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  static const char *const suffixes[] = {"model.h5", "client.h5"};
  tw_new_files places;
  if (!s->output) return tw_fail(TW_ERR_USAGE, "-o NAME is missing; usage: twain import %s", call->command->arguments);
  if ((call->count == 1) == (s->shape != NULL))
    return tw_fail(TW_ERR_USAGE, "either a folder or --shape SHAPE is needed; usage: twain import %s",
                   call->command->arguments);
  if (s->shape && s->encoder_only) return tw_fail(TW_ERR_USAGE, "--encoder-only goes with a folder");
  TW_TRY(tw_name_check(s->output));
  TW_TRY(tw_new_files_check(&places, s->output, suffixes, 2, s->force));
  tw_notes notes = {NULL};
  tw_import *in = NULL;
  tw_client client = {.max_seq_length = 0};
  tw_status status = s->shape ? tw_import_open_shape(s->shape, 0, &in)
                              : tw_import_open_folder(call->arguments[0], s->encoder_only, &notes, &in);
  if (status == TW_OK && s->client_embeds) status = tw_import_let_client_embed(in);
  if (status == TW_OK) status = tw_new_files_end(&places, write_files(&places, in, &client));
  if (status == TW_OK && !call->quiet) describe(&client, &notes, &places);
  tw_client_free(&client);
  tw_import_close(in);
  free(notes.text);
  return status;
}

const tw_command tw_command_import = {
    .name = "import",
    .arguments = "DIR|--shape SHAPE -o NAME",
    .summary = "read a model from a Hugging Face folder, or make one with random weights",
    .about =
        "DIR holds config.json, model.safetensors (or its shards) and tokenizer.json or vocab.txt of a BERT-type "
        "encoder. What a folder of sentence-transformers says of pooling, scaling and prompts is kept; what is left "
        "out (heads) is named.\n"
        "Writes NAME.model.h5 (the owner's) and NAME.client.h5 (vocabulary, and an encoder's embeddings, in clear at "
        "the client).",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .least = 0,
    .most = 1,
    .run = run};
