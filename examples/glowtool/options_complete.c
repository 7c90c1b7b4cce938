/* Completions for shells, from the option tables. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "options_help.h"

static const char made[] = "# Made by: sh tests/tool/test_man.sh GLOWTOOL docs/man --write\n# "
                           "SPDX-License-Identifier"
                           ": MIT\n";

/* Values that the option takes, or NULL: file names, or what nobody can guess. */
static const option_choice *complete_choices(const option_row *row) {
  return row->kind == OPTION_CHOICE ? row->choices : NULL;
}

static bool complete_is_option(const option_row *row) {
  return row->kind != OPTION_HEADING;
}

/* ---- bash ------------------------------------------------------------------------------------ */

void bash_begin(void) {
  printf("# glowtool's commands and options in bash: install it as\n"
         "# /usr/share/bash-completion/completions/glowtool, or source it.\n%s"
         "_glowtool() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words=\n"
         "  COMPREPLY=()\n"
         "  case $command${COMP_WORDS[COMP_CWORD - 1]} in\n",
         made);
}

void bash_values(const option_table *table) {
  for (const option_row *row = table->rows; row->kind != OPTION_END; row++) {
    const option_choice *c = complete_choices(row);
    if (!c)
      continue;
    printf("  %s--%s) words='", table->command, row->name);
    for (; c->name; c++)
      printf("%s%s", c->name, c[1].name ? " " : "' ;;\n");
  }
}

void bash_options_begin(void) {
  puts("  *)\n"
       "    [ \"$COMP_CWORD\" = 1 ] && command=\n"
       "    case $command in");
}

void bash_options(const option_table *table) {
  printf("    %s) words='", table->command);
  for (const option_row *row = table->rows; row->kind != OPTION_END; row++)
    if (complete_is_option(row))
      printf("--%s ", row->name);
  puts("--help' ;;");
}

void bash_end(const char *commands) {
  printf("    '') words='%shelp --help --version' ;;\n"
         "    esac\n"
         "    # paths, where no option is begun\n"
         "    if [ -n \"$command\" ] && [ \"${current#-}\" = \"$current\" ]; then\n"
         "      compopt -o filenames 2> /dev/null\n"
         "      mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
         "      return\n"
         "    fi\n"
         "    ;;\n"
         "  esac\n"
         "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
         "}\n"
         "complete -F _glowtool glowtool\n",
         commands);
}

/* ---- fish ------------------------------------------------------------------------------------ */

/* In single quotes. */
static void fish_quote(const char *text) {
  putchar('\'');
  for (; *text; text++) {
    if (*text == '\'' || *text == '\\')
      putchar('\\');
    putchar(*text == '\n' ? ' ' : *text);
  }
  putchar('\'');
}

void fish_begin(void) {
  printf("# glowtool's commands and options in fish: install it as\n"
         "# /usr/share/fish/vendor_completions.d/glowtool.fish.\n%s",
         made);
}

void fish_command(const char *name, const char *about) {
  printf("complete -c glowtool -n __fish_use_subcommand -a %s -d ", name);
  fish_quote(about);
  putchar('\n');
}

void fish_options(const option_table *table) {
  for (const option_row *row = table->rows; row->kind != OPTION_END; row++) {
    const option_choice *c = complete_choices(row);
    if (!complete_is_option(row))
      continue;
    printf("complete -c glowtool -n '__fish_seen_subcommand_from %s' -l %s", table->command,
           row->name);
    if (c) {
      fputs(" -x -a '", stdout);
      for (; c->name; c++)
        printf("%s%s", c->name, c[1].name ? " " : "'");
    } else if (row->word)
      fputs(" -r", stdout);
    fputs(" -d ", stdout);
    fish_quote(row->help);
    putchar('\n');
  }
}
