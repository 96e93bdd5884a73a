"""Models on this machine: found, held against the lock, and a folder of one's own."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from limner.errors import ModelError, UnknownModel, UnsafeWeights, WeightsMissing
from limner.registry import catalog, lock, store
from limner.registry.lock import FileHash, LockEntry
from limner.registry.pull import pull
from tests.hub_server import HubServer
from tests.registry.doubles import CONFIG, NEWER, SAM, WEIGHTS, an_entry, by_hand

# ---- find, verify


def test_missing_weights_say_all_that_one_needs(home: Path) -> None:
    with pytest.raises(WeightsMissing) as caught:
        store.find("sam-vit-base")
    said = str(caught.value)
    wanted = [
        "sam-vit-base",
        "375 MB",
        "Apache-2.0",
        "limner models pull sam-vit-base",
        str(home / "models" / "sam-vit-base"),
        "grabcut",
    ]
    assert [part for part in wanted if part not in said] == []


@pytest.mark.parametrize("name", ["grabcut", "haar", "opencv-inpaint"])
def test_a_model_without_weights_is_always_here(name: str, home: Path) -> None:
    assert store.is_here(name)
    weights = store.find(name)
    assert weights.path is None
    assert weights.ref.licence.startswith("Apache-2.0")
    assert store.verify(name) is None
    assert pull(catalog.catalog()[name]) == weights
    assert not home.exists(), "looking writes nothing"


def test_a_folder_copied_with_its_record_keeps_its_commit(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled = pull(an_entry())
    assert pulled.path is not None
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "elsewhere"))
    shutil.copytree(pulled.path, store.where(an_entry()))
    assert store.find(an_entry()).ref == pulled.ref
    assert store.locked(an_entry()) is not None


def test_a_copy_that_differs_from_its_record_is_refused(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled = pull(an_entry())
    assert pulled.path is not None
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "elsewhere"))
    shutil.copytree(pulled.path, store.where(an_entry()))
    (store.where(an_entry()) / "model.safetensors").write_bytes(NEWER)
    with pytest.raises(UnsafeWeights, match=r"model\.safetensors"):
        store.find(an_entry())


def test_a_folder_copied_without_a_record_is_locked_from_its_files(home: Path) -> None:
    by_hand(home / "models" / "tiny-sam", SAM)
    weights = store.find(an_entry())
    assert weights.ref.revision is None
    assert weights.ref.files == (("model.safetensors", hashlib.sha256(WEIGHTS).hexdigest()),)
    (home / "models" / "tiny-sam" / "model.safetensors").write_bytes(WEIGHTS + b"x")
    with pytest.raises(UnsafeWeights):
        store.find(an_entry())


def test_sizes_are_checked_at_once_and_hashes_by_verify(home: Path) -> None:
    folder = by_hand(home / "models" / "tiny-sam", SAM)
    store.find(an_entry())
    assert store.verify(an_entry()) == store.locked(an_entry())
    (folder / "model.safetensors").write_bytes(NEWER)
    os.utime(folder / "model.safetensors", (0, 0))
    assert len(NEWER) == len(WEIGHTS)
    store.find(an_entry())
    with pytest.raises(UnsafeWeights, match=r"model\.safetensors.*models pull tiny-sam"):
        store.verify(an_entry())


def changed_later(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    later = time.time() + 60
    os.utime(path, (later, later))


@pytest.mark.parametrize("old_lock", [False, True], ids=["this lock", "a lock without the time"])
def test_a_file_changed_since_it_was_recorded_is_read_again(old_lock: bool, home: Path) -> None:
    folder = by_hand(home / "models" / "tiny-sam", SAM)
    store.find(an_entry())
    if old_lock:
        path = home / "models.lock.json"
        data = json.loads(path.read_text())
        del data["models"]["tiny-sam"]["checked_ns"]
        path.write_text(json.dumps(data))
    changed_later(folder / "model.safetensors", NEWER)
    with pytest.raises(UnsafeWeights, match=r"model\.safetensors"):
        store.find(an_entry())


def test_files_are_read_once_for_each_change(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = by_hand(home / "models" / "tiny-sam", SAM)
    read: list[Path] = []
    marks = lock.marks
    monkeypatch.setattr(lock, "marks", lambda folder: read.append(folder) or marks(folder))
    first = store.find(an_entry())
    assert store.find(an_entry()) == first
    assert len(read) == 1, "when it was adopted"
    changed_later(folder / "model.safetensors", WEIGHTS)
    assert store.find(an_entry()) == first
    assert store.find(an_entry()) == first
    assert len(read) == 2, "touched, the same, and not read a third time"


def test_what_was_pulled_is_not_read_again(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    pulled = pull(an_entry())
    monkeypatch.setattr(lock, "marks", lambda folder: pytest.fail("read again"))
    assert store.find(an_entry()) == pulled


def test_a_copy_under_a_home_that_can_not_be_written_is_used(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_hand(home / "models" / "tiny-sam", SAM)

    def refuse(*args: object, **how: object) -> None:
        raise PermissionError(13, "Permission denied", str(home / "models.lock.json"))

    monkeypatch.setattr(lock.tempfile, "mkstemp", refuse)
    weights = store.find(an_entry())
    assert weights.ref.files == (("model.safetensors", hashlib.sha256(WEIGHTS).hexdigest()),)
    assert store.locked(an_entry()) is None
    assert store.find(an_entry()) == weights


def test_files_that_can_not_be_read_are_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand(home / "models" / "tiny-sam", SAM)

    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder / "model.safetensors"))

    monkeypatch.setattr(lock, "marks", refuse)
    with pytest.raises(ModelError, match=r"model\.safetensors can't be read: Permission denied\."):
        store.find(an_entry())
    with pytest.raises(ModelError, match=r"model\.safetensors can't be read: Permission denied\."):
        store.from_folder(home / "models" / "tiny-sam")


@pytest.mark.parametrize(
    ("change", "culprit"),
    [
        (lambda folder: (folder / "config.json").unlink(), "config.json"),
        (lambda folder: (folder / "added.py").write_text("import os"), "added.py"),
    ],
    ids=["missing", "new"],
)
def test_a_file_lost_or_added_is_refused(change, culprit: str, home: Path) -> None:  # type: ignore[no-untyped-def]
    folder = by_hand(home / "models" / "tiny-sam", SAM)
    store.find(an_entry())
    change(folder)
    with pytest.raises(UnsafeWeights, match=culprit):
        store.find(an_entry())


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 9, "models": {}}'])
def test_a_lock_that_is_not_ours_is_said(text: str, home: Path) -> None:
    by_hand(home / "models" / "tiny-sam", SAM)
    (home / "models.lock.json").write_text(text)
    with pytest.raises(ModelError, match=r"models\.lock\.json"):
        store.find(an_entry())


def test_an_entry_of_the_lock_that_is_not_ours_is_said(home: Path) -> None:
    by_hand(home / "models" / "tiny-sam", SAM)
    (home / "models.lock.json").write_text('{"version": 1, "models": {"tiny-sam": {"repo": 1}}}')
    with pytest.raises(ModelError, match=r"models\.lock\.json"):
        store.find(an_entry())


def test_home_is_the_users_cache_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIMNER_HOME", raising=False)
    assert store.home().name.lower() == "limner" or "limner" in store.home().parts


# ---- the lock under many writers


def an_entry_of_the_lock() -> LockEntry:
    return LockEntry("a/b", "c" * 40, lock.now(), {"model.safetensors": FileHash("d" * 64, 4)})


def test_threads_lose_no_entry(home: Path) -> None:
    def write(worker: int) -> None:
        for index in range(5):
            lock.write(f"model-{worker}-{index}", an_entry_of_the_lock())

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads((home / "models.lock.json").read_text())["models"]) == 40


def test_processes_lose_no_entry(home: Path) -> None:
    code = (
        "import sys; from limner.registry import lock;"
        "entry = lock.LockEntry('a/b', None, lock.now(), {});"
        "[lock.write(f'model-{sys.argv[1]}-{i}', entry) for i in range(10)]"
    )
    workers = [subprocess.Popen([sys.executable, "-c", code, str(n)]) for n in range(3)]
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0, 0]
    assert len(json.loads((home / "models.lock.json").read_text())["models"]) == 30
    leftovers = {path.name for path in home.iterdir()}
    assert leftovers <= {"models.lock.json", "models.lock.json.lock"}


# ---- a folder of one's own


@pytest.mark.parametrize(
    ("config", "text", "family"),
    [
        ("config.json", '{"model_type": "sam"}', "sam"),
        ("config.json", '{"model_type": "owlvit"}', "owlvit"),
        ("config.json", '{"model_type": "owlv2"}', "owlvit"),
        ("model_index.json", '{"_class_name": "StableDiffusionInpaintPipeline"}', None),
        ("model_index.json", '{"_class_name": "StableDiffusionXLInpaintPipeline"}', None),
        ("model_index.json", '{"_class_name": "StableDiffusionPipeline"}', None),
    ],
)
def test_a_folders_family_is_read_from_its_config(
    config: str, text: str, family: str | None, tmp_path: Path
) -> None:
    folder = by_hand(tmp_path / "mine", {config: text.encode(), "unet/m.safetensors": WEIGHTS})
    weights = store.from_folder(folder)
    assert weights.ref.family == (family or "stable_diffusion")
    assert weights.ref.name == "mine"
    assert weights.ref.licence == "unknown (local folder)"
    sha = hashlib.sha256(WEIGHTS).hexdigest()
    assert weights.ref.files == (("unet/m.safetensors", sha),)
    assert sorted(p.name for p in folder.iterdir()) == sorted([config, "unet"]), "nothing written"


@pytest.mark.parametrize(
    ("files", "error", "said"),
    [
        ({"config.json": CONFIG, "pytorch_model.bin": b"x"}, UnsafeWeights, "pickles"),
        (
            {"config.json": CONFIG, "a.safetensors": WEIGHTS, "part/m.ckpt": b"x"},
            UnsafeWeights,
            "part",
        ),
        ({"config.json": CONFIG}, WeightsMissing, "no weights"),
        ({"config.json": b'{"model_type": "bert"}'}, UnknownModel, "bert.*owlv2"),
        ({"config.json": b"{"}, ModelError, "config.json"),
        ({"model.safetensors": WEIGHTS}, UnknownModel, "neither"),
    ],
    ids=["pickle", "one part pickled", "no weights", "unknown type", "bad json", "no config"],
)
def test_a_folder_that_can_not_be_used(
    files: dict[str, bytes], error: type[ModelError], said: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said):
        store.from_folder(by_hand(tmp_path / "mine", files))


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="nowhere"):
        store.from_folder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("./" + "x" * 300, r"can't be read: File name too long\."),
        ("~nobody-of-that-name/sam", r"no folder ~nobody-of-that-name/sam"),
    ],
    ids=["long", "somebody's home"],
)
def test_a_path_that_can_not_be_a_folder(path: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        store.from_folder(path)
