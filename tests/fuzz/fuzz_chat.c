// A chat template and two messages: the contents, a zero byte behind each, then the template.
#include <stdlib.h>
#include <string.h>

#include "io/chat.h"
#include "io/normalise.h"
#include "tests/fuzz/fuzz.h"

void fuzz_begin(void) {}

void fuzz_seeds(void) {
  static const char llama[] =
      "Be brief.\0Hello\0{{- bos_token }}\n{%- if messages[0]['role'] == 'system' %}\n  {%- set first = "
      "messages[0].content | trim %}\n  {%- set rest = messages[1:] %}\n{%- else %}{% set rest = messages %}{% endif "
      "%}\n"
      "{%- for m in rest if m.role != 'tool' -%}{{ '[INST] ' ~ (first if loop.first and first is defined else '') + "
      "m.content.strip() ~ ' [/INST]' }}{% else %}none{% endfor %}{# end #}";
  static const char rules[] =
      "a-b\0c\0{% set n = namespace(i=0) %}{% for k, v in messages[0].items() %}{% set n.i = n.i + 1 %}{{ k }}{{ v | "
      "replace('a', 'bb') }}{% endfor %}{{ n.i % 2 == 0 and not n.i in [1, 2] }}{{ messages | selectattr('role', "
      "'equalto', 'user') | list | length }}{{ 'x\\u00e9'.split('x')[-1] | default('d', true) }}{% set t %}q{% endset "
      "%}{{ "
      "t * 2 if false else -1 }}{% generation %}{{ ['a'] | join(',') }}{% endgeneration %}{{ strftime_now('%d') }}";
  fuzz_seed("llama", llama, sizeof llama - 1);
  fuzz_seed("rules", rules, sizeof rules - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  fuzz_bytes b = {data, bytes};
  size_t n, m;
  const uint8_t *one = fuzz_take_part(&b, SIZE_MAX, &n), *two = fuzz_take_part(&b, SIZE_MAX, &m);
  json_t *messages =
      json_pack("[{s:s, s:s%}, {s:s, s:s%}]", "role", "system", "content", one, n, "role", "user", "content", two, m);
  json_t *chat = json_pack("{s:s%, s:{s:s}}", "template", b.at, b.left, "tokens", "bos_token", "<s>");
  char *json = chat ? json_dumps(chat, 0) : NULL, *text;
  if (messages && json && tw_chat_text(json, messages, &text) == TW_OK) {
    fuzz_must(tw_utf8_valid(text, strlen(text)) == strlen(text), "what a template writes is UTF-8");
    free(text);
  }
  free(json);
  json_decref(chat);
  json_decref(messages);
  return 0;
}
