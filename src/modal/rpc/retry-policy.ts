/**
 * Reads how long the server asks us to wait out of the `grpc-status-details-bin` trailer. The SDK
 * decodes it too, but drops it when it gives up, and does not export its decoder. Only three fields are
 * needed: `RPCStatus.details (3)`, `Any.type_url (1)` and `value (2)`, `RPCRetryPolicy.retry_after_secs (1)`.
 */
export function retryAfterMs(statusDetails: Uint8Array | undefined): number | undefined {
  if (statusDetails === undefined) return undefined;
  try {
    for (const detail of fields(statusDetails)) {
      if (detail.number !== 3) continue;
      const any = [...fields(detail.bytes)];
      const typeUrl = any.find((field) => field.number === 1);
      const value = any.find((field) => field.number === 2);
      if (typeUrl === undefined || !text(typeUrl.bytes).endsWith("/modal.client.RPCRetryPolicy")) continue;
      const seconds = value && [...fields(value.bytes)].find((field) => field.number === 1);
      return seconds === undefined ? 0 : view(seconds.bytes).getFloat32(0, true) * 1000;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return undefined;
}

interface Field {
  readonly number: number;
  readonly bytes: Uint8Array;
}

/** The fields of one protobuf message. @throws RangeError when it is cut off */
function* fields(message: Uint8Array): Generator<Field> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = view(message).getUint8(at++);
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    const start = at;
    const wireType = tag % 8;
    if (wireType === 0) {
      varint();
      yield { number, bytes: message.subarray(start, at) };
    } else {
      const length = wireType === 2 ? varint() : wireType === 1 ? 8 : 4;
      yield { number, bytes: message.subarray(at, at + length) };
      at += length;
    }
  }
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
