// Records of several runs and benchmarks: read from files, side by side in a table.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app/show/print.h"
#include "app/show/record.h"
#include "base/text.h"

// ---- the table

static double number_in(const json_t *record, const char *field) {
  return json_number_value(json_object_get(record, field));
}

static bool has(const json_t *record, const char *field) { return json_is_number(json_object_get(record, field)); }

static const char *text_in(const json_t *record, const char *field) {
  const char *text = json_string_value(json_object_get(record, field));
  return text ? text : "";
}

static const char *bytes_of(const json_t *r, const char *field) {
  return has(r, field) ? tw_text_bytes(number_in(r, field)) : "";
}

static const char *time_of(const json_t *r, const char *field) {
  return has(r, field) ? tw_text_seconds(1e-9 * number_in(r, field)) : "";
}

static const char *count_of(const json_t *r, const char *field, char text[24]) {
  text[0] = '\0';
  if (has(r, field)) snprintf(text, 24, "%.0f", number_in(r, field));
  return text;
}

static const char *link_of(const json_t *r, char text[64]) {
  text[0] = '\0';
  if (has(r, "link_latency_ns")) snprintf(text, 64, "%s", time_of(r, "link_latency_ns"));
  if (has(r, "link_rate_bits_per_second"))
    snprintf(text + strlen(text), 64 - strlen(text), "%s%g Gbit/s", *text ? ", " : "",
             1e-9 * number_in(r, "link_rate_bits_per_second"));
  return text;
}

static void add_row(tw_grid *grid, const json_t *r) {
  char tokens[24], batch[24], rounds[24], link[64];
  const char *name = *text_in(r, "name") ? text_in(r, "name") : text_in(r, "command");
  bool benched = !has(r, "online_median_ns") && has(r, "time_median_ns");
  if (*text_in(r, "skipped")) return;
  tw_grid_row(grid, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", name, text_in(r, "model"),
              count_of(r, "tokens", tokens), count_of(r, "batch", batch), link_of(r, link), bytes_of(r, "key_bytes"),
              bytes_of(r, "sent_bytes"), count_of(r, "rounds", rounds), time_of(r, "setup_ns"),
              time_of(r, "preparation_median_ns"), time_of(r, benched ? "time_median_ns" : "online_median_ns"),
              time_of(r, "open_comm_ns"), text_in(r, "isa"));
}

void tw_records_table(const json_t *records) {
  tw_grid grid = {0};
  size_t i;
  json_t *record;
  tw_grid_row(&grid,
              "run\tmodel\ttokens\tsequences\tlink\tkeys/party\tsent/party\trounds\tset-up\tpreparation\tonline"
              "\tmessages\tisa");
  tw_grid_rule(&grid);
  json_array_foreach((json_t *)records, i, record) add_row(&grid, record);
  tw_grid_print(&grid);
}

// ---- files

// In the fields of this version.
static tw_status add(const char *path, size_t place, const json_t *from, json_t *records) {
  const char *field;
  json_t *value, *own = tw_record_create("report");
  if (json_integer_value(json_object_get(from, "schema_version")) !=
      json_integer_value(json_object_get(own, "schema_version"))) {
    json_decref(own);
    return tw_fail(TW_ERR_FORMAT,
                   "%s: entry %zu is no record of this schema; take what `plan`, `run` or `bench` printed with --json",
                   path, place + 1);
  }
  void *next;
  json_object_foreach_safe(own, next, field, value)
      json_object_set(own, field, json_object_get(from, field) ? json_object_get(from, field) : json_null());
  return json_array_append_new(records, own) == 0 ? TW_OK : tw_fail(TW_ERR_MEMORY, "out of memory for records");
}

tw_status tw_records_read(const char *path, json_t *records) {
  json_error_t error;
  size_t i;
  json_t *record, *file = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
  if (!file) {
    if (error.line < 1) return tw_fail(TW_ERR_IO, "%s: %s", path, strerror(errno));
    tw_text_make_plain(error.text);
    return tw_fail(TW_ERR_FORMAT, "%s: line %d: %s; take what a command printed with --json", path, error.line,
                   error.text);
  }
  tw_status status = TW_OK;
  if (json_is_object(file)) status = add(path, 0, file, records);
  if (!json_is_object(file) && !json_array_size(file))
    status = tw_fail(TW_ERR_FORMAT, "%s: holds no records; take what a command printed with --json", path);
  json_array_foreach(file, i, record) if (status == TW_OK) status = add(path, i, record, records);
  json_decref(file);
  return status;
}
