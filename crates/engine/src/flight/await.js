// Waits for what a function returned, and tells the engine how it ended.
(settle) => async (call, returned) => {
  let value;
  try {
    value = await returned;
  } catch (reason) {
    settle(call, false, reason);
    return;
  }
  settle(call, true, value);
};
