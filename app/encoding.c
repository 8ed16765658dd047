#include "app/encoding.h"

#include "app/chats.h"
#include "app/commands.h"
#include "app/common_options.h"
#include "base/memory.h"
#include "io/new_files.h"
#include "jobs/models/encode_turn.h"
#include "jobs/parties/input_lengths.h"

const tw_option tw_option_file = {
    .name = "file",
    .letter = 'f',
    .kind = TW_OPTION_TEXT,
    .value = "FILE",
    .help = "texts from a UTF-8 file, one a line, - is standard input; blank lines are left out"};
const tw_option tw_option_pair = {
    .name = "pair",
    .help =
        "pairs of texts, as cross-encoders take them: two arguments a pair, or two texts a line of FILE with a tab "
        "between them; the second has token type 1"};
const tw_option tw_option_chat = {
    .name = "chat",
    .help =
        "each text is what a user says to the model: it is put into the model's chat template, up to where the "
        "answer begins"};
const tw_option tw_option_messages = {
    .name = "messages",
    .help =
        "as --chat, but each text is a whole conversation: a list in JSON of objects with role (system, user, "
        "assistant) and content"};
const tw_option tw_option_truncate = {
    .name = "truncate",
    .help =
        "cut texts that are longer than the plan's --seq, or than the model's max_seq_length, as transformers does; "
        "without it they are refused"};
const tw_option tw_option_chunk = {
    .name = "chunk",
    .help =
        "divide texts that are longer than the plan's --seq, or than the model's max_seq_length, into chunks; "
        "`reveal --csv` and --npy write their mean, with tokens as weights. With `plan --fit`: count the chunks of "
        "the sample's texts"};
const tw_option tw_option_overlap = {
    .name = "overlap",
    .kind = TW_OPTION_INTEGER,
    .value = "N",
    .help = "with --chunk: tokens at the end of a chunk that the next one begins with (not given: 16)",
    .low = 0,
    .high = TW_MOST_TOKENS};

static tw_status check_source(const tw_call *call, const tw_encoding_words *w, int count) {
  bool table = w->csv || w->tsv || w->jsonl;
  int sources = (count > 0) + (w->file != NULL) + (w->csv != NULL) + (w->tsv != NULL) + (w->jsonl != NULL);
  if (sources != 1)
    return tw_fail(TW_ERR_USAGE, "%s; usage: twain %s %s",
                   sources                               ? "either texts or one file, not both"
                   : call->command == &tw_command_encode ? "texts, --file FILE, or a table's FILE by --csv, --tsv or "
                                                           "--jsonl are needed"
                                                         : "texts or --file FILE are needed",
                   call->command->name, call->command->arguments);
  if (!table && (w->text_column || w->id_column))
    return tw_fail(TW_ERR_USAGE, "--text-column and --id-column go with --csv, --tsv or --jsonl");
  if (table && w->pair)
    return tw_fail(TW_ERR_USAGE, "--pair takes two texts a line of --file, or two arguments a pair");
  return TW_OK;
}

static tw_status read_table(const tw_encoding_words *w, tw_texts *out) {
  tw_text_table_form form = w->csv ? TW_TABLE_CSV : w->tsv ? TW_TABLE_TSV : TW_TABLE_JSON_LINES;
  return tw_texts_of_table(w->csv   ? w->csv
                           : w->tsv ? w->tsv
                                    : w->jsonl,
                           form, w->text_column ? w->text_column : "text", w->id_column, out);
}

tw_status tw_encoding_texts(const tw_call *call, const tw_encoding_words *words, const char *const *texts, int count,
                            tw_texts *out) {
  TW_TRY(check_source(call, words, count));
  if (words->pair + words->chat + words->messages > 1)
    return tw_fail(TW_ERR_USAGE, "--pair, --chat and --messages say different things about a text; take one of them");
  if (words->overlap > 0 && !words->chunk) return tw_fail(TW_ERR_USAGE, "--overlap goes with --chunk");
  if (words->chunk && (words->truncate || words->pair || words->chat || words->messages || words->after))
    return tw_fail(TW_ERR_USAGE,
                   "--chunk divides plain texts: leave --truncate, --pair, --chat, --messages and --after out");
  if (words->after) TW_TRY(tw_name_check(words->after));
  if (words->after && (words->pair || words->messages || words->truncate))
    return tw_fail(
        TW_ERR_USAGE,
        "behind an earlier turn texts are taken as they stand, or with --chat as a user's messages; leave %s "
        "out",
        words->pair       ? "--pair"
        : words->messages ? "--messages"
                          : "--truncate");
  if (words->csv || words->tsv || words->jsonl) return read_table(words, out);
  return words->file ? tw_texts_read(words->file, words->pair, out) : tw_texts_take(texts, count, words->pair, out);
}

static tw_status look_at_plan(const char *model_word, const char *name, const char *model, const char *after,
                              tw_encoding *e) {
  TW_TRY(tw_plan_read_of(model_word, name, &e->plan));
  TW_TRY(tw_prefix_beside(model, &e->plan.prefix, &e->prefix));
  if (after && !e->plan.shape.earlier)
    return tw_fail(TW_ERR_USAGE, "--after %s: this plan has no conversations; plan with --conversation", after);
  return TW_OK;
}

static tw_status encode_later(const tw_encoding_words *words, tw_encoding *e) {
  tw_input before;
  tw_result said;
  TW_TRY(tw_input_read(tw_path_of(words->after, "input.h5").text, &before));
  tw_status status = tw_result_read(tw_path_of(words->after, "result.h5").text, &said);
  if (status == TW_OK) {
    status = tw_encode_turn(&e->client, &before, &said, words->after, e->texts.texts, e->texts.count, e->plan.shape.seq,
                            words->chat, &e->input);
    for (int i = 0; i < e->texts.count && status == TW_OK; i++)
      e->counts[i].whole = e->counts[i].kept = e->input.lengths[i];
    tw_result_free(&said);
  }
  tw_input_free(&before);
  return status;
}

// Chunks become one row again where a text has one.
static tw_status check_chunks(const tw_encoding *e) {
  const tw_plan *plan = &e->plan;
  int rows, cols;
  tw_plan_output_shape(plan, &rows, &cols);
  if (rows == 1 && !tw_output_of_tokens(plan->output) && !e->prefix &&
      (plan->output != TW_OUTPUT_LOGITS || e->client.config.head.kind != TW_HEAD_WORDS))
    return TW_OK;
  return tw_fail(TW_ERR_USAGE,
                 "--chunk: the plan's output is %s, and chunks of a text become one again as embeddings or a "
                 "classifier's logits of a sequence only; cut the texts (--truncate)",
                 tw_output_name(plan->output));
}

// Whether the order of a file's rows would show. A conversation's turns go by places, so it keeps its order.
static bool is_arranged(const tw_encoding_words *w, const tw_plan *plan) {
  bool table = w->csv || w->tsv || w->jsonl;
  return plan->length_count > 0 || (table && !plan->shape.earlier);
}

tw_status tw_encoding_make(const char *model_word, const char *name, const tw_encoding_words *words, tw_texts *texts,
                           tw_encoding *e) {
  const char *model;
  tw_chat_kind question = words->after ? TW_CHAT_LATER : TW_CHAT_QUESTIONS;
  tw_chat_kind chat = words->messages ? TW_CHAT_MESSAGES : words->chat ? question : TW_NO_CHAT;
  *e = (tw_encoding){.texts = *texts};
  TW_TRY(tw_model_name(model_word, name, &model));
  TW_TRY(look_at_plan(model_word, name, model, words->after, e));
  TW_TRY(tw_client_read(tw_path_of(model, "client.h5").text, &e->client));
  TW_TRY(tw_chats_format(&e->client, chat, &e->texts));
  TW_TRY(tw_alloc((size_t)e->texts.count * sizeof *e->counts, (void **)&e->counts));
  if (words->after) return encode_later(words, e);
  if (words->chunk) {
    TW_TRY(check_chunks(e));
    TW_TRY(tw_encode_chunks(&e->client, e->texts.texts, e->texts.count, e->plan.shape.seq,
                            words->overlap < 0 ? TW_OVERLAP : (int)words->overlap, e->counts, &e->input));
    return tw_input_arrange(&e->plan, &e->input);
  }
  TW_TRY(tw_encode_texts(&e->client, e->prefix, e->texts.texts, e->texts.count, e->plan.shape.seq, words->truncate,
                         e->counts, &e->input));
  return is_arranged(words, &e->plan) ? tw_input_arrange(&e->plan, &e->input) : TW_OK;
}

void tw_encoding_end(tw_encoding *e) {
  tw_input_free(&e->input);
  tw_free(e->counts);
  tw_client_free(&e->client);
  tw_prefix_drop(e->prefix);
  tw_texts_free(&e->texts);
  tw_plan_free(&e->plan);
}
