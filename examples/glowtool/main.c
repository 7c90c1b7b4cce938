/* glowtool: learns Glow models from images, scores images, draws new ones. Command: argv[1].
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tool.h"

typedef struct command {
  const char *name;
  command_fn run;
  const char *about;
} command;

static const command commands[] = {
    {"train", command_train, "learn a model from images"},
    {"eval", command_eval, "bits per dimension of images under a model"},
    {"score", command_score, "log-densities of samples, as tensors"},
    {"sample", command_sample, "draw new images from a model"},
    {"encode", command_encode, "samples to latents, as tensors"},
    {"decode", command_decode, "latents to samples, as tensors"},
    {"reconstruct", command_reconstruct, "images to latents and back, and the error"},
    {"interpolate", command_interpolate, "what lies between images, in the latent space"},
    {"attribute", command_attribute, "a direction of the latent space, and images moved along it"},
    {"sweep", command_sweep, "the same latents at several temperatures"},
    {"anomaly", command_anomaly, "how well scores tell other images from usual ones"},
    {"import", command_import, "a model from weights of other projects"},
    {"export", command_export, "a model under another project's names, or in bfloat16"},
    {"info", command_info, "what is in a model file"},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void help(void) {
  puts("Usage: glowtool COMMAND [options]\n"
       "\n"
       "Glow, a normalizing flow, for images: exact likelihoods, exact latents, new images.\n"
       "\n"
       "Commands:");
  for (int i = 0; i < COMMANDS; i++)
    printf("  %-13s %s\n", commands[i].name, commands[i].about);
  puts("\n"
       "  glowtool COMMAND --help    the options of a command\n"
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

static int dispatch(int argc, char **argv) {
  if (argc < 2) {
    complain("a command is missing; see 'glowtool --help'");
    return TOOL_BAD;
  }
  const char *name = argv[1];
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
    help();
    return TOOL_FINE;
  }
  if (strcmp(name, "--version") == 0)
    return version();
  for (int i = 0; i < COMMANDS; i++)
    if (strcmp(name, commands[i].name) == 0)
      return commands[i].run(argc - 1, argv + 1);
  return complain("there is no command '%s'; see 'glowtool --help'", name);
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

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN); /* so that a run whose reader has gone still saves */
  return close_stdout(dispatch(argc, argv));
}
