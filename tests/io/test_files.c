// Models, inputs and results on disk: round trips, damage, wrong owners, full disks.
#define _GNU_SOURCE
#include <CUnit/Basic.h>
#include <fcntl.h>
#include <hdf5.h>
#include <math.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/bert_tensors.h"
#include "tests/common/samples.h"
#include "tests/common/scratch.h"
#include "tests/common/suite.h"

static void test_round_trips(void) {
  for (int turn = 0; turn < 6; turn++) {
    (turn < 3 ? samples_fresh : samples_fresh_ids)(turn % 2);
    for (int k = 0; k < SAMPLE_KINDS; k++) {
      char path[200], partial[210];
      struct stat st;
      bool same = false;
      snprintf(path, sizeof path, "%s", in_folder(sample_kinds[k].name));
      snprintf(partial, sizeof partial, "%s.partial", path);
      umask(turn % 3 == 0 ? 0 : 077);
      CU_ASSERT_EQUAL(sample_kinds[k].write(path), TW_OK);
      CU_ASSERT_EQUAL(sample_kinds[k].read(path, turn % 2, &same), TW_OK);
      CU_ASSERT_TRUE(same);
      if (!same) printf("\n  %s: %s\n", sample_kinds[k].name, tw_error_message());
      CU_ASSERT_TRUE(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
      CU_ASSERT_FALSE(exists(partial));
      CU_ASSERT_EQUAL(sample_kinds[k].write(path), TW_ERR_IO);
      CU_ASSERT_TRUE(message_has("exists already") && message_has(path));
      same = false;
      CU_ASSERT_EQUAL(sample_kinds[k].read(path, turn % 2, &same), TW_OK);
      CU_ASSERT_TRUE(same);
      unlink(path);
      int fd = open(partial, O_WRONLY | O_CREAT, 0600);  // somebody else's unfinished file
      close(fd);
      CU_ASSERT_EQUAL(sample_kinds[k].write(path), TW_ERR_IO);
      CU_ASSERT_TRUE(message_has(".partial: exists") && exists(partial));
      unlink(partial);
    }
  }
  umask(022);
}

static void test_wrong_files(void) {
  samples_fresh(1);
  for (int k = 0; k < SAMPLE_KINDS; k++) CU_ASSERT_EQUAL(sample_kinds[k].write(in_folder(sample_kinds[k].name)), TW_OK);
  for (int k = 0; k < SAMPLE_KINDS; k++) {
    bool same;
    const char *path = in_folder(sample_kinds[k].name);
    for (int other = 0; other < SAMPLE_KINDS; other++) {
      tw_status status = sample_kinds[k].read(in_folder(sample_kinds[other].name), 1, &same);
      CU_ASSERT_EQUAL(status, k == other ? TW_OK : TW_ERR_MISMATCH);
      if (k != other) CU_ASSERT_TRUE(message_has(sample_kinds[other].name) && message_has(sample_kinds[k].maker));
    }
    if (!sample_kinds[k].per_party) continue;
    CU_ASSERT_EQUAL(sample_kinds[k].read(path, 0, &same), TW_ERR_MISMATCH);
    CU_ASSERT_TRUE(message_has("belongs to party 1, but this is party 0") && message_has(path));
  }
  tw_result_share r;
  CU_ASSERT_EQUAL(tw_result_share_read(in_folder("r.result.pX.h5"), -1, &r), TW_OK);  // the client reads both
  CU_ASSERT_EQUAL(r.party, 1);
  tw_result_share_free(&r);
  for (int k = 0; k < SAMPLE_KINDS; k++) {
    bool same;
    const char *path = in_folder(sample_kinds[k].name);
    chmod(path, 0640);
    CU_ASSERT_EQUAL(sample_kinds[k].read(path, 1, &same), sample_kinds[k].secret ? TW_ERR_IO : TW_OK);
    if (sample_kinds[k].secret) CU_ASSERT_TRUE(message_has("chmod 600") && message_has(path));
    unlink(path);
    CU_ASSERT_EQUAL(sample_kinds[k].read(path, 1, &same), TW_ERR_IO);
    CU_ASSERT_TRUE(message_has(sample_kinds[k].maker) && message_has("first") && message_has(path));
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    CU_ASSERT_EQUAL(write(fd, "plain text, not HDF5", 20), 20);
    close(fd);
    CU_ASSERT_EQUAL(sample_kinds[k].read(path, 1, &same), TW_ERR_FORMAT);
    CU_ASSERT_TRUE(message_has("not an HDF5 file") && message_has(path));
    unlink(path);
    CU_ASSERT_EQUAL(sample_kinds[k].read(scratch_folder(), 1, &same), TW_ERR_IO);
  }
}

static void set_version(const char *path, const char *version) {
  hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), a = H5Aopen(file, "version", H5P_DEFAULT);
  hid_t type = H5Aget_type(a);
  CU_ASSERT_TRUE(H5Awrite(a, type, version) >= 0);
  H5Tclose(type);
  H5Aclose(a);
  H5Fclose(file);
}

static void remove_attribute(const char *path, const char *name) {
  hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  CU_ASSERT_TRUE(H5Adelete(file, name) >= 0);
  H5Fclose(file);
}

static void test_other_versions(void) {
  bool same;
  samples_fresh(0);
  for (int k = 0; k < SAMPLE_KINDS; k++) {
    const char *path = in_folder(sample_kinds[k].name);
    CU_ASSERT_EQUAL(sample_kinds[k].write(path), TW_OK);
    set_version(path, "3");
    CU_ASSERT_EQUAL(sample_kinds[k].read(path, 0, &same), TW_ERR_FORMAT);
    CU_ASSERT_TRUE(message_has("version 3") && message_has("later twain") && message_has(path));
    set_version(path, "x");
    CU_ASSERT_EQUAL(sample_kinds[k].read(path, 0, &same), TW_ERR_FORMAT);
    CU_ASSERT_TRUE(message_has("no version of") && message_has(path));
    set_version(path, "1");
    CU_ASSERT_EQUAL(sample_kinds[k].read(path, 0, &same), TW_ERR_FORMAT);
    CU_ASSERT_TRUE(message_has("version 1") && message_has("earlier twain") && message_has(path));
    set_version(path, "2");
    CU_ASSERT_EQUAL(sample_kinds[k].read(path, 0, &same), TW_OK);
    remove_attribute(path, "role");
    CU_ASSERT_EQUAL(sample_kinds[k].read(path, 0, &same), TW_ERR_FORMAT);
    CU_ASSERT_TRUE(message_has("attribute role"));
    remove_attribute(path, "format");
    CU_ASSERT_EQUAL(sample_kinds[k].read(path, 0, &same), TW_ERR_FORMAT);
    CU_ASSERT_TRUE(message_has("not written by twain"));
    unlink(path);
  }
}

// Whatever is cut or flipped: refused with a message that names the file, or without effect. Never a crash.
static void damage(int k) {
  const char *path = in_folder(sample_kinds[k].name);
  size_t bytes;
  bool same;
  CU_ASSERT_EQUAL(sample_kinds[k].write(path), TW_OK);
  uint8_t *data = slurp(path, &bytes);
  for (int turn = 0; turn < 25; turn++) {
    size_t left = turn < 4 ? (size_t)turn * 16 : turn == 4 ? bytes - 1 : randombytes_uniform((uint32_t)bytes);
    dump(path, data, left);
    CU_ASSERT_EQUAL(sample_kinds[k].read(path, 0, &same), TW_ERR_FORMAT);
    CU_ASSERT_TRUE(message_has(path));
  }
  int refused = 0;
  for (int turn = 0; turn < 400; turn++) {
    size_t at = randombytes_uniform((uint32_t)bytes);
    uint8_t bit = (uint8_t)(1u << randombytes_uniform(8));
    data[at] ^= bit;
    dump(path, data, bytes);
    same = false;
    if (sample_kinds[k].read(path, 0, &same) == TW_OK) {
      CU_ASSERT_TRUE(same);
      if (!same) printf("\n  %s: a flip of byte %zu of %zu was not noticed\n", path, at, bytes);
    } else {
      refused++;
      CU_ASSERT_TRUE(message_has(path));
    }
    data[at] ^= bit;
  }
  CU_ASSERT_TRUE(refused > 40);
  unlink(path);
  free(data);
}

static void test_damage(void) {
  samples_fresh(0);
  for (int k = 0; k < SAMPLE_KINDS; k++) damage(k);
  samples_fresh_ids(0);
  damage(INPUT);
  damage(INPUT_SHARE);
}

static void test_flipped_datasets(void) {
  static const struct {
    int kind;
    const char *dataset;
  } all[] = {{0, "layer.0.up.weight"},
             {1, "layer.0.norm2.beta"},
             {1, "mask_seed"},
             {2, "mask_seeds"},
             {3, "word"},
             {3, "gamma"},
             {4, "lengths"},
             {4, "tokens"},
             {4, "values"},
             {5, "share"},
             {5, "lengths"},
             {6, "masked"},
             {6, "mask"},
             {6, "slots"},
             {6, "lengths"},
             {6, "costs"},
             {7, "values"},
             {7, "lengths"}};
  samples_fresh(0);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    const char *path = in_folder(sample_kinds[all[i].kind].name);
    uint64_t offset, bytes;
    size_t size;
    bool same;
    CU_ASSERT_EQUAL(sample_kinds[all[i].kind].write(path), TW_OK);
    place_of(path, all[i].dataset, &offset, &bytes);
    uint8_t *data = slurp(path, &size);
    for (int turn = 0; turn < 20; turn++) {
      size_t at = offset + randombytes_uniform((uint32_t)bytes);
      data[at] ^= 0x10;
      dump(path, data, size);
      CU_ASSERT_EQUAL(sample_kinds[all[i].kind].read(path, 0, &same), TW_ERR_FORMAT);
      CU_ASSERT_TRUE(message_has(all[i].dataset) && message_has("checksum"));
      data[at] ^= 0x10;
    }
    free(data);
    unlink(path);
  }
}

static void test_not_finite(void) {
  samples_fresh(0);
  tw_model_tensor *t = &sample_model.tensors[TW_BERT_UP_WEIGHT];  // of layer 0
  const char *path = in_folder("nan.h5");
  char place[100];
  size_t row = randombytes_uniform((uint32_t)t->rows), col = randombytes_uniform((uint32_t)t->cols);
  float *bad = &t->values[row * t->cols + col];
  snprintf(place, sizeof place, "tensor layer.0.up.weight: NaN at [%zu][%zu]", row, col);
  *bad = NAN;
  CU_ASSERT_EQUAL(tw_model_write(path, &sample_model), TW_ERR_RANGE);
  CU_ASSERT_TRUE(message_has(place) && no_trace(path));
  *bad = -INFINITY;
  CU_ASSERT_EQUAL(tw_model_write(path, &sample_model), TW_ERR_RANGE);
  CU_ASSERT_TRUE(message_has("Inf at") && no_trace(path));
  sample_input.values[7] = NAN;
  CU_ASSERT_EQUAL(tw_input_write(path, &sample_input), TW_ERR_RANGE);
  CU_ASSERT_TRUE(message_has("tensor values: NaN at [0][0][7]") && no_trace(path));
  sample_result.values[23] = INFINITY;
  CU_ASSERT_EQUAL(tw_result_write(path, &sample_result), TW_ERR_RANGE);
  CU_ASSERT_TRUE(message_has("Inf at [1][2][3]") && no_trace(path));
  sample_client.beta[1] = NAN;
  CU_ASSERT_EQUAL(tw_client_write(path, &sample_client), TW_ERR_RANGE);
  CU_ASSERT_TRUE(message_has("tensor beta: NaN at [1]") && no_trace(path));
}

// Of a plan with several lengths sequences stand in the order of their programs.
static void test_falling_lengths(void) {
  const char *path = in_folder("falling.h5");
  tw_input in;
  do samples_fresh(0);
  while (sample_input.count < 2 || sample_input.seq < 2);  // fewer cannot fall
  CU_ASSERT_EQUAL_FATAL(tw_alloc((size_t)sample_input.count * sizeof(int), (void **)&sample_input.seqs), TW_OK);
  for (int s = 0; s < sample_input.count; s++) sample_input.seqs[s] = sample_input.seq;
  CU_ASSERT_EQUAL(tw_input_write(path, &sample_input), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_input_read(path, &in), TW_OK);
  CU_ASSERT_EQUAL(memcmp(in.values, sample_input.values,
                         tw_input_rows(&sample_input) * (size_t)sample_input.hidden * sizeof *in.values),
                  0);
  tw_input_free(&in);
  unlink(path);
  sample_input.lengths[sample_input.count - 1] = 1;
  sample_input.seqs[sample_input.count - 1] = 1;
  CU_ASSERT_EQUAL(tw_input_write(path, &sample_input), TW_OK);
  CU_ASSERT_EQUAL(tw_input_read(path, &in), TW_ERR_FORMAT);
  CU_ASSERT_TRUE(message_has("dataset seqs") && message_has("they rise"));
  unlink(path);
}

// A file that is sound in all but the number: NaN put in by other software, with a fitting checksum.
static void test_foreign_nan(void) {
  const char *path = in_folder("foreign.h5");
  uint64_t offset, bytes;
  tw_model m;
  samples_fresh(0);
  CU_ASSERT_EQUAL(tw_model_write(path, &sample_model), TW_OK);
  place_of(path, "layer.0.out.bias", &offset, &bytes);
  size_t size, n = bytes / 4;
  uint8_t *data = slurp(path, &size);
  ((float *)(data + offset))[n - 1] = NAN;
  uint32_t crc = 0xFFFFFFFFu;  // bit by bit, reflected polynomial 0x82F63B78
  for (size_t i = 0; i < bytes; i++) {
    crc ^= data[offset + i];
    for (int b = 0; b < 8; b++) crc = crc >> 1 ^ (0x82F63B78u & -(crc & 1));
  }
  int64_t stored = (int64_t)(uint32_t)~crc;
  dump(path, data, size);
  hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  hid_t set = H5Dopen2(file, "layer.0.out.bias", H5P_DEFAULT), a = H5Aopen(set, "crc32c", H5P_DEFAULT);
  CU_ASSERT_TRUE(H5Awrite(a, H5T_NATIVE_INT64, &stored) >= 0);
  H5Aclose(a);
  H5Dclose(set);
  H5Fclose(file);
  char place[100];
  snprintf(place, sizeof place, "tensor layer.0.out.bias: NaN at [0][%zu]", n - 1);
  CU_ASSERT_EQUAL(tw_model_read(path, &m), TW_ERR_FORMAT);
  CU_ASSERT_TRUE(message_has(place));
  free(data);
  unlink(path);
}

static void test_shapes(void) {
  const char *path = in_folder("shape.h5");
  tw_model m;
  samples_fresh(0);
  CU_ASSERT_EQUAL(tw_model_write(path, &sample_model), TW_OK);
  hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  CU_ASSERT_TRUE(H5Ldelete(file, "layer.0.qkv.bias", H5P_DEFAULT) >= 0);
  H5Fclose(file);
  CU_ASSERT_EQUAL(tw_model_read(path, &m), TW_ERR_FORMAT);
  CU_ASSERT_TRUE(message_has("dataset layer.0.qkv.bias: is missing"));
  file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  hsize_t dims[2] = {2, 3};
  hid_t space = H5Screate_simple(2, dims, NULL);
  hid_t set = H5Dcreate2(file, "layer.0.qkv.bias", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Dclose(set);
  H5Sclose(space);
  H5Fclose(file);
  CU_ASSERT_EQUAL(tw_model_read(path, &m), TW_ERR_FORMAT);
  CU_ASSERT_TRUE(message_has("layer.0.qkv.bias: shape [2][3], expected [1]["));
  unlink(path);
  sample_model.tensors[3].cols--;
  CU_ASSERT_EQUAL(tw_model_write(path, &sample_model), TW_ERR_INTERNAL);
  sample_model.tensors[3].cols++;
  CU_ASSERT_TRUE(no_trace(path));

  sample_result_share.mask[2] |= UINT64_C(1) << sample_result_share.ring_bits;  // outside its ring
  bool same;
  CU_ASSERT_EQUAL(sample_kinds[RESULT_SHARE].write(path), TW_OK);
  CU_ASSERT_EQUAL(sample_kinds[RESULT_SHARE].read(path, 0, &same), TW_ERR_FORMAT);
  CU_ASSERT_TRUE(message_has("dataset mask") && message_has("37 bits"));
  unlink(path);
  CU_ASSERT_EQUAL(sample_kinds[MODEL].write(in_folder("no/such/folder/m.h5")), TW_ERR_IO);
  CU_ASSERT_TRUE(message_has("no/such/folder"));
}

static void test_synthetic_client(void) {
  const char *path = in_folder("synthetic.h5");
  tw_client c;
  samples_fresh(0);
  char **vocabulary = sample_client.vocabulary;
  sample_client.vocabulary = NULL;
  CU_ASSERT_EQUAL(tw_client_write(path, &sample_client), TW_ERR_INTERNAL);
  CU_ASSERT_TRUE(no_trace(path));
  sample_client.config.synthetic = true;
  CU_ASSERT_EQUAL(tw_client_write(path, &sample_client), TW_OK);
  CU_ASSERT_EQUAL(tw_client_read(path, &c), TW_OK);
  CU_ASSERT_TRUE(c.config.synthetic && !c.vocabulary);
  tw_client_free(&c);
  sample_client.vocabulary = vocabulary;
  unlink(path);
}

typedef struct {
  const char *path;
  rlim_t bytes;
} limited;

static int write_under_limit(void *state) {
  const limited *l = state;
  struct rlimit limit = {l->bytes, l->bytes};
  signal(SIGXFSZ, SIG_IGN);
  if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
  for (int k = 0; k < SAMPLE_KINDS; k++)
    if (sample_kinds[k].write(l->path) != TW_ERR_IO || !message_has("bytes needed") || !message_has(l->path))
      return 2 + k;
  return 0;
}

static void test_limit(void) {
  const char *path = in_folder("limit.h5");
  samples_fresh(0);
  for (rlim_t bytes = 0; bytes < 2000; bytes += 700) {
    CU_ASSERT_EQUAL(in_child(write_under_limit, &(limited){path, bytes}), 0);
    CU_ASSERT_TRUE(no_trace(path));
  }
}

// A file system of 64 KiB that is full; needs the right to mount.
static void test_full_disk(void) {
  const char *mounted = in_folder("small");
  char path[300], filler[300];
  CU_ASSERT_EQUAL(mkdir(mounted, 0700), 0);
  if (mount("tmpfs", mounted, "tmpfs", 0, "size=64k,mode=0700") != 0) {
    printf("(not run: no right to mount) ");
    return;
  }
  samples_fresh(0);
  snprintf(filler, sizeof filler, "%s/filler", mounted);
  snprintf(path, sizeof path, "%s/file.h5", mounted);
  int fd = open(filler, O_WRONLY | O_CREAT, 0600);
  CU_ASSERT_EQUAL(posix_fallocate(fd, 0, 64 * 1024), 0);
  close(fd);
  for (int k = 0; k < SAMPLE_KINDS; k++) {
    tw_status status = sample_kinds[k].write(path);
    CU_ASSERT_EQUAL(status, TW_ERR_IO);
    CU_ASSERT_TRUE(message_has("No space left") && message_has("the file needs") &&
                   message_has(" 0 bytes are free in") && message_has(path));
    CU_ASSERT_TRUE(no_trace(path));
  }
  unlink(filler);
  CU_ASSERT_EQUAL(sample_kinds[RESULT_SHARE].write(path), TW_OK);
  bool same = false;
  CU_ASSERT_EQUAL(sample_kinds[RESULT_SHARE].read(path, 0, &same), TW_OK);
  CU_ASSERT_TRUE(same);
  CU_ASSERT_EQUAL(umount(mounted), 0);
}

static void test_environment(void) {
  tw_environment e;
  char host[128] = "";
  gethostname(host, sizeof host - 1);
  setenv("SLURM_JOB_ID", "123_4", 1);
  tw_environment_collect(&e);
  CU_ASSERT_STRING_EQUAL(e.host, host);
  CU_ASSERT_STRING_EQUAL(e.job, "123_4");
  CU_ASSERT_EQUAL(strncmp(e.software, "twain ", 6), 0);
  CU_ASSERT_TRUE(strlen(e.hdf5) >= 5 && strlen(e.cpu) > 0 && strlen(e.user) > 0);
  CU_ASSERT_TRUE(strlen(e.started) == 20 && e.started[10] == 'T' && e.started[19] == 'Z');
  CU_ASSERT_TRUE(e.mpi[0] == '\0' && e.isa[0] == '\0' && e.parties_share_host == 0);
  unsetenv("SLURM_JOB_ID");
  setenv("PBS_JOBID", "77.server", 1);
  tw_environment_collect(&e);
  CU_ASSERT_STRING_EQUAL(e.job, "77.server");
  unsetenv("PBS_JOBID");
}

// Spans that no trace can have.
static void test_spans(void) {
  static const tw_span bad[] = {
      {TW_TRACE_TRACKS, 0, 0, 1, 2}, {0, 2, 0, 1, 2}, {0, 0, 7, 1, 2}, {0, 0, -2, 1, 2}, {0, 0, 0, 3, 2}};
  const char *path = in_folder("spans.h5");
  tw_result_share r;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    samples_fresh(0);
    sample_result_share.spans[4] = bad[i];
    CU_ASSERT_EQUAL(tw_result_share_write(path, &sample_result_share), TW_OK);
    CU_ASSERT_EQUAL(tw_result_share_read(path, 0, &r), TW_ERR_FORMAT);
    CU_ASSERT_TRUE(message_has("dataset trace: a span of no track"));
    unlink(path);
  }
  samples_fresh(0);  // a run that recorded none
  sample_result_share.span_count = 0;
  CU_ASSERT_EQUAL(tw_result_share_write(path, &sample_result_share), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_result_share_read(path, 0, &r), TW_OK);
  CU_ASSERT_TRUE(r.span_count == 0 && r.spans == NULL);
  tw_result_share_free(&r);
  unlink(path);
}

static int tear_down(void) {
  samples_free();
  return scratch_close();
}

int main(void) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("files", scratch_open, tear_down);
  if (!suite) return 2;
  CU_add_test(suite, "round trips, never over an existing file", test_round_trips);
  CU_add_test(suite, "wrong, missing, foreign, open to others", test_wrong_files);
  CU_add_test(suite, "other versions, missing attributes", test_other_versions);
  CU_add_test(suite, "truncated and flipped anywhere", test_damage);
  CU_add_test(suite, "flipped in each dataset", test_flipped_datasets);
  CU_add_test(suite, "NaN and Inf when writing", test_not_finite);
  CU_add_test(suite, "NaN when reading", test_foreign_nan);
  CU_add_test(suite, "lengths of programs that fall", test_falling_lengths);
  CU_add_test(suite, "wrong shapes and rings", test_shapes);
  CU_add_test(suite, "a client without vocabulary", test_synthetic_client);
  CU_add_test(suite, "a limit on file sizes", test_limit);
  CU_add_test(suite, "a full disk", test_full_disk);
  CU_add_test(suite, "environment", test_environment);
  CU_add_test(suite, "spans of a trace", test_spans);
  CU_basic_set_mode(CU_BRM_VERBOSE);
  return suite_end();
}
