#include "jobs/plan/lengths.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/decoder_tensors.h"
#include "jobs/plan/plan_parts.h"

static tw_plan_request request_like(const tw_plan *like, int seq) {
  return (tw_plan_request){.seq = seq,
                           .rounding = like->rounding,
                           .output = like->output,
                           .guard = like->shape.guard,
                           .choices = like->choices};
}

// What else depends on the length stays as it is for the longest one.
static void take_rings(const tw_plan *like, tw_plan *out) {
  size_t layers = (size_t)like->shape.config.layers;
  memcpy(out->bounds, like->bounds, sizeof *out->bounds * layers);
  memcpy(out->rings, like->rings, sizeof *out->rings * layers);
  out->head_bounds = like->head_bounds;
  out->head_rings = like->head_rings;
  out->shape.last_ring = like->shape.last_ring;
  out->shape.reciprocal = like->shape.reciprocal;
  out->shape.reciprocal_by_key = like->shape.reciprocal_by_key;
}

tw_status tw_plan_shorter(const tw_plan *like, int seq, tw_plan *out) {
  memset(out, 0, sizeof *out);
  if (tw_decoder_layout_of(&like->shape.config))
    return tw_fail(TW_ERR_USAGE, "%s is a decoder; several lengths in one plan are for encoders",
                   like->shape.config.name);
  if (seq < 1 || seq > like->shape.seq)
    return tw_fail(TW_ERR_USAGE, "length %d: 1 to %d tokens are possible in this plan", seq, like->shape.seq);
  tw_plan_request request = request_like(like, seq);
  tw_status status = tw_plan_shape(out, &like->shape.config, &request);
  if (status == TW_OK) {
    take_rings(like, out);
    out->tables = like->tables;
    out->table_count = like->table_count;
    status = tw_plan_build(out);
    out->tables = NULL;
  }
  if (status != TW_OK) tw_plan_free(out);
  return status;
}

tw_status tw_plan_set_lengths(tw_plan *plan, const int *seqs, const int64_t *texts, int count) {
  if (count < 2 || count > TW_MOST_LENGTHS || seqs[count - 1] != plan->shape.seq)
    return tw_fail(TW_ERR_USAGE, "2 to %d lengths, the last of %d tokens, are possible in this plan", TW_MOST_LENGTHS,
                   plan->shape.seq);
  for (int i = 0; i < count; i++) {
    tw_plan one;
    if (i && seqs[i] <= seqs[i - 1])
      return tw_fail(TW_ERR_USAGE, "lengths rise: %d comes behind %d", seqs[i], seqs[i - 1]);
    TW_TRY(tw_plan_shorter(plan, seqs[i], &one));
    plan->lengths[i] = (tw_plan_length){seqs[i], texts ? texts[i] : 0, one.digest};
    tw_plan_free(&one);
  }
  plan->length_count = count;
  return TW_OK;
}

tw_status tw_plan_take_length(tw_plan *plan, int seq) {
  tw_plan one;
  int i = 0;
  while (i < plan->length_count && plan->lengths[i].seq != seq) i++;
  if (i == plan->length_count)
    return tw_fail(TW_ERR_MISMATCH, "the plan has no program for %d tokens; plan again with --lengths", seq);
  TW_TRY(tw_plan_shorter(plan, seq, &one));
  if (strcmp(one.digest.hex, plan->lengths[i].digest.hex) != 0) {
    tw_plan_free(&one);
    return tw_fail(TW_ERR_MISMATCH,
                   "the plan's program for %d tokens has another digest than the file says: it was changed, or made by "
                   "another version of twain; make the plan again (`twain plan`) or fetch a fresh copy",
                   seq);
  }
  one.tables = plan->tables;
  plan->tables = NULL;
  tw_plan_free(plan);
  *plan = one;
  return TW_OK;
}

int tw_plan_length_for(const tw_plan *plan, int tokens) {
  for (int i = 0; i < plan->length_count; i++)
    if (tokens <= plan->lengths[i].seq) return plan->lengths[i].seq;
  return plan->shape.seq;
}

// A whole number from 1 to `most`, that ends at one of `ends`; 0: it is none.
static int64_t number(const char **at, int64_t most, const char *ends) {
  char *end;
  if (**at < '1' || **at > '9') return 0;
  long long value = strtoll(*at, &end, 10);
  if (value > most || !strchr(ends, *end)) return 0;
  *at = end;
  return value;
}

tw_status tw_length_counts(const tw_plan *plan, const char *list, int64_t counts[TW_MOST_LENGTHS]) {
  enum { MOST = 1000000000 };
  memset(counts, 0, TW_MOST_LENGTHS * sizeof *counts);
  for (const char *at = list; *at; at += *at == ',') {
    int i = 0;
    int64_t seq = number(&at, TW_MOST_TOKENS, ":");
    int64_t count = seq && *at == ':' ? (at++, number(&at, MOST, ",")) : 0;
    if (!count) return tw_fail(TW_ERR_USAGE, "--counts '%s': a list as 16:60,128:4 is expected", list);
    while (i < plan->length_count && plan->lengths[i].seq != seq) i++;
    if (i == plan->length_count)
      return tw_fail(TW_ERR_USAGE, "--counts: the plan has no length of %lld tokens", (long long)seq);
    counts[i] += count;
  }
  return TW_OK;
}

static int rising(const void *a, const void *b) {
  const int *x = a, *y = b;
  return (*x > *y) - (*x < *y);
}

tw_status tw_length_list(const char *list, int seqs[TW_MOST_LENGTHS], int *count) {
  *count = 0;
  for (const char *at = list; *at; at += *at == ',') {
    int64_t seq = number(&at, TW_MOST_TOKENS, ",");
    if (!seq) return tw_fail(TW_ERR_USAGE, "--lengths '%s': a list of tokens as 16,32,128 is expected", list);
    if (*count == TW_MOST_LENGTHS)
      return tw_fail(TW_ERR_USAGE, "--lengths '%s': at most %d of them", list, TW_MOST_LENGTHS);
    seqs[(*count)++] = (int)seq;
  }
  qsort(seqs, (size_t)*count, sizeof *seqs, rising);
  return TW_OK;
}

static const char mark[] = ".seq";

tw_path tw_length_name(const char *name, int seq) {
  tw_path path;
  snprintf(path.text, sizeof path.text, "%s%s%d", name, mark, seq);
  return path;
}

int tw_length_of_name(const char *name) {
  const char *dot = strrchr(name, '.');
  char *end;
  if (!dot || strncmp(dot, mark, sizeof mark - 1) != 0) return 0;
  const char *digits = dot + sizeof mark - 1;
  if (*digits < '1' || *digits > '9') return 0;
  long seq = strtol(digits, &end, 10);
  return *end || seq > TW_MOST_TOKENS ? 0 : (int)seq;
}

tw_path tw_length_keys(const char *keys, const char *model, const char *name) {
  int seq = keys ? 0 : tw_length_of_name(name);
  tw_path whole, length = tw_length_name(model, seq);
  snprintf(whole.text, sizeof whole.text, "%s", keys ? keys : model);
  for (int party = 0; party < 2 && seq; party++) {
    tw_path file = tw_path_of(length.text, party ? "keys.p1.h5" : "keys.p0.h5");
    if (tw_path_exists(&file)) return length;
  }
  return whole;
}

// S of NAME.seqS.SUFFIX, for a NAME of so many bytes.
static int length_of_file(const char *file, const char *base, size_t bytes) {
  if (strncmp(file, base, bytes) != 0 || strncmp(file + bytes, mark, sizeof mark - 1) != 0) return 0;
  const char *at = file + bytes + sizeof mark - 1;
  return (int)number(&at, TW_MOST_TOKENS, ".");
}

tw_status tw_lengths_beside(const char *name, bool *seen) {
  const char *base = tw_behind_folder(name);
  tw_path folder = {"."};
  if (base != name) snprintf(folder.text, sizeof folder.text, "%.*s", (int)(base - name), name);
  DIR *all = opendir(folder.text);
  if (!all) return errno == ENOENT ? TW_OK : tw_fail(TW_ERR_IO, "%s: cannot read: %s", folder.text, strerror(errno));
  for (const struct dirent *one; (one = readdir(all));) {
    int seq = length_of_file(one->d_name, base, strlen(base));
    if (seq) seen[seq] = true;
  }
  closedir(all);
  return TW_OK;
}
