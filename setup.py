import os
import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+?)"', (HERE / "gluonfr/version.py").read_text(encoding="utf-8")).group(1)
README = HERE / "README.md"
# Address of the repository: `GLUONFR_URL=https://... make release`. Without it the metadata has no links to files.
URL = os.environ.get("GLUONFR_URL", "").rstrip("/")


def long_description() -> str:
    """Return the README for pages that are not beside its files: links to files are absolute, or text without an address."""
    text = README.read_text(encoding="utf-8") if README.exists() else ""
    if URL:
        text = re.sub(r"(!\[[^\]]*\]\()(?!https?:)", rf"\1{URL}/raw/main/", text)
        return re.sub(r"\]\((?!https?:|#)", f"]({URL}/blob/main/", text)
    text = re.sub(r"!\[[^\]]*\]\((?!https?:)[^)]*\)", "", text)
    return re.sub(r"\[([^\]]*)\]\((?!https?:|#)[^)]*\)", r"\1", text)


# MXNet 1.9.1 is not named here: its CPU and CUDA packages ship the same `mxnet` folder, so each is an extra.
# No marker is true on Python 3.13, so that pip refuses it at once instead of building an old NumPy first.
NUMPY = [
    'numpy>=1.21,<1.24; python_version < "3.12"',
    'numpy>=1.26,<2; python_version == "3.12"',
    'setuptools; python_version == "3.12"',
]
# protobuf 3.20.3 is pure Python and slow; opencv-python, which gluoncv asks for, ships the same folder as the headless wheel.
ONNX = ["onnx", "onnxruntime", "protobuf>=4,<7"]
# Weights of the MTCNN detector (MIT). Its own code is not used: that needs TensorFlow.
ALIGN = ['mtcnn==1.0.0; python_version >= "3.10"', "lz4>=4.3"]
# Decodes photos of phones (BSD; its wheels contain libheif and libde265, LGPL).
HEIF = ["pi-heif"]
# dlib's weights (CC0), 100 MB with others that are not used. Its code is not run.
FREE = ["face-recognition-models==0.3.0"]
# 2.5 and before ask for milvus-lite, 170 MB that are not used.
MILVUS = ["pymilvus>=2.6.17,<2.7"]
# A real server, 58 MB and 450 MB unpacked, for the tests of the engine.
MILVUS_SERVER = ['milvus==2.3.5; sys_platform == "linux" and platform_machine == "x86_64"']
# MXNet for CUDA 11 and NVIDIA's libraries that it loads, by the file names that it was linked with; 2.3 GB of downloads.
_LINUX = '; sys_platform == "linux" and platform_machine == "x86_64"'
CU112 = [
    f"mxnet-cu112==1.9.1{_LINUX}",
    *(
        f"nvidia-{name}{_LINUX}"
        for name in (
            "cuda-runtime-cu11>=11.7,<12",
            "cuda-nvrtc-cu11>=11.7,<12",
            "nvtx-cu11>=11.7,<12",
            "cublas-cu11>=11.10,<12",
            "cufft-cu11>=10.7,<11",
            "curand-cu11>=10.2,<11",
            "cusparse-cu11>=11.7,<12",
            "cusolver-cu11>=11.4,<12",
            "nccl-cu11>=2.14,<3",
            "cudnn-cu11>=8.5,<9",
        )
    ),
]
GLUONCV = ["gluoncv==0.10.5.post0", "opencv-python<4.12"]
# The newest of both for each Python; tried: 0.124 with Python 3.8, 0.165 with 3.11 and 3.12.
SERVE = ["fastapi>=0.124,<1", "uvicorn>=0.33,<1"]
# The documentation site, with Python 3.10 and later.
DOCS = ["mkdocs-material>=9.5,<10", "mkdocstrings-python>=1.16", "latex2mathml>=3.77"]
# The client of MLflow; the server, with which it is tested, is 100 MB more.
MLFLOW = ["mlflow-skinny>=2,<4"]
TRACKERS = [f'{name}; python_version >= "3.10"' for name in ("mlflow>=3,<4", "optuna", "tensorboard")]
# What runs examples/notebooks without a browser.
NOTEBOOK = ["nbclient", "nbformat", "ipykernel"]
# With Python 3.8 and 3.9 pip would look for versions of these that fit for longer than is useful.
NEWER = [f'{name}; python_version >= "3.10"' for name in ("selenium", *NOTEBOOK)]
PYTEST = ["pytest>=7", "pytest-xdist", "pytest-cov", "pytest-timeout"]
TEST = [*PYTEST, "ruff==0.17.6", "mypy", "codespell", "psutil", *ONNX, *ALIGN, *SERVE]
# What needs servers, a browser, notebooks or large downloads.
TEST_SYSTEM = [*FREE, *HEIF, *MILVUS, *MILVUS_SERVER, *NEWER, *TRACKERS]

setup(
    name="gluonfr",
    version=VERSION,
    description="Face recognition with Apache MXNet/Gluon",
    long_description=long_description(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    author="The gluonfr developers",
    url=URL,
    project_urls={
        "Documentation": f"{URL}/blob/main/docs/index.md",
        "Source": URL,
        "Issues": f"{URL}/issues",
        "Changelog": f"{URL}/blob/main/CHANGELOG.md",
    }
    if URL
    else {},
    keywords="face recognition, face verification, metric learning, ArcFace, MXNet, Gluon",
    classifiers=[
        "Development Status :: 5 - Production/Stable",
        "Environment :: Console",
        "Environment :: GPU :: NVIDIA CUDA :: 11",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(8, 13)),
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    packages=find_packages(include=["gluonfr", "gluonfr.*"]),
    package_data={
        "gluonfr": ["py.typed"],
        "gluonfr.evaluation.report": ["html/*"],
        "gluonfr.evaluation.detectors": ["html/*"],
        "gluonfr.apps.serve": ["page/*"],
        "gluonfr.ops": ["*.cc"],
        "gluonfr.apps.runs": ["html/*"],
    },
    python_requires=">=3.8,<3.13",
    install_requires=NUMPY
    + [
        "opencv-python-headless<4.12",
        "scikit-learn",
        "scipy",
        "tqdm",
        "matplotlib>=3.7",
        "pillow",
        "jinja2>=3",
        "argcomplete>=2",
    ],
    extras_require={
        "cpu": ["mxnet==1.9.1"],
        "cu112": CU112,
        "gluoncv": GLUONCV,
        "onnx": ONNX,
        "align": ALIGN,
        "free": FREE,
        "milvus": MILVUS,
        "mlflow": MLFLOW,
        "heif": HEIF,
        "serve": SERVE,
        "test": TEST,
        "test-system": TEST_SYSTEM,
        "docs": DOCS,
        "notebook": ["notebook", *NOTEBOOK],
    },
    entry_points={"console_scripts": ["gluonfr = gluonfr.cli:main"]},
)
