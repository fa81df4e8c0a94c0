/** Segments of finished transcripts, kept for a while beside their jobs; a text each, whose sense is the steps'. */
export interface KeptTranscripts {
  /** Keeps a text in the place of one that is there; nothing where the operator keeps none. */
  put(jobId: string, text: string): Promise<void>;
  /** Null when it was never kept, or is not any more. */
  get(jobId: string): Promise<string | null>;
}
