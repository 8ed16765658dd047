#include "tests/common/randoms.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static _Thread_local struct {
  uint8_t bytes[4096];
  size_t left;  // at the end
} page;

static void fetch(void *to, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    ssize_t got = getrandom((uint8_t *)to + done, bytes - done, 0);
    if (got <= 0) abort();
    done += (size_t)got;
  }
}

static void paged_buf(void *const to, const size_t bytes) {
  if (bytes > sizeof page.bytes / 8) {
    fetch(to, bytes);
    return;
  }
  if (bytes > page.left) fetch(page.bytes, page.left = sizeof page.bytes);
  memcpy(to, page.bytes + sizeof page.bytes - page.left, bytes);
  page.left -= bytes;
}

static uint32_t paged_random(void) {
  uint32_t x;
  paged_buf(&x, sizeof x);
  return x;
}

static const char *paged_name(void) { return "pages"; }

static void drop_page(void) { page.left = 0; }

void randoms_by_pages(void) {
  static randombytes_implementation pages = {
      .implementation_name = paged_name, .random = paged_random, .buf = paged_buf};
  if (pthread_atfork(NULL, NULL, drop_page) || randombytes_set_implementation(&pages) || sodium_init() < 0) abort();
}
