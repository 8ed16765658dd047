#include "jobs/parties/common_parts.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/parties/handshake.h"

typedef struct {
  tw_id token, run_id;
  int32_t count;  // of rows
} part_name;

static void name_parts(const tw_parts *p, part_name *out) {
  for (int i = 0; i < p->count; i++) {
    out[i].token = p->list[i].token;
    out[i].run_id = p->list[i].run_id;
    out[i].count = p->list[i].count;
  }
}

static bool has(const part_name *list, int count, const part_name *one) {
  for (int i = 0; i < count; i++)
    if (memcmp(&list[i], one, sizeof *one) == 0) return true;
  return false;
}

// What one party has and the other one lacks.
typedef struct {
  int parts;
  int64_t rows;
} lack;

static lack lack_of(const part_name *list, int count, const part_name *others, int other_count) {
  lack l = {0, 0};
  for (int i = 0; i < count; i++)
    if (!has(others, other_count, &list[i])) {
      l.parts++;
      l.rows += list[i].count;
    }
  return l;
}

// A process that died between the two parties' files has left one that only one of them has. More are no accident.
static tw_status judge(const lack lacks[2], int most) {
  if (most < 0 || lacks[0].parts + lacks[1].parts <= most) return TW_OK;
  return tw_fail(TW_ERR_MISMATCH,
                 "party 0 lacks %d finished batches (%" PRId64 " rows) that party 1 has, party 1 lacks %d (%" PRId64
                 " rows) that party 0 has: more than a process that dies leaves. Are both in the right folder, and "
                 "their disks there? `--resume --force` on both parties drops these batches",
                 lacks[0].parts, lacks[0].rows, lacks[1].parts, lacks[1].rows);
}

// Each sends as many names as the longer list has. common [mine].
static tw_status exchange_names(tw_channel *channel, const tw_parts *parts, int theirs, bool *common, lack lacks[2]) {
  part_name *names[2];
  int mine = parts->count, party = channel->party;
  size_t longer = (size_t)(mine > theirs ? mine : theirs);
  TW_TRY(tw_alloc(2 * (longer + 1) * sizeof **names, (void **)&names[0]));
  names[1] = names[0] + longer;
  name_parts(parts, names[0]);
  tw_status status = tw_channel_exchange(channel, names[0], names[1], longer * sizeof **names);
  for (int i = 0; i < mine && status == TW_OK; i++) common[i] = has(names[1], theirs, &names[0][i]);
  if (status == TW_OK) {
    lacks[party] = lack_of(names[1], theirs, names[0], mine);
    lacks[1 - party] = lack_of(names[0], mine, names[1], theirs);
  }
  tw_free(names[0]);
  return status;
}

static tw_status agree(tw_channel *channel, tw_status found) {
  tw_terms none;
  memset(&none, 0, sizeof none);
  return tw_agree(channel, found, &none);
}

// Before any is put aside both parties know that they both will.
static tw_status keep_common(tw_channel *channel, tw_parts *parts, int theirs, int most, const tw_listener *listener,
                             bool *common) {
  lack lacks[2];
  TW_TRY(exchange_names(channel, parts, theirs, common, lacks));
  TW_TRY(agree(channel, judge(lacks, most)));
  const lack *dropped = &lacks[1 - channel->party];
  if (dropped->parts)
    tw_warn(listener,
            "%s: party %d lacks %d of the batches there (%" PRId64
            " rows), which are put aside as .dropped; these rows "
            "run again",
            parts->folder.text, 1 - channel->party, dropped->parts, dropped->rows);
  return agree(channel, tw_parts_keep(parts, common));
}

tw_status tw_parts_keep_common(tw_channel *channel, tw_parts *parts, int most, const tw_listener *listener) {
  enum { MOST = 1 << 24 };
  bool *common;
  int32_t mine = parts->count, theirs;
  TW_TRY(tw_channel_exchange(channel, &mine, &theirs, sizeof mine));
  if (theirs < 0 || theirs > MOST)
    return tw_fail(TW_ERR_PEER, "party %d says that it has %" PRId32 " finished batches", 1 - channel->party, theirs);
  TW_TRY(tw_alloc((size_t)mine + 1, (void **)&common));
  tw_status status = keep_common(channel, parts, theirs, most, listener, common);
  tw_free(common);
  return status;
}
