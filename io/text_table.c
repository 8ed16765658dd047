#include "io/text_table.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "io/csv.h"

enum { MOST_BYTES = 1 << 30, MOST_TEXTS = 1 << 24 };

typedef struct {
  const char *path, *text_column, *id_column;
  char *bytes;  // the whole file, a zero byte behind it
  size_t size;
  tw_text_table *out;
  int room;
} source;

static tw_status out_of_memory(const source *s) { return tw_fail(TW_ERR_MEMORY, "%s: out of memory", s->path); }

// ---- the file

static tw_status read_stream(source *s, FILE *file) {
  size_t room = 0;
  for (;;) {
    if (s->size + 1 >= room) {
      room = room ? 2 * room : 1 << 16;
      char *bytes = realloc(s->bytes, room);
      if (!bytes) return out_of_memory(s);
      s->bytes = bytes;
    }
    size_t n = fread(s->bytes + s->size, 1, room - s->size - 1, file);
    s->size += n;
    if (s->size > MOST_BYTES) return tw_fail(TW_ERR_FORMAT, "%s: more than 1 GiB; divide it", s->path);
    if (n == 0) break;
  }
  s->bytes[s->size] = '\0';
  return ferror(file) ? tw_fail(TW_ERR_IO, "%s: cannot read: %s", s->path, strerror(errno)) : TW_OK;
}

static tw_status read_file(const char *path, source *s) {
  bool standard = strcmp(path, "-") == 0;
  FILE *file = standard ? stdin : fopen(path, "re");
  if (!file) return tw_fail(TW_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
  s->path = standard ? "standard input" : path;
  tw_status status = read_stream(s, file);
  if (!standard) fclose(file);
  return status;
}

static tw_status check_characters(const source *s) {
  int line = 1;
  for (size_t at = 0; at < s->size;) {
    utf8proc_int32_t c;
    utf8proc_ssize_t n =
        utf8proc_iterate((const utf8proc_uint8_t *)s->bytes + at, (utf8proc_ssize_t)(s->size - at), &c);
    if (n <= 0)
      return tw_fail(TW_ERR_FORMAT, "%s: line %d is not valid UTF-8; convert the file first (iconv -t UTF-8)", s->path,
                     line);
    if (c == 0) return tw_fail(TW_ERR_FORMAT, "%s: line %d holds a zero byte; text is expected", s->path, line);
    line += c == '\n';
    at += (size_t)n;
  }
  return TW_OK;
}

// ---- what is kept

static bool is_blank(const char *text) { return text[strspn(text, " \t\r\n\f\v")] == '\0'; }

static tw_status grow(source *s) {
  tw_text_table *t = s->out;
  if (t->count < s->room) return TW_OK;
  if (t->count >= MOST_TEXTS) return tw_fail(TW_ERR_FORMAT, "%s: more than %d texts; divide it", s->path, MOST_TEXTS);
  int room = s->room ? 2 * s->room : 64;
  char **texts = realloc(t->texts, (size_t)room * sizeof *texts);
  if (texts) t->texts = texts;
  int *lines = realloc(t->lines, (size_t)room * sizeof *lines);
  if (lines) t->lines = lines;
  char **ids = s->id_column ? realloc(t->ids, (size_t)room * sizeof *ids) : NULL;
  if (ids) t->ids = ids;
  if (!texts || !lines || (s->id_column && !ids)) return out_of_memory(s);
  s->room = room;
  return TW_OK;
}

// id: NULL where there are none.
static tw_status keep(source *s, int line, const char *text, const char *id) {
  tw_text_table *t = s->out;
  if (id && is_blank(id))
    return tw_fail(TW_ERR_FORMAT, "%s: line %d: column %s is empty; give every text an id, or leave --id-column out",
                   s->path, line, s->id_column);
  if (is_blank(text)) {
    if (t->empty < TW_BLANK_TEXTS_NAMED) t->empty_lines[t->empty] = line;
    t->empty++;
    return TW_OK;
  }
  TW_TRY(grow(s));
  char *copy = strdup(text), *name = id ? strdup(id) : NULL;
  if (!copy || (id && !name)) {
    free(copy);
    free(name);
    return out_of_memory(s);
  }
  t->texts[t->count] = copy;
  t->lines[t->count] = line;
  if (id) t->ids[t->count] = name;
  t->count++;
  return TW_OK;
}

// ---- CSV and TSV

// The line itself is not shown: where a file lacks column names it is somebody's text and id.
static tw_status find_column(const tw_csv *c, const char *option, const char *name, int *column) {
  *column = -1;
  for (int i = 0; i < c->count; i++) {
    if (strcmp(c->fields[i], name) != 0) continue;
    if (*column >= 0)
      return tw_fail(TW_ERR_FORMAT, "%s: line %d: columns %d and %d are both called %s; rename one of them", c->path,
                     c->first_line, *column + 1, i + 1, name);
    *column = i;
  }
  if (*column >= 0) return TW_OK;
  return tw_fail(TW_ERR_FORMAT,
                 "%s: line %d: no column %s among %d; this line must hold the columns' names: write it, or name one of "
                 "them with %s%s",
                 c->path, c->first_line, name, c->count, option,
                 c->separator == ',' && c->count == 1 && strpbrk(c->fields[0], ";\t")
                     ? ", and separate columns by commas (or say --tsv where they are separated by tabs)"
                     : "");
}

static tw_status read_records(source *s, tw_csv *c) {
  bool more;
  int text, id = -1;
  TW_TRY(tw_csv_next(c, &more));
  if (!more) return tw_fail(TW_ERR_FORMAT, "%s: is empty; a line of column names is expected", s->path);
  TW_TRY(find_column(c, "--text-column", s->text_column, &text));
  if (s->id_column) TW_TRY(find_column(c, "--id-column", s->id_column, &id));
  int columns = c->count;
  TW_TRY(tw_csv_next(c, &more));
  while (more) {
    if (c->count != columns)
      return tw_fail(TW_ERR_FORMAT, "%s: line %d has %d fields, the line of column names has %d; %s", s->path,
                     c->first_line, c->count, columns,
                     c->quotes
                         ? "put fields that hold commas or line ends in quotation marks"
                         : "a field of tab-separated values holds no tab and no line end; write such a file as CSV");
    const char *field = c->fields[text];
    size_t length = strlen(field);
    s->out->quoted += !c->quotes && length > 1 && field[0] == '"' && field[length - 1] == '"';
    TW_TRY(keep(s, c->first_line, field, id >= 0 ? c->fields[id] : NULL));
    TW_TRY(tw_csv_next(c, &more));
  }
  return TW_OK;
}

static tw_status read_columns(source *s, char *text, size_t bytes, bool tabs) {
  tw_csv c = tw_csv_begin(s->path, text, bytes, tabs);
  tw_status status = read_records(s, &c);
  s->out->blank = c.blank;
  tw_csv_end(&c);
  return status;
}

// ---- JSON lines

static tw_status of_object(source *s, const json_t *object, int line) {
  char number[32];
  const json_t *text = json_object_get(object, s->text_column),
               *id = s->id_column ? json_object_get(object, s->id_column) : NULL;
  const char *name = json_string_value(id);
  if (!text || (s->id_column && !id))
    return tw_fail(TW_ERR_FORMAT, "%s: line %d: the object has no %s; name another key with %s", s->path, line,
                   text ? s->id_column : s->text_column, text ? "--id-column" : "--text-column");
  if (!json_is_string(text) && !json_is_null(text))
    return tw_fail(TW_ERR_FORMAT, "%s: line %d: %s is no string; a text is expected", s->path, line, s->text_column);
  if (id && !name && !json_is_integer(id))
    return tw_fail(TW_ERR_FORMAT, "%s: line %d: %s is neither a string nor a whole number", s->path, line,
                   s->id_column);
  if (id && !name) {
    snprintf(number, sizeof number, "%lld", (long long)json_integer_value(id));
    name = number;
  }
  return keep(s, line, json_is_null(text) ? "" : json_string_value(text), name);
}

// What Jansson says of an error quotes the line, so it is left out.
static tw_status read_json_line(source *s, const char *at, size_t bytes, int line) {
  json_error_t error;
  json_t *object = json_loadb(at, bytes, JSON_REJECT_DUPLICATES, &error);
  tw_status status =
      json_is_object(object)
          ? of_object(s, object, line)
          : tw_fail(TW_ERR_FORMAT, "%s: line %d: %s; one object a line is expected, as {\"%s\": \"...\"}", s->path,
                    line,
                    object                                                 ? "is no object"
                    : json_error_code(&error) == json_error_duplicate_key  ? "a key stands twice in the object"
                    : json_error_code(&error) == json_error_null_character ? "a string holds a zero byte"
                    : json_error_code(&error) == json_error_numeric_overflow
                        ? "a number is too large, and belongs in quotation marks if it is an id"
                        : "is not valid JSON",
                    s->text_column);
  json_decref(object);
  return status;
}

static tw_status read_json_lines(source *s, char *text) {
  char *end;
  for (int line = 1; *text; line++, text = end) {
    size_t bytes = strcspn(text, "\n");
    end = text + bytes + (text[bytes] == '\n');
    text[bytes] = '\0';
    if (is_blank(text))
      s->out->blank++;
    else
      TW_TRY(read_json_line(s, text, bytes, line));
  }
  return TW_OK;
}

// ---- ids

typedef struct {
  const char *id;
  int line;
} named;

static int compare(const void *a, const void *b) {
  const named *x = a, *y = b;
  int order = strcmp(x->id, y->id);
  return order ? order : x->line - y->line;
}

static tw_status check_ids(const source *s) {
  const tw_text_table *t = s->out;
  named *all = calloc((size_t)t->count + 1, sizeof *all);
  if (!all) return out_of_memory(s);
  for (int i = 0; i < t->count; i++) all[i] = (named){t->ids[i], t->lines[i]};
  qsort(all, (size_t)t->count, sizeof *all, compare);
  tw_status status = TW_OK;
  for (int i = 1; i < t->count && status == TW_OK; i++)
    if (strcmp(all[i - 1].id, all[i].id) == 0)
      status =
          tw_fail(TW_ERR_FORMAT,
                  "%s: lines %d and %d have the same id in column %s; give each text its own, or leave --id-column "
                  "out and go by lines",
                  s->path, all[i - 1].line, all[i].line, s->id_column);
  free(all);
  return status;
}

tw_status tw_text_table_read(const char *path, tw_text_table_form form, const char *text_column, const char *id_column,
                             tw_text_table *out) {
  source s = {.text_column = text_column, .id_column = id_column, .out = out};
  *out = (tw_text_table){0};
  tw_status status = read_file(path, &s);
  if (status == TW_OK) status = check_characters(&s);
  if (status == TW_OK) {
    size_t mark = strncmp(s.bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    status = form == TW_TABLE_JSON_LINES ? read_json_lines(&s, s.bytes + mark)
                                         : read_columns(&s, s.bytes + mark, s.size - mark, form == TW_TABLE_TSV);
  }
  free(s.bytes);
  if (status == TW_OK && out->count == 0)
    status = tw_fail(TW_ERR_FORMAT, "%s: no text in column %s (%d records without text, %d blank lines); %s", s.path,
                     text_column, out->empty, out->blank,
                     out->empty ? "name another column with --text-column, or leave the file out"
                                : "there is no record in it, leave the file out");
  return status == TW_OK && out->ids ? check_ids(&s) : status;
}

void tw_text_table_free(tw_text_table *t) {
  for (int i = 0; i < t->count; i++) {
    free(t->texts[i]);
    if (t->ids) free(t->ids[i]);
  }
  free(t->texts);
  free(t->ids);
  free(t->lines);
  *t = (tw_text_table){0};
}
