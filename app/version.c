#include "app/version.h"

#include <gnu/libc-version.h>
#include <hdf5.h>
#include <hwloc.h>
#include <isa-l.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <sodium.h>
#include <string.h>
#include <utf8proc.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#ifndef TWAIN_CLIENT
#include <mpi.h>
#endif
#ifdef TWAIN_NCCL
#include <nccl.h>
#endif

#include "build_id.h"
#include "build_info.h"
#include "kernels/isa.h"

enum { WIDEST = 256 };

void tw_version_mpi(char *text, size_t size) {
#ifdef TWAIN_CLIENT
  snprintf(text, size, "none");
#else
  char library[MPI_MAX_LIBRARY_VERSION_STRING];
  int length;
  MPI_Get_library_version(library, &length);
  library[strcspn(library, ",\n")] = '\0';
  snprintf(text, size, "%s", library);
#endif
}

static void row(FILE *file, const char *what, const char *version) { fprintf(file, "%-13s %s\n", what, version); }

static void print_build(FILE *file) {
  char text[WIDEST];
  snprintf(text, sizeof text, "%s%s", TWAIN_COMMIT, TWAIN_DIRTY == 1 ? ", with changes that are not committed" : "");
  row(file, "commit", text);
  snprintf(text, sizeof text, "%s by %s%s", TWAIN_BUILD_TYPE, TWAIN_COMPILER, TWAIN_BUILD_WITH);
  row(file, "build", text);
#ifdef TWAIN_CLIENT
  row(file, "commands", "a client's and a model owner's");
#endif
}

static void print_devices(FILE *file) {
  char text[WIDEST] = "none";
  row(file, "ISA", tw_isa_name(tw_isa_active()));
  row(file, "CUDA", TWAIN_CUDA_BUILD);
#ifdef TWAIN_NCCL
  int code = 0;
  if (ncclGetVersion(&code) == ncclSuccess)
    snprintf(text, sizeof text, "%d.%d.%d", code / 10000, code % 10000 / 100, code % 100);
#endif
  row(file, "NCCL", text);
}

static void print_libraries(FILE *file) {
  char text[WIDEST];
  unsigned major = 0, minor = 0, release = 0, hwloc = hwloc_get_api_version();
  H5get_libversion(&major, &minor, &release);
  snprintf(text, sizeof text, "%u.%u.%u", major, minor, release);
  row(file, "HDF5", text);
  row(file, "libsodium", sodium_version_string());
  row(file, "OpenSSL", OpenSSL_version(OPENSSL_VERSION_STRING));
  row(file, "Jansson", jansson_version_str());
  row(file, "utf8proc", utf8proc_version());
  if (pcre2_config(PCRE2_CONFIG_VERSION, NULL) <= WIDEST && pcre2_config(PCRE2_CONFIG_VERSION, text) > 0)
    row(file, "PCRE2", text);
  snprintf(text, sizeof text, "%u.%u.%u, programmed for %u.%u", hwloc >> 16, hwloc >> 8 & 0xff, hwloc & 0xff,
           HWLOC_API_VERSION >> 16, HWLOC_API_VERSION >> 8 & 0xff);
  row(file, "hwloc", text);
  snprintf(text, sizeof text, "%d.%d.%d, as it was built", ISAL_MAJOR_VERSION, ISAL_MINOR_VERSION, ISAL_PATCH_VERSION);
  row(file, "ISA-L", text);
  row(file, "sentencepiece", TWAIN_SENTENCEPIECE_VERSION);
  row(file, "libc", gnu_get_libc_version());
}

void tw_version_print(FILE *file) {
  char mpi[WIDEST];
  fprintf(file, "twain %s\n", TWAIN_VERSION);
  print_build(file);
  print_devices(file);
  tw_version_mpi(mpi, sizeof mpi);
  row(file, "MPI", mpi);
  print_libraries(file);
}
