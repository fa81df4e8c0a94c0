"""Requests and jobs. Generated from the contract by `npm run generate`; do not edit."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import NotRequired, TypedDict

SubtitleFormat = Literal["srt", "vtt", "json", "txt", "joined"]
JobStatus = Literal["queued", "running", "completed", "failed", "cancelled"]


class TranscribeRequest(TypedDict):
    input: str
    output: NotRequired[str]
    tenant: NotRequired[str]
    tags: NotRequired[list[str]]
    overwrite: NotRequired[bool]
    formats: NotRequired[list[Literal["srt", "vtt", "json", "txt", "joined"]]]
    language: NotRequired[str]
    audio_track: NotRequired[int | None]
    dual_mono: NotRequired[Literal["both", "left", "right"]]
    beam_size: NotRequired[int]
    best_of: NotRequired[int]
    patience: NotRequired[float]
    length_penalty: NotRequired[float]
    temperature: NotRequired[float]
    compression_ratio_threshold: NotRequired[float]
    log_prob_threshold: NotRequired[float]
    no_speech_threshold: NotRequired[float]
    condition_on_previous_text: NotRequired[bool]
    initial_prompt: NotRequired[str | None]
    vad_filter: NotRequired[bool]
    clean_audio: NotRequired[bool]


class ConvertRequest(TypedDict):
    input: str
    output: NotRequired[str]
    tenant: NotRequired[str]
    tags: NotRequired[list[str]]
    overwrite: NotRequired[bool]
    resolution: NotRequired[str]
    target_bitrate: NotRequired[str]
    crf: NotRequired[int | None]
    codec: NotRequired[Literal["h264", "hevc", "av1"]]
    copy: NotRequired[bool]
    deinterlace: NotRequired[Literal["auto", "double", "off"]]
    language: NotRequired[str | None]
    audio_track: NotRequired[int | None]
    dual_mono: NotRequired[Literal["both", "left", "right"]]
    keep_all_audio: NotRequired[bool]
    keep_subtitles: NotRequired[bool]
    preset: NotRequired[Literal["performance", "balanced", "quality"]]


class JobOutputs(TypedDict):
    path: str
    format: Literal["srt", "vtt", "json", "txt", "joined", "mp4"]
    bytes: float
    sha256: str


class JobError(TypedDict):
    code: str
    message: str


class JobStates(TypedDict):
    state: str
    ms: float
    attempts: float


class JobStep(TypedDict):
    doneBytes: NotRequired[float]
    totalBytes: NotRequired[float]
    bytesPerSecond: NotRequired[float]
    fraction: NotRequired[float]
    stage: NotRequired[str]
    etaSeconds: NotRequired[float]


class JobReportTracks(TypedDict):
    kind: Literal["video", "audio", "subtitle"]
    number: int
    codec: NotRequired[str]
    language: NotRequired[str]
    title: NotRequired[str]
    why: str


class JobReport(TypedDict):
    engine: str
    mediaSeconds: float
    gpuSeconds: float
    inputBytes: float
    sentBytes: float
    savedBytes: NotRequired[float]
    audioOnly: NotRequired[bool]
    tracks: NotRequired[list[JobReportTracks]]
    warnings: list[str]


class Job(TypedDict):
    id: str
    type: str
    state: str
    status: Literal["queued", "running", "completed", "failed", "cancelled"]
    input: str | None
    tenant: str | None
    tags: list[str]
    outputs: list[JobOutputs]
    error: JobError | None
    states: list[JobStates]
    step: JobStep | None
    report: JobReport | None
    submittedAt: int
    startedAt: int | None
    finishedAt: int | None
