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
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/client.h"
#include "io/model.h"
#include "io/result.h"

static char folder[64];

static const char *in_folder(const char *name) {
  static char paths[16][200];
  static int turn;
  turn = (turn + 1) % 16;
  snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
  return paths[turn];
}

static bool message_has(const char *text) {
  if (strstr(tw_error_message(), text)) return true;
  printf("\n  message lacks \"%s\": %s\n", text, tw_error_message());
  return false;
}

// ---- One random sample of each kind

static tw_model model;
static tw_model_share model_share;
static tw_model_dealer dealer;
static tw_client client;
static tw_input input;
static tw_input_share input_share;
static tw_result_share result_share;
static tw_result result;

static void *random_bytes(size_t bytes) {
  void *p;
  CU_ASSERT_EQUAL_FATAL(tw_alloc(bytes, &p), TW_OK);
  randombytes_buf(p, bytes);
  return p;
}

static uint64_t *random_ring(size_t n, int bits) {
  uint64_t *p = random_bytes(n * 8);
  for (size_t i = 0; i < n && bits < 64; i++) p[i] &= (UINT64_C(1) << bits) - 1;
  return p;
}

static double random_real(void) { return (double)(int32_t)randombytes_random() / 65536.0 / 1024.0; }

static float *random_floats(size_t n) {
  float *p = random_bytes(n * sizeof *p);
  for (size_t i = 0; i < n; i++) p[i] = (float)random_real();
  return p;
}

static int *random_ints(size_t n, int low, int high) {
  int *p = random_bytes(n * sizeof *p);
  for (size_t i = 0; i < n; i++) p[i] = low + (int)randombytes_uniform((uint32_t)(high - low + 1));
  return p;
}

static char **random_texts(int n) {
  static const char *const parts[] = {"", "a", "##ing", "Straße", "日本語", " spaces and \"quotes\" ", "🙂", "[PAD]"};
  char **texts = random_bytes((size_t)n * sizeof *texts);
  for (int i = 0; i < n; i++)
    CU_ASSERT_TRUE(asprintf(&texts[i], "%s%s", parts[randombytes_uniform(8)], parts[randombytes_uniform(8)]) >= 0);
  return texts;
}

static tw_model_config random_config(void) {
  tw_model_config c = {.name = "tiny-model", .activation = "gelu", .norm_epsilon = 1e-12, .type_vocab = 2};
  c.layers = 1 + (int)randombytes_uniform(2);
  c.heads = 2;
  c.hidden = 8 + 2 * (int)randombytes_uniform(4);
  c.intermediate = 20 + (int)randombytes_uniform(9);
  c.max_positions = 5 + (int)randombytes_uniform(9);
  c.vocab = 30 + (int)randombytes_uniform(30);
  c.pre_norm = randombytes_uniform(2);
  c.causal = randombytes_uniform(2);
  return c;
}

static void make_models(void) {
  tw_model_config c = random_config();
  CU_ASSERT_EQUAL_FATAL(tw_model_allocate(&c, &model), TW_OK);
  tw_digest_of(&c, sizeof c, &model.source);
  model_share = (tw_model_share){.config = c, .count = model.count};
  dealer = (tw_model_dealer){.config = c};
  tw_id_random(&model_share.model_id);
  tw_id_random(&dealer.model_id);
  randombytes_buf(model_share.mask_seed, 32);
  randombytes_buf(dealer.mask_seed, 64);
  model_share.rows = random_bytes(sizeof(size_t) * model.count);
  model_share.cols = random_bytes(sizeof(size_t) * model.count);
  model_share.masked = random_bytes(sizeof(uint64_t *) * model.count);
  for (int i = 0; i < model.count; i++) {
    tw_model_tensor *t = &model.tensors[i];
    tw_free(t->values);
    t->values = random_floats(t->rows * t->cols);
    model_share.rows[i] = t->rows;
    model_share.cols[i] = t->cols;
    model_share.masked[i] = random_ring(t->rows * t->cols, 64);
  }
}

static void make_client(void) {
  tw_model_config c = random_config();
  size_t h = (size_t)c.hidden;
  client = (tw_client){.config = c, .lower_case = randombytes_uniform(2), .normalise_output = randombytes_uniform(2)};
  client.vocabulary = random_texts(c.vocab);
  client.word = random_floats(c.vocab * h);
  client.position = random_floats(c.max_positions * h);
  client.type = random_floats(c.type_vocab * h);
  client.gamma = random_floats(h);
  client.beta = random_floats(h);
}

static void make_inputs(void) {
  int count = 1 + (int)randombytes_uniform(4), seq = 3 + (int)randombytes_uniform(6), hidden = 8;
  size_t n = (size_t)count * seq;
  input = (tw_input){.count = count, .seq = seq, .hidden = hidden};
  tw_id_random(&input.input_id);
  input.lengths = random_ints(count, 1, seq);
  input.tokens = random_ints(n, 0, 30000);
  input.texts = random_texts(count);
  input.values = random_floats(n * hidden);
  input_share = (tw_input_share){.input_id = input.input_id, .count = count, .seq = seq, .hidden = hidden};
  tw_id_random(&input_share.model_id);
  tw_digest_of(&input, sizeof input, &input_share.plan);
  input_share.lengths = random_ints(count, 1, seq);
  input_share.share = random_ring(n * hidden, TW_INPUT_RING);
}

static void make_results(void) {
  tw_result_share *r = &result_share;
  *r = (tw_result_share){.count = 3, .rows = 1 + (int)randombytes_uniform(4), .cols = 5, .ring_bits = 37, .scale = 12};
  size_t n = (size_t)r->count * r->rows * r->cols;
  tw_id_random(&r->model_id);
  tw_id_random(&r->key_id);
  tw_id_random(&r->input_id);
  tw_id_random(&r->run_id);
  tw_digest transcript;
  tw_digest_of(r, sizeof *r, &r->plan);
  tw_digest_of(&r->plan, sizeof r->plan, &transcript);
  strcpy(r->transcript, transcript.hex);
  strcpy(r->output, "pooled");
  r->test_keys = randombytes_uniform(2);
  r->lengths = random_ints(3, 1, 99);
  r->slots = random_ring(3, 64);
  r->masked = random_ring(n, r->ring_bits);
  r->mask = random_ring(n, r->ring_bits);
  r->correction_bytes = randombytes_random() * UINT64_C(1000);
  r->sent_bytes = randombytes_random();
  r->rounds = randombytes_random();
  r->setup_seconds = random_real();
  r->preparation_seconds = random_real();
  r->online_seconds = random_real();
  r->comm_seconds = random_real();
  r->row_count = 7;
  r->rows_table = random_bytes(sizeof(tw_cost_row) * 7);
  memset(r->rows_table, 0, sizeof(tw_cost_row) * 7);
  for (int i = 0; i < 7; i++) {
    tw_cost_row *row = &r->rows_table[i];
    row->layer = i - 1;
    snprintf(row->gate, sizeof row->gate, i == 3 ? "a name of 23 letters .." : "gate-%u", randombytes_uniform(1000));
    row->correction_bytes = randombytes_random() * UINT64_C(5000000000);
    row->sent_bytes = randombytes_random();
    row->rounds = randombytes_uniform(100);
    row->seconds = random_real();
  }
  tw_environment_collect(&r->environment);
  strcpy(r->environment.mpi, "some MPI 4.1");
  strcpy(r->environment.isa, "avx2");
  r->environment.ranks_share_host = 1;
  result = (tw_result){.run_id = r->run_id, .count = 2, .rows = 3, .cols = 4, .output = "tokens"};
  tw_id_random(&result.model_id);
  tw_id_random(&result.input_id);
  result.lengths = random_ints(2, 1, 3);
  result.values = random_bytes(24 * sizeof(double));
  for (int i = 0; i < 24; i++) result.values[i] = random_real();
}

static void free_samples(void) {
  tw_model_free(&model);
  tw_model_share_free(&model_share);
  tw_client_free(&client);
  tw_input_free(&input);
  tw_input_share_free(&input_share);
  tw_result_share_free(&result_share);
  tw_result_free(&result);
}

static void fresh(int rank) {
  free_samples();
  make_models();
  make_client();
  make_inputs();
  make_results();
  model_share.rank = input_share.rank = result_share.rank = rank;
}

// ---- Comparisons with the samples

static bool same_config(const tw_model_config *a, const tw_model_config *b) {
  return !strcmp(a->name, b->name) && !strcmp(a->activation, b->activation) && a->layers == b->layers &&
         a->hidden == b->hidden && a->heads == b->heads && a->intermediate == b->intermediate &&
         a->max_positions == b->max_positions && a->vocab == b->vocab && a->type_vocab == b->type_vocab &&
         a->norm_epsilon == b->norm_epsilon && a->pre_norm == b->pre_norm && a->causal == b->causal &&
         a->synthetic == b->synthetic;
}

static bool same_id(const tw_id *a, const tw_id *b) { return !strcmp(a->hex, b->hex); }

static bool same_texts(char **a, char **b, int n) {
  for (int i = 0; i < n; i++)
    if (strcmp(a[i], b[i])) return false;
  return true;
}

// Readers: status, and whether what came back is the sample.
static tw_status read_model(const char *path, int rank, bool *same) {
  (void)rank;
  tw_model m;
  TW_TRY(tw_model_read(path, &m));
  *same = same_config(&m.config, &model.config) && !strcmp(m.source.hex, model.source.hex) && m.count == model.count;
  for (int i = 0; *same && i < m.count; i++) {
    const tw_model_tensor *a = &m.tensors[i], *b = &model.tensors[i];
    *same = !strcmp(a->name, b->name) && a->rows == b->rows && a->cols == b->cols &&
            !memcmp(a->values, b->values, a->rows * a->cols * sizeof(float));
  }
  tw_model_free(&m);
  return TW_OK;
}

static tw_status read_model_share(const char *path, int rank, bool *same) {
  tw_model_share m;
  const tw_model_share *w = &model_share;
  TW_TRY(tw_model_share_read(path, rank, &m));
  *same = same_config(&m.config, &w->config) && same_id(&m.model_id, &w->model_id) && m.rank == w->rank &&
          !memcmp(m.mask_seed, w->mask_seed, 32) && m.count == w->count;
  for (int i = 0; *same && i < m.count; i++)
    *same = m.rows[i] == w->rows[i] && m.cols[i] == w->cols[i] &&
            !memcmp(m.masked[i], w->masked[i], m.rows[i] * m.cols[i] * 8);
  tw_model_share_free(&m);
  return TW_OK;
}

static tw_status read_dealer(const char *path, int rank, bool *same) {
  (void)rank;
  tw_model_dealer d;
  TW_TRY(tw_model_dealer_read(path, &d));
  *same = same_config(&d.config, &dealer.config) && same_id(&d.model_id, &dealer.model_id) &&
          !memcmp(d.mask_seed, dealer.mask_seed, 64);
  return TW_OK;
}

static tw_status read_client(const char *path, int rank, bool *same) {
  (void)rank;
  tw_client c;
  TW_TRY(tw_client_read(path, &c));
  size_t row = sizeof(float) * (size_t)c.config.hidden;
  *same = same_config(&c.config, &client.config) && c.lower_case == client.lower_case &&
          c.normalise_output == client.normalise_output &&
          same_texts(c.vocabulary, client.vocabulary, c.config.vocab) &&
          !memcmp(c.word, client.word, row * c.config.vocab) &&
          !memcmp(c.position, client.position, row * c.config.max_positions) &&
          !memcmp(c.type, client.type, row * c.config.type_vocab) && !memcmp(c.gamma, client.gamma, row) &&
          !memcmp(c.beta, client.beta, row);
  tw_client_free(&c);
  return TW_OK;
}

static tw_status read_input(const char *path, int rank, bool *same) {
  (void)rank;
  tw_input in;
  TW_TRY(tw_input_read(path, &in));
  size_t n = (size_t)in.count * in.seq;
  *same = same_id(&in.input_id, &input.input_id) && in.count == input.count && in.seq == input.seq &&
          in.hidden == input.hidden && !memcmp(in.lengths, input.lengths, sizeof(int) * in.count) &&
          !memcmp(in.tokens, input.tokens, sizeof(int) * n) && same_texts(in.texts, input.texts, in.count) &&
          !memcmp(in.values, input.values, sizeof(float) * n * in.hidden);
  tw_input_free(&in);
  return TW_OK;
}

static tw_status read_input_share(const char *path, int rank, bool *same) {
  tw_input_share in;
  const tw_input_share *w = &input_share;
  TW_TRY(tw_input_share_read(path, rank, &in));
  *same = same_id(&in.input_id, &w->input_id) && same_id(&in.model_id, &w->model_id) &&
          !strcmp(in.plan.hex, w->plan.hex) && in.rank == w->rank && in.count == w->count && in.seq == w->seq &&
          in.hidden == w->hidden && !memcmp(in.lengths, w->lengths, sizeof(int) * in.count) &&
          !memcmp(in.share, w->share, 8 * (size_t)in.count * in.seq * in.hidden);
  tw_input_share_free(&in);
  return TW_OK;
}

static tw_status read_result_share(const char *path, int rank, bool *same) {
  tw_result_share r;
  const tw_result_share *w = &result_share;
  TW_TRY(tw_result_share_read(path, rank, &r));
  size_t n = (size_t)r.count * r.rows * r.cols * 8;
  *same = same_id(&r.model_id, &w->model_id) && same_id(&r.key_id, &w->key_id) && same_id(&r.input_id, &w->input_id) &&
          same_id(&r.run_id, &w->run_id) && !strcmp(r.plan.hex, w->plan.hex) && r.rank == w->rank &&
          r.test_keys == w->test_keys && !strcmp(r.output, w->output) && !strcmp(r.transcript, w->transcript) &&
          r.count == w->count && r.rows == w->rows && r.cols == w->cols && r.ring_bits == w->ring_bits &&
          r.scale == w->scale && !memcmp(r.lengths, w->lengths, sizeof(int) * r.count) &&
          !memcmp(r.slots, w->slots, 8 * (size_t)r.count) && !memcmp(r.masked, w->masked, n) &&
          !memcmp(r.mask, w->mask, n) && r.correction_bytes == w->correction_bytes && r.sent_bytes == w->sent_bytes &&
          r.rounds == w->rounds && r.setup_seconds == w->setup_seconds &&
          r.preparation_seconds == w->preparation_seconds && r.online_seconds == w->online_seconds &&
          r.comm_seconds == w->comm_seconds && r.row_count == w->row_count &&
          !memcmp(r.rows_table, w->rows_table, sizeof(tw_cost_row) * r.row_count) &&
          !memcmp(&r.environment, &w->environment, sizeof r.environment);
  tw_result_share_free(&r);
  return TW_OK;
}

static tw_status read_result(const char *path, int rank, bool *same) {
  (void)rank;
  tw_result r;
  TW_TRY(tw_result_read(path, &r));
  *same = same_id(&r.model_id, &result.model_id) && same_id(&r.input_id, &result.input_id) &&
          same_id(&r.run_id, &result.run_id) && !strcmp(r.output, result.output) && r.count == result.count &&
          r.rows == result.rows && r.cols == result.cols && !memcmp(r.lengths, result.lengths, sizeof(int) * r.count) &&
          !memcmp(r.values, result.values, sizeof(double) * (size_t)r.count * r.rows * r.cols);
  tw_result_free(&r);
  return TW_OK;
}

static tw_status write_model(const char *path) { return tw_model_write(path, &model); }
static tw_status write_model_share(const char *path) { return tw_model_share_write(path, &model_share); }
static tw_status write_dealer(const char *path) { return tw_model_dealer_write(path, &dealer); }
static tw_status write_client(const char *path) { return tw_client_write(path, &client); }
static tw_status write_input(const char *path) { return tw_input_write(path, &input); }
static tw_status write_input_share(const char *path) { return tw_input_share_write(path, &input_share); }
static tw_status write_result_share(const char *path) { return tw_result_share_write(path, &result_share); }
static tw_status write_result(const char *path) { return tw_result_write(path, &result); }

static const struct {
  const char *name, *maker;
  bool ranked, secret;
  tw_status (*write)(const char *path);
  tw_status (*read)(const char *path, int rank, bool *same);
} kinds[] = {{"m.model.h5", "twain import", false, false, write_model, read_model},
             {"m.model.pX.h5", "twain share", true, true, write_model_share, read_model_share},
             {"m.model.dealer.h5", "twain share", false, true, write_dealer, read_dealer},
             {"m.client.h5", "twain import", false, false, write_client, read_client},
             {"i.input.h5", "twain encode", false, false, write_input, read_input},
             {"i.input.pX.h5", "twain share --input", true, true, write_input_share, read_input_share},
             {"r.result.pX.h5", "twain run", true, true, write_result_share, read_result_share},
             {"r.result.h5", "twain reveal", false, false, write_result, read_result}};
enum { KINDS = sizeof kinds / sizeof *kinds };

static bool exists(const char *path) { return access(path, F_OK) == 0; }

static bool no_trace(const char *path) {
  char partial[320];
  snprintf(partial, sizeof partial, "%s.partial", path);
  return !exists(path) && !exists(partial);
}

// ---- Tests

static void test_round_trips(void) {
  for (int turn = 0; turn < 6; turn++) {
    fresh(turn % 2);
    for (int k = 0; k < KINDS; k++) {
      char path[200], partial[210];
      struct stat st;
      bool same = false;
      snprintf(path, sizeof path, "%s", in_folder(kinds[k].name));
      snprintf(partial, sizeof partial, "%s.partial", path);
      umask(turn % 3 == 0 ? 0 : 077);
      CU_ASSERT_EQUAL(kinds[k].write(path), TW_OK);
      CU_ASSERT_EQUAL(kinds[k].read(path, turn % 2, &same), TW_OK);
      CU_ASSERT_TRUE(same);
      if (!same) printf("\n  %s: %s\n", kinds[k].name, tw_error_message());
      CU_ASSERT_TRUE(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
      CU_ASSERT_FALSE(exists(partial));
      CU_ASSERT_EQUAL(kinds[k].write(path), TW_ERR_IO);
      CU_ASSERT_TRUE(message_has("exists already") && message_has(path));
      same = false;
      CU_ASSERT_EQUAL(kinds[k].read(path, turn % 2, &same), TW_OK);
      CU_ASSERT_TRUE(same);
      unlink(path);
      int fd = open(partial, O_WRONLY | O_CREAT, 0600);  // somebody else's unfinished file
      close(fd);
      CU_ASSERT_EQUAL(kinds[k].write(path), TW_ERR_IO);
      CU_ASSERT_TRUE(message_has(".partial: exists") && exists(partial));
      unlink(partial);
    }
  }
  umask(022);
}

static void test_wrong_files(void) {
  fresh(1);
  for (int k = 0; k < KINDS; k++) CU_ASSERT_EQUAL(kinds[k].write(in_folder(kinds[k].name)), TW_OK);
  for (int k = 0; k < KINDS; k++) {
    bool same;
    const char *path = in_folder(kinds[k].name);
    for (int other = 0; other < KINDS; other++) {
      tw_status status = kinds[k].read(in_folder(kinds[other].name), 1, &same);
      CU_ASSERT_EQUAL(status, k == other ? TW_OK : TW_ERR_MISMATCH);
      if (k != other) CU_ASSERT_TRUE(message_has(kinds[other].name) && message_has(kinds[k].maker));
    }
    if (!kinds[k].ranked) continue;
    CU_ASSERT_EQUAL(kinds[k].read(path, 0, &same), TW_ERR_MISMATCH);
    CU_ASSERT_TRUE(message_has("belongs to rank 1, but this is rank 0") && message_has(path));
  }
  tw_result_share r;
  CU_ASSERT_EQUAL(tw_result_share_read(in_folder("r.result.pX.h5"), -1, &r), TW_OK);  // the client reads both
  CU_ASSERT_EQUAL(r.rank, 1);
  tw_result_share_free(&r);
  for (int k = 0; k < KINDS; k++) {
    bool same;
    const char *path = in_folder(kinds[k].name);
    chmod(path, 0640);
    CU_ASSERT_EQUAL(kinds[k].read(path, 1, &same), kinds[k].secret ? TW_ERR_IO : TW_OK);
    if (kinds[k].secret) CU_ASSERT_TRUE(message_has("chmod 600") && message_has(path));
    unlink(path);
    CU_ASSERT_EQUAL(kinds[k].read(path, 1, &same), TW_ERR_IO);
    CU_ASSERT_TRUE(message_has(kinds[k].maker) && message_has("first") && message_has(path));
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    CU_ASSERT_EQUAL(write(fd, "plain text, not HDF5", 20), 20);
    close(fd);
    CU_ASSERT_EQUAL(kinds[k].read(path, 1, &same), TW_ERR_FORMAT);
    CU_ASSERT_TRUE(message_has("not an HDF5 file") && message_has(path));
    unlink(path);
    CU_ASSERT_EQUAL(kinds[k].read(folder, 1, &same), TW_ERR_IO);
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
  fresh(0);
  for (int k = 0; k < KINDS; k++) {
    const char *path = in_folder(kinds[k].name);
    CU_ASSERT_EQUAL(kinds[k].write(path), TW_OK);
    set_version(path, "2");
    CU_ASSERT_EQUAL(kinds[k].read(path, 0, &same), TW_ERR_FORMAT);
    CU_ASSERT_TRUE(message_has("version 2") && message_has(path));
    set_version(path, "1");
    CU_ASSERT_EQUAL(kinds[k].read(path, 0, &same), TW_OK);
    remove_attribute(path, "role");
    CU_ASSERT_EQUAL(kinds[k].read(path, 0, &same), TW_ERR_FORMAT);
    CU_ASSERT_TRUE(message_has("attribute role"));
    remove_attribute(path, "format");
    CU_ASSERT_EQUAL(kinds[k].read(path, 0, &same), TW_ERR_FORMAT);
    CU_ASSERT_TRUE(message_has("not written by twain"));
    unlink(path);
  }
}

static uint8_t *slurp(const char *path, size_t *bytes) {
  struct stat st;
  CU_ASSERT_EQUAL_FATAL(stat(path, &st), 0);
  *bytes = (size_t)st.st_size;
  uint8_t *data = random_bytes(*bytes);
  int fd = open(path, O_RDONLY);
  CU_ASSERT_EQUAL(read(fd, data, *bytes), (ssize_t)*bytes);
  close(fd);
  return data;
}

static void dump(const char *path, const uint8_t *data, size_t bytes) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  CU_ASSERT_EQUAL(write(fd, data, bytes), (ssize_t)bytes);
  close(fd);
}

// Whatever is cut or flipped: refused with a message that names the file, or without effect. Never a crash.
static void test_damage(void) {
  fresh(0);
  for (int k = 0; k < KINDS; k++) {
    const char *path = in_folder(kinds[k].name);
    size_t bytes;
    bool same;
    CU_ASSERT_EQUAL(kinds[k].write(path), TW_OK);
    uint8_t *data = slurp(path, &bytes);
    for (int turn = 0; turn < 25; turn++) {
      size_t left = turn < 4 ? (size_t)turn * 16 : turn == 4 ? bytes - 1 : randombytes_uniform((uint32_t)bytes);
      dump(path, data, left);
      CU_ASSERT_EQUAL(kinds[k].read(path, 0, &same), TW_ERR_FORMAT);
      CU_ASSERT_TRUE(message_has(path));
    }
    int refused = 0;
    for (int turn = 0; turn < 400; turn++) {
      size_t at = randombytes_uniform((uint32_t)bytes);
      uint8_t bit = (uint8_t)(1u << randombytes_uniform(8));
      data[at] ^= bit;
      dump(path, data, bytes);
      same = false;
      if (kinds[k].read(path, 0, &same) == TW_OK) {
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
    tw_free(data);
  }
}

static void place_of(const char *path, const char *name, uint64_t *offset, uint64_t *bytes) {
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), set = H5Dopen2(file, name, H5P_DEFAULT);
  *offset = H5Dget_offset(set);
  *bytes = H5Dget_storage_size(set);
  H5Dclose(set);
  H5Fclose(file);
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
  fresh(0);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    const char *path = in_folder(kinds[all[i].kind].name);
    uint64_t offset, bytes;
    size_t size;
    bool same;
    CU_ASSERT_EQUAL(kinds[all[i].kind].write(path), TW_OK);
    place_of(path, all[i].dataset, &offset, &bytes);
    uint8_t *data = slurp(path, &size);
    for (int turn = 0; turn < 20; turn++) {
      size_t at = offset + randombytes_uniform((uint32_t)bytes);
      data[at] ^= 0x10;
      dump(path, data, size);
      CU_ASSERT_EQUAL(kinds[all[i].kind].read(path, 0, &same), TW_ERR_FORMAT);
      CU_ASSERT_TRUE(message_has(all[i].dataset) && message_has("checksum"));
      data[at] ^= 0x10;
    }
    tw_free(data);
    unlink(path);
  }
}

static void test_not_finite(void) {
  fresh(0);
  tw_model_tensor *t = &model.tensors[TW_TENSORS_PER_LAYER - 6];  // layer.0.up.weight
  const char *path = in_folder("nan.h5");
  char place[100];
  size_t row = randombytes_uniform((uint32_t)t->rows), col = randombytes_uniform((uint32_t)t->cols);
  float *bad = &t->values[row * t->cols + col];
  snprintf(place, sizeof place, "tensor layer.0.up.weight: NaN at [%zu][%zu]", row, col);
  *bad = NAN;
  CU_ASSERT_EQUAL(tw_model_write(path, &model), TW_ERR_RANGE);
  CU_ASSERT_TRUE(message_has(place) && no_trace(path));
  *bad = -INFINITY;
  CU_ASSERT_EQUAL(tw_model_write(path, &model), TW_ERR_RANGE);
  CU_ASSERT_TRUE(message_has("Inf at") && no_trace(path));
  input.values[7] = NAN;
  CU_ASSERT_EQUAL(tw_input_write(path, &input), TW_ERR_RANGE);
  CU_ASSERT_TRUE(message_has("tensor values: NaN at [0][0][7]") && no_trace(path));
  result.values[23] = INFINITY;
  CU_ASSERT_EQUAL(tw_result_write(path, &result), TW_ERR_RANGE);
  CU_ASSERT_TRUE(message_has("Inf at [1][2][3]") && no_trace(path));
  client.beta[1] = NAN;
  CU_ASSERT_EQUAL(tw_client_write(path, &client), TW_ERR_RANGE);
  CU_ASSERT_TRUE(message_has("tensor beta: NaN at [1]") && no_trace(path));
}

// A file that is sound in all but the number: NaN put in by other software, with a fitting checksum.
static void test_foreign_nan(void) {
  const char *path = in_folder("foreign.h5");
  uint64_t offset, bytes;
  tw_model m;
  fresh(0);
  CU_ASSERT_EQUAL(tw_model_write(path, &model), TW_OK);
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
  tw_free(data);
  unlink(path);
}

static void test_shapes(void) {
  const char *path = in_folder("shape.h5");
  tw_model m;
  fresh(0);
  CU_ASSERT_EQUAL(tw_model_write(path, &model), TW_OK);
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
  model.tensors[3].cols--;
  CU_ASSERT_EQUAL(tw_model_write(path, &model), TW_ERR_INTERNAL);
  model.tensors[3].cols++;
  CU_ASSERT_TRUE(no_trace(path));

  result_share.mask[2] |= UINT64_C(1) << result_share.ring_bits;  // outside its ring
  bool same;
  CU_ASSERT_EQUAL(write_result_share(path), TW_OK);
  CU_ASSERT_EQUAL(read_result_share(path, 0, &same), TW_ERR_FORMAT);
  CU_ASSERT_TRUE(message_has("dataset mask") && message_has("37 bits"));
  unlink(path);
  CU_ASSERT_EQUAL(write_model(in_folder("no/such/folder/m.h5")), TW_ERR_IO);
  CU_ASSERT_TRUE(message_has("no/such/folder"));
}

static void test_synthetic_client(void) {
  const char *path = in_folder("synthetic.h5");
  tw_client c;
  fresh(0);
  char **vocabulary = client.vocabulary;
  client.vocabulary = NULL;
  CU_ASSERT_EQUAL(tw_client_write(path, &client), TW_ERR_INTERNAL);
  CU_ASSERT_TRUE(no_trace(path));
  client.config.synthetic = true;
  CU_ASSERT_EQUAL(tw_client_write(path, &client), TW_OK);
  CU_ASSERT_EQUAL(tw_client_read(path, &c), TW_OK);
  CU_ASSERT_TRUE(c.config.synthetic && !c.vocabulary);
  tw_client_free(&c);
  client.vocabulary = vocabulary;
  unlink(path);
}

static void test_canonical(void) {
  static const char *const names[] = {"layer.1.qkv.weight", "layer.1.qkv.bias",    "layer.1.out.weight",
                                      "layer.1.out.bias",   "layer.1.norm1.gamma", "layer.1.norm1.beta",
                                      "layer.1.up.weight",  "layer.1.up.bias",     "layer.1.down.weight",
                                      "layer.1.down.bias",  "layer.1.norm2.gamma", "layer.1.norm2.beta"};
  tw_model_config c = {.layers = 2, .hidden = 8, .intermediate = 32};
  size_t total = 0;
  for (int i = 0; i < TW_TENSORS_PER_LAYER; i++) {
    char name[48];
    size_t rows, cols;
    tw_model_tensor_shape(&c, 12 + i, name, &rows, &cols);
    CU_ASSERT_STRING_EQUAL(name, names[i]);
    total += rows * cols;
    bool bias = strstr(name, "bias"), matrix = strstr(name, "weight");
    CU_ASSERT_EQUAL(tw_model_tensor_scale(12 + i), bias ? 24 : 12);
    CU_ASSERT_EQUAL(rows > 1, matrix);
  }
  // A BERT layer: 4 h^2 + 2 h m weights, 9 h + m vector elements.
  CU_ASSERT_EQUAL(total, 4 * 64 + 2 * 8 * 32 + 9 * 8 + 32);
}

static int write_under_limit(const char *path, rlim_t bytes) {
  struct rlimit limit = {bytes, bytes};
  signal(SIGXFSZ, SIG_IGN);
  if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
  for (int k = 0; k < KINDS; k++)
    if (kinds[k].write(path) != TW_ERR_IO || !message_has("bytes needed") || !message_has(path)) return 2 + k;
  return 0;
}

static void test_limit(void) {
  const char *path = in_folder("limit.h5");
  fresh(0);
  for (int i = 0; i < 3; i++) {
    int state = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) _exit(write_under_limit(path, (rlim_t)i * 700));
    waitpid(child, &state, 0);
    CU_ASSERT_TRUE(WIFEXITED(state));
    CU_ASSERT_EQUAL(WEXITSTATUS(state), 0);
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
  fresh(0);
  snprintf(filler, sizeof filler, "%s/filler", mounted);
  snprintf(path, sizeof path, "%s/file.h5", mounted);
  int fd = open(filler, O_WRONLY | O_CREAT, 0600);
  CU_ASSERT_EQUAL(posix_fallocate(fd, 0, 64 * 1024), 0);
  close(fd);
  for (int k = 0; k < KINDS; k++) {
    tw_status status = kinds[k].write(path);
    CU_ASSERT_EQUAL(status, TW_ERR_IO);
    CU_ASSERT_TRUE(message_has("No space left") && message_has("the file needs") &&
                   message_has(" 0 bytes are free in") && message_has(path));
    CU_ASSERT_TRUE(no_trace(path));
  }
  unlink(filler);
  CU_ASSERT_EQUAL(write_result_share(path), TW_OK);
  bool same = false;
  CU_ASSERT_EQUAL(read_result_share(path, 0, &same), TW_OK);
  CU_ASSERT_TRUE(same);
  CU_ASSERT_EQUAL(umount(mounted), 0);
}

// What h5py makes of a result, compared with what was written; left out where h5py is missing.
static void test_h5py(void) {
  const char *python = system("python3 -c 'import h5py' 2>/dev/null") == 0            ? "python3"
                       : system("/usr/bin/python3 -c 'import h5py' 2>/dev/null") == 0 ? "/usr/bin/python3"
                                                                                      : NULL;
  if (!python) {
    printf("(not run: no h5py) ");
    return;
  }
  static const char script[] =
      "import sys, h5py, numpy as np\n"
      "d = sys.argv[1]\n"
      "with h5py.File(d + '/r.result.pX.h5') as f, open(d + '/dump', 'rb') as raw:\n"
      "    n = f['masked'].size\n"
      "    assert f['masked'].ndim == 3 and f['masked'].dtype == '<u8' and f['masked'].shape == f['mask'].shape\n"
      "    for name in ('masked', 'mask'):\n"
      "        assert (f[name][()].ravel() == np.frombuffer(raw.read(8 * n), '<u8')).all(), name\n"
      "    t = f['costs'][()]\n"
      "    lines = [l.split() for l in open(d + '/lines')]\n"
      "    assert len(t) == len(lines)\n"
      "    for row, l in zip(t, lines):\n"
      "        got = [row['layer'], row['correction_bytes'], row['sent_bytes'], row['rounds'], row['seconds']]\n"
      "        assert got == [int(x) for x in l[:4]] + [float.fromhex(l[4])], (got, l)\n"
      "        assert row['gate'].decode() == ' '.join(l[5:]), (row, l)\n"
      "    a = f.attrs\n"
      "    assert a['format'] == b'twain-result-share' and a['version'] == b'1' and a['role'] == b'result-share-0'\n"
      "    assert f['environment'].attrs['mpi'] == b'some MPI 4.1'\n"
      "with h5py.File(d + '/m.client.h5') as f, open(d + '/words', 'rb') as raw:\n"
      "    assert [w for w in f['vocabulary'][()]] == raw.read().split(b'\\n')[:-1]\n"
      "    assert f['vocabulary'].asstr()[0] is not None\n";
  char command[700];
  fresh(0);
  CU_ASSERT_EQUAL(write_result_share(in_folder("r.result.pX.h5")), TW_OK);
  CU_ASSERT_EQUAL(write_client(in_folder("m.client.h5")), TW_OK);
  const tw_result_share *r = &result_share;
  size_t n = (size_t)r->count * r->rows * r->cols;
  FILE *file = fopen(in_folder("dump"), "w");
  CU_ASSERT_TRUE(fwrite(r->masked, 8, n, file) == n && fwrite(r->mask, 8, n, file) == n);
  fclose(file);
  file = fopen(in_folder("lines"), "w");
  for (int i = 0; i < r->row_count; i++) {
    const tw_cost_row *c = &r->rows_table[i];
    fprintf(file, "%d %llu %llu %llu %a %s\n", c->layer, (unsigned long long)c->correction_bytes,
            (unsigned long long)c->sent_bytes, (unsigned long long)c->rounds, c->seconds, c->gate);
  }
  fclose(file);
  file = fopen(in_folder("words"), "w");
  for (int i = 0; i < client.config.vocab; i++) fprintf(file, "%s\n", client.vocabulary[i]);
  fclose(file);
  file = fopen(in_folder("script.py"), "w");
  fputs(script, file);
  fclose(file);
  snprintf(command, sizeof command, "%s %s %s", python, in_folder("script.py"), folder);
  CU_ASSERT_EQUAL(system(command), 0);
  unlink(in_folder("r.result.pX.h5"));
  unlink(in_folder("m.client.h5"));
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
  CU_ASSERT_TRUE(e.mpi[0] == '\0' && e.isa[0] == '\0' && e.ranks_share_host == 0);
  unsetenv("SLURM_JOB_ID");
  setenv("PBS_JOBID", "77.server", 1);
  tw_environment_collect(&e);
  CU_ASSERT_STRING_EQUAL(e.job, "77.server");
  unsetenv("PBS_JOBID");
}

static int set_up(void) {
  strcpy(folder, "/tmp/twain-test-files-XXXXXX");
  return sodium_init() < 0 || !mkdtemp(folder);
}

static int tear_down(void) {
  char command[100];
  free_samples();
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command) == 0 ? 0 : 1;
}

int main(void) {
  if (CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("files", set_up, tear_down);
  if (!suite) return 2;
  CU_add_test(suite, "round trips, never over an existing file", test_round_trips);
  CU_add_test(suite, "wrong, missing, foreign, open to others", test_wrong_files);
  CU_add_test(suite, "other versions, missing attributes", test_other_versions);
  CU_add_test(suite, "truncated and flipped anywhere", test_damage);
  CU_add_test(suite, "flipped in each dataset", test_flipped_datasets);
  CU_add_test(suite, "NaN and Inf when writing", test_not_finite);
  CU_add_test(suite, "NaN when reading", test_foreign_nan);
  CU_add_test(suite, "wrong shapes and rings", test_shapes);
  CU_add_test(suite, "a client without vocabulary", test_synthetic_client);
  CU_add_test(suite, "canonical tensors", test_canonical);
  CU_add_test(suite, "a limit on file sizes", test_limit);
  CU_add_test(suite, "a full disk", test_full_disk);
  CU_add_test(suite, "read by h5py", test_h5py);
  CU_add_test(suite, "environment", test_environment);
  CU_basic_set_mode(CU_BRM_VERBOSE);
  CU_basic_run_tests();
  int bad = CU_get_number_of_failures() != 0 || CU_get_number_of_suites_failed() != 0;
  CU_cleanup_registry();
  return bad;
}
