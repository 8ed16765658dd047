#include "jobs/models/conversation.h"

#include <string.h>

size_t tw_conversation_input_elements(const tw_layer_shape *shape) {
  return 2 * (size_t)shape->config.layers * tw_conversation_elements(shape);
}

int tw_conversation_rows(const tw_layer_shape *shape, int earlier, int length) {
  return earlier + length + shape->generated - 1;
}

// Of row `row`: words stand first, newest first, then prefix, earlier turns and prompt.
static size_t column_of(const tw_layer_shape *shape, int earlier, int length, int row) {
  int words = shape->generated - 1, written = row - earlier - length;
  if (written >= 0) return (size_t)(words - 1 - written);
  int from = words + shape->prefix;
  return (size_t)(row < earlier ? from + row : from + shape->earlier + row - earlier);
}

void tw_conversation_keep(const tw_layer_shape *shape, int number, int earlier, int length, const uint64_t *result,
                          uint64_t *next) {
  size_t columns = (size_t)tw_shape_keys(shape), room = (size_t)shape->earlier;
  size_t width = (size_t)tw_config_kv_width(&shape->config), dim = (size_t)tw_config_head_dim(&shape->config);
  bool values = number % 2 != 0;  // [kv_heads][columns][dim]; keys: [width][columns]
  size_t blocks = values ? width / dim : width, each = values ? dim : 1;
  uint64_t *to = next + (size_t)number * tw_conversation_elements(shape);
  memset(to, 0, sizeof *to * tw_conversation_elements(shape));
  for (int row = 0; row < tw_conversation_rows(shape, earlier, length); row++) {
    size_t column = column_of(shape, earlier, length, row);
    for (size_t block = 0; block < blocks; block++)
      memcpy(to + (block * room + (size_t)row) * each, result + (block * columns + column) * each, each * sizeof *to);
  }
}
