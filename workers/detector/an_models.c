#include "an_models.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/sha.h>

#define GITHUB "https://raw.githubusercontent.com/"
#define YUNET_REPO GITHUB "ShiqiYu/libfacedetection.train/"
#define YUNET_N YUNET_REPO "0047ac24afb1a50a0c6105001c89d1b5b805dbf1/"
#define YUNET_2022 YUNET_REPO "1688402dbd9b9fc4a3a6793810f558b7407ff384/"
#define PLATES_RUS "haarcascade_licence_plate_rus_16stages.xml"
#define PLATES_RUS_4_10 "haarcascade_license_plate_rus_16stages.xml" /* of OpenCV 4.10 */
#define YOLO_FASTEST GITHUB "dog-qiuqiu/Yolo-Fastest/96a2900d163196c396e73f3fdab04ca4dd9a2f70/"

/* clang-format off */
static const an_model_t models[] = {
    {"yunet", AN_KIND_YUNET,
     {{"yunet_n_640_640.onnx",
       "25a606a145a5b6d7271ae138fbd00eba91dad8b83222ae3f2c7ecd0f4a7b0e31",
       YUNET_N "onnx/yunet_n_640_640.onnx"}},
     "Apache-2.0", YUNET_N "LICENSE",
     "faces; the default. Trained on WIDER FACE, a research data set"},
    {"yunet_2022mar", AN_KIND_YUNET_2022MAR,
     {{"face_detection_yunet_2022mar.onnx",
       "50ef07f702a31741ca46a4c0d947773b64143b9362780237bf0d427d6c79bab7",
       YUNET_2022 "tasks/task1/onnx/yunet_120x160.onnx"}},
     "MIT", YUNET_2022 "LICENSE",
     "faces. Trained on WIDER FACE, a research data set"},
    {"haar", AN_KIND_HAAR,
     {{"haarcascade_frontalface_alt2.xml", NULL, NULL},
      {"haarcascade_profileface.xml", NULL, NULL}},
     "Intel License Agreement (BSD-like)", NULL,
     "faces; weaker and slower. Debian package opencv-data"},
    {"objects", AN_KIND_DNN,
     {{"objects.onnx", NULL, NULL}, {"objects.names", NULL, NULL}},
     "the operator's own", NULL,
     "an own network of the YOLO family, ONNX"},
    {"objects-darknet", AN_KIND_DNN,
     {{"objects.cfg", NULL, NULL}, {"objects.weights", NULL, NULL}, {"objects.names", NULL, NULL}},
     "the operator's own", NULL,
     "an own network of the YOLO family, darknet"},
    {"yolo-fastest", AN_KIND_DNN,
     {{"yolo-fastest-1.1-xl.cfg",
       "c458427acc4fbeabceff4528ef7b65b066c0308ce599460f8ba299eba63abad3",
       YOLO_FASTEST "ModelZoo/yolo-fastest-1.1_coco/yolo-fastest-1.1-xl.cfg"},
      {"yolo-fastest-1.1-xl.weights",
       "fac5fb41786c1f38f04972a658443b189f48720d7d117f9a044100e98a35b0c5",
       YOLO_FASTEST "ModelZoo/yolo-fastest-1.1_coco/yolo-fastest-1.1-xl.weights"},
      {"coco.names",
       "634a1132eb33f8091d60f2c346ababe8b905ae08387037aed883953b7329af84",
       YOLO_FASTEST "data/coco.names"}},
     "public domain", YOLO_FASTEST "LICENSE",
     "persons and vehicles; small, so weak"},
    {"hog", AN_KIND_HOG, {{NULL, NULL, NULL}},
     "Apache-2.0", NULL, "persons; built into OpenCV"},
    {"plate", AN_KIND_PLATES,
     {{"haarcascade_russian_plate_number.xml", NULL, NULL},
      {PLATES_RUS, NULL, NULL}},
     "Intel License Agreement (BSD-like)", NULL,
     "number plates. Debian package opencv-data"},
};
/* clang-format on */

#define MODEL_COUNT (sizeof(models) / sizeof(models[0]))

const an_model_t *an_models(size_t *n)
{
    *n = MODEL_COUNT;
    return models;
}

void an_digest(const void *bytes, size_t len, char hex[AN_DIGEST_TEXT])
{
    unsigned char sum[SHA256_DIGEST_LENGTH];

    (void)SHA256(bytes, len, sum);
    for (size_t i = 0; i < sizeof(sum); i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    }
}

/* Where a file is: in dir, or, a cascade, in the package's directory. 0 or an errno. */
static int place(const char *dir, const char *name, char *path, size_t cap)
{
    const char *dot = strrchr(name, '.');

    if (dir != NULL && dir[0] != '\0') {
        if ((size_t)snprintf(path, cap, "%s/%s", dir, name) >= cap) {
            return ENAMETOOLONG;
        }
        if (access(path, F_OK) == 0) {
            return 0;
        }
    }
    if (dot != NULL && strcmp(dot, ".xml") == 0) {
        (void)snprintf(path, cap, "%s/%s", AN_CASCADES, name);
        return access(path, F_OK) == 0 ? 0 : errno;
    }
    return ENOENT;
}

const an_model_t *an_model_find(enum an_kind kind, const char *dir, media_err_t *ei)
{
    const an_model_t *last = NULL;
    char path[4096];

    for (size_t i = 0; i < MODEL_COUNT; i++) {
        if (models[i].kind == kind) {
            last = &models[i];
            if (last->files[0].name == NULL ||
                place(dir, last->files[0].name, path, sizeof(path)) == 0) {
                return last;
            }
        }
    }
    (void)media_err_set(ei, MEDIA_E_GONE, "The model \"%s\" is missing: no %s in %s.",
                        an_kind_name(kind), last->files[0].name,
                        dir != NULL && dir[0] != '\0' ? dir : "MEDIA_MODELS, which is not set");
    return NULL;
}

static int read_all(int fd, an_loaded_t *f, media_err_t *ei)
{
    struct stat st;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return media_err_set(ei, MEDIA_E_GONE, "The model file %s is no plain file.", f->name);
    }
    if (st.st_size == 0 || st.st_size > AN_FILE_MAX) {
        return media_err_set(ei, MEDIA_E_REJECT, "The model file %s %s.", f->name,
                             st.st_size == 0 ? "is empty" : "is larger than 1 GiB");
    }
    f->bytes = malloc((size_t)st.st_size);
    if (f->bytes == NULL) {
        return media_err_set(ei, MEDIA_E_NOMEM, "No memory for the model file %s.", f->name);
    }
    while (f->len < (size_t)st.st_size) {
        ssize_t n = read(fd, f->bytes + f->len, (size_t)st.st_size - f->len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return media_err_set(ei, MEDIA_E_GONE, "The model file %s cannot be read: %s.", f->name,
                                 n < 0 ? strerror(errno) : "it became shorter");
        }
        f->len += (size_t)n;
    }
    return 0;
}

static int load_path(const an_file_t *file, an_loaded_t *f, media_err_t *ei)
{
    int rc, fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    f->name = file->name;
    if (fd < 0) {
        return media_err_set(ei, MEDIA_E_GONE, "The model file %s cannot be opened: %s.",
                             file->name, strerror(errno));
    }
    rc = read_all(fd, f, ei);
    (void)close(fd);
    if (rc != 0) {
        return rc;
    }
    an_digest(f->bytes, f->len, f->sha256);
    if (file->sha256 != NULL && strcmp(file->sha256, f->sha256) != 0) {
        return media_err_set(ei, MEDIA_E_REJECT,
                             "The model file %s is not the published one: its SHA-256 begins with "
                             "%.12s, not %.12s.",
                             file->name, f->sha256, file->sha256);
    }
    return 0;
}

static int load_one(const an_file_t *file, const char *dir, an_loaded_t *f, media_err_t *ei)
{
    int cause = place(dir, file->name, f->path, sizeof(f->path));

    if (cause == ENOENT && strcmp(file->name, PLATES_RUS) == 0) {
        cause = place(dir, PLATES_RUS_4_10, f->path, sizeof(f->path));
    }
    if (cause != 0) {
        return media_err_set(ei, MEDIA_E_GONE, "The model file %s cannot be opened: %s.",
                             file->name, strerror(cause));
    }
    return load_path(file, f, ei);
}

int an_file_check(const an_file_t *file, const char *path, an_loaded_t *f, media_err_t *ei)
{
    int rc;

    memset(f, 0, sizeof(*f));
    if ((size_t)snprintf(f->path, sizeof(f->path), "%s", path) >= sizeof(f->path)) {
        return media_err_set(ei, MEDIA_E_TOOBIG, "The path is too long.");
    }
    rc = load_path(file, f, ei);
    free(f->bytes);
    f->bytes = NULL;
    return rc;
}

int an_model_load(const an_model_t *model, const char *dir, an_loaded_t files[AN_MODEL_FILES],
                  media_err_t *ei)
{
    int n = 0;

    memset(files, 0, sizeof(an_loaded_t) * AN_MODEL_FILES);
    for (; n < AN_MODEL_FILES && model->files[n].name != NULL; n++) {
        int rc = load_one(&model->files[n], dir, &files[n], ei);

        if (rc != 0) {
            return rc;
        }
    }
    return n;
}

void an_model_free(an_loaded_t files[AN_MODEL_FILES])
{
    for (int i = 0; i < AN_MODEL_FILES; i++) {
        free(files[i].bytes);
        files[i].bytes = NULL;
    }
}
