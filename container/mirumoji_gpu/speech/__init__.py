"""Where somebody speaks in a sound, and when each word is said. Needs numpy, which faster-whisper brings."""
