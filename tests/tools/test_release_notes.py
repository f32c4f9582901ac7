"""What tools/release_notes prints, and what it refuses."""
import importlib.machinery
import importlib.util
import pathlib

import pytest

PATH = pathlib.Path(__file__).resolve().parents[2] / "tools/release_notes"
LOADER = importlib.machinery.SourceFileLoader("release_notes", str(PATH))
release_notes = importlib.util.module_from_spec(
    importlib.util.spec_from_loader("release_notes", LOADER))
LOADER.exec_module(release_notes)

CHANGELOG = """# Changelog

## 1.2.0 (unreleased)

- Next.

## 1.1.0 (2026-02-03)

Mostly repairs.

- The first matter, which is told
  in two lines.
- The second.

  A paragraph
  of its own.

```
code is
left alone
```
and text after it.

### Known faults

    indented
    code

## 1.0.0 (2026-01-02)

## 0.9 (2025-01-01)

- Once.

## 0.9 (2025-01-02)

- Twice.
"""

MESON = """project('mtc-sync', 'c',
  version: '1.1.0',
  default_options: ['c_std=c11'])
dependency('x', version: '>=9')
"""

NOTES = """Mostly repairs.

- The first matter, which is told in two lines.
- The second.

  A paragraph of its own.

```
code is
left alone
```
and text after it.

### Known faults

    indented
    code"""


def test_the_section_alone_with_its_lines_joined():
    assert release_notes.notes(CHANGELOG, "1.1.0") == NOTES
    assert release_notes.notes_of_tag(CHANGELOG, MESON, "v1.1.0") == NOTES


@pytest.mark.parametrize("version, why", [
    ("1.1", 'no sections "## 1.1"'),
    ("1.0.0", "is empty"),
    ("0.9", "2 sections"),
    ("v1.1.0", 'no sections "## v1.1.0"'),
    ("", "no sections"),
])
def test_refused(version, why):
    with pytest.raises(release_notes.Refused, match=why):
        release_notes.notes(CHANGELOG, version)


@pytest.mark.parametrize("tag", ["1.1.0", "v1.1", "v1.1.0-rc1", "v1.2.0", "v>=9", ""])
def test_a_tag_that_is_not_the_version(tag):
    with pytest.raises(release_notes.Refused, match='"v1.1.0" is expected'):
        release_notes.notes_of_tag(CHANGELOG, MESON, tag)


def test_a_tag_whose_section_is_still_unreleased():
    with pytest.raises(release_notes.Refused, match="still calls 1.2.0"):
        release_notes.notes_of_tag(CHANGELOG, MESON.replace("1.1.0", "1.2.0"), "v1.2.0")


def test_a_project_without_a_version():
    with pytest.raises(release_notes.Refused, match="names no version"):
        release_notes.notes_of_tag(CHANGELOG, "project('mtc-sync', 'c')\n" + MESON[30:], "v1.1.0")


def test_our_own_changelog_has_notes_for_our_version():
    top = PATH.parents[1]
    version = release_notes.project_version((top / "meson.build").read_text(encoding="utf-8"))
    assert release_notes.notes((top / "CHANGELOG.md").read_text(encoding="utf-8"), version)
