#include "jobs/engine/engine_room.h"

#include <stdlib.h>

#include "base/memory.h"
#include "comm/opens.h"
#include "io/keys.h"
#include "io/tensors.h"
#include "jobs/engine/engine_state.h"
#include "jobs/program/build.h"

// With CUDA the libraries of a build count, whether a GPU computes or not: cuBLASLt alone is most of it.
#ifdef TWAIN_CUDA
enum { PROCESS = 204 << 20 };
#else
enum { PROCESS = 34 << 20 };
#endif

// ---- a model's share of which only the shapes are known

static void forget_shapes(tw_model_share *m) {
  tw_free(m->rows);
  tw_free(m->cols);
}

static tw_status find_shapes(const tw_plan *plan, tw_model_share *m) {
  char name[TW_TENSOR_NAME];
  *m = (tw_model_share){.config = plan->shape.config, .count = tw_shared_count(&plan->shape.config, plan->prefix.rows)};
  TW_TRY(tw_alloc(sizeof *m->rows * (size_t)m->count, (void **)&m->rows));
  TW_TRY(tw_alloc(sizeof *m->cols * (size_t)m->count, (void **)&m->cols));
  for (int i = 0; i < m->count; i++) tw_shared_shape(&m->config, plan->prefix.rows, i, name, &m->rows[i], &m->cols[i]);
  return TW_OK;
}

// On the CPU: masks of vectors, and V_b of matrices that products read. W^ serves as it was read.
static uint64_t operand_bytes(const tw_engine *e) {
  const tw_model_share *m = e->o.model;
  uint64_t bytes = 0;
  for (int i = 0; i < m->count; i++)
    if (!tw_shared_is_matrix(&m->config, i) || tw_weight_ring(&e->o.plan->program, i))
      bytes += 8 * tw_engine_elements(m, i);
  return bytes;
}

static uint64_t share_bytes(const tw_model_share *m) {
  uint64_t bytes = 0;
  for (int i = 0; i < m->count; i++) bytes += 8 * tw_engine_elements(m, i);
  return bytes;
}

// ---- all else

static uint64_t program_bytes(const tw_plan *plan) {
  const tw_program *p = &plan->program;
  uint64_t bytes = (uint64_t)p->tensor_room * sizeof *p->tensors + (uint64_t)p->op_room * sizeof *p->ops +
                   (uint64_t)p->correction_room * (sizeof *p->corrections + sizeof(tw_key_index_entry)) +
                   8 * (uint64_t)p->pool_room;
  for (int i = 0; i < p->table_count; i++) bytes += 8 * p->tables[i].n;
  return bytes;
}

static uint64_t input_bytes(const tw_engine *e) {
  const tw_program *p = &e->o.plan->program;
  uint64_t words = 2 * tw_engine_input_words(e, p->input_count);  // as it was read, and as the session reads it
  for (int i = 0; i < p->output_count; i++) words += 2 * p->tensors[p->outputs[i]].n;
  return 8 * words * (uint64_t)e->o.batch;
}

// As comm/opens.c fills and enlarges its buffers: one message a level, in two batches by turns, of each half.
static uint64_t message_bytes(const tw_engine *e) {
  const tw_program *p = &e->o.plan->program;
  uint64_t room[2] = {0, 0}, payload = 0;
  for (int i = 0; i < p->op_count; i++) {
    const tw_op *op = &p->ops[i];
    if (i && op->level != p->ops[i - 1].level) payload = 0;
    if (!op->opens) continue;
    uint64_t *own = &room[op->level % 2];
    for (int b = 0; b < e->parts[0].batch; b++) {
      payload += tw_program_open_bytes(&p->tensors[op->out[0]]);
      if (payload > *own) *own = payload > 2 * *own ? payload : 2 * *own;
    }
  }
  return 2 * (uint64_t)e->count * (room[0] + room[1]);  // what is sent, and what is received
}

static tw_status no_read(void *state, int sequence, void *to, size_t bytes) {
  (void)state, (void)sequence, (void)to, (void)bytes;
  return tw_fail(TW_ERR_INTERNAL, "keys of an engine that is only foreseen");
}

static tw_status foresee_host(tw_engine *e, tw_engine_room *out) {
  const tw_correction_reader file = {.read = no_read};
  TW_TRY(tw_engine_forecast_preparation(e));
  out->arenas = e->preparation.arena.bytes;
  for (int i = 0; i < e->count; i++) {
    TW_TRY(tw_engine_forecast(e, &e->parts[i], file));
    out->arenas += e->parts[i].arena.bytes;
  }
  out->operands = operand_bytes(e);
  out->keys = tw_host_feed_bytes(e->o.plan->program.slot_bytes[e->party], e->o.batch);
  out->messages = message_bytes(e);
  return TW_OK;
}

static tw_status foresee(tw_engine *e, bool ask_gpu, tw_engine_room *out) {
  *out = (tw_engine_room){.share = share_bytes(e->o.model),
                          .program = program_bytes(e->o.plan),
                          .inputs = input_bytes(e),
                          .process = PROCESS};
  void *slots;
  TW_TRY(tw_alloc(8 * (size_t)e->o.batch, &slots));
  e->host_slots = slots;
#ifdef TWAIN_CUDA
  tw_status status = e->device ? tw_engine_device_foresee(e, ask_gpu, out) : foresee_host(e, out);
#else
  (void)ask_gpu;
  tw_status status = foresee_host(e, out);
#endif
  tw_free(slots);
  out->host =
      out->share + out->operands + out->arenas + out->keys + out->messages + out->inputs + out->program + out->process;
  return status;
}

tw_status tw_engine_foresee(const tw_engine_options *o, bool ask_gpu, tw_engine_room *out) {
  tw_model_share shapes;
  tw_engine *e = calloc(1, sizeof *e);
  *out = (tw_engine_room){.host = 0};
  if (!e) return tw_fail(TW_ERR_MEMORY, "out of memory for a forecast");
  e->o = *o;
  e->o.model = &shapes;
  const uint64_t *slots = o->plan->program.slot_bytes;
  e->party = slots[1] > slots[0];
  e->k = &tw_cpu_backend;
#ifdef TWAIN_CUDA
  e->device = o->device == TW_DEVICE_CUDA;
  if (e->device) e->k = &tw_cuda_backend;
#endif
  tw_engine_divide(e);
  tw_status status = find_shapes(o->plan, &shapes);
  if (status == TW_OK) status = foresee(e, ask_gpu, out);
  forget_shapes(&shapes);
  free(e);
  return status;
}
