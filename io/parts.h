// What batches of a run have finished, until all rows of the input are there: the folder NAME.parts.pR with a result
// file for each batch, whole from the moment when it is there. Both parties' files of one batch have one name.
#ifndef TW_PARTS_H
#define TW_PARTS_H

#include "io/new_files.h"
#include "io/result.h"

typedef struct {
  tw_id token;  // the file's name
  tw_id run_id;
  int count, *rows;  // of the input
} tw_part;

typedef struct {
  tw_path folder;
  int party, count;
  size_t room;
  tw_part *list;
} tw_parts;

// Where they are; reads nothing. tw_parts_free in the end.
tw_parts tw_parts_of(const char *name, int party);
void tw_parts_free(tw_parts *parts);
// Whether the folder is there, and makes it: closed to others.
bool tw_parts_exist(const tw_parts *parts);
tw_status tw_parts_make(const tw_parts *parts);
// Reads which rows are there, by their first rows. TW_ERR_MISMATCH for parts of another input or plan. rows: of the
// input.
tw_status tw_parts_read(tw_parts *parts, const tw_id *input_id, const tw_digest *plan, int rows);
// Where several hosts share the folder (NFS), what others have put there is seen from here on.
void tw_parts_refresh(const tw_parts *parts);
// Rows of the input that are in some part. [rows]
void tw_parts_mark(const tw_parts *parts, bool *done);
// Whether some part is there; reads none.
bool tw_parts_any(const tw_parts *parts);
// *later: some part has no row with the values that it has in `whole`, which was not made of it.
tw_status tw_parts_later(const tw_parts *parts, const tw_result_share *whole, bool *later);
// Puts those aside that are not kept [count], as TOKEN.h5.dropped, and removes what was not finished.
tw_status tw_parts_keep(tw_parts *parts, const bool *keep);
// Removes all of them, whatever they are of, and those that were put aside.
void tw_parts_drop(tw_parts *parts);
// Name and room for one more, as tw_result_share_claim.
tw_status tw_parts_claim(const tw_parts *parts, const tw_id *token, const tw_result_share *shape,
                         tw_result_claim **out);
// All rows as one result: ids are digests of theirs, costs are sums, and each part is a batch with its transcript.
// TW_ERR_IO where rows are missing. A row that is in several parts is taken from the first.
tw_status tw_parts_join(const tw_parts *parts, int rows, tw_result_share *out);
// The whole folder, and what else this program has put there. TW_ERR_IO where the folder stays.
tw_status tw_parts_remove(const tw_parts *parts);

#endif
