// Texts out of a file that has more than texts: CSV, TSV or JSON lines, with an id for each where one is named.
#ifndef TW_TEXT_TABLE_H
#define TW_TEXT_TABLE_H

#include "base/status.h"

typedef enum { TW_TABLE_CSV, TW_TABLE_TSV, TW_TABLE_JSON_LINES } tw_text_table_form;

enum { TW_BLANK_TEXTS_NAMED = 8 };
typedef struct {
  int count;
  char **texts;
  char **ids;                             // NULL: no column was named for them
  int *lines;                             // where the record of each text begins, from 1 on
  int blank;                              // lines left out: of white space alone
  int empty;                              // records left out: their text is of white space alone
  int empty_lines[TW_BLANK_TEXTS_NAMED];  // of the first ones
  int quoted;  // TSV: texts that begin and end with a quotation mark, which is nothing special there
} tw_text_table;

// path: "-" is standard input. A byte order mark is left out. CSV and TSV begin with a record of column names; in JSON
// lines each line is an object. text_column, id_column: a column's name, or an object's key; id_column NULL: no ids.
// An id is a text that is not empty, or in JSON a whole number, and no two are alike. TW_ERR_FORMAT names file, line
// and remedy, and shows neither text nor id. Free with tw_text_table_free, also after a failure.
tw_status tw_text_table_read(const char *path, tw_text_table_form form, const char *text_column, const char *id_column,
                             tw_text_table *out);
void tw_text_table_free(tw_text_table *table);

#endif
