// Keys that come sealed: unsealed once for a ledger, to which they belong from then on.
#define _GNU_SOURCE
#include <CUnit/Basic.h>
#include <limits.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "io/file.h"
#include "io/ledger.h"
#include "io/seal_files.h"
#include "io/site_unsealed.h"
#include "tests/io/key_file.h"

static tw_site dealer, party;
static tw_ledger ledger;
static int files;

static bool make_site(const char *name, tw_site_role role, tw_site *out) {
  int64_t now = (int64_t)time(NULL);
  return tw_site_create(in_folder(name), role, now - 60, now + 6000) == TW_OK &&
         tw_site_load(in_folder(name), out) == TW_OK;
}

static int open_all(void) {
  bool made = set_up() == 0 && make_site("dealer", TW_SITE_DEALER, &dealer) &&
              make_site("party", TW_SITE_PARTY_0, &party) && tw_ledger_create(in_folder("ledger"), &ledger) == TW_OK;
  return !made;
}

static int close_all(void) {
  tw_site_free(&dealer);
  tw_site_free(&party);
  return tear_down();
}

// Fresh keys, written sealed without ever being plain; the name of the file.
static const char *dealt(void) {
  static char name[32];
  snprintf(name, sizeof name, "keys%d.sealed", files++);
  fresh(0);
  CU_ASSERT_EQUAL_FATAL(tw_seal_path(in_folder(name), &dealer, &party.self, NULL), TW_OK);
  CU_ASSERT_EQUAL_FATAL(write_file(in_folder(name)), TW_OK);
  tw_seal_paths_forget();
  return name;
}

static tw_status unseal(const char *name, const char *out, bool again) {
  tw_sealed *sealed;
  TW_TRY(tw_sealed_open(in_folder(name), &party, &dealer.self, &sealed));
  CU_ASSERT_TRUE(tw_is_keys(tw_sealed_about(sealed)));
  CU_ASSERT_STRING_EQUAL(tw_sealed_about(sealed)->id.hex, info.key_id.hex);
  CU_ASSERT_STRING_EQUAL(tw_sealed_about(sealed)->plan.hex, info.plan.hex);
  char site[PATH_MAX];
  snprintf(site, sizeof site, "%s", in_folder("party"));
  tw_status status = tw_unseal_file(sealed, in_folder(out), &(tw_unseal_keys){&ledger, site, again});
  tw_sealed_close(sealed);
  return status;
}

static void test_once(void) {
  const char *name = dealt();
  bool same = false, recorded = false;
  tw_keys *keys;
  CU_ASSERT_EQUAL(unseal(name, "once.h5", false), TW_OK);
  CU_ASSERT_EQUAL(read_file(in_folder("once.h5"), &same), TW_OK);
  CU_ASSERT_TRUE(same);
  CU_ASSERT_EQUAL_FATAL(tw_keys_open(in_folder("once.h5"), 0, &keys), TW_OK);
  CU_ASSERT_EQUAL(tw_keys_check_ledger(keys, &ledger.id, &recorded), TW_OK);
  CU_ASSERT_TRUE(recorded);
  tw_keys_close(keys);
  CU_ASSERT_EQUAL(unseal(name, "twice.h5", false), TW_ERR_USED);
  CU_ASSERT_TRUE(message_has("unsealed before") && message_has("once.h5") && message_has("--again"));
  CU_ASSERT_TRUE(no_trace(in_folder("twice.h5")));
  CU_ASSERT_EQUAL(tw_ledger_unseal_mark(&ledger, 0, &info.key_id, "x", false), TW_ERR_USED);  // two at once
}

// The file was lost: what the ledger lists has no seed in the new one.
static void test_again(void) {
  static const uint64_t used[] = {1};
  const char *name = dealt();
  uint64_t live = 0;
  tw_keys *keys;
  CU_ASSERT_EQUAL(unseal(name, "lost.h5", false), TW_OK);
  CU_ASSERT_EQUAL(tw_ledger_mark(&ledger, 0, &info.key_id, used, 1, "test"), TW_OK);
  unlink(in_folder("lost.h5"));
  CU_ASSERT_EQUAL(unseal(name, "new.h5", false), TW_ERR_USED);
  CU_ASSERT_EQUAL(unseal(name, "new.h5", true), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_keys_open(in_folder("new.h5"), 0, &keys), TW_OK);
  CU_ASSERT_EQUAL(tw_keys_survey(keys, &live), TW_OK);
  CU_ASSERT_EQUAL(live, 5);  // slots 0 and 2
  tw_keys_close(keys);
  CU_ASSERT_EQUAL(unseal(name, "third.h5", false), TW_ERR_USED);
}

// Another ledger knows nothing of the slots that the first one lists.
static void test_other_ledger(void) {
  static const uint64_t used[] = {0};
  const char *name = dealt();
  tw_ledger first = ledger;
  CU_ASSERT_EQUAL(unseal(name, "first.h5", false), TW_OK);
  CU_ASSERT_EQUAL(tw_ledger_mark(&ledger, 0, &info.key_id, used, 1, "test"), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_ledger_create(in_folder("ledger2"), &ledger), TW_OK);
  for (int again = 0; again < 2; again++) {
    CU_ASSERT_EQUAL(unseal(name, "second.h5", again), TW_ERR_MISMATCH);
    CU_ASSERT_TRUE(message_has(first.id.hex) && message_has(ledger.id.hex) && message_has(first.dir));
    CU_ASSERT_TRUE(no_trace(in_folder("second.h5")));
  }
  CU_ASSERT_EQUAL(tw_site_unsealed_note(in_folder("party"), &info.key_id, &ledger), TW_ERR_MISMATCH);  // two at once
  char note[64];
  snprintf(note, sizeof note, "party/unsealed/%s", info.key_id.hex);
  CU_ASSERT_EQUAL(truncate(in_folder(note), 20), 0);
  CU_ASSERT_EQUAL(unseal(name, "second.h5", true), TW_ERR_FORMAT);
  CU_ASSERT_EQUAL(chmod(in_folder(note), 0620), 0);
  CU_ASSERT_EQUAL(unseal(name, "second.h5", true), TW_ERR_IO);
  CU_ASSERT_TRUE(no_trace(in_folder("second.h5")));
  ledger = first;
}

// A damaged file does not count as unsealed.
static void test_damaged(void) {
  const char *name = dealt();
  flip_bit(in_folder(name), 3 << 20, 2);
  CU_ASSERT_EQUAL(unseal(name, "damaged.h5", false), TW_ERR_FORMAT);
  CU_ASSERT_TRUE(no_trace(in_folder("damaged.h5")));
  flip_bit(in_folder(name), 3 << 20, 2);
  CU_ASSERT_EQUAL(unseal(name, "damaged.h5", false), TW_OK);
}

// What a sender says of the file before it is opened is compared with the file.
static void test_other_keys(void) {
  tw_seal_about about;
  fresh(0);
  CU_ASSERT_EQUAL_FATAL(write_file(in_folder("plain.h5")), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_plain_about(in_folder("plain.h5"), &about), TW_OK);
  CU_ASSERT_STRING_EQUAL(about.role, "keys-0");
  CU_ASSERT_STRING_EQUAL(about.plan.hex, info.plan.hex);
  CU_ASSERT_EQUAL(tw_plain_check(in_folder("plain.h5"), &about), TW_OK);
  uint64_t place, bytes;
  place_of(in_folder("plain.h5"), "corrections", &place, &bytes);
  flip_bit(in_folder("plain.h5"), place + bytes - 1, 0);
  CU_ASSERT_EQUAL(tw_plain_check(in_folder("plain.h5"), &about), TW_ERR_FORMAT);
  flip_bit(in_folder("plain.h5"), place + bytes - 1, 0);
  tw_id_random(&about.id);
  size_t size;
  uint8_t *data = slurp(in_folder("plain.h5"), &size);
  tw_output out;
  info.key_id = about.id;  // what `unseal` compares with
  CU_ASSERT_EQUAL_FATAL(tw_seal_path(in_folder("lie.sealed"), &dealer, &party.self, &about), TW_OK);
  CU_ASSERT_EQUAL_FATAL(tw_output_begin(&out, in_folder("lie.sealed"), size), TW_OK);
  CU_ASSERT_EQUAL(tw_output_write(&out, "all", data, size, 0), TW_OK);
  CU_ASSERT_EQUAL(tw_output_commit(&out), TW_OK);
  tw_seal_paths_forget();
  free(data);
  CU_ASSERT_EQUAL(unseal("lie.sealed", "lie.h5", false), TW_ERR_MISMATCH);
  CU_ASSERT_TRUE(no_trace(in_folder("lie.h5")));
}

static void test_other_party(void) {
  fresh(1);
  CU_ASSERT_EQUAL_FATAL(tw_seal_path(in_folder("other.sealed"), &dealer, &party.self, NULL), TW_OK);
  CU_ASSERT_EQUAL(write_file(in_folder("other.sealed")), TW_ERR_IDENTITY);
  CU_ASSERT_TRUE(message_has("keys-1 goes from the dealer to party 1"));
  tw_seal_paths_forget();
  CU_ASSERT_TRUE(no_trace(in_folder("other.sealed")));
}

int main(void) {
  static const suite_test tests[] = {{"once", test_once},
                                     {"again", test_again},
                                     {"another ledger", test_other_ledger},
                                     {"damaged", test_damaged},
                                     {"other keys than said", test_other_keys},
                                     {"another party's", test_other_party}};
  if (sodium_init() < 0 || CU_initialize_registry() != CUE_SUCCESS) return 2;
  CU_pSuite suite = CU_add_suite("keys that come sealed", open_all, close_all);
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
    if (!suite || !CU_add_test(suite, tests[i].name, tests[i].test)) return 2;
  return suite_end();
}
