/* What a file that replaces another keeps of it: permissions, owner, access list, and the links
 * that lead to it; and that nobody gains access by it. SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../support/model_helpers.h"
#include "../support/temp_folder.h"

enum { SOMEBODY = 12345, SOMEBODY_ELSE = 12346, GROUP = 12347, OTHER_GROUP = 12348 };

static glow_context *context;
static glow_model *model;
static glow_trainer *trainer;

/* ---- writers --------------------------------------------------------------------------------- */

static glow_status write_model(const char *path) {
  return glow_model_save(model, path);
}

static glow_status write_checkpoint(const char *path) {
  return glow_checkpoint_save(trainer, path, NULL, 0);
}

static const float numbers[2];
static const glow_file_tensor tensor = {sizeof tensor, "numbers",      GLOW_TYPE_F32, 1,
                                        {2},           sizeof numbers, numbers};

static glow_status write_tensors(const char *path) {
  return glow_tensor_file_write(context, path, &tensor, 1, NULL, 0);
}

static glow_status write_pieces(const char *path) {
  glow_tensor_writer *writer = NULL;
  GLOW_TRY(glow_tensor_writer_create(context, path, &tensor, 1, NULL, 0, &writer));
  GLOW_TRY(glow_tensor_writer_append(writer, 0, numbers, sizeof numbers));
  return glow_tensor_writer_finish(&writer);
}

typedef glow_status (*writer)(const char *path);
static const writer writers[] = {write_model, write_checkpoint, write_tensors, write_pieces};
enum { WRITERS = sizeof writers / sizeof *writers };

/* ---- files ----------------------------------------------------------------------------------- */

static void make_old(const char *path, mode_t mode) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs("old", file);
  assert_int_equal(fclose(file), 0);
  assert_int_equal(chmod(path, mode), 0);
}

static bool is_new(const char *path) {
  struct stat about;
  return stat(path, &about) == 0 && about.st_size > 8;
}

static mode_t mode_of(const char *path) {
  struct stat about;
  assert_int_equal(lstat(path, &about), 0);
  return about.st_mode & 07777;
}

static bool is_link(const char *path) {
  struct stat about;
  return lstat(path, &about) == 0 && S_ISLNK(about.st_mode);
}

static bool owned_by(const char *path, uid_t user, gid_t group) {
  struct stat about;
  return stat(path, &about) == 0 && about.st_uid == user && about.st_gid == group;
}

/* ---- permissions ----------------------------------------------------------------------------- */

static void test_mode(void **state) {
  static const mode_t modes[] = {0600, 0640, 0644, 0666, 0400, 0444, 0755};
  const char *path = temp_path("mode");
  (void)state;
  for (int i = 0; i < WRITERS; i++)
    for (size_t k = 0; k < sizeof modes / sizeof *modes; k++) {
      make_old(path, modes[k]);
      OK(writers[i](path));
      assert_true(is_new(path));
      assert_int_equal(mode_of(path), modes[k]);
      unlink(path);
    }
}

/* A new file has the usual permissions; bits that run a file as its owner are not kept. */
static void test_mode_of_new(void **state) {
  const mode_t mask = umask(027);
  const char *path = temp_path("new");
  (void)state;
  OK(write_model(path));
  umask(mask);
  assert_int_equal(mode_of(path), 0640);
  assert_int_equal(chmod(path, 06755), 0);
  OK(write_model(path));
  assert_int_equal(mode_of(path), 0755);
  unlink(path);
}

/* Root may. The root of a namespace knows only some users, and chown gives EINVAL for others. */
static bool gives_files_away(void) {
  const char *path = temp_path("mine");
  make_old(path, 0640);
  const bool gives = geteuid() == 0 && (chown(path, SOMEBODY, GROUP) == 0 || errno != EINVAL);
  unlink(path);
  return gives;
}

static void test_owner(void **state) {
  const char *path = temp_path("owner");
  (void)state;
  if (!gives_files_away())
    skip();
  for (int i = 0; i < WRITERS; i++) {
    make_old(path, 0640);
    assert_int_equal(chown(path, SOMEBODY, GROUP), 0);
    OK(writers[i](path));
    assert_true(is_new(path) && owned_by(path, SOMEBODY, GROUP));
    assert_int_equal(mode_of(path), 0640);
    unlink(path);
  }
}

/* Saves as a user who may not give files away, and is in no other group.
 * Returns a sum of faults. */
static int save_as_somebody(const char *path) {
  if (setgroups(0, NULL) != 0 || setgid(OTHER_GROUP) != 0 || setuid(SOMEBODY_ELSE) != 0)
    return 1;
  return write_model(path) == GLOW_OK ? 0 : 2;
}

static int in_child(int (*save)(const char *path), const char *path) {
  int status = 0;
  fflush(NULL);
  pid_t child = fork();
  if (child == 0)
    _exit(save(path));
  assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status));
  return WEXITSTATUS(status);
}

/* The file of somebody else, in a folder where anybody may replace it. Where the group cannot be
 * kept, it and all others get what both had: a group that was shut out, and is now among the
 * others, stays shut out. */
static void test_owner_not_allowed(void **state) {
  static const mode_t modes[][2] = {{0640, 0600}, {0644, 0644}, {0664, 0644}, {0660, 0600},
                                    {0600, 0600}, {0604, 0600}, {0666, 0666}};
  char path[300];
  (void)state;
  if (!gives_files_away())
    skip();
  assert_int_equal(chmod(temp_folder, 0755), 0);
  assert_int_equal(mkdir(temp_path("shared"), 0700), 0);
  assert_int_equal(chmod(temp_path("shared"), 0777), 0);
  snprintf(path, sizeof path, "%s", temp_path("shared/file"));
  for (size_t k = 0; k < sizeof modes / sizeof *modes; k++) {
    make_old(path, modes[k][0]);
    assert_int_equal(chown(path, SOMEBODY, GROUP), 0);
    assert_int_equal(in_child(save_as_somebody, path), 0);
    assert_true(is_new(path) && owned_by(path, SOMEBODY_ELSE, OTHER_GROUP));
    assert_int_equal(mode_of(path), modes[k][1]);
    unlink(path);
  }
}

/* Version 2; the owner rw, SOMEBODY r, the group nothing, mask r, others nothing: acl(5). */
static const unsigned char access_list[] = {2,    0, 0, 0,                          /* version */
                                            1,    0, 6, 0, 0xff, 0xff, 0xff, 0xff,  /* owner */
                                            2,    0, 4, 0, 0x39, 0x30, 0,    0,     /* user 12345 */
                                            4,    0, 0, 0, 0xff, 0xff, 0xff, 0xff,  /* group */
                                            0x10, 0, 4, 0, 0xff, 0xff, 0xff, 0xff,  /* mask */
                                            0x20, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}; /* others */
static const char access_name[] = "system.posix_acl_access";

static void test_access_list(void **state) {
  unsigned char found[sizeof access_list + 64];
  const char *path = temp_path("list");
  (void)state;
  make_old(path, 0640);
  if (setxattr(path, access_name, access_list, sizeof access_list, 0) != 0) {
    print_message("skipped: no access lists here: %s\n", strerror(errno));
    unlink(path);
    skip();
  }
  OK(write_model(path));
  assert_true(is_new(path));
  assert_int_equal(getxattr(path, access_name, found, sizeof found), sizeof access_list);
  assert_memory_equal(found, access_list, sizeof access_list);
  unlink(path);
}

/* A folder's list for new files is none for a file that had none. */
static void test_default_list(void **state) {
  char path[300], found[256];
  (void)state;
  assert_int_equal(mkdir(temp_path("listed"), 0755), 0);
  snprintf(path, sizeof path, "%s", temp_path("listed/file"));
  make_old(path, 0640);
  if (setxattr(temp_path("listed"), "system.posix_acl_default", access_list, sizeof access_list,
               0) != 0)
    skip();
  OK(write_model(path));
  assert_true(is_new(path));
  assert_int_equal(getxattr(path, access_name, found, sizeof found), -1);
  assert_int_equal(mode_of(path), 0640);
}

/* ---- links ----------------------------------------------------------------------------------- */

static void link_to(const char *target, const char *name) {
  unlink(temp_path(name));
  assert_int_equal(symlink(target, temp_path(name)), 0);
}

static int count_links_left(const char *first, const char *second) {
  return is_link(temp_path(first)) + is_link(temp_path(second));
}

/* A chain of a relative link and one into another folder; then the same with nothing at its end. */
static void test_links(void **state) {
  char real[300];
  (void)state;
  assert_int_equal(mkdir(temp_path("elsewhere"), 0700), 0);
  snprintf(real, sizeof real, "%s", temp_path("elsewhere/real"));
  link_to("second", "first");
  link_to("elsewhere/../elsewhere/real", "second");
  for (int i = 0; i < WRITERS; i++) {
    make_old(real, 0600);
    OK(writers[i](temp_path("first")));
    assert_true(is_new(real));
    assert_int_equal(mode_of(real), 0600);
    assert_int_equal(count_links_left("first", "second"), 2);
    unlink(real);
    OK(writers[i](temp_path("first")));
    assert_true(is_new(real));
    assert_int_equal(count_links_left("first", "second"), 2);
    unlink(real);
  }
  link_to(real, "second");
  OK(write_model(temp_path("first")));
  assert_true(is_new(real));
  assert_int_equal(rmdir(temp_path("elsewhere")), -1);
}

static void test_links_from_here(void **state) {
  char before[4096];
  (void)state;
  assert_non_null(getcwd(before, sizeof before));
  assert_int_equal(chdir(temp_folder), 0);
  assert_int_equal(symlink("plain", "here"), 0);
  OK(write_model("here"));
  assert_true(is_link("here") && is_new("plain") && !is_link("plain"));
  assert_int_equal(chdir(before), 0);
}

static void refused(const char *name, int error) {
  for (int i = 0; i < WRITERS; i++) {
    glow_status status = writers[i](temp_path(name));
    assert_true(status == GLOW_E_IO || status == GLOW_E_NOT_FOUND);
    assert_non_null(strstr(glow_last_error(), strerror(error)));
  }
}

/* Links that lead nowhere where a file could be. */
static void test_bad_links(void **state) {
  char name[300];
  (void)state;
  link_to("round", "round");
  refused("round", ELOOP);
  link_to("b", "a");
  link_to("a", "b");
  refused("a", ELOOP);
  assert_int_equal(count_links_left("a", "b"), 2);
  link_to("no-such-folder/file", "astray");
  refused("astray", ENOENT);
  assert_true(is_link(temp_path("astray")));
  memset(name, 'x', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  link_to(name, "long");
  refused("long", ENAMETOOLONG);
  link_to(".", "folder");
  for (int i = 0; i < WRITERS; i++)
    assert_int_equal(writers[i](temp_path("folder")), GLOW_E_IO);
  assert_non_null(strstr(glow_last_error(), "not a regular file"));
}

/* A path through a file, and paths that are too long: the caller's, and as a link makes it. */
static void test_bad_paths(void **state) {
  char target[4000], path[6000];
  (void)state;
  make_old(temp_path("file"), 0600);
  refused("file/below", ENOTDIR);
  assert_false(is_new(temp_path("file")));
  memset(path, 'x', sizeof path - 1);
  path[sizeof path - 1] = '\0';
  for (int i = 0; i < WRITERS; i++)
    REFUSED(writers[i](path), GLOW_E_IO, "cannot write"); /* the path fills the text */
  memset(target, '/', sizeof target - 1);                 /* in itself it is short enough */
  memcpy(target, "..", 2);
  target[sizeof target - 1] = '\0';
  assert_int_equal(mkdir(temp_path("deep"), 0700), 0);
  link_to(target, "deep/link");
  snprintf(path, sizeof path, "deep%.*slink", 100, target + 2); /* deep////.../link */
  refused(path, ENAMETOOLONG);
  assert_true(is_link(temp_path("deep/link")));
}

/* What is there and is no file is left alone. */
static void test_not_a_file(void **state) {
  (void)state;
  assert_int_equal(mkfifo(temp_path("pipe"), 0600), 0);
  link_to("pipe", "to pipe");
  for (int i = 0; i < WRITERS; i++) {
    REFUSED(writers[i](temp_path("pipe")), GLOW_E_IO, "not a regular file");
    REFUSED(writers[i](temp_path("to pipe")), GLOW_E_IO, "not a regular file");
  }
  struct stat about;
  assert_true(stat(temp_path("pipe"), &about) == 0 && S_ISFIFO(about.st_mode));
  assert_true(is_link(temp_path("to pipe")));
}

/* Where everybody may make links, Linux keeps others from following them. */
static void test_forbidden_link(void **state) {
  FILE *setting = fopen("/proc/sys/fs/protected_symlinks", "r");
  int is_set = setting ? fgetc(setting) : '0';
  (void)state;
  if (setting)
    fclose(setting);
  if (geteuid() != 0 || is_set != '1')
    skip();
  assert_int_equal(mkdir(temp_path("sticky"), 0700), 0);
  assert_int_equal(chmod(temp_path("sticky"), 01777), 0);
  make_old(temp_path("precious"), 0600);
  link_to(temp_path("precious"), "sticky/trap");
  assert_int_equal(lchown(temp_path("sticky/trap"), SOMEBODY, GROUP), 0);
  refused("sticky/trap", EACCES);
  assert_false(is_new(temp_path("precious")));
}

/* ---- frame ----------------------------------------------------------------------------------- */

static int set_up(void **state) {
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_glow_options o = GLOW_GLOW_OPTIONS_INIT;
  (void)state;
  if (!temp_folder_make(NULL))
    return -1;
  context = helper_context(0, NULL, NULL);
  o.input = (glow_shape){4, 4, 2};
  o.levels = 1;
  o.depth = 1;
  o.hidden = 8;
  model = helper_glow(context, &o, 1);
  options.micro_batch = 2;
  OK(glow_trainer_create(model, &options, &trainer));
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  return temp_folder_remove() ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_mode),        cmocka_unit_test(test_mode_of_new),
      cmocka_unit_test(test_owner),       cmocka_unit_test(test_owner_not_allowed),
      cmocka_unit_test(test_access_list), cmocka_unit_test(test_default_list),
      cmocka_unit_test(test_links),       cmocka_unit_test(test_links_from_here),
      cmocka_unit_test(test_bad_links),   cmocka_unit_test(test_bad_paths),
      cmocka_unit_test(test_not_a_file),  cmocka_unit_test(test_forbidden_link),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
