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

static void help(void) {
  puts("Usage: glowtool COMMAND [options]\n"
       "\n"
       "Glow, a normalizing flow, for images: exact likelihoods, exact latents, new images.\n"
       "\n"
       "Commands:");
  for (int i = 0; i < COMMAND_COUNT; i++)
    printf("  %-13s %s\n", commands[i].name, commands[i].about);
  puts("\n"
       "  glowtool COMMAND --help    the options of a command\n"
       "  glowtool help --markdown   those of all commands, as the manual has them\n"
       "  glowtool --version         version of this program and of the library\n"
       "\n"
       "To see it work, in a minute or two:\n"
       "  glowtool train --preset digits --out try\n"
       "  glowtool sample try/model.safetensors --out new.png\n"
       "\n"
       "Exit codes: 0 fine; 1 failed while running; 2 bad usage or input, or a file that\n"
       "could not be written; 3 unexpected.");
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

/* glowtool help [COMMAND | --markdown] */
static int help_on(const char *topic) {
  static char option[] = "--help";
  if (!topic) {
    help();
    return TOOL_FINE;
  }
  if (strcmp(topic, "--markdown") == 0) {
    for (int i = 0; i < COMMAND_COUNT; i++)
      options_markdown(commands[i].table);
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
    return help_on(argv[2]);
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
