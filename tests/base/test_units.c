// Times and rates as people type them; what has no unit, or another one, is refused and says which there are.
#include <stdbool.h>
#include <string.h>

#include "base/units.h"
#include "tests/common/suite.h"

static void times(void) {
  static const struct {
    const char *text;
    double seconds;
  } good[] = {{"10us", 10e-6}, {"0us", 0}, {"0.5ms", 0.5e-3}, {"5 ms", 5e-3}, {"2s", 2}, {"1e3us", 1e-3}};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    double seconds = -1;
    CU_ASSERT_EQUAL(tw_parse_seconds(good[i].text, &seconds), TW_OK);
    CU_ASSERT_DOUBLE_EQUAL(seconds, good[i].seconds, 1e-15);
  }
}

static void rates(void) {
  static const struct {
    const char *text;
    double bytes_per_second;
  } good[] = {{"10Gbit/s", 1.25e9}, {"500 Mbit/s", 62.5e6}, {"8kbit/s", 1e3},
              {"12.5GB/s", 12.5e9}, {"80MB/s", 80e6},       {"1kB/s", 1e3}};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    double rate = -1;
    CU_ASSERT_EQUAL(tw_parse_rate(good[i].text, &rate), TW_OK);
    CU_ASSERT_DOUBLE_EQUAL(rate, good[i].bytes_per_second, 1e-3);
  }
}

static void expect_refusal(tw_status status, const char *text, const char *what) {
  CU_ASSERT_EQUAL(status, TW_ERR_USAGE);
  bool said = strstr(tw_error_message(), what) != NULL;
  CU_ASSERT_TRUE(said);
  if (!said) printf("\n  '%s': %s\n", text, tw_error_message());
}

static void others(void) {
  static const char *const numbers[] = {"", "us", "fast", "-1us", "nan us", "inf s", "0x10us", "0X1p3 ms"},
                           *const units[] = {"10 min", "10usx", "10 us us", "10u", "10,10"},
                           *const rate_units[] = {"10Gb/s", "10Gbit", "10GBit/s", "10Mbps", "10gbit/s", "10us"};
  double out;
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    expect_refusal(tw_parse_seconds(numbers[i], &out), numbers[i], "a number with its unit is needed");
    expect_refusal(tw_parse_rate(numbers[i], &out), numbers[i], "a number with its unit is needed");
  }
  for (size_t i = 0; i < sizeof units / sizeof *units; i++)
    expect_refusal(tw_parse_seconds(units[i], &out), units[i], "is no unit");
  for (size_t i = 0; i < sizeof rate_units / sizeof *rate_units; i++)
    expect_refusal(tw_parse_rate(rate_units[i], &out), rate_units[i], "kbit/s, Mbit/s, Gbit/s (bits)");
  expect_refusal(tw_parse_seconds("10", &out), "10", "has no unit: us, ms or s");
  expect_refusal(tw_parse_rate("10", &out), "10", "has no unit: kbit/s");
  expect_refusal(tw_parse_rate("1e308GB/s", &out), "1e308GB/s", "too large");
}

SUITE_MAIN("units", {"times", times}, {"rates", rates}, {"anything else", others})
