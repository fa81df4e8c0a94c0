import { open } from "node:fs/promises";

const SAMPLE_RATE = 16_000;
/** A word of such a film plays so long, and the next one begins so long after it began. */
const WORD_SECONDS = 0.3;
const WORD_EVERY_SECONDS = 0.5;
const WORDS_OF_SENTENCE = 8;
const PAUSE_SECONDS = 1;

/** Sound of a film in which numbers are said: a tone each, which `support/paced_handler.py` understands. */
export interface SpokenFilm {
  readonly seconds: number;
  /** Whether there is a pause after each sentence; without it words follow each other for ever. */
  readonly hasPauses: boolean;
}

/** Writes one as 16 kHz mono WAV; gives the numbers that are said in it. */
export async function makeSpokenFilm(path: string, { seconds, hasPauses }: SpokenFilm): Promise<number[]> {
  const sentence = WORDS_OF_SENTENCE * WORD_EVERY_SECONDS + (hasPauses ? PAUSE_SECONDS : 0);
  const said: number[] = [];
  const samples = new Int16Array(seconds * SAMPLE_RATE);
  for (let number = 0; ; number += 1) {
    const at =
      Math.floor(number / WORDS_OF_SENTENCE) * sentence + (number % WORDS_OF_SENTENCE) * WORD_EVERY_SECONDS;
    if (at + WORD_SECONDS > seconds) break;
    const word = number % 64;
    said.push(word);
    const first = Math.round(at * SAMPLE_RATE);
    for (let index = 0; index < WORD_SECONDS * SAMPLE_RATE; index += 1) {
      const phase = 2 * Math.PI * (400 + 40 * word) * (index / SAMPLE_RATE);
      samples[first + index] = Math.round(8000 * Math.sin(phase));
    }
  }
  await using file = await open(path, "w");
  await file.writeFile(wavHeader(samples.byteLength));
  await file.writeFile(new Uint8Array(samples.buffer));
  return said;
}

function wavHeader(bytes: number): Buffer {
  const header = Buffer.alloc(44);
  header.write("RIFF", 0);
  header.writeUInt32LE(36 + bytes, 4);
  header.write("WAVEfmt ", 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(SAMPLE_RATE, 24);
  header.writeUInt32LE(SAMPLE_RATE * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write("data", 36);
  header.writeUInt32LE(bytes, 40);
  return header;
}
