#include "tests/fuzz/h5_edit.h"

#include <hdf5.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/file.h"

enum { MOST = 256, EDITS = 8, MOST_BYTES = 1 << 20 };

typedef char name_text[96];
typedef struct {
  hid_t file;
  name_text groups[MOST], sets[MOST];
  int group_count, set_count;
} content;

static herr_t note(hid_t object, const char *name, const H5O_info_t *info, void *state) {
  content *c = state;
  (void)object;
  if (info->type == H5O_TYPE_GROUP && c->group_count < MOST)
    snprintf(c->groups[c->group_count++], sizeof(name_text), "%s", name);
  if (info->type == H5O_TYPE_DATASET && c->set_count < MOST)
    snprintf(c->sets[c->set_count++], sizeof(name_text), "%s", name);
  return 0;
}

// ---- attributes

static void put_attribute(hid_t object, const char *name, hid_t type, const void *value) {
  hid_t space = H5Screate(H5S_SCALAR), attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  if (attribute >= 0) {
    H5Awrite(attribute, type, value);
    H5Aclose(attribute);
  }
  H5Sclose(space);
}

// Numbers become other numbers, texts other texts, or either the other.
static void change_attribute(hid_t object, const char *name, H5T_class_t class, fuzz_bytes *b) {
  uint8_t how = fuzz_take(b);
  H5Adelete(object, name);
  if (how == 255) return;
  if ((class == H5T_STRING) != (how == 254)) {
    size_t n;
    const uint8_t *part = fuzz_take_part(b, 300, &n);
    char text[304] = "";
    memcpy(text, part, n);
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, n ? n : 1);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    put_attribute(object, name, type, text);
    H5Tclose(type);
  } else if (class == H5T_FLOAT) {
    int64_t number = fuzz_take_number(b);
    double real = (double)number;
    if (how & 1) memcpy(&real, &number, sizeof real);
    put_attribute(object, name, H5T_IEEE_F64LE, &real);
  } else {
    int64_t number = fuzz_take_number(b);
    put_attribute(object, name, H5T_STD_I64LE, &number);
  }
}

static void edit_attribute(hid_t object, fuzz_bytes *b) {
  H5O_info_t info;
  char name[128];
  int which = fuzz_take(b);
  if (object < 0 || H5Oget_info(object, &info) < 0 || info.num_attrs == 0) return;
  hid_t attribute = H5Aopen_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC, (hsize_t)which % info.num_attrs,
                                   H5P_DEFAULT, H5P_DEFAULT);
  if (attribute < 0) return;
  hid_t type = H5Aget_type(attribute);
  H5T_class_t class = H5Tget_class(type);
  bool named = H5Aget_name(attribute, sizeof name, name) > 0;
  H5Tclose(type);
  H5Aclose(attribute);
  if (named) change_attribute(object, name, class, b);
}

// ---- datasets

static void put_checksum(hid_t set, const void *data, size_t bytes) {
  int64_t crc = tw_crc32c(0, data, bytes);
  if (H5Aexists(set, "crc32c") > 0) H5Adelete(set, "crc32c");
  put_attribute(set, "crc32c", H5T_STD_I64LE, &crc);
}

static void edit_data(hid_t set, fuzz_bytes *b) {
  hid_t type = H5Dget_type(set), space = H5Dget_space(set);
  hssize_t n = H5Sget_simple_extent_npoints(space);
  size_t bytes = n > 0 ? (size_t)n * H5Tget_size(type) : 0;
  uint8_t *data = bytes > 0 && bytes <= MOST_BYTES && H5Tget_class(type) != H5T_STRING ? malloc(bytes) : NULL;
  if (data && H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0) {
    size_t at = (size_t)fuzz_take_number(b) % bytes;
    for (int count = fuzz_take(b) % 16 + 1; count > 0; count--) data[at++ % bytes] = fuzz_take(b);
    H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
    put_checksum(set, data, bytes);
  }
  free(data);
  H5Sclose(space);
  H5Tclose(type);
}

static hid_t other_type(hid_t same, uint8_t which) {
  const hid_t types[] = {H5T_STD_U8LE, H5T_STD_I32LE, H5T_STD_U32LE, H5T_STD_U64LE, H5T_IEEE_F32LE, H5T_IEEE_F64LE};
  return H5Tcopy(which < 240 ? same : types[which % (sizeof types / sizeof *types)]);
}

// The same name with other sizes, sometimes another type.
static void reshape(const content *c, const char *name, hid_t set, fuzz_bytes *b) {
  hsize_t shape[H5S_MAX_RANK] = {0}, n = 1;
  hid_t type = H5Dget_type(set), space = H5Dget_space(set), retyped = other_type(type, fuzz_take(b));
  int dims = H5Sget_simple_extent_dims(space, shape, NULL);
  uint8_t where = fuzz_take(b);
  if (dims > 0 && where < 224) shape[where % dims] = (hsize_t)fuzz_take_number(b);
  if (dims > 0 && where >= 240) dims--;
  bool fits = H5Tget_class(type) != H5T_STRING;
  for (int i = 0; i < dims; i++) {
    fits = fits && shape[i] <= MOST_BYTES && n * shape[i] <= MOST_BYTES;
    n = fits ? n * shape[i] : 0;
  }
  size_t bytes = n * H5Tget_size(retyped);
  H5Tclose(type);
  H5Sclose(space);
  H5Dclose(set);
  uint8_t *data = fits && dims >= 0 && bytes <= MOST_BYTES ? malloc(bytes + 1) : NULL;
  if (data) {
    memset(data, fuzz_take(b), bytes);
    H5Ldelete(c->file, name, H5P_DEFAULT);
    hid_t new_space = H5Screate_simple(dims, shape, NULL);
    hid_t made = H5Dcreate2(c->file, name, retyped, new_space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (made >= 0) {
      H5Dwrite(made, retyped, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
      put_checksum(made, data, bytes);
      H5Dclose(made);
    }
    H5Sclose(new_space);
  }
  H5Tclose(retyped);
  free(data);
}

enum { ROOT_ATTRIBUTE, GROUP_ATTRIBUTE, SET_ATTRIBUTE, DATA, RESHAPE, DELETE, EDIT_KINDS };

static void edit(const content *c, fuzz_bytes *b) {
  static const uint8_t kinds[] = {ROOT_ATTRIBUTE, ROOT_ATTRIBUTE, ROOT_ATTRIBUTE,  DATA,          DATA,
                                  DATA,           RESHAPE,        GROUP_ATTRIBUTE, SET_ATTRIBUTE, DELETE};
  int kind = kinds[fuzz_take(b) % sizeof kinds], which = fuzz_take(b);
  if (kind == ROOT_ATTRIBUTE || kind == GROUP_ATTRIBUTE) {
    const char *group = kind == ROOT_ATTRIBUTE || !c->group_count ? "." : c->groups[which % c->group_count];
    hid_t object = H5Gopen2(c->file, group, H5P_DEFAULT);
    edit_attribute(object, b);
    if (object >= 0) H5Gclose(object);
    return;
  }
  if (c->set_count == 0) return;
  const char *name = c->sets[which % c->set_count];
  hid_t set = H5Dopen2(c->file, name, H5P_DEFAULT);
  if (set < 0) return;
  if (kind == RESHAPE) {
    reshape(c, name, set, b);
    return;
  }
  if (kind == SET_ATTRIBUTE) edit_attribute(set, b);
  if (kind == DATA) edit_data(set, b);
  H5Dclose(set);
  if (kind == DELETE) H5Ldelete(c->file, name, H5P_DEFAULT);
}

void h5_edit(const char *path, fuzz_bytes *edits) {
  static content c;
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18);
  c.group_count = c.set_count = 0;
  c.file = H5Fopen(path, H5F_ACC_RDWR, access);
  H5Pclose(access);
  fuzz_must(c.file >= 0, "the sample opens");
  H5Ovisit(c.file, H5_INDEX_NAME, H5_ITER_INC, note, &c);
  for (int i = 0; i < EDITS && edits->left > 0; i++) edit(&c, edits);
  H5Fclose(c.file);
  H5Eclear2(H5E_DEFAULT);
}
