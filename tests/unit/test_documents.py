"""What README and the documents link to is there: files, headings, the badges' targets."""

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/**/*.md")])
LINK = re.compile(r"\[[^\[\]]*(?:\[[^\]]*\][^\[\]]*)*\]\((?P<target>[^)\s]+)\)")
DEV_CONTAINERS = sorted(ROOT.glob(".devcontainer/**/devcontainer.json"))


def text_of(document):
    """The document without what stands in fences, where brackets mean something else."""
    return re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def targets(document):
    return [link["target"] for link in LINK.finditer(text_of(document))]


def headings(document):
    """The anchors that GitHub makes of the document's headings."""
    lines = re.findall(r"^#+ (.*)$", text_of(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def test_documents_are_found_and_their_links_are_seen():
    assert {"README.md", "CONTRIBUTING.md", "architecture.md"} <= {document.name for document in DOCUMENTS}
    assert len(targets(ROOT / "README.md")) > 10


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_links_to_is_there(document):
    for target in targets(document):
        address = urlsplit(target)
        if address.scheme:
            continue
        file = document.parent / address.path if address.path else document
        assert file.exists(), target
        if address.fragment:
            assert address.fragment in headings(file), target


def badge(host):
    (link,) = {target for target in targets(ROOT / "README.md") if urlsplit(target).netloc == host}
    return urlsplit(link)


def test_the_binder_badge_opens_a_lesson_that_a_learner_gets():
    link = badge("mybinder.org")
    assert re.fullmatch(r"/v2/gh/[\w-]+/[\w-]+/HEAD", link.path)
    (opened,) = parse_qs(link.query)["urlpath"]
    lesson = ROOT / opened.removeprefix("lab/tree/")
    assert lesson.parent == ROOT / "notebooks"
    assert json.loads(lesson.read_text(encoding="utf-8"))["metadata"]["kernelspec"]["name"] == "labkit"


def test_the_codespaces_badge_leads_to_a_repository_with_a_dev_container():
    binder, codespaces = badge("mybinder.org").path, badge("codespaces.new").path
    assert binder == f"/v2/gh{codespaces}/HEAD"
    assert ROOT / ".devcontainer/devcontainer.json" in DEV_CONTAINERS


@pytest.mark.parametrize("path", DEV_CONTAINERS, ids=lambda path: path.parent.name)
def test_what_a_dev_container_names_is_there(path):
    container = json.loads(path.read_text(encoding="utf-8"))
    create = ROOT / container["onCreateCommand"]
    assert create.stat().st_mode & 0o111
    assert "ms-toolsai.jupyter" in container["customizations"]["vscode"]["extensions"]
    (opened,) = container["customizations"]["codespaces"]["openFiles"]
    assert (ROOT / opened).exists()


def test_the_dev_containers_differ_in_what_the_machine_s_own_kernel_needs():
    plain, host = (json.loads(path.read_text(encoding="utf-8")) for path in DEV_CONTAINERS)
    loosened = host.pop("runArgs")
    assert all(argument.startswith("--security-opt=") for argument in loosened)
    assert "runArgs" not in plain
    assert "privileged" not in json.dumps([plain, host])
    for container in (plain, host):
        container.pop("name")
    assert host == plain
