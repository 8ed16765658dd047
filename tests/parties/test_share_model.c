// A model split as a stream: what both parties get is what the split in memory gives, element by element, in tensors of
// several parts; nothing is left when an element cannot be shared.
#include <CUnit/Basic.h>
#include <string.h>
#include <unistd.h>

#include "io/new_files.h"
#include "jobs/models/import.h"
#include "jobs/parties/share.h"
#include "jobs/parties/share_model.h"
#include "tests/common/scratch.h"
#include "tests/common/suite.h"

static tw_model model;

static void name_of_model(char name[256]) {
  tw_client client;
  strcpy(name, in_folder("m"));
  // the up matrix has 153,600 elements, more than one part
  CU_ASSERT_EQUAL_FATAL(tw_import_synthetic("2x192x3x800", &model, &client), TW_OK);
  tw_client_free(&client);
}

static void compare(const tw_model_share *stream, const tw_model_share *memory) {
  CU_ASSERT_EQUAL_FATAL(stream->count, memory->count);
  CU_ASSERT_EQUAL(stream->norm_weight, memory->norm_weight);
  CU_ASSERT_EQUAL(stream->norm_bias, memory->norm_bias);
  CU_ASSERT_TRUE(stream->centred && memory->centred);
  for (int i = 0; i < stream->count; i++) {
    size_t n = stream->rows[i] * stream->cols[i];
    CU_ASSERT_EQUAL(n, memory->rows[i] * memory->cols[i]);
    CU_ASSERT_EQUAL(memcmp(stream->masked[i], memory->masked[i], 8 * n), 0);
  }
}

static void test_equals_memory(void) {
  char name[256];
  tw_id id;
  tw_model_dealer dealer, again;
  tw_model_share share[2], wanted[2];
  tw_seed seeds[2];
  name_of_model(name);
  model.tensors[model.count - 2].values[3] = -5;  // a gamma: bounds are of all norms
  CU_ASSERT_EQUAL(tw_model_write(tw_path_of(name, "model.h5").text, &model), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_share_model_files(name, false, NULL, &id), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_model_dealer_read(tw_path_of(name, "model.dealer.h5").text, &dealer), TW_OK);
  CU_ASSERT_STRING_EQUAL(dealer.model_id.hex, id.hex);
  for (int party = 0; party < 2; party++) memcpy(seeds[party].key, dealer.mask_seed[party], 32);
  CU_ASSERT_NOT_EQUAL(memcmp(&seeds[0], &seeds[1], 32), 0);
  CU_ASSERT_EQUAL_FATAL(tw_share_model_with(&model, seeds, wanted, &again), TW_OK);
  CU_ASSERT_EQUAL(dealer.norm_weight, 8);
  for (int party = 0; party < 2; party++) {
    const char *path = tw_path_of(name, party ? "model.p1.h5" : "model.p0.h5").text;
    CU_ASSERT_EQUAL_FATAL(tw_model_share_read(path, party, &share[party]), TW_OK);
    CU_ASSERT_EQUAL(memcmp(share[party].mask_seed, dealer.mask_seed[party], 32), 0);
    CU_ASSERT_STRING_EQUAL(share[party].model_id.hex, id.hex);
    compare(&share[party], &wanted[party]);
    tw_model_share_free(&share[party]);
    tw_model_share_free(&wanted[party]);
  }
  tw_model_dealer_free(&dealer);
  tw_model_dealer_free(&again);
  CU_ASSERT_EQUAL(tw_share_model_files(name, false, NULL, &id), TW_ERR_IO);
  CU_ASSERT_TRUE(message_has("exists already"));
  tw_model_free(&model);
}

// One party's share of a stream is its share of the model.
static void test_one_party(void) {
  tw_model_dealer dealer, again;
  tw_model_share share, wanted[2];
  tw_client client;
  tw_import *in;
  tw_seed seeds[2];
  CU_ASSERT_EQUAL_FATAL(tw_import_synthetic("2x192x3x800", &model, &client), TW_OK);
  tw_client_free(&client);
  for (int party = 0; party < 2; party++) tw_seed_random(&seeds[party]);
  CU_ASSERT_EQUAL_FATAL(tw_share_model_with(&model, seeds, wanted, &again), TW_OK);
  for (int party = 0; party < 2; party++) {
    CU_ASSERT_EQUAL_FATAL(tw_import_open_shape("2x192x3x800", 0, &in), TW_OK);
    CU_ASSERT_EQUAL_FATAL(tw_share_stream_with(tw_import_model(in), seeds, party, &share, &dealer), TW_OK);
    CU_ASSERT_EQUAL(share.party, party);
    CU_ASSERT_EQUAL(memcmp(share.mask_seed, &seeds[party], 32), 0);
    CU_ASSERT_EQUAL(memcmp(dealer.mask_seed, again.mask_seed, 64), 0);
    compare(&share, &wanted[party]);
    tw_model_share_free(&share);
    tw_model_share_free(&wanted[party]);
    tw_model_dealer_free(&dealer);
    tw_import_close(in);
  }
  tw_model_dealer_free(&again);
  tw_model_free(&model);
}

static bool nothing_left(const char *name) {
  static const char *const suffixes[] = {"model.p0.h5", "model.p1.h5", "model.dealer.h5", "model.json"};
  bool nothing = true;
  for (int i = 0; i < 4; i++) nothing = no_trace(tw_path_of(name, suffixes[i]).text) && nothing;
  return nothing;
}

static void test_all_or_none(void) {
  char name[256];
  tw_id id;
  uint64_t offset, bytes;
  name_of_model(name);
  strcat(name, "2");
  tw_path path = tw_path_of(name, "model.h5");
  int last = model.count - 1;
  size_t col = model.tensors[last].cols - 2;
  float kept = model.tensors[last].values[col];
  model.tensors[last].values[col] = 0x1p30f;  // 2^42 at scale 12
  CU_ASSERT_EQUAL(tw_model_write(path.text, &model), TW_OK);
  CU_ASSERT_EQUAL(tw_share_model_files(name, false, NULL, &id), TW_ERR_RANGE);
  CU_ASSERT_TRUE(message_has("tensor layer.1.norm2.beta: element [0][190]"));
  CU_ASSERT_TRUE(nothing_left(name));
  unlink(path.text);
  // damage in the last part of a tensor is known after the parts before it were written
  model.tensors[last].values[col] = kept;
  CU_ASSERT_EQUAL(tw_model_write(path.text, &model), TW_OK);
  place_of(path.text, "layer.1.down.weight", &offset, &bytes);
  flip_bit(path.text, offset + bytes - 4, 2);
  CU_ASSERT_EQUAL(tw_share_model_files(name, false, NULL, &id), TW_ERR_FORMAT);
  CU_ASSERT_TRUE(message_has("dataset layer.1.down.weight: checksum mismatch"));
  CU_ASSERT_TRUE(nothing_left(name));
  tw_model_free(&model);
}

int main(void) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("sharing a model", scratch_open, scratch_close);
  if (!suite) return 2;
  CU_add_test(suite, "the stream equals the split in memory", test_equals_memory);
  CU_add_test(suite, "one party's of a stream", test_one_party);
  CU_add_test(suite, "all files or none", test_all_or_none);
  CU_basic_set_mode(CU_BRM_VERBOSE);
  return suite_end();
}
