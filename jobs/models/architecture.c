#include "jobs/models/architecture.h"

#include <string.h>

#include "jobs/models/bert.h"
#include "jobs/models/decoder.h"

const tw_architecture *tw_architecture_by_name(const char *name) {
  static const tw_architecture *const all[] = {&tw_bert, &tw_roberta, &tw_distilbert, &tw_electra,
                                               &tw_gpt2, &tw_gpt_neo, &tw_llama};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (strcmp(all[i]->tensors->architecture, name) == 0) return all[i];
  return NULL;
}
