#!/usr/bin/env python3
"""What the latent space of small models holds: the figures of docs/experiments.md.

    python3 tests/bench/latent_space.py BUILD_FOLDER DATA_FOLDER RESULTS_FOLDER

DATA_FOLDER has cifar10/{data_batch_1,test_batch}.bin, mnist/{train*,t10k*}-{images,labels}-* and
tiny-imagenet/val32box*.bin (records of 3 x 32 x 32 bytes), plain or .xz. A model of digits and one
of photographs, both grey and 16 x 16, are trained where RESULTS_FOLDER has none yet. Prints one
line of JSON for each figure. Needs NumPy. SPDX-License-Identifier: MIT
"""
import glob
import json
import lzma
import os
import shutil
import struct
import subprocess
import sys

import numpy as np

build, data, out = sys.argv[1:4]
tool = os.path.join(build, 'examples', 'glowtool', 'glowtool')
os.makedirs(out, exist_ok=True)


def place(name):
    return os.path.join(out, name)


def plain(name, pattern):
    """The one file of this pattern, unpacked."""
    found = glob.glob(os.path.join(data, pattern))
    if len(found) != 1:
        sys.exit('latent_space: not one file: ' + pattern)
    opener = lzma.open if found[0].endswith('.xz') else open
    with opener(found[0], 'rb') as source, open(place(name), 'wb') as copy:
        shutil.copyfileobj(source, copy)
    return place(name)


def run(*words):
    words = [tool, *map(str, words)]
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


def tell(figure, **numbers):
    rounded = {key: round(float(value), 4) for key, value in numbers.items()}
    print(json.dumps({'figure': figure, **rounded}), flush=True)


# ---- safetensors and IDX -------------------------------------------------------------------------

TYPES = {'U8': np.uint8, 'F32': np.float32, 'I32': np.int32, 'F64': np.float64}


def read(path):
    with open(path, 'rb') as file:
        raw = file.read()
    (length,) = struct.unpack('<Q', raw[:8])
    header, body, tensors = json.loads(raw[8:8 + length]), raw[8 + length:], {}
    header.pop('__metadata__', None)
    for name, about in header.items():
        first, past = about['data_offsets']
        values = np.frombuffer(body[first:past], TYPES[about['dtype']])
        tensors[name] = values.reshape(about['shape'])
    return tensors


def write(name, key, array):
    names = {kind: word for word, kind in TYPES.items()}
    header = json.dumps({key: {'dtype': names[array.dtype.type], 'shape': array.shape,
                               'data_offsets': [0, array.nbytes]}}).encode()
    header += b' ' * (-len(header) % 64)
    with open(place(name), 'wb') as file:
        file.write(struct.pack('<Q', len(header)) + header + np.ascontiguousarray(array).tobytes())
    return place(name)


def read_idx(path):
    with open(path, 'rb') as file:
        raw = file.read()
    shape = struct.unpack('>%dI' % raw[3], raw[4:4 + 4 * raw[3]])
    return np.frombuffer(raw[4 + 4 * raw[3]:], np.uint8).reshape(shape)


def write_idx(name, images):
    with open(place(name), 'wb') as file:
        file.write(struct.pack('>4I', 0x803, *images.shape) + images.tobytes())
    return place(name)


# ---- models --------------------------------------------------------------------------------------

def model_of(name, *source):
    if not os.path.exists(place(name + '/model-average.safetensors')):
        run('train', *source, '--size', 16, '--levels', 2, '--depth', 8, '--hidden', 64, '--border',
            '--scale', 'sigmoid', '--spatial-prior', '--batch', 32, '--lr', 0.002,
            '--schedule', 'cosine', '--steps', 1500, '--ema', 0.995, '--save-every', 0,
            '--sample-every', 0, '--test-every', 500, '--no-checkpoints', '--out', place(name))
    return place(name + '/model-average.safetensors')


def encode(model, *source):
    run('encode', model, '--data', *source, '--form', 'whitened', '--out', place('z.safetensors'))
    return read(place('z.safetensors'))['latents']


def decode(model, latents, kind):
    """kind: uint8, pixels, or float32, values as the model reads them."""
    run('decode', model, '--data', write('z.safetensors', 'latents', latents.astype(np.float32)),
        '--form', 'whitened', '--type', kind, '--out', place('x.safetensors'))
    return read(place('x.safetensors'))['x']


def bits(model, x):
    run('score', model, '--data', write('x.safetensors', 'x', x), '--out', place('s.safetensors'))
    return read(place('s.safetensors'))['bits_per_dim'].mean()


def averaged(images, side=16):
    """[N, S, S] to [N, side, side] by areas, as glowtool does it."""
    n, size = images.shape[1], np.zeros((side, images.shape[1]))
    for to in range(side):
        low, high = to * n / side, (to + 1) * n / side
        for at in range(n):
            size[to, at] = max(0.0, min(high, at + 1) - max(low, at)) * side / n
    return np.einsum('ia,nab,jb->nij', size, images.astype(np.float64), size)


def grey(name, path, record):
    """Colour records, the last 3072 bytes of each the planes, to grey ones of 16 x 16."""
    planes = np.fromfile(path, np.uint8).reshape(-1, record)[:, -3072:].reshape(-1, 3, 32, 32)
    np.round(averaged(planes.mean(1))).astype(np.uint8).tofile(place(name))
    return place(name)


class Judge:
    """The nearest of the real digits: its label, and how far away it is."""

    def __init__(self, images, labels):
        self.points, self.labels = averaged(images).reshape(len(images), -1), labels
        self.squares = (self.points ** 2).sum(1)

    def __call__(self, x):
        x = x.reshape(len(x), -1).astype(np.float64)
        squares = (x ** 2).sum(1)[:, None] - 2 * x @ self.points.T + self.squares
        nearest = squares.argmin(1)
        least = np.maximum(squares[np.arange(len(x)), nearest], 0)
        return self.labels[nearest], np.sqrt(least / x.shape[1])


# ---- the figures ---------------------------------------------------------------------------------

def anomaly(model, name, usual, other):
    said = json.loads(run('anomaly', model, '--data', *usual, '--other', *other, '--json', '--out',
                          place('anomaly-%s.png' % name)))
    print(json.dumps({'figure': 'anomaly ' + name, **said}), flush=True)


def interpolate(model, images, judge, count=200):
    """Digits 2i and 2i + 1, whatever they are: on paths through the latent space, and blended."""
    z = encode(model, images).astype(np.float64)[:2 * count]
    x = decode(model, z, 'float32').astype(np.float64)
    for t in (0, 0.125, 0.25, 0.375, 0.5):
        a, b = z[0::2], z[1::2]
        linear = (1 - t) * a + t * b
        length_a, length_b = (np.linalg.norm(v, axis=1, keepdims=True) for v in (a, b))
        angle = np.arccos((a * b).sum(1, keepdims=True) / length_a / length_b)
        arc = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
        blend = ((1 - t) * x[0::2] + t * x[1::2]).astype(np.float32)
        numbers = {'t': t, 'blend_bits': bits(model, blend),
                   'blend_distance': judge(np.floor((blend + 0.5) * 32) * 8)[1].mean()}
        for name, path in (('linear', linear), ('spherical', arc)):
            numbers[name + '_bits'] = bits(model, decode(model, path, 'float32'))
            numbers[name + '_distance'] = judge(decode(model, path, 'uint8'))[1].mean()
        tell('interpolation', **numbers)


def attribute(model, name, with_, without, start, judge, wanted):
    """start: digits to move; wanted(pixels, labels) gives what to tell."""
    run('attribute', model, '--with', *with_, '--without', *without, '--images', 10000, '--save',
        place('direction.safetensors'), '--out', place('attribute-%s.png' % name))
    direction = read(place('direction.safetensors'))['direction'].reshape(-1).astype(float)
    z = encode(model, write('x.safetensors', 'x', start)).astype(np.float64)
    for amount in (-1, -0.5, 0, 0.5, 1, 1.5, 2):
        pixels = decode(model, z + amount * direction, 'uint8')
        labels, distance = judge(pixels)
        tell('attribute ' + name, amount=amount, distance=distance.mean(), **wanted(pixels, labels))


def sweep(model, judge, count=300):
    """bits/dim, distance to the nearest real digit, and between samples of the model."""
    run('sweep', model, '--temperatures', '0,0.25,0.5,0.6,0.7,0.8,0.9,1', '--columns', 12, '--out',
        place('sweep.png'))
    for temperature in (0.25, 0.5, 0.7, 0.8, 0.9, 1):
        run('sample', model, '--count', count, '--temperature', temperature, '--out',
            place('n.safetensors'))
        pixels = read(place('n.safetensors'))['x']
        x = pixels.reshape(count, -1).astype(np.float64)
        squares = (x ** 2).sum(1)[:, None] - 2 * x @ x.T + (x ** 2).sum(1)
        apart = np.sqrt(np.maximum(squares, 0) / x.shape[1])
        tell('sweep', temperature=temperature, bits=bits(model, pixels),
             distance=judge(pixels)[1].mean(), apart=apart[~np.eye(count, dtype=bool)].mean())


def main():
    images, labels = (plain(name, 'mnist/train*-%s*' % name) for name in ('images', 'labels'))
    test, test_labels = plain('test', 'mnist/t10k-images*'), plain('truth', 'mnist/t10k-labels*')
    photos = grey('photos.raw', plain('photos.bin', 'cifar10/data_batch_1*'), 3073)
    photos_test = grey('photos-test.raw', plain('photos-test.bin', 'cifar10/test_batch*'), 3073)
    tiny = grey('tiny.raw', plain('tiny.bin', 'tiny-imagenet/val32box*'), 3072)
    raw = 'raw:1x16x16'
    digits_model = model_of('digits', '--data', images, '--test', test, '--bits', 5)
    photos_model = model_of('photos', '--data', photos, '--test', photos_test, '--format', raw)

    digits = [test, '--format', 'mnist', '--reference', images]
    pictures = [photos_test, '--format', raw, '--reference', photos]
    anomaly(digits_model, 'digits-photos', digits, [photos_test, '--other-format', raw])
    anomaly(photos_model, 'photos-digits', pictures, [test, '--other-format', 'mnist'])
    anomaly(photos_model, 'photos-tiny', pictures, [tiny, '--other-format', raw])

    train, train_labels = read_idx(images), read_idx(labels)
    judge, judged = Judge(train, train_labels), read_idx(test)[:1000]
    real = averaged(judged).reshape(1000, 16, 16, 1)
    truth = read_idx(test_labels)[:1000]
    said, distance = judge(real)
    tell('judge', right=(said == truth).mean(), distance=distance.mean())

    interpolate(digits_model, test, judge)

    ink = train.reshape(len(train), -1).mean(1)
    heavy = write_idx('heavy', train[ink >= np.quantile(ink, 0.75)])
    light = write_idx('light', train[ink <= np.quantile(ink, 0.25)])
    start = np.round(real).astype(np.uint8)
    attribute(digits_model, 'ink', [heavy], [light], start, judge,
              lambda x, said: {'ink': x.mean(), 'same_digit': (said == truth).mean()})
    for from_, to in ((3, 8), (9, 7), (1, 7)):
        attribute(digits_model, '%d-to-%d' % (from_, to),
                  [images, '--with-labels', labels, '--with-class', to],
                  [images, '--without-labels', labels, '--without-class', from_],
                  start[truth == from_], judge,
                  lambda x, said: {'from': (said == from_).mean(), 'to': (said == to).mean()})
    sweep(digits_model, judge)


main()
