import ast
import inspect
import os
import subprocess
import sys
import threading
import time
import types
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from limner.errors import MissingExtra, ModelError, OptionError, OutOfMemory, PromptError
from limner.protocols import Model, ModelRef
from limner.registry import pool as runtime
from limner.registry.device import SPINS, choose, devices, memory_limit, tune_allocator
from limner.registry.weights import Runtime, Weights

CPU = Runtime("cpu", "float32")


@dataclass
class FakeModel:
    ref: ModelRef


@dataclass
class FakeFamily:
    """A family whose ``load`` counts, waits and fails as told."""

    loaded: list[str] = field(default_factory=list)
    error: Exception | None = None
    seconds: float = 0.0

    def load(self, weights: Weights, where: Runtime) -> FakeModel:
        time.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        self.loaded.append(weights.ref.name)
        return FakeModel(weights.ref)


FAMILIES = {"sam": "fake_family:load"}


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> FakeFamily:
    fake = FakeFamily()
    module = types.ModuleType("fake_family")
    module.load = fake.load  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fake_family", module)
    return fake


def weights(folder: Path, name: str, size: int = 1000) -> Weights:
    """A folder with ``size`` bytes of weights."""
    path = folder / name
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text('{"model_type": "sam"}')
    (path / "model.safetensors").write_bytes(b"\0" * size)
    return Weights(ModelRef(name, "sam", "MIT"), path, {"threshold": 0.1})


# ---- choose


@pytest.mark.parametrize(
    ("device", "dtype", "expected"),
    [
        ("cpu", "fp32", Runtime("cpu", "float32")),
        ("cpu", "bf16", Runtime("cpu", "bfloat16")),
        ("cpu", "float16", Runtime("cpu", "float16")),
    ],
)
def test_what_is_asked_for_is_taken(device: str, dtype: str, expected: Runtime) -> None:
    assert choose(device, dtype) == expected


@pytest.mark.parametrize("able", [True, False])
def test_bfloat16_on_a_cpu_only_where_it_is_multiplied(
    able: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": able})
    assert choose("cpu") == Runtime("cpu", "bfloat16" if able else "float32")


@pytest.mark.parametrize(
    ("native", "dtype"), [(True, "bfloat16"), (False, "float16")], ids=["ampere", "turing"]
)
def test_a_gpu_is_preferred(native: bool, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation=True: native)
    assert devices() == ("cuda:0", "cuda:1", "cpu")
    assert choose() == Runtime("cuda:0", dtype)
    assert choose("cuda") == Runtime("cuda:0", dtype)
    assert choose("cuda:1").device == "cuda:1"
    with pytest.raises(OptionError, match="cuda:0, cuda:1, cpu"):
        choose("cuda:2")


def test_a_mac_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert choose() == Runtime("mps", "float32")


@pytest.mark.parametrize(
    ("device", "dtype", "listed"), [("tpu", None, "cpu"), ("cpu", "int4", "bfloat16")]
)
def test_an_unknown_name_is_answered_with_what_there_is(
    device: str, dtype: str | None, listed: str
) -> None:
    with pytest.raises(OptionError, match=listed):
        choose(device, dtype)


# ---- the allocator


def test_the_allocator_is_tuned_only_on_request() -> None:
    calls = [
        node
        for node in ast.parse(inspect.getsource(runtime)).body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ]
    assert calls == [], "importing the module does nothing"


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_tuning_keeps_freed_memory() -> None:
    code = """
import ctypes, resource, sys
import numpy as np
from limner.registry import device
tuned = device.tune_allocator() if sys.argv[1] == "tune" else False
np.ones(2**22)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(2**22)
print(tuned, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    plain = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    faults = {}
    for mode in ("tune", "leave"):
        command = [sys.executable, "-c", code, mode]
        out = subprocess.run(command, env=plain, capture_output=True, text=True, check=True).stdout
        tuned, count = out.split()
        assert tuned == str(mode == "tune")
        faults[mode] = int(count)
    assert faults["tune"] * 5 < faults["leave"]


def test_the_users_own_settings_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    assert tune_allocator() is False


# ---- the pool


def test_a_model_is_loaded_once(family: FakeFamily, tmp_path: Path) -> None:
    pool = runtime.ModelPool(10_000, FAMILIES)
    first = pool.get(weights(tmp_path, "a"), CPU)
    assert pool.get(weights(tmp_path, "a"), CPU) is first
    assert isinstance(first, Model)
    assert family.loaded == ["a"]


@pytest.mark.parametrize(
    "change",
    [
        lambda w: (w, Runtime("cpu", "bfloat16")),
        lambda w: (Weights(w.ref, w.path, {"threshold": 0.2}), CPU),
        lambda w: (Weights(ModelRef("a", "sam", "MIT", "other"), w.path, w.defaults), CPU),
    ],
    ids=["runtime", "defaults", "revision"],
)
def test_another_runtime_or_setting_is_another_model(  # type: ignore[no-untyped-def]
    change, family: FakeFamily, tmp_path: Path
) -> None:
    pool = runtime.ModelPool(10_000, FAMILIES)
    one = weights(tmp_path, "a")
    assert pool.get(*change(one)) is not pool.get(one, CPU)


@pytest.mark.parametrize(
    ("asked", "budget", "live"),
    [
        ("abc", 3000, ("a", "b", "c")),
        ("abcd", 3000, ("b", "c", "d")),
        ("abcad", 3000, ("c", "a", "d")),
        ("abab", 1000, ("b",)),
        ("abc", 500, ("c",)),
    ],
    ids=["fits", "oldest goes", "use keeps", "one at a time", "too large is kept alone"],
)
def test_the_least_recently_used_goes_first(
    asked: str, budget: int, live: tuple[str, ...], family: FakeFamily, tmp_path: Path
) -> None:
    pool = runtime.ModelPool(budget, FAMILIES)
    for name in asked:
        pool.get(weights(tmp_path, name), CPU)
    assert pool.names() == live


def test_room_is_made_before_the_next_is_loaded(family: FakeFamily, tmp_path: Path) -> None:
    pool = runtime.ModelPool(1500, FAMILIES)
    pool.get(weights(tmp_path, "a"), CPU)
    family.error = ValueError("no")
    with pytest.raises(ModelError):
        pool.get(weights(tmp_path, "b"), CPU)
    assert pool.names() == ()


def test_a_model_without_weights_displaces_none(family: FakeFamily, tmp_path: Path) -> None:
    pool = runtime.ModelPool(1000, FAMILIES)
    pool.get(weights(tmp_path, "a"), CPU)
    pool.get(Weights(ModelRef("light", "sam", "MIT")), CPU)
    assert pool.names() == ("a", "light")
    pool.clear()
    assert pool.names() == ()


def test_threads_share_one_load_and_live_models_wait_for_none(
    family: FakeFamily, tmp_path: Path
) -> None:
    pool = runtime.ModelPool(10_000, FAMILIES)
    live = pool.get(weights(tmp_path, "a"), CPU)
    family.seconds = 0.5
    slow = weights(tmp_path, "b")
    got: list[Model] = []
    threads = [threading.Thread(target=lambda: got.append(pool.get(slow, CPU))) for _ in range(4)]
    for thread in threads:
        thread.start()
    start = time.perf_counter()
    assert pool.get(weights(tmp_path, "a"), CPU) is live
    assert time.perf_counter() - start < 0.4
    for thread in threads:
        thread.join()
    assert family.loaded == ["a", "b"]
    assert len(got) == 4
    assert all(model is got[0] for model in got)


def test_the_budget_is_half_of_memory_unless_given() -> None:
    assert runtime.ModelPool().memory_budget == memory_limit() // 2
    assert 2**28 < memory_limit() < 2**50
    with pytest.raises(OptionError, match="bytes"):
        runtime.ModelPool(0)


# ---- what goes wrong


@pytest.mark.parametrize(
    ("error", "becomes", "said"),
    [
        (PromptError("ours"), PromptError, "^ours$"),
        (ModuleNotFoundError("no", name="timm.models"), MissingExtra, "pip install timm"),
        (ImportError("SamModel requires the PyTorch library"), MissingExtra, "PyTorch"),
        (MemoryError(), OutOfMemory, "smaller model"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9"),
            OutOfMemory,
            "cpu",
        ),
        (KeyError("vision_config"), ModelError, "vision_config"),
        (RuntimeError("size mismatch for w:\n\tmore"), ModelError, "size mismatch for w"),
    ],
    ids=["ours", "module", "backend", "memory", "allocator", "key", "shape"],
)
def test_a_familys_error_becomes_ours(
    error: Exception, becomes: type[Exception], said: str, family: FakeFamily, tmp_path: Path
) -> None:
    family.error = error
    one = weights(tmp_path, "a")
    assert one.path is not None
    save_file({"w": np.zeros(1, np.float32)}, one.path / "model.safetensors")
    with pytest.raises(becomes, match=said):
        runtime.load(one, CPU, FAMILIES)


def load_with_transformers(weights: Weights, where: Runtime) -> FakeModel:
    from transformers import SamModel

    SamModel.from_pretrained(weights.path, local_files_only=True)
    return FakeModel(weights.ref)


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_or_missing_file_is_named(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("real_family")
    module.load = load_with_transformers  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "real_family", module)
    one = weights(tmp_path, "a")
    assert one.path is not None
    file = one.path / "model.safetensors"
    save_file({"w": np.zeros(1000, np.float32)}, file)
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:2000])
    else:
        file.unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors") as caught:
        runtime.load(one, CPU, {"sam": "real_family:load"})
    assert "\n" not in str(caught.value)


def test_a_folder_of_another_family_is_refused_before_loading(
    family: FakeFamily, tmp_path: Path
) -> None:
    one = weights(tmp_path, "a")
    assert one.path is not None
    (one.path / "config.json").write_text('{"model_type": "owlv2"}')
    with pytest.raises(ModelError, match="holds a owlvit model; a is sam"):
        runtime.load(one, CPU, FAMILIES)
    assert family.loaded == []


def test_a_family_without_code_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="sam"):
        runtime.load(weights(tmp_path, "a"), CPU, {"other": "x:y"})


def test_importing_the_modules_imports_no_torch() -> None:
    code = (
        "import sys; import limner.registry.pool, limner.cli.commands.models.models; "
        "print([m for m in ('torch', 'transformers', 'rich') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


# --- threads --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "spins"),
    [({}, SPINS), ({"GOMP_SPINCOUNT": "9"}, "9"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)],
    ids=["nothing said", "the user's own", "another variable"],
)
def test_threads_sleep_while_they_wait_unless_somebody_chose(
    said: dict[str, str], spins: str | None
) -> None:
    """It must be said before torch loads OpenMP: so by the session, in a process of its own."""
    code = (
        "import os, sys; from limner import Session; s = Session(profile='mini');"
        "assert 'torch' not in sys.modules;"
        "s.models._runtime_for(s.models.weights('segment')); assert 'torch' in sys.modules;"
        "print(os.environ.get('GOMP_SPINCOUNT'))"
    )
    silent = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "KMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**silent, **said}, capture_output=True, text=True
    )
    assert done.stdout.strip() == str(spins), done.stderr
