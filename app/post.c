#define _GNU_SOURCE
#include "app/post.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"
#include "io/new_files.h"
#include "io/queue.h"
#include "io/unfinished.h"

const tw_option tw_option_to = {.name = "to",
                                .kind = TW_OPTION_TEXTS,
                                .value = "DIR",
                                .help = "the --queue of a party's service; twice, party 0's first"};
const tw_option tw_option_put = {.name = "put",
                                 .kind = TW_OPTION_TEXTS,
                                 .value = "COMMAND",
                                 .help =
                                     "in the place of --to: a program, run without a shell as COMMAND FILE, which "
                                     "brings FILE into that party's queue "
                                     "under its own name, by a rename; twice, party 0's first"};
const tw_option tw_option_back = {.name = "from",
                                  .kind = TW_OPTION_TEXTS,
                                  .value = "DIR",
                                  .help = "the --out of a party's service; twice, party 0's first"};
const tw_option tw_option_get = {
    .name = "get",
    .kind = TW_OPTION_TEXTS,
    .value = "COMMAND",
    .help =
        "in the place of --from: a program, run as COMMAND NAME FILE again and again. It brings the file NAME of that "
        "party's out folder as FILE, and ends with 0 once it is there; twice, party 0's first"};
const tw_option tw_option_client = {.name = "client",
                                    .kind = TW_OPTION_TEXT,
                                    .value = "CLIENT",
                                    .help = "with --to and --from: the folder in them that is this client's"};

// ---- the words

static tw_status check_two(const char *folders, const tw_option_texts *a, const char *commands,
                           const tw_option_texts *b) {
  if ((a->count == 2 && b->count == 0) || (a->count == 0 && b->count == 2)) return TW_OK;
  return tw_fail(TW_ERR_USAGE, "--%s DIR or --%s COMMAND: one of them, twice, party 0's first", folders, commands);
}

tw_status tw_post_check(const tw_post_words *w) {
  TW_TRY(check_two("to", &w->to, "put", &w->put));
  TW_TRY(check_two("from", &w->from, "get", &w->get));
  if (w->client && w->to.count == 0 && w->from.count == 0)
    return tw_fail(TW_ERR_USAGE, "--client names a folder in those of --to and --from; a command knows it itself");
  if (w->client && !tw_queue_word(w->client))
    return tw_fail(TW_ERR_USAGE, "--client '%s': at most %d letters, digits, - and _ are needed, the first no -",
                   w->client, TW_QUEUE_WORD);
  return TW_OK;
}

static void note_time(struct timespec *t, long ms) { *t = (struct timespec){ms / 1000, ms % 1000 * 1000000}; }

static void rest(long ms) {
  struct timespec t;
  note_time(&t, ms);
  nanosleep(&t, NULL);
}

// ---- commands

// Ends with the command's exit code in *code; one that goes on past the deadline is ended. No shell reads the words.
static tw_status call(const char *command, const char *first, const char *second, uint64_t deadline, int *code) {
  char *const arguments[] = {(char *)command, (char *)first, (char *)second, NULL};
  posix_spawn_file_actions_t files;
  pid_t child, ended;
  int how = 0;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
  int error = posix_spawnp(&child, command, &files, NULL, arguments, environ);
  posix_spawn_file_actions_destroy(&files);
  if (error) return tw_fail(TW_ERR_IO, "%s: cannot be run: %s", command, strerror(error));
  while ((ended = waitpid(child, &how, WNOHANG)) == 0 || (ended < 0 && errno == EINTR)) {
    if (tw_clock_ns() > deadline) {
      kill(child, SIGTERM);
      waitpid(child, &how, 0);
      return tw_fail(TW_ERR_PEER, "%s %s: did not end in time", command, first);
    }
    rest(10);
  }
  *code = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
  if (*code == 126 || *code == 127) return tw_fail(TW_ERR_IO, "%s %s: ended with code %d", command, first, *code);
  return TW_OK;
}

// ---- folders

// A folder of another user's whose new files have its group: the group, who is that user's, may read.
static mode_t mode_in(const char *path) {
  char folder[4096];
  struct stat info;
  snprintf(folder, sizeof folder, "%s", path);
  char *slash = strrchr(folder, '/');
  if (slash) *slash = '\0';
  bool shared = slash && stat(folder, &info) == 0 && info.st_uid != geteuid() && (info.st_mode & S_ISGID);
  return shared ? 0640 : 0600;
}

// *there false: no such file yet.
static tw_status copy(const char *from, const char *to, bool *there) {
  char buffer[1 << 14];
  struct stat info;
  tw_output out;
  int fd = open(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  *there = fd >= 0;
  if (fd < 0 && errno == ENOENT) return TW_OK;
  if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size < 1) {
    tw_status status =
        tw_fail(TW_ERR_IO, "%s: cannot be read: %s", from, fd < 0 ? strerror(errno) : "is no file with content");
    if (fd >= 0) close(fd);
    return status;
  }
  tw_status status = tw_output_begin(&out, to, (uint64_t)info.st_size);
  if (status == TW_OK) {
    if (fchmod(out.fd, mode_in(to)) != 0) status = tw_fail(TW_ERR_IO, "%s: %s", to, strerror(errno));
    for (uint64_t at = 0; status == TW_OK && at < (uint64_t)info.st_size;) {
      uint64_t left = (uint64_t)info.st_size - at;
      size_t part = left < sizeof buffer ? (size_t)left : sizeof buffer;
      status = tw_read_at(fd, from, "the file", buffer, part, at);
      if (status == TW_OK) status = tw_output_write(&out, "a copy", buffer, part, at);
      at += part;
    }
    if (status == TW_OK)
      status = tw_output_commit(&out);
    else
      tw_output_abort(&out);
  }
  tw_wipe(buffer, sizeof buffer);
  tw_unfinished_keep();
  close(fd);
  return status;
}

static tw_status path_in(const char *folder, const char *client, const char *name, char out[4096]) {
  int n = snprintf(out, 4096, "%s/%s%s%s", folder, client ? client : "", client ? "/" : "", name);
  return n > 0 && n < 4096 ? TW_OK : tw_fail(TW_ERR_USAGE, "%s: the path is too long", folder);
}

// ---- there and back

static uint64_t deadline_of(const tw_post_words *w) { return tw_clock_ns() + (uint64_t)(1e9 * w->wait); }

tw_status tw_post_send(const tw_post_words *w, const char *folder, const char *id, const char *ending, int party) {
  char name[TW_QUEUE_WORD + 32], file[4096], there[4096];
  bool copied;
  int code;
  snprintf(name, sizeof name, "%s.input.p%d.h5%s", id, party, ending);
  TW_TRY(path_in(folder, NULL, name, file));
  if (w->to.count) {
    TW_TRY(path_in(w->to.text[party], w->client, name, there));
    return copy(file, there, &copied);
  }
  TW_TRY(call(w->put.text[party], file, NULL, deadline_of(w), &code));
  if (code == 0) return TW_OK;
  return tw_fail(TW_ERR_IO, "%s %s: ended with code %d: party %d has not got its share", w->put.text[party], file, code,
                 party);
}

// The file `name` of a party's out folder as FOLDER/NAME, closed to others.
static tw_status fetch(const tw_post_words *w, const char *folder, const char *name, int party, uint64_t deadline,
                       bool *there) {
  char file[4096], from[4096];
  struct stat info;
  int code;
  TW_TRY(path_in(folder, NULL, name, file));
  if (w->from.count) {
    TW_TRY(path_in(w->from.text[party], w->client, name, from));
    return copy(from, file, there);
  }
  TW_TRY(call(w->get.text[party], name, file, deadline, &code));
  *there = code == 0 && lstat(file, &info) == 0 && S_ISREG(info.st_mode);
  if (*there && chmod(file, 0600) != 0) return tw_fail(TW_ERR_IO, "%s: %s", file, strerror(errno));
  if (!*there) unlink(file);
  return TW_OK;
}

static tw_status refused(const char *folder, const char *name, int party) {
  char file[4096], reason[TW_QUEUE_REASON + 1] = "";
  TW_TRY(path_in(folder, NULL, name, file));
  int fd = open(file, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd >= 0 ? read(fd, reason, sizeof reason - 1) : 0;
  if (fd >= 0) close(fd);
  unlink(file);
  reason[n > 0 ? n : 0] = '\0';
  reason[strcspn(reason, "\n")] = '\0';
  tw_text_make_plain(reason);
  return tw_fail(TW_ERR_PEER, "party %d refuses the input: %s", party, reason);
}

static tw_status look(const tw_post_words *w, const char *folder, const char *id, const char *ending, int party,
                      uint64_t deadline, bool *done) {
  char name[TW_QUEUE_WORD + 32];
  bool there;
  snprintf(name, sizeof name, "%s.result.p%d.h5%s", id, party, ending);
  TW_TRY(fetch(w, folder, name, party, deadline, done));
  if (*done) return TW_OK;
  snprintf(name, sizeof name, "%s.error.p%d.txt", id, party);
  TW_TRY(fetch(w, folder, name, party, deadline, &there));
  return there ? refused(folder, name, party) : TW_OK;
}

tw_status tw_post_wait(const tw_post_words *w, const char *folder, const char *id, const char *ending) {
  bool done[2] = {false, false};
  uint64_t deadline = deadline_of(w);
  for (;;) {
    for (int party = 0; party < 2; party++)
      if (!done[party]) TW_TRY(look(w, folder, id, ending, party, deadline, &done[party]));
    if (done[0] && done[1]) return TW_OK;
    if (tw_clock_ns() > deadline)
      return tw_fail(TW_ERR_PEER, "no result of party %s after %g s; it may still come, as %s.result.pR.h5%s",
                     done[0]   ? "1"
                     : done[1] ? "0"
                               : "0 and none of party 1",
                     w->wait, id, ending);
    rest(w->get.count ? 1000 : 20);
  }
}
