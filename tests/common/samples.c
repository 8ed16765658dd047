// One random sample of every kind of file. Long because each kind has its maker, its writer and its comparison here.
#define _GNU_SOURCE
#include "tests/common/samples.h"

#include <CUnit/CUnit.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/cache.h"
#include "io/file.h"

tw_model sample_model;
tw_client sample_client;
tw_input sample_input;
tw_result_share sample_result_share;
tw_result sample_result;
static tw_model_share model_share;
static tw_model_dealer dealer;
static tw_input_share input_share;
static tw_cache cache;

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
  tw_model_config c = {
      .name = "tiny-model", .architecture = "bert", .activation = "gelu", .norm_epsilon = 1e-12, .type_vocab = 2};
  c.layers = 1 + (int)randombytes_uniform(2);
  c.heads = 2;
  c.hidden = 8 + 2 * (int)randombytes_uniform(4);
  c.intermediate = 20 + (int)randombytes_uniform(9);
  c.max_positions = 5 + (int)randombytes_uniform(9);
  c.vocab = 30 + (int)randombytes_uniform(30);
  c.pre_norm = randombytes_uniform(2);
  c.causal = randombytes_uniform(2);
  c.output = randombytes_uniform(3);
  c.normalise_output = randombytes_uniform(2);
  return c;
}

static void make_models(void) {
  tw_model_config c = random_config();
  CU_ASSERT_EQUAL_FATAL(tw_model_allocate(&c, &sample_model), TW_OK);
  tw_digest_of(&c, sizeof c, &sample_model.source);
  model_share = (tw_model_share){.config = c, .count = sample_model.count};
  model_share.norm_weight = 2 + random_real() / 64;
  model_share.norm_bias = 4;
  model_share.centred = randombytes_uniform(2);
  dealer = (tw_model_dealer){
      .config = c, .norm_weight = 2 + random_real() / 64, .norm_bias = 2, .centred = !model_share.centred};
  tw_id_random(&model_share.model_id);
  tw_id_random(&dealer.model_id);
  CU_ASSERT_EQUAL_FATAL(tw_seed_alloc(32, (void **)&model_share.mask_seed), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_seed_alloc(64, (void **)&dealer.mask_seed), TW_OK);
  randombytes_buf(model_share.mask_seed, 32);
  randombytes_buf(dealer.mask_seed, 64);
  model_share.rows = random_bytes(sizeof(size_t) * sample_model.count);
  model_share.cols = random_bytes(sizeof(size_t) * sample_model.count);
  model_share.masked = random_bytes(sizeof(uint64_t *) * sample_model.count);
  for (int i = 0; i < sample_model.count; i++) {
    tw_model_tensor *t = &sample_model.tensors[i];
    tw_free(t->values);
    t->values = random_floats(t->rows * t->cols);
    model_share.rows[i] = t->rows;
    model_share.cols[i] = t->cols;
    model_share.masked[i] = random_ring(t->rows * t->cols, 64);
  }
}

static void make_rules(int vocab, tw_text_rules *r) {
  bool *const flags[] = {&r->normaliser.clean_text,
                         &r->normaliser.split_chinese,
                         &r->normaliser.strip_accents,
                         &r->normaliser.lower_case,
                         &r->pair_types,
                         &r->cut_left};
  int *const ids[] = {&r->special.pad, &r->special.unknown, &r->special.start, &r->special.end};
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) *flags[i] = randombytes_uniform(2);
  for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) *ids[i] = (int)randombytes_uniform((uint32_t)vocab);
  snprintf(r->prefix, sizeof r->prefix, "%.*s", (int)randombytes_uniform(4), "##@");
  r->longest_word = (int)randombytes_uniform(200);
  for (int i = 0; i < 3; i++) {
    char text[16];
    snprintf(text, sizeof text, "[E%d] é", i);
    tw_added_token token = {.text = text,
                            .id = (int)randombytes_uniform((uint32_t)vocab),
                            .special = randombytes_uniform(2),
                            .normalised = randombytes_uniform(2),
                            .single_word = randombytes_uniform(2),
                            .strip_left = randombytes_uniform(2),
                            .strip_right = randombytes_uniform(2)};
    CU_ASSERT_EQUAL_FATAL(tw_text_rules_add(r, &token), TW_OK);
  }
}

static bool same_rules(const tw_text_rules *a, const tw_text_rules *b) {
  bool same = !memcmp(&a->normaliser, &b->normaliser, sizeof a->normaliser) && !strcmp(a->prefix, b->prefix) &&
              a->longest_word == b->longest_word && !memcmp(&a->special, &b->special, sizeof a->special) &&
              a->pair_types == b->pair_types && a->cut_left == b->cut_left && a->added_count == b->added_count;
  for (int i = 0; same && i < a->added_count; i++) {
    const tw_added_token *x = &a->added[i], *y = &b->added[i];
    same = !strcmp(x->text, y->text) && x->id == y->id && x->special == y->special && x->normalised == y->normalised &&
           x->single_word == y->single_word && x->strip_left == y->strip_left && x->strip_right == y->strip_right;
  }
  return same;
}

static void make_client(void) {
  tw_model_config c = random_config();
  size_t h = (size_t)c.hidden;
  sample_client = (tw_client){.config = c, .max_seq_length = (int)randombytes_uniform(2)};
  if (randombytes_uniform(2)) sample_client.default_prompt = strdup("query: ");
  make_rules(c.vocab, &sample_client.rules);
  sample_client.vocabulary = random_texts(c.vocab);
  sample_client.word = random_floats(c.vocab * h);
  sample_client.position = random_floats(c.max_positions * h);
  sample_client.type = random_floats(c.type_vocab * h);
  sample_client.gamma = random_floats(h);
  sample_client.beta = random_floats(h);
}

// Half of the inputs of ids go on behind an earlier turn.
static void make_earlier(void) {
  tw_input *in = &sample_input;
  if (in->hidden || randombytes_uniform(2)) return;
  in->earlier_seq = 1 + (int)randombytes_uniform(7);
  tw_id_random(&in->after);
  in->after_name = strdup("folder/of \xc3\xa4");
  in->earlier_lengths = random_ints((size_t)in->count, 1, in->earlier_seq);
  in->earlier = random_ints((size_t)in->count * (size_t)in->earlier_seq, 0, 30000);
}

static void make_cache(int party) {
  cache = (tw_cache){.turn = {.number = 1 + (int)randombytes_uniform(9)}, .party = party};
  cache.count = 1 + (int)randombytes_uniform(3);
  cache.each = 1 + randombytes_uniform(50);
  tw_id_random(&cache.turn.conversation);
  tw_id_random(&cache.turn.run);
  tw_id_random(&cache.model_id);
  tw_id_random(&cache.input_id);
  tw_digest_of(&cache, sizeof cache, &cache.plan);
  cache.rows = random_ints((size_t)cache.count, 1, 99);
  CU_ASSERT_EQUAL_FATAL(tw_share_alloc(8 * (size_t)cache.count * cache.each, (void **)&cache.share), TW_OK);
  randombytes_buf(cache.share, 8 * (size_t)cache.count * cache.each);
}

static void make_inputs(int hidden) {
  int count = 1 + (int)randombytes_uniform(4), seq = 3 + (int)randombytes_uniform(6), bits = hidden ? 0 : 15;
  size_t n = (size_t)count * seq, elements = n * (hidden ? hidden : 1);
  sample_input = (tw_input){.count = count, .seq = seq, .hidden = hidden};
  tw_id_random(&sample_input.input_id);
  sample_input.lengths = random_ints(count, 1, seq);
  sample_input.tokens = random_ints(n, 0, 30000);
  sample_input.types = randombytes_uniform(2) ? random_ints(n, 0, 1) : NULL;
  sample_input.texts = random_texts(count);
  if (hidden) sample_input.values = random_floats(elements);
  make_earlier();
  input_share = (tw_input_share){
      .input_id = sample_input.input_id, .count = count, .seq = seq, .hidden = hidden, .number_bits = bits};
  input_share.after = sample_input.after;
  input_share.goes_on = sample_input.after.hex[0] != 0;
  tw_id_random(&input_share.model_id);
  tw_digest_of(&sample_input, sizeof sample_input, &input_share.plan);
  input_share.lengths = random_ints(count, 1, seq);
  CU_ASSERT_EQUAL_FATAL(tw_share_alloc(8 * elements, (void **)&input_share.share), TW_OK);
  uint64_t *share = random_ring(elements, bits ? bits : TW_INPUT_RING);
  memcpy(input_share.share, share, 8 * elements);
  tw_free(share);
}

static void make_counters(tw_result_counters *c) {
  uint64_t *const values[] = {&c->open_flushes_demand,
                              &c->open_flushes_budget,
                              &c->flushes_overlapped,
                              &c->open_comm_ns,
                              &c->gate_ns,
                              &c->open_wire_bytes_sent,
                              &c->open_payload_bytes,
                              &c->key_bytes,
                              &c->key_wait_ns,
                              &c->products_prepared_beside};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) *values[i] = randombytes_random() * UINT64_C(1000000000);
  c->probe_latency_seconds = random_real();
  c->probe_bytes_per_second = random_real();
}

static void make_trace(tw_result_share *r) {
  r->span_count = 11;
  r->spans_dropped = randombytes_uniform(5);
  r->spans = random_bytes(sizeof(tw_span) * 11);
  memset(r->spans, 0, sizeof(tw_span) * 11);
  for (int i = 0; i < r->span_count; i++) {
    uint64_t begin = randombytes_random() * UINT64_C(1000000007);
    r->spans[i] = (tw_span){(int)randombytes_uniform(TW_TRACE_TRACKS), (int)randombytes_uniform(3) - 1,
                            (int)randombytes_uniform(8) - 1, begin, begin + randombytes_random()};
  }
}

// Three rows by two batches, of which both ran the last one.
static void make_batches(tw_result_share *r) {
  static const int batch[] = {0, 0, 1, 1}, row[] = {0, 2, 1, 2};
  tw_batch_list *b = &r->batches;
  *b = (tw_batch_list){.count = 2, .row_count = 4};
  b->transcripts = random_bytes(sizeof *b->transcripts * 2);
  b->rows = random_bytes(sizeof *b->rows * 4);
  for (int i = 0; i < 2; i++) {
    tw_digest transcript;
    tw_digest_of(b->transcripts[i], sizeof b->transcripts[i], &transcript);
    memcpy(b->transcripts[i], transcript.hex, sizeof b->transcripts[i]);
  }
  for (int i = 0; i < 4; i++) b->rows[i] = (tw_batch_row){batch[i], row[i], r->slots[row[i]] + (i == 3)};
  strcpy(r->transcript, tw_batch_list_transcript(b).hex);
}

static bool same_batches(const tw_batch_list *a, const tw_batch_list *b) {
  bool same = a->count == b->count && a->row_count == b->row_count;
  for (int i = 0; i < a->count && same; i++) same = !strcmp(a->transcripts[i], b->transcripts[i]);
  for (int i = 0; i < a->row_count && same; i++)
    same =
        a->rows[i].batch == b->rows[i].batch && a->rows[i].row == b->rows[i].row && a->rows[i].slot == b->rows[i].slot;
  return same;
}

static void make_results(void) {
  tw_result_share *r = &sample_result_share;
  *r = (tw_result_share){
      .count = 3, .rows = 1, .cols = 5, .ring_bits = 37, .scale = 12, .normalise = randombytes_uniform(2)};
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
  r->steps_timed = randombytes_uniform(2);
  if (randombytes_uniform(2)) make_batches(r);
  r->masked = random_ring(n, r->ring_bits);
  r->mask = random_ring(n, r->ring_bits);
  r->guard = randombytes_uniform(2);
  if (r->guard) r->guard_masked = random_ring(3, 32), r->guard_mask = random_ring(3, 32);
  r->correction_bytes = randombytes_random() * UINT64_C(1000);
  r->sent_bytes = randombytes_random();
  r->rounds = randombytes_random();
  double *const seconds[] = {&r->setup_seconds, &r->preparation_seconds, &r->online_seconds, &r->comm_seconds};
  for (int i = 0; i < 4; i++) *seconds[i] = random_real();
  r->row_count = 7;
  r->rows_table = random_bytes(sizeof(tw_cost_row) * 7);
  memset(r->rows_table, 0, sizeof(tw_cost_row) * 7);
  for (int i = 0; i < 7; i++) {
    tw_cost_row *row = &r->rows_table[i];
    row->layer = i - 1;
    snprintf(row->step, sizeof row->step, i == 3 ? "a name of 23 letters .." : "step-%u", randombytes_uniform(1000));
    row->correction_bytes = randombytes_random() * UINT64_C(5000000000);
    row->sent_bytes = randombytes_random();
    row->rounds = randombytes_uniform(100);
    row->seconds = random_real();
  }
  tw_environment_collect(&r->environment);
  strcpy(r->environment.mpi, "some MPI 4.1");
  strcpy(r->environment.isa, "avx2");
  strcpy(r->environment.device, "cpu");
  strcpy(r->environment.transport, "mpi");
  strcpy(r->environment.placement, "cores 0-1 of 2, memory node 0");
  strcpy(r->environment.transport_why, "on the CPU");
  make_counters(&r->counters);
  make_trace(r);
  r->environment.parties_share_host = 1;
  sample_result = (tw_result){
      .run_id = r->run_id, .count = 2, .rows = 3, .cols = 4, .output = "tokens", .normalised = randombytes_uniform(2)};
  tw_id_random(&sample_result.model_id);
  tw_id_random(&sample_result.input_id);
  sample_result.lengths = random_ints(2, 1, 3);
  sample_result.values = random_bytes(24 * sizeof(double));
  for (int i = 0; i < 24; i++) sample_result.values[i] = random_real();
  if (r->guard) sample_result.out_of_bound = (int64_t *)random_ring(2, 32);
}

void samples_free(void) {
  tw_model_free(&sample_model);
  tw_model_share_free(&model_share);
  tw_model_dealer_free(&dealer);
  tw_client_free(&sample_client);
  tw_input_free(&sample_input);
  tw_input_share_free(&input_share);
  tw_result_share_free(&sample_result_share);
  tw_result_free(&sample_result);
  tw_cache_free(&cache);
}

void samples_fresh(int party) {
  samples_free();
  make_models();
  make_client();
  make_inputs(8);
  make_results();
  make_cache(party);
  model_share.party = input_share.party = sample_result_share.party = party;
}

void samples_fresh_ids(int party) {
  samples_fresh(party);
  tw_input_free(&sample_input);
  tw_input_share_free(&input_share);
  make_inputs(0);
  input_share.party = party;
}

// ---- Comparisons with the samples

static bool same_config(const tw_model_config *a, const tw_model_config *b) {
  return !strcmp(a->name, b->name) && !strcmp(a->activation, b->activation) &&
         !strcmp(a->architecture, b->architecture) && a->position_offset == b->position_offset &&
         a->embedding == b->embedding && a->head.kind == b->head.kind && a->head.outputs == b->head.outputs &&
         a->head.rows == b->head.rows && !strcmp(a->head.activation, b->head.activation) && a->layers == b->layers &&
         a->hidden == b->hidden && a->heads == b->heads && a->intermediate == b->intermediate &&
         a->max_positions == b->max_positions && a->vocab == b->vocab && a->type_vocab == b->type_vocab &&
         a->norm_epsilon == b->norm_epsilon && a->pre_norm == b->pre_norm && a->causal == b->causal &&
         a->synthetic == b->synthetic && a->output == b->output && a->normalise_output == b->normalise_output;
}

static bool same_id(const tw_id *a, const tw_id *b) { return !strcmp(a->hex, b->hex); }

static bool same_texts(char **a, char **b, int n) {
  for (int i = 0; i < n; i++)
    if (strcmp(a[i], b[i])) return false;
  return true;
}

// Readers: status, and whether what came back is the sample.
static tw_status read_model(const char *path, int party, bool *same) {
  (void)party;
  tw_model m;
  TW_TRY(tw_model_read(path, &m));
  *same = same_config(&m.config, &sample_model.config) && !strcmp(m.source.hex, sample_model.source.hex) &&
          m.count == sample_model.count;
  for (int i = 0; *same && i < m.count; i++) {
    const tw_model_tensor *a = &m.tensors[i], *b = &sample_model.tensors[i];
    *same = !strcmp(a->name, b->name) && a->rows == b->rows && a->cols == b->cols &&
            !memcmp(a->values, b->values, a->rows * a->cols * sizeof(float));
  }
  tw_model_free(&m);
  return TW_OK;
}

static tw_status read_model_share(const char *path, int party, bool *same) {
  tw_model_share m;
  const tw_model_share *w = &model_share;
  TW_TRY(tw_model_share_read(path, party, &m));
  *same = same_config(&m.config, &w->config) && same_id(&m.model_id, &w->model_id) && m.party == w->party &&
          m.norm_weight == w->norm_weight && m.norm_bias == w->norm_bias && m.centred == w->centred &&
          !memcmp(m.mask_seed, w->mask_seed, 32) && m.count == w->count;
  for (int i = 0; *same && i < m.count; i++)
    *same = m.rows[i] == w->rows[i] && m.cols[i] == w->cols[i] &&
            !memcmp(m.masked[i], w->masked[i], m.rows[i] * m.cols[i] * 8);
  tw_model_share_free(&m);
  return TW_OK;
}

static tw_status read_dealer(const char *path, int party, bool *same) {
  (void)party;
  tw_model_dealer d;
  TW_TRY(tw_model_dealer_read(path, &d));
  *same = same_config(&d.config, &dealer.config) && same_id(&d.model_id, &dealer.model_id) &&
          d.norm_weight == dealer.norm_weight && d.norm_bias == dealer.norm_bias && d.centred == dealer.centred &&
          !memcmp(d.mask_seed, dealer.mask_seed, 64);
  tw_model_dealer_free(&d);
  return TW_OK;
}

static tw_status read_client(const char *path, int party, bool *same) {
  (void)party;
  tw_client c;
  TW_TRY(tw_client_read(path, &c));
  size_t row = sizeof(float) * (size_t)c.config.hidden;
  *same = same_config(&c.config, &sample_client.config) && same_rules(&c.rules, &sample_client.rules) &&
          c.max_seq_length == sample_client.max_seq_length &&
          !strcmp(c.default_prompt ? c.default_prompt : "", sample_client.default_prompt ? "query: " : "") &&
          same_texts(c.vocabulary, sample_client.vocabulary, c.config.vocab) &&
          !memcmp(c.word, sample_client.word, row * c.config.vocab) &&
          !memcmp(c.position, sample_client.position, row * c.config.max_positions) &&
          !memcmp(c.type, sample_client.type, row * c.config.type_vocab) &&
          !memcmp(c.gamma, sample_client.gamma, row) && !memcmp(c.beta, sample_client.beta, row);
  tw_client_free(&c);
  return TW_OK;
}

static bool same_earlier(const tw_input *in) {
  const tw_input *w = &sample_input;
  size_t n = (size_t)w->count * (size_t)w->earlier_seq;
  if (strcmp(in->after.hex, w->after.hex) != 0 || !in->earlier != !w->earlier) return false;
  return !w->earlier || (in->earlier_seq == w->earlier_seq && !strcmp(in->after_name, w->after_name) &&
                         !memcmp(in->earlier_lengths, w->earlier_lengths, sizeof(int) * (size_t)w->count) &&
                         !memcmp(in->earlier, w->earlier, sizeof(int) * n));
}

static tw_status read_input(const char *path, int party, bool *same) {
  (void)party;
  tw_input in;
  TW_TRY(tw_input_read(path, &in));
  size_t n = (size_t)in.count * in.seq;
  *same = same_id(&in.input_id, &sample_input.input_id) && in.count == sample_input.count &&
          in.seq == sample_input.seq && in.hidden == sample_input.hidden &&
          !memcmp(in.lengths, sample_input.lengths, sizeof(int) * in.count) &&
          !memcmp(in.tokens, sample_input.tokens, sizeof(int) * n) && !in.types == !sample_input.types &&
          (!in.types || !memcmp(in.types, sample_input.types, sizeof(int) * n)) &&
          same_texts(in.texts, sample_input.texts, in.count) && !in.values == !sample_input.values &&
          (!in.values || !memcmp(in.values, sample_input.values, sizeof(float) * n * in.hidden)) && same_earlier(&in);
  tw_input_free(&in);
  return TW_OK;
}

static tw_status read_input_share(const char *path, int party, bool *same) {
  tw_input_share in;
  const tw_input_share *w = &input_share;
  TW_TRY(tw_input_share_read(path, party, &in));
  *same = same_id(&in.input_id, &w->input_id) && same_id(&in.model_id, &w->model_id) &&
          !strcmp(in.plan.hex, w->plan.hex) && in.party == w->party && in.count == w->count && in.seq == w->seq &&
          in.hidden == w->hidden && in.number_bits == w->number_bits && in.goes_on == w->goes_on &&
          !strcmp(in.after.hex, w->after.hex) && !memcmp(in.lengths, w->lengths, sizeof(int) * in.count) &&
          !memcmp(in.share, w->share, 8 * tw_input_share_elements(w));
  tw_input_share_free(&in);
  return TW_OK;
}

static tw_status read_result_share(const char *path, int party, bool *same) {
  tw_result_share r;
  const tw_result_share *w = &sample_result_share;
  TW_TRY(tw_result_share_read(path, party, &r));
  size_t n = (size_t)r.count * r.rows * r.cols * 8;
  *same = same_id(&r.model_id, &w->model_id) && same_id(&r.key_id, &w->key_id) && same_id(&r.input_id, &w->input_id) &&
          same_id(&r.run_id, &w->run_id) && !strcmp(r.plan.hex, w->plan.hex) && r.party == w->party &&
          r.test_keys == w->test_keys && !strcmp(r.output, w->output) && r.normalise == w->normalise &&
          !strcmp(r.transcript, w->transcript) && r.count == w->count && r.rows == w->rows && r.cols == w->cols &&
          r.ring_bits == w->ring_bits && r.scale == w->scale && !memcmp(r.lengths, w->lengths, sizeof(int) * r.count) &&
          !memcmp(r.slots, w->slots, 8 * (size_t)r.count) && !memcmp(r.masked, w->masked, n) &&
          !memcmp(r.mask, w->mask, n) && r.correction_bytes == w->correction_bytes && r.sent_bytes == w->sent_bytes &&
          r.rounds == w->rounds && r.setup_seconds == w->setup_seconds &&
          r.preparation_seconds == w->preparation_seconds && r.online_seconds == w->online_seconds &&
          r.comm_seconds == w->comm_seconds && r.row_count == w->row_count &&
          !memcmp(r.rows_table, w->rows_table, sizeof(tw_cost_row) * r.row_count) &&
          !memcmp(&r.counters, &w->counters, sizeof r.counters) && r.span_count == w->span_count &&
          r.steps_timed == w->steps_timed && same_batches(&r.batches, &w->batches) &&
          r.spans_dropped == w->spans_dropped && !memcmp(r.spans, w->spans, sizeof(tw_span) * r.span_count) &&
          !memcmp(&r.environment, &w->environment, sizeof r.environment);
  tw_result_share_free(&r);
  return TW_OK;
}

static tw_status read_result(const char *path, int party, bool *same) {
  (void)party;
  tw_result r;
  TW_TRY(tw_result_read(path, &r));
  *same = same_id(&r.model_id, &sample_result.model_id) && same_id(&r.input_id, &sample_result.input_id) &&
          same_id(&r.run_id, &sample_result.run_id) && !strcmp(r.output, sample_result.output) &&
          r.normalised == sample_result.normalised && r.count == sample_result.count && r.rows == sample_result.rows &&
          r.cols == sample_result.cols && !memcmp(r.lengths, sample_result.lengths, sizeof(int) * r.count) &&
          !memcmp(r.values, sample_result.values, sizeof(double) * (size_t)r.count * r.rows * r.cols);
  tw_result_free(&r);
  return TW_OK;
}

static tw_status read_cache(const char *path, int party, bool *same) {
  tw_cache head;
  const tw_cache *w = &cache;
  TW_TRY(tw_cache_look(path, party, &head));
  size_t bytes = 8 * (size_t)head.count * head.each;
  tw_status status = tw_share_alloc(bytes, (void **)&head.share);
  if (status == TW_OK) status = tw_cache_read(path, &head, head.share);
  if (status == TW_OK)
    *same = head.count == w->count && head.each == w->each && head.turn.number == w->turn.number &&
            same_id(&head.turn.conversation, &w->turn.conversation) && same_id(&head.turn.run, &w->turn.run) &&
            same_id(&head.model_id, &w->model_id) && same_id(&head.input_id, &w->input_id) &&
            !strcmp(head.plan.hex, w->plan.hex) && !memcmp(head.rows, w->rows, sizeof(int) * (size_t)w->count) &&
            !memcmp(head.share, w->share, bytes);
  tw_cache_free(&head);
  return status;
}

// As a run does it, which has looked before.
static tw_status write_cache(const char *path) {
  tw_cache_claim *place;
  TW_TRY(tw_file_check_new(path));
  TW_TRY(tw_cache_begin(path, &cache, false, &place));
  tw_status status = tw_cache_fill(place, &cache);
  if (status == TW_OK) return tw_cache_commit(place);
  tw_cache_release(place);
  return status;
}

static tw_status write_model(const char *path) { return tw_model_write(path, &sample_model); }
static tw_status write_model_share(const char *path) { return tw_model_share_write(path, &model_share); }
static tw_status write_dealer(const char *path) { return tw_model_dealer_write(path, &dealer); }
static tw_status write_client(const char *path) { return tw_client_write(path, &sample_client); }
static tw_status write_input(const char *path) { return tw_input_write(path, &sample_input); }
static tw_status write_input_share(const char *path) { return tw_input_share_write(path, &input_share); }
static tw_status write_result_share(const char *path) { return tw_result_share_write(path, &sample_result_share); }
static tw_status write_result(const char *path) { return tw_result_write(path, &sample_result); }

const sample_kind sample_kinds[SAMPLE_KINDS] = {
    {"m.model.h5", "twain import", false, false, write_model, read_model},
    {"m.model.pX.h5", "twain share", true, true, write_model_share, read_model_share},
    {"m.model.dealer.h5", "twain share", false, true, write_dealer, read_dealer},
    {"m.client.h5", "twain import", false, false, write_client, read_client},
    {"i.input.h5", "twain encode", false, false, write_input, read_input},
    {"i.input.pX.h5", "twain share --input", true, true, write_input_share, read_input_share},
    {"r.result.pX.h5", "twain run", true, true, write_result_share, read_result_share},
    {"r.result.h5", "twain reveal", false, false, write_result, read_result},
    {"c.cache.pX.h5", "twain run", true, true, write_cache, read_cache}};
