/** How much a language model was used for one job. */
export interface TextEditUsage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Null where the operator gave no prices. */
  readonly usd: number | null;
}

export interface TextEdit {
  /** As many as were given, in the same order. */
  readonly texts: readonly string[];
  /** Whether each one was edited; the others are as they were given. */
  readonly isEdited: readonly boolean[];
  readonly usage: TextEditUsage;
  /** Reasons why something stayed as it was. */
  readonly warnings: readonly string[];
}

/** A language model that corrects and translates sentences. It never fails: what it cannot do stays as it was. */
export interface TextEditor {
  readonly model: string;
  edit(options: {
    readonly texts: readonly string[];
    /** ISO 639 code. */
    readonly language: string;
    readonly fix: boolean;
    readonly translateTo: string | null;
    readonly signal: AbortSignal;
  }): Promise<TextEdit>;
}
