#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "app/secrets.h"
#include "app/show/forecast.h"
#include "app/show/marks.h"
#include "app/show/print.h"
#include "app/where.h"
#include "base/memory.h"
#include "io/client.h"
#include "io/key_parts.h"
#include "io/keys.h"
#include "io/ledger.h"
#include "io/new_files.h"
#include "io/parts.h"
#include "jobs/parties/party.h"
#include "jobs/plan/lengths.h"

typedef struct {
  const char *model, *keys, *ledger;
  bool json;
} settings;

static const tw_option options[] = {
    {.group = "whose files", .common = &tw_option_model, .field = offsetof(settings, model)},
    {.common = &tw_option_keys, .field = offsetof(settings, keys)},
    {.common = &tw_option_ledger, .field = offsetof(settings, ledger)},
    {.common = &tw_option_json, .field = offsetof(settings, json), .help = "print JSON, an entry for each party"},
};

// What one party has of a NAME, as far as its files are here.
typedef struct {
  int party;
  bool has_keys, has_input, has_result;
  tw_id key_id;
  bool test;
  uint64_t slots, left, slot_bytes;
  int rows, done;  // of the input; that are in parts, or in the result
} holdings;

// Slots that are neither marked nor erased.
static tw_status count_left(tw_keys *keys, const tw_ledger *ledger, holdings *h) {
  uint64_t *live, words = (h->slots + 63) / 64;
  TW_TRY(tw_alloc(2 * words * sizeof *live, (void **)&live));
  uint64_t *marked = live + words;
  tw_status status = tw_keys_survey(keys, live);
  if (status == TW_OK) status = tw_ledger_marks(ledger, h->party, &h->key_id, h->slots, marked);
  for (uint64_t i = 0; i < words && status == TW_OK; i++)
    h->left += (uint64_t)__builtin_popcountll(live[i] & ~marked[i]);
  tw_free(live);
  return status;
}

static tw_status look_at_keys(const char *name, const tw_ledger *ledger, holdings *h) {
  tw_path path = tw_path_of(name, h->party ? "keys.p1.h5" : "keys.p0.h5");
  tw_keys *keys;
  if (!tw_path_exists(&path)) return TW_OK;
  TW_TRY(tw_keys_open(path.text, h->party, &keys));
  const tw_keys_info *info = tw_keys_get_info(keys);
  h->has_keys = true;
  h->key_id = info->key_id;
  h->test = info->test;
  h->slots = info->count;
  h->slot_bytes = info->slot_bytes;
  tw_status status = count_left(keys, ledger, h);
  tw_keys_close(keys);
  return status;
}

static tw_status count_done(const char *name, const tw_input_share *input, holdings *h) {
  tw_parts parts = tw_parts_of(name, h->party);
  bool *done;
  TW_TRY(tw_alloc(sizeof *done * (size_t)input->count, (void **)&done));
  tw_status status = tw_parts_read(&parts, &input->input_id, &input->plan, input->count);
  if (status == TW_OK) tw_parts_mark(&parts, done);
  for (int i = 0; i < input->count && status == TW_OK; i++) h->done += done[i];
  tw_parts_free(&parts);
  tw_free(done);
  return status;
}

static tw_status look_at_rows(const char *name, holdings *h) {
  tw_path path = tw_path_of(name, h->party ? "input.p1.h5" : "input.p0.h5");
  tw_path result = tw_path_of(name, h->party ? "result.p1.h5" : "result.p0.h5");
  tw_input_share input;
  h->has_result = tw_path_exists(&result);
  if (!tw_path_exists(&path)) return TW_OK;
  TW_TRY(tw_input_share_read(path.text, h->party, &input));
  h->has_input = true;
  h->rows = input.count;
  tw_status status = count_done(name, &input, h);
  tw_input_share_free(&input);
  return status;
}

static const char *state_of(const holdings *h, char *text, size_t size) {
  if (h->has_result)
    snprintf(text, size, "there");
  else if (!h->has_input)
    snprintf(text, size, "none");
  else
    snprintf(text, size, h->done ? "%d of %d rows" : "none", h->done, h->rows);
  return text;
}

static bool is_anything(const holdings *h) { return h->has_keys || h->has_input || h->has_result; }

// more: keys that were appended, which have no input of their own.
static void print(const char *name, const holdings *list, const tw_ledger_key *keys, size_t count, bool more) {
  tw_grid grid = {0}, runs = {0};
  bool used = false;
  tw_grid_row(&grid, "party\tkey\tslots left\tof\teach%s", more ? "" : "\tinput\tresult");
  tw_grid_rule(&grid);
  for (const holdings *h = list; h < list + 2; h++) {
    if (!is_anything(h)) continue;
    char state[48], rows[80];
    snprintf(rows, sizeof rows, "\t%d rows\t%s", h->rows, state_of(h, state, sizeof state));
    tw_grid_row(&grid, "%d\t%s%s\t%" PRIu64 "\t%" PRIu64 "\t%s%s", h->party, h->has_keys ? h->key_id.hex : "none",
                h->test ? " (TEST)" : "", h->left, h->slots, tw_text_bytes((double)h->slot_bytes), more ? "" : rows);
    for (size_t i = 0; i < count; i++) {
      if (keys[i].party != h->party || strcmp(keys[i].key_id.hex, h->key_id.hex) != 0 || !keys[i].count) continue;
      if (!used) tw_marks_head(&runs);
      tw_marks_rows(&runs, &keys[i]);
      used = true;
    }
  }
  printf("%s\n\n", name);
  tw_grid_print(&grid);
  if (used || !more) putchar('\n');
  if (used)
    tw_grid_print(&runs);
  else if (!more)
    puts("no slot was used");
}

static json_t *record_of(const holdings *h) {
  return json_pack("{s:i, s:s?, s:b, s:I, s:I, s:I, s:i, s:i, s:b}", "party", h->party, "key_id",
                   h->has_keys ? h->key_id.hex : NULL, "test_keys", h->test, "slots", (json_int_t)h->slots,
                   "slots_left", (json_int_t)h->left, "slot_bytes", (json_int_t)h->slot_bytes, "rows", h->rows,
                   "rows_done", h->has_result ? h->rows : h->done, "result", h->has_result);
}

static json_t *records_of(const holdings *list) {
  json_t *parties = json_array();
  for (const holdings *h = list; h < list + 2; h++)
    if (is_anything(h)) json_array_append_new(parties, record_of(h));
  return parties;
}

// NAME, and what it has of several lengths under names of their own (jobs/plan/lengths.h).
typedef struct {
  const char *name, *model, *keys;
  const tw_ledger *ledger;
  bool json;
  json_t *lengths, *more;
  int found;
} survey;

static tw_status look(const survey *v, const char *name, const char *keys, holdings list[2]) {
  for (int party = 0; party < 2; party++) {
    list[party] = (holdings){.party = party};
    TW_TRY(look_at_keys(keys, v->ledger, &list[party]));
    TW_TRY(look_at_rows(name, &list[party]));
  }
  return TW_OK;
}

// ---- what a run of the rows that are left will need, where the plan is here

typedef struct {
  tw_where where;
  tw_forecast_view view;
  bool known;
} outlook;

static int rows_left(const holdings *list) {
  int most = 0;
  for (const holdings *h = list; h < list + 2; h++)
    if (h->has_input && !h->has_result && h->rows - h->done > most) most = h->rows - h->done;
  return most;
}

static tw_status foresee(const survey *v, const char *name, const holdings *list, outlook *out) {
  int rows = rows_left(list);
  tw_path path = tw_path_of(v->model, "plan.json");
  tw_plan plan;
  *out = (outlook){.known = false};
  if (!rows || !tw_path_exists(&path)) return TW_OK;
  TW_TRY(tw_plan_read_of(v->model, name, &plan));
  int batch = plan.shape.earlier || rows < TW_BATCH ? rows : TW_BATCH;
  tw_status status = tw_where_guess(NULL, &out->where);
  if (status == TW_OK) status = tw_forecast_view_make(&plan, &out->where.place, batch, rows, &out->view);
  out->known = status == TW_OK;
  tw_plan_free(&plan);
  return status;
}

static tw_status show(survey *v, const char *name, const holdings *list, bool more) {
  tw_ledger_key *keys = NULL;
  size_t count = 0;
  outlook next;
  tw_status status = tw_ledger_list(v->ledger, &keys, &count);
  if (status == TW_OK) status = foresee(v, name, list, &next);
  if (status == TW_OK && v->found) putchar('\n');
  if (status == TW_OK) print(name, list, keys, count, more);
  if (status == TW_OK && next.known) tw_forecast_print(&next.view, 1, &next.where.place, "a guess");
  tw_ledger_keys_free(keys, count);
  return status;
}

static tw_status add_forecast(const survey *v, const char *name, const holdings *list, json_t *object) {
  outlook next;
  TW_TRY(foresee(v, name, list, &next));
  if (next.known) json_object_set_new(object, "forecast", tw_forecast_records(&next.view, 1, &next.where.place));
  return TW_OK;
}

static tw_status take_length(survey *v, int seq) {
  holdings list[2];
  tw_path name = tw_length_name(v->name, seq);
  TW_TRY(look(v, name.text, tw_length_name(v->keys, seq).text, list));
  if (!is_anything(&list[0]) && !is_anything(&list[1])) return TW_OK;
  if (v->json) {
    json_t *object = json_pack("{s:s, s:i, s:o}", "name", name.text, "seq", seq, "parties", records_of(list));
    json_array_append_new(v->lengths, object);
    TW_TRY(add_forecast(v, name.text, list, object));
  } else {
    TW_TRY(show(v, name.text, list, false));
  }
  v->found++;
  return TW_OK;
}

static void say_all(const char *keys, const holdings *all, int files) {
  printf("\nslots left in the %d key files of %s:", files, keys);
  for (int party = 0; party < 2; party++)
    if (all[party].has_keys)
      printf("%s party %d %" PRIu64, party && all[0].has_keys ? "," : "", party, all[party].left);
  printf("; a run or a batch takes all of its slots from one file\n");
}

// Keys that were appended to `keys`: sections of their own; and how many slots there are in all.
static tw_status take_more(survey *v, const char *keys) {
  tw_key_parts parts;
  holdings all[2];
  int files = 1;
  TW_TRY(tw_key_parts_find(keys, &parts));
  tw_status status = parts.count ? look(v, keys, keys, all) : TW_OK;
  for (int i = 0; i < parts.count && status == TW_OK; i++) {
    holdings list[2];
    const char *name = parts.names[i].text;
    status = look(v, name, name, list);
    if (status != TW_OK || (!is_anything(&list[0]) && !is_anything(&list[1]))) continue;
    if (v->json)
      json_array_append_new(v->more, json_pack("{s:s, s:o}", "name", name, "parties", records_of(list)));
    else
      status = show(v, name, list, true);
    for (int party = 0; party < 2; party++) all[party].left += list[party].left;
    files++;
    v->found++;
  }
  if (status == TW_OK && files > 1 && !v->json) say_all(keys, all, files);
  tw_key_parts_free(&parts);
  return status;
}

static tw_status take_lengths(survey *v) {
  bool *seen;
  TW_TRY(tw_alloc(sizeof *seen * (TW_MOST_TOKENS + 1), (void **)&seen));
  tw_status status = tw_lengths_beside(v->name, seen);
  if (status == TW_OK) status = tw_lengths_beside(v->keys, seen);
  for (int seq = 1; seq <= TW_MOST_TOKENS && status == TW_OK; seq++)
    if (seen[seq]) {
      status = take_length(v, seq);
      if (status == TW_OK) status = take_more(v, tw_length_name(v->keys, seq).text);
    }
  tw_free(seen);
  return status;
}

static tw_status take_all(survey *v) {
  holdings list[2];
  TW_TRY(look(v, v->name, v->keys, list));
  if (is_anything(&list[0]) || is_anything(&list[1])) {
    if (!v->json) TW_TRY(show(v, v->name, list, false));
    v->found++;
  }
  TW_TRY(take_more(v, v->keys));
  TW_TRY(take_lengths(v));
  if (!v->found)
    return tw_fail(TW_ERR_IO,
                   "%s: neither keys nor an input of a party are here; give the NAME of one, or --model NAME", v->name);
  if (!v->json) return TW_OK;
  json_t *all = json_pack("{s:s, s:s, s:o}", "name", v->name, "ledger", v->ledger->id.hex, "parties", records_of(list));
  if (json_array_size(v->lengths)) json_object_set(all, "lengths", v->lengths);
  if (json_array_size(v->more)) json_object_set(all, "more", v->more);
  tw_status status = add_forecast(v, v->name, list, all);
  if (status == TW_OK) return tw_json_print(all);
  json_decref(all);
  return status;
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  const char *name = call->arguments[0], *model;
  tw_ledger ledger;
  tw_not_dumpable();
  TW_TRY(tw_name_check(name));
  if (s->keys) TW_TRY(tw_name_check(s->keys));
  TW_TRY(tw_model_name(s->model, name, &model));
  TW_TRY(tw_ledger_find(s->ledger, &ledger));
  tw_path keys = tw_length_keys(s->keys, model, name);
  survey v = {.name = name,
              .model = model,
              .keys = keys.text,
              .ledger = &ledger,
              .json = s->json,
              .lengths = json_array(),
              .more = json_array()};
  tw_status status = take_all(&v);
  json_decref(v.lengths);
  json_decref(v.more);
  return status;
}

const tw_command tw_command_status = {
    .name = "status",
    .arguments = "NAME",
    .summary = "key slots left, by whom the others were used up, and which rows are done",
    .about =
        "Reads the parties' files of NAME that are here: NAME.keys.pR.h5, NAME.input.pR.h5, and what a run has "
        "left, finished or not; keys that were appended, the same files of its lengths, and the ledger. Where the plan "
        "is here it ends with a forecast of what a run of the rows that are left needs. Changes nothing.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .least = 1,
    .most = 1,
    .run = run};
