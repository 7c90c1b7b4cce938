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

#include "memory.h"

/* Real pictures have some 10 scans. One of a few bytes goes over all blocks. */
enum { MOST_SCANS = 200 };

typedef struct jpeg_work {
  struct jpeg_error_mgr manager; /* first: libjpeg knows only this */
  struct jpeg_progress_mgr progress;
  char text[JMSG_LENGTH_MAX];
  uint8_t *line;   /* as libjpeg gives it */
  uint8_t *colour; /* a line of CMYK in colour */
  int64_t taken;   /* of the limit of memory */
  image_rows rows;
  jmp_buf jump;
} jpeg_work;

static void on_error(j_common_ptr info) {
  jpeg_work *work = (jpeg_work *)info->err;
  info->err->format_message(info, work->text);
  longjmp(work->jump, 1);
}

static void on_progress(j_common_ptr info) {
  jpeg_work *work = (jpeg_work *)info->err;
  if (!info->is_decompressor || ((j_decompress_ptr)info)->input_scan_number <= MOST_SCANS)
    return;
  snprintf(work->text, sizeof work->text, "more than %d scans", MOST_SCANS);
  longjmp(work->jump, 1);
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

/* The coefficients of a picture of many scans are in memory all together. */
static int64_t coefficient_bytes(struct jpeg_decompress_struct *jpeg) {
  int64_t bytes = 0;
  for (int i = 0; jpeg_has_multiple_scans(jpeg) && i < jpeg->num_components; i++) {
    const jpeg_component_info *c = &jpeg->comp_info[i];
    bytes += (int64_t)c->width_in_blocks * c->height_in_blocks * DCTSIZE2 * (int64_t)sizeof(JCOEF);
  }
  return bytes;
}

static bool read_rows(struct jpeg_decompress_struct *jpeg, jpeg_work *work, const char *path,
                      const image *stored, const image_form *form, image *out, message error) {
  int parts = jpeg->num_components;
  int64_t bytes = coefficient_bytes(jpeg);
  if (!image_rows_open(&work->rows, path, stored, orientation_of(jpeg), form, out, error) ||
      !memory_take(bytes, path, "a JPEG of many scans", error))
    return false;
  work->taken = bytes;
  work->line = malloc((size_t)stored->width * (size_t)parts);
  work->colour = malloc((size_t)stored->width * 3);
  if (!work->line || !work->colour)
    return data_fail(error, "%s: out of memory", path);
  jpeg->out_color_space = parts == 4 ? JCS_CMYK : parts == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_start_decompress(jpeg);
  while (jpeg->output_scanline < jpeg->output_height) {
    JSAMPROW row = work->line;
    jpeg_read_scanlines(jpeg, &row, 1);
    if (parts == 4)
      from_cmyk(work->line, stored->width, jpeg->saw_Adobe_marker, work->colour);
    image_rows_put(&work->rows, parts == 4 ? work->colour : work->line);
  }
  jpeg_finish_decompress(jpeg);
  return true;
}

static bool decode(struct jpeg_decompress_struct *jpeg, jpeg_work *work, const char *path,
                   const file_bytes *file, const image_form *form, image *out, message error) {
  jpeg_mem_src(jpeg, file->data, (unsigned long)file->size);
  jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xFFFF);
  jpeg_read_header(jpeg, TRUE);
  int parts = jpeg->num_components;
  if (!image_check_size(path, jpeg->image_width, jpeg->image_height, form, error))
    return false;
  if (parts != 1 && parts != 3 && parts != 4)
    return data_fail(error, "%s: a JPEG of %d components; those of 1, 3 and 4 are read", path,
                     parts);
  image stored = {jpeg->image_height, jpeg->image_width, parts == 1 ? 1 : 3, NULL};
  if (!form->header_only)
    return read_rows(jpeg, work, path, &stored, form, out, error);
  *out = stored;
  image_turn_shape(out, orientation_of(jpeg));
  return true;
}

bool image_decode_jpeg(const char *path, const file_bytes *file, const image_form *form, image *out,
                       message error) {
  struct jpeg_decompress_struct jpeg;
  jpeg_work work = {.taken = 0};
  volatile bool ok = false;
  jpeg.err = jpeg_std_error(&work.manager);
  work.manager.error_exit = on_error;
  work.manager.emit_message = on_message;
  work.manager.output_message = on_output;
  work.progress.progress_monitor = on_progress;
  jpeg_create_decompress(&jpeg);
  jpeg.progress = &work.progress;
  if (setjmp(work.jump) == 0)
    ok = decode(&jpeg, &work, path, file, form, out, error);
  else
    data_fail(error, "%s: damaged or truncated JPEG, byte %zu: %s", path,
              file->size - (jpeg.src ? jpeg.src->bytes_in_buffer : 0), work.text);
  jpeg_destroy_decompress(&jpeg);
  image_rows_close(&work.rows);
  memory_give(work.taken);
  free(work.line);
  free(work.colour);
  return ok;
}
#else
bool image_decode_jpeg(const char *path, const file_bytes *file, const image_form *form, image *out,
                       message error) {
  (void)file;
  (void)form;
  (void)out;
  return data_fail(error, "%s: a JPEG image, and this build has no libjpeg", path);
}
#endif
