"""Fetching a model from a hub: whole or not at all, and what is said when it fails."""

import hashlib
import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from limner.errors import OutputError, UnknownModel, UnsafeWeights, WeightsMissing
from limner.protocols import Matting
from limner.registry import catalog, store
from limner.registry.pool import ModelPool
from limner.registry.pull import pull
from limner.registry.weights import Runtime
from tests.hub_server import HubServer, Repo, commit_of
from tests.models.tiny_birefnet import save_tiny_birefnet
from tests.registry.doubles import CONFIG, EXTRAS, NEWER, SAM, WEIGHTS, an_entry


def test_pull_fetches_what_is_needed_and_locks_it(hub: HubServer, home: Path) -> None:
    progress: list[tuple[int, int]] = []
    weights = pull(an_entry(), on_progress=lambda done, total: progress.append((done, total)))

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
    pull(an_entry())
    hub.requests.clear()
    assert pull(an_entry()) == store.find(an_entry())
    assert hub.requests == []


def test_an_interrupted_pull_keeps_its_finished_files(hub: HubServer) -> None:
    hub.failing = {"model.safetensors"}
    with pytest.raises(WeightsMissing, match="HTTP 500"):
        pull(an_entry())
    assert not store.is_here(an_entry())
    with pytest.raises(WeightsMissing):
        store.find(an_entry())

    hub.failing = set()
    hub.requests.clear()
    pull(an_entry())
    assert hub.fetched() == ["model.safetensors"]


def test_what_a_killed_pull_left_is_cleared(hub: HubServer, home: Path) -> None:
    hub.failing = {"model.safetensors"}
    with pytest.raises(WeightsMissing):
        pull(an_entry())
    left = home / "models" / ".pulling" / "tiny-sam" / ".cache" / "huggingface" / "download"
    (left / "x.0a1b2c3d.incomplete").write_bytes(b"half")
    with pytest.raises(WeightsMissing):
        pull(an_entry())
    assert list(left.glob("*.incomplete")) == []


def test_a_pull_mends_a_shortened_file(hub: HubServer, home: Path) -> None:
    pull(an_entry())
    file = home / "models" / "tiny-sam" / "model.safetensors"
    file.write_bytes(WEIGHTS[:-1])
    with pytest.raises(UnsafeWeights):
        store.find(an_entry())
    pull(an_entry())
    assert file.read_bytes() == WEIGHTS


def test_a_broken_connection_is_resumed_where_it_broke(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)  # 10 MB
    hub.cut = {"model.safetensors": 70_000}
    weights = pull(an_entry())
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
        pull(an_entry(), on_progress=stop)
    assert not store.is_here(an_entry())


def test_a_gone_repository_is_followed_to_its_fallback_aloud(hub: HubServer) -> None:
    hub.repos["another/tiny-sam"] = hub.repos.pop("someone/tiny-sam")
    said: list[str] = []
    weights = pull(an_entry(fallbacks=("lost/too", "another/tiny-sam")), say=said.append)
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
        pull(an_entry(former=("squatted/tiny-sam",)))
    assert not [path for _, path, _ in hub.requests if "squatted" in path]


@pytest.mark.parametrize("token", [None, "hf_notadmitted"])
def test_a_gated_repository_says_how_to_ask(
    hub: HubServer, token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    hub.repos["someone/tiny-sam"].gated = True
    with pytest.raises(WeightsMissing) as caught:
        pull(an_entry(fallbacks=("another/tiny-sam",)))
    assert f"{hub.url}/someone/tiny-sam" in str(caught.value)
    assert "hf auth login" in str(caught.value)
    assert not [path for _, path, _ in hub.requests if "another" in path], "it is not gone"


def test_a_gated_repository_opens_for_who_was_admitted(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_admitted")
    hub.token = "hf_admitted"
    hub.repos["someone/tiny-sam"].gated = True
    assert pull(an_entry()).path


def test_a_revision_is_fetched_and_an_unchanged_file_is_not(hub: HubServer) -> None:
    pull(an_entry())
    hub.repos["someone/tiny-sam"].others["refs/pr/1"] = SAM | {"config.json": CONFIG + b"\n"}
    hub.requests.clear()
    weights = pull(an_entry(), revision="refs/pr/1")
    assert weights.ref.revision == commit_of(SAM | {"config.json": CONFIG + b"\n"})
    assert "model.safetensors" not in hub.fetched()
    assert weights.path is not None
    assert (weights.path / "config.json").read_bytes() == CONFIG + b"\n"
    assert store.verify(an_entry())


def test_the_catalog_can_name_a_revision(hub: HubServer) -> None:
    """Where main has only a pickle and the hub's own conversion is a pull request."""
    hub.repos["someone/tiny-sam"].files = {"config.json": CONFIG, "pytorch_model.bin": b"pickle"}
    hub.repos["someone/tiny-sam"].others["refs/pr/15"] = SAM
    assert pull(an_entry(revision="refs/pr/15")).ref.revision == commit_of(SAM)


def test_a_new_commit_is_taken_only_when_asked_for(hub: HubServer) -> None:
    first = pull(an_entry())
    hub.repos["someone/tiny-sam"].files = SAM | {"model.safetensors": NEWER}
    assert pull(an_entry()) == first
    second = pull(an_entry(), revision="main")
    assert second.ref.revision != first.ref.revision
    assert second.path is not None
    assert (second.path / "model.safetensors").read_bytes() == NEWER


def test_a_lost_folder_comes_back_at_the_locked_commit(hub: HubServer, home: Path) -> None:
    first = pull(an_entry())
    hub.repos["someone/tiny-sam"].others["old"] = hub.repos["someone/tiny-sam"].files
    hub.repos["someone/tiny-sam"].files = SAM | {"model.safetensors": NEWER}
    shutil.rmtree(home / "models" / "tiny-sam")
    assert pull(an_entry()).ref == first.ref


def test_an_unknown_revision_is_named(hub: HubServer) -> None:
    with pytest.raises(UnknownModel, match="no revision v9"):
        pull(an_entry(), revision="v9")


def test_a_file_that_arrives_otherwise_than_listed_is_refused(hub: HubServer) -> None:
    hub.lies = {"model.safetensors": NEWER}
    with pytest.raises(UnsafeWeights, match="did not arrive as someone/tiny-sam lists it"):
        pull(an_entry())
    assert not store.is_here(an_entry())
    hub.lies = {}
    assert pull(an_entry()).path


def test_a_repository_of_pickles_is_refused_before_anything_is_fetched(hub: HubServer) -> None:
    hub.repos["someone/tiny-sam"].files = {"config.json": CONFIG, "pytorch_model.bin": b"pickle"}
    with pytest.raises(UnsafeWeights, match="refs/pr/N"):
        pull(an_entry())
    assert hub.fetched() == []


@pytest.mark.parametrize("name", ["../x.safetensors", "/x.safetensors", "a/../../x.safetensors"])
def test_a_listing_that_leads_out_of_the_folder_is_refused(hub: HubServer, name: str) -> None:
    """Patterns as wide as ``*.safetensors`` match it."""
    hub.repos["someone/tiny-sam"] = Repo(SAM | {name: WEIGHTS})
    entry = an_entry(allow=(*catalog.families()["sam"].allow, "*.safetensors"))
    with pytest.raises(UnsafeWeights, match="outside the model's folder"):
        pull(entry)
    assert hub.fetched() == []


def test_a_listing_without_end_is_left(hub: HubServer) -> None:
    """And the next one is read: the client is as it was."""
    long = {"x" * 20_000_000: b""}
    hub.repos["someone/tiny-sam"] = Repo(SAM | long)
    with pytest.raises(UnsafeWeights, match="more than 16 MB"):
        pull(an_entry())
    hub.repos["someone/tiny-sam"] = Repo(SAM)
    pull(an_entry())


def test_what_is_pulled_is_looked_at_before_it_is_a_model(hub: HubServer, home: Path) -> None:
    """An index of the hub's may name a pickle or another model's file."""
    index = b'{"weight_map": {"w": "../other/w.bin"}}'
    hub.repos["someone/tiny-sam"] = Repo(SAM | {"model.safetensors.index.json": index})
    entry = an_entry(allow=(*catalog.families()["sam"].allow, "*.json"))
    with pytest.raises(UnsafeWeights, match=r"w\.bin"):
        pull(entry)
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

    weights = pull(entry, say=said.append)

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
        pull(an_entry())


def test_offline_asks_nobody(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsMissing, match=r"HF_HUB_OFFLINE is set.*grabcut"):
        pull(an_entry())
    assert hub.requests == []


def test_no_room_is_said_before_anything_is_fetched(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage("/")._replace(free=10)
    monkeypatch.setattr("limner.registry.hub.shutil.disk_usage", lambda path: full)
    with pytest.raises(OutputError, match="LIMNER_HOME"):
        pull(an_entry())
    assert hub.fetched() == []


def test_a_home_that_can_not_be_written_is_said(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="LIMNER_HOME"):
        pull(an_entry())


def test_two_pulls_at_once_fetch_once(hub: HubServer) -> None:
    results = []
    threads = [threading.Thread(target=lambda: results.append(pull(an_entry()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert hub.fetched().count("model.safetensors") == 1


def test_a_matting_model_is_pulled_from_the_hubs_layout_and_answers(
    hub: HubServer, tmp_path: Path
) -> None:
    """Only the one ONNX file, which lies in a folder of its own: no pickles, no other precisions;
    at the commit that the catalog pins; and the network in it is the one that answers."""
    save_tiny_birefnet(tmp_path / "made", file="onnx/model.onnx")
    graph = (tmp_path / "made/onnx/model.onnx").read_bytes()
    files = {"onnx/model.onnx": graph, "onnx/model_fp16.onnx": b"half", "config.json": b"{}"}
    hub.repos["someone/matting"] = Repo(files)
    lite = catalog.catalog()["birefnet-lite"]
    entry = replace(lite, repo="someone/matting", revision=commit_of(files))
    weights = pull(entry)
    assert weights.path is not None
    fetched = {p.relative_to(weights.path).as_posix() for p in weights.path.rglob("*.*")}
    assert fetched == {"onnx/model.onnx", "limner.json"}
    assert weights.ref.files == (("onnx/model.onnx", hashlib.sha256(graph).hexdigest()),)
    assert weights.ref.revision == entry.revision
    model = ModelPool().get(weights, Runtime())
    assert isinstance(model, Matting)
    assert model.matte(Image.new("RGB", (9, 7), "white")).score > 0.9
