import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from limner.errors import ModelError, OutputError, UnknownModel, UnsafeWeights, WeightsMissing
from limner.registry import catalog, lock, store
from limner.registry.catalog import ModelEntry
from limner.registry.lock import FileHash, LockEntry
from tests.hub_server import HubServer, Repo, commit_of

CONFIG = b'{"model_type": "sam"}'
WEIGHTS = save({"w": np.arange(50_000, dtype=np.float32)})
NEWER = save({"w": np.arange(50_000, dtype=np.float32) + 1})
SAM = {"config.json": CONFIG, "preprocessor_config.json": b"{}", "model.safetensors": WEIGHTS}
EXTRAS = {"pytorch_model.bin": b"pickle", "README.md": b"# hello", "model.onnx": b"onnx"}


def an_entry(**changes: object) -> ModelEntry:
    values = {
        "name": "tiny-sam",
        "description": "a double",
        "task": "segment",
        "family": "sam",
        "licence": "MIT",
        "commercial": "yes",
        "size_mb": 0.2,
        "size_from": "its bytes",
        "repo": "someone/tiny-sam",
        "defaults": {"mask_threshold": 0.0},
        "allow": catalog.families()["sam"].allow,
    }
    return ModelEntry(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    import huggingface_hub

    huggingface_hub.close_session()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with HubServer({"someone/tiny-sam": Repo(SAM | EXTRAS)}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
        huggingface_hub.close_session()


def by_hand(folder: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


# ---- pull


def test_pull_fetches_what_is_needed_and_locks_it(hub: HubServer, home: Path) -> None:
    progress: list[tuple[int, int]] = []
    weights = store.pull(an_entry(), on_progress=lambda done, total: progress.append((done, total)))

    folder = home / "models" / "tiny-sam"
    assert weights.path == folder
    assert {p.name for p in folder.iterdir()} == set(SAM) | {"limner.json"}
    assert weights.ref.revision == commit_of(SAM | EXTRAS)
    sha = hashlib.sha256(WEIGHTS).hexdigest()
    assert weights.ref.files == (("model.safetensors", sha),)
    assert weights.defaults == {"mask_threshold": 0.0}
    written = json.loads((home / "models.lock.json").read_text())["models"]["tiny-sam"]
    assert written["repo"] == "someone/tiny-sam"
    assert written["commit"] == commit_of(SAM | EXTRAS)
    assert written["files"] == {
        path: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for path, data in SAM.items()
    }
    total = sum(map(len, SAM.values()))
    assert progress[-1] == (total, total)
    assert progress == sorted(progress)


def test_what_is_here_is_not_asked_for_again(hub: HubServer) -> None:
    store.pull(an_entry())
    hub.requests.clear()
    assert store.pull(an_entry()) == store.find(an_entry())
    assert hub.requests == []


def test_an_interrupted_pull_keeps_its_finished_files(hub: HubServer) -> None:
    hub.failing = {"model.safetensors"}
    with pytest.raises(WeightsMissing, match="HTTP 500"):
        store.pull(an_entry())
    assert not store.is_here(an_entry())
    with pytest.raises(WeightsMissing):
        store.find(an_entry())

    hub.failing = set()
    hub.requests.clear()
    store.pull(an_entry())
    assert hub.fetched() == ["model.safetensors"]


def test_what_a_killed_pull_left_is_cleared(hub: HubServer, home: Path) -> None:
    hub.failing = {"model.safetensors"}
    with pytest.raises(WeightsMissing):
        store.pull(an_entry())
    left = home / "models" / ".pulling" / "tiny-sam" / ".cache" / "huggingface" / "download"
    (left / "x.0a1b2c3d.incomplete").write_bytes(b"half")
    with pytest.raises(WeightsMissing):
        store.pull(an_entry())
    assert list(left.glob("*.incomplete")) == []


def test_a_pull_mends_a_shortened_file(hub: HubServer, home: Path) -> None:
    store.pull(an_entry())
    file = home / "models" / "tiny-sam" / "model.safetensors"
    file.write_bytes(WEIGHTS[:-1])
    with pytest.raises(UnsafeWeights):
        store.find(an_entry())
    store.pull(an_entry())
    assert file.read_bytes() == WEIGHTS


def test_a_broken_connection_is_resumed_where_it_broke(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)  # 10 MB
    hub.cut = {"model.safetensors": 70_000}
    weights = store.pull(an_entry())
    assert weights.path is not None
    assert (weights.path / "model.safetensors").read_bytes() == WEIGHTS
    ranges = [r for _, path, r in hub.requests if path.endswith("model.safetensors") and r]
    assert ranges == ["bytes=70000-"]


def test_progress_can_stop_a_pull(hub: HubServer) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        store.pull(an_entry(), on_progress=stop)
    assert not store.is_here(an_entry())


def test_a_gone_repository_is_followed_to_its_fallback_aloud(hub: HubServer) -> None:
    hub.repos["another/tiny-sam"] = hub.repos.pop("someone/tiny-sam")
    said: list[str] = []
    weights = store.pull(an_entry(fallbacks=("lost/too", "another/tiny-sam")), say=said.append)
    assert weights.path is not None
    assert said == [
        "someone/tiny-sam is gone from the hub; tiny-sam comes from another/tiny-sam instead."
    ]
    locked = store.locked(an_entry())
    assert locked is not None
    assert locked.repo == "another/tiny-sam"


def test_a_former_id_is_never_fetched(hub: HubServer) -> None:
    hub.repos["squatted/tiny-sam"] = hub.repos.pop("someone/tiny-sam")
    with pytest.raises(WeightsMissing, match=r"someone/tiny-sam can't be had.*grabcut"):
        store.pull(an_entry(former=("squatted/tiny-sam",)))
    assert not [path for _, path, _ in hub.requests if "squatted" in path]


@pytest.mark.parametrize("token", [None, "hf_notadmitted"])
def test_a_gated_repository_says_how_to_ask(
    hub: HubServer, token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    hub.repos["someone/tiny-sam"].gated = True
    with pytest.raises(WeightsMissing) as caught:
        store.pull(an_entry(fallbacks=("another/tiny-sam",)))
    assert f"{hub.url}/someone/tiny-sam" in str(caught.value)
    assert "hf auth login" in str(caught.value)
    assert not [path for _, path, _ in hub.requests if "another" in path], "it is not gone"


def test_a_gated_repository_opens_for_who_was_admitted(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_admitted")
    hub.token = "hf_admitted"
    hub.repos["someone/tiny-sam"].gated = True
    assert store.pull(an_entry()).path


def test_a_revision_is_fetched_and_an_unchanged_file_is_not(hub: HubServer) -> None:
    store.pull(an_entry())
    hub.repos["someone/tiny-sam"].others["refs/pr/1"] = SAM | {"config.json": CONFIG + b"\n"}
    hub.requests.clear()
    weights = store.pull(an_entry(), revision="refs/pr/1")
    assert weights.ref.revision == commit_of(SAM | {"config.json": CONFIG + b"\n"})
    assert "model.safetensors" not in hub.fetched()
    assert weights.path is not None
    assert (weights.path / "config.json").read_bytes() == CONFIG + b"\n"
    assert store.verify(an_entry())


def test_the_catalog_can_name_a_revision(hub: HubServer) -> None:
    """Where main has only a pickle and the hub's own conversion is a pull request."""
    hub.repos["someone/tiny-sam"].files = {"config.json": CONFIG, "pytorch_model.bin": b"pickle"}
    hub.repos["someone/tiny-sam"].others["refs/pr/15"] = SAM
    assert store.pull(an_entry(revision="refs/pr/15")).ref.revision == commit_of(SAM)


def test_a_new_commit_is_taken_only_when_asked_for(hub: HubServer) -> None:
    first = store.pull(an_entry())
    hub.repos["someone/tiny-sam"].files = SAM | {"model.safetensors": NEWER}
    assert store.pull(an_entry()) == first
    second = store.pull(an_entry(), revision="main")
    assert second.ref.revision != first.ref.revision
    assert second.path is not None
    assert (second.path / "model.safetensors").read_bytes() == NEWER


def test_a_lost_folder_comes_back_at_the_locked_commit(hub: HubServer, home: Path) -> None:
    first = store.pull(an_entry())
    hub.repos["someone/tiny-sam"].others["old"] = hub.repos["someone/tiny-sam"].files
    hub.repos["someone/tiny-sam"].files = SAM | {"model.safetensors": NEWER}
    shutil.rmtree(home / "models" / "tiny-sam")
    assert store.pull(an_entry()).ref == first.ref


def test_an_unknown_revision_is_named(hub: HubServer) -> None:
    with pytest.raises(UnknownModel, match="no revision v9"):
        store.pull(an_entry(), revision="v9")


def test_a_file_that_arrives_otherwise_than_listed_is_refused(hub: HubServer) -> None:
    hub.lies = {"model.safetensors": NEWER}
    with pytest.raises(UnsafeWeights, match="did not arrive as someone/tiny-sam lists it"):
        store.pull(an_entry())
    assert not store.is_here(an_entry())
    hub.lies = {}
    assert store.pull(an_entry()).path


def test_a_repository_of_pickles_is_refused_before_anything_is_fetched(hub: HubServer) -> None:
    hub.repos["someone/tiny-sam"].files = {"config.json": CONFIG, "pytorch_model.bin": b"pickle"}
    with pytest.raises(UnsafeWeights, match="refs/pr/N"):
        store.pull(an_entry())
    assert hub.fetched() == []


@pytest.mark.parametrize("name", ["../x.safetensors", "/x.safetensors", "a/../../x.safetensors"])
def test_a_listing_that_leads_out_of_the_folder_is_refused(hub: HubServer, name: str) -> None:
    """Patterns as wide as ``*.safetensors`` match it."""
    hub.repos["someone/tiny-sam"] = Repo(SAM | {name: WEIGHTS})
    entry = an_entry(allow=(*catalog.families()["sam"].allow, "*.safetensors"))
    with pytest.raises(UnsafeWeights, match="outside the model's folder"):
        store.pull(entry)
    assert hub.fetched() == []


def test_a_listing_without_end_is_left(hub: HubServer) -> None:
    """And the next one is read: the client is as it was."""
    long = {"x" * 20_000_000: b""}
    hub.repos["someone/tiny-sam"] = Repo(SAM | long)
    with pytest.raises(UnsafeWeights, match="more than 16 MB"):
        store.pull(an_entry())
    hub.repos["someone/tiny-sam"] = Repo(SAM)
    store.pull(an_entry())


def test_what_is_pulled_is_looked_at_before_it_is_a_model(hub: HubServer, home: Path) -> None:
    """An index of the hub's may name a pickle or another model's file."""
    index = b'{"weight_map": {"w": "../other/w.bin"}}'
    hub.repos["someone/tiny-sam"] = Repo(SAM | {"model.safetensors.index.json": index})
    entry = an_entry(allow=(*catalog.families()["sam"].allow, "*.json"))
    with pytest.raises(UnsafeWeights, match=r"w\.bin"):
        store.pull(entry)
    assert not store.is_here(entry)


def test_half_precision_is_taken_where_the_full_one_is_a_pickle(hub: HubServer) -> None:
    parts = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model"}
    parts["text_encoder"] = "model"
    files = {"model_index.json": b'{"_class_name": "StableDiffusionInpaintPipeline"}'}
    for part, stem in parts.items():
        files[f"{part}/config.json"] = b"{}"
        files[f"{part}/{stem}.bin"] = b"pickle"
        files[f"{part}/{stem}.fp16.safetensors"] = WEIGHTS
    files["vae/diffusion_pytorch_model.safetensors"] = NEWER
    files["safety_checker/model.safetensors"] = NEWER
    hub.repos["someone/tiny-sd"] = Repo(files)
    allow = catalog.families()["stable_diffusion"].allow
    entry = an_entry(name="tiny-sd", repo="someone/tiny-sd", family="stable_diffusion", allow=allow)
    said: list[str] = []

    weights = store.pull(entry, say=said.append)

    assert len(said) == 2
    assert all("half precision" in sentence for sentence in said)
    assert weights.path is not None
    found = {p.relative_to(weights.path).as_posix(): p for p in weights.path.rglob("*.safetensors")}
    assert set(found) == {f"{part}/{stem}.safetensors" for part, stem in parts.items()}
    assert found["unet/diffusion_pytorch_model.safetensors"].read_bytes() == WEIGHTS
    assert found["vae/diffusion_pytorch_model.safetensors"].read_bytes() == NEWER
    assert store.family_of(weights.path) == "stable_diffusion"


def test_no_hub_is_said_soon_with_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # discard: nobody listens
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(WeightsMissing, match=r"can't be reached.*grabcut"):
        store.pull(an_entry())


def test_offline_asks_nobody(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsMissing, match=r"HF_HUB_OFFLINE is set.*grabcut"):
        store.pull(an_entry())
    assert hub.requests == []


def test_no_room_is_said_before_anything_is_fetched(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage("/")._replace(free=10)
    monkeypatch.setattr("limner.registry.hub.shutil.disk_usage", lambda path: full)
    with pytest.raises(OutputError, match="LIMNER_HOME"):
        store.pull(an_entry())
    assert hub.fetched() == []


def test_a_home_that_can_not_be_written_is_said(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="LIMNER_HOME"):
        store.pull(an_entry())


def test_two_pulls_at_once_fetch_once(hub: HubServer) -> None:
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(store.pull(an_entry()))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert hub.fetched().count("model.safetensors") == 1


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
    assert store.pull(catalog.catalog()[name]) == weights
    assert not home.exists(), "looking writes nothing"


def test_a_folder_copied_with_its_record_keeps_its_commit(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled = store.pull(an_entry())
    assert pulled.path is not None
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "elsewhere"))
    shutil.copytree(pulled.path, store.where(an_entry()))
    assert store.find(an_entry()).ref == pulled.ref
    assert store.locked(an_entry()) is not None


def test_a_copy_that_differs_from_its_record_is_refused(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled = store.pull(an_entry())
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
    pulled = store.pull(an_entry())
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
