// Places and lists of addresses: against what inet_pton and plain shifts say.
#include <CUnit/Basic.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "comm/places.h"
#include "tests/common/suite.h"

static struct sockaddr_storage address(const char *text) {
  struct sockaddr_storage a = {.ss_family = strchr(text, ':') ? AF_INET6 : AF_INET};
  void *to = a.ss_family == AF_INET6 ? (void *)&((struct sockaddr_in6 *)(void *)&a)->sin6_addr
                                     : (void *)&((struct sockaddr_in *)(void *)&a)->sin_addr;
  CU_ASSERT_EQUAL_FATAL(inet_pton(a.ss_family, text, to), 1);
  return a;
}

static bool holds(const char *list, const char *text) {
  tw_nets nets;
  struct sockaddr_storage a = address(text);
  CU_ASSERT_EQUAL_FATAL(tw_nets_parse("--allow", list, &nets), TW_OK);
  return tw_nets_hold(&nets, (struct sockaddr *)&a);
}

static void lists(void) {
  CU_ASSERT(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.6"));
  CU_ASSERT(holds("198.51.100.0/24,192.0.2.7", "198.51.100.255") && !holds("198.51.100.0/24", "198.51.101.0"));
  CU_ASSERT(holds("2001:db8::/33", "2001:db8:7fff::1") && !holds("2001:db8::/33", "2001:db8:8000::1"));
  CU_ASSERT(holds("::ffff:0:0/96,10.0.0.0/8", "::ffff:10.1.2.3"));  // IPv4 in IPv6's form is IPv4
  CU_ASSERT(!holds("0.0.0.0/0", "::1") && holds("0.0.0.0/0", "203.0.113.9") && holds("::/0", "::1"));
  CU_ASSERT(holds("any", "::1") && holds("any", "192.0.2.1"));
  static const char *const bad[] = {"",        "192.0.2",    "192.0.2.7/33", "192.0.2.1/24", "::1/",         "name",
                                    "any,::1", "192.0.2.7,", "::1/129",      "1.2.3.4/-1",   "1.2.3.4 ,::1", "::1/1x"};
  tw_nets nets;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    CU_ASSERT_EQUAL(tw_nets_parse("--allow", bad[i], &nets), TW_ERR_USAGE);
  char many[TW_MOST_NETS * 4 + 8] = "::1";
  for (int i = 1; i < TW_MOST_NETS; i++) snprintf(many + 4 * i - 1, 8, ",::1");
  CU_ASSERT_EQUAL(tw_nets_parse("--allow", many, &nets), TW_OK);
  snprintf(many + 4 * TW_MOST_NETS - 1, 8, ",::1");
  CU_ASSERT_EQUAL(tw_nets_parse("--allow", many, &nets), TW_ERR_USAGE);
}

// Every prefix of random addresses, against a shift of 32 bits.
static void prefixes(void) {
  for (int trial = 0; trial < 2000; trial++) {
    uint32_t a = randombytes_random(), b = a ^ (randombytes_random() >> randombytes_uniform(32));
    int bits = (int)randombytes_uniform(33);
    uint32_t mask = bits ? UINT32_MAX << (32 - bits) : 0, net = a & mask;
    char list[64], text[32];
    snprintf(list, sizeof list, "%u.%u.%u.%u/%d", net >> 24, net >> 16 & 255, net >> 8 & 255, net & 255, bits);
    snprintf(text, sizeof text, "%u.%u.%u.%u", b >> 24, b >> 16 & 255, b >> 8 & 255, b & 255);
    CU_ASSERT_EQUAL(holds(list, text), (b & mask) == net);
  }
}

static void hosts(void) {
  struct sockaddr_storage four = address("192.0.2.7"), six = address("::ffff:192.0.2.7"), other = address("192.0.2.8");
  char text[TW_ADDRESS_TEXT];
  ((struct sockaddr_in *)(void *)&four)->sin_port = htons(7);
  CU_ASSERT(tw_same_host((struct sockaddr *)&four, (struct sockaddr *)&six));
  CU_ASSERT(!tw_same_host((struct sockaddr *)&four, (struct sockaddr *)&other));
  tw_address_text((struct sockaddr *)&six, text);
  CU_ASSERT_STRING_EQUAL(text, "192.0.2.7");
}

static void places(void) {
  static const struct {
    const char *text, *host, *port;
    bool dials, listens;
  } cases[] = {{"host:80", "host", "80", true, true}, {"[::1]:4433", "::1", "4433", true, true},
               {"80", "", "80", false, true},         {"0", "", "0", false, true},
               {"host:0", "host", "0", false, true},  {":80", "", "", false, false},
               {"::1:80", "", "", false, false},      {"[]:80", "", "", false, false},
               {"host:65536", "", "", false, false},  {"host:8O", "", "", false, false},
               {"host:", "", "", false, false},       {"", "", "", false, false},
               {"host:-1", "", "", false, false},     {"[::1:80", "", "", false, false},
               {"host:000080", "", "", false, false}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int dials = 0; dials < 2; dials++) {
      tw_socket_place place;
      bool good = dials ? cases[i].dials : cases[i].listens;
      CU_ASSERT_EQUAL(tw_place_parse("--listen", cases[i].text, dials, &place), good ? TW_OK : TW_ERR_USAGE);
      if (!good) continue;
      CU_ASSERT_STRING_EQUAL(place.host, cases[i].host);
      CU_ASSERT_STRING_EQUAL(place.port, cases[i].port);
    }
}

SUITE_MAIN("places", {"lists of addresses", lists}, {"prefixes of all lengths", prefixes}, {"the same host", hosts},
           {"addresses and ports", places})
