/**
 * Text of at most `maxChars` characters: of a longer one the beginning and the end, where most programs put what matters,
 * with a note of how much is left out.
 */
export function cutText(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text;
  const note = ` ... [${text.length - maxChars} more characters] ... `;
  const kept = Math.max(0, maxChars - note.length);
  const head = Math.ceil(kept / 2);
  return `${text.slice(0, head)}${note}${text.slice(text.length - (kept - head))}`;
}
