/* JPEG by libjpeg: grey, colour, CMYK and YCCK, and EXIF's orientation.
 * SPDX-License-Identifier: MIT */
#include "image.h"

#ifdef GLOWTOOL_HAVE_JPEG
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

typedef struct jpeg_trap {
  struct jpeg_error_mgr manager; /* first: libjpeg knows only this */
  jmp_buf jump;
  char text[JMSG_LENGTH_MAX];
} jpeg_trap;

static void on_error(j_common_ptr info) {
  jpeg_trap *trap = (jpeg_trap *)info->err;
  info->err->format_message(info, trap->text);
  longjmp(trap->jump, 1);
}

/* Oddities that leave every pixel as it was meant: bytes between segments, a revision of JFIF or a
 * number of Adobe's that is not known, parameters of a scan that mean nothing. All other warnings
 * are of pixels that were made up: errors here. */
static bool harmless(int code) {
  return code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM ||
         code == JWRN_NOT_SEQUENTIAL;
}

static void on_message(j_common_ptr info, int level) {
  if (level < 0 && !harmless(info->err->msg_code))
    on_error(info);
}

static void on_output(j_common_ptr info) {
  (void)info;
}

static int orientation_of(const struct jpeg_decompress_struct *jpeg) {
  for (jpeg_saved_marker_ptr m = jpeg->marker_list; m; m = m->next)
    if (m->marker == JPEG_APP0 + 1 && m->data_length > 6 && memcmp(m->data, "Exif\0\0", 6) == 0)
      return exif_orientation(m->data, m->data_length);
  return 1;
}

/* Adobe's programs, which leave a marker, write ink as 255 - ink. */
static void from_cmyk(const JSAMPLE *row, int64_t width, bool inverted, uint8_t *to) {
  for (int64_t x = 0; x < width; x++)
    for (int c = 0; c < 3; c++) {
      uint32_t light = row[4 * x + c], all = row[4 * x + 3];
      if (!inverted) {
        light = 255 - light;
        all = 255 - all;
      }
      to[3 * x + c] = (uint8_t)((light * all + 127) / 255);
    }
}

static bool read_rows(struct jpeg_decompress_struct *jpeg, uint8_t *volatile *line,
                      const char *path, image *out, message error) {
  int orientation = orientation_of(jpeg); /* markers go when decompression is finished */
  bool cmyk = jpeg->num_components == 4;
  jpeg->out_color_space = cmyk ? JCS_CMYK : jpeg->num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_start_decompress(jpeg);
  *line = cmyk ? malloc((size_t)out->width * 4) : NULL;
  if (cmyk && !*line)
    return data_fail(error, "%s: out of memory", path);
  if (!image_make_room(path, out, error))
    return false;
  while (jpeg->output_scanline < jpeg->output_height) {
    uint8_t *to = out->pixels + (int64_t)jpeg->output_scanline * out->width * out->channels;
    JSAMPROW row = cmyk ? *line : to;
    jpeg_read_scanlines(jpeg, &row, 1);
    if (cmyk)
      from_cmyk(row, out->width, jpeg->saw_Adobe_marker, to);
  }
  jpeg_finish_decompress(jpeg);
  return image_orient(path, out, orientation, error);
}

static bool decode(struct jpeg_decompress_struct *jpeg, uint8_t *volatile *line, const char *path,
                   const file_bytes *file, bool header_only, image *out, message error) {
  jpeg_mem_src(jpeg, file->data, (unsigned long)file->size);
  jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xFFFF);
  jpeg_read_header(jpeg, TRUE);
  int parts = jpeg->num_components;
  if (!image_check_size(path, jpeg->image_width, jpeg->image_height, error))
    return false;
  if (parts != 1 && parts != 3 && parts != 4)
    return data_fail(error, "%s: a JPEG of %d components; those of 1, 3 and 4 are read", path,
                     parts);
  *out = (image){jpeg->image_height, jpeg->image_width, parts == 1 ? 1 : 3, NULL};
  if (header_only)
    return image_orient(path, out, orientation_of(jpeg), error);
  return read_rows(jpeg, line, path, out, error);
}

bool image_decode_jpeg(const char *path, const file_bytes *file, const uint8_t background[3],
                       bool header_only, image *out, message error) {
  struct jpeg_decompress_struct jpeg;
  jpeg_trap trap;
  uint8_t *volatile line = NULL;
  volatile bool ok = false;
  (void)background; /* JPEG has no transparency */
  jpeg.err = jpeg_std_error(&trap.manager);
  trap.manager.error_exit = on_error;
  trap.manager.emit_message = on_message;
  trap.manager.output_message = on_output;
  jpeg_create_decompress(&jpeg);
  if (setjmp(trap.jump) == 0)
    ok = decode(&jpeg, &line, path, file, header_only, out, error);
  else
    data_fail(error, "%s: damaged or truncated JPEG: %s", path, trap.text);
  jpeg_destroy_decompress(&jpeg);
  free(line);
  return ok;
}
#else
bool image_decode_jpeg(const char *path, const file_bytes *file, const uint8_t background[3],
                       bool header_only, image *out, message error) {
  (void)file;
  (void)background;
  (void)header_only;
  (void)out;
  return data_fail(error, "%s: a JPEG image, and this build has no libjpeg", path);
}
#endif
