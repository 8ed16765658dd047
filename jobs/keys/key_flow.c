#include "jobs/keys/key_flow.h"

// Blocks that begin before `upto`, as far as gates that are enqueued already make room for them.
static int may_be_copied(const tw_key_flow *f, int part, uint64_t upto) {
  int end = f->part[part].copied;
  while (end < f->blocks && f->starts[end] < upto &&
         tw_key_read_before(f->laps, f->starts[end + 1]) <= f->part[part].at)
    end++;
  return end;
}

static tw_status copy_to(tw_key_flow *f, int part, int end) {
  for (; f->part[part].copied < end; f->part[part].copied++)
    TW_TRY(f->calls->copy(f->calls->state, part, f->part[part].copied));
  return TW_OK;
}

int tw_key_flow_ahead(const tw_key_flow *f, uint64_t bytes) {
  int end = 0;
  while (end < f->blocks && f->starts[end + 1] <= bytes && tw_key_read_before(f->laps, f->starts[end + 1]) == 0) end++;
  return end;
}

tw_status tw_key_flow_copy_ahead(const tw_key_flow *f) {
  for (int i = 0; i < f->ahead; i++)
    for (int part = 0; part < f->parts; part++) TW_TRY(f->calls->copy(f->calls->state, part, i));
  return TW_OK;
}

tw_status tw_key_flow_start(tw_key_flow *f) {
  for (int part = 0; part < f->parts; part++) {
    f->part[part].copied = f->ahead;
    f->part[part].waited = 0;
    f->part[part].at = 0;
  }
  int end = may_be_copied(f, 0, f->lead);
  for (int i = 1; i <= end; i++)
    for (int part = 0; part < f->parts; part++) TW_TRY(copy_to(f, part, i));
  return TW_OK;
}

// The gates have come to block i, and let copies go on.
static tw_status come_to(tw_key_flow *f, int part, int i) {
  TW_TRY(f->calls->want(f->calls->state, part, i));
  int end = may_be_copied(f, part, f->starts[i] + f->lead);
  if (end <= i)
    return tw_fail(TW_ERR_INTERNAL, "no room for block %d of the keys: gates have read %llu bytes", i,
                   (unsigned long long)f->part[part].at);
  if (end > f->part[part].copied) TW_TRY(f->calls->follow(f->calls->state, part));
  TW_TRY(copy_to(f, part, end));
  return i < f->ahead ? TW_OK : f->calls->wait(f->calls->state, part, i);
}

tw_status tw_key_flow_reach(tw_key_flow *f, int part, uint64_t bytes, bool *there) {
  uint64_t end = f->part[part].at + bytes;
  *there = true;
  for (int i; (i = f->part[part].waited) < f->blocks && f->starts[i] < end; f->part[part].waited++) {
    *there = may_be_copied(f, part, f->starts[i] + f->lead) > i;
    if (!*there) return TW_OK;
    TW_TRY(come_to(f, part, i));
  }
  return TW_OK;
}

tw_status tw_key_flow_take(tw_key_flow *f, int part, uint64_t bytes, uint64_t *place) {
  uint64_t at = f->part[part].at, end = at + bytes;
  if (end > f->starts[f->blocks]) return tw_fail(TW_ERR_INTERNAL, "gates read past the key slot's end");
  if (bytes > 0 && tw_key_lap(f->laps, at) != tw_key_lap(f->laps, end - 1))
    return tw_fail(TW_ERR_INTERNAL, "gates take keys at once that do not lie together");
  for (; f->part[part].waited < f->blocks && f->starts[f->part[part].waited] < end; f->part[part].waited++)
    TW_TRY(come_to(f, part, f->part[part].waited));
  *place = tw_key_place(f->laps, at);
  f->part[part].at = end;
  return TW_OK;
}

static tw_status needs_one_lap(const tw_key_flow *f) {
  if (f->laps->count == 1) return TW_OK;
  return tw_fail(TW_ERR_INTERNAL, "keys that go round their memory are asked for out of order");
}

tw_status tw_key_flow_copied(tw_key_flow *f, int part, uint64_t end) {
  int blocks = f->part[part].copied;
  TW_TRY(needs_one_lap(f));
  while (blocks < f->blocks && f->starts[blocks] < end) blocks++;
  return copy_to(f, part, blocks);
}

tw_status tw_key_flow_to(tw_key_flow *f, int part, uint64_t end) {
  uint64_t at = f->part[part].at, place;
  TW_TRY(needs_one_lap(f));
  return end > at ? tw_key_flow_take(f, part, end - at, &place) : TW_OK;
}
