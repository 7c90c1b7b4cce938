"""Conan 2's recipe of libglow: packaging/ports.sh puts conandata.yml, with the address and the
checksum of the tarball, beside it. SPDX-License-Identifier: MIT"""

import os

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.files import copy, get, rmdir
from conan.tools.layout import basic_layout
from conan.tools.meson import Meson, MesonToolchain

required_conan_version = ">=2.4"


class LibglowConan(ConanFile):
    name = "libglow"
    description = "Normalizing flows for C programs: Glow, RealNVP, NICE and spline flows"
    license = "MIT"
    topics = ("machine-learning", "normalizing-flows", "density-estimation", "glow")
    package_type = "library"
    languages = "C"
    implements = ["auto_shared_fpic"]
    settings = "os", "arch", "compiler", "build_type"
    options = {
        "shared": [True, False],
        "fPIC": [True, False],
        "files": [True, False],
        "simd": [True, False],
        "blas": ["none", "openblas", "blis"],
    }
    default_options = {
        "shared": False,
        "fPIC": True,
        "files": True,
        "simd": True,
        "blas": "none",  # never linked, but loaded when a program asks for its kernels
    }

    def layout(self):
        basic_layout(self, src_folder="src")

    def validate(self):
        if self.settings.compiler == "msvc":
            raise ConanInvalidConfiguration("libglow needs gcc or clang")

    def build_requirements(self):
        self.tool_requires("meson/[>=1.0.0 <2]")

    def source(self):
        get(self, **self.conan_data["sources"][self.version], strip_root=True)

    def generate(self):
        toolchain = MesonToolchain(self)
        for part in ("docs", "examples", "mpi", "tests"):
            toolchain.project_options[part] = "disabled"
        toolchain.project_options["files"] = "enabled" if self.options.files else "disabled"
        toolchain.project_options["simd"] = bool(self.options.simd)
        toolchain.project_options["blas"] = str(self.options.blas)
        toolchain.generate()

    def build(self):
        meson = Meson(self)
        meson.configure()
        meson.build()

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        Meson(self).install()
        # Conan makes files like these from package_info().
        rmdir(self, os.path.join(self.package_folder, "lib", "pkgconfig"))
        rmdir(self, os.path.join(self.package_folder, "lib", "cmake"))
        rmdir(self, os.path.join(self.package_folder, "share"))

    def package_info(self):
        self.cpp_info.libs = ["glow"]
        self.cpp_info.set_property("cmake_file_name", "libglow")
        self.cpp_info.set_property("cmake_target_name", "libglow::libglow")
        self.cpp_info.set_property("pkg_config_name", "libglow")
        if self.settings.os in ("Linux", "FreeBSD"):
            self.cpp_info.system_libs = ["m", "pthread", "dl"]
