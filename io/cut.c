#include "io/cut.h"

// How many tokens of texts of n[0] and n[1] stay when `room` may.
static void cut_pair(int n[2], int room) {
  if (n[0] + n[1] <= room) return;
  int small = n[0] > n[1], shorter = n[small], longer;
  if (shorter > room)
    longer = shorter;
  else
    longer = room - shorter > shorter ? room - shorter : shorter;
  if (shorter + longer > room) {
    shorter = room / 2;
    longer = shorter + room % 2;
  }
  n[small] = shorter;
  n[!small] = longer;
}

tw_status tw_cut(int n[2], bool pair, int special, int most) {
  int room = most - special;
  if (room < 1 + pair)
    return tw_fail(TW_ERR_RANGE, "a length of %d tokens leaves no room for %s between the special tokens", most,
                   pair ? "two texts" : "a text");
  if (pair)
    cut_pair(n, room);
  else if (n[0] > room)
    n[0] = room;
  return TW_OK;
}
