// The ring products of a model's layer on one core, beside the same instructions on registers alone.
#include <sodium.h>
#include <stddef.h>
#include <stdio.h>

#include "app/bench/bench.h"
#include "app/bench/peak.h"
#include "app/common_options.h"
#include "app/secrets.h"
#include "app/show/print.h"
#include "app/show/record.h"
#include "base/clock.h"
#include "base/memory.h"
#include "jobs/models/import.h"
#include "jobs/parties/machine.h"
#include "kernels/gemm.h"

typedef tw_bench_settings settings;

typedef struct {
  const char *name;
  size_t m, n, k;
} product;

static int products_of(const tw_model_config *c, int seq, product out[6]) {
  size_t s = (size_t)seq, hidden = (size_t)c->hidden, inner = (size_t)c->intermediate;
  size_t dim = (size_t)tw_config_head_dim(c), queries = (size_t)tw_config_query_width(c);
  int count = 0;
  out[count++] = (product){"qkv", s, queries + 2 * (size_t)tw_config_kv_width(c), hidden};
  out[count++] = (product){"logits of a head", s, s, dim};
  out[count++] = (product){"values of a head", s, dim, s};
  out[count++] = (product){"out-projection", s, hidden, queries};
  out[count++] = (product){"ffn-up", s, inner, hidden};
  out[count++] = (product){"ffn-down", s, hidden, inner};
  return count;
}

static double work_of(const product *p) { return (double)p->m * (double)p->n * (double)p->k; }

typedef struct {
  const settings *s;
  tw_machine machine;
  tw_model_config config;
  double *seconds;  // [repeat]
  uint64_t *a, *b, *c;
  tw_grid grid;
  json_t *list;
} bench;

// Seconds of a product, [repeat]; small ones are repeated until they take a few milliseconds.
static void measure(bench *w, const product *p, int ring) {
  int inside = work_of(p) < 2e7 ? (int)(2e7 / work_of(p)) + 1 : 1;
  for (int64_t r = 0; r < w->s->repeat; r++) {
    double start = tw_seconds();
    for (int i = 0; i < inside; i++) tw_gemm(p->m, p->n, p->k, w->a, p->k, w->b, p->n, w->c, p->n, ring, 0);
    w->seconds[r] = (tw_seconds() - start) / inside;
  }
}

static json_t *record_of(const bench *w, const product *p, tw_isa isa, int ring, double peak) {
  json_t *r = tw_record_create("bench gemm");
  tw_record_machine(r, &w->machine);
  tw_record_text(r, "isa", tw_isa_name(isa));
  tw_record_text(r, "device", "cpu");
  tw_record_shape(r, &w->config);
  tw_record_integer(r, "tokens", w->s->seq);
  tw_record_text(r, "part", p->name);
  tw_record_integer(r, "m", (int64_t)p->m);
  tw_record_integer(r, "n", (int64_t)p->n);
  tw_record_integer(r, "k", (int64_t)p->k);
  tw_record_integer(r, "ring_bits", ring);
  tw_record_real(r, "work", work_of(p));
  tw_record_text(r, "work_unit", "multiply-adds");
  tw_record_integer(r, "repeats", w->s->repeat);
  tw_record_times(r, "time", w->seconds, (int)w->s->repeat);
  tw_record_ns(r, "limit_ns", work_of(p) / peak);
  tw_record_text(r, "limited_by", "arithmetic");
  return r;
}

static void bench_product(bench *w, const product *p, tw_isa isa, int ring, double peak) {
  measure(w, p, ring);
  double rate = work_of(p) / tw_spread_of(w->seconds, (int)w->s->repeat).least;
  tw_grid_row(&w->grid, "%s\t%zu x %zu x %zu\t%s\t%d\t%.2f\t%.2f\t%.0f %%", p->name, p->m, p->n, p->k, tw_isa_name(isa),
              ring, 1e-9 * rate, 1e-9 * peak, 100 * rate / peak);
  json_array_append_new(w->list, record_of(w, p, isa, ring, peak));
}

static void bench_all(bench *w, const product *products, int count) {
  static const int rings[] = {24, 38, 48};
  tw_isa best = tw_isa_active();
  tw_grid_row(&w->grid, "product\tm x n x k\tisa\tring bits\tG MAC/s\tlimit\tof limit");
  tw_grid_rule(&w->grid);
  for (tw_isa isa = TW_ISA_PORTABLE; isa <= best; isa++) {
    tw_isa_limit(isa);
    for (size_t r = 0; r < sizeof rings / sizeof *rings; r++) {
      double peak = tw_peak_macs(isa, rings[r]);
      for (int i = 0; i < count; i++) bench_product(w, &products[i], isa, rings[r], peak);
    }
  }
  tw_isa_limit(best);
}

static tw_status allocate(bench *w, const product *products, int count) {
  size_t a = 0, b = 0, c = 0;
  for (int i = 0; i < count; i++) {
    const product *p = &products[i];
    if (p->m * p->k > a) a = p->m * p->k;
    if (p->k * p->n > b) b = p->k * p->n;
    if (p->m * p->n > c) c = p->m * p->n;
  }
  TW_TRY(tw_alloc(8 * a, (void **)&w->a));
  TW_TRY(tw_alloc(8 * b, (void **)&w->b));
  TW_TRY(tw_alloc(8 * c, (void **)&w->c));
  TW_TRY(tw_alloc(sizeof(double) * (size_t)w->s->repeat, (void **)&w->seconds));
  randombytes_buf(w->a, 8 * a);
  randombytes_buf(w->b, 8 * b);
  return TW_OK;
}

static tw_status run(const tw_call *call) {
  const settings *s = call->settings;
  bench w = {.s = s, .list = json_array()};
  product products[6];
  tw_format format;
  TW_TRY(tw_format_of(s->json, s->csv, &format));
  TW_TRY(tw_shape_config(s->model, &w.config));
  TW_TRY(tw_machine_look(NULL, NULL, 1, &w.machine));
  tw_machine_warn(&tw_speaker, &w.machine);
  int count = products_of(&w.config, (int)s->seq, products);
  tw_status status = allocate(&w, products, count);
  if (status == TW_OK) {
    bench_all(&w, products, count);
    if (format != TW_AS_TABLE) {
      status = tw_records_print(json_incref(w.list), format);
    } else {
      tw_grid_print(&w.grid);
      puts("one core; the limit is measured: the same instructions on registers alone");
    }
  }
  json_decref(w.list);
  tw_free(w.a);
  tw_free(w.b);
  tw_free(w.c);
  tw_free(w.seconds);
  return status;
}

static const tw_option options[] = {
    {.common = &tw_option_shape, .field = offsetof(settings, model), .fallback = "bert-base"},
    {.common = &tw_option_seq, .field = offsetof(settings, seq)},
    {.common = &tw_bench_repeat, .field = offsetof(settings, repeat), .help = "times; the best counts"},
    {.common = &tw_option_json, .field = offsetof(settings, json)},
    {.common = &tw_option_csv, .field = offsetof(settings, csv)},
};

const tw_command tw_bench_gemm = {
    .name = "bench gemm",
    .arguments = "",
    .summary = "the ring products of a model's layer, on one core",
    .about =
        "Every product for every instruction set of this CPU and rings of 24, 38 and 48 bits, beside the same "
        "instructions on registers alone.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .settings_size = sizeof(settings),
    .run = run};
