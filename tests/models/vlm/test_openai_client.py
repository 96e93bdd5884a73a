"""Endpoints: a real server on this machine, spoken to by the real openai client."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import supervision as sv
from hypothesis import HealthCheck, given, settings
from PIL import Image, ImageDraw

from limner import pipeline
from limner.errors import MissingExtra, ModelError, NoAnswer, UnsupportedPrompt
from limner.ops.box_formats import CONVENTIONS
from limner.options import DetectOptions
from limner.prompts import Text, VisualPrompt
from limner.registry import endpoints, server_replies, store
from limner.registry.pool import ModelPool
from limner.registry.weights import Runtime
from tests.models.vlm.test_parser import replies
from tests.vlm_server import COLOURS, GREY, VENDORS, Trouble, Vendor, VlmServer, any_size

KEY = "sk-secret-0123456789"
RED, GREEN = "the red thing", "the green thing"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No endpoint is named, and nothing of the developer's own keys and proxies is seen."""
    for name in ("LIMNER_VLM_URL", "LIMNER_VLM_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def server() -> Iterator[VlmServer]:
    with VlmServer() as running:
        yield running


Load = Callable[..., Any]


@pytest.fixture
def load(home: Path) -> Load:
    """The detector of an endpoint that endpoints.toml names."""

    def loaded(server: VlmServer | None, **table: Any) -> Any:
        table = {"retries": 0, "model": server.vendor.model if server else "gpt-4o", **table}
        if server is not None:
            table.setdefault("url", server.url)
        lines = [f"{name} = {json.dumps(value)}" for name, value in table.items()]
        (home / "endpoints.toml").write_text("[here]\n" + "\n".join(lines))
        return ModelPool().get(store.find("vlm:here"), Runtime())

    return loaded


@cache
def scene(size_wh: tuple[int, int]) -> tuple[Image.Image, dict[str, list[list[float]]]]:
    """Four things, two of them red, at odd places; and where they are."""
    w, h = size_wh
    picture = Image.new("RGB", size_wh, (GREY,) * 3)
    draw = ImageDraw.Draw(picture)
    parts = {
        RED: [(0.11, 0.07, 0.43, 0.19), (0.52, 0.71, 0.93, 0.88)],
        GREEN: [(0.13, 0.31, 0.62, 0.44)],
        "the blue thing": [(0.53, 0.06, 0.91, 0.23)],
        "the yellow thing": [(0.14, 0.53, 0.41, 0.94)],
    }
    truth: dict[str, list[list[float]]] = {}
    for phrase, boxes in parts.items():
        for part in boxes:
            x0, y0, x1, y1 = (round(p * side) for p, side in zip(part, (w, h, w, h), strict=True))
            draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill=COLOURS[phrase])
            truth.setdefault(phrase, []).append([x0, y0, x1, y1])
    return picture, truth


def ask(*phrases: str) -> list[VisualPrompt]:
    return [VisualPrompt(text=Text(phrase)) for phrase in phrases]


def worst(found: sv.Detections, truth: dict[str, list[list[float]]]) -> np.ndarray:
    """(4,) the largest error of each edge; fails unless the same things were found."""
    errors = []
    for phrase, boxes in truth.items():
        mine = found.xyxy[found.data["class_name"] == phrase]
        assert len(mine) == len(boxes), phrase
        mine = mine[np.argsort(mine[:, 1])]
        errors.append(np.abs(mine - np.array(sorted(boxes, key=lambda box: box[1]))))
    return np.concatenate(errors).max(axis=0)


# ---- exact boxes


@pytest.mark.parametrize("size_wh", [(200, 3000), (6000, 4000), (333, 257)], ids=str)
@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.model)
def test_boxes_are_exact_in_every_convention(
    load: Load, vendor: Vendor, size_wh: tuple[int, int]
) -> None:
    """Within 1 px of what the numbers can say at all; the vendor's own resize changed nothing."""
    picture, truth = scene(size_wh)
    with VlmServer(vendor) as server:
        found = load(server).detect(picture, ask(*COLOURS), DetectOptions())
        (sent,) = server.pictures
    assert vendor.sees(*sent.size) == sent.size, "the vendor would have resized what was sent"
    step = CONVENTIONS[vendor.convention].step(sent.size)
    if not CONVENTIONS[vendor.convention].quantised:
        whole = np.array(sent.size) if vendor.convention == "xyxy_norm" else np.ones(2)
        step = tuple(whole * 10.0 ** -(vendor.decimals or 0))
    scale = np.array(size_wh) / sent.size
    rounding = np.tile(np.array(step) / 2 * scale, 2)
    assert (worst(found, truth) <= rounding + 1).all()
    assert (found.confidence == 1).all()


def test_zoom_mends_a_model_that_is_8_pixels_off(load: Load) -> None:
    """8 px of what the model sees are 16 px of a picture this large; after zooming, under 2."""
    picture = Image.new("RGB", (2000, 1500), (GREY,) * 3)
    truth = {RED: [[203, 151, 301, 240], [1404, 1107, 1491, 1199]], GREEN: [[900, 702, 999, 790]]}
    draw = ImageDraw.Draw(picture)
    for phrase, boxes in truth.items():
        for x0, y0, x1, y1 in boxes:
            draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill=COLOURS[phrase])
    random = np.random.default_rng(0)
    with VlmServer() as server:

        def blurred(seen: Image.Image, words: str) -> str:
            answer = json.loads(server.look(seen, words))
            for item in answer["boxes"]:
                off = random.choice([-8, 8], 4)
                limits = [*seen.size, *seen.size]
                item["bbox_2d"] = np.clip(np.add(item["bbox_2d"], off), 0, limits).tolist()
            return json.dumps(answer)

        server.answer = blurred
        detector = load(server)
        coarse = pipeline.detect(picture, ask(RED, GREEN), detector)
        fine = pipeline.detect(picture, ask(RED, GREEN), detector, DetectOptions(look="zoom"))
    assert worst(coarse, truth).max() > 12
    assert worst(fine, truth).max() < 2


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_convention_can_be_named_for_an_unknown_model(load: Load, name: str) -> None:
    picture, truth = scene((640, 480))
    vendor = Vendor("mystery-1", name, any_size, decimals=None)
    with VlmServer(vendor) as server:
        found = load(server, convention=name).detect(picture, ask(*COLOURS), DetectOptions())
    step = np.tile(CONVENTIONS[name].step((640, 480)), 2)
    assert (worst(found, truth) <= step / 2 + 1).all()


def test_max_side_makes_the_picture_smaller_in_one_resize(load: Load, server: VlmServer) -> None:
    picture, truth = scene((6000, 4000))
    found = load(server, max_side=600).detect(picture, ask(*COLOURS), DetectOptions())
    assert server.pictures[0].size == (600, 400)
    assert (worst(found, truth) <= 6).all()


# ---- what is asked


def test_the_question_is_a_png_and_a_schema(load: Load, server: VlmServer) -> None:
    """GPT-4o is asked in high detail, at temperature 0, with the phrases as the only labels."""
    load(server).detect(scene((640, 480))[0], ask(RED), DetectOptions())
    (asked,) = server.requests
    assert asked["temperature"] == 0
    assert asked["max_tokens"] == 2048
    assert asked["messages"][0]["content"][0]["image_url"]["detail"] == "high"
    form = asked["response_format"]["json_schema"]
    assert form["strict"]
    label = form["schema"]["properties"]["boxes"]["items"]["properties"]["label"]
    assert label["enum"] == [RED]


def test_more_phrases_than_fit_are_asked_in_turn(load: Load, server: VlmServer) -> None:
    """Each answers its own prompt; one that is asked twice is asked once and answered twice."""
    picture, truth = scene((640, 480))
    names = [*COLOURS, *(f"thing {n}" for n in range(14)), RED]
    found = load(server, phrases_at_once=5).detect(picture, ask(*names), DetectOptions())
    assert len(server.requests) == 4
    assert (worst(found, {GREEN: truth[GREEN]}) <= 1).all()
    assert sorted(found.data["prompt_index"]) == [0, 0, 1, 2, 3, 18, 18]
    assert (found.class_id == found.data["prompt_index"]).all()


def test_a_negative_is_subtracted_and_a_negation_is_said(load: Load, server: VlmServer) -> None:
    """``not`` is limner's; "that is not red" is for the model to understand."""
    picture, _ = scene((640, 480))
    server.answer = lambda seen, words: server.look(seen, words.replace(" which is not blue", ""))
    model = load(server)
    negated = VisualPrompt(text=Text(RED, negative=GREEN))
    with pytest.raises(UnsupportedPrompt, match="no negatives"):
        model.detect(picture, [negated], DetectOptions())
    assert len(pipeline.detect(picture, [negated], model)) == 2
    assert len(pipeline.detect(picture, [VisualPrompt(text=Text(RED, negative=RED))], model)) == 0
    asked = f"{GREEN} which is not blue"
    server.replies = [json.dumps([{"bbox_2d": [1, 2, 30, 40], "label": asked}])]
    found = model.detect(picture, ask(asked), DetectOptions())
    assert found.data["class_name"].tolist() == [asked]
    assert f'- "{asked}"' in server.requests[-1]["messages"][0]["content"][1]["text"]


def test_agreement_of_samples_is_the_score(load: Load, server: VlmServer) -> None:
    """The median of the boxes, scored by how many answers hold it; a lone one is left out."""
    picture, _ = scene((640, 480))

    def said(*boxes: list[int]) -> str:
        return json.dumps([{"bbox_2d": box, "label": RED} for box in boxes])

    server.replies = [
        said([10, 10, 100, 100], [300, 300, 400, 400]),
        said([12, 10, 104, 100]),
        said([14, 16, 102, 100], [500, 20, 600, 90]),
        said([300, 302, 400, 404]),
    ]
    found = load(server).detect(picture, ask(RED), DetectOptions(samples=4))
    assert found.confidence is not None
    assert found.confidence.tolist() == [0.75, 0.5]
    assert found.xyxy.tolist() == [[12, 10, 102, 100], [300, 301, 400, 402]]
    assert [asked["temperature"] for asked in server.requests] == [0.7] * 4
    server.replies = [said([10, 10, 100, 100]), *["no idea"] * 4]
    found = load(server, samples=3).detect(picture, ask(RED), DetectOptions(threshold=0.3))
    assert found.confidence is not None
    assert found.confidence.tolist() == [np.float32(1 / 3)], "an unreadable answer holds nothing"


def test_an_unreadable_answer_is_asked_for_again_with_the_reason(
    load: Load, server: VlmServer
) -> None:
    picture, truth = scene((640, 480))
    server.replies = ["The red thing is at the left."]
    found = load(server).detect(picture, ask(RED), DetectOptions())
    assert (worst(found, {RED: truth[RED]}) <= 1).all()
    again = server.requests[1]["messages"][0]["content"][1]["text"]
    assert "could not be used: it isn't the JSON asked for" in again
    server.finish = "length"
    with pytest.raises(NoAnswer, match="cut off after 2048 tokens"):
        load(server).detect(picture, ask(RED), DetectOptions())


@pytest.mark.parametrize(
    ("refuses", "sent", "said"),
    [
        ({"json_schema"}, {"type": "json_object"}, "refuses json_schema"),
        ({"response_format"}, None, "refuses json_object"),
        ({"temperature"}, None, "takes no temperature"),
    ],
)
def test_what_a_server_refuses_is_left_out_and_said_once(
    load: Load, server: VlmServer, refuses: set[str], sent: Any, said: str
) -> None:
    server.refuses = refuses
    heard: list[str] = []
    model = load(server)
    model.on_notice(heard.append)
    picture, truth = scene((640, 480))
    for _ in range(2):
        found = model.detect(picture, ask(RED), DetectOptions())
        assert (worst(found, {RED: truth[RED]}) <= 1).all()
    assert sum(said in sentence for sentence in heard) == 1
    assert len(server.pictures) == 2, "the second question was right at once"
    if "temperature" not in refuses:
        assert server.requests[-1].get("response_format") == sent


def test_a_model_that_reasons_gets_its_own_name_for_the_limit(
    load: Load, server: VlmServer
) -> None:
    server.refuses = {"max_tokens", "temperature"}
    load(server).detect(scene((640, 480))[0], ask(RED), DetectOptions())
    assert server.requests[-1]["max_completion_tokens"] == 2048
    assert "temperature" not in server.requests[-1]


# ---- what goes wrong, in a sentence each


def refusal(model: Any) -> str:
    with pytest.raises(NoAnswer) as caught:
        model.detect(scene((640, 480))[0], ask(RED), DetectOptions())
    message = str(caught.value)
    assert "\n" not in message
    assert "vlm:here (127.0.0.1" in message
    assert KEY not in message
    return message


JSON = {"Content-Type": "application/json"}
HTML = b"<!DOCTYPE html><html><body>Welcome!</body></html>"


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (Trouble(wait=1.0), r"didn't answer within 0\.3 s, asked once"),
        (Trouble(cut=True), "closed the connection before its answer was whole"),
        (Trouble(429, b"{}", {"Retry-After": "77"}), r"asked too often.*wait 77 s \(HTTP 429\)"),
        (Trouble(503), r"fails \(HTTP 503\), asked once"),
        (Trouble(404, b"{}"), r"has no model gpt-4o.*or its API doesn't begin at .*/v1"),
        (Trouble(401, b"{}"), "wants a key.*key_env"),
        (Trouble(302, b"", {"Location": "http://example.com/"}), "sends elsewhere"),
        (Trouble(200, HTML, {"Content-Type": "text/html"}), "no chat completion but a web page"),
        (Trouble(200, HTML, JSON), "isn't JSON"),
        (Trouble(200, b"{}", JSON), "no chat completion"),
        (Trouble(200, b"[null]", JSON), "no chat completion"),
        (Trouble(200, b'{"choices": [{"message": "hm"}]}', JSON), "no chat completion"),
        (
            Trouble(200, b'{"choices": [{"message": {"content": null, "refusal": "No."}}]}', JSON),
            "declines: No",
        ),
        (Trouble(400, b'{"error": {"message": "image too large"}}', JSON), "image too large"),
    ],
    ids=lambda value: "" if isinstance(value, Trouble) else value.split("(")[0][:20],
)
def test_each_trouble_is_one_clear_sentence(
    load: Load, server: VlmServer, trouble: Trouble, why: str
) -> None:
    server.troubles = [trouble]
    assert re.search(why, refusal(load(server, model="gpt-4o", timeout=0.3)))
    assert len(server.requests) == 1


def test_a_server_that_is_down_is_named(load: Load) -> None:
    with VlmServer() as gone:
        pass
    message = refusal(load(gone))
    assert f"is the server running at {gone.url}?" in message


def test_a_busy_server_is_asked_again(load: Load, server: VlmServer) -> None:
    """As soon as it says; what was answered in the end is the answer."""
    soon = {"Retry-After": "0.01"}
    server.troubles = [Trouble(429, b"{}", soon), Trouble(503, b"", soon)]
    picture, truth = scene((640, 480))
    found = load(server, retries=2).detect(picture, ask(RED), DetectOptions())
    assert (worst(found, {RED: truth[RED]}) <= 1).all()
    assert len(server.requests) == 3


def test_a_budget_of_calls_counts_every_request(load: Load, server: VlmServer) -> None:
    server.troubles = [Trouble(503, b"", {"Retry-After": "0.01"})]
    model = load(server, retries=3, max_calls=3)
    picture, _ = scene((640, 480))
    model.detect(picture, ask(RED), DetectOptions())
    with pytest.raises(NoAnswer, match=r"max_calls is 3, and 3 are spent.*endpoints\.toml"):
        model.detect(picture, ask(RED), DetectOptions(samples=2))
    assert len(server.requests) == 3


def test_a_budget_of_tokens_is_kept_or_can_not_be(load: Load, server: VlmServer) -> None:
    model = load(server, max_tokens=1500)
    picture, _ = scene((640, 480))
    model.detect(picture, ask(RED), DetectOptions())
    model.detect(picture, ask(RED), DetectOptions())
    with pytest.raises(NoAnswer, match="max_tokens is 1500, and 2000 are spent"):
        model.detect(picture, ask(RED), DetectOptions())
    server.usage = None
    with pytest.raises(NoAnswer, match="doesn't say how many tokens"):
        load(server, max_tokens=1500).detect(picture, ask(RED), DetectOptions())


# ---- keys


def test_the_key_goes_to_the_server_and_nowhere_else(
    load: Load,
    server: VlmServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not into what the client logs, not into an error, not into the weights' settings; and what
    the environment says of another service doesn't reach this one."""
    monkeypatch.setenv("MY_KEY", KEY)
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "another-secret")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Other: another-secret\nauthorization: Basic no")
    server.key = KEY
    picture, _ = scene((640, 480))
    with caplog.at_level(logging.DEBUG):
        load(server, key_env="MY_KEY").detect(picture, ask(RED), DetectOptions())
    assert KEY not in caplog.text
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert "another-secret" not in str(server.headers)
    assert KEY not in str(store.find("vlm:here"))
    assert KEY not in endpoints.identity("vlm:here")
    server.key = "sk-other"
    assert "refuses the key in MY_KEY (HTTP 401)" in refusal(load(server, key_env="MY_KEY"))
    server.key = None
    echo = json.dumps({"error": {"message": f"{KEY} has no access to image input"}}).encode()
    server.troubles = [Trouble(400, echo, {"Content-Type": "application/json"})]
    assert "… has no access" in refusal(load(server, key_env="MY_KEY"))


def test_without_a_key_none_is_sent(
    load: Load, server: VlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "another-secret")
    load(server).detect(scene((640, 480))[0], ask(RED), DetectOptions())
    assert server.headers[0]["authorization"] == "Bearer none"


def test_the_keyring_is_asked_where_the_variable_is_empty(
    load: Load, server: VlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = pytest.importorskip("keyring")

    class InMemory(keyring.backend.KeyringBackend):  # type: ignore[misc, name-defined]
        priority = 1
        kept: dict[tuple[str, str], str] = {}  # noqa: RUF012

        def get_password(self, service: str, username: str) -> str | None:
            return self.kept.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.kept[service, username] = password

        def delete_password(self, service: str, username: str) -> None:
            del self.kept[service, username]

    before = keyring.get_keyring()
    keyring.set_keyring(InMemory())
    try:
        with pytest.raises(NoAnswer, match=r"variable MY_KEY is empty.*no entry MY_KEY"):
            load(server, key_env="MY_KEY")
        keyring.set_password("limner", "MY_KEY", KEY)
        server.key = KEY
        picture, _ = scene((640, 480))
        assert len(load(server, key_env="MY_KEY").detect(picture, ask(RED), DetectOptions())) == 2
    finally:
        keyring.set_keyring(before)


def test_without_the_client_its_extra_is_named(
    load: Load, server: VlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtra, match=r"limner\[vlm\]"):
        load(server)


def test_a_key_that_a_server_repeats_is_taken_out_in_every_form(
    load: Load, server: VlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In what is shown, and in answers, which go into records and into the next question."""
    key = 'sk-secret/+"0123456789'
    monkeypatch.setattr("limner.models.vlm.openai_client.key_of", lambda *_: key)
    in_header = base64.b64encode(f"user:{key}".encode()).decode()
    percent = "".join(f"%{byte:02X}" for byte in key.encode())
    forms = [key, quote(key, safe=""), percent, json.dumps(key)[1:-1], key.encode().hex()]
    for form in forms:
        body = json.dumps({"error": {"message": f"image refused: {form}"}}).encode()
        server.troubles = [Trouble(400, body, JSON)]
        said = refusal(load(server, key_env="MY_KEY", url=server.url))
        assert "image refused: …" in said
    asked = load(server, key_env="MY_KEY")._backend
    server.replies = [f"{in_header} and {' '.join(forms)}"]
    answer = asked.ask(asked.show(Image.new("RGB", (8, 8))), "?", {}, None)
    assert not any(form in answer for form in forms)
    inside = base64.b64encode(key.encode())[4:-4].decode()
    assert inside[:-1] not in answer
    assert in_header[4:-4] not in answer


def test_a_reply_is_read_within_bounds(load: Load, server: VlmServer) -> None:
    """One that says its size, one that doesn't, one packed: none is taken into memory whole."""
    long = b" " * (server_replies.MOST_BYTES + 1)
    packed = {"Content-Encoding": "gzip", **JSON}
    server.troubles = [Trouble(200, long, JSON), Trouble(200, gzip.compress(b"{}"), packed)]
    assert "answered with more than 16 MB" in refusal(load(server))
    assert "answered packed ('gzip')" in refusal(load(server))
    assert server.headers[0]["accept-encoding"] == "identity"


class Endless:
    """A client's reply whose body never ends."""

    def __init__(self, piece: bytes) -> None:
        self.headers: dict[str, str] = {}
        self.stream = itertools.repeat(piece)


@pytest.mark.parametrize(("piece", "why"), [(b" " * 65536, "more than 16 MB"), (b"", "0.05 s")])
def test_a_reply_without_end_is_left(piece: bytes, why: str) -> None:
    """Quick or slow: by its size, or by the time it takes."""
    with pytest.raises(server_replies.ReplyRefused, match=why):
        server_replies.bounded(seconds=0.05 if not piece else None)(Endless(piece))


def test_a_proxy_is_used_but_for_this_machine(
    load: Load, server: VlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Companies set HTTP_PROXY and no NO_PROXY; nothing on this machine answers through it."""
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    load(server).detect(scene((640, 480))[0], ask(RED), DetectOptions())
    monkeypatch.setenv("HTTP_PROXY", server.url.removesuffix("/v1"))
    with pytest.raises(NoAnswer, match=r"vlm\.example"):
        load(server, url="http://vlm.example/v1").detect(
            scene((640, 480))[0], ask(RED), DetectOptions()
        )
    assert len(server.requests) == 2, "the proxy was asked"


# ---- fuzz, through the wire


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(text=replies())
def test_a_fuzzed_answer_of_a_server_is_boxes_or_a_sentence(
    load: Load, server: VlmServer, text: str
) -> None:
    """Boxes inside the picture, for phrases that were asked; never a traceback of another kind."""
    picture = Image.new("RGB", (64, 48))
    server.replies = [text, text]
    try:
        found = load(server).detect(picture, ask("the dog", "a cat"), DetectOptions())
    except ModelError:
        return
    assert (found.xyxy >= 0).all()
    assert (found.xyxy <= (64, 48, 64, 48)).all()
    assert set(found.data["class_name"]) <= {"the dog", "a cat"}
