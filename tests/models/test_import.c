// Import of Hugging Face folders, sound and damaged.
#define _GNU_SOURCE
#include <CUnit/Basic.h>
#include <ftw.h>
#include <math.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/safetensors.h"
#include "jobs/models/import.h"
#include "tests/common/suite.h"
#include "tests/vectors/load.h"

// ---- a scratch copy of a tiny model, to be damaged

static char scratch[] = "import-test-XXXXXX";

static void must(bool ok, const char *what) {
  if (ok) return;
  perror(what);
  exit(1);
}

static unsigned char *slurp(const char *path, size_t *bytes) {
  FILE *f = fopen(path, "rb");
  must(f, path);
  unsigned char *data = malloc(1 << 20);
  *bytes = fread(data, 1, 1 << 20, f);
  fclose(f);
  return data;
}

static void spill(const char *path, const void *data, size_t bytes) {
  FILE *f = fopen(path, "wb");
  must(f && fwrite(data, 1, bytes, f) == bytes, path);
  fclose(f);
}

static const char *in_scratch(const char *file) {
  static char path[2][256];
  static int turn;
  turn = !turn;
  snprintf(path[turn], sizeof path[turn], "%s/%s", scratch, file);
  return path[turn];
}

static const char *const names[] = {"config.json",
                                    "tokenizer_config.json",
                                    "modules.json",
                                    "vocab.txt",
                                    "model.safetensors",
                                    "model.safetensors.index.json",
                                    "model-00001-of-00002.safetensors",
                                    "model-00002-of-00002.safetensors",
                                    "1_Pooling/config.json"};

static void fresh_copy(const char *kind) {
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char file[128];
    snprintf(file, sizeof file, "tiny-bert/%s/%s", kind, names[i]);
    unlink(in_scratch(names[i]));
    if (access(vector_path(file), F_OK) != 0) continue;
    size_t bytes;
    unsigned char *data = slurp(vector_path(file), &bytes);
    spill(in_scratch(names[i]), data, bytes);
    free(data);
  }
}

static tw_status import_scratch(void) {
  tw_model model;
  tw_client client;
  tw_status status = tw_import_folder(scratch, &model, &client);
  if (status == TW_OK) {
    tw_model_free(&model);
    tw_client_free(&client);
  }
  return status;
}

// The import fails with this status, and its message has both texts.
static void refused(tw_status wanted, const char *one, const char *two) {
  tw_status status = import_scratch();
  bool said = strstr(tw_error_message(), one) && strstr(tw_error_message(), two);
  if (status != wanted || !said)
    fprintf(stderr, "\nwanted status %d and '%s', '%s'; got %d: %s", wanted, one, two, status, tw_error_message());
  CU_ASSERT_EQUAL(status, wanted);
  CU_ASSERT_TRUE(said);
}

// Replace the first occurrence of `from` by `to` in a text file.
static void edit(const char *file, const char *from, const char *to) {
  size_t bytes;
  char *text = (char *)slurp(in_scratch(file), &bytes), *at = memmem(text, bytes, from, strlen(from));
  must(at, from);
  char *edited = malloc(bytes + strlen(to) + 1);
  size_t before = (size_t)(at - text), after = bytes - before - strlen(from);
  memcpy(edited, text, before);
  memcpy(edited + before, to, strlen(to));
  memcpy(edited + before + strlen(to), at + strlen(from), after);
  spill(in_scratch(file), edited, before + strlen(to) + after);
  free(text);
  free(edited);
}

// ---- sound folders

static void same_but_for_rounding(const tw_model *a, const tw_model *b, double relative) {
  double worst = 0, changed = 0;
  CU_ASSERT_EQUAL_FATAL(a->count, b->count);
  for (int i = 0; i < a->count; i++)
    for (size_t j = 0; j < a->tensors[i].rows * a->tensors[i].cols; j++) {
      double x = a->tensors[i].values[j], y = b->tensors[i].values[j];
      worst = fmax(worst, fabs(x - y) - relative * fabs(x));
      changed += x != y;
    }
  CU_ASSERT_TRUE(worst < 1e-7);
  CU_ASSERT_TRUE(changed > 1000);
}

static void three_types(void) {
  static const char *const kinds[] = {"f32", "f16", "bf16"};
  tw_model model[3];
  tw_client client[3];
  for (int i = 0; i < 3; i++) {
    char folder[64];
    snprintf(folder, sizeof folder, "tiny-bert/%s", kinds[i]);
    CU_ASSERT_EQUAL_FATAL(tw_import_folder(vector_path(folder), &model[i], &client[i]), TW_OK);
    const tw_model_config *c = &model[i].config;
    CU_ASSERT_STRING_EQUAL(c->name, kinds[i]);
    CU_ASSERT_TRUE(c->layers == 2 && c->hidden == 32 && c->heads == 4 && c->intermediate == 96 &&
                   c->max_positions == 24 && c->vocab == 60 && c->type_vocab == 2 && c->norm_epsilon == 1e-12);
    CU_ASSERT_TRUE(!c->pre_norm && !c->causal && !c->synthetic);
    CU_ASSERT_EQUAL(strlen(model[i].source.hex), 64);
    CU_ASSERT_STRING_EQUAL(client[i].vocabulary[45], "the");
    CU_ASSERT_EQUAL(c->normalise_output, i == 0);
    CU_ASSERT_EQUAL(c->output, i == 0 ? TW_OUTPUT_POOLED : TW_OUTPUT_TOKENS);
    CU_ASSERT_EQUAL(client[i].rules.normaliser.lower_case, i != 1);
  }
  CU_ASSERT_STRING_NOT_EQUAL(model[0].source.hex, model[1].source.hex);
  same_but_for_rounding(&model[0], &model[1], 0x1p-11);
  same_but_for_rounding(&model[0], &model[2], 0x1p-8);
  for (int i = 0; i < 3; i++) {
    tw_model_free(&model[i]);
    tw_client_free(&client[i]);
  }
}

// Every half: the known values, and all finite ones against the formula sign * (1 + f/1024) * 2^(e-15).
static void replace_all(char *data, size_t bytes, const char *from, const char *to) {
  for (char *at = data; (at = memmem(at, bytes - (size_t)(at - data), from, strlen(from))); at++)
    memcpy(at, to, strlen(to));
}

// Old checkpoints call the parameters of norms gamma and beta, some only one of them.
static void old_names(void) {
  static const char *const renamed[][2] = {{"LayerNorm.weight\"", "LayerNorm.gamma\" "},
                                           {"LayerNorm.bias\"", "LayerNorm.beta\""}};
  tw_model now, old;
  tw_client client;
  fresh_copy("f32");
  CU_ASSERT_EQUAL_FATAL(tw_import_folder(scratch, &now, &client), TW_OK);
  tw_client_free(&client);
  for (int i = 0; i < 2; i++) {
    size_t bytes;
    char *data = (char *)slurp(in_scratch("model.safetensors"), &bytes);
    replace_all(data, bytes, renamed[i][0], renamed[i][1]);
    spill(in_scratch("model.safetensors"), data, bytes);
    CU_ASSERT_PTR_NOT_NULL(memmem(data, bytes, renamed[i][1], strlen(renamed[i][1])));
    free(data);
    CU_ASSERT_EQUAL_FATAL(tw_import_folder(scratch, &old, &client), TW_OK);
    CU_ASSERT_EQUAL_FATAL(old.count, now.count);
    for (int t = 0; t < now.count; t++)
      CU_ASSERT_EQUAL(memcmp(old.tensors[t].values, now.tensors[t].values,
                             now.tensors[t].rows * now.tensors[t].cols * sizeof(float)),
                      0);
    tw_model_free(&old);
    tw_client_free(&client);
  }
  tw_model_free(&now);
}

static void half_floats(void) {
  enum { N = 1 << 16 };
  const char *header = "{\"h\":{\"dtype\":\"F16\",\"shape\":[65536],\"data_offsets\":[0,131072]}}";
  size_t length = strlen(header);
  unsigned char *file = calloc(1, 8 + length + 2 * N);
  file[0] = (unsigned char)length;
  memcpy(file + 8, header, length);
  for (uint32_t i = 0; i < N; i++) {
    uint32_t bits = (i & 0x7c00) == 0x7c00 ? 0 : i;
    file[8 + length + 2 * i] = (unsigned char)bits;
    file[8 + length + 2 * i + 1] = (unsigned char)(bits >> 8);
  }
  fresh_copy("f32");
  spill(in_scratch("model.safetensors"), file, 8 + length + 2 * N);
  tw_safetensors *st;
  float *values = malloc(N * sizeof *values);
  CU_ASSERT_EQUAL_FATAL(tw_safetensors_open(scratch, &st), TW_OK);
  CU_ASSERT_EQUAL(tw_safetensors_read(st, "h", 1, N, values), TW_OK);
  int wrong = 0;
  for (int i = 0; i < N; i++) {
    int e = i >> 10 & 31, f = i & 1023;
    double wanted = e == 31 ? 0 : e ? ldexp(1024 + f, e - 25) : ldexp(f, -24);
    wrong += values[i] != (float)(i & 0x8000 ? -wanted : wanted);
  }
  CU_ASSERT_EQUAL(wrong, 0);
  CU_ASSERT_EQUAL(values[0x3c00], 1.0f);
  CU_ASSERT_EQUAL(values[0xfbff], -65504.0f);
  tw_safetensors_close(st);
  free(values);
  free(file);
}

// ---- damaged folders

static void damaged_config(void) {
  static const struct {
    const char *from, *to, *message;
  } cases[] = {
      {"\"bert\"", "\"mpnet\"", "model_type is \"mpnet\""},
      {"\"gelu\"", "\"gelu_10\"", "hidden_act is \"gelu_10\""},
      {"\"absolute\"", "\"alibi\"", "position_embedding_type"},
      {"\"num_attention_heads\": 4", "\"num_attention_heads\": 5", "5 heads do not divide"},
      {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": -2", "num_hidden_layers"},
      {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 2.5", "num_hidden_layers"},
      {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "encoder.layer.2.attention.self.query.weight"},
      {"\"hidden_size\": 32", "\"hidden_size\": 64", "encoder.layer.0.attention.self.query.weight has shape [32 x 32]"},
      {"\"vocab_size\": 60", "\"vocab_size\": 61", "embeddings.word_embeddings.weight has shape"},
      {"\"vocab_size\": 60", "\"vocab_size\": 99999999999", "vocab_size"},
      {"\"max_position_embeddings\": 24,", "", "position_embeddings.weight has shape [24 x 32]"},
      {"\"layer_norm_eps\": 1e-12", "\"layer_norm_eps\": -1", "layer_norm_eps"},
      {"{", "{\"is_decoder\": true,", "is_decoder"},
      {"{", "[", "config.json"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    fresh_copy("f32");
    edit("config.json", cases[i].from, cases[i].to);
    refused(TW_ERR_FORMAT, cases[i].message, scratch);
  }
}

static void damaged_neighbours(void) {
  static const struct {
    const char *file, *from, *to, *message;
  } cases[] = {
      {"tokenizer_config.json", "{", "{\"strip_accents\": \"no\",", "strip_accents"},
      {"tokenizer_config.json", "{", "{\"tokenize_chinese_chars\": 0,", "tokenize_chinese_chars"},
      {"tokenizer_config.json", "{", "{\"tokenizer_class\": \"BertJapaneseTokenizer\",", "BertJapaneseTokenizer"},
      {"modules.json", ".Normalize", ".LSTM", "LSTM"},
      {"vocab.txt", "the\n", "the\nmore\n", "61 pieces, more than the 60"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    fresh_copy("f32");
    edit(cases[i].file, cases[i].from, cases[i].to);
    refused(TW_ERR_FORMAT, cases[i].message, cases[i].file);
  }
  for (size_t i = 0; i < 5; i += i ? 1 : 3) {  // config.json, vocab.txt, model.safetensors
    fresh_copy("f32");
    unlink(in_scratch(names[i]));
    refused(TW_ERR_IO, names[i], scratch);
  }
}

// Keep the header's length true after an edit.
static void lengthen_header(int more) {
  size_t bytes;
  unsigned char *data = slurp(in_scratch("model.safetensors"), &bytes);
  int length = (data[0] | data[1] << 8) + more;
  data[0] = (unsigned char)length;
  data[1] = (unsigned char)(length >> 8);
  spill(in_scratch("model.safetensors"), data, bytes);
  free(data);
}

static void damaged_header(void) {
  static const struct {
    const char *from, *to, *message;
  } cases[] = {{"\"F32\"", "\"F33\"", "unknown dtype F33"},
               {"\"F32\"", "\"F16\"", "do not fit its shape"},
               {"[32,32]", "[32,31]", "do not fit its shape"},
               {"[32,32]", "[-2,32]", "impossible size"},
               {"[32,32]", "\"1,234\"", "shape is not a list"},
               {"[0,128]", "[0,999999]", "lie outside"},
               {"\"data_offsets\"", "\"date_offsets\"", "not a pair"},
               {"\"dtype\"", "\"ttype\"", "no dtype"},
               {"encoder.layer.1.output.dense.bias", "encoder.layer.0.output.dense.bias", "duplicate"},
               {"encoder.layer.1.output.dense.bias", "encoder.layer.1.output.dense.bios",
                "encoder.layer.1.output.dense.bias is missing"},
               {"{", " ", "not a JSON object"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    fresh_copy("f32");
    edit("model.safetensors", cases[i].from, cases[i].to);
    lengthen_header((int)strlen(cases[i].to) - (int)strlen(cases[i].from));
    refused(TW_ERR_FORMAT, cases[i].message, "model.safetensors");
  }
}

static void damaged_bytes(void) {
  size_t bytes;
  unsigned char *data;
  for (int where = 0; where < 4; where++) {  // cut short anywhere
    fresh_copy("f32");
    data = slurp(in_scratch("model.safetensors"), &bytes);
    size_t kept = (size_t[]){0, 7, 8 + randombytes_uniform(1000), bytes - 1 - randombytes_uniform(1000)}[where];
    spill(in_scratch("model.safetensors"), data, kept);
    refused(TW_ERR_FORMAT, "model.safetensors", scratch);
    free(data);
  }
  for (int top = 0; top < 2; top++) {  // a header length beyond the file, and one that overflows
    fresh_copy("f32");
    data = slurp(in_scratch("model.safetensors"), &bytes);
    data[top ? 7 : 3] = 0xff;
    spill(in_scratch("model.safetensors"), data, bytes);
    refused(TW_ERR_FORMAT, "header length", "model.safetensors");
    free(data);
  }
}

// The last tensor's last element becomes NaN or Inf, in each type.
static void not_finite(void) {
  static const struct {
    const char *kind, *file, *message;
    unsigned char bytes[4];
    int count;
  } cases[] = {{"f32", "model.safetensors", "NaN", {1, 0, 0xc0, 0x7f}, 4},
               {"f32", "model.safetensors", "Inf", {0, 0, 0x80, 0xff}, 4},
               {"f16", "model.safetensors", "NaN", {1, 0x7c}, 2},
               {"f16", "model.safetensors", "Inf", {0, 0xfc}, 2},
               {"bf16", "model-00002-of-00002.safetensors", "NaN", {0xc0, 0x7f}, 2},
               {"bf16", "model-00002-of-00002.safetensors", "Inf", {0x80, 0xff}, 2}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    fresh_copy(cases[i].kind);
    size_t bytes, count = (size_t)cases[i].count;
    unsigned char *data = slurp(in_scratch(cases[i].file), &bytes);
    memcpy(data + bytes - count, cases[i].bytes, count);
    spill(in_scratch(cases[i].file), data, bytes);
    refused(TW_ERR_FORMAT, cases[i].message, "encoder.layer.");
    free(data);
  }
}

static void damaged_shards(void) {
  const char *index = "model.safetensors.index.json";
  fresh_copy("bf16");
  CU_ASSERT_EQUAL(import_scratch(), TW_OK);
  unlink(in_scratch("model-00001-of-00002.safetensors"));
  refused(TW_ERR_IO, "model-00001-of-00002.safetensors", scratch);
  fresh_copy("bf16");
  edit(index, "model-00001", "../model-00001");
  refused(TW_ERR_FORMAT, "not a plain file name", index);
  fresh_copy("bf16");
  edit(index, "model-00001", "model-00002");
  refused(TW_ERR_FORMAT, "is not in model-00002", index);
  fresh_copy("bf16");
  edit(index, "weight_map", "weight_mop");
  refused(TW_ERR_FORMAT, "no weight_map", index);
  fresh_copy("bf16");
  size_t bytes;
  unsigned char *data = slurp(in_scratch("model-00001-of-00002.safetensors"), &bytes);
  spill(in_scratch("model-00002-of-00002.safetensors"), data, bytes);
  free(data);
  refused(TW_ERR_FORMAT, "is in both", scratch);
}

// Random bytes overwritten in the header: refused or read, never more than that (run under the sanitizers).
static void random_damage(void) {
  fresh_copy("f32");
  size_t bytes;
  unsigned char *data = slurp(in_scratch("model.safetensors"), &bytes);
  size_t header = data[0] | (size_t)data[1] << 8;
  int failed = 0;
  for (int round = 0; round < 300; round++) {
    unsigned char *copy = malloc(bytes);
    memcpy(copy, data, bytes);
    for (uint32_t i = 1 + randombytes_uniform(4); i > 0; i--) {
      size_t at = randombytes_uniform((uint32_t)header + 8);
      copy[at] =
          (unsigned char)(randombytes_uniform(2) ? copy[at] ^ 1u << randombytes_uniform(4) : randombytes_random());
    }
    spill(in_scratch("model.safetensors"), copy, bytes);
    failed += import_scratch() != TW_OK;
    free(copy);
  }
  CU_ASSERT_TRUE(failed > 150);
  free(data);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk) {
  (void)st, (void)type, (void)walk;
  return remove(path);
}

int main(void) {
  if (sodium_init() < 0 || CU_initialize_registry() != CUE_SUCCESS) return 1;
  must(mkdtemp(scratch) && mkdir(in_scratch("1_Pooling"), 0700) == 0, scratch);
  CU_pSuite suite = CU_add_suite("import", NULL, NULL);
  CU_ADD_TEST(suite, three_types);
  CU_ADD_TEST(suite, old_names);
  CU_ADD_TEST(suite, half_floats);
  CU_ADD_TEST(suite, damaged_config);
  CU_ADD_TEST(suite, damaged_neighbours);
  CU_ADD_TEST(suite, damaged_header);
  CU_ADD_TEST(suite, damaged_bytes);
  CU_ADD_TEST(suite, not_finite);
  CU_ADD_TEST(suite, damaged_shards);
  CU_ADD_TEST(suite, random_damage);
  int bad = suite_end();
  nftw(scratch, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
  return bad;
}
