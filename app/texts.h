// Texts from the command line or from a file.
#ifndef TW_APP_TEXTS_H
#define TW_APP_TEXTS_H

#include <stdbool.h>

#include "io/text_table.h"
#include "jobs/models/encode.h"

typedef struct {
  int count;
  tw_text *texts;
  char **lines;         // what the texts point into; NULL: the command line
  char **written;       // what they became in a chat's form (app/chats.h), or NULL
  int blank;            // lines left out
  tw_text_table table;  // of texts that come from one
} tw_texts;

// The lines of a UTF-8 file that are not blank; path "-" is standard input. pairs: two texts a line, a tab between.
// TW_ERR_FORMAT names the line. Free with tw_texts_free.
tw_status tw_texts_read(const char *path, bool pairs, tw_texts *out);
// Those of a CSV, TSV or JSON lines file (io/text_table.h), with lines, and with ids where id_column is not NULL.
tw_status tw_texts_of_table(const char *path, tw_text_table_form form, const char *text_column, const char *id_column,
                            tw_texts *out);
// arguments: count texts, or with `pairs` count / 2 pairs. They must outlive *out.
tw_status tw_texts_take(const char *const *arguments, int count, bool pairs, tw_texts *out);
void tw_texts_free(tw_texts *texts);

// As tw_texts_read, the lines alone. Free with tw_lines_free.
tw_status tw_lines_read(const char *path, char ***lines, int *count);
void tw_lines_free(char **lines, int count);

#endif
