import { stringify } from "ass-compiler";
import { type Cue, linesOf } from "../cue.ts";

/** The picture that sizes are given for; players scale both together. */
const PICTURE = { width: 1280, height: 720 };

/** White with a dark outline, at the bottom, large enough for sixteen Japanese characters in a line. */
const STYLE = {
  Name: "Default",
  Fontname: "sans-serif",
  Fontsize: "52",
  PrimaryColour: "&H00FFFFFF",
  SecondaryColour: "&H00FFFFFF",
  OutlineColour: "&H00101010",
  BackColour: "&H80000000",
  Bold: "0",
  Italic: "0",
  Underline: "0",
  StrikeOut: "0",
  ScaleX: "100",
  ScaleY: "100",
  Spacing: "0",
  Angle: "0",
  BorderStyle: "1",
  Outline: "2.5",
  Shadow: "0",
  Alignment: "2",
  MarginL: "60",
  MarginR: "60",
  MarginV: "40",
  Encoding: "1",
};

const EVENT_FORMAT = [
  "Layer",
  "Start",
  "End",
  "Style",
  "Name",
  "MarginL",
  "MarginR",
  "MarginV",
  "Effect",
  "Text",
];

export function ass(cues: readonly Cue[]): string {
  return `${stringify({
    info: {
      Title: "",
      ScriptType: "v4.00+",
      WrapStyle: "2",
      ScaledBorderAndShadow: "yes",
      PlayResX: String(PICTURE.width),
      PlayResY: String(PICTURE.height),
      Collisions: "Normal",
    },
    styles: { format: Object.keys(STYLE), style: [STYLE] },
    events: { format: EVENT_FORMAT, comment: [], dialogue: cues.map(dialogue) },
  })}\n`;
}

function dialogue(cue: Cue) {
  const text = linesOf(cue).map(escaped).join("\\N");
  return {
    Layer: 0,
    Start: cue.start,
    End: cue.end,
    Style: STYLE.Name,
    Name: "",
    MarginL: 0,
    MarginR: 0,
    MarginV: 0,
    Text: { raw: text, combined: text, parsed: [{ tags: [], text, drawing: [] }] },
  };
}

/** Braces hold commands, and a backslash begins one; a zero-width joiner keeps it a character. */
function escaped(text: string): string {
  return text.replaceAll("\\", "\\\u2060").replaceAll("{", "\\{").replaceAll("}", "\\}");
}
