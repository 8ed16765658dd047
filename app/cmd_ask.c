#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "app/encoding.h"
#include "app/post.h"
#include "app/sealing.h"
#include "app/secrets.h"
#include "app/show/answer.h"
#include "app/show/print.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "io/new_files.h"
#include "io/seal_files.h"
#include "io/unfinished.h"
#include "jobs/models/encode.h"
#include "jobs/parties/reveal.h"
#include "jobs/parties/share_input.h"

typedef struct {
  tw_encoding_words words;
  tw_post_words post;
  const char *output, *conversation, *site;
  bool last, show_texts, allow_unlocked;
  tw_option_texts seal_to;
  tw_sealing sealing;  // no option: from --site and --seal-to
} settings;

static const tw_option options[] = {
    {.group = "the texts", .common = &tw_option_file, .field = offsetof(settings, words.file)},
    {.common = &tw_option_pair, .field = offsetof(settings, words.pair)},
    {.common = &tw_option_chat, .field = offsetof(settings, words.chat)},
    {.common = &tw_option_messages, .field = offsetof(settings, words.messages)},
    {.common = &tw_option_truncate, .field = offsetof(settings, words.truncate)},
    {.name = "conversation",
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, conversation),
     .value = "NAME",
     .help = "the texts are the next turn of the conversation NAME, or its first: the parties keep what the next one "
             "needs, and NAME.input.h5 and NAME.result.h5 are written, or replaced"},
    {.name = "last",
     .field = offsetof(settings, last),
     .help = "with --conversation: the last turn; the parties keep nothing"},
    {.group = "to the parties", .common = &tw_option_to, .field = offsetof(settings, post.to)},
    {.common = &tw_option_put, .field = offsetof(settings, post.put)},
    {.common = &tw_option_site, .field = offsetof(settings, site)},
    {.common = &tw_option_seal_to,
     .field = offsetof(settings, seal_to),
     .help = "site file of party 0, and of party 1: shares are sealed to them and signed by --site, and so are results "
             "the other way round (`run --clients`)"},
    {.common = &tw_option_allow_unlocked, .field = offsetof(settings, allow_unlocked)},
    {.group = "back", .common = &tw_option_back, .field = offsetof(settings, post.from)},
    {.common = &tw_option_get, .field = offsetof(settings, post.get)},
    {.common = &tw_option_client, .field = offsetof(settings, post.client)},
    {.common = &tw_option_wait_limit,
     .field = offsetof(settings, post.wait),
     .help = "give up when the two results have not come after so long"},
    {.name = "output",
     .letter = 'o',
     .kind = TW_OPTION_TEXT,
     .field = offsetof(settings, output),
     .value = "FILE",
     .help = "also write the result, as `reveal` does; needed for rows and embeddings, which are not printed"},
    {.common = &tw_option_show_texts, .field = offsetof(settings, show_texts)},
};

// Files of this question, in a folder of its own.
typedef struct {
  char folder[512], name[600];  // name: FOLDER/ID
  tw_id id;
} desk;

static const char *const kept[] = {"input.h5",           "input.p0.h5",         "input.p1.h5",
                                   "result.p0.h5",       "result.p1.h5",        "input.p0.h5.sealed",
                                   "input.p1.h5.sealed", "result.p0.h5.sealed", "result.p1.h5.sealed",
                                   "error.p0.txt",       "error.p1.txt"};
enum { KEPT = sizeof kept / sizeof *kept };

static tw_status open_desk(desk *d) {
  const char *above = getenv("TMPDIR");
  int n = snprintf(d->folder, sizeof d->folder, "%s/twain-ask-XXXXXX", above && *above ? above : "/tmp");
  if (n >= (int)sizeof d->folder) return tw_fail(TW_ERR_IO, "$TMPDIR: the path is too long");
  tw_interrupts_hold();
  bool made = mkdtemp(d->folder) != NULL;
  int error = errno;
  if (made) tw_unfinished_folder(d->folder);
  tw_interrupts_release();
  if (made) return TW_OK;
  tw_status status = tw_fail(TW_ERR_IO, "%s: cannot make the folder: %s", d->folder, strerror(error));
  d->folder[0] = '\0';
  return status;
}

static void close_desk(desk *d) {
  if (!*d->folder) return;
  for (int i = 0; i < KEPT && *d->name; i++) {
    tw_path path = tw_path_of(d->name, kept[i]);
    tw_interrupts_hold();
    unlink(path.text);
    tw_unfinished_rename(path.text, NULL);
    tw_interrupts_release();
  }
  tw_interrupts_hold();
  rmdir(d->folder);
  tw_unfinished_folder(NULL);
  tw_interrupts_release();
}

// A signal removes these, too, whichever are there by then: they are the text, both its shares, and the answer's.
static void remember(const desk *d) {
  tw_interrupts_hold();
  for (int i = 0; i < KEPT; i++) tw_unfinished_add(tw_path_of(d->name, kept[i]).text);
  tw_interrupts_release();
}

// ---- the question

static tw_path sealed_path(const desk *d, int number, const char *ending) {
  char suffix[40];
  snprintf(suffix, sizeof suffix, "%s%s", kept[number], ending);
  return tw_path_of(d->name, suffix);
}

static const char *ending_of(const settings *s) { return s->sealing.count ? TW_SEALED_ENDING : ""; }

static tw_status split(const settings *s, desk *d, const char *model, const tw_input *input) {
  const char *const endings[] = {ending_of(s), ending_of(s)};
  d->id = input->input_id;
  snprintf(d->name, sizeof d->name, "%s/%s", d->folder, d->id.hex);
  remember(d);
  TW_TRY(tw_input_write(tw_path_of(d->name, kept[0]).text, input));
  for (int party = 0; party < 2; party++)
    TW_TRY(tw_sealing_path(&s->sealing, (tw_site_role)party, sealed_path(d, 1 + party, ending_of(s)).text));
  return tw_share_input_files(d->name, model, input, false, endings, &d->id);
}

// What a plan's turns cannot read is not asked for.
static tw_status check_turn(const settings *s, const tw_encoding *e) {
  if (!s->conversation) return TW_OK;
  if (!e->plan.shape.earlier)
    return tw_fail(TW_ERR_USAGE, "--conversation %s: this plan has no conversations; plan with --conversation",
                   s->conversation);
  for (int i = 0; i < e->input.count && e->input.earlier; i++)
    if (e->input.earlier_lengths[i] > e->plan.shape.earlier)
      return tw_fail(
          TW_ERR_RANGE,
          "conversation %s has ended: sequence %d has %d tokens by now, and the plan's turns read at most %d; "
          "begin another one",
          s->conversation, i + 1, e->input.earlier_lengths[i], e->plan.shape.earlier);
  return TW_OK;
}

static tw_status ask(const tw_call *call, const char *model, tw_texts *texts, desk *d) {
  const settings *s = call->settings;
  tw_encoding e;
  tw_status status = tw_encoding_make(NULL, model, &s->words, texts, &e);
  if (status == TW_OK) status = tw_encode_rows(&e.client, &e.input);
  if (status == TW_OK) status = check_turn(s, &e);
  e.input.goes_on = s->conversation && !s->last;
  if (status == TW_OK) status = tw_answer_place(tw_output_name(e.plan.output), s->output);
  if (status == TW_OK) status = open_desk(d);
  if (status == TW_OK) status = split(s, d, model, &e.input);
  for (int party = 0; party < 2 && status == TW_OK; party++)
    status = tw_post_send(&s->post, d->folder, d->id.hex, ending_of(s), party);
  tw_encoding_end(&e);
  return status;
}

// ---- the answer

// The turn is what the next one goes on behind: the parties have gone on by now.
static tw_status keep_turn(const char *name, const desk *d, const tw_result *result) {
  static const char *const suffixes[] = {"input.h5", "result.h5"};
  tw_new_files places;
  tw_input input;
  TW_TRY(tw_input_read(tw_path_of(d->name, kept[0]).text, &input));
  tw_status status = tw_new_files_check(&places, name, suffixes, 2, true);
  if (status == TW_OK) {
    status = tw_new_files_begin(&places);
    for (int i = 0; i < 2 && status == TW_OK; i++) {
      const char *path = places.path[i].text;
      status = i == 0 ? tw_input_write(path, &input) : tw_result_write(path, result);
      places.written[i] = status == TW_OK;
    }
    status = tw_new_files_end(&places, status);
  }
  tw_input_free(&input);
  return status;
}

static tw_status show(const tw_call *call, const char *model, const desk *d, const tw_result *result) {
  const settings *s = call->settings;
  TW_TRY(tw_result_judge(result, "the result"));
  if (s->conversation) TW_TRY(keep_turn(s->conversation, d, result));
  if (s->output) TW_TRY(tw_result_write(s->output, result));
  tw_unfinished_keep();
  tw_path input = tw_path_of(d->name, kept[0]);
  TW_TRY(tw_answer_print(model, result, input.text, s->output ? s->output : "the file of --output", s->show_texts));
  if (s->output && !call->quiet) printf("written: %s\n", s->output);
  return TW_OK;
}

// A party's result, as its plain file. It must be sealed by that party.
static tw_status unseal(const settings *s, const desk *d, int party) {
  tw_sealed *sealed;
  tw_path plain = tw_path_of(d->name, kept[3 + party]), path = sealed_path(d, 3 + party, ending_of(s));
  TW_TRY(tw_sealed_open(path.text, &s->sealing.site, tw_sealing_for(&s->sealing, (tw_site_role)party), &sealed));
  tw_status status = tw_is_keys(tw_sealed_about(sealed)) ? tw_fail(TW_ERR_MISMATCH, "%s: is no result", path.text)
                                                         : tw_unseal_file(sealed, plain.text, NULL);
  tw_sealed_close(sealed);
  return status;
}

static tw_status answer(const tw_call *call, const char *model, const desk *d) {
  const settings *s = call->settings;
  tw_result result;
  bool with_input;
  TW_TRY(tw_post_wait(&s->post, d->folder, d->id.hex, ending_of(s)));
  for (int party = 0; party < 2 && s->sealing.count; party++) TW_TRY(unseal(s, d, party));
  TW_TRY(tw_reveal(d->name, model, &result, &with_input));
  tw_status status = show(call, model, d, &result);
  tw_result_free(&result);
  return status;
}

// A conversation that is there goes on.
static tw_status find_conversation(settings *s) {
  static const char *const suffixes[] = {"input.h5", "result.h5"};
  tw_new_files places;
  if (s->last && !s->conversation) return tw_fail(TW_ERR_USAGE, "--last is said of a --conversation NAME");
  if (!s->conversation) return TW_OK;
  TW_TRY(tw_name_check(s->conversation));
  TW_TRY(tw_new_files_check(&places, s->conversation, suffixes, 2, true));
  if (tw_path_exists(&places.path[0]) || tw_path_exists(&places.path[1])) s->words.after = s->conversation;
  return TW_OK;
}

static tw_status begin_sealing(settings *s) {
  if (s->allow_unlocked) tw_seeds_may_be_unlocked();
  TW_TRY(tw_sealing_begin(s->site, &s->seal_to, 1u << TW_SITE_PARTY_0 | 1u << TW_SITE_PARTY_1, &s->sealing));
  if (s->sealing.count == 1) return tw_fail(TW_ERR_USAGE, "--seal-to FILE is said of both parties, or of none");
  return TW_OK;
}

static tw_status run(const tw_call *call) {
  settings *s = call->settings;
  const char *model = call->arguments[0];
  desk d = {.folder = "", .name = ""};
  tw_texts texts;
  tw_not_dumpable();
  TW_TRY(tw_name_check(model));
  TW_TRY(tw_post_check(&s->post));
  TW_TRY(find_conversation(s));
  TW_TRY(tw_encoding_texts(call, &s->words, (const char *const *)call->arguments + 1, call->count - 1, &texts));
  tw_status status = begin_sealing(s);
  if (status == TW_OK)
    status = ask(call, model, &texts, &d);
  else
    tw_texts_free(&texts);
  if (status == TW_OK && !call->quiet) tw_say("sent to both parties as %s", d.id.hex);
  if (status == TW_OK) status = answer(call, model, &d);
  close_desk(&d);
  tw_sealing_end(&s->sealing);
  tw_secrets_warn();
  return status;
}

const tw_command tw_command_ask = {
    .name = "ask",
    .arguments = "NAME TEXT...|--file FILE --to DIR --to DIR --from DIR --from DIR",
    .summary = "a text to two services, and their answer (the client's step)",
    .about =
        "Encodes, shares, brings each share into the queue of its party's service (`run --serve`), waits for both "
        "results, and reveals: a text, a next token, labels; other results go to --output. Reads NAME.plan.json, "
        "NAME.model.json and NAME.client.h5. Its files lie in a folder of their own in $TMPDIR and are removed at the "
        "end. With --put and --get programs of yours carry the files. With --conversation a text goes on behind "
        "earlier ones.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .least = 1,
    .most = -1,
    .run = run};
