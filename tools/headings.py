"""Anchors of a Markdown document, as GitHub makes them of its headings."""
import re


def anchors(path):
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    for heading in re.findall(r"^#+ +(.*)$", text, re.M):
        words = re.sub(r"[`*]|\[|\]\([^)]*\)", "", heading).strip().lower()
        yield re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
