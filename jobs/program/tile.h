// A tile: some rows of a chain as a program of their own, and a party's walk by tiles. Tensors and corrections of a
// tile are those of its rows; gates, lists, tables and use ids are the whole program's. CPU.
#ifndef TW_TILE_H
#define TW_TILE_H

#include "jobs/program/chains.h"
#include "jobs/program/session.h"
#include "kernels/chain_steps.h"

typedef struct {
  tw_program program;  // tensors as in the chain's list; lists, tables and steps are the whole program's
  const tw_program *whole;
  const tw_chain *chain;
  tw_row_shape *shapes;  // by operation, of the whole
  tw_rows *dealt;        // by correction
  tw_row_range range;
} tw_tile;

// Of `rows` rows, from the first one on. tw_tile_free in any case. TW_ERR_MEMORY; TW_ERR_RANGE: as tw_tile_move.
tw_status tw_tile_make(const tw_program *whole, const tw_chain *chain, size_t rows, tw_tile *out);
void tw_tile_free(tw_tile *t);
// The same tile of rows from `first` on. TW_ERR_RANGE where rows of two heads see different keys.
tw_status tw_tile_move(tw_tile *t, size_t first);

// A range's elements of a tensor, or bits of each of its planes (planes 0: elements), and back. What is common to all
// rows is copied.
typedef struct {
  tw_rows rows;
  size_t all, n;  // rows of the whole; its elements (of each plane)
  size_t planes;
  size_t sequence_words;  // from one sequence's whole to the next one's
  bool watched;           // opened, and nobody but who watches reads it
  bool early;             // no input decides on it: bits may be packed before the chain begins
} tw_tile_part;
void tw_tile_gather(const tw_tile_part *part, tw_row_range range, const uint64_t *whole, uint64_t *tile);
void tw_tile_scatter(const tw_tile_part *part, tw_row_range range, const uint64_t *tile, uint64_t *whole);
// What a tile's opened values give of the digest of the whole (kernels/digest.h).
uint64_t tw_tile_digest(const tw_tile_part *part, tw_row_range range, const uint64_t *tile);

// A tile's walk as steps for a block of a GPU (kernels/chain_steps.h). Pointers `whole` are the session's own, of its
// first sequence.
typedef struct {
  tw_chain_step *steps;
  int count;
  int64_t *lists;  // go to the beginning of a block's memory
  size_t list_words;
  size_t shared_bytes;       // of lists and tile
  uint32_t packets, rounds;  // packets: most of a round
  tw_step_move *packs;       // what tw_tile_place.packed is made of before: of tile number t at tile + t words of one
  int pack_count;
  size_t packed_words;
} tw_tile_steps;

enum { TW_MOST_PACKS = 256 };  // of a chain; what is beyond is fetched from where it lies

// Where a kernel finds a block's memory, and the program's tables.
typedef struct {
  uint64_t shared_base;
  size_t shared_bytes;
  const uint64_t *const *tables;
  uint64_t *digests;    // of openings, by index in the transcript: the kernel adds to them; NULL: nobody reads them
  uint64_t *packed;     // memory for what is packed before: for each part, tile behind tile
  size_t packed_words;  // what has no room there is fetched from where it lies
} tw_tile_place;

// Whoever runs all tiles of a chain at once, `tiles` of each sequence. TW_ERR_USAGE for what no kernel can do.
typedef struct {
  tw_tile_place place;
  tw_status (*run)(void *state, tw_session *s, const tw_tile_steps *steps, size_t tiles);
  // Before a chain's corrections are expanded: it may give the session room for them, and another stream, until they
  // are. NULL: nothing.
  tw_status (*aside)(void *state, tw_session *s);
  void *state;
} tw_tile_runner;

// From now on the party's session walks each chain tile by tile, in one order at both parties, every other operation by
// itself. It opens the same values, in other messages, and its transcript is the same. rows: of a tile, at most; the
// last tile of a chain may have fewer. Before the session's first level. runner: who runs the tiles; NULL: the walk
// itself does, in memory of the CPU. tw_tiles_end comes before the session is destroyed. TW_ERR_MEMORY;
// TW_ERR_INTERNAL: nobody runs them.
typedef struct tw_tiles tw_tiles;
tw_status tw_tiles_begin(tw_session *s, const tw_chains *chains, size_t rows, const tw_tile_runner *runner,
                         tw_tiles **out);
void tw_tiles_end(tw_tiles *t);
// For a session's configuration, where it is foreseen: the memory that a walk by tiles will ask for.
typedef struct {
  const tw_chains *chains;
  const tw_tile_runner *runner;  // NULL: the walk itself
} tw_tiles_reserve;
tw_chain_runner tw_tiles_reserver(tw_tiles_reserve *r);
// Drops the chains that such a runner cannot take. like: a session's configuration, of which only memory is asked for.
// The runner's run is called once and more for each other chain, with addresses that mean nothing. TW_ERR_MEMORY.
tw_status tw_tiles_probe(const tw_session_config *like, tw_chains *chains, size_t rows, const tw_tile_runner *runner);
// All of that around tw_session_run.
tw_status tw_session_run_tiles(tw_session *s, const tw_chains *chains, size_t rows, const tw_tile_runner *runner);

#endif
