// What stands for sentencepiece's library where twain is built without it.
#include "io/sentencepiece.h"

#ifndef TWAIN_SENTENCEPIECE

tw_status tw_sentencepiece_new(const void *model, size_t bytes, const char *where, tw_sentencepiece **out) {
  (void)model, (void)bytes;
  *out = NULL;
  return tw_fail(TW_ERR_FORMAT,
                 "%s: it is a model of sentencepiece, and this twain was built without libsentencepiece: install "
                 "libsentencepiece-dev and a C++ compiler and build again, or save the folder with a tokenizer.json "
                 "(AutoTokenizer's save_pretrained)",
                 where);
}

void tw_sentencepiece_free(tw_sentencepiece *s) { (void)s; }
int tw_sentencepiece_count(const tw_sentencepiece *s) { return (void)s, 0; }
const char *tw_sentencepiece_piece(const tw_sentencepiece *s, int id) { return (void)s, (void)id, ""; }
int tw_sentencepiece_unknown(const tw_sentencepiece *s) { return (void)s, -1; }

tw_status tw_sentencepiece_encode(const tw_sentencepiece *s, const char *text, size_t bytes, tw_ids *out) {
  (void)s, (void)text, (void)bytes, (void)out;
  return tw_fail(TW_ERR_INTERNAL, "a model of sentencepiece without its library");
}

#endif
