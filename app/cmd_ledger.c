#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "app/commands.h"
#include "app/common_options.h"
#include "app/secrets.h"
#include "app/show/marks.h"
#include "app/show/print.h"

typedef struct {
  bool create, adopt, json;
} settings;

static const tw_option options[] = {
    {.name = "new",
     .field = offsetof(settings, create),
     .help = "make the ledger: once for a party, before its first run; refuses a folder that holds anything"},
    {.name = "adopt",
     .field = offsetof(settings, adopt),
     .help = "make a folder of marks that has no ledger.json a ledger; all marks stay"},
    {.common = &tw_option_json, .field = offsetof(settings, json), .help = "print JSON, one entry for every slot"},
};

static void print_tables(const tw_ledger *ledger, const tw_ledger_key *keys, size_t count) {
  tw_grid spent = {0}, runs = {0};
  char slots[200];
  printf("ledger %s\nid %s, made %s\n", ledger->dir, ledger->id.hex, ledger->created);
  if (count == 0) {
    printf("no key was used\n");
    return;
  }
  tw_grid_row(&spent, "key\tparty\tslots used\twhich\tother party's ledger");
  tw_marks_head(&runs);
  tw_grid_rule(&spent);
  for (size_t i = 0; i < count; i++) {
    tw_marks_slots(keys[i].marks, keys[i].count, slots, sizeof slots);
    tw_grid_row(&spent, "%s\t%d\t%zu\t%s\t%s", keys[i].key_id.hex, keys[i].party, keys[i].count,
                slots[0] ? slots : "none", keys[i].peer.hex[0] ? keys[i].peer.hex : "not known");
    tw_marks_rows(&runs, &keys[i]);
  }
  putchar('\n');
  tw_grid_print(&spent);
  putchar('\n');
  tw_grid_print(&runs);
}

static json_t *slots_json(const tw_ledger_key *key) {
  json_t *slots = json_array();
  for (size_t i = 0; i < key->count; i++) {
    const tw_ledger_mark_note *m = &key->marks[i];
    json_array_append_new(
        slots, json_pack("{s:I, s:s, s:s, s:s, s:s, s:s}", "slot", (json_int_t)m->slot, "time", m->time, "host",
                         m->host, "process", m->pid, "job", m->job, "note", m->note));
  }
  return slots;
}

static tw_status print_json(const tw_ledger *ledger, const tw_ledger_key *keys, size_t count) {
  json_t *list = json_array();
  for (size_t i = 0; i < count; i++)
    json_array_append_new(
        list, json_pack("{s:s, s:i, s:I, s:s?, s:o}", "key_id", keys[i].key_id.hex, "party", keys[i].party, "used",
                        (json_int_t)keys[i].count, "other_ledger", keys[i].peer.hex[0] ? keys[i].peer.hex : NULL,
                        "slots", slots_json(&keys[i])));
  return tw_json_print(json_pack("{s:s, s:s, s:s, s:o}", "folder", ledger->dir, "id", ledger->id.hex, "created",
                                 ledger->created, "keys", list));
}

static tw_status show(const tw_ledger *ledger, bool json) {
  tw_ledger_key *keys = NULL;
  size_t count = 0;
  tw_status status = tw_ledger_list(ledger, &keys, &count);
  if (status == TW_OK && json)
    status = print_json(ledger, keys, count);
  else if (status == TW_OK)
    print_tables(ledger, keys, count);
  tw_ledger_keys_free(keys, count);
  return status;
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  const char *named = call->count ? call->arguments[0] : NULL;
  char dir[sizeof(((tw_ledger *)NULL)->dir)];
  tw_ledger ledger;
  if (s->create && s->adopt) return tw_fail(TW_ERR_USAGE, "either --new or --adopt");
  if (!s->create && !s->adopt) {
    TW_TRY(tw_ledger_find(named, &ledger));
    tw_warn_of_ledger(&tw_speaker, &ledger);
    return show(&ledger, s->json);
  }
  if (!named) TW_TRY(tw_ledger_default(dir, sizeof dir));
  TW_TRY(s->create ? tw_ledger_create(named ? named : dir, &ledger) : tw_ledger_adopt(named ? named : dir, &ledger));
  tw_warn_of_ledger(&tw_speaker, &ledger);
  if (s->json) return show(&ledger, true);
  if (!call->quiet) printf("ledger %s\nid %s\n", ledger.dir, ledger.id.hex);
  return TW_OK;
}

const tw_command tw_command_ledger = {
    .name = "ledger",
    .arguments = "[DIR] [--new | --adopt]",
    .summary = "make the ledger of used key slots, or show it",
    .about =
        "Every party has one ledger for all its keys, made once, on durable storage, never deleted or put back to "
        "an earlier state while keys that it lists exist anywhere. Without --new or --adopt: what is used, by key and "
        "party.\n"
        "DIR is by default $XDG_STATE_HOME/twain/ledger or ~/.local/state/twain/ledger.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .least = 0,
    .most = 1,
    .run = run};
