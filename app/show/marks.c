#include "app/show/marks.h"

#include <stdio.h>
#include <string.h>

void tw_marks_slots(const tw_ledger_mark_note *marks, size_t n, char *text, size_t size) {
  size_t used = 0;
  text[0] = '\0';
  for (size_t i = 0, end; i < n && used < size; i = end) {
    for (end = i + 1; end < n && marks[end].slot == marks[end - 1].slot + 1;) end++;
    if (used + 48 > size) {
      snprintf(text + used, size - used, ", ...");
      return;
    }
    used += (size_t)snprintf(text + used, size - used, "%s%llu", i ? ", " : "", (unsigned long long)marks[i].slot);
    if (end > i + 1)
      used += (size_t)snprintf(text + used, size - used, "-%llu", (unsigned long long)marks[end - 1].slot);
  }
}

static bool same_run(const tw_ledger_mark_note *a, const tw_ledger_mark_note *b) {
  return strcmp(a->pid, b->pid) == 0 && strcmp(a->host, b->host) == 0 && strcmp(a->note, b->note) == 0 &&
         strcmp(a->job, b->job) == 0;
}

void tw_marks_head(tw_grid *grid) {
  tw_grid_row(grid, "key\tparty\twhich slots\tcount\ttime\thost\tprocess\tjob");
  tw_grid_rule(grid);
}

void tw_marks_rows(tw_grid *grid, const tw_ledger_key *key) {
  char slots[200];
  for (size_t i = 0, end; i < key->count; i = end) {
    const tw_ledger_mark_note *mark = &key->marks[i];
    for (end = i + 1; end < key->count && same_run(mark, &key->marks[end]);) end++;
    tw_marks_slots(mark, end - i, slots, sizeof slots);
    tw_grid_row(grid, "%s\t%d\t%s\t%zu\t%s\t%s\t%s\t%s", key->key_id.hex, key->party, slots, end - i, mark->time,
                mark->host, mark->pid, mark->job[0] ? mark->job : "none");
  }
}
