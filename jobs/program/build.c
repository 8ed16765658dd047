#include "jobs/program/build.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "jobs/program/pool.h"

int tw_build_fail(tw_builder *b, tw_status code, const char *format, ...) {
  if (b->status != TW_OK) return 0;
  b->status = code;
  const tw_step *step = &b->program->steps[b->step];
  int used = step->layer >= 0 ? snprintf(b->message, sizeof b->message, "layer %d, %s: ", step->layer, step->name)
                              : snprintf(b->message, sizeof b->message, "%s: ", step->name);
  va_list args;
  va_start(args, format);
  vsnprintf(b->message + used, sizeof b->message - (size_t)used, format, args);
  va_end(args);
  return 0;
}

bool tw_builder_grow(tw_builder *b, void **array, int *room, int need, size_t size) {
  size_t now = (size_t)*room;
  if (tw_grow(array, &now, (size_t)need, size) != TW_OK) {
    tw_build_fail(b, TW_ERR_MEMORY, "out of memory for a program of %d entries", need);
    return false;
  }
  *room = (int)now;
  return true;
}

void tw_builder_start(tw_builder *b, tw_program *p) {
  const tw_table *tables = p->tables;
  int table_count = p->table_count;
  memset(b, 0, sizeof *b);
  memset(p, 0, sizeof *p);
  p->tables = tables;
  p->table_count = table_count;
  p->guard = -1;
  b->count = -1;
  b->program = p;
  // tensor 0 stands for results after a failure
  if (!tw_builder_grow(b, (void **)&p->steps, &p->step_room, 1, sizeof(tw_step)) ||
      !tw_builder_grow(b, (void **)&p->tensors, &p->tensor_room, 1, sizeof(tw_tensor)))
    abort();
  memset(&p->tensors[0], 0, sizeof(tw_tensor));
  p->tensor_count = 1;
  tw_step_begin(b, -1, "input");
}

int tw_step_begin(tw_builder *b, int layer, const char *name) {
  tw_program *p = b->program;
  int before = b->step;
  // layers are emitted one after the other: an earlier one's steps end the search
  for (int i = p->step_count - 1; i >= 0 && (p->steps[i].layer < 0 || p->steps[i].layer >= layer); i--)
    if (p->steps[i].layer == layer && strcmp(p->steps[i].name, name) == 0) {
      b->step = i;
      return before;
    }
  if (!tw_builder_grow(b, (void **)&p->steps, &p->step_room, p->step_count + 1, sizeof(tw_step))) return before;
  tw_step *step = &p->steps[p->step_count];
  memset(step, 0, sizeof *step);
  step->layer = layer;
  snprintf(step->name, sizeof step->name, "%s", name);
  b->step = p->step_count++;
  return before;
}

void tw_step_back(tw_builder *b, int step) { b->step = step; }

void tw_build_output(tw_builder *b, int id) {
  tw_program *p = b->program;
  tw_kind kind = p->tensors[id].kind;
  if (b->status == TW_OK && kind != TW_WIRE && kind != TW_BITWIRE)
    tw_build_fail(b, TW_ERR_INTERNAL, "a result that is not opened");
  if (b->status != TW_OK ||
      !tw_builder_grow(b, (void **)&p->outputs, &p->output_room, p->output_count + 1, sizeof(int)))
    return;
  p->outputs[p->output_count++] = id;
}

tw_status tw_builder_finish(tw_builder *b) {
  if (b->status != TW_OK) return tw_fail(b->status, "%s", b->message);
  return tw_program_finish(b->program);
}

// What stands for a result after a failure has sizes that others may divide by.
tw_tensor tw_look(const tw_builder *b, int id) {
  if (id == 0) return (tw_tensor){.ring = 1, .planes = 1, .n = 1};
  return b->program->tensors[id];
}

tw_op *tw_emit(tw_builder *b, const tw_gate *gate) {
  tw_program *p = b->program;
  if (b->status != TW_OK || !tw_builder_grow(b, (void **)&p->ops, &p->op_room, p->op_count + 1, sizeof(tw_op))) {
    memset(&b->spare, 0, sizeof b->spare);
    return &b->spare;
  }
  tw_op *op = &p->ops[p->op_count++];
  memset(op, 0, sizeof *op);
  op->gate = gate;
  op->step = b->step;
  op->correction = p->correction_count;
  return op;
}

void tw_emit_in(tw_op *op, int id) {
  if (op->in_count < TW_MAX_IN) op->in[op->in_count++] = id;
}

int tw_emit_out(tw_builder *b, tw_op *op, tw_tensor t) {
  tw_program *p = b->program;
  if (b->status != TW_OK || op->out_count >= TW_MAX_OUT ||
      !tw_builder_grow(b, (void **)&p->tensors, &p->tensor_room, p->tensor_count + 1, sizeof(tw_tensor)))
    return 0;
  if ((t.kind == TW_WIRE || t.kind == TW_SHARE) && (t.ring < 1 || t.ring > 64))
    return tw_build_fail(b, TW_ERR_RANGE, "gate %s needs a ring of %d bits; rings hold 1 to 64: lower the bounds",
                         op->gate->name, t.ring);
  t.limit = 0;
  p->tensors[p->tensor_count] = t;
  op->out[op->out_count++] = p->tensor_count;
  return p->tensor_count++;
}

static void emit_correction(tw_builder *b, tw_op *op, const tw_dealt *dealt) {
  tw_program *p = b->program;
  if (b->status != TW_OK) return;
  if (dealt->kind != TW_DEALT_BITS && dealt->width > 64) {
    tw_build_fail(b, TW_ERR_RANGE, "gate %s deals a correction of %d bits", op->gate->name, dealt->width);
    return;
  }
  if (!tw_builder_grow(b, (void **)&p->corrections, &p->correction_room, p->correction_count + 1,
                       sizeof(tw_correction)))
    return;
  p->corrections[p->correction_count++] = (tw_correction){.kind = dealt->kind, .width = dealt->width, .n = dealt->n};
  op->correction_count++;
}

void tw_emit_dealt(tw_builder *b, tw_op *op, const tw_dealt *dealt, int count) {
  if (count > TW_MAX_CORRECTIONS) {
    tw_build_fail(b, TW_ERR_INTERNAL, "gate %s deals more than %d corrections", op->gate->name, TW_MAX_CORRECTIONS);
    return;
  }
  op->dealt_count = count;
  for (int i = 0; i < count; i++) {
    if (dealt[i].width < 1) continue;
    op->dealt |= 1u << i;
    emit_correction(b, op, &dealt[i]);
  }
}

void tw_emit_tokens(tw_op *op, int at, tw_tokens tokens) {
  op->arg[at] = (int64_t)tokens.queries;
  op->arg[at + 1] = (int64_t)tokens.keys;
  op->arg[at + 2] = (int64_t)tokens.first;
  op->arg[at + 3] = tokens.causal | (int64_t)tokens.ahead << 1 | (int64_t)tokens.counted << 48;
}

void tw_emit_list(tw_builder *b, tw_op *op, const int64_t *values, size_t count) {
  if (b->status != TW_OK || count == 0) return;
  if (tw_pool_place(b->program, values, count, &op->list) != TW_OK) {
    tw_build_fail(b, TW_ERR_MEMORY, "out of memory for a program's lists");
    return;
  }
  op->list_count = count;
}
