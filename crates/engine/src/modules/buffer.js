// `buffer`: what Node's has that is not about files.
(require) => {
  const constants = { MAX_LENGTH: 2 ** 32, MAX_STRING_LENGTH: 2 ** 30 - 1 };
  return {
    Buffer,
    Blob,
    File,
    atob,
    btoa,
    constants,
    kMaxLength: constants.MAX_LENGTH,
    kStringMaxLength: constants.MAX_STRING_LENGTH,
    INSPECT_MAX_BYTES: 50,
    SlowBuffer: Buffer.allocUnsafeSlow,
    isAscii: (bytes) =>
      Buffer.from(bytes.buffer ?? bytes, bytes.byteOffset, bytes.byteLength).every(
        (byte) => byte < 128,
      ),
    isUtf8(bytes) {
      try {
        new TextDecoder("utf-8", { fatal: true }).decode(bytes);
        return true;
      } catch {
        return false;
      }
    },
    transcode: (bytes, from, to) => Buffer.from(Buffer.from(bytes).toString(from), to),
  };
};
