import chart_samples as samples
import pytest

from labkit.chart.controls import AlgorithmChooser, ProgressBar
from labkit.chart.distribution import show_distribution
from labkit.errors import RequestError

CHOICES = [("iptables", "random"), ("ipvs", "rr"), ("ipvs", "sed")]


def in_python(mode, scheduler, connections):
    return f"measure <{mode}> <{scheduler}> <{connections}>"


def test_the_button_measures_what_is_chosen_and_is_off_meanwhile(capsys):
    calls = []

    def measure(mode, scheduler, connections):
        enabled = [not widget.disabled for widget in (chooser.button, chooser.algorithm, chooser.connections)]
        calls.append((mode, scheduler, connections, any(enabled)))
        return show_distribution(samples.run(scheduler, mode=mode))

    chooser = AlgorithmChooser(measure, in_python, CHOICES)
    chooser.algorithm.value = ("ipvs", "rr")
    chooser.connections.value = 40
    assert chooser.python == "measure <ipvs> <rr> <40>"
    assert "measure &lt;ipvs&gt; &lt;rr&gt; &lt;40&gt;" in chooser.line.value
    chooser.button.click()
    assert calls == [("ipvs", "rr", 40, False)]
    assert not chooser.button.disabled
    assert "Done: ipvs rr." in chooser.status.value
    assert capsys.readouterr().err == ""


def test_a_lab_error_shows_as_its_own_lines_and_the_control_stays_alive():
    def measure(_mode, _scheduler, _connections):
        raise RequestError("no such scheduler", where="ipvs", todo="choose another")

    chooser = AlgorithmChooser(measure, in_python, CHOICES)
    chooser.button.click()
    assert "no such scheduler\n  where: ipvs\n  to do: choose another" in chooser.status.value
    assert not chooser.button.disabled


def test_an_empty_menu_is_refused():
    with pytest.raises(RequestError, match="no algorithm to choose from"):
        AlgorithmChooser(print, in_python, [])


def test_the_bar_shows_how_far_the_work_is():
    bar = ProgressBar()
    bar(3, 14, "ipvs lc")
    assert (bar.bar.value, bar.bar.max) == (3, 14)
    assert "3 of 14: ipvs lc" in bar.label.value


def test_the_bar_stands_still_and_red_where_the_work_failed(capsys):
    bar = ProgressBar()

    def fail():
        with bar:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert bar.bar.bar_style == "danger"
    capsys.readouterr()
