// Runs before the first paint, so that a chosen theme does not flash. Without a choice the system's applies.
try {
  const choice = localStorage.getItem("theme");
  if (choice === "dark" || choice === "light") document.documentElement.dataset.theme = choice;
} catch {
  // Storage may be forbidden; the system's theme is then used.
}
