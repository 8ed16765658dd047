// What the files of a tile's walk share (tile_walk.c, tile_steps.c); jobs/program/tile.h is what others call.
#ifndef TW_TILE_PARTS_H
#define TW_TILE_PARTS_H

#include "jobs/program/session_parts.h"
#include "jobs/program/tile.h"

typedef struct tw_tile_run tw_tile_run;

// What becomes of a tile's walk: it is done here, or written down for a kernel that does it.
typedef struct {
  tw_status (*gather)(tw_tile_run *r, const tw_tile_part *part, uint64_t *whole, uint64_t *tile);
  tw_status (*scatter)(tw_tile_run *r, const tw_tile_part *part, uint64_t *tile, uint64_t *whole);
  tw_status (*open)(tw_tile_run *r, const tw_open_request *request);
  tw_status (*flush)(tw_tile_run *r);
  // Of an opened part, by the opening's index in the transcript.
  tw_status (*digest)(tw_tile_run *r, const tw_tile_part *part, uint32_t index, uint64_t *tile);
} tw_tile_hands;

// One tile on its way.
struct tw_tile_run {
  tw_session *whole;
  const tw_tile_hands *hands;
  const tw_tile *tile;
  uint64_t *const *shares;  // by correction of the tile's program: the whole's, [batch]
  int sequence;
  tw_session s;
  void *state;  // the hands'
};

// ---- tile_walk.c
// A session of the tile's program with these hands; the caller may change it before it is created.
tw_session_config tw_tile_config(tw_tile_run *r);
tw_status tw_tile_walk(tw_tile_run *r);

// ---- tile_order.c
size_t tw_tile_move_words(const tw_step_move *m);  // of its part, at a tile
void tw_tile_fetch_early(tw_tile_steps *list);
void tw_tile_digest_late(tw_tile_steps *list);
void tw_tile_join_steps(tw_tile_steps *list);

// ---- tile_steps.c
// All tiles of a chain, of all sequences, by the runner.
tw_status tw_tile_run_steps(tw_session *s, const tw_chain *c, size_t rows, uint64_t *const *shares,
                            const tw_tile_runner *runner);

#endif
