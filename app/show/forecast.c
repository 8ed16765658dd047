#include "app/show/forecast.h"

#include <stdio.h>
#include <string.h>

#include "app/show/print.h"

#ifdef TWAIN_CUDA
enum { HAS_GPU = 1 };
#else
enum { HAS_GPU = 0 };
#endif

tw_status tw_forecast_view_make(const tw_plan *plan, const tw_place *place, int batch, int rows,
                                tw_forecast_view *out) {
  const tw_engine_options gpu = {.plan = plan, .batch = batch, .device = TW_DEVICE_CUDA, .keys = TW_KEYS_FILE};
  out->gpu = (tw_engine_room){.host = 0};
  if (HAS_GPU) TW_TRY(tw_engine_foresee(&gpu, true, &out->gpu));
  return tw_forecast_make(plan, place, batch, rows, TW_DEVICE_CPU, false, &out->cores);
}

tw_status tw_forecast_views_make(const tw_plan *plan, const tw_place *place, tw_forecast_view views[TW_FORECASTS]) {
  static const int batches[TW_FORECASTS] = {1, 8, 32};
  for (int i = 0; i < TW_FORECASTS; i++) TW_TRY(tw_forecast_view_make(plan, place, batches[i], batches[i], &views[i]));
  return TW_OK;
}

// "epyc (one core), a link of 10 us and 10 Gbit/s".
static void say_place(const tw_place *place, char text[400]) {
  const tw_link_profile *link = &place->link;
  char way[100];
  const char *latency = tw_text_seconds(link->latency_seconds);
  if (link->latency_seconds <= 0 && link->bytes_per_second <= 0)
    snprintf(way, sizeof way, "on one host");
  else if (link->bytes_per_second <= 0)
    snprintf(way, sizeof way, "over a link of %s one way", latency);
  else
    snprintf(way, sizeof way, "over a link of %s one way and %g Gbit/s", latency, 8e-9 * link->bytes_per_second);
  snprintf(text, 400, "by the rates of %.90s, %s", place->rates->device, way);
}

// ---- the table

typedef const char *(*cell)(const tw_forecast_view *view);

static const char *cores(const tw_forecast_view *v) { return tw_text_bytes((double)v->cores.room.host); }
static const char *gpu(const tw_forecast_view *v) { return tw_text_bytes((double)v->gpu.device); }
static const char *gpu_host(const tw_forecast_view *v) { return tw_text_bytes((double)v->gpu.host); }
static const char *keys(const tw_forecast_view *v) { return tw_text_bytes((double)v->cores.key_bytes); }
static const char *result(const tw_forecast_view *v) { return tw_text_bytes((double)v->cores.result_bytes); }
static const char *each(const tw_forecast_view *v) { return tw_text_seconds(v->cores.all_seconds / v->cores.rows); }
static const char *all(const tw_forecast_view *v) { return tw_text_seconds(v->cores.all_seconds); }

static void row(tw_grid *grid, const char *name, const tw_forecast_view *views, int count, cell of) {
  char line[200];
  size_t used = (size_t)snprintf(line, sizeof line, "%s", name);
  for (int i = 0; i < count; i++) used += (size_t)snprintf(line + used, sizeof line - used, "\t%s", of(&views[i]));
  tw_grid_row(grid, "%s", line);
}

static const char *rows_of(const tw_forecast_view *v) {
  static char text[4][16];
  static int next;
  char *t = text[next++ % 4];
  snprintf(t, sizeof text[0], "%d", v->cores.rows);
  return t;
}

static const char *batch_of(const tw_forecast_view *v) {
  static char text[4][16];
  static int next;
  char *t = text[next++ % 4];
  snprintf(t, sizeof text[0], "%d", v->cores.batch);
  return t;
}

void tw_forecast_print(const tw_forecast_view *views, int count, const tw_place *place, const char *guess) {
  tw_grid grid = {0};
  char where[400];
  say_place(place, where);
  putchar('\n');
  row(&grid, "forecast of a run, for each party: sequences", views, count, rows_of);
  tw_grid_rule(&grid);
  row(&grid, "at once (--batch)", views, count, batch_of);
  row(&grid, "memory, on cores", views, count, cores);
  if (HAS_GPU) {
    row(&grid, "GPU memory", views, count, gpu);
    row(&grid, "memory beside a GPU, and its driver's", views, count, gpu_host);
  }
  row(&grid, "key slots on its disk", views, count, keys);
  row(&grid, "result on its disk", views, count, result);
  row(&grid, "time for all", views, count, all);
  row(&grid, "time a sequence", views, count, each);
  tw_grid_print(&grid);
  tw_print_line("(times %s, preparation included%s%s)", where, guess ? ": " : "", guess ? guess : "");
}

// ---- records

static json_t *record_of(const tw_forecast_view *v, const tw_place *place) {
  const tw_run_forecast *f = &v->cores;
  json_t *gpu = HAS_GPU ? json_integer((json_int_t)v->gpu.device) : json_null();
  json_t *least = HAS_GPU ? json_integer((json_int_t)v->gpu.device_least) : json_null();
  json_t *host = HAS_GPU ? json_integer((json_int_t)v->gpu.host) : json_null();
  return json_pack("{s:i, s:i, s:I, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I}", "sequences", f->rows,
                   "batch", f->batch, "memory_bytes", (json_int_t)f->room.host, "gpu_memory_bytes", gpu,
                   "gpu_memory_least_bytes", least, "gpu_host_memory_bytes", host, "key_bytes",
                   (json_int_t)f->key_bytes, "result_bytes", (json_int_t)f->result_bytes, "sequence_ns",
                   (json_int_t)(1e9 * f->seconds), "batch_ns", (json_int_t)(1e9 * f->batch_seconds), "all_ns",
                   (json_int_t)(1e9 * f->all_seconds), "rates_device", place->rates->device, "link_latency_ns",
                   (json_int_t)(1e9 * place->link.latency_seconds), "link_rate_bits_per_second",
                   (json_int_t)(8 * place->link.bytes_per_second));
}

json_t *tw_forecast_records(const tw_forecast_view *views, int count, const tw_place *place) {
  json_t *list = json_array();
  for (int i = 0; i < count; i++) json_array_append_new(list, record_of(&views[i], place));
  return list;
}

// ---- one line

void tw_forecast_say(const tw_run_forecast *f, const tw_place *place) {
  char where[400], gpu[64] = "";
  say_place(place, where);
  if (f->room.device) snprintf(gpu, sizeof gpu, " and %s of GPU memory", tw_text_bytes((double)f->room.device));
  tw_say(
      "forecast: %d %s, %d at once: each party takes %s of memory%s and %s of key slots; a guess of the time is %s "
      "(%s)",
      f->rows, f->rows == 1 ? "sequence" : "sequences", f->batch, tw_text_bytes((double)f->room.host), gpu,
      tw_text_bytes((double)f->key_bytes), tw_text_seconds(f->all_seconds), where);
}
