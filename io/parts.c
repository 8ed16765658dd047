#define _GNU_SOURCE
#include "io/parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/file.h"

tw_parts tw_parts_of(const char *name, int party) {
  return (tw_parts){.folder = tw_path_of(name, party ? "parts.p1" : "parts.p0"), .party = party};
}

static void forget(tw_parts *p) {
  for (int i = 0; i < p->count; i++) tw_free(p->list[i].rows);
  p->count = 0;
}

void tw_parts_free(tw_parts *p) {
  forget(p);
  free(p->list);
  p->list = NULL;
  p->room = 0;
}

bool tw_parts_exist(const tw_parts *p) { return tw_path_exists(&p->folder); }

tw_status tw_parts_make(const tw_parts *p) {
  struct stat info;
  const char *path = p->folder.text;
  if (mkdir(path, 0700) != 0 && errno != EEXIST)
    return tw_fail(TW_ERR_IO, "%s: cannot make the folder for finished rows: %s", path, strerror(errno));
  if (lstat(path, &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != geteuid() || (info.st_mode & 022))
    return tw_fail(TW_ERR_IO, "%s: must be a folder of this user that nobody else may write; remove it", path);
  return tw_sync_folder_of(path);
}

// ---- reading

// A part's file: 32 hexadecimal digits and .h5.
static bool token_of(const char *name, tw_id *token) {
  size_t digits = sizeof token->hex - 1;
  if (strlen(name) != digits + 3 || strcmp(name + digits, ".h5") != 0) return false;
  memcpy(token->hex, name, digits);
  token->hex[digits] = '\0';
  return tw_id_is_hex(token);
}

static tw_path path_of(const tw_parts *p, const tw_id *token) {
  tw_path path;
  snprintf(path.text, sizeof path.text, "%.*s/%s.h5", TW_NAME_LONGEST + 16, p->folder.text, token->hex);
  return path;
}

static tw_status check(const char *path, const tw_result_share *r, const tw_id *input_id, const tw_digest *plan,
                       int rows) {
  if (strcmp(r->input_id.hex, input_id->hex) != 0 || strcmp(r->plan.hex, plan->hex) != 0)
    return tw_fail(TW_ERR_MISMATCH,
                   "%s: is of another input or plan: these are rows of an earlier run of this NAME; finish that one, "
                   "or begin anew with --force",
                   path);
  for (int i = 0; i < r->count; i++)
    if (r->batches.count || !r->input_rows || r->input_rows[i] >= rows ||
        r->input_rows[i] <= (i ? r->input_rows[i - 1] : -1))
      return tw_fail(TW_ERR_FORMAT, "%s: does not say which of the %d rows it holds; remove it on both parties", path,
                     rows);
  return TW_OK;
}

static tw_status read_one(tw_parts *p, const tw_id *token, const tw_id *input_id, const tw_digest *plan, int rows) {
  tw_result_share r;
  tw_path path = path_of(p, token);
  TW_TRY(tw_result_share_read(path.text, p->party, &r));
  tw_status status = check(path.text, &r, input_id, plan, rows);
  if (status == TW_OK) status = tw_grow((void **)&p->list, &p->room, (size_t)p->count + 1, sizeof *p->list);
  if (status == TW_OK) {
    p->list[p->count++] = (tw_part){.token = *token, .run_id = r.run_id, .count = r.count, .rows = r.input_rows};
    r.input_rows = NULL;
  }
  tw_result_share_free(&r);
  return status;
}

static int by_first_row(const void *a, const void *b) {
  const tw_part *x = a, *y = b;
  return x->rows[0] != y->rows[0] ? x->rows[0] - y->rows[0] : strcmp(x->token.hex, y->token.hex);
}

tw_status tw_parts_read(tw_parts *p, const tw_id *input_id, const tw_digest *plan, int rows) {
  tw_status status = TW_OK;
  tw_id token;
  forget(p);
  DIR *folder = opendir(p->folder.text);
  if (!folder && errno == ENOENT) return TW_OK;
  if (!folder) return tw_fail(TW_ERR_IO, "%s: cannot read: %s", p->folder.text, strerror(errno));
  for (struct dirent *entry; status == TW_OK && (entry = readdir(folder));)
    if (token_of(entry->d_name, &token)) status = read_one(p, &token, input_id, plan, rows);
  closedir(folder);
  if (p->count > 1) qsort(p->list, (size_t)p->count, sizeof *p->list, by_first_row);
  return status;
}

// A host keeps a folder's list for up to a minute, unless it finds that others changed the folder when it does.
void tw_parts_refresh(const tw_parts *p) {
  char path[sizeof p->folder.text + 16];
  snprintf(path, sizeof path, "%s/look.partial", p->folder.text);
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd >= 0) close(fd);
  unlink(path);
}

void tw_parts_mark(const tw_parts *p, bool *done) {
  for (int i = 0; i < p->count; i++)
    for (int k = 0; k < p->list[i].count; k++) done[p->list[i].rows[k]] = true;
}

bool tw_parts_any(const tw_parts *p) {
  bool any = false;
  tw_id token;
  DIR *folder = opendir(p->folder.text);
  if (!folder) return false;
  for (struct dirent *entry; !any && (entry = readdir(folder));) any = token_of(entry->d_name, &token);
  closedir(folder);
  return any;
}

// Masked values are uniform, so those of two runs differ.
static bool has_row_of(const tw_result_share *whole, const tw_result_share *part) {
  size_t each = (size_t)part->rows * (size_t)part->cols;
  if (part->rows != whole->rows || part->cols != whole->cols) return false;
  for (int i = 0; i < part->count; i++) {
    size_t row = (size_t)part->input_rows[i];
    if (row < (size_t)whole->count &&
        memcmp(whole->masked + row * each, part->masked + (size_t)i * each, 8 * each) == 0)
      return true;
  }
  return false;
}

tw_status tw_parts_later(const tw_parts *p, const tw_result_share *whole, bool *later) {
  *later = false;
  for (int i = 0; i < p->count && !*later; i++) {
    tw_result_share r;
    TW_TRY(tw_result_share_read(path_of(p, &p->list[i].token).text, p->party, &r));
    *later = !r.input_rows || !has_row_of(whole, &r);
    tw_result_share_free(&r);
  }
  return TW_OK;
}

// ---- changing

// Removes entries of the folder.
typedef enum { UNFINISHED, PARTS, ALL } what;
static const char aside[] = ".dropped";

static void sweep(const tw_parts *p, what dropped) {
  char path[sizeof p->folder.text + 300];
  DIR *folder = opendir(p->folder.text);
  if (!folder) return;
  for (struct dirent *entry; (entry = readdir(folder));) {
    const char *name = entry->d_name, *dot = strrchr(name, '.');
    tw_id token;
    bool partial = dot && strcmp(dot, ".partial") == 0;
    bool part = token_of(name, &token) || (dot && strcmp(dot, aside) == 0);
    bool ours = part || strcmp(name, "rows") == 0 || strcmp(name, "lock") == 0 || strncmp(name, "process.", 8) == 0;
    snprintf(path, sizeof path, "%s/%s", p->folder.text, name);
    if (partial || (dropped == PARTS && part) || (dropped == ALL && ours)) unlink(path);
  }
  closedir(folder);
}

tw_status tw_parts_keep(tw_parts *p, const bool *keep) {
  int kept = 0;
  sweep(p, UNFINISHED);
  for (int i = 0; i < p->count; i++) {
    tw_path path = path_of(p, &p->list[i].token), away;
    snprintf(away.text, sizeof away.text, "%.*s%s", TW_NAME_LONGEST + 64, path.text, aside);
    if (!keep[i] && rename(path.text, away.text) != 0)
      return tw_fail(TW_ERR_IO, "%s: cannot be put aside as %s: %s", path.text, away.text, strerror(errno));
    if (keep[i])
      p->list[kept++] = p->list[i];
    else
      tw_free(p->list[i].rows);
  }
  p->count = kept;
  return TW_OK;
}

void tw_parts_drop(tw_parts *p) {
  sweep(p, PARTS);
  forget(p);
}

tw_status tw_parts_claim(const tw_parts *p, const tw_id *token, const tw_result_share *shape, tw_result_claim **out) {
  return tw_result_share_claim(path_of(p, token).text, shape, false, out);
}

tw_status tw_parts_remove(const tw_parts *p) {
  sweep(p, ALL);
  if (rmdir(p->folder.text) == 0 || errno == ENOENT) return TW_OK;
  return tw_fail(TW_ERR_IO, "%s: of no use any more, but the folder cannot be removed: %s", p->folder.text,
                 strerror(errno));
}

// ---- joining

static tw_status allocate_batches(const tw_parts *p, tw_batch_list *b) {
  *b = (tw_batch_list){.count = 0};
  if (p->count < 2) return TW_OK;
  size_t rows = 0;
  for (int i = 0; i < p->count; i++) rows += (size_t)p->list[i].count;
  TW_TRY(tw_alloc(sizeof *b->transcripts * (size_t)p->count, (void **)&b->transcripts));
  return tw_alloc(sizeof *b->rows * rows, (void **)&b->rows);
}

static tw_status allocate(const tw_result_share *like, int rows, tw_result_share *out) {
  size_t n = (size_t)rows, values = 8 * n * (size_t)like->rows * (size_t)like->cols;
  *out = *like;
  out->count = rows;
  out->lengths = NULL;
  out->input_rows = NULL;
  out->slots = out->masked = out->mask = out->guard_masked = out->guard_mask = NULL;
  out->rows_table = NULL;
  out->spans = NULL;
  out->span_count = 0;
  out->batches = (tw_batch_list){.count = 0};
  out->correction_bytes = out->sent_bytes = out->rounds = out->spans_dropped = 0;
  out->setup_seconds = out->preparation_seconds = out->online_seconds = out->comm_seconds = 0;
  out->counters = (tw_result_counters){.probe_latency_seconds = like->counters.probe_latency_seconds,
                                       .probe_bytes_per_second = like->counters.probe_bytes_per_second};
  TW_TRY(tw_alloc(n * sizeof *out->lengths, (void **)&out->lengths));
  TW_TRY(tw_alloc(n * sizeof *out->slots, (void **)&out->slots));
  TW_TRY(tw_secret_alloc(values, (void **)&out->masked));
  TW_TRY(tw_secret_alloc(values, (void **)&out->mask));
  if (like->guard) TW_TRY(tw_secret_alloc(8 * n, (void **)&out->guard_masked));
  if (like->guard) TW_TRY(tw_secret_alloc(8 * n, (void **)&out->guard_mask));
  TW_TRY(tw_alloc(sizeof *out->rows_table * (size_t)like->row_count, (void **)&out->rows_table));
  for (int i = 0; i < like->row_count; i++) {
    tw_cost_row *row = &out->rows_table[i];
    row->layer = like->rows_table[i].layer;
    memcpy(row->step, like->rows_table[i].step, sizeof row->step);
  }
  return TW_OK;
}

static void add_costs(tw_result_share *out, const tw_result_share *r) {
  uint64_t *to[] = {&out->counters.open_flushes_demand,
                    &out->counters.open_flushes_budget,
                    &out->counters.flushes_overlapped,
                    &out->counters.open_comm_ns,
                    &out->counters.gate_ns,
                    &out->counters.open_wire_bytes_sent,
                    &out->counters.open_payload_bytes,
                    &out->counters.products_prepared_beside,
                    &out->counters.key_bytes,
                    &out->counters.key_wait_ns,
                    &out->correction_bytes,
                    &out->sent_bytes,
                    &out->rounds};
  uint64_t from[] = {r->counters.open_flushes_demand,
                     r->counters.open_flushes_budget,
                     r->counters.flushes_overlapped,
                     r->counters.open_comm_ns,
                     r->counters.gate_ns,
                     r->counters.open_wire_bytes_sent,
                     r->counters.open_payload_bytes,
                     r->counters.products_prepared_beside,
                     r->counters.key_bytes,
                     r->counters.key_wait_ns,
                     r->correction_bytes,
                     r->sent_bytes,
                     r->rounds};
  for (size_t i = 0; i < sizeof from / sizeof *from; i++) *to[i] += from[i];
  out->setup_seconds += r->setup_seconds;
  out->preparation_seconds += r->preparation_seconds;
  out->online_seconds += r->online_seconds;
  out->comm_seconds += r->comm_seconds;
  out->test_keys = out->test_keys || r->test_keys;
  out->steps_timed = out->steps_timed && r->steps_timed;
  for (int i = 0; i < out->row_count; i++) {
    out->rows_table[i].correction_bytes += r->rows_table[i].correction_bytes;
    out->rows_table[i].sent_bytes += r->rows_table[i].sent_bytes;
    out->rows_table[i].rounds += r->rows_table[i].rounds;
    out->rows_table[i].seconds += r->rows_table[i].seconds;
  }
}

static void add_rows(tw_result_share *out, const tw_result_share *r, bool *there) {
  size_t each = (size_t)r->rows * (size_t)r->cols;
  for (int i = 0; i < r->count; i++) {
    size_t to = (size_t)r->input_rows[i], from = (size_t)i;
    if (there[to]) continue;
    there[to] = true;
    out->lengths[to] = r->lengths[from];
    out->slots[to] = r->slots[from];
    memcpy(out->masked + to * each, r->masked + from * each, 8 * each);
    memcpy(out->mask + to * each, r->mask + from * each, 8 * each);
    if (out->guard) out->guard_masked[to] = r->guard_masked[from];
    if (out->guard) out->guard_mask[to] = r->guard_mask[from];
  }
}

static void add_batch(tw_batch_list *b, const tw_result_share *r) {
  if (!b->transcripts) return;
  for (int i = 0; i < r->count; i++) b->rows[b->row_count++] = (tw_batch_row){b->count, r->input_rows[i], r->slots[i]};
  memcpy(b->transcripts[b->count++], r->transcript, sizeof r->transcript);
}

// What the parts' ids and keys become together.
typedef struct {
  tw_id run, key;
} names;

static void add_names(names *all, const tw_result_share *r, bool first) {
  char text[2 * sizeof(tw_digest)];
  tw_digest d;
  snprintf(text, sizeof text, "%s%s", first ? "" : all->run.hex, r->run_id.hex);
  tw_digest_of(text, strlen(text), &d);
  memcpy(all->run.hex, d.hex, sizeof all->run.hex - 1);
  all->run.hex[sizeof all->run.hex - 1] = '\0';
  if (first) all->key = r->key_id;
  if (strcmp(all->key.hex, r->key_id.hex) == 0) return;
  snprintf(text, sizeof text, "%s%s", all->key.hex, r->key_id.hex);
  tw_digest_of(text, strlen(text), &d);
  memcpy(all->key.hex, d.hex, sizeof all->key.hex - 1);
}

static bool same_shape(const tw_result_share *a, const tw_result_share *b) {
  return a->rows == b->rows && a->cols == b->cols && a->guard == b->guard && a->row_count == b->row_count &&
         a->ring_bits == b->ring_bits && a->scale == b->scale && strcmp(a->output, b->output) == 0 &&
         strcmp(a->model_id.hex, b->model_id.hex) == 0;
}

static tw_status add(const tw_parts *p, int number, int rows, bool *there, names *all, tw_result_share *out) {
  tw_result_share r;
  tw_path path = path_of(p, &p->list[number].token);
  TW_TRY(tw_result_share_read(path.text, p->party, &r));
  tw_status status = check(path.text, &r, &r.input_id, &r.plan, rows);
  if (status == TW_OK && number == 0) status = allocate(&r, rows, out);
  if (status == TW_OK && number == 0) status = allocate_batches(p, &out->batches);
  if (status == TW_OK && !same_shape(&r, out))
    status = tw_fail(TW_ERR_MISMATCH, "%s: another form than the other parts; run again with --force", path.text);
  if (status == TW_OK) {
    add_costs(out, &r);
    add_rows(out, &r, there);
    add_names(all, &r, number == 0);
    add_batch(&out->batches, &r);
  }
  tw_result_share_free(&r);
  return status;
}

tw_status tw_parts_join(const tw_parts *p, int rows, tw_result_share *out) {
  bool *there;
  names all = {.run = {""}};
  *out = (tw_result_share){.count = 0};
  TW_TRY(tw_alloc(sizeof *there * (size_t)rows, (void **)&there));
  tw_status status = TW_OK;
  for (int i = 0; i < p->count && status == TW_OK; i++) status = add(p, i, rows, there, &all, out);
  for (int i = 0; i < rows && status == TW_OK; i++)
    if (!there[i])
      status = tw_fail(TW_ERR_IO,
                       "%s: the batch of row %d, which was finished, is not there any more (or not seen yet, on a file "
                       "system of several hosts); `run --resume` runs such rows again",
                       p->folder.text, i);
  tw_free(there);
  if (status != TW_OK) {
    tw_result_share_free(out);
    return status;
  }
  out->run_id = all.run;
  out->key_id = all.key;
  if (out->batches.count) {
    tw_digest transcripts = tw_batch_list_transcript(&out->batches);
    memcpy(out->transcript, transcripts.hex, sizeof out->transcript);
  }
  for (int i = 0; i < out->row_count && !out->steps_timed; i++) out->rows_table[i].seconds = 0;
  if (!out->steps_timed) out->counters.key_wait_ns = 0;
  return TW_OK;
}
