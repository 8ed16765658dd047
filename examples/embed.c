// Embeds texts with a model that neither party sees, through twain's library: encodes, shares, runs both parties, joins
// the result, and prints a row of numbers for each text. Both parties are processes on this machine, which protects
// nothing: really, each party calls run_party in its own administration, over a connection that is encrypted.
//
//   twain import FOLDER -o n && twain plan n --seq 32 && twain share n && twain deal n -n 8 && twain ledger --new
//   ledger cc embed.c $(pkg-config --cflags --libs twain) -o embed && ./embed n ledger 'a text' 'another one'
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <twain.h>
#include <unistd.h>

static void check(twain_status status, const char *what) {
  if (status == TWAIN_OK) return;
  fprintf(stderr, "%s: %s\n", what, twain_message());
  exit((int)status);
}

// ---- a party

// What send and recv of a socket say, as a twain_stream says it.
static ptrdiff_t moved(ptrdiff_t n) {
  if (n > 0) return n;
  return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) ? 0 : -1;
}

static ptrdiff_t give(void *state, const void *data, size_t bytes) {
  return moved(send(*(int *)state, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL));
}

static ptrdiff_t take(void *state, void *data, size_t bytes) {
  return moved(recv(*(int *)state, data, bytes, MSG_DONTWAIT));
}

static void show(void *state, const char *text) { fprintf(stderr, "party %d: %s\n", *(int *)state, text); }

static void run_party(const char *name, const char *ledger, int party, int socket) {
  twain_stream stream = {give, take, &socket};
  twain_run_options options = TWAIN_RUN_OPTIONS;
  twain_link *link;
  options.ledger = ledger;
  options.replace = 1;
  options.warn = show;
  options.state = &party;
  check(twain_begin(TWAIN_ABI), "begin");
  check(twain_link_stream(&stream, party, 60, &link), "link");
  check(twain_run(name, link, &options), party ? "party 1" : "party 0");
  twain_link_close(link);
}

static int run_both(const char *name, const char *ledger) {
  int sockets[2], code = 0;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0) return TWAIN_ERR_IO;
  for (int party = 0; party < 2; party++) {
    if (fork() != 0) continue;
    close(sockets[1 - party]);
    run_party(name, ledger, party, sockets[party]);
    exit(0);
  }
  close(sockets[0]);
  close(sockets[1]);
  for (int status; wait(&status) > 0;)
    if (code == 0) code = WIFEXITED(status) ? WEXITSTATUS(status) : TWAIN_ERR_PEER;
  return code;
}

// ---- the client

static void share(const char *name, char **texts, int count) {
  twain_plan *plan;
  twain_model *model;
  twain_input *input;
  check(twain_plan_open(name, &plan), "plan");
  check(twain_model_open(name, &model), "model");
  check(twain_encode_text(model, plan, (const char *const *)texts, count, 0, &input), "encode");
  check(twain_share(input, name, 1), "share");
  twain_input_free(input);
  twain_model_close(model);
  twain_plan_close(plan);
}

static void print(const char *name, char **texts) {
  twain_result *result;
  check(twain_reveal(name, &result), "reveal");
  for (int s = 0; s < twain_result_count(result); s++) {
    const double *values = twain_result_values(result, s);
    printf("%s:", texts[s]);
    for (int i = 0; i < twain_result_rows(result) * twain_result_columns(result); i++) printf(" %.5f", values[i]);
    printf("\n");
  }
  twain_result_free(result);
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: embed NAME LEDGER TEXT...\n");
    return TWAIN_ERR_USAGE;
  }
  check(twain_begin(TWAIN_ABI), "begin");
  share(argv[1], argv + 3, argc - 3);
  int code = run_both(argv[1], argv[2]);
  if (code == 0) print(argv[1], argv + 3);
  return code;
}
