"""`labkit course`: lessons from their sources to notebooks, a class's submissions to grades and reasons."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli.progress import progress_display
from labkit.course.lesson import lesson_sources
from labkit.guest.processors import usable_processors

if TYPE_CHECKING:
    from labkit.claims.ledger import Ledger

app = typer.Typer(no_args_is_help=True, help="The lessons: from their sources to notebooks, and to grades.")

Source = Annotated[Path, typer.Option(help="Where the lessons' sources are.")]
Course = Annotated[Path, typer.Option(help="The course root, or a folder in it.")]
SOURCES = Path("notebooks/source")
CLAIMS_PAGE = Path("docs/claims.md")
HERE = Path()


@app.callback()
def _course() -> None:
    """The lessons: from their sources to notebooks, and to grades."""


@app.command()
def release(
    source: Source = SOURCES,
    output: Annotated[Path, typer.Option(help="Where the notebooks go.")] = Path("notebooks"),
    zips: Annotated[
        Path | None, typer.Option(help="Where a zip of each notebook goes; none: no zips.")
    ] = None,
) -> None:
    """Write what students get: a notebook without solutions and outputs for every lesson, and zips."""
    from labkit.course.release import write_notebooks, write_zips

    notebooks = write_notebooks(source, output)
    for path in [*notebooks, *(write_zips(notebooks, zips) if zips else [])]:
        typer.echo(str(path))


@app.command()
def build(
    output: Annotated[Path, typer.Option(help="The course root: a folder outside of the repository.")],
    source: Source = SOURCES,
) -> None:
    """Make a course root to collect and grade in, or renew its lessons; secret, settings and grades stay."""
    from labkit.course.root import build_root

    for path in build_root(source, output):
        typer.echo(str(path))


@app.command()
def check(
    lessons: Annotated[
        list[str] | None, typer.Argument(metavar="LESSON ...", help="Lessons by name; none: all.")
    ] = None,
    source: Source = SOURCES,
    *,
    run: Annotated[bool, typer.Option(help="Run each lesson, twice in a row, and time its cells.")] = True,
) -> None:
    """Look whether every lesson is as lessons are: form, links, metadata; then run it with its solutions."""
    from labkit.course.form import check_form
    from labkit.course.rehearsal import check_outputs, check_times, rehearse

    chosen = [path for path in lesson_sources(source) if not lessons or path.stem in lessons]
    complaints = [complaint for path in chosen for complaint in check_form(path)]
    if run:
        with progress_display("Running the lessons") as on_progress:
            for done, path in enumerate(chosen):
                on_progress(done, len(chosen), path.stem)
                rehearsal = rehearse(path)
                complaints += [*check_outputs(rehearsal), *check_times(rehearsal)]
    for complaint in complaints:
        typer.echo(str(complaint))
    typer.echo(f"{len(chosen)} lessons, {len(complaints)} complaints")
    raise typer.Exit(bool(complaints))


@app.command()
def grade(
    lesson: Annotated[str, typer.Argument(help="The lesson to grade: 02-iptables-mode.")],
    course: Course = HERE,
    jobs: Annotated[int, typer.Option(help="Submissions at a time; 0: one for each processor.", min=0)] = 0,
    students: Annotated[
        list[str] | None, typer.Option("--student", help="Only this student; may be repeated.")
    ] = None,
    *,
    unconfined: Annotated[
        bool, typer.Option(help="Where the host has no Landlock: run submissions without a wall.")
    ] = False,
) -> None:
    """Grade a class: every submission in fresh guests, into nbgrader's gradebook. Go on where it was left.

    A submission that could not be executed is named, and gets no points for what was not; status 1 then.
    """
    from labkit.course.classroom import find_submissions, grade_class
    from labkit.course.executing import UNCONFINED
    from labkit.course.root import find_root

    submissions = find_submissions(find_root(course), lesson, students or ())
    arguments = (UNCONFINED,) if unconfined else ()
    count = jobs or usable_processors()
    begun_s = time.monotonic()
    with progress_display(f"Grading {lesson}") as on_progress:
        graded = grade_class(submissions, count, on_progress, kernel_arguments=arguments)
    for one in graded:
        typer.echo(f"{one.student}\t{one.points:g}\t{one.most:g}")
    sys.stderr.write(f"{len(graded)} submissions in {(time.monotonic() - begun_s) / 60:.1f} minutes\n")
    troubled = [one for one in graded if one.trouble]
    for one in troubled:
        sys.stderr.write(f"labkit: {one.student}: {one.trouble}\n")
    raise typer.Exit(bool(troubled))


@app.command()
def repair(
    file: Annotated[Path, typer.Argument(help="A submitted notebook, LESSON.ipynb.")],
    course: Annotated[
        Path | None, typer.Option(help="The course root; none: the one that FILE lies in.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Where the mended notebook goes; none: into FILE.")
    ] = None,
) -> None:
    """Mend what nbgrader rejects: copied, deleted and retyped cells, lost metadata. Say what was done."""
    from labkit.course.repair import repair_file

    repairs = repair_file(file, course or file.parent, output or file)
    for one in repairs:
        typer.echo(str(one))
    typer.echo(f"{len(repairs)} repairs" if repairs else "nothing to mend")


@app.command()
def report(
    course: Course = HERE,
    output: Annotated[
        Path | None,
        typer.Option(help="Where report.csv and report.html go; none: report/ in the course root."),
    ] = None,
) -> None:
    """Write why who got how many points: a row for each student and reason, as CSV and as a page."""
    from labkit.course.report import write_report
    from labkit.course.root import find_root

    root = find_root(course)
    for path in write_report(root, output or root / "report"):
        typer.echo(str(path))


@app.command()
def claims(
    numbers: Annotated[
        list[int] | None,
        typer.Argument(metavar="NUMBER ...", help="Measure only these sentences, and write nothing."),
    ] = None,
    output: Annotated[
        Path, typer.Option(help="The page; its figures are in the .jsonl beside it.")
    ] = CLAIMS_PAGE,
    *,
    check: Annotated[
        bool, typer.Option(help="Write nothing: do the verdicts agree with those of the page's figures?")
    ] = False,
) -> None:
    """Measure what a vendor's page claims, judge it sentence by sentence, and write the page.

    It takes minutes. Interrupted it writes nothing. With --check the status is 1 where a verdict differs.
    """
    from labkit.claims.ledger import Ledger, find_changes, measure_ledger
    from labkit.claims.page import render_lines, render_page
    from labkit.claims.sentences import find_claims
    from labkit.measure.results import write_text

    figures = output.with_suffix(".jsonl")
    before = Ledger.read(figures) if check else None
    asked = find_claims(numbers or ())
    with progress_display("Measuring the claims") as on_progress:
        ledger = measure_ledger(asked, f"{datetime.now(UTC):%Y-%m-%d}", on_progress)
    typer.echo("\n".join(render_lines(ledger.judgements)))
    if before is not None:
        _end_check(find_changes(before, ledger))
    elif not numbers:
        ledger.write(figures)
        write_text(output, render_page(ledger))
        typer.echo(f"\nThe page: {output}\nIts figures: {figures}")
    _end_measuring(ledger)


def _end_check(changes: tuple[str, ...]) -> None:
    """Say which verdicts another run does not share, and end with 1 where there are some."""
    for change in changes:
        sys.stderr.write(f"labkit: {change}\n")
    if changes:
        raise typer.Exit(1)
    typer.echo("\nEvery verdict agrees with the page's.")


def _end_measuring(ledger: Ledger) -> None:
    for failure in ledger.failures:
        sys.stderr.write(f"labkit: {failure}\n")
    if ledger.failures:
        raise typer.Exit(1)
