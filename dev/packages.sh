# shellcheck shell=bash disable=SC2034
# Debian packages, by what they are for. Sourced by dev/deps.sh and docker/packages.sh.

# what libheif1 of Debian 12 has inside comes as plugins later: reading HEIC and AVIF; AVIF for tests
HEIF_READS=()
HEIF_WRITES=()
if [ "$(. /etc/os-release && printf '%s' "${VERSION_ID:-99}")" -ge 13 ]; then
    HEIF_READS=(libheif-plugin-libde265 libheif-plugin-dav1d)
    HEIF_WRITES=(libheif-plugin-aomenc)
fi

PACKAGES_BUILD=(
    build-essential cmake ninja-build pkg-config nginx-dev
    libssl-dev libjansson-dev libjwt-dev libcrypt-dev libseccomp-dev
    libpq-dev librabbitmq-dev libcurl4-openssl-dev
    libavformat-dev libavcodec-dev libavutil-dev libavfilter-dev libswresample-dev libswscale-dev
    g++ libopencv-core-dev libopencv-imgproc-dev libopencv-dnn-dev libopencv-objdetect-dev opencv-data
    libjpeg-dev libpng-dev libtiff-dev libwebp-dev libheif-dev liblcms2-dev "${HEIF_READS[@]}"
)

PACKAGES_RUN=(
    # tools of these scripts
    ca-certificates curl jq procps python3 python3-pip
    "${PACKAGES_BUILD[@]}"
    # servers
    nginx postgresql rabbitmq-server python3-aiosmtpd
)

PACKAGES_TEST=(
    # lint
    clang-format shellcheck cppcheck
    # the ASAN nginx, fuzz targets
    dpkg-dev clang libpcre2-dev zlib1g-dev
    # t/, end to end, bench (Test::Nginx and pgTAP: dev/deps.sh)
    perl ffmpeg openssl inotify-tools strace chromium python3-psycopg2 python3-boto3 python3-jwt python3-cryptography
    python3-numpy wrk "${HEIF_WRITES[@]}"
    # bench: a peer, tokens of every algorithm
    awscli python3-jwt python3-cryptography
)
