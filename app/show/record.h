// One record of what was planned or measured: the same flat fields from every command, as JSON or as a row of CSV. The
// fields, with units and where they are present, are listed in docs/records.md. What does not apply or is not known is
// null, in CSV an empty cell.
#ifndef TW_RECORD_H
#define TW_RECORD_H

#include <jansson.h>

#include "app/options.h"
#include "app/show/costs.h"
#include "io/result.h"
#include "jobs/parties/machine.h"

typedef enum { TW_AS_TABLE, TW_AS_JSON, TW_AS_CSV } tw_format;

// What --json and --csv ask for; TW_ERR_USAGE for both.
tw_status tw_format_of(bool json, bool csv, tw_format *out);

// All fields null but those that describe the program, the process and its host. command: "plan", "bench model".
// Released by tw_records_print, tw_record_row, or json_decref.
json_t *tw_record_create(const char *command);

// Text as it stands, made plain; NULL and "" are null. A field that docs/records.md does not list stops the program.
void tw_record_text(json_t *record, const char *field, const char *text);
void tw_record_integer(json_t *record, const char *field, int64_t value);
void tw_record_real(json_t *record, const char *field, double value);  // null unless it is finite
void tw_record_flag(json_t *record, const char *field, bool value);
// An array or object; a new reference, which the record takes.
void tw_record_json(json_t *record, const char *field, json_t *value);
void tw_record_ns(json_t *record, const char *field, double seconds);
// PREFIX_ns, all of them in the order of measurement, and PREFIX_min_ns, _median_ns, _max_ns. seconds: [count].
void tw_record_times(json_t *record, const char *prefix, const double *seconds, int count);
// PREFIX.min, .median and .max of the same, for people.
typedef struct {
  double least, median, most;
} tw_spread;
tw_spread tw_spread_of(const double *seconds, int count);

// ---- groups of fields

// The machine's cores, GPU and the peaks of memory so far.
void tw_record_machine(json_t *record, const tw_machine *machine);
void tw_record_environment(json_t *record, const tw_environment *environment);  // of a run
void tw_record_shape(json_t *record, const tw_model_config *config);
void tw_record_plan(json_t *record, const tw_plan *plan);  // with the shape
// An emulated or assumed link; 0 bytes a second: without limit; 0 and 0: none.
void tw_record_link(json_t *record, double latency_seconds, double bytes_per_second);
// Costs of every step in every layer; seconds where they are timed.
void tw_record_steps(json_t *record, const tw_costs *costs);

// ---- reading

// Appends the records of a file that a command printed with --json: fields of other versions of twain are left out,
// those that it has not are null. TW_ERR_FORMAT: it holds something else, or records of another schema.
tw_status tw_records_read(const char *path, json_t *records);

// ---- printing, to standard output

// What was run or measured, a row each, for people; the list stays.
void tw_records_table(const json_t *records);

// A list of records, which is released.
tw_status tw_records_print(json_t *records, tw_format format);
// The same of one record.
tw_status tw_record_print(json_t *record, tw_format format);
// CSV row by row: the names, then a record, released; at once on its way, for who reads along.
tw_status tw_record_header(void);
tw_status tw_record_row(json_t *record);

#endif
