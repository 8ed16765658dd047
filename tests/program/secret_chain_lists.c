// What a kernel is given of a chain, under valgrind: every byte of its steps is known. Two lists are compared byte by
// byte, so what lies between a structure's members must be, too; else a chain is refused by chance.
#include <stdio.h>
#include <stdlib.h>
#include <valgrind/memcheck.h>

#include "tests/common/chained.h"

enum { SHARED_BYTES = 180 << 10, TABLE_BYTES = 8, NOWHERE = 1 << 20 };

typedef struct {
  int lists, unknown;
} seen;

static tw_status look(void *state, tw_session *s, const tw_tile_steps *list, size_t tiles) {
  seen *to = state;
  (void)s, (void)tiles;
  to->lists++;
  to->unknown += VALGRIND_CHECK_MEM_IS_DEFINED(list->steps, (size_t)list->count * sizeof *list->steps) != 0;
  to->unknown += VALGRIND_CHECK_MEM_IS_DEFINED(list->packs, (size_t)list->pack_count * sizeof *list->packs) != 0;
  to->unknown += VALGRIND_CHECK_MEM_IS_DEFINED(list->lists, 8 * list->list_words) != 0;
  return tw_fail(TW_ERR_USAGE, "seen");  // that is enough
}

// Both parties give up with their first chain.
static void look_at(chained *c, size_t tile_rows, seen *to) {
  static const uint64_t *tables[CHAINED_TABLES];
  static uint64_t somewhere[TABLE_BYTES / 8];
  tw_chains chains;
  seen of[2] = {{0, 0}, {0, 0}};
  tw_tile_runner runner[2];
  for (int i = 0; i < CHAINED_TABLES; i++) tables[i] = somewhere;
  if (tw_chains_find(&c->program, 2, &chains) != TW_OK) abort();
  for (int party = 0; party < 2; party++)
    runner[party] = (tw_tile_runner){.run = look,
                                     .state = &of[party],
                                     .place = {.shared_base = 1024,
                                               .shared_bytes = SHARED_BYTES,
                                               .tables = tables,
                                               .packed = somewhere,
                                               .packed_words = NOWHERE}};
  walk w = chained_walk_of(c, &chains, tile_rows, (const tw_tile_runner *const[]){&runner[0], &runner[1]});
  (void)walk_run(&w);
  walk_free(&w);
  tw_chains_free(&chains);
  for (int party = 0; party < 2; party++) to->lists += of[party].lists, to->unknown += of[party].unknown;
}

int main(void) {
  enum { RANDOM = 12 };
  seen all = {0, 0};
  chained c;
  if (!RUNNING_ON_VALGRIND) {
    fprintf(stderr, "this test says nothing without valgrind --error-exitcode=1\n");
    return 2;
  }
  int x = chained_start(&c, 12, 19, 1, 22, 18);
  c.heads = 2;
  c.causal = true;
  chained_finish(&c, chained_softmax(&c, x));
  look_at(&c, 3, &all);
  chained_end(&c);
  x = chained_start(&c, 4, 48, 1, 28, 16);
  chained_finish(&c, chained_norm(&c, x, true));
  look_at(&c, 1, &all);
  chained_end(&c);
  for (int i = 0; i < RANDOM; i++) {
    chained_random(&c);
    look_at(&c, 1, &all);
    chained_end(&c);
  }
  printf("%d lists, %d with bytes that nobody wrote\n", all.lists, all.unknown);
  return all.lists < 4 || all.unknown;
}
