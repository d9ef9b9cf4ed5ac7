const told = new Set<string>();

let write = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

/** Tells the user something worth knowing that is not an error, on stderr, once per distinct text. */
export function notify(line: string): void {
  if (told.has(line)) return;
  told.add(line);
  write(line);
}

/** Sends notices elsewhere and forgets which were sent. Disposing it restores stderr. */
export function setNotifier(notifier: (line: string) => void): Disposable {
  const before = write;
  write = notifier;
  told.clear();
  return {
    [Symbol.dispose]() {
      write = before;
    },
  };
}
