#include "app/show/estimate.h"

#include <stdio.h>
#include <string.h>

#include "app/show/print.h"
#include "app/show/record.h"

double tw_estimate_least(const tw_estimate *e) { return e->latency + e->bytes; }

// ---- tables

static void say_rate(char text[32], double bytes_per_second) {
  snprintf(text, 32, "%g Gbit/s", 8e-9 * bytes_per_second);
}

static void print_parts(const tw_estimate_view *view) {
  const tw_estimate *e = &view->whole;
  const tw_place *place = view->place;
  char rate[32], keys[64] = "keys on their way";
  tw_grid grid = {0};
  say_rate(rate, place->link.bytes_per_second);
  if (place->dealer_rate > 0) {
    char dealer[32];
    say_rate(dealer, place->dealer_rate);
    snprintf(keys, sizeof keys, "waiting for keys, at %s", dealer);
  }
  tw_grid_row(&grid, "estimate of one inference\tseconds");
  tw_grid_rule(&grid);
  tw_grid_row(&grid, "preparation, before the input\t%s", tw_text_seconds(e->preparation));
  tw_grid_row(&grid, "gates\t%s", tw_text_seconds(e->gates));
  tw_grid_row(&grid, "messages' own work\t%s", tw_text_seconds(e->messages));
  tw_grid_row(&grid, "%llu rounds of %s one way\t%s", (unsigned long long)e->rounds,
              tw_text_seconds(place->link.latency_seconds), tw_text_seconds(e->latency));
  tw_grid_row(&grid, "%s at %s\t%s", tw_text_bytes((double)e->sent_bytes), rate, tw_text_seconds(e->bytes));
  tw_grid_row(&grid, "%s\t%s", keys, tw_text_seconds(e->keys));
  tw_grid_rule(&grid);
  tw_grid_row(&grid, "online, from input to output\t%s", tw_text_seconds(tw_estimate_online(e)));
  tw_grid_row(&grid, "both\t%s", tw_text_seconds(tw_estimate_seconds(e)));
  tw_grid_print(&grid);
  tw_print_line("rates: %s (%s)", place->rates->device, place->rates->source);
  putchar('\n');
}

// What one has more than the other, with its sign.
static void say_more(char text[32], double more, const char *(*say)(double)) {
  snprintf(text, 32, "%s%s", more < 0 ? "-" : "+", say(more < 0 ? -more : more));
}

static void print_difference(tw_grid *grid, const char *form, const char *chosen, const char *instead,
                             const tw_estimate *mine, const tw_estimate *other) {
  char seconds[32], keys[32], sent[32];
  say_more(seconds, tw_estimate_seconds(other) - tw_estimate_seconds(mine), tw_text_seconds);
  say_more(keys, (double)other->key_bytes - (double)mine->key_bytes, tw_text_bytes);
  say_more(sent, (double)other->sent_bytes - (double)mine->sent_bytes, tw_text_bytes);
  tw_grid_row(grid, "%s\t%s\t%s\t%s\t%+lld\t%s\t%s", form, chosen, instead, seconds,
              (long long)other->rounds - (long long)mine->rounds, keys, sent);
}

static void print_choices(const tw_found *found) {
  const tw_candidate *best = &found->best;
  tw_grid grid = {0};
  tw_grid_row(&grid, "form\tchosen\tthe next best would cost\tseconds\trounds\tkeys\tsent");
  tw_grid_rule(&grid);
  for (int i = 0; i < TW_FORMS; i++) {
    char chosen[TW_CHOICES_TEXT], instead[TW_CHOICES_TEXT];
    if (!found->other[i].there) continue;
    tw_forms[i].say(&best->choices, chosen, sizeof chosen);
    tw_forms[i].say(&found->other[i].choices, instead, sizeof instead);
    print_difference(&grid, tw_forms[i].name, chosen, instead, &best->estimate, &found->other[i].estimate);
  }
  tw_grid_print(&grid);
  if (!found->runner_up.there) return;
  char text[TW_CHOICES_TEXT];
  tw_choices_text(&found->runner_up.choices, text);
  printf("runner-up: %s: %s more\n", text,
         tw_text_seconds(tw_estimate_seconds(&found->runner_up.estimate) - tw_estimate_seconds(&best->estimate)));
}

void tw_estimate_print(const tw_estimate_view *view) {
  putchar('\n');
  print_parts(view);
  if (view->found) print_choices(view->found);
}

// ---- records

static json_t *difference(const tw_found *found, int form) {
  char chosen[TW_CHOICES_TEXT], instead[TW_CHOICES_TEXT];
  const tw_estimate *mine = &found->best.estimate, *other = &found->other[form].estimate;
  tw_forms[form].say(&found->best.choices, chosen, sizeof chosen);
  tw_forms[form].say(&found->other[form].choices, instead, sizeof instead);
  return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "form", tw_forms[form].name, "option",
                   tw_forms[form].option, "chosen", chosen, "instead", instead, "saved_ns",
                   (json_int_t)(1e9 * (tw_estimate_seconds(other) - tw_estimate_seconds(mine))), "saved_rounds",
                   (json_int_t)other->rounds - (json_int_t)mine->rounds, "saved_key_bytes",
                   (json_int_t)other->key_bytes - (json_int_t)mine->key_bytes, "saved_sent_bytes",
                   (json_int_t)other->sent_bytes - (json_int_t)mine->sent_bytes);
}

// Choices are priced with default bounds, so their differences are told, and the plan's own estimate with one of them.
static void record_found(json_t *r, const tw_found *found, const tw_estimate *whole) {
  json_t *forms = json_array();
  for (int i = 0; i < TW_FORMS; i++)
    if (found->other[i].there) json_array_append_new(forms, difference(found, i));
  tw_record_json(r, "saved", forms);
  if (!found->runner_up.there) return;
  char text[TW_CHOICES_TEXT];
  tw_choices_text(&found->runner_up.choices, text);
  tw_record_text(r, "runner_up", text);
  double more = tw_estimate_seconds(&found->runner_up.estimate) - tw_estimate_seconds(&found->best.estimate);
  tw_record_ns(r, "runner_up_ns", tw_estimate_seconds(whole) + more);
}

void tw_estimate_record(json_t *r, const tw_estimate_view *view) {
  const tw_estimate *e = &view->whole;
  tw_record_ns(r, "link_least_ns", tw_estimate_least(e));
  if (view->key_budget) tw_record_integer(r, "key_budget_bytes", (int64_t)view->key_budget);
  if (view->found) record_found(r, view->found, e);
  if (view->place->by_one_layer) return;
  tw_record_text(r, "rates_device", view->place->rates->device);
  tw_record_text(r, "rates_source", view->place->rates->source);
  if (view->place->dealer_rate > 0)
    tw_record_integer(r, "dealer_rate_bits_per_second", (int64_t)(8 * view->place->dealer_rate));
  tw_record_ns(r, "estimated_preparation_ns", e->preparation);
  tw_record_ns(r, "estimated_gates_ns", e->gates);
  tw_record_ns(r, "estimated_messages_ns", e->messages);
  tw_record_ns(r, "estimated_latency_ns", e->latency);
  tw_record_ns(r, "estimated_bytes_ns", e->bytes);
  tw_record_ns(r, "estimated_keys_ns", e->keys);
  tw_record_ns(r, "estimated_online_ns", tw_estimate_online(e));
}
