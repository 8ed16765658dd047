// The client's last step: the joined result.
#include "base/memory.h"
#include "io/new_files.h"
#include "jobs/api/api.h"
#include "jobs/parties/reveal.h"

struct twain_result {
  tw_result result;
};

static tw_status reveal(const char *name, twain_result **out) {
  twain_result *r;
  bool with_input;
  TW_TRY(tw_api_given(out, "result"));
  *out = NULL;
  TW_TRY(tw_api_name(name));
  TW_TRY(tw_alloc(sizeof *r, (void **)&r));
  tw_status status = tw_reveal(name, name, &r->result, &with_input);
  if (status == TW_OK) status = tw_result_judge(&r->result, name);
  if (status == TW_OK)
    *out = r;
  else
    twain_result_free(r);
  return status;
}

twain_status twain_reveal(const char *name, twain_result **result) { return tw_api_status(reveal(name, result)); }

int twain_result_count(const twain_result *result) { return result->result.count; }
int twain_result_rows(const twain_result *result) { return result->result.rows; }
int twain_result_columns(const twain_result *result) { return result->result.cols; }

const double *twain_result_values(const twain_result *result, int sequence) {
  const tw_result *r = &result->result;
  if (sequence < 0 || sequence >= r->count) return NULL;
  return r->values + (size_t)sequence * (size_t)r->rows * (size_t)r->cols;
}

void twain_result_free(twain_result *result) {
  if (!result) return;
  tw_result_free(&result->result);
  tw_free(result);
}
