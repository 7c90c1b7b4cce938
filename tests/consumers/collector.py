"""libglow from a language with a collector: Python through ctypes, without a module of its own.

    python3 collector.py LIBRARY

Objects are wrapped, finalizers destroy what they lead to, and they run in any order and on any
thread. Errors are asked of the context, on another thread than the one whose call failed.
SPDX-License-Identifier: MIT
"""

import concurrent.futures
import ctypes
import gc
import random
import sys

glow = ctypes.CDLL(sys.argv[1])
pointer, size = ctypes.c_void_p, ctypes.c_size_t
END = ctypes.CFUNCTYPE(None, pointer)


class ContextOptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", size),
        ("allocator", pointer),
        ("executor", pointer),
        ("threads", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("log", pointer),
        ("log_payload", pointer),
        ("kernels", ctypes.c_char_p),
        ("products", ctypes.c_int32),
        ("reserved2", ctypes.c_int32),
        ("end", END),
        ("end_payload", pointer),
    ]


class Shape(ctypes.Structure):
    _fields_ = [(side, ctypes.c_int64) for side in ("height", "width", "channels")]


class Failed(Exception):
    pass


class Object:
    """Owns what a function of the library has made."""

    def __init__(self, kind, context, function, *arguments):
        self.handle, self.destroy = pointer(), getattr(glow, f"glow_{kind}_destroy")
        status = getattr(glow, function)(*arguments, ctypes.byref(self.handle))
        if status:
            raise Failed(status, context.error() if context else "")

    def __del__(self):
        self.destroy(ctypes.byref(self.handle))

    def error(self):
        text = ctypes.create_string_buffer(1024)
        assert glow.glow_context_last_error(self.handle, text, size(len(text))) == 0
        return text.value.decode()


def make_model(context):
    """A flow of one actnorm and a prior over two numbers."""
    shape, builder, layer = Shape(1, 1, 2), pointer(), pointer()
    assert (
        glow.glow_builder_create(context.handle, ctypes.byref(shape), None, ctypes.byref(builder))
        == 0
    )
    for name in (b"norm", b"prior"):
        create = glow.glow_actnorm_create if name == b"norm" else glow.glow_prior_create
        assert create(context.handle, None, ctypes.byref(layer)) == 0
        assert glow.glow_builder_add(builder, name, ctypes.byref(layer)) == 0
    model = Object("model", context, "glow_builder_finish", ctypes.byref(builder))
    assert glow.glow_model_set_initialised(model.handle) == 0
    return model


def log_density(workspace):
    x, out = (ctypes.c_float * 2)(0.5, -1.0), ctypes.c_double()
    status = glow.glow_workspace_log_prob(
        workspace.handle, x, None, ctypes.c_int64(1), ctypes.byref(out)
    )
    assert status == 0
    return out.value


def use(order):
    """Makes objects, and lets go of them in this order."""
    gone = []
    end = END(lambda payload: gone.append(True))
    options = ContextOptions(ctypes.sizeof(ContextOptions), end=end)
    context = Object("context", None, "glow_context_create", ctypes.byref(options))
    model = make_model(context)
    workspace = Object("workspace", context, "glow_workspace_create", model.handle, None)
    trainer = Object("trainer", context, "glow_trainer_create", model.handle, None)
    assert abs(log_density(workspace) + 1.8378770664 + 0.625) < 1e-6  # -log 2 pi - |x|^2 / 2
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        wrong = ctypes.byref(ctypes.c_int64(0))
        assert (
            thread.submit(glow.glow_model_find_tensor, model.handle, b"none", wrong).result() == -15
        )
    assert "no tensor 'none'" in context.error(), context.error()
    objects = {"context": context, "model": model, "workspace": workspace, "trainer": trainer}
    del context, model, workspace, trainer
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        for name in order:
            assert not gone
            if "workspace" in objects:
                log_density(objects["workspace"])
            threads.submit(objects.pop, name).result()
            gc.collect()
    assert gone == [True], order


names = ["context", "model", "workspace", "trainer"]
shuffle = random.Random(5)
for _ in range(40):
    shuffle.shuffle(names)
    use(names)
assert glow.glow_feature(b"threads") == 1 and glow.glow_feature(b"jpeg") == 0
print("40 orders")
