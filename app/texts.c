#define _GNU_SOURCE
#include "app/texts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct {
  const char *name;
  FILE *file;
  int count, room, blank;
  char **lines;
  int *numbers;
} reader;

static bool blank(const char *line) { return line[strspn(line, " \t\r\n\f\v")] == '\0'; }

static tw_status out_of_memory(void) { return tw_fail(TW_ERR_MEMORY, "out of memory"); }

static tw_status add_line(reader *r, const char *line, int number) {
  if (r->count == r->room) {
    int room = r->room ? 2 * r->room : 64;
    char **lines = realloc(r->lines, (size_t)room * sizeof *lines);
    if (lines) r->lines = lines;
    int *numbers = realloc(r->numbers, (size_t)room * sizeof *numbers);
    if (numbers) r->numbers = numbers;
    if (!lines || !numbers) return out_of_memory();
    r->room = room;
  }
  r->numbers[r->count] = number;
  r->lines[r->count] = strdup(line);
  return r->lines[r->count] ? (r->count++, TW_OK) : out_of_memory();
}

static tw_status take_line(reader *r, char *line, size_t bytes, int number) {
  enum { MOST = 1000000 };
  if (number > MOST) return tw_fail(TW_ERR_FORMAT, "%s: more than %d lines", r->name, MOST);
  if (strlen(line) != bytes)
    return tw_fail(TW_ERR_FORMAT, "%s: line %d holds a zero byte; text is expected", r->name, number);
  if (blank(line)) {
    r->blank++;
    return TW_OK;
  }
  if (line[bytes - 1] == '\n') line[--bytes] = '\0';
  if (bytes && line[bytes - 1] == '\r') line[bytes - 1] = '\0';
  return add_line(r, line, number);
}

static tw_status read_lines(reader *r) {
  char *line = NULL;
  size_t room = 0;
  ssize_t n;
  tw_status status = TW_OK;
  for (int number = 1; status == TW_OK && (n = getline(&line, &room, r->file)) >= 0; number++) {
    // a byte order mark is no text
    size_t mark = number == 1 && n >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    status = take_line(r, line + mark, (size_t)n - mark, number);
  }
  if (status == TW_OK && ferror(r->file)) status = tw_fail(TW_ERR_IO, "%s: cannot read: %s", r->name, strerror(errno));
  free(line);
  if (status == TW_OK && r->count == 0)
    status =
        tw_fail(TW_ERR_FORMAT, "%s: no text in it (%d blank lines); one text a line is expected", r->name, r->blank);
  return status;
}

// Ids and column names are no texts.
static tw_status refuse_columns(const char *path) {
  const char *dot = strrchr(path, '.');
  if (!dot || strcasecmp(dot, ".csv") != 0) return TW_OK;
  return tw_fail(
      TW_ERR_USAGE,
      "%s: ends in .csv, and is to be read as one text a line: `encode --csv` takes a column; else put the texts "
      "into a file of another ending, one a line",
      path);
}

static tw_status read_all(const char *path, reader *r) {
  TW_TRY(refuse_columns(path));
  bool standard = strcmp(path, "-") == 0;
  *r = (reader){.name = standard ? "standard input" : path, .file = standard ? stdin : fopen(path, "re")};
  if (!r->file) return tw_fail(TW_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
  tw_status status = read_lines(r);
  if (!standard) fclose(r->file);
  if (status == TW_OK) return TW_OK;
  tw_lines_free(r->lines, r->count);
  free(r->numbers);
  return status;
}

tw_status tw_lines_read(const char *path, char ***lines, int *count) {
  reader r;
  *lines = NULL;
  *count = 0;
  TW_TRY(read_all(path, &r));
  *lines = r.lines;
  *count = r.count;
  free(r.numbers);
  return TW_OK;
}

void tw_lines_free(char **lines, int count) {
  for (int i = 0; i < count; i++) free(lines[i]);
  free(lines);
}

static tw_status split_pair(const reader *r, int i, tw_text *text) {
  char *tab = strchr(r->lines[i], '\t');
  if (!tab || strchr(tab + 1, '\t'))
    return tw_fail(TW_ERR_FORMAT, "%s: line %d holds %s; --pair takes two texts a line with one tab between them",
                   r->name, r->numbers[i], tab ? "more than one tab" : "no tab");
  *tab = '\0';
  text->second = tab + 1;
  return TW_OK;
}

tw_status tw_texts_read(const char *path, bool pairs, tw_texts *out) {
  reader r;
  *out = (tw_texts){0};
  TW_TRY(read_all(path, &r));
  *out = (tw_texts){.count = r.count, .lines = r.lines, .blank = r.blank};
  out->texts = calloc((size_t)r.count + 1, sizeof *out->texts);
  tw_status status = out->texts ? TW_OK : out_of_memory();
  for (int i = 0; i < r.count && status == TW_OK; i++) {
    out->texts[i] = (tw_text){.first = r.lines[i], .line = r.numbers[i]};
    if (pairs) status = split_pair(&r, i, &out->texts[i]);
  }
  free(r.numbers);
  if (status != TW_OK) tw_texts_free(out);
  return status;
}

tw_status tw_texts_of_table(const char *path, tw_text_table_form form, const char *text_column, const char *id_column,
                            tw_texts *out) {
  *out = (tw_texts){0};
  tw_text_table *t = &out->table;
  tw_status status = tw_text_table_read(path, form, text_column, id_column, t);
  if (status == TW_OK && !(out->texts = calloc((size_t)t->count + 1, sizeof *out->texts))) status = out_of_memory();
  if (status != TW_OK) {
    tw_texts_free(out);
    return status;
  }
  out->count = t->count;
  out->blank = t->blank;
  for (int i = 0; i < t->count; i++)
    out->texts[i] = (tw_text){.first = t->texts[i], .line = t->lines[i], .id = t->ids ? t->ids[i] : NULL};
  return TW_OK;
}

tw_status tw_texts_take(const char *const *arguments, int count, bool pairs, tw_texts *out) {
  *out = (tw_texts){0};
  if (pairs && count % 2 != 0)
    return tw_fail(TW_ERR_USAGE, "--pair takes texts by twos, first and second of each pair; there are %d", count);
  out->count = pairs ? count / 2 : count;
  out->texts = calloc((size_t)out->count + 1, sizeof *out->texts);
  if (!out->texts) return out_of_memory();
  for (int i = 0; i < out->count; i++)
    out->texts[i] =
        pairs ? (tw_text){.first = arguments[2 * i], .second = arguments[2 * i + 1]} : (tw_text){.first = arguments[i]};
  return TW_OK;
}

void tw_texts_free(tw_texts *texts) {
  if (texts->lines) tw_lines_free(texts->lines, texts->count);
  if (texts->written) tw_lines_free(texts->written, texts->count);
  tw_text_table_free(&texts->table);
  free(texts->texts);
  *texts = (tw_texts){0};
}
