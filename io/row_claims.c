#define _GNU_SOURCE
#include "io/row_claims.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/ranges.h"

// One process's word on the file. Version and sizes are this build's: the file does not outlive the processes.
typedef struct {
  char magic[8];
  tw_id input_id;
  tw_digest plan;
  int32_t count, processes;
  int32_t stop;    // 1: somebody asked for an end
  int32_t joined;  // 0: nobody; JOINED; else the process that is at it, plus 1
  uint8_t came[TW_MOST_PROCESSES];
} header;

typedef struct {
  uint64_t slot;
  int32_t owner;  // whom it was given to at first
  int32_t state;  // OPEN, DONE, or the process that claimed it, plus 1
} row;

enum { OPEN = 0, DONE = -1, JOINED = -1 };
static const char magic[8] = "twrows1";

struct tw_row_claims {
  tw_row_claims_options o;
  char *folder;
  int lock, file, own;  // descriptors
  bool held;
  uint64_t begin_ns;
  header head;
  row *rows;
};

static tw_status failed(const tw_row_claims *c, const char *what) {
  return tw_fail(TW_ERR_IO, "%s: cannot %s: %s", c->folder, what, strerror(errno));
}

static tw_status open_file(const tw_row_claims *c, const char *name, int *fd) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/%s", c->folder, name);
  *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  return *fd >= 0 ? TW_OK : tw_fail(TW_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
}

// ---- the lock

static tw_status hold(tw_row_claims *c) {
  while (flock(c->lock, LOCK_EX) != 0)
    if (errno != EINTR) return failed(c, "lock its rows (does the file system have flock?)");
  c->held = true;
  return TW_OK;
}

static void let_go(tw_row_claims *c) {
  if (c->held) flock(c->lock, LOCK_UN);
  c->held = false;
}

// Under the lock.
static bool lives(const tw_row_claims *c, int process) {
  char path[PATH_MAX];
  if (process == c->o.index) return c->own >= 0;
  snprintf(path, sizeof path, "%s/process.%d", c->folder, process);
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return false;
  bool locked = flock(fd, LOCK_SH | LOCK_NB) != 0;
  close(fd);
  return locked;
}

// ---- the file

static size_t row_bytes(const tw_row_claims *c) { return sizeof(row) * (size_t)c->o.count; }

static bool whole(ssize_t n, size_t bytes) { return n >= 0 && (size_t)n == bytes; }

static tw_status load(tw_row_claims *c) {
  if (whole(pread(c->file, &c->head, sizeof c->head, 0), sizeof c->head) &&
      memcmp(c->head.magic, magic, sizeof magic) == 0 && c->head.count == c->o.count &&
      whole(pread(c->file, c->rows, row_bytes(c), sizeof c->head), row_bytes(c)))
    return TW_OK;
  return tw_fail(TW_ERR_FORMAT, "%s/rows: is not what this run wrote there", c->folder);
}

static tw_status store(tw_row_claims *c) {
  if (whole(pwrite(c->file, c->rows, row_bytes(c), sizeof c->head), row_bytes(c)) &&
      whole(pwrite(c->file, &c->head, sizeof c->head, 0), sizeof c->head))
    return TW_OK;
  return failed(c, "write which rows are whose");
}

// ---- open

static bool anybody_else(const tw_row_claims *c) {
  for (int i = 0; i < TW_MOST_PROCESSES; i++)
    if (i != c->o.index && lives(c, i)) return true;
  return false;
}

static tw_status other_run(const tw_row_claims *c) {
  return tw_fail(TW_ERR_IO,
                 "%s: another run of this NAME is at work there (or one of its processes still is); wait for its end",
                 c->folder);
}

static tw_status be_there(tw_row_claims *c) {
  char name[32];
  snprintf(name, sizeof name, "process.%d", c->o.index);
  TW_TRY(open_file(c, name, &c->own));
  if (flock(c->own, LOCK_EX | LOCK_NB) == 0) return TW_OK;
  return errno == EWOULDBLOCK ? other_run(c) : failed(c, "lock its rows (does the file system have flock?)");
}

// Others are at work: are they this run's?
static tw_status join_in(tw_row_claims *c) {
  tw_status status = load(c);
  bool same = status == TW_OK && c->head.processes == c->o.processes && !c->head.came[c->o.index] &&
              strcmp(c->head.input_id.hex, c->o.input_id.hex) == 0 && strcmp(c->head.plan.hex, c->o.plan.hex) == 0;
  if (!same) return other_run(c);
  c->head.came[c->o.index] = 1;
  return store(c);
}

static tw_status come(tw_row_claims *c, bool *first) {
  TW_TRY(tw_alloc(row_bytes(c), (void **)&c->rows));
  TW_TRY(open_file(c, "lock", &c->lock));
  TW_TRY(hold(c));
  TW_TRY(be_there(c));
  TW_TRY(open_file(c, "rows", &c->file));
  *first = !anybody_else(c);
  return *first ? TW_OK : join_in(c);
}

tw_status tw_row_claims_open(const tw_row_claims_options *options, bool *first, tw_row_claims **out) {
  *out = NULL;
  if (options->processes < 1 || options->processes > TW_MOST_PROCESSES)
    return tw_fail(TW_ERR_USAGE, "%d processes a party; 1 to %d may share an input", options->processes,
                   TW_MOST_PROCESSES);
  tw_row_claims *c = calloc(1, sizeof *c);
  if (!c) return tw_fail(TW_ERR_MEMORY, "out of memory");
  *c = (tw_row_claims){.o = *options, .lock = -1, .file = -1, .own = -1, .begin_ns = tw_clock_ns()};
  c->folder = strdup(options->folder);
  tw_status status = c->folder ? come(c, first) : tw_fail(TW_ERR_MEMORY, "out of memory");
  if (status != TW_OK) {
    tw_row_claims_close(c);
    return status;
  }
  if (!*first) let_go(c);
  *out = c;
  return TW_OK;
}

void tw_row_claims_close(tw_row_claims *c) {
  if (!c) return;
  int descriptors[] = {c->own, c->file, c->lock};
  for (int i = 0; i < 3; i++)
    if (descriptors[i] >= 0) close(descriptors[i]);
  tw_free(c->rows);
  free(c->folder);
  free(c);
}

// ---- sharing out

typedef struct {
  int row, length;
} task;

static int longest_first(const void *a, const void *b) {
  const task *x = a, *y = b;
  return x->length != y->length ? y->length - x->length : x->row - y->row;
}

// The longest first, each to who has least so far: nobody has more than the mean and one row.
static tw_status share_out(tw_row_claims *c, const bool *done, const int *lengths) {
  task *tasks;
  uint64_t load[TW_MOST_PROCESSES] = {0};
  int n = 0;
  TW_TRY(tw_alloc(sizeof *tasks * (size_t)c->o.count, (void **)&tasks));
  for (int i = 0; i < c->o.count; i++)
    if (!done[i]) tasks[n++] = (task){i, lengths[i]};
  if (n > 1) qsort(tasks, (size_t)n, sizeof *tasks, longest_first);
  for (int i = 0; i < n; i++) {
    int least = 0;
    for (int k = 1; k < c->o.processes; k++)
      if (load[k] < load[least]) least = k;
    c->rows[tasks[i].row].owner = least;
    load[least] += (uint64_t)tasks[i].length;
  }
  tw_free(tasks);
  return TW_OK;
}

tw_status tw_row_claims_begin(tw_row_claims *c, const bool *done, const int *lengths, const uint64_t *slots) {
  memset(&c->head, 0, sizeof c->head);
  memcpy(c->head.magic, magic, sizeof magic);
  c->head.input_id = c->o.input_id;
  c->head.plan = c->o.plan;
  c->head.count = c->o.count;
  c->head.processes = c->o.processes;
  c->head.came[c->o.index] = 1;
  for (int i = 0; i < c->o.count; i++) c->rows[i] = (row){.slot = slots[i], .state = done[i] ? DONE : OPEN};
  TW_TRY(share_out(c, done, lengths));
  TW_TRY(store(c));
  let_go(c);
  return TW_OK;
}

// ---- what is next. Under the lock.

// Whether a process may still be at work, or come.
static void who_lives(const tw_row_claims *c, bool *alive) {
  bool early = 1e-9 * (double)(tw_clock_ns() - c->begin_ns) < c->o.patience;
  for (int i = 0; i < c->o.processes; i++) alive[i] = c->head.came[i] ? lives(c, i) : early;
}

static void free_rows_of_the_dead(tw_row_claims *c, const bool *alive) {
  for (int i = 0; i < c->o.count; i++) {
    int32_t *state = &c->rows[i].state;
    if (*state > 0 && (*state > c->o.processes || !alive[*state - 1])) *state = OPEN;
  }
}

static int take(tw_row_claims *c, const bool *alive, bool own, int most, int *rows, uint64_t *slots) {
  int n = 0;
  for (int i = 0; i < c->o.count && n < most; i++) {
    row *r = &c->rows[i];
    bool mine = r->owner == c->o.index;
    if (r->state != OPEN || mine != own || (!own && alive[r->owner])) continue;
    r->state = c->o.index + 1;
    rows[n] = i;
    slots[n++] = r->slot;
  }
  return n;
}

static tw_rows_kind next_of(tw_row_claims *c, const bool *alive, int most, int *rows, uint64_t *slots, int *count,
                            int *left) {
  int claimed = 0;
  for (int i = 0; i < c->o.count; i++) {
    *left += c->rows[i].state != DONE;
    claimed += c->rows[i].state > 0;
  }
  if (*left > 0 && c->head.stop) return claimed ? TW_ROWS_WAIT : TW_ROWS_STOP;
  if (*left > 0) {
    *count = take(c, alive, true, most, rows, slots);
    if (*count == 0) *count = take(c, alive, false, most, rows, slots);
    return *count ? TW_ROWS_RUN : TW_ROWS_WAIT;
  }
  if (c->head.joined == JOINED) return TW_ROWS_DONE;
  for (int i = 0; i < c->o.processes; i++)
    if (!c->head.came[i] && alive[i]) return TW_ROWS_WAIT;  // it would find no run to join in
  int at_it = c->head.joined - 1;
  if (at_it >= 0 && at_it != c->o.index && at_it < c->o.processes && alive[at_it]) return TW_ROWS_WAIT;
  c->head.joined = c->o.index + 1;
  return TW_ROWS_JOIN;
}

tw_status tw_row_claims_next(tw_row_claims *c, int most, bool asked, tw_rows_kind *kind, int *rows, uint64_t *slots,
                             int *count, int *left) {
  bool alive[TW_MOST_PROCESSES];
  *count = *left = 0;
  TW_TRY(hold(c));
  tw_status status = load(c);
  if (status == TW_OK) {
    who_lives(c, alive);
    free_rows_of_the_dead(c, alive);
    if (asked) c->head.stop = 1;
    *kind = next_of(c, alive, most, rows, slots, count, left);
    status = store(c);
  }
  let_go(c);
  return status;
}

tw_status tw_row_claims_done(tw_row_claims *c, const int *rows, int count, bool done) {
  TW_TRY(hold(c));
  tw_status status = load(c);
  for (int i = 0; i < count && status == TW_OK; i++) c->rows[rows[i]].state = done ? DONE : OPEN;
  if (status == TW_OK) status = store(c);
  let_go(c);
  return status;
}

tw_status tw_row_claims_joined(tw_row_claims *c) {
  TW_TRY(hold(c));
  tw_status status = load(c);
  c->head.joined = JOINED;
  if (status == TW_OK) status = store(c);
  let_go(c);
  return status;
}

tw_status tw_row_claims_missing(tw_row_claims *c, char *text, size_t size) {
  enum { PIECES = 12 };
  tw_ranges ranges = tw_ranges_begin(text, size, PIECES);
  TW_TRY(hold(c));
  tw_status status = load(c);
  let_go(c);
  for (int i = 0; i < c->o.count && status == TW_OK; i++)
    if (c->rows[i].state != DONE) tw_ranges_add(&ranges, (uint64_t)i);
  tw_ranges_end(&ranges);
  return status;
}
