// What row maxima of rectangles (compare.c) and of triangles (triangle.c) share.
#ifndef TW_TOURNAMENT_H
#define TW_TOURNAMENT_H

#include "jobs/program/build.h"

// Members of a group at a level, as the plan chose.
int tw_group_arity(const tw_builder *b, int level);
// Maxima of rows of a WIRE [rows][group]; ties go to the lower index. WIRE [rows].
int tw_group_maxima(tw_builder *b, int x, size_t rows, int group);

#endif
