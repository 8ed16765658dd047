// What h5py makes of files, compared with what was written; left out where h5py is missing.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/common/samples.h"
#include "tests/common/scratch.h"
#include "tests/common/suite.h"

static const char script[] =
    "import sys, h5py, numpy as np\n"
    "d = sys.argv[1]\n"
    "with h5py.File(d + '/r.result.pX.h5') as f, open(d + '/dump', 'rb') as raw:\n"
    "    n = f['masked'].size\n"
    "    assert f['masked'].ndim == 3 and f['masked'].dtype == '<u8' and f['masked'].shape == f['mask'].shape\n"
    "    for name in ('masked', 'mask'):\n"
    "        assert (f[name][()].ravel() == np.frombuffer(raw.read(8 * n), '<u8')).all(), name\n"
    "    t = f['costs'][()]\n"
    "    lines = [l.split() for l in open(d + '/lines')]\n"
    "    assert len(t) == len(lines)\n"
    "    for row, l in zip(t, lines):\n"
    "        got = [row['layer'], row['correction_bytes'], row['sent_bytes'], row['rounds'], row['seconds']]\n"
    "        assert got == [int(x) for x in l[:4]] + [float.fromhex(l[4])], (got, l)\n"
    "        assert row['step'].decode() == ' '.join(l[5:]), (row, l)\n"
    "    spans = [l.split() for l in open(d + '/spans')]\n"
    "    assert len(f['trace']) == len(spans) == f.attrs['trace_spans'] > 0\n"
    "    for row, l in zip(f['trace'][()], spans):\n"
    "        assert [row[x] for x in ('track', 'half', 'row', 'begin_ns', 'end_ns')] == [int(x) for x in l], (row, "
    "l)\n"
    "    a = f.attrs\n"
    "    assert a['format'] == b'twain-result-share' and a['version'] == b'2' and a['role'] == b'result-share-0'\n"
    "    assert f['environment'].attrs['mpi'] == b'some MPI 4.1'\n"
    "with h5py.File(d + '/m.client.h5') as f, open(d + '/words', 'rb') as raw:\n"
    "    assert [w for w in f['vocabulary'][()]] == raw.read().split(b'\\n')[:-1]\n"
    "    assert f['vocabulary'].asstr()[0] is not None\n";

// What the script compares with: words of both arrays, lines of costs, spans and vocabulary.
static void write_expected(const tw_result_share *r) {
  size_t n = (size_t)r->count * r->rows * r->cols;
  FILE *file = fopen(in_folder("dump"), "w");
  CU_ASSERT_TRUE(fwrite(r->masked, 8, n, file) == n && fwrite(r->mask, 8, n, file) == n);
  fclose(file);
  file = fopen(in_folder("lines"), "w");
  for (int i = 0; i < r->row_count; i++) {
    const tw_cost_row *c = &r->rows_table[i];
    fprintf(file, "%d %llu %llu %llu %a %s\n", c->layer, (unsigned long long)c->correction_bytes,
            (unsigned long long)c->sent_bytes, (unsigned long long)c->rounds, c->seconds, c->step);
  }
  fclose(file);
  file = fopen(in_folder("spans"), "w");
  for (int i = 0; i < r->span_count; i++)
    fprintf(file, "%d %d %d %llu %llu\n", r->spans[i].track, r->spans[i].half, r->spans[i].step,
            (unsigned long long)r->spans[i].begin_ns, (unsigned long long)r->spans[i].end_ns);
  fclose(file);
  file = fopen(in_folder("words"), "w");
  for (int i = 0; i < sample_client.config.vocab; i++) fprintf(file, "%s\n", sample_client.vocabulary[i]);
  fclose(file);
}

static void result_and_client(void) {
  char command[1000];
  samples_fresh(0);
  CU_ASSERT_EQUAL(sample_kinds[RESULT_SHARE].write(in_folder("r.result.pX.h5")), TW_OK);
  CU_ASSERT_EQUAL(sample_kinds[CLIENT].write(in_folder("m.client.h5")), TW_OK);
  write_expected(&sample_result_share);
  FILE *file = fopen(in_folder("script.py"), "w");
  fputs(script, file);
  fclose(file);
  const char *python = system("python3 -c 'import h5py' 2>/dev/null") == 0            ? "python3"
                       : system("/usr/bin/python3 -c 'import h5py' 2>/dev/null") == 0 ? "/usr/bin/python3"
                                                                                      : NULL;
  if (!python) printf("(not read: no h5py) ");
  snprintf(command, sizeof command, "%s %s %s", python ? python : ":", in_folder("script.py"), scratch_folder());
  CU_ASSERT_EQUAL(system(command), 0);
  unlink(in_folder("r.result.pX.h5"));
  unlink(in_folder("m.client.h5"));
}

int main(void) {
  static const suite_test tests[] = {{"a result and a client", result_and_client}};
  if (scratch_open() != 0) return 2;
  int status = suite_run("h5py", tests, sizeof tests / sizeof *tests);
  samples_free();
  return scratch_close() != 0 ? 1 : status;
}
