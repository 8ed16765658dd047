// vocab.txt: one piece a line, its id the line's number from 0.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/characters.h"
#include "io/json_read.h"
#include "io/text_rules_parts.h"

void tw_vocabulary_free(char **vocabulary, int count) {
  if (!vocabulary) return;
  for (int i = 0; i < count; i++) free(vocabulary[i]);
  tw_free(vocabulary);
}

static tw_status take_line(tw_text_reader *r, const char *path, char *line, size_t bytes, int id) {
  if (strlen(line) != bytes) return tw_fail(TW_ERR_FORMAT, "%s: line %d holds a zero byte", path, id + 1);
  size_t valid = tw_utf8_valid(line, bytes);
  if (valid < bytes)
    return tw_fail(TW_ERR_FORMAT, "%s: line %d is not UTF-8 at byte %zu; download the file again", path, id + 1, valid);
  if (memchr(line, '\r', bytes))
    return tw_fail(TW_ERR_FORMAT, "%s: line %d holds a carriage return, which transformers takes as the end of a line",
                   path, id + 1);
  size_t end = bytes;
  while (end > 0) {
    size_t at = end - 1;
    while (at > 0 && (line[at] & 0xC0) == 0x80) at--;
    size_t next = at;
    if (!tw_char_white(tw_code_point(line, bytes, &next))) break;
    end = at;
  }
  if (end > 0 && end < bytes)
    TW_TRY(tw_note(r->notes, "%s: line %d ends in white space, which is left out as by transformers 5 (not 4)", path,
                   id + 1));
  line[end] = '\0';
  return json_object_set_new(r->ids, line, json_integer(id)) == 0 ? TW_OK
                                                                  : tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
}

static tw_status take_lines(tw_text_reader *r, const char *path, char *text, size_t bytes) {
  int id = 0;
  for (size_t at = 0; at < bytes; id++) {
    char *end = memchr(text + at, '\n', bytes - at);
    size_t next = end ? (size_t)(end - text) + 1 : bytes, length = next - at - (end != NULL);
    if (length > 0 && text[at + length - 1] == '\r') length--;
    text[at + length] = '\0';
    if (id < r->vocab_size) TW_TRY(take_line(r, path, text + at, length, id));
    at = next;
  }
  if (id > r->vocab_size)
    return tw_fail(TW_ERR_FORMAT,
                   "%s: %d pieces, more than the %d of config.json's vocab_size; they do not belong together", path, id,
                   r->vocab_size);
  return TW_OK;
}

tw_status tw_vocab_txt_read(tw_text_reader *r) {
  char *path, *text = NULL;
  size_t bytes;
  if (asprintf(&path, "%s/vocab.txt", r->folder) < 0) return tw_fail(TW_ERR_MEMORY, "out of memory");
  tw_status status = tw_file_read_whole(path, false, &text, &bytes);
  if (status == TW_OK && !text)
    status = tw_fail(TW_ERR_IO,
                     "%s: No such file or directory, nor is there a tokenizer.json; the folder needs BERT's vocabulary "
                     "(tokenizer.save_pretrained writes it)",
                     path);
  r->ids = json_object();
  if (status == TW_OK && !r->ids) status = tw_fail(TW_ERR_MEMORY, "%s: out of memory", path);
  if (status == TW_OK) status = take_lines(r, path, text, bytes);
  free(text);
  free(path);
  return status;
}
