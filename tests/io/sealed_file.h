// Sites that hand files over, and files sealed between them.
#ifndef TW_TEST_SEALED_FILE_H
#define TW_TEST_SEALED_FILE_H

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/seal_files.h"
#include "io/seal_format.h"
#include "tests/common/scratch.h"
#include "tests/common/suite.h"

static tw_site dealer, party[2], client;

static inline bool make_site(const char *name, tw_site_role role, int64_t from_now, int64_t until, tw_site *out) {
  int64_t now = (int64_t)time(NULL);
  return tw_site_create(in_folder(name), role, now + from_now, now + until) == TW_OK &&
         tw_site_load(in_folder(name), out) == TW_OK;
}

static inline int open_sites(void) {
  bool made = scratch_open() == 0 && make_site("dealer", TW_SITE_DEALER, -60, 6000, &dealer) &&
              make_site("party0", TW_SITE_PARTY_0, -60, 6000, &party[0]) &&
              make_site("party1", TW_SITE_PARTY_1, -60, 6000, &party[1]) &&
              make_site("client", TW_SITE_CLIENT, -60, 6000, &client);
  return !made;
}

static inline int close_sites(void) {
  tw_site_free(&dealer);
  tw_site_free(&party[0]);
  tw_site_free(&party[1]);
  tw_site_free(&client);
  return scratch_close();
}

// A file of random bytes that is none of twain's; free with free().
static inline uint8_t *random_file(const char *name, size_t bytes) {
  uint8_t *data = malloc(bytes + 1);
  randombytes_buf(data, bytes);
  dump(in_folder(name), data, bytes);
  return data;
}

// Seals `plain` from the dealer to party 0; free with free().
static inline uint8_t *sealed_file(const char *plain, const char *name, size_t *bytes) {
  CU_ASSERT_EQUAL_FATAL(tw_seal_file(in_folder(plain), &dealer, &party[0].self, in_folder(name)), TW_OK);
  return slurp(in_folder(name), bytes);
}

// What party 0 makes of a file from the dealer: nothing but a whole file has the name `out`.
static inline tw_status unseal(const char *name, const char *out) {
  tw_sealed *sealed;
  TW_TRY(tw_sealed_open(in_folder(name), &party[0], &dealer.self, &sealed));
  tw_status status = tw_unseal_file(sealed, in_folder(out), NULL);
  tw_sealed_close(sealed);
  return status;
}

static inline bool is_file(const char *name, const uint8_t *data, size_t bytes) {
  size_t n;
  uint8_t *found = slurp(in_folder(name), &n);
  bool same = n == bytes && memcmp(found, data, n) == 0;
  free(found);
  return same;
}

static inline int suite_of_sites(const char *name, const suite_test *tests, size_t count) {
  if (sodium_init() < 0 || CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite(name, open_sites, close_sites);
  for (size_t i = 0; i < count; i++)
    if (!suite || !CU_add_test(suite, tests[i].name, tests[i].test)) return 2;
  return suite_end();
}

#endif
