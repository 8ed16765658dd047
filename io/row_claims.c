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
  int32_t begun;   // the same of the beginning: until then the rows' state is not known
  uint8_t came[TW_MOST_PROCESSES];
} header;

typedef struct {
  uint64_t slot;
  int32_t owner;  // whom it was given to at first
  int32_t state;  // OPEN, DONE, or the process that claimed it, plus 1
} row;

enum { OPEN = 0, DONE = -1, JOINED = -1, BEGUN = -1 };
static const char magic[8] = "twrows2";

struct tw_row_claims {
  tw_row_claims_options o;
  char *folder;
  int file, own;  // descriptors
  bool held, gone;
  uint64_t begin_ns;
  header head;
  row *rows;
};

// The other hosts' word for a file or folder that one of them has removed.
static bool is_gone(int error) { return error == ESTALE || error == ENOENT; }

static tw_status failed(tw_row_claims *c, const char *what) {
  c->gone = c->gone || is_gone(errno);
  return tw_fail(TW_ERR_IO, "%s: cannot %s: %s", c->folder, what, strerror(errno));
}

static int open_at(const tw_row_claims *c, const char *name, int flags) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/%s", c->folder, name);
  return open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static tw_status open_file(tw_row_claims *c, const char *name, int *fd) {
  *fd = open_at(c, name, O_RDWR | O_CREAT);
  return *fd >= 0 ? TW_OK : failed(c, "open the file of its rows");
}

// ---- the lock

static tw_status hold(tw_row_claims *c) {
  while (flock(c->file, LOCK_EX) != 0)
    if (errno != EINTR) return failed(c, "lock its rows (does the file system have flock?)");
  c->held = true;
  return TW_OK;
}

static void let_go(tw_row_claims *c) {
  if (c->held) flock(c->file, LOCK_UN);
  c->held = false;
}

// Under the lock. came: it has made its file.
static bool lives(const tw_row_claims *c, int process, bool came) {
  char name[32];
  if (process == c->o.index) return c->own >= 0;
  snprintf(name, sizeof name, "process.%d", process);
  int fd = open_at(c, name, O_RDWR | (came ? O_CREAT : 0));
  if (fd < 0) return false;
  bool locked = flock(fd, LOCK_SH | LOCK_NB) != 0;
  close(fd);
  return locked;
}

// ---- the file

static size_t row_bytes(const tw_row_claims *c) { return sizeof(row) * (size_t)c->o.count; }

static bool whole(ssize_t n, size_t bytes) { return n >= 0 && (size_t)n == bytes; }

static tw_status load(tw_row_claims *c) {
  errno = 0;
  if (whole(pread(c->file, &c->head, sizeof c->head, 0), sizeof c->head) &&
      memcmp(c->head.magic, magic, sizeof magic) == 0 && c->head.count == c->o.count &&
      whole(pread(c->file, c->rows, row_bytes(c), sizeof c->head), row_bytes(c)))
    return TW_OK;
  if (errno == ESTALE) return failed(c, "read which rows are whose");
  return tw_fail(TW_ERR_FORMAT, "%s/rows: is not what this run wrote there", c->folder);
}

static tw_status store(tw_row_claims *c) {
  if (whole(pwrite(c->file, c->rows, row_bytes(c), sizeof c->head), row_bytes(c)) &&
      whole(pwrite(c->file, &c->head, sizeof c->head, 0), sizeof c->head))
    return TW_OK;
  return failed(c, "write which rows are whose");
}

// ---- open

// at_work: the file says who came. Nothing is made in a folder that is about to go.
static bool anybody_else(const tw_row_claims *c, bool at_work) {
  for (int i = 0; i < TW_MOST_PROCESSES; i++)
    if (i != c->o.index && lives(c, i, at_work && c->head.came[i])) return true;
  return false;
}

static bool read_header(tw_row_claims *c) {
  return whole(pread(c->file, &c->head, sizeof c->head, 0), sizeof c->head) &&
         memcmp(c->head.magic, magic, sizeof magic) == 0;
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

// Nobody is at work: whatever an earlier run has left in the file says nothing.
static tw_status be_first(tw_row_claims *c) {
  memset(&c->head, 0, sizeof c->head);
  memcpy(c->head.magic, magic, sizeof magic);
  c->head.input_id = c->o.input_id;
  c->head.plan = c->o.plan;
  c->head.count = c->o.count;
  c->head.processes = c->o.processes;
  c->head.came[c->o.index] = 1;
  return store(c);
}

// Whether the file that is locked is still the one of this name: who removes it may have held the lock before.
static tw_status look_again(tw_row_claims *c) {
  struct stat locked, named;
  int fd = open_at(c, "rows", O_RDWR);
  bool same = fd >= 0 && fstat(c->file, &locked) == 0 && fstat(fd, &named) == 0 && locked.st_dev == named.st_dev &&
              locked.st_ino == named.st_ino;
  if (fd >= 0) close(fd);
  c->gone = c->gone || !same;
  return same ? TW_OK : tw_fail(TW_ERR_IO, "%s: has been removed", c->folder);
}

static tw_status come(tw_row_claims *c) {
  TW_TRY(tw_alloc(row_bytes(c), (void **)&c->rows));
  TW_TRY(open_file(c, "rows", &c->file));
  TW_TRY(hold(c));
  TW_TRY(look_again(c));
  TW_TRY(be_there(c));
  bool known = read_header(c), joined = known && c->head.joined == JOINED;
  if (!anybody_else(c, known && !joined)) return be_first(c);
  if (!joined) return join_in(c);
  c->gone = true;
  return tw_fail(TW_ERR_IO, "%s: is about to be removed, all is done", c->folder);
}

tw_status tw_row_claims_open(const tw_row_claims_options *options, bool *gone, tw_row_claims **out) {
  *out = NULL;
  *gone = false;
  if (options->processes < 1 || options->processes > TW_MOST_PROCESSES)
    return tw_fail(TW_ERR_USAGE, "%d processes a party; 1 to %d may share an input", options->processes,
                   TW_MOST_PROCESSES);
  tw_row_claims *c = calloc(1, sizeof *c);
  if (!c) return tw_fail(TW_ERR_MEMORY, "out of memory");
  *c = (tw_row_claims){.o = *options, .file = -1, .own = -1, .begin_ns = tw_clock_ns()};
  c->folder = strdup(options->folder);
  tw_status status = c->folder ? come(c) : tw_fail(TW_ERR_MEMORY, "out of memory");
  if (status != TW_OK) {
    *gone = c->gone;
    tw_row_claims_close(c);
    return status;
  }
  let_go(c);
  *out = c;
  return TW_OK;
}

void tw_row_claims_close(tw_row_claims *c) {
  if (!c) return;
  int descriptors[] = {c->own, c->file};
  for (int i = 0; i < 2; i++)
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

static tw_status begin(tw_row_claims *c, const bool *done, const int *lengths, const uint64_t *slots) {
  TW_TRY(load(c));
  if (c->head.begun != c->o.index + 1)
    return tw_fail(TW_ERR_INTERNAL, "%s: another process was told to begin", c->folder);
  c->head.begun = BEGUN;
  for (int i = 0; i < c->o.count; i++) c->rows[i] = (row){.slot = slots[i], .state = done[i] ? DONE : OPEN};
  TW_TRY(share_out(c, done, lengths));
  return store(c);
}

tw_status tw_row_claims_begin(tw_row_claims *c, const bool *done, const int *lengths, const uint64_t *slots) {
  TW_TRY(hold(c));
  tw_status status = begin(c, done, lengths, slots);
  let_go(c);
  return status;
}

// ---- what is next. Under the lock.

// Whether a process may still be at work, or come.
static void who_lives(const tw_row_claims *c, bool *alive) {
  bool early = 1e-9 * (double)(tw_clock_ns() - c->begin_ns) < c->o.patience;
  for (int i = 0; i < c->o.processes; i++) alive[i] = c->head.came[i] ? lives(c, i, true) : early;
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

static bool at_it(const tw_row_claims *c, int32_t process, const bool *alive) {
  return process > 0 && process - 1 != c->o.index && process <= c->o.processes && alive[process - 1];
}

static tw_rows_kind next_of(tw_row_claims *c, const bool *alive, int most, int *rows, uint64_t *slots, int *count,
                            int *left) {
  int claimed = 0;
  if (c->head.begun != BEGUN) {
    *left = c->o.count;
    if (at_it(c, c->head.begun, alive)) return TW_ROWS_WAIT;
    c->head.begun = c->o.index + 1;
    return TW_ROWS_BEGIN;
  }
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
  for (int i = 0; i < c->o.processes; i++)
    if (!c->head.came[i] && alive[i]) return TW_ROWS_WAIT;  // it would find no run to join in
  if (at_it(c, c->head.joined, alive)) return TW_ROWS_WAIT;
  c->head.joined = c->o.index + 1;
  return TW_ROWS_JOIN;
}

tw_status tw_row_claims_next(tw_row_claims *c, int most, bool asked, tw_rows_kind *kind, int *rows, uint64_t *slots,
                             int *count, int *left) {
  bool alive[TW_MOST_PROCESSES];
  *count = *left = 0;
  tw_status status = hold(c);
  if (status == TW_OK) status = load(c);
  if (status == TW_OK && c->head.joined == JOINED) {  // nothing more is made in the folder, which is about to go
    *kind = TW_ROWS_DONE;
  } else if (status == TW_OK) {
    who_lives(c, alive);
    free_rows_of_the_dead(c, alive);
    if (asked) c->head.stop = 1;
    *kind = next_of(c, alive, most, rows, slots, count, left);
    status = store(c);
  }
  let_go(c);
  if (status == TW_OK || !c->gone) return status;
  *kind = TW_ROWS_GONE;
  return TW_OK;
}

// What is said to a folder that has gone needs no telling: tw_row_claims_next will say so.
static tw_status told(tw_row_claims *c, tw_status status) {
  let_go(c);
  return c->gone ? TW_OK : status;
}

tw_status tw_row_claims_done(tw_row_claims *c, const int *rows, int count, bool done) {
  tw_status status = hold(c);
  if (status == TW_OK) status = load(c);
  for (int i = 0; i < count && status == TW_OK; i++) c->rows[rows[i]].state = done ? DONE : OPEN;
  if (status == TW_OK) status = store(c);
  return told(c, status);
}

tw_status tw_row_claims_joined(tw_row_claims *c) {
  tw_status status = hold(c);
  if (status == TW_OK) status = load(c);
  c->head.begun = BEGUN;
  c->head.joined = JOINED;
  for (int i = 0; i < c->o.count; i++) c->rows[i].state = DONE;
  if (status == TW_OK) status = store(c);
  return told(c, status);
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
