"""Versions, metadata and project files agree with each other."""

import re
import runpy
from pathlib import Path

import pytest
import setuptools

import gluonfr

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def setup_arguments(monkeypatch):
    """A function that returns the arguments of `setup` for an address of the repository."""

    def read(address=""):
        declared = {}
        monkeypatch.setenv("GLUONFR_URL", address)
        monkeypatch.setattr(setuptools, "setup", declared.update)
        runpy.run_path(str(ROOT / "setup.py"))
        return declared

    return read


@pytest.fixture
def metadata(setup_arguments):
    return setup_arguments()


def test_the_version_is_that_of_the_changelog_and_the_citation(metadata):
    released, date = re.search(r"^## (\d\S+) - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.M).groups()
    citation = (ROOT / "CITATION.cff").read_text()
    assert gluonfr.__version__ == released == metadata["version"]
    assert f"\nversion: {released}\n" in citation
    assert f'\ndate-released: "{date}"\n' in citation


def test_python_3_13_meets_no_requirement_before_it_is_refused(metadata):
    assert metadata["python_requires"] == ">=3.8,<3.13"
    versions = [re.search(r'python_version (\S+) "(.+)"', line) for line in metadata["install_requires"] if "numpy" in line]
    # NumPy 1 has no wheel for Python 3.13, and pip would build it first.
    assert all(version.groups() in [("<", "3.12"), ("==", "3.12")] for version in versions)


def test_classifiers_name_the_supported_pythons(metadata):
    named = {line.rpartition(" ")[2] for line in metadata["classifiers"] if re.search(r":: 3\.\d+$", line)}
    assert named == {"3.8", "3.9", "3.10", "3.11", "3.12"}


@pytest.mark.parametrize("address", ["https://code.test/face", ""])
def test_links_of_the_package_page_lead_somewhere(setup_arguments, address):
    metadata = setup_arguments(address)
    page = metadata["long_description"]
    links = re.findall(r"\]\(([^)\s]+)", page)
    assert not [link for link in links if not re.match(r"https?://|#", link)]
    assert not re.search(r"""(?:src|href)=["'](?!https?://|#)""", page)
    # The text of a link stays where its address is unknown.
    assert "All results" in page
    assert ("https://code.test/face/blob/main/docs/results.md" in links) == bool(address)
    assert ("https://code.test/face/raw/main/docs/images/overview.png" in links) == bool(address)
    assert bool(metadata["project_urls"]) == bool(metadata["url"]) == bool(address)


def test_files_that_the_guides_name_exist():
    for guide in ("CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md", "examples/README.md"):
        text = (ROOT / guide).read_text()
        links = re.findall(r"\]\(([^)#:]+)\)", text)
        paths = re.findall(r"`((?:tests|gluonfr|docs|tools|examples)/[a-z_/]+\.\w+)`", text)
        missing = [link for link in links if not (ROOT / guide).parent.joinpath(link).exists()]
        assert not missing + [path for path in paths if not (ROOT / path).exists()], guide


def test_targets_that_contributing_names_are_in_the_makefile():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"`make ([\w-]+)", (ROOT / "CONTRIBUTING.md").read_text())) <= targets
