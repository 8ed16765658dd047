// Synthetic models, and encoding of inputs.
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "jobs/models/encode.h"
#include "jobs/models/import.h"
#include "tests/common/suite.h"
#include "tests/vectors/load.h"

// ---- synthetic models

static void shape_names(void) {
  tw_model_config c;
  CU_ASSERT_EQUAL(tw_shape_config("bert-base", &c), TW_OK);
  CU_ASSERT_TRUE(c.layers == 12 && c.hidden == 768 && c.heads == 12 && c.intermediate == 3072 && c.synthetic);
  CU_ASSERT_EQUAL(tw_shape_config("minilm", &c), TW_OK);
  CU_ASSERT_TRUE(c.layers == 6 && c.hidden == 384 && c.heads == 12 && c.intermediate == 1536);
  CU_ASSERT_EQUAL(tw_shape_config("3x48x6x100", &c), TW_OK);
  CU_ASSERT_TRUE(c.layers == 3 && c.hidden == 48 && c.heads == 6 && c.intermediate == 100 && c.max_positions == 512);
  static const char *const wrong[] = {"", "bert", "3x48x6", "3x48x6x100x", "3x48x6x100 ", "axbxcxd"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    CU_ASSERT_EQUAL(tw_shape_config(wrong[i], &c), TW_ERR_USAGE);
  CU_ASSERT_EQUAL(tw_shape_config("3x48x7x100", &c), TW_ERR_FORMAT);
  CU_ASSERT_EQUAL(tw_shape_config("-3x48x6x100", &c), TW_ERR_FORMAT);
}

static void moments(const float *values, size_t n, double mean, double deviation) {
  double sum = 0, square = 0, fourth = 0;
  for (size_t i = 0; i < n; i++) sum += values[i];
  for (size_t i = 0; i < n; i++) square += pow(values[i] - mean, 2), fourth += pow(values[i] - mean, 4);
  double variance = square / (double)n, slack = 6 / sqrt((double)n);
  CU_ASSERT_DOUBLE_EQUAL(sum / (double)n, mean, slack * deviation);
  CU_ASSERT_DOUBLE_EQUAL(sqrt(variance) / deviation, 1, slack);
  CU_ASSERT_DOUBLE_EQUAL(fourth / (double)n / (variance * variance), 3, 12 * slack);  // normal: kurtosis 3
}

static void synthetic_weights(void) {
  tw_model a, b;
  tw_client client, again;
  CU_ASSERT_EQUAL_FATAL(tw_import_synthetic("2x192x4x300", &a, &client), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_import_synthetic("2x192x4x300", &b, &again), TW_OK);
  CU_ASSERT_TRUE(a.config.synthetic && client.config.synthetic && !client.vocabulary);
  for (int i = 0; i < a.count; i++)
    CU_ASSERT_EQUAL(
        memcmp(a.tensors[i].values, b.tensors[i].values, a.tensors[i].rows * a.tensors[i].cols * sizeof(float)), 0);
  CU_ASSERT_EQUAL(memcmp(client.word, again.word, 30522 * 192 * sizeof(float)), 0);
  moments(a.tensors[2].values, 192 * 192, 0, 0.08);
  moments(a.tensors[6].values, 192 * 300, 0, 0.08);
  moments(a.tensors[4].values, 192, 0.8, 0.1);
  moments(a.tensors[5].values, 192, 0, 0.1);
  moments(a.tensors[7].values, 300, 0, 0.05);
  for (int part = 0; part < 3; part++) {
    float column[192 * 192];
    for (size_t i = 0; i < 192 * 192; i++) column[i] = a.tensors[0].values[i / 192 * 576 + part * 192 + i % 192];
    moments(column, 192 * 192, 0, part < 2 ? 1.6 * 0.08 : 0.08);
  }
  CU_ASSERT_NOT_EQUAL(memcmp(a.tensors[0].values, a.tensors[12].values, 1024), 0);  // layers differ
  tw_model_free(&a);
  tw_model_free(&b);
  tw_client_free(&client);
  tw_client_free(&again);
}

// ---- encoding

static void encoded_rows(const tw_client *client, const tw_input *in) {
  size_t hidden = (size_t)in->hidden;
  double worst = 0;
  for (int s = 0; s < in->count; s++)
    for (int i = 0; i < in->seq; i++) {
      int token = in->tokens[s * in->seq + i];
      CU_ASSERT_TRUE(token >= 0 && token < client->config.vocab && (i < in->lengths[s] || token == 0));
      double sum = 0, square = 0, row[256];
      for (size_t c = 0; c < hidden; c++) {
        row[c] = (double)client->word[(size_t)token * hidden + c] + client->position[(size_t)i * hidden + c] +
                 client->type[c];
        sum += row[c] / (double)hidden;
      }
      for (size_t c = 0; c < hidden; c++) square += pow(row[c] - sum, 2) / (double)hidden;
      for (size_t c = 0; c < hidden; c++) {
        double wanted =
            (row[c] - sum) / sqrt(square + client->config.norm_epsilon) * client->gamma[c] + client->beta[c];
        worst = fmax(worst, fabs(wanted - in->values[((size_t)s * in->seq + i) * hidden + c]));
      }
    }
  CU_ASSERT_TRUE(worst < 2e-6);
}

static void encode_texts(void) {
  tw_model model;
  tw_client client;
  tw_input in;
  CU_ASSERT_EQUAL_FATAL(tw_import_folder(vector_path("tiny-bert/f32"), &model, &client), TW_OK);
  const char *texts[] = {"The cat sat.", "Bad dog ran on the mat!", ""};
  CU_ASSERT_EQUAL_FATAL(tw_encode(&client, texts, 3, 12, &in), TW_OK);
  static const int wanted[] = {2, 45, 46, 47, 53, 3, 0}, lengths[] = {6, 11, 2};
  CU_ASSERT_EQUAL(memcmp(in.tokens, wanted, sizeof wanted), 0);
  CU_ASSERT_EQUAL(memcmp(in.lengths, lengths, sizeof lengths), 0);
  CU_ASSERT_STRING_EQUAL(in.texts[1], texts[1]);
  encoded_rows(&client, &in);
  const int *ids[] = {in.tokens, in.tokens + 12};
  tw_input same;
  CU_ASSERT_EQUAL_FATAL(tw_encode_ids(&client, NULL, ids, lengths, 2, 12, &same), TW_OK);
  CU_ASSERT_PTR_NULL(same.values);
  CU_ASSERT_EQUAL_FATAL(tw_encode_rows(&client, &same), TW_OK);
  CU_ASSERT_EQUAL(memcmp(in.values, same.values, 2 * 12 * 32 * sizeof(float)), 0);
  CU_ASSERT_STRING_EQUAL(same.texts[0], "2 45 46 47 53 3");
  CU_ASSERT_STRING_NOT_EQUAL(same.input_id.hex, in.input_id.hex);
  tw_input_free(&in);
  tw_input_free(&same);
  tw_model_free(&model);
  tw_client_free(&client);
}

// Two sequences of `first` values, padded to `all` by zeros, and one of `all`; wanted: [3][all].
static void read_by_sequence(const char *path, const float *wanted, size_t first, size_t all) {
  tw_input_reader *rows;
  tw_input opened;
  float one[12 * 32], none[4 * 32] = {0};
  CU_ASSERT_EQUAL_FATAL(tw_input_open(path, &opened, &rows), TW_OK);
  for (size_t i = 0; i < 3; i++) {
    memset(one, 0xff, sizeof one);
    CU_ASSERT_EQUAL(tw_input_next(rows, one), TW_OK);
    CU_ASSERT_EQUAL(memcmp(one, wanted + i * all, (i < 2 ? first : all) * sizeof(float)), 0);
    CU_ASSERT(i == 2 || memcmp(one + first, none, sizeof none) == 0);
  }
  CU_ASSERT_EQUAL(tw_input_next(rows, one), TW_ERR_INTERNAL);
  tw_input_reader_free(rows);
  tw_input_free(&opened);
}

// Rows of a sequence at a time make the same file.
static void written_rows(void) {
  tw_model model;
  tw_client client;
  tw_input in, back;
  char path[64];
  CU_ASSERT_EQUAL_FATAL(tw_import_folder(vector_path("tiny-bert/f32"), &model, &client), TW_OK);
  const tw_text texts[] = {{.first = "The cat sat."}, {.first = "the dog", .second = "ran"}, {.first = ""}};
  CU_ASSERT_EQUAL_FATAL(tw_encode_texts(&client, NULL, texts, 3, 12, false, NULL, &in), TW_OK);
  CU_ASSERT(in.types && !in.values && in.hidden == 32);
  snprintf(path, sizeof path, "/tmp/twain-encode-%d.h5", (int)getpid());
  CU_ASSERT_EQUAL(tw_input_write(path, &in), TW_ERR_INTERNAL);
  CU_ASSERT_EQUAL_FATAL(tw_encode_write(path, &client, &in), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_input_read(path, &back), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_encode_rows(&client, &in), TW_OK);
  CU_ASSERT_EQUAL(memcmp(in.values, back.values, 3 * 12 * 32 * sizeof(float)), 0);
  CU_ASSERT_EQUAL(memcmp(in.types, back.types, 3 * 12 * sizeof(int)), 0);
  CU_ASSERT_STRING_EQUAL(in.input_id.hex, back.input_id.hex);
  CU_ASSERT_EQUAL(tw_encode_write(path, &client, &in), TW_ERR_IO);  // it is there
  CU_ASSERT_EQUAL(unlink(path), 0);
  // of several lengths, only the rows that a sequence's own program takes are in the file
  const int seqs[] = {8, 8, 12};
  size_t first = 8 * 32, all = 12 * 32;
  tw_input_free(&back);
  CU_ASSERT_EQUAL_FATAL(tw_alloc(sizeof seqs, (void **)&in.seqs), TW_OK);
  memcpy(in.seqs, seqs, sizeof seqs);
  CU_ASSERT_EQUAL_FATAL(tw_encode_write(path, &client, &in), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_input_read(path, &back), TW_OK);
  CU_ASSERT_EQUAL(tw_input_rows(&back), 28);
  CU_ASSERT_EQUAL(memcmp(tw_input_values(&back, 0), in.values, first * sizeof(float)), 0);
  CU_ASSERT_EQUAL(memcmp(tw_input_values(&back, 1), in.values + all, first * sizeof(float)), 0);
  CU_ASSERT_EQUAL(memcmp(tw_input_values(&back, 2), in.values + 2 * all, all * sizeof(float)), 0);
  read_by_sequence(path, in.values, first, all);
  tw_free(in.values);
  in.values = NULL;
  CU_ASSERT_EQUAL_FATAL(tw_encode_rows(&client, &in), TW_OK);
  CU_ASSERT_EQUAL(memcmp(in.values, back.values, 28 * 32 * sizeof(float)), 0);
  CU_ASSERT_EQUAL(unlink(path), 0);
  CU_ASSERT_EQUAL_FATAL(tw_input_write(path, &in), TW_OK);
  tw_input_free(&back);
  CU_ASSERT_EQUAL_FATAL(tw_input_read(path, &back), TW_OK);
  CU_ASSERT_EQUAL(memcmp(in.values, back.values, 28 * 32 * sizeof(float)), 0);
  CU_ASSERT_EQUAL(unlink(path), 0);
  client.word[45 * 32] = NAN;
  CU_ASSERT_EQUAL(tw_encode_write(path, &client, &in), TW_ERR_RANGE);
  CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
  tw_input_free(&in);
  tw_input_free(&back);
  tw_model_free(&model);
  tw_client_free(&client);
}

static void refused_input(tw_status status, tw_status wanted, const char *one, const char *two) {
  CU_ASSERT_EQUAL(status, wanted);
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), one));
  CU_ASSERT_PTR_NOT_NULL(strstr(tw_error_message(), two));
}

static void refused_inputs(void) {
  tw_model model;
  tw_client client;
  tw_input in;
  CU_ASSERT_EQUAL_FATAL(tw_import_folder(vector_path("tiny-bert/f32"), &model, &client), TW_OK);
  const char *texts[] = {"the cat", "the cat sat on the mat."};
  refused_input(tw_encode(&client, texts, 2, 8, &in), TW_ERR_RANGE, "text 2 has 9 tokens", "--seq 9");
  refused_input(tw_encode(&client, texts, 2, 25, &in), TW_ERR_RANGE, "25", "1 .. 24");
  refused_input(tw_encode(&client, texts, 0, 8, &in), TW_ERR_USAGE, "no text", "");
  texts[1] = "the c\xe4t";
  refused_input(tw_encode(&client, texts, 2, 8, &in), TW_ERR_FORMAT, "text 2", "byte 5");
  const int good[] = {2, 59, 3}, high[] = {2, 60, 3}, low[] = {2, 5, -1}, lengths[] = {3, 3}, none[] = {3, 0};
  refused_input(tw_encode_ids(&client, NULL, (const int *[]){good, high}, lengths, 2, 8, &in), TW_ERR_RANGE, "text 2",
                "60 at position 1");
  refused_input(tw_encode_ids(&client, NULL, (const int *[]){low, good}, lengths, 2, 8, &in), TW_ERR_RANGE, "text 1",
                "-1 at position 2");
  refused_input(tw_encode_ids(&client, NULL, (const int *[]){good, good}, none, 2, 8, &in), TW_ERR_RANGE, "text 2",
                "no tokens");
  refused_input(tw_encode_ids(&client, NULL, (const int *[]){good, good}, lengths, 2, 2, &in), TW_ERR_RANGE, "text 1",
                "3 tokens");
  tw_model_free(&model);
  tw_client_free(&client);
}

static void encode_synthetic(void) {
  tw_model model;
  tw_client client;
  tw_input in;
  CU_ASSERT_EQUAL_FATAL(tw_import_synthetic("1x16x2x8", &model, &client), TW_OK);
  const char *texts[] = {"any words at all, really"};
  CU_ASSERT_EQUAL_FATAL(tw_encode(&client, texts, 1, 10, &in), TW_OK);
  CU_ASSERT_EQUAL(in.lengths[0], 8);
  encoded_rows(&client, &in);
  tw_input_free(&in);
  tw_model_free(&model);
  tw_client_free(&client);
}

int main(void) {
  if (sodium_init() < 0) return 2;
  static const suite_test tests[] = {{"names of shapes", shape_names},
                                     {"synthetic weights", synthetic_weights},
                                     {"texts", encode_texts},
                                     {"rows, a sequence at a time", written_rows},
                                     {"refused inputs", refused_inputs},
                                     {"without a vocabulary", encode_synthetic}};
  return suite_run("encode", tests, sizeof tests / sizeof *tests);
}
