#include "an_color.h"

#include <stdlib.h>
#include <string.h>

#include <lcms2.h>

#define INTENT INTENT_RELATIVE_COLORIMETRIC
#define FLAGS (cmsFLAGS_BLACKPOINTCOMPENSATION | cmsFLAGS_NOCACHE)
#define GRID 9  /* colours per side that tell whether a profile is sRGB */
#define CLOSE 2 /* steps of 255 that are no difference */

struct an_cmyk_s {
    cmsHTRANSFORM transform; /* NULL: the plain rule */
    int inverted;
};

static cmsHTRANSFORM transform_new(cmsHPROFILE from, cmsUInt32Number in, cmsUInt32Number out)
{
    cmsHPROFILE srgb = cmsCreate_sRGBProfile();
    cmsHTRANSFORM t = srgb != NULL ? cmsCreateTransform(from, in, srgb, out, INTENT, FLAGS) : NULL;

    if (srgb != NULL) {
        cmsCloseProfile(srgb);
    }
    return t;
}

/* 1 when it changes no colour of a grid by more than rounding does. */
static int is_srgb(cmsHPROFILE profile)
{
    cmsHTRANSFORM t = transform_new(profile, TYPE_RGB_8, TYPE_RGB_8);
    uint8_t in[GRID * GRID * GRID][3], out[GRID * GRID * GRID][3];
    int same = t != NULL;

    for (int i = 0; i < GRID * GRID * GRID; i++) {
        in[i][0] = (uint8_t)(i % GRID * 255 / (GRID - 1));
        in[i][1] = (uint8_t)(i / GRID % GRID * 255 / (GRID - 1));
        in[i][2] = (uint8_t)(i / GRID / GRID * 255 / (GRID - 1));
    }
    if (t != NULL) {
        cmsDoTransform(t, in, out, GRID * GRID * GRID);
        cmsDeleteTransform(t);
    }
    for (int i = 0; same && i < GRID * GRID * GRID; i++) {
        for (int k = 0; k < 3; k++) {
            same &= abs(in[i][k] - out[i][k]) <= CLOSE;
        }
    }
    return same;
}

/* Frames of a grey profile hold equal parts: the first is what it means. */
static cmsUInt32Number gray_in_rgba(int is_deep)
{
    return COLORSPACE_SH(PT_GRAY) | EXTRA_SH(3) | CHANNELS_SH(1) | BYTES_SH(is_deep ? 2 : 1);
}

static int convert_rows(AVFrame *frame, cmsHTRANSFORM t)
{
    size_t bytes = (size_t)frame->width * (frame->format == AV_PIX_FMT_RGBA ? 4 : 8);
    size_t part = frame->format == AV_PIX_FMT_RGBA ? 1 : 2;
    uint8_t *out = malloc(bytes);

    for (int y = 0; out != NULL && y < frame->height; y++) {
        uint8_t *row = frame->data[0] + y * frame->linesize[0];

        cmsDoTransform(t, row, out, (cmsUInt32Number)frame->width);
        for (size_t x = 0; x < bytes; x += 4 * part) {
            memcpy(row + x, out + x, 3 * part); /* alpha stays */
        }
    }
    free(out);
    return out != NULL ? 1 : -1;
}

int an_color_to_srgb(AVFrame *frame, const uint8_t *icc, size_t len)
{
    cmsHPROFILE profile = icc != NULL ? cmsOpenProfileFromMem(icc, (cmsUInt32Number)len) : NULL;
    int is_deep = frame->format != AV_PIX_FMT_RGBA, rc = 0;
    cmsUInt32Number rgba = is_deep ? TYPE_RGBA_16 : TYPE_RGBA_8;
    cmsColorSpaceSignature space;
    cmsHTRANSFORM t = NULL;

    if (profile == NULL) {
        return 0;
    }
    space = cmsGetColorSpace(profile);
    if (space == cmsSigRgbData && !is_srgb(profile)) {
        t = transform_new(profile, rgba, rgba);
    } else if (space == cmsSigGrayData) {
        t = transform_new(profile, gray_in_rgba(is_deep), rgba);
    }
    if (t != NULL) {
        rc = convert_rows(frame, t);
        cmsDeleteTransform(t);
    }
    cmsCloseProfile(profile);
    return rc;
}

an_cmyk_t *an_cmyk_new(const uint8_t *icc, size_t len, int inverted)
{
    an_cmyk_t *c = calloc(1, sizeof(*c));
    cmsHPROFILE profile = icc != NULL ? cmsOpenProfileFromMem(icc, (cmsUInt32Number)len) : NULL;

    if (c != NULL) {
        c->inverted = inverted;
        if (profile != NULL && cmsGetColorSpace(profile) == cmsSigCmykData) {
            c->transform =
                transform_new(profile, inverted ? TYPE_CMYK_8_REV : TYPE_CMYK_8, TYPE_RGBA_8);
        }
    }
    if (profile != NULL) {
        cmsCloseProfile(profile);
    }
    return c;
}

void an_cmyk_row(const an_cmyk_t *c, const uint8_t *cmyk, uint8_t *rgba, int width)
{
    if (c->transform != NULL) {
        cmsDoTransform(c->transform, cmyk, rgba, (cmsUInt32Number)width);
    }
    for (int x = 0; x < width; x++) {
        for (int k = 0; c->transform == NULL && k < 3; k++) {
            int ink = cmyk[4 * x + k], key = cmyk[4 * x + 3];
            rgba[4 * x + k] =
                (uint8_t)(c->inverted ? ink * key / 255 : (255 - ink) * (255 - key) / 255);
        }
        rgba[4 * x + 3] = 255;
    }
}

void an_cmyk_free(an_cmyk_t *c)
{
    if (c != NULL && c->transform != NULL) {
        cmsDeleteTransform(c->transform);
    }
    free(c);
}

uint8_t *an_color_profile(const double xy[8], double gamma, size_t *len)
{
    static const double srgb[5] = {2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045};
    cmsCIExyY white = {xy[0], xy[1], 1};
    cmsCIExyYTRIPLE parts = {{xy[2], xy[3], 1}, {xy[4], xy[5], 1}, {xy[6], xy[7], 1}};
    cmsToneCurve *curve =
        gamma > 0 ? cmsBuildGamma(NULL, gamma) : cmsBuildParametricToneCurve(NULL, 4, srgb);
    cmsToneCurve *curves[3] = {curve, curve, curve};
    cmsHPROFILE profile = curve != NULL ? cmsCreateRGBProfile(&white, &parts, curves) : NULL;
    cmsUInt32Number n = 0;
    uint8_t *p = NULL;

    if (profile != NULL && cmsSaveProfileToMem(profile, NULL, &n)) {
        p = malloc(n);
        if (p != NULL && !cmsSaveProfileToMem(profile, p, &n)) {
            free(p);
            p = NULL;
        }
    }
    if (profile != NULL) {
        cmsCloseProfile(profile);
    }
    if (curve != NULL) {
        cmsFreeToneCurve(curve);
    }
    *len = n;
    return p;
}
