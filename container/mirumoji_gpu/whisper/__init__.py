"""Speech to words by Whisper. Imports faster-whisper and numpy, so that it is only imported where they are."""
