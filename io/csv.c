#include "io/csv.h"

#include <stdlib.h>
#include <string.h>

tw_csv tw_csv_begin(const char *path, char *text, size_t bytes, bool tabs) {
  return (tw_csv){
      .path = path, .at = text, .end = text + bytes, .separator = tabs ? '\t' : ',', .quotes = !tabs, .line = 1};
}

void tw_csv_end(tw_csv *csv) {
  free(csv->fields);
  csv->fields = NULL;
}

static tw_status add_field(tw_csv *c, char *field) {
  if (c->count == c->room) {
    int room = c->room ? 2 * c->room : 16;
    char **fields = realloc(c->fields, (size_t)room * sizeof *fields);
    if (!fields) return tw_fail(TW_ERR_MEMORY, "out of memory");
    c->fields = fields;
    c->room = room;
  }
  c->fields[c->count++] = field;
  return TW_OK;
}

// What stands behind a field; *last: it was the record's last one. *mark: the byte that is free for its end.
static tw_status take_end(tw_csv *c, bool *last) {
  *last = true;
  if (c->at == c->end) return TW_OK;
  if (*c->at == c->separator) {
    *last = false;
    c->at++;
    return TW_OK;
  }
  if (*c->at == '\r' && (c->at + 1 == c->end || c->at[1] == '\n')) c->at++;
  if (c->at < c->end && *c->at == '\r')
    return tw_fail(TW_ERR_FORMAT,
                   "%s: line %d: a carriage return that no line feed follows; end the lines with LF or CR LF%s",
                   c->path, c->line,
                   c->quotes ? ", or put the field in quotation marks"
                             : "; a field of tab-separated values holds none, write such a file as CSV");
  if (c->at < c->end) c->at++;
  c->line++;
  return TW_OK;
}

static tw_status plain_field(tw_csv *c, bool *last) {
  char *field = c->at;
  while (c->at < c->end && *c->at != c->separator && *c->at != '\n' && *c->at != '\r') {
    if (c->quotes && *c->at == '"')
      return tw_fail(
          TW_ERR_FORMAT,
          "%s: line %d, field %d: a quotation mark inside a field that does not begin with one; put the whole "
          "field in quotation marks, and double those inside it",
          c->path, c->line, c->count + 1);
    c->at++;
  }
  char *stop = c->at;
  TW_TRY(take_end(c, last));
  *stop = '\0';
  return add_field(c, field);
}

static tw_status quoted_field(tw_csv *c, bool *last) {
  char *field = c->at, *to = field;
  int begin = c->line;
  for (c->at++;; c->at++) {
    if (c->at == c->end)
      return tw_fail(TW_ERR_FORMAT,
                     "%s: line %d, field %d: its quotation mark is never closed; close it, and double quotation marks "
                     "inside the field",
                     c->path, begin, c->count + 1);
    if (*c->at == '"' && c->at + 1 < c->end && c->at[1] == '"')
      c->at++;
    else if (*c->at == '"')
      break;
    c->line += *c->at == '\n';
    *to++ = *c->at;
  }
  c->at++;
  if (c->at < c->end && *c->at != c->separator && *c->at != '\n' && *c->at != '\r')
    return tw_fail(
        TW_ERR_FORMAT,
        "%s: line %d, field %d: text behind its closing quotation mark; double quotation marks inside the field",
        c->path, c->line, c->count + 1);
  TW_TRY(take_end(c, last));
  *to = '\0';  // at the closing mark or before it
  return add_field(c, field);
}

// Lines of nothing but white space, which are no records. With tabs an empty field is a field.
static void leave_out_blank(tw_csv *c) {
  const char *white = c->separator == '\t' ? " \r\f\v" : " \t\r\f\v";
  for (;;) {
    size_t n = strspn(c->at, white);
    if (c->at + n == c->end) {
      c->blank += n > 0;
      c->at = c->end;
      return;
    }
    if (c->at[n] != '\n') return;
    c->at += n + 1;
    c->line++;
    c->blank++;
  }
}

tw_status tw_csv_next(tw_csv *c, bool *more) {
  bool last = false;
  leave_out_blank(c);
  c->count = 0;
  c->first_line = c->line;
  *more = c->at < c->end;
  while (*more && !last) {
    if (c->quotes && c->at < c->end && *c->at == '"')
      TW_TRY(quoted_field(c, &last));
    else
      TW_TRY(plain_field(c, &last));
  }
  return TW_OK;
}

void tw_csv_put(FILE *out, const char *field) {
  if (!field[strcspn(field, ",\"\r\n")]) {
    fputs(field, out);
    return;
  }
  putc('"', out);
  for (; *field; field++) {
    if (*field == '"') putc('"', out);
    putc(*field, out);
  }
  putc('"', out);
}
