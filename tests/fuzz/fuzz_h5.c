// One kind of HDF5 file (KIND: an index into sample_kinds, or SAMPLE_KINDS for key files) and its reader. An input that
// begins with HDF5's signature is the file; any other is a list of edits to a sample (h5_edit.h).
#include <CUnit/CUnit.h>
#include <CUnit/TestRun.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "io/keys.h"
#include "io/keys_layout.h"
#include "tests/common/samples.h"
#include "tests/fuzz/h5_edit.h"

enum { SLOTS = 3, SLOT_BYTES = 1984, INDEX = 3 };

static uint8_t *sample;
static size_t sample_bytes;

static const char *file_name(void) { return KIND == SAMPLE_KINDS ? "k.keys.p0.h5" : "s.h5"; }

// ---- key files

static tw_status write_keys(const char *path) {
  tw_key_index_entry index[INDEX] = {{1, 0, 20, 0, 100, 0}, {2, 1, 4, 0, 200, 640}, {5, 0, 38, 0, 64, 1280}};
  tw_keys_info info = {.party = 0, .count = SLOTS, .slot_bytes = SLOT_BYTES, .index_count = INDEX, .index = index};
  tw_keys_writer *w;
  tw_id_random(&info.key_id);
  tw_id_random(&info.model_id);
  tw_digest_of(index, sizeof index, &info.plan);
  TW_TRY(tw_keys_create(path, &info, &w));
  for (uint64_t slot = 0; slot < SLOTS; slot++) {
    uint8_t seed[32], data[SLOT_BYTES];
    randombytes_buf(seed, sizeof seed);
    randombytes_buf(data, sizeof data);
    TW_TRY(tw_keys_begin_slot(w, slot, seed));
    TW_TRY(tw_keys_append(w, data, sizeof data));
    TW_TRY(tw_keys_end_slot(w));
  }
  return tw_keys_commit(w);
}

// The digest of a header that was edited, so that what it says is believed.
static void seal_keys(const char *path) {
  tw_h5 f;
  tw_keys_info info = {0};
  tw_digest digest;
  int64_t count;
  hid_t type = -1;
  if (tw_h5_open(&f, path, &tw_keys_kind, -1) != TW_OK) return;
  bool known =
      tw_h5_get_int(&f, "/", "index_count", 0, 4096, &count) == TW_OK && tw_keys_index_type(&f, &type) == TW_OK;
  if (known) {
    info.index_count = (uint64_t)count;
    info.index = calloc((size_t)count + 1, sizeof *info.index);
    known = tw_h5_get(&f, "index", type, 1, (hsize_t[]){(hsize_t)count}, info.index) == TW_OK &&
            tw_keys_digest(&f, &info, &digest) == TW_OK;
    free(info.index);
  }
  if (type >= 0) H5Tclose(type);
  tw_h5_close(&f);
  if (!known) return;
  hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  hid_t attribute = file >= 0 ? H5Aopen(file, "header_digest", H5P_DEFAULT) : -1;
  hid_t stored = attribute >= 0 ? H5Aget_type(attribute) : -1;
  if (stored >= 0 && H5Tget_size(stored) == 64) H5Awrite(attribute, stored, digest.hex);
  if (stored >= 0) H5Tclose(stored);
  if (attribute >= 0) H5Aclose(attribute);
  if (file >= 0) H5Fclose(file);
}

static void read_keys(const char *path) {
  tw_keys *keys;
  if (tw_keys_open(path, 0, &keys) != TW_OK) return;
  uint64_t count = tw_keys_get_info(keys)->count;
  for (uint64_t slot = 0; slot < count && slot < 4; slot++) {
    static uint8_t data[TW_KEY_CHUNK];
    uint8_t seed[32];
    tw_key_stream *s;
    (void)tw_keys_seed(keys, slot, seed);
    if (tw_key_stream_create(keys, slot, &s) != TW_OK) continue;
    (void)tw_key_stream_chunk(s, 0, data);
    tw_key_stream_destroy(s);
    if (slot == 1) (void)tw_keys_erase_seeds(keys, &slot, 1);
  }
  tw_keys_close(keys);
}

// ---- all kinds

static void make_sample(void) {
  samples_fresh(0);
  fuzz_remove(file_name());
  const char *path = fuzz_path(file_name());
  CU_ASSERT_EQUAL_FATAL(KIND == SAMPLE_KINDS ? write_keys(path) : sample_kinds[KIND % SAMPLE_KINDS].write(path), TW_OK);
  sample = fuzz_read(path, &sample_bytes);
}

// Samples are made by what asserts with CUnit, so inside one of its tests.
void fuzz_begin(void) {
  fuzz_must(CU_initialize_registry() == CUE_SUCCESS, "CUnit");
  CU_pSuite suite = CU_add_suite("samples", NULL, NULL);
  fuzz_must(suite && CU_add_test(suite, "made", make_sample), "CUnit");
  fuzz_must(CU_run_all_tests() == CUE_SUCCESS && CU_get_number_of_failures() == 0 && sample, "a sample");
}

void fuzz_seeds(void) {
  fuzz_seed("sample", sample, sample_bytes);
  for (int kind = 0; kind < 10; kind++) {
    char name[16];
    uint8_t edits[24] = {0};
    snprintf(name, sizeof name, "edit%d", kind);
    for (size_t i = 0; i < sizeof edits; i++) edits[i] = (uint8_t)(i % 6 == 0 ? kind : 7 * kind + 3 * (int)i);
    fuzz_seed(name, edits, sizeof edits);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  const char *path = fuzz_path(file_name());
  bool whole = bytes >= 4 && memcmp(data, "\x89HDF", 4) == 0;
  fuzz_write(file_name(), whole ? data : sample, whole ? bytes : sample_bytes);
  if (!whole) {
    fuzz_bytes edits = {data, bytes};
    h5_edit(path, &edits);
    if (KIND == SAMPLE_KINDS) seal_keys(path);
  }
  bool same;
  if (KIND == SAMPLE_KINDS)
    read_keys(path);
  else
    (void)sample_kinds[KIND % SAMPLE_KINDS].read(path, sample_kinds[KIND % SAMPLE_KINDS].per_party ? 0 : -1, &same);
  return 0;
}
