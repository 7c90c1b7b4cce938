/* glowtool: learns Glow models from images, scores images, draws new ones. Command: argv[1].
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "options_help.h"
#include "options_suggest.h"
#include "stop.h"
#include "tool.h"

typedef struct command {
  const char *name;
  int (*run)(int argc, char **argv);
  const option_table *table;
  const char *about;
} command;

#define ROW(name, about) {#name, command_##name, &name##_table, about},
static const command commands[] = {COMMANDS(ROW)};
#undef ROW
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static const char about_tool[] =
    "Glow, a normalizing flow, for images: exact likelihoods, exact latents, new images.";
static const char try_it[] = "To see it work, in a minute or two:\n"
                             "  glowtool train --preset digits --out try\n"
                             "  glowtool sample try/model.safetensors --out new.png";
static const char exit_codes[] =
    "Exit codes: 0 fine; 1 failed while running; 2 bad usage or input, or a file that\n"
    "could not be written; 3 unexpected.";

static void help(void) {
  printf("Usage: glowtool COMMAND [options]\n\n%s\n\nCommands:\n", about_tool);
  for (int i = 0; i < COMMAND_COUNT; i++)
    printf("  %-13s %s\n", commands[i].name, commands[i].about);
  printf("\n"
         "  glowtool COMMAND --help    the options of a command\n"
         "  glowtool help --markdown   those of all commands, as the manual has them\n"
         "  glowtool help --man NAME   manual page of a command; of the tool without NAME\n"
         "  glowtool help --bash       completions for bash; --fish: for fish\n"
         "  glowtool --version         version of this program and of the library\n"
         "\n%s\n\n%s\n",
         try_it, exit_codes);
}

static int version(void) {
  printf("glowtool %d.%d.%d (libglow %s)\n", GLOW_VERSION_MAJOR, GLOW_VERSION_MINOR,
         GLOW_VERSION_PATCH, glow_version());
  return TOOL_FINE;
}

static const command *find(const char *name) {
  for (int i = 0; i < COMMAND_COUNT; i++)
    if (strcmp(name, commands[i].name) == 0)
      return &commands[i];
  return NULL;
}

static int refuse(const char *name) {
  const command *nearest = NULL;
  int least = 3;
  for (int i = 0; i < COMMAND_COUNT; i++) {
    int d = word_distance(name, commands[i].name);
    if (d < least) {
      least = d;
      nearest = &commands[i];
    }
  }
  if (nearest)
    return complain("there is no command '%s'; did you mean '%s'?", name, nearest->name);
  return complain("there is no command '%s'; see 'glowtool --help'", name);
}

/* ---- what is made of the tables -------------------------------------------------------------- */

static void man_of_tool(void) {
  man_head("glowtool", "learns normalizing flows from images and tables, and uses them");
  man_section("SYNOPSIS", "glowtool COMMAND [options]");
  man_section("DESCRIPTION", about_tool);
  man_section("COMMANDS", "Each has a page of its own, glowtool-COMMAND(1).");
  for (int i = 0; i < COMMAND_COUNT; i++)
    man_item(commands[i].name, commands[i].about);
  man_section("EXAMPLES", try_it);
  man_section("EXIT STATUS", exit_codes);
  man_section("SEE ALSO", "libglow(3); the manual, glowtool.md, in the documentation of libglow");
}

static int man_of(const char *name) {
  const command *about = name ? find(name) : NULL;
  if (name && !about)
    return refuse(name);
  if (about)
    options_man(about->table, about->about);
  else
    man_of_tool();
  return TOOL_FINE;
}

static void bash(void) {
  char names[512] = "";
  size_t used = 0;
  bash_begin();
  for (int i = 0; i < COMMAND_COUNT; i++)
    bash_values(commands[i].table);
  bash_options_begin();
  for (int i = 0; i < COMMAND_COUNT; i++) {
    bash_options(commands[i].table);
    used += (size_t)snprintf(names + used, sizeof names - used, "%s ", commands[i].name);
  }
  bash_end(names);
}

static void fish(void) {
  fish_begin();
  for (int i = 0; i < COMMAND_COUNT; i++)
    fish_command(commands[i].name, commands[i].about);
  for (int i = 0; i < COMMAND_COUNT; i++)
    fish_options(commands[i].table);
}

static void markdown(void) {
  for (int i = 0; i < COMMAND_COUNT; i++)
    options_markdown(commands[i].table);
}

/* glowtool help [COMMAND | --markdown | --man [COMMAND] | --bash | --fish] */
static int help_on(const char *topic, const char *name) {
  static const struct {
    const char *option;
    void (*print)(void);
  } kinds[] = {{"--markdown", markdown}, {"--bash", bash}, {"--fish", fish}};
  static char option[] = "--help";
  if (!topic) {
    help();
    return TOOL_FINE;
  }
  if (strcmp(topic, "--man") == 0)
    return man_of(name);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strcmp(topic, kinds[i].option) == 0) {
      kinds[i].print();
      return TOOL_FINE;
    }
  const command *about = find(topic);
  char *words[] = {option, option, NULL}; /* a command reads what follows its name */
  return about ? about->run(2, words) : refuse(topic);
}

static int dispatch(int argc, char **argv) {
  if (argc < 2) {
    complain("a command is missing; see 'glowtool --help'");
    return TOOL_BAD;
  }
  const char *name = argv[1];
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
    return help_on(argv[2], argc > 3 ? argv[3] : NULL);
  if (strcmp(name, "--version") == 0)
    return version();
  const command *chosen = find(name);
  return chosen ? chosen->run(argc - 1, argv + 1) : refuse(name);
}

/* What was printed may have gone nowhere: a full disk, a pipe that nobody reads. */
static int close_stdout(int code) {
  bool failed = ferror(stdout) != 0;
  if (fclose(stdout) == 0 && !failed)
    return code;
  if (code != TOOL_FINE) /* has been told */
    return code;
  return complain("cannot write to the standard output: %s", strerror(errno));
}

/* A command that a signal has stopped has put away what it was writing. */
static int end(int code) {
  if (code != TOOL_STOPPED)
    return close_stdout(code);
  fflush(stdout);
  stop_end();
  return TOOL_FAILED;
}

int main(int argc, char **argv) {
  (void)signal(SIGPIPE, SIG_IGN); /* so that a run whose reader has gone still saves */
  (void)signal(SIGXFSZ, SIG_IGN); /* so that a limit of file sizes is an error of write() */
  return end(dispatch(argc, argv));
}
