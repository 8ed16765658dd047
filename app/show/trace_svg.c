// The timeline: the whole run, and a layer from its middle enlarged; in each, every party's rows of marks over bands
// for the layers. Marks that would be too small to see are drawn as one, paler the less of it is busy.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/show/print.h"
#include "app/show/trace_view.h"
#include "base/memory.h"

enum { WIDTH = 1200, LEFT = 128, RIGHT = 24, PLOT = WIDTH - LEFT - RIGHT, GAP = 4, LARGEST = 1900000 };

// ---- colours, by what a gate is for

typedef enum { LINEAR, ATTENTION, SOFTMAX, NORM, ACTIVATION, OTHER, KEYS, KINDS } kind;

static const struct {
  const char *name, *colour;
} kinds[KINDS] = {{"linear layers", "#3567a8"}, {"attention products", "#1f8f83"}, {"softmax", "#d07a12"},
                  {"normalisation", "#8252a1"}, {"activation", "#b8433a"},         {"input, output", "#6f7681"},
                  {"keys", "#8a7420"}};

static bool one_of(const char *word, const char *const *words) {
  for (; *words; words++)
    if (strcmp(word, *words) == 0) return true;
  return false;
}

static kind kind_of(const tw_result_share *r, const tw_span *s) {
  static const char *const linear[] = {"qkv", "out-projection", "ffn-up", "ffn-down", NULL},
                           *const attention[] = {"logits", "values", NULL},
                           *const softmax[] = {"row maximum", "exp", "reciprocal", "normalise", NULL};
  if (s->track == TW_TRACE_KEYS) return KEYS;
  if (s->step < 0) return OTHER;
  const tw_cost_row *row = &r->rows_table[s->step];
  if (one_of(row->step, linear)) return LINEAR;
  if (one_of(row->step, attention)) return ATTENTION;
  if (one_of(row->step, softmax)) return SOFTMAX;
  if (strncmp(row->step, "norm", 4) == 0) return NORM;
  return row->layer < 0 ? OTHER : ACTIVATION;
}

// ---- drawing

typedef struct {
  FILE *out;
  double from, to;  // ns that the plot shows
  double y, merge;  // merge: pixels below which marks become one
} canvas;

static void put_text(FILE *out, const char *text) {
  for (; *text; text++) {
    const char *entity = *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : *text == '&' ? "&amp;" : NULL;
    if (entity)
      fputs(entity, out);
    else if ((unsigned char)*text >= ' ')
      fputc(*text, out);
  }
}

static void label(canvas *c, double x, double y, const char *style, const char *text) {
  fprintf(c->out, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, style);
  put_text(c->out, text);
  fputs("</text>\n", c->out);
}

static double pixel(const canvas *c, double ns) { return LEFT + PLOT * (ns - c->from) / (c->to - c->from); }

// Spans that are drawn as one.
typedef struct {
  double begin, end, busy;  // ns
  int count;
  const tw_span *longest;
} mark;

static double length(const tw_span *s) { return (double)(s->end_ns - s->begin_ns); }

static void draw_mark(canvas *c, const tw_result_share *r, const mark *m, double height) {
  char name[64];
  const tw_span *s = m->longest;
  kind k = kind_of(r, s);
  double x0 = pixel(c, fmax(m->begin, c->from)), x1 = pixel(c, fmin(m->end, c->to)), width = fmax(x1 - x0, 0.7);
  double density = m->end > m->begin ? m->busy / (m->end - m->begin) : 1;
  tw_trace_name(r, s, name, sizeof name);
  fprintf(c->out, "<g class=\"k%d\"><title>", (int)k);
  if (m->count > 1) fprintf(c->out, "%d spans, busy %s; longest: ", m->count, tw_text_seconds(1e-9 * m->busy));
  put_text(c->out, name);
  fprintf(c->out, ", %s, from %s on</title>", tw_text_seconds(1e-9 * length(s)),
          tw_text_seconds(1e-9 * (double)s->begin_ns));
  fprintf(c->out, "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.0f\"", x0, c->y, width, height);
  if (density < 0.95) fprintf(c->out, " opacity=\"%.2f\"", fmax(density, 0.3));
  fputs("/>", c->out);
  const char *shown = s->step >= 0 ? r->rows_table[s->step].step : "";
  if (height >= 16 && *shown && density >= 0.6 && width > 6.4 * (double)strlen(shown) + 6)
    label(c, x0 + width / 2, c->y + height / 2 + 3.5, "mark", shown);
  fputs("</g>\n", c->out);
}

static bool joins(const canvas *c, const mark *m, const tw_span *s) {
  double scale = PLOT / (c->to - c->from), gap = scale * ((double)s->begin_ns - m->end);
  double smaller = scale * fmin(length(s), m->end - m->begin);
  return gap < c->merge && (smaller < c->merge || (m->longest->step == s->step && gap < 0.3));
}

static void draw_row(canvas *c, const tw_result_share *r, const tw_trace_row *row, double height) {
  mark m = {.count = 0};
  fprintf(c->out, "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.0f\" class=\"row\"/>\n", LEFT, c->y, PLOT, height);
  label(c, LEFT - 8, c->y + height / 2 + 4, "name", row->name);
  for (int i = 0; i < r->span_count; i++) {
    const tw_span *s = &r->spans[i];
    if (!tw_trace_in_row(row, s) || (double)s->end_ns < c->from || (double)s->begin_ns > c->to) continue;
    if (m.count && joins(c, &m, s)) {
      m.end = fmax(m.end, (double)s->end_ns);
      m.busy += length(s);
      m.count++;
      if (length(s) > length(m.longest)) m.longest = s;
      continue;
    }
    if (m.count) draw_mark(c, r, &m, height);
    m = (mark){(double)s->begin_ns, (double)s->end_ns, length(s), 1, s};
  }
  if (m.count) draw_mark(c, r, &m, height);
  c->y += height + GAP;
}

// ---- layers: each begins with its first gate after the layer before has opened something; gates that read constants
// alone come long before

typedef struct {
  int layer;
  double begin, end;
} band;

static int find_bands(const tw_result_share *r, band *bands) {
  int count = 0;
  bool opened = true;  // by the layer before
  double end = 0;
  for (int i = 0; i < r->span_count; i++) {
    const tw_span *s = &r->spans[i];
    if (s->step < 0 || s->half > 0) continue;
    int layer = r->rows_table[s->step].layer;
    if (s->track == TW_TRACE_OPEN && count && layer == bands[count - 1].layer) opened = true;
    if (s->track != TW_TRACE_COMPUTE) continue;
    end = fmax(end, (double)s->end_ns);
    if (layer < 0 || !opened || (count && layer <= bands[count - 1].layer)) continue;
    if (count) bands[count - 1].end = (double)s->begin_ns;
    bands[count++] = (band){layer, (double)s->begin_ns, 0};
    opened = false;
  }
  if (count) bands[count - 1].end = end;
  return count;
}

static void draw_bands(canvas *c, const band *bands, int count, double height) {
  for (int i = 0; i < count; i++) {
    char text[32];
    if (bands[i].end <= c->from || bands[i].begin >= c->to) continue;
    double x0 = pixel(c, fmax(bands[i].begin, c->from)), x1 = pixel(c, fmin(bands[i].end, c->to));
    fprintf(c->out, "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" class=\"band%d\"/>\n", x0, c->y,
            x1 - x0, height, bands[i].layer % 2);
    snprintf(text, sizeof text, x1 - x0 > 52 ? "layer %d" : "%d", bands[i].layer);
    if (x1 - x0 > 12) label(c, (x0 + x1) / 2, c->y + 11, "layer", text);
  }
}

// ---- how much of the openings is hidden

typedef struct {
  double compute, open, hidden;
} sums;

// The moments between which something of some tracks (bits) is going on, as alternating begins and ends.
static int merge_tracks(const tw_result_share *r, unsigned tracks, double *edges) {
  int count = 0;
  for (int i = 0; i < r->span_count; i++) {
    const tw_span *s = &r->spans[i];
    if (!(tracks & 1u << s->track)) continue;
    if (count && (double)s->begin_ns <= edges[count - 1]) {
      edges[count - 1] = fmax(edges[count - 1], (double)s->end_ns);
      continue;
    }
    edges[count++] = (double)s->begin_ns;
    edges[count++] = (double)s->end_ns;
  }
  return count;
}

static double total(const double *edges, int count) {
  double sum = 0;
  for (int i = 0; i < count; i += 2) sum += edges[i + 1] - edges[i];
  return sum;
}

static double common(const double *a, int a_count, const double *b, int b_count) {
  double sum = 0;
  for (int i = 0, j = 0; i < a_count && j < b_count;) {
    double both = fmin(a[i + 1], b[j + 1]) - fmax(a[i], b[j]);
    if (both > 0) sum += both;
    *(a[i + 1] < b[j + 1] ? &i : &j) += 2;
  }
  return sum;
}

// An opening is hidden behind gates' work or preparation.
static tw_status sum_up(const tw_result_share *r, sums *out) {
  enum { GATES = 1 << TW_TRACE_COMPUTE, OPENINGS = 1 << TW_TRACE_OPEN, WORK = GATES | 1 << TW_TRACE_PREPARE };
  void *memory;
  TW_TRY(tw_alloc(sizeof(double) * 4 * ((size_t)r->span_count + 1), &memory));
  double *working = memory, *opening = working + 2 * r->span_count;
  int o = merge_tracks(r, OPENINGS, opening), w = merge_tracks(r, GATES, working);
  *out = (sums){.compute = total(working, w), .open = total(opening, o)};
  w = merge_tracks(r, WORK, working);
  out->hidden = common(working, w, opening, o);
  tw_free(memory);
  return TW_OK;
}

// ---- panels

static double end_of(const tw_trace_runs *t) {
  double end = 1;
  for (int i = 0; i < t->count; i++)
    for (int j = 0; j < t->runs[i]->span_count; j++) end = fmax(end, (double)t->runs[i]->spans[j].end_ns);
  return end;
}

static double row_height(const tw_trace_row *row) { return row->track == TW_TRACE_COMPUTE ? 26 : 18; }

static double rows_height(const tw_trace_row *rows, int count) {
  double height = 0;
  for (int i = 0; i < count; i++) height += row_height(&rows[i]) + GAP;
  return height;
}

static void describe_party(canvas *c, const tw_result_share *r, const sums *s) {
  char text[512];
  snprintf(text, sizeof text, "party %d on %s, %s; openings by %s", r->party, r->environment.host,
           r->environment.device, r->environment.transport);
  label(c, LEFT, c->y + 12, "party", text);
  snprintf(text, sizeof text, "online %s: computing %s; openings under way %s, %.0f %% of it hidden behind work",
           tw_text_seconds(r->online_seconds), tw_text_seconds(1e-9 * s->compute), tw_text_seconds(1e-9 * s->open),
           s->open > 0 ? 100 * s->hidden / s->open : 0);
  label(c, WIDTH - RIGHT, c->y + 12, "sums", text);
  c->y += 18;
}

static tw_status draw_party(canvas *c, const tw_result_share *r, bool described) {
  tw_trace_row rows[TW_TRACE_ROWS];
  void *memory;
  sums s;
  int count = tw_trace_rows(r, rows);
  TW_TRY(sum_up(r, &s));
  TW_TRY(tw_alloc(sizeof(band) * ((size_t)r->row_count + 1), &memory));
  int bands = find_bands(r, memory);
  if (described) {
    describe_party(c, r, &s);
  } else {
    char text[32];
    snprintf(text, sizeof text, "party %d", r->party);
    label(c, LEFT - 8, c->y + 11, "name", text);
  }
  draw_bands(c, memory, bands, 14 + rows_height(rows, count));
  tw_free(memory);
  c->y += 16;
  for (int i = 0; i < count; i++) draw_row(c, r, &rows[i], row_height(&rows[i]));
  c->y += 8;
  return TW_OK;
}

static void draw_axis(canvas *c, double top) {
  double rough = (c->to - c->from) / 10, step = pow(10, floor(log10(rough)));
  step *= rough / step > 5 ? 10 : rough / step > 2 ? 5 : 2;
  double unit = step >= 1e9 ? 1e9 : step >= 1e6 / 2 ? 1e6 : 1e3;
  const char *name = unit == 1e9 ? "s" : unit == 1e6 ? "ms" : "\xc2\xb5s";
  fprintf(c->out, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" class=\"axis\"/>\n", LEFT, c->y, LEFT + PLOT,
          c->y);
  for (long i = (long)ceil(c->from / step); (double)i * step <= c->to; i++) {
    char text[48];
    double at = (double)i * step, x = pixel(c, at);
    fprintf(c->out, "<line x1=\"%.2f\" y1=\"%.1f\" x2=\"%.2f\" y2=\"%.1f\" class=\"tick\"/>\n", x, top, x, c->y + 5);
    snprintf(text, sizeof text, "%.6g %s", at / unit, name);
    label(c, x, c->y + 17, "number", text);
  }
  c->y += 34;
}

static tw_status draw_panel(canvas *c, const tw_trace_runs *t, const char *title, bool described) {
  label(c, LEFT, c->y + 14, "panel", title);
  c->y += 26;
  double top = c->y;
  for (int i = 0; i < t->count; i++) TW_TRY(draw_party(c, t->runs[i], described));
  draw_axis(c, top);
  return TW_OK;
}

// A layer from the middle of the run; false when there are fewer than two.
static tw_status middle_layer(const tw_result_share *r, band *out, bool *found) {
  void *memory;
  TW_TRY(tw_alloc(sizeof(band) * ((size_t)r->row_count + 1), &memory));
  int count = find_bands(r, memory);
  *found = count > 1;
  if (*found) *out = ((const band *)memory)[count / 2];
  tw_free(memory);
  return TW_OK;
}

static void draw_legend(canvas *c) {
  double x = LEFT;
  for (int k = 0; k < KINDS; k++) {
    fprintf(c->out, "<rect x=\"%.0f\" y=\"%.0f\" width=\"12\" height=\"12\" class=\"k%d\"/>\n", x, c->y, k);
    label(c, x + 17, c->y + 10, "legend", kinds[k].name);
    x += 34 + 6.7 * (double)strlen(kinds[k].name);
  }
  c->y += 28;
}

static void draw_head(canvas *c, const tw_result_share *r) {
  char text[160];
  snprintf(text, sizeof text, "run %.8s, %d sequence%s: what happened when", r->run_id.hex, r->count,
           r->count == 1 ? "" : "s");
  label(c, LEFT, c->y + 20, "head", text);
  c->y += 36;
  draw_legend(c);
}

static void draw_style(canvas *c) {
  fputs(
      "<style>\n"
      "text{font-family:'DejaVu Sans',Verdana,Helvetica,Arial,sans-serif;font-size:11px;fill:#2b2f36}\n"
      ".head{font-size:17px;font-weight:bold}.panel{font-size:13px;font-weight:bold}.party{font-weight:bold}\n"
      ".name,.sums{text-anchor:end}.number,.layer,.mark{text-anchor:middle}.layer{font-size:10px;fill:#5a616c}\n"
      ".mark{fill:#fff;font-size:10px;pointer-events:none}.row{fill:#e6e9ee;opacity:.55}\n"
      ".band0{fill:#f4f6f9}.band1{fill:#e8ecf2}.axis{stroke:#2b2f36}\n"
      ".tick{stroke:#9aa2ad;stroke-width:.6;stroke-dasharray:2 3}\n",
      c->out);
  for (int k = 0; k < KINDS; k++) fprintf(c->out, ".k%d rect,rect.k%d{fill:%s}\n", k, k, kinds[k].colour);
  fputs("g:hover rect{stroke:#000;stroke-width:1}\n</style>\n", c->out);
}

static tw_status draw(canvas *c, const tw_trace_runs *t) {
  char title[64];
  band middle;
  bool found;
  c->from = 0;
  c->to = end_of(t);
  draw_head(c, t->runs[0]);
  TW_TRY(draw_panel(c, t, "the whole online phase", true));
  TW_TRY(middle_layer(t->runs[0], &middle, &found));
  if (!found) return TW_OK;
  c->from = middle.begin;
  c->to = middle.end;
  c->y += 6;
  snprintf(title, sizeof title, "layer %d, enlarged", middle.layer);
  return draw_panel(c, t, title, false);
}

static tw_status draw_all(const tw_trace_runs *t, double merge, char **text, size_t *bytes) {
  char *body = NULL;
  size_t body_bytes = 0;
  canvas c = {.out = open_memstream(&body, &body_bytes), .y = 12, .merge = merge};
  if (!c.out) return tw_fail(TW_ERR_MEMORY, "out of memory for a picture");
  tw_status status = draw(&c, t);
  bool failed = fclose(c.out) != 0;
  FILE *out = open_memstream(text, bytes);
  if (out) {
    canvas head = {.out = out};
    fprintf(out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" "
            "height=\"%.0f\" viewBox=\"0 0 %d %.0f\" role=\"img\">\n<title>Timeline of run %s</title>\n",
            WIDTH, c.y, WIDTH, c.y, t->runs[0]->run_id.hex);
    draw_style(&head);
    fputs("<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n", out);
    fwrite(body, 1, body_bytes, out);
    fputs("</svg>\n", out);
    failed |= fclose(out) != 0;
  }
  free(body);
  if (status == TW_OK && (failed || !out)) status = tw_fail(TW_ERR_MEMORY, "out of memory for a picture");
  return status;
}

// Coarser as long as it is too large.
tw_status tw_trace_svg(const tw_trace_runs *t, char **text, size_t *bytes) {
  for (int times = 1;; times *= 2) {
    double merge = times;
    *text = NULL;
    tw_status status = draw_all(t, merge, text, bytes);
    if (status != TW_OK || *bytes <= LARGEST || merge > 64) return status;
    free(*text);
  }
}
