#include <string.h>

#include "app/overview.h"
#include "app/pages.h"

// ---- what a word may be

typedef enum { WORDS, NAMES, FILES, FOLDERS, ANYTHING } kind;

static bool is_one_of(const char *word, const char *const *list) {
  for (; *list; list++)
    if (strcmp(word, *list) == 0) return true;
  return false;
}

static kind kind_of_value(const tw_option *o) {
  static const char *const files[] = {"FILE", "PREFIX", NULL}, *const folders[] = {"DIR", "FOLDER", NULL};
  if (o->words) return WORDS;
  if (strcmp(o->value, "NAME") == 0) return NAMES;
  return is_one_of(o->value, files) ? FILES : is_one_of(o->value, folders) ? FOLDERS : ANYTHING;
}

static kind kind_of_arguments(const tw_command *c) { return strncmp(c->arguments, "NAME", 4) == 0 ? NAMES : FILES; }

// Every command that has options of its own: parts stand for the command that has them.
typedef void (*visitor)(FILE *file, const tw_command *command);
static void each(FILE *file, visitor visit) {
  for (int i = 0; tw_commands[i]; i++) {
    const tw_command *const *parts = tw_commands[i]->parts;
    if (!parts) visit(file, tw_commands[i]);
    for (; parts && *parts; parts++) visit(file, *parts);
  }
}

static const char *last_word(const char *name) { return strchr(name, ' ') ? strchr(name, ' ') + 1 : name; }

static void names_of_parts(FILE *file, const tw_command *command) {
  for (int i = 0; command->parts[i]; i++) fprintf(file, "%s%s", i ? " " : "", last_word(command->parts[i]->name));
}

// A NAME is what stands before one of these.
static const char endings[] =
    ".plan.json .model.h5 .model.json .client.h5 .input.h5 .result.h5 .model.p[01].h5 .keys.p[01].h5 .input.p[01].h5 "
    ".result.p[01].h5 .model.dealer.h5";

// Both shells read this: prints the NAMEs that begin with $1.
static void print_names_function(FILE *file) {
  fputs("_twain_names() {\n  local file\n  for file in \"$1\"*; do\n    case $file in\n", file);
  for (const char *at = endings; *at;) {
    int length = (int)strcspn(at, " ");
    fprintf(file, "      *%.*s) printf '%%s\\n' \"${file%%%.*s}\" ;;\n", length, at, length, at);
    at += length;
    at += strspn(at, " ");
  }
  fputs("    esac\n  done | sort -u\n}\n\n", file);
}

// ---- bash

static void bash_options(FILE *file, const tw_command *command) {
  tw_option list[TW_OPTIONS_MOST];
  int count = tw_command_options(command, list);
  fprintf(file, "    '%s') arguments=%s options='", command->name,
          kind_of_arguments(command) == NAMES ? "names" : "files");
  for (int i = 0; i < count; i++) fprintf(file, "%s--%s", i ? " " : "", list[i].name);
  fputs("' ;;\n", file);
}

static void bash_values(FILE *file, const tw_command *command) {
  static const char *const take[] = {NULL, "names", "files", "folders", "anything"};
  tw_option list[TW_OPTIONS_MOST];
  int count = tw_command_options(command, list);
  for (int i = 0; i < count; i++) {
    if (!list[i].value) continue;
    kind k = kind_of_value(&list[i]);
    fprintf(file, "    '%s --%s'", command->name, list[i].name);
    if (list[i].letter) fprintf(file, " | '%s -%c'", command->name, list[i].letter);
    if (k == WORDS)
      fprintf(file, ") take=words words='%s' ;;\n", list[i].words);
    else
      fprintf(file, ") take=%s ;;\n", take[k]);
  }
}

static void bash(FILE *file) {
  fprintf(file, "# bash completion for twain %s, made by `twain help --completion bash`\n", TWAIN_VERSION);
  print_names_function(file);
  fputs("_twain() {\n  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n", file);
  fputs("  local command=${COMP_WORDS[1]} arguments= options= take= words= first=2 i\n  COMPREPLY=()\n", file);
  fputs("  [[ $before != = ]] || before=${COMP_WORDS[COMP_CWORD - 2]}\n", file);
  fputs("  [[ $word != = ]] || { word= before=${COMP_WORDS[COMP_CWORD - 1]}; }\n", file);
  fputs("  case $command in\n", file);
  for (int i = 0; tw_commands[i]; i++) {
    if (!tw_commands[i]->parts) continue;
    fprintf(file, "    %s) words='", tw_commands[i]->name);
    names_of_parts(file, tw_commands[i]);
    fputs("' first=3 ;;\n", file);
  }
  fputs("    help) words='--man --completion", file);
  for (int i = 0; tw_commands[i]; i++) fprintf(file, " %s", tw_commands[i]->name);
  fputs("' first=3 ;;\n  esac\n  if ((COMP_CWORD == 1)); then\n    take=words words='help --help --version", file);
  for (int i = 0; tw_commands[i]; i++) fprintf(file, " %s", tw_commands[i]->name);
  fputs("'\n  elif ((COMP_CWORD < first)); then\n    take=words\n  fi\n", file);
  fputs("  ((first == 2)) || command=\"$command ${COMP_WORDS[2]}\"\n  case $command in\n", file);
  each(file, bash_options);
  fputs("  esac\n  if ((COMP_CWORD >= first)); then\n    case \"$command $before\" in\n", file);
  each(file, bash_values);
  fputs("    esac\n    [[ $take || $word != -* ]] || { take=words words=$options; }\n", file);
  fputs("    : \"${take:=$arguments}\"\n  fi\n  case $take in\n", file);
  fputs("    words) mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\") ;;\n", file);
  fputs("    names)\n      mapfile -t COMPREPLY < <(_twain_names \"$word\" && compgen -d -- \"$word\")\n", file);
  fputs("      compopt -o filenames 2>/dev/null\n      ;;\n", file);
  fputs("    files) mapfile -t COMPREPLY < <(compgen -f -- \"$word\") && compopt -o filenames 2>/dev/null ;;\n", file);
  fputs("    folders) mapfile -t COMPREPLY < <(compgen -d -- \"$word\") && compopt -o filenames 2>/dev/null ;;\n",
        file);
  fputs("  esac\n}\ncomplete -F _twain twain\n", file);
}

// ---- zsh

// Inside single quotes and brackets, up to the first clause's end.
static void zsh_text(FILE *file, const char *s) {
  for (; *s && *s != '\n' && *s != ';'; s++) {
    if (*s == '\'')
      fputs("'\\''", file);
    else if (strchr("[]:\\", *s))
      fprintf(file, "\\%c", *s);
    else
      fputc(*s, file);
  }
}

static void zsh_action(FILE *file, kind k, const char *words) {
  static const char *const action[] = {NULL, "_twain_name", "_files", "_files -/", " "};
  if (k == WORDS)
    fprintf(file, "(%s)", words);
  else
    fputs(action[k], file);
}

static void zsh_option(FILE *file, const tw_option *o, const char *dashes, const char *name) {
  fprintf(file, " \\\n        '%s%s%s%s[", o->kind == TW_OPTION_TEXTS ? "*" : "", dashes, name,
          o->value && dashes[1] ? "=" : "");
  zsh_text(file, o->help);
  fputs("]", file);
  if (o->value) {
    fprintf(file, ":%s:", o->value);
    zsh_action(file, kind_of_value(o), o->words);
  }
  fputs("'", file);
}

static void zsh_command(FILE *file, const tw_command *command) {
  tw_option list[TW_OPTIONS_MOST];
  int count = tw_command_options(command, list);
  fprintf(file, "    '%s')\n      _arguments -s", command->name);
  for (int i = 0; i < count; i++) {
    zsh_option(file, &list[i], "--", list[i].name);
    if (list[i].letter) zsh_option(file, &list[i], "-", (char[]){list[i].letter, 0});
  }
  fputs(" \\\n        '*:argument:", file);
  zsh_action(file, kind_of_arguments(command), NULL);
  fputs("' ;;\n", file);
}

static void zsh(FILE *file) {
  fprintf(file, "#compdef twain\n# zsh completion for twain %s, made by `twain help --completion zsh`\n",
          TWAIN_VERSION);
  print_names_function(file);
  fputs("_twain_name() {\n  local -a names=(${(f)\"$(_twain_names \"$PREFIX\" 2>/dev/null)\"})\n", file);
  fputs("  compadd -f -- $names\n  _path_files -/\n}\n\n_twain() {\n  local command=$words[2] first=3\n", file);
  fputs("  local -a commands=(\n    'help:explain a command'\n", file);
  for (int i = 0; tw_commands[i]; i++) {
    fprintf(file, "    '%s:", tw_commands[i]->name);
    zsh_text(file, tw_commands[i]->summary);
    fputs("'\n", file);
  }
  fputs("  )\n  if ((CURRENT == 2)); then\n    _describe command commands\n    return\n  fi\n  case $command in\n",
        file);
  for (int i = 0; tw_commands[i]; i++) {
    if (!tw_commands[i]->parts) continue;
    fprintf(file, "    %s)\n      ((CURRENT > 3)) || { compadd ", tw_commands[i]->name);
    names_of_parts(file, tw_commands[i]);
    fputs("; return; }\n      command=\"$command $words[3]\" first=4\n      ;;\n", file);
  }
  fputs("    help) _describe command commands; return ;;\n  esac\n", file);
  fputs("  words=(twain \"${(@)words[first,-1]}\")\n  ((CURRENT -= first - 2))\n  case $command in\n", file);
  each(file, zsh_command);
  fputs("  esac\n}\n\n[[ $funcstack[1] != _twain ]] || _twain \"$@\"\n", file);
}

tw_status tw_pages_completion(FILE *file, const char *shell) {
  if (shell && strcmp(shell, "bash") == 0)
    bash(file);
  else if (shell && strcmp(shell, "zsh") == 0)
    zsh(file);
  else
    return tw_fail(TW_ERR_USAGE, "--completion is for bash or zsh");
  return TW_OK;
}
