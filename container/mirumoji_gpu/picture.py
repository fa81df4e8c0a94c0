"""Filters of a picture on its way to 8 bit BT.709 or BT.601 in square pixels, upright and in whole frames."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path


from .children import run_child
from .ffmpeg import listed
from .probe import Probe
from .tracks import Stream

HDR_CURVES = {"smpte2084": "PQ", "arib-std-b67": "HLG"}
# Primaries beyond those of BT.709: of UHD, of cinemas, and of telephones that record their screen.
WIDE_PRIMARIES = {"bt2020": "2020", "smpte431": "smpte431", "smpte432": "smpte432"}
# Luminance of HDR's reference white, in cd/m2 (ITU-R BT.2408).
REFERENCE_WHITE = 203
# Interlaced pictures have these many lines and no more pictures than this a second.
LEAST_LINES = 240
MOST_INTERLACED_RATE = 31
# Codecs that know no fields.
PROGRESSIVE_CODECS = {"vp8", "vp9", "av1", "gif", "png", "apng", "webp", "theora", "flv1", "qtrle"}
SAMPLE_FRAMES = 60
# Fields that belong together are at least so much more alike than those of a frame. Fine patterns and titles of whole
# frames stay below 1.1; with idet's own 1.04 they pass for interlaced.
FIELD_RATIO = 1.12


@dataclass(frozen=True)
class Colours:
    """Tags of the picture that is made."""

    matrix: str
    primaries: str
    curve: str

    @property
    def arguments(self) -> list[str]:
        names = ["-color_range", "tv", "-colorspace", self.matrix]
        return [*names, "-color_primaries", self.primaries, "-color_trc", self.curve]


def fitted_size(stream: Stream, box: tuple[int, int]) -> tuple[int, int]:
    """
    Even frame size in square pixels: upright, inside the box, the aspect kept, never larger than the source.

    The box lies as the picture does: its longer side is for the longer side of the picture.
    """
    width, height = float(stream["width"]), float(stream["height"])
    ratio = re.fullmatch(r"(\d+):(\d+)", str(stream.get("sample_aspect_ratio", "")))
    if ratio and int(ratio[1]) and int(ratio[2]):
        width *= int(ratio[1]) / int(ratio[2])
    if round(rotation_of(stream) / 90) % 2:
        width, height = height, width
    if (width > height) != (box[0] > box[1]):
        box = box[1], box[0]
    scale = min(1.0, box[0] / width, box[1] / height)

    def even(size: float, limit: float) -> int:
        nearest = round(size * scale / 2) * 2
        return max(2, nearest if nearest <= limit + 1e-6 else nearest - 2)

    return even(width, min(width, box[0])), even(height, min(height, box[1]))


def rotation_of(stream: Stream) -> float:
    rotation = 0.0
    with contextlib.suppress(KeyError, ValueError):
        rotation = float(stream["tags"]["rotate"])
    for side in stream.get("side_data_list", []):
        with contextlib.suppress(KeyError, ValueError):
            rotation = float(side["rotation"])
    return rotation


def turned(stream: Stream) -> tuple[list[str], list[str]]:
    """
    Filters that undo and that repeat how ffmpeg turns a picture to stand upright.

    It does so before all other filters, where fields would become columns.
    """
    for side in stream.get("side_data_list", []):
        rows = re.findall(r":\s+(-?\d+)\s+(-?\d+)", str(side.get("displaymatrix", "")))
        if len(rows) < 2:
            continue
        (a, b), (c, d) = [tuple(int(value) for value in row) for row in rows[:2]]
        if a == d == 0 and b and c:
            way = "cclock" if c > 0 else "clock"
            back = "clock" if c > 0 else "cclock"
            if (b > 0) == (c > 0):
                way = back = "cclock_flip" if c > 0 else "clock_flip"
            return [f"transpose={back}"], [f"transpose={way}"]
        if b == c == 0:
            flips = [*(["hflip"] if a < 0 else []), *(["vflip"] if d < 0 else [])]
            return flips, flips
    return [], []


def is_hdr(stream: Stream) -> bool:
    return stream.get("color_transfer") in HDR_CURVES


def can_tone_map() -> bool:
    return {"zscale", "tonemap"} <= listed("filters")


def colours_of(stream: Stream) -> Colours:
    """The source's own colours where it says them, else what players take for a picture of its size."""
    if is_hdr(stream) or is_wide_gamut(stream):
        if can_tone_map():
            return Colours("bt709", "bt709", _curve_kept(stream))
        return Colours(*(str(stream.get(name)) for name in ("color_space", "color_primaries", "color_transfer")))
    usual = _usual_colours(stream)
    said = str(stream.get("color_space"))
    matrix = said if said in ("bt709", "smpte170m", "bt470bg", "smpte240m", "fcc") else usual.matrix
    primaries, curve = str(stream.get("color_primaries")), str(stream.get("color_transfer"))
    known_primaries = ("bt709", "smpte170m", "bt470bg", "bt470m", "smpte240m")
    known_curves = ("bt709", "smpte170m", "bt470bg", "gamma22", "gamma28", "smpte240m", "iec61966-2-1")
    same = Colours("bt709", "bt709", "bt709") if matrix == "bt709" else Colours(matrix, matrix, "smpte170m")
    return Colours(
        matrix,
        primaries if primaries in known_primaries else same.primaries,
        curve if curve in known_curves else same.curve,
    )


def _usual_colours(stream: Stream) -> Colours:
    width, height = int(stream["width"]), int(stream["height"])
    if width >= 1280 or height >= 720:
        return Colours("bt709", "bt709", "bt709")
    if height == 576:
        return Colours("bt470bg", "bt470bg", "smpte170m")
    return Colours("smpte170m", "smpte170m", "smpte170m")


def is_wide_gamut(stream: Stream) -> bool:
    is_of_uhd = str(stream.get("color_space", "")).startswith("bt2020")
    return is_of_uhd or stream.get("color_primaries") in WIDE_PRIMARIES


def is_rgb(stream: Stream) -> bool:
    pixels = str(stream.get("pix_fmt", ""))
    return bool(re.match(r"(rgb|bgr|gbr|argb|abgr|0rgb|0bgr|pal8|x2rgb)", pixels))


def picture_filters(
    stream: Stream, size: tuple[int, int], colours: Colours, deinterlacer: list[str], pixels: str = "yuv420p"
) -> list[str]:
    """Fields to frames first, then the size, then the colours."""
    undone, repeated = turned(stream)
    filters = [*undone, *deinterlacer, *repeated] if deinterlacer else []
    width, height = size
    # Evaluated again when size or shape of the picture change inside the file: then it keeps its shape.
    shape = "iw*sar/ih"
    wide = f"2*round(min({width},{height}*{shape})/2)"
    high = f"2*round(min({height},{width}/({shape}))/2)"
    same = f"lt(abs({height}*{shape}-{width}),{width}*0.02+2)"
    fit = f"w='if({same},{width},{wide})':h='if({same},{height},{high})':flags=bicubic"
    framed = [f"pad={width}:{height}:-1:-1:eval=frame", "setsar=1"]
    if (is_hdr(stream) or is_wide_gamut(stream)) and can_tone_map():
        return [*filters, f"scale={fit}", *_to_bt709(stream), f"format={pixels}", *framed, _tagged(colours)]
    matrix = f":out_color_matrix={_swscale_name(colours.matrix)}:out_range=tv"
    if not is_rgb(stream):
        matrix += f":in_color_matrix={_swscale_name(colours.matrix)}"
    return [*filters, f"scale={fit}{matrix}", f"format={pixels}", *framed, _tagged(colours)]


def _to_bt709(stream: Stream) -> list[str]:
    space, primaries = str(stream.get("color_space", "")), str(stream.get("color_primaries"))
    usual = "709" if primaries.startswith("smpte43") else "2020_ncl"
    matrix = {"bt2020c": "2020_cl", "bt709": "709", "smpte170m": "170m", "bt470bg": "470bg"}.get(space, usual)
    levels = "full" if stream.get("color_range") == "pc" else "limited"
    if is_rgb(stream):
        matrix, levels = "gbr", "full"
    gamut = "709" if primaries == "bt709" else WIDE_PRIMARIES.get(primaries, "2020")
    given = f"pin={gamut}:min={matrix}:rin={levels}"
    if not is_hdr(stream):
        curve = _curve_kept(stream)
        return [f"zscale=tin={curve}:{given}:t={curve}:p=709:m=709:r=limited"]
    curve = "smpte2084" if stream["color_transfer"] == "smpte2084" else "arib-std-b67"
    return [
        f"zscale=tin={curve}:{given}:t=linear:npl={REFERENCE_WHITE}",
        "format=gbrpf32le",
        "zscale=p=709",
        # Leaves what is not brighter than white nearly as it is.
        "tonemap=mobius:param=0.5:desat=0:peak=10",
        "zscale=t=709:m=709:r=limited",
    ]


def _curve_kept(stream: Stream) -> str:
    """Curve of what was no BT.709: that of computers stays, all others are alike or are changed."""
    return "iec61966-2-1" if stream.get("color_transfer") == "iec61966-2-1" else "bt709"


def _swscale_name(matrix: str) -> str:
    return {"bt470bg": "bt601", "smpte170m": "bt601", "bt2020nc": "bt2020", "bt2020c": "bt2020"}.get(matrix, matrix)


def _tagged(colours: Colours) -> str:
    return (
        f"setparams=range=tv:colorspace={colours.matrix}:color_primaries={colours.primaries}"
        f":color_trc={colours.curve}:field_mode=prog"
    )


def deinterlacer_of(source: Path, probe: Probe, stream: Stream, rate: float, mode: str) -> list[str]:
    """The filters that make frames of fields, where a stream is flagged as interlaced or looks so."""
    if mode == "off" or is_rgb(stream):
        return []
    output = "send_field" if mode == "double" else "send_frame"
    if stream.get("field_order") in ("tt", "bb", "tb", "bt"):
        return [f"bwdif=mode={output}:parity=auto:deint=interlaced"]
    if stream.get("codec_name") in PROGRESSIVE_CODECS or rate > MOST_INTERLACED_RATE:
        return []
    if min(int(stream["height"]), int(stream["width"])) < LEAST_LINES:
        return []
    seen = _looked_at(source, probe, stream)
    fields, order = max((seen.get("TFF", 0), "tff"), (seen.get("BFF", 0), "bff"))
    # A broadcast has one order of fields.
    others = seen.get("TFF", 0) + seen.get("BFF", 0) - fields
    if fields < 5 or fields <= seen.get("Progressive", 0) or others > fields * 0.1:
        return []
    return [f"setfield={order}", f"bwdif=mode={output}:parity={order}:deint=all"]


def _looked_at(source: Path, probe: Probe, stream: Stream) -> dict[str, int]:
    """Counts of frames, in two samples, that look like fields of either order or like whole frames."""
    counts: dict[str, int] = {}
    seconds = probe.seconds
    for at in (seconds * 0.25, seconds * 0.6) if seconds > 12 else (0.0,):
        log = source.with_name("idet.log")
        argv = ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-ss", f"{at:.3f}", *probe.input_options]
        argv += ["-i", f"file:{source}", "-map", f"0:{stream['index']}", "-frames:v", str(SAMPLE_FRAMES)]
        looked_at = ",".join([*turned(stream)[0], f"idet=intl_thres={FIELD_RATIO}"])
        run_child([*argv, "-vf", looked_at, "-f", "null", "-"], log)
        words = log.read_text(encoding="utf-8", errors="replace")
        for name, count in re.findall(r"(TFF|BFF|Progressive):\s*(\d+)", words.rpartition("Multi frame")[2]):
            counts[name] = counts.get(name, 0) + int(count)
    return counts


