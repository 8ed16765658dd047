#include "tests/comm/many_messages.h"

#include <CUnit/CUnit.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { IN_FLIGHT = 3 };

typedef struct {
  tw_channel *channel;
  int rounds;
  const size_t *sizes;
  const uint8_t *content[2];  // of each party
  uint8_t *received[IN_FLIGHT];
  int wrong;
  tw_status status;
} player;

static size_t size_of(const player *p, int round, int i) {
  return (round + i) % 3 == 0 ? p->sizes[(round / 3 + i) % MANY_SIZES] : (size_t)(round * 977 + i * 131) % 9000;
}

static void *play(void *arg) {
  player *p = arg;
  int party = p->channel->party;
  for (int round = 0; round < p->rounds && p->status == TW_OK; round++) {
    tw_exchange x[IN_FLIGHT];
    for (int i = 0; i < IN_FLIGHT && p->status == TW_OK; i++) {
      x[i] = (tw_exchange){p->content[party] + i, p->received[i], size_of(p, round, i), NULL, 0};
      p->status = p->channel->start(p->channel, &x[i]);
    }
    for (int i = 0; i < IN_FLIGHT && p->status == TW_OK; i++) {
      int which = (round + 2 * i) % IN_FLIGHT;
      p->status = p->channel->wait(p->channel, &x[which]);
      p->wrong += memcmp(p->received[which], p->content[1 - party] + which, x[which].bytes) != 0;
      p->wrong += x[which].handle != NULL;
    }
  }
  return NULL;
}

void many_messages(tw_channel *const ends[2], int rounds, size_t most, const size_t sizes[MANY_SIZES]) {
  player players[2];
  pthread_t threads[2];
  uint8_t *content[2] = {malloc(most), malloc(most)};
  for (int party = 0; party < 2; party++) randombytes_buf(content[party], most);
  for (int party = 0; party < 2; party++) {
    players[party] =
        (player){.channel = ends[party], .rounds = rounds, .sizes = sizes, .content = {content[0], content[1]}};
    for (int i = 0; i < IN_FLIGHT; i++) players[party].received[i] = malloc(most);
    pthread_create(&threads[party], NULL, play, &players[party]);
  }
  for (int party = 0; party < 2; party++) {
    pthread_join(threads[party], NULL);
    CU_ASSERT_EQUAL(players[party].status, TW_OK);
    CU_ASSERT_EQUAL(players[party].wrong, 0);
    for (int i = 0; i < IN_FLIGHT; i++) free(players[party].received[i]);
  }
  for (int party = 0; party < 2; party++) free(content[party]);
}
