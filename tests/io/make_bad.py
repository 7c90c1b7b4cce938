#!/usr/bin/env python3
# Makes the bad files of tests/io/bad, each wrong in one way, and expected.txt: what the readers
# must say of each. Usage: make_bad.py FOLDER writes them; make_bad.py --check FOLDER sees that they
# are what would be written. SPDX-License-Identifier: MIT
import json
import os
import struct
import sys

SIZES = {'U8': 1, 'BF16': 2, 'F32': 4, 'I32': 4, 'F64': 8, 'I64': 8}
cases = {}  # name: bytes
expected = []  # lines


def case(reader, name, data, text, status='FORMAT', limit='-'):
    """reader: which one refuses it: tensor, model, checkpoint, or none; those before it do not."""
    assert name not in cases, name
    cases[name] = data
    expected.append(f'{name} | {reader} | {limit} | {status} | {text}')


# ---- files ----


def whole(header, data=b'', length=None):
    """A file of this header text, with this length claimed for it."""
    if isinstance(header, str):
        header = header.encode()
    return struct.pack('<Q', len(header) if length is None else length) + header + data


def entry(dtype, shape, begin, end):
    return {'dtype': dtype, 'shape': shape, 'data_offsets': [begin, end]}


def tensor_file(tensors, metadata=None):
    """tensors: (name, dtype, shape, data)."""
    header, data = {}, b''
    if metadata is not None:
        header['__metadata__'] = metadata
    for name, dtype, shape, values in tensors:
        header[name] = entry(dtype, shape, len(data), len(data) + len(values))
        data += values
    return whole(json.dumps(header, separators=(',', ':')), data)


def f32(*values):
    return struct.pack(f'<{len(values)}f', *values)


def i32(*values):
    return struct.pack(f'<{len(values)}i', *values)


# ---- tensor files ----

T = json.dumps({'a': entry('F32', [1], 0, 4)})
FOUR = b'\0\0\0\0'


def tensor(name, header, data, text, **more):
    case('tensor', name, whole(header, data), text, **more)


def one(dtype='"F32"', shape='[1]', offsets='[0,4]', more=''):
    return f'{{"a":{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}{more}}}}}'


def lengths():
    good = whole(T, FOUR)
    case('tensor', 'empty', b'', '0 bytes are too few for a safetensors file')
    case('tensor', 'seven-bytes', good[:7], '7 bytes are too few')
    case('tensor', 'length-alone', good[:8], 'the header claims')
    case('tensor', 'length-zero', whole(''), 'byte 8: the header is not a JSON object')
    case('tensor', 'length-one-more', whole('{}', length=3), 'claims 3 bytes; the file has 2')
    case('tensor', 'length-less', whole(T, FOUR, length=len(T) - 1), 'header:')
    case('tensor', 'length-2-63', whole('{}', length=1 << 63), 'claims 9223372036854775808 bytes')
    case('tensor', 'length-2-64', whole('{}', length=(1 << 64) - 1), 'claims 18446744073709551615')
    case('tensor', 'cut-in-header', good[:30], 'the header claims')
    case('tensor', 'cut-before-data', good[:-4],
         "tensor 'a' ends at byte 4 of the data, which has 0")
    case('tensor', 'cut-in-data', good[:-1], 'which has 3')
    case('tensor', 'trailing-byte', good + b'\0',
         'the tensors end at byte 4 of the data, which has 5')


def texts():
    tensor('header-array', '[]', b'', 'not a JSON object')
    tensor('header-number', '7', b'', 'not a JSON object')
    tensor('header-blank-first', ' {}', b'', 'not a JSON object')
    tensor('header-open', '{', b'', 'header:')
    tensor('header-text-behind', T + 'x', FOUR, 'end of the text expected')
    tensor('header-two-objects', T + T, FOUR, 'end of the text expected')
    tensor('header-comma-behind', T[:-1] + ',}', FOUR, 'a string expected')
    tensor('header-no-colon', '{"a" {}}', b'', "':' expected")
    tensor('header-no-comma', T[:-1] + '"b":1}', FOUR, "',' or '}' expected")
    tensor('header-single-quotes', T.replace('"', "'"), FOUR, 'a string expected')
    tensor('header-comment', '{/**/}', b'', 'a string expected')
    tensor('header-nul', '{\0}', b'', 'a string expected')
    tensor('header-open-string', '{"a', b'', 'header:')
    tensor('header-latin-1', T.replace('a', '\xe4', 1).encode('latin-1'), FOUR,
           'is not UTF-8')
    tensor('header-overlong', T.encode().replace(b'"a"', b'"\xc0\xaf"'), FOUR,
           'is not UTF-8')
    tensor('header-utf-8-surrogate', T.encode().replace(b'"a"', b'"\xed\xa0\x80"'), FOUR,
           'is not UTF-8')
    tensor('header-half-surrogate', T.replace('"a"', '"\\ud800"'), FOUR, 'header:')
    tensor('header-nul-in-name', T.replace('"a"', '"a\\u0000b"'), FOUR, 'header:')
    tensor('header-control-in-name', T.replace('"a"', '"a\x1b[2J"'), FOUR, 'control character')
    tensor('header-upper-surrogate-alone', '{"\\ud83dx":1}', b'',
           'byte 10: header: half of a pair of surrogates')
    tensor('header-lower-surrogate-first', '{"\\ude00\\ud83d":1}', b'',
           'half of a pair of surrogates')
    tensor('header-unknown-escape', '{"\\x":1}', b'', 'unknown escape')
    tensor('header-short-escape', '{"\\u00e":1}', b'', 'without four hexadecimal digits')
    tensor('header-deep', '{"a":' + '[' * 5000 + ']' * 5000 + '}', b'', 'is not an object of dtype')
    tensor('header-byte-order-mark', b'\xef\xbb\xbf' + T.encode(), FOUR, 'not a JSON object')


def entries():
    tensor('entry-number', '{"a":1}', b'', 'is not an object of dtype, shape, data_offsets')
    tensor('entry-null', '{"a":null}', b'', 'is not an object of dtype')
    tensor('entry-empty', '{"a":{}}', b'', 'has no dtype')
    tensor('entry-more', one(more=',"x":1'), FOUR, 'is not an object of dtype')
    tensor('dtype-missing', one().replace('dtype', 'type'), FOUR, "it has 'type'")
    tensor('dtype-number', one(dtype='3'), FOUR, 'dtype is not a string')
    tensor('dtype-unknown', one(dtype='"F33"'), FOUR, "dtype 'F33' is not known")
    tensor('dtype-lower-case', one(dtype='"f32"'), FOUR, "dtype 'f32' is not known")
    tensor('shape-number', one(shape='1'), FOUR, 'shape is not a list')
    tensor('shape-negative', one(shape='[-1]'), FOUR, 'dimension 0 is not a count')
    tensor('shape-real', one(shape='[1,1.0]'), FOUR, 'dimension 1 is not a count')
    tensor('shape-text', one(shape='["1"]'), FOUR, 'dimension 0 is not a count')
    tensor('shape-nested', one(shape='[[1]]'), FOUR, 'dimension 0 is not a count')
    tensor('shape-rank-9', one(shape='[1,1,1,1,1,1,1,1,1]'), FOUR, 'has 9 dimensions; at most 8',
           status='LIMIT')
    tensor('shape-overflow', one(shape='[4294967296,4294967296]'), FOUR, 'does not fit 64 bits')
    tensor('shape-overflow-bytes', one(shape='[4611686018427387904]'), FOUR, 'does not fit 64 bits')
    tensor('shape-overflow-to-4', one(shape='[4611686018427387905]'), FOUR, 'does not fit 64 bits')
    tensor('shape-overflow-zero', one(shape='[4294967296,4294967296,0]'), FOUR, 'does not fit')
    tensor('shape-too-big-integer', one(shape='[9223372036854775808]'), FOUR,
           'the integer does not fit in 64 bits')
    tensor('shape-1e999', one(shape='[1e999]'), FOUR, 'the number does not fit in a double')
    tensor('shape-wants-more', one(shape='[2]'), FOUR, 'do not hold its 8 bytes')
    tensor('offsets-missing', one().replace('data_offsets', 'offsets'), FOUR,
           "it has 'offsets'")
    tensor('offsets-none', '{"a":{"dtype":"U8","shape":[4]}}', FOUR, 'has no data_offsets')
    tensor('shape-none', '{"a":{"dtype":"U8","data_offsets":[0,4]}}', FOUR, 'has no shape')
    tensor('offsets-one', one(offsets='[0]'), FOUR, 'data_offsets is not a pair')
    tensor('offsets-three', one(offsets='[0,4,4]'), FOUR, 'data_offsets is not a pair')
    tensor('offsets-real', one(offsets='[0,4.0]'), FOUR, 'data_offsets is not a pair')
    tensor('offsets-text', one(offsets='["0","4"]'), FOUR, 'data_offsets is not a pair')
    tensor('offsets-negative', one(offsets='[-4,0]'), FOUR, 'offsets -4 to 0 do not hold')
    tensor('offsets-reversed', one(offsets='[4,0]'), FOUR, 'offsets 4 to 0 do not hold')
    tensor('offsets-overflow', one(offsets='[9223372036854775807,3]'), FOUR, 'do not hold its 4')
    tensor('offsets-beyond', one(offsets='[0,8]', shape='[2]'), FOUR, 'ends at byte 8')
    tensor('offsets-late', one(offsets='[4,8]'), FOUR * 2, 'starts at byte 4 of the data, not at 0')
    tensor('name-empty', T.replace('"a"', '""'), FOUR, "a tensor's name has 0 bytes")
    tensor('name-long', T.replace('"a"', '"' + 'a' * 4097 + '"'), FOUR, 'has 4097 bytes; 1 to 4096',
           status='LIMIT')
    tensor('name-escapes', T.replace('"a"', '"' + '\\u0061' * 4097 + '"'), FOUR,
           "a tensor's name has 4097 bytes; 1 to 4096 are read (name_bytes)",
           status='LIMIT')
    tensor('limit-name-escapes', T.replace('"a"', '"' + 'a' * 80 + '"'), FOUR,
           "a tensor's name has 80 bytes; 1 to 9 are read (name_bytes)",
           status='LIMIT', limit='name_bytes=9')


def two(begin, end):
    return json.dumps({'a': entry('F32', [1], 0, 4), 'b': entry('F32', [1], begin, end)})


def tilings():
    tensor('gap', two(5, 9), FOUR * 2 + b'\0', "tensor 'b' starts at byte 5 of the data, not at 4")
    tensor('overlap', two(3, 7), FOUR * 2, "tensor 'b' starts at byte 3")
    tensor('same-place', two(0, 4), FOUR, 'starts at byte 0 of the data, not at 4')
    tensor('inside-another',
           json.dumps({'a': entry('F32', [4], 0, 16), 'b': entry('F32', [1], 4, 8)}),
           FOUR * 4, "tensor 'b' starts at byte 4")
    tensor('empty-in-a-gap',
           json.dumps({'a': entry('F32', [1], 0, 4), 'b': entry('F32', [0], 2, 2)}),
           FOUR, 'starts at byte 2')
    tensor('data-of-nobody', '{}', FOUR, 'the tensors end at byte 0')


def duplicates():
    tensor('tensor-twice', T[:-1] + ',' + T[1:].replace('0, 4', '4, 8'), FOUR * 2,
           "duplicate tensor 'a'")
    tensor('tensor-twice-escaped',
           T[:-1] + ',' + T[1:].replace('0, 4', '4, 8').replace('"a"', '"\\u0061"'), FOUR * 2,
           "duplicate tensor 'a'")
    tensor('dtype-twice', one(more=',"dtype":"F32"'), FOUR, 'duplicate')
    tensor('metadata-twice', '{"__metadata__":{},"__metadata__":{}}', b'', 'duplicate __metadata__')
    tensor('metadata-key-twice', '{"__metadata__":{"k":"1","k":"2"}}', b'', "__metadata__ key 'k'")


def metadata():
    tensor('metadata-array', '{"__metadata__":[]}', b'', '__metadata__ is not an object')
    tensor('metadata-text', '{"__metadata__":"k"}', b'', '__metadata__ is not an object')
    tensor('metadata-number', '{"__metadata__":{"k":1}}', b'', "__metadata__ key 'k': byte 29")
    tensor('metadata-null', '{"__metadata__":{"k":null}}', b'', 'a string expected')
    tensor('metadata-object', '{"__metadata__":{"k":{}}}', b'', 'a string expected')
    tensor('metadata-nul', '{"__metadata__":{"k":"a\\u0000"}}', b'', 'header:')


def limits():
    three = [(n, 'U8', [1, 1], b'\0') for n in ('one', 'two', 'three')]
    for name, limit, text in (
            ('limit-file', 'file_bytes=100', 'at most 100 are read (file_bytes)'),
            ('limit-header', 'header_bytes=64', 'at most 64 are read (header_bytes)'),
            ('limit-tensors', 'tensors=2', 'more than 2 tensors'),
            ('limit-rank', 'rank=1', 'has 2 dimensions; at most 1 are read (rank)'),
            ('limit-name', 'name_bytes=3', 'has 5 bytes; 1 to 3 are read (name_bytes)')):
        case('tensor', name, tensor_file(three), text, status='LIMIT', limit=limit)


# ---- models ----

LAYERS = [{'name': 'norm', 'type': 'actnorm', 'options': {'floor': 1e-6}},
          {'name': 'mix', 'type': 'permute', 'options': {'kind': 'reverse'}},
          {'name': 'conv', 'type': 'invconv', 'options': {'lu': 1}},
          {'name': 'prior', 'type': 'prior', 'options': {'learned': 1, 'classes': 0}}]
TENSORS = [('norm.bias', 'F32', [2], f32(0, 1)), ('norm.logs', 'F32', [2], f32(0, 1)),
           ('conv.lower', 'F32', [2, 2], f32(1, 0, 2, 1)),
           ('conv.upper', 'F32', [2, 2], f32(1, 3, 0, 1)),
           ('conv.log_s', 'F32', [2], f32(0, 1)),
           ('prior.mean', 'F32', [2], f32(0, 1)), ('prior.logs', 'F32', [2], f32(0, 1)),
           ('mix.index', 'I32', [2], i32(1, 0)),
           ('conv.sign_s', 'F32', [2], f32(1, -1)), ('conv.perm', 'I32', [2], i32(1, 0))]


def copy(value):
    return json.loads(json.dumps(value))


def architecture(**changes):
    result = {'input': [2, 2, 2], 'bits': 8, 'initialised': True, 'layers': copy(LAYERS)}
    for key, value in changes.items():
        if value is None:
            del result[key]
        else:
            result[key] = value
    return result


def model_file(arch=None, tensors=None, version='1', more=None):
    text = arch
    if not isinstance(arch, str):
        text = json.dumps(arch or architecture(), separators=(',', ':'))
    data = {'glow.format_version': version, 'glow.model': text}
    data.update(more or {})
    return tensor_file(TENSORS if tensors is None else tensors, data)


def model(name, text, arch=None, tensors=None, **more):
    case('model', name, model_file(arch, tensors), text, **more)


def with_layer(index, **changes):
    """The architecture with a layer's members changed; None removes one."""
    layers = copy(LAYERS)
    for key, value in changes.items():
        if value is None:
            del layers[index][key]
        else:
            layers[index][key] = value
    return architecture(layers=layers)


def in_front(layer, shape=(2, 2, 2)):
    return architecture(layers=[layer] + copy(LAYERS), input=list(shape))


def coupling(**options):
    return in_front({'name': 'pair', 'type': 'coupling',
                     'options': {key.replace('hidden', 'net.hidden'): value
                                 for key, value in options.items()}})


def versions():
    for name, version, text in (('version-empty', '', 'is not a number'),
                                ('version-text', 'one', "format version 'one' is not a number"),
                                ('version-0', '0', "'0' does not exist"),
                                ('version-2', '2', 'format version 2 is newer'),
                                ('version-negative', '-1', 'is not a number'),
                                ('version-blank', ' 1', 'is not a number'),
                                ('version-half', '1.', 'is not a number'),
                                ('version-long', '1' * 40, 'is not a number')):
        case('model', name, model_file(version=version), text)
    case('model', 'no-model', tensor_file(TENSORS), 'holds no libglow model')
    case('model', 'no-architecture', tensor_file(TENSORS, {'glow.format_version': '1'}),
         'holds no libglow model')
    case('model', 'no-version', tensor_file(TENSORS, {'glow.model': json.dumps(architecture())}),
         'holds no libglow model')


def outlines():
    good = json.dumps(architecture())
    model('arch-empty', 'not a JSON object', arch=' ')
    model('arch-array', 'not a JSON object', arch='[]')
    model('arch-cut', 'architecture:', arch=good[:-1])
    model('arch-text-behind', 'end of the text expected', arch=good + 'x')
    model('arch-unknown-key', "key 'more' is not known to this version", arch=architecture(more=1))
    model('arch-key-twice', "duplicate key 'bits'", arch=good[:-1] + ',"bits":8}')
    model('arch-no-input', 'input, bits, initialised or layers is missing',
          arch=architecture(input=None))
    model('arch-no-layers', 'input, bits, initialised or layers is missing',
          arch=architecture(layers=None))
    for name, value in (('two', [2, 2]), ('four', [2, 2, 2, 2]), ('zero', [2, 0, 2]),
                        ('negative', [2, -2, 2]), ('real', [2, 2.5, 2]), ('text', '2')):
        model(f'input-{name}', 'input is not [height, width, channels]',
              arch=architecture(input=value))
    model('input-too-large', 'is too large', arch=architecture(input=[1 << 40, 1 << 40, 2]))
    model('input-too-big-integer', 'the integer does not fit in 64 bits',
          arch=good.replace('[2, 2, 2]', '[2, 2, 9223372036854775808]'))
    for name, value in (('9', 9), ('negative', -1), ('text', '8'), ('real', 8.0)):
        model(f'bits-{name}', 'bits must be a whole number, 0 to 8', arch=architecture(bits=value))
    model('initialised-1', 'initialised is neither true nor false',
          arch=architecture(initialised=1))
    model('layers-object', 'not a JSON array', arch=architecture(layers={}))
    model('layers-none', 'elements are left: the last layer must be a prior',
          arch=architecture(layers=[]), tensors=[])


def layers():
    model('layer-number', 'layer 0 has no name or no type', arch=architecture(layers=[1]))
    model('layer-no-name', 'layer 1 has no name or no type', arch=with_layer(1, name=None))
    model('layer-no-type', 'layer 1 has no name or no type', arch=with_layer(1, type=None))
    model('layer-name-number', 'layer 1 has no name or no type', arch=with_layer(1, name=3))
    model('layer-more', 'has more than a name, a type and options', arch=with_layer(1, more=1))
    model('layer-name-twice', "layer name 'norm' is taken", arch=with_layer(1, name='norm'))
    model('layer-name-empty', 'a layer needs a name of 1 to 200 bytes', arch=with_layer(1, name=''))
    model('layer-name-long', 'a layer needs a name of 1 to 200 bytes',
          arch=with_layer(1, name='a' * 201))
    model('layer-name-space', 'has a space or control character', arch=with_layer(1, name='a b'))
    model('layer-name-escape', 'has a space or control character',
          arch=with_layer(1, name='\x1b[31m'))
    model('layer-name-slash', "has a '/'", arch=with_layer(1, name='a/b'))
    model('layer-unknown-type', "layer type 'attention' is not registered",
          arch=with_layer(1, type='attention'))
    model('layer-type-escape', 'is not registered', arch=with_layer(1, type='\x1b]0;x\x07'))
    model('layer-after-prior', "comes after 'prior', which leaves no elements",
          arch=architecture(layers=copy(LAYERS) + [dict(LAYERS[1], name='late')]))
    model('layer-no-prior', 'elements are left: the last layer must be a prior',
          arch=architecture(layers=copy(LAYERS[:3])), tensors=TENSORS[:5] + TENSORS[7:])
    model('layer-squeeze-odd', 'height 3 and width 2 must be even',
          arch=in_front({'name': 's', 'type': 'squeeze', 'options': {}}, (3, 2, 2)))
    model('layer-split-odd', 'a split needs an even number of channels, not 3',
          arch=in_front({'name': 's', 'type': 'split', 'options': {}}, (2, 2, 3)))
    model('layer-long', "option 'kind' is 'rrr",
          arch=with_layer(1, options={'kind': 'r' * 70000}))
    model('limit-layers', 'more than 3 layers', status='LIMIT', limit='layers=3')
    model('limit-parameters', 'at most 7 are read (parameters)', status='LIMIT',
          limit='parameters=7')


def options():
    deep = architecture(layers=[{'name': 'a', 'type': 'actnorm', 'options': {'k': 'DEEP'}}])
    model('option-deep', 'nested too deeply',
          arch=json.dumps(deep).replace('"DEEP"', '[' * 5000 + ']' * 5000))
    model('option-leading-zero', "',' or '}' expected",
          arch=json.dumps(deep).replace('"DEEP"', '01'))
    model('option-point-alone', 'not a number', arch=json.dumps(deep).replace('"DEEP"', '1.'))
    model('option-minus-alone', 'not a number', arch=json.dumps(deep).replace('"DEEP"', '-'))
    model('option-long-number', 'too many digits',
          arch=json.dumps(deep).replace('"DEEP"', '1.' + 600 * '0'))
    model('options-missing', 'options is missing, or not an object',
          arch=with_layer(1, options=None))
    model('options-array', 'options is missing, or not an object', arch=with_layer(1, options=[]))
    model('option-null', "option 'kind' is neither a number nor a string",
          arch=json.dumps(with_layer(1, options={'kind': 0})).replace('"kind": 0', '"kind": null'))
    model('option-true', "option 'lu' is neither a number nor a string",
          arch=with_layer(2, options={'lu': True}))
    model('option-nested', 'is neither a number nor a string',
          arch=with_layer(1, options={'kind': {}}))
    model('option-unknown', "option 'speed' is not known to layer type 'permute'",
          arch=with_layer(1, options={'kind': 'reverse', 'speed': 9}))
    model('option-empty-key', 'architecture:', arch=with_layer(1, options={'': 1}))
    model('option-text-for-number', "option 'lu' is text instead of an integer",
          arch=with_layer(2, options={'lu': '1'}))
    model('option-real-for-integer', "option 'lu' is a real number instead of an integer",
          arch=with_layer(2, options={'lu': 1.0}))
    model('option-number-for-text', "option 'kind' is an integer instead of text",
          arch=with_layer(1, options={'kind': 1}))
    model('option-out-of-range', "option 'lu' is 2; it must be 0 to 1",
          arch=with_layer(2, options={'lu': 2}))
    model('option-huge', 'the integer does not fit in 64 bits',
          arch=json.dumps(architecture()).replace('"lu": 1', '"lu": 99999999999999999999'))
    model('option-1e999', 'the number does not fit in a double',
          arch=json.dumps(architecture()).replace('1e-06', '1e999'))
    model('option-twice', 'duplicate',
          arch=json.dumps(architecture()).replace('"lu": 1', '"lu": 1, "lu": 0'))
    model('option-permute-kind', "option 'kind' is 'sideways'; it must be one of",
          arch=with_layer(1, options={'kind': 'sideways'}))
    model('option-floor-negative', 'floor', arch=with_layer(0, options={'floor': -1.0}))
    model('option-classes-huge', "option 'classes' is", arch=with_layer(
        3, options={'learned': 1, 'classes': 1 << 40}))
    model('option-coupling-kind', "option 'kind' is 'linear'; it must be one of",
          arch=coupling(kind='linear'))
    model('option-coupling-scale', "option 'scale' is 'cubic'; it must be one of",
          arch=coupling(kind='affine', scale='cubic'))
    model('option-coupling-floor', 'floor is 2', arch=coupling(scale='sigmoid_floor', floor=2.0))
    model('option-net-unknown', "net type 'resnet200' is not registered",
          arch=coupling(net='resnet200'))
    model('option-net-hidden-0', "option 'net.hidden' is 0", arch=coupling(net='conv', hidden=0))
    model('option-net-hidden-2-40', "option 'net.hidden' is 1099511627776",
          arch=coupling(net='conv', hidden=1 << 40))
    model('layer-wants-terabytes', "the file has no tensor 'pair.net.conv1.weight'",
          arch=coupling(net='conv', hidden=65536))
    model('layer-coupling-one', 'a channel mask needs two channels or more',
          arch=in_front({'name': 'pair', 'type': 'coupling', 'options': {}}, (2, 2, 1)))


def changed(name, dtype=None, shape=None, data=None):
    return [(n, dtype or d, s if shape is None else shape, v if data is None else data)
            if n == name else (n, d, s, v) for n, d, s, v in TENSORS]


def numbers():
    nan, infinity = float('nan'), float('inf')
    model('tensor-missing', "the file has no tensor 'norm.logs'",
          tensors=[t for t in TENSORS if t[0] != 'norm.logs'])
    model('tensor-fixed-missing', "the file has no tensor 'conv.perm'", tensors=TENSORS[:-1])
    model('tensor-extra', "tensor 'extra' is not part of the architecture",
          tensors=TENSORS + [('extra', 'F32', [1], FOUR)])
    model('tensor-extra-empty', "tensor 'extra' is not part of the architecture",
          tensors=TENSORS + [('extra', 'F32', [0], b'')])
    model('tensor-part-of-no-checkpoint', "tensor 'norm.bias/m' is not part of the architecture",
          tensors=TENSORS + [('norm.bias/m', 'F32', [2], f32(0, 0))])
    model('tensor-renamed', "the file has no tensor 'norm.bias'",
          tensors=[(n.replace('bias', 'Bias'), d, s, v) for n, d, s, v in TENSORS])
    model('tensor-type', "tensor 'norm.bias' has another type or shape",
          tensors=changed('norm.bias', dtype='I32'))
    model('tensor-type-f64', "tensor 'norm.bias' has another type or shape",
          tensors=changed('norm.bias', dtype='F64', data=struct.pack('<2d', 0, 1)))
    model('tensor-fixed-type', "tensor 'mix.index' has another type or shape",
          tensors=changed('mix.index', dtype='F32'))
    model('tensor-shape', "tensor 'norm.bias' has another type or shape",
          tensors=changed('norm.bias', shape=[1], data=FOUR))
    model('tensor-rank', "tensor 'norm.bias' has another type or shape",
          tensors=changed('norm.bias', shape=[1, 2]))
    model('tensor-flat', "tensor 'conv.lower' has another type or shape",
          tensors=changed('conv.lower', shape=[4]))
    model('tensor-empty', "tensor 'norm.bias' has another type or shape",
          tensors=changed('norm.bias', shape=[0], data=b''))
    model('value-nan', "tensor 'norm.bias': element 1 is not finite",
          tensors=changed('norm.bias', data=f32(0, nan)))
    model('value-infinite', "tensor 'norm.logs': element 0 is not finite",
          tensors=changed('norm.logs', data=f32(infinity, 0)))
    model('value-minus-infinite', "tensor 'prior.mean': element 0 is not finite",
          tensors=changed('prior.mean', data=f32(-infinity, 0)))
    model('value-nan-bf16', "tensor 'norm.bias': element 0 is not finite",
          tensors=changed('norm.bias', dtype='BF16', data=b'\xc0\x7f\0\0'))
    model('value-infinite-bf16', "tensor 'norm.bias': element 1 is not finite",
          tensors=changed('norm.bias', dtype='BF16', data=b'\0\0\x80\xff'))
    model('value-nan-fixed', "tensor 'conv.sign_s': element 0 is not finite",
          tensors=changed('conv.sign_s', data=f32(nan, 1)))
    model('sign-half', 'sign_s[1] is 0.5; it must be -1 or 1',
          tensors=changed('conv.sign_s', data=f32(1, 0.5)))
    model('sign-zero', 'sign_s[0] is 0; it must be -1 or 1',
          tensors=changed('conv.sign_s', data=f32(0, 1)))
    model('perm-twice', 'perm is not a permutation at element 1',
          tensors=changed('conv.perm', data=i32(1, 1)))
    model('perm-negative', 'perm is not a permutation at element 0',
          tensors=changed('conv.perm', data=i32(-1, 0)))
    model('perm-beyond', 'perm is not a permutation at element 1',
          tensors=changed('conv.perm', data=i32(0, 2)))
    model('index-twice', 'index is not a permutation: it has 0 twice',
          tensors=changed('mix.index', data=i32(0, 0)))
    model('index-negative', 'index[0] is -1, outside 0 to 1',
          tensors=changed('mix.index', data=i32(-1, 0)))
    model('index-beyond', 'index[1] is 2147483647, outside 0 to 1',
          tensors=changed('mix.index', data=i32(0, 0x7fffffff)))
    plain = with_layer(2, options={'lu': 0})
    others = [t for t in TENSORS if not t[0].startswith('conv.')]
    for name, values in (('zero', (0, 0, 0, 0)), ('rank-1', (1, 2, 2, 4)), ('huge', (3e38,) * 4)):
        model(f'matrix-{name}', 'singular', arch=plain,
              tensors=others + [('conv.weight', 'F32', [2, 2], f32(*values))])
    model('matrix-log-huge', 'is not finite', tensors=changed('conv.log_s', data=f32(3e38, 0)))


# ---- checkpoints ----

RECORD = {'trainer': {'micro_batch': 2, 'mode': 'stored', 'average': 1, 'average_decay': 0.5,
                      'clip_norm': 0.0, 'clip_value': 0.0, 'class_weight': 0.0, 'seed': '0'},
          'optimizer': {'kind': 'adam', 'beta1': 0.9, 'beta2': 0.999, 'epsilon': 1e-8,
                        'weight_decay': 0.0},
          'schedule': {'kind': 'constant', 'rate': 0.001, 'final': 0.01, 'warmup': 0, 'steps': 0},
          'progress': {'steps': 3, 'optimizer_steps': 3, 'noise_position': '24'}}
TRAINABLE = TENSORS[:7]
PARTS = [(f'{n}/{p}', d, s, f32(*[0.5] * (len(v) // 4)))
         for p in ('m', 'v', 'average') for n, d, s, v in TRAINABLE]


def checkpoint_file(record, parts=None):
    text = record if isinstance(record, str) else json.dumps(record)
    return model_file(tensors=TENSORS + (PARTS if parts is None else parts),
                      more={'glow.checkpoint': text})


def record(group, key, value):
    result = copy(RECORD)
    result[group][key] = value
    return result


def parts_changed(name, data):
    return [(n, d, s, data if n == name else v) for n, d, s, v in PARTS]


def checkpoints():
    both = 'model'  # these say which tensors there are: the model's reader looks at them too
    case(both, 'record-not-json', checkpoint_file('x'), 'checkpoint:')
    case(both, 'record-unknown-key', checkpoint_file(record('trainer', 'speed', 1)), 'speed')
    case(both, 'record-unknown-group', checkpoint_file(dict(RECORD, more={})),
         'it has parts that this version of the library does not know')
    case(both, 'record-type', checkpoint_file(record('trainer', 'micro_batch', '2')), 'micro_batch')
    case(both, 'record-optimizer', checkpoint_file(record('optimizer', 'kind', 'other')), 'kind')
    case(both, 'record-mode', checkpoint_file(record('trainer', 'mode', 'fast')), 'mode')
    case(both, 'record-seed', checkpoint_file(record('trainer', 'seed', '12x')), 'seed')
    case(both, 'record-seed-2-64',
         checkpoint_file(record('trainer', 'seed', '18446744073709551616')),
         'seed')
    case('checkpoint', 'record-batch-0', checkpoint_file(record('trainer', 'micro_batch', 0)),
         'micro_batch is 0; it must be 1 or more')
    case('checkpoint', 'record-decay', checkpoint_file(record('trainer', 'average_decay', 2.0)),
         'decay')
    case('checkpoint', 'record-beta', checkpoint_file(record('optimizer', 'beta1', 1.0)), 'beta')
    case('checkpoint', 'record-rate', checkpoint_file(record('schedule', 'rate', -1.0)), 'schedule')
    case('checkpoint', 'record-steps', checkpoint_file(record('progress', 'steps', -1)), 'steps')
    case('checkpoint', 'record-steps-differ',
         checkpoint_file(record('progress', 'optimizer_steps', 2)),
         'steps')
    case('checkpoint', 'limit-pass', checkpoint_file(record('trainer', 'micro_batch', 1 << 20)),
         'workspace_bytes', status='LIMIT', limit='workspace_bytes=1000000')
    case(both, 'part-missing', checkpoint_file(RECORD, PARTS[1:]), "no tensor 'norm.bias/m'")
    case(both, 'part-extra',
         checkpoint_file(RECORD, PARTS + [('norm.bias/w', 'F32', [2], f32(0, 0))]),
         "tensor 'norm.bias/w' is not part of the architecture")
    case(both, 'part-of-fixed', checkpoint_file(
        RECORD, PARTS + [('conv.sign_s/m', 'F32', [2], f32(0, 0))]),
         "tensor 'conv.sign_s/m' is not part of the architecture")
    case(both, 'part-bf16', checkpoint_file(
        RECORD, [(n, 'BF16', s, v[:len(v) // 2]) if n == 'norm.bias/v' else (n, d, s, v)
                 for n, d, s, v in PARTS]), "tensor 'norm.bias/v' has another type or shape")
    case('checkpoint', 'moment-nan', checkpoint_file(
        RECORD, parts_changed('norm.bias/m', f32(0, float('nan')))),
         "tensor 'norm.bias/m': element 1 is not finite")
    case('checkpoint', 'moment-negative', checkpoint_file(
        RECORD, parts_changed('norm.logs/v', f32(-1, 0))),
         "tensor 'norm.logs/v': element 0 is negative")
    case('checkpoint', 'average-infinite', checkpoint_file(
        RECORD, parts_changed('norm.logs/average', f32(0, float('inf')))),
         "tensor 'norm.logs/average': element 1 is not finite")


def good():
    """What the others are made of has nothing wrong with it."""
    case('none', 'good', checkpoint_file(RECORD), '', status='OK')
    case('model', 'good-limit', tensor_file([('a', 'U8', [], b'\0')], {'k': 'v'}),
         'holds no libglow model', limit='name_bytes=1')
    case('checkpoint', 'good-model', model_file(), 'it is not a checkpoint')
    case('model', 'good-tensor', whole(T, FOUR), 'holds no libglow model')


def make():
    for group in (good, lengths, texts, entries, tilings, duplicates, metadata, limits, versions,
                  outlines,
                  layers, options, numbers, checkpoints):
        group()
    files = {f'{name}.safetensors': data for name, data in cases.items()}
    lines = ['# Made by tests/io/make_bad.py: file | which reader refuses it | under which limit |',
             '# status | what the message contains', *expected]
    files['expected.txt'] = ('\n'.join(lines) + '\n').encode()
    return files


def main(arguments):
    check = arguments[:1] == ['--check']
    if len(arguments) != 1 + check:
        sys.exit('usage: make_bad.py [--check] FOLDER')
    folder, files = arguments[-1], make()
    if not check:
        os.makedirs(folder, exist_ok=True)
    there = set(os.listdir(folder))
    if check:
        wrong = there.symmetric_difference(files)
        for name in there.intersection(files):
            with open(os.path.join(folder, name), 'rb') as file:
                if file.read() != files[name]:
                    wrong.add(name)
        if wrong:
            sys.exit(f'not what make_bad.py makes: {" ".join(sorted(wrong))}')
    else:
        for name in there - set(files):
            os.unlink(os.path.join(folder, name))
        for name, data in files.items():
            with open(os.path.join(folder, name), 'wb') as file:
                file.write(data)
    print(len(cases), 'bad files')


main(sys.argv[1:])
