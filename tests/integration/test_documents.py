"""tools/check_documents: a translation keeps headings, code and links."""
import shutil
import subprocess

import pytest

from lib.stack import ROOT

ENGLISH = """# A

```text
a -> drawing
```

Read [b](b.md), see [the other](README.ru.md):

    ./dev up
    ./dev down

1. First:

       mtcctl status

```json
{"a": 1}
```

## B

Text.
"""
RUSSIAN = (ENGLISH.replace("# A", "# А").replace("drawing", "рисунок").replace("Text.", "Текст.")
           .replace("[the other](README.ru.md)", "[другой](README.md)"))


def check(folder, russian):
    (folder / "tools").mkdir()
    for name in ("check_documents", "headings.py"):
        shutil.copy(ROOT / "tools" / name, folder / "tools")
    (folder / "README.md").write_text(ENGLISH, encoding="utf-8")
    (folder / "README.ru.md").write_text(russian, encoding="utf-8")
    (folder / "b.md").write_text("# b\n", encoding="utf-8")
    (folder / "c.md").write_text("# c\n", encoding="utf-8")
    subprocess.run(["git", "init", "-q", folder], check=True)
    done = subprocess.run([folder / "tools/check_documents"], capture_output=True, text=True,
                          check=False)
    return done.returncode, done.stdout


def test_a_faithful_translation(tmp_path):
    assert check(tmp_path, RUSSIAN) == (0, "")


@pytest.mark.parametrize("old, new, breach", [
    ("## B", "### B", "has 'heading of level 3', where README.md has 'heading of level 2'"),
    ("## B\n\n", "", "has 'nothing ', where README.md has 'heading of level 2'"),
    ("Текст.", "Текст.\n\n## C", "has 'heading of level 2', where README.md has 'nothing '"),
    ("./dev down", "./dev  down", "./dev  down'"),
    ("    ./dev up\n", "", "where README.md has 'code     ./dev up"),
    ("mtcctl status", "mtcctl top", "mtcctl top'"),
    ('{"a": 1}', '{"a": 2}', "has 'code {\"a\": 2}'"),
    ("a -> рисунок", "a ->\nрисунок", "has 'drawing of lines 2'"),
    ("b.md", "c.md", "links c.md, where README.md links b.md"),
    ("[b](b.md), ", "", "links README.md, where README.md links b.md"),
])
def test_what_a_translation_must_not_change(tmp_path, old, new, breach):
    assert old in RUSSIAN
    status, text = check(tmp_path, RUSSIAN.replace(old, new, 1))
    assert status == 1 and text.startswith("README.ru.md: ") and breach in text, text
