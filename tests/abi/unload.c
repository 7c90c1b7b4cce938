/* The library is loaded, used and unloaded, several times: with threads of a pool, errors on
 * several threads, and objects of all kinds. Then neither a thread, nor a mapping, nor a descriptor
 * of it is there; unload.sh looks for memory. Usage: unload LIBRARY.
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <dlfcn.h>
#include <glow/glow.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZE = 8, DIMS = SIZE * SIZE, COUNT = 4, ROUNDS = 3 };

static void *library;

static void give_up(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why ? why : "?");
  exit(1);
}

/* A function of the library, by its name; ISO C has no other cast from void * to it. */
#define CALL(name) (*(__typeof__(&(name)))(uintptr_t)find(#name))
static void *find(const char *name) {
  void *symbol = dlsym(library, name);
  if (!symbol)
    give_up(name, dlerror());
  return symbol;
}

#define OK(call)                                                                                   \
  do {                                                                                             \
    if ((call) != GLOW_OK)                                                                         \
      give_up(#call, CALL(glow_last_error)());                                                     \
  } while (0)

/* ---- what is left ---------------------------------------------------------------------------- */

static int entries_of(const char *folder) {
  DIR *directory = opendir(folder);
  int count = 0;
  while (directory && readdir(directory))
    count++;
  if (directory)
    closedir(directory);
  return count;
}

static int is_mapped(const char *name) {
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[4096];
  int found = 0;
  while (maps && fgets(line, sizeof line, maps))
    found += strstr(line, name) != NULL;
  if (maps)
    fclose(maps);
  return found;
}

/* ---- using it -------------------------------------------------------------------------------- */

static void *fail_here(void *argument) {
  if (CALL(glow_model_prepare)(NULL) != GLOW_E_ARGUMENT || !*CALL(glow_last_error)())
    give_up("glow_model_prepare", "no error");
  return argument;
}

static void on_a_thread(void *(*what)(void *)) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, what, NULL) != 0 || pthread_join(thread, NULL) != 0)
    give_up("a thread", "it cannot be made");
}

static void train(glow_model *model) {
  static uint8_t pixels[COUNT * DIMS];
  glow_trainer *trainer = NULL;
  for (int i = 0; i < COUNT * DIMS; i++)
    pixels[i] = (uint8_t)(i * 7);
  OK(CALL(glow_trainer_create)(model, NULL, &trainer));
  OK(CALL(glow_trainer_initialise_pixels)(trainer, pixels, NULL, COUNT));
  OK(CALL(glow_trainer_step_pixels)(trainer, pixels, NULL, COUNT, NULL));
  CALL(glow_trainer_destroy)(&trainer);
}

static void draw(const glow_model *model) {
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *workspace = NULL;
  float x[COUNT * DIMS];
  o.batch = COUNT;
  OK(CALL(glow_workspace_create)(model, &o, &workspace));
  OK(CALL(glow_workspace_sample)(workspace, COUNT, NULL, x));
  CALL(glow_workspace_destroy)(&workspace);
}

static void *use(void *argument) {
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  glow_glow_options g = GLOW_GLOW_OPTIONS_INIT;
  glow_context *context = NULL;
  glow_model *model = NULL;
  o.threads = 3;
  g.input = (glow_shape){SIZE, SIZE, 1};
  g.levels = 1, g.depth = 1, g.hidden = 4;
  OK(CALL(glow_context_create)(&o, &context));
  OK(CALL(glow_model_create_glow)(context, &g, &model));
  train(model);
  draw(model);
  on_a_thread(fail_here);
  fail_here(NULL);
  CALL(glow_model_destroy)(&model);
  CALL(glow_context_destroy)(&context);
  return argument;
}

int main(int argc, char **argv) {
  if (argc != 2)
    give_up("usage", "unload LIBRARY");
  if (access("/proc/self/maps", R_OK) != 0) {
    puts("there is no /proc to look into");
    return 77;
  }
  int files = entries_of("/proc/self/fd");
  for (int round = 0; round < ROUNDS; round++) {
    library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!library)
      give_up(argv[1], dlerror());
    if (!is_mapped("/libglow.so"))
      give_up(argv[1], "it is loaded, but no mapping is called libglow.so");
    on_a_thread(use); /* glibc keeps a thread's block of what was unloaded until the thread ends */
    if (dlclose(library) != 0)
      give_up(argv[1], dlerror());
    if (is_mapped("/libglow.so"))
      give_up(argv[1], "it is still mapped");
    if (entries_of("/proc/self/task") != 3) /* this thread, "." and ".." */
      give_up(argv[1], "one of its threads is still there");
    if (entries_of("/proc/self/fd") != files)
      give_up(argv[1], "a descriptor is left open");
  }
  return 0;
}
