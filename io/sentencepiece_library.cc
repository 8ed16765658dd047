// The thin layer between C and sentencepiece's C++.
#include <sentencepiece_processor.h>

#include <memory>
#include <string>
#include <vector>

#include "io/sentencepiece.h"
#include "io/sentencepiece_check.h"

struct tw_sentencepiece {
  sentencepiece::SentencePieceProcessor processor;
};

static tw_status failed(const char *where, const std::string &why) {
  return tw_fail(TW_ERR_FORMAT, "%s: sentencepiece: %s", where, why.c_str());
}

tw_status tw_sentencepiece_new(const void *model, size_t bytes, const char *where, tw_sentencepiece **out) {
  *out = nullptr;
  TW_TRY(tw_sentencepiece_check(model, bytes, where));
  try {
    auto s = std::make_unique<tw_sentencepiece>();
    const auto status = s->processor.LoadFromSerializedProto({static_cast<const char *>(model), bytes});
    if (!status.ok()) return failed(where, status.ToString());
    *out = s.release();
    return TW_OK;
  } catch (const std::exception &e) {
    return failed(where, e.what());
  }
}

void tw_sentencepiece_free(tw_sentencepiece *s) { delete s; }

int tw_sentencepiece_count(const tw_sentencepiece *s) { return s->processor.GetPieceSize(); }
const char *tw_sentencepiece_piece(const tw_sentencepiece *s, int id) { return s->processor.IdToPiece(id).c_str(); }
int tw_sentencepiece_unknown(const tw_sentencepiece *s) { return s->processor.unk_id(); }

tw_status tw_sentencepiece_encode(const tw_sentencepiece *s, const char *text, size_t bytes, tw_ids *out) {
  try {
    std::vector<int> ids;
    const auto status = s->processor.Encode({text, bytes}, &ids);
    if (!status.ok()) return failed("a text", status.ToString());
    for (const int id : ids) TW_TRY(tw_ids_push(out, id));
    return TW_OK;
  } catch (const std::exception &e) {
    return failed("a text", e.what());
  }
}
