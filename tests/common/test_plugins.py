"""Plug-ins: only an installation with exactly the named files runs, from the bytes that were compared."""

from __future__ import annotations

import os
import pickle
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from examples import DP, STUDY, study
from plugin_made import NETWORK, POINTS, STRATEGY, fresh_site, install
from wardround_client import networks
from wardround_client.hospital.joining import begin
from wardround_client.service.ward import Ward
from wardround_client.spending.policy import POLICY_NAME, policy_text, read_policy
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_client.tasks.registry import local_task
from wardround_client.training import apart
from wardround_client.training.rehearsal import rehearse, rehearse_here
from wardround_common.documents.proposal import ProposeRequest
from wardround_common.errors import PluginError, PrivacyError, StudyError
from wardround_common.keys.identity import Identity
from wardround_common.messages.rounds import Parts
from wardround_common.plugins import loading
from wardround_common.plugins.names import is_plugin
from wardround_common.results import Absence
from wardround_common.shell.study_cli import app
from wardround_common.strategies.registry import strategy_of
from wardround_common.study.file import Study, parse_canonical
from wardround_common.study.plugins import admit, plugin_here
from wardround_common.study.roster import Listed
from wardround_common.study.words.describe import describe
from wardround_common.tasks.registry import task_of
from wardround_server.rounds.absences import remedies
from wardround_simulation.workers import Broke, Job, _result_or_bug

TWO = {
    "model": {"network": "made-plugin:one-layer"},
    "training": {"strategy": "made-plugin:part", "settings": {"part": 0.5}},
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from fresh_site(tmp_path, monkeypatch)


def named(**sections: dict[str, object]) -> Study:
    """Return the small study with these parts, pinned as they are installed."""
    pinned = plugin_here("made-plugin").model_dump()
    return Study.model_validate(
        {name: table | TWO.get(name, {}) | sections.get(name, {}) for name, table in STUDY.items()}
        | {"plugin": [pinned]}
    )


def test_what_is_installed_exactly_as_named_runs(site: Path) -> None:
    install(site)
    of = named()
    assert "made steps" in rehearse_here(of)
    assert parse_canonical(of.canonical()).digest() == of.digest()
    strategy = strategy_of(of.training.strategy)
    assert strategy.step(of.training.values, None, np.ones(3, np.float32), np.ones(3))[1].tolist() == [1.5] * 3
    said = " ".join(sentence for passage in describe(of) for sentence in passage.sentences)
    assert of.plugin[0].sha256 in said
    assert "made-plugin 1.0" in said


def test_a_study_without_plugins_keeps_its_digest_and_says_nothing_of_them() -> None:
    assert b"plugin" not in study().canonical()
    assert b"settings" not in study().canonical()


@pytest.mark.parametrize("change", ["file", "version", "entry point"])
def test_files_changed_after_approval_do_not_run(site: Path, change: str) -> None:
    folder = install(site)
    of = named()
    info = site / "made_plugin-1.0.dist-info"
    if change == "file":
        (folder / "net.py").write_text(NETWORK + "\nraise SystemExit('ran')\n")
    elif change == "version":
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: made-plugin\nVersion: 1.1\n")
    else:
        (info / "entry_points.txt").write_text("[wardround.networks]\none-layer = made_plugin.steps:STRATEGY\n")
    with pytest.raises(
        PluginError, match=r"the study names made-plugin 1.0 with the SHA-256 .* and installed is"
    ) as error:
        rehearse_here(of)
    assert "wardround study plugin made-plugin" in error.value.do


def test_what_runs_are_the_bytes_that_were_compared_whatever_the_disk_holds_later(site: Path) -> None:
    folder = install(site, files={"__init__.py": "raise SystemExit('the file on the disk was imported')"})
    (folder / "__init__.py").write_text("")
    of = named()
    import py_compile

    (folder / "forged.py").write_text("raise SystemExit('compiled')")
    py_compile.compile(
        str(folder / "forged.py"), str(folder / "__pycache__" / f"net.{sys.implementation.cache_tag}.pyc")
    )
    (folder / "forged.py").unlink()
    admit(of, network=True)
    (folder / "net.py").write_text("raise SystemExit('changed')")
    (folder / "more.py").write_text("raise SystemExit('added')")
    assert networks.find(of.model.network).caption == "one layer"
    with pytest.raises(ModuleNotFoundError):
        __import__("made_plugin.more")
    with pytest.raises(PluginError):
        networks.build(of)


def test_a_module_that_was_imported_before_it_was_compared_is_imported_anew(site: Path) -> None:
    folder = install(site, files={"net.py": NETWORK.replace("one layer", "another")})
    import made_plugin.net  # type: ignore[import-not-found]

    (folder / "net.py").write_text(NETWORK)
    admit(named(), network=True)
    assert made_plugin.net.NETWORK.caption == "another"
    assert networks.find("made-plugin:one-layer").caption == "one layer"


def test_another_version_in_the_same_process_is_refused_until_it_is_restarted(site: Path) -> None:
    folder = install(site)
    admit(named(), network=True)
    (folder / "net.py").write_text(NETWORK + "\n")
    with pytest.raises(PluginError, match=r"this process runs made-plugin 1.0"):
        admit(named(), network=True)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"direct": {"url": "file:///x", "dir_info": {"editable": True}}}, "editable"),
        ({"record": False}, "no RECORD"),
        ({"listed": ("a.pth",)}, "runs whenever Python starts"),
        ({"listed": ("sitecustomize.py",)}, "runs whenever Python starts"),
        ({"listed": ("sitecustomize/__init__.py",)}, "runs whenever Python starts"),
        (
            {"points": POINTS | {"torch.backends": {"any": "{m}.net:NETWORK"}}},
            "entry points of torch.backends, by which",
        ),
        ({"points": POINTS | {"wardround.commands": {"any": "{m}.net:NETWORK"}}}, "entry points of wardround.commands"),
        ({"listed": ("__pycache__/typing_extensions.cpython-311.pyc",)}, "part of another package"),
        ({"listed": ("torch/__pycache__/__init__.cpython-311.pyc",)}, "part of another package"),
        ({"listed": ("made_plugin/__pycache__/hidden.cpython-311.pyc",)}, "part of another package"),
        ({"listed": ("other-1.0.dist-info/entry_points.txt",)}, "part of another package"),
        ({"listed": ("made_plugin-0.9.dist-info/entry_points.txt",)}, "part of another package"),
        ({"listed": ("made_plugin_more-1.0.dist-info/entry_points.txt",)}, "part of another package"),
        ({"listed": ("../../../bin/tool",)}, "outside its own folder"),
        ({"listed": ("/etc/passwd",)}, "outside its own folder"),
        ({"listed": ("made_plugin\\x.py",)}, "outside its own folder"),
        ({"listed": ("made_plugin/fast.so",)}, "compiled code"),
        ({"listed": ("json.py",)}, "cannot be read|name of another"),
        ({"listed": ("wardround_client/networks/tiny_cnn.py",)}, "cannot be read|name of another"),
        ({"listed": ("made_plugin/gone.py",)}, "gone.py cannot be read"),
        ({"points": {}}, "declares no part"),
    ],
)
def test_a_package_of_which_nobody_can_say_what_runs_is_refused(site: Path, how: dict[str, object], why: str) -> None:
    install(site, **how)  # type: ignore[arg-type]
    with pytest.raises(PluginError, match=why):
        plugin_here("made-plugin")


@pytest.mark.parametrize("left", ["", "Name: made-plugin\nVersion: \x1b[31m1\n", "Version: 1\n", None])
def test_metadata_that_an_interruption_left_is_told_and_breaks_no_list(site: Path, left: str | None) -> None:
    install(site)
    file = site / "made_plugin-1.0.dist-info" / "METADATA"
    file.unlink() if left is None else file.write_text(left)
    with pytest.raises(PluginError, match=r"does not say which package|is not installed"):
        plugin_here("made-plugin")
    with pytest.raises(PluginError, match="Installed: "):
        plugin_here("not-there")


def test_what_pip_writes_about_a_package_and_compiles_of_it_is_no_reason_to_refuse_it(site: Path) -> None:
    about = ("WHEEL", "entry_points.txt", "licenses/LICENSE")
    compiled = ("made_plugin/__pycache__/net.cpython-311.pyc", "made_plugin/__pycache__/net.cpython-311.opt-1.pyc")
    install(site, listed=(*(f"made_plugin-1.0.dist-info/{name}" for name in about), *compiled))
    assert plugin_here("made-plugin").version == "1.0"


def test_a_package_that_wrote_over_a_module_of_another_is_refused(site: Path) -> None:
    install(site, "other-plugin", listed=("shared.py",))
    (site / "shared.py").write_text("")
    assert plugin_here("other-plugin")
    install(site, listed=("shared.py",))
    with pytest.raises(PluginError, match="module shared has the name of another that is installed too"):
        plugin_here("made-plugin")


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(site: Path) -> None:
    folder = install(site)
    (folder / "net.py").unlink()
    os.mkfifo(folder / "net.py")
    with pytest.raises(PluginError, match=r"net.py is no file"):
        plugin_here("made-plugin")


def test_a_file_that_was_added_or_linked_is_refused(site: Path) -> None:
    folder = install(site)
    (folder / "added.py").write_text("")
    with pytest.raises(PluginError, match=r"added.py was added"):
        plugin_here("made-plugin")
    (folder / "added.py").unlink()
    (folder / "net.py").unlink()
    (folder / "net.py").symlink_to("steps.py")
    with pytest.raises(PluginError, match="link to another place"):
        plugin_here("made-plugin")


@pytest.mark.parametrize("module", ["json", "wardround_client", "numpy", "wardround"])
def test_a_module_with_the_name_of_another_is_refused(site: Path, module: str) -> None:
    install(site, package=module.replace("_", "-"), version="99")
    with pytest.raises(PluginError, match="the name of another"):
        plugin_here(module.replace("_", "-"))


@pytest.mark.parametrize("name", ["../x", "a/b", "own", "A", "a--b", "a b", "é", ""])
def test_a_name_with_other_characters_means_no_package(name: str) -> None:
    assert not is_plugin(f"{name}:part")
    if name != "own":
        with pytest.raises(PluginError, match="cannot be called"):
            plugin_here(name)


def test_no_plugin_stands_in_the_place_of_a_builtin(site: Path) -> None:
    points = {
        "wardround.networks": {"tiny-cnn": "{m}.net:NETWORK"},
        "wardround.strategies": {"fedavg": "{m}.steps:STRATEGY"},
    }
    install(site, points=points)
    admit(
        named(model={"network": "made-plugin:tiny-cnn"}, training={"strategy": "fedavg", "settings": {}}), network=True
    )
    assert networks.find("tiny-cnn").caption != "one layer"
    assert networks.find("made-plugin:tiny-cnn").caption == "one layer"
    assert strategy_of("fedavg").keys == ()


def test_the_study_says_which_entry_is_missing_unused_or_twice(site: Path) -> None:
    install(site)
    pinned = plugin_here("made-plugin").model_dump()
    with pytest.raises(
        StudyError, match=r"no \[\[plugin\]\] pins the package made-plugin; add it: wardround study plugin"
    ):
        study().of_tables(study(**TWO, plugin=None).tables() if False else {**STUDY, "model": TWO["model"]}, where="x")
    with pytest.raises(StudyError, match="no key of the study names a part of it"):
        Study.of_tables({**STUDY, "plugin": [pinned]}, where="x")
    with pytest.raises(StudyError, match="more than once"):
        Study.of_tables({**STUDY, "model": TWO["model"], "plugin": [pinned, pinned]}, where="x")
    assert Study.new(network="made-plugin:one-layer", image_size=16).plugin[0].model_dump() == pinned


def test_what_is_not_installed_can_be_read_and_is_refused_with_what_to_do(site: Path) -> None:
    folder = install(site)
    of = named()
    for file in (*folder.glob("*"), *site.glob("*.dist-info/*")):
        file.unlink()
    (site / "made_plugin-1.0.dist-info").rmdir()
    again = parse_canonical(of.canonical())
    assert "made-plugin:part, a part of a plug-in" in strategy_of(again.training.strategy).words
    with pytest.raises(PluginError, match="the plug-in made-plugin is not installed"):
        rehearse_here(again)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"net.py": "import nothing_of_this_name"}, "network 'one-layer' cannot be imported .*ModuleNotFoundError"),
        ({"net.py": "NETWORK = 1"}, "network 'one-layer' is no Network but an int"),
        ({"net.py": NETWORK.replace("return nn", "return 1 / 0, nn")}, "cannot be built: ZeroDivisionError"),
        ({"net.py": NETWORK.replace("return nn", "return 1, nn")}, "no torch.nn.Module but a tuple"),
        ({"steps.py": "STRATEGY = 1"}, "strategy 'part' is no Strategy but an int"),
        (
            {"steps.py": STRATEGY.replace("return None, (", "return None, (1 / 0 + ")},
            "strategy 'part' fails: ZeroDivision",
        ),
        ({"steps.py": STRATEGY.replace("return None, (", "return (")}, "strategy 'part' returns no pair"),
        (
            {"steps.py": STRATEGY.replace("astype(np.float32)", "astype(np.float32)[:2]")},
            "'part' returns float32 of the sh",
        ),
        ({"steps.py": STRATEGY.replace("parameters +", "np.random.rand() +")}, "another model when it is asked again"),
    ],
)
def test_code_that_does_not_do_what_its_kind_does_is_told_as_the_plugins(
    site: Path, files: dict[str, str], why: str
) -> None:
    install(site, files=files)
    with pytest.raises(PluginError, match=why) as error:
        rehearse_here(named())
    assert error.value.where.startswith("plug-in made-plugin")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, "needs part, such as part = 0.5"),
        ({"other": 1.0}, "does not use 'other'"),
        ({"part": -1.0}, "greater than 0"),
    ],
)
def test_settings_are_those_that_the_strategy_declares(site: Path, settings: dict[str, float], why: str) -> None:
    install(site)
    with pytest.raises(PluginError, match=why):
        admit(named(training={"settings": settings}), network=False)


def test_the_command_prints_the_table_that_pins_a_package(site: Path) -> None:
    install(site)
    listed = CliRunner().invoke(app, ["plugin"])
    assert "made-plugin: network made-plugin:one-layer, strategy made-plugin:part" in listed.output
    printed = CliRunner().invoke(app, ["plugin", "made-plugin"]).output
    assert Study.of_tables({**STUDY, "model": TWO["model"], **tomllib.loads(printed)}, where="a test").plugin_parts


HANGS = NETWORK.replace("return nn", "import time; time.sleep(60); return nn")
LEAVES = NETWORK.replace(
    "return nn",
    "import os; print('said'); f = '/proc/self/oom_score_adj'; "
    "os._exit(7 if not os.path.exists(f) or open(f).read() == '1000\\n' else 8); return nn",
)
"""It ends the process with 7, which Linux would end before others where memory is short."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "why"), [(HANGS, "did not end within 12 s"), (LEAVES, r"ended the process in which .* \(exit code 7\)")]
)
def test_code_that_hangs_or_ends_its_process_is_refused_and_takes_nothing_along(
    site: Path, monkeypatch: pytest.MonkeyPatch, source: str, why: str
) -> None:
    monkeypatch.setattr(apart, "LIMIT_S", 12.0 if source == HANGS else 300.0)
    install(site, files={"net.py": source})
    with pytest.raises(PluginError, match=why) as error:
        rehearse(named())
    assert error.value.where == "plug-in made-plugin 1.0"


FAILING = """
from torch import nn
from wardround_client.networks import Network

class Fails(nn.Sequential):
    def forward(self, images):
        return self.answer(super().forward(images))

    def answer(self, logits):
        {body}

def build(channels, outputs, norm, dims):
    return Fails(nn.Flatten(), nn.Linear(channels * 16 * 16, outputs))

NETWORK = Network(build, "fails")
"""


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("return logits[:, :1]", r"network 'one-layer' gives \(2, 1\) in place of \(2, 2\) numbers"),
        ("return [logits]", "network 'one-layer' gives a list in place of"),
        ("return logits + {}['key']", r"failed at made_plugin/net.py, line 10, in answer: KeyError: 'key'"),
        ("import sys; sys.exit(0)", r"failed at made_plugin/net.py, line 10, in answer: SystemExit"),
    ],
)
def test_a_network_that_raises_or_lies_about_shapes_is_told_as_itself(site: Path, body: str, why: str) -> None:
    install(site, files={"net.py": FAILING.replace("{body}", body)})
    with pytest.raises(PluginError, match=why) as error:
        rehearse_here(named())
    assert error.value.where.startswith("plug-in made-plugin")


def test_code_that_fails_in_a_round_is_told_as_the_plugins_and_want_of_memory_is_not(site: Path) -> None:
    late = "if len(logits) > 2: {body}\n        return logits"
    for body, told in (("raise OverflowError('x' * 999)", True), ("raise MemoryError", False)):
        install(site, files={"net.py": FAILING.replace("{body}", late.replace("{body}", body))})
        of = named()
        rehearse_here(of)
        network = networks.build(of)
        job = Job(network, (torch.zeros(3, 1, 16, 16),), "a")
        if told:
            result = _result_or_bug(job)
            assert isinstance(result, PluginError)
            assert re.search(r"failed at made_plugin/net.py, line 10, in answer: OverflowError: x{300}…", str(result))
        else:
            assert isinstance(_result_or_bug(job), Broke)
        loading._LOADED.clear()
        loading._PARTS.clear()
        for file in (*site.glob("*.dist-info/*"), *site.glob("*.dist-info")):
            file.unlink() if file.is_file() else file.rmdir()


@pytest.mark.slow
def test_what_stops_a_private_study_is_found_in_a_plugins_network_too(site: Path) -> None:
    mixes = NETWORK.replace("nn.Flatten(),", "nn.BatchNorm2d(channels), nn.Flatten(),")
    install(site, files={"net.py": mixes})
    with pytest.raises(PrivacyError, match="the network made-plugin:one-layer cannot be trained with privacy"):
        rehearse_here(named(privacy=DP))


def test_a_plugins_loss_that_mixes_patients_is_refused_in_a_private_study(site: Path) -> None:
    install_example(site, ".square()\n", ".square() * outputs.abs().mean()\n")
    with pytest.raises(PluginError, match="its loss gives a record another number beside other records") as error:
        rehearse_here(bright(privacy=DP))
    assert error.value.where == "task example-plugin:brightness"


@pytest.mark.slow
def test_a_plugins_loss_of_each_record_alone_is_taken_in_a_private_study(site: Path) -> None:
    install_example(site)
    assert rehearse_here(bright(privacy=DP)).endswith("the gradient of each image is its own")


@pytest.mark.slow
def test_no_file_of_the_working_folder_runs_in_a_rehearsal_apart(
    site: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site)
    folder = tmp_path_factory.mktemp("images")
    (folder / "torch.py").write_text("raise SystemExit('a file beside the images ran')")
    monkeypatch.chdir(folder)
    assert "made steps" in rehearse(named())


def test_a_hospital_tells_the_coordinator_that_a_plugin_failed_and_its_own_people_where(site: Path) -> None:
    install(site, files={"net.py": FAILING.replace("{body}", "raise OverflowError('numbers of a patient')")})
    folder = HospitalFolder(site / "state")
    (site / "images").mkdir()
    begin(folder, "a", site / "images", None, datetime.now(UTC))
    listed = [Listed.of("a", folder.identity().public), Listed.of("b", Identity(bytes(32)).public)]
    of = named().model_copy(update={"roster": tuple(listed)})
    ward = Ward(folder)
    ward.answer("propose", ProposeRequest(of).parts())
    ward.approvals.decide(of, "approved")
    admit(of, network=True)
    images = torch.zeros(2, 1, 16, 16)
    (folder.path / POLICY_NAME).write_text(policy_text())
    ward._under[of.digest()] = read_policy(folder.path / POLICY_NAME)
    ward._open[of.digest()] = SimpleNamespace(answer=lambda kind, parts: networks.build(of)(images))  # type: ignore[assignment]
    with pytest.raises(PluginError, match=r"failed at made_plugin/net.py, line 10") as error:
        ward.answer("prepare", Parts({"study": of.digest(), "send_parameters": 0}))
    assert error.value.kind == "plugin"
    assert "plug-in" in remedies((Absence(hospital="a", kind="plugin"),))
    assert of.digest() not in ward._open


EXAMPLE = Path(__file__).parents[2] / "examples/plugin/example_plugin"
BRIGHT = {"task": {"name": "example-plugin:brightness"}}
HALVES = {
    "wardround.tasks": {"brightness": "{m}.brightness:TASK"},
    "wardround.tasks.local": {"brightness": "{m}.brightness_at_hospitals:TASK"},
}


def install_example(
    site: Path, changed: str = "", to: str = "", points: Mapping[str, Mapping[str, str]] = HALVES
) -> None:
    files = {path.name: path.read_text().replace(changed, to) for path in EXAMPLE.glob("*.py")}
    install(site, "example-plugin", files, points)


def bright(**sections: dict[str, object]) -> Study:
    pinned = plugin_here("example-plugin").model_dump()
    return Study.of_tables({**STUDY, **BRIGHT, **sections, "plugin": [pinned]}, where="a test")


def test_a_task_is_read_and_sent_to_another_process_by_the_code_that_the_study_pins(site: Path) -> None:
    install_example(site)
    of = bright()
    assert parse_canonical(of.canonical()) == of
    assert local_task(of.task).task is task_of(of.task)
    sent = pickle.dumps(of)
    loading._LOADED.clear()  # as in a process that was only just started
    loading._PARTS.clear()
    again = pickle.loads(sent)  # noqa: S301
    assert (again.digest(), task_of(again.task).headline) == (of.digest(), "error")
    assert Study.new(task="example-plugin:brightness").plugin == of.plugin
    (site / "example_plugin" / "brightness.py").write_text("raise SystemExit('ran')")
    with pytest.raises(PluginError, match=r"names example-plugin 1.0 with .* and installed is"):
        parse_canonical(of.canonical())
    with pytest.raises(PluginError, match=r"names example-plugin 1.0 with .* and installed is"):
        ProposeRequest.parse(ProposeRequest(of).parts())


def test_a_new_study_of_a_plugins_task_is_written_with_its_pin(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_example(site)
    monkeypatch.chdir(site)
    done = CliRunner().invoke(app, ["new", "bright", "--task", "example-plugin:brightness", "--no-dp"])
    assert (done.exit_code, "Set its modalities" in done.output) == (0, True), done.output
    assert Study.read("bright.toml").plugin == bright().plugin


@pytest.mark.parametrize(
    ("changed", "to", "why"),
    [
        (
            'name="example-plugin:brightness",',
            'name="classification",',
            "its task 'brightness' calls itself 'classific",
        ),
        ("TASK = Task", "TASK = 1 or Task", "its task 'brightness' is no Task but an int"),
        ("import numpy as np", "import nothing_so", "its task 'brightness' cannot be imported"),
    ],
)
def test_a_task_that_is_another_than_it_says_is_refused(site: Path, changed: str, to: str, why: str) -> None:
    install_example(site, changed, to)
    with pytest.raises(PluginError, match=why):
        bright()


def test_a_task_without_its_half_at_hospitals_is_refused_there(site: Path) -> None:
    install_example(site, points={"wardround.tasks": HALVES["wardround.tasks"]})
    with pytest.raises(PluginError, match="it has no local task 'brightness'"):
        rehearse_here(bright())


def test_a_study_with_a_plugins_task_says_what_is_missing(site: Path) -> None:
    with pytest.raises(PluginError, match="the plug-in example-plugin is not installed"):
        Study.new(task="example-plugin:brightness")
    with pytest.raises(StudyError, match=r"\[task\] name = 'example-plugin:brightness'"):
        Study.of_tables({**STUDY, **BRIGHT}, where="a test")
