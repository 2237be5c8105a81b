throw new Error("Buffer")
