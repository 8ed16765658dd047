// Chains: operations through which a tile of rows can go from level to level alone, as an overlay of a finished program
// (docs/design/chains.md). The program stays as it is: levels, use ids, corrections, digest, and every opened value.
#ifndef TW_CHAINS_H
#define TW_CHAINS_H

#include "jobs/program/rows.h"

typedef struct {
  int tensor;
  tw_rows rows;
  bool input;   // made before the chain
  bool output;  // read by others, or a result
} tw_chain_tensor;

typedef struct {
  size_t rows;
  int *ops, op_count;  // in the program's order
  tw_chain_tensor *tensors;
  int tensor_count;  // by tensor, ascending
  int rounds;        // levels in which it opens
} tw_chain;

typedef struct {
  tw_chain *chains;
  int count;
  int *of_op;  // which chain; -1: none
} tw_chains;

// Maximal chains of at least `rounds` rounds. All that a chain reads from outside is made before its first
// operation, so it may run where that one stands, and the other operations keep their order. tw_chains_free in any
// case. TW_ERR_MEMORY.
tw_status tw_chains_find(const tw_program *p, int rounds, tw_chains *out);
void tw_chains_free(tw_chains *c);
// Without some of them; op_count: the program's. The others keep their order.
void tw_chains_drop(tw_chains *c, int op_count, const bool *dropped);

// Drops chains that do not save rounds. A level is saved when all that it opens is in chains. Where these are two, each
// sends a message in its place, and half a level counts for each; where they are more, none. A chain is kept when at
// least `rounds` of its levels are saved, and half of them. TW_ERR_MEMORY.
tw_status tw_chains_keep_saving(const tw_program *p, int rounds, tw_chains *c);

// The shape of an operation of the chain.
void tw_chain_shape(const tw_program *p, const tw_chain *c, const tw_op *op, tw_row_shape *out);
// Its place among the chain's tensors.
int tw_chain_tensor_of(const tw_chain *c, int tensor);

#endif
