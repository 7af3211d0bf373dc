"""Who is under the mask? A face is re-identified when of all faces in the gallery, crops of the originals, its own is
the one most like what the masked picture shows in its place. Each attacker is a way to be alike; masks are good when
none of them is better than chance, and the attackers are good when they see through a blur."""

import math

import numpy

import pictures

WIDTH, HEIGHT = 48, 60
SIGMAS = (0.02, 0.05, 0.09, 0.14, 0.2)  # of a blur, of the face's width
CELLS = ((3, 4), (6, 8), (12, 15))
NOISE = (1e-3, 1e-2, 1e-1)              # power of noise to that of the picture, in a deconvolution


def face(rgb, box):
    """A crop as attackers compare it: equally large, three components."""
    crop = pictures.part(rgb, box).astype(float)
    return numpy.stack([pictures.resized(crop[..., c], WIDTH, HEIGHT) for c in range(3)], axis=-1)


def _grey(crop):
    return crop @ numpy.array([0.299, 0.587, 0.114])


def _correlation(a, b):
    """Of two pictures, whatever their brightness and contrast; 0 where there is nothing to compare."""
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 1e-6 else 0.0


def _transfer(sigma):
    """What a Gaussian blur does to the frequencies of a crop."""
    fy, fx = numpy.fft.fftfreq(HEIGHT)[:, None], numpy.fft.fftfreq(WIDTH)[None, :]
    return numpy.exp(-2 * (math.pi * sigma * WIDTH) ** 2 * (fx * fx + fy * fy))


def _filtered(grey, gain):
    return numpy.real(numpy.fft.ifft2(numpy.fft.fft2(grey) * gain))


# ---- attackers: (gallery, probes) -> likeness[probe][face of the gallery] ----

def _best(pairs):
    """The highest likeness of several readings."""
    return numpy.max(numpy.stack(list(pairs)), axis=0)


def _table(gallery, probes):
    return numpy.array([[_correlation(p, g) for g in gallery] for p in probes])


def blurred(gallery, probes):
    """Each face is blurred as much as the masked picture might be."""
    probes = [_grey(p) for p in probes]
    return _best(_table([_filtered(_grey(g), _transfer(s)) for g in gallery], probes) for s in SIGMAS)


def deconvolved(gallery, probes):
    """The blur is undone (Wiener), the result compared with the faces."""
    def undone(probe, sigma, noise):
        h = _transfer(sigma)
        return _filtered(probe, h / (h * h + noise))
    gallery, probes = [_grey(g) for g in gallery], [_grey(p) for p in probes]
    return _best(_table(gallery, [undone(p, s, n) for p in probes]) for s in SIGMAS for n in NOISE)


def in_cells(gallery, probes):
    """Both are seen through a few large cells."""
    def seen(crops, size):
        return [pictures.resized(_grey(c), *size) for c in crops]
    return _best(_table(seen(gallery, size), seen(probes, size)) for size in CELLS)


def histogram(gallery, probes):
    """How often which colour is there, told from the crop's mean: that is the light of the scene, which all see."""
    def counts(crop):
        flat = crop.reshape(-1, 3) - crop.reshape(-1, 3).mean(axis=0)
        return numpy.concatenate([numpy.histogram(flat[:, c], 24, (-120, 120))[0] for c in range(3)])
    gallery, probes = [counts(g) for g in gallery], [counts(p) for p in probes]
    return numpy.array([[float(numpy.minimum(p, g).sum()) for g in gallery] for p in probes])


def differences(gallery, probes):
    """What all masks have in common, a pattern, is taken away; so is what all faces have in common."""
    gallery, probes = [_grey(g) for g in gallery], [_grey(p) for p in probes]
    faces, masks = numpy.mean(gallery, axis=0), numpy.mean(probes, axis=0)
    return _best(_table([_filtered(g - faces, _transfer(s)) for g in gallery], [p - masks for p in probes])
                 for s in SIGMAS)


ATTACKERS = {"likeness, blurred": blurred, "deconvolution": deconvolved, "cells": in_cells, "histogram": histogram,
             "differences": differences}


# ---- rank 1 and chance ----

def hits(likeness):
    """Faces whose own crop is the most alike; where several are, the part of guessing right among them."""
    total = 0.0
    for own, row in enumerate(likeness):
        best = row.max()
        ties = numpy.isclose(row, best, rtol=0, atol=1e-9)
        total += float(ties[own]) / ties.sum()
    return total


def attack(gallery, probes):
    """{attacker: hits}; the probe of a number is the masked picture of that face of the gallery."""
    return {name: hits(likeness(gallery, probes)) for name, likeness in ATTACKERS.items()}


def chance(count):
    """How many hits the best of the attackers has by luck in 95 of 100 cases, at most."""
    each = 0.05 / len(ATTACKERS)
    left = 1.0
    for k in range(count + 1):
        left -= math.comb(count, k) * (1 / count) ** k * (1 - 1 / count) ** (count - k)
        if left <= each:
            return k
    return count
