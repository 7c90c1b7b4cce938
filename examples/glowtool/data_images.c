/* Folders and lists of PNG and JPEG files, decoded by libpng and libjpeg; cropped to the central
 * square and resized by area. Transparent pixels lie over white; 16 bits become 8.
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "data_internal.h"
#include "resize.h"
#ifdef GLOWTOOL_HAVE_JPEG
#include <jpeglib.h>
#endif

enum { LARGEST = 16384 }; /* pixels on a side */

typedef struct image {
  int64_t height, width, channels; /* 1 or 3 */
  uint8_t *pixels;
} image;

static bool check_size(const char *path, uint64_t width, uint64_t height, message error) {
  if (width < 1 || height < 1 || width > LARGEST || height > LARGEST)
    return data_fail(error, "%s: %llu x %llu pixels; 1 to %d a side are read", path,
                     (unsigned long long)width, (unsigned long long)height, LARGEST);
  return true;
}

static bool make_room(const char *path, image *out, message error) {
  out->pixels = malloc((size_t)(out->height * out->width * out->channels));
  return out->pixels || data_fail(error, "%s: out of memory", path);
}

/* ---- PNG: the simplified interface of libpng 1.6 reports errors without longjmp -------------- */

static bool read_png(const char *path, const bytes *file, image *out, message error) {
  png_image png = {.version = PNG_IMAGE_VERSION};
  png_color white = {255, 255, 255};
  bool ok = png_image_begin_read_from_memory(&png, file->data, file->size) != 0;
  if (!ok)
    return data_fail(error, "%s: not a readable PNG: %s", path, png.message);
  bool colour = (png.format & PNG_FORMAT_FLAG_COLOR) != 0;
  png.format = colour ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  *out = (image){png.height, png.width, colour ? 3 : 1, NULL};
  ok = check_size(path, png.width, png.height, error) && make_room(path, out, error);
  if (ok && !png_image_finish_read(&png, &white, out->pixels, 0, NULL))
    ok = data_fail(error, "%s: damaged or truncated PNG: %s", path, png.message);
  png_image_free(&png);
  return ok;
}

/* ---- JPEG ------------------------------------------------------------------------------------ */

#ifdef GLOWTOOL_HAVE_JPEG
typedef struct jpeg_trap {
  struct jpeg_error_mgr manager; /* first: libjpeg knows only this */
  jmp_buf jump;
  char text[JMSG_LENGTH_MAX];
} jpeg_trap;

static void jpeg_failed(j_common_ptr info) {
  jpeg_trap *trap = (jpeg_trap *)info->err;
  info->err->format_message(info, trap->text);
  longjmp(trap->jump, 1);
}

/* Warnings are of damaged data: errors here. Trace messages are dropped. */
static void jpeg_message(j_common_ptr info, int level) {
  if (level < 0)
    jpeg_failed(info);
}

static void jpeg_silent(j_common_ptr info) {
  (void)info;
}

static bool decode_jpeg(struct jpeg_decompress_struct *jpeg, const char *path, const bytes *file,
                        image *out, message error) {
  jpeg_mem_src(jpeg, file->data, (unsigned long)file->size);
  jpeg_read_header(jpeg, TRUE);
  if (!check_size(path, jpeg->image_width, jpeg->image_height, error))
    return false;
  if (jpeg->num_components != 1 && jpeg->num_components != 3)
    return data_fail(error, "%s: a JPEG of %d components; grey and colour are read", path,
                     jpeg->num_components);
  jpeg->out_color_space = jpeg->num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_start_decompress(jpeg);
  *out = (image){jpeg->output_height, jpeg->output_width, jpeg->output_components, NULL};
  if (!make_room(path, out, error))
    return false;
  while (jpeg->output_scanline < jpeg->output_height) {
    JSAMPROW row = out->pixels + (int64_t)jpeg->output_scanline * out->width * out->channels;
    jpeg_read_scanlines(jpeg, &row, 1);
  }
  jpeg_finish_decompress(jpeg);
  return true;
}

static bool read_jpeg(const char *path, const bytes *file, image *out, message error) {
  struct jpeg_decompress_struct jpeg;
  jpeg_trap trap;
  volatile bool ok = false;
  jpeg.err = jpeg_std_error(&trap.manager);
  trap.manager.error_exit = jpeg_failed;
  trap.manager.emit_message = jpeg_message;
  trap.manager.output_message = jpeg_silent;
  jpeg_create_decompress(&jpeg);
  if (setjmp(trap.jump) == 0)
    ok = decode_jpeg(&jpeg, path, file, out, error);
  else
    data_fail(error, "%s: damaged or truncated JPEG: %s", path, trap.text);
  jpeg_destroy_decompress(&jpeg);
  return ok;
}
#else
static bool read_jpeg(const char *path, const bytes *file, image *out, message error) {
  (void)file;
  (void)out;
  return data_fail(error, "%s: this build reads no JPEG", path);
}
#endif

/* ---- one file -------------------------------------------------------------------------------- */

static bool decode(const char *path, image *out, message error) {
  bytes file;
  bool ok;
  if (!data_read_file(path, false, &file, error))
    return false;
  if (file.size >= 8 && png_sig_cmp(file.data, 0, 8) == 0)
    ok = read_png(path, &file, out, error);
  else if (file.size >= 2 && file.data[0] == 0xFF && file.data[1] == 0xD8)
    ok = read_jpeg(path, &file, out, error);
  else
    ok = data_fail(error, "%s: neither PNG nor JPEG", path);
  free(file.data);
  return ok;
}

/* Grey to three equal channels. */
static bool widen(const char *path, image *in, message error) {
  uint8_t *pixels = malloc((size_t)(in->height * in->width * 3));
  if (!pixels)
    return data_fail(error, "%s: out of memory", path);
  for (int64_t p = 0; p < in->height * in->width; p++)
    memset(pixels + 3 * p, in->pixels[p], 3);
  free(in->pixels);
  in->pixels = pixels;
  in->channels = 3;
  return true;
}

static bool fit(const char *path, const data_options *o, image *in, message error) {
  int64_t size = o->size, shorter = in->height < in->width ? in->height : in->width;
  if (in->channels == 1 && o->channels == 3 && !widen(path, in, error))
    return false;
  if (o->channels && in->channels != o->channels)
    return data_fail(error, "%s: %lld channels where %lld are asked", path, (long long)in->channels,
                     (long long)o->channels);
  if (!size || (in->height == size && in->width == size))
    return true;
  if (shorter < size)
    return data_fail(error, "%s: %lld x %lld pixels, smaller than the %lld x %lld asked", path,
                     (long long)in->width, (long long)in->height, (long long)size, (long long)size);
  if (!resize_crop(in->pixels, in->height, in->width, in->channels, size, in->pixels))
    return data_fail(error, "%s: out of memory", path);
  in->height = in->width = size;
  return true;
}

static bool load_one(const char *path, const data_options *o, image_set *set, message error) {
  image in = {0};
  uint8_t *place = NULL;
  bool ok = decode(path, &in, error) && fit(path, o, &in, error) &&
            data_append(set, path, 1, in.height, in.width, in.channels, false, &place, NULL, error);
  if (ok)
    memcpy(place, in.pixels, (size_t)(in.height * in.width * in.channels));
  free(in.pixels);
  return ok;
}

/* ---- folders --------------------------------------------------------------------------------- */

static int is_picture(const struct dirent *entry) {
  const char *dot = strrchr(entry->d_name, '.');
  return dot && entry->d_name[0] != '.' &&
         (strcasecmp(dot, ".png") == 0 || strcasecmp(dot, ".jpg") == 0 ||
          strcasecmp(dot, ".jpeg") == 0);
}

static bool enough(const data_options *o, const image_set *set) {
  return o->limit && set->count >= o->limit;
}

static bool load_folder(const char *folder, const data_options *o, image_set *set, message error) {
  struct dirent **names = NULL;
  int count = scandir(folder, &names, is_picture, alphasort);
  if (count < 0)
    return data_fail(error, "%s: %s", folder, strerror(errno));
  bool ok = count > 0 || data_fail(error, "%s: no PNG or JPEG files in this folder", folder);
  for (int i = 0; i < count; i++) {
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
    if (ok && !enough(o, set))
      ok = length < (int)sizeof path ? load_one(path, o, set, error)
                                     : data_fail(error, "%s: the path is too long", folder);
    free(names[i]);
  }
  free(names);
  return ok;
}

bool data_load_images(const char *const *paths, int32_t count, const data_options *options,
                      image_set *set, message error) {
  bool ok = true;
  for (int32_t i = 0; ok && i < count && !enough(options, set); i++) {
    struct stat info;
    if (stat(paths[i], &info) != 0)
      return data_fail(error, "%s: %s", paths[i], strerror(errno));
    ok = S_ISDIR(info.st_mode) ? load_folder(paths[i], options, set, error)
                               : load_one(paths[i], options, set, error);
  }
  return ok;
}
