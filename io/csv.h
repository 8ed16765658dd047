// Records of a file of comma-separated (RFC 4180) or tab-separated values (IANA's text/tab-separated-values, which has
// no quotation marks), one after the other out of memory.
#ifndef TW_CSV_H
#define TW_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/status.h"

typedef struct {
  const char *path;  // for messages
  char *at, *end;    // what is left; a zero byte stands at `end`
  char separator;
  bool quotes;  // a field may stand in quotation marks
  int line;     // of the file, where `at` is: from 1 on
  int blank;    // lines left out so far: records of white space alone
  // the last record
  int first_line;  // where it began
  int count, room;
  char **fields;  // into the text, which was changed for it: each ends with a zero byte
} tw_csv;

// `text`: bytes of valid UTF-8 without a zero byte and with one behind it; it must outlive the reader, which changes
// it. End it with tw_csv_end.
tw_csv tw_csv_begin(const char *path, char *text, size_t bytes, bool tabs);
// *more: there was another record. TW_ERR_FORMAT names file and line: a quotation mark that is never closed, or
// stands where none may; a carriage return that ends no line.
tw_status tw_csv_next(tw_csv *csv, bool *more);
void tw_csv_end(tw_csv *csv);

// A field as RFC 4180 has it: in quotation marks where it needs them.
void tw_csv_put(FILE *out, const char *field);

#endif
