#include "app/show/answer.h"

#include <string.h>

#include "app/show/labels.h"
#include "app/show/words.h"
#include "io/client.h"
#include "io/file.h"
#include "io/new_files.h"

static bool is_printed(const char *output) {
  static const char *const printed[] = {"logits", "all-logits", "next-token", "text"};
  for (size_t i = 0; i < sizeof printed / sizeof *printed; i++)
    if (strcmp(output, printed[i]) == 0) return true;
  return false;
}

tw_status tw_answer_place(const char *result, const char *file) {
  if (file) return tw_file_check_new(file);
  if (is_printed(result)) return TW_OK;
  return tw_fail(TW_ERR_USAGE, "this plan's result (%s) is not printed: say --output FILE", result);
}

tw_status tw_answer_print(const char *model, const tw_result *r, const char *input, const char *path, bool show_texts) {
  tw_path file = tw_path_of(model, "client.h5");
  tw_client client;
  tw_input own;
  if (!is_printed(r->output) || !tw_path_exists(&file)) return TW_OK;
  TW_TRY(tw_client_read(file.text, &client));
  tw_status status = input ? tw_input_read(input, &own) : TW_OK;
  if (status == TW_OK) {
    bool words = client.config.head.kind == TW_HEAD_WORDS;
    status = words ? tw_words_print(r, &client, input ? &own : NULL, path, show_texts)
                   : tw_labels_print(r, &client, input && show_texts ? &own : NULL, path);
    if (input) tw_input_free(&own);
  }
  tw_client_free(&client);
  return status;
}
