/* Opening a container that a stranger sent: a white list of demuxers chosen by content alone (never
 * by the file's name), custom I/O, limits with words, a look at whether the file is all there.
 *
 * Playlists, image sequences and everything that names other files are not on the list, io_open is
 * refused, and the sandbox would refuse it again. */
#ifndef TC_CONTAINER_H
#define TC_CONTAINER_H

#include "vd_io.h"

/* The demuxer, opened: *out is owned (avformat_close_input) on 0 only. It reads so many bytes ahead
 * for what its headers do not tell; 0: libav's usual 5 MB. */
int tc_container_open(vd_io_t *io, int64_t probe_bytes, AVFormatContext **out, tc_fail_t *f);
/* Reads what is needed to describe the tracks. */
int tc_container_streams(AVFormatContext *s, vd_io_t *io, tc_fail_t *f);
/* The number of tracks and the declared length. */
int tc_container_limits(const AVFormatContext *s, int64_t size, int streams_max,
                        int64_t duration_max_s, tc_fail_t *f);
/* Early word on a cut file: better than half a song. */
int tc_container_whole(const AVFormatContext *s, vd_io_t *io, tc_fail_t *f);
/* The cause of a structure that libav refuses: cut off or broken. Returns -1. */
int tc_container_broken(vd_io_t *io, int averror, tc_fail_t *f);

int tc_stream_encrypted(const AVStream *st);
/* The coding's name, its four letters where FFmpeg has none; tag: AV_FOURCC_MAX_STRING_SIZE. */
const char *tc_coding_name(const AVCodecParameters *par, char *tag);

/* ---- tc_check.c ---- */

/* The size the file must have by its own structure, 0: it does not say. */
int64_t tc_check_size(vd_io_t *io);
/* 1 when an index entry of a sound or picture track lies behind the end of the file. */
int tc_check_index(const AVFormatContext *format, int64_t size);
/* 1 when an MP4 has fragments, by its boxes. */
int tc_check_moof(vd_io_t *io);
/* 1 for an MP4 of fragments, whose index comes piece by piece. */
int tc_check_fragmented(const AVFormatContext *format);

#endif
