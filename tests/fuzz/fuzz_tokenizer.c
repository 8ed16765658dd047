// A vocabulary and a text: options (1: lower case, 2: no vocabulary), pieces one a line, a zero byte, the text.
#include <stdlib.h>
#include <string.h>

#include "io/tokenizer.h"
#include "tests/fuzz/fuzz.h"

enum { MOST_PIECES = 512, SPECIAL = 4 };

void fuzz_begin(void) {}

void fuzz_seeds(void) {
  static const char words[] =
      "\1the\ncat\n##s\ncafe\nun\n##believ\n##able\n\xe6\x97\xa5\n##!\n\0The caf\xc3\xa9's cats, unbelievable "
      "\xe6\x97\xa5\xe6\x9c\xac!";
  static const char hashed[] = "\2\0some words\twithout \xef\xbf\xbd vocabulary";
  static const char mixed[] =
      "\0[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n##a\n##b\nab\n\0ABab [MASK] \xc4\xb0\xcc\x80 a\xe2\x80\x8b"
      "b";
  fuzz_seed("words", words, sizeof words - 1);
  fuzz_seed("hashed", hashed, sizeof hashed - 1);
  fuzz_seed("mixed", mixed, sizeof mixed - 1);
}

static void encode(char *const *pieces, int count, int lower, const char *text) {
  tw_tokenizer *t;
  int *ids, n;
  if (tw_tokenizer_new(pieces, count, lower, &t) != TW_OK) return;
  tw_special_ids special = tw_tokenizer_special(t);
  if (tw_tokenizer_encode(t, text, &ids, &n) == TW_OK) {
    fuzz_must(n >= 2 && ids[0] == special.start && ids[n - 1] == special.end, "a frame of [CLS] and [SEP]");
    for (int i = 0; i < n; i++) fuzz_must(ids[i] >= 0 && ids[i] < count, "an id of the vocabulary");
    free(ids);
  }
  tw_tokenizer_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  static char special[SPECIAL][8] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]"};
  fuzz_bytes b = {data, bytes};
  uint8_t options = fuzz_take(&b);
  size_t vocabulary_bytes, text_bytes;
  const uint8_t *lines = fuzz_take_part(&b, SIZE_MAX, &vocabulary_bytes);
  const uint8_t *rest = fuzz_take_part(&b, SIZE_MAX, &text_bytes);
  char *vocabulary = strndup((const char *)lines, vocabulary_bytes), *text = strndup((const char *)rest, text_bytes);
  char *pieces[MOST_PIECES];
  int count = 0;
  fuzz_must(vocabulary && text, "memory");
  for (; count < SPECIAL; count++) pieces[count] = special[count];
  for (char *next = vocabulary; next && count < MOST_PIECES;) pieces[count++] = strsep(&next, "\n");
  encode(options & 2 ? NULL : pieces, options & 2 ? 4 + options : count, options & 1, text);
  free(vocabulary);
  free(text);
  return 0;
}
