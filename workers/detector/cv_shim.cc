/* The only C++ of the project: what OpenCV offers as detectors, each a class with one method.
 *
 * YuNet's and the YOLO family's outputs are decoded here. YuNet's network is convolutions alone, so
 * the file made for 640 x 640 runs at any multiple of 32: a picture is padded to the next one, and
 * a small picture costs little. */
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/core/ocl.hpp>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/dnn.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/objdetect.hpp>

extern "C" {
#include "cv_shim.h"
}

#define SIDE_MAX 1408 /* of a picture as the detectors look at it */
#define WARM_SIDE 640
#define SCORE_MIN ((float)AN_SCORE_MIN)
#define FACE_IOU 0.3f
#define OBJECT_IOU 0.45f

using Hits = std::vector<an_hit_t>;

struct cv_shim_s {
    virtual ~cv_shim_s() = default;
    virtual void find(const cv::Mat &bgr, Hits &hits) = 0;
    /* the sizes to run once before the first picture */
    virtual std::vector<cv::Size> sizes() const
    {
        return {cv::Size(WARM_SIDE, WARM_SIDE)};
    }
    virtual float iou() const
    {
        return FACE_IOU;
    }
};

namespace
{

[[noreturn]] void broken(const std::string &why)
{
    throw std::runtime_error(why);
}

an_hit_t hit_of(const cv::Rect2f &r, float scale, float score, int label)
{
    return an_hit_t{r.x / scale, r.y / scale, r.width / scale, r.height / scale, score, label};
}

/* At most `most` high and wide; the factor it was made smaller by. */
cv::Mat fit(const cv::Mat &bgr, int most, float *scale)
{
    int side = std::max(bgr.cols, bgr.rows);
    cv::Mat out;

    *scale = 1;
    if (side <= most) {
        return bgr;
    }
    *scale = (float)most / (float)side;
    cv::resize(
        bgr, out,
        cv::Size(std::max(1, cvRound(bgr.cols * *scale)), std::max(1, cvRound(bgr.rows * *scale))),
        0, 0, cv::INTER_AREA);
    return out;
}

/* ---- faces ---- */

/* Black to the right and below, up to the next multiple of 32, which is the networks' coarsest
 * stride, and to what they need to have any output at all. */
cv::Mat pad(const cv::Mat &bgr)
{
    int w = std::max(64, (bgr.cols + 31) / 32 * 32), h = std::max(64, (bgr.rows + 31) / 32 * 32);
    cv::Mat out;

    cv::copyMakeBorder(bgr, out, 0, h - bgr.rows, 0, w - bgr.cols, cv::BORDER_CONSTANT);
    return out;
}

/* A network of convolutions for pictures of any size. One that changes its size allocates all its
 * layers anew: the sizes of a video's passes have one each. */
class FaceNet : public cv_shim_s
{
  public:
    FaceNet(const cv_shim_file_t &model, std::vector<cv::String> names)
        : bytes(model.bytes, model.len), outputs(std::move(names))
    {
    }

    void find(const cv::Mat &bgr, Hits &hits) override
    {
        float scale;
        cv::Mat in = pad(fit(bgr, SIDE_MAX, &scale));
        std::vector<cv::Mat> out;

        cv::dnn::Net &net = net_of(in.size());
        net.setInput(cv::dnn::blobFromImage(in));
        net.forward(out, outputs);
        decode(out, in.size(), scale, hits);
    }

    std::vector<cv::Size> sizes() const override
    {
        return {cv::Size(WARM_SIDE, WARM_SIDE), cv::Size(320, 320)};
    }

  protected:
    /* NaN stays what it is, and is no score below the least: it fails the picture */
    static float mean(float a, float b)
    {
        return std::sqrt(std::min(std::max(a, 0.f), 1.f) * std::min(std::max(b, 0.f), 1.f));
    }

    static void add(float cx, float cy, float w, float h, float scale, float score, Hits &hits)
    {
        hits.push_back(hit_of({cx - w / 2, cy - h / 2, w, h}, scale, score, AN_FACE));
    }

  private:
    virtual void decode(const std::vector<cv::Mat> &out, cv::Size in, float scale, Hits &hits) = 0;

    cv::dnn::Net &net_of(cv::Size size)
    {
        auto key = std::make_pair(size.width, size.height);

        if (nets.size() >= 4 && nets.find(key) == nets.end()) {
            nets.clear();
        }
        cv::dnn::Net &net = nets[key];
        if (net.empty()) {
            net = cv::dnn::readNetFromONNX(bytes.data(), bytes.size());
            net.setPreferableBackend(cv::dnn::DNN_BACKEND_OPENCV);
            net.setPreferableTarget(cv::dnn::DNN_TARGET_CPU);
        }
        return net;
    }

    std::string bytes;
    std::vector<cv::String> outputs;
    std::map<std::pair<int, int>, cv::dnn::Net> nets;
};

class Yunet : public FaceNet
{
  public:
    explicit Yunet(const cv_shim_file_t &model)
        : FaceNet(model, {"cls_8", "obj_8", "bbox_8", "cls_16", "obj_16", "bbox_16", "cls_32",
                          "obj_32", "bbox_32"})
    {
    }

  private:
    void decode(const std::vector<cv::Mat> &out, cv::Size in, float scale, Hits &hits) override
    {
        for (int i = 0; i < 3; i++) {
            decode_stride(&out[3 * i], 8 << i, in, scale, hits);
        }
    }

    static void decode_stride(const cv::Mat *out, int stride, cv::Size in, float scale, Hits &hits)
    {
        int cols = in.width / stride, n = cols * (in.height / stride);

        if ((int)out[0].total() != n || (int)out[1].total() != n || (int)out[2].total() != 4 * n) {
            broken("its outputs are not those of YuNet");
        }
        const float *c = out[0].ptr<float>(), *o = out[1].ptr<float>(), *b = out[2].ptr<float>();
        for (int k = 0; k < n; k++, b += 4) {
            float score = mean(c[k], o[k]), s = (float)stride;
            if (!(score < SCORE_MIN)) {
                add(((float)(k % cols) + b[0]) * s, ((float)(k / cols) + b[1]) * s,
                    std::exp(b[2]) * s, std::exp(b[3]) * s, scale, score, hits);
            }
        }
    }
};

/* Boxes are offsets from priors, squares of a few sizes on the centre of each cell. (OpenCV 4.10
 * does not read this network as cv::FaceDetectorYN of 4.6 did.) */
class Yunet2022 : public FaceNet
{
  public:
    explicit Yunet2022(const cv_shim_file_t &model) : FaceNet(model, {"loc", "conf", "iou"})
    {
    }

  private:
    void decode(const std::vector<cv::Mat> &out, cv::Size in, float scale, Hits &hits) override
    {
        static const std::vector<float> by[] = {{10, 16, 24}, {32, 48}, {64, 96}, {128, 192, 256}};
        std::vector<cv::Rect2f> priors;

        for (int i = 0; i < 4; i++) {
            add_priors(priors, in, 8 << i, by[i]);
        }
        if (out[0].total() != 14 * priors.size() || out[1].total() != 2 * priors.size() ||
            out[2].total() != priors.size()) {
            broken("its outputs are not those of YuNet of March 2022");
        }
        const float *b = out[0].ptr<float>(), *c = out[1].ptr<float>(), *o = out[2].ptr<float>();
        for (const cv::Rect2f &p : priors) { /* behind a box: five landmarks */
            float score = mean(c[1], *o++);
            if (!(score < SCORE_MIN)) {
                add(p.x + b[0] * 0.1f * p.width, p.y + b[1] * 0.1f * p.height,
                    p.width * std::exp(b[2] * 0.1f), p.height * std::exp(b[3] * 0.2f), scale, score,
                    hits);
            }
            b += 14;
            c += 2;
        }
    }

    static void add_priors(std::vector<cv::Rect2f> &priors, cv::Size in, int stride,
                           const std::vector<float> &sides)
    {
        int cols = in.width / stride, n = cols * (in.height / stride);

        for (int k = 0; k < n; k++) {
            for (float side : sides) {
                priors.emplace_back(((float)(k % cols) + 0.5f) * (float)stride,
                                    ((float)(k / cols) + 0.5f) * (float)stride, side, side);
            }
        }
    }
};

/* ---- cascades ---- */

class Cascades : public cv_shim_s
{
  public:
    Cascades(const cv_shim_file_t *files, size_t n, an_class what, cv::Size least)
        : label(what), smallest(least), cascades(n)
    {
        for (size_t i = 0; i < n; i++) {
            cv::FileStorage fs(std::string(files[i].bytes, files[i].len),
                               cv::FileStorage::READ | cv::FileStorage::MEMORY);
            /* cascades of OpenCV 1 are opened by a path alone */
            if (!cascades[i].read(fs.getFirstTopLevelNode()) && !cascades[i].load(files[i].path)) {
                broken("no cascade of OpenCV");
            }
        }
    }

    void find(const cv::Mat &bgr, Hits &hits) override
    {
        float scale;
        cv::Mat gray, mirrored;

        cv::cvtColor(fit(bgr, SIDE_MAX, &scale), gray, cv::COLOR_BGR2GRAY);
        cv::equalizeHist(gray, gray);
        for (size_t i = 0; i < cascades.size(); i++) {
            run(cascades[i], gray, scale, false, hits);
        }
        if (label == AN_FACE) { /* the profile cascade knows one side */
            cv::flip(gray, mirrored, 1);
            run(cascades.back(), mirrored, scale, true, hits);
        }
    }

  private:
    void run(cv::CascadeClassifier &c, const cv::Mat &gray, float scale, bool mirror, Hits &hits)
    {
        std::vector<cv::Rect> boxes;
        std::vector<int> seen;

        c.detectMultiScale(gray, boxes, seen, 1.1, 3, 0, smallest);
        for (size_t i = 0; i < boxes.size(); i++) {
            cv::Rect &r = boxes[i];
            r.x = mirror ? gray.cols - r.x - r.width : r.x;
            /* how many neighbouring windows agreed is all that a cascade says: 3 -> 0.75 */
            float score = (float)seen[i] / (float)(seen[i] + 1);
            hits.push_back(hit_of(r, scale, score, label));
        }
    }

    an_class label;
    cv::Size smallest;
    std::vector<cv::CascadeClassifier> cascades;
};

/* ---- objects ---- */

class Hog : public cv_shim_s
{
  public:
    Hog()
    {
        hog.setSVMDetector(cv::HOGDescriptor::getDefaultPeopleDetector());
    }

    void find(const cv::Mat &bgr, Hits &hits) override
    {
        float scale;
        cv::Mat in = fit(bgr, SIDE_MAX, &scale);
        std::vector<cv::Rect> boxes;
        std::vector<double> weights;

        if (in.cols < hog.winSize.width || in.rows < hog.winSize.height) {
            return;
        }
        hog.detectMultiScale(in, boxes, weights, 0, cv::Size(8, 8), cv::Size(16, 16), 1.05, 2);
        for (size_t i = 0; i < boxes.size(); i++) {
            float score = 1 - std::exp(-(float)std::max(weights[i], 0.0));
            hits.push_back(hit_of(boxes[i], scale, score, AN_PERSON));
        }
    }

    float iou() const override
    {
        return OBJECT_IOU;
    }

  private:
    cv::HOGDescriptor hog;
};

/* Darknet's networks and those exported to ONNX by the usual trainers. Rows of the output are
 * candidates: cx, cy, w, h, objectness (not in newer exports, whose output is also transposed),
 * then a score per name. */
class Yolo : public cv_shim_s
{
  public:
    Yolo(const cv_shim_file_t *files, size_t n)
    {
        read_names(files[n - 1]);
        if (n == 3) {
            net = cv::dnn::readNetFromDarknet(files[0].bytes, files[0].len, files[1].bytes,
                                              files[1].len);
            is_darknet = true;
            size = darknet_size(std::string(files[0].bytes, files[0].len));
        } else {
            net = cv::dnn::readNetFromONNX(files[0].bytes, files[0].len);
        }
        net.setPreferableBackend(cv::dnn::DNN_BACKEND_OPENCV);
        net.setPreferableTarget(cv::dnn::DNN_TARGET_CPU);
        outputs = net.getUnconnectedOutLayersNames();
        if (!is_darknet) {
            find_size();
        }
    }

    void find(const cv::Mat &bgr, Hits &hits) override
    {
        cv::Mat in;
        float sx = (float)size.width / (float)bgr.cols, sy = (float)size.height / (float)bgr.rows;

        if (is_darknet) { /* trained on stretched pictures; boxes are parts of the picture */
            cv::resize(bgr, in, size, 0, 0, cv::INTER_AREA);
            sx = 1 / (float)bgr.cols;
            sy = 1 / (float)bgr.rows;
        } else {
            sx = sy = std::min(sx, sy);
            cv::resize(
                bgr, in,
                cv::Size(std::max(1, cvRound(bgr.cols * sx)), std::max(1, cvRound(bgr.rows * sy))),
                0, 0, cv::INTER_AREA);
            cv::copyMakeBorder(in, in, 0, size.height - in.rows, 0, size.width - in.cols,
                               cv::BORDER_CONSTANT, cv::Scalar::all(114));
        }
        for (const cv::Mat &out : forward(in)) {
            decode(out, sx, sy, hits);
        }
    }

    std::vector<cv::Size> sizes() const override
    {
        return {size};
    }

    float iou() const override
    {
        return OBJECT_IOU;
    }

  private:
    std::vector<cv::Mat> forward(const cv::Mat &in)
    {
        std::vector<cv::Mat> out;

        net.setInput(cv::dnn::blobFromImage(in, 1 / 255.0, cv::Size(), cv::Scalar(), true));
        net.forward(out, outputs);
        return out;
    }

    void read_names(const cv_shim_file_t &file)
    {
        bool known = false;

        for (const char *p = file.bytes, *end = p + file.len; p < end;) {
            const char *nl = std::find(p, end, '\n'), *to = nl;
            while (to > p && (to[-1] == '\r' || to[-1] == ' ')) {
                to--;
            }
            if (to > p) {
                labels.push_back(an_class_of_label(p, (size_t)(to - p)));
                known = known || labels.back() >= 0;
            }
            p = nl + 1;
        }
        if (!known) {
            broken("its names file names no person, vehicle, plate or face");
        }
    }

    static cv::Size darknet_size(const std::string &cfg)
    {
        cv::Size s(0, 0);

        for (size_t at = 0; at < cfg.size() && (s.width == 0 || s.height == 0);) {
            std::string line = cfg.substr(at, cfg.find('\n', at) - at);
            if (line.compare(0, 6, "width=") == 0) {
                s.width = (int)std::strtol(line.c_str() + 6, nullptr, 10);
            } else if (line.compare(0, 7, "height=") == 0) {
                s.height = (int)std::strtol(line.c_str() + 7, nullptr, 10);
            }
            at += line.size() + 1;
        }
        if (s.width < 32 || s.height < 32 || s.width > 2048 || s.height > 2048) {
            broken("its cfg has no width and height from 32 to 2048");
        }
        return s;
    }

    /* OpenCV 4.6 does not tell an ONNX file's input size; another one than the file's fails. */
    void find_size()
    {
        for (int side : {640, 416, 320, 512, 608, 960, 1280}) {
            try {
                size = cv::Size(side, side);
                forward(cv::Mat(size, CV_8UC3, cv::Scalar::all(114)));
                return;
            } catch (const cv::Exception &) {
            }
        }
        broken("it runs at none of 640, 416, 320, 512, 608, 960, 1280 pixels square");
    }

    void decode(const cv::Mat &out, float sx, float sy, Hits &hits) const
    {
        int names = (int)labels.size();
        int rows = out.size[out.dims - 2], cols = out.size[out.dims - 1];

        if (out.type() != CV_32F || out.total() != (size_t)rows * (size_t)cols) {
            broken("its output is no table of candidates");
        }
        cv::Mat table(rows, cols, CV_32F, (void *)out.ptr<float>());

        if (rows == names + 4 && cols != names + 5) {
            table = table.t();
            std::swap(rows, cols);
        }
        if (cols != names + 5 && cols != names + 4) {
            broken("its output has " + std::to_string(cols) + " columns and its names file " +
                   std::to_string(names) + " names");
        }
        int first = cols - names;
        for (int r = 0; r < rows; r++) {
            const float *p = table.ptr<float>(r);
            /* darknet's scores are multiplied by the objectness already */
            float objectness = first == 5 && !is_darknet ? p[4] : 1;
            float best[AN_CLASS_COUNT] = {0};
            for (int i = 0; i < names; i++) {
                if (labels[i] >= 0) {
                    float score = p[first + i] * objectness;
                    float &most = best[labels[i]]; /* stays NaN once it is */
                    most = std::isnan(score) ? score : std::max(most, score);
                }
            }
            for (int c = 0; c < AN_CLASS_COUNT; c++) {
                if (!(best[c] < SCORE_MIN)) {
                    hits.push_back(an_hit_t{(p[0] - p[2] / 2) / sx, (p[1] - p[3] / 2) / sy,
                                            p[2] / sx, p[3] / sy, std::min(best[c], 1.f), c});
                }
            }
        }
    }

    cv::dnn::Net net;
    std::vector<std::string> outputs;
    std::vector<int> labels; /* of each name: enum an_class or -1 */
    cv::Size size;
    bool is_darknet = false;
};

std::unique_ptr<cv_shim_s> make(an_kind kind, const cv_shim_file_t *files, size_t n)
{
    switch (kind) {
    case AN_KIND_YUNET:
        return std::make_unique<Yunet>(files[0]);
    case AN_KIND_YUNET_2022MAR:
        return std::make_unique<Yunet2022>(files[0]);
    case AN_KIND_HAAR:
        return std::make_unique<Cascades>(files, n, AN_FACE, cv::Size(20, 20));
    case AN_KIND_PLATES:
        return std::make_unique<Cascades>(files, n, AN_PLATE, cv::Size(36, 12));
    case AN_KIND_DNN:
        return std::make_unique<Yolo>(files, n);
    case AN_KIND_HOG:
        return std::make_unique<Hog>();
    default:
        broken("no such kind of detector");
    }
}

/* In one line: OpenCV's texts have several. */
int told(int code, media_err_t *ei, const std::string &prefix, std::string text)
{
    std::replace(text.begin(), text.end(), '\n', ' ');
    return media_err_set(ei, code, "%s%s", prefix.c_str(), text.c_str());
}

/* Runs f; what it throws becomes `code` and a text. */
template <typename F> int guard(int code, media_err_t *ei, F f)
{
    try {
        return f();
    } catch (const cv::Exception &e) {
        return told(code, ei, "OpenCV: ", e.err);
    } catch (const std::bad_alloc &) {
        return media_err_set(ei, MEDIA_E_NOMEM, "out of memory");
    } catch (const std::exception &e) {
        return told(code, ei, "", e.what());
    } catch (...) {
        return media_err_set(ei, code, "unknown exception");
    }
}

int sane(const an_hit_t &h)
{
    return std::isfinite(h.x) && std::isfinite(h.y) && std::isfinite(h.w) && std::isfinite(h.h) &&
           h.w > 0 && h.h > 0 && std::isfinite(h.score);
}

} /* namespace */

cv_shim_t *cv_shim_open(enum an_kind kind, const cv_shim_file_t *files, size_t n, media_err_t *ei)
{
    cv_shim_t *shim = nullptr;

    (void)guard(MEDIA_E_REJECT, ei, [&] {
        std::unique_ptr<cv_shim_s> s;
        Hits hits;

        cv::setNumThreads(1);
        cv::ocl::setUseOpenCL(false);
        cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
        s = make(kind, files, n);
        for (cv::Size size : s->sizes()) {
            s->find(cv::Mat(size, CV_8UC3, cv::Scalar::all(127)), hits);
        }
        shim = s.release();
        return 0;
    });
    return shim;
}

void cv_shim_close(cv_shim_t *shim)
{
    (void)guard(0, nullptr, [&] {
        delete shim;
        return 0;
    });
}

int cv_shim_detect(cv_shim_t *shim, uint32_t w, uint32_t h, const uint8_t *bgr, an_hit_t *hits,
                   int max, media_err_t *ei)
{
    if (w == 0 || h == 0 || (uint64_t)w * h > AN_PICTURE_MAX / 3) {
        return media_err_set(ei, MEDIA_E_REJECT, "a picture of %u x %u", w, h);
    }
    return guard(MEDIA_E_RETRY, ei, [&] {
        Hits found;
        int n;

        shim->find(cv::Mat((int)h, (int)w, CV_8UC3, (void *)bgr), found);
        if (!std::all_of(found.begin(), found.end(), sane)) {
            /* what it should have been is not known: not left out */
            broken("it found what is no box");
        }
        n = std::min(an_nms(found.data(), (int)found.size(), shim->iou()), max);
        std::copy_n(found.begin(), n, hits);
        return n;
    });
}

const char *cv_shim_version(void)
{
    return CV_VERSION;
}
