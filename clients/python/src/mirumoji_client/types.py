"""Requests and jobs. Generated from the contract by `npm run generate`; do not edit."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import NotRequired, TypedDict

SubtitleFormat = Literal["srt", "vtt", "ass", "lrc", "tsv", "json", "txt", "joined"]
JobStatus = Literal["queued", "running", "completed", "failed", "cancelled"]


class TranscribeRequest(TypedDict):
    input: str
    output: NotRequired[str]
    tenant: NotRequired[str]
    tags: NotRequired[list[str]]
    priority: NotRequired[int]
    run_at: NotRequired[str]
    delay_seconds: NotRequired[float]
    webhook: NotRequired[Any]
    overwrite: NotRequired[bool]
    formats: NotRequired[list[Literal["srt", "vtt", "ass", "lrc", "tsv", "json", "txt", "joined"]]]
    language: NotRequired[str]
    audio_track: NotRequired[int | None]
    dual_mono: NotRequired[Literal["both", "left", "right"]]
    language_confidence: NotRequired[float]
    task: NotRequired[Literal["transcribe", "translate"]]
    model: NotRequired[str | None]
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
    hotwords: NotRequired[str | None]
    repetition_penalty: NotRequired[float]
    no_repeat_ngram_size: NotRequired[int]
    hallucination_silence_threshold: NotRequired[float | None]
    batch_size: NotRequired[int | None]
    vad_filter: NotRequired[bool]
    vad_threshold: NotRequired[float]
    vad_min_speech_ms: NotRequired[int]
    vad_min_silence_ms: NotRequired[int]
    vad_speech_pad_ms: NotRequired[int]
    layout: NotRequired[Literal["readable", "raw"]]
    max_line_width: NotRequired[int | None]
    max_lines: NotRequired[int]
    max_cps: NotRequired[float | None]
    word_times: NotRequired[bool]
    fix: NotRequired[bool]
    translate_to: NotRequired[str | None]
    clean_audio: NotRequired[bool]
    cache: NotRequired[int | None]
    parallel: NotRequired[int | None]


class ConvertRequest(TypedDict):
    input: str
    output: NotRequired[str]
    tenant: NotRequired[str]
    tags: NotRequired[list[str]]
    priority: NotRequired[int]
    run_at: NotRequired[str]
    delay_seconds: NotRequired[float]
    webhook: NotRequired[Any]
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


class LayoutWish(TypedDict):
    layout: NotRequired[Literal["readable", "raw"]]
    max_line_width: NotRequired[int | None]
    max_lines: NotRequired[int]
    max_cps: NotRequired[float | None]
    word_times: NotRequired[bool]
    partial: NotRequired[bool]


class ReformatRequest(TypedDict):
    formats: NotRequired[list[Literal["srt", "vtt", "ass", "lrc", "tsv", "json", "txt", "joined"]]]
    output: NotRequired[str]
    overwrite: NotRequired[bool]
    layout: NotRequired[Literal["readable", "raw"]]
    max_line_width: NotRequired[int | None]
    max_lines: NotRequired[int]
    max_cps: NotRequired[float | None]
    word_times: NotRequired[bool]
    partial: NotRequired[bool]


class JobOutputs(TypedDict):
    path: str
    format: Literal["srt", "vtt", "ass", "lrc", "tsv", "json", "txt", "joined", "mp4"]
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


class JobReportParallel(TypedDict):
    asked: float
    containers: float
    parts: float
    why: NotRequired[str]


class JobReportTracks(TypedDict):
    kind: Literal["video", "audio", "subtitle"]
    number: int
    codec: NotRequired[str]
    language: NotRequired[str]
    title: NotRequired[str]
    why: str


class JobReportEdit(TypedDict):
    model: str
    fixed: bool
    translatedTo: str | None
    sentences: float
    inputTokens: float
    outputTokens: float
    usd: float | None


class JobReport(TypedDict):
    engine: str
    model: NotRequired[str]
    language: NotRequired[str]
    languageProbability: NotRequired[float]
    mediaSeconds: float
    speechSeconds: NotRequired[float]
    droppedSegments: NotRequired[float]
    gpuSeconds: float
    inputBytes: float
    sentBytes: float
    savedBytes: NotRequired[float]
    audioOnly: NotRequired[bool]
    cachedFrom: NotRequired[str]
    parallel: NotRequired[JobReportParallel]
    tracks: NotRequired[list[JobReportTracks]]
    edit: NotRequired[JobReportEdit]
    warnings: list[str]


class JobReceiptCallsParts(TypedDict):
    download: float
    load: float
    compute: float
    upload: float
    coldStart: float


class JobReceiptCalls(TypedDict):
    callId: str
    outcome: Literal["succeeded", "failed", "cancelled", "lost"]
    waitSeconds: float | None
    seconds: float
    gpu: str
    parts: NotRequired[JobReceiptCallsParts | None]
    inputs: NotRequired[int]
    usd: float | None
    pricesAsOf: str
    usdPerSecond: NotRequired[float | None]


class JobReceiptParts(TypedDict):
    download: float
    load: float
    compute: float
    upload: float
    coldStart: float


class JobReceipt(TypedDict):
    calls: list[JobReceiptCalls]
    gpuSeconds: float
    usd: float | None
    sentBytes: float
    savedBytes: float
    receivedBytes: float
    parts: NotRequired[JobReceiptParts | None]
    openCallId: NotRequired[str | None]
    volumeId: str | None
    volumeDeleted: bool


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
    receipt: JobReceipt | None
    submittedAt: int
    startedAt: int | None
    finishedAt: int | None


class Batch(TypedDict):
    id: str
    tenant: str | None
    status: Literal["running", "completed", "partial", "failed", "cancelled"]
    total: int
    completed: int
    failed: int
    cancelled: int
    submittedAt: float
    endedAt: float | None
