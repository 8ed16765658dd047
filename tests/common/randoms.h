// Randomness for tests: from the operating system, but fetched a page at a time. Tests draw single words millions of
// times; a system call for each is half of what some of them take.
#ifndef TW_TEST_RANDOMS_H
#define TW_TEST_RANDOMS_H

// From here on libsodium's randombytes in this process comes out of such pages. Each thread and each forked child has
// pages of its own.
void randoms_by_pages(void);

#endif
