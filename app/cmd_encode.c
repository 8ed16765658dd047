#include <stddef.h>
#include <stdio.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "app/encoding.h"
#include "app/input_shares.h"
#include "app/secrets.h"
#include "base/memory.h"
#include "io/new_files.h"
#include "jobs/models/encode.h"
#include "jobs/parties/input_lengths.h"

typedef struct {
  const char *model;
  tw_encoding_words words;
  const char *site;
  tw_option_texts seal_to;
  bool share, force;
} settings;

static const tw_option options[] = {
    {.common = &tw_option_model, .field = offsetof(settings, model)},
    {.group = "the texts", .common = &tw_option_file, .field = offsetof(settings, words.file)},
    {.name = "csv",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, words.csv),
     .value = "FILE",
     .help =
         "texts from a column of a CSV file (RFC 4180, UTF-8), - is standard input; its first line names the columns"},
    {.name = "tsv",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, words.tsv),
     .value = "FILE",
     .help = "the same with a tab between columns, and without quotation marks around them"},
    {.name = "jsonl",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, words.jsonl),
     .value = "FILE",
     .help = "texts from JSON lines: an object a line, - is standard input"},
    {.name = "text-column",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, words.text_column),
     .value = "COLUMN",
     .help = "column, or key, of the texts (not given: text)"},
    {.name = "id-column",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, words.id_column),
     .value = "COLUMN",
     .help = "column, or key, of the texts' ids, which the result has beside their lines; the parties never see them"},
    {.group = "what a text is",
     .name = "after",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, words.after),
     .value = "NAME",
     .help =
         "go on behind the turn of this NAME, one text for each of its sequences, in a plan with --conversation; reads "
         "NAME.input.h5 and NAME.result.h5. A text is taken as it stands; with --chat it is the user's next message"},
    {.common = &tw_option_pair, .field = offsetof(settings, words.pair)},
    {.common = &tw_option_chat, .field = offsetof(settings, words.chat)},
    {.common = &tw_option_messages, .field = offsetof(settings, words.messages)},
    {.common = &tw_option_truncate, .field = offsetof(settings, words.truncate)},
    {.common = &tw_option_chunk, .field = offsetof(settings, words.chunk)},
    {.common = &tw_option_overlap, .field = offsetof(settings, words.overlap)},
    {.group = "what is kept",
     .name = "share",
     .field = offsetof(settings, share),
     .help = "also split the input between the parties, as `share --input` does"},
    {.common = &tw_option_site, .field = offsetof(settings, site)},
    {.common = &tw_option_seal_to, .field = offsetof(settings, seal_to)},
    {.common = &tw_option_force, .field = offsetof(settings, force)},
};

// ---- what was done, in words

static void describe_unknown(const tw_texts *texts, const tw_text_count *counts) {
  enum { MOST = 20 };
  long unknown = 0, all = 0;
  int with = 0;
  for (int i = 0; i < texts->count; i++) {
    all += counts[i].kept;
    unknown += counts[i].unknown;
    if (counts[i].unknown == 0 || ++with > MOST) continue;
    printf("%s: %d of %d tokens unknown\n", tw_text_name_of(texts->texts, i).text, counts[i].unknown, counts[i].kept);
  }
  if (with > MOST) printf("... and %d more texts with unknown tokens\n", with - MOST);
  if (with) printf("unknown in all: %ld of %ld tokens, in %d of %d texts\n", unknown, all, with, texts->count);
}

// Without --truncate nothing is cut, but the model's own software would do so.
static void describe_length(const tw_encoding *e, const settings *s) {
  const tw_text_count *counts = e->counts;
  int count = e->texts.count, limit = tw_encode_limit(&e->client, e->input.prefix.rows + e->input.seq), over = 0;
  for (int i = 0; i < count; i++) over += counts[i].whole > limit;
  if (over == 0) return;
  if (s->words.chunk) {
    printf("divided: %d of %d texts of more than %d tokens, into %d chunks that overlap by %d tokens\n", over, count,
           limit, e->input.count - (count - over), s->words.overlap < 0 ? TW_OVERLAP : (int)s->words.overlap);
    return;
  }
  if (s->words.truncate)
    printf("cut to %d tokens: %d of %d texts\n", limit, over, count);
  else
    printf(
        "longer than the model's max_seq_length %d: %d of %d texts; sentence-transformers would cut them, as "
        "--truncate does\n",
        limit, over, count);
}

static void describe_prompt(const tw_client *client, const settings *s) {
  bool chat = s->words.chat || s->words.messages;
  if (!client->default_prompt) return;
  printf("%s: the model's prompt \"", s->words.pair ? "not put before pairs"
                                      : chat        ? "not put before chats"
                                                    : "put before each text");
  for (const char *at = client->default_prompt; *at; at++) putchar((unsigned char)*at < ' ' || *at == 127 ? '?' : *at);
  printf("\"\n");
}

// Of a plan with several lengths: how many sequences are in which program.
static void describe_lengths(const tw_encoding *e) {
  const tw_plan *plan = &e->plan;
  if (!plan->length_count) return;
  printf("lengths:");
  for (int i = 0; i < plan->length_count; i++)
    printf("%s %d of up to %d tokens", i ? "," : "", tw_input_count_of_length(&e->input, plan->lengths[i].seq),
           plan->lengths[i].seq);
  putchar('\n');
}

static void describe_tokens(const tw_input *input, const settings *s) {
  int least = input->seq, most = 0;
  printf("%d %s%s of", input->count,
         s->words.pair    ? "pair"
         : s->words.chunk ? "sequence"
                          : "text",
         input->count == 1 ? "" : "s");
  for (int i = 0; i < input->count; i++) {
    if (input->count <= 32) printf("%s %d", i ? "," : "", input->lengths[i]);
    if (input->lengths[i] < least) least = input->lengths[i];
    if (input->lengths[i] > most) most = input->lengths[i];
  }
  if (input->count > 32) printf(" %d to %d", least, most);
  printf(" tokens");
  if (!input->seqs) printf(", padded to %d", input->seq);
  if (input->prefix.rows) printf("; before them, the prefix of %d", input->prefix.rows);
  if (input->after.hex[0]) printf("; behind the turn of %s", input->after_name);
  putchar('\n');
  if (s->words.pair)
    puts(input->types ? "token types: 0, in second texts 1"
                      : "token types: all 0, as the model's tokenizer gives no others");
}

static void describe_table(const tw_text_table *t) {
  if (t->empty) {
    printf("records without text left out: %d (line", t->empty);
    for (int i = 0; i < t->empty && i < TW_BLANK_TEXTS_NAMED; i++) printf("%s %d", i ? "," : "", t->empty_lines[i]);
    puts(t->empty > TW_BLANK_TEXTS_NAMED ? " ...)" : ")");
  }
  if (t->quoted)
    printf(
        "texts that begin and end with quotation marks, which were kept as they stand: %d; if they are no part of the "
        "texts, write the file as CSV\n",
        t->quoted);
  if (t->ids) puts("ids: one for each text, all different; they stay here");
}

static void describe(const tw_encoding *e, const settings *s, const char *path) {
  describe_prompt(&e->client, s);
  describe_tokens(&e->input, s);
  describe_lengths(e);
  if (e->texts.blank) printf("blank lines left out: %d\n", e->texts.blank);
  describe_table(&e->texts.table);
  describe_length(e, s);
  describe_unknown(&e->texts, e->counts);
  printf("written: %s\n", path);
}

// ---- the work

static tw_status write_input(tw_new_files *places, const tw_encoding *e) {
  tw_status status = tw_new_files_begin(places);
  if (status == TW_OK) status = tw_encode_write(places->path[0].text, &e->client, &e->input);
  return tw_new_files_end(places, status);
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

static tw_status encode(const char *name, const char *model, tw_texts *texts, const settings *s, bool quiet) {
  static const char *const suffix[] = {"input.h5"};
  tw_new_files places;
  tw_encoding e;
  tw_status status = check_place(name, model, s->force);
  if (status == TW_OK) status = tw_new_files_check(&places, name, suffix, 1, s->force);
  if (status != TW_OK) {
    tw_texts_free(texts);
    return status;
  }
  tw_path older = tw_path_of(name, "input.p0.h5");
  status = tw_encoding_make(s->model, name, &s->words, texts, &e);
  if (status == TW_OK) status = write_input(&places, &e);
  if (status == TW_OK && !quiet) describe(&e, s, places.path[0].text);
  if (status == TW_OK && !quiet && !s->share && tw_path_exists(&older))
    printf("%s is of an earlier input: `twain share %s --input --force` comes next\n", older.text, name);
  tw_encoding_end(&e);
  return status;
}

// With --share shares follow; they and the input are secrets.
static tw_status share(const char *name, const tw_call *call, const tw_sealing *sealing) {
  const settings *s = call->settings;
  tw_status status = tw_input_shares(name, s->model, sealing, s->force, call->quiet);
  tw_secrets_warn();
  return status;
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  const char *name = call->arguments[0], *model;
  tw_texts texts;
  tw_sealing sealing;
  if (s->share) tw_not_dumpable();
  TW_TRY(tw_name_check(name));
  TW_TRY(tw_model_name(s->model, name, &model));
  if (!s->share && (s->site || s->seal_to.count))
    return tw_fail(TW_ERR_USAGE, "--site and --seal-to are for shares: say --share");
  tw_status status = tw_sealing_begin(s->site, &s->seal_to, 1u << TW_SITE_PARTY_0 | 1u << TW_SITE_PARTY_1, &sealing);
  if (status == TW_OK)
    status = tw_encoding_texts(call, &s->words, (const char *const *)call->arguments + 1, call->count - 1, &texts);
  if (status == TW_OK) status = encode(name, model, &texts, s, call->quiet);
  if (status == TW_OK && s->share) status = share(name, call, &sealing);
  tw_sealing_end(&sealing);
  return status;
}

const tw_command tw_command_encode = {
    .name = "encode",
    .arguments = "NAME TEXT...|--file|--csv FILE",
    .summary = "turn texts into an input (the client's step)",
    .about =
        "Reads NAME.client.h5 and the sequence length from NAME.plan.json; writes NAME.input.h5. Of a plan with a "
        "prefix each text must begin with that, by NAME.prefix.json. A second input has a NAME of its own: `encode "
        "NAME2 "
        "--model NAME`. "
        "With --share it also writes NAME.input.p0.h5 and .p1.h5. "
        "Token ids are those of transformers' fast tokenizers. Tokens that the vocabulary lacks are counted.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .least = 1,
    .most = -1,
    .run = run};
