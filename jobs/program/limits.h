// The declared bounds of a program's wires, by which the emulator says where a value is out of bound
// (jobs/gates/guard.h counts them among shares).
#ifndef TW_LIMITS_H
#define TW_LIMITS_H

#include "jobs/program/session.h"

// How the elements of a wire go with tokens; those of dead ones are never counted.
typedef enum {
  TW_BY_ROW,     // [queries][n / queries]
  TW_BY_HEAD,    // [parts][queries][n / parts / queries]
  TW_BY_COLUMN,  // [n / queries][queries], as K transposed: of the queries' own tokens
  TW_BY_PAIR,    // [parts][queries][keys]
  TW_BY_PACKED   // [parts] packed pairs of `queries` tokens with at most `keys` keys each, `first` before (triangle.h)
} tw_layout;

// Emulator: notes live values of a declared wire that are out of bound (tw_out_of_bound).
void tw_limits_watch(tw_session *s, const tw_op *op, int tensor);

#endif
