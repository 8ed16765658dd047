// Placement on made-up machines: near the GPU, apart from the other party, never outside the cores that were given.
#define _GNU_SOURCE
#include <hwloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/placement.h"
#include "tests/common/suite.h"

static hwloc_topology_t synthetic(const char *description) {
  hwloc_topology_t t;
  CU_ASSERT_EQUAL_FATAL(hwloc_topology_init(&t), 0);
  CU_ASSERT_EQUAL_FATAL(hwloc_topology_set_synthetic(t, description), 0);
  CU_ASSERT_EQUAL_FATAL(hwloc_topology_load(t), 0);
  return t;
}

// Two packages of 4 cores with 2 threads, each a memory node; a GPU and a network card in each.
static hwloc_topology_t two_gpus(void) {
  static const char *const devices[] = {
      "<object type=\"Bridge\" gp_index=\"100\" bridge_type=\"0-1\" depth=\"0\" bridge_pci=\"0000:[17-18]\">"
      "<object type=\"PCIDev\" gp_index=\"101\" pci_busid=\"0000:17:00.0\" pci_type=\"0302 [10de:2330] [10de:16c1] "
      "a1\" "
      "pci_link_speed=\"0\"/>"
      "<object type=\"PCIDev\" gp_index=\"102\" pci_busid=\"0000:18:00.0\" pci_type=\"0207 [15b3:1021] [15b3:0041] "
      "00\" "
      "pci_link_speed=\"0\"><object type=\"OSDev\" gp_index=\"103\" name=\"mlx5_0\" "
      "osdev_type=\"3\"/></object></object>",
      "<object type=\"Bridge\" gp_index=\"110\" bridge_type=\"0-1\" depth=\"0\" bridge_pci=\"0000:[9a-9b]\">"
      "<object type=\"PCIDev\" gp_index=\"111\" pci_busid=\"0000:9a:00.0\" pci_type=\"0302 [10de:2330] [10de:16c1] "
      "a1\" "
      "pci_link_speed=\"0\"/>"
      "<object type=\"PCIDev\" gp_index=\"112\" pci_busid=\"0000:9b:00.0\" pci_type=\"0200 [15b3:1021] [15b3:0041] "
      "00\" "
      "pci_link_speed=\"0\"><object type=\"OSDev\" gp_index=\"113\" name=\"ens1\" "
      "osdev_type=\"2\"/></object></object>"};
  hwloc_topology_t plain = synthetic("Package:2 [NUMANode] Core:4 PU:2"), t;
  char *xml, *at;
  int length;
  CU_ASSERT_EQUAL_FATAL(hwloc_topology_export_xmlbuffer(plain, &xml, &length, 0), 0);
  char *whole = calloc(1, (size_t)length + 4096), *to = whole;
  const char *from = xml;
  for (int i = 0; i < 2; i++) {
    at = strstr(from, "\n    </object>");  // a package's end
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    to += sprintf(to, "%.*s%s\n    </object>", (int)(at - from), from, devices[i]);
    from = at + strlen("\n    </object>");
  }
  strcpy(to, from);
  CU_ASSERT_EQUAL_FATAL(hwloc_topology_init(&t), 0);
  hwloc_topology_set_io_types_filter(t, HWLOC_TYPE_FILTER_KEEP_ALL);
  CU_ASSERT_EQUAL_FATAL(hwloc_topology_set_xmlbuffer(t, whole, (int)strlen(whole) + 1), 0);
  CU_ASSERT_EQUAL_FATAL(hwloc_topology_load(t), 0);
  hwloc_free_xmlbuffer(plain, xml);
  hwloc_topology_destroy(plain);
  free(whole);
  return t;
}

// Takes the topology.
static void expect(hwloc_topology_t t, const char *given, const char *gpu, int half, const char *cores,
                   const char *text) {
  tw_placement p;
  char found[128], said[256];
  CU_ASSERT_EQUAL_FATAL(tw_placement_find_in(t, given, gpu, &p), TW_OK);
  if (half >= 0) tw_placement_halve(&p, half);
  tw_placement_cores(&p, found, sizeof found);
  CU_ASSERT_STRING_EQUAL(found, cores);
  tw_placement_text(&p, said, sizeof said);
  if (strcmp(said, text) != 0) printf("\n  said '%s', not '%s' ", said, text);
  CU_ASSERT_STRING_EQUAL(said, text);
  tw_placement_free(&p);
}

static void test_gpu(void) {
  expect(two_gpus(), "0-15", "0000:17:00.0", -1, "0-7",
         "cores 0-7 of 16, memory node 0; near GPU 0000:17:00.0; network mlx5_0; not bound");
  expect(two_gpus(), "0-15", "0000:9A:00.0", -1, "8-15",
         "cores 8-15 of 16, memory node 1; near GPU 0000:9A:00.0; network ens1; not bound");
  expect(two_gpus(), "0-15", "0000:55:00.0", -1, "0-15",
         "cores 0-15 of 16, memory node 0-1; unknown place of GPU 0000:55:00.0; network mlx5_0, ens1; not bound");
  // both parties' GPUs on one node
  expect(two_gpus(), "0-15", "0000:17:00.0", 1, "4-7",
         "cores 4-7 of 16, memory node 0; near GPU 0000:17:00.0; network mlx5_0; not bound");
}

static void test_given(void) {
  // the launcher gave some of the cores near the GPU, and others
  expect(two_gpus(), "2-3,8-9", "0000:17:00.0", -1, "2-3",
         "cores 2-3 of 16, memory node 0; near GPU 0000:17:00.0; network mlx5_0; given 2-3,8-9 by launcher or system; "
         "not bound");
  // none of the cores near the GPU: what was given is kept
  expect(two_gpus(), "0-3", "0000:9a:00.0", -1, "0-3",
         "cores 0-3 of 16, memory node 0; near GPU 0000:9a:00.0; network mlx5_0; given 0-3 by launcher or system; not "
         "bound");
}

static void test_halves(void) {
  static const struct {
    const char *machine, *given, *half[2];
  } cases[] = {{"Package:2 [NUMANode] Core:4 PU:2", "0-15", {"0-7", "8-15"}},  // a memory node each
               {"Package:1 [NUMANode] Core:4 PU:2", "0-7", {"0-3", "4-7"}},    // whole cores
               {"Package:1 [NUMANode] Core:3 PU:1", "0-2", {"0-1", "2"}},
               {"Package:1 [NUMANode] Core:1 PU:2", "0-1", {"0", "1"}},      // its threads
               {"Package:1 [NUMANode] Core:1 PU:1", "0", {"0", "0"}},        // nothing to share out
               {"Package:2 [NUMANode] Core:4 PU:2", "2-5", {"2-3", "4-5"}},  // inside what was given
               {"Package:2 [NUMANode] Core:4 PU:2", "6-9", {"6-7", "8-9"}}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int half = 0; half < 2; half++) {
      tw_placement p;
      char found[64];
      CU_ASSERT_EQUAL_FATAL(tw_placement_find_in(synthetic(cases[i].machine), cases[i].given, NULL, &p), TW_OK);
      tw_placement_halve(&p, half);
      tw_placement_cores(&p, found, sizeof found);
      CU_ASSERT_STRING_EQUAL(found, cases[i].half[half]);
      tw_placement_free(&p);
    }
}

static void test_nowhere(void) {
  tw_placement p;
  CU_ASSERT_EQUAL(tw_placement_find_in(synthetic("Core:2 PU:1"), "", NULL, &p), TW_ERR_INTERNAL);
  tw_placement_free(&p);
}

// This machine, in a process of its own: bound to one core, it stays there and says so.
static int bind_inside(int core) {
  tw_placement p;
  cpu_set_t one, now;
  char text[256], wanted[64];
  CPU_ZERO(&one);
  CPU_SET(core, &one);
  if (sched_setaffinity(0, sizeof one, &one) != 0) return 10;
  if (tw_placement_find(NULL, &p) != TW_OK) return 11;
  tw_placement_halve(&p, 1);
  tw_placement_bind(&p);
  tw_placement_text(&p, text, sizeof text);
  bool more = hwloc_get_nbobjs_by_type(p.topology, HWLOC_OBJ_PU) > 1;
  tw_placement_free(&p);
  if (sched_getaffinity(0, sizeof now, &now) != 0 || !CPU_EQUAL(&one, &now)) return 12;
  snprintf(wanted, sizeof wanted, more ? "; given %d by launcher or system; bound" : "; bound", core);
  return strstr(text, wanted) ? 0 : 13;
}

static void test_this_machine(void) {
  cpu_set_t mine;
  CU_ASSERT_EQUAL_FATAL(sched_getaffinity(0, sizeof mine, &mine), 0);
  int core = CPU_SETSIZE - 1, status;
  while (core > 0 && !CPU_ISSET(core, &mine)) core--;
  pid_t child = fork();
  if (child == 0) _exit(bind_inside(core));
  CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
  CU_ASSERT_TRUE(WIFEXITED(status));
  CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
}

SUITE_MAIN("placement", {"near the GPU", test_gpu}, {"inside what was given", test_given},
           {"two parties of a host", test_halves}, {"no core at all", test_nowhere},
           {"this machine", test_this_machine})
