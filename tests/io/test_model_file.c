// A model as a stream: what is read in parts is what was written, and a stream that fails leaves nothing.
#include <CUnit/Basic.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "io/h5.h"
#include "io/model_file.h"
#include "tests/common/samples.h"
#include "tests/common/scratch.h"
#include "tests/common/suite.h"

static void in_parts(void) {
  samples_fresh(0);
  const char *path = in_folder("m");
  tw_model_file *file;
  CU_ASSERT_EQUAL_FATAL(tw_model_write(path, &sample_model), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_model_file_open(path, &file), TW_OK);
  for (int i = sample_model.count - 1; i >= 0; i--) {
    const tw_model_tensor *t = &sample_model.tensors[i];
    size_t n = t->rows * t->cols;
    float *values = calloc(n, sizeof *values);
    CU_ASSERT_EQUAL(tw_model_file_begin(file, i), TW_OK);
    for (size_t at = 0, part; at < n; at += part) {
      part = 1 + randombytes_uniform((uint32_t)(n - at));
      CU_ASSERT_EQUAL(tw_model_file_next(file, part, values + at), TW_OK);
    }
    CU_ASSERT_EQUAL(memcmp(values, t->values, n * sizeof *values), 0);
    CU_ASSERT_EQUAL(tw_model_file_next(file, 1, values), TW_ERR_INTERNAL);
    free(values);
  }
  tw_model_file_close(file);
}

static int failing;
static tw_status fail_late(void *state, int number, const float **values) {
  (void)state;
  *values = sample_model.tensors[number].values;
  return number == failing ? tw_fail(TW_ERR_FORMAT, "a bad shard") : TW_OK;
}

static void source_fails(void) {
  samples_fresh(0);
  const char *path = in_folder("late");
  tw_model_stream stream = {sample_model.config, sample_model.source, fail_late, NULL};
  for (failing = 0; failing < sample_model.count; failing++) {
    CU_ASSERT_EQUAL(tw_model_write_stream(path, &stream), TW_ERR_FORMAT);
    CU_ASSERT_TRUE(message_has("a bad shard") && no_trace(path));
  }
  CU_ASSERT_EQUAL(tw_model_write_stream(path, &stream), TW_OK);
}

// `bytes` of data where 400 belong.
static tw_status write_bytes(const char *path, size_t bytes) {
  static const tw_h5_kind kind = {"twain-test", "test", false, false, "a test", NULL};
  static const uint8_t data[500] = {1};
  tw_h5 f;
  tw_output out = {.fd = -1};
  int number;
  TW_TRY(tw_h5_create(&f, path, &kind, -1));
  tw_status status = tw_h5_put_later(&f, "data", H5T_STD_U8LE, 1, (hsize_t[]){400}, &number);
  if (status == TW_OK) status = tw_h5_begin(&f, &out);
  for (size_t at = 0, part; at < bytes && status == TW_OK; at += part) {
    part = bytes - at < 77 ? bytes - at : 77;
    status = tw_h5_add(&f, &out, number, data, part);
  }
  return tw_h5_end(&f, &out, status);
}

static void wrong_amounts(void) {
  const char *path = in_folder("amount");
  CU_ASSERT_EQUAL(write_bytes(path, 399), TW_ERR_INTERNAL);
  CU_ASSERT_TRUE(message_has("dataset data: 399 of its 400 bytes") && no_trace(path));
  CU_ASSERT_EQUAL(write_bytes(path, 401), TW_ERR_INTERNAL);
  CU_ASSERT_TRUE(message_has("dataset data: more data") && no_trace(path));
  CU_ASSERT_EQUAL(write_bytes(path, 400), TW_OK);
  CU_ASSERT_EQUAL(write_bytes(path, 400), TW_ERR_IO);
  CU_ASSERT_TRUE(message_has("exists already"));
  samples_free();
}

int main(void) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("models as streams", scratch_open, scratch_close);
  if (!suite) return 2;
  CU_add_test(suite, "read in parts", in_parts);
  CU_add_test(suite, "a source that fails", source_fails);
  CU_add_test(suite, "too much, too little", wrong_amounts);
  CU_basic_set_mode(CU_BRM_VERBOSE);
  return suite_end();
}
