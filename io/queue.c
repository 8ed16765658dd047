#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"
#include "io/ids.h"
#include "io/queue_parts.h"
#include "io/seal.h"
#include "io/unfinished.h"

// Entries of one folder that one look reads: who fills it up is not to keep others waiting.
enum { READ_MOST = 8 * TW_QUEUE_MOST };

static bool is_word_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool tw_queue_word(const char *word) {
  size_t n = 0;
  while (n <= TW_QUEUE_WORD && is_word_byte(word[n])) n++;
  return n > 0 && n <= TW_QUEUE_WORD && word[n] == '\0' && word[0] != '-';
}

// ---- folders

static bool own_group(gid_t group) {
  gid_t groups[256];
  if (group == getegid()) return true;
  int n = getgroups(sizeof groups / sizeof *groups, groups);
  for (int i = 0; i < n; i++)
    if (groups[i] == group) return true;
  return false;
}

static tw_status open_folder(const char *option, const char *path, mode_t closed, const char *whom, int *fd) {
  struct stat info;
  *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (*fd < 0 || fstat(*fd, &info) != 0)
    return tw_fail(TW_ERR_IO, "%s %s: cannot open the folder: %s", option, path, strerror(errno));
  if (info.st_uid != geteuid())
    return tw_fail(TW_ERR_IO, "%s %s: belongs to user %u, not to you (%u); make a folder of your own", option, path,
                   (unsigned)info.st_uid, (unsigned)geteuid());
  if (info.st_mode & closed)
    return tw_fail(TW_ERR_IO, "%s %s: %s may write there; run `chmod %s %s`", option, path, whom,
                   closed & 020 ? "go-w" : "o-w", path);
  return TW_OK;
}

tw_status tw_queue_open(const tw_queue_options *options, tw_queue **out) {
  tw_queue *q = calloc(1, sizeof *q);
  *out = NULL;
  if (!q) return tw_fail(TW_ERR_MEMORY, "out of memory for a queue");
  q->o = *options;
  q->folder = q->out = -1;
  snprintf(q->ending, sizeof q->ending, ".input.p%d.h5", options->party);
  tw_status status = open_folder("--queue", options->folder, S_IWOTH, "everybody", &q->folder);
  if (status == TW_OK) status = open_folder("--out", options->out, S_IWOTH | S_IWGRP, "others", &q->out);
  if (status == TW_OK && options->seal.clients) {
    int clients;
    status = open_folder("--clients", options->seal.clients, S_IWOTH | S_IWGRP, "others", &clients);
    if (clients >= 0) close(clients);
  }
  if (status == TW_OK)
    *out = q;
  else
    tw_queue_close(q);
  return status;
}

void tw_queue_close(tw_queue *q) {
  if (!q) return;
  if (q->folder >= 0) close(q->folder);
  if (q->out >= 0) close(q->out);
  tw_free(q->waiting);
  tw_free(q->before);
  free(q);
}

const char *tw_queue_divide(const char *name, char client[TW_QUEUE_WORD + 1]) {
  const char *slash = strchr(name, '/');
  snprintf(client, TW_QUEUE_WORD + 1, "%.*s", slash ? (int)(slash - name) : 0, name);
  return slash ? slash + 1 : name;
}

int tw_queue_client_folder(int above, const char *client, mode_t closed) {
  struct stat info;
  int fd = openat(above, *client ? client : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return -1;
  if (fstat(fd, &info) == 0 && info.st_uid == geteuid() && !(info.st_mode & closed)) return fd;
  close(fd);
  return -1;
}

static void file_name(const tw_queue *q, const char *id, bool sealed, char *out, size_t size) {
  snprintf(out, size, "%.*s%s%s", TW_QUEUE_WORD, id, q->ending, sealed ? TW_SEALED_ENDING : "");
}

tw_path tw_queue_out_path(const tw_queue *q, const char *name, const char *kind, const char *ending) {
  tw_path path;
  int n = snprintf(path.text, sizeof path.text, "%s/%s.%s.p%d.%s", q->o.out, name, kind, q->o.party, ending);
  if (n < 0 || (size_t)n >= sizeof path.text) path.text[0] = '\0';
  return path;
}

tw_status tw_queue_make_client_folder(const tw_queue *q, const char *name) {
  char client[TW_QUEUE_WORD + 1];
  tw_queue_divide(name, client);
  if (!*client) return TW_OK;
  bool made = mkdirat(q->out, client, 0700) == 0;
  if (made ? fsync(q->out) != 0 : errno != EEXIST)
    return tw_fail(TW_ERR_IO, "%s/%s: cannot make the folder: %s", q->o.out, client, strerror(errno));
  int fd = tw_queue_client_folder(q->out, client, S_IWOTH | S_IWGRP);
  if (fd < 0)
    return tw_fail(TW_ERR_IO, "%s/%s: is no folder of this user's that others may not write; remove it", q->o.out,
                   client);
  close(fd);
  return TW_OK;
}

// ---- what becomes of an input

static bool is_out(const tw_queue *q, const char *name, const char *kind, const char *ending) {
  tw_path path = tw_queue_out_path(q, name, kind, ending);
  return tw_path_exists(&path);
}

static bool is_answered(const tw_queue *q, const char *name) {
  return is_out(q, name, "result", "h5") || is_out(q, name, "result", "h5" TW_SEALED_ENDING);
}

// In either form.
static tw_status take_away(tw_queue *q, const char *name) {
  char client[TW_QUEUE_WORD + 1], file[TW_QUEUE_WORD + 32];
  const char *id = tw_queue_divide(name, client);
  int fd = tw_queue_client_folder(q->folder, client, S_IWOTH), failed = 0;
  if (fd < 0) return TW_OK;  // the folder has gone
  for (int sealed = 0; sealed < 2; sealed++) {
    file_name(q, id, sealed, file, sizeof file);
    if (unlinkat(fd, file, 0) != 0 && errno != ENOENT) failed = errno;
  }
  close(fd);
  if (!failed) return TW_OK;
  return tw_fail(TW_ERR_IO, "%s/%s%s: cannot be removed: %s", q->o.folder, name, q->ending, strerror(failed));
}

mode_t tw_queue_mode_of_out(const tw_queue *q, const char *name) {
  struct stat info;
  char client[TW_QUEUE_WORD + 1];
  tw_queue_divide(name, client);
  bool group = fstatat(q->out, *client ? client : ".", &info, AT_SYMLINK_NOFOLLOW) == 0 && (info.st_mode & S_ISGID);
  return group ? 0640 : 0600;
}

tw_status tw_queue_is_sealed(const tw_queue *q, const char *name, bool *sealed) {
  char client[TW_QUEUE_WORD + 1];
  tw_queue_divide(name, client);
  return tw_queue_seals(&q->o.seal, client, sealed);
}

static tw_status write_reason(const tw_queue *q, const char *name, const char *reason) {
  tw_path path = tw_queue_out_path(q, name, "error", "txt");
  tw_output out;
  char text[TW_QUEUE_REASON + 2];
  int bytes = snprintf(text, sizeof text, "%.*s\n", TW_QUEUE_REASON, reason);
  TW_TRY(tw_queue_make_client_folder(q, name));
  TW_TRY(tw_output_begin(&out, path.text, (uint64_t)bytes));
  tw_status status = tw_output_write(&out, "a reason", text, (size_t)bytes, 0);
  if (fchmod(out.fd, tw_queue_mode_of_out(q, name)) != 0)
    status = tw_fail(TW_ERR_IO, "%s: %s", path.text, strerror(errno));
  if (status == TW_OK)
    status = tw_output_commit(&out);
  else
    tw_output_abort(&out);
  tw_unfinished_keep();
  return status;
}

void tw_queue_refuse(tw_queue *q, const char *name, const char *reason) {
  char plain[TW_QUEUE_REASON];
  bool told = is_out(q, name, "error", "txt"), answered = is_answered(q, name);
  snprintf(plain, sizeof plain, "%s", reason);
  tw_text_make_plain(plain);
  tw_status written = told || answered ? TW_OK : write_reason(q, name, plain);
  if (written == TW_OK) written = take_away(q, name);
  if (written != TW_OK) {
    size_t used = strlen(plain);
    snprintf(plain + used, sizeof plain - used, " (and: %s)", tw_error_message());
  }
  bool again = told || (answered && written != TW_OK);  // what cannot be removed is told of once
  if (!again && q->o.refused) q->o.refused(q->o.state, name, plain);
}

tw_status tw_queue_done(tw_queue *q, const char *name) { return take_away(q, name); }

void tw_queue_reason(const tw_queue *q, const char *name, const tw_queue_copy *copy, char *out) {
  const char *message = tw_error_message(), *slash = strchr(name, '/');
  const char *at = *copy->path.text ? strstr(message, copy->path.text) : NULL;
  if (!at)
    snprintf(out, TW_QUEUE_REASON, "%s", message);
  else
    snprintf(out, TW_QUEUE_REASON, "%.*s%s%s%s%s", (int)(at - message), message, slash ? slash + 1 : name, q->ending,
             copy->sealed ? TW_SEALED_ENDING : "", at + strlen(copy->path.text));
}

// ---- looking

// NULL: it may wait.
static const char *fault_of(const tw_queue *q, const struct stat *info, bool sealed) {
  if (!S_ISREG(info->st_mode)) return "is not a regular file";
  if (info->st_uid != geteuid() && !own_group(info->st_gid))
    return "belongs to a user and a group that are not the party's";
  if (info->st_size < 1) return "is empty";
  if ((uint64_t)info->st_size > (sealed ? tw_sealed_bytes(q->o.largest) : q->o.largest))
    return "is larger than an input of this plan can be";
  return NULL;
}

static const char *answer_to(const tw_queue *q, const char *name) {
  if (is_out(q, name, "error", "txt")) return "was refused before; an id serves once";
  if (is_answered(q, name)) return "has a result already; an id serves once";
  return NULL;
}

static const char *fault_at_first(const tw_queue *q, const char *name, const struct stat *info, bool sealed) {
  const char *fault = fault_of(q, info, sealed);
  if (fault) return fault;
  bool must;
  if (tw_queue_is_sealed(q, name, &must) != TW_OK)
    return "may have to be sealed: the folder of clients' site files is not fit";
  if (!sealed && must) return "is not sealed, and this client has a site file here";
  if (sealed && !must) return "is sealed, and this client has no site file here";
  return answer_to(q, name);
}

static const tw_waiting *known(const tw_queue *q, const tw_waiting *w) {
  for (int i = 0; i < q->before_count; i++)
    if (q->before[i].inode == w->inode && q->before[i].arrived == w->arrived && strcmp(q->before[i].name, w->name) == 0)
      return &q->before[i];
  return NULL;
}

// ID of ID.input.pR.h5, or of that with the ending of sealed files.
static bool read_name(const tw_queue *q, const char *file, char id[TW_QUEUE_WORD + 1], bool *sealed) {
  char whole[TW_QUEUE_WORD + 48];
  size_t n = strspn(file, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
  if (n > TW_QUEUE_WORD) return false;
  snprintf(id, TW_QUEUE_WORD + 1, "%.*s", (int)n, file);
  for (int form = 0; form < 2; form++) {
    *sealed = form;
    file_name(q, id, *sealed, whole, sizeof whole);
    if (strcmp(whole, file) == 0) return tw_queue_word(id);
  }
  return false;
}

static tw_status look_at(tw_queue *q, int folder, const char *client, const char *file) {
  struct stat info;
  char id[TW_QUEUE_WORD + 1];
  bool sealed;
  if (!read_name(q, file, id, &sealed)) return TW_OK;
  if (fstatat(folder, file, &info, AT_SYMLINK_NOFOLLOW) != 0) return TW_OK;
  if (S_ISREG(info.st_mode) && info.st_nlink != 1)
    return TW_OK;  // its name is still on the way, or it is another file, too
  tw_waiting w = {.arrived = (int64_t)info.st_ctim.tv_sec * 1000000000 + info.st_ctim.tv_nsec,
                  .inode = (uint64_t)info.st_ino,
                  .seen_ns = tw_clock_ns()};
  snprintf(w.name, sizeof w.name, "%s%s%s", client, *client ? "/" : "", id);
  const tw_waiting *before = known(q, &w);
  const char *fault = before ? answer_to(q, w.name) : fault_at_first(q, w.name, &info, sealed);
  if (fault) {
    char reason[TW_QUEUE_REASON];
    snprintf(reason, sizeof reason, "%s: %s", file, fault);
    tw_queue_refuse(q, w.name, reason);
    return TW_OK;
  }
  if (before) w.seen_ns = before->seen_ns;
  w.waits = 1e-9 * (double)(tw_clock_ns() - w.seen_ns);
  TW_TRY(tw_grow((void **)&q->waiting, &q->room, (size_t)q->count + 1, sizeof w));
  q->waiting[q->count++] = w;
  return TW_OK;
}

// client: NULL for the queue itself, which has clients' folders, too.
static tw_status read_folder(tw_queue *q, const char *client) {
  int fd = tw_queue_client_folder(q->folder, client ? client : "", S_IWOTH);
  DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
  if (!dir) {
    int error = errno;
    if (fd >= 0) close(fd);
    if (client) return TW_OK;  // not a folder that is looked into
    return tw_fail(TW_ERR_IO, "--queue %s: cannot read the folder: %s", q->o.folder, strerror(error));
  }
  tw_status status = TW_OK;
  struct dirent *e;
  for (int n = 0; status == TW_OK && n < READ_MOST && (e = readdir(dir)); n++) {
    bool maybe_folder = e->d_type == DT_DIR || e->d_type == DT_UNKNOWN;
    if (!client && maybe_folder && tw_queue_word(e->d_name) && strcmp(e->d_name, "stop") != 0)
      status = read_folder(q, e->d_name);
    else
      status = look_at(q, fd, client ? client : "", e->d_name);
  }
  closedir(dir);
  return status;
}

static int older(const void *a, const void *b) {
  const tw_waiting *x = a, *y = b;
  if (x->arrived != y->arrived) return x->arrived < y->arrived ? -1 : 1;
  return strcmp(x->name, y->name);
}

// How many of the first `count` are of the client that `name` is of.
static int of_client(const tw_queue *q, int count, const char *name) {
  const char *slash = strchr(name, '/');
  size_t length = slash ? (size_t)(slash - name) + 1 : 0;
  int n = 0;
  for (int i = 0; i < count; i++) {
    const char *other = q->waiting[i].name;
    n += slash ? strncmp(other, name, length) == 0 : !strchr(other, '/');
  }
  return n;
}

static void keep_limits(tw_queue *q) {
  int kept = 0;
  char reason[120];
  for (int i = 0; i < q->count; i++) {
    if (of_client(q, kept, q->waiting[i].name) >= q->o.client_most)
      snprintf(reason, sizeof reason, "%d inputs of this client wait already; try again later", q->o.client_most);
    else if (kept >= q->o.most)
      snprintf(reason, sizeof reason, "the queue is full: %d inputs wait already; try again later", q->o.most);
    else {
      q->waiting[kept++] = q->waiting[i];
      continue;
    }
    tw_queue_refuse(q, q->waiting[i].name, reason);
  }
  q->count = kept;
}

tw_status tw_queue_look(tw_queue *q) {
  struct stat info;
  tw_free(q->before);
  q->before = q->waiting;
  q->before_count = q->count;
  q->waiting = NULL;
  q->count = 0;
  q->room = 0;
  q->stop = fstatat(q->folder, "stop", &info, AT_SYMLINK_NOFOLLOW) == 0;
  TW_TRY(read_folder(q, NULL));
  if (q->count > 1) qsort(q->waiting, (size_t)q->count, sizeof *q->waiting, older);
  keep_limits(q);
  return TW_OK;
}

int tw_queue_count(const tw_queue *q) { return q->count; }
const tw_waiting *tw_queue_at(const tw_queue *q, int i) { return &q->waiting[i]; }
bool tw_queue_stops(const tw_queue *q) { return q->stop; }
void tw_queue_remove_stop(tw_queue *q) { unlinkat(q->folder, "stop", 0); }

// ---- taking

static tw_status write_bytes(const char *path, int to, const void *data, size_t bytes) {
  const char *at = data;
  while (bytes > 0) {
    ssize_t done = write(to, at, bytes);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return tw_fail(TW_ERR_IO, "%s: cannot be copied: %s", path, strerror(done < 0 ? errno : ENOSPC));
    at += done;
    bytes -= (size_t)done;
  }
  return TW_OK;
}

static tw_status copy_bytes(const char *shown, int from, uint64_t bytes, const char *path, int to) {
  char buffer[1 << 14];
  tw_status status = TW_OK;
  for (uint64_t at = 0; at < bytes && status == TW_OK;) {
    size_t part = bytes - at < sizeof buffer ? (size_t)(bytes - at) : sizeof buffer;
    status = tw_read_at(from, shown, "the file", buffer, part, at);
    if (status == TW_OK) status = write_bytes(path, to, buffer, part);
    at += part;
  }
  tw_wipe(buffer, sizeof buffer);
  return status;
}

static int create_copy(const tw_queue *q, tw_queue_copy *out) {
  tw_id random;
  tw_id_random(&random);
  int n = snprintf(out->path.text, sizeof out->path.text, "%s/.input.p%d.%s", q->o.out, q->o.party, random.hex);
  if (n < 0 || (size_t)n >= sizeof out->path.text) {
    errno = ENAMETOOLONG;
    return -1;
  }
  tw_interrupts_hold();
  int fd = open(out->path.text, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600), error = errno;
  if (fd >= 0) tw_unfinished_add(out->path.text);
  tw_interrupts_release();
  errno = error;
  return fd;
}

static tw_status copy_file(tw_queue *q, int from, const char *shown, bool sealed, tw_queue_copy *out) {
  struct stat info;
  if (fstat(from, &info) != 0) return tw_fail(TW_ERR_IO, "%s: cannot be read: %s", shown, strerror(errno));
  const char *fault = fault_of(q, &info, sealed);
  if (fault) return tw_fail(TW_ERR_IO, "%s: %s", shown, fault);
  int to = create_copy(q, out);
  if (to < 0) return tw_fail(TW_ERR_IO, "%s: cannot be copied: %s", shown, strerror(errno));
  tw_status status = copy_bytes(shown, from, (uint64_t)info.st_size, out->path.text, to);
  if (close(to) != 0 && status == TW_OK)
    status = tw_fail(TW_ERR_IO, "%s: cannot be copied: %s", shown, strerror(errno));
  return status;
}

tw_status tw_queue_take(tw_queue *q, const char *name, tw_queue_copy *out) {
  char client[TW_QUEUE_WORD + 1], file[TW_QUEUE_WORD + 32];
  bool sealed;
  out->path.text[0] = '\0';
  out->sealed = false;
  TW_TRY(tw_queue_is_sealed(q, name, &sealed));
  out->sealed = sealed;
  file_name(q, tw_queue_divide(name, client), sealed, file, sizeof file);
  int folder = tw_queue_client_folder(q->folder, client, S_IWOTH);
  int fd = folder >= 0 ? openat(folder, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
  int error = errno;
  if (folder >= 0) close(folder);
  if (fd < 0) return tw_fail(TW_ERR_IO, "%s: cannot be opened: %s", file, strerror(error));
  tw_status status = copy_file(q, fd, file, sealed, out);
  close(fd);
  if (status == TW_OK && sealed) status = tw_queue_unseal(&q->o.seal, client, out->path.text);
  return status;
}

void tw_queue_drop(tw_queue_copy *copy) {
  if (!*copy->path.text) return;
  tw_interrupts_hold();
  unlink(copy->path.text);
  tw_unfinished_rename(copy->path.text, NULL);
  tw_interrupts_release();
  copy->path.text[0] = '\0';
}
