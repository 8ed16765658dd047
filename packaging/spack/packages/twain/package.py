# The Spack recipe of twain, for a checkout of this repository (packaging/README.md).
from spack.package import *


class Twain(CMakePackage, CudaPackage):
    """Two parties run a transformer on secret-shared data, as a batch job of HDF5 files."""

    license("Apache-2.0")

    # built from a checkout: spack dev-build twain@main, or a spack develop --path CHECKOUT twain@main
    version("main", branch="main", git="file:///path/to/twain")

    variant("client", default=False, description="only what clients and model owners need: no MPI, no CUDA")
    variant("nccl", default=False, when="+cuda", description="NCCL between GPUs")
    variant("sentencepiece", default=True, description="models of sentencepiece")

    depends_on("c", type="build")
    depends_on("cxx", type="build", when="+sentencepiece")
    depends_on("cmake@3.21:", type="build")
    depends_on("ninja", type="build")
    depends_on("pkgconfig", type="build")

    depends_on("mpi", when="~client")
    depends_on("cunit", when="~client")
    depends_on("hdf5~mpi@1.10:")
    depends_on("hwloc@2:")
    depends_on("libsodium")
    depends_on("jansson@2.13:")
    depends_on("utf8proc")
    depends_on("pcre2")
    depends_on("openssl@3:")
    depends_on("isa-l")
    depends_on("sentencepiece", when="+sentencepiece")
    depends_on("nccl", when="+nccl")

    conflicts("+client", when="+cuda", msg="a client computes nothing: it has no CUDA")
    conflicts("cuda_arch=none", when="+cuda", msg="name the GPUs: cuda_arch=90a")

    generator("ninja")

    def cmake_args(self):
        args = [
            self.define_from_variant("TWAIN_CLIENT", "client"),
            self.define_from_variant("TWAIN_CUDA", "cuda"),
            self.define("TWAIN_NCCL", self.spec.satisfies("+nccl")),
            self.define_from_variant("TWAIN_SENTENCEPIECE", "sentencepiece"),
        ]
        if self.spec.satisfies("+cuda"):
            args.append(self.define("CMAKE_CUDA_ARCHITECTURES", [f"{a}-real" for a in self.spec.variants["cuda_arch"].value]))
        return args

    def check(self):
        ctest = which("ctest")
        if self.spec.satisfies("~client"):
            with working_dir(self.build_directory):
                ctest("--output-on-failure", "-L", "unit")
