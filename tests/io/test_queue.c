// A queue whose names and files come from others: what may wait, what is refused, what is left alone, limits, and that
// nothing outside the two folders is read or changed.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/queue.h"
#include "tests/common/suite.h"

static char folder[64], in[96], out[96];
static char refused_names[4096];

static void note(void *state, const char *name, const char *reason) {
  (void)state;
  size_t used = strlen(refused_names);
  CU_ASSERT(*reason != '\0');
  snprintf(refused_names + used, sizeof refused_names - used, "%s ", name);
}

static void make_folders(void) {
  snprintf(folder, sizeof folder, "/tmp/twain-queue-XXXXXX");
  CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
  snprintf(in, sizeof in, "%s/in", folder);
  snprintf(out, sizeof out, "%s/out", folder);
  CU_ASSERT_EQUAL(mkdir(in, 0700), 0);
  CU_ASSERT_EQUAL(mkdir(out, 0700), 0);
  refused_names[0] = '\0';
}

static void remove_folders(void) {
  char command[96];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  CU_ASSERT_EQUAL(system(command), 0);
}

static tw_queue_options options(int most, int client_most) {
  return (tw_queue_options){
      .folder = in, .out = out, .party = 0, .most = most, .client_most = client_most, .largest = 100, .refused = note};
}

static tw_queue *open_queue(int most, int client_most) {
  tw_queue *q;
  tw_queue_options o = options(most, client_most);
  CU_ASSERT_EQUAL_FATAL(tw_queue_open(&o, &q), TW_OK);
  return q;
}

typedef struct {
  char text[300];
} place;
static place at(const char *above, const char *name) {
  place p;
  snprintf(p.text, sizeof p.text, "%s/%s", above, name);
  return p;
}

static void put(const char *name, const char *content) {
  FILE *file = fopen(at(in, name).text, "w");
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  fputs(content, file);
  fclose(file);
  usleep(5000);  // the next one comes later, by the clock of files
}

static void write_file(const char *path) {
  FILE *file = fopen(path, "w");
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  fclose(file);
}

static bool is_there(const char *above, const char *name) {
  struct stat info;
  return lstat(at(above, name).text, &info) == 0;
}

// What waits, in its order: "a b ".
static const char *waiting(tw_queue *q) {
  static char names[4096];
  size_t used = 0;
  CU_ASSERT_EQUAL(tw_queue_look(q), TW_OK);
  names[0] = '\0';
  for (int i = 0; i < tw_queue_count(q); i++)
    used += (size_t)snprintf(names + used, sizeof names - used, "%s ", tw_queue_at(q, i)->name);
  return names;
}

static void words(void) {
  char long_word[TW_QUEUE_WORD + 2];
  memset(long_word, 'x', sizeof long_word);
  long_word[TW_QUEUE_WORD + 1] = '\0';
  CU_ASSERT_FALSE(tw_queue_word(long_word));
  long_word[TW_QUEUE_WORD] = '\0';
  CU_ASSERT(tw_queue_word(long_word));
  static const char *const good[] = {"a", "A-1_z", "_", "0"};
  static const char *const bad[] = {"", ".", "..", "-a", "a/b", "a b", "a.b", "a\n", "\xc3\xa4", "~", "a%s", "$x"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) CU_ASSERT(tw_queue_word(good[i]));
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CU_ASSERT_FALSE(tw_queue_word(bad[i]));
}

static void folders(void) {
  tw_queue *q;
  make_folders();
  tw_queue_options o = options(9, 9);
  chmod(in, 0770);
  CU_ASSERT_EQUAL(tw_queue_open(&o, &q), TW_OK);
  tw_queue_close(q);
  chmod(in, 0702);
  CU_ASSERT_EQUAL(tw_queue_open(&o, &q), TW_ERR_IO);
  chmod(in, 0700);
  chmod(out, 0720);
  CU_ASSERT_EQUAL(tw_queue_open(&o, &q), TW_ERR_IO);
  chmod(out, 0700);
  o.out = "/nowhere";
  CU_ASSERT_EQUAL(tw_queue_open(&o, &q), TW_ERR_IO);
  CU_ASSERT_PTR_NULL(q);
  if (geteuid() == 0) {
    o.out = out;
    CU_ASSERT_EQUAL(chown(in, 4711, 4711), 0);
    CU_ASSERT_EQUAL(tw_queue_open(&o, &q), TW_ERR_IO);
  }
  remove_folders();
}

static void what_waits(void) {
  make_folders();
  mkdir(at(in, "al").text, 0700);
  mkdir(at(in, "open").text, 0700);
  chmod(at(in, "open").text, 0777);
  tw_queue *q = open_queue(9, 9);
  CU_ASSERT_STRING_EQUAL(waiting(q), "");
  put("c.input.p0.h5", "three");
  put("al/b.input.p0.h5", "two");
  put("a.input.p0.h5", "one");
  put("open/o.input.p0.h5", "of a folder that everybody writes");
  put("a.input.p1.h5", "the other party's");
  put("a.input.p0.h5.partial", "on its way");
  put(".input.p0.h5", "no id");
  put("..input.p0.h5", "no id");
  put("a b.input.p0.h5", "no id");
  put("-a.input.p0.h5", "no id");
  CU_ASSERT_EQUAL(symlink("al", at(in, "linked").text), 0);
  CU_ASSERT_STRING_EQUAL(waiting(q), "c al/b a ");
  CU_ASSERT_STRING_EQUAL(waiting(q), "c al/b a ");
  CU_ASSERT(tw_queue_at(q, 0)->waits > 0 && tw_queue_at(q, 0)->waits < 60);
  CU_ASSERT_FALSE(tw_queue_stops(q));
  CU_ASSERT_STRING_EQUAL(refused_names, "");
  CU_ASSERT(is_there(in, "a b.input.p0.h5") && is_there(in, "..input.p0.h5") && is_there(in, "a.input.p1.h5"));
  // a new file of the same name waits anew
  CU_ASSERT_EQUAL(rename(at(in, "a.input.p1.h5").text, at(in, "c.input.p0.h5").text), 0);
  CU_ASSERT_STRING_EQUAL(waiting(q), "al/b a c ");
  CU_ASSERT_EQUAL(tw_queue_done(q, "al/b"), TW_OK);
  CU_ASSERT_STRING_EQUAL(waiting(q), "a c ");
  put("stop", "");
  waiting(q);
  CU_ASSERT(tw_queue_stops(q));
  tw_queue_remove_stop(q);
  CU_ASSERT_FALSE(is_there(in, "stop"));
  tw_queue_close(q);
  remove_folders();
}

static void refusals(void) {
  char hundred[102];
  make_folders();
  tw_queue *q = open_queue(9, 9);
  put("victim", "untouched");
  CU_ASSERT_EQUAL(symlink("victim", at(in, "link.input.p0.h5").text), 0);
  CU_ASSERT_EQUAL(mkfifo(at(in, "pipe.input.p0.h5").text, 0600), 0);
  CU_ASSERT_EQUAL(mkdir(at(in, "folder.input.p0.h5").text, 0700), 0);
  put("empty.input.p0.h5", "");
  memset(hundred, 'x', 101);
  hundred[101] = '\0';
  put("large.input.p0.h5", hundred);
  hundred[100] = '\0';
  put("whole.input.p0.h5", hundred);
  if (geteuid() == 0) {
    put("foreign.input.p0.h5", "x");
    CU_ASSERT_EQUAL(chown(at(in, "foreign.input.p0.h5").text, 4711, 4711), 0);
    put("group.input.p0.h5", "x");
    CU_ASSERT_EQUAL(chown(at(in, "group.input.p0.h5").text, 4711, getegid()), 0);
  }
  CU_ASSERT_STRING_EQUAL(waiting(q), geteuid() == 0 ? "whole group " : "whole ");
  static const char *const names[] = {"link", "pipe", "folder", "empty", "large", "foreign"};
  for (size_t i = 0; i < sizeof names / sizeof *names - (geteuid() != 0); i++) {
    char file[64];
    snprintf(file, sizeof file, "%s.error.p0.txt", names[i]);
    CU_ASSERT(is_there(out, file));
    CU_ASSERT_PTR_NOT_NULL(strstr(refused_names, names[i]));
    snprintf(file, sizeof file, "%s.input.p0.h5", names[i]);
    CU_ASSERT_EQUAL(is_there(in, file), strcmp(names[i], "folder") == 0);
  }
  CU_ASSERT(is_there(in, "victim"));
  refused_names[0] = '\0';
  waiting(q);  // the folder is still there, and is not told of again
  CU_ASSERT_STRING_EQUAL(refused_names, "");
  put("large.input.p0.h5", "an id serves once");
  waiting(q);
  CU_ASSERT_FALSE(is_there(in, "large.input.p0.h5"));
  // one that waits, and one that comes anew
  write_file(at(out, "whole.result.p0.h5").text);
  CU_ASSERT_STRING_EQUAL(waiting(q), geteuid() == 0 ? "group " : "");
  CU_ASSERT_FALSE(is_there(in, "whole.input.p0.h5"));
  put("whole.input.p0.h5", "has a result");
  CU_ASSERT_STRING_EQUAL(waiting(q), geteuid() == 0 ? "group " : "");
  CU_ASSERT_FALSE(is_there(out, "whole.error.p0.txt"));
  tw_queue_close(q);
  remove_folders();
}

static void limits(void) {
  make_folders();
  mkdir(at(in, "al").text, 0700);
  mkdir(at(in, "a").text, 0700);
  tw_queue *q = open_queue(5, 2);
  static const char *const names[] = {"al/1", "al/2", "al/3", "a/1", "a/2", "x", "y", "z"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char file[64];
    snprintf(file, sizeof file, "%s.input.p0.h5", names[i]);
    put(file, "x");
  }
  CU_ASSERT_STRING_EQUAL(waiting(q), "al/1 al/2 a/1 a/2 x ");
  CU_ASSERT_STRING_EQUAL(refused_names, "al/3 y z ");
  CU_ASSERT(is_there(out, "al/3.error.p0.txt") && is_there(out, "y.error.p0.txt"));
  CU_ASSERT_EQUAL(tw_queue_done(q, "al/1"), TW_OK);
  put("al/4.input.p0.h5", "x");
  CU_ASSERT_STRING_EQUAL(waiting(q), "al/2 a/1 a/2 x al/4 ");
  tw_queue_close(q);
  remove_folders();
}

static void taking(void) {
  tw_queue_copy copy;
  tw_path result;
  char text[16] = "", reason[TW_QUEUE_REASON];
  struct stat info;
  make_folders();
  tw_queue *q = open_queue(9, 9);
  mkdir(at(in, "al").text, 0700);
  put("al/a.input.p0.h5", "content");
  put("secret", "secret");
  CU_ASSERT_STRING_EQUAL(waiting(q), "al/a ");
  CU_ASSERT_EQUAL_FATAL(tw_queue_take(q, "al/a", &copy), TW_OK);
  int fd = open(copy.path.text, O_RDONLY);
  CU_ASSERT_EQUAL(read(fd, text, sizeof text - 1), 7);
  CU_ASSERT_STRING_EQUAL(text, "content");
  CU_ASSERT(fstat(fd, &info) == 0 && (info.st_mode & 07777) == 0600 && info.st_uid == geteuid());
  close(fd);
  tw_fail(TW_ERR_FORMAT, "%s: is bad", copy.path.text);
  tw_queue_reason(q, "al/a", &copy, reason);
  CU_ASSERT_STRING_EQUAL(reason, "a.input.p0.h5: is bad");
  tw_path left = copy.path;
  tw_queue_drop(&copy);
  CU_ASSERT_FALSE(tw_path_exists(&left));
  CU_ASSERT_EQUAL(tw_queue_place(q, "al/a", false, &result), TW_OK);
  CU_ASSERT_STRING_EQUAL(result.text, at(out, "al/a.result.p0.h5.finished").text);
  // what a client's group may read, it may read as soon as it has its name
  static const mode_t modes[][2] = {{0750, 0600}, {02750, 0640}};
  for (int i = 0; i < 2; i++) {
    place kept = at(out, "al/a.result.p0.h5");
    chmod(at(out, "al").text, modes[i][0]);
    write_file(result.text);
    CU_ASSERT_EQUAL(tw_queue_deliver(q, "al/a"), TW_OK);
    CU_ASSERT(stat(kept.text, &info) == 0 && (info.st_mode & 07777) == modes[i][1]);
    CU_ASSERT_FALSE(tw_path_exists(&result));
    // not in the place of another one, nor of one that is gone
    write_file(result.text);
    CU_ASSERT_EQUAL(tw_queue_deliver(q, "al/a"), TW_ERR_IO);
    CU_ASSERT(tw_path_exists(&result));
    CU_ASSERT_EQUAL(tw_queue_forget(q, "al/a"), TW_OK);
    CU_ASSERT_EQUAL(tw_queue_forget(q, "al/a"), TW_ERR_IO);
    CU_ASSERT_EQUAL(tw_queue_deliver(q, "al/a"), TW_ERR_IO);
    tw_queue_refuse(q, i ? "al/x" : "al/y", "a reason");
    CU_ASSERT(stat(at(out, i ? "al/x.error.p0.txt" : "al/y.error.p0.txt").text, &info) == 0);
    CU_ASSERT_EQUAL(info.st_mode & 07777, modes[i][1]);
    CU_ASSERT_EQUAL(unlink(kept.text), 0);
  }
  // after it was looked at it became a link, its folder another
  unlink(at(in, "al/a.input.p0.h5").text);
  CU_ASSERT_EQUAL(symlink("../secret", at(in, "al/a.input.p0.h5").text), 0);
  CU_ASSERT_EQUAL(tw_queue_take(q, "al/a", &copy), TW_ERR_IO);
  tw_queue_drop(&copy);
  rename(at(in, "al").text, at(in, "moved").text);
  CU_ASSERT_EQUAL(symlink("moved", at(in, "al").text), 0);
  CU_ASSERT_EQUAL(tw_queue_take(q, "al/a", &copy), TW_ERR_IO);
  tw_queue_drop(&copy);
  CU_ASSERT_EQUAL(symlink(in, at(out, "bo").text), 0);
  CU_ASSERT_EQUAL(tw_queue_place(q, "bo/a", false, &result), TW_ERR_IO);
  tw_queue_close(q);
  remove_folders();
}

// Where nobody can know which clients seal, nothing passes as plain.
static void clients_folder(void) {
  tw_queue *q;
  tw_queue_copy copy;
  char clients[96], away[112];
  make_folders();
  snprintf(clients, sizeof clients, "%s/clients", folder);
  snprintf(away, sizeof away, "%s.away", clients);
  mkdir(at(in, "al").text, 0700);
  tw_queue_options o = options(9, 9);
  o.seal.clients = clients;
  CU_ASSERT_EQUAL(tw_queue_open(&o, &q), TW_ERR_IO);
  CU_ASSERT_EQUAL(mkdir(clients, 0700), 0);
  chmod(clients, 0720);
  CU_ASSERT_EQUAL(tw_queue_open(&o, &q), TW_ERR_IO);
  chmod(clients, 0700);
  CU_ASSERT_EQUAL_FATAL(tw_queue_open(&o, &q), TW_OK);
  put("al/a.input.p0.h5", "of a client without a site file");
  CU_ASSERT_STRING_EQUAL(waiting(q), "al/a ");
  chmod(clients, 0777);
  put("al/b.input.p0.h5", "x");
  CU_ASSERT_STRING_EQUAL(waiting(q), "al/a ");
  chmod(clients, 0700);
  CU_ASSERT_EQUAL(rename(clients, away), 0);
  put("al/c.input.p0.h5", "x");
  CU_ASSERT_STRING_EQUAL(waiting(q), "al/a ");
  CU_ASSERT_STRING_EQUAL(refused_names, "al/b al/c ");
  CU_ASSERT_EQUAL(tw_queue_take(q, "al/a", &copy), TW_ERR_IO);
  tw_path finished;
  CU_ASSERT_EQUAL(tw_queue_place(q, "al/a", false, &finished), TW_OK);
  write_file(finished.text);
  CU_ASSERT_EQUAL(tw_queue_deliver(q, "al/a"), TW_ERR_IO);
  CU_ASSERT(tw_path_exists(&finished));
  CU_ASSERT_EQUAL(symlink("clients", clients), 0);  // a path that ends nowhere
  CU_ASSERT_EQUAL(tw_queue_take(q, "al/a", &copy), TW_ERR_IO);
  unlink(clients);
  CU_ASSERT_EQUAL(rename(away, clients), 0);
  CU_ASSERT_EQUAL(tw_queue_take(q, "al/a", &copy), TW_OK);
  tw_queue_drop(&copy);
  tw_queue_close(q);
  remove_folders();
}

// A result whose input came sealed goes sealed or not at all, whatever has become of the client's site file.
static void sealed_results(void) {
  tw_queue *q;
  tw_path finished;
  struct stat info;
  char clients[96], why[TW_QUEUE_REASON];
  make_folders();
  snprintf(clients, sizeof clients, "%s/clients", folder);
  CU_ASSERT_EQUAL(mkdir(clients, 0700), 0);
  tw_site none = {.signing = NULL};
  none.self.file = "";
  none.self.not_after = INT64_MAX;
  tw_queue_options o = options(9, 9);
  o.seal = (tw_queue_seal){&none, clients};
  CU_ASSERT_EQUAL_FATAL(tw_queue_open(&o, &q), TW_OK);
  CU_ASSERT_EQUAL(tw_queue_place(q, "al/a", true, &finished), TW_OK);
  CU_ASSERT_STRING_EQUAL(finished.text, at(out, "al/a.result.p0.h5.sealed.finished").text);
  write_file(finished.text);
  // no site file, then one that is damaged
  for (int damaged = 0; damaged < 2; damaged++) {
    if (damaged) write_file(at(clients, "al.pem").text);
    CU_ASSERT_EQUAL(tw_queue_can_deliver(q, "al/a", why), TW_OK);
    CU_ASSERT_PTR_NOT_NULL(strstr(why, "its result cannot be sealed to this client: "));
    CU_ASSERT_NOT_EQUAL(tw_queue_deliver(q, "al/a"), TW_OK);
    CU_ASSERT(tw_path_exists(&finished) && !is_there(out, "al/a.result.p0.h5"));
  }
  none.self.not_after = 1;  // this party's own: no reason to refuse a client
  CU_ASSERT_EQUAL(tw_queue_can_deliver(q, "al/a", why), TW_ERR_IDENTITY);
  none.self.not_after = INT64_MAX;
  tw_queue_close(q);
  o.seal.clients = NULL;
  CU_ASSERT_EQUAL_FATAL(tw_queue_open(&o, &q), TW_OK);
  CU_ASSERT_EQUAL(tw_queue_can_deliver(q, "al/a", why), TW_ERR_USAGE);
  CU_ASSERT_NOT_EQUAL(tw_queue_deliver(q, "al/a"), TW_OK);
  CU_ASSERT(tw_path_exists(&finished) && !is_there(out, "al/a.result.p0.h5"));
  // sealed already by a process that died before the client's group might read it
  place sealed = at(out, "al/a.result.p0.h5.sealed");
  write_file(sealed.text);
  chmod(sealed.text, 0600);
  chmod(at(out, "al").text, 02750);
  CU_ASSERT_EQUAL(tw_queue_can_deliver(q, "al/a", why), TW_OK);
  CU_ASSERT_STRING_EQUAL(why, "");
  CU_ASSERT_EQUAL(tw_queue_deliver(q, "al/a"), TW_OK);
  CU_ASSERT(stat(sealed.text, &info) == 0 && (info.st_mode & 07777) == 0640);
  CU_ASSERT_FALSE(tw_path_exists(&finished));
  // what is refused is removed
  write_file(finished.text);
  CU_ASSERT_EQUAL(tw_queue_forget(q, "al/a"), TW_OK);
  CU_ASSERT_FALSE(tw_path_exists(&finished));
  tw_queue_close(q);
  remove_folders();
}

static tw_status add(void *state, const char *name, tw_queue_state what) {
  static const char *const words[] = {"nothing", "finished", "delivered", "refused"};
  char *text = state;
  size_t used = strlen(text);
  if (used > 200) return tw_fail(TW_ERR_IO, "enough");
  snprintf(text + used, 300 - used, "%s %s, ", name, words[what]);
  return TW_OK;
}

static void what_out_says(void) {
  char text[300] = "";
  make_folders();
  tw_queue *q = open_queue(9, 9);
  CU_ASSERT_EQUAL(mkdir(at(out, "al").text, 0700), 0);
  CU_ASSERT_EQUAL(tw_queue_walk(q, add, text), TW_OK);
  CU_ASSERT_STRING_EQUAL(text, "");
  static const char *const others[] = {"a.result.p1.h5",  "a.result.p0.h5.partial", "a.result.p0.h5.finished.partial",
                                       ".result.p0.h5",   "-a.result.p0.h5",        "a.error.p0.txt.partial",
                                       "a b.result.p0.h5"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) write_file(at(out, others[i]).text);
  CU_ASSERT_EQUAL(symlink("al", at(out, "bo").text), 0);
  CU_ASSERT_EQUAL(tw_queue_walk(q, add, text), TW_OK);
  CU_ASSERT_STRING_EQUAL(text, "");
  write_file(at(out, "a.result.p0.h5").text);
  write_file(at(out, "al/b.result.p0.h5.sealed").text);
  write_file(at(out, "al/c.result.p0.h5.finished").text);
  write_file(at(out, "al/e.result.p0.h5.sealed.finished").text);
  write_file(at(out, "d.error.p0.txt").text);
  CU_ASSERT_EQUAL(tw_queue_walk(q, add, text), TW_OK);
  static const char *const said[] = {"a delivered, ", "al/b delivered, ", "al/c finished, ", "al/e finished, ",
                                     "d refused, "};
  size_t length = 0;
  for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
    CU_ASSERT_PTR_NOT_NULL(strstr(text, said[i]));
    length += strlen(said[i]);
  }
  CU_ASSERT_EQUAL(strlen(text), length);
  while (strlen(text) <= 200) strcat(text, ".");
  CU_ASSERT_EQUAL(tw_queue_walk(q, add, text), TW_ERR_IO);
  tw_queue_close(q);
  remove_folders();
}

SUITE_MAIN("queue", {"words of clients", words}, {"folders", folders}, {"what waits", what_waits},
           {"what is refused", refusals}, {"limits", limits}, {"copies", taking},
           {"clients' site files", clients_folder}, {"sealed results", sealed_results},
           {"what OUT says", what_out_says})
