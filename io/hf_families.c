#include "io/hf_families.h"

#include <stddef.h>
#include <string.h>

#define BERTS_FIELDS "num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "hidden_act"

static const tw_hf_family families[] = {
    {"bert", "bert", "Bert", BERTS_FIELDS, .types = true, .head_activation = "tanh"},
    {"roberta", "roberta", "Roberta", BERTS_FIELDS, .types = true, .positions_after_padding = true,
     .head_activation = "tanh"},
    {"xlm-roberta", "roberta", "XLMRoberta", BERTS_FIELDS, .types = true, .positions_after_padding = true,
     .head_activation = "tanh"},
    {"camembert", "roberta", "Camembert", BERTS_FIELDS, .types = true, .positions_after_padding = true,
     .head_activation = "tanh"},
    {"distilbert", "distilbert", "DistilBert", "n_layers", "dim", "n_heads", "hidden_dim", "activation",
     .fixed_epsilon = true, .head_activation = "relu"},
    {"electra", "electra", "Electra", BERTS_FIELDS, .types = true, .projects = true, .head_activation = "gelu"}};

const tw_hf_family *tw_hf_family_by_type(const char *type) {
  for (size_t i = 0; i < sizeof families / sizeof *families; i++)
    if (strcmp(families[i].type, type) == 0) return &families[i];
  return NULL;
}

const char *tw_hf_family_types(void) { return "bert, roberta, xlm-roberta, camembert, distilbert, electra"; }
