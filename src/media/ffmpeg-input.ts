/** An input as ffmpeg is told of it: a file here, or a port of this machine that serves one from elsewhere. */
const OWN_PORT = /^http:\/\/127\.0\.0\.1:\d+\//u;

/** Whether it is served by us, and no file. */
function isServed(path: string): boolean {
  return OWN_PORT.test(path);
}

/** The URL of an input, whose protocol is fixed. */
export function inputUrl(path: string): string {
  return isServed(path) ? path : `file:${path}`;
}

/** Protocols that ffmpeg may use for an input. */
export function protocolsFor(path: string): string {
  return isServed(path) ? "http,tcp" : "file,pipe";
}
